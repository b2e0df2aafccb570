/* The vector operations of kernel/row_body.h on 8 lanes. */
#ifndef CR_KERNEL_VEC_AVX2_H
#define CR_KERNEL_VEC_AVX2_H

#include <immintrin.h>
#include <string.h>

#include "kernel/quant.h"

#define LANES 8

typedef __m256 vec;

static inline vec v_set(float a) {
    return _mm256_set1_ps(a);
}
static inline vec v_add(vec a, vec b) {
    return _mm256_add_ps(a, b);
}
static inline vec v_sub(vec a, vec b) {
    return _mm256_sub_ps(a, b);
}
static inline vec v_mul(vec a, vec b) {
    return _mm256_mul_ps(a, b);
}
static inline vec v_div(vec a, vec b) {
    return _mm256_div_ps(a, b);
}
/* a * b + c */
static inline vec v_fma(vec a, vec b, vec c) {
    return _mm256_fmadd_ps(a, b, c);
}
/* a * b - c */
static inline vec v_fms(vec a, vec b, vec c) {
    return _mm256_fmsub_ps(a, b, c);
}
/* Bounds first: a NaN in x comes out as NaN. */
static inline vec v_clamp(vec x, float low, float high) {
    return _mm256_max_ps(v_set(low), _mm256_min_ps(v_set(high), x));
}
static inline vec v_abs(vec a) {
    return _mm256_andnot_ps(v_set(-0.0f), a);
}
/* a where x is negative, else b */
static inline vec v_if_negative(vec x, vec a, vec b) {
    return _mm256_blendv_ps(b, a, _mm256_cmp_ps(x, _mm256_setzero_ps(), _CMP_LT_OQ));
}
static inline vec v_round(vec a) {
    return _mm256_round_ps(a, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
}
static inline __m256 v_power(__m256i n) {
    return _mm256_castsi256_ps(
        _mm256_slli_epi32(_mm256_add_epi32(n, _mm256_set1_epi32(127)), 23));
}
/* a * 2^n, n a whole number; in two factors, since 2^n alone may not be a float. */
static inline vec v_scale(vec a, vec n) {
    __m256i whole = _mm256_cvtps_epi32(v_clamp(n, -250.0f, 250.0f));
    __m256i half = _mm256_srai_epi32(whole, 1);
    return v_mul(v_mul(a, v_power(half)), v_power(_mm256_sub_epi32(whole, half)));
}
static inline float v_sum(vec a) {
    __m128 s = _mm_add_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps(a, 1));
    s = _mm_add_ps(s, _mm_movehl_ps(s, s));
    return _mm_cvtss_f32(_mm_add_ss(s, _mm_movehdup_ps(s)));
}

static inline float v_highest(vec a) {
    __m128 s = _mm_max_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps(a, 1));
    s = _mm_max_ps(s, _mm_movehl_ps(s, s));
    return _mm_cvtss_f32(_mm_max_ss(s, _mm_movehdup_ps(s)));
}
static inline vec v_max(vec a, vec b) {
    return _mm256_max_ps(a, b);
}
/* Lanes [0, n) of a, `other` behind. */
static inline vec v_keep(vec a, size_t n, float other) {
    __m256i lane = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
    __m256i keep =
        _mm256_cmpgt_epi32(_mm256_set1_epi32((int)(n < LANES ? n : LANES)), lane);
    return _mm256_blendv_ps(v_set(other), a, _mm256_castsi256_ps(keep));
}
/* Fraction of t <= 0; `whole` is for v_scale. */
static inline vec v_fraction(vec t, vec *whole) {
    t = _mm256_max_ps(v_set(-200.0f), t); /* 2^-200 is 0 */
    *whole = _mm256_floor_ps(t);
    return v_sub(t, *whole);
}

static inline vec v_load_f32(const float *p) {
    return _mm256_loadu_ps(p);
}
/* The first n < LANES; zeros behind. */
static inline vec v_load_f32_part(const float *p, size_t n) {
    float part[LANES] = {0};
    memcpy(part, p, n * sizeof *p);
    return _mm256_loadu_ps(part);
}
static inline vec v_load_bf16(const uint16_t *p) {
    __m128i h = _mm_loadu_si128((const __m128i *)(const void *)p);
    return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(h), 16));
}
static inline vec v_load_bf16_part(const uint16_t *p, size_t n) {
    uint16_t part[LANES] = {0};
    memcpy(part, p, n * sizeof *p);
    return v_load_bf16(part);
}
/* Pairs of bf16 are for instruction sets that multiply them. */
static inline vec v_load_pairs_part(const uint16_t *p, size_t n) {
    (void)p;
    (void)n;
    return v_set(0.0f);
}
static inline vec v_pair(vec even, vec odd) {
    (void)odd;
    return even;
}
static inline void v_store_f32(float *p, vec a) {
    _mm256_storeu_ps(p, a);
}
static inline void v_store_f32_part(float *p, vec a, size_t n) {
    float part[LANES];
    _mm256_storeu_ps(part, a);
    memcpy(p, part, n * sizeof *p);
}
/* Round to nearest even; a NaN is made quiet. */
static inline void v_store_bf16(uint16_t *p, vec a) {
    __m256i u = _mm256_castps_si256(a);
    __m256i odd = _mm256_and_si256(_mm256_srli_epi32(u, 16), _mm256_set1_epi32(1));
    __m256i up = _mm256_add_epi32(u, _mm256_add_epi32(odd, _mm256_set1_epi32(0x7FFF)));
    __m256i quiet = _mm256_or_si256(u, _mm256_set1_epi32(0x400000));
    __m256i nan = _mm256_castps_si256(_mm256_cmp_ps(a, a, _CMP_UNORD_Q));
    __m256i h = _mm256_srli_epi32(_mm256_blendv_epi8(up, quiet, nan), 16);
    h = _mm256_permute4x64_epi64(_mm256_packus_epi32(h, h), 0x08);
    _mm_storeu_si128((__m128i *)(void *)p, _mm256_castsi256_si128(h));
}
static inline void v_store_bf16_part(uint16_t *p, vec a, size_t n) {
    uint16_t part[LANES];
    v_store_bf16(part, a);
    memcpy(p, part, n * sizeof *p);
}

/* rows[i] lane j becomes rows[j] lane i. */
static inline void v_transpose(vec rows[LANES]) {
    vec a[LANES], b[LANES];
    for (size_t i = 0; i < LANES; i += 2) { /* pairs of rows, within 128 bits */
        a[i] = _mm256_unpacklo_ps(rows[i], rows[i + 1]);
        a[i + 1] = _mm256_unpackhi_ps(rows[i], rows[i + 1]);
    }
    for (size_t i = 0; i < LANES;
         i += 4) { /* fours of rows: b[i + c] has column c mod 4 */
        for (size_t c = 0; c < 2; c++) {
            b[i + 2 * c] = _mm256_shuffle_ps(a[i + c], a[i + 2 + c], 0x44);
            b[i + 2 * c + 1] = _mm256_shuffle_ps(a[i + c], a[i + 2 + c], 0xEE);
        }
    }
    for (size_t c = 0; c < 4; c++) {
        rows[c] = _mm256_permute2f128_ps(b[c], b[4 + c], 0x20);
        rows[4 + c] = _mm256_permute2f128_ps(b[c], b[4 + c], 0x31);
    }
}

#endif
