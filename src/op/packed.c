#include "op/packed.h"

#include <math.h>
#include <omp.h>
#include <stdint.h>
#include <string.h>

#include "base/checked.h"
#include "kernel/dense.h"
#include "kernel/int8.h"
#include "op/turns.h"

bool cr_packed_fits(enum cr_packing packing, size_t k) {
    return k > 0 && (packing != CR_PACK_INT4 || k % CR_INT4_BLOCK == 0);
}

static size_t panel_bytes(enum cr_packing packing, size_t k) {
    return packing == CR_PACK_INT4 ? cr_int4_panel_bytes(k) : cr_int8_panel_bytes(k);
}

enum cr_dtype cr_packed_dtype(enum cr_packing packing) {
    CR_ASSERT(packing != CR_PACK_NONE);
    return packing == CR_PACK_INT4 ? CR_PANEL4 : CR_PANEL8;
}

/* Numbers of one kind that a column has: a scale; 4 bits three. */
static size_t n_kinds(enum cr_packing packing) {
    return packing == CR_PACK_INT4 ? 3 : 1;
}

/* Columns with those that fill the last panel. */
static size_t whole_columns(size_t n) {
    return cr_int8_panels(n) * CR_INT8_COLS;
}

size_t cr_packed_bytes(enum cr_packing packing, size_t n, size_t k) {
    size_t bytes = cr_int8_panels(n) * panel_bytes(packing, k) +
                   n_kinds(packing) * whole_columns(n) * sizeof(float),
           want;
    CR_ASSERT(cr_dtype_matrix_bytes(cr_packed_dtype(packing), n, k, &want) &&
              bytes == want);
    return bytes;
}

/* ---- views ---------------------------------------------------------------------------------- */

struct cr_packed cr_packed_view(enum cr_packing packing, size_t n, size_t k,
                                const void *data) {
    CR_ASSERT((uintptr_t)data % 64 == 0);
    struct cr_packed p = {.packing = packing, .n = n, .k = k, .panels = data};
    const unsigned char *behind = p.panels + cr_int8_panels(n) * panel_bytes(packing, k);
    p.scale = (const float *)(const void *)behind;
    if (packing == CR_PACK_INT4) {
        p.min = p.scale + whole_columns(n);
        p.scale8 = p.min + whole_columns(n);
    }
    return p;
}

size_t cr_packed_bad_column(const struct cr_packed *p) {
    size_t n = n_kinds(p->packing) * whole_columns(p->n);
    for (size_t i = 0; i < n; i++)
        if (!isfinite(p->scale[i]))
            return i % whole_columns(p->n);
    return SIZE_MAX;
}

/* ---- packing -------------------------------------------------------------------------------- */

struct packer {
    enum cr_packing packing;
    const struct cr_tensor *w;
    unsigned char *panels;
    float *scale, *min, *scale8; /* min and scale8 of 4 bits only */
    size_t bad_row;              /* the first with a number that is none; SIZE_MAX */
};

/* false where a weight is no finite number. */
static bool pack_row(const struct packer *p, size_t row, float *values,
                     const struct cr_exec *ex) {
    size_t k = cr_tensor_cols(p->w);
    unsigned char *panel = p->panels + row / CR_INT8_COLS * panel_bytes(p->packing, k);
    ex->dense->row_to_f32(p->w->dtype, cr_tensor_row(p->w, row), values, k);
    if (p->packing == CR_PACK_INT4)
        return ex->int8->pack4(values, k, row % CR_INT8_COLS, values + k, panel,
                               p->scale + row, p->min + row, p->scale8 + row);
    p->scale[row] = ex->int8->pack8(values, k, row % CR_INT8_COLS, panel);
    return !isnan(p->scale[row]);
}

static void pack_all(struct packer *p, struct cr_exec *ex) {
    size_t n = cr_tensor_rows(p->w), k = cr_tensor_cols(p->w);
    size_t mark = cr_arena_mark(&ex->scratch);
    /* Of each thread: a row of w, and the grids of its blocks. */
    struct cr_tensor rows = cr_exec_matrix(ex, CR_F32, (size_t)ex->n_threads, k + k / 16);
    size_t bytes = panel_bytes(p->packing, k);
    size_t bad_row = SIZE_MAX;
#pragma omp parallel for num_threads(ex->n_threads) schedule(static)                     \
    reduction(min                                                                        \
              : bad_row)
    for (size_t panel = 0; panel < cr_int8_panels(n); panel++) {
        size_t first = panel * CR_INT8_COLS, last = CR_MIN(first + CR_INT8_COLS, n);
        memset(p->panels + panel * bytes, p->packing == CR_PACK_INT8 ? 128 : 0, bytes);
        for (size_t row = first; row < last; row++) {
            float *values = cr_tensor_row(&rows, (size_t)omp_get_thread_num());
            if (!pack_row(p, row, values, ex))
                bad_row = CR_MIN(bad_row, row);
        }
    }
    p->bad_row = bad_row;
    cr_arena_release(&ex->scratch, mark);
}

static enum critic_status bad_number(const struct packer *p, struct cr_exec *ex,
                                     critic_error *err) {
    size_t k = cr_tensor_cols(p->w), i = 0;
    size_t mark = cr_arena_mark(&ex->scratch);
    float *values = cr_exec_matrix(ex, CR_F32, 1, k).data;
    ex->dense->row_to_f32(p->w->dtype, cr_tensor_row(p->w, p->bad_row), values, k);
    while (i + 1 < k && isfinite(values[i]))
        i++;
    double value = (double)values[i];
    cr_arena_release(&ex->scratch, mark);
    return cr_fail(
        err, CRITIC_BAD_MODEL,
        "tensor '%s' cannot be quantised: element (%zu, %zu) is %g; expected a "
        "finite number",
        p->w->name ? p->w->name : "", p->bad_row, i, value);
}

enum critic_status cr_packed_new(struct cr_packed *out, enum cr_packing packing,
                                 const struct cr_tensor *w, struct cr_arena *arena,
                                 struct cr_exec *ex, critic_error *err) {
    memset(out, 0, sizeof *out);
    size_t n = cr_tensor_rows(w), k = cr_tensor_cols(w), columns = whole_columns(n);
    CR_ASSERT(packing != CR_PACK_NONE && cr_packed_fits(packing, k));
    struct packer p = {.packing = packing, .w = w, .bad_row = SIZE_MAX};
    size_t panels = cr_int8_panels(n) * panel_bytes(packing, k);
    p.panels = cr_arena_alloc(arena, cr_packed_bytes(packing, n, k));
    if (!p.panels)
        return cr_fail(err, CRITIC_NO_MEMORY, "out of memory for quantised weights");
    p.scale = (float *)(void *)(p.panels + panels);
    p.min = p.scale + columns;
    p.scale8 = p.min + columns;
    memset(p.scale, 0, n_kinds(packing) * columns * sizeof *p.scale);
    pack_all(&p, ex);
    if (p.bad_row != SIZE_MAX)
        return bad_number(&p, ex, err);
    *out = cr_packed_view(packing, n, k, p.panels);
    return CRITIC_OK;
}

/* ---- products ------------------------------------------------------------------------------- */

/* Rows that meet a panel before the thread goes on: a part; and how many bytes of them stay in the
 * second-level cache while all panels pass. Longer rows come from the third for every panel, and
 * the panel stays instead while a band of parts passes, which has to stay in the third. */
#define PART_ROWS  ((size_t)192)
#define PART_BYTES ((size_t)1 << 19)
#define BAND_BYTES ((size_t)4 << 20)

/* Rows of a part: alike in all, or the threads' shares would not be, and whole tiles of the kernels. */
static size_t part_rows(size_t m) {
    return CR_CEIL_DIV(CR_CEIL_DIV(m, CR_CEIL_DIV(m, PART_ROWS)), 12) * 12;
}

/* Band after band, in each panel after panel, for each part after part. */
struct order {
    size_t n_panels, n_parts;
    size_t band; /* parts of one; 1: each part meets all panels before the next comes */
};

static struct order order_of(size_t n_panels, size_t n_parts, size_t row_bytes) {
    struct order o = {n_panels, n_parts, 1};
    if (PART_ROWS * row_bytes > PART_BYTES)
        o.band = CR_MIN(n_parts, CR_MAX((size_t)1, BAND_BYTES / (PART_ROWS * row_bytes)));
    return o;
}

/* Turn i of n_panels * n_parts. */
static void turn(const struct order *o, size_t i, size_t *panel, size_t *part) {
    size_t first = i / (o->n_panels * o->band) * o->band;
    size_t n = CR_MIN(o->band, o->n_parts - first);
    i -= first * o->n_panels;
    *panel = i / n;
    *part = first + i % n;
}

/* Room for m quantised rows. */
static struct cr_int8_rows rows_in_scratch(size_t m, size_t k, struct cr_exec *ex) {
    struct cr_int8_rows rows = {
        .m = m, .k = k, .q_row = cr_int8_row_bytes(k), .n_groups = cr_int8_groups(k)};
    rows.q = cr_exec_matrix(ex, CR_I8, m, rows.q_row).data;
    rows.scales = cr_exec_matrix(ex, CR_F32, m, rows.n_groups).data;
    rows.offsets = cr_exec_matrix(ex, CR_I32, m, rows.n_groups).data;
    rows.block_sums = cr_exec_matrix(ex, CR_I32, m, 4 * rows.n_groups).data;
    return rows;
}

/* Those behind the first. */
static struct cr_int8_rows rows_from(const struct cr_int8_rows *rows, size_t first) {
    struct cr_int8_rows rest = *rows;
    rest.m -= first;
    rest.q += first * rows->q_row;
    rest.scales += first * rows->n_groups;
    rest.offsets += first * rows->n_groups;
    rest.block_sums += 4 * first * rows->n_groups;
    return rest;
}

static void copy_rows(const struct cr_int8_rows *to, const struct cr_int8_rows *from) {
    size_t n = from->m * from->n_groups;
    memcpy(to->q, from->q, from->m * from->q_row);
    memcpy(to->scales, from->scales, n * sizeof *to->scales);
    memcpy(to->offsets, from->offsets, n * sizeof *to->offsets);
    memcpy(to->block_sums, from->block_sums, 4 * n * sizeof *to->block_sums);
}

/* Columns of panel `panel`, from row `first` of y on. */
static struct cr_int8_out columns_of(const struct cr_tensor *y, const struct cr_packed *w,
                                     const float *bias, bool add, size_t panel,
                                     size_t first) {
    size_t col = panel * CR_INT8_COLS, element = cr_dtype_block_bytes(y->dtype);
    CR_ASSERT(y->row_bytes % element == 0);
    return (struct cr_int8_out){.scale = w->scale + col,
                                .min = w->min ? w->min + col : NULL,
                                .bias = bias ? bias + col : NULL,
                                .y = (char *)cr_tensor_row(y, first) + col * element,
                                .y_row = y->row_bytes / element,
                                .n = CR_MIN(CR_INT8_COLS, w->n - col),
                                .type = y->dtype,
                                .add = add};
}

struct product {
    struct cr_tensor y;
    const struct cr_packed *w;
    const float *bias;
    bool add;
    struct cr_int8_rows rows;
    /* Where w is fine: what `rows` leave of x. Of few rows, `both` are first those and then these. */
    struct cr_int8_rows rest, both;
    struct cr_exec *ex;
};

/* Rows that meet a panel of fine weights together with what they leave, so that it comes from memory
 * while all are multiplied. */
#define FINE_TOGETHER ((size_t)4)

static void multiply_both(const struct product *p, const unsigned char *panel,
                          const struct cr_int8_out *out) {
    float sums[2 * FINE_TOGETHER][CR_INT8_COLS];
    struct cr_int8_out parts = {.scale = out->scale,
                                .y = sums,
                                .y_row = CR_INT8_COLS,
                                .n = out->n,
                                .type = CR_F32};
    size_t m = p->rows.m;
    p->ex->int8->panel8(&p->both, 0, 2 * m, panel, &parts);
    for (size_t r = 0; r < m; r++) {
        float *y = (float *)out->y + r * out->y_row;
        for (size_t c = 0; c < out->n; c++) { /* in the order of two products */
            float value = out->bias ? sums[r][c] + out->bias[c] : sums[r][c];
            y[c] = value + sums[m + r][c];
        }
    }
}

/* Panels straight from the weights: 8 bits always, 4 bits in a step. */
struct straight {
    const struct product *p;
    struct order order;
    size_t at_once; /* rows of a part */
};

static void multiply_panel(const void *work, size_t i, size_t end) {
    (void)end;
    const struct straight *s = work;
    const struct product *p = s->p;
    size_t panel, part, bytes = panel_bytes(p->w->packing, p->w->k);
    turn(&s->order, i, &panel, &part);
    size_t first = part * s->at_once, n_rows = CR_MIN(s->at_once, p->rows.m - first);
    struct cr_int8_out out = columns_of(&p->y, p->w, p->bias, p->add, panel, first);
    const unsigned char *at = p->w->panels + panel * bytes;
    if (p->both.m) {
        multiply_both(p, at, &out);
        return;
    }
    if (s->order.band == 1 && s->order.n_parts > 1 && panel + 1 < s->order.n_panels)
        out.next = at + bytes;
    if (p->w->packing == CR_PACK_INT4)
        p->ex->int8->panel4(&p->rows, first, n_rows, at, &out);
    else
        p->ex->int8->panel8(&p->rows, first, n_rows, at, &out);
    if (p->w->is_fine) { /* the panel is in the cache now */
        out.add = true;
        out.bias = NULL;
        p->ex->int8->panel8(&p->rest, first, n_rows, at, &out);
    }
}

static void multiply_panels(const struct product *p) {
    size_t m = p->rows.m, at_once = part_rows(m), n_parts = CR_CEIL_DIV(m, at_once);
    size_t n_panels = cr_int8_panels(p->w->n);
    struct straight s = {p, order_of(n_panels, n_parts, p->rows.q_row), at_once};
    cr_turns_run(n_panels * n_parts, multiply_panel, &s, p->ex);
}

/* What row t of p->rows leaves of x, as another row; r: room for it. */
static void quantise_rest(const struct product *p, size_t t, const struct cr_tensor *x,
                          float *r) {
    const struct cr_int8_rows *rows = &p->rows;
    const int8_t *q = rows->q + t * rows->q_row;
    const float *scales = rows->scales + t * rows->n_groups;
    p->ex->dense->row_to_f32(x->dtype, cr_tensor_row(x, t), r, rows->k);
    for (size_t i = 0; i < rows->k; i++)
        r[i] -= scales[i / CR_INT8_GROUP] * (float)q[i];
    p->ex->int8->quantise(&p->rest, t, CR_F32, r);
}

static void quantise_rests(struct product *p, const struct cr_tensor *x) {
    struct cr_exec *ex = p->ex;
    CR_ASSERT(p->w->packing == CR_PACK_INT8 && p->y.dtype == CR_F32 && !p->add);
    size_t m = p->rows.m;
    if (m <= FINE_TOGETHER) {
        p->both = rows_in_scratch(2 * m, p->rows.k, ex);
        copy_rows(&p->both, &p->rows);
        p->rest = rows_from(&p->both, m);
    } else {
        p->rest = rows_in_scratch(m, p->rows.k, ex);
    }
    struct cr_tensor room = cr_exec_matrix(ex, CR_F32, (size_t)ex->n_threads, p->rows.k);
#pragma omp parallel for num_threads(ex->n_threads) schedule(static) if (p->rows.m > 1)
    for (size_t t = 0; t < p->rows.m; t++)
        quantise_rest(p, t, x, cr_tensor_row(&room, (size_t)omp_get_thread_num()));
}

/* 4 bits in prefill: each panel is widened once for all rows. */
struct widened {
    const struct product *p;
    struct cr_tensor wide; /* a panel of each thread */
};

static void multiply_wide_panel(const void *work, size_t panel, size_t end) {
    (void)end;
    const struct widened *s = work;
    const struct cr_packed *w = s->p->w;
    const struct cr_int8 *int8 = s->p->ex->int8;
    unsigned char *to = cr_tensor_row(&s->wide, (size_t)omp_get_thread_num());
    size_t col = panel * CR_INT8_COLS;
    struct cr_int8_out out = columns_of(&s->p->y, w, s->p->bias, s->p->add, panel, 0);
    int8->widen(w->panels + panel * panel_bytes(w->packing, w->k), w->scale + col,
                w->min + col, w->scale8 + col, w->k, to);
    out.scale = w->scale8 + col;
    out.min = NULL;
    int8->panel8(&s->p->rows, 0, s->p->rows.m, to, &out);
}

static void multiply_widened(const struct product *p) {
    struct widened s = {p, cr_exec_matrix(p->ex, CR_U8, (size_t)p->ex->n_threads,
                                          cr_int8_panel_bytes(p->w->k))};
    cr_turns_run(cr_int8_panels(p->w->n), multiply_wide_panel, &s, p->ex);
}

/* Rows that are quantised already, of x (NULL: which no memory holds). */
static void multiply(struct product *p, const struct cr_tensor *x, enum cr_phase phase) {
    size_t mark = cr_arena_mark(&p->ex->scratch);
    CR_ASSERT(p->rows.k == p->w->k && cr_tensor_cols(&p->y) == p->w->n);
    CR_ASSERT(x || !p->w->is_fine);
    if (p->w->is_fine)
        quantise_rests(p, x);
    if (p->w->packing == CR_PACK_INT4 && phase == CR_PREFILL)
        multiply_widened(p);
    else
        multiply_panels(p);
    cr_arena_release(&p->ex->scratch, mark);
}

void cr_packed_group_fwd(const struct cr_tensor *y, struct cr_tensor x,
                         const struct cr_packed *const *w, const float *const *bias,
                         size_t n, bool add, enum cr_phase phase, struct cr_exec *ex) {
    size_t m = cr_tensor_rows(&x), mark = cr_arena_mark(&ex->scratch);
    struct cr_int8_rows rows = rows_in_scratch(m, cr_tensor_cols(&x), ex);
#pragma omp parallel for num_threads(ex->n_threads) schedule(static) if (m > 1)
    for (size_t t = 0; t < m; t++)
        ex->int8->quantise(&rows, t, x.dtype, cr_tensor_row(&x, t));
    for (size_t i = 0; i < n; i++) {
        struct product p = {
            .y = y[i], .w = w[i], .bias = bias[i], .add = add, .rows = rows, .ex = ex};
        multiply(&p, &x, phase);
    }
    cr_arena_release(&ex->scratch, mark);
}

void cr_packed_fwd(struct cr_tensor y, struct cr_tensor x, const struct cr_packed *w,
                   const float *bias, bool add, enum cr_phase phase, struct cr_exec *ex) {
    cr_packed_group_fwd(&y, x, &w, &bias, 1, add, phase, ex);
}

void cr_packed_add_made(struct cr_tensor y, const struct cr_made_rows *x,
                        const struct cr_packed *w, const float *bias, enum cr_phase phase,
                        struct cr_exec *ex) {
    size_t mark = cr_arena_mark(&ex->scratch);
    struct cr_int8_rows rows = rows_in_scratch(x->n, w->k, ex);
    size_t whole = CR_CEIL_DIV(w->k, (size_t)32) * 32; /* no line of two threads */
    struct cr_tensor made = cr_exec_matrix(ex, x->type, (size_t)ex->n_threads, whole);
#pragma omp parallel for num_threads(ex->n_threads) schedule(static) if (x->n > 1)
    for (size_t t = 0; t < x->n; t++) {
        void *row = cr_tensor_row(&made, (size_t)omp_get_thread_num());
        x->make(x->work, t, row);
        ex->int8->quantise(&rows, t, x->type, row);
    }
    struct product p = {
        .y = y, .w = w, .bias = bias, .add = true, .rows = rows, .ex = ex};
    multiply(&p, NULL, phase);
    cr_arena_release(&ex->scratch, mark);
}
