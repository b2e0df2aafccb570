/* MME from official result files: DIR/TASK.txt, a line a question: picture, question, answer,
 * prediction, separated by tabs; two lines a picture (eval_tool/calculation.py). Or a file of JSON
 * lines: category (the task), image, question, answer, prediction (critic eval run). */
#ifndef CR_EVAL_MME_H
#define CR_EVAL_MME_H

#include "eval/faults.h"
#include "eval/stats.h"

#define CR_MME_TASKS        14
#define CR_MME_N_PERCEPTION 10 /* the first of them; the others are cognition */
extern const char *const cr_mme_tasks[CR_MME_TASKS];

enum cr_mme_rule { CR_MME_OFFICIAL, CR_MME_LMMS, CR_MME_ROBUST, CR_N_MME_RULES };

struct cr_mme_task {
    bool is_there;
    size_t n_questions, n_pictures;
    size_t n_differ; /* questions that the official rule and ours read differently */
    struct cr_mme_result {
        size_t n_right, n_both_right, n_other;
        struct cr_stat accuracy, accuracy_plus; /* 0 to 1 */
        struct cr_stat score;                   /* 100 (accuracy + accuracy plus) */
    } by[CR_N_MME_RULES];
    /* Of the official score: 95 % percentile bootstrap over pictures, 2000 draws; and its standard
     * error, NAN where there is none. */
    struct cr_interval score_95;
    double score_error;
};

struct cr_mme {
    struct cr_mme_task tasks[CR_MME_TASKS];
    size_t n_missing; /* tasks without a usable file */
    struct cr_stat perception[CR_N_MME_RULES],
        cognition[CR_N_MME_RULES]; /* sums of what is there */
    /* Normal, from the tasks' standard errors (their pictures are drawn apart). */
    struct cr_interval perception_95, cognition_95;
};

/* Errors: CRITIC_BAD_FILE (no task file in the folder), CRITIC_NO_MEMORY. */
enum critic_status cr_mme_score(struct cr_mme *out, const char *predictions,
                                struct cr_faults *faults, critic_error *err);

#endif
