/* Packed files: the bits of quantising on opening, in place, on every instruction set; and every
 * way such a file can be wrong. */
#include "t_files.h"

#include "base/checked.h"
#include "convert/convert.h"
#include "engine/engine.h"
#include "model/model.h"
#include "t_exec.h"
#include "tensor/packed_file.h"

static struct t_dir dir;

static int set_up(void **state) {
    (void)state;
    t_dir_make(&dir, "packed");
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    t_dir_remove(&dir);
    return 0;
}

static enum critic_status convert(const char *model, const char *out,
                                  enum cr_convert_target target, enum cr_dtype dtype,
                                  critic_error *err) {
    struct cr_store *store;
    struct cr_config config;
    const struct cr_convert_options o = {.target = target, .dtype = dtype};
    CR_TRY(cr_store_open(&store, model, err));
    enum critic_status status = cr_config_read(&config, store, err);
    if (status == CRITIC_OK)
        status = cr_convert(store, &config, out, &o, NULL, err);
    cr_store_close(store);
    return status;
}

static enum critic_status open_engine(struct cr_engine **e, const char *model,
                                      enum cr_isa isa, enum cr_weights weights,
                                      critic_error *err) {
    struct cr_engine_opts opts;
    cr_engine_opts_default(&opts);
    opts.exec.isa = isa;
    opts.exec.n_threads = 2;
    opts.kv_bytes = (size_t)16 << 20;
    opts.weights = weights;
    return cr_engine_open(e, model, &opts, err);
}

/* ---- the same bits ---- */

/* Logits after a prompt with a picture, where the model takes one, and after a step. */
struct logits {
    size_t n;
    float *prefill, *step;
};

static struct cr_image picture(void) {
    struct cr_rng rng;
    struct cr_image image = {malloc(3 * 20 * 20), 20, 20};
    cr_rng_seed(&rng, 5);
    for (size_t i = 0; i < 3 * 20 * 20; i++)
        image.rgb[i] = (unsigned char)cr_rng_below(&rng, 256);
    return image;
}

static struct logits logits_of(const char *model, enum cr_isa isa,
                               enum cr_weights weights, const char *dtype) {
    critic_error err;
    struct cr_engine *e;
    struct cr_prompt *p;
    struct cr_seq *s;
    struct cr_image image = picture();
    const int32_t token = 17;
    T_OK(open_engine(&e, model, isa, weights, &err));
    assert_string_equal(cr_engine_dtype(e), dtype);
    bool sees = cr_engine_config(e)->vision.present;
    struct logits l = {.n = cr_engine_config(e)->text.vocab};
    T_OK(cr_prompt_new(&p, e, &err));
    T_OK(cr_prompt_chat(p, &image, sees, (struct cr_str){NULL, 0},
                        cr_str_of("Which answer is better?"), &err));
    T_OK(cr_prompt_finish(p, &err));
    T_OK(cr_engine_prefill(e, p, &s, NULL, &err));
    l.prefill = malloc(2 * l.n * sizeof(float));
    l.step = l.prefill + l.n;
    memcpy(l.prefill, cr_seq_logits(s), l.n * sizeof(float));
    T_OK(cr_seq_step(&s, &token, 1, &err));
    memcpy(l.step, cr_seq_logits(s), l.n * sizeof(float));
    cr_seq_free(s);
    cr_prompt_free(p);
    cr_engine_free(e);
    cr_image_free(&image);
    return l;
}

static void check_same_bits(const char *model, enum cr_dtype dtype) {
    critic_error err;
    bool four = dtype == CR_PANEL4;
    const char *name = four ? "q4" : "int8";
    T_OK(convert(model, t_path(&dir, "same"), CR_CONVERT_PACKED, dtype, &err));
    T_EACH_ISA(isa) {
        struct logits want =
            logits_of(model, isa, four ? CR_WEIGHTS_Q4 : CR_WEIGHTS_INT8, name);
        struct logits got = logits_of(t_path(&dir, "same"), isa, CR_WEIGHTS_FILE, name);
        assert_int_equal(got.n, want.n);
        assert_memory_equal(got.prefill, want.prefill, 2 * want.n * sizeof(float));
        free(want.prefill);
        free(got.prefill);
    }
}

/* A float network wide enough for blocks of 4 bits. */
#define WIDE "wide.gguf"

static void make_wide(void) {
    critic_error err;
    T_OK(convert("micro-critic", t_path(&dir, WIDE), CR_CONVERT_GGUF, CR_BF16, &err));
}

static void test_same_bits(void **state) {
    (void)state;
    check_same_bits(T_SOURCE("tests/tiny/ov-lmms"), CR_PANEL8);
    check_same_bits(T_SOURCE("tests/tiny/tied-lmms"), CR_PANEL8);
    check_same_bits(T_SOURCE("tests/tiny/wide-hf-old-flat"), CR_PANEL4);
    check_same_bits(T_SOURCE("tests/tiny/ov-text.gguf"), CR_PANEL4);
    check_same_bits("micro-critic", CR_PANEL8);
    char wide[256];
    make_wide();
    snprintf(wide, sizeof wide, "%s", t_path(&dir, WIDE));
    check_same_bits(wide, CR_PANEL4);
}

/* Every matrix of a product lies in the mapping, on a page, in panels. */
static void test_nothing_is_copied(void **state) {
    (void)state;
    critic_error err;
    struct cr_engine *e;
    struct cr_gguf g;
    struct cr_arena arena;
    make_wide();
    char wide[256];
    snprintf(wide, sizeof wide, "%s", t_path(&dir, WIDE));
    T_OK(convert(wide, t_path(&dir, "four"), CR_CONVERT_PACKED, CR_PANEL4, &err));
    T_OK(open_engine(&e, t_path(&dir, "four"), cr_isa_best(), CR_WEIGHTS_FILE, &err));
    const struct cr_params *p = &cr_engine_model(e)->params;
    const struct cr_linear *products[] = {&p->head, &p->layers[0].q, &p->layers[0].down,
                                          &p->project1, &p->tower[0].fc1};
    for (size_t i = 0; i < CR_COUNT(products); i++) {
        const struct cr_linear *lin = products[i];
        assert_ptr_equal(lin->packed->panels, lin->w.data);
        assert_int_equal((uintptr_t)lin->w.data % CR_GGUF_PAGE, 0);
    }
    assert_int_equal(p->layers[0].q.w.dtype, CR_PANEL4);
    assert_int_equal(p->head.w.dtype, CR_PANEL8);
    assert_true(p->head.packed->is_fine);
    cr_engine_free(e);
    T_OK(cr_arena_init(&arena, (size_t)64 << 20, &err));
    T_OK(cr_gguf_open(&g, &arena, t_path(&dir, "four"), &err));
    for (size_t i = 0; i < g.n_tensors; i++)
        assert_int_equal((uintptr_t)g.tensors[i].data % CR_GGUF_PAGE, 0);
    cr_gguf_close(&g);
    cr_arena_fini(&arena);
}

/* ---- what is wrong ---- */

/* The good file in memory, to be written with a fault. */
static struct cr_buf good;
static struct cr_gguf parsed;
static struct cr_arena metadata;

static void load_good(void) {
    critic_error err;
    make_wide();
    char wide[256];
    snprintf(wide, sizeof wide, "%s", t_path(&dir, WIDE));
    T_OK(convert(wide, t_path(&dir, "good"), CR_CONVERT_PACKED, CR_PANEL8, &err));
    cr_buf_init(&good, (size_t)64 << 20);
    T_OK(cr_file_read(t_path(&dir, "good"), &good, &err));
    T_OK(cr_arena_init(&metadata, (size_t)64 << 20, &err));
    T_OK(cr_gguf_open_bytes(&parsed, &metadata,
                            (struct cr_bytes){(unsigned char *)good.data, good.len},
                            "good", &err));
}

static void free_good(void) {
    cr_gguf_close(&parsed);
    cr_arena_fini(&metadata);
    cr_buf_fini(&good);
}

/* Opens the file with `n` bytes at `at` replaced and cut to `len`. */
static enum critic_status open_with(size_t at, const void *bytes, size_t n, size_t len,
                                    critic_error *err) {
    struct cr_engine *e;
    char *copy = malloc(good.len);
    memcpy(copy, good.data, good.len);
    memcpy(copy + at, bytes, n);
    t_write(&dir, "bad", copy, len);
    free(copy);
    enum critic_status status =
        open_engine(&e, t_path(&dir, "bad"), CR_ISA_SCALAR, CR_WEIGHTS_FILE, err);
    assert_true((status == CRITIC_OK) == (e != NULL));
    cr_engine_free(e);
    return status;
}

static enum critic_status verify_bad(critic_error *err) {
    struct cr_store *s;
    CR_TRY(cr_store_open(&s, t_path(&dir, "bad"), err));
    enum critic_status status = cr_store_verify(s, err);
    cr_store_close(s);
    return status;
}

/* Where the value of a key begins. */
static size_t value_of(const char *key) {
    const struct cr_gguf_value *v = cr_gguf_find(&parsed, key);
    assert_non_null(v);
    const void *at =
        v->type == CR_GGUF_STRING ? (const void *)v->strings[0].data : v->data;
    return (size_t)((const char *)at - good.data);
}

static const struct cr_file_tensor *tensor(const char *name) {
    const struct cr_file_tensor *t = cr_gguf_find_tensor(&parsed, name);
    assert_non_null(t);
    return t;
}

static size_t place_of(const struct cr_file_tensor *t) {
    return (size_t)((const char *)t->data - good.data);
}

static void test_version_and_layout(void **state) {
    (void)state;
    critic_error err;
    load_good();
    T_OK(open_with(0, "G", 1, good.len, &err));
    T_FAILS(open_with(value_of("critic.packed.version"), "\2", 1, good.len, &err),
            CRITIC_UNSUPPORTED, "packed in version 2");
    T_FAILS(open_with(value_of("critic.packed.layout"), "panels-16", 9, good.len, &err),
            CRITIC_UNSUPPORTED, "layout 'panels-16");
    T_FAILS(open_with(value_of("critic.packed.dtype"), "int7", 4, good.len, &err),
            CRITIC_BAD_FILE, "int7");
    free_good();
}

static void test_truncated(void **state) {
    (void)state;
    critic_error err;
    load_good();
    size_t lens[] = {0, 3, 100, good.len / 2, good.len - CR_GGUF_PAGE};
    for (size_t i = 0; i < CR_COUNT(lens); i++)
        T_FAILS(open_with(0, "G", 1, lens[i], &err), CRITIC_BAD_FILE, "bad");
    free_good();
}

static void test_hashes(void **state) {
    (void)state;
    critic_error err;
    load_good();
    /* A vector is compared at every opening, a matrix when asked for. */
    const struct cr_file_tensor *norm = tensor("output_norm.weight");
    const struct cr_file_tensor *large = tensor("blk.0.ffn_up.weight");
    assert_true(large->bytes > (64 << 10));
    char flipped = (char)(norm->data[5] ^ 1);
    T_FAILS(open_with(place_of(norm) + 5, &flipped, 1, good.len, &err), CRITIC_BAD_FILE,
            "output_norm.weight");
    flipped = (char)(large->data[999] ^ 1);
    T_OK(open_with(place_of(large) + 999, &flipped, 1, good.len, &err));
    T_FAILS(verify_bad(&err), CRITIC_BAD_FILE, "blk.0.ffn_up.weight");
    T_OK(open_with(0, "G", 1, good.len, &err));
    T_OK(verify_bad(&err));
    free_good();
}

static void test_scales(void **state) {
    (void)state;
    static const float bad[] = {NAN, INFINITY, -INFINITY};
    critic_error err;
    load_good();
    const struct cr_file_tensor *large = tensor("blk.0.ffn_up.weight");
    size_t scales = large->bytes - CR_CEIL_DIV(large->dim[0], (size_t)64) * 64 * 4;
    for (size_t i = 0; i < CR_COUNT(bad); i++)
        T_FAILS(open_with(place_of(large) + scales + 3 * 4, &bad[i], 4, good.len, &err),
                CRITIC_BAD_MODEL, "'blk.0.ffn_up.weight': a scale of row 3");
    free_good();
}

/* The description of a tensor: its axes, type and offset stand behind its name. */
static size_t description_of(const char *name) {
    uint64_t n = strlen(name);
    for (size_t at = 0; at + sizeof n + n < good.len; at++)
        if (memcmp(good.data + at, &n, sizeof n) == 0 &&
            memcmp(good.data + at + sizeof n, name, n) == 0)
            return at + sizeof n + n;
    fail();
    return 0;
}

static void test_shapes_and_types(void **state) {
    (void)state;
    critic_error err;
    load_good();
    /* Axes are written fastest first, 8 bytes each, behind their count. */
    const char *name = "blk.1.ffn_up.weight";
    size_t at = description_of(name);
    uint64_t rows = tensor(name)->dim[0] - 1, none = UINT64_MAX;
    uint32_t f16 = 1, four = CR_GGUF_PANEL4, later = CR_GGUF_PANEL8 + 100;
    T_FAILS(open_with(at + 12, &rows, 8, good.len, &err), CRITIC_BAD_MODEL,
            "blk.1.ffn_up.weight': found shape");
    T_FAILS(open_with(at + 12, &none, 8, good.len, &err), CRITIC_BAD_FILE,
            "shape overflows");
    T_FAILS(open_with(at + 20, &later, 4, good.len, &err), CRITIC_BAD_FILE,
            "unknown type");
    T_FAILS(open_with(description_of("output.weight") + 20, &four, 4, good.len, &err),
            CRITIC_BAD_MODEL, "output.weight' has dtype PANEL4");
    /* Half a matrix would be read as one of 16 bits: its shape needs more than there is. */
    T_FAILS(open_with(at + 20, &f16, 4, good.len, &err), CRITIC_BAD_FILE, "overlap");
    free_good();
}

/* Another precision than the file's own cannot be had, and it is no source of anything else. */
static void test_what_it_is_not_for(void **state) {
    (void)state;
    critic_error err;
    struct cr_engine *e;
    struct cr_engine_opts opts;
    load_good();
    const char *path = t_path(&dir, "good");
    T_OK(open_engine(&e, path, cr_isa_best(), CR_WEIGHTS_INT8, &err));
    cr_engine_free(e);
    T_FAILS(open_engine(&e, path, cr_isa_best(), CR_WEIGHTS_Q4, &err),
            CRITIC_BAD_ARGUMENT, "expected --dtype auto or int8");
    cr_engine_opts_default(&opts);
    opts.exec.compute = CR_COMPUTE_BF16;
    T_FAILS(cr_engine_open(&e, path, &opts, &err), CRITIC_BAD_ARGUMENT,
            "expected --dtype auto or int8");
    T_FAILS(convert(path, "t-packed-never", CR_CONVERT_LMMS, CR_BF16, &err),
            CRITIC_UNSUPPORTED, "for judging only");
    T_FAILS(convert(path, "t-packed-never", CR_CONVERT_PACKED, CR_PANEL8, &err),
            CRITIC_UNSUPPORTED, "for judging only");
    T_FAILS(convert("micro-critic", "t-packed-never", CR_CONVERT_PACKED, CR_Q8_0, &err),
            CRITIC_BAD_ARGUMENT, "int8 or q4");
    T_FAILS(convert("micro-critic", "t-never.gguf", CR_CONVERT_GGUF, CR_PANEL8, &err),
            CRITIC_BAD_ARGUMENT, "int8 or q4");
    free_good();
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_same_bits),
        cmocka_unit_test(test_nothing_is_copied),
        cmocka_unit_test(test_version_and_layout),
        cmocka_unit_test(test_truncated),
        cmocka_unit_test(test_hashes),
        cmocka_unit_test(test_scales),
        cmocka_unit_test(test_shapes_and_types),
        cmocka_unit_test(test_what_it_is_not_for),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
