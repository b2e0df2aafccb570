/* Attention tiles that define correct: plain loops, every sum in double, panels of f32. */
#include <math.h>
#include <string.h>

#include "base/error.h"
#include "kernel/quant.h"
#include "kernel/row.h"

#define LOG2_E 1.4426950408889634

struct work {
    size_t n_rows, head_dim;
    double scale; /* of q . k, to powers of two */
    double m[CR_ATTENTION_ROWS], l[CR_ATTENTION_ROWS];
    double p[CR_ATTENTION_KEYS];
    double sums[]; /* a (n_rows, head_dim), then q as float, then q as 8 bits hold it */
};

static float *q_of(struct work *w) {
    return (float *)(w->sums + CR_ATTENTION_ROWS * w->head_dim);
}

static float *q8_of(struct work *w) {
    return q_of(w) + CR_ATTENTION_ROWS * w->head_dim;
}

static size_t round_up(size_t n) {
    return (n + 63) / 64 * 64;
}

static size_t panel_bytes(size_t head_dim) {
    return CR_ATTENTION_PANEL * head_dim * sizeof(float);
}

static size_t work_bytes(size_t head_dim) {
    return round_up(sizeof(struct work) +
                    CR_ATTENTION_ROWS * head_dim * (sizeof(double) + 2 * sizeof(float)));
}

static void pack(float *panel, const void *const *rows, size_t n, size_t head_dim,
                 enum cr_dtype type) {
    for (size_t i = 0; i < n; i++)
        cr_row_to_f32(type, rows[i], panel + i * head_dim, head_dim);
    for (size_t i = n * head_dim; i < CR_ATTENTION_PANEL * head_dim; i++)
        panel[i] = 0.0f;
}

static void pack_k(void *panel, const void *const *rows, enum cr_dtype type, size_t n,
                   size_t head_dim) {
    pack(panel, rows, n, head_dim, type);
}

static void pack_v_f32(void *panel, const void *const *rows, size_t n, size_t head_dim) {
    pack(panel, rows, n, head_dim, CR_F32);
}

static void pack_v_bf16(void *panel, const void *const *rows, size_t n, size_t head_dim) {
    pack(panel, rows, n, head_dim, CR_BF16);
}

static void put(void *panel, const float *row, size_t slot, size_t head_dim) {
    memcpy((float *)panel + slot * head_dim, row, head_dim * sizeof *row);
}

/* What 1 stands for in a row of 8 bits; NaN where an element is no finite number. */
static float unit8(const float *row, size_t n) {
    float most = 0.0f;
    for (size_t e = 0; e < n; e++) {
        if (!isfinite(row[e]))
            return NAN;
        most = fmaxf(most, fabsf(row[e]));
    }
    return fmaxf(most / 127.0f, CR_ATTENTION_LEAST_UNIT);
}

/* row as 8 bits hold it. */
static void round8(float *row, size_t n) {
    float unit = unit8(row, n), inverse = 1.0f / unit;
    for (size_t e = 0; e < n; e++)
        row[e] = unit * rintf(row[e] * inverse);
}

static size_t keys8_bytes(size_t head_dim) {
    return panel_bytes(head_dim) + round_up(head_dim * sizeof(float));
}

/* What a key has over the first of the panel, which stands behind them. */
static void put_keys8(void *panel, const float *row, size_t slot, size_t head_dim) {
    float *first = (float *)panel + CR_ATTENTION_PANEL * head_dim;
    float *to = (float *)panel + slot * head_dim;
    if (slot == 0)
        memcpy(first, row, head_dim * sizeof *row);
    for (size_t e = 0; e < head_dim; e++)
        to[e] = row[e] - first[e];
    round8(to, head_dim);
}

typedef void put_function(void *panel, const float *row, size_t slot, size_t head_dim);

/* n rows to a panel of so many bytes, each by put_row, which may be given its own place to read from. */
static void pack_by(put_function *put_row, size_t bytes, void *panel,
                    const void *const *rows, enum cr_dtype type, size_t n,
                    size_t head_dim) {
    memset(panel, 0, bytes);
    for (size_t i = 0; i < n; i++) {
        float *row = (float *)panel + i * head_dim;
        cr_row_to_f32(type, rows[i], row, head_dim);
        put_row(panel, row, i, head_dim);
    }
}

static void pack_keys8(void *panel, const void *const *rows, enum cr_dtype type, size_t n,
                       size_t head_dim) {
    pack_by(put_keys8, keys8_bytes(head_dim), panel, rows, type, n, head_dim);
}

static size_t values8_bytes(size_t head_dim) {
    return panel_bytes(head_dim) + CR_ATTENTION_PANEL * sizeof(float);
}

/* One row of whole numbers and its unit, NaN where a value is no finite number. */
static void put_values8(void *panel, const float *row, size_t slot, size_t head_dim) {
    float *to = (float *)panel + slot * head_dim, unit = unit8(row, head_dim);
    for (size_t e = 0; e < head_dim; e++)
        to[e] = rintf(row[e] * (1.0f / unit));
    ((float *)panel)[CR_ATTENTION_PANEL * head_dim + slot] = unit;
}

static void pack_values8(void *panel, const void *const *rows, size_t n,
                         size_t head_dim) {
    pack_by(put_values8, values8_bytes(head_dim), panel, rows, CR_BF16, n, head_dim);
}

static void begin(struct work *w, const void *q, size_t q_row_bytes, size_t n_rows,
                  size_t head_dim, float scale, enum cr_dtype type) {
    w->n_rows = n_rows;
    w->head_dim = head_dim;
    w->scale = (double)scale * LOG2_E;
    for (size_t r = 0; r < n_rows; r++) {
        cr_row_to_f32(type, (const char *)q + r * q_row_bytes, q_of(w) + r * head_dim,
                      head_dim);
        w->m[r] = -INFINITY;
        w->l[r] = 0.0;
    }
    for (size_t i = 0; i < n_rows * head_dim; i++)
        w->sums[i] = 0.0;
}

static void begin_f32(void *work, const void *q, size_t q_stride, size_t n_rows,
                      size_t head_dim, float scale) {
    begin(work, q, q_stride * 4, n_rows, head_dim, scale, CR_F32);
}

static void begin_bf16(void *work, const void *q, size_t q_stride, size_t n_rows,
                       size_t head_dim, float scale) {
    begin(work, q, q_stride * 2, n_rows, head_dim, scale, CR_BF16);
}

static void begin_8(void *work, const void *q, size_t q_stride, size_t n_rows,
                    size_t head_dim, float scale) {
    struct work *w = work;
    begin(w, q, q_stride * 4, n_rows, head_dim, scale, CR_F32);
    memcpy(q8_of(w), q_of(w), n_rows * head_dim * sizeof(float));
    for (size_t r = 0; r < n_rows; r++)
        round8(q8_of(w) + r * head_dim, head_dim);
}

static const float *row_at(const void *const *panels, size_t key, size_t head_dim) {
    return (const float *)panels[key / CR_ATTENTION_PANEL] +
           key % CR_ATTENTION_PANEL * head_dim;
}

static double dot(const float *a, const float *b, size_t n) {
    double sum = 0.0;
    for (size_t i = 0; i < n; i++)
        sum += (double)a[i] * (double)b[i];
    return sum;
}

/* Weights of the next n keys for row r into w->p; what the row has so far fades. in_8_bits: keys lie
 * as put_keys8 puts them. */
static void row_weights(struct work *w, size_t r, const void *const *k, size_t n,
                        bool in_8_bits) {
    size_t e_len = w->head_dim;
    const float *q = q_of(w) + r * e_len, *q8 = q8_of(w) + r * e_len;
    double m = w->m[r];
    for (size_t s = 0; s < n; s++) {
        const float *key = row_at(k, s, e_len);
        const float *first =
            row_at(k, s / CR_ATTENTION_PANEL * CR_ATTENTION_PANEL, e_len) +
            CR_ATTENTION_PANEL * e_len;
        w->p[s] = w->scale * (in_8_bits ? dot(q, first, e_len) + dot(q8, key, e_len)
                                        : dot(q, key, e_len));
        m = w->p[s] > m || isnan(w->p[s]) ? w->p[s] : m;
    }
    double fade = exp2(w->m[r] - m);
    w->m[r] = m;
    w->l[r] *= fade;
    for (size_t e = 0; e < e_len; e++)
        w->sums[r * e_len + e] *= fade;
    for (size_t s = 0; s < n; s++) {
        w->p[s] = exp2(w->p[s] - m);
        w->l[r] += w->p[s];
    }
}

static void add_values(struct work *w, size_t r, const void *const *v, size_t n) {
    size_t e_len = w->head_dim;
    for (size_t s = 0; s < n; s++) {
        const float *value = row_at(v, s, e_len);
        for (size_t e = 0; e < e_len; e++)
            w->sums[r * e_len + e] += w->p[s] * (double)value[e];
    }
}

/* Panels of put_values8: rows of whole numbers, then each row's unit. p times the units goes to 0..255 of
 * its largest. */
static void add_values8(struct work *w, size_t r, const void *const *v, size_t n) {
    size_t e_len = w->head_dim;
    double most = 0.0;
    for (size_t s = 0; s < n; s++) {
        const float *panel = v[s / CR_ATTENTION_PANEL];
        double unit = (double)panel[CR_ATTENTION_PANEL * e_len + s % CR_ATTENTION_PANEL];
        w->p[s] *= unit;
        most = w->p[s] > most || isnan(w->p[s]) ? w->p[s] : most;
    }
    for (size_t s = 0; s < n; s++) {
        double p = most > 0.0 ? rint(w->p[s] / most * 255.0) : most;
        for (size_t e = 0; e < e_len; e++)
            w->sums[r * e_len + e] += p * (most / 255.0) * (double)row_at(v, s, e_len)[e];
    }
}

static size_t seen_by(const struct cr_attention_mask *mask, size_t row) {
    size_t n = mask->visible + row * mask->per_row;
    return n < mask->n_keys ? n : mask->n_keys;
}

static void step(void *work, const void *const *k_panels, const void *const *v_panels,
                 const struct cr_attention_mask *mask) {
    struct work *w = work;
    for (size_t r = 0; r < w->n_rows; r++) {
        row_weights(w, r, k_panels, seen_by(mask, r), false);
        add_values(w, r, v_panels, seen_by(mask, r));
    }
}

static void step_int8(void *work, const void *const *k_panels,
                      const void *const *v_panels, const struct cr_attention_mask *mask) {
    struct work *w = work;
    for (size_t r = 0; r < w->n_rows; r++) {
        row_weights(w, r, k_panels, seen_by(mask, r), true);
        add_values8(w, r, v_panels, seen_by(mask, r));
    }
}

static void end_row(const struct work *w, size_t r, float *y) {
    for (size_t e = 0; e < w->head_dim; e++)
        y[e] = (float)(w->sums[r * w->head_dim + e] / w->l[r]);
}

static void end_lse(const struct work *w, float *lse, size_t lse_stride) {
    for (size_t r = 0; lse && r < w->n_rows; r++)
        lse[r * lse_stride] = (float)((w->m[r] + log2(w->l[r])) / LOG2_E);
}

static void end_f32(void *work, void *y, size_t y_stride, float *lse, size_t lse_stride) {
    struct work *w = work;
    for (size_t r = 0; r < w->n_rows; r++)
        end_row(w, r, (float *)y + r * y_stride);
    end_lse(w, lse, lse_stride);
}

static void end_bf16(void *work, void *y, size_t y_stride, float *lse,
                     size_t lse_stride) {
    struct work *w = work;
    for (size_t r = 0; r < w->n_rows; r++) {
        float *row = q_of(w) + r * w->head_dim; /* q is done with */
        end_row(w, r, row);
        cr_row_from_f32(CR_BF16, row, (uint16_t *)y + r * y_stride, w->head_dim);
    }
    end_lse(w, lse, lse_stride);
}

static void partial(void *work, float *m, float *l, float *a) {
    struct work *w = work;
    for (size_t r = 0; r < w->n_rows; r++) {
        m[r] = (float)w->m[r];
        /* m is rounded: the sums are moved by what it lost. */
        double moved = exp2(w->m[r] - (double)m[r]);
        l[r] = (float)(w->l[r] * moved);
        for (size_t e = 0; e < w->head_dim; e++)
            a[r * w->head_dim + e] = (float)(w->sums[r * w->head_dim + e] * moved);
    }
}

static size_t bwd_bytes(size_t head_dim) {
    (void)head_dim;
    return 64;
}

static size_t bwd_stride(size_t head_dim) {
    return head_dim;
}

/* y += factor x */
static void add_row(float *y, double factor, const float *x, size_t n) {
    for (size_t i = 0; i < n; i++)
        y[i] = (float)((double)y[i] + factor * (double)x[i]);
}

/* Panels of this table are plain rows of f32, whichever way they were packed. */
static void bwd(void *work, const struct cr_attention_bwd *b) {
    size_t e_len = b->head_dim;
    (void)work;
    for (size_t r = 0; r < b->n_rows; r++) {
        const float *q = (const float *)b->q_rows + r * e_len;
        const float *dy = (const float *)b->dy_rows + r * e_len;
        size_t n = b->mask.visible + r * b->mask.per_row;
        for (size_t s = 0; s < b->mask.n_keys && s < n; s++) {
            const float *k = (const float *)b->k_rows + s * e_len;
            const float *v = (const float *)b->v_cols + s * e_len;
            double p = exp((double)b->scale * dot(q, k, e_len) - (double)b->lse[r]);
            double ds = p * (dot(dy, v, e_len) - (double)b->delta[r]) * (double)b->scale;
            add_row(b->dv + s * e_len, p, dy, e_len);
            add_row(b->dk + s * e_len, ds, q, e_len);
            add_row(b->dq + r * e_len, ds, k, e_len);
        }
    }
}

const struct cr_attention_tiles cr_attention_scalar_f32 = {
    .k_bytes = panel_bytes,
    .v_bytes = panel_bytes,
    .work_bytes = work_bytes,
    .pack_k = pack_k,
    .pack_v = pack_v_f32,
    .put_k = put,
    .put_v = put,
    .begin = begin_f32,
    .step = step,
    .end = end_f32,
    .partial = partial,
    .bwd_bytes = bwd_bytes,
    .bwd_stride = bwd_stride,
    .bwd = bwd,
};

const struct cr_attention_tiles cr_attention_scalar_bf16 = {
    .k_bytes = panel_bytes,
    .v_bytes = panel_bytes,
    .work_bytes = work_bytes,
    .pack_k = pack_k,
    .pack_v = pack_v_bf16,
    .put_k = put,
    .put_v = put,
    .begin = begin_bf16,
    .step = step,
    .end = end_bf16,
    .partial = partial,
    .bwd_bytes = bwd_bytes,
    .bwd_stride = bwd_stride,
    .bwd = bwd,
};

const struct cr_attention_tiles cr_attention_scalar_mixed = {
    .k_bytes = panel_bytes,
    .v_bytes = panel_bytes,
    .work_bytes = work_bytes,
    .pack_k = pack_k,
    .pack_v = pack_v_bf16,
    .put_k = put,
    .put_v = put,
    .begin = begin_f32,
    .step = step,
    .end = end_bf16,
    .partial = partial,
};

const struct cr_attention_tiles cr_attention_scalar_int8 = {
    .k_bytes = keys8_bytes,
    .v_bytes = values8_bytes,
    .work_bytes = work_bytes,
    .pack_k = pack_keys8,
    .pack_v = pack_values8,
    .put_k = put_keys8,
    .put_v = put_values8,
    .begin = begin_8,
    .step = step_int8,
    .end = end_bf16,
    .partial = partial,
};
