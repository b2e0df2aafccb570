/* Properties of the engine on a tiny network of random weights: what must hold whatever the
 * numbers are. Equality is to the bit: a cache, a fork or company never changes a result. */
#include "engine/engine.h"
#include "engine/random_model.h"
#include "engine/sample.h"

#include "base/checked.h"
#include "t.h"

static struct cr_engine_opts opts_for(enum cr_isa isa, int n_threads, size_t chunk) {
    struct cr_engine_opts opts;
    cr_engine_opts_default(&opts);
    opts.exec.isa = isa;
    opts.exec.n_threads = n_threads;
    opts.kv_bytes = (size_t)16 << 20;
    opts.prefill_chunk = chunk;
    return opts;
}

static struct cr_engine *open_tiny_kv(enum cr_isa isa, int n_threads, size_t chunk,
                                      enum cr_kv_type kv_type) {
    critic_error err;
    struct cr_engine *e;
    struct cr_config config;
    struct cr_engine_opts opts = opts_for(isa, n_threads, chunk);
    opts.kv_type = kv_type;
    T_OK(cr_config_preset(&config, "tiny", &err));
    T_OK(cr_engine_open_random(&e, &config, CR_BF16, 42, &opts, &err));
    return e;
}

static struct cr_engine *open_tiny(enum cr_isa isa, int n_threads, size_t chunk) {
    return open_tiny_kv(isa, n_threads, chunk, CR_KV_AUTO);
}

static struct cr_image noise_image(size_t w, size_t h, uint64_t seed) {
    struct cr_rng rng;
    struct cr_image image = {malloc(3 * w * h), w, h};
    cr_rng_seed(&rng, seed);
    for (size_t i = 0; i < 3 * w * h; i++)
        image.rgb[i] = (unsigned char)cr_rng_below(&rng, 256);
    return image;
}

/* `n` ids from a seed, a picture after the first three where there is one. */
static struct cr_prompt *prompt_of(struct cr_engine *e, size_t n, uint64_t seed,
                                   const struct cr_image *image) {
    critic_error err;
    struct cr_rng rng;
    struct cr_prompt *p;
    int32_t ids[512];
    cr_rng_seed(&rng, seed);
    for (size_t i = 0; i < n; i++)
        ids[i] = (int32_t)cr_rng_below(&rng, cr_engine_config(e)->text.vocab);
    T_OK(cr_prompt_new(&p, e, &err));
    T_OK(cr_prompt_tokens(p, ids, CR_MIN(n, (size_t)3), &err));
    if (image)
        T_OK(cr_prompt_image(p, image, &err));
    if (n > 3)
        T_OK(cr_prompt_tokens(p, ids + 3, n - 3, &err));
    T_OK(cr_prompt_finish(p, &err));
    return p;
}

static struct cr_seq *prefill(struct cr_engine *e, struct cr_prompt *p,
                              struct cr_usage *usage) {
    critic_error err;
    struct cr_seq *s;
    T_OK(cr_engine_prefill(e, p, &s, usage, &err));
    return s;
}

static float *logits_copy(struct cr_engine *e, struct cr_seq *s) {
    size_t bytes = cr_engine_config(e)->text.vocab * sizeof(float);
    float *copy = malloc(bytes);
    memcpy(copy, cr_seq_logits(s), bytes);
    return copy;
}

static void assert_logits(struct cr_engine *e, struct cr_seq *s, const float *expected) {
    assert_memory_equal(cr_seq_logits(s), expected,
                        cr_engine_config(e)->text.vocab * sizeof(float));
}

#define FOR_EACH_ISA(isa)                                                                \
    for (enum cr_isa isa = CR_ISA_SCALAR; isa < CR_ISA_COUNT; isa++)                     \
        if (cr_isa_available(isa))

/* Chunks of any length, one thread or two, a page boundary or not: the same bits. */
static void test_prefill_does_not_depend_on_chunks_or_threads(void **state) {
    (void)state;
    struct cr_image image = noise_image(90, 60, 5);
    FOR_EACH_ISA(isa)
    for (enum cr_kv_type kv = CR_KV_AUTO; kv <= CR_KV_INT8; kv++) {
        struct cr_engine *whole = open_tiny_kv(isa, 2, 4096, kv);
        struct cr_prompt *p = prompt_of(whole, 150, 9, &image);
        struct cr_seq *s = prefill(whole, p, NULL);
        float *expected = logits_copy(whole, s);
        static const size_t chunks[] = {1, 7, 64, 100};
        for (size_t i = 0; i < CR_COUNT(chunks); i++) {
            struct cr_engine *e = open_tiny_kv(isa, 1 + (int)i % 2, chunks[i], kv);
            struct cr_prompt *q = prompt_of(e, 150, 9, &image);
            struct cr_seq *t = prefill(e, q, NULL);
            assert_int_equal(cr_seq_len(t), cr_seq_len(s));
            assert_logits(e, t, expected);
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
    FOR_EACH_ISA(isa) {
        struct cr_engine *usual = open_tiny(isa, 1, 64);
        struct cr_prompt *p = prompt_of(usual, 150, 9, NULL);
        struct cr_seq *s = prefill(usual, p, NULL);
        float *expected = logits_copy(usual, s);
        bool f32 = cr_engine_exec(usual)->compute == CR_COMPUTE_F32;
        for (enum cr_kv_type kv = CR_KV_F32; kv <= CR_KV_INT8; kv++) {
            struct cr_engine *e = open_tiny_kv(isa, 1, 64, kv);
            struct cr_prompt *q = prompt_of(e, 150, 9, NULL);
            struct cr_seq *t = prefill(e, q, NULL);
            const float *got = cr_seq_logits(t);
            float largest = 0, worst = 0;
            for (size_t i = 0; i < cr_engine_config(e)->text.vocab; i++) {
                largest = fmaxf(largest, fabsf(expected[i]));
                worst = fmaxf(worst, fabsf(expected[i] - got[i]));
            }
            if (kv == (f32 ? CR_KV_F32 : CR_KV_BF16))
                assert_logits(e, t, expected);
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
    FOR_EACH_ISA(isa) {
        struct cr_engine *e = open_tiny(isa, 2, 64);
        struct cr_prompt *p = prompt_of(e, 100, 3, NULL);
        struct cr_prompt *head = prompt_of(e, 3, 3, NULL);
        struct cr_seq *s = prefill(e, p, NULL);
        float *expected = logits_copy(e, s);
        struct cr_seq *t = prefill(e, head, NULL);
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
    struct cr_image image = noise_image(40, 70, 6);
    struct cr_image other = noise_image(40, 70, 7);
    struct cr_engine *e = open_tiny(cr_isa_best(), 2, 50);
    struct cr_prompt *a = prompt_of(e, 80, 1, &image);
    struct cr_seq *s = prefill(e, a, NULL);
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
    s = prefill(e, b, &usage);
    assert_int_equal(usage.cached_tokens, 3 + rows + 40);
    assert_int_equal(usage.cached_tiles, usage.image_tiles);
    float *shared = logits_copy(e, s);
    cr_seq_free(s);
    cr_engine_drop_cache(e);
    s = prefill(e, b, NULL);
    assert_logits(e, s, shared);
    cr_seq_free(s);
    /* Another picture of the same size shares only what stands before it. */
    struct cr_prompt *c = prompt_of(e, 80, 1, &other);
    usage = (struct cr_usage){0};
    s = prefill(e, c, &usage);
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
    struct cr_engine *e = open_tiny(cr_isa_best(), 1, 64), *limited;
    struct cr_prompt *a = prompt_of(e, 200, 1, NULL), *other = prompt_of(e, 150, 2, NULL);
    cr_seq_free(prefill(e, a, NULL));
    cr_seq_free(prefill(e, other, NULL));
    struct cr_prompt *b;
    T_OK(cr_prompt_new(&b, e, &err));
    T_OK(cr_prompt_tokens(b, cr_prompt_ids(a)->data, 130, &err));
    T_OK(cr_prompt_tokens(b, (const int32_t[]){5, 6, 7}, 3, &err));
    T_OK(cr_prompt_finish(b, &err));
    struct cr_usage usage = {0};
    struct cr_seq *s = prefill(e, b, &usage);
    assert_int_equal(usage.cached_tokens, 130);
    float *shared = logits_copy(e, s);
    cr_seq_free(s);
    usage = (struct cr_usage){0};
    cr_seq_free(prefill(e, other, &usage)); /* not forgotten for b */
    assert_int_equal(usage.cached_tokens, 149);
    cr_engine_drop_cache(e);
    s = prefill(e, b, NULL);
    assert_logits(e, s, shared);
    cr_seq_free(s);
    free(shared);
    cr_prompt_free(a);
    cr_prompt_free(b);
    cr_prompt_free(other);
    /* Memory for the pages of one prompt: the latest stays, no other. */
    struct cr_config config;
    struct cr_engine_opts opts = opts_for(cr_isa_best(), 1, 64);
    opts.cache_bytes = 4 * 64 * cr_engine_kv_bytes_per_token(e);
    cr_engine_free(e);
    T_OK(cr_config_preset(&config, "tiny", &err));
    T_OK(cr_engine_open_random(&limited, &config, CR_BF16, 42, &opts, &err));
    a = prompt_of(limited, 200, 1, NULL);
    other = prompt_of(limited, 150, 2, NULL);
    cr_seq_free(prefill(limited, a, NULL));
    cr_seq_free(prefill(limited, other, NULL));
    usage = (struct cr_usage){0};
    cr_seq_free(prefill(limited, other, &usage));
    assert_int_equal(usage.cached_tokens, 149);
    cr_seq_free(prefill(limited, a, &usage));
    assert_int_equal(usage.cached_tokens, 149);
    cr_prompt_free(a);
    cr_prompt_free(other);
    cr_engine_free(limited);
}

static void test_fork_and_rewind(void **state) {
    (void)state;
    critic_error err;
    static const int32_t left[] = {11, 12, 13}, right[] = {21, 22};
    struct cr_engine *e = open_tiny(cr_isa_best(), 2, 64);
    struct cr_prompt *p = prompt_of(e, 70, 2, NULL);
    struct cr_seq *s = prefill(e, p, NULL), *t;
    float *at_prompt = logits_copy(e, s);
    T_OK(cr_seq_fork(&t, s, &err));
    T_OK(cr_seq_feed(s, left, 3, &err));
    float *at_left = logits_copy(e, s);
    T_OK(cr_seq_feed(t, right, 2, &err));
    float *at_right = logits_copy(e, t);
    cr_seq_free(t);
    /* A fresh sequence agrees with the fork, a rewound one too. */
    cr_engine_drop_cache(e);
    t = prefill(e, p, NULL);
    assert_logits(e, t, at_prompt);
    T_OK(cr_seq_feed(t, right, 2, &err));
    assert_logits(e, t, at_right);
    cr_seq_rewind(t, 70);
    T_OK(cr_seq_feed(t, left, 3, &err));
    assert_logits(e, t, at_left);
    cr_seq_rewind(s, 70);
    T_OK(cr_seq_feed(s, right, 2, &err));
    assert_logits(e, s, at_right);
    free(at_prompt);
    free(at_left);
    free(at_right);
    cr_seq_free(s);
    cr_seq_free(t);
    cr_prompt_free(p);
    cr_engine_free(e);
}

/* Sample i is the same alone and in company, and sampling leaves the sequence as it was. */
static void test_samples_do_not_depend_on_company(void **state) {
    (void)state;
    critic_error err;
    struct cr_engine *e = open_tiny(cr_isa_best(), 2, 64);
    struct cr_prompt *p = prompt_of(e, 30, 8, NULL);
    struct cr_seq *s = prefill(e, p, NULL);
    float *before = logits_copy(e, s);
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
    assert_logits(e, s, before);
    free(before);
    cr_seq_free(s);
    cr_prompt_free(p);
    cr_engine_free(e);
}

/* Talks that come and go at random, on one engine after what others left in it: each says to the
 * bit what it says alone on a fresh engine with another number of threads. */
static void test_lanes_do_not_depend_on_schedule(void **state) {
    (void)state;
    enum { N_TALKS = 9 };
    critic_error err;
    struct cr_image image = noise_image(70, 50, 2);
    FOR_EACH_ISA(isa)
    for (enum cr_kv_type kv = CR_KV_AUTO; kv <= CR_KV_INT8; kv += CR_KV_INT8) {
        struct cr_completion got[N_TALKS][2];
        struct cr_talk talks[N_TALKS] = {0};
        struct cr_rng schedule;
        struct cr_lanes *l;
        size_t n_begun = 0;
        struct cr_engine *e = open_tiny_kv(isa, 2, 32, kv);
        cr_rng_seed(&schedule, t_seed(11) + (uint64_t)isa);
        T_OK(cr_lanes_new(&l, e, &err));
        while (n_begun < N_TALKS || cr_lanes_running(l) > 0) {
            bool begins = n_begun < N_TALKS && cr_rng_below(&schedule, 4) == 0;
            if (begins && cr_lanes_have_room(l, 80, 2, 12)) {
                struct cr_talk *t = &talks[n_begun];
                struct cr_prompt *p =
                    prompt_of(e, 20 + 7 * (n_begun / 2), n_begun / 2, &image);
                struct cr_seq *s = prefill(e, p, NULL);
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
            struct cr_engine *alone = open_tiny_kv(isa, 1, 4096, kv);
            struct cr_prompt *p = prompt_of(alone, 20 + 7 * (i / 2), i / 2, &image);
            struct cr_seq *s = prefill(alone, p, NULL);
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

/* A prompt that says what the answer will say: drafts are right for a while and then wrong, and with
 * them or without, whatever stops it, ids, text, log-probabilities and the sequence that is left are
 * the same to the bit. */
static void check_drafts(enum cr_isa isa, double temperature, enum cr_weights weights) {
    enum { N = 24 };
    critic_error err;
    struct cr_config config;
    struct cr_engine *e;
    struct cr_engine_opts opts = opts_for(isa, 2, 64);
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
    p = prompt_of(e, 30, 8, NULL);
    struct cr_seq *s = prefill(e, p, NULL);
    struct cr_completion first, with, without;
    T_OK(cr_generate(s, 1, &g, &first, NULL, &err));
    cr_seq_free(s);
    T_OK(cr_prompt_new(&q, e, &err));
    T_OK(cr_prompt_tokens(q, first.ids.data, first.ids.len, &err));
    T_OK(cr_prompt_tokens(q, cr_prompt_ids(p)->data, 30, &err));
    T_OK(cr_prompt_tokens(q, first.ids.data, first.ids.len / 2, &err));
    T_OK(cr_prompt_finish(q, &err));
    s = prefill(e, q, NULL);
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
            float *left = logits_copy(e, with.seq);
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
                    assert_logits(e, same, left);
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
            left = logits_copy(e, without.seq);
            assert_logits(e, with.seq, left);
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
    FOR_EACH_ISA(isa) {
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
    struct cr_engine *e = open_tiny(cr_isa_best(), 1, 64);
    struct cr_prompt *p = prompt_of(e, 30, 8, NULL);
    struct cr_seq *s = prefill(e, p, NULL);
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

/* A talk that is taken off keeps what it has said, and the others go on. */
static void test_lanes_drop(void **state) {
    (void)state;
    critic_error err;
    struct cr_lanes *l;
    struct cr_engine *e = open_tiny(cr_isa_best(), 1, 64);
    struct cr_prompt *p = prompt_of(e, 30, 8, NULL);
    struct cr_seq *s = prefill(e, p, NULL);
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

/* A long answer has less probability than alternatives are followed to: what it was drawn with is
 * what another look at it gives. */
static void test_following_what_was_drawn(void **state) {
    (void)state;
    critic_error err;
    struct cr_engine *e = open_tiny(cr_isa_best(), 2, 64);
    struct cr_prompt *p = prompt_of(e, 30, 8, NULL);
    struct cr_seq *s = prefill(e, p, NULL);
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
    struct cr_engine *e = open_tiny(cr_isa_best(), 2, 64);
    struct cr_prompt *p = prompt_of(e, 30, 8, NULL);
    struct cr_seq *s = prefill(e, p, NULL);
    float *before = logits_copy(e, s);
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
    assert_logits(e, s, before);
    free(before);
    cr_seq_free(s);
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
    struct cr_image image = noise_image(40, 70, 6);
    struct cr_engine *e = open_tiny(cr_isa_best(), 2, 16);
    struct cr_prompt *p = prompt_of(e, 100, 2, &image);
    struct cr_seq *s = prefill(e, p, NULL);
    float *expected = logits_copy(e, s);
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
        t = prefill(e, p, NULL);
        assert_logits(e, t, expected);
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
    struct cr_engine_opts opts = opts_for(CR_ISA_SCALAR, 1, 64);
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
    p = prompt_of(e, 90, 4, NULL);
    struct cr_seq *s = prefill(e, p, NULL), *t, *u;
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
        cmocka_unit_test(test_prefill_does_not_depend_on_chunks_or_threads),
        cmocka_unit_test(test_kv_types),
        cmocka_unit_test(test_prefill_is_token_by_token),
        cmocka_unit_test(test_shared_prefix_changes_nothing),
        cmocka_unit_test(test_prompts_are_a_tree),
        cmocka_unit_test(test_fork_and_rewind),
        cmocka_unit_test(test_samples_do_not_depend_on_company),
        cmocka_unit_test(test_lanes_do_not_depend_on_schedule),
        cmocka_unit_test(test_drafts_change_nothing),
        cmocka_unit_test(test_drafts_save_steps),
        cmocka_unit_test(test_lanes_drop),
        cmocka_unit_test(test_score_is_the_product_of_steps),
        cmocka_unit_test(test_following_what_was_drawn),
        cmocka_unit_test(test_cancelled_engine_goes_on),
        cmocka_unit_test(test_limits),
        cmocka_unit_test(test_sampler),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
