/* Many prompts on their way together leave the files that each of them alone leaves, and files that
 * belong to other prompts are not gone on with. */
#include "base/checked.h"
#include "base/file.h"
#include "engine/engine.h"
#include "prefer/prefer.h"
#include "t.h"
#include "t_files.h"

static critic_error err;

#define N 9

static const char *const picture = T_SOURCE("tests/golden/images/cat-wide.jpg");

/* Prompts [first, first + n): every other one has a picture, one names a picture that is not there. */
static json_t *prompts_of(size_t first, size_t n) {
    json_t *list = json_array();
    for (size_t i = first; i < first + n; i++) {
        char id[16], text[128];
        snprintf(id, sizeof id, "p%zu", i);
        snprintf(text, sizeof text, "Question %zu: %.*s what is it?", i, (int)(7 * i),
                 "one two three four five six seven eight nine ten eleven twelve");
        json_t *images = json_array();
        if (i % 2)
            json_array_append_new(images, json_string(i == 5 ? "nowhere.png" : picture));
        json_array_append_new(
            list, json_pack("{s:s,s:o,s:s}", "id", id, "images", images, "prompt", text));
    }
    return list;
}

static struct cr_engine *open_tiny(size_t kv_bytes) {
    struct cr_engine_opts opts;
    struct cr_engine *engine;
    cr_engine_opts_default(&opts);
    opts.exec.n_threads = 1;
    opts.kv_bytes = kv_bytes;
    T_OK(cr_engine_open(&engine, T_SOURCE("tests/tiny/ov-lmms"), &opts, &err));
    return engine;
}

static struct cr_prefer_opts opts_of(void) {
    struct cr_prefer_opts opts;
    cr_prefer_opts_default(&opts);
    opts.k = 3;
    opts.temperature = 1.3;
    opts.top_p = 1;
    opts.max_new_tokens = 24;
    opts.select.keep_truncated = true;
    return opts;
}

static enum critic_status sample(struct cr_engine *e, json_t *prompts, const char *path,
                                 const struct cr_prefer_opts *opts,
                                 struct cr_prefer_counts *counts) {
    enum critic_status status =
        cr_prefer_sample(e, prompts, "", path, opts, counts, &err);
    json_decref(prompts);
    return status;
}

static enum critic_status judge(struct cr_engine *e, bool verdict_only,
                                const char *samples, const char *ledger,
                                const struct cr_prefer_opts *opts,
                                struct cr_prefer_counts *counts) {
    struct cr_judge_opts judge_opts;
    struct cr_judge *j;
    cr_judge_opts_default(&judge_opts);
    judge_opts.template_name = "pairwise";
    judge_opts.verdict_only = verdict_only;
    judge_opts.both_orders = true;
    judge_opts.max_new_tokens = 14;
    T_OK(cr_judge_new(&j, e, &judge_opts, &err));
    const struct cr_scorer scorer = cr_scorer_of_engine(j);
    enum critic_status status =
        cr_prefer_score(&scorer, samples, "", ledger, opts, counts, &err);
    cr_judge_free(j);
    return status;
}

static void append_file(struct cr_buf *out, const char *path) {
    T_OK(cr_file_read(path, out, &err));
}

static void assert_same_bytes(const struct cr_buf *a, const struct cr_buf *b) {
    assert_int_equal(a->len, b->len);
    assert_memory_equal(a->data, b->data, a->len);
}

/* samples: all prompts' samples on return; ledgers: of both ways to judge. */
static void run(struct t_dir *dir, struct cr_engine *e, size_t at_once, bool drop_cache,
                struct cr_buf *samples, struct cr_buf ledgers[2]) {
    const struct cr_prefer_opts opts = opts_of();
    struct cr_prefer_counts counts;
    cr_buf_init(samples, 1 << 20);
    cr_buf_init(&ledgers[0], 1 << 20);
    cr_buf_init(&ledgers[1], 1 << 20);
    char s[300], l[300];
    snprintf(s, sizeof s, "%s", t_path(dir, "s.jsonl"));
    snprintf(l, sizeof l, "%s", t_path(dir, "l.jsonl"));
    for (size_t first = 0; first < N; first += at_once) {
        size_t n = CR_MIN(at_once, N - first);
        T_OK(sample(e, prompts_of(first, n), s, &opts, &counts));
        assert_int_equal(counts.n_done, n);
        append_file(samples, s);
        for (int verdict_only = 0; verdict_only < 2; verdict_only++) {
            if (drop_cache)
                cr_engine_drop_cache(e);
            T_OK(judge(e, verdict_only, s, l, &opts, &counts));
            assert_int_equal(counts.n_done, n);
            append_file(&ledgers[verdict_only], l);
            unlink(l);
        }
        unlink(s);
    }
}

static void test_company_changes_nothing(void **state) {
    (void)state;
    struct t_dir dir;
    struct cr_buf alone[3], together[3];
    /* The last has room for the longest prompt and little more. */
    static const struct {
        size_t at_once, kv_bytes;
    } ways[] = {{N, (size_t)256 << 20}, {4, (size_t)256 << 20}, {N, 0}};
    t_dir_make(&dir, "company");
    struct cr_engine *e = open_tiny((size_t)256 << 20);
    size_t token = cr_engine_kv_bytes_per_token(e);
    run(&dir, e, 1, true, &alone[0], &alone[1]);
    cr_engine_free(e);
    assert_non_null(strstr(alone[0].data, "nowhere.png"));
    for (size_t w = 0; w < sizeof ways / sizeof *ways; w++) {
        e = open_tiny(ways[w].kv_bytes ? ways[w].kv_bytes : 1024 * token);
        run(&dir, e, ways[w].at_once, false, &together[0], &together[1]);
        for (size_t i = 0; i < 3; i++) {
            assert_same_bytes(&together[i], &alone[i]);
            cr_buf_fini(&together[i]);
        }
        cr_engine_free(e);
    }
    for (size_t i = 0; i < 3; i++)
        cr_buf_fini(&alone[i]);
    t_dir_remove(&dir);
}

/* A prompt for which there is no memory ends the run and is named. */
static void test_one_does_not_fit(void **state) {
    (void)state;
    struct t_dir dir;
    struct cr_prefer_counts counts;
    struct cr_prefer_opts opts = opts_of();
    t_dir_make(&dir, "company");
    struct cr_engine *e = open_tiny((size_t)256 << 20);
    size_t token = cr_engine_kv_bytes_per_token(e);
    cr_engine_free(e);
    e = open_tiny(320 * token); /* the first prompt fits, the second's picture does not */
    assert_int_equal(sample(e, prompts_of(0, 3), t_path(&dir, "s.jsonl"), &opts, &counts),
                     CRITIC_NO_MEMORY);
    if (!strstr(err.message, "prompt 'p1'"))
        fail_msg("%s", err.message);
    assert_int_equal(counts.n_done, 1);
    cr_engine_free(e);
    t_dir_remove(&dir);
}

static void assert_refused(enum critic_status status, enum critic_status want,
                           const char *why) {
    assert_int_equal(status, want);
    if (!strstr(err.message, why))
        fail_msg("'%s' has no '%s'", err.message, why);
}

static void test_other_input_is_refused(void **state) {
    (void)state;
    struct t_dir dir;
    struct cr_prefer_counts counts;
    struct cr_prefer_opts opts = opts_of();
    struct cr_buf text;
    char s[300], l[300];
    t_dir_make(&dir, "company");
    snprintf(s, sizeof s, "%s", t_path(&dir, "s.jsonl"));
    snprintf(l, sizeof l, "%s", t_path(&dir, "l.jsonl"));
    struct cr_engine *e = open_tiny((size_t)256 << 20);
    T_OK(sample(e, prompts_of(0, 3), s, &opts, &counts));
    T_OK(judge(e, true, s, l, &opts, &counts));
    opts.resume = true;
    /* More prompts are welcome, fewer or changed ones are not. */
    T_OK(sample(e, prompts_of(0, 4), s, &opts, &counts));
    assert_int_equal(counts.n_there, 3);
    assert_int_equal(counts.n_done, 1);
    assert_refused(sample(e, prompts_of(0, 2), s, &opts, &counts), CRITIC_BAD_ARGUMENT,
                   "s.jsonl:3: the prompt 'p2' is not among those of this run");
    json_t *changed = prompts_of(0, 4);
    json_object_set_new(json_array_get(changed, 1), "prompt", json_string("Other?"));
    assert_refused(sample(e, changed, s, &opts, &counts), CRITIC_BAD_ARGUMENT,
                   "s.jsonl:2: the prompt 'p1' had another text");
    changed = prompts_of(0, 4);
    json_array_clear(json_object_get(json_array_get(changed, 3), "images"));
    assert_refused(sample(e, changed, s, &opts, &counts), CRITIC_BAD_ARGUMENT,
                   "s.jsonl:4: the prompt 'p3' had another text");
    /* Other answers than those that were judged. */
    opts.force = true;
    opts.resume = false;
    opts.seed = 7;
    T_OK(sample(e, prompts_of(0, 4), s, &opts, &counts));
    opts.force = false;
    opts.resume = true;
    assert_refused(judge(e, true, s, l, &opts, &counts), CRITIC_BAD_ARGUMENT,
                   "l.jsonl:1: the prompt 'p0' had another text, other pictures or "
                   "other answers");
    /* A line that stands there twice. */
    cr_buf_init(&text, 1 << 20);
    append_file(&text, s);
    append_file(&text, s);
    t_write(&dir, "twice.jsonl", text.data, text.len);
    cr_buf_fini(&text);
    assert_refused(
        sample(e, prompts_of(0, 4), t_path(&dir, "twice.jsonl"), &opts, &counts),
        CRITIC_BAD_DATA, "twice.jsonl:5: the id 'p0' stands there twice");
    assert_refused(judge(e, true, t_path(&dir, "twice.jsonl"), l, &opts, &counts),
                   CRITIC_BAD_DATA, "twice.jsonl:5: the id 'p0' stands there twice");
    cr_engine_free(e);
    t_dir_remove(&dir);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_company_changes_nothing),
                                       cmocka_unit_test(test_one_does_not_fit),
                                       cmocka_unit_test(test_other_input_is_refused)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
