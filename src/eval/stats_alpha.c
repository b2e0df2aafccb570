/* Krippendorff's alpha by the coincidence matrix (stats_label.h). */
#include "eval/stats_label.h"

#include <math.h>
#include <stdlib.h>

#include "base/checked.h"
#include "base/sort.h"
#include "eval/stats_math.h"

#define MAX_VALUES 4096

struct table {
    double *values; /* distinct, ascending */
    size_t n_values;
    double *pairs; /* (n_values, n_values): coincidences */
    double *total; /* n_values: row sums */
    double sum;
};

static size_t distinct(double *x, size_t n) {
    size_t kept = 0;
    cr_sort_doubles(x, n);
    for (size_t i = 0; i < n; i++)
        if (kept == 0 || x[kept - 1] != x[i])
            x[kept++] = x[i];
    return kept;
}

static size_t index_of(const struct table *t, double value) {
    size_t low = 0;
    size_t high = t->n_values;
    while (high - low > 1) {
        size_t middle = low + (high - low) / 2;
        if (t->values[middle] <= value)
            low = middle;
        else
            high = middle;
    }
    return low;
}

/* Squared distance of values c and k. */
static double distance(const struct table *t, enum cr_alpha_level level, size_t c,
                       size_t k) {
    if (level == CR_ALPHA_NOMINAL)
        return c != k;
    if (level == CR_ALPHA_INTERVAL)
        return (t->values[c] - t->values[k]) * (t->values[c] - t->values[k]);
    double between = 0;
    for (size_t g = CR_MIN(c, k); g <= CR_MAX(c, k); g++)
        between += t->total[g];
    between -= (t->total[c] + t->total[k]) / 2;
    return c == k ? 0 : between * between;
}

/* Every ordered pair of ratings of a unit adds 1 / (ratings of the unit - 1). */
static void add_unit(struct table *t, const double *unit, size_t n_raters) {
    size_t m = 0;
    for (size_t r = 0; r < n_raters; r++)
        m += !isnan(unit[r]);
    if (m < 2)
        return;
    for (size_t r = 0; r < n_raters; r++)
        for (size_t s = 0; s < n_raters; s++)
            if (r != s && !isnan(unit[r]) && !isnan(unit[s]))
                t->pairs[index_of(t, unit[r]) * t->n_values + index_of(t, unit[s])] +=
                    1 / (double)(m - 1);
}

static struct cr_stat alpha_of(struct table *t, enum cr_alpha_level level) {
    size_t k = t->n_values;
    for (size_t i = 0; i < k * k; i++) {
        t->total[i / k] += t->pairs[i];
        t->sum += t->pairs[i];
    }
    if (t->sum < 2)
        return cr_stat_undefined(cr_why_few);
    double observed = 0;
    double expected = 0;
    for (size_t i = 0; i < k; i++)
        for (size_t j = 0; j < k; j++) {
            double d = distance(t, level, i, j);
            observed += t->pairs[i * k + j] * d / t->sum;
            expected += t->total[i] * t->total[j] * d / (t->sum * (t->sum - 1));
        }
    return expected > 0 ? cr_stat_of(1 - observed / expected)
                        : cr_stat_undefined(cr_why_constant);
}

enum critic_status cr_alpha(struct cr_stat *out, enum cr_alpha_level level,
                            const double *ratings, size_t n_units, size_t n_raters,
                            critic_error *err) {
    size_t n = n_units * n_raters;
    struct table t = {.values = calloc(n + 1, sizeof(double))};
    *out = cr_stat_undefined(cr_why_empty);
    enum critic_status status = CRITIC_OK;
    size_t n_rated = 0;
    const char *why = NULL;
    if (!t.values)
        return cr_fail(err, CRITIC_NO_MEMORY, "no memory for %zu ratings", n);
    for (size_t i = 0; i < n; i++) {
        if (isinf(ratings[i]))
            why = cr_why_nan;
        if (!isnan(ratings[i]))
            t.values[n_rated++] = ratings[i];
    }
    t.n_values = distinct(t.values, n_rated);
    if (t.n_values > MAX_VALUES)
        why = "there are too many different ratings";
    if (!why && t.n_values > 0) {
        t.pairs = calloc(t.n_values * (t.n_values + 1), sizeof *t.pairs);
        if (t.pairs) {
            t.total = t.pairs + t.n_values * t.n_values;
            for (size_t u = 0; u < n_units; u++)
                add_unit(&t, ratings + u * n_raters, n_raters);
            *out = alpha_of(&t, level);
        } else {
            status = cr_fail(err, CRITIC_NO_MEMORY, "no memory for %zu ratings", n);
        }
    } else if (why) {
        *out = cr_stat_undefined(why);
    }
    free(t.values);
    free(t.pairs);
    return status;
}
