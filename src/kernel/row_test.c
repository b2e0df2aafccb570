/* Every table against formulas in double, over dense sweeps and every size near a vector. */
#include "kernel/row.h"

#include <float.h>

#include "base/rng.h"
#include "kernel/quant.h"
#include "t.h"

#define N_SWEEP ((size_t)1 << 20)
#define ULP     0x1p-23

#define EACH_TABLE(isa, table)                                                           \
    for (enum cr_isa isa = CR_ISA_SCALAR; isa < CR_ISA_COUNT; isa++)                     \
        for (const struct cr_row_kernels *table = cr_row_kernels_for(isa);               \
             table && cr_isa_available(isa); table = NULL)

static double exact_silu(double x, double *tail) {
    *tail = 0;
    return x / (1 + exp(-x));
}

static double exact_gelu_tanh(double x, double *tail) {
    double u = 0.79788456080286535588 * (x + 0.044715 * x * x * x);
    *tail = fabs(2 * u);
    return x / (1 + exp(-2 * u));
}

static double exact_gelu_erf(double x, double *tail) {
    *tail = 0;
    return 0.5 * x * erfc(-x * 0.70710678118654752440);
}

static void apply_silu(const struct cr_row_kernels *k, float *y, const float *x,
                       size_t n) {
    static float ones[N_SWEEP];
    for (size_t i = 0; i < n; i++)
        ones[i] = 1.0f;
    k->swiglu(y, CR_F32, x, ones, CR_F32, n);
}

static void apply_gelu_tanh(const struct cr_row_kernels *k, float *y, const float *x,
                            size_t n) {
    k->gelu_tanh(y, CR_F32, x, CR_F32, n);
}

static void apply_gelu_erf(const struct cr_row_kernels *k, float *y, const float *x,
                           size_t n) {
    k->gelu_erf(y, CR_F32, x, CR_F32, n);
}

static const struct function {
    const char *name;
    void (*apply)(const struct cr_row_kernels *k, float *y, const float *x, size_t n);
    double (*exact)(double x, double *tail);
    double ulps, tail_ulps;
} functions[] = {
    {"silu", apply_silu, exact_silu, 2.5, 0},
    {"gelu_tanh", apply_gelu_tanh, exact_gelu_tanh, 2.5, 1.5},
    {"gelu_erf", apply_gelu_erf, exact_gelu_erf, 5, 0},
};

/* Largest error in units of the bound. */
static void check_sweep(const struct function *f, const struct cr_row_kernels *table,
                        enum cr_isa isa, const float *x, size_t n) {
    static float y[N_SWEEP];
    double worst = 0;
    f->apply(table, y, x, n);
    for (size_t i = 0; i < n; i++) {
        double tail, expected = f->exact((double)x[i], &tail);
        if (isnan(expected) || isinf(expected)) {
            if (!(isnan(expected) ? isnan(y[i]) : (double)y[i] == expected))
                fail_msg("%s %s(%a) = %g, expected %g", cr_isa_name(isa), f->name,
                         (double)x[i], (double)y[i], expected);
            continue;
        }
        double bound = (f->ulps + f->tail_ulps * tail) * ULP * fabs(expected) + 0x1p-120;
        double error = fabs((double)y[i] - expected);
        worst = fmax(worst, error / bound);
        if (!(error <= bound))
            fail_msg("%s %s(%a) = %.9g, expected %.9g: %.2f ulp", cr_isa_name(isa),
                     f->name, (double)x[i], (double)y[i], expected,
                     error / fabs(expected) / ULP);
    }
    print_message("%s %s: worst %.2f of the bound\n", cr_isa_name(isa), f->name, worst);
}

static void test_functions_over_dense_sweeps(void **state) {
    (void)state;
    static float x[N_SWEEP];
    EACH_TABLE(isa, table) {
        for (size_t f = 0; f < sizeof functions / sizeof *functions; f++) {
            for (size_t i = 0; i < 65536; i++) /* +-0, denormals, infinities, NaN, huge */
                x[i] = cr_bf16_to_f32((uint16_t)i);
            check_sweep(&functions[f], table, isa, x, 65536);
            for (size_t i = 0; i < N_SWEEP; i++)
                x[i] = (float)((double)i / N_SWEEP * 220.0 - 110.0);
            check_sweep(&functions[f], table, isa, x, N_SWEEP);
            for (size_t i = 0; i < N_SWEEP; i++)
                x[i] = (float)((double)i / N_SWEEP * 8.0 - 4.0);
            check_sweep(&functions[f], table, isa, x, N_SWEEP);
        }
    }
}

/* Sizes around vectors, all type pairs, canaries behind y. */

static const size_t sizes[] = {0,  1,  2,  3,  7,  8,  9,  15,  16,  17,  31,
                               32, 33, 63, 64, 65, 72, 80, 127, 128, 130, 896};
#define N_SIZES  (sizeof sizes / sizeof *sizes)
#define MAX_SIZE 896

struct row {
    float f32[MAX_SIZE + 1];
    uint16_t bf16[MAX_SIZE + 1];
};

static void random_row(struct row *r, struct cr_rng *rng) {
    for (size_t i = 0; i <= MAX_SIZE; i++) {
        r->bf16[i] = cr_bf16_from_f32((float)cr_rng_normal(rng));
        r->f32[i] = cr_bf16_to_f32(r->bf16[i]); /* equal inputs for both types */
    }
}

static const void *data(const struct row *r, enum cr_dtype type) {
    return type == CR_F32 ? (const void *)r->f32 : (const void *)r->bf16;
}

static void check_row(const struct row *got, enum cr_dtype type, const float *expected,
                      size_t n, double rtol) {
    for (size_t i = 0; i < n; i++) {
        double value =
            (double)(type == CR_F32 ? got->f32[i] : cr_bf16_to_f32(got->bf16[i]));
        T_NEAR(value, expected[i], 2e-6, rtol + (type == CR_F32 ? 0 : 0x1.01p-8));
    }
    assert_true(got->f32[n] == 7.0f);
    assert_int_equal(got->bf16[n], 7);
}

static void mark_end(struct row *r, size_t n) {
    r->f32[n] = 7.0f;
    r->bf16[n] = 7;
}

#define EACH_TYPE(type)                                                                  \
    for (enum cr_dtype type = CR_F32; type <= CR_BF16; type += CR_BF16)

static void check_elementwise(const struct cr_row_kernels *k, size_t n,
                              enum cr_dtype x_type, enum cr_dtype y_type,
                              const struct row *x, const struct row *up) {
    const struct cr_row_kernels *scalar = &cr_row_scalar;
    static struct row y;
    static float expected[MAX_SIZE];
    void *out = y_type == CR_F32 ? (void *)y.f32 : (void *)y.bf16;
    mark_end(&y, n);
    k->gelu_tanh(out, y_type, data(x, x_type), x_type, n);
    scalar->gelu_tanh(expected, CR_F32, x->f32, CR_F32, n);
    check_row(&y, y_type, expected, n, 1e-6);
    k->gelu_erf(out, y_type, data(x, x_type), x_type, n);
    scalar->gelu_erf(expected, CR_F32, x->f32, CR_F32, n);
    check_row(&y, y_type, expected, n, 1e-6);
    k->swiglu(out, y_type, data(x, x_type), data(up, x_type), x_type, n);
    scalar->swiglu(expected, CR_F32, x->f32, up->f32, CR_F32, n);
    check_row(&y, y_type, expected, n, 1e-6);
    if (n % 2 == 0 && n) { /* one head of n, and heads of 2 */
        k->rope(out, y_type, data(x, x_type), x_type, up->f32, up->f32 + n / 2, 1, n);
        scalar->rope(expected, CR_F32, x->f32, CR_F32, up->f32, up->f32 + n / 2, 1, n);
        check_row(&y, y_type, expected, n, 1e-6);
        k->rope(out, y_type, data(x, x_type), x_type, up->f32, up->f32 + 1, n / 2, 2);
        scalar->rope(expected, CR_F32, x->f32, CR_F32, up->f32, up->f32 + 1, n / 2, 2);
        check_row(&y, y_type, expected, n, 1e-6);
    }
}

static void check_norms(const struct cr_row_kernels *k, size_t n, enum cr_dtype y_type,
                        const struct row *x, const struct row *w, const struct row *b) {
    static struct row y;
    static float expected[MAX_SIZE];
    float stats[2], right[2];
    void *out = y_type == CR_F32 ? (void *)y.f32 : (void *)y.bf16;
    mark_end(&y, n);
    float rrms = k->rmsnorm(out, y_type, x->f32, w->f32, n, 1e-6f);
    T_NEAR(rrms, cr_row_scalar.rmsnorm(expected, CR_F32, x->f32, w->f32, n, 1e-6f), 0,
           1e-6);
    check_row(&y, y_type, expected, n, 2e-6);
    k->layernorm(out, y_type, stats, x->f32, w->f32, b->f32, n, 1e-6f);
    cr_row_scalar.layernorm(expected, CR_F32, right, x->f32, w->f32, b->f32, n, 1e-6f);
    T_NEAR(stats[0], right[0], 1e-6, 0);
    T_NEAR(stats[1], right[1], 0, 2e-6);
    if (n >
        1) /* one element is its own mean: rstd is 1000 and error is all that is left */
        check_row(&y, y_type, expected, n, 1e-5);
}

/* Both halves of n numbers that bf16 does not hold, and nothing behind them. */
static void check_split(const struct cr_row_kernels *table, size_t n,
                        struct cr_rng *rng) {
    static float x[MAX_SIZE];
    static uint16_t upper[MAX_SIZE + 1], rest[MAX_SIZE + 1];
    for (size_t i = 0; i < n; i++)
        x[i] = (float)cr_rng_normal(rng);
    memset(upper, 0x55, sizeof upper);
    memset(rest, 0x55, sizeof rest);
    table->split(upper, rest, x, n);
    for (size_t i = 0; i < n; i++) {
        assert_int_equal(upper[i], cr_bf16_from_f32(x[i]));
        assert_int_equal(rest[i], cr_bf16_from_f32(x[i] - cr_bf16_to_f32(upper[i])));
    }
    assert_true(upper[n] == 0x5555 && rest[n] == 0x5555);
}

static void test_sizes_and_types(void **state) {
    (void)state;
    struct cr_rng rng;
    cr_rng_seed(&rng, t_seed(5));
    static struct row x, w, b;
    EACH_TABLE(isa, table) {
        for (size_t s = 0; s < N_SIZES; s++) {
            random_row(&x, &rng);
            random_row(&w, &rng);
            random_row(&b, &rng);
            EACH_TYPE(y_type) {
                EACH_TYPE(x_type)
                check_elementwise(table, sizes[s], x_type, y_type, &x, &w);
                if (sizes[s])
                    check_norms(table, sizes[s], y_type, &x, &w, &b);
            }
            static float sum[MAX_SIZE + 1];
            memcpy(sum, x.f32, sizeof sum);
            table->add(sum, w.f32, sizes[s]);
            for (size_t i = 0; i <= MAX_SIZE; i++)
                assert_true(sum[i] == (i < sizes[s] ? x.f32[i] + w.f32[i] : x.f32[i]));
            check_split(table, sizes[s], &rng);
        }
    }
}

/* bf16 results are those of rounding the f32 result to nearest even. */
static void test_bf16_rounding(void **state) {
    (void)state;
    static float x[65536], one[1] = {1.0f}, zero[1] = {0.0f};
    static float y[65536];
    static uint16_t h[65536];
    struct cr_rng rng;
    cr_rng_seed(&rng, 3);
    for (size_t i = 0; i < 65536; i++) {
        uint32_t bits =
            (uint32_t)i << 16 | (i % 3 ? 0x8000 : (uint32_t)cr_rng_u64(&rng) & 0xFFFF);
        memcpy(&x[i], &bits, 4);
    }
    EACH_TABLE(isa, table) { /* a rotation by zero is a copy */
        for (size_t i = 0; i < 65536; i += 2) {
            table->rope(h + i, CR_BF16, x + i, CR_F32, one, zero, 1, 2);
            table->rope(y + i, CR_F32, x + i, CR_F32, one, zero, 1, 2);
        }
        for (size_t i = 0; i < 65536; i++) {
            if (isnan(y[i]))
                assert_true(isnan(cr_bf16_to_f32(h[i])));
            else if (fabsf(y[i]) >= FLT_MIN)
                assert_int_equal(h[i], cr_bf16_from_f32(y[i]));
            else
                assert_true(fabsf(cr_bf16_to_f32(h[i])) <= FLT_MIN);
        }
    }
}

static void test_norms_of_hard_rows(void **state) {
    (void)state;
    static float x[MAX_SIZE], w[MAX_SIZE], b[MAX_SIZE], y[MAX_SIZE];
    EACH_TABLE(isa, table) {
        float stats[2];
        for (size_t i = 0; i < MAX_SIZE; i++) {
            w[i] = 1.0f;
            b[i] = 0.5f;
            x[i] = 0.0f;
        }
        T_NEAR(table->rmsnorm(y, CR_F32, x, w, MAX_SIZE, 1e-6f), 1e3, 0, 1e-6);
        assert_true(y[0] == 0.0f && y[MAX_SIZE - 1] == 0.0f);
        for (size_t i = 0; i < MAX_SIZE; i++) /* a large mean must not eat the variance */
            x[i] = 1000.0f + (i % 2 ? 1.0f : -1.0f);
        table->layernorm(y, CR_F32, stats, x, w, b, MAX_SIZE, 1e-6f);
        T_NEAR(stats[0], 1000.0, 0, 1e-6);
        T_NEAR(y[0], -0.5, 1e-4, 0);
        T_NEAR(y[1], 1.5, 1e-4, 0);
        x[5] = NAN;
        assert_true(isnan(table->rmsnorm(y, CR_F32, x, w, MAX_SIZE, 1e-6f)));
        assert_true(isnan(y[0]));
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_functions_over_dense_sweeps),
        cmocka_unit_test(test_sizes_and_types),
        cmocka_unit_test(test_bf16_rounding),
        cmocka_unit_test(test_norms_of_hard_rows),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
