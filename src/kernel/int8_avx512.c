/* 8-bit products through VNNI: kernel/int8.h. */
#if defined(__x86_64__)

#include <float.h>
#include <immintrin.h>
#include <math.h>
#include <string.h>

#include "kernel/int8.h"

#define INLINE static inline __attribute__((always_inline))

#define ROWS8 6
#define ROWS4 8
#define FEW   8

#include "kernel/int8_store.h"

typedef int32_t word __attribute__((may_alias));

/* sum += the 4 bytes at x, in every lane, times those of w. By assembly because gcc 12 loads the
 * word into a register of its own otherwise, and spills: half the speed. */
INLINE __m512i dot(__m512i sum, __m512i w, const int8_t *x) {
    __asm__("vpdpbusd %2%{1to16%}, %1, %0"
            : "+v"(sum)
            : "v"(w), "m"(*(const word *)(const void *)x));
    return sum;
}

/* The same for six rows, `at` bytes on: addresses count from rows 0 and 3, so that no instruction
 * of its own computes one. */
#define DOT_ROW(r, at, q, q_row, sum, w)                                                 \
    __asm__("vpdpbusd %c4(%2" r ")%{1to16%}, %1, %0"                                     \
            : "+v"(sum)                                                                  \
            : "v"(w), "r"(q), "r"(q_row), "i"(at),                                       \
              "m"(*(const word *)(const void *)(q)))

INLINE void dot6(__m512i sum[][4], size_t c, __m512i w, const int8_t *q, const int8_t *q3,
                 size_t q_row, const int at) {
    DOT_ROW("", at, q, q_row, sum[0][c], w);
    DOT_ROW(",%3", at, q, q_row, sum[1][c], w);
    DOT_ROW(",%3,2", at, q, q_row, sum[2][c], w);
    DOT_ROW("", at, q3, q_row, sum[3][c], w);
    DOT_ROW(",%3", at, q3, q_row, sum[4][c], w);
    DOT_ROW(",%3,2", at, q3, q_row, sum[5][c], w);
}

/* 4 k against m rows, n_vec vectors of columns. */
INLINE void four8(const size_t m, const size_t n_vec, const int8_t *q, size_t q_row,
                  const uint8_t *w, __m512i sum[][4]) {
    __m512i w4[4];
#pragma GCC unroll 4
    for (size_t c = 0; c < n_vec; c++)
        w4[c] = _mm512_load_si512(w + 64 * c);
#pragma GCC unroll 8
    for (size_t r = 0; r < m; r++)
#pragma GCC unroll 4
        for (size_t c = 0; c < n_vec; c++)
            sum[r][c] = dot(sum[r][c], w4[c], q + r * q_row);
}

/* One group of n fours against m rows. The loop takes four at a time: its end is then foreseen
 * by the branch predictor, which is worth 5 %. */
INLINE void group8(const size_t m, const size_t n_vec, const int8_t *q, size_t q_row,
                   const uint8_t *w, size_t n, const int32_t *offsets,
                   const float *scales, size_t groups_row, __m512 total[][4]) {
    __m512i sum[ROWS8][4];
#pragma GCC unroll 8
    for (size_t r = 0; r < m; r++)
#pragma GCC unroll 4
        for (size_t c = 0; c < n_vec; c++)
            sum[r][c] = _mm512_set1_epi32(offsets[r * groups_row]);
    const int8_t *q3 = q + 3 * q_row;
    for (; n >= 4; n -= 4) {
        if (m == 6) {
#define FOUR6(j)                                                                         \
    {                                                                                    \
        __m512i w0 = _mm512_load_si512(w + 256 * j),                                     \
                w1 = _mm512_load_si512(w + 256 * j + 64);                                \
        dot6(sum, 0, w0, q, q3, q_row, 4 * j);                                           \
        dot6(sum, 1, w1, q, q3, q_row, 4 * j);                                           \
    }
            FOUR6(0)
            FOUR6(1)
            FOUR6(2)
            FOUR6(3)
        } else {
#pragma GCC unroll 8
            for (size_t j = 0; j < 4; j++)
                four8(m, n_vec, q + 4 * j, q_row, w + 256 * j, sum);
        }
        q += 16;
        q3 += 16;
        w += 1024;
    }
    for (; n > 0; n--, q += 4, w += 256)
        four8(m, n_vec, q, q_row, w, sum);
#pragma GCC unroll 8
    for (size_t r = 0; r < m; r++) {
        __m512 scale = _mm512_set1_ps(scales[r * groups_row]);
#pragma GCC unroll 4
        for (size_t c = 0; c < n_vec; c++)
            total[r][c] =
                _mm512_fmadd_ps(_mm512_cvtepi32_ps(sum[r][c]), scale, total[r][c]);
    }
}

/* bf16_of of each lane. */
INLINE __m256i bf16_of_16(__m512 value) {
    __m512i u = _mm512_castps_si512(value);
    __m512i odd = _mm512_and_si512(_mm512_srli_epi32(u, 16), _mm512_set1_epi32(1));
    __m512i half = _mm512_add_epi32(odd, _mm512_set1_epi32(0x7fff));
    __m512i rounded = _mm512_srli_epi32(_mm512_add_epi32(u, half), 16);
    __mmask16 is_nan = _mm512_cmp_ps_mask(value, value, _CMP_UNORD_Q);
    __m512i quiet = _mm512_or_si512(_mm512_srli_epi32(u, 16), _mm512_set1_epi32(64));
    return _mm512_cvtepi32_epi16(_mm512_mask_mov_epi32(rounded, is_nan, quiet));
}

/* store_row for vectors [v, v + n_vec) of m rows' columns, straight from the registers. */
INLINE void finish(const size_t m, const size_t n_vec, size_t v, __m512 total[][4],
                   const struct cr_int8_out *out, size_t row) {
#pragma GCC unroll 4
    for (size_t c = 0; c < n_vec; c++) {
        size_t col = 16 * (v + c), left = out->n > col ? out->n - col : 0;
        __mmask16 some = (__mmask16)(left >= 16 ? 0xffffu : (1u << left) - 1);
        __m512 scale = _mm512_loadu_ps(out->scale + col), bias = _mm512_setzero_ps();
        if (out->bias)
            bias = _mm512_maskz_loadu_ps(some, out->bias + col);
#pragma GCC unroll 8
        for (size_t r = 0; r < m; r++) {
            size_t at = (row + r) * out->y_row + col;
            __m512 value = _mm512_mul_ps(total[r][c], scale);
            if (out->bias)
                value = _mm512_add_ps(value, bias);
            if (out->type == CR_BF16) {
                _mm256_mask_storeu_epi16((uint16_t *)out->y + at, some,
                                         bf16_of_16(value));
            } else {
                float *y = (float *)out->y + at;
                if (out->add)
                    value = _mm512_add_ps(value, _mm512_maskz_loadu_ps(some, y));
                _mm512_mask_storeu_ps(y, some, value);
            }
        }
    }
}

/* Many rows take half of the panel's columns at a time, so that sums and totals share the registers: the
 * end of a group then touches no memory, which is worth 3 %. */
INLINE void dots8(const size_t m, const struct cr_int8_rows *x, size_t first,
                  const uint8_t *panel, size_t g0, size_t g1, float *tile,
                  const struct cr_int8_out *out, size_t row) {
    const size_t n_vec = m <= 2 ? 4 : 2;
    for (size_t v = 0; v < 4; v += n_vec) {
        if (out && g0 == 0 && 16 * v >= out->n)
            break; /* columns that fill up the last panel */
        const int8_t *q = x->q + first * x->q_row + g0 * CR_INT8_GROUP;
        const uint8_t *w = panel + g0 * CR_INT8_GROUP * CR_INT8_COLS + 64 * v;
        size_t fours = (x->k + 3) / 4 - g0 * CR_INT8_GROUP / 4;
        __m512 total[ROWS8][4];
#pragma GCC unroll 8
        for (size_t r = 0; r < m; r++)
#pragma GCC unroll 4
            for (size_t c = 0; c < n_vec; c++)
                total[r][c] = g0 ? _mm512_load_ps(tile + r * CR_INT8_COLS + 16 * (v + c))
                                 : _mm512_setzero_ps();
        for (size_t g = g0; g < g1; g++, fours -= 32) {
            group8(m, n_vec, q, x->q_row, w, fours < 32 ? fours : 32,
                   x->offsets + first * x->n_groups + g,
                   x->scales + first * x->n_groups + g, x->n_groups, total);
            q += CR_INT8_GROUP;
            w += CR_INT8_GROUP * CR_INT8_COLS;
        }
        if (out) {
            finish(m, n_vec, v, total, out, row);
            continue;
        }
#pragma GCC unroll 8
        for (size_t r = 0; r < m; r++)
#pragma GCC unroll 4
            for (size_t c = 0; c < n_vec; c++)
                _mm512_store_ps(tile + r * CR_INT8_COLS + 16 * (v + c), total[r][c]);
    }
}

INLINE __m512i bytes_at(const uint8_t *p) {
    return _mm512_cvtepu8_epi32(_mm_load_si128((const void *)p));
}

INLINE void add_scaled(float *to, __m512i group, float scale) {
    _mm512_store_ps(to, _mm512_fmadd_ps(_mm512_cvtepi32_ps(group), _mm512_set1_ps(scale),
                                        _mm512_load_ps(to)));
}

#include "kernel/int8_few_avx512.h"

#define QUANTISE_GROUP
#define TOO_SMALL 0x1p-100f

/* As quantise_group of the body. */
INLINE float quantise_group_whole(enum cr_dtype type, const void *x, int8_t *q,
                                  int32_t *block_sums, int32_t *offset) {
    const __m512i magnitude = _mm512_set1_epi32(0x7fffffff);
    __m512 v[8];
    __m512i most = _mm512_setzero_si512();
#pragma GCC unroll 8
    for (size_t i = 0; i < 8; i++) {
        if (type == CR_F32) {
            v[i] = _mm512_loadu_ps((const float *)x + 16 * i);
        } else {
            __m256i half =
                _mm256_loadu_si256((const void *)((const uint16_t *)x + 16 * i));
            v[i] =
                _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(half), 16));
        }
        most = _mm512_max_epu32(most,
                                _mm512_and_si512(_mm512_castps_si512(v[i]), magnitude));
    }
    float largest = _mm_cvtss_f32(
        _mm_castsi128_ps(_mm_cvtsi32_si128((int32_t)_mm512_reduce_max_epu32(most))));
    bool is_finite = largest <= FLT_MAX, counts = is_finite && largest >= TOO_SMALL;
    __m512 inverse = _mm512_set1_ps(counts ? 127.0f / largest : 0.0f);
    *offset = 0;
#pragma GCC unroll 4
    for (size_t b = 0; b < 4; b++) {
        __m512i low = _mm512_cvtps_epi32(_mm512_mul_ps(v[2 * b], inverse));
        __m512i high = _mm512_cvtps_epi32(_mm512_mul_ps(v[2 * b + 1], inverse));
        if (!counts) /* NaN times zero */
            low = high = _mm512_setzero_si512();
        _mm_store_si128((void *)(q + 32 * b), _mm512_cvtsepi32_epi8(low));
        _mm_store_si128((void *)(q + 32 * b + 16), _mm512_cvtsepi32_epi8(high));
        block_sums[b] = _mm512_reduce_add_epi32(_mm512_add_epi32(low, high));
        *offset -= 128 * block_sums[b];
    }
    return is_finite ? (counts ? largest / 127.0f : 0.0f) : NAN;
}

#include "kernel/int8_body.h"

const struct cr_int8 cr_int8_avx512 = CR_INT8_TABLE(CR_ISA_AVX512);

#else
typedef int not_for_this_architecture; /* ISO C wants a declaration */
#endif
