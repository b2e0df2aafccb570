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
static inline void v_store_f32(float *p, vec a) {
    _mm512_storeu_ps(p, a);
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

#endif
