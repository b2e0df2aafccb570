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

const struct cr_row_kernels cr_row_scalar = {
    .rmsnorm = rmsnorm,
    .layernorm = layernorm,
    .rope = rope,
    .gelu_tanh = gelu_tanh,
    .gelu_erf = gelu_erf,
    .swiglu = swiglu,
    .add = add,
    .attention_f32 = &cr_attention_scalar_f32,
    .attention_bf16 = &cr_attention_scalar_bf16,
};
