/* 8-bit products without VNNI: kernel/int8.h. vpmaddubsw adds pairs of u8 times s8 in 16 bits and
 * saturates: 255 * 127 twice does not fit. So both sides are widened to 16 bits and multiplied by vpmaddwd,
 * as many multiplications as vpmaddubsw and the vpmaddwd behind it would be, and none of the work on
 * signs. Eight sums of nibbles fit into 16 bits: those go by vpmaddubsw. */
#if defined(__x86_64__)

#include <float.h>
#include <immintrin.h>
#include <math.h>
#include <string.h>

#include "kernel/int8.h"

#define INLINE static inline __attribute__((always_inline))

#define ROWS8 6
#define ROWS4 4

#include "kernel/int8_store.h"

INLINE __m256i four_at(const int8_t *x) {
    int32_t word;
    memcpy(&word, x, sizeof word);
    return _mm256_set1_epi32(word);
}

INLINE void add_scaled(float *to, __m256i group, float scale) {
    _mm256_store_ps(to, _mm256_fmadd_ps(_mm256_cvtepi32_ps(group), _mm256_set1_ps(scale),
                                        _mm256_load_ps(to)));
}

/* Sums of four numbers x times each of eight columns. By hand: gcc 12 takes the products of all rows
 * first and then has no registers for the sums, which makes it three times slower. */
INLINE void add_products(__m256i *sum0, __m256i *sum1, const int16_t *x, __m256i w0,
                         __m256i w1) {
    __m256i x4, product;
    __asm__("vpbroadcastq %4, %2\n\t"
            "vpmaddwd %2, %5, %3\n\t"
            "vpmaddwd %2, %6, %2\n\t"
            "vpaddd %3, %0, %0\n\t"
            "vpaddd %2, %1, %1"
            : "+x"(*sum0), "+x"(*sum1), "=&x"(x4), "=&x"(product)
            : "m"(*(const int64_t *)(const void *)x), "x"(w0), "x"(w1));
}

INLINE void add_four(const size_t m, const int16_t *x, const uint8_t *w,
                     __m256i sum[ROWS8][2]) {
    __m256i w0 = _mm256_cvtepu8_epi16(_mm_load_si128((const void *)w));
    __m256i w1 = _mm256_cvtepu8_epi16(_mm_load_si128((const void *)(w + 16)));
#pragma GCC unroll 6
    for (size_t r = 0; r < m; r++)
        add_products(&sum[r][0], &sum[r][1], x + r * CR_INT8_GROUP, w0, w1);
}

/* Group of n fours against m rows, 8 columns. A vector holds two sums of each of four columns, of
 * the first two k of every four and of the others; x: (m, group) in 16 bits. */
INLINE void group8(const size_t m, const int16_t *x, const uint8_t *w, size_t n,
                   const float *scales, const int32_t *offsets, size_t row, float *tile) {
    __m256i sum[ROWS8][2];
#pragma GCC unroll 6
    for (size_t r = 0; r < m; r++)
        sum[r][0] = sum[r][1] = _mm256_setzero_si256();
    size_t j = 0;
    for (; j + 4 <= n; j += 4, w += 16 * CR_INT8_COLS, x += 16)
#pragma GCC unroll 4
        for (size_t i = 0; i < 4; i++) /* few turns: the end of the loop is predicted */
            add_four(m, x + 4 * i, w + 4 * i * CR_INT8_COLS, sum);
    for (; j < n; j++, w += 4 * CR_INT8_COLS, x += 4)
        add_four(m, x, w, sum);
#pragma GCC unroll 6
    for (size_t r = 0; r < m; r++) {
        __m256i whole = _mm256_permute4x64_epi64(_mm256_hadd_epi32(sum[r][0], sum[r][1]),
                                                 _MM_SHUFFLE(3, 1, 2, 0));
        whole = _mm256_add_epi32(whole, _mm256_set1_epi32(offsets[r * row]));
        add_scaled(tile + r * CR_INT8_COLS, whole, scales[r * row]);
    }
}

INLINE void dots8(const size_t m, const struct cr_int8_rows *x, size_t first,
                  const uint8_t *panel, size_t g0, size_t g1, float *tile,
                  const struct cr_int8_out *out, size_t row) {
    size_t fours = (x->k + 3) / 4;
    int16_t wide[ROWS8 * CR_INT8_GROUP] __attribute__((aligned(64)));
    for (size_t i = 0; g0 == 0 && i < m * CR_INT8_COLS; i++)
        tile[i] = 0;
    for (size_t g = g0; g < g1; g++) {
        size_t n = fours - 32 * g < 32 ? fours - 32 * g : 32;
        size_t at = first * x->n_groups + g;
        for (size_t r = 0; r < m; r++) {
            const int8_t *q = x->q + (first + r) * x->q_row + g * CR_INT8_GROUP;
            for (size_t i = 0; i < CR_INT8_GROUP; i += 16)
                _mm256_store_si256(
                    (void *)(wide + r * CR_INT8_GROUP + i),
                    _mm256_cvtepi8_epi16(_mm_load_si128((const void *)(q + i))));
        }
        for (size_t col = 0; col < CR_INT8_COLS; col += 8)
            group8(m, wide, panel + g * CR_INT8_GROUP * CR_INT8_COLS + 4 * col, n,
                   x->scales + at, x->offsets + at, x->n_groups, tile + col);
    }
    for (size_t r = 0; out && r < m; r++)
        store_row(tile + r * COLS, NULL, out, row + r);
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
