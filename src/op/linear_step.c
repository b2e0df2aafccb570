/* Products of a step: row kernels straight on the weights, which are read once from memory.
 *
 * Columns of all the maps form one list of chunks. */
#include <string.h>

#include "base/checked.h"
#include "kernel/dense.h"
#include "op/linear_parts.h"
#include "op/turns.h"

/* 16 columns are a cache line of y, which then has one writer. */
#define COLUMNS 16u
/* Weights of a chunk: a few microseconds of one core's memory. */
#define CHUNK_BYTES ((size_t)64 << 10)

struct map {
    struct cr_tensor y;
    const struct cr_linear *lin;
    const float *bias;
    float *p;                     /* (T, N) products */
    size_t columns;               /* of a chunk */
    size_t first_chunk, n_chunks; /* in the list */
};

struct group {
    struct map maps[CR_LINEAR_GROUP];
    size_t n, n_chunks;
    size_t n_rows, k;
    const void *packed;
    enum cr_store_mode mode;
    struct cr_exec *ex;
};

static void run_chunk(const void *group, size_t chunk, size_t end) {
    (void)end;
    const struct group *g = group;
    const struct map *m = g->maps;
    while (chunk >= m->first_chunk + m->n_chunks)
        m++;
    const struct cr_tensor *w = &m->lin->w;
    size_t n = cr_tensor_rows(w), first = (chunk - m->first_chunk) * m->columns;
    size_t last = CR_MIN(first + m->columns, n);
    struct cr_step step = {.w_dtype = w->dtype,
                           .act = g->ex->act,
                           .w = cr_tensor_row(w, first),
                           .w_row_bytes = w->row_bytes,
                           .k = g->k,
                           .x = g->packed,
                           .m = g->n_rows,
                           .y = m->p + first,
                           .y_row = n};
    g->ex->dense->step(&step, last - first);
    for (size_t t = 0; t < g->n_rows; t++)
        cr_linear_store(&m->y, t, step.y + t * n, m->bias, g->mode, first, last);
}

/* Rows of x as the kernel of that dtype wants them. */
static const void *pack_rows(const struct cr_tensor *x, enum cr_dtype w_dtype,
                             struct cr_exec *ex) {
    const struct cr_dense *dense = ex->dense;
    size_t n_rows = cr_tensor_rows(x), k = cr_tensor_cols(x);
    size_t bytes = dense->pack_bytes(w_dtype, ex->act, k);
    struct cr_tensor packed = cr_exec_matrix(ex, CR_U8, n_rows, bytes);
#pragma omp parallel for schedule(static) num_threads(ex->n_threads) if (n_rows > 8)
    for (size_t t = 0; t < n_rows; t++)
        dense->pack(w_dtype, ex->act, cr_tensor_row(x, t), cr_tensor_row(&packed, t), k);
    return packed.data;
}

void cr_linear_step(const struct cr_tensor *y, const struct cr_linear *const *lin,
                    size_t n, struct cr_tensor x, enum cr_store_mode mode,
                    struct cr_exec *ex) {
    CR_ASSERT(n <= CR_LINEAR_GROUP);
    size_t mark = cr_arena_mark(&ex->scratch);
    struct group g = {.n = n,
                      .n_rows = cr_tensor_rows(&x),
                      .k = cr_tensor_cols(&x),
                      .packed = pack_rows(&x, lin[0]->w.dtype, ex),
                      .mode = mode,
                      .ex = ex};
    for (size_t i = 0; i < n; i++) {
        struct map *m = &g.maps[i];
        const struct cr_tensor *w = &lin[i]->w;
        size_t columns = CHUNK_BYTES / CR_MAX(w->row_bytes, 1) / COLUMNS * COLUMNS;
        *m = (struct map){
            .y = y[i],
            .lin = lin[i],
            .bias = cr_linear_bias(&lin[i]->bias, ex),
            .p = cr_exec_matrix(ex, CR_F32, g.n_rows, cr_tensor_rows(w)).data,
            .columns = CR_MAX(columns, COLUMNS),
            .first_chunk = g.n_chunks};
        m->n_chunks = CR_CEIL_DIV(cr_tensor_rows(w), m->columns);
        g.n_chunks += m->n_chunks;
    }
    cr_turns_run(g.n_chunks, run_chunk, &g, ex);
    cr_arena_release(&ex->scratch, mark);
}
