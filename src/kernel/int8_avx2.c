/* 8-bit products without VNNI: kernel/int8.h. vpmaddubsw adds pairs of u8 times s8 in 16 bits and
 * saturates: 2 * 255 * 127 does not fit, 2 * 128 * 127 does. So it gets |w| and x with the sign
 * of w; nibbles need no such care, and eight of their sums fit into 16 bits. */
#if defined(__x86_64__)

#include <float.h>
#include <immintrin.h>
#include <math.h>
#include <string.h>

#include "kernel/int8.h"

#define INLINE static inline __attribute__((always_inline))

#define ROWS8 4
#define ROWS4 4

INLINE __m256i four_at(const int8_t *x) {
    int32_t word;
    memcpy(&word, x, sizeof word);
    return _mm256_set1_epi32(word);
}

INLINE void add_scaled(float *to, __m256i group, float scale) {
    _mm256_store_ps(to, _mm256_fmadd_ps(_mm256_cvtepi32_ps(group), _mm256_set1_ps(scale),
                                        _mm256_load_ps(to)));
}

/* Group of n fours against m rows, 16 columns. The weights' sign is their own, so there is no
 * offset to take off. */
INLINE void group8(const size_t m, const int8_t *q, size_t q_row, const uint8_t *w,
                   size_t n, const float *scales, size_t scales_row, float *tile) {
    const __m256i ones = _mm256_set1_epi16(1), offset = _mm256_set1_epi8((char)128);
    __m256i sum[ROWS8][2];
#pragma GCC unroll 4
    for (size_t r = 0; r < m; r++)
        sum[r][0] = sum[r][1] = _mm256_setzero_si256();
    for (size_t j = 0; j < n; j++, w += 256, q += 4) {
        __m256i w0 = _mm256_xor_si256(_mm256_load_si256((const void *)w), offset);
        __m256i w1 = _mm256_xor_si256(_mm256_load_si256((const void *)(w + 32)), offset);
        __m256i a0 = _mm256_abs_epi8(w0), a1 = _mm256_abs_epi8(w1);
#pragma GCC unroll 4
        for (size_t r = 0; r < m; r++) {
            __m256i x4 = four_at(q + r * q_row);
            __m256i p0 = _mm256_maddubs_epi16(a0, _mm256_sign_epi8(x4, w0));
            __m256i p1 = _mm256_maddubs_epi16(a1, _mm256_sign_epi8(x4, w1));
            sum[r][0] = _mm256_add_epi32(sum[r][0], _mm256_madd_epi16(p0, ones));
            sum[r][1] = _mm256_add_epi32(sum[r][1], _mm256_madd_epi16(p1, ones));
        }
    }
#pragma GCC unroll 4
    for (size_t r = 0; r < m; r++) {
        add_scaled(tile + r * CR_INT8_COLS, sum[r][0], scales[r * scales_row]);
        add_scaled(tile + r * CR_INT8_COLS + 8, sum[r][1], scales[r * scales_row]);
    }
}

INLINE void dots8(const size_t m, const struct cr_int8_rows *x, size_t first,
                  const uint8_t *panel, float *tile) {
    size_t fours = (x->k + 3) / 4;
    for (size_t i = 0; i < m * CR_INT8_COLS; i++)
        tile[i] = 0;
    for (size_t g = 0; g < x->n_groups; g++) {
        size_t n = fours - 32 * g < 32 ? fours - 32 * g : 32;
        for (size_t col = 0; col < CR_INT8_COLS; col += 16)
            group8(m, x->q + first * x->q_row + g * CR_INT8_GROUP, x->q_row,
                   panel + g * CR_INT8_GROUP * CR_INT8_COLS + 4 * col, n,
                   x->scales + first * x->n_groups + g, x->n_groups, tile + col);
    }
}

/* One block against m rows, 8 columns. */
INLINE void block4(const size_t m, const int8_t *q, size_t q_row, const uint8_t *w,
                   size_t col, const int32_t *block_sums, size_t sums_row,
                   __m256i group[ROWS4], __m256i minima[ROWS4]) {
    const __m256i nibble = _mm256_set1_epi8(15), ones = _mm256_set1_epi16(1);
    __m256i sum[ROWS4];
#pragma GCC unroll 4
    for (size_t r = 0; r < m; r++)
        sum[r] = _mm256_setzero_si256();
#pragma GCC unroll 4
    for (size_t j = 0; j < 4; j++) {
        __m256i both = _mm256_load_si256((const void *)(w + 256 * j + 4 * col));
        __m256i low = _mm256_and_si256(both, nibble);
        __m256i high = _mm256_and_si256(_mm256_srli_epi16(both, 4), nibble);
#pragma GCC unroll 4
        for (size_t r = 0; r < m; r++) {
            const int8_t *at = q + r * q_row + 8 * j;
            __m256i p = _mm256_add_epi16(_mm256_maddubs_epi16(low, four_at(at)),
                                         _mm256_maddubs_epi16(high, four_at(at + 4)));
            sum[r] = _mm256_add_epi16(sum[r], p);
        }
    }
    const uint8_t *s = w + CR_INT4_BLOCK / 2 * CR_INT8_COLS + col, *t = s + CR_INT8_COLS;
    __m256i s8 = _mm256_cvtepu8_epi32(_mm_loadl_epi64((const void *)s));
    __m256i t8 = _mm256_cvtepu8_epi32(_mm_loadl_epi64((const void *)t));
#pragma GCC unroll 4
    for (size_t r = 0; r < m; r++) {
        __m256i whole = _mm256_madd_epi16(sum[r], ones);
        __m256i of_block = _mm256_set1_epi32(block_sums[r * sums_row]);
        group[r] = _mm256_add_epi32(group[r], _mm256_mullo_epi32(whole, s8));
        minima[r] = _mm256_add_epi32(minima[r], _mm256_mullo_epi32(of_block, t8));
    }
}

INLINE void dots4(const size_t m, const struct cr_int8_rows *x, size_t first,
                  const uint8_t *panel, float *tile, float *minimum) {
    const size_t block_bytes = CR_INT4_BLOCK / 2 * CR_INT8_COLS + 2 * CR_INT8_COLS;
    size_t n_blocks = x->k / CR_INT4_BLOCK;
    for (size_t i = 0; i < m * CR_INT8_COLS; i++)
        tile[i] = minimum[i] = 0;
    for (size_t g = 0; g < x->n_groups; g++) {
        size_t last = 4 * g + 4 < n_blocks ? 4 * g + 4 : n_blocks;
        for (size_t col = 0; col < CR_INT8_COLS; col += 8) {
            __m256i group[ROWS4], minima[ROWS4];
#pragma GCC unroll 4
            for (size_t r = 0; r < m; r++)
                group[r] = minima[r] = _mm256_setzero_si256();
            for (size_t b = 4 * g; b < last; b++)
                block4(m, x->q + first * x->q_row + b * CR_INT4_BLOCK, x->q_row,
                       panel + b * block_bytes, col,
                       x->block_sums + 4 * first * x->n_groups + b, 4 * x->n_groups,
                       group, minima);
#pragma GCC unroll 4
            for (size_t r = 0; r < m; r++) {
                float scale = x->scales[(first + r) * x->n_groups + g];
                add_scaled(tile + r * CR_INT8_COLS + col, group[r], scale);
                add_scaled(minimum + r * CR_INT8_COLS + col, minima[r], scale);
            }
        }
    }
}

#include "kernel/int8_body.h"

const struct cr_int8 cr_int8_avx2 = CR_INT8_TABLE(CR_ISA_AVX2);

#else
typedef int not_for_this_architecture; /* ISO C wants a declaration */
#endif
