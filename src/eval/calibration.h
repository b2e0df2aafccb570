/* Is a judge as often right as it is sure? From the probabilities that were read with its verdicts,
 * by a checkpoint or from an endpoint's logprobs. */
#ifndef CR_EVAL_CALIBRATION_H
#define CR_EVAL_CALIBRATION_H

#include "eval/judged.h"
#include "eval/stats_calib.h"

#define CR_N_CALIBRATION_BINS 10
#define CR_CALIBRATION_MIN    20 /* items below which a page shows none */

/* Pairs with a decided label and a probability that is not even. Confidence is the probability of
 * the likelier answer, the event that it is the label's; bins have equal mass. */
struct cr_calibration {
    size_t n; /* 0: the rest is not set */
    struct cr_stat ece, brier, auroc;
    struct cr_bin bins[CR_N_CALIBRATION_BINS];
};

/* Errors: CRITIC_NO_MEMORY. */
enum critic_status cr_calibration_of(struct cr_calibration *out,
                                     const struct cr_judged *rows, critic_error *err);

#endif
