/* Forward and backward of the whole network over packed sequences: what a trainer calls.
 *
 * A batch is n sequences. Rows of all sequences lie one after the other in one (T, D) matrix, so
 * that products are large; every array "(T)" below is in that order. A sequence has two levels:
 * rows [0, n_prefix) are causal among themselves and seen by everything; then branches, each a run
 * of rows that sees the prefix and, causally, itself, never another branch. Turns isolated on a
 * shared picture (SFT) and chosen / rejected on a shared prompt (DPO) are both this; with no
 * branches it is an ordinary causal sequence. Attention visits only what is seen.
 *
 *   cr_train_new            once, for a model whose tensors the trainer owns
 *   cr_grads_init           once: f32 gradients for what is trained; the rest stays frozen
 *   cr_train_plan           bytes that a batch will need, before the first step
 *   cr_batch_check          every batch that comes from outside
 *   cr_grads_zero           before the first batch of a step
 *   cr_train_forward_backward   SFT: coefficients known, one product of the head fewer
 *   cr_train_forward, then cr_train_backward    DPO: coefficients depend on the log-probs
 *
 * Gradients: of L with respect to every parameter, where the caller says dL / d logp of each row.
 * SFT with weights w and normaliser N: L = -sum w logp / N, so dlogp = -w / N. Always added to what
 * the gradient holds, so batches accumulate.
 * Precision: exec.h. Under CR_COMPUTE_BF16 products take bf16 and sum f32; the residual stream, its
 * gradient, norms, softmax, log-probs and all parameter gradients are f32. The trainer keeps f32
 * masters and after each update writes the matrices of model->params as BF16 (vectors F32); other
 * dtypes work and are converted at every use.
 * Bits: log-probs and gradients are the same for any number of threads.
 * Threads: one call at a time per cr_train and per cr_exec. */
#ifndef CR_MODEL_TRAIN_H
#define CR_MODEL_TRAIN_H

#include "model/model.h"

/* ---- the batch ---- */

/* A picture in a sequence: its tiles' pixels and where its rows stand. */
struct cr_train_picture {
    const float *pixels;             /* (plan->n_tiles, 3, S, S), normalised */
    const struct cr_tile_plan *plan; /* image/anyres.h */
    size_t first_row;                /* of plan->n_tokens rows, counted in the sequence */
};

struct cr_train_sequence {
    size_t n_rows;
    const int32_t *ids; /* (n_rows): the token, or -1 where a picture's row stands */
    const int32_t
        *positions; /* (n_rows): for rotary embedding; a branch usually restarts at
                                 the position after the prefix */
    const int32_t
        *targets;    /* (n_rows): the token that this row is to predict, or -1. A row
                                 whose next token lies in several branches (the last of the
                                 prefix) can hold one target only: leave it -1 or end the prefix
                                 one row earlier, so that each branch has its own such row. */
    size_t n_prefix; /* n_rows where there are no branches */
    size_t n_branches;
    /* (n_branches): end row of each, rising, the last one n_rows */
    const size_t *branch_ends;
    size_t n_pictures;
    const struct cr_train_picture *pictures; /* in order of rows; may stand anywhere */
};

struct cr_train_batch {
    size_t n;
    const struct cr_train_sequence *sequences;
};

/* T: rows of all sequences. */
size_t cr_batch_rows(const struct cr_train_batch *b);
/* Rows with a target. */
size_t cr_batch_targets(const struct cr_train_batch *b);
/* Errors: CRITIC_BAD_DATA naming sequence and row: no rows, an id or target outside the
 * vocabulary, -1 without a picture or a picture's row with an id, bad branch ends, positions
 * below 0, a picture in a network without a tower. */
enum critic_status cr_batch_check(const struct cr_train_batch *b,
                                  const struct cr_config *config, critic_error *err);

/* ---- gradients ---- */

/* Gradients are a second struct cr_params: a tensor with data NULL is frozen (no dW is
 * computed, and dX only as deep as something trained needs it), the others are dense F32 of
 * the parameter's shape (the patch embedding as the matrix (Dv, 3*p*p), as in
 * cr_params_bind). cr_params_slot walks both structs in the same order. With a tied head the
 * gradient of both uses is in `embed`. Low-rank terms: model/lora.h; they are zeroed here too. */

/* Makes them, zeroed, for every slot that `trains` accepts (NULL: all). The arena holds them.
 * Errors: CRITIC_NO_MEMORY. */
enum critic_status cr_grads_init(struct cr_params *grads, const struct cr_config *config,
                                 bool (*trains)(void *user,
                                                const struct cr_param_slot *slot),
                                 void *user, struct cr_arena *arena, critic_error *err);
void cr_grads_zero(struct cr_params *grads, const struct cr_config *config,
                   struct cr_exec *ex);

/* ---- passes ---- */

struct cr_train_opts {
    /* true: keep only each block's input and compute the rest again in backward (a third more
     * products in the blocks, the least memory). false: keep all activations. Same bits. */
    bool recompute;
    /* Rows of logits (head_rows, V) held at a time; 0: as many as fit 256 MiB. The same bits
     * for log-probs; the head's gradient is summed chunk by chunk. */
    size_t head_rows;
    /* The tower is not trained: nothing of it is kept for backward. */
    bool frozen_tower;
};

struct cr_train;

/* `model` and `ex` are borrowed for the life of *out; the model's tensors may be rewritten between
 * calls (not between a forward and its backward).
 * Errors: CRITIC_NO_MEMORY. */
enum critic_status cr_train_new(struct cr_train **out, const struct cr_model *model,
                                struct cr_exec *ex, const struct cr_train_opts *opts,
                                critic_error *err);
void cr_train_free(struct cr_train *t);

/* Log-probability of every target row under the model, natural logarithm; 0 where there is no
 * target. Shapes: logp (T). The batch must stay as it is until the backward is done. */
void cr_train_forward(struct cr_train *t, const struct cr_train_batch *batch,
                      float *logp);

/* The same without keeping anything for backward (evaluation, a DPO reference). */
void cr_train_score(struct cr_train *t, const struct cr_train_batch *batch, float *logp);

/* Backward of the last cr_train_forward, once each.
 * Shapes: dlogp (T): dL / d logp, ignored where there is no target.
 * dfeatures: (tiles * P, Dv) F32 added to the gradient of the tower's features (an auxiliary loss
 * on them; dfeatures.data NULL: none). */
void cr_train_backward(struct cr_train *t, const float *dlogp, struct cr_tensor dfeatures,
                       struct cr_params *grads);

/* Both, where dlogp does not depend on logp.
 * on_features: called once the features are known, before any backward, so that the caller can
 * compute an auxiliary loss and write its gradient to dfeatures; NULL fn: no such loss. */
struct cr_feature_loss {
    /* features (tiles * P, Dv) F32, tiles in batch order; dfeatures the same shape, zeroed. */
    void (*fn)(void *user, struct cr_tensor features, struct cr_tensor dfeatures);
    void *user;
};
void cr_train_forward_backward(struct cr_train *t, const struct cr_train_batch *batch,
                               const float *dlogp, const struct cr_feature_loss *loss,
                               float *logp, struct cr_params *grads);

/* Tower features of the last forward: (tiles * P, Dv) F32, tiles in batch order; data NULL where
 * the batch has no picture. Valid until the next forward. */
struct cr_tensor cr_train_features(const struct cr_train *t);

/* ---- the tower alone (stage 0: labels on its features) ---- */

/* Shapes: pixels (n_tiles, 3, S, S); the result (n_tiles * P, Dv) F32, valid until the next call.
 */
struct cr_tensor cr_train_tower_forward(struct cr_train *t, const float *pixels,
                                        size_t n_tiles);
/* Backward of the last cr_train_tower_forward, once. dfeatures as the result above. */
void cr_train_tower_backward(struct cr_train *t, struct cr_tensor dfeatures,
                             struct cr_params *grads);

/* ---- memory ---- */

/* What decides the memory of a batch. */
struct cr_train_sizes {
    size_t n_rows;      /* T */
    size_t n_targets;   /* rows with a target */
    size_t n_tiles;     /* of all pictures */
    size_t longest;     /* rows of the longest sequence */
    size_t n_sequences; /* sequences and branches together */
};

/* Bytes, rounded up generously enough that the pass stays below. */
struct cr_train_plan {
    size_t parameters;  /* model->params as they are stored */
    size_t gradients;   /* of grads */
    size_t activations; /* kept between forward and backward */
    size_t scratch;     /* of ops, at their worst */
    size_t total;
};

struct cr_train_sizes cr_batch_sizes(const struct cr_train_batch *b);
/* The optimiser's state and the f32 masters are the trainer's and not counted. */
struct cr_train_plan cr_train_plan(const struct cr_train *t,
                                   const struct cr_params *grads,
                                   const struct cr_train_sizes *sizes);
/* The most that activations and scratch really took so far (for tests and reports). */
size_t cr_train_high_water(const struct cr_train *t);

/* Where a value first is not finite: runs the batch forward with everything kept and looks at each
 * operation's result in their order. out: "layers.3 o_proj", "vision_tower.layers.0 attention",
 * "lm_head and log-softmax". false: all are finite (it began in backward). For a run that is to end
 * anyway: takes the memory of a pass that keeps all activations. */
#define CR_OP_NAME 96
bool cr_train_find_bad(struct cr_train *t, const struct cr_train_batch *batch,
                       char out[CR_OP_NAME]);

#endif
