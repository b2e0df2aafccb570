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

/* The sums of four blocks of a group, whose bytes are low (blocks 0 and 1) and high (2 and 3), and its
 * offset. */
INLINE void sum_blocks(__m512i low, __m512i high, int32_t *block_sums, int32_t *offset) {
    const __m512i ones = _mm512_set1_epi8(1), zero = _mm512_setzero_si512();
    __m512i a = _mm512_dpbusd_epi32(zero, ones, low); /* 8 lanes a block */
    __m512i b = _mm512_dpbusd_epi32(zero, ones, high);
    __m512i both =
        _mm512_add_epi32(_mm512_unpacklo_epi32(a, b), _mm512_unpackhi_epi32(a, b));
    both = _mm512_add_epi32(both, _mm512_shuffle_epi32(both, _MM_PERM_BADC));
    /* Of each 128 bits now: a, b, a, b; the first two are of blocks 0 and 2, the last of 1 and 3. */
    __m512i order = _mm512_setr_epi32(0, 8, 1, 9, 4, 12, 5, 13, 0, 0, 0, 0, 0, 0, 0, 0);
    __m256i halves = _mm512_castsi512_si256(_mm512_permutexvar_epi32(order, both));
    __m128i sums = _mm_add_epi32(_mm256_castsi256_si128(halves),
                                 _mm256_extracti128_si256(halves, 1));
    _mm_storeu_si128((void *)block_sums, sums);
    sums = _mm_add_epi32(sums, _mm_shuffle_epi32(sums, 0x4e));
    sums = _mm_add_epi32(sums, _mm_shuffle_epi32(sums, 0xb1));
    *offset = -128 * _mm_cvtsi128_si32(sums);
}

/* 127 / largest in every lane, 0 where the group counts as zero; *scale is the group's. */
INLINE __m512 inverse_of(float largest, float *scale) {
    bool is_finite = largest <= FLT_MAX, counts = is_finite && largest >= TOO_SMALL;
    *scale = is_finite ? (counts ? largest / 127.0f : 0.0f) : NAN;
    return _mm512_set1_ps(counts ? 127.0f / largest : 0.0f);
}

INLINE __m512i rounded(__m512 value, __m512 inverse) {
    return _mm512_cvtps_epi32(_mm512_mul_ps(value, inverse));
}

/* Half a group to q; zeros where it counts as zero or has a NaN, which times zero is none. */
INLINE __m512i put_bytes(__m512i bytes, float scale, int8_t *q) {
    if (!(scale > 0))
        bytes = _mm512_setzero_si512();
    _mm512_storeu_si512(q, bytes);
    return bytes;
}

/* As quantise_group of the body, of a whole group in bf16; 16-bit halves of a 32-bit lane become f32 where
 * they are. */
INLINE float quantise_group_bf16(const uint16_t *x, int8_t *q, int32_t *block_sums,
                                 int32_t *offset) {
    __m512i v[4], most = _mm512_setzero_si512(), bytes[2];
#pragma GCC unroll 4
    for (size_t i = 0; i < 4; i++) {
        v[i] = _mm512_loadu_si512(x + 32 * i);
        most = _mm512_max_epu16(most, _mm512_and_si512(v[i], _mm512_set1_epi16(0x7fff)));
    }
    __m256i most16 = _mm256_max_epu16(_mm512_castsi512_si256(most),
                                      _mm512_extracti64x4_epi64(most, 1));
    __m128i most8 = _mm_max_epu16(_mm256_castsi256_si128(most16),
                                  _mm256_extracti128_si256(most16, 1));
    __m128i least = _mm_minpos_epu16(_mm_xor_si128(most8, _mm_set1_epi16(-1)));
    float scale;
    __m512 inverse = inverse_of(
        float_of((~(uint32_t)_mm_cvtsi128_si32(least) & 0xffff) << 16), &scale);
    __m512i pairs[4];
#pragma GCC unroll 4
    for (size_t i = 0; i < 4; i++) {
        __m512i even = rounded(_mm512_castsi512_ps(_mm512_slli_epi32(v[i], 16)), inverse);
        __m512i odd = rounded(
            _mm512_castsi512_ps(_mm512_and_si512(v[i], _mm512_set1_epi32(-0x10000))),
            inverse);
        pairs[i] = _mm512_mask_mov_epi16(even, 0xaaaaaaaau, _mm512_slli_epi32(odd, 16));
    }
    const __m512i in_order = _mm512_setr_epi64(0, 2, 4, 6, 1, 3, 5, 7);
#pragma GCC unroll 2
    for (size_t i = 0; i < 2; i++) {
        bytes[i] = _mm512_packs_epi16(pairs[2 * i], pairs[2 * i + 1]);
        bytes[i] = _mm512_permutexvar_epi64(in_order, bytes[i]);
        bytes[i] = put_bytes(bytes[i], scale, q + 64 * i);
    }
    sum_blocks(bytes[0], bytes[1], block_sums, offset);
    return scale;
}

INLINE float quantise_group_f32(const float *x, int8_t *q, int32_t *block_sums,
                                int32_t *offset) {
    __m512i v[8], most = _mm512_setzero_si512(), bytes[2];
#pragma GCC unroll 8
    for (size_t i = 0; i < 8; i++) {
        v[i] = _mm512_loadu_si512(x + 16 * i);
        most =
            _mm512_max_epu32(most, _mm512_and_si512(v[i], _mm512_set1_epi32(0x7fffffff)));
    }
    float scale;
    __m512 inverse = inverse_of(float_of(_mm512_reduce_max_epu32(most)), &scale);
    const __m512i in_order =
        _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
#pragma GCC unroll 2
    for (size_t i = 0; i < 2; i++) {
        __m512i words[4];
#pragma GCC unroll 4
        for (size_t j = 0; j < 4; j++)
            words[j] = rounded(_mm512_castsi512_ps(v[4 * i + j]), inverse);
        bytes[i] = _mm512_packs_epi16(_mm512_packs_epi32(words[0], words[1]),
                                      _mm512_packs_epi32(words[2], words[3]));
        bytes[i] = _mm512_permutexvar_epi32(in_order, bytes[i]);
        bytes[i] = put_bytes(bytes[i], scale, q + 64 * i);
    }
    sum_blocks(bytes[0], bytes[1], block_sums, offset);
    return scale;
}

#include "kernel/int8_body.h"

const struct cr_int8 cr_int8_avx512 = CR_INT8_TABLE(CR_ISA_AVX512);

#else
typedef int not_for_this_architecture; /* ISO C wants a declaration */
#endif
