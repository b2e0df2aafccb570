/* Backward of the row kernels on vectors: included behind kernel/row_body.h, whose functions
 * of one number it shares. */

/* dgelu/dx = s + x s (1 - s) k (1 + 3 * 0.044715 x^2), s the sigmoid that gelu_tanh_vec
 * multiplies x with, k = 2 sqrt(2 / pi). */
static inline vec gelu_tanh_slope(vec x) {
    const float k = -2.30220819813f; /* as in gelu_tanh_vec */
    vec square = v_mul(x, x);
    vec e = exp2_vec(v_mul(x, v_fma(square, v_set(k * 0.044715f), v_set(k))));
    vec s = v_div(v_set(1.0f), v_add(v_set(1.0f), e));
    vec inner = v_fma(square, v_set(1.5957691216f * 0.134145f), v_set(1.5957691216f));
    vec rest = v_mul(v_mul(s, v_sub(v_set(1.0f), s)), v_mul(x, inner));
    return v_add(s, rest);
}

/* Phi(x) + x phi(x). For |x| > 14 both terms are 0 or 1 to f32. */
static inline vec gelu_erf_slope(vec x) {
    vec a = v_clamp(v_abs(x), 0.0f, 14.0f);
    vec tail = normal_tail(a);
    vec phi = v_mul(v_set(0.39894228040f), exp_vec(v_mul(v_mul(a, a), v_set(-0.5f))));
    vec cdf = v_if_negative(x, tail, v_sub(v_set(1.0f), tail));
    return v_fma(v_clamp(x, -14.0f, 14.0f), phi, cdf);
}

/* dx = dy * slope(x) */
#define SLOPE(name, slope)                                                               \
    static void name(void *dx, enum cr_dtype dx_type, const void *dy,                    \
                     enum cr_dtype dy_type, const void *x, enum cr_dtype x_type,         \
                     size_t n) {                                                         \
        size_t i = 0;                                                                    \
        for (; i + LANES <= n; i += LANES)                                               \
            store(dx, dx_type, i,                                                        \
                  v_mul(load(dy, dy_type, i), slope(load(x, x_type, i))));               \
        if (i < n) {                                                                     \
            vec g = load_part(dy, dy_type, i, n - i);                                    \
            vec v = load_part(x, x_type, i, n - i);                                      \
            store_part(dx, dx_type, i, v_mul(g, slope(v)), n - i);                       \
        }                                                                                \
    }

SLOPE(gelu_tanh_bwd, gelu_tanh_slope)
SLOPE(gelu_erf_bwd, gelu_erf_slope)

/* du = dy g s; dg = dy u s (1 + g (1 - s)), s = 1 / (1 + exp(-g)). */
static inline void swiglu_slopes(vec dy, vec g, vec u, vec *dg, vec *du) {
    vec one = v_set(1.0f);
    vec s = v_div(one, v_add(one, exp_vec(v_sub(v_set(0.0f), g))));
    vec ds = v_mul(dy, s);
    *du = v_mul(ds, g);
    *dg = v_mul(v_mul(ds, u), v_fma(g, v_sub(one, s), one));
}

static void swiglu_bwd(void *dgate, void *dup, enum cr_dtype d_type, const void *dy,
                       enum cr_dtype dy_type, const void *gate, const void *up,
                       enum cr_dtype x_type, size_t n) {
    size_t i = 0;
    vec dg, du;
    for (; i + LANES <= n; i += LANES) {
        swiglu_slopes(load(dy, dy_type, i), load(gate, x_type, i), load(up, x_type, i),
                      &dg, &du);
        store(dgate, d_type, i, dg);
        store(dup, d_type, i, du);
    }
    if (i < n) {
        swiglu_slopes(load_part(dy, dy_type, i, n - i), load_part(gate, x_type, i, n - i),
                      load_part(up, x_type, i, n - i), &dg, &du);
        store_part(dgate, d_type, i, dg, n - i);
        store_part(dup, d_type, i, du, n - i);
    }
}

/* Sums over a row of g and of g xh, g = w dy, xh = (x - mean) rstd. */
static inline void norm_sums(const float *dy, const float *x, const float *w, float mean,
                             float rstd, size_t n, float *sum, float *product) {
    vec s[2] = {v_set(0.0f), v_set(0.0f)}, p[2] = {v_set(0.0f), v_set(0.0f)};
    vec m = v_set(mean), r = v_set(rstd);
    size_t i = 0;
    for (; i + LANES <= n; i += LANES) {
        size_t at = i / LANES % 2;
        vec g = v_mul(v_load_f32(w + i), v_load_f32(dy + i));
        s[at] = v_add(s[at], g);
        p[at] = v_fma(g, v_mul(v_sub(v_load_f32(x + i), m), r), p[at]);
    }
    if (i < n) { /* the lanes behind have g = 0 */
        vec g = v_mul(v_load_f32_part(w + i, n - i), v_load_f32_part(dy + i, n - i));
        s[0] = v_add(s[0], g);
        p[0] = v_fma(g, v_mul(v_sub(v_load_f32_part(x + i, n - i), m), r), p[0]);
    }
    *sum = v_sum(v_add(s[0], s[1]));
    *product = v_sum(v_add(p[0], p[1]));
}

static void norm_bwd(float *dx, const float *dy, const float *x, const float *w,
                     float mean, float rstd, bool centred, size_t n) {
    float sum, product;
    norm_sums(dy, x, w, mean, rstd, n, &sum, &product);
    vec m = v_set(mean), r = v_set(rstd), along = v_set(product / (float)n);
    vec shift = v_set(centred ? sum / (float)n : 0.0f);
    size_t i = 0;
    for (; i + LANES <= n; i += LANES) {
        vec g = v_mul(v_load_f32(w + i), v_load_f32(dy + i));
        vec xh = v_mul(v_sub(v_load_f32(x + i), m), r);
        vec d = v_sub(v_sub(g, shift), v_mul(xh, along));
        v_store_f32(dx + i, v_fma(d, r, v_load_f32(dx + i)));
    }
    if (i < n) {
        vec g = v_mul(v_load_f32_part(w + i, n - i), v_load_f32_part(dy + i, n - i));
        vec xh = v_mul(v_sub(v_load_f32_part(x + i, n - i), m), r);
        vec d = v_sub(v_sub(g, shift), v_mul(xh, along));
        v_store_f32_part(dx + i, v_fma(d, r, v_load_f32_part(dx + i, n - i)), n - i);
    }
}

static void norm_dw(float *dw, const float *dy, const float *x, float mean, float rstd,
                    size_t n) {
    vec m = v_set(mean), r = v_set(rstd);
    size_t i = 0;
    for (; i + LANES <= n; i += LANES) {
        vec xh = v_mul(v_sub(v_load_f32(x + i), m), r);
        v_store_f32(dw + i, v_fma(v_load_f32(dy + i), xh, v_load_f32(dw + i)));
    }
    if (i < n) {
        vec xh = v_mul(v_sub(v_load_f32_part(x + i, n - i), m), r);
        vec d = v_fma(v_load_f32_part(dy + i, n - i), xh, v_load_f32_part(dw + i, n - i));
        v_store_f32_part(dw + i, d, n - i);
    }
}

static void accumulate(float *y, const void *x, enum cr_dtype x_type, size_t n) {
    size_t i = 0;
    for (; i + LANES <= n; i += LANES)
        v_store_f32(y + i, v_add(v_load_f32(y + i), load(x, x_type, i)));
    if (i < n)
        v_store_f32_part(
            y + i, v_add(v_load_f32_part(y + i, n - i), load_part(x, x_type, i, n - i)),
            n - i);
}

static float dot(const void *a, const void *b, enum cr_dtype type, size_t n) {
    vec s[2] = {v_set(0.0f), v_set(0.0f)};
    size_t i = 0;
    for (; i + LANES <= n; i += LANES)
        s[i / LANES % 2] = v_fma(load(a, type, i), load(b, type, i), s[i / LANES % 2]);
    if (i < n)
        s[0] = v_fma(load_part(a, type, i, n - i), load_part(b, type, i, n - i), s[0]);
    return v_sum(v_add(s[0], s[1]));
}

/* The largest first, so that no power overflows. */
static float log_sum_exp(const float *x, size_t n) {
    float top = x[0];
    size_t i = 0;
    if (n >= LANES) {
        vec high = v_load_f32(x);
        for (i = LANES; i + LANES <= n; i += LANES)
            high = v_max(high, v_load_f32(x + i));
        top = v_highest(high);
    }
    for (; i < n; i++)
        top = x[i] > top ? x[i] : top;
    vec base = v_set(top), s[2] = {v_set(0.0f), v_set(0.0f)};
    for (i = 0; i + LANES <= n; i += LANES)
        s[i / LANES % 2] =
            v_add(s[i / LANES % 2], exp_vec(v_sub(v_load_f32(x + i), base)));
    double total = (double)v_sum(v_add(s[0], s[1]));
    for (; i < n; i++)
        total += exp((double)(x[i] - top));
    return top + (float)log(total);
}

static void softmax_bwd(void *y, enum cr_dtype y_type, const float *x, float lse,
                        float factor, size_t n) {
    vec base = v_set(lse), f = v_set(factor);
    size_t i = 0;
    for (; i + LANES <= n; i += LANES)
        store(y, y_type, i, v_mul(f, exp_vec(v_sub(v_load_f32(x + i), base))));
    if (i < n)
        store_part(y, y_type, i,
                   v_mul(f, exp_vec(v_sub(v_load_f32_part(x + i, n - i), base))), n - i);
}
