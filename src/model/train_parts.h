/* Private to src/model/train*.c: what a training pass keeps, and its parts. */
#ifndef CR_MODEL_TRAIN_PARTS_H
#define CR_MODEL_TRAIN_PARTS_H

#include "model/block.h"
#include "model/train.h"

/* What is kept of a run of blocks. */
enum cr_keep {
    CR_KEEP_NOTHING, /* one residual stream, in place */
    CR_KEEP_INPUTS,  /* each block's input; one set of activations, computed again */
    CR_KEEP_ALL
};

/* What the two kinds of blocks differ in. */
struct cr_block_dims {
    size_t n_layers, width, q_width, kv_width, ffn_width, n_heads;
    bool gated;
};

struct cr_block_stack {
    enum cr_keep keep;
    struct cr_block_dims dims;
    size_t n_layers, n_rows;
    struct cr_tensor *x; /* (n_layers + 1): input of each block, then the result */
    /* After the attention half. mid, a, f: n_layers of them where all are kept; else one, from scratch, between
     * cr_stack_borrow and cr_stack_return. */
    struct cr_tensor *mid;
    struct cr_attention_acts *a;
    struct cr_ffn_acts *f;
    struct cr_tensor dx; /* (T, D) F32: the residual stream's gradient */
};

/* The place of layer l's activations. */
static inline size_t cr_stack_at(const struct cr_block_stack *s, size_t l) {
    return s->keep == CR_KEEP_ALL ? l : 0;
}

struct cr_train {
    const struct cr_model *m;
    struct cr_exec *ex;
    struct cr_train_opts opts;
    struct cr_arena arena;
    const struct cr_train_batch *batch;
    struct cr_train_sizes sizes;
    enum cr_keep keep;
    /* tower */
    struct cr_tensor patches; /* (tiles * P, 3*p*p) ex->act */
    struct cr_block_stack tower;
    struct cr_tensor projected, dprojected; /* (tiles * P, D) F32 */
    /* decoder */
    int32_t *ids, *positions; /* (T) */
    float *cos_table, *sin_table;
    struct cr_packed_sequence *sequences;
    struct cr_block_stack decoder;
    /* head: rows with a target, in order */
    size_t *target_rows;
    int32_t *targets;
    struct cr_tensor head_x, head_h, head_dh, head_dx; /* (n_targets, D) */
    float *rrms, *logp, *lse, *dlogp;                  /* (n_targets) */
};

/* ---- train_memory.c ---- */

/* Starts anew: everything that a pass over `sizes` keeps, from the arena. */
void cr_train_allocate(struct cr_train *t, const struct cr_train_sizes *sizes,
                       enum cr_keep keep);
/* Activations for one block at a time where they are not kept; nothing where they are. What else is taken from scratch
 * in between lies behind them. */
size_t cr_stack_borrow(struct cr_train *t, struct cr_block_stack *s);
void cr_stack_return(struct cr_train *t, size_t mark);
/* The tower's part alone. */
void cr_train_allocate_tower(struct cr_train *t, size_t n_tiles, enum cr_keep keep);
/* Rows of logits at a time, of n_targets: chunks as equal as can be. */
size_t cr_train_head_rows(const struct cr_train *t, size_t n_targets);

/* ---- train_tower.c ---- */

/* patches -> the residual stream after the last block, in tower.x[n_layers]. */
void cr_train_tower_fwd(struct cr_train *t);
/* From tower.dx. */
void cr_train_tower_bwd(struct cr_train *t, struct cr_params *grads);
/* Does any of it learn? */
bool cr_train_tower_trains(const struct cr_train *t, const struct cr_params *grads);

/* ---- train_head.c ---- */

/* Final norm, head and log-probabilities of the target rows. */
void cr_train_head_fwd(struct cr_train *t);
/* From dlogp to decoder.dx. */
void cr_train_head_bwd(struct cr_train *t, struct cr_params *grads);
/* Both in one pass over the logits. */
void cr_train_head_fwd_bwd(struct cr_train *t, struct cr_params *grads);

#endif
