#include "op/exec.h"

#include <omp.h>
#include <stdlib.h>

#include "base/checked.h"
#include "kernel/dense.h"
#include "kernel/gemm.h"
#include "kernel/int8.h"
#include "kernel/row.h"
#include "kernel/tiles.h"

#define SCRATCH_BYTES_DEFAULT ((size_t)64 << 30)

/* As many threads as the process may use: the host's OpenMP setting within its affinity. */
static int default_threads(void) {
    return CR_MAX(1, CR_MIN(omp_get_max_threads(), omp_get_num_procs()));
}

enum critic_status cr_exec_new(struct cr_exec **out, const struct cr_exec_opts *opts,
                               critic_error *err) {
    *out = NULL;
    if (!cr_isa_available(opts->isa))
        return cr_fail(err, CRITIC_UNSUPPORTED,
                       "this machine cannot run %s kernels; the best it can run is %s",
                       cr_isa_name(opts->isa), cr_isa_name(cr_isa_best()));
    struct cr_exec *ex = calloc(1, sizeof *ex);
    if (!ex)
        return cr_fail(err, CRITIC_NO_MEMORY, "cannot allocate an execution context");
    ex->isa = opts->isa;
    ex->dense = cr_dense_for(opts->isa);
    ex->row = cr_row_kernels_for(opts->isa);
    ex->int8 = cr_int8_for(opts->isa);
    ex->tiles = cr_tiles_for(opts->isa);
    ex->n_threads = opts->n_threads > 0 ? opts->n_threads : default_threads();
    /* oneDNN cuts its work for the threads it is told of: a smaller team would leave parts out. */
    ex->n_threads = CR_MIN(ex->n_threads, omp_get_thread_limit());
    size_t scratch = opts->scratch_bytes ? opts->scratch_bytes : SCRATCH_BYTES_DEFAULT;
    enum critic_status status = cr_arena_init(&ex->scratch, scratch, err);
    if (status == CRITIC_OK)
        cr_arena_use_huge_pages(&ex->scratch);
    if (status == CRITIC_OK && cr_gemm_serves(opts->isa))
        status = cr_gemm_new(&ex->gemm, ex->n_threads, err);
    if (status != CRITIC_OK) {
        cr_exec_free(ex);
        return status;
    }
    ex->compute = opts->compute;
    if (ex->compute == CR_COMPUTE_AUTO)
        ex->compute = ex->tiles ? CR_COMPUTE_BF16 : CR_COMPUTE_F32;
    ex->act = ex->compute == CR_COMPUTE_BF16 ? CR_BF16 : CR_F32;
    *out = ex;
    return CRITIC_OK;
}

void cr_exec_free(struct cr_exec *ex) {
    if (!ex)
        return;
    cr_gemm_free(ex->gemm);
    cr_arena_fini(&ex->scratch);
    free(ex);
}

struct cr_tensor cr_exec_matrix(struct cr_exec *ex, enum cr_dtype dtype, size_t rows,
                                size_t cols) {
    struct cr_tensor t = cr_tensor_view2(NULL, dtype, rows, cols);
    size_t bytes;
    CR_ASSERT(cr_mul_size(rows, t.row_bytes, &bytes));
    t.data = cr_arena_alloc(&ex->scratch, bytes);
    CR_ASSERT(t.data);
    return t;
}
