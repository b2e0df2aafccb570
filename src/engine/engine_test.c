/* Properties of the engine on a tiny network of random weights: what must hold whatever the
 * numbers are. Equality is to the bit: a cache, a fork or chunks never change a result. */
#include "t_engine.h"

#include "engine/internal.h"

/* Chunks of any length, one thread or two, a page boundary or not: the same bits. */
static void test_prefill_does_not_depend_on_chunks_or_threads(void **state) {
    (void)state;
    struct cr_image image = t_noise_image(90, 60, 5);
    T_EACH_ISA(isa)
    for (enum cr_kv_type kv = CR_KV_AUTO; kv <= CR_KV_INT8; kv++) {
        struct cr_engine *whole = t_engine_kv(isa, 2, 4096, kv);
        struct cr_prompt *p = t_prompt(whole, 150, 9, &image);
        struct cr_seq *s = t_prefill(whole, p, NULL);
        float *expected = t_logits_copy(whole, s);
        static const size_t chunks[] = {1, 7, 64, 100};
        for (size_t i = 0; i < CR_COUNT(chunks); i++) {
            struct cr_engine *e = t_engine_kv(isa, 1 + (int)i % 2, chunks[i], kv);
            struct cr_prompt *q = t_prompt(e, 150, 9, &image);
            struct cr_seq *t = t_prefill(e, q, NULL);
            assert_int_equal(cr_seq_len(t), cr_seq_len(s));
            t_assert_logits(e, t, expected);
            cr_seq_free(t);
            cr_prompt_free(q);
            cr_engine_free(e);
        }
        free(expected);
        cr_seq_free(s);
        cr_prompt_free(p);
        cr_engine_free(whole);
    }
    cr_image_free(&image);
}

/* What keys and values are kept in moves logits a little, and what is the default not at all. */
static void test_kv_types(void **state) {
    (void)state;
    T_EACH_ISA(isa) {
        struct cr_engine *usual = t_engine(isa, 1, 64);
        struct cr_prompt *p = t_prompt(usual, 150, 9, NULL);
        struct cr_seq *s = t_prefill(usual, p, NULL);
        float *expected = t_logits_copy(usual, s);
        bool f32 = cr_engine_exec(usual)->compute == CR_COMPUTE_F32;
        for (enum cr_kv_type kv = CR_KV_F32; kv <= CR_KV_INT8; kv++) {
            struct cr_engine *e = t_engine_kv(isa, 1, 64, kv);
            struct cr_prompt *q = t_prompt(e, 150, 9, NULL);
            struct cr_seq *t = t_prefill(e, q, NULL);
            const float *got = cr_seq_logits(t);
            float largest = 0, worst = 0;
            for (size_t i = 0; i < cr_engine_config(e)->text.vocab; i++) {
                largest = fmaxf(largest, fabsf(expected[i]));
                worst = fmaxf(worst, fabsf(expected[i] - got[i]));
            }
            if (kv == (f32 ? CR_KV_F32 : CR_KV_BF16))
                t_assert_logits(e, t, expected);
            else
                assert_true(worst > 0 && worst < 0.1f * largest);
            cr_seq_free(t);
            cr_prompt_free(q);
            cr_engine_free(e);
        }
        free(expected);
        cr_seq_free(s);
        cr_prompt_free(p);
        cr_engine_free(usual);
    }
}

/* A decode step is another kernel than prefill, so this one is close, not equal. */
static void test_prefill_is_token_by_token(void **state) {
    (void)state;
    critic_error err;
    T_EACH_ISA(isa) {
        struct cr_engine *e = t_engine(isa, 2, 64);
        struct cr_prompt *p = t_prompt(e, 100, 3, NULL);
        struct cr_prompt *head = t_prompt(e, 3, 3, NULL);
        struct cr_seq *s = t_prefill(e, p, NULL);
        float *expected = t_logits_copy(e, s);
        struct cr_seq *t = t_prefill(e, head, NULL);
        const struct cr_ids *ids = cr_prompt_ids(p);
        for (size_t i = 3; i < ids->len; i++)
            T_OK(cr_seq_step(&t, ids->data + i, 1, &err));
        const float *got = cr_seq_logits(t);
        bool f32 = cr_engine_exec(e)->compute == CR_COMPUTE_F32;
        float largest = 0, worst = 0;
        for (size_t i = 0; i < cr_engine_config(e)->text.vocab; i++) {
            largest = fmaxf(largest, fabsf(expected[i]));
            worst = fmaxf(worst, fabsf(expected[i] - got[i]));
        }
        T_NEAR(worst, 0, (f32 ? 1e-5 : 4e-2) * (double)largest, 0);
        free(expected);
        cr_seq_free(s);
        cr_seq_free(t);
        cr_prompt_free(p);
        cr_prompt_free(head);
        cr_engine_free(e);
    }
}

static void test_shared_prefix_changes_nothing(void **state) {
    (void)state;
    struct cr_image image = t_noise_image(40, 70, 6);
    struct cr_image other = t_noise_image(40, 70, 7);
    struct cr_engine *e = t_engine(cr_isa_best(), 2, 50);
    struct cr_prompt *a = t_prompt(e, 80, 1, &image);
    struct cr_seq *s = t_prefill(e, a, NULL);
    cr_seq_free(s);
    /* The same picture and half of the text, then other text. */
    critic_error err;
    struct cr_prompt *b;
    T_OK(cr_prompt_new(&b, e, &err));
    const struct cr_ids *ids = cr_prompt_ids(a);
    T_OK(cr_prompt_tokens(b, ids->data, 3, &err));
    T_OK(cr_prompt_image(b, &image, &err));
    size_t rows = cr_prompt_plan(a, 0)->n_tokens;
    T_OK(cr_prompt_tokens(b, ids->data + 3 + rows, 40, &err));
    T_OK(cr_prompt_tokens(b, (const int32_t[]){5, 6, 7}, 3, &err));
    T_OK(cr_prompt_finish(b, &err));
    struct cr_usage usage = {0};
    s = t_prefill(e, b, &usage);
    assert_int_equal(usage.cached_tokens, 3 + rows + 40);
    assert_int_equal(usage.cached_tiles, usage.image_tiles);
    float *shared = t_logits_copy(e, s);
    cr_seq_free(s);
    cr_engine_drop_cache(e);
    s = t_prefill(e, b, NULL);
    t_assert_logits(e, s, shared);
    cr_seq_free(s);
    /* Another picture of the same size shares only what stands before it. */
    struct cr_prompt *c = t_prompt(e, 80, 1, &other);
    usage = (struct cr_usage){0};
    s = t_prefill(e, c, &usage);
    assert_int_equal(usage.cached_tokens, 3);
    assert_int_equal(usage.cached_tiles, 0);
    cr_seq_free(s);
    free(shared);
    cr_prompt_free(a);
    cr_prompt_free(b);
    cr_prompt_free(c);
    cr_engine_free(e);
    cr_image_free(&image);
    cr_image_free(&other);
}

/* Several prompts are remembered: one that shares most with an earlier one than the last continues
 * from there, whatever came between, and the latest that fit the memory stay. */
static void test_prompts_are_a_tree(void **state) {
    (void)state;
    critic_error err;
    struct cr_engine *e = t_engine(cr_isa_best(), 1, 64), *limited;
    struct cr_prompt *a = t_prompt(e, 200, 1, NULL), *other = t_prompt(e, 150, 2, NULL);
    cr_seq_free(t_prefill(e, a, NULL));
    cr_seq_free(t_prefill(e, other, NULL));
    struct cr_prompt *b;
    T_OK(cr_prompt_new(&b, e, &err));
    T_OK(cr_prompt_tokens(b, cr_prompt_ids(a)->data, 130, &err));
    T_OK(cr_prompt_tokens(b, (const int32_t[]){5, 6, 7}, 3, &err));
    T_OK(cr_prompt_finish(b, &err));
    struct cr_usage usage = {0};
    struct cr_seq *s = t_prefill(e, b, &usage);
    assert_int_equal(usage.cached_tokens, 130);
    float *shared = t_logits_copy(e, s);
    cr_seq_free(s);
    usage = (struct cr_usage){0};
    cr_seq_free(t_prefill(e, other, &usage)); /* not forgotten for b */
    assert_int_equal(usage.cached_tokens, 149);
    cr_engine_drop_cache(e);
    s = t_prefill(e, b, NULL);
    t_assert_logits(e, s, shared);
    cr_seq_free(s);
    free(shared);
    cr_prompt_free(a);
    cr_prompt_free(b);
    cr_prompt_free(other);
    /* Memory for the pages of one prompt: the latest stays, no other. */
    struct cr_config config;
    struct cr_engine_opts opts = t_engine_opts(cr_isa_best(), 1, 64);
    opts.cache_bytes = 4 * 64 * cr_engine_kv_bytes_per_token(e);
    cr_engine_free(e);
    T_OK(cr_config_preset(&config, "tiny", &err));
    T_OK(cr_engine_open_random(&limited, &config, CR_BF16, 42, &opts, &err));
    a = t_prompt(limited, 200, 1, NULL);
    other = t_prompt(limited, 150, 2, NULL);
    cr_seq_free(t_prefill(limited, a, NULL));
    cr_seq_free(t_prefill(limited, other, NULL));
    usage = (struct cr_usage){0};
    cr_seq_free(t_prefill(limited, other, &usage));
    assert_int_equal(usage.cached_tokens, 149);
    cr_seq_free(t_prefill(limited, a, &usage));
    assert_int_equal(usage.cached_tokens, 149);
    cr_prompt_free(a);
    cr_prompt_free(other);
    cr_engine_free(limited);
}

static void test_fork_and_rewind(void **state) {
    (void)state;
    critic_error err;
    static const int32_t left[] = {11, 12, 13}, right[] = {21, 22};
    struct cr_engine *e = t_engine(cr_isa_best(), 2, 64);
    struct cr_prompt *p = t_prompt(e, 70, 2, NULL);
    struct cr_seq *s = t_prefill(e, p, NULL), *t;
    float *at_prompt = t_logits_copy(e, s);
    T_OK(cr_seq_fork(&t, s, &err));
    T_OK(cr_seq_feed(s, left, 3, &err));
    float *at_left = t_logits_copy(e, s);
    T_OK(cr_seq_feed(t, right, 2, &err));
    float *at_right = t_logits_copy(e, t);
    cr_seq_free(t);
    /* A fresh sequence agrees with the fork, a rewound one too. */
    cr_engine_drop_cache(e);
    t = t_prefill(e, p, NULL);
    t_assert_logits(e, t, at_prompt);
    T_OK(cr_seq_feed(t, right, 2, &err));
    t_assert_logits(e, t, at_right);
    cr_seq_rewind(t, 70);
    T_OK(cr_seq_feed(t, left, 3, &err));
    t_assert_logits(e, t, at_left);
    cr_seq_rewind(s, 70);
    T_OK(cr_seq_feed(s, right, 2, &err));
    t_assert_logits(e, s, at_right);
    free(at_prompt);
    free(at_left);
    free(at_right);
    cr_seq_free(s);
    cr_seq_free(t);
    cr_prompt_free(p);
    cr_engine_free(e);
}

static bool cancel_after(void *user) {
    int *left = user;
    return (*left)-- <= 0;
}

static void test_cancelled_engine_goes_on(void **state) {
    (void)state;
    critic_error err;
    struct cr_image image = t_noise_image(40, 70, 6);
    struct cr_engine *e = t_engine(cr_isa_best(), 2, 16);
    struct cr_prompt *p = t_prompt(e, 100, 2, &image);
    struct cr_seq *s = t_prefill(e, p, NULL);
    float *expected = t_logits_copy(e, s);
    struct cr_generate_opts opts;
    cr_generate_opts_default(&opts, e);
    opts.max_new_tokens = 50;
    for (int after = 0; after < 8; after++) {
        struct cr_completion c;
        struct cr_seq *t;
        int left = after;
        cr_engine_drop_cache(e);
        cr_engine_set_cancel(e, cancel_after, &left);
        T_FAILS(cr_engine_prefill(e, p, &t, NULL, &err), CRITIC_CANCELLED, "cancelled");
        assert_null(t);
        left = after;
        T_FAILS(cr_generate(s, 1, &opts, &c, NULL, &err), CRITIC_CANCELLED, "cancelled");
        assert_int_equal(c.finish, CR_FINISH_CANCELLED);
        assert_int_equal(c.ids.len, (size_t)after);
        cr_completion_fini(&c);
        cr_engine_set_cancel(e, NULL, NULL);
        t = t_prefill(e, p, NULL);
        t_assert_logits(e, t, expected);
        cr_seq_free(t);
    }
    free(expected);
    cr_seq_free(s);
    cr_prompt_free(p);
    cr_engine_free(e);
    cr_image_free(&image);
}

static void test_limits(void **state) {
    (void)state;
    critic_error err;
    struct cr_config config;
    struct cr_engine *e;
    struct cr_engine_opts opts = t_engine_opts(CR_ISA_SCALAR, 1, 64);
    T_OK(cr_config_preset(&config, "tiny", &err));
    opts.context = 100;
    size_t page = 2 * config.text.n_layers * 2 * 14 * 64 * sizeof(float);
    opts.kv_bytes = 3 * page;
    T_OK(cr_engine_open_random(&e, &config, CR_F32, 1, &opts, &err));
    T_OK(cr_engine_reserve(e, 3 * 64, &err));
    T_FAILS(cr_engine_reserve(e, 3 * 64 + 1, &err), CRITIC_NO_MEMORY, "the limit is");
    struct cr_prompt *p;
    int32_t ids[101] = {0};
    T_OK(cr_prompt_new(&p, e, &err));
    T_FAILS(cr_prompt_finish(p, &err), CRITIC_BAD_DATA, "empty");
    T_OK(cr_prompt_tokens(p, ids, 101, &err));
    T_FAILS(cr_prompt_finish(p, &err), CRITIC_CONTEXT_FULL, "101 tokens");
    T_FAILS(cr_prompt_tokens(p, (int32_t[]){-1}, 1, &err), CRITIC_BAD_DATA,
            "expected 0 to 639");
    cr_prompt_free(p);
    p = t_prompt(e, 90, 4, NULL);
    struct cr_seq *s = t_prefill(e, p, NULL), *t, *u;
    /* Three pages: the prompt holds two, a fork that writes takes the third, another none. */
    T_OK(cr_seq_fork(&t, s, &err));
    T_OK(cr_seq_feed(t, ids, 5, &err));
    T_OK(cr_seq_fork(&u, s, &err));
    T_FAILS(cr_seq_feed(u, ids, 1, &err), CRITIC_NO_MEMORY, "limit of 192 tokens");
    cr_seq_free(t);
    T_OK(cr_seq_feed(u, ids, 10, &err));
    T_FAILS(cr_seq_feed(u, ids, 1, &err), CRITIC_CONTEXT_FULL, "context of 100");
    T_FAILS(cr_seq_feed(u, (int32_t[]){640}, 1, &err), CRITIC_BAD_DATA, "vocabulary");
    cr_seq_free(s);
    cr_seq_free(u);
    cr_prompt_free(p);
    cr_engine_free(e);
}

/* Passes of one prompt: none longer than it may be, as few as that allows, no short one at the end. */
static void test_passes_are_even(void **state) {
    (void)state;
    static const size_t lens[] = {1, 95, 1024, 1025, 3369, 4096},
                        most[] = {7, 1024, 2048};
    for (size_t i = 0; i < CR_COUNT(lens) * CR_COUNT(most); i++) {
        struct cr_engine e = {.opts = {.prefill_chunk = most[i % CR_COUNT(most)]}};
        size_t n = lens[i / CR_COUNT(most)], left = n, n_passes = 0, longest = 0,
               rows = 0;
        for (; left > 0; left -= rows, n_passes++) {
            rows = cr_engine_pass_rows(&e, left);
            assert_in_range(rows, 1, CR_MIN(left, e.opts.prefill_chunk));
            longest = CR_MAX(longest, rows);
        }
        assert_int_equal(n_passes, CR_CEIL_DIV(n, e.opts.prefill_chunk));
        if (e.opts.prefill_chunk >= 1024)
            assert_true(longest - rows < 96 * n_passes);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_prefill_does_not_depend_on_chunks_or_threads),
        cmocka_unit_test(test_kv_types),
        cmocka_unit_test(test_prefill_is_token_by_token),
        cmocka_unit_test(test_shared_prefix_changes_nothing),
        cmocka_unit_test(test_prompts_are_a_tree),
        cmocka_unit_test(test_fork_and_rewind),
        cmocka_unit_test(test_cancelled_engine_goes_on),
        cmocka_unit_test(test_limits),
        cmocka_unit_test(test_passes_are_even),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
