/* POPE from a file of predictions and one of labels (POPE evaluate.py, LLaVA eval_pope.py).
 * Labels: question_id, image, text, label ("yes", "no"), perhaps category. Predictions:
 * "answer" (POPE) or "text" (LLaVA), perhaps question_id. Paired by question_id where both have
 * it, else line by line; also where there are as many of both and the ids are shifted, or the texts of
 * the questions agree better so. Predictions for other questions are a fault. A file may hold
 * both (critic eval run). */
#ifndef CR_EVAL_POPE_H
#define CR_EVAL_POPE_H

#include "eval/faults.h"
#include "eval/stats.h"

enum cr_pope_rule { CR_POPE_OFFICIAL, CR_POPE_EXACT, CR_POPE_ROBUST, CR_N_POPE_RULES };

/* yes is positive; what a rule cannot read is no yes and no no, and wrong. */
struct cr_pope_result {
    size_t n, true_yes, false_yes, true_no, false_no, n_other;
    struct cr_stat accuracy, precision, recall, f1, yes_ratio;
    /* Of the official rule: 95 % percentile bootstrap over pictures, 2000 draws. */
    struct cr_interval accuracy_95, f1_95;
};

struct cr_pope_split {
    char *name; /* category */
    struct cr_pope_result by[CR_N_POPE_RULES];
};

struct cr_pope {
    size_t n_labels;
    struct cr_pope_result by[CR_N_POPE_RULES];
    struct cr_pope_split *splits;
    size_t n_splits;
    bool by_id;
    size_t n_differ; /* predictions that the official rule and ours read differently */
};

/* labels NULL: they stand in the predictions. Errors: CRITIC_BAD_FILE, CRITIC_BAD_DATA, CRITIC_NO_MEMORY.
 * Ownership: cr_pope_fini, after failure too. */
enum critic_status cr_pope_score(struct cr_pope *out, const char *predictions,
                                 const char *labels, struct cr_faults *faults,
                                 critic_error *err);
void cr_pope_fini(struct cr_pope *p);

#endif
