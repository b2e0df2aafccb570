/* Products of many rows in bf16 by the tiles of kernel/tiles.h.
 *
 * A panel of 64 columns of the weights is packed, from any dtype, into the second-level cache
 * and met by all rows, part after part, while the next one is packed; what follows the product
 * (bias, residual, activation) is done on each tile while it is in the first. */
#include <omp.h>
#include <string.h>

#include "base/checked.h"
#include "kernel/row.h"
#include "op/linear_tiling.h"
#include "op/turns.h"

#define ROWS CR_TILE_ROWS
#define COLS CR_TILE_COLS
/* Rows of a part: 16 tiles, which is what packing the next panel by the way takes for rows of 896. */
#define PART_ROWS ((size_t)96)

/* sums = or += rows of x times the panel. */
static void multiply(const struct cr_tiling *t, size_t n, float *sums, const uint16_t *x,
                     size_t x_row, size_t rows, const uint32_t *panel, size_t k, bool add,
                     struct cr_workbench *own) {
    if (!cr_tiling_is_thin(t, n))
        t->ex->tiles->tile(sums, x, x_row, rows, panel, k, add, cr_tiling_next(own));
    else
        for (size_t col = 0; col < n; col += CR_THIN_COLS)
            t->ex->tiles->thin(sums + col, x, x_row, rows, panel + col, k, add);
}

/* Row `row` of a panel's sums to where it belongs. */
static void finish_row(const struct cr_tiling *t, const struct cr_tiling_map *m,
                       size_t row, size_t first, size_t n, float *sums) {
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

/* Asks for the lines of y that a tile will end in, while it is being summed. */
static void fetch_rows(const struct cr_tiling_map *m, size_t row, size_t rows,
                       size_t first, size_t n) {
    size_t size = cr_dtype_block_bytes(m->p->y.dtype);
    for (size_t r = 0; r < rows; r++) {
        const char *line = (const char *)cr_tensor_row(&m->p->y, row + r) + first * size;
        for (size_t at = 0; at < n * size; at += 64)
            __builtin_prefetch(line + at, 1);
    }
}

static void add_low(const struct cr_tiling *t, size_t panel, size_t row, size_t rows,
                    size_t n, float *sums, struct cr_workbench *own) {
    const struct cr_tiling_map *m = cr_tiling_map_of(t, panel);
    if (m->u.data)
        multiply(t, n, sums, cr_tensor_row(&m->u, row), m->u.row_bytes / 2, rows,
                 cr_tiling_low(t, panel, own), m->u.dim[1], true, own);
}

/* One panel against rows [from, to), while chunk `after` is packed behind its own; CR_NO_CHUNK: none. */
static void run_panel(const struct cr_tiling *t, size_t panel, size_t after, size_t from,
                      size_t to, struct cr_workbench *own) {
    const struct cr_tiling_map *m = cr_tiling_map_of(t, panel);
    size_t first = (panel - m->first_panel) * t->columns;
    size_t n = CR_MIN(t->columns, cr_tiling_columns_of(m->p) - first);
    size_t x_row = t->x.row_bytes / sizeof(uint16_t);
    size_t step = cr_tiling_is_thin(t, n) ? CR_THIN_ROWS : ROWS;
    bool one = t->n_chunks == 1;
    for (size_t c = 0; c < t->n_chunks; c++) {
        size_t chunk = panel * t->n_chunks + c, k0 = cr_tiling_first_term(c);
        bool last = c + 1 == t->n_chunks;
        size_t k = (last ? t->k : cr_tiling_first_term(c + 1)) - k0;
        const uint32_t *packed = cr_tiling_chunk(t, chunk, own);
        cr_tiling_ahead(t, last ? after : chunk + 1, own);
        for (size_t row = from; row < to; row += step) {
            size_t rows = CR_MIN(step, to - row);
            if (last)
                fetch_rows(m, row, rows, first, n);
            float *sums = own->sums + (one ? 0 : (row - from) * COLS);
            multiply(t, n, sums, (const uint16_t *)cr_tensor_row(&t->x, row) + k0, x_row,
                     rows, packed, k, c > 0, own);
            if (!last)
                continue;
            add_low(t, panel, row, rows, n, sums, own);
            for (size_t r = 0; r < rows; r++)
                finish_row(t, m, row + r, first, n, sums + r * COLS);
        }
    }
}

/* Turn i: a part of the rows against a panel; this thread's own end at `end`. */
static void run_turn(const void *work, size_t i, size_t end) {
    const struct cr_tiling *t = work;
    size_t panel = i / t->n_parts, from = i % t->n_parts * t->part_rows;
    /* Parts share a panel of one chunk; longer ones begin again. */
    size_t next = t->n_chunks == 1 ? (panel + 1) * t->n_parts : i + 1;
    size_t after = next < end ? next / t->n_parts * t->n_chunks : CR_NO_CHUNK;
    run_panel(t, panel, after, from, CR_MIN(from + t->part_rows, t->m),
              &t->benches[omp_get_thread_num()]);
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

/* Parts small enough that no thread waits long for another's last one; sums of long rows are held for
 * all rows of a part, for which each chunk is packed anew. */
static void plan_parts(struct cr_tiling *t) {
    size_t n_threads = (size_t)t->ex->n_threads;
    bool uneven = t->n_panels % n_threads != 0 && t->n_panels < 8 * n_threads;
    t->n_parts = CR_CEIL_DIV(t->m, PART_ROWS);
    if (t->n_chunks > 1)
        t->n_parts = uneven ? CR_MIN(n_threads, CR_CEIL_DIV(t->m, 8 * ROWS)) : 1;
    t->part_rows = CR_CEIL_DIV(CR_CEIL_DIV(t->m, CR_THIN_ROWS), t->n_parts);
    t->part_rows *= CR_THIN_ROWS; /* a multiple of ROWS, too */
    t->n_parts = CR_CEIL_DIV(t->m, t->part_rows);
}

static void plan(struct cr_tiling *t, const struct cr_tiled *products, size_t n) {
    bool paired = t->after == CR_AFTER_SWIGLU;
    t->columns = paired ? COLS / 2 : COLS;
    t->n_chunks = cr_tiling_chunks(t->k);
    for (size_t i = 0; i < n; i++) {
        const struct cr_tiled *p = &products[i];
        size_t n_panels = CR_CEIL_DIV(cr_tiling_columns_of(p), t->columns);
        t->maps[i] = (struct cr_tiling_map){
            .p = p,
            .bias = p->bias ? cr_linear_bias(p->bias, t->ex) : NULL,
            .first_panel = t->n_panels,
            .n_panels = n_panels};
        if (p->u.data)
            t->maps[i].u = even_rows(p->u, t->ex);
        t->low = CR_MAX(t->low, t->maps[i].u.dim[1]);
        if (!paired || i == 0)
            t->n_panels += n_panels;
    }
    plan_parts(t);
}

static void set_benches(struct cr_tiling *t) {
    struct cr_exec *ex = t->ex;
    size_t n_threads = (size_t)ex->n_threads;
    size_t sum_rows = t->n_chunks == 1 ? CR_THIN_ROWS : t->part_rows;
    t->benches = cr_arena_alloc(&ex->scratch, n_threads * sizeof *t->benches);
    CR_ASSERT(t->benches);
    for (size_t i = 0; i < n_threads; i++)
        t->benches[i] = (struct cr_workbench){
            .panel = cr_exec_matrix(ex, CR_F32, 1, cr_tiling_chunk_words(t->k)).data,
            .ahead = cr_exec_matrix(ex, CR_F32, 1, cr_tiling_chunk_words(t->k)).data,
            .held = CR_NO_CHUNK,
            .coming = CR_NO_CHUNK,
            .low = cr_exec_matrix(ex, CR_F32, t->low / 2, COLS).data,
            .low_held = CR_NO_CHUNK,
            .sums = cr_exec_matrix(ex, CR_F32, sum_rows, COLS).data,
            .converted = cr_exec_matrix(ex, CR_BF16, COLS, CR_CONVERT_K).data};
}

bool cr_linear_is_tiled(const struct cr_linear *lin, enum cr_phase phase,
                        const struct cr_exec *ex) {
    return (phase == CR_PREFILL || lin->panels) && ex->tiles && ex->act == CR_BF16;
}

void cr_linear_tiles(const struct cr_tiled *products, size_t n, struct cr_tensor x,
                     enum cr_linear_after after, struct cr_exec *ex) {
    CR_ASSERT(n <= CR_LINEAR_GROUP && x.dtype == CR_BF16);
    size_t mark = cr_arena_mark(&ex->scratch);
    struct cr_tiling t = {.after = after, .x = even_rows(x, ex), .ex = ex};
    t.m = cr_tensor_rows(&x);
    t.k = cr_tensor_cols(&t.x);
    plan(&t, products, n);
    set_benches(&t);
    cr_turns_run(t.n_panels * t.n_parts, run_turn, &t, ex);
    cr_arena_release(&ex->scratch, mark);
}
