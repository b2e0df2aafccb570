/* Bootstrap intervals. What is drawn is a unit (an item, or a cluster of the items that share
 * a prompt or picture); the same draw serves both judges of a comparison, which makes it
 * paired. The same seed gives the same interval for any number of threads. */
#ifndef CR_EVAL_STATS_BOOT_H
#define CR_EVAL_STATS_BOOT_H

#include "eval/stats.h"

enum cr_boot_method { CR_BOOT_PERCENTILE, CR_BOOT_BCA };

struct cr_boot_options {
    enum cr_boot_method method;
    size_t n_draws; /* 2000 */
    double level;   /* 0.95 */
    uint64_t seed;
    size_t n_threads; /* 0: as many as OpenMP gives */
};
void cr_boot_options_default(struct cr_boot_options *o);

struct cr_boot {
    struct cr_stat estimate;     /* of all units */
    struct cr_interval interval; /* why: too few units, estimate undefined, … */
    double error;                /* standard deviation of the draws */
    /* two-sided: twice the smaller share of draws at or beyond 0, at least 2 / (n_draws +
       1); for differences */
    double p_value;
    size_t n_units;
    /* draws on which the statistic was defined; fewer than 90 %: refused */
    size_t n_used;
    const char *how; /* "percentile", "BCa", "little bags" (cr_boot_sums) */
};

/* ---- statistics of sums ------------------------------------------------------------------- */

/* A statistic of the k sums over the drawn units' terms; NaN where it is not defined. */
typedef double (*cr_boot_of_sums)(const double *sums, size_t k, const void *user);

/* terms: (n, k), item by item; each item's terms add to its unit's. cluster[i] < n_clusters
 * names item i's unit; NULL: every item is one.
 * Units that are equal in all terms are drawn together, so verdicts cost next to nothing. More
 * than 2^20 unit-draws in thousands (n_units x n_draws > 1e9): the bag of little bootstraps
 * (Kleiner and others 2014) with 20 bags of n^0.7 units and Poisson weights, percentile.
 * Errors: CRITIC_NO_MEMORY, CRITIC_BAD_ARGUMENT (k is 0 or above CR_BOOT_MAX_TERMS, a
 * cluster out of range). */
#define CR_BOOT_MAX_TERMS 32
enum critic_status cr_boot_sums(struct cr_boot *out, const double *terms, size_t n,
                                size_t k, const uint32_t *cluster, size_t n_clusters,
                                cr_boot_of_sums statistic, const void *user,
                                const struct cr_boot_options *options, critic_error *err);

/* ---- any statistic ------------------------------------------------------------------------- */

/* index: n items, as drawn (repeats and all). May be called from several threads at once. */
typedef double (*cr_boot_of_items)(const uint32_t *index, size_t n, const void *user);

enum critic_status cr_boot_items(struct cr_boot *out, size_t n, const uint32_t *cluster,
                                 size_t n_clusters, cr_boot_of_items statistic,
                                 const void *user, const struct cr_boot_options *options,
                                 critic_error *err);

/* ---- the usual ones, in terms of the above -------------------------------------------------- */

/* Mean of x; NULL y, or difference of the means of x and y (two judges on the same items). */
enum critic_status cr_boot_mean(struct cr_boot *out, const double *x, const double *y,
                                size_t n, const uint32_t *cluster, size_t n_clusters,
                                const struct cr_boot_options *options, critic_error *err);
/* Pearson of a and reference; with b, the difference r(a, reference) - r(b, reference). */
enum critic_status cr_boot_pearson(struct cr_boot *out, const double *a, const double *b,
                                   const double *reference, size_t n,
                                   const uint32_t *cluster, size_t n_clusters,
                                   const struct cr_boot_options *options,
                                   critic_error *err);
/* The same of Spearman or Kendall's tau-b, O(n log n) a draw. */
enum critic_status cr_boot_rank(struct cr_boot *out, enum cr_correlation kind,
                                const double *a, const double *b, const double *reference,
                                size_t n, const uint32_t *cluster, size_t n_clusters,
                                const struct cr_boot_options *options, critic_error *err);

#endif
