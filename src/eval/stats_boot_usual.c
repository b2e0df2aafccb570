/* Bootstraps of means and correlations (stats_boot.h). */
#include <math.h>
#include <stdlib.h>

#include "eval/stats_boot.h"

static enum critic_status no_memory(size_t n, critic_error *err) {
    return cr_fail(err, CRITIC_NO_MEMORY, "no memory for a bootstrap of %zu items", n);
}

/* ---- means ---------------------------------------------------------------------------------- */

static double mean_of_sums(const double *sums, size_t k, const void *user) {
    (void)k;
    (void)user;
    return sums[0] > 0 ? sums[1] / sums[0] : (double)NAN;
}

enum critic_status cr_boot_mean(struct cr_boot *out, const double *x, const double *y,
                                size_t n, const uint32_t *cluster, size_t n_clusters,
                                const struct cr_boot_options *options,
                                critic_error *err) {
    double *terms = calloc(n + 1, 2 * sizeof *terms);
    if (!terms)
        return no_memory(n, err);
    for (size_t i = 0; i < n; i++) {
        terms[2 * i] = 1;
        terms[2 * i + 1] = y ? x[i] - y[i] : x[i];
    }
    enum critic_status status = cr_boot_sums(out, terms, n, 2, cluster, n_clusters,
                                             mean_of_sums, NULL, options, err);
    free(terms);
    return status;
}

/* ---- Pearson -------------------------------------------------------------------------------- */

/* From n, Sx, Sy, Sxx, Syy, Sxy; a side whose variance is rounding is constant. */
static double pearson_of(double n, double x, double y, double xx, double yy, double xy) {
    double vx = xx - x * x / n;
    double vy = yy - y * y / n;
    if (!(vx > 1e-12 * xx) || !(vy > 1e-12 * yy))
        return NAN;
    return (xy - x * y / n) / sqrt(vx * vy);
}

/* 1, r, a, rr, aa, ra [, b, bb, rb] */
static double pearson_of_sums(const double *s, size_t k, const void *user) {
    (void)user;
    double r = pearson_of(s[0], s[1], s[2], s[3], s[4], s[5]);
    return k == 6 ? r : r - pearson_of(s[0], s[1], s[6], s[3], s[7], s[8]);
}

static double centre(const double *x, size_t n) {
    struct cr_stat mean = cr_mean(x, n);
    return mean.why ? 0 : mean.value;
}

enum critic_status cr_boot_pearson(struct cr_boot *out, const double *a, const double *b,
                                   const double *reference, size_t n,
                                   const uint32_t *cluster, size_t n_clusters,
                                   const struct cr_boot_options *options,
                                   critic_error *err) {
    size_t k = b ? 9 : 6;
    double *terms = calloc(n + 1, k * sizeof *terms);
    if (!terms)
        return no_memory(n, err);
    double centre_r = centre(reference, n);
    double centre_a = centre(a, n);
    double centre_b = b ? centre(b, n) : 0;
    for (size_t i = 0; i < n; i++) {
        double *t = terms + i * k;
        t[0] = 1;
        t[1] = reference[i] - centre_r;
        t[2] = a[i] - centre_a;
        t[3] = t[1] * t[1];
        t[4] = t[2] * t[2];
        t[5] = t[1] * t[2];
        if (!b)
            continue;
        t[6] = b[i] - centre_b;
        t[7] = t[6] * t[6];
        t[8] = t[1] * t[6];
    }
    enum critic_status status = cr_boot_sums(out, terms, n, k, cluster, n_clusters,
                                             pearson_of_sums, NULL, options, err);
    free(terms);
    return status;
}

/* ---- rank correlations ---------------------------------------------------------------------- */

struct rank_job {
    enum cr_correlation kind;
    const double *a, *b, *reference;
};

static double correlation_of(enum cr_correlation kind, const double *x, const double *y,
                             size_t n) {
    struct cr_stat s = {NAN, NULL};
    struct cr_kendall k;
    if (kind == CR_PEARSON)
        return cr_pearson(x, y, n).value;
    if (kind == CR_SPEARMAN)
        return cr_spearman(&s, x, y, n, NULL) == CRITIC_OK ? s.value : (double)NAN;
    return cr_kendall(&k, x, y, n, NULL) == CRITIC_OK ? k.tau_b.value : (double)NAN;
}

static double rank_of_items(const uint32_t *index, size_t n, const void *user) {
    const struct rank_job *job = user;
    double *x = calloc(n + 1, 2 * sizeof *x);
    double *y = x + n;
    if (!x)
        return NAN;
    for (size_t i = 0; i < n; i++) {
        x[i] = job->a[index[i]];
        y[i] = job->reference[index[i]];
    }
    double r = correlation_of(job->kind, x, y, n);
    if (job->b) {
        for (size_t i = 0; i < n; i++)
            x[i] = job->b[index[i]];
        r -= correlation_of(job->kind, x, y, n);
    }
    free(x);
    return r;
}

enum critic_status cr_boot_rank(struct cr_boot *out, enum cr_correlation kind,
                                const double *a, const double *b, const double *reference,
                                size_t n, const uint32_t *cluster, size_t n_clusters,
                                const struct cr_boot_options *options,
                                critic_error *err) {
    const struct rank_job job = {kind, a, b, reference};
    return cr_boot_items(out, n, cluster, n_clusters, rank_of_items, &job, options, err);
}
