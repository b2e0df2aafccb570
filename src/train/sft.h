/* Supervised fine-tuning as a task of the loop: conversations (train/dataset.h), next-token
 * cross-entropy over their targets, and where there are dense labels an auxiliary loss on the
 * tower's features.
 *   loss of a pass = -sum w logp / sum w + aux_weight * label loss */
#ifndef CR_TRAIN_SFT_H
#define CR_TRAIN_SFT_H

#include "train/batch.h"
#include "train/labels.h"
#include "train/loop.h"

struct cr_sft_opts {
    struct cr_dataset_opts data;
    const char *data_path;
    const char *eval_path;  /* may be NULL */
    double eval_split;      /* share of the packs kept back for evaluation */
    const char *aux_labels; /* may be NULL */
    double aux_weight;
    const char *model_dir; /* where label heads may lie; NULL: none */
    uint64_t seed;
};

struct cr_sft {
    struct cr_net *net;
    struct cr_sft_opts o;
    struct cr_dataset data, eval;
    bool has_eval;
    uint32_t *packs[2]; /* of data: train, held back */
    size_t n_packs[2];
    struct cr_labels labels;
    struct cr_pack_batch slots[CR_TASK_SLOTS];
    bool slot_is_eval[CR_TASK_SLOTS];
    float *logp, *dlogp;
    size_t rows_cap;
    struct cr_label_use *uses;
    size_t uses_cap;
};

/* Reads and checks all data. Errors: those of cr_dataset_open and cr_labels_open. cr_sft_close
 * after failure too. */
enum critic_status cr_sft_open(struct cr_sft *s, struct cr_net *net,
                               const struct cr_sft_opts *opts, critic_error *err);
void cr_sft_close(struct cr_sft *s);
struct cr_task cr_sft_task(struct cr_sft *s);

#endif
