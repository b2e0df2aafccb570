/* The whole network against transformers: every case of manifest.json (scripts/golden), every
 * checkpoint it holds for, every ISA; pixels and ids exact, features, hidden states and logits
 * within 1e-5 of the largest value in f32; bf16 within transformers' own bf16 error; greedy
 * continuations equal. */
#include "base/arena.h"
#include "base/checked.h"
#include "engine/engine.h"
#include "io/json.h"
#include "io/safetensors.h"
#include "t.h"

#define GOLDEN T_SOURCE("tests/golden/")
#define TINY   T_SOURCE("tests/tiny/")

/* f32 sums in another order; see docs/numerics.md. */
#define F32_TOLERANCE 1e-5

struct dump {
    struct cr_safetensors expected;
    const float *byte_value; /* (256) */
    size_t n_tokens, n_logits_rows;
    float *image_features, *hidden_states, *logits;
    size_t width, vocab;
    size_t n_pixels;
    double worst_layer; /* over every hidden_states.K and vision_hidden_states.K */
};

static struct cr_arena arena;
static json_t *manifest;

static double largest_of(const float *a, size_t n) {
    double largest = 0;
    for (size_t i = 0; i < n; i++)
        largest = fmax(largest, fabs((double)a[i]));
    return largest;
}

/* max |a - b| / max |b|; NaN counts as infinite. */
static double difference(const float *a, const float *b, size_t n) {
    double worst = 0;
    for (size_t i = 0; i < n; i++) {
        double d = fabs((double)a[i] - (double)b[i]);
        worst = d <= worst ? worst : isnan(d) ? HUGE_VAL : d;
    }
    return worst / largest_of(b, n);
}

static const struct cr_file_tensor *expected(const struct dump *d, const char *name) {
    return cr_safetensors_find(&d->expected, name);
}

static void check_pixels(struct dump *d, size_t first_tile,
                         const struct cr_tensor *rows) {
    const struct cr_file_tensor *t = expected(d, "pixel_tiles");
    assert_non_null(t);
    size_t tile = rows->dim[1] * rows->dim[2] * rows->dim[3];
    const float *got = rows->data;
    for (size_t i = 0; i < rows->dim[0] * tile; i++)
        if (got[i] != d->byte_value[t->data[first_tile * tile + i]])
            fail_msg("pixel %zu of tile %zu differs", i % tile, first_tile + i / tile);
    d->n_pixels += rows->dim[0] * tile;
}

static void check_layer(struct dump *d, const char *name, size_t first,
                        const struct cr_tensor *rows) {
    const struct cr_file_tensor *t = expected(d, name);
    if (!t)
        return;
    size_t width = rows->dim[1];
    double diff =
        difference(rows->data, (const float *)(const void *)t->data + first * width,
                   rows->dim[0] * width);
    /* Relative to the whole tensor's largest value, not to these rows'. */
    diff *= largest_of((const float *)(const void *)t->data + first * width,
                       rows->dim[0] * width) /
            largest_of((const float *)(const void *)t->data, t->bytes / sizeof(float));
    d->worst_layer = fmax(d->worst_layer, diff);
}

static enum critic_status tap(void *user, const char *name, size_t first,
                              const struct cr_tensor *rows, critic_error *err) {
    (void)err;
    struct dump *d = user;
    float *to = NULL;
    if (strcmp(name, "pixel_values") == 0)
        check_pixels(d, first, rows);
    else if (strcmp(name, "image_features") == 0)
        to = d->image_features;
    else if (strcmp(name, "hidden_states") == 0)
        to = d->hidden_states;
    else if (strcmp(name, "logits") == 0)
        to = d->logits;
    else
        check_layer(d, name, first, rows);
    if (to)
        memcpy(to + first * rows->dim[1], rows->data,
               rows->dim[0] * rows->dim[1] * sizeof(float));
    return CRITIC_OK;
}

static void load_images(const json_t *c, struct cr_image *images) {
    critic_error err;
    size_t i;
    json_t *name;
    json_array_foreach(json_object_get(c, "images"), i, name) {
        char path[512];
        snprintf(path, sizeof path, GOLDEN "images/%s", json_string_value(name));
        T_OK(cr_image_load(&images[i], path, NULL, &err));
    }
}

static struct cr_prompt *build_prompt(struct cr_engine *e, const json_t *c) {
    critic_error err;
    struct cr_prompt *p;
    struct cr_image images[8] = {{0}};
    size_t n_images = json_array_size(json_object_get(c, "images"));
    struct cr_buf text;
    char path[512];
    load_images(c, images);
    cr_buf_init(&text, 1 << 20);
    snprintf(path, sizeof path, GOLDEN "prompts/%s",
             json_string_value(json_object_get(c, "prompt")));
    T_OK(cr_file_read(path, &text, &err));
    T_OK(cr_prompt_new(&p, e, &err));
    if (json_is_true(json_object_get(c, "raw")))
        T_OK(cr_prompt_raw(p, cr_buf_str(&text), images, n_images, &err));
    else
        T_OK(cr_prompt_chat(p, images, n_images, (struct cr_str){NULL, 0},
                            cr_buf_str(&text), &err));
    T_OK(cr_prompt_finish(p, &err));
    for (size_t i = 0; i < n_images; i++)
        cr_image_free(&images[i]);
    cr_buf_fini(&text);
    return p;
}

static void check_ids(struct dump *d, const struct cr_prompt *p) {
    const struct cr_ids *ids = cr_prompt_ids(p);
    const struct cr_file_tensor *t = expected(d, "input_ids");
    assert_int_equal(ids->len, t->dim[0]);
    for (size_t i = 0; i < ids->len; i++)
        if (ids->data[i] != ((const int64_t *)(const void *)t->data)[i])
            fail_msg("input id %zu is %d", i, (int)ids->data[i]);
    t = expected(d, "tiles_per_image");
    assert_int_equal(t ? t->dim[0] : 0, cr_prompt_n_images(p));
    for (size_t i = 0; i < cr_prompt_n_images(p); i++)
        assert_int_equal(cr_prompt_plan(p, i)->n_tiles,
                         ((const int64_t *)(const void *)t->data)[i]);
}

static double compare(struct dump *d, const float *got, const char *name) {
    const struct cr_file_tensor *t = expected(d, name);
    return t ? difference(got, (const float *)(const void *)t->data,
                          t->bytes / sizeof(float))
             : 0;
}

static void check_forward(struct cr_engine *e, struct cr_prompt *p, const json_t *c,
                          struct dump *d) {
    critic_error err;
    const struct cr_decoder_config *text = &cr_engine_config(e)->text;
    size_t n = cr_prompt_ids(p)->len;
    size_t rows = (size_t)json_integer_value(json_object_get(c, "logits_rows"));
    size_t mark = cr_arena_mark(&arena);
    d->image_features = cr_arena_calloc(&arena, n * text->width, sizeof(float));
    d->hidden_states = cr_arena_calloc(&arena, n * text->width, sizeof(float));
    d->logits = cr_arena_calloc(&arena, rows * text->vocab, sizeof(float));
    d->n_pixels = 0;
    d->worst_layer = 0;
    struct cr_forward_opts opts = {
        .layers = true, .logits_last = rows, .tap = tap, .user = d};
    T_OK(cr_engine_forward(e, p, &opts, &err));
    const struct cr_file_tensor *tiles = expected(d, "pixel_tiles");
    assert_int_equal(d->n_pixels, tiles ? tiles->bytes : 0);
    double features = compare(d, d->image_features, "image_features");
    double hidden = compare(d, d->hidden_states, "hidden_states");
    double logits = compare(d, d->logits, "logits");
    double bf16 = json_number_value(json_object_get(c, "bf16_error"));
    bool f32 = cr_engine_exec(e)->compute == CR_COMPUTE_F32;
    double allowed = f32 ? F32_TOLERANCE : bf16;
    if (logits > allowed ||
        (f32 && (features > allowed || hidden > allowed || d->worst_layer > allowed)))
        fail_msg(
            "differs: features %.2g hidden %.2g layers %.2g logits %.2g, allowed %.2g",
            features, hidden, d->worst_layer, logits, allowed);
    print_message("  %-22s %-6s %-4s features %.1e hidden %.1e layers %.1e logits %.1e\n",
                  json_string_value(json_object_get(c, "name")),
                  cr_isa_name(cr_engine_exec(e)->isa), f32 ? "f32" : "bf16", features,
                  hidden, d->worst_layer, logits);
    cr_arena_release(&arena, mark);
}

static void check_greedy(struct cr_engine *e, struct cr_prompt *p, const json_t *c) {
    critic_error err;
    struct cr_seq *s;
    struct cr_completion out;
    struct cr_generate_opts opts;
    const json_t *greedy = json_object_get(c, "greedy");
    double margin = json_number_value(json_object_get(c, "greedy_margin"));
    bool f32 = cr_engine_exec(e)->compute == CR_COMPUTE_F32;
    if (!f32 && margin < 2 * json_number_value(json_object_get(c, "bf16_error")))
        return; /* bf16's noise may choose otherwise, in the reference as here */
    cr_generate_opts_default(&opts, e);
    opts.max_new_tokens = json_array_size(greedy);
    T_OK(cr_engine_prefill(e, p, &s, NULL, &err));
    T_OK(cr_generate(s, 1, &opts, &out, NULL, &err));
    for (size_t i = 0; i < out.ids.len; i++)
        if (out.ids.data[i] != json_integer_value(json_array_get(greedy, i)))
            fail_msg("greedy token %zu is %d", i, (int)out.ids.data[i]);
    /* Generation stops at an end token, the golden goes on. */
    assert_true(out.ids.len == json_array_size(greedy) || out.finish == CR_FINISH_STOP);
    cr_completion_fini(&out);
    cr_seq_free(s);
}

/* One checkpoint below tests/tiny against what is expected. */
static void check_checkpoint(const char *name, const json_t *c, struct dump *d,
                             enum cr_isa isa, enum cr_compute compute) {
    critic_error err;
    char path[512];
    struct cr_engine *e;
    struct cr_engine_opts opts;
    cr_engine_opts_default(&opts);
    opts.exec.isa = isa;
    opts.exec.compute = compute;
    opts.kv_bytes = (size_t)64 << 20;
    snprintf(path, sizeof path, TINY "%s", name);
    T_OK(cr_engine_open(&e, path, &opts, &err));
    struct cr_prompt *p = build_prompt(e, c);
    check_ids(d, p);
    check_forward(e, p, c, d);
    check_greedy(e, p, c);
    cr_prompt_free(p);
    cr_engine_free(e);
}

static void check_case(const json_t *c, enum cr_isa isa, enum cr_compute compute,
                       size_t n_checkpoints) {
    critic_error err;
    size_t mark = cr_arena_mark(&arena);
    struct dump d = {0};
    struct cr_safetensors normalise;
    char path[512];
    snprintf(path, sizeof path, GOLDEN "forward/%s",
             json_string_value(json_object_get(c, "expected")));
    T_OK(cr_safetensors_open(&d.expected, &arena, path, &err));
    T_OK(cr_safetensors_open(&normalise, &arena, GOLDEN "pixels/normalise.safetensors",
                             &err));
    d.byte_value =
        (const float *)(const void *)cr_safetensors_find(&normalise, "byte_value")->data;
    const json_t *checkpoints = json_object_get(c, "checkpoints");
    for (size_t i = 0; i < CR_MIN(json_array_size(checkpoints), n_checkpoints); i++)
        check_checkpoint(json_string_value(json_array_get(checkpoints, i)), c, &d, isa,
                         compute);
    /* The text part alone, as GGUF. */
    const char *gguf = json_string_value(json_object_get(c, "gguf"));
    if (gguf)
        check_checkpoint(gguf, c, &d, isa, compute);
    cr_safetensors_close(&d.expected);
    cr_safetensors_close(&normalise);
    cr_arena_release(&arena, mark);
}

static void check_cases(enum cr_isa isa, enum cr_compute compute, size_t n_checkpoints) {
    size_t i;
    json_t *c;
    if (!cr_isa_available(isa))
        skip();
    json_array_foreach(json_object_get(manifest, "cases"), i, c)
        check_case(c, isa, compute, n_checkpoints);
}

static void test_scalar_f32(void **state) {
    (void)state;
    check_cases(CR_ISA_SCALAR, CR_COMPUTE_F32, 1);
}

static void test_avx2_f32(void **state) {
    (void)state;
    check_cases(CR_ISA_AVX2, CR_COMPUTE_F32, 1);
}

/* Every layout here: all must agree with the reference, so with each other. */
static void test_avx512_f32(void **state) {
    (void)state;
    check_cases(CR_ISA_AVX512, CR_COMPUTE_F32, SIZE_MAX);
}

static void test_scalar_bf16(void **state) {
    (void)state;
    check_cases(CR_ISA_SCALAR, CR_COMPUTE_BF16, 1);
}

static void test_avx2_bf16(void **state) {
    (void)state;
    check_cases(CR_ISA_AVX2, CR_COMPUTE_BF16, 1);
}

static void test_avx512_bf16(void **state) {
    (void)state;
    check_cases(CR_ISA_AVX512, CR_COMPUTE_BF16, SIZE_MAX);
}

static int set_up(void **state) {
    (void)state;
    critic_error err;
    T_OK(cr_arena_init(&arena, (size_t)1 << 30, &err));
    T_OK(cr_json_read(&manifest, GOLDEN "manifest.json", 1 << 20, &err));
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    json_decref(manifest);
    cr_arena_fini(&arena);
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_scalar_f32), cmocka_unit_test(test_avx2_f32),
        cmocka_unit_test(test_avx512_f32), cmocka_unit_test(test_scalar_bf16),
        cmocka_unit_test(test_avx2_bf16),  cmocka_unit_test(test_avx512_bf16),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
