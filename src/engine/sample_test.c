/* Drawing: the distribution, and samples that do not depend on company. */
#include "engine/sample.h"

#include "t_engine.h"

/* Sample i is the same alone and in company, and sampling leaves the sequence as it was. */
static void test_samples_do_not_depend_on_company(void **state) {
    (void)state;
    critic_error err;
    struct cr_engine *e = t_engine(cr_isa_best(), 2, 64);
    struct cr_prompt *p = t_prompt(e, 30, 8, NULL);
    struct cr_seq *s = t_prefill(e, p, NULL);
    float *before = t_logits_copy(e, s);
    struct cr_generate_opts opts;
    cr_generate_opts_default(&opts, e);
    opts.max_new_tokens = 20;
    opts.temperature = 1.0;
    opts.top_p = 0.95;
    opts.seed = 77;
    opts.logprobs = true;
    struct cr_completion many[5], few[2], again[5];
    T_OK(cr_generate(s, 5, &opts, many, NULL, &err));
    T_OK(cr_generate(s, 2, &opts, few, NULL, &err));
    T_OK(cr_generate(s, 5, &opts, again, NULL, &err));
    assert_true(memcmp(many[0].ids.data, many[1].ids.data, 20 * sizeof(int32_t)) != 0);
    for (size_t i = 0; i < 5; i++) {
        assert_int_equal(many[i].ids.len, again[i].ids.len);
        assert_memory_equal(many[i].ids.data, again[i].ids.data,
                            many[i].ids.len * sizeof(int32_t));
        assert_memory_equal(many[i].logprobs, again[i].logprobs,
                            many[i].ids.len * sizeof(float));
    }
    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(many[i].ids.len, few[i].ids.len);
        assert_memory_equal(many[i].ids.data, few[i].ids.data,
                            many[i].ids.len * sizeof(int32_t));
        cr_completion_fini(&few[i]);
    }
    for (size_t i = 0; i < 5; i++) {
        cr_completion_fini(&many[i]);
        cr_completion_fini(&again[i]);
    }
    t_assert_logits(e, s, before);
    free(before);
    cr_seq_free(s);
    cr_prompt_free(p);
    cr_engine_free(e);
}

static void test_sampler(void **state) {
    (void)state;
    critic_error err;
    static const float logits[] = {1.0f, 3.0f, 3.0f, -2.0f, 2.0f};
    struct cr_generate_opts opts = {.top_p = 1, .repetition_penalty = 1};
    struct cr_sampler s;
    struct cr_rng rng;
    struct cr_ids seen;
    cr_ids_init(&seen);
    cr_rng_seed(&rng, 1);
    T_OK(cr_sampler_init(&s, &opts, 5, &err));
    assert_int_equal(cr_sampler_draw(&s, logits, &seen, &rng), 1);
    opts.repetition_penalty = 2;
    T_OK(cr_ids_push(&seen, 1, &err));
    T_OK(cr_ids_push(&seen, 1, &err));
    assert_int_equal(cr_sampler_draw(&s, logits, &seen, &rng), 2);
    opts.repetition_penalty = 1;
    opts.temperature = 1;
    size_t counts[5] = {0};
    for (int i = 0; i < 20000; i++)
        counts[cr_sampler_draw(&s, logits, &seen, &rng)]++;
    double total = 0;
    for (int i = 0; i < 5; i++)
        total += exp((double)logits[i]);
    for (int i = 0; i < 5; i++)
        T_NEAR((double)counts[i] / 20000, exp((double)logits[i]) / total, 0.012, 0);
    opts.top_k = 2;
    for (int i = 0; i < 200; i++) {
        int32_t id = cr_sampler_draw(&s, logits, &seen, &rng);
        assert_true(id == 1 || id == 2);
    }
    opts.top_k = 0;
    opts.top_p = 0.3; /* ids 1 and 2 hold 0.39 each: the first alone reaches it */
    for (int i = 0; i < 200; i++)
        assert_int_equal(cr_sampler_draw(&s, logits, &seen, &rng), 1);
    cr_sampler_fini(&s);
    cr_ids_fini(&seen);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_samples_do_not_depend_on_company),
        cmocka_unit_test(test_sampler),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
