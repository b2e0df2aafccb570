/* The vector row kernels, once for every instruction set: included by row_avx2.c and
 * row_avx512.c behind the header that defines `vec`, LANES and the v_ operations, and
 * followed there by the table's definition.
 *
 * Functions of one number, errors against the exact value of the f32 argument (measured in
 * row_test.c, derived in docs/numerics.md):
 *   exp        1.5 ulp
 *   silu       2.5 ulp
 *   gelu_tanh  2.5 ulp + 1.5 ulp * |2 u|, u the argument of tanh
 *   gelu_erf   5 ulp
 * ulp here is 2^-23 of the result. Infinities give the formula's limit or its NaN, NaN stays
 * NaN, results below 2^-126 may be flushed. */
#include <math.h>

#include "kernel/row.h"
#include "kernel/vec_type.h"

#define LOG2_E      0x1.715476p+0f  /* log2(e), its first 24 bits */
#define LOG2_E_REST 0x1.4ae0bfp-26f /* and what they leave */

/* 2^t; beyond the bounds the result is 0 or infinity anyway. */
static inline vec exp2_vec(vec t) {
    t = v_clamp(t, -200.0f, 200.0f);
    vec n = v_round(t);
    return v_scale(exp2_fraction(v_sub(t, n)), n);
}

static inline vec exp_vec(vec x) {
    x = v_clamp(x, -138.0f, 138.0f);
    vec n = v_round(v_mul(x, v_set(LOG2_E)));
    vec f = v_fma(x, v_set(LOG2_E_REST), v_fms(x, v_set(LOG2_E), n));
    return v_scale(exp2_fraction(f), n);
}

static inline vec silu_vec(vec x) {
    vec e = exp_vec(v_sub(v_set(0.0f), x));
    return v_div(x, v_add(v_set(1.0f), e));
}

/* 0.5 x (1 + tanh(u)) = x / (1 + 2^t), t = -2 log2(e) u: no cancellation in the tail. */
static inline vec gelu_tanh_vec(vec x) {
    const float k = -2.30220819813f; /* -2 log2(e) sqrt(2 / pi) */
    vec inner = v_fma(v_mul(x, x), v_set(k * 0.044715f), v_set(k));
    vec e = exp2_vec(v_mul(x, inner));
    return v_div(x, v_add(v_set(1.0f), e));
}

/* Phi(-a) = erfc(a / sqrt(2)) / 2 = t Q(t) exp(-a^2 / 2) / 2 for 0 <= a <= 20,
 * t = 2 / (2 + a / sqrt(2)); Q: minimax on a <= 14, relative error 2e-8. a^2 / 2 is taken to
 * two floats, else its rounding would show in the tail. */
static inline vec normal_tail(vec a) {
    vec t = v_div(v_set(2.0f), v_fma(a, v_set(0.70710678118f), v_set(2.0f)));
    vec q = v_fma(v_set(0.0122833084f), t, v_set(-0.123251826f));
    q = v_fma(q, t, v_set(0.428922206f));
    q = v_fma(q, t, v_set(-0.670014918f));
    q = v_fma(q, t, v_set(0.421268612f));
    q = v_fma(q, t, v_set(-0.098314926f));
    q = v_fma(q, t, v_set(0.225541025f));
    q = v_fma(q, t, v_set(0.238644987f));
    q = v_fma(q, t, v_set(0.282857031f));
    q = v_fma(q, t, v_set(0.282064497f));
    vec half = v_mul(a, v_set(0.5f));
    vec square = v_mul(a, half);
    vec rest = v_fms(a, half, square);
    vec e = exp_vec(v_sub(v_set(0.0f), square));
    e = v_mul(e, v_sub(v_set(1.0f), rest));
    return v_mul(v_mul(v_mul(t, q), e), v_set(0.5f));
}

/* x Phi(x) */
static inline vec gelu_erf_vec(vec x) {
    vec tail = normal_tail(v_clamp(v_abs(x), 0.0f, 20.0f));
    return v_mul(x, v_if_negative(x, tail, v_sub(v_set(1.0f), tail)));
}

/* y[i] = expression of v = x[i], LANES at a time. The types do not change inside the loop:
 * the compiler makes a loop for each pair. */
#define MAP(v, expression)                                                               \
    size_t i = 0;                                                                        \
    for (; i + LANES <= n; i += LANES) {                                                 \
        vec v = load(x, x_type, i);                                                      \
        store(y, y_type, i, expression);                                                 \
    }                                                                                    \
    if (i < n) {                                                                         \
        vec v = load_part(x, x_type, i, n - i);                                          \
        store_part(y, y_type, i, expression, n - i);                                     \
    }

static void gelu_tanh(void *y, enum cr_dtype y_type, const void *x, enum cr_dtype x_type,
                      size_t n) {
    MAP(v, gelu_tanh_vec(v))
}

static void gelu_erf(void *y, enum cr_dtype y_type, const void *x, enum cr_dtype x_type,
                     size_t n) {
    MAP(v, gelu_erf_vec(v))
}

static void swiglu(void *y, enum cr_dtype y_type, const void *gate, const void *up,
                   enum cr_dtype x_type, size_t n) {
    size_t i = 0;
    for (; i + LANES <= n; i += LANES)
        store(y, y_type, i, v_mul(silu_vec(load(gate, x_type, i)), load(up, x_type, i)));
    if (i < n) {
        vec g = load_part(gate, x_type, i, n - i);
        vec u = load_part(up, x_type, i, n - i);
        store_part(y, y_type, i, v_mul(silu_vec(g), u), n - i);
    }
}

static void add(float *y, const float *x, size_t n) {
    size_t i = 0;
    for (; i + LANES <= n; i += LANES)
        v_store_f32(y + i, v_add(v_load_f32(y + i), v_load_f32(x + i)));
    for (; i < n; i++)
        y[i] += x[i];
}

static void split(uint16_t *upper, uint16_t *rest, const float *x, size_t n) {
    size_t i = 0;
    for (; i + LANES <= n; i += LANES) {
        vec v = v_load_f32(x + i);
        v_store_bf16(upper + i, v);
        v_store_bf16(rest + i, v_sub(v, v_load_bf16(upper + i)));
    }
    if (i < n) {
        vec v = v_load_f32_part(x + i, n - i);
        v_store_bf16_part(upper + i, v, n - i);
        v = v_sub(v, v_load_bf16_part(upper + i, n - i));
        v_store_bf16_part(rest + i, v, n - i);
    }
}

/* sum (x - mean)^power, power 1 or 2: 4 * LANES partial sums in f32, the last few elements
 * and the total in double. */
static inline double sum(const float *x, size_t n, float mean, int power) {
    vec s[4] = {v_set(0.0f), v_set(0.0f), v_set(0.0f), v_set(0.0f)};
    vec m = v_set(mean);
    size_t i = 0;
    for (; i + 4 * LANES <= n; i += 4 * LANES) {
        for (size_t j = 0; j < 4; j++) {
            vec d = v_sub(v_load_f32(x + i + j * LANES), m);
            s[j] = power == 2 ? v_fma(d, d, s[j]) : v_add(s[j], d);
        }
    }
    for (; i + LANES <= n; i += LANES) {
        vec d = v_sub(v_load_f32(x + i), m);
        s[0] = power == 2 ? v_fma(d, d, s[0]) : v_add(s[0], d);
    }
    double total = (double)v_sum(v_add(v_add(s[0], s[1]), v_add(s[2], s[3])));
    for (; i < n; i++) {
        double d = (double)(x[i] - mean);
        total += power == 2 ? d * d : d;
    }
    return total;
}

static float rmsnorm(void *y, enum cr_dtype y_type, const float *x, const float *w,
                     size_t n, float eps) {
    float rrms = (float)(1.0 / sqrt(sum(x, n, 0.0f, 2) / (double)n + (double)eps));
    vec r = v_set(rrms);
    size_t i = 0;
    for (; i + LANES <= n; i += LANES)
        store(y, y_type, i, v_mul(v_mul(v_load_f32(x + i), r), v_load_f32(w + i)));
    if (i < n) {
        vec v = v_mul(v_load_f32_part(x + i, n - i), r);
        store_part(y, y_type, i, v_mul(v, v_load_f32_part(w + i, n - i)), n - i);
    }
    return rrms;
}

static void layernorm(void *y, enum cr_dtype y_type, float stats[2], const float *x,
                      const float *w, const float *b, size_t n, float eps) {
    float mean = (float)(sum(x, n, 0.0f, 1) / (double)n);
    float rstd = (float)(1.0 / sqrt(sum(x, n, mean, 2) / (double)n + (double)eps));
    vec m = v_set(mean), r = v_set(rstd);
    size_t i = 0;
    for (; i + LANES <= n; i += LANES) {
        vec v = v_mul(v_sub(v_load_f32(x + i), m), r);
        store(y, y_type, i, v_fma(v, v_load_f32(w + i), v_load_f32(b + i)));
    }
    if (i < n) {
        vec v = v_mul(v_sub(v_load_f32_part(x + i, n - i), m), r);
        v = v_fma(v, v_load_f32_part(w + i, n - i), v_load_f32_part(b + i, n - i));
        store_part(y, y_type, i, v, n - i);
    }
    stats[0] = mean;
    stats[1] = rstd;
}

static void rope(void *y, enum cr_dtype y_type, const void *x, enum cr_dtype x_type,
                 const float *cos_row, const float *sin_row, size_t n_heads,
                 size_t head_dim) {
    size_t half = head_dim / 2;
    for (size_t h = 0; h < n_heads; h++) {
        size_t low_at = h * head_dim, high_at = low_at + half, i = 0;
        for (; i + LANES <= half; i += LANES) {
            vec c = v_load_f32(cos_row + i), s = v_load_f32(sin_row + i);
            vec low = load(x, x_type, low_at + i), high = load(x, x_type, high_at + i);
            store(y, y_type, low_at + i, v_fms(low, c, v_mul(high, s)));
            store(y, y_type, high_at + i, v_fma(high, c, v_mul(low, s)));
        }
        if (i < half) {
            size_t n = half - i;
            vec c = v_load_f32_part(cos_row + i, n), s = v_load_f32_part(sin_row + i, n);
            vec low = load_part(x, x_type, low_at + i, n);
            vec high = load_part(x, x_type, high_at + i, n);
            store_part(y, y_type, low_at + i, v_fms(low, c, v_mul(high, s)), n);
            store_part(y, y_type, high_at + i, v_fma(high, c, v_mul(low, s)), n);
        }
    }
}
