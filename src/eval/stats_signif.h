/* Is a difference real, and how many more items would tell? */
#ifndef CR_EVAL_STATS_SIGNIF_H
#define CR_EVAL_STATS_SIGNIF_H

#include "eval/stats.h"

/* Wilson score interval of successes / n. */
struct cr_interval cr_wilson(size_t successes, size_t n, double level);
/* Newcombe's hybrid score interval (1998, method 10) of s1/n1 - s2/n2. */
struct cr_interval cr_two_proportions(size_t s1, size_t n1, size_t s2, size_t n2,
                                      double level);

/* McNemar on the discordant counts: only A right, only B right. Exact binomial below 25
 * discordant pairs, else chi-squared (|b-c|-1)^2 / (b+c). None discordant: undefined. */
struct cr_mcnemar {
    struct cr_stat p_value;
    double statistic; /* chi-squared, or the smaller count */
    bool exact;
};
struct cr_mcnemar cr_mcnemar(size_t only_a, size_t only_b);

/* Two-sided permutation tests; p = (1 + as extreme) / (1 + draws), or exact over all
 * permutations where these are no more than the draws asked for.
 * Errors: CRITIC_NO_MEMORY, CRITIC_BAD_ARGUMENT (no draws). */
/* Of the mean of a[i] - b[i], signs flipped: two judges on the same items. Differences of
 * items in one cluster flip together (cluster NULL: every item alone). */
enum critic_status cr_permute_paired(struct cr_stat *p_value, const double *a,
                                     const double *b, size_t n, const uint32_t *cluster,
                                     size_t n_clusters, size_t n_draws, uint64_t seed,
                                     critic_error *err);
/* Of the difference of the means of two independent samples. */
enum critic_status cr_permute_groups(struct cr_stat *p_value, const double *a, size_t n_a,
                                     const double *b, size_t n_b, size_t n_draws,
                                     uint64_t seed, critic_error *err);

/* Holm's step-down: adjusted[i] for p[i], both in the given order; a NaN stays NaN and is
 * no test. Errors: CRITIC_NO_MEMORY. */
enum critic_status cr_holm(double *adjusted, const double *p, size_t n,
                           critic_error *err);

/* How many items until a paired difference like this one is found with probability `power` at
 * two-sided level alpha, and how many more than the n there are.
 * cr_power_paired: from the differences' mean and standard deviation, normal approximation.
 * cr_power_mcnemar: from the discordant counts (Miettinen 1968).
 * Undefined where there is no difference at all. */
struct cr_power {
    struct cr_stat n_needed; /* rounded up */
    struct cr_stat n_more;   /* 0 where enough */
};
struct cr_power cr_power_paired(double mean, double sd, size_t n, double alpha,
                                double power);
struct cr_power cr_power_mcnemar(size_t only_a, size_t only_b, size_t n, double alpha,
                                 double power);

#endif
