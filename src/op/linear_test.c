#include "t_exec.h"

#include <omp.h>

#include "base/checked.h"
#include "base/rng.h"
#include "kernel/dense.h"
#include "kernel/gemm.h"
#include "kernel/quant.h"
#include "op/embed.h"
#include "op/linear.h"

static const enum cr_isa isas[] = {CR_ISA_AVX512, CR_ISA_AVX2, CR_ISA_NEON,
                                   CR_ISA_SCALAR};
static const enum cr_dtype weights[] = {CR_F32,  CR_F16,  CR_BF16, CR_Q8_0,
                                        CR_Q4_0, CR_Q4_1, CR_Q5_0, CR_Q5_1,
                                        CR_Q4_K, CR_Q5_K, CR_Q6_K};

static struct cr_exec *exec_new(enum cr_isa isa, enum cr_compute compute, int n_threads) {
    critic_error err;
    struct cr_exec *ex;
    struct cr_exec_opts opts = {.isa = isa, .compute = compute, .n_threads = n_threads};
    T_OK(cr_exec_new(&ex, &opts, &err));
    return ex;
}

static void *allocate(size_t bytes) {
    void *p = malloc(bytes ? bytes : 1);
    assert_non_null(p);
    return p;
}

/* Rows of random weights with modest scales, in blocks of exactly the right size. */
static struct cr_tensor random_matrix(enum cr_dtype dtype, size_t rows, size_t cols,
                                      struct cr_rng *r) {
    struct cr_tensor t = cr_tensor_view2(NULL, dtype, rows, cols);
    unsigned char *bytes = t.data = allocate(rows * t.row_bytes);
    size_t block = cr_dtype_block_bytes(dtype);
    if (cr_dtype_block_len(dtype) == 1) {
        for (size_t i = 0; i < rows * cols; i++) {
            float v = (float)cr_rng_normal(r);
            cr_row_from_f32(dtype, &v, bytes + i * block, 1);
        }
        return t;
    }
    for (size_t at = 0; at < rows * t.row_bytes; at++)
        bytes[at] = (unsigned char)cr_rng_below(r, 256);
    for (size_t at = 0; at < rows * t.row_bytes; at += block) {
        float halves[2] = {(float)cr_rng_normal(r) * 0.01f,
                           (float)cr_rng_normal(r) * 0.01f};
        bool two = dtype != CR_Q8_0 && dtype != CR_Q4_0 && dtype != CR_Q5_0;
        if (dtype == CR_Q6_K)
            cr_row_from_f32(CR_F16, halves, bytes + at + 208, 1);
        else
            cr_row_from_f32(CR_F16, halves, bytes + at, two ? 2 : 1);
    }
    return t;
}

static float at(const struct cr_tensor *t, size_t row, size_t col) {
    float v;
    size_t bytes = cr_dtype_block_bytes(t->dtype);
    cr_row_to_f32(t->dtype, (char *)cr_tensor_row(t, row) + col * bytes, &v, 1);
    return v;
}

static const char *phase_name(enum cr_phase phase) {
    return phase == CR_STEP ? "step" : "prefill";
}

struct case_ {
    enum cr_isa isa;
    enum cr_compute compute;
    enum cr_dtype w, y, bias; /* bias CR_BOOL: none */
    enum cr_store_mode mode;
    enum cr_phase phase;
    size_t m, n, k, y_pad; /* y rows are y_pad elements longer than n */
    bool f32_rows;         /* cr_linear_f32_fwd */
};

/* Compares y with sums in double. The error of a f32 sum is bounded by the sum of magnitudes
 * times a few units of 2^-24 (docs/numerics.md); where weights are rounded to bf16 on the
 * way, and where y is bf16, 2^-9 of magnitude and result come on top; where a row of f32 is
 * taken as two of bf16, what the second leaves, 2^-18. */
static void check_against_double(const struct case_ *c, const struct cr_tensor *y,
                                 const struct cr_tensor *before,
                                 const struct cr_tensor *x, const struct cr_linear *lin) {
    float *row = allocate(c->k * sizeof *row), *x32 = allocate(c->m * c->k * sizeof *x32);
    for (size_t t = 0; t < c->m; t++)
        cr_row_to_f32(x->dtype, cr_tensor_row(x, t), x32 + t * c->k, c->k);
    bool rounds_w =
        c->compute == CR_COMPUTE_BF16 && c->phase == CR_PREFILL && c->w != CR_BF16;
    for (size_t n = 0; n < c->n; n++) {
        cr_row_to_f32(c->w, cr_tensor_row(&lin->w, n), row, c->k);
        for (size_t t = 0; t < c->m; t++) {
            double sum = 0, magnitude = 0;
            for (size_t k = 0; k < c->k; k++) {
                double product = (double)row[k] * (double)x32[t * c->k + k];
                sum += product;
                magnitude += fabs(product);
            }
            double bias = lin->bias.data ? (double)at(&lin->bias, 0, n) : 0;
            double base = c->mode == CR_ADD ? (double)at(before, t, n) : 0;
            sum += bias + base;
            double ends = fabs(bias) + fabs(base);
            double rtol = c->y == CR_BF16 ? 0x1p-8 : 0x1p-22;
            double atol = magnitude * (rounds_w ? 0x1p-8 : 0x1p-20) + ends * 0x1p-22;
            if (c->f32_rows)
                atol += magnitude * 0x1p-18;
            double got = (double)at(y, t, n);
            if (!(fabs(got - sum) <= atol + rtol * fabs(sum)))
                fail_msg("%s %s w %s y %s m %zu n %zu k %zu: y[%zu,%zu] %g, expected %g",
                         cr_isa_name(c->isa), phase_name(c->phase), cr_dtype_name(c->w),
                         cr_dtype_name(c->y), c->m, c->n, c->k, t, n, got, sum);
        }
    }
    free(x32);
    free(row);
}

static void run_case(const struct case_ *c, struct cr_exec *ex, struct cr_rng *r) {
    struct cr_linear lin = {.w = random_matrix(c->w, c->n, c->k, r)};
    if (c->bias != CR_BOOL)
        lin.bias = random_matrix(c->bias, 1, c->n, r);
    struct cr_tensor x = random_matrix(ex->act, c->m, c->k, r);
    struct cr_tensor y = random_matrix(c->y, c->m, c->n + c->y_pad, r);
    struct cr_tensor before = y;
    before.data = allocate(c->m * y.row_bytes);
    memcpy(before.data, y.data, c->m * y.row_bytes);
    y.dim[1] = before.dim[1] = c->n;
    cr_linear_fwd(y, x, &lin, c->mode, c->phase, ex);
    assert_int_equal(ex->scratch.used, 0);
    check_against_double(c, &y, &before, &x, &lin);
    size_t row_bytes = c->n * cr_dtype_block_bytes(c->y);
    for (size_t t = 0; t < c->m; t++) /* what lies behind a row is left alone */
        assert_memory_equal((char *)cr_tensor_row(&y, t) + row_bytes,
                            (char *)cr_tensor_row(&before, t) + row_bytes,
                            y.row_bytes - row_bytes);
    free(before.data);
    free(y.data);
    free(x.data);
    free(lin.bias.data);
    free(lin.w.data);
}

/* One dtype of weights on one context: row counts around every pass length, plain row
 * lengths around every vector and tile, odd n; store modes, y and bias dtypes, strides. */
static void run_cases(struct case_ c, struct cr_exec *ex, struct cr_rng *r) {
    static const size_t ms[] = {0, 1, 2, 3, 4, 5, 7, 8, 9, 17};
    static const size_t plain_ks[] = {1, 7, 8, 31, 33, 63, 64, 65, 127, 129, 200, 256};
    size_t block = cr_dtype_block_len(c.w);
    size_t n_ks = block == 1 ? CR_COUNT(plain_ks) : 3;
    static const enum cr_dtype biases[] = {CR_BOOL, CR_F32, CR_F16, CR_BF16};
    size_t turn = 0;
    for (size_t i = 0; i < n_ks; i++) {
        for (size_t j = 0; j < CR_COUNT(ms); j++, turn++) {
            c.k = block == 1 ? plain_ks[i] : (i + 1) * block;
            c.m = ms[j];
            c.n = turn % 3 == 0 ? 1 : turn % 3 == 1 ? 19 : 33;
            c.bias = biases[turn % 4];
            c.mode = turn % 5 == 0 ? CR_ADD : CR_ASSIGN;
            c.y = turn % 5 != 0 && turn % 2 ? ex->act : CR_F32;
            c.y_pad = turn % 7 == 0 ? 5 : 0;
            run_case(&c, ex, r);
        }
    }
}

static void test_every_isa_against_double(void **state) {
    (void)state;
    struct cr_rng r;
    cr_rng_seed(&r, t_seed(1));
    for (size_t i = 0; i < CR_COUNT(isas); i++) {
        if (!cr_isa_available(isas[i]))
            continue;
        for (int compute = CR_COMPUTE_F32; compute <= CR_COMPUTE_BF16; compute++) {
            struct cr_exec *ex = exec_new(isas[i], (enum cr_compute)compute, 2);
            for (size_t w = 0; w < CR_COUNT(weights); w++) {
                struct case_ c = {
                    .isa = isas[i], .compute = (enum cr_compute)compute, .w = weights[w]};
                c.phase = CR_STEP;
                run_cases(c, ex, &r);
                c.phase = CR_PREFILL;
                run_cases(c, ex, &r);
            }
            cr_exec_free(ex);
        }
    }
}

static void test_f32_rows_are_not_rounded(void **state) {
    (void)state;
    struct cr_rng r;
    cr_rng_seed(&r, t_seed(4));
    T_EACH_ISA(isa) {
        for (int i = 0; i < 8; i++) {
            struct case_ c = {.isa = isa,
                              .compute = i & 1 ? CR_COMPUTE_BF16 : CR_COMPUTE_F32,
                              .phase = i & 2 ? CR_STEP : CR_PREFILL,
                              .mode = i & 4 ? CR_ADD : CR_ASSIGN,
                              .w = CR_BF16,
                              .y = CR_F32,
                              .m = 7,
                              .n = 70,
                              .k = 99,
                              .f32_rows = true};
            struct cr_exec *ex = t_exec(isa, c.compute, 2);
            struct cr_linear lin = {.w = random_matrix(CR_BF16, c.n, c.k, &r),
                                    .bias = random_matrix(CR_F32, 1, c.n, &r)};
            struct cr_tensor x = random_matrix(CR_F32, c.m, c.k, &r);
            struct cr_tensor y = random_matrix(CR_F32, c.m, c.n, &r), before = y;
            before.data = allocate(c.m * y.row_bytes);
            memcpy(before.data, y.data, c.m * y.row_bytes);
            cr_linear_f32_fwd(y, x, &lin, c.mode, c.phase, ex);
            check_against_double(&c, &y, &before, &x, &lin);
            assert_int_equal(cr_arena_mark(&ex->scratch), 0);
            free(before.data);
            free(y.data);
            free(x.data);
            free(lin.w.data);
            free(lin.bias.data);
            cr_exec_free(ex);
        }
    }
}

static void test_empty_row_gives_the_bias(void **state) {
    (void)state;
    for (size_t i = 0; i < CR_COUNT(isas); i++) {
        if (!cr_isa_available(isas[i]))
            continue;
        struct cr_exec *ex = exec_new(isas[i], CR_COMPUTE_F32, 1);
        float nothing = 0, b[3] = {1, 2, 3}, y[6] = {9, 9, 9, 9, 9, 9};
        struct cr_linear lin = {.w = cr_tensor_view2(&nothing, CR_F32, 3, 0),
                                .bias = cr_tensor_view2(b, CR_F32, 1, 3)};
        for (int phase = CR_PREFILL; phase <= CR_STEP; phase++) {
            cr_linear_fwd(cr_tensor_view2(y, CR_F32, 2, 3),
                          cr_tensor_view2(&nothing, CR_F32, 2, 0), &lin, CR_ASSIGN,
                          (enum cr_phase)phase, ex);
            assert_memory_equal(y, b, sizeof b);
            assert_memory_equal(y + 3, b, sizeof b);
        }
        cr_exec_free(ex);
    }
}

static void test_small_product_is_exact(void **state) {
    (void)state;
    for (size_t i = 0; i < CR_COUNT(isas); i++) {
        if (!cr_isa_available(isas[i]))
            continue;
        struct cr_exec *ex = exec_new(isas[i], CR_COMPUTE_F32, 0);
        float x[2][3] = {{1, 2, 3}, {-1, 0, 4}};
        float w[2][3] = {{1, 1, 1}, {2, -1, 0.5f}};
        float b[2] = {10, 20}, y[2][2] = {{1, 1}, {1, 1}};
        struct cr_linear lin = {.w = cr_tensor_view2(w, CR_F32, 2, 3),
                                .bias = cr_tensor_view2(b, CR_F32, 1, 2)};
        struct cr_tensor ty = cr_tensor_view2(y, CR_F32, 2, 2);
        struct cr_tensor tx = cr_tensor_view2(x, CR_F32, 2, 3);
        cr_linear_fwd(ty, tx, &lin, CR_ADD, CR_STEP, ex);
        float expected[2][2] = {{17, 22.5f}, {14, 21}};
        assert_memory_equal(y, expected, sizeof y);
        cr_linear_fwd(ty, tx, &lin, CR_ASSIGN, CR_PREFILL, ex);
        float assigned[2][2] = {{16, 21.5f}, {13, 20}};
        assert_memory_equal(y, assigned, sizeof y);
        cr_exec_free(ex);
    }
}

/* A reference run of many rows, then any number of them from any place on 1 and 2 threads. */
static void check_invariance(enum cr_isa isa, enum cr_compute compute, enum cr_dtype w,
                             enum cr_phase phase, size_t k, size_t n, struct cr_rng *r) {
    static const size_t counts[] = {1,  2,  3,  4,  5,   6,   7,  8,
                                    13, 16, 31, 64, 100, 300, 512};
    static const size_t offsets[] = {0, 1, 37};
    const size_t most = phase == CR_STEP ? 40 : 600;
    struct cr_exec *two = exec_new(isa, compute, 2), *one = exec_new(isa, compute, 1);
    struct cr_linear lin = {.w = random_matrix(w, n, k, r),
                            .bias = random_matrix(CR_F32, 1, n, r)};
    struct cr_tensor x = random_matrix(two->act, most, k, r);
    struct cr_tensor all = random_matrix(CR_F32, most, n, r);
    struct cr_tensor some = random_matrix(CR_F32, most, n, r);
    cr_linear_fwd(all, x, &lin, CR_ASSIGN, phase, two);
    for (size_t i = 0; i < CR_COUNT(counts); i++) {
        for (size_t j = 0; j < CR_COUNT(offsets); j++) {
            size_t m = counts[i], first = offsets[j];
            if (first + m > most)
                continue;
            struct cr_exec *ex = (i + j) % 2 ? two : one;
            cr_linear_fwd(cr_tensor_slice(&some, 0, m), cr_tensor_slice(&x, first, m),
                          &lin, CR_ASSIGN, phase, ex);
            if (memcmp(some.data, cr_tensor_row(&all, first), m * all.row_bytes) != 0)
                fail_msg("%s %s w %s k %zu n %zu: %zu rows at %zu on %d threads differ",
                         cr_isa_name(isa), phase_name(phase), cr_dtype_name(w), k, n, m,
                         first, ex->n_threads);
        }
    }
    free(some.data);
    free(all.data);
    free(x.data);
    free(lin.bias.data);
    free(lin.w.data);
    cr_exec_free(two);
    cr_exec_free(one);
}

static void test_rows_do_not_depend_on_company(void **state) {
    (void)state;
    struct cr_rng r;
    cr_rng_seed(&r, t_seed(2));
    static const size_t shapes[][2] = {{896, 128}, {72, 40}, {37, 19}, {256, 1030}};
    for (size_t i = 0; i < CR_COUNT(isas); i++) {
        if (!cr_isa_available(isas[i]) || isas[i] == CR_ISA_SCALAR)
            continue;
        for (int compute = CR_COMPUTE_F32; compute <= CR_COMPUTE_BF16; compute++) {
            for (size_t s = 0; s < CR_COUNT(shapes); s++) {
                size_t k = shapes[s][0], n = shapes[s][1];
                enum cr_dtype w = compute == CR_COMPUTE_F32 ? CR_F32 : CR_BF16;
                check_invariance(isas[i], (enum cr_compute)compute, w, CR_PREFILL, k, n,
                                 &r);
            }
            for (size_t w = 0; w < CR_COUNT(weights); w++) {
                size_t k = 2 * cr_dtype_block_len(weights[w]);
                k = k == 2 ? 200 : k;
                check_invariance(isas[i], (enum cr_compute)compute, weights[w], CR_STEP,
                                 k, 45, &r);
                check_invariance(isas[i], (enum cr_compute)compute, weights[w],
                                 CR_PREFILL, k, 45, &r);
            }
        }
    }
}

/* A weight that is larger than a panel must give what its rows give one part at a time. */
static void test_panels_join(void **state) {
    (void)state;
    struct cr_rng r;
    cr_rng_seed(&r, t_seed(3));
    enum cr_isa isa = cr_isa_best();
    struct cr_exec *ex = exec_new(isa, CR_COMPUTE_F32, 2);
    size_t k = 4096, n = 4500, m = 3; /* 70 MiB of f32 */
    struct cr_linear lin = {.w = random_matrix(CR_Q8_0, n, k, &r),
                            .bias = random_matrix(CR_F32, 1, n, &r)};
    struct cr_tensor x = random_matrix(CR_F32, m, k, &r);
    struct cr_tensor y = random_matrix(CR_F32, m, n, &r);
    struct cr_tensor part_y = random_matrix(CR_F32, m, n, &r);
    cr_linear_fwd(y, x, &lin, CR_ASSIGN, CR_PREFILL, ex);
    for (size_t first = 0; first < n; first += 1500) {
        struct cr_linear part = {.w = cr_tensor_slice(&lin.w, first, 1500),
                                 .bias = lin.bias};
        part.bias.data = (float *)lin.bias.data + first;
        part.bias.dim[1] = 1500;
        struct cr_tensor columns = part_y;
        columns.data = (float *)part_y.data + first;
        columns.dim[1] = 1500;
        cr_linear_fwd(columns, x, &part, CR_ASSIGN, CR_PREFILL, ex);
    }
    for (size_t i = 0; i < m * n; i++)
        T_NEAR(((float *)y.data)[i], ((float *)part_y.data)[i], 1e-3, 1e-5);
    free(part_y.data);
    free(y.data);
    free(x.data);
    free(lin.bias.data);
    free(lin.w.data);
    cr_exec_free(ex);
}

static void test_embed_copies_rows(void **state) {
    (void)state;
    struct cr_rng r;
    cr_rng_seed(&r, t_seed(4));
    int32_t ids[3] = {3, 0, 3};
    for (size_t i = 0; i < CR_COUNT(isas) * CR_COUNT(weights); i++) {
        enum cr_isa isa = isas[i % CR_COUNT(isas)];
        if (!cr_isa_available(isa))
            continue;
        struct cr_exec *ex = exec_new(isa, CR_COMPUTE_F32, 2);
        struct cr_tensor w = random_matrix(weights[i / CR_COUNT(isas)], 4, 256, &r);
        float y[3][256], expected[256];
        cr_embed_fwd(cr_tensor_view2(y, CR_F32, 3, 256), ids, w, ex);
        for (size_t t = 0; t < 3; t++) {
            cr_row_to_f32(w.dtype, cr_tensor_row(&w, (size_t)ids[t]), expected, 256);
            for (size_t d = 0; d < 256; d++)
                assert_true(y[t][d] == expected[d]);
        }
        free(w.data);
        cr_exec_free(ex);
    }
}

static void test_host_threads_are_kept(void **state) {
    (void)state;
    omp_set_num_threads(3);
    struct cr_exec *ex = exec_new(cr_isa_best(), CR_COMPUTE_F32, 2);
    float x[4] = {1, 2, 3, 4}, w[4] = {1, 1, 1, 1}, y[4];
    struct cr_linear lin = {.w = cr_tensor_view2(w, CR_F32, 2, 2)};
    cr_linear_fwd(cr_tensor_view2(y, CR_F32, 2, 2), cr_tensor_view2(x, CR_F32, 2, 2),
                  &lin, CR_ASSIGN, CR_PREFILL, ex);
    assert_int_equal(omp_get_max_threads(), 3);
    assert_int_equal((int)y[3], 7);
    cr_exec_free(ex);
}

static void test_unavailable_isa_is_refused(void **state) {
    (void)state;
    critic_error err;
    for (int isa = 0; isa < CR_ISA_COUNT; isa++) {
        if (cr_isa_available((enum cr_isa)isa))
            continue;
        struct cr_exec *ex;
        T_FAILS(cr_exec_new(&ex, &(struct cr_exec_opts){.isa = (enum cr_isa)isa}, &err),
                CRITIC_UNSUPPORTED, cr_isa_name((enum cr_isa)isa));
        assert_null(ex);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_small_product_is_exact),
        cmocka_unit_test(test_every_isa_against_double),
        cmocka_unit_test(test_f32_rows_are_not_rounded),
        cmocka_unit_test(test_empty_row_gives_the_bias),
        cmocka_unit_test(test_rows_do_not_depend_on_company),
        cmocka_unit_test(test_panels_join),
        cmocka_unit_test(test_embed_copies_rows),
        cmocka_unit_test(test_host_threads_are_kept),
        cmocka_unit_test(test_unavailable_isa_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
