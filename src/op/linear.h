/* Linear map of each row.
 *   y[t,n] = sum_k x[t,k] * w[n,k] + bias[n]          (CR_ASSIGN)
 *   y[t,n] += the same                                (CR_ADD, the residual stream; y f32)
 * Shapes: x (T, K) of type ex->act; w (N, K), any weight dtype of base/dtype.h (F32, F16,
 *         BF16, Q8_0 … Q6_K); bias (N) F32, F16 or BF16, or data NULL; y (T, N) F32 or
 *         ex->act; rows of y may be strided (row_bytes), T may be 0.
 * Bits: see exec.h; the same row gives the same bits for every T, offset and thread count.
 * Errors: none; shapes and dtypes are asserted. */
#ifndef CR_OP_LINEAR_H
#define CR_OP_LINEAR_H

#include "op/activation.h"
#include "op/packed.h"

/* A low-rank term beside the weight (Hu et al. 2021): y[t,:] += scale * b (a x'[t,:]), x' = x or,
 * in training with dropout, x with elements set to 0 and the others divided by 1 - dropout. Which
 * ones follows from seed, row and column alone, so backward and recomputing see the same. */
struct cr_lora {
    struct cr_tensor a; /* (R, K); data NULL: no such term */
    struct cr_tensor b; /* (N, R) */
    float scale;        /* alpha / R */
    float dropout;      /* share of x set to 0; 0: none */
    uint64_t seed;
};

struct cr_linear {
    struct cr_tensor w;
    struct cr_tensor bias;          /* data NULL: none */
    const struct cr_packed *packed; /* w in 8 or 4 bits, used in its place; NULL: none */
    const uint32_t *panels; /* w in bf16 as the tiles take it, likewise; NULL: none */
    struct cr_lora lora;    /* a and b of any plain float dtype; in a gradient F32 */
};

enum cr_store_mode { CR_ASSIGN, CR_ADD };

/* Can the weights w be laid out once and for all as the tiles of bf16 products take them? Prefill
 * then packs nothing, and a step uses the tiles, too: right where all weights fit a cache. */
bool cr_linear_has_panels(const struct cr_tensor *w, const struct cr_exec *ex);
/* Bytes that cr_linear_panels takes of an arena. */
size_t cr_linear_panels_bytes(const struct cr_tensor *w);
/* The panels of w, any dtype, rounded to bf16. NULL: the arena is full. */
const uint32_t *cr_linear_panels(const struct cr_tensor *w, struct cr_arena *arena,
                                 struct cr_exec *ex);

void cr_linear_fwd(struct cr_tensor y, struct cr_tensor x, const struct cr_linear *lin,
                   enum cr_store_mode mode, enum cr_phase phase, struct cr_exec *ex);
/* The same of rows x (T, K) F32 that are not rounded first: under CR_COMPUTE_BF16 two products, of
 * each value's upper bf16 and of what that leaves. y F32; weights in 8 or 4 bits gain nothing
 * and take one. For maps that are a small part of the work. */
void cr_linear_f32_fwd(struct cr_tensor y, struct cr_tensor x,
                       const struct cr_linear *lin, enum cr_store_mode mode,
                       enum cr_phase phase, struct cr_exec *ex);
/* y[i] = the i-th of n maps of the same rows, with the bits of n calls: x is prepared once, and a
 * step reads all the weights in one go. */
void cr_linear_group_fwd(const struct cr_tensor *y, const struct cr_linear *const *lin,
                         size_t n, struct cr_tensor x, enum cr_phase phase,
                         struct cr_exec *ex);
/* y[i] += the i-th of n maps of `rest` (T, K) BF16, without bias: what bf16 took from the rows of
 * cr_linear_group_fwd before. y F32; weights in 8 or 4 bits gain nothing and are left out. */
void cr_linear_rest_fwd(const struct cr_tensor *y, const struct cr_linear *const *lin,
                        size_t n, struct cr_tensor rest, enum cr_phase phase,
                        struct cr_exec *ex);
/* The feed-forward half of a block, for inference: nothing between the maps is kept. */
struct cr_ffn {
    const struct cr_linear *in; /* gate; without up the only one */
    const struct cr_linear *up; /* NULL: GELU instead of SwiGLU */
    const struct cr_linear *out;
    enum cr_gelu gelu;
};
/* y[t,:] += out(silu(gate(x[t,:])) * up(x[t,:])), or out(gelu(in(x[t,:]))); y F32. What `out` takes is
 * rounded to ex->act, the products before the activation only where their weights are packed. */
void cr_linear_ffn_fwd(struct cr_tensor y, struct cr_tensor x, const struct cr_ffn *f,
                       enum cr_phase phase, struct cr_exec *ex);

/* Backward, operands as above; dy (T, N) of type ex->act, dense; x as forward had it, dense.
 *   dx[t,k] (+)= sum_n dy[t,n] * w[n,k]     dx (T, K) F32 or (CR_ASSIGN) ex->act, dense; data NULL:
 *                                           not wanted
 *   with u = x a':  db += scale dy' u,  da += scale (dy b)' x,  dx += scale (dy b) a
 *   dw[n,k] += sum_t dy[t,n] * x[t,k],  dbias[n] += sum_t dy[t,n]     F32; data NULL: frozen
 * Bits: the same for any number of threads. */
void cr_linear_bwd(struct cr_tensor dx, const struct cr_linear *grad, struct cr_tensor dy,
                   struct cr_tensor x, const struct cr_linear *lin,
                   enum cr_store_mode mode, struct cr_exec *ex);

#endif
