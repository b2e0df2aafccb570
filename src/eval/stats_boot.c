#include "eval/stats_boot.h"

#include <math.h>
#include <omp.h>
#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "base/rng.h"
#include "base/sort.h"
#include "eval/stats_boot_impl.h"
#include "eval/stats_math.h"

void cr_boot_options_default(struct cr_boot_options *o) {
    *o = (struct cr_boot_options){CR_BOOT_PERCENTILE, 2000, 0.95, 1, 0};
}

int cr_boot_threads(const struct cr_boot_options *o) {
    int most = omp_get_max_threads();
    return o->n_threads > 0 && o->n_threads < (size_t)most ? (int)o->n_threads : most;
}

enum critic_status cr_boot_check(size_t n, const uint32_t *cluster, size_t n_clusters,
                                 const struct cr_boot_options *o, critic_error *err) {
    if (o->n_draws == 0 || !(o->level > 0 && o->level < 1))
        return cr_fail(err, CRITIC_BAD_ARGUMENT,
                       "a bootstrap needs draws and a level between 0 and 1");
    if (n > UINT32_MAX)
        return cr_fail(err, CRITIC_BAD_ARGUMENT, "a bootstrap of more than 2^32 items");
    for (size_t i = 0; cluster && i < n; i++)
        if (cluster[i] >= n_clusters)
            return cr_fail(err, CRITIC_BAD_ARGUMENT, "item %zu's cluster is out of range",
                           i);
    return CRITIC_OK;
}

void cr_boot_start(struct cr_boot *out, double estimate, size_t n_units) {
    memset(out, 0, sizeof *out);
    out->estimate = isfinite(estimate)
                        ? cr_stat_of(estimate)
                        : cr_stat_undefined("the statistic is undefined on these items");
    out->n_units = n_units;
    out->how = "percentile";
    out->error = out->p_value = NAN;
    out->interval = (struct cr_interval){NAN, NAN,
                                         n_units == 0  ? cr_why_empty
                                         : n_units < 2 ? cr_why_few
                                                       : NULL};
    if (!out->interval.why)
        out->interval.why = out->estimate.why;
}

/* ---- from draws to an interval -------------------------------------------------------------- */

static size_t keep_defined(double *values, size_t n) {
    size_t kept = 0;
    for (size_t i = 0; i < n; i++)
        if (!isnan(values[i]))
            values[kept++] = values[i];
    return kept;
}

/* Share of sorted draws below x, those equal to it counting half. */
static double share_below(const double *sorted, size_t n, double x) {
    size_t below = 0, upto = 0;
    for (size_t i = 0; i < n && sorted[i] <= x; i++) {
        below += sorted[i] < x;
        upto++;
    }
    return ((double)below + (double)upto) / (2 * (double)n);
}

/* Efron 1987: bias from where the estimate lies among the draws, acceleration from the
 * jackknife. false where either is not defined. */
static bool bca_levels(double *low, double *high, const double *sorted, size_t n,
                       double estimate, double acceleration) {
    double z0 = cr_normal_quantile(share_below(sorted, n, estimate));
    if (!isfinite(z0) || !isfinite(acceleration))
        return false;
    double z_low = z0 + cr_normal_quantile(*low);
    double z_high = z0 + cr_normal_quantile(*high);
    *low = cr_normal_cdf(z0 + z_low / (1 - acceleration * z_low));
    *high = cr_normal_cdf(z0 + z_high / (1 - acceleration * z_high));
    return isfinite(*low) && isfinite(*high);
}

double cr_boot_acceleration(const double *jackknife, size_t n) {
    double mean = 0;
    for (size_t i = 0; i < n; i++)
        mean += jackknife[i] / (double)n;
    double squares = 0, cubes = 0;
    for (size_t i = 0; i < n; i++) {
        double d = mean - jackknife[i];
        squares += d * d;
        cubes += d * d * d;
    }
    return squares > 0 ? cubes / (6 * pow(squares, 1.5)) : 0;
}

static double two_sided_p(const double *sorted, size_t n) {
    size_t upto = 0, from = 0;
    for (size_t i = 0; i < n; i++) {
        upto += sorted[i] <= 0;
        from += sorted[i] >= 0;
    }
    double p = 2 * ((double)CR_MIN(upto, from) + 1) / ((double)n + 1);
    return CR_MIN(p, 1.0);
}

void cr_boot_finish(struct cr_boot *out, double *values, const struct cr_boot_options *o,
                    double acceleration) {
    size_t n = keep_defined(values, o->n_draws);
    out->n_used = n;
    if ((double)n < 0.9 * (double)o->n_draws || n == 0) {
        out->interval.why = "the statistic is undefined on too many draws";
        return;
    }
    cr_sort_doubles(values, n);
    struct cr_stat sd = cr_sd(values, n);
    out->error = sd.value;
    out->p_value = two_sided_p(values, n);
    double low = (1 - o->level) / 2;
    double high = 1 - low;
    if (o->method == CR_BOOT_BCA &&
        bca_levels(&low, &high, values, n, out->estimate.value, acceleration))
        out->how = "BCa";
    else
        low = 1 - (high = (1 + o->level) / 2);
    out->interval.low = cr_sorted_quantile(values, n, low);
    out->interval.high = cr_sorted_quantile(values, n, high);
}

/* ---- any statistic -------------------------------------------------------------------------- */

#define MAX_JACKKNIFE 20000

/* Units' items one after the other: unit u has item[start[u] … start[u+1]). */
struct units {
    size_t n;
    uint32_t *item;
    size_t *start;
};

static bool units_init(struct units *u, size_t n, const uint32_t *cluster,
                       size_t n_clusters) {
    size_t most = cluster ? n_clusters : n;
    u->n = 0;
    u->item = calloc(n + 1, sizeof *u->item);
    u->start = calloc(most + 2, sizeof *u->start);
    if (!u->item || !u->start)
        return false;
    for (size_t i = 0; i < n; i++)
        u->start[(cluster ? cluster[i] : i) + 2]++;
    for (size_t c = 2; c <= most + 1; c++)
        u->start[c] += u->start[c - 1];
    for (size_t i = 0; i < n; i++)
        u->item[u->start[(cluster ? cluster[i] : i) + 1]++] = (uint32_t)i;
    for (size_t c = 0; c < most; c++) /* clusters without items are no units */
        if (u->start[c + 1] > u->start[c])
            u->start[++u->n] = u->start[c + 1];
    return true;
}

struct index_buffer {
    uint32_t *index;
    size_t n, cap;
};

static bool append_unit(struct index_buffer *b, const struct units *u, size_t unit) {
    size_t len = u->start[unit + 1] - u->start[unit];
    if (b->n + len > b->cap) {
        size_t cap = 2 * (b->n + len) + 64;
        uint32_t *index = realloc(b->index, cap * sizeof *index);
        if (!index)
            return false;
        b->index = index;
        b->cap = cap;
    }
    memcpy(b->index + b->n, u->item + u->start[unit], len * sizeof *b->index);
    b->n += len;
    return true;
}

/* One draw (leave_out == SIZE_MAX), or all units but one. NaN with *failed where memory is out. */
static double evaluate(struct index_buffer *b, const struct units *u, struct cr_rng *rng,
                       size_t leave_out, cr_boot_of_items statistic, const void *user,
                       bool *failed) {
    b->n = 0;
    for (size_t i = 0; i < u->n; i++) {
        size_t unit = leave_out == SIZE_MAX ? (size_t)cr_rng_below(rng, u->n) : i;
        if (i != leave_out && !append_unit(b, u, unit)) {
            *failed = true;
            return NAN;
        }
    }
    return statistic(b->index, b->n, user);
}

/* values: n of them, draws or jackknife values. */
static bool evaluate_all(double *values, size_t n, bool jackknife, const struct units *u,
                         cr_boot_of_items statistic, const void *user,
                         const struct cr_boot_options *o) {
    bool failed = false;
#pragma omp parallel num_threads(cr_boot_threads(o)) reduction(|| : failed)
    {
        struct index_buffer b = {NULL, 0, 0};
#pragma omp for schedule(dynamic, 16)
        for (size_t d = 0; d < n; d++) {
            struct cr_rng rng;
            cr_rng_seed_at(&rng, o->seed, d);
            values[d] =
                evaluate(&b, u, &rng, jackknife ? d : SIZE_MAX, statistic, user, &failed);
        }
        free(b.index);
    }
    return !failed;
}

static bool resample_items(struct cr_boot *out, const struct units *u,
                           cr_boot_of_items statistic, const void *user,
                           const struct cr_boot_options *o) {
    double acceleration = NAN;
    bool jackknife = o->method == CR_BOOT_BCA && u->n <= MAX_JACKKNIFE;
    double *values = calloc(CR_MAX(o->n_draws, u->n), sizeof *values);
    bool done = values != NULL;
    if (done && jackknife) {
        done = evaluate_all(values, u->n, true, u, statistic, user, o);
        acceleration = cr_boot_acceleration(values, u->n);
    }
    if (done)
        done = evaluate_all(values, o->n_draws, false, u, statistic, user, o);
    if (done)
        cr_boot_finish(out, values, o, acceleration);
    free(values);
    return done;
}

enum critic_status cr_boot_items(struct cr_boot *out, size_t n, const uint32_t *cluster,
                                 size_t n_clusters, cr_boot_of_items statistic,
                                 const void *user, const struct cr_boot_options *options,
                                 critic_error *err) {
    struct units u = {0};
    cr_boot_start(out, NAN, 0);
    CR_TRY(cr_boot_check(n, cluster, n_clusters, options, err));
    bool done = units_init(&u, n, cluster, n_clusters);
    if (done) {
        cr_boot_start(out, n > 0 ? statistic(u.item, n, user) : (double)NAN, u.n);
        if (!out->interval.why)
            done = resample_items(out, &u, statistic, user, options);
    }
    free(u.item);
    free(u.start);
    if (!done)
        return cr_fail(err, CRITIC_NO_MEMORY, "no memory for a bootstrap of %zu items",
                       n);
    return CRITIC_OK;
}
