/* Products in 8 bits: activations rounded to s8, weights kept as u8 = w + 128 or as nibbles,
 * sums exact in 32-bit integers. One table of functions an instruction set; scalar is the
 * definition, and every table gives its bits: the integer sums are exact, and the few f32
 * operations behind them are the same fused ones in the same order everywhere.
 *
 * Activations. A row x of k elements goes by groups of CR_INT8_GROUP (the last may be short):
 *   scale_g = max|x| / 127,  q = round_to_even(x * (127 / max|x|))
 * A group with a NaN or an infinity gets the scale NaN, so that the result shows it; one whose
 * largest value is below 2^-100 counts as zero. Groups keep Qwen2's massive activations to
 * themselves (docs/numerics.md).
 *
 * Weights lie in panels of CR_INT8_COLS columns of y (rows of the checkpoint's matrix):
 *   8 bits   for each 4 k: 64 columns of 4 bytes, q + 128; columns and k that are not there
 *            are zeros (128). w[n,k] = scale_n * q.
 *   4 bits   for each 32 k: for each 8 k: 64 columns of 4 bytes, whose low nibbles are the first
 *            4 k and whose high ones the rest; then 64 bytes s and 64 bytes t.
 *            w[n,k] = scale_n * s * q - min_n * t, q in 0..15.
 *
 *   8 bits   y[m,n] = scale_n * sum_g scale_g * (sum_k q w)_g
 *   4 bits   y[m,n] = scale_n * sum_g scale_g * (sum_b s_b (sum_k q w)_b)_g
 *                     - min_n * sum_g scale_g * (sum_b t_b (sum_k q)_b)_g,  b blocks of 32
 * A column's result depends on its row of x alone, whatever else is in the call.
 * Threads: every function may run concurrently. */
#ifndef CR_KERNEL_INT8_H
#define CR_KERNEL_INT8_H

#include <stdbool.h>
#include <stdint.h>

#include "base/cpu.h"
#include "base/dtype.h"

#define CR_INT8_COLS  ((size_t)64)
#define CR_INT8_GROUP ((size_t)128)
#define CR_INT4_BLOCK ((size_t)32)

/* Quantised rows of activations. Every pointer is 64-byte aligned. */
struct cr_int8_rows {
    size_t m, k;
    size_t q_row;    /* bytes from row to row: cr_int8_row_bytes(k) */
    size_t n_groups; /* of a row */
    int8_t *q;       /* (m, q_row), zeros behind k */
    float *scales;   /* (m, n_groups) */
    int32_t *
        offsets; /* (m, n_groups): -128 * sum of q, which takes the weights' offset back */
    int32_t *block_sums; /* (m, 4 * n_groups): of each CR_INT4_BLOCK */
};

static inline size_t cr_int8_groups(size_t k) {
    return (k + CR_INT8_GROUP - 1) / CR_INT8_GROUP;
}
static inline size_t cr_int8_row_bytes(size_t k) {
    return cr_int8_groups(k) * CR_INT8_GROUP;
}
static inline size_t cr_int8_panels(size_t n) {
    return (n + CR_INT8_COLS - 1) / CR_INT8_COLS;
}
/* Bytes of a panel; a multiple of 64. */
static inline size_t cr_int8_panel_bytes(size_t k) {
    return (k + 3) / 4 * 4 * CR_INT8_COLS;
}
static inline size_t cr_int4_panel_bytes(size_t k) {
    return (k + CR_INT4_BLOCK - 1) / CR_INT4_BLOCK *
           (CR_INT4_BLOCK / 2 * CR_INT8_COLS + 2 * CR_INT8_COLS);
}

/* What becomes of a panel's columns. */
struct cr_int8_out {
    const float *scale; /* of 64 columns */
    const float *min;   /* of 64 columns; 4 bits only */
    const float *bias;  /* of n columns, or NULL */
    void *y;            /* first of n columns in row 0 */
    size_t y_row;       /* elements from row to row */
    size_t n;           /* columns that exist, at most 64 */
    enum cr_dtype type; /* of y: CR_F32 or CR_BF16 */
    bool add;           /* y +=; CR_F32 */
    const uint8_t
        *next; /* the 8-bit panel that the rows meet next, asked for meanwhile; or NULL */
};

struct cr_int8 {
    enum cr_isa isa;
    /* Row `row` of `to` from k elements of type F32 or BF16. */
    void (*quantise)(const struct cr_int8_rows *to, size_t row, enum cr_dtype type,
                     const void *x);
    /* Rows [first, first + m) of x against one panel of 8-bit weights. */
    void (*panel8)(const struct cr_int8_rows *x, size_t first, size_t m,
                   const uint8_t *panel, const struct cr_int8_out *out);
    /* The same for 4-bit weights. */
    void (*panel4)(const struct cr_int8_rows *x, size_t first, size_t m,
                   const uint8_t *panel, const struct cr_int8_out *out);
    /* Column n < 64 of an 8-bit panel from k weights; returns its scale, NaN where a weight is
     * NaN or infinite. */
    float (*pack8)(const float *w, size_t k, size_t n, uint8_t *panel);
    /* Column n of a 4-bit panel from k weights, k a multiple of 32; scale, min and scale8 (see
     * widen) of the column. grids: room for k / 16 numbers. Returns false where a weight is NaN or
     * infinite. */
    bool (*pack4)(const float *w, size_t k, size_t n, float *grids, uint8_t *panel,
                  float *scale, float *min, float *scale8);
    /* A panel of 4 bits as one of 8, for many rows: w / scale8 rounded, within 0.6 of a unit.
     * scale, min, scale8: of 64 columns. */
    void (*widen)(const uint8_t *panel4, const float *scale, const float *min,
                  const float *scale8, size_t k, uint8_t *panel8);
};

const struct cr_int8 *cr_int8_for(enum cr_isa isa);

extern const struct cr_int8 cr_int8_scalar;
#if defined(__x86_64__)
extern const struct cr_int8 cr_int8_avx2, cr_int8_avx512;
#endif

#endif
