/* Products for AVX-512 with VNNI and BF16; bodies in dense_simd.h. Against activations in bf16,
 * weights in bf16 and the 4- to 6-bit formats have kernels of their own, two products an
 * instruction: small integers are exact in bf16, so only the order of sums differs. */
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

/* Up to 4 rows of x meet 4 weight rows together, up to 8 meet 3: each vector from either side is
 * used as often as the registers allow, since rows of x that do not fit the first-level cache come
 * from the second. */
#define FEW_ROWS 4
#define X_ROWS   8

/* Bytes between the weights at hand and those asked for: past this group of rows. */
INLINE size_t bf16_ahead(size_t group_bytes) {
    return group_bytes > 16384 ? group_bytes : 16384;
}

/* The next terms of a * m sums, 32 or as many as the mask says. */
INLINE void bf16_terms(const size_t a, const size_t m, __mmask32 mask,
                       const unsigned char *w, size_t w_row, const uint16_t *x,
                       size_t x_row, vec sums[][X_ROWS]) {
    __m512i w32[4];
#pragma GCC unroll 4
    for (size_t i = 0; i < a; i++)
        w32[i] = _mm512_maskz_loadu_epi16(mask, w + i * w_row);
#pragma GCC unroll 8
    for (size_t r = 0; r < m; r++) {
        __m512i x32 = _mm512_loadu_si512(x + r * x_row);
#pragma GCC unroll 4
        for (size_t i = 0; i < a; i++)
            sums[i][r] = _mm512_dpbf16_ps(sums[i][r], (__m512bh)w32[i], (__m512bh)x32);
    }
}

/* `a` weight rows against m rows of x, one vector of sums each, 32 terms after 32: the order of a
 * row's sum depends on k alone. Weights come as one stream, in the order of memory, into the
 * second-level cache: several rows read side by side are several streams, which the machine's own
 * prefetching does not keep up with. fetch: nothing has asked for them yet. */
INLINE void bf16_dot(const size_t a, const size_t m, const bool fetch,
                     const struct cr_step *s, const unsigned char *w, const uint16_t *x,
                     size_t x_row, float *y) {
    const size_t w_row = s->w_row_bytes;
    const unsigned char *ahead = w + bf16_ahead(a * w_row);
    size_t k = 0;
    vec sums[4][X_ROWS];
#pragma GCC unroll 4
    for (size_t i = 0; i < a; i++)
#pragma GCC unroll 8
        for (size_t r = 0; r < m; r++)
            sums[i][r] = v_set(0);
    for (; k + 32 <= s->k; k += 32, ahead += 64 * a) {
        bf16_terms(a, m, 0xffffffffu, w + 2 * k, w_row, x + k, x_row, sums);
#pragma GCC unroll 4
        for (size_t i = 0; fetch && i < a; i++)
            _mm_prefetch((const char *)ahead + 64 * i, _MM_HINT_T1);
    }
    if (k < s->k)
        bf16_terms(a, m, (1u << (s->k - k)) - 1, w + 2 * k, w_row, x + k, x_row, sums);
#pragma GCC unroll 4
    for (size_t i = 0; i < a; i++)
#pragma GCC unroll 8
        for (size_t r = 0; r < m; r++)
            y[r * s->y_row + i] = v_sum(sums[i][r]);
}

/* All rows of x against `a` weight rows at w; y: of the first one. */
INLINE void bf16_rows(const size_t a, const struct cr_step *s, const unsigned char *w,
                      size_t x_row, float *y) {
    const uint16_t *x = s->x;
    for (size_t r = 0; r < s->m; r += X_ROWS, x += X_ROWS * x_row) {
        float *to = y + r * s->y_row;
        if (s->m - r >= X_ROWS) {
            if (r == 0)
                bf16_dot(a, X_ROWS, true, s, w, x, x_row, to);
            else
                bf16_dot(a, X_ROWS, false, s, w, x, x_row, to);
            continue;
        }
        switch (s->m - r) {
#define CASE(m)                                                                          \
    case m:                                                                              \
        bf16_dot(a, m, true, s, w, x, x_row, to);                                        \
        break;
            CASE(1)
            CASE(2)
            CASE(3)
            CASE(4)
            CASE(5)
            CASE(6)
            CASE(7)
#undef CASE
        }
    }
}

static void step_bf16(const struct cr_step *s, size_t n, size_t x_row) {
    const unsigned char *w = s->w;
    size_t row = 0;
    if (s->m <= FEW_ROWS)
        for (; n - row >= 4; row += 4, w += 4 * s->w_row_bytes)
            bf16_rows(4, s, w, x_row, s->y + row);
    for (; n - row >= 3; row += 3, w += 3 * s->w_row_bytes)
        bf16_rows(3, s, w, x_row, s->y + row);
    for (; row < n; row++, w += s->w_row_bytes)
        bf16_rows(1, s, w, x_row, s->y + row);
}

/* ---- small integers times bf16 ---------------------------------------------------------- */

/* bf16 of the integers that the indices 0..63 stand for. */
struct integers {
    __m512i low, high;
};

/* bf16 of (i & mask) + from for i in [first, first + 32); exact, so cutting is converting. */
INLINE __m512i integer_table(int first, int mask, int from) {
    __m256i half[2];
    for (int i = 0; i < 2; i++) {
        ivec lane = _mm512_cvttps_epi32(counting(first + 16 * i));
        vec value = vec_from(ivec_add(ivec_and(lane, ivec_set1(mask)), ivec_set1(from)));
        half[i] = _mm512_cvtepi32_epi16(ivec_shr(_mm512_castps_si512(value), 16));
    }
    return _mm512_inserti64x4(_mm512_castsi256_si512(half[0]), half[1], 1);
}

INLINE struct integers integers_of(enum cr_dtype dtype) {
    struct integers t = {.high = _mm512_setzero_si512()};
    if (dtype == CR_Q6_K) {
        t.low = integer_table(0, 63, -32);
        t.high = integer_table(32, 63, -32);
    } else if (dtype == CR_Q5_K) {
        t.low = integer_table(0, 31, 0);
    } else { /* twice the same: the bit above a nibble does not matter */
        t.low = integer_table(0, 15, dtype == CR_Q4_0 ? -8 : 0);
    }
    return t;
}

INLINE __m512i words_of(const unsigned char *p) {
    return _mm512_cvtepu8_epi16(_mm256_loadu_si256((const void *)p));
}

INLINE __m512i shift_words(__m512i a, int n) {
    return n >= 0 ? _mm512_slli_epi16(a, (unsigned)n)
                  : _mm512_srli_epi16(a, (unsigned)-n);
}

/* The 32 integers of group g as bf16. */
INLINE __m512i unpack_integers(enum cr_dtype dtype, const unsigned char *b, int g,
                               struct integers t) {
    const __m512i nibble = _mm512_set1_epi16(15);
    if (dtype == CR_Q4_0 || dtype == CR_Q4_1) {
        const void *p = b + (dtype == CR_Q4_0 ? 2 : 4);
        __m256i q = _mm256_cvtepu8_epi16(_mm_loadu_si128(p));
        __m512i both =
            _mm512_inserti64x4(_mm512_castsi256_si512(q), _mm256_srli_epi16(q, 4), 1);
        return _mm512_permutexvar_epi16(both, t.low);
    }
    if (dtype == CR_Q4_K)
        return _mm512_permutexvar_epi16(
            shift_words(words_of(b + 16 + g / 2 * 32), g % 2 * -4), t.low);
    if (dtype == CR_Q5_K) {
        __m512i low = shift_words(words_of(b + 48 + g / 2 * 32), g % 2 * -4);
        __m512i high = shift_words(words_of(b + 16), 4 - g);
        return _mm512_permutexvar_epi16(ivec_select(nibble, low, high), t.low);
    }
    __m512i low = shift_words(words_of(b + g / 4 * 64 + g % 2 * 32), g % 4 / 2 * -4);
    __m512i high = shift_words(words_of(b + 128 + g / 4 * 32), 4 - g % 4 * 2);
    return _mm512_permutex2var_epi16(t.low, ivec_select(nibble, low, high), t.high);
}

INLINE bool has_minima(enum cr_dtype dtype) {
    return dtype == CR_Q4_1 || dtype == CR_Q4_K || dtype == CR_Q5_K;
}

/* Factor of the 16 sums of pairs in group g. */
INLINE vec group_factor(enum cr_dtype dtype, const unsigned char *b, int g,
                        const struct scales *s) {
    if (dtype == CR_Q4_0 || dtype == CR_Q4_1)
        return vec_f16_set1(b);
    if (dtype == CR_Q6_K) /* two scales of 16 weights each */
        return _mm512_insertf32x8(v_set(s->of[2 * g]), _mm256_set1_ps(s->of[2 * g + 1]),
                                  1);
    return v_set(s->of[g]);
}

/* One row of blocks against m rows of x: the integers' products are summed by pairs, scaled
 * and added up; minima meet the sums of x, which were packed behind each row. */
INLINE void integer_dot(enum cr_dtype dtype, int m, const struct cr_step *s,
                        const unsigned char *b, const uint16_t *x, size_t x_row,
                        float *y) {
    const int groups = (int)(block_len_of(dtype) / 32);
    const struct integers table = integers_of(dtype);
    const float *x_sums = (const void *)(x + padded_len(s->k));
    vec sums[4][2];
    __m256 minima[4];
#pragma GCC unroll 4
    for (int r = 0; r < m; r++) {
        sums[r][0] = sums[r][1] = v_set(0);
        minima[r] = _mm256_setzero_ps();
    }
    for (size_t k = 0; k < s->k; b += block_bytes_of(dtype)) {
        struct scales scales;
        __builtin_prefetch(b + AHEAD);
        if (groups > 1) {
            __builtin_prefetch(b + AHEAD + 64);
            __builtin_prefetch(b + AHEAD + 128);
        }
        block_scales(dtype, b, &scales);
        if (has_minima(dtype)) {
            /* A lone block has one minimum and must not read sums that are not there. */
            __mmask8 used = (__mmask8)(groups > 1 ? 0xff : 1);
            __m256 minimum = groups > 1 ? _mm256_loadu_ps(scales.of + 8)
                                        : _mm256_set1_ps(f16_at(b + 2));
#pragma GCC unroll 4
            for (int r = 0; r < m; r++)
                minima[r] = _mm256_fmadd_ps(
                    minimum,
                    _mm256_maskz_loadu_ps(used, x_sums + (size_t)r * x_row / 2 + k / 32),
                    minima[r]);
        }
#pragma GCC unroll 8
        for (int g = 0; g < groups; g++, k += 32) {
            __m512bh w = (__m512bh)unpack_integers(dtype, b, g, table);
            vec factor = group_factor(dtype, b, g, &scales);
#pragma GCC unroll 4
            for (int r = 0; r < m; r++) {
                const uint16_t *at = x + (size_t)r * x_row + k;
                vec p = _mm512_dpbf16_ps(v_set(0), w, (__m512bh)_mm512_loadu_si512(at));
                sums[r][g % 2] = v_fma(p, factor, sums[r][g % 2]);
            }
        }
    }
#pragma GCC unroll 4
    for (int r = 0; r < m; r++) {
        vec all = v_add(v_add(sums[r][0], sums[r][1]), _mm512_zextps256_ps512(minima[r]));
        y[(size_t)r * s->y_row] = v_sum(all);
    }
}

#define INTEGER_FUNCTION(id)                                                             \
    static void integer_step_##id(const struct cr_step *s, size_t n, size_t x_row) {     \
        const uint16_t *x = s->x;                                                        \
        for (size_t row = 0; row < n; row++) {                                           \
            const unsigned char *w = (const unsigned char *)s->w + row * s->w_row_bytes; \
            float *y = s->y + row;                                                       \
            size_t r = 0;                                                                \
            for (; s->m - r >= 4; r += 4)                                                \
                integer_dot(id, 4, s, w, x + r * x_row, x_row, y + r * s->y_row);        \
            for (; s->m - r >= 2; r += 2)                                                \
                integer_dot(id, 2, s, w, x + r * x_row, x_row, y + r * s->y_row);        \
            for (; r < s->m; r++)                                                        \
                integer_dot(id, 1, s, w, x + r * x_row, x_row, y + r * s->y_row);        \
        }                                                                                \
    }

#define FOR_INTEGERS(X) X(CR_Q4_0) X(CR_Q4_1) X(CR_Q4_K) X(CR_Q5_K) X(CR_Q6_K)
FOR_INTEGERS(INTEGER_FUNCTION)

/* ---- the table -------------------------------------------------------------------------- */

static bool takes_bf16(enum cr_dtype w_dtype, enum cr_dtype act) {
    if (act != CR_BF16)
        return false;
    switch (w_dtype) {
#define CASE(id) case id:
        FOR_INTEGERS(CASE)
#undef CASE
    case CR_BF16:
        return true;
    default:
        return false;
    }
}

static size_t avx512_pack_bytes(enum cr_dtype w_dtype, enum cr_dtype act, size_t k) {
    if (!takes_bf16(w_dtype, act))
        return padded_len(k) * sizeof(float);
    size_t sums_bytes = w_dtype == CR_BF16 ? 0 : (k / 32 * sizeof(float) + 63) / 64 * 64;
    return padded_len(k) * sizeof(uint16_t) + sums_bytes;
}

/* Rows in bf16: k elements padded with zeros, then for blocks the sum of each 32. */
static void avx512_pack(enum cr_dtype w_dtype, enum cr_dtype act, const void *x,
                        void *packed, size_t k) {
    if (!takes_bf16(w_dtype, act)) {
        pack_f32(act, x, packed, k);
        return;
    }
    uint16_t *row = packed;
    memcpy(row, x, k * sizeof *row);
    memset(row + k, 0, (padded_len(k) - k) * sizeof *row);
    if (w_dtype == CR_BF16)
        return;
    float *sums = (void *)(row + padded_len(k));
    for (size_t i = 0; i < k / 32; i++) {
        const uint16_t *at = row + 32 * i;
        sums[i] = v_sum(v_add(v_load_bf16(at), v_load_bf16(at + 16)));
    }
}

static void avx512_step(const struct cr_step *s, size_t n) {
    if (!takes_bf16(s->w_dtype, s->act)) {
        step_f32(s, n);
        return;
    }
    size_t x_row = avx512_pack_bytes(s->w_dtype, s->act, s->k) / sizeof(uint16_t);
    switch (s->w_dtype) {
#define CASE(id)                                                                         \
    case id:                                                                             \
        integer_step_##id(s, n, x_row);                                                  \
        break;
        FOR_INTEGERS(CASE)
#undef CASE
    default:
        step_bf16(s, n, x_row);
    }
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
