#include "eval/stats_calib.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/checked.h"

static const char *refuses(const double *p, size_t n) {
    if (n == 0)
        return cr_why_empty;
    for (size_t i = 0; i < n; i++) {
        if (!isfinite(p[i]))
            return cr_why_nan;
        if (p[i] < 0 || p[i] > 1)
            return "a probability is outside 0 to 1";
    }
    return NULL;
}

struct cr_stat cr_brier(const double *p, const unsigned char *happened, size_t n) {
    const char *why = refuses(p, n);
    if (why)
        return cr_stat_undefined(why);
    double sum = 0;
    for (size_t i = 0; i < n; i++) {
        double miss = p[i] - (happened[i] ? 1 : 0);
        sum += miss * miss;
    }
    return cr_stat_of(sum / (double)n);
}

struct cr_stat cr_log_loss(const double *p, const unsigned char *happened, size_t n) {
    const char *why = refuses(p, n);
    if (why)
        return cr_stat_undefined(why);
    double sum = 0;
    for (size_t i = 0; i < n; i++) {
        double given = happened[i] ? p[i] : 1 - p[i];
        sum -= log(CR_MIN(CR_MAX(given, 1e-15), 1 - 1e-15));
    }
    return cr_stat_of(sum / (double)n);
}

enum critic_status cr_auroc(struct cr_stat *out, const double *score,
                            const unsigned char *happened, size_t n, critic_error *err) {
    size_t n_happened = 0;
    *out = cr_stat_undefined(n == 0 ? cr_why_empty : NULL);
    for (size_t i = 0; i < n && !out->why; i++) {
        n_happened += happened[i] != 0;
        if (!isfinite(score[i]))
            out->why = cr_why_nan;
    }
    if (!out->why && (n_happened == 0 || n_happened == n))
        out->why = cr_why_one_class;
    if (out->why)
        return CRITIC_OK;
    double *ranks = calloc(n, sizeof *ranks);
    if (!ranks)
        return cr_fail(err, CRITIC_NO_MEMORY, "no memory for the ranks of %zu items", n);
    enum critic_status status = cr_midranks(ranks, score, n, err);
    double sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += happened[i] ? ranks[i] : 0;
    free(ranks);
    double m = (double)n_happened;
    if (status == CRITIC_OK)
        *out = cr_stat_of((sum - m * (m + 1) / 2) / (m * ((double)n - m)));
    return status;
}

/* ---- expected calibration error ------------------------------------------------------------- */

struct by_p {
    double p;
    size_t at;
};

static int compare_by_p(const void *a, const void *b) {
    const struct by_p *x = a;
    const struct by_p *y = b;
    if (x->p != y->p)
        return x->p < y->p ? -1 : 1;
    return (x->at > y->at) - (x->at < y->at);
}

static void add_to_bin(struct cr_bin *bin, double p, bool happened) {
    bin->n++;
    bin->confidence += p;
    bin->frequency += happened;
}

static void fill_equal_width(struct cr_bin *bins, size_t n_bins, const double *p,
                             const unsigned char *happened, size_t n) {
    for (size_t b = 0; b < n_bins; b++) {
        bins[b].low = (double)b / (double)n_bins;
        bins[b].high = (double)(b + 1) / (double)n_bins;
    }
    for (size_t i = 0; i < n; i++) {
        double place = ceil(p[i] * (double)n_bins) - 1;
        size_t b = place <= 0 ? 0 : CR_MIN((size_t)place, n_bins - 1);
        add_to_bin(&bins[b], p[i], happened[i] != 0);
    }
}

static enum critic_status fill_equal_mass(struct cr_bin *bins, size_t n_bins,
                                          const double *p, const unsigned char *happened,
                                          size_t n, critic_error *err) {
    struct by_p *order = calloc(n, sizeof *order);
    if (!order)
        return cr_fail(err, CRITIC_NO_MEMORY, "no memory to sort %zu items", n);
    for (size_t i = 0; i < n; i++)
        order[i] = (struct by_p){p[i], i};
    qsort(order, n, sizeof *order, compare_by_p);
    for (size_t b = 0; b < n_bins; b++) {
        size_t start = (size_t)((double)b * (double)n / (double)n_bins);
        size_t end = (size_t)((double)(b + 1) * (double)n / (double)n_bins);
        for (size_t i = start; i < end && i < n; i++)
            add_to_bin(&bins[b], order[i].p, happened[order[i].at] != 0);
        bins[b].low = start < n ? order[start].p : 1;
        bins[b].high = end > start ? order[end - 1].p : bins[b].low;
    }
    free(order);
    return CRITIC_OK;
}

enum critic_status cr_ece(struct cr_stat *out, struct cr_bin *bins, size_t n_bins,
                          enum cr_binning binning, const double *p,
                          const unsigned char *happened, size_t n, critic_error *err) {
    *out = cr_stat_undefined(refuses(p, n));
    if (n_bins == 0)
        return cr_fail(err, CRITIC_BAD_ARGUMENT, "calibration needs at least one bin");
    struct cr_bin *own = calloc(n_bins, sizeof *own);
    if (!own)
        return cr_fail(err, CRITIC_NO_MEMORY, "no memory for %zu bins", n_bins);
    enum critic_status status = CRITIC_OK;
    if (!out->why && binning == CR_EQUAL_WIDTH)
        fill_equal_width(own, n_bins, p, happened, n);
    else if (!out->why)
        status = fill_equal_mass(own, n_bins, p, happened, n, err);
    double sum = 0;
    for (size_t b = 0; b < n_bins; b++) {
        sum += fabs(own[b].frequency - own[b].confidence);
        if (own[b].n > 0) {
            own[b].confidence /= (double)own[b].n;
            own[b].frequency /= (double)own[b].n;
        }
    }
    if (status == CRITIC_OK && !out->why)
        *out = cr_stat_of(sum / (double)n);
    if (bins)
        memcpy(bins, own, n_bins * sizeof *own);
    free(own);
    return status;
}
