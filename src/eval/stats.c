#include "eval/stats.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "base/sort.h"
#include "eval/stats_math.h"

const char cr_why_empty[] = "there are no items";
const char cr_why_few[] = "there are too few items";
const char cr_why_constant[] = "one side has a single value";
const char cr_why_nan[] = "a value is not a finite number";
const char cr_why_one_class[] = "only one class is there";
const char cr_why_separated[] =
    "the classes are separated: the fit has no finite maximum";
const char cr_why_difference[] = "there is no difference";

struct cr_stat cr_stat_of(double value) {
    return isfinite(value) ? (struct cr_stat){value, NULL}
                           : (struct cr_stat){NAN, cr_why_nan};
}

struct cr_stat cr_stat_undefined(const char *why) {
    return (struct cr_stat){NAN, why};
}

/* NULL where all values are finite and there are at least `least`, else why not. */
static const char *refuses(const double *x, size_t n, size_t least) {
    if (n == 0)
        return cr_why_empty;
    if (n < least)
        return cr_why_few;
    for (size_t i = 0; i < n; i++)
        if (!isfinite(x[i]))
            return cr_why_nan;
    return NULL;
}

static const char *refuses_both(const double *x, const double *y, size_t n,
                                size_t least) {
    const char *why = refuses(x, n, least);
    return why ? why : refuses(y, n, least);
}

static double *doubles_copy(const double *x, size_t n, critic_error *err) {
    size_t bytes;
    double *copy = cr_mul_size(n, sizeof *x, &bytes) ? malloc(bytes + 1) : NULL;
    if (!copy)
        cr_fail(err, CRITIC_NO_MEMORY, "no memory for a statistic of %zu items", n);
    else if (n > 0)
        memcpy(copy, x, bytes);
    return copy;
}

/* ---- one list ------------------------------------------------------------------------------- */

static double mean_of(const double *x, size_t n) {
    double sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += x[i];
    return sum / (double)n;
}

struct cr_stat cr_mean(const double *x, size_t n) {
    const char *why = refuses(x, n, 1);
    return why ? cr_stat_undefined(why) : cr_stat_of(mean_of(x, n));
}

struct cr_stat cr_sd(const double *x, size_t n) {
    const char *why = refuses(x, n, 2);
    if (why)
        return cr_stat_undefined(why);
    double mean = mean_of(x, n);
    double sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += (x[i] - mean) * (x[i] - mean);
    return cr_stat_of(sqrt(sum / (double)(n - 1)));
}

enum critic_status cr_spread(struct cr_spread *out, const double *x, size_t n,
                             size_t n_levels, critic_error *err) {
    memset(out, 0, sizeof *out);
    out->n = n;
    const char *why = refuses(x, n, 1);
    out->mode_share = out->entropy = cr_stat_undefined(why);
    if (why)
        return CRITIC_OK;
    double *sorted = doubles_copy(x, n, err);
    if (!sorted)
        return CRITIC_NO_MEMORY;
    cr_sort_doubles(sorted, n);
    size_t most = 0;
    double entropy = 0;
    for (size_t i = 0, end; i < n; i = end) {
        for (end = i + 1; end < n && sorted[end] == sorted[i]; end++)
            ;
        double share = (double)(end - i) / (double)n;
        entropy -= share * log(share);
        out->n_distinct++;
        if (end - i > most) {
            most = end - i;
            out->mode = sorted[i];
        }
    }
    free(sorted);
    size_t levels = CR_MAX(n_levels, out->n_distinct);
    out->mode_share = cr_stat_of((double)most / (double)n);
    out->entropy = cr_stat_of(levels > 1 ? entropy / log((double)levels) : 0);
    out->collapsed = out->mode_share.value > 0.8 || out->entropy.value < 0.2;
    return CRITIC_OK;
}

/* ---- order ---------------------------------------------------------------------------------- */

struct keyed {
    double key;
    double second;
    size_t at;
};

static int compare_keyed(const void *a, const void *b) {
    const struct keyed *x = a;
    const struct keyed *y = b;
    if (x->key != y->key)
        return x->key < y->key ? -1 : 1;
    if (x->second != y->second)
        return x->second < y->second ? -1 : 1;
    return (x->at > y->at) - (x->at < y->at);
}

/* Items sorted by x, then y (may be NULL). NULL where memory is out. */
static struct keyed *sort_keyed(const double *x, const double *y, size_t n,
                                critic_error *err) {
    struct keyed *k = calloc(n + 1, sizeof *k);
    if (!k) {
        cr_fail(err, CRITIC_NO_MEMORY, "no memory for a statistic of %zu items", n);
        return NULL;
    }
    for (size_t i = 0; i < n; i++)
        k[i] = (struct keyed){x[i], y ? y[i] : 0, i};
    qsort(k, n, sizeof *k, compare_keyed);
    return k;
}

enum critic_status cr_midranks(double *ranks, const double *x, size_t n,
                               critic_error *err) {
    struct keyed *k = sort_keyed(x, NULL, n, err);
    if (!k)
        return CRITIC_NO_MEMORY;
    for (size_t i = 0, end; i < n; i = end) {
        for (end = i + 1; end < n && k[end].key == k[i].key; end++)
            ;
        for (size_t j = i; j < end; j++)
            ranks[k[j].at] = (double)(i + 1 + end) / 2;
    }
    free(k);
    return CRITIC_OK;
}

/* ---- two lists ------------------------------------------------------------------------------ */

struct moments {
    double mean_x, mean_y, xx, yy, xy; /* centred sums */
};

static struct moments moments_of(const double *x, const double *y, size_t n) {
    struct moments m = {.mean_x = mean_of(x, n), .mean_y = mean_of(y, n)};
    for (size_t i = 0; i < n; i++) {
        double dx = x[i] - m.mean_x;
        double dy = y[i] - m.mean_y;
        m.xx += dx * dx;
        m.yy += dy * dy;
        m.xy += dx * dy;
    }
    return m;
}

static bool is_constant(const double *x, size_t n) {
    for (size_t i = 1; i < n; i++)
        if (x[i] != x[0])
            return false;
    return true;
}

struct cr_stat cr_pearson(const double *x, const double *y, size_t n) {
    const char *why = refuses_both(x, y, n, 2);
    if (why)
        return cr_stat_undefined(why);
    if (is_constant(x, n) || is_constant(y, n))
        return cr_stat_undefined(cr_why_constant);
    struct moments m = moments_of(x, y, n);
    double r = m.xy / (sqrt(m.xx) * sqrt(m.yy));
    return cr_stat_of(r > 1 ? 1 : r < -1 ? -1 : r);
}

enum critic_status cr_spearman(struct cr_stat *out, const double *x, const double *y,
                               size_t n, critic_error *err) {
    *out = cr_stat_undefined(refuses_both(x, y, n, 2));
    if (out->why)
        return CRITIC_OK;
    double *ranks = calloc(n, 2 * sizeof *ranks);
    if (!ranks)
        return cr_fail(err, CRITIC_NO_MEMORY, "no memory for the ranks of %zu items", n);
    enum critic_status status = cr_midranks(ranks, x, n, err);
    if (status == CRITIC_OK)
        status = cr_midranks(ranks + n, y, n, err);
    if (status == CRITIC_OK)
        *out = cr_pearson(ranks, ranks + n, n);
    free(ranks);
    return status;
}

struct cr_stat cr_partial(const double *x, const double *y, const double *z, size_t n) {
    const char *why = refuses_both(x, y, n, 3);
    if (!why)
        why = refuses(z, n, 3);
    if (why)
        return cr_stat_undefined(why);
    struct cr_stat xy = cr_pearson(x, y, n);
    struct cr_stat xz = cr_pearson(x, z, n);
    struct cr_stat yz = cr_pearson(y, z, n);
    if (xy.why || xz.why || yz.why)
        return cr_stat_undefined(cr_why_constant);
    double rest = (1 - xz.value * xz.value) * (1 - yz.value * yz.value);
    if (rest <= 1e-14)
        return cr_stat_undefined(cr_why_constant);
    return cr_stat_of((xy.value - xz.value * yz.value) / sqrt(rest));
}

struct cr_stat cr_concordance(const double *x, const double *y, size_t n) {
    const char *why = refuses_both(x, y, n, 2);
    if (why)
        return cr_stat_undefined(why);
    struct moments m = moments_of(x, y, n);
    double gap = m.mean_x - m.mean_y;
    double below = m.xx + m.yy + (double)n * gap * gap;
    return below > 0 ? cr_stat_of(2 * m.xy / below) : cr_stat_undefined(cr_why_constant);
}

struct cr_stat cr_mean_error(const double *x, const double *y, size_t n) {
    const char *why = refuses_both(x, y, n, 1);
    if (why)
        return cr_stat_undefined(why);
    double sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += fabs(x[i] - y[i]);
    return cr_stat_of(sum / (double)n);
}

struct cr_stat cr_mean_bias(const double *x, const double *y, size_t n) {
    const char *why = refuses_both(x, y, n, 1);
    if (why)
        return cr_stat_undefined(why);
    double sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += x[i] - y[i];
    return cr_stat_of(sum / (double)n);
}

/* The area between the two distribution functions. */
enum critic_status cr_wasserstein(struct cr_stat *out, const double *x, size_t n_x,
                                  const double *y, size_t n_y, critic_error *err) {
    const char *why = refuses(x, n_x, 1);
    *out = cr_stat_undefined(why ? why : refuses(y, n_y, 1));
    if (out->why)
        return CRITIC_OK;
    double *a = doubles_copy(x, n_x, err);
    double *b = a ? doubles_copy(y, n_y, err) : NULL;
    if (b) {
        cr_sort_doubles(a, n_x);
        cr_sort_doubles(b, n_y);
        double area = 0;
        double at = CR_MIN(a[0], b[0]);
        for (size_t i = 0, j = 0; i < n_x || j < n_y;) {
            double next = j == n_y || (i < n_x && a[i] < b[j]) ? a[i] : b[j];
            area += (next - at) * fabs((double)i / (double)n_x - (double)j / (double)n_y);
            at = next;
            for (; i < n_x && a[i] == next; i++)
                ;
            for (; j < n_y && b[j] == next; j++)
                ;
        }
        *out = cr_stat_of(area);
    }
    free(a);
    free(b);
    return b ? CRITIC_OK : CRITIC_NO_MEMORY;
}

/* ---- intervals ------------------------------------------------------------------------------ */

struct cr_interval cr_correlation_interval(enum cr_correlation kind, struct cr_stat r,
                                           size_t n, double level) {
    struct cr_interval out = {NAN, NAN, r.why};
    if (out.why)
        return out;
    if (n < 5) {
        out.why = cr_why_few;
        return out;
    }
    double variance = kind == CR_PEARSON ? 1 / (double)(n - 3)
                      : kind == CR_SPEARMAN
                          ? (1 + r.value * r.value / 2) / (double)(n - 3)
                          : 0.437 / (double)(n - 4);
    double reach = cr_normal_quantile(0.5 + level / 2) * sqrt(variance);
    double z = atanh(r.value); /* infinite at -1 and 1, where the interval is a point */
    out.low = tanh(z - reach);
    out.high = tanh(z + reach);
    return out;
}
