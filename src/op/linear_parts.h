/* Private to src/op/linear*.c. */
#ifndef CR_OP_LINEAR_PARTS_H
#define CR_OP_LINEAR_PARTS_H

#include "op/linear.h"

/* Maps of one group at most. */
#define CR_LINEAR_GROUP 3

/* The bias as f32, in scratch unless it is f32; NULL where there is none. */
const float *cr_linear_bias(const struct cr_tensor *bias, struct cr_exec *ex);
/* y from the products p (in columns [first, last) of row t), with bias and mode. */
void cr_linear_store(const struct cr_tensor *y, size_t t, const float *p,
                     const float *bias, enum cr_store_mode mode, size_t first,
                     size_t last);
/* linear_step.c: n maps of the same rows whose weights share a dtype. */
void cr_linear_step(const struct cr_tensor *y, const struct cr_linear *const *lin,
                    size_t n, struct cr_tensor x, enum cr_store_mode mode,
                    struct cr_exec *ex);

/* linear_tiles.c: what is done with a product before it is stored. */
enum cr_linear_after {
    CR_AFTER_STORE,
    CR_AFTER_ADD, /* y += */
    CR_AFTER_GELU_TANH,
    CR_AFTER_GELU_ERF,
    CR_AFTER_SWIGLU /* of two maps: y[0] = silu(first) * second */
};

/* Do the tiles serve this map in this phase of this context? */
bool cr_linear_is_tiled(const struct cr_linear *lin, enum cr_phase phase,
                        const struct cr_exec *ex);
/* n maps of the same rows x (T, K) BF16, T and K at least 1. */
void cr_linear_tiles(const struct cr_tensor *y, const struct cr_linear *const *lin,
                     size_t n, struct cr_tensor x, enum cr_linear_after after,
                     struct cr_exec *ex);

#endif
