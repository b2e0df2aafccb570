/* Products for AVX2 with FMA and F16C; bodies in dense_simd.h. */
#if defined(__x86_64__)

#include <string.h>

#include "base/checked.h"
#include "base/error.h"
#include "kernel/dense.h"
#include "kernel/quant.h"
#include "kernel/vec_avx2.h"

#define PLAIN_ROWS 2
#define BLOCK_ROWS 4

typedef __m256i ivec;

#define INLINE static inline __attribute__((always_inline))

#define vec_store_bf16(p, a) v_store_bf16(p, a)
#define vec_from(q)          _mm256_cvtepi32_ps(q)
#define ivec_and(a, b)       _mm256_and_si256(a, b)
#define ivec_or(a, b)        _mm256_or_si256(a, b)
#define ivec_add(a, b)       _mm256_add_epi32(a, b)
#define ivec_shl(a, n)       _mm256_slli_epi32(a, n)
#define ivec_shr(a, n)       _mm256_srli_epi32(a, n)
#define ivec_set1(a)         _mm256_set1_epi32(a)

INLINE ivec ivec_u8(const unsigned char *p) {
    return _mm256_cvtepu8_epi32(_mm_loadu_si64(p));
}

INLINE ivec ivec_i8(const unsigned char *p) {
    return _mm256_cvtepi8_epi32(_mm_loadu_si64(p));
}

INLINE vec vec_f16(const unsigned char *p) {
    return _mm256_cvtph_ps(_mm_loadu_si128((const void *)p));
}

INLINE float f16_at(const unsigned char *p) {
    uint16_t h;
    memcpy(&h, p, sizeof h);
    return _mm_cvtss_f32(_mm_cvtph_ps(_mm_cvtsi32_si128(h)));
}

INLINE vec vec_f16_set1(const unsigned char *p) {
    return _mm256_set1_ps(f16_at(p));
}

INLINE ivec ivec_bit4(uint32_t bits, int first) {
    __m256i lane = _mm256_add_epi32(_mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7),
                                    _mm256_set1_epi32(first));
    __m256i bit = _mm256_srlv_epi32(_mm256_set1_epi32((int)bits), lane);
    return _mm256_slli_epi32(_mm256_and_si256(bit, _mm256_set1_epi32(1)), 4);
}

INLINE ivec ivec_select(ivec mask, ivec a, ivec b) {
    return _mm256_or_si256(_mm256_and_si256(mask, a), _mm256_andnot_si256(mask, b));
}

INLINE void scales_store(float *to, uint32_t w0, uint32_t w1, uint32_t w2, uint32_t w3,
                         float first, float second) {
    ivec low = _mm256_cvtepu8_epi32(_mm_setr_epi32((int)w0, (int)w1, 0, 0));
    ivec high = _mm256_cvtepu8_epi32(_mm_setr_epi32((int)w2, (int)w3, 0, 0));
    v_store_f32(to, v_mul(vec_from(low), v_set(first)));
    v_store_f32(to + 8, v_mul(vec_from(high), v_set(second)));
}

/* q * d + plus; with plus = d * from both steps are exact. */
struct ramp {
    vec d, plus;
};

INLINE struct ramp ramp_plus(vec d, vec plus) {
    return (struct ramp){d, plus};
}

INLINE struct ramp ramp_from(vec d, int from) {
    return (struct ramp){d, v_mul(d, v_set((float)from))};
}

INLINE vec ramp_at(struct ramp ramp, ivec q) {
    return v_fma(vec_from(ivec_and(q, ivec_set1(15))), ramp.d, ramp.plus);
}

#include "kernel/dense_simd.h"

static size_t avx2_pack_bytes(enum cr_dtype w_dtype, enum cr_dtype act, size_t k) {
    (void)w_dtype, (void)act;
    return padded_len(k) * sizeof(float);
}

static void avx2_pack(enum cr_dtype w_dtype, enum cr_dtype act, const void *x,
                      void *packed, size_t k) {
    (void)w_dtype;
    pack_f32(act, x, packed, k);
}

/* m rows by 16 columns in 2 m registers: 6 rows leave room for the operands. */
INLINE void tile_rows(int m, const float *x, size_t x_row, const float *w, size_t k,
                      float *y, size_t y_row, bool add) {
    vec sums[6][2];
#pragma GCC unroll 12
    for (int i = 0; i < 2 * m; i++)
        sums[i / 2][i % 2] =
            add ? v_load_f32(y + (size_t)(i / 2) * y_row + i % 2 * LANES) : v_set(0);
    for (size_t at = 0; at < k; at++, w += 2 * LANES) {
        vec left = v_load_f32(w), right = v_load_f32(w + LANES);
#pragma GCC unroll 6
        for (int r = 0; r < m; r++) {
            vec value = v_set(x[(size_t)r * x_row + at]);
            sums[r][0] = v_fma(value, left, sums[r][0]);
            sums[r][1] = v_fma(value, right, sums[r][1]);
        }
    }
#pragma GCC unroll 12
    for (int i = 0; i < 2 * m; i++)
        v_store_f32(y + (size_t)(i / 2) * y_row + i % 2 * LANES, sums[i / 2][i % 2]);
}

static void avx2_tile(const float *x, size_t x_row, size_t m, const float *w, size_t k,
                      float *y, size_t y_row, bool add) {
    size_t r = 0;
    for (; m - r >= 6; r += 6)
        tile_rows(6, x + r * x_row, x_row, w, k, y + r * y_row, y_row, add);
    for (; m - r >= 2; r += 2)
        tile_rows(2, x + r * x_row, x_row, w, k, y + r * y_row, y_row, add);
    for (; r < m; r++)
        tile_rows(1, x + r * x_row, x_row, w, k, y + r * y_row, y_row, add);
}

const struct cr_dense cr_dense_avx2 = {
    .isa = CR_ISA_AVX2,
    .row_to_f32 = simd_to_f32,
    .row_to_bf16 = simd_to_bf16,
    .pack_bytes = avx2_pack_bytes,
    .pack = avx2_pack,
    .step = step_f32,
    .tile_cols = 2 * LANES,
    .tile = avx2_tile,
};

#else
typedef int not_for_this_architecture; /* ISO C wants a declaration */
#endif
