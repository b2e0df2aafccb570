/* The vector operations of kernel/row_body.h on 16 lanes. */
#ifndef CR_KERNEL_VEC_AVX512_H
#define CR_KERNEL_VEC_AVX512_H

#include <immintrin.h>

#include "kernel/quant.h"

#define LANES 16

typedef __m512 vec;

static inline __mmask16 v_mask(size_t n) {
    return (__mmask16)((1u << n) - 1);
}

static inline vec v_set(float a) {
    return _mm512_set1_ps(a);
}
static inline vec v_add(vec a, vec b) {
    return _mm512_add_ps(a, b);
}
static inline vec v_sub(vec a, vec b) {
    return _mm512_sub_ps(a, b);
}
static inline vec v_mul(vec a, vec b) {
    return _mm512_mul_ps(a, b);
}
static inline vec v_div(vec a, vec b) {
    return _mm512_div_ps(a, b);
}
/* a * b + c */
static inline vec v_fma(vec a, vec b, vec c) {
    return _mm512_fmadd_ps(a, b, c);
}
/* a * b - c */
static inline vec v_fms(vec a, vec b, vec c) {
    return _mm512_fmsub_ps(a, b, c);
}
/* Bounds first: a NaN in x comes out as NaN. */
static inline vec v_clamp(vec x, float low, float high) {
    return _mm512_max_ps(v_set(low), _mm512_min_ps(v_set(high), x));
}
static inline vec v_abs(vec a) {
    return _mm512_abs_ps(a);
}
/* a where x is negative, else b */
static inline vec v_if_negative(vec x, vec a, vec b) {
    return _mm512_mask_blend_ps(_mm512_cmp_ps_mask(x, _mm512_setzero_ps(), _CMP_LT_OQ), b,
                                a);
}
static inline vec v_round(vec a) {
    return _mm512_roundscale_ps(a, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
}
/* a * 2^n, n a whole number */
static inline vec v_scale(vec a, vec n) {
    return _mm512_scalef_ps(a, n);
}
static inline float v_sum(vec a) {
    return _mm512_reduce_add_ps(a);
}

static inline float v_highest(vec a) {
    return _mm512_reduce_max_ps(a);
}
static inline vec v_max(vec a, vec b) {
    return _mm512_max_ps(a, b);
}
/* Lanes [0, n) of a, `other` behind. */
static inline vec v_keep(vec a, size_t n, float other) {
    return n >= LANES ? a : _mm512_mask_blend_ps(v_mask(n), v_set(other), a);
}
/* Fraction of t <= 0; `whole` is for v_scale, which rounds t down by itself. */
static inline vec v_fraction(vec t, vec *whole) {
    *whole = t;
    return _mm512_reduce_ps(t, _MM_FROUND_TO_NEG_INF | _MM_FROUND_NO_EXC);
}

static inline vec v_load_f32(const float *p) {
    return _mm512_loadu_ps(p);
}
/* The first n < LANES; zeros behind. */
static inline vec v_load_f32_part(const float *p, size_t n) {
    return _mm512_maskz_loadu_ps(v_mask(n), p);
}
static inline vec v_load_bf16(const uint16_t *p) {
    __m256i h = _mm256_loadu_si256((const __m256i *)(const void *)p);
    return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(h), 16));
}
static inline vec v_load_bf16_part(const uint16_t *p, size_t n) {
    __m256i h = _mm256_maskz_loadu_epi16(v_mask(n), p);
    return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(h), 16));
}
/* The bits of n < 2 LANES bf16 values, zeros behind. */
static inline vec v_load_pairs_part(const uint16_t *p, size_t n) {
    return _mm512_castsi512_ps(_mm512_maskz_loadu_epi16((__mmask32)((1u << n) - 1), p));
}
/* (even, odd) of each lane as bf16 pairs; both hold exact bf16 values. */
static inline vec v_pair(vec even, vec odd) {
    __m512i low = _mm512_srli_epi32(_mm512_castps_si512(even), 16);
    return _mm512_castsi512_ps(_mm512_or_si512(low, _mm512_castps_si512(odd)));
}
/* The lanes of a, then those of b, rounded to 32 int16 with saturation. */
static inline vec v_pack_int16(vec a, vec b) {
    __m256i low = _mm512_cvtsepi32_epi16(_mm512_cvtps_epi32(a));
    __m256i high = _mm512_cvtsepi32_epi16(_mm512_cvtps_epi32(b));
    return _mm512_castsi512_ps(_mm512_inserti64x4(_mm512_castsi256_si512(low), high, 1));
}
/* The int32 in the lanes of a as f32. */
static inline vec v_from_int32(vec a) {
    return _mm512_cvtepi32_ps(_mm512_castps_si512(a));
}
/* acc plus each lane of b times what is at a: pairs of bf16, summed in f32; pairs of int16, in int32. As
 * assembly since gcc 12 loads the factor into a register of its own, and then spills. */
static inline vec v_add_bf16_pairs(vec acc, vec b, const uint32_t *a) {
    __asm__("vdpbf16ps %2%{1to16%}, %1, %0" : "+v"(acc) : "v"(b), "m"(*a));
    return acc;
}
static inline vec v_add_int16_pairs(vec acc, vec b, const uint32_t *a) {
    __asm__("vpdpwssd %2%{1to16%}, %1, %0" : "+v"(acc) : "v"(b), "m"(*a));
    return acc;
}
/* acc plus four products: unsigned bytes in the lanes of b, signed ones at a. */
static inline vec v_add_int8_fours(vec acc, vec b, const uint32_t *a) {
    __asm__("vpdpbusd %2%{1to16%}, %1, %0" : "+v"(acc) : "v"(b), "m"(*a));
    return acc;
}
/* The larger of two numbers >= 0; a NaN is larger than any. */
static inline vec v_max_magnitude(vec a, vec b) {
    return _mm512_castsi512_ps(
        _mm512_max_epu32(_mm512_castps_si512(a), _mm512_castps_si512(b)));
}
/* The largest lane, so compared. */
static inline float v_highest_magnitude(vec a) {
    uint32_t most = _mm512_reduce_max_epu32(_mm512_castps_si512(a));
    return _mm_cvtss_f32(_mm_castsi128_ps(_mm_cvtsi32_si128((int32_t)most)));
}
/* The 32 bits at p in every lane. */
static inline vec v_set_bits(const uint32_t *p) {
    return _mm512_castsi512_ps(_mm512_set1_epi32((int32_t)*p));
}
static inline void v_store_f32(float *p, vec a) {
    _mm512_storeu_ps(p, a);
}
/* Rounded, 0 <= a <= 255. */
static inline void v_store_u8(uint8_t *p, vec a) {
    _mm_storeu_si128((__m128i *)(void *)p, _mm512_cvtusepi32_epi8(_mm512_cvtps_epi32(a)));
}
/* Rounded, |a| <= 127. */
static inline void v_store_i8(int8_t *p, vec a) {
    _mm_storeu_si128((__m128i *)(void *)p, _mm512_cvtsepi32_epi8(_mm512_cvtps_epi32(a)));
}
/* Lane i: byte i of each of four rows. */
static inline vec v_fours(const int8_t *r0, const int8_t *r1, const int8_t *r2,
                          const int8_t *r3) {
    __m128i a = _mm_loadu_si128((const void *)r0), b = _mm_loadu_si128((const void *)r1);
    __m128i c = _mm_loadu_si128((const void *)r2), d = _mm_loadu_si128((const void *)r3);
    __m128i ab = _mm_unpacklo_epi8(a, b), cd = _mm_unpacklo_epi8(c, d);
    __m256i low =
        _mm256_set_m128i(_mm_unpackhi_epi16(ab, cd), _mm_unpacklo_epi16(ab, cd));
    ab = _mm_unpackhi_epi8(a, b);
    cd = _mm_unpackhi_epi8(c, d);
    __m256i high =
        _mm256_set_m128i(_mm_unpackhi_epi16(ab, cd), _mm_unpacklo_epi16(ab, cd));
    return _mm512_castsi512_ps(_mm512_inserti64x4(_mm512_castsi256_si512(low), high, 1));
}
static inline void v_store_f32_part(float *p, vec a, size_t n) {
    _mm512_mask_storeu_ps(p, v_mask(n), a);
}
static inline void v_store_bf16(uint16_t *p, vec a) {
    _mm256_storeu_si256((__m256i *)(void *)p, (__m256i)_mm512_cvtneps_pbh(a));
}
static inline void v_store_bf16_part(uint16_t *p, vec a, size_t n) {
    _mm256_mask_storeu_epi16(p, v_mask(n), (__m256i)_mm512_cvtneps_pbh(a));
}

/* The 4 x 4 block in each 128 bits of 4 rows: columns[c] has column c mod 4 of them all. */
static inline void v_transpose_4(vec columns[4], const vec rows[4]) {
    vec a[4];
    for (size_t i = 0; i < 4; i += 2) { /* pairs of rows */
        a[i] = _mm512_unpacklo_ps(rows[i], rows[i + 1]);
        a[i + 1] = _mm512_unpackhi_ps(rows[i], rows[i + 1]);
    }
    for (size_t c = 0; c < 2; c++) {
        __m512d low = _mm512_castps_pd(a[c]), high = _mm512_castps_pd(a[2 + c]);
        columns[2 * c] = _mm512_castpd_ps(_mm512_unpacklo_pd(low, high));
        columns[2 * c + 1] = _mm512_castpd_ps(_mm512_unpackhi_pd(low, high));
    }
}

/* rows[i] lane j becomes rows[j] lane i. */
static inline void v_transpose(vec rows[LANES]) {
    vec b[LANES];
    for (size_t i = 0; i < LANES; i += 4)
        v_transpose_4(b + i, rows + i);
    for (size_t c = 0; c < 4; c++) { /* the 4 x 4 blocks of 128 bits */
        vec x = _mm512_shuffle_f32x4(b[c], b[4 + c], 0x88);
        vec y = _mm512_shuffle_f32x4(b[c], b[4 + c], 0xDD);
        vec z = _mm512_shuffle_f32x4(b[8 + c], b[12 + c], 0x88);
        vec w = _mm512_shuffle_f32x4(b[8 + c], b[12 + c], 0xDD);
        rows[c] = _mm512_shuffle_f32x4(x, z, 0x88);
        rows[8 + c] = _mm512_shuffle_f32x4(x, z, 0xDD);
        rows[4 + c] = _mm512_shuffle_f32x4(y, w, 0x88);
        rows[12 + c] = _mm512_shuffle_f32x4(y, w, 0xDD);
    }
}

#endif
