/* For tests of the engine: a tiny network of random weights, prompts from a seed, logits held to the
 * bit. */
#ifndef CR_TESTS_T_ENGINE_H
#define CR_TESTS_T_ENGINE_H

#include "base/checked.h"
#include "engine/engine.h"
#include "engine/random_model.h"
#include "t_exec.h"

static inline struct cr_engine_opts t_engine_opts(enum cr_isa isa, int n_threads,
                                                  size_t chunk) {
    struct cr_engine_opts opts;
    cr_engine_opts_default(&opts);
    opts.exec.isa = isa;
    opts.exec.n_threads = n_threads;
    opts.kv_bytes = (size_t)16 << 20;
    opts.prefill_chunk = chunk;
    return opts;
}

static inline struct cr_engine *t_engine_kv(enum cr_isa isa, int n_threads, size_t chunk,
                                            enum cr_kv_type kv_type) {
    critic_error err;
    struct cr_engine *e;
    struct cr_config config;
    struct cr_engine_opts opts = t_engine_opts(isa, n_threads, chunk);
    opts.kv_type = kv_type;
    T_OK(cr_config_preset(&config, "tiny", &err));
    T_OK(cr_engine_open_random(&e, &config, CR_BF16, 42, &opts, &err));
    return e;
}

static inline struct cr_engine *t_engine(enum cr_isa isa, int n_threads, size_t chunk) {
    return t_engine_kv(isa, n_threads, chunk, CR_KV_AUTO);
}

static inline struct cr_image t_noise_image(size_t w, size_t h, uint64_t seed) {
    struct cr_rng rng;
    struct cr_image image = {malloc(3 * w * h), w, h};
    cr_rng_seed(&rng, seed);
    for (size_t i = 0; i < 3 * w * h; i++)
        image.rgb[i] = (unsigned char)cr_rng_below(&rng, 256);
    return image;
}

/* `n` ids from a seed, a picture after the first three where there is one. */
static inline struct cr_prompt *t_prompt(struct cr_engine *e, size_t n, uint64_t seed,
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

static inline struct cr_seq *t_prefill(struct cr_engine *e, struct cr_prompt *p,
                                       struct cr_usage *usage) {
    critic_error err;
    struct cr_seq *s;
    T_OK(cr_engine_prefill(e, p, &s, usage, &err));
    return s;
}

static inline float *t_logits_copy(struct cr_engine *e, struct cr_seq *s) {
    size_t bytes = cr_engine_config(e)->text.vocab * sizeof(float);
    float *copy = malloc(bytes);
    memcpy(copy, cr_seq_logits(s), bytes);
    return copy;
}

static inline void t_assert_logits(struct cr_engine *e, struct cr_seq *s,
                                   const float *expected) {
    assert_memory_equal(cr_seq_logits(s), expected,
                        cr_engine_config(e)->text.vocab * sizeof(float));
}

#endif
