/* Distribution functions that the statistics share. */
#ifndef CR_EVAL_STATS_MATH_H
#define CR_EVAL_STATS_MATH_H

#include <stddef.h>

double cr_normal_cdf(double z);
/* Quantile of the standard normal, p in (0, 1): Acklam's rational form and one Halley step;
 * full double precision. */
double cr_normal_quantile(double p);
/* P(X > x) of chi-squared with one degree of freedom. */
double cr_chi2_1_sf(double x);
/* P(X <= k) of Binomial(n, 1/2). */
double cr_binomial_half_cdf(size_t k, size_t n);
/* The q-quantile of sorted[0..n), linear between neighbours (NumPy's default). */
double cr_sorted_quantile(const double *sorted, size_t n, double q);

#endif
