/* What stats_boot*.c share. */
#ifndef CR_EVAL_STATS_BOOT_IMPL_H
#define CR_EVAL_STATS_BOOT_IMPL_H

#include "eval/stats_boot.h"

int cr_boot_threads(const struct cr_boot_options *o);
/* Errors: CRITIC_BAD_ARGUMENT. */
enum critic_status cr_boot_check(size_t n, const uint32_t *cluster, size_t n_clusters,
                                 const struct cr_boot_options *o, critic_error *err);
/* An out without draws yet; interval.why is set where no draws are needed. */
void cr_boot_start(struct cr_boot *out, double estimate, size_t n_units);
/* values: o->n_draws of them, NaN where undefined; sorted and cut on the way. acceleration: of
 * BCa, NaN: percentile. */
void cr_boot_finish(struct cr_boot *out, double *values, const struct cr_boot_options *o,
                    double acceleration);
/* Sum of (mean - j)^3 / (6 (sum of (mean - j)^2)^1.5). */
double cr_boot_acceleration(const double *jackknife, size_t n);

#endif
