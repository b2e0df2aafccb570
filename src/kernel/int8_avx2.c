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
#define ROWS4 2
#define FEW   8

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

/* Asks for 32 columns of the group after the next. */
#define ASK "prefetcht1 16384(%[w])\n\tprefetcht1 16448(%[w])\n\t"

#define TWO_ROWS(ask)                                                                    \
    LOOP(START_ROW("0", "0", "1", "2", "3") START_ROW("320", "4", "5", "6", "7"),        \
         ask STEP_ROW("0", "0", "1", "2", "3") STEP_ROW("320", "4", "5", "6", "7"),      \
         FINISH_ROW("0", "0", "0", "1", "2", "3")                                        \
             FINISH_ROW("320", "256", "4", "5", "6", "7"))
#define THREE_ROWS(ask)                                                                  \
    LOOP(START_ROW("0", "0", "1", "2", "3") START_ROW("320", "4", "5", "6", "7")         \
             START_ROW("640", "8", "9", "10", "11"),                                     \
         ask STEP_ROW("0", "0", "1", "2", "3") STEP_ROW("320", "4", "5", "6", "7")       \
             STEP_ROW("640", "8", "9", "10", "11"),                                      \
         FINISH_ROW("0", "0", "0", "1", "2", "3")                                        \
             FINISH_ROW("320", "256", "4", "5", "6", "7")                                \
                 FINISH_ROW("640", "512", "8", "9", "10", "11"))

/* Group of n fours against two or three rows and 32 columns: added to the tile. */
INLINE void group8(const size_t m, const bool is_asking, const struct signed_group *group,
                   const uint8_t *w, size_t n, float *tile) {
    const void *x = group;
    if (m == 3 && is_asking)
        THREE_ROWS(ASK);
    else if (m == 3)
        THREE_ROWS("");
    else if (is_asking)
        TWO_ROWS(ASK);
    else
        TWO_ROWS("");
}

/* One row, all 64 columns. */
INLINE void group8_alone(const struct signed_group *group, const uint8_t *w, size_t n,
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

/* Groups [g0, g1) against m rows: added to the tile. Rows go by threes and the last two or four by
 * twos. is_from_memory: the panel is met once. */
INLINE void groups8(const size_t m, const bool is_from_memory,
                    const struct cr_int8_rows *x, size_t first, const uint8_t *panel,
                    size_t g0, size_t g1, struct signed_group *near, float *tile) {
    size_t fours = (x->k + 3) / 4, threes = m % 3 == 1 ? m - 4 : m - m % 3;
    for (size_t g = g0; g < g1; g++) {
        const uint8_t *w = panel + g * CR_INT8_GROUP * COLS;
        size_t n = fours - 32 * g < 32 ? fours - 32 * g : 32;
        for (size_t r = 0; r < m; r++)
            sign_group(x->q + (first + r) * x->q_row + g * CR_INT8_GROUP,
                       x->scales[(first + r) * x->n_groups + g], near + r);
        if (m == 1)
            group8_alone(near, w, n, tile);
        for (size_t col = 0; m > 1 && col < COLS; col += 32) {
            size_t r = 0;
            for (; r < threes; r += 3)
                group8(3, is_from_memory && r == 0, near + r, w + 4 * col, n,
                       tile + r * COLS + col);
            for (; r < m; r += 2)
                group8(2, is_from_memory && r == 0, near + r, w + 4 * col, n,
                       tile + r * COLS + col);
        }
    }
}

INLINE void dots8(const size_t m, const struct cr_int8_rows *x, size_t first,
                  const uint8_t *panel, size_t g0, size_t g1, float *tile,
                  const struct cr_int8_out *out, size_t row) {
    struct signed_group near[ROWS8];
    if (g0 == 0)
        memset(tile, 0, m * COLS * sizeof *tile);
    groups8(m, false, x, first, panel, g0, g1, near, tile);
    for (size_t r = 0; out && r < m; r++)
        store_row(tile + r * COLS, NULL, out, row + r);
}

INLINE void few8(size_t m, const struct cr_int8_rows *x, size_t first,
                 const uint8_t *panel, float *tile) {
    struct signed_group near[FEW];
    memset(tile, 0, m * COLS * sizeof *tile);
    if (m == 1) /* a single stream, which the machine follows better by itself */
        groups8(1, true, x, first, panel, 0, x->n_groups, near, tile);
    else
        groups8(m, true, x, first, panel, 0, x->n_groups, near, tile);
}

/* ---- 4 bits --------------------------------------------------------------------------------- */

/* Keeps a sum in its register: gcc 12 would take products of many turns first and spill them. */
#define KEEP(sum) __asm__("" : "+x"(sum))

#define BLOCK4_BYTES (CR_INT4_BLOCK / 2 * COLS + 2 * COLS) /* of a panel */

/* One block against m rows and n_vectors times 8 columns from `col` on, m * n_vectors at most 8:
 * added to sums of the group, (m, 64). */
INLINE void block4(const size_t m, const size_t n_vectors, const int8_t *q, size_t q_row,
                   const uint8_t *block, size_t col, int32_t *group) {
    const __m256i nibble = _mm256_set1_epi8(15), ones = _mm256_set1_epi16(1);
    __m256i sum[8];
#pragma GCC unroll 8
    for (size_t i = 0; i < m * n_vectors; i++)
        sum[i] = _mm256_setzero_si256();
#pragma GCC unroll 1
    for (size_t j = 0; j < 4; j++) {
        const uint8_t *w = block + 4 * COLS * j + 4 * col;
#pragma GCC unroll 8
        for (size_t i = 0; i < n_vectors; i++) {
            __m256i both = _mm256_load_si256((const void *)(w + 32 * i));
            __m256i low = _mm256_and_si256(both, nibble);
            __m256i high = _mm256_and_si256(_mm256_srli_epi16(both, 4), nibble);
#pragma GCC unroll 4
            for (size_t r = 0; r < m; r++) {
                const int8_t *x = q + r * q_row + 8 * j;
                __m256i *to = &sum[r * n_vectors + i];
                *to = _mm256_add_epi16(*to, _mm256_maddubs_epi16(low, four_at(x)));
                KEEP(*to);
                *to = _mm256_add_epi16(*to, _mm256_maddubs_epi16(high, four_at(x + 4)));
                KEEP(*to);
            }
        }
    }
    const uint8_t *s = block + CR_INT4_BLOCK / 2 * COLS + col;
#pragma GCC unroll 8
    for (size_t i = 0; i < n_vectors; i++) {
        __m256i s8 = _mm256_cvtepu8_epi32(_mm_loadl_epi64((const void *)(s + 8 * i)));
#pragma GCC unroll 4
        for (size_t r = 0; r < m; r++) {
            __m256i *to = (void *)(group + r * COLS + col + 8 * i);
            __m256i whole = _mm256_madd_epi16(sum[r * n_vectors + i], ones);
            *to = _mm256_add_epi32(*to, _mm256_mullo_epi32(whole, s8));
        }
    }
}

/* t of two blocks side by side, of 8 columns; the second may not be there. */
INLINE __m256i two_minima(const uint8_t *t, bool is_second) {
    __m128i t0 = _mm_loadl_epi64((const void *)t);
    __m128i t1 = is_second ? _mm_loadl_epi64((const void *)(t + BLOCK4_BYTES))
                           : _mm_setzero_si128();
    return _mm256_cvtepu8_epi16(_mm_unpacklo_epi8(t0, t1));
}

/* Sums of two blocks of x for these. */
INLINE __m256i two_sums(const int32_t *block_sums) {
    return _mm256_set1_epi32(
        (int32_t)((uint32_t)block_sums[1] << 16 | (uint32_t)(block_sums[0] & 0xffff)));
}

/* Sums of t times sums of x, of n blocks: added, scaled, to (m, 64). */
INLINE void minima4(const size_t m, const struct cr_int8_rows *x, size_t first, size_t g,
                    const uint8_t *t, size_t n, float *minimum) {
    for (size_t col = 0; col < COLS; col += 8) {
        __m256i t01 = two_minima(t + col, n > 1), t23 = _mm256_setzero_si256();
        if (n > 2)
            t23 = two_minima(t + 2 * BLOCK4_BYTES + col, n > 3);
#pragma GCC unroll 2
        for (size_t r = 0; r < m; r++) {
            size_t at = (first + r) * x->n_groups + g;
            const int32_t *of_x = x->block_sums + 4 * at;
            __m256i sum = _mm256_add_epi32(_mm256_madd_epi16(t01, two_sums(of_x)),
                                           _mm256_madd_epi16(t23, two_sums(of_x + 2)));
            add_scaled(minimum + r * COLS + col, sum, x->scales[at]);
        }
    }
}

INLINE void groups4(const size_t m, const struct cr_int8_rows *x, size_t first,
                    const uint8_t *panel, float *tile, float *minimum) {
    const size_t n_vectors = 8 / m; /* as many as there are registers for */
    size_t n_blocks = x->k / CR_INT4_BLOCK;
    memset(tile, 0, m * COLS * sizeof *tile);
    memset(minimum, 0, m * COLS * sizeof *minimum);
    for (size_t g = 0; g < x->n_groups; g++) {
        size_t n = n_blocks - 4 * g < 4 ? n_blocks - 4 * g : 4;
        const uint8_t *blocks = panel + 4 * g * BLOCK4_BYTES;
        int32_t group[ROWS4 * COLS] __attribute__((aligned(64)));
        memset(group, 0, m * COLS * sizeof *group);
        for (size_t b = 0; b < n; b++)
            for (size_t col = 0; col < COLS; col += 8 * n_vectors)
                block4(m, n_vectors,
                       x->q + first * x->q_row + (4 * g + b) * CR_INT4_BLOCK, x->q_row,
                       blocks + b * BLOCK4_BYTES, col, group);
        for (size_t r = 0; r < m; r++)
            for (size_t i = 0; i < COLS; i += 8)
                add_scaled(tile + r * COLS + i,
                           _mm256_load_si256((const void *)(group + r * COLS + i)),
                           x->scales[(first + r) * x->n_groups + g]);
        minima4(m, x, first, g, blocks + CR_INT4_BLOCK / 2 * COLS + COLS, n, minimum);
    }
}

INLINE void dots4(size_t m, const struct cr_int8_rows *x, size_t first,
                  const uint8_t *panel, float *tile, float *minima) {
    if (m == 2)
        groups4(2, x, first, panel, tile, minima);
    else
        groups4(1, x, first, panel, tile, minima);
}

#include "kernel/int8_body.h"

const struct cr_int8 cr_int8_avx2 = CR_INT8_TABLE(CR_ISA_AVX2);

#else
typedef int not_for_this_architecture; /* ISO C wants a declaration */
#endif
