/* The definition of correct: one element at a time, in double, rounded once at the end. */
#include <math.h>

#include "kernel/quant.h"
#include "kernel/row.h"

static double load(const void *x, enum cr_dtype type, size_t i) {
    return type == CR_F32 ? (double)((const float *)x)[i]
                          : (double)cr_bf16_to_f32(((const uint16_t *)x)[i]);
}

static void store(void *y, enum cr_dtype type, size_t i, double value) {
    if (type == CR_F32)
        ((float *)y)[i] = (float)value;
    else
        ((uint16_t *)y)[i] = cr_bf16_from_f32((float)value);
}

static float rmsnorm(void *y, enum cr_dtype y_type, const float *x, const float *w,
                     size_t n, float eps) {
    double sum = 0.0;
    for (size_t i = 0; i < n; i++)
        sum += (double)x[i] * (double)x[i];
    double rrms = 1.0 / sqrt(sum / (double)n + (double)eps);
    for (size_t i = 0; i < n; i++)
        store(y, y_type, i, (double)x[i] * rrms * (double)w[i]);
    return (float)rrms;
}

static void layernorm(void *y, enum cr_dtype y_type, float stats[2], const float *x,
                      const float *w, const float *b, size_t n, float eps) {
    double mean = 0.0;
    for (size_t i = 0; i < n; i++)
        mean += (double)x[i];
    mean /= (double)n;
    double var = 0.0;
    for (size_t i = 0; i < n; i++)
        var += ((double)x[i] - mean) * ((double)x[i] - mean);
    double rstd = 1.0 / sqrt(var / (double)n + (double)eps);
    for (size_t i = 0; i < n; i++)
        store(y, y_type, i, ((double)x[i] - mean) * rstd * (double)w[i] + (double)b[i]);
    stats[0] = (float)mean;
    stats[1] = (float)rstd;
}

static void rope(void *y, enum cr_dtype y_type, const void *x, enum cr_dtype x_type,
                 const float *cos_row, const float *sin_row, size_t n_heads,
                 size_t head_dim) {
    size_t half = head_dim / 2;
    for (size_t h = 0; h < n_heads; h++) {
        for (size_t i = 0; i < half; i++) {
            double low = load(x, x_type, h * head_dim + i);
            double high = load(x, x_type, h * head_dim + half + i);
            double c = (double)cos_row[i], s = (double)sin_row[i];
            store(y, y_type, h * head_dim + i, low * c - high * s);
            store(y, y_type, h * head_dim + half + i, high * c + low * s);
        }
    }
}

static void gelu_tanh(void *y, enum cr_dtype y_type, const void *x, enum cr_dtype x_type,
                      size_t n) {
    const double root = 0.79788456080286535588; /* sqrt(2 / pi) */
    for (size_t i = 0; i < n; i++) {
        double v = load(x, x_type, i);
        double u = root * (v + 0.044715 * v * v * v);
        store(y, y_type, i, v / (1.0 + exp(-2.0 * u))); /* = 0.5 v (1 + tanh(u)) */
    }
}

static void gelu_erf(void *y, enum cr_dtype y_type, const void *x, enum cr_dtype x_type,
                     size_t n) {
    const double root = 0.70710678118654752440; /* 1 / sqrt(2) */
    for (size_t i = 0; i < n; i++) {
        double v = load(x, x_type, i);
        store(y, y_type, i, 0.5 * v * erfc(-v * root)); /* erfc(-z) = 1 + erf(z) */
    }
}

static void swiglu(void *y, enum cr_dtype y_type, const void *gate, const void *up,
                   enum cr_dtype x_type, size_t n) {
    for (size_t i = 0; i < n; i++) {
        double g = load(gate, x_type, i);
        store(y, y_type, i, g / (1.0 + exp(-g)) * load(up, x_type, i));
    }
}

static void add(float *y, const float *x, size_t n) {
    for (size_t i = 0; i < n; i++)
        y[i] += x[i];
}

static void split(uint16_t *upper, uint16_t *rest, const float *x, size_t n) {
    for (size_t i = 0; i < n; i++) {
        float value = x[i];
        upper[i] = cr_bf16_from_f32(value);
        rest[i] = cr_bf16_from_f32(value - cr_bf16_to_f32(upper[i]));
    }
}

/* Backward */

static void gelu_tanh_bwd(void *dx, enum cr_dtype dx_type, const void *dy,
                          enum cr_dtype dy_type, const void *x, enum cr_dtype x_type,
                          size_t n) {
    const double root = 0.79788456080286535588;
    for (size_t i = 0; i < n; i++) {
        double v = load(x, x_type, i);
        double s = 1.0 / (1.0 + exp(-2.0 * root * (v + 0.044715 * v * v * v)));
        double slope = s + v * s * (1.0 - s) * 2.0 * root * (1.0 + 0.134145 * v * v);
        store(dx, dx_type, i, load(dy, dy_type, i) * slope);
    }
}

static void gelu_erf_bwd(void *dx, enum cr_dtype dx_type, const void *dy,
                         enum cr_dtype dy_type, const void *x, enum cr_dtype x_type,
                         size_t n) {
    for (size_t i = 0; i < n; i++) {
        double v = load(x, x_type, i);
        double cdf = 0.5 * erfc(-v * 0.70710678118654752440);
        double slope = cdf + v * 0.39894228040143267794 * exp(-0.5 * v * v);
        store(dx, dx_type, i, load(dy, dy_type, i) * slope);
    }
}

static void swiglu_bwd(void *dgate, void *dup, enum cr_dtype d_type, const void *dy,
                       enum cr_dtype dy_type, const void *gate, const void *up,
                       enum cr_dtype x_type, size_t n) {
    for (size_t i = 0; i < n; i++) {
        double g = load(gate, x_type, i), u = load(up, x_type, i);
        double d = load(dy, dy_type, i), s = 1.0 / (1.0 + exp(-g));
        store(dgate, d_type, i, d * u * s * (1.0 + g * (1.0 - s)));
        store(dup, d_type, i, d * g * s);
    }
}

static void norm_bwd(float *dx, const float *dy, const float *x, const float *w,
                     float mean, float rstd, bool centred, size_t n) {
    double sum = 0.0, product = 0.0, m = (double)mean, r = (double)rstd;
    for (size_t i = 0; i < n; i++) {
        double g = (double)w[i] * (double)dy[i];
        sum += g;
        product += g * ((double)x[i] - m) * r;
    }
    double shift = centred ? sum / (double)n : 0.0;
    for (size_t i = 0; i < n; i++) {
        double g = (double)w[i] * (double)dy[i], xh = ((double)x[i] - m) * r;
        dx[i] = (float)((double)dx[i] + r * (g - shift - xh * product / (double)n));
    }
}

static void norm_dw(float *dw, const float *dy, const float *x, float mean, float rstd,
                    size_t n) {
    for (size_t i = 0; i < n; i++)
        dw[i] = (float)((double)dw[i] +
                        (double)dy[i] * ((double)x[i] - (double)mean) * (double)rstd);
}

static void accumulate(float *y, const void *x, enum cr_dtype x_type, size_t n) {
    for (size_t i = 0; i < n; i++)
        y[i] = (float)((double)y[i] + load(x, x_type, i));
}

static float dot(const void *a, const void *b, enum cr_dtype type, size_t n) {
    double sum = 0.0;
    for (size_t i = 0; i < n; i++)
        sum += load(a, type, i) * load(b, type, i);
    return (float)sum;
}

static float log_sum_exp(const float *x, size_t n) {
    double top = (double)x[0], sum = 0.0;
    for (size_t i = 1; i < n; i++)
        top = fmax(top, (double)x[i]);
    for (size_t i = 0; i < n; i++)
        sum += exp((double)x[i] - top);
    return (float)(top + log(sum));
}

static void softmax_bwd(void *y, enum cr_dtype y_type, const float *x, float lse,
                        float factor, size_t n) {
    for (size_t i = 0; i < n; i++)
        store(y, y_type, i, (double)factor * exp((double)x[i] - (double)lse));
}

const struct cr_row_kernels cr_row_scalar = {
    .rmsnorm = rmsnorm,
    .layernorm = layernorm,
    .rope = rope,
    .gelu_tanh = gelu_tanh,
    .gelu_erf = gelu_erf,
    .swiglu = swiglu,
    .add = add,
    .split = split,
    .gelu_tanh_bwd = gelu_tanh_bwd,
    .gelu_erf_bwd = gelu_erf_bwd,
    .swiglu_bwd = swiglu_bwd,
    .norm_bwd = norm_bwd,
    .norm_dw = norm_dw,
    .accumulate = accumulate,
    .dot = dot,
    .log_sum_exp = log_sum_exp,
    .softmax_bwd = softmax_bwd,
    .attention_f32 = &cr_attention_scalar_f32,
    .attention_bf16 = &cr_attention_scalar_bf16,
    .attention_mixed = &cr_attention_scalar_mixed,
    .attention_int8 = &cr_attention_scalar_int8,
};
