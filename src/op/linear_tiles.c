/* Products of many rows in bf16 by the tiles of kernel/tiles.h.
 *
 * A panel of 64 columns of the weights is packed, from any dtype, into the second-level cache
 * and met by all rows; what follows the product (bias, residual, activation) is done on each
 * tile while it is in the first. Panels go to the threads one by one. */
#include <omp.h>
#include <string.h>

#include "base/checked.h"
#include "kernel/dense.h"
#include "kernel/row.h"
#include "kernel/tiles.h"
#include "op/linear_parts.h"

#define ROWS CR_TILE_ROWS
#define COLS CR_TILE_COLS
/* Terms of a sum that one panel holds: 608 KiB. More go panel after panel over sums in memory. */
#define PANEL_K 4864u
/* Weights of other dtypes become bf16 so many at a time; a whole number of every dtype's blocks. */
#define CONVERT_K 256u

struct map {
    const struct cr_tiled *p;
    struct cr_tensor u; /* p->u, with a zero behind where its terms are odd */
    const float *bias;
    size_t first_panel, n_panels;
};

struct tiling {
    enum cr_linear_after after;
    struct map maps[CR_LINEAR_GROUP];
    size_t n_panels;
    /* of y in a panel: COLS, or half where gate and up lie side by side */
    size_t columns;
    struct cr_tensor x;
    size_t m, k; /* k as the tiles see it: even */
    size_t low;  /* terms of the widest low-rank term */
    /* pieces that the rows are cut into, so that every thread has work */
    size_t row_parts;
    struct cr_exec *ex;
};

/* One thread's own memory. */
struct workbench {
    uint32_t *panel;     /* (PANEL_K / 2, COLS) */
    uint32_t *low;       /* of the low-rank term */
    float *sums;         /* (rows of a part, COLS), or one tile where k fits one panel */
    uint16_t *converted; /* (COLS, CONVERT_K), or turned (CONVERT_K, COLS) */
};

/* Columns [first, first + n) of w, terms [k0, k0 + k), into `cols` columns of the panel. */
static void pack(const struct tiling *t, const struct cr_tensor *w, size_t first,
                 size_t n, size_t cols, size_t k0, size_t k, uint32_t *panel,
                 uint16_t *converted) {
    const struct cr_tiles *tiles = t->ex->tiles;
    const char *from = (const char *)w->data + first * w->row_bytes;
    if (w->dtype == CR_BF16) {
        tiles->pack(panel, (const uint16_t *)(const void *)from + k0, w->row_bytes / 2, n,
                    cols, k);
        return;
    }
    size_t block = cr_dtype_block_len(w->dtype), bytes = cr_dtype_block_bytes(w->dtype);
    for (size_t at = 0; at < k; at += CONVERT_K) {
        size_t part = CR_MIN(CONVERT_K, k - at);
        for (size_t i = 0; i < n; i++)
            t->ex->dense->row_to_bf16(w->dtype,
                                      from + i * w->row_bytes + (k0 + at) / block * bytes,
                                      converted + i * CONVERT_K, part);
        tiles->pack(panel + at / 2 * COLS, converted, CONVERT_K, n, cols, part);
    }
}

/* The same where w is turned: rows [k0, k0 + k), columns from `first`. */
static void pack_turned(const struct tiling *t, const struct cr_tensor *w, size_t first,
                        size_t n, size_t cols, size_t k0, size_t k, uint32_t *panel,
                        uint16_t *converted) {
    const struct cr_tiles *tiles = t->ex->tiles;
    size_t block = cr_dtype_block_len(w->dtype), bytes = cr_dtype_block_bytes(w->dtype);
    const char *from = (const char *)cr_tensor_row(w, k0) + first / block * bytes;
    if (w->dtype == CR_BF16) {
        tiles->pack_turned(panel, (const uint16_t *)(const void *)from, w->row_bytes / 2,
                           n, cols, k);
        return;
    }
    for (size_t at = 0; at < k; at += CONVERT_K) {
        size_t part = CR_MIN(CONVERT_K, k - at);
        for (size_t i = 0; i < part; i++)
            t->ex->dense->row_to_bf16(w->dtype, from + (at + i) * w->row_bytes,
                                      converted + i * COLS, n);
        tiles->pack_turned(panel + at / 2 * COLS, converted, COLS, n, cols, part);
    }
}

bool cr_linear_turns(const struct cr_tensor *w) {
    return COLS % cr_dtype_block_len(w->dtype) == 0;
}

/* The same from panels that are there: `cols` of COLS columns, half a panel at a time. */
static void copy_half(uint32_t *to, const struct cr_tiled *p, size_t first, size_t cols,
                      size_t pairs) {
    const uint32_t *from = p->panels + first / COLS * pairs * COLS + first % COLS;
    for (size_t i = 0; i < pairs; i++)
        memcpy(to + i * COLS, from + i * COLS, cols * sizeof *to);
}

/* Few columns: the thin kernel. */
static bool is_thin(const struct tiling *t, size_t n) {
    return n <= 2 * CR_THIN_COLS && t->after != CR_AFTER_SWIGLU;
}

/* Columns of a panel that anyone looks at. */
static size_t packed_columns(const struct tiling *t, size_t n) {
    return is_thin(t, n) ? CR_CEIL_DIV(n, (size_t)CR_THIN_COLS) * CR_THIN_COLS
                         : t->columns;
}

/* The panel of t->columns columns from `first`, in `own` unless it is there. */
static const uint32_t *panel_of(const struct tiling *t, const struct map *m, size_t first,
                                size_t n, size_t k0, size_t k,
                                const struct workbench *own) {
    const struct cr_tiled *p = m->p;
    size_t pairs = CR_CEIL_DIV(k, (size_t)2);
    if (t->after != CR_AFTER_SWIGLU) {
        if (p->panels)
            return p->panels + first / COLS * pairs * COLS;
        (p->turned ? pack_turned : pack)(t, p->w, first, n, packed_columns(t, n), k0, k,
                                         own->panel, own->converted);
        return own->panel;
    }
    for (size_t i = 0; i < 2; i++) { /* gate and up side by side */
        uint32_t *to = own->panel + i * t->columns;
        if (m[i].p->panels)
            copy_half(to, m[i].p, first, t->columns, pairs);
        else
            pack(t, m[i].p->w, first, n, t->columns, k0, k, to, own->converted);
    }
    return own->panel;
}

/* sums = or += rows of x times the panel. */
static void multiply(const struct tiling *t, size_t n, float *sums, const uint16_t *x,
                     size_t x_row, size_t rows, const uint32_t *panel, size_t k,
                     bool add) {
    if (!is_thin(t, n))
        t->ex->tiles->tile(sums, x, x_row, rows, panel, k, add);
    else
        for (size_t col = 0; col < n; col += CR_THIN_COLS)
            t->ex->tiles->thin(sums + col, x, x_row, rows, panel + col, k, add);
}

/* Row `row` of a panel's sums to where it belongs. */
static void finish_row(const struct tiling *t, const struct map *m, size_t row,
                       size_t first, size_t n, float *sums) {
    enum cr_dtype type = m->p->y.dtype;
    const struct cr_row_kernels *kernels = t->ex->row;
    char *to = (char *)cr_tensor_row(&m->p->y, row) +
               first * cr_dtype_block_bytes(m->p->y.dtype);
    const float *bias = m->bias ? m->bias + first : NULL;
    switch (t->after) {
    case CR_AFTER_SWIGLU:
        if (bias)
            t->ex->tiles->store(sums, CR_F32, sums, bias, n, false);
        if (m[1].bias)
            t->ex->tiles->store(sums + t->columns, CR_F32, sums + t->columns,
                                m[1].bias + first, n, false);
        kernels->swiglu(to, type, sums, sums + t->columns, CR_F32, n);
        break;
    case CR_AFTER_GELU_TANH:
    case CR_AFTER_GELU_ERF:
        if (bias)
            t->ex->tiles->store(sums, CR_F32, sums, bias, n, false);
        (t->after == CR_AFTER_GELU_TANH ? kernels->gelu_tanh
                                        : kernels->gelu_erf)(to, type, sums, CR_F32, n);
        break;
    default:
        t->ex->tiles->store(to, type, sums, bias, n, t->after == CR_AFTER_ADD);
    }
}

static size_t panel_width(const struct tiling *t) {
    return CR_MIN(t->k, PANEL_K);
}

/* Asks for the lines of y that a tile will end in, while it is being summed. */
static void fetch_rows(const struct map *m, size_t row, size_t rows, size_t first,
                       size_t n) {
    size_t size = cr_dtype_block_bytes(m->p->y.dtype);
    for (size_t r = 0; r < rows; r++) {
        const char *line = (const char *)cr_tensor_row(&m->p->y, row + r) + first * size;
        for (size_t at = 0; at < n * size; at += 64)
            __builtin_prefetch(line + at, 1);
    }
}

static size_t columns_of(const struct cr_tiled *p) {
    return p->turned ? p->w->dim[1] : cr_tensor_rows(p->w);
}

static size_t terms_of(const struct cr_tiled *p) {
    return p->turned ? p->w->dim[0] : cr_tensor_cols(p->w);
}

/* Panel and rows of the low-rank term, which ends the sums. */
static void pack_low(const struct tiling *t, const struct cr_tiled *p, size_t first,
                     size_t n, const struct workbench *own) {
    if (p->u.data)
        (p->turned ? pack_turned : pack)(t, &p->v, first, n, packed_columns(t, n), 0,
                                         p->turned ? p->v.dim[0] : p->v.dim[1], own->low,
                                         own->converted);
}

static void add_low(const struct tiling *t, const struct map *m, size_t row, size_t rows,
                    size_t n, float *sums, const struct workbench *own) {
    if (m->u.data)
        multiply(t, n, sums, cr_tensor_row(&m->u, row), m->u.row_bytes / 2, rows,
                 own->low, m->u.dim[1], true);
}

/* One panel against rows [from, to). */
static void run_panel(const struct tiling *t, size_t panel, size_t from, size_t to,
                      const struct workbench *own) {
    const struct map *m = t->maps;
    while (panel >= m->first_panel + m->n_panels)
        m++;
    size_t width = columns_of(m->p), k_all = terms_of(m->p);
    size_t first = (panel - m->first_panel) * t->columns;
    size_t n = CR_MIN(t->columns, width - first),
           x_row = t->x.row_bytes / sizeof(uint16_t);
    size_t step = is_thin(t, n) ? CR_THIN_ROWS : ROWS;
    bool one = t->k <= PANEL_K;
    pack_low(t, m->p, first, n, own);
    for (size_t k0 = 0; k0 < t->k; k0 += PANEL_K) {
        size_t k = CR_MIN(PANEL_K, t->k - k0), k_w = CR_MIN(PANEL_K, k_all - k0);
        const uint32_t *packed = panel_of(t, m, first, n, k0, k_w, own);
        bool last = k0 + k == t->k;
        for (size_t row = from; row < to; row += step) {
            size_t rows = CR_MIN(step, to - row);
            if (last)
                fetch_rows(m, row, rows, first, n);
            float *sums = own->sums + (one ? 0 : (row - from) * COLS);
            multiply(t, n, sums, (const uint16_t *)cr_tensor_row(&t->x, row) + k0, x_row,
                     rows, packed, k, k0 > 0);
            if (!last)
                continue;
            add_low(t, m, row, rows, n, sums, own);
            for (size_t r = 0; r < rows; r++)
                finish_row(t, m, row + r, first, n, sums + r * COLS);
        }
    }
}

/* Rows with a zero behind them where k is odd. */
static struct cr_tensor even_rows(struct cr_tensor x, struct cr_exec *ex) {
    size_t k = cr_tensor_cols(&x);
    if (k % 2 == 0)
        return x;
    struct cr_tensor copy = cr_exec_matrix(ex, CR_BF16, cr_tensor_rows(&x), k + 1);
    for (size_t r = 0; r < cr_tensor_rows(&x); r++) {
        uint16_t *row = cr_tensor_row(&copy, r);
        memcpy(row, cr_tensor_row(&x, r), k * sizeof *row);
        row[k] = 0;
    }
    return copy;
}

static void plan(struct tiling *t, const struct cr_tiled *products, size_t n) {
    bool paired = t->after == CR_AFTER_SWIGLU;
    t->columns = paired ? COLS / 2 : COLS;
    for (size_t i = 0; i < n; i++) {
        const struct cr_tiled *p = &products[i];
        size_t n_panels = CR_CEIL_DIV(columns_of(p), t->columns);
        t->maps[i] = (struct map){.p = p,
                                  .bias = p->bias ? cr_linear_bias(p->bias, t->ex) : NULL,
                                  .first_panel = t->n_panels,
                                  .n_panels = n_panels};
        if (p->u.data)
            t->maps[i].u = even_rows(p->u, t->ex);
        t->low = CR_MAX(t->low, t->maps[i].u.dim[1]);
        if (!paired || i == 0)
            t->n_panels += n_panels;
    }
    size_t n_threads = (size_t)t->ex->n_threads;
    bool uneven = t->n_panels % n_threads != 0 && t->n_panels < 8 * n_threads;
    t->row_parts = uneven ? CR_MIN(n_threads, CR_CEIL_DIV(t->m, 8 * ROWS)) : 1;
}

bool cr_linear_is_tiled(const struct cr_linear *lin, enum cr_phase phase,
                        const struct cr_exec *ex) {
    return (phase == CR_PREFILL || lin->panels) && ex->tiles && ex->act == CR_BF16;
}

/* Words of one panel of rows of k. */
static size_t panel_words(size_t k) {
    return CR_CEIL_DIV(k, (size_t)2) * COLS;
}

bool cr_linear_has_panels(const struct cr_tensor *w, const struct cr_exec *ex) {
    return ex->tiles && ex->act == CR_BF16 && cr_tensor_cols(w) > 0 &&
           cr_tensor_cols(w) <= PANEL_K;
}

size_t cr_linear_panels_bytes(const struct cr_tensor *w) {
    return CR_CEIL_DIV(cr_tensor_rows(w), (size_t)COLS) * panel_words(cr_tensor_cols(w)) *
               sizeof(uint32_t) +
           64;
}

const uint32_t *cr_linear_panels(const struct cr_tensor *w, struct cr_arena *arena,
                                 struct cr_exec *ex) {
    size_t n = cr_tensor_rows(w), k = cr_tensor_cols(w);
    uint32_t *panels = cr_arena_calloc(arena, CR_CEIL_DIV(n, (size_t)COLS),
                                       panel_words(k) * sizeof *panels);
    size_t mark = cr_arena_mark(&ex->scratch);
    struct tiling t = {.ex = ex};
    uint16_t *converted = cr_exec_matrix(ex, CR_BF16, COLS, CONVERT_K).data;
    for (size_t first = 0; panels && first < n; first += COLS)
        pack(&t, w, first, CR_MIN(COLS, n - first), COLS, 0, k,
             panels + first / COLS * panel_words(k), converted);
    cr_arena_release(&ex->scratch, mark);
    return panels;
}

void cr_linear_tiles(const struct cr_tiled *products, size_t n, struct cr_tensor x,
                     enum cr_linear_after after, struct cr_exec *ex) {
    CR_ASSERT(n <= CR_LINEAR_GROUP && x.dtype == CR_BF16);
    size_t mark = cr_arena_mark(&ex->scratch);
    struct tiling t = {.after = after, .x = even_rows(x, ex), .ex = ex};
    t.m = cr_tensor_rows(&x);
    t.k = cr_tensor_cols(&t.x);
    plan(&t, products, n);
    size_t part_rows = CR_CEIL_DIV(CR_CEIL_DIV(t.m, CR_THIN_ROWS), t.row_parts);
    part_rows *= CR_THIN_ROWS; /* a multiple of ROWS, too */
    size_t sum_rows = t.k <= PANEL_K ? CR_THIN_ROWS : part_rows;
    size_t n_threads = (size_t)ex->n_threads;
    struct cr_tensor panels =
        cr_exec_matrix(ex, CR_F32, n_threads, CR_CEIL_DIV(panel_width(&t), 2) * COLS);
    struct cr_tensor low = cr_exec_matrix(ex, CR_F32, n_threads, t.low / 2 * COLS);
    struct cr_tensor sums = cr_exec_matrix(ex, CR_F32, n_threads, sum_rows * COLS);
    struct cr_tensor converted = cr_exec_matrix(ex, CR_BF16, n_threads, COLS * CONVERT_K);
#pragma omp parallel num_threads(ex->n_threads)
    {
        size_t me = (size_t)omp_get_thread_num();
        struct workbench own = {cr_tensor_row(&panels, me), cr_tensor_row(&low, me),
                                cr_tensor_row(&sums, me), cr_tensor_row(&converted, me)};
#pragma omp for schedule(dynamic)
        for (size_t i = 0; i < t.n_panels * t.row_parts; i++) {
            size_t from = i % t.row_parts * part_rows;
            run_panel(&t, i / t.row_parts, from, CR_MIN(from + part_rows, t.m), &own);
        }
    }
    cr_arena_release(&ex->scratch, mark);
}
