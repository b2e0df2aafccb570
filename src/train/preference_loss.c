#include "train/preference_loss.h"

#include <math.h>

enum critic_status cr_preference_check(const struct cr_preference_opts *o,
                                       critic_error *err) {
    if (!(o->beta > 0) || !isfinite(o->beta))
        return cr_fail(err, CRITIC_BAD_ARGUMENT, "beta is %g; expected a number above 0",
                       o->beta);
    if (!(o->label_smoothing >= 0 && o->label_smoothing < 0.5))
        return cr_fail(err, CRITIC_BAD_ARGUMENT,
                       "label smoothing is %g; expected at least 0 and below 0.5",
                       o->label_smoothing);
    bool smooths = o->loss == CR_LOSS_SIGMOID || o->loss == CR_LOSS_ROBUST ||
                   o->loss == CR_LOSS_SIGMOID_NORM || o->loss == CR_LOSS_SIMPO;
    if (o->label_smoothing > 0 && !smooths)
        return cr_fail(err, CRITIC_BAD_ARGUMENT,
                       "this loss has no label smoothing; expected sigmoid, robust, "
                       "sigmoid_norm or simpo with it");
    if (!isfinite(o->gamma))
        return cr_fail(err, CRITIC_BAD_ARGUMENT, "gamma is %g; expected a number",
                       o->gamma);
    return CRITIC_OK;
}

bool cr_preference_needs_reference(enum cr_preference_loss loss) {
    return loss != CR_LOSS_SIMPO;
}

/* log s(x) without overflow. */
static double log_sigmoid(double x) {
    return x >= 0 ? -log1p(exp(-x)) : x - log1p(exp(x));
}

static double sigmoid(double x) {
    return x >= 0 ? 1 / (1 + exp(-x)) : exp(x) / (1 + exp(x));
}

/* -(1-e) log s(x) - e log s(-x) and its derivative by x. */
static double smoothed(double x, double e, double *by_x) {
    *by_x = -(1 - e) * sigmoid(-x) + e * sigmoid(x);
    return -(1 - e) * log_sigmoid(x) - e * log_sigmoid(-x);
}

struct cr_pair_loss cr_preference_loss(const struct cr_pair_logps *p,
                                       const struct cr_preference_opts *o) {
    struct cr_pair_loss out = {0};
    bool has_reference = cr_preference_needs_reference(o->loss);
    bool is_mean = o->loss == CR_LOSS_IPO || o->loss == CR_LOSS_SIGMOID_NORM ||
                   o->loss == CR_LOSS_SIMPO;
    double up = p->policy_chosen - (has_reference ? p->reference_chosen : 0);
    double down = p->policy_rejected - (has_reference ? p->reference_rejected : 0);
    double scale_up = is_mean ? 1 / (double)p->n_chosen : 1;
    double scale_down = is_mean ? 1 / (double)p->n_rejected : 1;
    double e = o->label_smoothing, d = up * scale_up - down * scale_down, by_d = 0;
    double by_x;
    switch (o->loss) {
    case CR_LOSS_SIGMOID:
    case CR_LOSS_SIGMOID_NORM:
        out.loss = smoothed(o->beta * d, e, &by_x);
        by_d = o->beta * by_x;
        break;
    case CR_LOSS_ROBUST:
        out.loss = (-(1 - e) * log_sigmoid(o->beta * d) + e * log_sigmoid(-o->beta * d)) /
                   (1 - 2 * e);
        by_d = o->beta * (-(1 - e) * sigmoid(-o->beta * d) - e * sigmoid(o->beta * d)) /
               (1 - 2 * e);
        break;
    case CR_LOSS_HINGE:
        out.loss = fmax(0, 1 - o->beta * d);
        by_d = 1 - o->beta * d > 0 ? -o->beta : 0;
        break;
    case CR_LOSS_IPO:
        out.loss = (d - 1 / (2 * o->beta)) * (d - 1 / (2 * o->beta));
        by_d = 2 * (d - 1 / (2 * o->beta));
        break;
    case CR_LOSS_SIMPO:
        out.loss = smoothed(o->beta * d - o->gamma, e, &by_x);
        by_d = o->beta * by_x;
        break;
    }
    out.by_chosen = by_d * scale_up;
    out.by_rejected = -by_d * scale_down;
    bool simpo = o->loss == CR_LOSS_SIMPO;
    out.reward_chosen = o->beta * up * (simpo ? scale_up : 1);
    out.reward_rejected = o->beta * down * (simpo ? scale_down : 1);
    return out;
}
