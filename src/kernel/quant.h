/* Conversion of rows between f32 and every element type of base/dtype.h: the scalar
 * definition of what the block formats mean. A row is n consecutive elements, n a multiple
 * of the block length.
 *
 * Block formats, d and m half floats, q small integers, 32 elements a block (s of _K: 256):
 *   Q8_0  d q            Q4_0  d (q - 8)       Q4_1  d q + m
 *   Q5_0  d (q - 16)     Q5_1  d q + m
 *   Q4_K, Q5_K  d s_j q - m t_j, 6-bit s_j, t_j for each of 8 groups of 32
 *   Q6_K  d s_j (q - 32), 8-bit s_j for each of 16 groups of 16
 * Source: ggml's quants; equal bit for bit to the gguf package's dequantize(). */
#ifndef CR_KERNEL_QUANT_H
#define CR_KERNEL_QUANT_H

#include <stdint.h>

#include "base/dtype.h"

/* dst[0..n) from a row of any dtype; integers and BOOL convert by value. src need not be
 * aligned. Asserts n % block length == 0. */
void cr_row_to_f32(enum cr_dtype dtype, const void *src, float *dst, size_t n);

/* Can cr_row_from_f32 write this dtype? F32, F16, BF16 (round to nearest even), Q8_0, Q4_0. */
bool cr_row_from_f32_supports(enum cr_dtype dtype);
/* A row of dtype from src[0..n). Overflow in F16 gives infinity, NaN stays NaN. Q8_0 and Q4_0
 * are ggml's reference rounding. Asserts support and n % block length == 0. */
void cr_row_from_f32(enum cr_dtype dtype, const float *src, void *dst, size_t n);

float cr_f16_to_f32(uint16_t h);
uint16_t cr_f16_from_f32(float f);
static inline float cr_bf16_to_f32(uint16_t b) {
    union {
        uint32_t u;
        float f;
    } v = {.u = (uint32_t)b << 16};
    return v.f;
}
uint16_t cr_bf16_from_f32(float f);

#endif
