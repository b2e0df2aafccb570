#include "t.h"

#include "base/checked.h"
#include "base/rng.h"
#include "kernel/int8.h"
#include "kernel/quant.h"

static void *allocate(size_t bytes) {
    void *p = aligned_alloc(64, bytes / 64 * 64 + 64);
    assert_non_null(p);
    memset(p, 0xEE, bytes / 64 * 64 + 64);
    return p;
}

static struct cr_int8_rows rows_new(size_t m, size_t k) {
    struct cr_int8_rows rows = {
        .m = m, .k = k, .q_row = cr_int8_row_bytes(k), .n_groups = cr_int8_groups(k)};
    rows.q = allocate(m * rows.q_row);
    rows.scales = allocate(m * rows.n_groups * sizeof(float));
    rows.offsets = allocate(m * rows.n_groups * sizeof(int32_t));
    rows.block_sums = allocate(4 * m * rows.n_groups * sizeof(int32_t));
    return rows;
}

static void rows_free(struct cr_int8_rows *rows) {
    free(rows->q);
    free(rows->scales);
    free(rows->offsets);
    free(rows->block_sums);
}

static void fill(float *x, size_t n, struct cr_rng *r) {
    for (size_t i = 0; i < n; i++)
        x[i] = (float)cr_rng_normal(r) * (cr_rng_below(r, 50) == 0 ? 40.0f : 1.0f);
}

static bool same_rows(const struct cr_int8_rows *a, const struct cr_int8_rows *b) {
    size_t n = a->m * a->n_groups;
    return memcmp(a->q, b->q, a->m * a->q_row) == 0 &&
           memcmp(a->scales, b->scales, n * sizeof *a->scales) == 0 &&
           memcmp(a->offsets, b->offsets, n * sizeof *a->offsets) == 0 &&
           memcmp(a->block_sums, b->block_sums, 4 * n * sizeof *a->block_sums) == 0;
}

/* The definition, spelled out once more, for the scalar table. */
static void check_row(const struct cr_int8_rows *rows, size_t row, const float *x) {
    for (size_t g = 0; g < rows->n_groups; g++) {
        float most = 0;
        size_t last = CR_MIN((g + 1) * CR_INT8_GROUP, rows->k);
        for (size_t k = g * CR_INT8_GROUP; k < last; k++)
            most = fmaxf(most, fabsf(x[k]));
        float scale = rows->scales[row * rows->n_groups + g];
        T_NEAR(scale, most / 127.0f, 0, 1e-6);
        for (size_t k = g * CR_INT8_GROUP; k < last; k++)
            T_NEAR(scale * (float)rows->q[row * rows->q_row + k], x[k],
                   (double)scale * 0.5001, 0);
    }
}

static float grids[1024 / 16]; /* room for pack4 */

static const size_t ks[] = {1,   3,   4,   5,   32,  64,  96,  127,
                            128, 129, 160, 256, 588, 896, 1000};

static void test_rows_are_quantised_alike(void **state) {
    (void)state;
    struct cr_rng r;
    cr_rng_seed(&r, t_seed(1));
    float x[1000];
    uint16_t half[1000];
    for (size_t i = 0; i < CR_COUNT(ks); i++) {
        size_t k = ks[i];
        struct cr_int8_rows expected = rows_new(2, k), got = rows_new(2, k);
        fill(x, k, &r);
        for (size_t j = 0; j < k; j++)
            half[j] = cr_bf16_from_f32(x[j]);
        cr_int8_scalar.quantise(&expected, 0, CR_F32, x);
        cr_int8_scalar.quantise(&expected, 1, CR_BF16, half);
        check_row(&expected, 0, x);
        for (int isa = 0; isa < CR_ISA_COUNT; isa++) {
            if (!cr_isa_available((enum cr_isa)isa))
                continue;
            const struct cr_int8 *t = cr_int8_for((enum cr_isa)isa);
            t->quantise(&got, 0, CR_F32, x);
            t->quantise(&got, 1, CR_BF16, half);
            if (!same_rows(&expected, &got))
                fail_msg("%s quantises %zu elements unlike scalar",
                         cr_isa_name((enum cr_isa)isa), k);
        }
        rows_free(&expected);
        rows_free(&got);
    }
}

/* Zeros, numbers whose reciprocal overflows, infinities and NaN. */
static void test_extreme_groups(void **state) {
    (void)state;
    static const float extremes[] = {0,     1e-42f,   0x1p-101f, 0x1p-99f,
                                     3e38f, INFINITY, -INFINITY, NAN};
    for (int isa = 0; isa < CR_ISA_COUNT; isa++) {
        if (!cr_isa_available((enum cr_isa)isa))
            continue;
        const struct cr_int8 *t = cr_int8_for((enum cr_isa)isa);
        struct cr_int8_rows rows = rows_new(1, 256);
        for (size_t i = 0; i < CR_COUNT(extremes); i++) {
            float x[256];
            for (size_t k = 0; k < 256; k++)
                x[k] = k < 128 ? 0.5f : k == 200 ? extremes[i] : 0;
            t->quantise(&rows, 0, CR_F32, x);
            assert_true(rows.scales[0] > 0);
            assert_int_equal(rows.q[0], 127);
            if (isfinite(extremes[i])) {
                bool counts = extremes[i] > 0x1p-100f;
                assert_int_equal(rows.q[200], counts ? 127 : 0);
                assert_int_equal(rows.scales[1] > 0, counts);
                assert_true(isfinite(rows.scales[1]));
            } else {
                assert_true(isnan(rows.scales[1]));
                assert_int_equal(rows.q[200], 0);
            }
        }
        rows_free(&rows);
    }
}

/* A panel with n columns that exist, and everything that goes with it. */
struct panel {
    uint8_t *bytes;
    float scale[64], min[64], scale8[64], bias[64];
};

static void panel_fill(struct panel *p, int bits, size_t k, size_t n,
                       const struct cr_int8 *t, struct cr_rng *r) {
    size_t size = bits == 8 ? cr_int8_panel_bytes(k) : cr_int4_panel_bytes(k);
    memset(p, 0, sizeof *p);
    p->bytes = allocate(size);
    memset(p->bytes, bits == 8 ? 128 : 0, size);
    float *w = malloc(k * sizeof *w);
    for (size_t col = 0; col < n; col++) {
        fill(w, k, r);
        if (bits == 8) {
            p->scale[col] = t->pack8(w, k, col, p->bytes);
            assert_true(p->scale[col] > 0);
        } else {
            assert_true(t->pack4(w, k, col, grids, p->bytes, p->scale + col, p->min + col,
                                 p->scale8 + col));
        }
        p->bias[col] = (float)cr_rng_normal(r);
    }
    free(w);
}

#define Y_COLS 70

static void check_products(int bits, const struct cr_int8 *t, size_t k, size_t m,
                           size_t n, size_t turn, struct cr_rng *r) {
    struct panel p;
    struct cr_int8_rows x = rows_new(m + 2, k);
    float *row = malloc(k * sizeof *row);
    float y[2][20 * Y_COLS];
    panel_fill(&p, bits, k, n, &cr_int8_scalar, r);
    for (size_t i = 0; i < m + 2; i++) {
        fill(row, k, r);
        cr_int8_scalar.quantise(&x, i, CR_F32, row);
    }
    for (size_t i = 0; i < CR_COUNT(y[0]); i++)
        y[0][i] = y[1][i] = (float)i;
    for (int which = 0; which < 2; which++) {
        struct cr_int8_out out = {.scale = p.scale,
                                  .min = bits == 4 ? p.min : NULL,
                                  .bias = turn % 3 ? p.bias : NULL,
                                  .y = y[which],
                                  .y_row = Y_COLS,
                                  .n = n,
                                  .type = turn % 2 ? CR_F32 : CR_BF16,
                                  .add = turn % 4 == 1};
        const struct cr_int8 *table = which ? t : &cr_int8_scalar;
        (bits == 8 ? table->panel8 : table->panel4)(&x, 2, m, p.bytes, &out);
    }
    if (memcmp(y[0], y[1], sizeof y[0]) != 0)
        fail_msg("%s, %d bits, k %zu, m %zu, n %zu: not the bits of scalar",
                 cr_isa_name(t->isa), bits, k, m, n);
    free(row);
    free(p.bytes);
    rows_free(&x);
}

static void test_products_have_the_bits_of_scalar(void **state) {
    (void)state;
    struct cr_rng r;
    cr_rng_seed(&r, t_seed(2));
    static const size_t ms[] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 13, 14, 18},
                        ns[] = {64, 1, 33};
    size_t turn = 0;
    for (int isa = 0; isa < CR_ISA_COUNT; isa++)
        for (size_t i = 0; i < CR_COUNT(ks) && cr_isa_available((enum cr_isa)isa); i++)
            for (size_t j = 0; j < CR_COUNT(ms); j++, turn++) {
                const struct cr_int8 *t = cr_int8_for((enum cr_isa)isa);
                check_products(8, t, ks[i], ms[j], ns[turn % 3], turn, &r);
                if (ks[i] % CR_INT4_BLOCK == 0)
                    check_products(4, t, ks[i], ms[j], ns[turn % 3], turn, &r);
            }
}

/* Rows so long that many of them meet the panel in pieces: the bits of one row alone. */
static void test_long_rows_in_pieces(void **state) {
    (void)state;
    enum { M = 205, LONGEST = 6181 };
    struct cr_rng r;
    cr_rng_seed(&r, t_seed(5));
    float *row = malloc(LONGEST * sizeof *row);
    float *y = malloc((M + 1) * Y_COLS * sizeof *y);
    for (size_t k = 6144; k <= LONGEST; k += LONGEST - 6144) {
        struct panel p;
        struct cr_int8_rows x = rows_new(M, k);
        panel_fill(&p, 8, k, 64, &cr_int8_scalar, &r);
        for (size_t i = 0; i < M; i++) {
            fill(row, k, &r);
            cr_int8_scalar.quantise(&x, i, CR_F32, row);
        }
        struct cr_int8_out out = {
            .scale = p.scale, .y = y, .y_row = Y_COLS, .n = 64, .type = CR_F32};
        for (int isa = CR_ISA_COUNT - 1; isa >= 0; isa--) {
            if (!cr_isa_available((enum cr_isa)isa))
                continue;
            cr_int8_for((enum cr_isa)isa)->panel8(&x, 0, M, p.bytes, &out);
            for (size_t i = 0; i < M; i += i < 184 ? 23 : 1) {
                struct cr_int8_out one = out;
                one.y = y + M * Y_COLS;
                cr_int8_scalar.panel8(&x, i, 1, p.bytes, &one);
                assert_memory_equal(y + i * Y_COLS, one.y, 64 * sizeof *y);
            }
        }
        free(p.bytes);
        rows_free(&x);
    }
    free(row);
    free(y);
}

/* All weights and activations at the ends of their range: what saturates, shows here. */
static void test_full_range_does_not_saturate(void **state) {
    (void)state;
    enum { K = 896, M = 6 };
    float w[K], x[K], y[64 * M];
    for (int isa = 0; isa < CR_ISA_COUNT; isa++) {
        if (!cr_isa_available((enum cr_isa)isa))
            continue;
        const struct cr_int8 *t = cr_int8_for((enum cr_isa)isa);
        struct cr_int8_rows rows = rows_new(M, K);
        uint8_t *panel = allocate(cr_int8_panel_bytes(K));
        float scale[64];
        for (size_t n = 0; n < 64; n++) {
            for (size_t k = 0; k < K; k++)
                w[k] = n % 2 ? -127 : 127;
            scale[n] = t->pack8(w, K, n, panel);
        }
        for (size_t r = 0; r < M; r++) {
            for (size_t k = 0; k < K; k++)
                x[k] = r % 2 ? -127 : 127;
            t->quantise(&rows, r, CR_F32, x);
        }
        for (size_t m = 1; m <= M; m++) {
            struct cr_int8_out out = {
                .scale = scale, .y = y, .y_row = 64, .n = 64, .type = CR_F32};
            t->panel8(&rows, M - m, m, panel, &out);
            for (size_t i = 0; i < 64 * m; i++) {
                bool is_negative = (M - m + i / 64) % 2 != i % 2;
                assert_true(y[i] == (float)((is_negative ? -127 : 127) * 127 * K));
            }
        }
        rows_free(&rows);
        free(panel);
    }
}

/* Packing: the same bytes from every table, close to the weights, NaN and infinity refused. */
static void test_packing(void **state) {
    (void)state;
    struct cr_rng r;
    cr_rng_seed(&r, t_seed(3));
    float w[256];
    size_t bytes8 = cr_int8_panel_bytes(256), bytes4 = cr_int4_panel_bytes(256);
    uint8_t *expected = allocate(bytes4 + bytes8), *got = allocate(bytes4 + bytes8);
    fill(w, 256, &r);
    for (int isa = 0; isa < CR_ISA_COUNT; isa++) {
        float a[4], b[4];
        if (!cr_isa_available((enum cr_isa)isa))
            continue;
        const struct cr_int8 *t = cr_int8_for((enum cr_isa)isa);
        a[0] = cr_int8_scalar.pack8(w, 256, 63, expected);
        b[0] = t->pack8(w, 256, 63, got);
        assert_true(cr_int8_scalar.pack4(w, 256, 5, grids, expected + bytes8, a + 1,
                                         a + 2, a + 3));
        assert_true(t->pack4(w, 256, 5, grids, got + bytes8, b + 1, b + 2, b + 3));
        assert_memory_equal(a, b, sizeof a);
        assert_memory_equal(expected, got, bytes4 + bytes8);
        for (size_t i = 0; i < 3; i++) {
            const float bad[] = {NAN, INFINITY, -INFINITY};
            float broken[256];
            memcpy(broken, w, sizeof w);
            broken[77 * (i + 1)] = bad[i];
            assert_true(isnan(t->pack8(broken, 256, 0, got)));
            assert_false(t->pack4(broken, 256, 0, grids, got + bytes8, b, b + 1, b + 2));
        }
        memcpy(got, expected, bytes4 + bytes8);
    }
    free(expected);
    free(got);
}

/* Weights on a 4-bit grid already: found again, and the same from either kind of panel. */
static void test_grids_are_found_again(void **state) {
    (void)state;
    struct cr_rng r;
    cr_rng_seed(&r, t_seed(4));
    enum { K = 256 };
    float w[K];
    for (size_t b = 0; b < K / 32; b++)
        for (size_t i = 0; i < 32; i++) {
            size_t q = i == 0 ? 0 : i == 1 ? 15 : cr_rng_below(&r, 16);
            w[32 * b + i] = 0.01f * (float)(b + 1) * (float)q - 0.07f * (float)(b + 1);
        }
    for (int isa = 0; isa < CR_ISA_COUNT; isa++) {
        if (!cr_isa_available((enum cr_isa)isa))
            continue;
        const struct cr_int8 *t = cr_int8_for((enum cr_isa)isa);
        uint8_t *four = allocate(cr_int4_panel_bytes(K)),
                *eight = allocate(cr_int8_panel_bytes(K));
        uint8_t *eight_scalar = allocate(cr_int8_panel_bytes(K));
        float scale[64] = {0}, min[64] = {0}, scale8[64] = {0};
        memset(four, 0, cr_int4_panel_bytes(K));
        assert_true(t->pack4(w, K, 9, grids, four, scale + 9, min + 9, scale8 + 9));
        t->widen(four, scale, min, scale8, K, eight);
        cr_int8_scalar.widen(four, scale, min, scale8, K, eight_scalar);
        assert_memory_equal(eight, eight_scalar, cr_int8_panel_bytes(K));
        for (size_t k = 0; k < K; k++) {
            const uint8_t *block = four + k / 32 * (16 * 64 + 128);
            uint8_t both = block[k % 32 / 8 * 256 + 36 + k % 4];
            float q = (float)(k % 8 < 4 ? both & 15 : both >> 4);
            float back =
                scale[9] * (float)block[1024 + 9] * q - min[9] * (float)block[1088 + 9];
            /* Half a unit of the byte for s, up to 15 times, and of that for t. */
            T_NEAR(back, w[k], (double)(8 * scale[9] + min[9]), 0);
            float wide = scale8[9] * ((float)eight[k / 4 * 256 + 36 + k % 4] - 128);
            T_NEAR(wide, back, 0.6 * (double)scale8[9], 0);
        }
        free(four);
        free(eight);
        free(eight_scalar);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rows_are_quantised_alike),
        cmocka_unit_test(test_extreme_groups),
        cmocka_unit_test(test_products_have_the_bits_of_scalar),
        cmocka_unit_test(test_long_rows_in_pieces),
        cmocka_unit_test(test_full_range_does_not_saturate),
        cmocka_unit_test(test_packing),
        cmocka_unit_test(test_grids_are_found_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
