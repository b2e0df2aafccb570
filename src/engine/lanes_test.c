/* Talks side by side (engine.h, cr_lanes): company never changes a bit of what one says. Tiny network of
 * random weights. */
#include "t_engine.h"

/* Talks that come and go at random, on one engine after what others left in it: each says to the
 * bit what it says alone on a fresh engine with another number of threads. */
static void test_lanes_do_not_depend_on_schedule(void **state) {
    (void)state;
    enum { N_TALKS = 9 };
    critic_error err;
    struct cr_image image = t_noise_image(70, 50, 2);
    T_EACH_ISA(isa)
    for (enum cr_kv_type kv = CR_KV_AUTO; kv <= CR_KV_INT8; kv += CR_KV_INT8) {
        struct cr_completion got[N_TALKS][2];
        struct cr_talk talks[N_TALKS] = {0};
        struct cr_rng schedule;
        struct cr_lanes *l;
        size_t n_begun = 0;
        struct cr_engine *e = t_engine_kv(isa, 2, 32, kv);
        cr_rng_seed(&schedule, t_seed(11) + (uint64_t)isa);
        T_OK(cr_lanes_new(&l, e, &err));
        while (n_begun < N_TALKS || cr_lanes_running(l) > 0) {
            bool begins = n_begun < N_TALKS && cr_rng_below(&schedule, 4) == 0;
            if (begins && cr_lanes_have_room(l, 80, 2, 12)) {
                struct cr_talk *t = &talks[n_begun];
                struct cr_prompt *p =
                    t_prompt(e, 20 + 7 * (n_begun / 2), n_begun / 2, &image);
                struct cr_seq *s = t_prefill(e, p, NULL);
                cr_generate_opts_default(&t->opts, e);
                t->opts.max_new_tokens = 5 + n_begun;
                t->opts.temperature = n_begun % 3 ? 1 : 0;
                t->opts.seed = n_begun;
                t->opts.lookup = n_begun % 5;
                t->opts.logprobs = true;
                t->n = 1 + n_begun % 2;
                t->out = got[n_begun++];
                T_OK(cr_lanes_add(l, t, s, &err));
                cr_seq_free(s);
                cr_prompt_free(p);
            }
            T_OK(cr_lanes_step(l, &err));
        }
        cr_lanes_free(l);
        for (size_t i = 0; i < N_TALKS; i++) {
            struct cr_engine *alone = t_engine_kv(isa, 1, 4096, kv);
            struct cr_prompt *p = t_prompt(alone, 20 + 7 * (i / 2), i / 2, &image);
            struct cr_seq *s = t_prefill(alone, p, NULL);
            struct cr_completion own[2];
            talks[i].opts.lookup = 0;
            T_OK(cr_generate(s, talks[i].n, &talks[i].opts, own, NULL, &err));
            for (size_t k = 0; k < talks[i].n; k++) {
                size_t n = own[k].ids.len;
                assert_int_equal(got[i][k].ids.len, n);
                assert_memory_equal(got[i][k].ids.data, own[k].ids.data,
                                    n * sizeof(int32_t));
                assert_memory_equal(got[i][k].logprobs, own[k].logprobs,
                                    n * sizeof(float));
                cr_completion_fini(&own[k]);
                cr_completion_fini(&got[i][k]);
            }
            cr_seq_free(s);
            cr_prompt_free(p);
            cr_engine_free(alone);
        }
        cr_engine_free(e);
    }
    cr_image_free(&image);
}

/* A talk that is taken off keeps what it has said, and the others go on. */
static void test_lanes_drop(void **state) {
    (void)state;
    critic_error err;
    struct cr_lanes *l;
    struct cr_engine *e = t_engine(cr_isa_best(), 1, 64);
    struct cr_prompt *p = t_prompt(e, 30, 8, NULL);
    struct cr_seq *s = t_prefill(e, p, NULL);
    struct cr_completion a[2], b;
    struct cr_talk first = {.n = 2, .out = a}, second = {.n = 1, .out = &b};
    cr_generate_opts_default(&first.opts, e);
    first.opts.max_new_tokens = 10;
    second.opts = first.opts;
    second.keep_seqs = true;
    T_OK(cr_lanes_new(&l, e, &err));
    T_OK(cr_lanes_add(l, &first, s, &err));
    T_OK(cr_lanes_step(l, &err));
    T_OK(cr_lanes_add(l, &second, s, &err));
    T_OK(cr_lanes_step(l, &err));
    cr_lanes_drop(l, &first);
    assert_int_equal(first.n_running, 0);
    assert_int_equal(cr_lanes_running(l), 1);
    while (cr_lanes_running(l) > 0)
        T_OK(cr_lanes_step(l, &err));
    assert_int_equal(a[0].ids.len, 2);
    assert_int_equal(b.ids.len, 10);
    assert_int_equal(cr_seq_len(b.seq), 30 + 9);
    cr_completion_fini(&a[0]);
    cr_completion_fini(&a[1]);
    cr_completion_fini(&b);
    cr_lanes_free(l);
    /* The pages of a limited pool are counted: 16 MiB hold so many tokens and no more. */
    size_t most = ((size_t)16 << 20) / cr_engine_kv_bytes_per_token(e);
    T_OK(cr_lanes_new(&l, e, &err));
    assert_true(cr_lanes_have_room(l, 30, 1000, most)); /* nothing runs */
    T_OK(cr_lanes_add(l, &second, s, &err));
    assert_true(cr_lanes_have_room(l, 30, 1, 10));
    assert_false(cr_lanes_have_room(l, most, 1, 10));
    cr_lanes_free(l);
    cr_completion_fini(&b);
    cr_seq_free(s);
    cr_prompt_free(p);
    cr_engine_free(e);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lanes_do_not_depend_on_schedule),
        cmocka_unit_test(test_lanes_drop),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
