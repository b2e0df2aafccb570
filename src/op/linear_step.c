/* Products of a step: row kernels straight on the weights, which are read once from memory.
 *
 * Columns of all the maps form one list of chunks. Each thread has a part of the list of its own,
 * one stream of weights for the prefetcher, and helps the others when it is done: with a fixed
 * split the slowest thread, or a neighbour on its core, held up the rest. */
#include <stdatomic.h>
#include <string.h>

#include <omp.h>

#include "base/checked.h"
#include "kernel/dense.h"
#include "op/linear_parts.h"

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

static void run_chunk(const struct group *g, size_t chunk) {
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

/* One thread's own counter, alone on its cache line. */
struct share {
    _Alignas(64) atomic_size_t next;
    size_t end;
};

static void run_share(const struct group *g, struct share *share) {
    for (;;) {
        size_t chunk = atomic_fetch_add_explicit(&share->next, 1, memory_order_relaxed);
        if (chunk >= share->end)
            return;
        run_chunk(g, chunk);
    }
}

static void run_all(const struct group *g) {
    size_t n_threads = (size_t)g->ex->n_threads;
    struct share *shares =
        cr_arena_alloc(&g->ex->scratch, n_threads * sizeof *shares); /* 64-byte aligned */
    CR_ASSERT(shares);
    for (size_t t = 0; t < n_threads; t++) {
        atomic_init(&shares[t].next, g->n_chunks * t / n_threads);
        shares[t].end = g->n_chunks * (t + 1) / n_threads;
    }
#pragma omp parallel num_threads(g->ex->n_threads) if (g->n_chunks > 1)
    {
        size_t me = (size_t)omp_get_thread_num();
        for (size_t i = 0; i < n_threads; i++)
            run_share(g, &shares[(me + i) % n_threads]);
    }
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
    run_all(&g);
    cr_arena_release(&ex->scratch, mark);
}
