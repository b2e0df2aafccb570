/* Weights quantised to 8 or 4 bits, in the panels of kernel/int8.h, and products with them:
 *   y[t,n] = sum_k x'[t,k] * w'[n,k] + bias[n],   x' and w' rounded as kernel/int8.h says
 * 8 bits have one scale a column (a row of the checkpoint's matrix), 4 bits a scale and a
 * minimum for each 32 k. Activations are rounded on the fly, a scale for each 128 k of a row.
 *
 * 4-bit weights are used as they are in a step; in prefill a panel at a time is widened to
 * 8 bits for all rows. Every other sum is exact, so rows of 8-bit weights have the same bits in
 * both phases and on every ISA. */
#ifndef CR_OP_PACKED_H
#define CR_OP_PACKED_H

#include "op/exec.h"

enum cr_packing { CR_PACK_NONE, CR_PACK_INT8, CR_PACK_INT4 };

struct cr_packed {
    enum cr_packing packing; /* not NONE */
    size_t n, k;
    const unsigned char *panels; /* one behind the other, 64-byte aligned */
    const float *scale;          /* whole panels of columns */
    const float *min, *scale8;   /* 4 bits only */
    /* 8 bits only: rows of x take two products, of what 8 bits hold of them and of what that leaves,
     * x' = x to 15 bits. For maps of few rows, which wait for their weights. */
    bool is_fine;
};

/* Can rows of k elements be packed so? 4 bits want whole blocks of 32. */
bool cr_packed_fits(enum cr_packing packing, size_t k);
/* The dtype of a matrix that is kept so: a file's tensor of it holds, as memory does, the panels and
 * behind them the scales, the minima, the scales of widened panels. One layout for every ISA. */
enum cr_dtype cr_packed_dtype(enum cr_packing packing);
/* Bytes of the matrix; cr_packed_new takes them of an arena, rounded up to its alignment. */
size_t cr_packed_bytes(enum cr_packing packing, size_t n, size_t k);
/* Quantises the matrix w (N, K) of any weight dtype over all threads; panels and scales lie in
 * the arena. Errors: CRITIC_BAD_MODEL naming w, row and element where a weight is NaN or
 * infinite; CRITIC_NO_MEMORY. */
enum critic_status cr_packed_new(struct cr_packed *out, enum cr_packing packing,
                                 const struct cr_tensor *w, struct cr_arena *arena,
                                 struct cr_exec *ex, critic_error *err);

/* Weights (N, K) that lie ready at `data`, on a multiple of 64 bytes, cr_packed_bytes of them. */
struct cr_packed cr_packed_view(enum cr_packing packing, size_t n, size_t k,
                                const void *data);
/* The first column (a row of the matrix) with a scale that is no finite number; SIZE_MAX: none. */
size_t cr_packed_bad_column(const struct cr_packed *p);

/* y (T, N) = or += x (T, K) w; the contract is op/linear.h's.
 * bias: (N) f32 or NULL; add: y +=. Where w is fine, y is F32 and not added to. */
void cr_packed_fwd(struct cr_tensor y, struct cr_tensor x, const struct cr_packed *w,
                   const float *bias, bool add, enum cr_phase phase, struct cr_exec *ex);
/* n maps of the same rows x, which are rounded once, with the bits of n calls. */
void cr_packed_group_fwd(const struct cr_tensor *y, struct cr_tensor x,
                         const struct cr_packed *const *w, const float *const *bias,
                         size_t n, bool add, enum cr_phase phase, struct cr_exec *ex);

/* Rows that are made as they are rounded: make(work, t, to) writes row t, K numbers of `type`. */
struct cr_made_rows {
    size_t n;
    enum cr_dtype type; /* F32 or BF16 */
    void (*make)(const void *work, size_t t, void *to);
    const void *work;
};

/* y += the product of rows that no memory holds, with the bits that cr_packed_fwd has of the same
 * rows. y F32; w is not fine. */
void cr_packed_add_made(struct cr_tensor y, const struct cr_made_rows *x,
                        const struct cr_packed *w, const float *bias, enum cr_phase phase,
                        struct cr_exec *ex);

#endif
