/* Packs to what the network takes (model/train.h): rows, positions, targets with weights, pixels.
 *
 * Weights make a pack count as its conversations would one by one: a target in the shared prefix
 * stands for all branches, so its weight is their number; the row before the branches predicts
 * their first token, with the number of branches whose first token is a target. */
#ifndef CR_TRAIN_BATCH_H
#define CR_TRAIN_BATCH_H

#include "model/train.h"
#include "train/dataset.h"

struct cr_pack_batch {
    struct cr_train_batch batch;
    size_t n_rows;
    double weight;  /* sum of weights */
    float *weights; /* (n_rows) */
    size_t n_packs;
    uint32_t *packs; /* which */
    size_t n_pictures;
    uint32_t *pictures; /* of the dataset, in batch order */
    size_t *tiles;      /* of each */
    /* Memory behind the batch. */
    struct cr_arena arena;
    struct cr_train_sequence *sequences;
    struct cr_train_picture *train_pictures;
    struct cr_tile_plan *plans;
};

/* Errors: CRITIC_NO_MEMORY. */
enum critic_status cr_pack_batch_init(struct cr_pack_batch *p, critic_error *err);
void cr_pack_batch_fini(struct cr_pack_batch *p);
/* Replaces what p holds. Errors: CRITIC_NO_MEMORY; those of cr_image_load. */
enum critic_status cr_pack_batch_build(struct cr_pack_batch *p,
                                       const struct cr_dataset *d, const uint32_t *packs,
                                       size_t n_packs, critic_error *err);
/* Shares packs out: packs[0] to train on, packs[1] the share kept back for evaluation; the caller frees
 * both, after failure too, and n_packs comes zeroed. Packs of one picture stay on one side, whatever
 * else is in the data. */
enum critic_status cr_packs_split(const struct cr_dataset *d, uint64_t seed, double share,
                                  uint32_t *packs[2], size_t n_packs[2],
                                  critic_error *err);
/* What the largest batch of n packs would take, from the largest packs of the data. */
struct cr_train_sizes cr_pack_worst(const struct cr_dataset *d, size_t n);
/* The sum of weights that pack i will have, without building it. */
double cr_pack_weight(const struct cr_dataset *d, size_t i);
/* dlogp (n_rows) = -weight / n for the loss -sum w logp / n. */
void cr_pack_batch_coefficients(const struct cr_pack_batch *p, double n, float *dlogp);
/* -sum w logp / sum w. */
double cr_pack_batch_loss(const struct cr_pack_batch *p, const float *logp);

#endif
