/* Drafted tokens (--lookup): never a bit of difference, and fewer steps. Tiny network of random
 * weights. */
#include "t_engine.h"

/* A prompt that says what the answer will say: drafts are right for a while and then wrong, and with
 * them or without, whatever stops it, ids, text, log-probabilities and the sequence that is left are
 * the same to the bit. */
static void check_drafts(enum cr_isa isa, double temperature, enum cr_weights weights) {
    enum { N = 24 };
    critic_error err;
    struct cr_config config;
    struct cr_engine *e;
    struct cr_engine_opts opts = t_engine_opts(isa, 2, 64);
    struct cr_prompt *p, *q;
    opts.weights = weights;
    T_OK(cr_config_preset(&config, "tiny", &err));
    if (weights != CR_WEIGHTS_FILE) { /* 4 bits want rows of whole blocks */
        config.text.width = 64;
        config.text.head_dim = 16;
        config.text.ffn_width = 96;
    }
    T_OK(cr_engine_open_random(&e, &config, CR_BF16, 42, &opts, &err));
    struct cr_generate_opts g;
    cr_generate_opts_default(&g, e);
    g.max_new_tokens = N;
    g.temperature = temperature;
    g.seed = 3;
    g.logprobs = true;
    /* What it says after a prompt, put into that prompt, changes what it says; some of it stays
     * where the network says one thing over and over, as random ones do. */
    p = t_prompt(e, 30, 8, NULL);
    struct cr_seq *s = t_prefill(e, p, NULL);
    struct cr_completion first, with, without;
    T_OK(cr_generate(s, 1, &g, &first, NULL, &err));
    cr_seq_free(s);
    T_OK(cr_prompt_new(&q, e, &err));
    T_OK(cr_prompt_tokens(q, first.ids.data, first.ids.len, &err));
    T_OK(cr_prompt_tokens(q, cr_prompt_ids(p)->data, 30, &err));
    T_OK(cr_prompt_tokens(q, first.ids.data, first.ids.len / 2, &err));
    T_OK(cr_prompt_finish(q, &err));
    s = t_prefill(e, q, NULL);
    for (size_t lookup = 2; lookup <= 7; lookup += 5)
        for (size_t most = 1; most <= N; most += 11) {
            struct cr_lanes *l;
            struct cr_talk talk = {.opts = g, .n = 1, .out = &with, .keep_seqs = true};
            talk.opts.max_new_tokens = most;
            talk.opts.lookup = lookup;
            T_OK(cr_lanes_new(&l, e, &err));
            T_OK(cr_lanes_add(l, &talk, s, &err));
            for (int i = 0; i < 3 && talk.n_running; i++)
                T_OK(cr_lanes_step(l, &err));
            cr_lanes_drop(l, &talk); /* drafts and all */
            size_t n = with.ids.len, said = CR_MIN(n, most);
            assert_int_equal(cr_seq_len(with.seq), cr_seq_len(s) + said - (n == most));
            float *left = t_logits_copy(e, with.seq);
            cr_completion_fini(&with);
            T_OK(cr_lanes_add(l, &talk, s, &err));
            while (talk.n_running)
                T_OK(cr_lanes_step(l, &err));
            talk.opts.lookup = 0;
            talk.out = &without;
            T_OK(cr_lanes_add(l, &talk, s, &err));
            for (size_t i = 0; talk.n_running; i++) {
                if (i == n && n < most) {
                    struct cr_seq *same;
                    T_OK(cr_seq_fork(&same, s, &err));
                    for (size_t k = 0; k < n; k++)
                        T_OK(cr_seq_step(&same, &without.ids.data[k], 1, &err));
                    t_assert_logits(e, same, left);
                    cr_seq_free(same);
                }
                T_OK(cr_lanes_step(l, &err));
            }
            assert_int_equal(with.ids.len, without.ids.len);
            assert_memory_equal(with.ids.data, without.ids.data,
                                with.ids.len * sizeof(int32_t));
            assert_memory_equal(with.logprobs, without.logprobs,
                                with.ids.len * sizeof(float));
            assert_int_equal(cr_seq_len(with.seq), cr_seq_len(without.seq));
            free(left);
            left = t_logits_copy(e, without.seq);
            t_assert_logits(e, with.seq, left);
            free(left);
            cr_completion_fini(&with);
            cr_completion_fini(&without);
            cr_lanes_free(l);
        }
    cr_completion_fini(&first);
    cr_seq_free(s);
    cr_prompt_free(p);
    cr_prompt_free(q);
    cr_engine_free(e);
}

static void test_drafts_change_nothing(void **state) {
    (void)state;
    T_EACH_ISA(isa) {
        for (int sampled = 0; sampled < 2; sampled++) {
            check_drafts(isa, sampled, CR_WEIGHTS_FILE);
            check_drafts(isa, sampled, CR_WEIGHTS_INT8);
            check_drafts(isa, sampled, CR_WEIGHTS_Q4);
        }
    }
}

/* A text that repeats itself is said in fewer steps than it has tokens. */
static void test_drafts_save_steps(void **state) {
    (void)state;
    critic_error err;
    struct cr_engine *e = t_engine(cr_isa_best(), 1, 64);
    struct cr_prompt *p = t_prompt(e, 30, 8, NULL);
    struct cr_seq *s = t_prefill(e, p, NULL);
    struct cr_lanes *l;
    struct cr_completion c;
    struct cr_talk talk = {.n = 1, .out = &c};
    size_t n_steps = 0;
    cr_generate_opts_default(&talk.opts, e);
    talk.opts.max_new_tokens = 200; /* greedy: a random network comes to repeat itself */
    talk.opts.lookup = 7;
    T_OK(cr_lanes_new(&l, e, &err));
    T_OK(cr_lanes_add(l, &talk, s, &err));
    for (; talk.n_running; n_steps++)
        T_OK(cr_lanes_step(l, &err));
    print_message("%zu tokens in %zu steps\n", c.ids.len, n_steps);
    assert_int_equal(c.ids.len, 200);
    assert_true(n_steps < 150);
    cr_completion_fini(&c);
    cr_lanes_free(l);
    cr_seq_free(s);
    cr_prompt_free(p);
    cr_engine_free(e);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_drafts_change_nothing),
        cmocka_unit_test(test_drafts_save_steps),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
