/* A judge beside a reference, item by item, from a table: columns x (judge), y (reference), perhaps z
 * (another judge) and a cluster key (prompt, picture), and every statistic of them at once. */
#ifndef CR_EVAL_PAIRS_H
#define CR_EVAL_PAIRS_H

#include "eval/faults.h"
#include "eval/stats_boot.h"
#include "eval/stats_label.h"
#include "eval/stats_signif.h"

struct cr_pair_keys {
    const char *x, *y;
    const char *z, *cluster; /* NULL: none */
};

/* Numbers, or picks ("first", "second", "tie"; also "A", "B", "C"; anything else: unparsed). */
struct cr_pairs {
    bool are_picks;
    size_t n, n_rows;  /* items with x and y (and z); rows of the file */
    double *x, *y, *z; /* z NULL without */
    unsigned char *pick_x, *pick_y, *pick_z;
    uint32_t *cluster; /* NULL without */
    size_t n_clusters;
};

/* The first row decides whether the columns are numbers or picks; a row that is otherwise is
 * a fault ("mixed"), a number that is missing as well, and both are left out.
 * Errors: as cr_rows_read. Ownership: cr_pairs_fini, after failure too. */
enum critic_status cr_pairs_read(struct cr_pairs *out, const char *path,
                                 const struct cr_pair_keys *keys,
                                 struct cr_faults *faults, critic_error *err);
void cr_pairs_fini(struct cr_pairs *p);

/* A statistic with its interval and how that was made ("percentile", "BCa", "little bags",
 * "Fisher z"). */
struct cr_measured {
    struct cr_stat value;
    struct cr_interval interval;
    const char *how;
};

struct cr_number_report {
    struct cr_measured pearson, spearman, tau_b, bias;
    struct cr_stat tau_a, tau_c, concordance, mean_error;
    struct cr_spread spread_x, spread_y;
    /* with z: x less z */
    struct cr_boot pearson_gain; /* r(x, y) - r(z, y) */
    struct cr_boot error_gain;   /* mean of |z - y| - |x - y|: above 0, x is nearer */
    struct cr_stat error_gain_p; /* signs of the differences flipped */
    struct cr_power error_gain_power;
};
/* Rank correlations are resampled up to 2e7 unit draws, beyond that Fisher's z.
 * Errors: as cr_boot_sums. */
enum critic_status cr_pairs_numbers(struct cr_number_report *out,
                                    const struct cr_pairs *p,
                                    const struct cr_boot_options *options,
                                    critic_error *err);

struct cr_pick_report {
    struct cr_pick_scores x, z;
    struct cr_boot with_tie, no_tie_strict; /* of x */
    struct cr_boot gain;                    /* accuracy with ties, x less z */
    size_t only_x, only_z;                  /* right alone */
    struct cr_mcnemar mcnemar;
    struct cr_power power;
};
enum critic_status cr_pairs_picks(struct cr_pick_report *out, const struct cr_pairs *p,
                                  const struct cr_boot_options *options,
                                  critic_error *err);

#endif
