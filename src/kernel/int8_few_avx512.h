/* Few rows against a panel, part of int8_avx512.c: a step of some sequences at once. Weights
 * come from memory, so a panel is walked once, group by group, and each group of 8 KiB (4 bits:
 * 4.5) meets all rows while it is in the first-level cache; so do the rows' 128 bytes of it.
 * Totals wait in the tile. The operations on a column and their order are those of dots8.
 *
 * A walk that does little with each line leaves asking for the next ones to the machine, which does
 * it better; one that works longer asks itself, into the second-level cache, so that memory goes on
 * meanwhile. Measured: docs/performance.md. */

/* Rows that share the weights in registers. */
#define PASS8 4

/* Bytes that a walk asks for ahead. */
#define AHEAD8  12288
#define AHEAD4  16384
#define ASK(at) __builtin_prefetch((at), 0, 2)

/* What a pass over a group asks for: of two, each a half. */
enum ask { ASK_NOTHING, ASK_FIRST, ASK_SECOND };

/* One group of n fours against m rows, all 64 columns. */
INLINE void few_group8(const size_t m, const enum ask ask, const struct cr_int8_rows *x,
                       size_t first, size_t g, const uint8_t *w, size_t n, float *tile) {
    const int8_t *q = x->q + first * x->q_row + g * CR_INT8_GROUP;
    __m512i sum[PASS8][4];
#pragma GCC unroll 4
    for (size_t r = 0; r < m; r++)
#pragma GCC unroll 4
        for (size_t c = 0; c < 4; c++)
            sum[r][c] = _mm512_set1_epi32(x->offsets[(first + r) * x->n_groups + g]);
    for (; n > 0; n--, q += 4, w += 256) {
#pragma GCC unroll 4
        for (size_t c = 0; c < 4; c++) {
            __m512i w16 = _mm512_load_si512(w + 64 * c);
            if ((ask == ASK_FIRST && c < 2) || (ask == ASK_SECOND && c >= 2))
                ASK(w + AHEAD8 + 64 * c);
#pragma GCC unroll 4
            for (size_t r = 0; r < m; r++)
                sum[r][c] = dot(sum[r][c], w16, q + r * x->q_row);
        }
    }
#pragma GCC unroll 4
    for (size_t r = 0; r < m; r++) {
        float scale = x->scales[(first + r) * x->n_groups + g];
#pragma GCC unroll 4
        for (size_t c = 0; c < 4; c++)
            add_scaled(tile + r * CR_INT8_COLS + 16 * c, sum[r][c], scale);
    }
}

/* Each number of rows is a function of its own: inlined into one, gcc 12 keeps the sums of some of
 * them in memory, at a quarter of the speed. */
#define ALONE static __attribute__((noinline))

typedef void group8_function(const struct cr_int8_rows *x, size_t first, size_t g,
                             const uint8_t *w, size_t n, float *tile);

#define GROUP8(name, m, ask)                                                             \
    ALONE void name(const struct cr_int8_rows *x, size_t first, size_t g,                \
                    const uint8_t *w, size_t n, float *tile) {                           \
        few_group8(m, ask, x, first, g, w, n, tile);                                     \
    }
GROUP8(alone_1, 1, ASK_NOTHING)
GROUP8(alone_2, 2, ASK_NOTHING)
GROUP8(alone_3, 3, ASK_NOTHING)
GROUP8(alone_4, 4, ASK_NOTHING)
GROUP8(first_4, 4, ASK_FIRST)
GROUP8(then_1, 1, ASK_SECOND)
GROUP8(then_2, 2, ASK_SECOND)
GROUP8(then_3, 3, ASK_SECOND)
GROUP8(then_4, 4, ASK_SECOND)

static void few8(size_t m, const struct cr_int8_rows *x, size_t first,
                 const uint8_t *panel, float *tile) {
    static group8_function *const alone[] = {NULL, alone_1, alone_2, alone_3, alone_4};
    static group8_function *const then[] = {NULL, then_1, then_2, then_3, then_4};
    size_t fours = (x->k + 3) / 4;
    for (size_t i = 0; i < m * CR_INT8_COLS; i++)
        tile[i] = 0;
    for (size_t g = 0; g < x->n_groups; g++, fours -= 32) {
        const uint8_t *w = panel + g * CR_INT8_GROUP * CR_INT8_COLS;
        size_t n = fours < 32 ? fours : 32;
        if (m <= PASS8) {
            alone[m](x, first, g, w, n, tile);
        } else {
            first_4(x, first, g, w, n, tile);
            then[m - PASS8](x, first + PASS8, g, w, n, tile + PASS8 * CR_INT8_COLS);
        }
    }
}

/* Minima of one group: t of its blocks by pairs, as 16 bits, against sums of q by pairs. */
INLINE void few_minima(const size_t m, const struct cr_int8_rows *x, size_t first,
                       size_t g, const uint8_t *t, size_t n_blocks, size_t block_bytes,
                       float *minimum) {
    for (size_t col = 0; col < CR_INT8_COLS; col += 16) {
        __m512i pairs[2];
#pragma GCC unroll 2
        for (size_t i = 0; i < 2; i++) {
            pairs[i] = _mm512_setzero_si512();
            if (2 * i < n_blocks)
                pairs[i] = bytes_at(t + 2 * i * block_bytes + col);
            if (2 * i + 1 < n_blocks)
                pairs[i] = _mm512_or_si512(
                    pairs[i],
                    _mm512_slli_epi32(bytes_at(t + (2 * i + 1) * block_bytes + col), 16));
        }
#pragma GCC unroll 8
        for (size_t r = 0; r < m; r++) {
            size_t at = (first + r) * x->n_groups + g;
            const int32_t *sums = x->block_sums + 4 * at; /* |sum| <= 32 * 127 */
            __m512i all = _mm512_setzero_si512();
#pragma GCC unroll 2
            for (size_t i = 0; i < 2; i++)
                all = _mm512_dpwssd_epi32(
                    all, pairs[i],
                    _mm512_set1_epi32((int32_t)((uint32_t)sums[2 * i + 1] << 16 |
                                                (uint16_t)sums[2 * i])));
            add_scaled(minimum + r * CR_INT8_COLS + col, all, x->scales[at]);
        }
    }
}

/* One group of 4-bit weights against m rows, n_vec vectors of columns at a time. More than one row
 * asks for what comes. */
INLINE void few_group4(const size_t m, const size_t n_vec, const struct cr_int8_rows *x,
                       size_t first, size_t g, const uint8_t *w, size_t n_blocks,
                       size_t block_bytes, float *tile) {
    const __m512i nibble = _mm512_set1_epi8(15);
    for (size_t col = 0; col < CR_INT8_COLS; col += 16 * n_vec) {
        const int8_t *q = x->q + first * x->q_row + g * CR_INT8_GROUP;
        __m512i group[8][4];
#pragma GCC unroll 8
        for (size_t r = 0; r < m; r++)
#pragma GCC unroll 4
            for (size_t c = 0; c < n_vec; c++)
                group[r][c] = _mm512_setzero_si512();
        for (size_t b = 0; b < n_blocks; b++, q += CR_INT4_BLOCK) {
            const uint8_t *block = w + b * block_bytes;
            __m512i sum[8][4];
#pragma GCC unroll 8
            for (size_t r = 0; r < m; r++)
#pragma GCC unroll 4
                for (size_t c = 0; c < n_vec; c++)
                    sum[r][c] = _mm512_setzero_si512();
#pragma GCC unroll 4
            for (size_t j = 0; j < 4; j++)
#pragma GCC unroll 4
                for (size_t c = 0; c < n_vec; c++) {
                    const uint8_t *at = block + 256 * j + 4 * col + 64 * c;
                    __m512i both = _mm512_load_si512(at);
                    if (m > 1)
                        ASK(at + AHEAD4);
                    __m512i low = _mm512_and_si512(both, nibble);
                    __m512i high = _mm512_and_si512(_mm512_srli_epi16(both, 4), nibble);
#pragma GCC unroll 8
                    for (size_t r = 0; r < m; r++)
                        sum[r][c] = dot(sum[r][c], low, q + r * x->q_row + 8 * j);
#pragma GCC unroll 8
                    for (size_t r = 0; r < m; r++)
                        sum[r][c] = dot(sum[r][c], high, q + r * x->q_row + 8 * j + 4);
                }
            const uint8_t *s = block + CR_INT4_BLOCK / 2 * CR_INT8_COLS + col;
            if (m > 1) {
                ASK(s + AHEAD4);
                ASK(s + CR_INT8_COLS + AHEAD4);
            }
#pragma GCC unroll 4
            for (size_t c = 0; c < n_vec; c++) {
                __m512i s16 = bytes_at(s + 16 * c);
#pragma GCC unroll 8
                for (size_t r = 0; r < m; r++)
                    group[r][c] =
                        _mm512_add_epi32(group[r][c], _mm512_mullo_epi32(sum[r][c], s16));
            }
        }
#pragma GCC unroll 8
        for (size_t r = 0; r < m; r++)
#pragma GCC unroll 4
            for (size_t c = 0; c < n_vec; c++)
                add_scaled(tile + r * CR_INT8_COLS + col + 16 * c, group[r][c],
                           x->scales[(first + r) * x->n_groups + g]);
    }
}

typedef void group4_function(const struct cr_int8_rows *x, size_t first, size_t g,
                             const uint8_t *w, size_t n, float *tile, float *minimum);

#define BLOCK_BYTES4 (CR_INT4_BLOCK / 2 * CR_INT8_COLS + 2 * CR_INT8_COLS)
/* Vectors of columns that m rows take at a time: one where sums of more would not stay in registers. */
#define GROUP4(m, n_vec)                                                                 \
    ALONE void group4_##m(const struct cr_int8_rows *x, size_t first, size_t g,          \
                          const uint8_t *w, size_t n, float *tile, float *minimum) {     \
        few_group4(m, n_vec, x, first, g, w, n, BLOCK_BYTES4, tile);                     \
        few_minima(m, x, first, g, w + BLOCK_BYTES4 - CR_INT8_COLS, n, BLOCK_BYTES4,     \
                   minimum);                                                             \
    }
GROUP4(1, 4)
GROUP4(2, 4)
GROUP4(3, 1)
GROUP4(4, 1)
GROUP4(5, 1)
GROUP4(6, 1)
GROUP4(7, 1)
GROUP4(8, 1)

static void dots4(size_t m, const struct cr_int8_rows *x, size_t first,
                  const uint8_t *panel, float *tile, float *minimum) {
    static group4_function *const rows[] = {NULL,     group4_1, group4_2,
                                            group4_3, group4_4, group4_5,
                                            group4_6, group4_7, group4_8};
    size_t n_blocks = x->k / CR_INT4_BLOCK;
    for (size_t i = 0; i < m * CR_INT8_COLS; i++)
        tile[i] = minimum[i] = 0;
    for (size_t g = 0; g < x->n_groups; g++, n_blocks -= 4)
        rows[m](x, first, g, panel + 4 * g * BLOCK_BYTES4, n_blocks < 4 ? n_blocks : 4,
                tile, minimum);
}
