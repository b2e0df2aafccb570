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
    struct cr_tensor y;
    const struct cr_linear *lin;
    const float *bias;
    size_t first_panel, n_panels;
};

struct tiling {
    enum cr_linear_after after;
    struct map maps[CR_LINEAR_GROUP];
    size_t n_panels;
    size_t
        columns; /* of y in a panel: COLS, or half where gate and up lie side by side */
    struct cr_tensor x;
    size_t m, k; /* k as the tiles see it: even */
    size_t
        row_parts; /* pieces that the rows are cut into, so that every thread has work */
    struct cr_exec *ex;
};

/* One thread's own memory. */
struct workbench {
    uint32_t *panel;     /* (PANEL_K / 2, COLS) */
    float *sums;         /* (rows of a part, COLS), or one tile where k fits one panel */
    uint16_t *converted; /* (COLS, CONVERT_K) */
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

/* The same from panels that are there: `cols` of COLS columns, half a panel at a time. */
static void copy_half(uint32_t *to, const struct cr_linear *lin, size_t first,
                      size_t cols, size_t pairs) {
    const uint32_t *from = lin->panels + first / COLS * pairs * COLS + first % COLS;
    for (size_t i = 0; i < pairs; i++)
        memcpy(to + i * COLS, from + i * COLS, cols * sizeof *to);
}

/* The panel of t->columns columns from `first`, in `own` unless it is there. */
static const uint32_t *panel_of(const struct tiling *t, const struct map *m, size_t first,
                                size_t n, size_t k0, size_t k,
                                const struct workbench *own) {
    const struct cr_linear *lin = m->lin;
    size_t pairs = CR_CEIL_DIV(k, (size_t)2);
    if (t->after != CR_AFTER_SWIGLU) {
        if (lin->panels)
            return lin->panels + first / COLS * pairs * COLS;
        pack(t, &lin->w, first, n, t->columns, k0, k, own->panel, own->converted);
        return own->panel;
    }
    for (size_t i = 0; i < 2; i++) { /* gate and up side by side */
        uint32_t *to = own->panel + i * t->columns;
        if (m[i].lin->panels)
            copy_half(to, m[i].lin, first, t->columns, pairs);
        else
            pack(t, &m[i].lin->w, first, n, t->columns, k0, k, to, own->converted);
    }
    return own->panel;
}

/* Row `row` of a panel's sums to where it belongs. */
static void finish_row(const struct tiling *t, const struct map *m, size_t row,
                       size_t first, size_t n, float *sums) {
    const struct cr_row_kernels *kernels = t->ex->row;
    char *to =
        (char *)cr_tensor_row(&m->y, row) + first * cr_dtype_block_bytes(m->y.dtype);
    const float *bias = m->bias ? m->bias + first : NULL;
    switch (t->after) {
    case CR_AFTER_SWIGLU:
        if (bias)
            t->ex->tiles->store(sums, CR_F32, sums, bias, n, false);
        if (m[1].bias)
            t->ex->tiles->store(sums + t->columns, CR_F32, sums + t->columns,
                                m[1].bias + first, n, false);
        kernels->swiglu(to, m->y.dtype, sums, sums + t->columns, CR_F32, n);
        break;
    case CR_AFTER_GELU_TANH:
    case CR_AFTER_GELU_ERF:
        if (bias)
            t->ex->tiles->store(sums, CR_F32, sums, bias, n, false);
        (t->after == CR_AFTER_GELU_TANH ? kernels->gelu_tanh : kernels->gelu_erf)(
            to, m->y.dtype, sums, CR_F32, n);
        break;
    default:
        t->ex->tiles->store(to, m->y.dtype, sums, bias, n, t->after == CR_AFTER_ADD);
    }
}

static size_t panel_width(const struct tiling *t) {
    return CR_MIN(t->k, PANEL_K);
}

/* Asks for the lines of y that a tile will end in, while it is being summed. */
static void fetch_rows(const struct map *m, size_t row, size_t rows, size_t first,
                       size_t n) {
    size_t size = cr_dtype_block_bytes(m->y.dtype);
    for (size_t r = 0; r < rows; r++) {
        const char *line = (const char *)cr_tensor_row(&m->y, row + r) + first * size;
        for (size_t at = 0; at < n * size; at += 64)
            __builtin_prefetch(line + at, 1);
    }
}

/* One panel against rows [from, to). */
static void run_panel(const struct tiling *t, size_t panel, size_t from, size_t to,
                      const struct workbench *own) {
    const struct map *m = t->maps;
    while (panel >= m->first_panel + m->n_panels)
        m++;
    size_t width = cr_tensor_rows(&m->lin->w), k_all = cr_tensor_cols(&m->lin->w);
    size_t first = (panel - m->first_panel) * t->columns;
    size_t n = CR_MIN(t->columns, width - first),
           x_row = t->x.row_bytes / sizeof(uint16_t);
    bool one = t->k <= PANEL_K;
    for (size_t k0 = 0; k0 < t->k; k0 += PANEL_K) {
        size_t k = CR_MIN(PANEL_K, t->k - k0), k_w = CR_MIN(PANEL_K, k_all - k0);
        const uint32_t *packed = panel_of(t, m, first, n, k0, k_w, own);
        bool last = k0 + k == t->k;
        for (size_t row = from; row < to; row += ROWS) {
            size_t rows = CR_MIN(ROWS, to - row);
            if (last)
                fetch_rows(m, row, rows, first, n);
            float *sums = own->sums + (one ? 0 : (row - from) * COLS);
            t->ex->tiles->tile(sums, (const uint16_t *)cr_tensor_row(&t->x, row) + k0,
                               x_row, rows, packed, k, k0 > 0);
            for (size_t r = 0; last && r < rows; r++)
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

static void plan(struct tiling *t, const struct cr_tensor *y,
                 const struct cr_linear *const *lin, size_t n) {
    bool paired = t->after == CR_AFTER_SWIGLU;
    t->columns = paired ? COLS / 2 : COLS;
    for (size_t i = 0; i < n; i++) {
        size_t n_panels = CR_CEIL_DIV(cr_tensor_rows(&lin[i]->w), t->columns);
        t->maps[i] = (struct map){.y = y[paired ? 0 : i],
                                  .lin = lin[i],
                                  .bias = cr_linear_bias(&lin[i]->bias, t->ex),
                                  .first_panel = t->n_panels,
                                  .n_panels = n_panels};
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

void cr_linear_tiles(const struct cr_tensor *y, const struct cr_linear *const *lin,
                     size_t n, struct cr_tensor x, enum cr_linear_after after,
                     struct cr_exec *ex) {
    CR_ASSERT(n <= CR_LINEAR_GROUP && x.dtype == CR_BF16);
    size_t mark = cr_arena_mark(&ex->scratch);
    struct tiling t = {.after = after, .x = even_rows(x, ex), .ex = ex};
    t.m = cr_tensor_rows(&x);
    t.k = cr_tensor_cols(&t.x);
    plan(&t, y, lin, n);
    size_t part_rows = CR_CEIL_DIV(CR_CEIL_DIV(t.m, ROWS), t.row_parts) * ROWS;
    size_t sum_rows = t.k <= PANEL_K ? ROWS : part_rows;
    size_t n_threads = (size_t)ex->n_threads;
    struct cr_tensor panels =
        cr_exec_matrix(ex, CR_F32, n_threads, CR_CEIL_DIV(panel_width(&t), 2) * COLS);
    struct cr_tensor sums = cr_exec_matrix(ex, CR_F32, n_threads, sum_rows * COLS);
    struct cr_tensor converted = cr_exec_matrix(ex, CR_BF16, n_threads, COLS * CONVERT_K);
#pragma omp parallel num_threads(ex->n_threads)
    {
        size_t me = (size_t)omp_get_thread_num();
        struct workbench own = {cr_tensor_row(&panels, me), cr_tensor_row(&sums, me),
                                cr_tensor_row(&converted, me)};
#pragma omp for schedule(dynamic)
        for (size_t i = 0; i < t.n_panels * t.row_parts; i++) {
            size_t from = i % t.row_parts * part_rows;
            run_panel(&t, i / t.row_parts, from, CR_MIN(from + part_rows, t.m), &own);
        }
    }
    cr_arena_release(&ex->scratch, mark);
}
