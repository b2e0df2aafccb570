/* Products for AVX-512 with VNNI and BF16; bodies in dense_simd.h. Weights in bf16 against
 * activations in bf16 have a kernel of their own, two products an instruction. */
#if defined(__x86_64__)

#include <string.h>

#include "base/checked.h"
#include "base/error.h"
#include "kernel/dense.h"
#include "kernel/quant.h"
#include "kernel/vec_avx512.h"

#define PLAIN_ROWS 4
#define BLOCK_ROWS 8

typedef __m512i ivec;

#define INLINE static inline __attribute__((always_inline))

#define vec_from(q)    _mm512_cvtepi32_ps(q)
#define ivec_and(a, b) _mm512_and_si512(a, b)
#define ivec_or(a, b)  _mm512_or_si512(a, b)
#define ivec_add(a, b) _mm512_add_epi32(a, b)
#define ivec_shl(a, n) _mm512_slli_epi32(a, n)
#define ivec_shr(a, n) _mm512_srli_epi32(a, n)
#define ivec_set1(a)   _mm512_set1_epi32(a)

INLINE ivec ivec_u8(const unsigned char *p) {
    return _mm512_cvtepu8_epi32(_mm_loadu_si128((const void *)p));
}

INLINE ivec ivec_i8(const unsigned char *p) {
    return _mm512_cvtepi8_epi32(_mm_loadu_si128((const void *)p));
}

INLINE vec vec_f16(const unsigned char *p) {
    return _mm512_cvtph_ps(_mm256_loadu_si256((const void *)p));
}

INLINE float f16_at(const unsigned char *p) {
    uint16_t h;
    memcpy(&h, p, sizeof h);
    return _mm_cvtss_f32(_mm_cvtph_ps(_mm_cvtsi32_si128(h)));
}

INLINE vec vec_f16_set1(const unsigned char *p) {
    uint16_t h;
    memcpy(&h, p, sizeof h);
    return _mm512_cvtph_ps(_mm256_set1_epi16((short)h));
}

/* Not vcvtneps2bf16, which takes denormals for zero. */
INLINE void vec_store_bf16(uint16_t *p, vec a) {
    __m512i u = _mm512_castps_si512(a), top = _mm512_srli_epi32(u, 16);
    __m512i odd = _mm512_and_si512(top, _mm512_set1_epi32(1));
    __m512i sum = _mm512_add_epi32(u, _mm512_add_epi32(odd, _mm512_set1_epi32(0x7fff)));
    __mmask16 nan = _mm512_cmp_ps_mask(a, a, _CMP_UNORD_Q);
    __m512i quiet = _mm512_or_si512(top, _mm512_set1_epi32(64));
    __m512i bits = _mm512_mask_mov_epi32(_mm512_srli_epi32(sum, 16), nan, quiet);
    _mm256_storeu_si256((void *)p, _mm512_cvtepi32_epi16(bits));
}

INLINE ivec ivec_bit4(uint32_t bits, int first) {
    return _mm512_maskz_set1_epi32((__mmask16)(bits >> first), 16);
}

INLINE ivec ivec_select(ivec mask, ivec a, ivec b) {
    return _mm512_ternarylogic_epi32(mask, a, b, 0xca);
}

INLINE void scales_store(float *to, uint32_t w0, uint32_t w1, uint32_t w2, uint32_t w3,
                         float first, float second) {
    __m128i bytes = _mm_setr_epi32((int)w0, (int)w1, (int)w2, (int)w3);
    vec factor = _mm512_insertf32x8(v_set(first), _mm256_set1_ps(second), 1);
    v_store_f32(to, v_mul(vec_from(_mm512_cvtepu8_epi32(bytes)), factor));
}

/* The sixteen values themselves: one permutation looks a vector of nibbles up, whatever
 * stands above them. */
struct ramp {
    vec values;
};

INLINE vec counting(int from) {
    __m512i lane =
        _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
    return vec_from(ivec_add(lane, ivec_set1(from)));
}

INLINE struct ramp ramp_plus(vec d, vec plus) {
    return (struct ramp){v_fma(counting(0), d, plus)};
}

INLINE struct ramp ramp_from(vec d, int from) {
    return (struct ramp){v_mul(counting(from), d)};
}

INLINE vec ramp_at(struct ramp ramp, ivec q) {
    return _mm512_permutexvar_ps(q, ramp.values);
}

#include "kernel/dense_simd.h"

/* ---- bf16 times bf16 ------------------------------------------------------------------- */

/* 32 pairs of bf16; denormals count as zero. */
INLINE vec dot_bf16(const unsigned char *w, const uint16_t *x, vec sum) {
    return _mm512_dpbf16_ps(sum, (__m512bh)_mm512_loadu_si512(w),
                            (__m512bh)_mm512_loadu_si512(x));
}

/* One weight row against m rows of x; 4 sums each, 32 products a sum. */
INLINE void bf16_dot(enum cr_dtype dtype, int m, const struct cr_step *s,
                     const unsigned char *w, const uint16_t *x, float *y) {
    (void)dtype;
    size_t x_row = padded_len(s->k), whole = s->k - s->k % 128;
    vec sums[4][4];
#pragma GCC unroll 16
    for (int i = 0; i < 4 * m; i++)
        sums[i / 4][i % 4] = v_set(0);
    for (size_t k = 0; k < whole; k += 128) {
#pragma GCC unroll 16
        for (int i = 0; i < 4 * m; i++) {
            size_t at = k + (size_t)(i % 4 * 32);
            sums[i / 4][i % 4] = dot_bf16(w + 2 * at, x + (size_t)(i / 4) * x_row + at,
                                          sums[i / 4][i % 4]);
        }
    }
    if (whole < s->k) { /* the rest of the row, filled up with zeros */
        unsigned char rest[256] = {0};
        memcpy(rest, w + 2 * whole, 2 * (s->k - whole));
        for (size_t at = 0; at < s->k - whole; at += 32)
            for (int r = 0; r < m; r++)
                sums[r][at / 32] = dot_bf16(
                    rest + 2 * at, x + (size_t)r * x_row + whole + at, sums[r][at / 32]);
    }
#pragma GCC unroll 4
    for (int r = 0; r < m; r++)
        y[(size_t)r * s->y_row] =
            v_sum(v_add(v_add(sums[r][0], sums[r][1]), v_add(sums[r][2], sums[r][3])));
}

static void step_bf16(const struct cr_step *s, size_t n) {
    size_t x_row = padded_len(s->k);
    const uint16_t *x = s->x;
    for (size_t row = 0; row < n; row++) {
        const unsigned char *w = (const unsigned char *)s->w + row * s->w_row_bytes;
        float *y = s->y + row;
        size_t r = 0;
        for (; s->m - r >= 4; r += 4)
            bf16_dot(CR_BF16, 4, s, w, x + r * x_row, y + r * s->y_row);
        for (; s->m - r >= 2; r += 2)
            bf16_dot(CR_BF16, 2, s, w, x + r * x_row, y + r * s->y_row);
        for (; r < s->m; r++)
            bf16_dot(CR_BF16, 1, s, w, x + r * x_row, y + r * s->y_row);
    }
}

static bool both_bf16(enum cr_dtype w_dtype, enum cr_dtype act) {
    return w_dtype == CR_BF16 && act == CR_BF16;
}

static size_t avx512_pack_bytes(enum cr_dtype w_dtype, enum cr_dtype act, size_t k) {
    return padded_len(k) * (both_bf16(w_dtype, act) ? sizeof(uint16_t) : sizeof(float));
}

static void avx512_pack(enum cr_dtype w_dtype, enum cr_dtype act, const void *x,
                        void *packed, size_t k) {
    if (!both_bf16(w_dtype, act)) {
        pack_f32(act, x, packed, k);
        return;
    }
    memcpy(packed, x, k * sizeof(uint16_t));
    memset((uint16_t *)packed + k, 0, (padded_len(k) - k) * sizeof(uint16_t));
}

static void avx512_step(const struct cr_step *s, size_t n) {
    if (both_bf16(s->w_dtype, s->act))
        step_bf16(s, n);
    else
        step_f32(s, n);
}

const struct cr_dense cr_dense_avx512 = {
    .isa = CR_ISA_AVX512,
    .row_to_f32 = simd_to_f32,
    .row_to_bf16 = simd_to_bf16,
    .pack_bytes = avx512_pack_bytes,
    .pack = avx512_pack,
    .step = avx512_step,
};

#else
typedef int not_for_this_architecture; /* ISO C wants a declaration */
#endif
