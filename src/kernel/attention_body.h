/* Attention tiles on vectors, once for every instruction set and type: included behind a
 * vec_*.h header by a file that defines
 *   PAIRS           1: panels hold bf16 in pairs, 32 bits a pair, and a step multiplies
 *                   pairs; 0: panels hold f32
 *   multiply_add    vec (vec acc, vec b, const uint32_t *a): acc + *a times b, where every
 *                   lane of b meets the same f32 or pair at a
 *   INT16_SCORES    1: q and k panels hold int16 in pairs and units, scores are summed by
 *                   score_add, of multiply_add's kind, in int32 lanes
 *   INT8            1: scores and p v in 8 bits (attention_keys8.h, attention_values8.h, with what
 *                   they want); score_add then meets four unsigned bytes of k and four signed of q
 *   SCORE_COLS      vectors a row in the register tile of q k; VALUE_COLS the most in p v
 * and that ends with the tables. Register tiles are up to 6 rows high.
 *
 * Layouts in units of 32 bits, an f32 or a pair; n(x) = x or ceil(x / 2):
 *   q        (blocks of rows, n(E), rows of the block)
 *   k panel  (PANEL / score width, n(E), score width): the keys of a panel side by side;
 *            INT16_SCORES: then each key's unit (PANEL); INT8: ceil(E / 4) steps, the units, and the
 *            panel's first key (E padded) in f32
 *   v panel  (column groups, n(PANEL), group width):   E padded to whole vectors; INT8: four keys
 *            a unit of 32 bits
 *   s, p     (rows, KEYS) f32; p lies over s, in pairs in the front half of each row, INT8: bytes
 *   a        (rows, E padded) f32 */
#include "base/error.h"
#include "kernel/row.h"
#include "kernel/vec_type.h"

#include <float.h>
#include <math.h>
#include <stdint.h>
#include <string.h>

#define KEYS        CR_ATTENTION_KEYS
#define PANEL       CR_ATTENTION_PANEL
#define ROWS        CR_ATTENTION_ROWS
#define TILE_ROWS   6
#define STRIP       24 /* rows whose scores are held at a time: 36 KiB */
#define SCORE_WIDTH (SCORE_COLS * LANES)
#define STEPS(n)    (PAIRS ? ((n) + 1) / 2 : (n))
#define Q_STEPS(n)  (INT8 ? ((n) + 3) / 4 : STEPS(n)) /* of a row of q or k */
#ifndef INT16_SCORES
#define INT16_SCORES 0
#endif
#ifndef INT8
#define INT8 0
#endif
#if !INT16_SCORES && !INT8
#define score_add multiply_add
#endif
#define LOG2_255     7.99435343685886f
#define LARGEST_NORM 46300.0f /* of a row in units: |q| |k| stays below 2^31 */
#define MASKED       -1e30f /* finite, so that differences stay numbers; 2^MASKED is 0 */
#define LOG2_E       1.44269504089f

#define INLINE static inline __attribute__((always_inline))

/* Register tiles stay in registers only if every loop over them is unrolled whole. */
#if defined(__clang__)
#define UNROLL _Pragma("unroll")
#else
#define UNROLL _Pragma("GCC unroll 8")
#endif

struct work {
    size_t n_rows, head_dim, n_vecs; /* n_vecs: vectors of a padded row of a */
    size_t tile_rows;                /* rows of every register tile but the last */
    float scale;                     /* of q . k, to powers of two */
    float m[ROWS];
    float fade[ROWS + LANES];   /* whole vectors from any row on */
    float unit[ROWS];           /* INT16_SCORES: of each row of q; INT8: times scale */
    float base[ROWS];           /* of p, in this block of keys: p is 2^(s - base) */
    float weight[ROWS + LANES]; /* INT8: 2^(base - m) */
#if INT8
    int32_t offset[ROWS]; /* what makes bytes of k signed, of each row of q */
    float far[CR_ATTENTION_PANELS][ROWS]; /* scaled q . the first key of each panel */
#endif
    float l[ROWS * LANES], top[STRIP * LANES]; /* a vector a row */
    float s[STRIP * KEYS];
    float rest[]; /* a, then q; INT8: then q in f32, (E, ROWS) */
};

static float *a_of(struct work *w) {
    return w->rest;
}

static uint32_t *q_of(struct work *w) {
    return (uint32_t *)(void *)(w->rest + ROWS * w->n_vecs * LANES);
}

static size_t vecs_of(size_t head_dim) {
    return (head_dim + LANES - 1) / LANES;
}

static size_t k_bytes(size_t head_dim) {
    return PANEL * (Q_STEPS(head_dim) + (INT16_SCORES || INT8)) * 4 +
           (INT8 ? vecs_of(head_dim) * LANES * 4 : 0);
}

static size_t v_bytes(size_t head_dim) {
    return INT8 ? PANEL * (vecs_of(head_dim) * LANES + 2 * sizeof(float))
                : STEPS(PANEL) * vecs_of(head_dim) * LANES * 4;
}

static size_t work_bytes(size_t head_dim) {
    size_t units = vecs_of(head_dim) * LANES + Q_STEPS(head_dim) +
                   (INT8 ? vecs_of(head_dim) * LANES : 0);
    size_t bytes = sizeof(struct work) + ROWS * 4 * units;
    return (bytes + 63) / 64 * 64;
}

/* Columns of v go through the register tile in groups as equal as can be: the first vector
 * of group g, and the number of groups. */
static size_t groups_of(size_t n_vecs) {
    return (n_vecs + VALUE_COLS - 1) / VALUE_COLS;
}

static size_t group_start(size_t n_vecs, size_t group) {
    return n_vecs * group / groups_of(n_vecs);
}

/* Packing */

/* Units [at, at + LANES) of a row of n, zeros behind. */
INLINE vec load_units(const void *row, enum cr_dtype type, size_t at, size_t n) {
    if (PAIRS) { /* bits as they are */
        size_t left = n - 2 * at;
        return left >= 2 * LANES
                   ? v_load_f32((const float *)row + at)
                   : v_load_pairs_part((const uint16_t *)row + 2 * at, left);
    }
    return n - at >= LANES ? load(row, type, at) : load_part(row, type, at, n - at);
}

#if INT8
#include "kernel/attention_keys8.h"
#elif INT16_SCORES
/* What 1 stands for in a row of int16; not finite where a value is not. */
INLINE float unit_of(const void *row, size_t n, enum cr_dtype type) {
    vec high = v_set(0.0f), sum = v_set(0.0f);
    for (size_t i = 0; i < n; i += LANES)
        high = v_max(high, v_abs(n - i >= LANES ? load(row, type, i)
                                                : load_part(row, type, i, n - i)));
    float largest = v_highest(high);
    largest = largest > 1e-30f ? largest : 1e-30f;
    vec inverse = v_set(1.0f / largest);
    for (size_t i = 0; i < n; i += LANES) {
        vec v = n - i >= LANES ? load(row, type, i) : load_part(row, type, i, n - i);
        v = v_mul(v, inverse);
        sum = v_fma(v, v, sum);
    }
    float norm = sqrtf(v_sum(sum)); /* in units of the largest; NaN stays */
    return norm <= LARGEST_NORM / 32767.0f ? largest / 32767.0f
                                           : largest * (norm / LARGEST_NORM);
}

/* Pairs [at, at + LANES) of a row of n elements in int16, zeros behind. */
INLINE vec load_int16(const void *row, enum cr_dtype type, size_t at, size_t n,
                      float unit) {
    vec half[2], inverse = v_set(1.0f / unit);
    for (size_t i = 0; i < 2; i++) {
        size_t from = 2 * at + i * LANES;
        half[i] = v_set(0.0f);
        if (from < n)
            half[i] =
                v_mul(inverse, n - from >= LANES ? load(row, type, from)
                                                 : load_part(row, type, from, n - from));
    }
    return v_pack_int16(half[0], half[1]);
}

INLINE void pack_k(float *panel, const void *const *rows, size_t n, size_t head_dim,
                   enum cr_dtype type) {
    size_t steps = STEPS(head_dim);
    float *units = panel + PANEL * steps;
    for (size_t key = 0; key < PANEL; key++)
        units[key] = key < n ? unit_of(rows[key], head_dim, type) : 0.0f;
    for (size_t key = 0; key < PANEL; key += LANES) {
        float *block =
            panel + key / SCORE_WIDTH * steps * SCORE_WIDTH + key % SCORE_WIDTH;
        for (size_t at = 0; at < steps; at += LANES) {
            vec t[LANES];
            for (size_t i = 0; i < LANES; i++)
                t[i] = key + i < n
                           ? load_int16(rows[key + i], type, at, head_dim, units[key + i])
                           : v_set(0.0f);
            v_transpose(t);
            for (size_t i = 0; i < LANES && at + i < steps; i++)
                v_store_f32(block + (at + i) * SCORE_WIDTH, t[i]);
        }
    }
}
#else
INLINE void pack_k(float *panel, const void *const *rows, size_t n, size_t head_dim,
                   enum cr_dtype type) {
    size_t steps = STEPS(head_dim);
    for (size_t key = 0; key < PANEL; key += LANES) {
        float *block =
            panel + key / SCORE_WIDTH * steps * SCORE_WIDTH + key % SCORE_WIDTH;
        for (size_t at = 0; at < steps; at += LANES) {
            vec t[LANES];
            for (size_t i = 0; i < LANES; i++)
                t[i] = key + i < n ? load_units(rows[key + i], type, at, head_dim)
                                   : v_set(0.0f);
            v_transpose(t);
            for (size_t i = 0; i < LANES && at + i < steps; i++)
                v_store_f32(block + (at + i) * SCORE_WIDTH, t[i]);
        }
    }
}

#endif

INLINE uint32_t query_unit(const void *row, size_t step, size_t head_dim,
                           enum cr_dtype type) {
    uint32_t bits;
    if (PAIRS) {
        const uint16_t *h = (const uint16_t *)row + 2 * step;
        return h[0] | (2 * step + 1 < head_dim ? (uint32_t)h[1] << 16 : 0);
    }
    float value = type == CR_F32 ? ((const float *)row)[step]
                                 : cr_bf16_to_f32(((const uint16_t *)row)[step]);
    memcpy(&bits, &value, 4);
    return bits;
}

#if !INT8
static void put_k(void *panel, const float *row, size_t slot, size_t head_dim) {
    size_t steps = STEPS(head_dim);
    float *to =
        (float *)panel + slot / SCORE_WIDTH * steps * SCORE_WIDTH + slot % SCORE_WIDTH;
#if INT16_SCORES
    float unit = unit_of(row, head_dim, CR_F32);
    ((float *)panel)[PANEL * steps + slot] = unit;
    for (size_t at = 0; at < steps; at += LANES) {
        float pairs[LANES];
        v_store_f32(pairs, load_int16(row, CR_F32, at, head_dim, unit));
        for (size_t k = 0; k < LANES && at + k < steps; k++)
            memcpy(&to[(at + k) * SCORE_WIDTH], &pairs[k], sizeof *to);
    }
#else
    for (size_t e = 0; e < head_dim; e++)
        if (PAIRS)
            ((uint16_t *)to)[2 * (e / 2 * SCORE_WIDTH) + e % 2] =
                cr_bf16_from_f32(row[e]);
        else
            to[e * SCORE_WIDTH] = row[e];
#endif
}
#endif

#if INT16_SCORES
/* Rows of queries as a tile (steps, height). */
INLINE void begin_tile(uint32_t *tile, const char *q, size_t q_stride, size_t height,
                       size_t head_dim, const float *unit, enum cr_dtype type) {
    size_t steps = STEPS(head_dim);
    for (size_t at = 0; at < steps; at += LANES) {
        vec t[LANES];
        for (size_t i = 0; i < LANES; i++)
            t[i] = i < height ? load_int16(q + i * q_stride * (type == CR_F32 ? 4 : 2),
                                           type, at, head_dim, unit[i])
                              : v_set(0.0f);
        v_transpose(t);
        for (size_t k = 0; k < LANES && at + k < steps; k++)
            v_store_f32_part((float *)(void *)(tile + (at + k) * height), t[k], height);
    }
}
#endif

/* Rows of q lie a row of all heads apart, which the machine's own prefetching does not follow. Into the
 * second-level cache: 96 rows of 128 are more than the first holds. */
INLINE void want_queries(const char *q, size_t row_bytes, size_t n_rows, size_t n_bytes) {
    for (size_t r = 0; r < n_rows; r++)
        for (size_t at = 0; at < n_bytes; at += 64)
            __builtin_prefetch(q + r * row_bytes + at, 0, 2);
}

INLINE void begin(struct work *w, const void *q, size_t q_stride, size_t n_rows,
                  size_t head_dim, float scale, enum cr_dtype type) {
    size_t n_tiles = (n_rows + TILE_ROWS - 1) / TILE_ROWS, steps = Q_STEPS(head_dim);
    w->n_rows = n_rows;
    w->head_dim = head_dim;
    w->n_vecs = vecs_of(head_dim);
    w->tile_rows = (n_rows + n_tiles - 1) / n_tiles;
    w->scale = scale * LOG2_E;
    uint32_t *tile = q_of(w);
    want_queries(q, q_stride * (type == CR_F32 ? 4 : 2), n_rows,
                 head_dim * (type == CR_F32 ? 4 : 2));
    for (size_t r = 0; r < n_rows; r += w->tile_rows, tile += w->tile_rows * steps) {
        size_t height = n_rows - r < w->tile_rows ? n_rows - r : w->tile_rows;
        for (size_t i = 0; i < height; i++) {
            const char *row =
                (const char *)q + (r + i) * q_stride * (type == CR_F32 ? 4 : 2);
#if INT8
            begin_row(w, r + i, row, type, tile + i, height);
#elif INT16_SCORES
            w->unit[r + i] = unit_of(row, head_dim, type);
#else
            for (size_t step = 0; step < steps; step++)
                tile[step * height + i] = query_unit(row, step, head_dim, type);
#endif
        }
#if INT16_SCORES
        begin_tile(tile, (const char *)q + r * q_stride * (type == CR_F32 ? 4 : 2),
                   q_stride, height, head_dim, w->unit + r, type);
#endif
    }
#if INT8
    begin_far(w, q, q_stride * (type == CR_F32 ? 4 : 2), type);
#endif
    for (size_t r = 0; r < n_rows; r++)
        w->m[r] = MASKED;
    memset(w->l, 0, n_rows * LANES * sizeof(float));
    memset(a_of(w), 0, n_rows * w->n_vecs * LANES * sizeof(float));
}

/* Scores */

/* What MASKED is among the scores of a row. */
static float masked(const float *q_unit) {
    return INT16_SCORES ? fmaxf(MASKED / *q_unit, -FLT_MAX) : MASKED;
}

/* The tile at s has scores past what its rows may see: covers them and finds the top. */
static void cover(float *s, float *top, const size_t *seen, const float *q_unit,
                  size_t height) {
    for (size_t r = 0; r < height; r++, s += KEYS, top += LANES) {
        vec high = v_load_f32(top);
        float none = masked(q_unit + r);
        for (size_t j = 0; j < SCORE_COLS; j++) {
            size_t n = seen[r] > j * LANES ? seen[r] - j * LANES : 0;
            vec v = v_keep(v_load_f32(s + j * LANES), n, none);
            v_store_f32(s + j * LANES, v);
            high = v_max(high, v);
        }
        v_store_f32(top, high);
    }
}

/* Of the sums of row r. */
INLINE vec start(const int32_t *offset, size_t r) {
#if INT8
    return v_set_bits((const uint32_t *)offset + r);
#else
    (void)offset;
    (void)r;
    return v_set(0.0f);
#endif
}

/* A register tile of s for `height` rows and one score width of keys; top keeps each row's
 * largest per lane. seen[r]: how many of these keys row r may see, not falling with r. Units of
 * the rows and keys: INT16_SCORES, INT8. */
INLINE void score_tile(float *s, float *top, const uint32_t *q, const float *k,
                       size_t steps, const size_t *seen, const float *q_unit,
                       const float *k_unit, const float *v_log, const int32_t *offset,
                       const float *far, size_t height) {
    vec acc[TILE_ROWS][SCORE_COLS];
    UNROLL for (size_t r = 0; r < height; r++)
        UNROLL for (size_t j = 0; j < SCORE_COLS; j++) acc[r][j] = start(offset, r);
    for (size_t step = 0; step < steps; step++) {
        UNROLL for (size_t j = 0; j < SCORE_COLS; j++) {
            vec b = v_load_f32(k + j * LANES);
            UNROLL for (size_t r = 0; r < height; r++) acc[r][j] =
                score_add(acc[r][j], b, q + r);
        }
        k += SCORE_WIDTH;
        q += height;
    }
#if INT16_SCORES || INT8
    UNROLL for (size_t j = 0; j < SCORE_COLS; j++) {
        vec unit = v_load_f32(k_unit + j * LANES);
        UNROLL for (size_t r = 0; r < height; r++) acc[r][j] =
            v_mul(v_from_int32(acc[r][j]), unit);
        if (INT8) {
            vec log = v_load_f32(v_log + j * LANES);
            UNROLL for (size_t r = 0; r < height; r++) acc[r][j] =
                v_fma(acc[r][j], v_set(q_unit[r]), v_add(log, v_set(far[r])));
        }
    }
#else
    (void)k_unit;
#endif
    (void)v_log;
    (void)far;
    UNROLL for (size_t r = 0; r < height; r++)
        UNROLL for (size_t j = 0; j < SCORE_COLS; j++)
            v_store_f32(s + r * KEYS + j * LANES, acc[r][j]);
    if (seen[0] < SCORE_WIDTH) {
        cover(s, top, seen, q_unit, height);
        return;
    }
    UNROLL for (size_t r = 0; r < height; r++) {
        vec high = v_load_f32(top + r * LANES);
        UNROLL for (size_t j = 0; j < SCORE_COLS; j++) high = v_max(high, acc[r][j]);
        v_store_f32(top + r * LANES, high);
    }
}

static void scores(float *s, float *top, const uint32_t *q, const float *k, size_t steps,
                   const size_t *seen, const float *q_unit, const float *k_unit,
                   const float *v_log, const int32_t *offset, const float *far,
                   size_t height) {
    switch (height) {
    case 6:
        score_tile(s, top, q, k, steps, seen, q_unit, k_unit, v_log, offset, far, 6);
        break;
    case 5:
        score_tile(s, top, q, k, steps, seen, q_unit, k_unit, v_log, offset, far, 5);
        break;
    case 4:
        score_tile(s, top, q, k, steps, seen, q_unit, k_unit, v_log, offset, far, 4);
        break;
    case 3:
        score_tile(s, top, q, k, steps, seen, q_unit, k_unit, v_log, offset, far, 3);
        break;
    case 2:
        score_tile(s, top, q, k, steps, seen, q_unit, k_unit, v_log, offset, far, 2);
        break;
    default:
        score_tile(s, top, q, k, steps, seen, q_unit, k_unit, v_log, offset, far, 1);
    }
}

/* Softmax */

/* 2^t for t <= 0 (or a little above: by rounding, or 8): the polynomial on [0, 1), p(0) = 1, has a
 * relative error of 9.4e-8. */
INLINE vec exp2_below(vec t) {
    vec whole, f = v_fraction(t, &whole);
    vec p = v_fma(v_set(0x1.e974fap-10f), f, v_set(0x1.277856p-7f));
    p = v_fma(p, f, v_set(0x1.c91ce6p-5f));
    p = v_fma(p, f, v_set(0x1.ebdb56p-3f));
    p = v_fma(p, f, v_set(0x1.62e4bap-1f));
    return v_scale(v_fma(p, f, v_set(1.0f)), whole);
}

/* Of q . k in powers of two, as the scores of a row have it. */
static float row_scale(const struct work *w, size_t row) {
    return INT8 ? 1.0f : INT16_SCORES ? w->scale * w->unit[row] : w->scale;
}

/* 2^x of rows [from, to), whole vectors. */
static void raise_two(float *x, size_t from, size_t to) {
    for (size_t r = from; r < to; r += LANES)
        v_store_f32(x + r, exp2_below(v_load_f32(x + r)));
}

/* The new m of rows [from, to), and what becomes of their sums by it. */
static void raise_tops(struct work *w, size_t from, size_t to) {
    for (size_t r = from; r < to; r++) {
        float top = v_highest(v_load_f32(w->top + (r - from) * LANES)) * row_scale(w, r);
        float m = top > w->m[r] ? top : w->m[r];
        w->fade[r] = w->m[r] - m;
        w->m[r] = m;
        w->base[r] = INT8 ? top - LOG2_255 : m;
        w->weight[r] = w->base[r] - m;
    }
    raise_two(w->fade, from, to);
    if (INT8)
        raise_two(w->weight, from, to);
}

#if INT8
#include "kernel/attention_values8.h"
#else
#include "kernel/attention_values.h"
#endif

#define VALUE_CASE(height, cols)                                                         \
    case height * 8 + cols:                                                              \
        value_tile(a, a_stride, fade, weight, p, v, at, n_panels, height, cols);         \
        break;
#define VALUE_HEIGHTS(cols)                                                              \
    VALUE_CASE(1, cols)                                                                  \
    VALUE_CASE(2, cols)                                                                  \
    VALUE_CASE(3, cols)                                                                  \
    VALUE_CASE(4, cols)                                                                  \
    VALUE_CASE(5, cols)                                                                  \
    VALUE_CASE(6, cols)

static void values(float *a, size_t a_stride, const float *fade, const float *weight,
                   const uint32_t *p, const void *const *v, size_t at, size_t n_panels,
                   size_t height, size_t cols) {
    switch (height * 8 + cols) {
        VALUE_HEIGHTS(1)
        VALUE_HEIGHTS(2)
#if VALUE_COLS > 2
        VALUE_HEIGHTS(3)
        VALUE_HEIGHTS(4)
        VALUE_HEIGHTS(5)
#endif
    default:
        CR_ASSERT(false);
    }
}

/* One block of keys */

#if INT8
#define OFFSETS(w, r)    ((w)->offset + (r))
#define FAR(w, panel, r) ((w)->far[panel] + (r))
#else
#define OFFSETS(w, r)    NULL
#define FAR(w, panel, r) NULL
#endif

static size_t seen_by(const struct cr_attention_mask *mask, size_t row) {
    size_t n = mask->visible + row * mask->per_row;
    return n < mask->n_keys ? n : mask->n_keys;
}

static size_t height_at(const struct work *w, size_t row) {
    return w->n_rows - row < w->tile_rows ? w->n_rows - row : w->tile_rows;
}

static size_t panels_of(size_t n_keys) {
    return (n_keys + PANEL - 1) / PANEL;
}

/* Scores of rows [from, to): panel by panel, so that a panel stays in cache. A row's scores
 * are written up to the last panel that its register tile needs. */
static void strip_scores(struct work *w, size_t from, size_t to,
                         const void *const *panels, const void *const *v,
                         const struct cr_attention_mask *mask) {
    size_t steps = Q_STEPS(w->head_dim);
    for (size_t i = 0; i < (to - from) * LANES; i++)
        w->top[i] = -FLT_MAX;
    size_t n_keys = panels_of(seen_by(mask, to - 1)) * PANEL;
    for (size_t key = 0; key < n_keys; key += SCORE_WIDTH) {
        const float *panel = panels[key / PANEL];
        const float *v_log = logs_at(v[key / PANEL], w->n_vecs);
        for (size_t r = from; r < to; r += w->tile_rows) {
            size_t height = height_at(w, r), seen[TILE_ROWS];
            if (panels_of(seen_by(mask, r + height - 1)) * PANEL <= key)
                continue;
            for (size_t i = 0; i < height; i++) {
                size_t n = seen_by(mask, r + i);
                seen[i] = n > key ? n - key : 0;
            }
            scores(w->s + (r - from) * KEYS + key, w->top + (r - from) * LANES,
                   q_of(w) + r * steps, panel + key % PANEL * steps, steps, seen,
                   w->unit + r, panel + PANEL * steps + key % PANEL, v_log + key % PANEL,
                   OFFSETS(w, r), FAR(w, key / PANEL, r), height);
        }
    }
}

static void strip_values(struct work *w, size_t from, size_t to, const void *const *v,
                         const struct cr_attention_mask *mask) {
    size_t a_stride = w->n_vecs * LANES;
    for (size_t g = 0; g < groups_of(w->n_vecs); g++) {
        size_t first = group_start(w->n_vecs, g);
        size_t cols = group_start(w->n_vecs, g + 1) - first;
        for (size_t r = from; r < to; r += w->tile_rows) {
            size_t height = height_at(w, r);
            values(a_of(w) + r * a_stride + first * LANES, a_stride, w->fade + r,
                   w->weight + r,
                   (const uint32_t *)(const void *)(w->s + (r - from) * KEYS), v,
                   first * LANES * (INT8 ? PANEL / 4 : STEPS(PANEL)),
                   panels_of(seen_by(mask, r + height - 1)), height, cols);
        }
    }
}

static void step(void *work, const void *const *k_panels, const void *const *v_panels,
                 const struct cr_attention_mask *mask) {
    struct work *w = work;
    size_t strip = STRIP / w->tile_rows * w->tile_rows;
#if INT8
    far_scores(w, k_panels, panels_of(seen_by(mask, w->n_rows - 1)));
#endif
    for (size_t from = 0; from < w->n_rows; from += strip) {
        size_t to = w->n_rows - from < strip ? w->n_rows : from + strip;
        strip_scores(w, from, to, k_panels, v_panels, mask);
        raise_tops(w, from, to);
        for (size_t r = from; r < to; r += w->tile_rows) {
            size_t height = height_at(w, r);
            size_t n = panels_of(seen_by(mask, r + height - 1)) * PANEL;
            for (size_t i = r; i < r + height; i++)
                soften(w, i, w->s + (i - from) * KEYS, n, v_panels);
        }
        strip_values(w, from, to, v_panels, mask);
    }
}

/* Results */

INLINE void end(struct work *w, void *y, size_t y_stride, float *lse, size_t lse_stride,
                enum cr_dtype type) {
    for (size_t r = 0; r < w->n_rows; r++) {
        const float *a = a_of(w) + r * w->n_vecs * LANES;
        float l = v_sum(v_load_f32(w->l + r * LANES));
        vec divisor = v_set(l);
        for (size_t e = 0; e < w->head_dim; e += LANES) {
            vec value = v_div(v_load_f32(a + e), divisor);
            if (w->head_dim - e >= LANES)
                store(y, type, r * y_stride + e, value);
            else
                store_part(y, type, r * y_stride + e, value, w->head_dim - e);
        }
        if (lse)
            lse[r * lse_stride] = (w->m[r] + log2f(l)) * 0.693147180560f;
    }
}

static void partial(void *work, float *m, float *l, float *a) {
    struct work *w = work;
    for (size_t r = 0; r < w->n_rows; r++) {
        m[r] = w->m[r];
        l[r] = v_sum(v_load_f32(w->l + r * LANES));
        memcpy(a + r * w->head_dim, a_of(w) + r * w->n_vecs * LANES,
               w->head_dim * sizeof(float));
    }
}

/* Wrappers that make the types constants, for q, for v and y; k by its caller where MIXED. */
#define ATTENTION_FUNCTIONS(table, Q_TYPE, TYPE, MIXED)                                  \
    static void table##_pack_k(void *panel, const void *const *rows, enum cr_dtype type, \
                               size_t n, size_t head_dim) {                              \
        CR_ASSERT(MIXED || type == TYPE);                                                \
        if (MIXED && type == CR_F32)                                                     \
            pack_k(panel, rows, n, head_dim, CR_F32);                                    \
        else                                                                             \
            pack_k(panel, rows, n, head_dim, TYPE);                                      \
    }                                                                                    \
    static void table##_pack_v(void *panel, const void *const *rows, size_t n,           \
                               size_t head_dim) {                                        \
        pack_v(panel, rows, n, head_dim, TYPE);                                          \
    }                                                                                    \
    static void table##_begin(void *work, const void *q, size_t q_stride, size_t n_rows, \
                              size_t head_dim, float scale) {                            \
        begin(work, q, q_stride, n_rows, head_dim, scale, Q_TYPE);                       \
    }                                                                                    \
    static void table##_end(void *work, void *y, size_t y_stride, float *lse,            \
                            size_t lse_stride) {                                         \
        end(work, y, y_stride, lse, lse_stride, TYPE);                                   \
    }

/* A table without backward: q F32, k of either type, v and y BF16. */
#define ATTENTION_MIXED_TABLE(table)                                                     \
    ATTENTION_FUNCTIONS(table, CR_F32, CR_BF16, true)                                    \
    const struct cr_attention_tiles table = {                                            \
        .k_bytes = k_bytes,                                                              \
        .v_bytes = v_bytes,                                                              \
        .work_bytes = work_bytes,                                                        \
        .pack_k = table##_pack_k,                                                        \
        .pack_v = table##_pack_v,                                                        \
        .put_k = put_k,                                                                  \
        .put_v = put_v,                                                                  \
        .begin = table##_begin,                                                          \
        .step = step,                                                                    \
        .end = table##_end,                                                              \
        .partial = partial,                                                              \
    }

/* A table for tensors of one type. */
#define ATTENTION_TABLE(table, TYPE)                                                     \
    ATTENTION_FUNCTIONS(table, TYPE, TYPE, false)                                        \
    ATTENTION_BWD(table, TYPE)                                                           \
    const struct cr_attention_tiles table = {                                            \
        .k_bytes = k_bytes,                                                              \
        .v_bytes = v_bytes,                                                              \
        .work_bytes = work_bytes,                                                        \
        .pack_k = table##_pack_k,                                                        \
        .pack_v = table##_pack_v,                                                        \
        .put_k = put_k,                                                                  \
        .put_v = put_v,                                                                  \
        .begin = table##_begin,                                                          \
        .step = step,                                                                    \
        .end = table##_end,                                                              \
        .partial = partial,                                                              \
        .bwd_bytes = bwd_bytes,                                                          \
        .bwd_stride = bwd_stride,                                                        \
        .bwd = table##_bwd,                                                              \
    }
