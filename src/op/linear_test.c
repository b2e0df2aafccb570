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

/* Weights laid out beforehand give the bits of prefill in both phases, whoever travels along. */
static void test_panels_beforehand(void **state) {
    (void)state;
    static const size_t widths[] = {1, 31, 64, 130}, lens[] = {1, 7, 96, 193};
    struct cr_rng r;
    critic_error err;
    struct cr_exec *ex = exec_new(cr_isa_best(), CR_COMPUTE_BF16, 2);
    cr_rng_seed(&r, 17);
    for (size_t i = 0; i < 16; i++) {
        size_t n = widths[i % 4], k = lens[i / 4], rows = 9;
        enum cr_dtype dtype = i % 3 == 0 ? CR_F32 : i % 3 == 1 ? CR_BF16 : CR_F16;
        struct cr_arena arena;
        struct cr_linear plain[2], laid[2];
        struct cr_tensor x = random_matrix(CR_BF16, rows, k, &r);
        struct cr_tensor y[2], z[2];
        T_OK(cr_arena_init(&arena, 1 << 20, &err));
        for (size_t m = 0; m < 2; m++) {
            y[m] = random_matrix(CR_BF16, rows, n, &r);
            z[m] = random_matrix(CR_BF16, rows, n, &r);
            plain[m] = (struct cr_linear){.w = random_matrix(dtype, n, k, &r)};
            laid[m] = plain[m];
            if (!cr_linear_has_panels(&plain[m].w, ex)) {
                print_message("no tiles here\n");
                skip();
            }
            size_t before = arena.used;
            laid[m].panels = cr_linear_panels(&plain[m].w, &arena, ex);
            assert_non_null(laid[m].panels);
            assert_true(arena.used - before <= cr_linear_panels_bytes(&plain[m].w));
        }
        cr_linear_fwd(y[0], x, &plain[0], CR_ASSIGN, CR_PREFILL, ex);
        cr_linear_fwd(z[0], x, &laid[0], CR_ASSIGN, CR_PREFILL, ex);
        assert_memory_equal(y[0].data, z[0].data, rows * y[0].row_bytes);
        for (size_t t = 0; t < rows; t += 4) {
            size_t part = CR_MIN(rows - t, 4);
            cr_linear_fwd(cr_tensor_slice(&z[1], t, part), cr_tensor_slice(&x, t, part),
                          &laid[0], CR_ASSIGN, CR_STEP, ex);
        }
        assert_memory_equal(y[0].data, z[1].data, rows * y[0].row_bytes);
        cr_linear_group_fwd(z, (const struct cr_linear *[]){&laid[1], &laid[0]}, 2, x,
                            CR_STEP, ex);
        assert_memory_equal(y[0].data, z[1].data, rows * y[0].row_bytes);
        struct cr_linear out = {.w = random_matrix(dtype, 3, n, &r)};
        struct cr_tensor sums[2];
        for (size_t m = 0; m < 2; m++) {
            sums[m] = random_matrix(CR_F32, rows, 3, &r);
            memset(sums[m].data, 0, rows * sums[m].row_bytes);
        }
        cr_linear_ffn_fwd(sums[0], x, &(struct cr_ffn){&plain[0], &plain[1], &out, 0},
                          CR_PREFILL, ex);
        out.panels = cr_linear_panels(&out.w, &arena, ex);
        cr_linear_ffn_fwd(sums[1], x, &(struct cr_ffn){&laid[0], &laid[1], &out, 0},
                          CR_STEP, ex);
        assert_memory_equal(sums[0].data, sums[1].data, rows * sums[0].row_bytes);
        free(sums[0].data);
        free(sums[1].data);
        free(out.w.data);
        for (size_t m = 0; m < 2; m++) {
            free(y[m].data);
            free(z[m].data);
            free(plain[m].w.data);
        }
        free(x.data);
        cr_arena_fini(&arena);
    }
    cr_exec_free(ex);
}

/* Panels that are packed while others are multiplied, also in parts and by threads that help, hold what
 * a panel has that is alone. */
static void check_ahead(size_t rows, size_t k, int n_threads, struct cr_rng *r) {
    struct cr_exec *ex = exec_new(cr_isa_best(), CR_COMPUTE_BF16, n_threads);
    size_t n = 5 * 64 + 40;
    struct cr_linear all = {.w = random_matrix(CR_BF16, n, k, r)};
    struct cr_tensor x = random_matrix(CR_BF16, rows, k, r);
    struct cr_tensor y = random_matrix(CR_F32, rows, n, r);
    cr_linear_fwd(y, x, &all, CR_ASSIGN, CR_PREFILL, ex);
    for (size_t first = 0; first < n; first += 64) {
        struct cr_linear one = {
            .w = cr_tensor_slice(&all.w, first, CR_MIN(n - first, (size_t)64))};
        struct cr_tensor z = random_matrix(CR_F32, rows, one.w.dim[0], r);
        cr_linear_fwd(z, x, &one, CR_ASSIGN, CR_PREFILL, ex);
        for (size_t t = 0; t < rows; t++)
            assert_memory_equal(cr_tensor_row(&z, t),
                                (float *)cr_tensor_row(&y, t) + first, z.row_bytes);
        free(z.data);
    }
    free(y.data);
    free(x.data);
    free(all.w.data);
    cr_exec_free(ex);
}

static void test_panels_ahead(void **state) {
    (void)state;
    static const size_t counts[] = {1, 7, 90, 250}, lens[] = {31, 100, 128, 4870};
    struct cr_rng r;
    cr_rng_seed(&r, t_seed(29));
    for (size_t i = 0; i < CR_COUNT(counts) * CR_COUNT(lens); i++)
        for (int n_threads = 1; n_threads <= 3; n_threads++)
            check_ahead(counts[i % 4], lens[i / 4], n_threads, &r);
}

/* Few columns have a kernel of their own: the bits of the same columns among many. */
static void test_few_columns(void **state) {
    (void)state;
    struct cr_rng r;
    cr_rng_seed(&r, 23);
    struct cr_exec *ex = exec_new(cr_isa_best(), CR_COMPUTE_BF16, 2);
    size_t rows = 29, n = 100, k = 5001;
    struct cr_linear all = {.w = random_matrix(CR_BF16, n, k, &r)};
    struct cr_tensor x = random_matrix(CR_BF16, rows, k, &r);
    struct cr_tensor y = random_matrix(CR_F32, rows, n, &r);
    cr_linear_fwd(y, x, &all, CR_ASSIGN, CR_PREFILL, ex);
    for (size_t few = 1; few < 40; few += 6) {
        struct cr_linear part = {.w = cr_tensor_slice(&all.w, 0, few)};
        struct cr_tensor z = random_matrix(CR_F32, rows, few, &r);
        cr_linear_fwd(z, x, &part, CR_ASSIGN, CR_PREFILL, ex);
        for (size_t t = 0; t < rows; t++)
            assert_memory_equal(cr_tensor_row(&z, t), cr_tensor_row(&y, t),
                                few * sizeof(float));
        free(z.data);
    }
    free(y.data);
    free(x.data);
    free(all.w.data);
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
        cmocka_unit_test(test_panels_beforehand),
        cmocka_unit_test(test_panels_ahead),
        cmocka_unit_test(test_few_columns),
        cmocka_unit_test(test_embed_copies_rows),
        cmocka_unit_test(test_host_threads_are_kept),
        cmocka_unit_test(test_unavailable_isa_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
