/* Batches on a tiny checkpoint: order, resuming after every kind of end, and faults. */
#include "judge/batch.h"
#include "judge/many.h"

#include "engine/engine.h"
#include "io/json.h"
#include "t.h"
#include "t_files.h"

static struct cr_engine *engine;
static struct t_dir dir;

static int open_all(void **state) {
    (void)state;
    critic_error err;
    struct cr_engine_opts opts;
    cr_engine_opts_default(&opts);
    opts.exec.n_threads = 1;
    opts.kv_bytes = (size_t)256 << 20;
    T_OK(cr_engine_open(&engine, T_SOURCE("tests/tiny/ov-lmms"), &opts, &err));
    return 0;
}

static int close_all(void **state) {
    (void)state;
    cr_engine_free(engine);
    return 0;
}

static int make_dir(void **state) {
    (void)state;
    t_dir_make(&dir, "batch");
    return 0;
}

static int remove_dir(void **state) {
    (void)state;
    t_dir_remove(&dir);
    return 0;
}

static const char item_lines[] =
    "{\"id\":\"a\",\"question\":\"q\",\"responses\":[\"one\"]}\n"
    "\n"
    "{\"id\":2,\"question\":\"q\",\"responses\":[\"one\",\"two\"]}\n"
    "{\"question\":\"q\",\"responses\":[\"x\"]}\n"
    "{\"id\":\"d\",\"question\":\"q\",\"responses\":[\"x\"],\"images\":[\"none.png\"]}\n"
    "{\"id\":\"e\",\"question\"\n"
    "{\"id\":\"a\",\"question\":\"again\",\"responses\":[\"one\"]}\n";

static struct cr_judge *new_judge(uint64_t seed) {
    critic_error err;
    struct cr_judge *j;
    struct cr_judge_opts opts;
    cr_judge_opts_default(&opts);
    opts.verdict_only = true;
    opts.seed = seed;
    T_OK(cr_judge_new(&j, engine, &opts, &err));
    return j;
}

/* Paths live as long as the process: t_path has one buffer only. */
static const char *in_path(void) {
    static char path[256];
    snprintf(path, sizeof path, "%s/in.jsonl", dir.path);
    return path;
}

static const char *out_path(void) {
    static char path[256];
    snprintf(path, sizeof path, "%s/out.jsonl", dir.path);
    return path;
}

static char *read_out(void) {
    critic_error err;
    struct cr_buf b;
    cr_buf_init(&b, 1 << 24);
    T_OK(cr_file_read(out_path(), &b, &err));
    return b.data ? b.data : calloc(1, 1);
}

/* id/status of each line, "a:ok 2:ok …", and the seconds, which vary, cut out. */
static void summary(char *out, size_t size) {
    char *text = read_out();
    out[0] = '\0';
    for (char *line = text; *line;) {
        char *end = strchr(line, '\n');
        assert_non_null(end);
        json_t *row = json_loadb(line, (size_t)(end - line), 0, NULL);
        assert_non_null(row);
        json_t *id = json_object_get(row, "id");
        char name[64];
        if (json_is_integer(id))
            snprintf(name, sizeof name, "%d", (int)json_integer_value(id));
        else
            snprintf(name, sizeof name, "%s", json_string_value(id));
        size_t at = strlen(out);
        snprintf(out + at, size - at, "%s%s:%s", at ? " " : "", name,
                 json_string_value(json_object_get(row, "status")));
        json_decref(row);
        line = end + 1;
    }
    free(text);
}

static void expect(const char *expected) {
    char got[512];
    summary(got, sizeof got);
    assert_string_equal(got, expected);
}

static struct cr_batch_opts batch_opts(bool resume) {
    return (struct cr_batch_opts){
        .input = in_path(), .output = out_path(), .resume = resume};
}

static struct cr_batch_counts run_ok(bool resume) {
    critic_error err;
    struct cr_judge *j = new_judge(1);
    struct cr_batch_opts opts = batch_opts(resume);
    struct cr_batch_counts counts;
    T_OK(cr_judge_batch(j, &opts, &counts, &err));
    cr_judge_free(j);
    return counts;
}

#define ALL "a:ok 2:ok 4:ok d:error 6:error a:ok"

static void test_one_line_an_item(void **state) {
    (void)state;
    t_write_text(&dir, "in.jsonl", item_lines);
    struct cr_batch_counts c = run_ok(false);
    expect(ALL);
    assert_int_equal(c.n_items, 6);
    assert_int_equal(c.n_ok, 4);
    assert_int_equal(c.n_error, 2);
    assert_int_equal(c.n_skipped, 0);
    char *text = read_out();
    assert_non_null(strstr(text, "in.jsonl:5: "));
    assert_non_null(strstr(text, "in.jsonl:6:"));
    assert_non_null(strstr(text, "none.png"));
    free(text);
}

static void test_resume_skips_and_retries(void **state) {
    (void)state;
    t_write_text(&dir, "in.jsonl", item_lines);
    run_ok(false);
    struct cr_batch_counts c = run_ok(true);
    assert_int_equal(c.n_skipped, 4);
    assert_int_equal(c.n_error, 2); /* tried again */
    expect(ALL);
    critic_error err;
    struct cr_buf picture;
    cr_buf_init(&picture, 1 << 24);
    T_OK(cr_file_read(T_SOURCE("tests/golden/images/1x1.png"), &picture, &err));
    t_write(&dir, "none.png", picture.data, picture.len);
    cr_buf_fini(&picture);
    c = run_ok(true);
    assert_int_equal(c.n_ok, 1);
    assert_int_equal(c.n_error, 1);
    expect("a:ok 2:ok 4:ok d:ok 6:error a:ok"); /* in the order of the input */
}

static void test_torn_line_is_cut_off(void **state) {
    (void)state;
    t_write_text(&dir, "in.jsonl", item_lines);
    run_ok(false);
    char *whole = read_out();
    char *second = strchr(whole, '\n') + 1;
    char *third = strchr(second, '\n') + 1;
    size_t cuts[] = {0,
                     1,
                     (size_t)(second - whole) - 1,
                     (size_t)(second - whole),
                     (size_t)(second - whole) + 1,
                     (size_t)(third - whole) + 20};
    size_t skipped[] = {0, 0, 0, 1, 1, 2};
    for (size_t i = 0; i < sizeof cuts / sizeof cuts[0]; i++) {
        t_write(&dir, "out.jsonl", whole, cuts[i]);
        struct cr_batch_counts c = run_ok(true);
        assert_int_equal(c.n_skipped, skipped[i]);
        expect(ALL);
    }
    free(whole);
}

static void test_refusals(void **state) {
    (void)state;
    critic_error err;
    struct cr_batch_counts counts;
    struct cr_judge *j = new_judge(2);
    t_write_text(&dir, "in.jsonl", item_lines);
    run_ok(false);
    struct cr_batch_opts opts = batch_opts(false);
    T_FAILS(cr_judge_batch(j, &opts, &counts, &err), CRITIC_BAD_ARGUMENT, "--resume");
    opts.resume = true;
    T_FAILS(cr_judge_batch(j, &opts, &counts, &err), CRITIC_BAD_ARGUMENT,
            "out.jsonl:1: written with seed 1, this run has 2");
    opts.force = true;
    T_FAILS(cr_judge_batch(j, &opts, &counts, &err), CRITIC_BAD_ARGUMENT, "exclude");
    opts.resume = false;
    T_OK(cr_judge_batch(j, &opts, &counts, &err));
    expect(ALL);
    cr_judge_free(j);
    struct cr_judge_opts other;
    cr_judge_opts_default(&other);
    other.seed = 2;
    other.verdict_only = true;
    other.template_name = "pointwise-reference";
    T_OK(cr_judge_new(&j, engine, &other, &err));
    opts = batch_opts(true);
    T_FAILS(cr_judge_batch(j, &opts, &counts, &err), CRITIC_BAD_ARGUMENT,
            "written with template");
    t_write_text(&dir, "out.jsonl", "{\"some\":\"thing\"}\n");
    T_FAILS(cr_judge_batch(j, &opts, &counts, &err), CRITIC_BAD_DATA, "no verdict");
    opts.input = "no-such.jsonl";
    T_FAILS(cr_judge_batch(j, &opts, &counts, &err), CRITIC_BAD_FILE, "no-such.jsonl");
    cr_judge_free(j);
}

static bool stop_after_two(void *user) {
    size_t *n = user;
    return (*n)++ == 2;
}

static void test_cancel_and_go_on(void **state) {
    (void)state;
    critic_error err;
    struct cr_batch_counts counts;
    size_t n = 0;
    struct cr_judge *j = new_judge(1);
    struct cr_batch_opts opts = batch_opts(false);
    t_write_text(&dir, "in.jsonl", item_lines);
    opts.cancel = stop_after_two;
    opts.user = &n;
    T_FAILS(cr_judge_batch(j, &opts, &counts, &err), CRITIC_CANCELLED, "after 2 items");
    expect("a:ok 2:ok");
    assert_int_equal(counts.n_ok, 2);
    cr_judge_free(j);
    run_ok(true);
    expect(ALL);
}

/* A cancel inside an item writes no line for it. */
static bool cancel_now(void *user) {
    (void)user;
    return true;
}

static void test_cancel_inside_an_item(void **state) {
    (void)state;
    critic_error err;
    struct cr_batch_counts counts;
    struct cr_judge *j = new_judge(1);
    struct cr_batch_opts opts = batch_opts(false);
    t_write_text(&dir, "in.jsonl", item_lines);
    cr_engine_drop_cache(engine);
    cr_engine_set_cancel(engine, cancel_now, NULL);
    T_FAILS(cr_judge_batch(j, &opts, &counts, &err), CRITIC_CANCELLED, "");
    cr_engine_set_cancel(engine, NULL, NULL);
    expect("");
    cr_judge_free(j);
}

static size_t n_calls;

static void on_item(void *user, const struct cr_batch_counts *counts, size_t n_total) {
    (void)user;
    assert_int_equal(n_total, 6);
    assert_int_equal(counts->n_items, ++n_calls);
}

static void test_progress(void **state) {
    (void)state;
    critic_error err;
    struct cr_batch_counts counts;
    struct cr_judge *j = new_judge(1);
    struct cr_batch_opts opts = batch_opts(false);
    t_write_text(&dir, "in.jsonl", item_lines);
    opts.on_item = on_item;
    n_calls = 0;
    T_OK(cr_judge_batch(j, &opts, &counts, &err));
    assert_int_equal(n_calls, 6);
    cr_judge_free(j);
}

/* What was judged before does not change a verdict. */
static void test_batch_equals_one_by_one(void **state) {
    (void)state;
    static const char *const lines[] = {
        "{\"id\":\"x\",\"question\":\"q\",\"responses\":[\"one\",\"two\"]}",
        "{\"id\":\"y\",\"question\":\"q\",\"responses\":[\"two\",\"three\"]}"};
    critic_error err;
    struct cr_judge *j = new_judge(1);
    double alone[2];
    double together[2];
    for (int pass = 0; pass < 2; pass++)
        for (int i = 0; i < 2; i++) {
            struct cr_item item;
            struct cr_verdict v;
            if (pass == 0)
                cr_engine_drop_cache(engine);
            T_OK(cr_item_from_json(&item, cr_str_of(lines[i]), NULL, "x:1", &err));
            T_OK(cr_judge_item(j, &item, &v, &err));
            (pass == 0 ? alone : together)[i] = v.opinion.options[0].probability;
            cr_verdict_fini(&v);
            cr_item_fini(&item);
        }
    assert_true(alone[0] == together[0] && alone[1] == together[1]);
    cr_judge_free(j);
}

/* Items of every shape, with reasons, side by side: each verdict is that of cr_judge_item on an
 * engine that remembers nothing, and they come in order. */
enum { N_MANY = 12 };

struct crowd {
    struct cr_judge_job jobs[N_MANY];
    size_t next, done;
    struct cr_buf lines;
};

static void append_line(struct cr_buf *lines, struct cr_verdict *v) {
    critic_error err;
    v->usage = (struct cr_judge_usage){.n_prompts = v->usage.n_prompts,
                                       .completion_tokens = v->usage.completion_tokens};
    T_OK(cr_verdict_to_json(v, lines, &err));
    T_OK(cr_buf_append_c(lines, "\n", &err));
}

static enum critic_status next_of_crowd(void *user, struct cr_judge_job **job,
                                        critic_error *err) {
    struct crowd *c = user;
    (void)err;
    *job = c->next < N_MANY ? &c->jobs[c->next++] : NULL;
    return CRITIC_OK;
}

static enum critic_status done_of_crowd(void *user, struct cr_judge_job *job,
                                        critic_error *err) {
    struct crowd *c = user;
    (void)err;
    assert_ptr_equal(job, &c->jobs[c->done++]);
    assert_int_equal(job->status, CRITIC_OK);
    append_line(&c->lines, &job->verdict);
    cr_verdict_fini(&job->verdict);
    return CRITIC_OK;
}

static void test_many_equals_one_by_one(void **state) {
    (void)state;
    static const struct cr_str texts[] = {{"one", 3}, {"two", 3}, {"a third answer", 14}};
    static const struct cr_str criteria[] = {{"accuracy", 8}, {"style", 5}};
    critic_error err;
    struct cr_judge *judges[2];
    struct cr_item items[N_MANY];
    char ids[N_MANY][8];
    struct cr_buf alone;
    struct crowd c = {0};
    for (size_t i = 0; i < 2; i++) {
        struct cr_judge_opts opts;
        cr_judge_opts_default(&opts);
        opts.both_orders = true;
        opts.max_new_tokens = i == 0 ? 9 : 30;
        opts.probabilities = i == 0;
        opts.n_samples = i == 0 ? 1 : 2;
        opts.temperature = i == 0 ? 0 : 1;
        T_OK(cr_judge_new(&judges[i], engine, &opts, &err));
    }
    cr_buf_init(&alone, 1 << 20);
    cr_buf_init(&c.lines, 1 << 20);
    for (size_t i = 0; i < N_MANY; i++) {
        struct cr_verdict v;
        snprintf(ids[i], sizeof ids[i], "i%zu", i);
        items[i] = (struct cr_item){.id = cr_str_of(ids[i]),
                                    .question = {"which?", 2 + i % 5},
                                    .answers = texts,
                                    .n_answers = 1 + i % 3,
                                    .criteria = criteria,
                                    .n_criteria = i % 4 == 0 ? 2 : 0};
        c.jobs[i] = (struct cr_judge_job){.judge = judges[i / 2 % 2], .item = &items[i]};
        cr_engine_drop_cache(engine);
        T_OK(cr_judge_item(judges[i / 2 % 2], &items[i], &v, &err));
        append_line(&alone, &v);
        cr_verdict_fini(&v);
    }
    T_OK(cr_judge_many(&(struct cr_judge_feed){next_of_crowd, done_of_crowd, &c}, &err));
    assert_int_equal(c.done, N_MANY);
    assert_string_equal(alone.data, c.lines.data);
    cr_buf_fini(&alone);
    cr_buf_fini(&c.lines);
    cr_judge_free(judges[0]);
    cr_judge_free(judges[1]);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, make_dir, remove_dir)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(test_one_line_an_item),
        TEST(test_resume_skips_and_retries),
        TEST(test_torn_line_is_cut_off),
        TEST(test_refusals),
        TEST(test_cancel_and_go_on),
        TEST(test_cancel_inside_an_item),
        TEST(test_progress),
        cmocka_unit_test(test_batch_equals_one_by_one),
        cmocka_unit_test(test_many_equals_one_by_one),
    };
    return cmocka_run_group_tests(tests, open_all, close_all);
}
