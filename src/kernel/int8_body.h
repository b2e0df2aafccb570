/* The body of int8_scalar.c, int8_avx2.c and int8_avx512.c, included once by each: everything but
 * the dot products (and int8_store.h, which they include before those), in plain C that the
 * compiler turns into its vectors. Not a header for anyone else. Contraction is off, so all three give the same bits.
 *
 * The includer defines before it
 *   INLINE      static, inline, always inlined
 *   ROWS8       rows of x that share a pass over an 8-bit panel
 *   ROWS4       the same for 4 bits
 *   dots8(m, x, first, panel, g0, g1, tile, out, row)  m <= ROWS8; tile (m, 64) f32: sum_g scale_g
 *                                            (...)_g, to which groups [g0, g1) are added; set where
 *                                            g0 is 0. out not NULL: these are the last, and the sums go
 *                                            to rows [row, row + m) of y instead
 *   dots4(m, x, first, panel, tile, minima)  m <= ROWS4; both (m, 64)
 * with m a constant wherever it is inlined, and may define
 *   FEW (8)     few8(m, x, first, panel, tile), of all groups, then takes a call of up to so many
 *               rows; there and in dots4 m need not be a constant
 *   QUANTISE_GROUP   its own quantise_group_bf16() and _f32() for groups of full length. */

/* max |x|; not finite where an element is not: magnitudes compare as integers, NaN highest. */
INLINE float largest(const float *x, size_t n) {
    uint32_t most = 0;
    for (size_t i = 0; i < n; i++) {
        uint32_t bits = bits_of(x[i]) & 0x7fffffffu;
        most = bits > most ? bits : most;
    }
    return float_of(most);
}

#ifndef TOO_SMALL
#define TOO_SMALL 0x1p-100f /* 127 / x must stay finite */
#endif

/* ---- activations ---------------------------------------------------------------------------- */

/* One group, n <= CR_INT8_GROUP; q, sums of blocks and its own offset are written. */
INLINE float quantise_group(const float *x, size_t n, int8_t *q, int32_t *block_sums,
                            int32_t *offset) {
    float most = largest(x, n);
    bool is_finite = most <= FLT_MAX;
    bool counts = is_finite && most >= TOO_SMALL;
    float inverse = counts ? 127.0f / most : 0.0f;
    int32_t values[CR_INT8_GROUP] = {0};
    for (size_t i = 0; counts && i < n; i++)
        values[i] = (int32_t)rintf(x[i] * inverse);
    for (size_t i = 0; i < CR_INT8_GROUP; i++)
        q[i] = (int8_t)values[i];
    *offset = 0;
    for (size_t b = 0; b < CR_INT8_GROUP / CR_INT4_BLOCK; b++) {
        block_sums[b] = 0;
        for (size_t i = 0; i < CR_INT4_BLOCK; i++)
            block_sums[b] += values[b * CR_INT4_BLOCK + i];
        *offset -= 128 * block_sums[b];
    }
    return is_finite ? (counts ? most / 127.0f : 0.0f) : NAN;
}

static void body_quantise(const struct cr_int8_rows *to, size_t row, enum cr_dtype type,
                          const void *x) {
    const float *x_f32 = x;
    const uint16_t *x_bf16 = x;
    for (size_t g = 0; g < to->n_groups; g++) {
        size_t k0 = g * CR_INT8_GROUP;
        size_t n = to->k - k0 < CR_INT8_GROUP ? to->k - k0 : CR_INT8_GROUP;
        size_t at = row * to->n_groups + g;
#ifdef QUANTISE_GROUP
        if (n == CR_INT8_GROUP) {
            int8_t *q = to->q + row * to->q_row + k0;
            int32_t *block_sums = to->block_sums + 4 * at, *offset = to->offsets + at;
            to->scales[at] = type == CR_BF16
                                 ? quantise_group_bf16(x_bf16 + k0, q, block_sums, offset)
                                 : quantise_group_f32(x_f32 + k0, q, block_sums, offset);
            continue;
        }
#endif
        float part[CR_INT8_GROUP];
        if (type == CR_BF16)
            for (size_t i = 0; i < n; i++)
                part[i] = float_of((uint32_t)x_bf16[k0 + i] << 16);
        to->scales[at] = quantise_group(type == CR_BF16 ? part : x_f32 + k0, n,
                                        to->q + row * to->q_row + k0,
                                        to->block_sums + 4 * at, to->offsets + at);
    }
}

/* ---- products -------------------------------------------------------------------------------- */

#define ALIGNED __attribute__((aligned(64)))

/* Asks for the lines of y before the products: stores that miss would stop the tile's own. */
INLINE void want_rows(const struct cr_int8_out *out, size_t row, size_t m) {
    size_t element = out->type == CR_F32 ? 4 : 2;
    for (size_t r = 0; r < m; r++) {
        const char *y = (const char *)out->y + (row + r) * out->y_row * element;
        for (size_t i = 0; i < out->n * element; i += 64)
            __builtin_prefetch(y + i, 1);
    }
}

/* The share of the next panel that goes with ROWS8 of m rows, into the second-level cache. */
INLINE void want_panel(const uint8_t *next, size_t bytes, size_t row, size_t m) {
    size_t from = row * bytes / m / 64 * 64, to = (row + ROWS8) * bytes / m;
    for (; from < to; from += 64)
        __builtin_prefetch(next + from, 0, 2);
}

/* Groups [g0, g1) of m rows; tile: their sums so far. */
INLINE void rows8(const size_t m, const struct cr_int8_rows *x, size_t first, size_t row,
                  const uint8_t *panel, size_t g0, size_t g1, float *tile,
                  const struct cr_int8_out *out) {
    bool is_last = g1 == x->n_groups;
    if (is_last)
        want_rows(out, row, m);
    dots8(m, x, first + row, panel, g0, g1, tile, is_last ? out : NULL, row);
}

#ifdef FEW
INLINE void rows_few(size_t m, const struct cr_int8_rows *x, size_t first,
                     const uint8_t *panel, const struct cr_int8_out *out) {
    float tile[FEW * COLS] ALIGNED;
    want_rows(out, 0, m);
    few8(m, x, first, panel, tile);
    for (size_t r = 0; r < m; r++)
        store_row(tile + r * COLS, NULL, out, r);
}
#endif

/* Long rows go by pieces of the panel, of CUT_GROUPS or more, that stay in the second-level cache
 * beside their part of CUT_ROWS rows. */
#define CUT_GROUPS ((size_t)24)
#define CUT_ROWS   ((size_t)192)
#define NEAR_BYTES ((size_t)1 << 19) /* of CUT_ROWS rows that stay there by themselves */

/* Groups [g0, g1) of the next ROWS8 rows, into the second-level cache. */
INLINE void want_x(const struct cr_int8_rows *x, size_t row, size_t g0, size_t g1) {
    for (size_t r = 0; r < ROWS8; r++)
        for (size_t at = g0 * CR_INT8_GROUP; at < g1 * CR_INT8_GROUP; at += 64)
            __builtin_prefetch(x->q + (row + r) * x->q_row + at, 0, 2);
}

/* Fewer than ROWS8 rows, behind whole tiles. */
INLINE void rest8(size_t m, const struct cr_int8_rows *x, size_t first, size_t row,
                  const uint8_t *panel, size_t g0, size_t g1, float *tile,
                  const struct cr_int8_out *out) {
    if (ROWS8 > 5 && m == 5)
        rows8(5, x, first, row, panel, g0, g1, tile, out);
    else if (ROWS8 > 4 && m == 4)
        rows8(4, x, first, row, panel, g0, g1, tile, out);
    else if (ROWS8 > 3 && m == 3)
        rows8(3, x, first, row, panel, g0, g1, tile, out);
    else if (ROWS8 > 2 && m == 2)
        rows8(2, x, first, row, panel, g0, g1, tile, out);
    else if (m == 1)
        rows8(1, x, first, row, panel, g0, g1, tile, out);
}

/* Rows [from, to) of m against groups [g0, g1) of the panel; tiles: of CUT_ROWS rows, or NULL where
 * these are all groups. */
INLINE void piece8(const struct cr_int8_rows *x, size_t first, size_t m, size_t from,
                   size_t to, const uint8_t *panel, size_t g0, size_t g1, float *tiles,
                   const struct cr_int8_out *out) {
    float one[ROWS8 * COLS] ALIGNED;
    float *tile = tiles ? tiles : one;
    bool is_far = CUT_ROWS * x->q_row > NEAR_BYTES;
    size_t row = from;
    for (; to - row >= ROWS8; row += ROWS8) {
        if (is_far && to - row >= 2 * ROWS8)
            want_x(x, first + row + ROWS8, g0, g1);
        if (out->next)
            want_panel(out->next, cr_int8_panel_bytes(x->k), row, m);
        rows8(ROWS8, x, first, row, panel, g0, g1, tile, out);
        tile += tiles ? ROWS8 * COLS : 0;
    }
    rest8(to - row, x, first, row, panel, g0, g1, tile, out);
}

static void body_panel8(const struct cr_int8_rows *x, size_t first, size_t m,
                        const uint8_t *panel, const struct cr_int8_out *out) {
    size_t n_pieces = x->n_groups / CUT_GROUPS;
#ifdef FEW
    if (m <= FEW) {
        rows_few(m, x, first, panel, out);
        return;
    }
#endif
    if (n_pieces < 2 || m <= ROWS8) {
        piece8(x, first, m, 0, m, panel, 0, x->n_groups, NULL, out);
        return;
    }
    float tiles[CUT_ROWS * COLS] ALIGNED;
    for (size_t from = 0; from < m; from += CUT_ROWS) {
        size_t to = m - from < CUT_ROWS ? m : from + CUT_ROWS;
        for (size_t i = 0; i < n_pieces; i++)
            piece8(x, first, m, from, to, panel, x->n_groups * i / n_pieces,
                   x->n_groups * (i + 1) / n_pieces, tiles, out);
    }
}

INLINE void rows4(const size_t m, const struct cr_int8_rows *x, size_t first, size_t row,
                  const uint8_t *panel, const struct cr_int8_out *out) {
    float tile[ROWS4 * COLS] ALIGNED, minima[ROWS4 * COLS] ALIGNED;
    dots4(m, x, first + row, panel, tile, minima);
    for (size_t r = 0; r < m; r++)
        store_row(tile + r * COLS, minima + r * COLS, out, row + r);
}

static void body_panel4(const struct cr_int8_rows *x, size_t first, size_t m,
                        const uint8_t *panel, const struct cr_int8_out *out) {
    size_t row = 0;
    for (; m - row >= ROWS4; row += ROWS4)
        rows4(ROWS4, x, first, row, panel, out);
#ifdef FEW
    if (row < m)
        rows4(m - row, x, first, row, panel, out);
#else
    for (; ROWS4 > 2 && m - row >= 2; row += 2)
        rows4(2, x, first, row, panel, out);
    for (; row < m; row++)
        rows4(1, x, first, row, panel, out);
#endif
}

/* ---- weights, 8 bits ------------------------------------------------------------------------ */

#define PART ((size_t)256)

static float body_pack8(const float *w, size_t k, size_t n, uint8_t *panel) {
    float most = largest(w, k);
    if (!(most <= FLT_MAX))
        return NAN;
    float inverse = most >= TOO_SMALL ? 127.0f / most : 0.0f;
    for (size_t k0 = 0; k0 < k; k0 += PART) {
        size_t len = k - k0 < PART ? k - k0 : PART;
        uint8_t q[PART];
        memset(q, 128, sizeof q);
        for (size_t i = 0; i < len; i++)
            q[i] = (uint8_t)((int32_t)rintf(w[k0 + i] * inverse) + 128);
        for (size_t i = 0; i < len; i += 4)
            memcpy(panel + (k0 + i) * COLS + 4 * n, q + i, 4);
    }
    return most >= TOO_SMALL ? most / 127.0f : 0.0f;
}

/* ---- weights, 4 bits ------------------------------------------------------------------------ */

/* A block's affine grid: w is about s * q - t. */
struct grid {
    float s, t; /* both >= 0 */
};

/* Squared error of the block on a grid. */
INLINE float grid_error(const float *w, struct grid g) {
    float inverse = g.s > 0 ? 1.0f / g.s : 0.0f, error[8] = {0};
    for (size_t i = 0; i < CR_INT4_BLOCK; i += 8)
        for (size_t j = 0; j < 8; j++) {
            float q = rintf((w[i + j] + g.t) * inverse);
            q = q < 0 ? 0 : q > 15 ? 15 : q;
            float d = w[i + j] + g.t - g.s * q;
            error[j] += d * d;
        }
    return ((error[0] + error[1]) + (error[2] + error[3])) +
           ((error[4] + error[5]) + (error[6] + error[7]));
}

/* The s and t of least squares for the q that a grid gives; false where they would not serve. */
INLINE bool grid_refit(const float *w, struct grid g, struct grid *fitted) {
    float inverse = g.s > 0 ? 1.0f / g.s : 0.0f;
    float sum_q[8] = {0}, sum_qq[8] = {0}, sum_w[8] = {0}, sum_wq[8] = {0};
    for (size_t i = 0; i < CR_INT4_BLOCK; i += 8)
        for (size_t j = 0; j < 8; j++) {
            float q = rintf((w[i + j] + g.t) * inverse);
            q = q < 0 ? 0 : q > 15 ? 15 : q;
            sum_q[j] += q;
            sum_qq[j] += q * q;
            sum_w[j] += w[i + j];
            sum_wq[j] += w[i + j] * q;
        }
    for (size_t j = 1; j < 8; j++) {
        sum_q[0] += sum_q[j];
        sum_qq[0] += sum_qq[j];
        sum_w[0] += sum_w[j];
        sum_wq[0] += sum_wq[j];
    }
    const float n = (float)CR_INT4_BLOCK;
    float det = n * sum_qq[0] - sum_q[0] * sum_q[0];
    if (!(det > 0))
        return false;
    fitted->s = (n * sum_wq[0] - sum_q[0] * sum_w[0]) / det;
    fitted->t = (sum_q[0] * sum_wq[0] - sum_qq[0] * sum_w[0]) / det;
    if (fitted->t < 0) { /* no grid above zero: t is unsigned */
        fitted->t = 0;
        fitted->s = sum_qq[0] > 0 ? sum_wq[0] / sum_qq[0] : 0;
    }
    return fitted->s > 0;
}

/* The best of grids around the block's range, each refitted to what it rounds to. */
INLINE struct grid grid_find(const float *w) {
    float low = 0, high = 0;
    for (size_t i = 0; i < CR_INT4_BLOCK; i++) {
        low = w[i] < low ? w[i] : low;
        high = w[i] > high ? w[i] : high;
    }
    struct grid best = {(high - low) / 15.0f, -low};
    if (!(best.s > TOO_SMALL))
        return (struct grid){0, 0};
    float least = grid_error(w, best);
    for (int step = -4; step <= 8 && least > 0; step++) {
        struct grid tried = {(high - low) / (15.0f + 0.25f * (float)step), -low}, fitted;
        if (!grid_refit(w, tried, &fitted))
            continue;
        float error = grid_error(w, fitted);
        if (error < least) {
            least = error;
            best = fitted;
        }
    }
    return best;
}

/* A byte in units of `unit`, to nearest. */
INLINE uint8_t in_units(float value, float unit) {
    float q = unit > 0 ? rintf(value / unit) : 0;
    return (uint8_t)(q > 255 ? 255 : q);
}

#define BLOCK_BYTES (CR_INT4_BLOCK / 2 * COLS + 2 * COLS) /* of a panel */

/* Block b of column n: its q on the grid of whole units, s and t. */
INLINE void put_block4(const float *w, uint8_t s, uint8_t t, float scale, float min,
                       uint8_t *block, size_t n, float *most) {
    float step = scale * (float)s, from = min * (float)t;
    float inverse = step > 0 ? 1.0f / step : 0;
    uint8_t q[CR_INT4_BLOCK];
    for (size_t i = 0; i < CR_INT4_BLOCK; i++) {
        float v = rintf((w[i] + from) * inverse);
        v = v < 0 ? 0 : v > 15 ? 15 : v;
        q[i] = (uint8_t)v;
        float back = fabsf(step * v - from);
        *most = back > *most ? back : *most;
    }
    for (size_t i = 0; i < CR_INT4_BLOCK; i += 8)
        for (size_t j = 0; j < 4; j++)
            block[i / 8 * 4 * COLS + 4 * n + j] = (uint8_t)(q[i + j] | q[i + 4 + j] << 4);
    block[CR_INT4_BLOCK / 2 * COLS + n] = s;
    block[CR_INT4_BLOCK / 2 * COLS + COLS + n] = t;
}

static bool body_pack4(const float *w, size_t k, size_t n, float *grids, uint8_t *panel,
                       float *scale, float *min, float *scale8) {
    float most_s = 0, most_t = 0, most = 0;
    if (!(largest(w, k) <= FLT_MAX))
        return false;
    for (size_t b = 0; b < k / CR_INT4_BLOCK; b++) {
        struct grid g = grid_find(w + b * CR_INT4_BLOCK);
        grids[2 * b] = g.s;
        grids[2 * b + 1] = g.t;
        most_s = g.s > most_s ? g.s : most_s;
        most_t = g.t > most_t ? g.t : most_t;
    }
    *scale = most_s / 255.0f;
    *min = most_t / 255.0f;
    for (size_t b = 0; b < k / CR_INT4_BLOCK; b++)
        put_block4(w + b * CR_INT4_BLOCK, in_units(grids[2 * b], *scale),
                   in_units(grids[2 * b + 1], *min), *scale, *min,
                   panel + b * BLOCK_BYTES, n, &most);
    *scale8 = most / 127.0f;
    return true;
}

/* In 1/256 of a unit: q * a - b + 128 (the offset of u8) + 1/2, cut. a = scale s / scale8 and
 * b = min t / scale8. Modulo 2^16, which the result is well within. */
static void body_widen(const uint8_t *panel4, const float *scale, const float *min,
                       const float *scale8, size_t k, uint8_t *panel8) {
    for (size_t k0 = 0; k0 < k; k0 += CR_INT4_BLOCK, panel4 += BLOCK_BYTES) {
        const uint8_t *s = panel4 + CR_INT4_BLOCK / 2 * COLS, *t = s + COLS;
        uint16_t a[4 * COLS], b[4 * COLS];
        for (size_t n = 0; n < COLS; n++) {
            float unit = scale8[n] > 0 ? 256.0f / scale8[n] : 0;
            int32_t a_n = (int32_t)rintf(scale[n] * (float)s[n] * unit);
            int32_t b_n = (int32_t)rintf(min[n] * (float)t[n] * unit);
            for (size_t j = 0; j < 4; j++) {
                a[4 * n + j] = (uint16_t)a_n;
                b[4 * n + j] = (uint16_t)(0x8080 - b_n);
            }
        }
        for (size_t i = 0; i < CR_INT4_BLOCK / 8; i++) {
            const uint8_t *from = panel4 + i * 4 * COLS;
            uint8_t *low = panel8 + (k0 / 4 + 2 * i) * 4 * COLS, *high = low + 4 * COLS;
            for (size_t j = 0; j < 4 * COLS; j++) {
                low[j] = (uint8_t)((uint16_t)((from[j] & 15) * a[j] + b[j]) >> 8);
                high[j] = (uint8_t)((uint16_t)((from[j] >> 4) * a[j] + b[j]) >> 8);
            }
        }
    }
}

#define CR_INT8_TABLE(id)                                                                \
    {                                                                                    \
        .isa = (id), .quantise = body_quantise, .panel8 = body_panel8,                   \
        .panel4 = body_panel4, .pack8 = body_pack8, .pack4 = body_pack4,                 \
        .widen = body_widen                                                              \
    }
