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
bool cr_linear_is_dense(const struct cr_tensor *t);
/* t itself where it is dense and of that type, else a converted copy in scratch. */
struct cr_tensor cr_linear_dense(const struct cr_tensor *t, enum cr_dtype dtype,
                                 struct cr_exec *ex);
/* y (+)= x w' + bias, without the low-rank term. */
void cr_linear_plain(struct cr_tensor y, struct cr_tensor x, const struct cr_linear *lin,
                     enum cr_store_mode mode, enum cr_phase phase, struct cr_exec *ex);

/* Do the tiles serve this map for these rows? */
bool cr_linear_takes_tiles(const struct cr_linear *lin, struct cr_tensor x,
                           enum cr_phase phase, const struct cr_exec *ex);

/* linear_lora.c: x as the low-rank term takes it, and scale x m' of type ex->act, in scratch. */
struct cr_tensor cr_lora_rows(struct cr_tensor x, const struct cr_lora *lora,
                              struct cr_exec *ex);
struct cr_tensor cr_lora_product(struct cr_tensor x, struct cr_tensor m, float scale,
                                 enum cr_phase phase, struct cr_exec *ex);
/* values *= scale, in ex->act. */
struct cr_tensor cr_lora_scaled(struct cr_tensor values, float scale, struct cr_exec *ex);
/* dx += the gradient d of rows that lost elements, where they were kept; both F32. */
void cr_lora_rows_bwd(struct cr_tensor dx, struct cr_tensor d, const struct cr_lora *lora,
                      struct cr_exec *ex);
/* F32 rows to bf16. */
void cr_linear_round(struct cr_tensor y, struct cr_tensor x, struct cr_exec *ex);

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
    CR_AFTER_SWIGLU /* of two products: y[0] = silu(first) * second */
};

/* y = x w' + bias, or x w where the weights lie the other way round; with a low-rank term u v' (u v)
 * in the same sums. */
struct cr_tiled {
    struct cr_tensor y;
    const struct cr_tensor *w; /* (N, K), or turned (K, N) */
    bool turned;
    const struct cr_tensor *bias; /* data NULL, or NULL itself: none */
    const uint32_t *panels; /* w laid out beforehand; NULL: w is packed as it is met */
    struct cr_tensor u;     /* (T, R) BF16; data NULL: none */
    struct cr_tensor v;     /* (N, R) or turned (R, N), any plain float dtype */
};

/* Do the tiles serve this map in this phase of this context? */
bool cr_linear_is_tiled(const struct cr_linear *lin, enum cr_phase phase,
                        const struct cr_exec *ex);
/* n products of the same rows x (T, K) BF16, T and K at least 1. Turned weights of a dtype whose
 * block does not divide CR_TILE_COLS are not taken (cr_linear_turns). */
void cr_linear_tiles(const struct cr_tiled *products, size_t n, struct cr_tensor x,
                     enum cr_linear_after after, struct cr_exec *ex);
bool cr_linear_turns(const struct cr_tensor *w);

/* linear.c: the tiles with n whole maps. May n maps of x be one job for them? */
void cr_linear_tile_all(const struct cr_tensor *y, const struct cr_linear *const *lin,
                        size_t n, struct cr_tensor x, enum cr_linear_after after,
                        struct cr_exec *ex);
bool cr_linear_are_tiled(const struct cr_linear *const *lin, size_t n, struct cr_tensor x,
                         enum cr_phase phase, const struct cr_exec *ex);
/* Are these maps in 8 or 4 bits, with nothing beside, and is there anything to do? */
bool cr_linear_are_packed(const struct cr_linear *const *lin, size_t n,
                          struct cr_tensor x);

#endif
