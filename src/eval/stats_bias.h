/* Order and length bias of a pairwise judge. */
#ifndef CR_EVAL_STATS_BIAS_H
#define CR_EVAL_STATS_BIAS_H

#include "eval/stats_label.h"

/* ---- order ------------------------------------------------------------------------------ */

/* Each pair judged both ways: ab[i] with answer A first, ba[i] with B first, both as the
 * judge said them (CR_PICK_FIRST = the answer that stood first). Pairs with an unparsed side
 * are left out and counted. All shares are of the n pairs left. */
struct cr_position {
    size_t n, n_left_out;
    struct cr_stat consistency; /* the same answer, or a tie, both times */
    /* Cohen's kappa of the two verdicts on the answers */
    struct cr_stat chance_corrected;
    struct cr_stat primacy;      /* both times whatever stood first */
    struct cr_stat recency;      /* both times whatever stood second */
    struct cr_stat preference;   /* primacy - recency */
    struct cr_stat conflict_tie; /* a tie one time only */
    size_t n_primacy, n_recency; /* counts, for cr_mcnemar */
};
void cr_position(struct cr_position *out, const unsigned char *ab,
                 const unsigned char *ba, size_t n);

/* ---- logistic regression ---------------------------------------------------------------- */

#define CR_LOGISTIC_MAX 16 /* coefficients */

/* y in [0, 1] (0.5: a tie); x is (n, k) without a column of ones; an intercept comes first. */
struct cr_logistic {
    const char *why; /* NULL, or why there is no fit */
    size_t n_coef;   /* k + 1 */
    double coef[CR_LOGISTIC_MAX];
    double error[CR_LOGISTIC_MAX]; /* standard errors from the information matrix */
    double log_likelihood;
    size_t n_steps;
};
/* Maximum likelihood by Newton's method. Errors: CRITIC_BAD_ARGUMENT (k too large). */
enum critic_status cr_logistic_fit(struct cr_logistic *out, const double *x,
                                   const double *y, size_t n, size_t k,
                                   critic_error *err);

/* Length-controlled win rate: P(win) = sigma(b0 + b1 log(len / len_baseline)), read off at
 * equal lengths, sigma(b0). won[i]: 1, 0.5 or 0; lengths > 0, in code points or tokens. */
struct cr_length_control {
    struct cr_stat raw;        /* mean of won */
    struct cr_stat controlled; /* at equal lengths */
    struct cr_interval controlled_interval;
    struct cr_stat slope; /* b1 */
    struct cr_interval slope_interval;
};
enum critic_status cr_length_control(struct cr_length_control *out, const double *won,
                                     const double *length, const double *baseline_length,
                                     size_t n, double level, critic_error *err);

/* Longer answers: share of decided verdicts for the longer one, the same for the reference on
 * the same items, and among wrong decided verdicts (0.5 = no bias). Items of equal length
 * do not count. */
struct cr_longer {
    size_t n, n_wrong;
    struct cr_stat verdicts, reference, errors;
};
void cr_longer(struct cr_longer *out, const unsigned char *reference,
               const unsigned char *verdict, const double *length_first,
               const double *length_second, size_t n);

#endif
