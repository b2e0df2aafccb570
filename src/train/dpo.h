/* Preference learning as a task of the loop: pairs (train/dataset.h, CR_PACKS_PAIRS), a loss of
 * train/preference_loss.h, and optionally the chosen answers' likelihood:
 *   loss of a pair = preference loss + sft_weight * -logp(y+) / n+
 *   loss of a pass = mean over its pairs
 * Picture and prompt are computed once a pair, forward and backward. Counted are the answer's tokens
 * with its <|im_end|>. The reference (train/reference.h) is scored by the passes that training uses,
 * so that policy = reference gives d = 0 to the bit. */
#ifndef CR_TRAIN_DPO_H
#define CR_TRAIN_DPO_H

#include "train/batch.h"
#include "train/loop.h"
#include "train/preference_loss.h"
#include "train/reference.h"

struct cr_dpo_opts {
    struct cr_dataset_opts data; /* pack is set by cr_dpo_open, mask by llava_mask */
    bool llava_mask; /* count what LLaVA-NeXT's trainer counts (CR_LABELS_LLAVA_DPO) */
    const char *data_path;
    double eval_split; /* share of the pairs kept back for evaluation */
    struct cr_preference_opts loss;
    double sft_weight;
    uint64_t seed;
    struct cr_reference_opts reference; /* not read by simpo */
};

/* Running means over training pairs, for warnings: the chosen answer's log-ratio to the reference,
 * and how often the longer answer is the chosen one and the one that training prefers. */
struct cr_dpo_watch {
    size_t n;
    double ratio, longer_chosen, longer_preferred;
    bool told_collapse, told_length;
};

struct cr_dpo {
    struct cr_net *net;
    struct cr_dpo_opts o;
    struct cr_dataset data;
    struct cr_reference reference;
    double (*policy)[2]; /* log-probs of each pair's sides when they last passed */
    uint32_t *packs[2];  /* train, held back (pairs of one picture stay together) */
    size_t n_packs[2];
    struct cr_pack_batch slots[CR_TASK_SLOTS];
    float *logp, *dlogp;
    size_t rows_cap;
    struct cr_dpo_watch watch;
};

/* Reads and checks all data and computes the reference: net must hold the model that training starts
 * from. Errors: those of cr_dataset_open and cr_preference_check. cr_dpo_close after failure
 * too. */
enum critic_status cr_dpo_open(struct cr_dpo *s, struct cr_net *net,
                               const struct cr_dpo_opts *opts, critic_error *err);
void cr_dpo_close(struct cr_dpo *s);
struct cr_task cr_dpo_task(struct cr_dpo *s);

#endif
