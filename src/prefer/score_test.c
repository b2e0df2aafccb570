/* What the ledger calls a share is what the judge says of the same two answers. */
#include "engine/engine.h"
#include "prefer/prefer.h"
#include "t.h"

static void test_shares_are_the_judges(void **state) {
    (void)state;
    static const struct cr_str answers[] = {
        {"A dog on a lawn.", 16}, {"Two cats.", 9}, {"I cannot tell.", 14}};
    critic_error err;
    struct cr_engine_opts engine_opts;
    struct cr_engine *engine;
    struct cr_judge_opts opts;
    struct cr_judge *judge;
    cr_engine_opts_default(&engine_opts);
    engine_opts.exec.n_threads = 1;
    engine_opts.kv_bytes = (size_t)256 << 20;
    T_OK(cr_engine_open(&engine, T_SOURCE("tests/tiny/ov-lmms"), &engine_opts, &err));
    cr_judge_opts_default(&opts);
    opts.template_name = "pairwise";
    opts.verdict_only = true;
    opts.both_orders = true;
    T_OK(cr_judge_new(&judge, engine, &opts, &err));
    for (size_t n = 2; n <= 3; n++) {
        struct cr_opinions o;
        struct cr_judge_usage usage = {0};
        struct cr_item item = {.id = {"i", 1},
                               .question = {"What is in the picture?", 23},
                               .answers = answers,
                               .n_answers = n};
        cr_opinions_init(&o, n);
        T_OK(cr_prefer_ask(judge, &item, &o, &usage, &err));
        assert_int_equal(usage.n_prompts, n * (n - 1));
        assert_true(usage.cached_tokens > usage.prompt_tokens / 4);
        /* Each ordered pair alone, in one order. */
        opts.both_orders = false;
        struct cr_judge *alone;
        T_OK(cr_judge_new(&alone, engine, &opts, &err));
        for (size_t i = 0; i < n; i++)
            for (size_t j = 0; j < n; j++) {
                struct cr_str pair[] = {answers[i], answers[j]};
                struct cr_verdict v;
                if (i == j)
                    continue;
                item.answers = pair;
                item.n_answers = 2;
                cr_engine_drop_cache(engine);
                T_OK(cr_judge_item(alone, &item, &v, &err));
                assert_true(v.opinion.scores[0] == o.share[i][j]);
                cr_verdict_fini(&v);
            }
        cr_judge_free(alone);
        opts.both_orders = true;
    }
    cr_judge_free(judge);
    cr_engine_free(engine);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_shares_are_the_judges)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
