/* Products of many rows through oneDNN, the dense product library; the only file that knows
 * its interface (2.6 and 3.x).
 *
 *   y[m,n] = sum_k x[m,k] * w[n,k] + bias[n]      or y += the same
 *
 * Either operand may lie the other way round (training: dx = dy w, dw += dy' x); no copies.
 * Weights are used as they lie in a checkpoint, (N, K) row-major. Always the matmul
 * primitive, never inner_product, whose rows change their bits with M and threads; one
 * primitive a shape, kept in a small cache. A primitive that fell to oneDNN's reference code
 * (hundreds of times slower) is our own mistake and asserted.
 * Threads: one call at a time per cr_gemm. The host's OpenMP setting is left as it was. */
#ifndef CR_KERNEL_GEMM_H
#define CR_KERNEL_GEMM_H

#include "base/arena.h"
#include "base/cpu.h"
#include "base/dtype.h"

/* Everything a primitive depends on. All three matrices are dense: with a stride oneDNN falls
 * from brgemm to its older code, whose f32 rows change their bits with M and threads. */
struct cr_gemm_shape {
    size_t m, n, k;
    enum cr_dtype in;  /* x and w: CR_F32, or CR_BF16 where cr_gemm_multiplies_bf16 */
    enum cr_dtype out; /* y: CR_F32, or the type of x */
    bool bias;         /* a bias (n) of f32 is added */
    bool add;          /* y +=; out is CR_F32 */
    bool x_by_k;       /* x lies (K, M) */
    bool w_by_k;       /* w lies (K, N) */
};

struct cr_gemm;

/* AVX-512 only: there oneDNN's brgemm gives a row the same bits in any company. On AVX2 its
 * f32 code does not, and elsewhere it may be its reference code; those
 * ISAs have the products of kernel/dense.h. */
bool cr_gemm_serves(enum cr_isa isa);

/* Errors: CRITIC_NO_MEMORY, CRITIC_DEVICE (oneDNN has no engine). */
enum critic_status cr_gemm_new(struct cr_gemm **out, int n_threads, critic_error *err);
void cr_gemm_free(struct cr_gemm *g);

/* May oneDNN use the bf16 instructions in this process (DNNL_MAX_CPU_ISA)? Else the caller
 * converts to f32. */
bool cr_gemm_multiplies_bf16(const struct cr_gemm *g);

/* m, n and k are at least 1. bias may be NULL unless shape->bias. scratch is taken and
 * released within the call. */
void cr_gemm_run(struct cr_gemm *g, const struct cr_gemm_shape *shape, const void *x,
                 const void *w, const float *bias, void *y, struct cr_arena *scratch);

#endif
