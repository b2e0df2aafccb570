/* 8-bit products without VNNI: kernel/int8.h. vpmaddubsw adds pairs of u8 times s8 in 16 bits and
 * saturates: 255 * 127 twice does not fit, but |x| times a weight of either sign does: 127 * 128
 * twice. So x's sign goes to the weights, by an exclusive or that takes their offset back too:
 *   x >= 0: w ^ 0x80 = w - 128        x < 0: w ^ 0x7f = -(w - 128) - 1
 * and the ones are put right in the group's offset, which is x's alone. vpsignb would need the ports
 * of the multiplications. Eight sums of nibbles fit into 16 bits: those go without signs. */
#if defined(__x86_64__)

#include <float.h>
#include <immintrin.h>
#include <math.h>
#include <stddef.h>
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

/* A group of a row of x. */
struct signed_group {
    uint8_t magnitudes[CR_INT8_GROUP];
    uint8_t flips[CR_INT8_GROUP]; /* what the weights that it meets are combined with */
    int32_t offset;               /* where the sums start */
    float scale;
} __attribute__((aligned(64)));
_Static_assert(offsetof(struct signed_group, flips) == 128 &&
                   offsetof(struct signed_group, offset) == 256 &&
                   offsetof(struct signed_group, scale) == 260 &&
                   sizeof(struct signed_group) == 320 && CR_INT8_COLS == 64,
               "the loop below counts on these");

INLINE void sign_group(const int8_t *q, float scale, struct signed_group *to) {
    __m256i zero = _mm256_setzero_si256(), sum = zero;
    for (size_t i = 0; i < CR_INT8_GROUP; i += 32) {
        __m256i x = _mm256_load_si256((const void *)(q + i));
        __m256i magnitude = _mm256_abs_epi8(x), negative = _mm256_cmpgt_epi8(zero, x);
        _mm256_store_si256((void *)(to->magnitudes + i), magnitude);
        _mm256_store_si256((void *)(to->flips + i),
                           _mm256_xor_si256(negative, _mm256_set1_epi8(-128)));
        sum = _mm256_add_epi64(
            sum, _mm256_sad_epu8(_mm256_and_si256(magnitude, negative), zero));
    }
    __m128i two =
        _mm_add_epi64(_mm256_castsi256_si128(sum), _mm256_extracti128_si256(sum, 1));
    to->offset = _mm_cvtsi128_si32(two) + _mm_extract_epi32(two, 2);
    to->scale = scale;
}

/* A group's loop, by hand: twelve sums (three rows, 32 columns, ymm0 to ymm11), ones, four numbers x,
 * their flips and a product make sixteen registers, among which gcc 12 moves things about. Weights
 * come from memory where they are used, which was measured faster than to hold them for all rows. */
#define FOUR(x)                                                                          \
    "vpbroadcastd " x "(%[x]), %%ymm13\n\t"                                              \
    "vpbroadcastd 128+" x "(%[x]), %%ymm14\n\t"
#define PRODUCT(sum, w, t)                                                               \
    "vpxor " w "(%[w]), %%ymm14, %%ymm" t "\n\t"                                         \
    "vpmaddubsw %%ymm" t ", %%ymm13, %%ymm" t "\n\t"                                     \
    "vpmaddwd %%ymm12, %%ymm" t ", %%ymm" t "\n\t"                                       \
    "vpaddd %%ymm" t ", %%ymm" sum ", %%ymm" sum "\n\t"
/* Of a row, 32 columns; x: its distance from the first row's. */
#define START_ROW(x, sum0, sum1, sum2, sum3)                                             \
    "vpbroadcastd 256+" x "(%[x]), %%ymm" sum0 "\n\t"                                    \
    "vmovdqa %%ymm" sum0 ", %%ymm" sum1 "\n\t"                                           \
    "vmovdqa %%ymm" sum0 ", %%ymm" sum2 "\n\t"                                           \
    "vmovdqa %%ymm" sum0 ", %%ymm" sum3 "\n\t"
#define STEP_ROW(x, sum0, sum1, sum2, sum3)                                              \
    FOUR(x)                                                                              \
    PRODUCT(sum0, "0", "15")                                                             \
    PRODUCT(sum1, "32", "15") PRODUCT(sum2, "64", "15") PRODUCT(sum3, "96", "14")
#define FINISH(sum, at)                                                                  \
    "vcvtdq2ps %%ymm" sum ", %%ymm" sum "\n\t"                                           \
    "vfmadd213ps " at "(%[tile]), %%ymm13, %%ymm" sum "\n\t"                             \
    "vmovaps %%ymm" sum ", " at "(%[tile])\n\t"
#define FINISH_ROW(x, tile, sum0, sum1, sum2, sum3)                                      \
    "vbroadcastss 260+" x "(%[group]), %%ymm13\n\t" FINISH(sum0, tile)                   \
        FINISH(sum1, "32+" tile) FINISH(sum2, "64+" tile) FINISH(sum3, "96+" tile)

/* All of it for n fours, w: their weights, group: of the first row, tile: to be added to. */
#define LOOP(start, step, finish)                                                        \
    __asm__ volatile("vpcmpeqw %%ymm12, %%ymm12, %%ymm12\n\t"                            \
                     "vpabsw %%ymm12, %%ymm12\n\t" /* ones */                            \
                     start ".p2align 5\n"                                                \
                     "1:\n\t" step "add $4, %[x]\n\t"                                    \
                     "add $256, %[w]\n\t"                                                \
                     "dec %[n]\n\t"                                                      \
                     "jnz 1b\n\t" finish                                                 \
                     : [x] "+&r"(x), [w] "+&r"(w), [n] "+&r"(n)                          \
                     : [group] "r"(group), [tile] "r"(tile)                              \
                     : "cc", "memory", "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5",   \
                       "xmm6", "xmm7", "xmm8", "xmm9", "xmm10", "xmm11", "xmm12",        \
                       "xmm13", "xmm14", "xmm15")

/* Group of n fours against three rows and 32 columns: added to the tile. */
INLINE void group8_3(const struct signed_group *group, const uint8_t *w, size_t n,
                     float *tile) {
    const void *x = group;
    LOOP(START_ROW("0", "0", "1", "2", "3") START_ROW("320", "4", "5", "6", "7")
             START_ROW("640", "8", "9", "10", "11"),
         STEP_ROW("0", "0", "1", "2", "3") STEP_ROW("320", "4", "5", "6", "7")
             STEP_ROW("640", "8", "9", "10", "11"),
         FINISH_ROW("0", "0", "0", "1", "2", "3")
             FINISH_ROW("320", "256", "4", "5", "6", "7")
                 FINISH_ROW("640", "512", "8", "9", "10", "11"));
}

INLINE void group8_2(const struct signed_group *group, const uint8_t *w, size_t n,
                     float *tile) {
    const void *x = group;
    LOOP(START_ROW("0", "0", "1", "2", "3") START_ROW("320", "4", "5", "6", "7"),
         STEP_ROW("0", "0", "1", "2", "3") STEP_ROW("320", "4", "5", "6", "7"),
         FINISH_ROW("0", "0", "0", "1", "2", "3")
             FINISH_ROW("320", "256", "4", "5", "6", "7"));
}

/* One row, all 64 columns. */
INLINE void group8_1(const struct signed_group *group, const uint8_t *w, size_t n,
                     float *tile) {
    const void *x = group;
    LOOP(START_ROW("0", "0", "1", "2", "3") START_ROW("0", "4", "5", "6", "7"),
         FOUR("0") PRODUCT("0", "0", "15") PRODUCT("1", "32", "15")
             PRODUCT("2", "64", "15") PRODUCT("3", "96", "15") PRODUCT("4", "128", "15")
                 PRODUCT("5", "160", "15") PRODUCT("6", "192", "15")
                     PRODUCT("7", "224", "15"),
         FINISH_ROW("0", "0", "0", "1", "2", "3")
             FINISH_ROW("0", "128", "4", "5", "6", "7"));
}

INLINE void dots8(const size_t m, const struct cr_int8_rows *x, size_t first,
                  const uint8_t *panel, size_t g0, size_t g1, float *tile,
                  const struct cr_int8_out *out, size_t row) {
    size_t fours = (x->k + 3) / 4;
    struct signed_group near[ROWS8];
    for (size_t i = 0; g0 == 0 && i < m * COLS; i++)
        tile[i] = 0;
    for (size_t g = g0; g < g1; g++) {
        const uint8_t *w = panel + g * CR_INT8_GROUP * COLS;
        size_t n = fours - 32 * g < 32 ? fours - 32 * g : 32, r = 0;
        for (; r < m; r++)
            sign_group(x->q + (first + r) * x->q_row + g * CR_INT8_GROUP,
                       x->scales[(first + r) * x->n_groups + g], near + r);
        if (m == 1)
            group8_1(near, w, n, tile);
        for (size_t col = 0; m > 1 && col < COLS; col += 32) {
            r = 0;
            for (; m != 4 && r + 3 <= m; r += 3)
                group8_3(near + r, w + 4 * col, n, tile + r * COLS + col);
            for (; r < m; r += 2)
                group8_2(near + r, w + 4 * col, n, tile + r * COLS + col);
        }
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
