/* Statistics of judge scores. All in double precision, summed in a fixed order; every result
 * is either a number or a refusal that says why, never a silent default.
 *
 * The folder's other statistics: stats_label.h (choices and classes), stats_calib.h
 * (probabilities), stats_bias.h (order and length), stats_rank.h (Bradley-Terry, Elo),
 * stats_boot.h (intervals by resampling), stats_signif.h (tests, power). They include
 * base only. Formulas: docs/evaluation.md. */
#ifndef CR_EVAL_STATS_H
#define CR_EVAL_STATS_H

#include "base/error.h"

/* A statistic: `why` is NULL and value finite, or `why` is one constant line and value NaN. */
struct cr_stat {
    double value;
    const char *why;
};

struct cr_stat cr_stat_of(double value);
struct cr_stat cr_stat_undefined(const char *why);
static inline bool cr_stat_ok(struct cr_stat s) {
    return s.why == NULL;
}

/* The reasons that callers tell apart; compare by pointer. */
extern const char cr_why_empty[];      /* no items */
extern const char cr_why_few[];        /* fewer items than the statistic needs */
extern const char cr_why_constant[];   /* one side has a single value */
extern const char cr_why_nan[];        /* a value is not a finite number */
extern const char cr_why_one_class[];  /* only one class is there */
extern const char cr_why_separated[];  /* a logistic fit has no finite maximum */
extern const char cr_why_difference[]; /* there is no difference to find */

struct cr_interval {
    double low, high; /* NaN where why is set */
    const char *why;
};

/* ---- one list ------------------------------------------------------------------------------- */

struct cr_stat cr_mean(const double *x, size_t n);
/* Sample standard deviation (n - 1). */
struct cr_stat cr_sd(const double *x, size_t n);

/* How concentrated a judge's scores are. COLLAPSED: mode_share > 0.8 or entropy < 0.2. */
struct cr_spread {
    size_t n, n_distinct;
    double mode; /* the most frequent value; the smallest of several */
    struct cr_stat mode_share;
    struct cr_stat entropy; /* H / log(n_levels), 0 to 1 */
    bool collapsed;
};
/* n_levels: values that the scale has; 0: as many as are there.
 * Errors: CRITIC_NO_MEMORY. */
enum critic_status cr_spread(struct cr_spread *out, const double *x, size_t n,
                             size_t n_levels, critic_error *err);

/* Ranks from 1, equal values share the mean of their ranks. Errors: CRITIC_NO_MEMORY. */
enum critic_status cr_midranks(double *ranks, const double *x, size_t n,
                               critic_error *err);

/* ---- two lists: x[i] and y[i] are of one item ------------------------------------------- */

/* Two-pass. Needs n >= 2; a constant side is refused. */
struct cr_stat cr_pearson(const double *x, const double *y, size_t n);
/* Pearson of mid-ranks. */
enum critic_status cr_spearman(struct cr_stat *out, const double *x, const double *y,
                               size_t n, critic_error *err);
/* Pearson of x and y with z's linear part taken out of both. Needs n >= 3. */
struct cr_stat cr_partial(const double *x, const double *y, const double *z, size_t n);
/* Lin's concordance: 2 Sxy / (Sxx + Syy + n (mean x - mean y)^2). */
struct cr_stat cr_concordance(const double *x, const double *y, size_t n);
/* Means of |x - y| and of x - y. */
struct cr_stat cr_mean_error(const double *x, const double *y, size_t n);
struct cr_stat cr_mean_bias(const double *x, const double *y, size_t n);
/* Wasserstein-1 distance of the two samples' distributions. */
enum critic_status cr_wasserstein(struct cr_stat *out, const double *x, size_t n_x,
                                  const double *y, size_t n_y, critic_error *err);

/* Kendall. Of n(n-1)/2 pairs: P concordant, Q discordant, tied in x only, in y only, in both.
 *   a = (P-Q) / (n(n-1)/2);  b = (P-Q) / sqrt((P+Q+X)(P+Q+Y));
 *   c = 2 (P-Q) / (n^2 (m-1)/m), m the smaller number of distinct values (Stuart).
 * O(n log n), Knight 1966. Needs n >= 2; b and c refuse a constant side. */
struct cr_kendall {
    double n_concordant, n_discordant, n_tied_x, n_tied_y, n_tied_both;
    struct cr_stat tau_a, tau_b, tau_c;
};
enum critic_status cr_kendall(struct cr_kendall *out, const double *x, const double *y,
                              size_t n, critic_error *err);

/* Intervals of a correlation from its size alone, for samples too large to resample:
 * Fisher's z with variance 1/(n-3) (Pearson), (1 + r^2/2)/(n-3) (Spearman, Bonett and Wright
 * 2000), 0.437/(n-4) (Kendall, Fieller 1957). level: 0.95. */
enum cr_correlation { CR_PEARSON, CR_SPEARMAN, CR_KENDALL };
struct cr_interval cr_correlation_interval(enum cr_correlation kind, struct cr_stat r,
                                           size_t n, double level);

#endif
