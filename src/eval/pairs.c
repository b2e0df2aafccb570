#include "eval/pairs.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define MAX_RANK_DRAWS 2e7 /* units times draws */
#define N_FLIPS        10000
#define MAX_FLIPS      1e9 /* units times flips */

static struct cr_measured measured(const struct cr_boot *b) {
    return (struct cr_measured){b->estimate, b->interval, b->how};
}

/* ---- numbers -------------------------------------------------------------------------------- */

static enum critic_status rank_measured(struct cr_measured *out, enum cr_correlation kind,
                                        struct cr_stat value, const struct cr_pairs *p,
                                        const struct cr_boot_options *o,
                                        critic_error *err) {
    struct cr_boot boot;
    if ((double)p->n * (double)o->n_draws > MAX_RANK_DRAWS) {
        *out = (struct cr_measured){
            value, cr_correlation_interval(kind, value, p->n, o->level), "Fisher z"};
        return CRITIC_OK;
    }
    CR_TRY(cr_boot_rank(&boot, kind, p->x, NULL, p->y, p->n, p->cluster, p->n_clusters, o,
                        err));
    *out = measured(&boot);
    out->value = value; /* with its own reason where undefined */
    return CRITIC_OK;
}

static enum critic_status compare_numbers(struct cr_number_report *out,
                                          const struct cr_pairs *p,
                                          const struct cr_boot_options *o,
                                          critic_error *err) {
    double *miss = calloc(p->n + 1, 2 * sizeof *miss);
    double *other = miss + p->n;
    if (!miss)
        return cr_fail(err, CRITIC_NO_MEMORY, "no memory for %zu pairs", p->n);
    for (size_t i = 0; i < p->n; i++) {
        miss[i] = fabs(p->x[i] - p->y[i]);
        other[i] = fabs(p->z[i] - p->y[i]);
    }
    enum critic_status status = cr_boot_pearson(&out->pearson_gain, p->x, p->z, p->y,
                                                p->n, p->cluster, p->n_clusters, o, err);
    if (status == CRITIC_OK)
        status = cr_boot_mean(&out->error_gain, other, miss, p->n, p->cluster,
                              p->n_clusters, o, err);
    if (status == CRITIC_OK) {
        size_t flips = (double)p->n * N_FLIPS > MAX_FLIPS ? 1000 : N_FLIPS;
        status = cr_permute_paired(&out->error_gain_p, other, miss, p->n, p->cluster,
                                   p->n_clusters, flips, o->seed, err);
    }
    for (size_t i = 0; i < p->n; i++)
        miss[i] = other[i] - miss[i];
    out->error_gain_power = cr_power_paired(out->error_gain.estimate.value,
                                            cr_sd(miss, p->n).value, p->n, 0.05, 0.8);
    free(miss);
    return status;
}

enum critic_status cr_pairs_numbers(struct cr_number_report *out,
                                    const struct cr_pairs *p,
                                    const struct cr_boot_options *options,
                                    critic_error *err) {
    struct cr_boot boot;
    struct cr_kendall kendall;
    struct cr_stat spearman;
    memset(out, 0, sizeof *out);
    CR_TRY(cr_boot_pearson(&boot, p->x, NULL, p->y, p->n, p->cluster, p->n_clusters,
                           options, err));
    out->pearson = measured(&boot);
    out->pearson.value = cr_pearson(p->x, p->y, p->n);
    CR_TRY(
        cr_boot_mean(&boot, p->x, p->y, p->n, p->cluster, p->n_clusters, options, err));
    out->bias = measured(&boot);
    CR_TRY(cr_spearman(&spearman, p->x, p->y, p->n, err));
    CR_TRY(rank_measured(&out->spearman, CR_SPEARMAN, spearman, p, options, err));
    CR_TRY(cr_kendall(&kendall, p->x, p->y, p->n, err));
    CR_TRY(rank_measured(&out->tau_b, CR_KENDALL, kendall.tau_b, p, options, err));
    out->tau_a = kendall.tau_a;
    out->tau_c = kendall.tau_c;
    out->concordance = cr_concordance(p->x, p->y, p->n);
    out->mean_error = cr_mean_error(p->x, p->y, p->n);
    CR_TRY(cr_spread(&out->spread_x, p->x, p->n, 0, err));
    CR_TRY(cr_spread(&out->spread_y, p->y, p->n, 0, err));
    return p->z ? compare_numbers(out, p, options, err) : CRITIC_OK;
}

/* ---- picks ---------------------------------------------------------------------------------- */

enum { IN_ALL, RIGHT, IN_UNTIED, RIGHT_UNTIED, RIGHT_Z, N_TERMS };

static double share_of(const double *sums, size_t k, const void *user) {
    const int *terms = user;
    (void)k;
    double whole = sums[terms[1]];
    double part = sums[terms[0]] - (terms[2] >= 0 ? sums[terms[2]] : 0);
    return whole > 0 ? part / whole : (double)NAN;
}

static double *pick_terms(struct cr_pick_report *out, const struct cr_pairs *p) {
    double *terms = calloc(p->n + 1, N_TERMS * sizeof *terms);
    for (size_t i = 0; terms && i < p->n; i++) {
        double *t = terms + i * N_TERMS;
        unsigned char truth = p->pick_y[i];
        if (truth == CR_PICK_NONE)
            continue;
        bool right = p->pick_x[i] == truth;
        bool right_z = p->pick_z && p->pick_z[i] == truth;
        t[IN_ALL] = 1;
        t[RIGHT] = right;
        t[RIGHT_Z] = right_z;
        t[IN_UNTIED] = truth != CR_PICK_TIE;
        t[RIGHT_UNTIED] = right && truth != CR_PICK_TIE;
        out->only_x += p->pick_z && right && !right_z;
        out->only_z += p->pick_z && right_z && !right;
    }
    return terms;
}

enum critic_status cr_pairs_picks(struct cr_pick_report *out, const struct cr_pairs *p,
                                  const struct cr_boot_options *options,
                                  critic_error *err) {
    static const int with_tie[] = {RIGHT, IN_ALL, -1};
    static const int no_tie[] = {RIGHT_UNTIED, IN_UNTIED, -1};
    static const int gain[] = {RIGHT, IN_ALL, RIGHT_Z};
    memset(out, 0, sizeof *out);
    double *terms = pick_terms(out, p);
    if (!terms)
        return cr_fail(err, CRITIC_NO_MEMORY, "no memory for %zu pairs", p->n);
    cr_pick_scores(&out->x, p->pick_y, p->pick_x, p->n);
    enum critic_status status =
        cr_boot_sums(&out->with_tie, terms, p->n, N_TERMS, p->cluster, p->n_clusters,
                     share_of, with_tie, options, err);
    if (status == CRITIC_OK)
        status = cr_boot_sums(&out->no_tie_strict, terms, p->n, N_TERMS, p->cluster,
                              p->n_clusters, share_of, no_tie, options, err);
    if (status == CRITIC_OK && p->pick_z) {
        cr_pick_scores(&out->z, p->pick_y, p->pick_z, p->n);
        out->mcnemar = cr_mcnemar(out->only_x, out->only_z);
        out->power = cr_power_mcnemar(out->only_x, out->only_z, out->x.n, 0.05, 0.8);
        status = cr_boot_sums(&out->gain, terms, p->n, N_TERMS, p->cluster, p->n_clusters,
                              share_of, gain, options, err);
    }
    free(terms);
    return status;
}
