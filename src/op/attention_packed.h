/* Attention over packed sequences, forward and backward (training and the tower). Arithmetic of
 * op/attention.h, on rows that lie one after the other and a mask of two levels:
 *   rows [0, n_prefix) of a sequence see each other causally; each branch sees the prefix and,
 *   causally, itself. Without `causal` every row of a sequence sees all of it.
 * Shapes: q, y, dy, dq (T, H*E); k, v, dk, dv (T, G*E); lse (T, H). Forward's operands and dy are
 *         of type ex->act, but q, or q and k, may be F32 in forward; dq, dk, dv F32 or ex->act, written, not added to. Every row of the
 *         sequences is written; sequences may leave rows of T alone.
 * With shape->in_8_bits v is rounded to 8 bits on its way into panels (kernel/attention.h).
 * Backward recomputes p = exp(scale q k - lse) tile by tile; the (T, T) scores never exist. With
 * bf16 operands p and ds are rounded to bf16 before their products, sums are f32.
 * Bits: a sequence's results depend on that sequence only, not on company or threads.
 * Source: Dao et al. 2022 (FlashAttention), section 3.1 and appendix B. */
#ifndef CR_OP_ATTENTION_PACKED_H
#define CR_OP_ATTENTION_PACKED_H

#include "op/attention.h"

struct cr_packed_sequence {
    size_t first; /* row of q, k, v */
    size_t n_rows;
    size_t n_prefix; /* n_rows where there are no branches */
    size_t n_branches;
    const size_t *branch_ends; /* counted from `first`, rising, the last one n_rows */
};

/* Of cr_attention_shape, `first` is not used. */
void cr_packed_attention_fwd(struct cr_tensor y, float *lse, struct cr_tensor q,
                             struct cr_tensor k, struct cr_tensor v,
                             const struct cr_packed_sequence *sequences,
                             size_t n_sequences, const struct cr_attention_shape *shape,
                             struct cr_exec *ex);
void cr_packed_attention_bwd(struct cr_tensor dq, struct cr_tensor dk,
                             struct cr_tensor dv, struct cr_tensor dy, struct cr_tensor y,
                             const float *lse, struct cr_tensor q, struct cr_tensor k,
                             struct cr_tensor v,
                             const struct cr_packed_sequence *sequences,
                             size_t n_sequences, const struct cr_attention_shape *shape,
                             struct cr_exec *ex);

#endif
