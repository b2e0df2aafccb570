/* Execution context: which kernels run, on how many threads, in which precision, and the
 * scratch memory that ops take between mark and release. Passed explicitly to every op.
 *
 * Precision. The residual stream, norms' statistics, softmax and logits are f32 always.
 * Products take activations of type `act`: CR_F32 under CR_COMPUTE_F32, CR_BF16 (with f32
 * accumulation) under CR_COMPUTE_BF16. Weights keep the dtype of their file and are
 * converted in registers or panel by panel into scratch, so no second copy of a model is
 * ever held. What is rounded where: docs/numerics.md.
 *
 * Reproducibility. A row's result depends on that row, the weights and the phase the
 * caller names (prefill or step), never on how many rows travel together, on the thread
 * count, or on where the row stands in its batch.
 *
 * Threads: one call at a time per context; ops split their outputs over OpenMP threads. */
#ifndef CR_OP_EXEC_H
#define CR_OP_EXEC_H

#include "base/arena.h"
#include "base/cpu.h"
#include "tensor/tensor.h"

enum cr_compute {
    CR_COMPUTE_AUTO, /* bf16 where the ISA multiplies it at speed, else f32 */
    CR_COMPUTE_F32,
    CR_COMPUTE_BF16
};

/* Which kernels a product uses. The caller names the phase; nothing switches on sizes. */
enum cr_phase {
    CR_PREFILL, /* rows of a known text: tiles through the dense product library */
    CR_STEP     /* one row a sequence: memory-bound row kernels straight on the weights */
};

struct cr_exec_opts {
    enum cr_isa isa; /* must be available; cr_isa_best() is the default */
    enum cr_compute compute;
    int n_threads;        /* 0: as many as the process may use */
    size_t scratch_bytes; /* address space for scratch; 0: 64 GiB, touched pages only */
};

struct cr_dense;       /* kernel/dense.h: products, one table an ISA */
struct cr_row_kernels; /* kernel/row.h: norms, activations, attention tiles */
struct cr_gemm;        /* kernel/gemm.h: the dense product library behind one call */
struct cr_int8;        /* kernel/int8.h: products in 8 bits */
struct cr_tiles;       /* kernel/tiles.h: products of many rows in bf16; NULL: none */

struct cr_exec {
    enum cr_isa isa;
    enum cr_compute compute; /* never AUTO here */
    enum cr_dtype act;       /* CR_F32 or CR_BF16 */
    int n_threads;
    const struct cr_dense *dense;
    const struct cr_row_kernels *row;
    const struct cr_int8 *int8;
    struct cr_gemm *gemm;
    const struct cr_tiles *tiles;
    struct cr_arena scratch;
};

/* Errors: CRITIC_UNSUPPORTED (this machine cannot run opts->isa), CRITIC_NO_MEMORY. */
enum critic_status cr_exec_new(struct cr_exec **out, const struct cr_exec_opts *opts,
                               critic_error *err);
void cr_exec_free(struct cr_exec *ex);

/* A (rows, cols) matrix in scratch; released with cr_arena_release(&ex->scratch, mark).
 * Scratch is sized by its owner, so running out is our own mistake: asserted. */
struct cr_tensor cr_exec_matrix(struct cr_exec *ex, enum cr_dtype dtype, size_t rows,
                                size_t cols);

#endif
