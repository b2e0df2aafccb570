/* Probabilities of alternatives: the product of steps. Tiny network of random weights. */
#include "t_engine.h"

/* A long answer has less probability than alternatives are followed to: what it was drawn with is
 * what another look at it gives. */
static void test_following_what_was_drawn(void **state) {
    (void)state;
    critic_error err;
    struct cr_engine *e = t_engine(cr_isa_best(), 2, 64);
    struct cr_prompt *p = t_prompt(e, 30, 8, NULL);
    struct cr_seq *s = t_prefill(e, p, NULL);
    struct cr_generate_opts g;
    struct cr_completion drawn;
    struct cr_usage usage = {0};
    double sum = 0, followed;
    cr_generate_opts_default(&g, e);
    g.max_new_tokens = 12;
    g.temperature = 1;
    g.logprobs = true;
    T_OK(cr_generate(s, 1, &g, &drawn, &usage, &err));
    for (size_t i = 0; i < drawn.ids.len; i++)
        sum += (double)drawn.logprobs[i];
    assert_true(sum < -20);
    T_OK(cr_seq_follow(s, drawn.ids.data, drawn.ids.len, &followed, &err));
    T_NEAR(followed, sum, 1e-4, 1e-6);
    cr_completion_fini(&drawn);
    cr_seq_free(s);
    cr_prompt_free(p);
    cr_engine_free(e);
}

/* The trie gives what feeding each alternative by itself gives. */
static void test_score_is_the_product_of_steps(void **state) {
    (void)state;
    critic_error err;
    static const int32_t a[] = {5}, b[] = {5, 9}, c[] = {5, 9, 3}, d[] = {100, 200},
                         f[] = {5, 8};
    struct cr_engine *e = t_engine(cr_isa_best(), 2, 64);
    struct cr_prompt *p = t_prompt(e, 30, 8, NULL);
    struct cr_seq *s = t_prefill(e, p, NULL);
    float *before = t_logits_copy(e, s);
    struct cr_alternative alternatives[] = {{d, 2, 0}, {b, 2, 0}, {a, 1, 0},   {c, 3, 0},
                                            {f, 2, 0}, {b, 2, 0}, {NULL, 0, 1}};
    T_OK(cr_seq_score(s, alternatives, CR_COUNT(alternatives), &err));
    size_t vocab = cr_engine_config(e)->text.vocab;
    for (size_t i = 0; i < CR_COUNT(alternatives); i++) {
        struct cr_seq *t;
        double expected = 0;
        T_OK(cr_seq_fork(&t, s, &err));
        for (size_t j = 0; j < alternatives[i].n; j++) {
            const float *logits = cr_seq_logits(t);
            double sum = 0, top = (double)logits[0];
            for (size_t v = 1; v < vocab; v++)
                top = fmax(top, (double)logits[v]);
            for (size_t v = 0; v < vocab; v++)
                sum += exp((double)logits[v] - top);
            expected += (double)logits[alternatives[i].ids[j]] - top - log(sum);
            T_OK(cr_seq_step(&t, &alternatives[i].ids[j], 1, &err));
        }
        T_NEAR(alternatives[i].logprob, expected, 1e-9, 1e-9);
        cr_seq_free(t);
        double followed;
        T_OK(cr_seq_fork(&t, s, &err));
        T_OK(cr_seq_follow(t, alternatives[i].ids, alternatives[i].n, &followed, &err));
        T_NEAR(followed, expected, 1e-9, 1e-9);
        cr_seq_free(t);
    }
    t_assert_logits(e, s, before);
    free(before);
    cr_seq_free(s);
    cr_prompt_free(p);
    cr_engine_free(e);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_score_is_the_product_of_steps),
        cmocka_unit_test(test_following_what_was_drawn),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
