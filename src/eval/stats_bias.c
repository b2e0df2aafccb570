#include "eval/stats_bias.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "eval/stats_math.h"

static struct cr_stat share(size_t part, size_t whole) {
    return whole ? cr_stat_of((double)part / (double)whole)
                 : cr_stat_undefined(cr_why_empty);
}

/* ---- order ---------------------------------------------------------------------------------- */

static unsigned char other_way(unsigned char pick) {
    return pick == CR_PICK_FIRST    ? CR_PICK_SECOND
           : pick == CR_PICK_SECOND ? CR_PICK_FIRST
                                    : pick;
}

/* Cohen's kappa of the 3 x 3 table of verdicts on the answers. */
static struct cr_stat kappa_of_table(double table[3][3], size_t n) {
    double agree = 0;
    double chance = 0;
    for (size_t i = 0; i < 3; i++) {
        double row = 0, column = 0;
        for (size_t j = 0; j < 3; j++) {
            row += table[i][j];
            column += table[j][i];
        }
        agree += table[i][i] / (double)n;
        chance += row * column / ((double)n * (double)n);
    }
    return chance < 1 ? cr_stat_of((agree - chance) / (1 - chance))
                      : cr_stat_undefined(cr_why_one_class);
}

void cr_position(struct cr_position *out, const unsigned char *ab,
                 const unsigned char *ba, size_t n) {
    double table[3][3] = {{0}};
    size_t n_same = 0, n_conflict = 0;
    memset(out, 0, sizeof *out);
    for (size_t i = 0; i < n; i++) {
        if (ab[i] >= CR_PICK_NONE || ba[i] >= CR_PICK_NONE) {
            out->n_left_out++;
            continue;
        }
        unsigned char mapped = other_way(ba[i]);
        table[ab[i]][mapped]++;
        out->n++;
        n_same += ab[i] == mapped;
        out->n_primacy += ab[i] == CR_PICK_FIRST && ba[i] == CR_PICK_FIRST;
        out->n_recency += ab[i] == CR_PICK_SECOND && ba[i] == CR_PICK_SECOND;
        n_conflict += (ab[i] == CR_PICK_TIE) != (ba[i] == CR_PICK_TIE);
    }
    out->consistency = share(n_same, out->n);
    out->primacy = share(out->n_primacy, out->n);
    out->recency = share(out->n_recency, out->n);
    out->conflict_tie = share(n_conflict, out->n);
    out->preference = out->n ? cr_stat_of(out->primacy.value - out->recency.value)
                             : cr_stat_undefined(cr_why_empty);
    out->chance_corrected =
        out->n ? kappa_of_table(table, out->n) : cr_stat_undefined(cr_why_empty);
}

/* ---- length --------------------------------------------------------------------------------- */

enum critic_status cr_length_control(struct cr_length_control *out, const double *won,
                                     const double *length, const double *baseline_length,
                                     size_t n, double level, critic_error *err) {
    const char *why = n == 0 ? cr_why_empty : NULL;
    double sum = 0;
    for (size_t i = 0; i < n && !why; i++) {
        if (!isfinite(won[i]) || !isfinite(length[i]) || !isfinite(baseline_length[i]))
            why = cr_why_nan;
        else if (length[i] <= 0 || baseline_length[i] <= 0)
            why = "a length is not positive";
        sum += won[i];
    }
    struct cr_stat none = cr_stat_undefined(why);
    struct cr_interval nowhere = {NAN, NAN, why};
    *out = (struct cr_length_control){none, none, nowhere, none, nowhere};
    if (why)
        return CRITIC_OK;
    double *x = calloc(n, sizeof *x);
    if (!x)
        return cr_fail(err, CRITIC_NO_MEMORY, "no memory for %zu lengths", n);
    for (size_t i = 0; i < n; i++)
        x[i] = log(length[i] / baseline_length[i]);
    struct cr_logistic fit;
    enum critic_status status = cr_logistic_fit(&fit, x, won, n, 1, err);
    free(x);
    CR_TRY(status);
    out->raw = cr_stat_of(sum / (double)n);
    out->controlled.why = out->slope.why = fit.why;
    out->controlled_interval.why = out->slope_interval.why = fit.why;
    if (fit.why)
        return CRITIC_OK;
    double reach = cr_normal_quantile(0.5 + level / 2);
    out->controlled = cr_stat_of(1 / (1 + exp(-fit.coef[0])));
    out->controlled_interval.low = 1 / (1 + exp(-fit.coef[0] + reach * fit.error[0]));
    out->controlled_interval.high = 1 / (1 + exp(-fit.coef[0] - reach * fit.error[0]));
    out->slope = cr_stat_of(fit.coef[1]);
    out->slope_interval.low = fit.coef[1] - reach * fit.error[1];
    out->slope_interval.high = fit.coef[1] + reach * fit.error[1];
    return CRITIC_OK;
}

void cr_longer(struct cr_longer *out, const unsigned char *reference,
               const unsigned char *verdict, const double *length_first,
               const double *length_second, size_t n) {
    size_t longer_picked = 0, longer_right = 0, n_reference = 0, longer_wrong = 0;
    memset(out, 0, sizeof *out);
    for (size_t i = 0; i < n; i++) {
        if (length_first[i] == length_second[i] || verdict[i] > CR_PICK_SECOND)
            continue;
        enum cr_pick longer =
            length_first[i] > length_second[i] ? CR_PICK_FIRST : CR_PICK_SECOND;
        out->n++;
        longer_picked += verdict[i] == longer;
        if (reference[i] > CR_PICK_SECOND)
            continue;
        n_reference++;
        longer_right += reference[i] == longer;
        if (verdict[i] != reference[i]) {
            out->n_wrong++;
            longer_wrong += verdict[i] == longer;
        }
    }
    out->verdicts = share(longer_picked, out->n);
    out->reference = share(longer_right, n_reference);
    out->errors = share(longer_wrong, out->n_wrong);
}
