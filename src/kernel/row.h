/* Kernels of the work between the products: norms, rotary embedding, activations, and the
 * tiles of attention. One const table an instruction set; scalar is the definition of
 * correct, the others are held to it by tests (tolerances: docs/numerics.md).
 *
 * Every function handles one row (or one tile) and knows nothing of threads. `x_type` and
 * `y_type` are CR_F32 or CR_BF16; arithmetic is f32 or better, bf16 rounds to nearest even.
 * A result depends on its row only. y may equal x where the types agree. Pointers need the
 * alignment of their element. Vector kernels take bf16 denormals as they are but write f32
 * denormals as zero when they round to bf16 (the hardware's conversion). */
#ifndef CR_KERNEL_ROW_H
#define CR_KERNEL_ROW_H

#include <stdbool.h>
#include <stdint.h>

#include "base/cpu.h"
#include "base/dtype.h"
#include "kernel/attention.h"

struct cr_row_kernels {
    /* y = x / sqrt(mean(x^2) + eps) * w; returns the reciprocal root. */
    float (*rmsnorm)(void *y, enum cr_dtype y_type, const float *x, const float *w,
                     size_t n, float eps);
    /* y = (x - mean) * rstd * w + b; stats receives mean and rstd. */
    void (*layernorm)(void *y, enum cr_dtype y_type, float stats[2], const float *x,
                      const float *w, const float *b, size_t n, float eps);
    /* Half-split rotation of n_heads heads that lie one behind the other; cos and sin have
     * head_dim / 2 entries. */
    void (*rope)(void *y, enum cr_dtype y_type, const void *x, enum cr_dtype x_type,
                 const float *cos_row, const float *sin_row, size_t n_heads,
                 size_t head_dim);
    void (*gelu_tanh)(void *y, enum cr_dtype y_type, const void *x, enum cr_dtype x_type,
                      size_t n);
    void (*gelu_erf)(void *y, enum cr_dtype y_type, const void *x, enum cr_dtype x_type,
                     size_t n);
    /* y = gate / (1 + exp(-gate)) * up */
    void (*swiglu)(void *y, enum cr_dtype y_type, const void *gate, const void *up,
                   enum cr_dtype x_type, size_t n);
    /* y += x */
    void (*add)(float *y, const float *x, size_t n);
    /* x as a sum of two in bf16: upper = x rounded, rest = x - upper rounded; off by 2^-18 of x. */
    void (*split)(uint16_t *upper, uint16_t *rest, const float *x, size_t n);
    /* Backward (training). d_type, dy_type: as x_type. Where d equals an input of its own type
     * the result overwrites it.
     * dx = dy * gelu'(x) */
    void (*gelu_tanh_bwd)(void *dx, enum cr_dtype dx_type, const void *dy,
                          enum cr_dtype dy_type, const void *x, enum cr_dtype x_type,
                          size_t n);
    void (*gelu_erf_bwd)(void *dx, enum cr_dtype dx_type, const void *dy,
                         enum cr_dtype dy_type, const void *x, enum cr_dtype x_type,
                         size_t n);
    void (*swiglu_bwd)(void *dgate, void *dup, enum cr_dtype d_type, const void *dy,
                       enum cr_dtype dy_type, const void *gate, const void *up,
                       enum cr_dtype x_type, size_t n);
    /* With xh = (x - mean) * rstd and g = w * dy:
     * dx += rstd * (g - xh * mean(g * xh) - [centred] mean(g)). RMSNorm: mean 0, not centred. */
    void (*norm_bwd)(float *dx, const float *dy, const float *x, const float *w,
                     float mean, float rstd, bool centred, size_t n);
    /* dw += dy * xh */
    void (*norm_dw)(float *dw, const float *dy, const float *x, float mean, float rstd,
                    size_t n);
    /* y += x */
    void (*accumulate)(float *y, const void *x, enum cr_dtype x_type, size_t n);
    /* sum of a * b */
    float (*dot)(const void *a, const void *b, enum cr_dtype type, size_t n);
    /* log(sum(exp(x))), n >= 1 */
    float (*log_sum_exp)(const float *x, size_t n);
    /* y = factor * exp(x - lse) */
    void (*softmax_bwd)(void *y, enum cr_dtype y_type, const float *x, float lse,
                        float factor, size_t n);
    /* Tiles for q, k, v, y of type F32, BF16, both, and both with v in 8 bits (kernel/attention.h). */
    const struct cr_attention_tiles *attention_f32;
    const struct cr_attention_tiles *attention_bf16;
    const struct cr_attention_tiles *attention_mixed;
    const struct cr_attention_tiles *attention_int8;
};

/* The table for an instruction set that this machine can run; sets without kernels of their
 * own get the scalar table. */
const struct cr_row_kernels *cr_row_kernels_for(enum cr_isa isa);

extern const struct cr_row_kernels cr_row_scalar;
#if defined(__x86_64__)
extern const struct cr_row_kernels cr_row_avx2;
extern const struct cr_row_kernels cr_row_avx512;
#endif

#endif
