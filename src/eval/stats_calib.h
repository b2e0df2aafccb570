/* Calibration and discrimination of probabilities. p[i] in [0, 1]; happened[i] 0 or 1. */
#ifndef CR_EVAL_STATS_CALIB_H
#define CR_EVAL_STATS_CALIB_H

#include "eval/stats.h"

struct cr_bin {
    double low,
        high; /* its probabilities lie in (low, high]; the first bin has low too */
    size_t n;
    double confidence; /* mean p; 0 where n is 0 */
    double frequency;  /* mean of happened; 0 where n is 0 */
};

/* EQUAL_WIDTH: n_bins of the same width. EQUAL_MASS: of the same number of items (equal
 * probabilities may part; order of the items then decides). */
enum cr_binning { CR_EQUAL_WIDTH, CR_EQUAL_MASS };

/* Expected calibration error: sum over bins of n/N |frequency - confidence|. bins: n_bins of
 * them, filled, may be NULL. Errors: CRITIC_NO_MEMORY, CRITIC_BAD_ARGUMENT (n_bins is 0). */
enum critic_status cr_ece(struct cr_stat *out, struct cr_bin *bins, size_t n_bins,
                          enum cr_binning binning, const double *p,
                          const unsigned char *happened, size_t n, critic_error *err);
/* Mean of (p - happened)^2. */
struct cr_stat cr_brier(const double *p, const unsigned char *happened, size_t n);
/* Mean of -log of what the event was given; p clipped to [1e-15, 1 - 1e-15]. */
struct cr_stat cr_log_loss(const double *p, const unsigned char *happened, size_t n);
/* Area under the ROC curve, ties count half; any finite scores. Errors: CRITIC_NO_MEMORY. */
enum critic_status cr_auroc(struct cr_stat *out, const double *score,
                            const unsigned char *happened, size_t n, critic_error *err);

#endif
