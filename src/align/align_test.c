/* The frame: stages run once each and in order whatever stops it, and the state's bytes do not tell. */
#include "align/align.h"

#include <sqlite3.h>

#include "base/checked.h"
#include "base/file.h"
#include "t.h"
#include "t_files.h"

static critic_error err;

#define MAX_CALLS 200

struct fake {
    int budget; /* stage calls before one fails; -1: no limit */
    char calls[MAX_CALLS][24];
    size_t n;
    const char *how; /* an option of the first stage */
};

static enum critic_status call(struct fake *f, const char *stage,
                               const struct cr_align_round *r, json_t *detail) {
    assert_true(f->n < MAX_CALLS);
    snprintf(f->calls[f->n], sizeof f->calls[0], "%zu%s", r->number, stage);
    if (f->budget >= 0 && f->budget-- == 0)
        return cr_fail(&err, CRITIC_IO, "the fake stage is out of budget");
    json_object_set_new(detail, "place", json_integer((json_int_t)f->n));
    f->n++;
    return CRITIC_OK;
}
static enum critic_status first(void *self, const struct cr_align_round *r,
                                json_t *detail, critic_error *e) {
    (void)e;
    return call(self, "a", r, detail);
}
static enum critic_status second(void *self, const struct cr_align_round *r,
                                 json_t *detail, critic_error *e) {
    (void)e;
    return call(self, "b", r, detail);
}
static const struct cr_align_stage stages[] = {{"first", false, first},
                                               {"second", true, second}};

static enum critic_status run(struct fake *f, const char *out, size_t n_rounds,
                              bool resume, int k) {
    json_t *options =
        json_pack("{s:i,s:s,s:s}", "k", k, "reward", "sum", "how", f->how ? f->how : "");
    const struct cr_align_opts o = {.out = out,
                                    .n_rounds = n_rounds,
                                    .options = options,
                                    .late = {"how", "first"},
                                    .resume = resume};
    enum critic_status status = cr_align_run(&o, stages, 2, f, &err);
    json_decref(options);
    return status;
}

static void read_state(const char *out, struct cr_buf *bytes) {
    char path[512];
    snprintf(path, sizeof path, "%s/state.sqlite", out);
    cr_buf_init(bytes, 1 << 20);
    T_OK(cr_file_read(path, bytes, &err));
}

static void remove_run(const char *out) {
    char path[512];
    for (int round = 0; round < 4; round++) {
        snprintf(path, sizeof path, "%s/round-%d", out, round);
        rmdir(path);
    }
    cr_dir_remove(out);
}

static void test_whole_and_broken(void **state) {
    static const char *const order[] = {"0b", "1a", "1b", "2a", "2b"};
    char whole[300], broken[300], moved[300];
    struct t_dir dir;
    struct cr_buf a, b;
    struct fake f = {.budget = -1};
    (void)state;
    t_dir_make(&dir, "align");
    snprintf(whole, sizeof whole, "%s", t_path(&dir, "whole"));
    snprintf(broken, sizeof broken, "%s", t_path(&dir, "broken"));
    snprintf(moved, sizeof moved, "%s", t_path(&dir, "moved"));
    assert_int_equal(run(&f, whole, 2, false, 5), CRITIC_OK);
    assert_int_equal(f.n, CR_COUNT(order));
    for (size_t i = 0; i < f.n; i++)
        assert_string_equal(f.calls[i], order[i]);
    read_state(whole, &a);

    /* One stage a go, the folder moved on the way: the same calls, the same bytes. */
    struct fake g = {.budget = 0};
    for (size_t go = 0; go < CR_COUNT(order); go++) {
        g.budget = 1;
        enum critic_status status = run(&g, broken, 2, true, 5);
        assert_int_equal(status, go + 1 < CR_COUNT(order) ? CRITIC_IO : CRITIC_OK);
        assert_int_equal(rename(broken, moved), 0);
        assert_int_equal(rename(moved, broken), 0);
    }
    assert_int_equal(g.n, CR_COUNT(order));
    read_state(broken, &b);
    assert_int_equal(a.len, b.len);
    assert_memory_equal(a.data, b.data, a.len);
    cr_buf_fini(&b);

    /* A finished run does nothing, to the same bytes; more rounds go on from it. */
    assert_int_equal(run(&g, broken, 2, true, 5), CRITIC_OK);
    assert_int_equal(g.n, CR_COUNT(order));
    read_state(broken, &b);
    assert_int_equal(a.len, b.len);
    assert_memory_equal(a.data, b.data, a.len);
    cr_buf_fini(&b);
    g.budget = -1;
    assert_int_equal(run(&g, broken, 3, true, 5), CRITIC_OK);
    assert_int_equal(g.n, CR_COUNT(order) + 2);
    assert_string_equal(g.calls[CR_COUNT(order)], "3a");

    T_FAILS(run(&f, whole, 2, false, 5), CRITIC_BAD_ARGUMENT, "--resume goes on");
    T_FAILS(run(&f, whole, 2, true, 6), CRITIC_BAD_ARGUMENT,
            "begun with k 5; now it is 6");
    cr_buf_fini(&a);
    remove_run(whole);
    remove_run(broken);
    t_dir_remove(&dir);
}

/* How a stage works can be put right until it has been done once. */
static void test_late_option(void **state) {
    struct t_dir dir;
    struct fake f = {.budget = 1, .how = "wrong"};
    (void)state;
    t_dir_make(&dir, "align-late");
    assert_int_equal(run(&f, dir.path, 2, false, 5), CRITIC_IO); /* in the first stage */
    f.how = "right";
    T_FAILS(run(&f, dir.path, 2, true, 6), CRITIC_BAD_ARGUMENT, "begun with k 5");
    f.budget = 1;
    assert_int_equal(run(&f, dir.path, 2, true, 5), CRITIC_IO);
    f.how = "wrong";
    T_FAILS(run(&f, dir.path, 2, true, 5), CRITIC_BAD_ARGUMENT,
            "begun with how \"right\"; now it is \"wrong\"");
    remove_run(dir.path);
}

/* A second process is refused (a second connection of this one has the same locks). */
static enum critic_status second_run(void *self, const struct cr_align_round *r,
                                     json_t *detail, critic_error *e) {
    struct fake f = {.budget = -1};
    char out[300];
    (void)detail;
    (void)e;
    snprintf(out, sizeof out, "%.*s", (int)(strlen(r->folder) - strlen("/round-0")),
             r->folder);
    T_FAILS(run(&f, out, 1, true, 5), CRITIC_IO, "another process works on this run");
    ++*(int *)self;
    return CRITIC_OK;
}

static void test_one_at_a_time(void **state) {
    static const struct cr_align_stage only[] = {{"only", true, second_run}};
    struct t_dir dir;
    int n = 0;
    (void)state;
    t_dir_make(&dir, "align-twice");
    json_t *options = json_pack("{s:i,s:s}", "k", 5, "reward", "sum");
    const struct cr_align_opts o = {.out = dir.path, .options = options};
    T_OK(cr_align_run(&o, only, 1, &n, &err));
    assert_int_equal(n, 1);
    json_decref(options);
    remove_run(dir.path);
}

static void test_no_state(void **state) {
    char text[4096];
    struct t_dir dir;
    struct fake f = {.budget = -1};
    (void)state;
    t_dir_make(&dir, "align-none");
    memset(text, 'x', sizeof text);
    t_write(&dir, "state.sqlite", text, sizeof text);
    T_FAILS(run(&f, dir.path, 1, true, 5), CRITIC_BAD_FILE,
            "expected the state of a run");
    t_dir_remove(&dir);
    sqlite3 *db;
    t_dir_make(&dir, "align-other");
    assert_int_equal(sqlite3_open(t_path(&dir, "state.sqlite"), &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, "CREATE TABLE t (x)", NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(db);
    T_FAILS(run(&f, dir.path, 1, true, 5), CRITIC_BAD_FILE, "another program's database");
    t_dir_remove(&dir);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_whole_and_broken), cmocka_unit_test(test_late_option),
        cmocka_unit_test(test_one_at_a_time), cmocka_unit_test(test_no_state)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
