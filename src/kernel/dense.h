/* Products of rows: one table of functions an instruction set.
 *
 * A step product is y[m,n] = sum_k x[m,k] * w[n,k] for a few rows x and a matrix w that is
 * read once from memory, straight in the dtype of its file. Activations are packed first,
 * once a call, into what the kernel of that weight dtype likes best; the sum over k is
 * taken in an order that depends on k alone, so a row's bits do not depend on m, on the
 * split over threads, or on its neighbours.
 *
 * Scalar code defines correct: it sums in double and rounds once. The others sum in f32
 * and differ from it by rounding (docs/numerics.md).
 * Threads: every function may run concurrently. */
#ifndef CR_KERNEL_DENSE_H
#define CR_KERNEL_DENSE_H

#include <stdint.h>

#include "base/cpu.h"
#include "base/dtype.h"

/* One step product: rows [0, n) of w against the packed rows x. */
struct cr_step {
    enum cr_dtype w_dtype;
    enum cr_dtype act;  /* type that x had before it was packed: CR_F32 or CR_BF16 */
    const void *w;      /* first weight row */
    size_t w_row_bytes; /* distance between weight rows */
    size_t k;           /* elements of a row: a whole number of w_dtype's blocks */
    const void *x;      /* m packed rows, pack_bytes(w_dtype, act, k) apart */
    size_t m;
    float *y; /* (m, n), rows y_row elements apart */
    size_t y_row;
};

struct cr_dense {
    enum cr_isa isa;
    /* n elements (whole blocks) of any weight dtype to f32, or rounded to nearest even to
     * bf16 (a NaN stays a NaN, its sign kept). */
    void (*row_to_f32)(enum cr_dtype dtype, const void *src, float *dst, size_t n);
    void (*row_to_bf16)(enum cr_dtype dtype, const void *src, uint16_t *dst, size_t n);
    /* Bytes of one packed row, a multiple of 64; and the packing of one row of type act. */
    size_t (*pack_bytes)(enum cr_dtype w_dtype, enum cr_dtype act, size_t k);
    void (*pack)(enum cr_dtype w_dtype, enum cr_dtype act, const void *x, void *packed,
                 size_t k);
    void (*step)(const struct cr_step *s, size_t n);
    /* Tiles of many rows, where oneDNN does not serve (kernel/gemm.h); NULL: step does it.
     * y (m, tile_cols) (+)= x (m, k) w (k, tile_cols), w dense and 64-byte aligned. Sums run
     * over k one by one, so that parts of k may follow each other with `add`. */
    size_t tile_cols;
    void (*tile)(const float *x, size_t x_row, size_t m, const float *w, size_t k,
                 float *y, size_t y_row, bool add);
};

/* The table for isa: one that this machine can run where cr_isa_available(isa). */
const struct cr_dense *cr_dense_for(enum cr_isa isa);

extern const struct cr_dense cr_dense_scalar;
#if defined(__x86_64__)
extern const struct cr_dense cr_dense_avx2, cr_dense_avx512;
#endif

#endif
