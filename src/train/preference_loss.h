/* Losses of preference learning: of one pair, from sums of log-probabilities to the loss and its
 * derivatives by the policy's two sums. Pure functions in double.
 *
 * With a+ = logp(y+) - ref(y+), a- likewise, d = a+ - a-, n the counted tokens of a side, and
 * dbar = a+/n+ - a-/n-:
 *   sigmoid       -(1-e) log s(b d) - e log s(-b d)         DPO (Rafailov 2023); e > 0: cDPO
 *   robust        [-(1-e) log s(b d) + e log s(-b d)] / (1 - 2e)     (Chowdhury 2024)
 *   hinge         max(0, 1 - b d)                            SLiC, RSO
 *   ipo           (dbar - 1 / (2b))^2                        (Azar 2023, on means as its authors say)
 *   sigmoid_norm  -log s(b dbar), smoothed likewise          DPO on means
 *   simpo         -log s(b (logp+/n+ - logp-/n-) - g), smoothed likewise     no reference (Meng 2024)
 * s is the logistic function, b `beta`, e `label_smoothing`, g `gamma`. Names are TRL's (simpo:
 * LLaMA-Factory's). Unlike TRL, `sigmoid` honours label_smoothing, as LLaVA-NeXT does. */
#ifndef CR_TRAIN_PREFERENCE_LOSS_H
#define CR_TRAIN_PREFERENCE_LOSS_H

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"

enum cr_preference_loss {
    CR_LOSS_SIGMOID,
    CR_LOSS_ROBUST,
    CR_LOSS_HINGE,
    CR_LOSS_IPO,
    CR_LOSS_SIGMOID_NORM,
    CR_LOSS_SIMPO
};

struct cr_preference_opts {
    enum cr_preference_loss loss;
    double beta;            /* > 0; 0.1 in the paper's recipe */
    double label_smoothing; /* in [0, 0.5) */
    double gamma;           /* of simpo */
};

/* Sums over the counted tokens of each side. */
struct cr_pair_logps {
    double policy_chosen, policy_rejected;
    double reference_chosen, reference_rejected; /* not read by simpo */
    size_t n_chosen, n_rejected;                 /* > 0 */
};

struct cr_pair_loss {
    double loss;
    double by_chosen, by_rejected; /* d loss / d policy_chosen, / d policy_rejected */
    /* beta a+ and beta a- (simpo: beta times the means), what TRL logs as rewards/. */
    double reward_chosen, reward_rejected;
};

/* Errors: CRITIC_BAD_ARGUMENT naming the value that makes no sense. */
enum critic_status cr_preference_check(const struct cr_preference_opts *opts,
                                       critic_error *err);
struct cr_pair_loss cr_preference_loss(const struct cr_pair_logps *p,
                                       const struct cr_preference_opts *opts);
/* Does the loss read reference log-probabilities? */
bool cr_preference_needs_reference(enum cr_preference_loss loss);

#endif
