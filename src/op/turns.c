#include "op/turns.h"

#include <omp.h>
#include <stdatomic.h>

/* One thread's own counter, alone on its cache line. */
struct share {
    _Alignas(64) atomic_size_t next;
    size_t end;
};

void cr_turns_run(size_t n, cr_turn *run, const void *work, struct cr_exec *ex) {
    size_t n_threads = (size_t)ex->n_threads, mark = cr_arena_mark(&ex->scratch);
    struct share *shares =
        cr_arena_alloc(&ex->scratch, n_threads * sizeof *shares); /* 64-byte aligned */
    CR_ASSERT(shares);
    for (size_t t = 0; t < n_threads; t++) {
        atomic_init(&shares[t].next, n * t / n_threads);
        shares[t].end = n * (t + 1) / n_threads;
    }
#pragma omp parallel num_threads(ex->n_threads) if (n > 1)
    {
        size_t me = (size_t)omp_get_thread_num();
        for (size_t i = 0; i < n_threads; i++) {
            struct share *share = &shares[(me + i) % n_threads];
            for (;;) {
                size_t turn =
                    atomic_fetch_add_explicit(&share->next, 1, memory_order_relaxed);
                if (turn >= share->end)
                    break;
                run(work, turn, i == 0 ? share->end : turn + 1);
            }
        }
    }
    cr_arena_release(&ex->scratch, mark);
}
