#include "eval/stats_signif.h"

#include <math.h>
#include <stdlib.h>

#include "base/checked.h"
#include "base/rng.h"
#include "eval/stats_math.h"

/* ---- proportions ---------------------------------------------------------------------------- */

struct cr_interval cr_wilson(size_t successes, size_t n, double level) {
    struct cr_interval out = {NAN, NAN, n == 0 ? cr_why_empty : NULL};
    if (out.why)
        return out;
    double z = cr_normal_quantile(0.5 + level / 2);
    double p = (double)successes / (double)n;
    double below = 1 + z * z / (double)n;
    double middle = (p + z * z / (2 * (double)n)) / below;
    double half =
        z * sqrt(p * (1 - p) / (double)n + z * z / (4 * (double)n * (double)n)) / below;
    out.low = successes == 0 ? 0 : middle - half;
    out.high = successes == n ? 1 : middle + half;
    return out;
}

struct cr_interval cr_two_proportions(size_t s1, size_t n1, size_t s2, size_t n2,
                                      double level) {
    struct cr_interval a = cr_wilson(s1, n1, level);
    struct cr_interval b = cr_wilson(s2, n2, level);
    struct cr_interval out = {NAN, NAN, a.why ? a.why : b.why};
    if (out.why)
        return out;
    double p1 = (double)s1 / (double)n1;
    double p2 = (double)s2 / (double)n2;
    out.low = p1 - p2 - hypot(p1 - a.low, b.high - p2);
    out.high = p1 - p2 + hypot(a.high - p1, p2 - b.low);
    return out;
}

struct cr_mcnemar cr_mcnemar(size_t only_a, size_t only_b) {
    struct cr_mcnemar out = {.p_value = cr_stat_undefined(cr_why_difference)};
    size_t n = only_a + only_b;
    if (n == 0)
        return out;
    size_t least = CR_MIN(only_a, only_b);
    if (n < 25) {
        double p = 2 * cr_binomial_half_cdf(least, n);
        out.exact = true;
        out.statistic = (double)least;
        out.p_value = cr_stat_of(CR_MIN(p, 1.0));
        return out;
    }
    double gap = fabs((double)only_a - (double)only_b) - 1;
    out.statistic = gap * gap / (double)n;
    out.p_value = cr_stat_of(cr_chi2_1_sf(out.statistic));
    return out;
}

/* ---- permutations --------------------------------------------------------------------------- */

/* A permuted value as extreme as the observed one, rounding forgiven. */
static bool is_extreme(double permuted, double observed) {
    return fabs(permuted) >= fabs(observed) * (1 - 1e-12) - 1e-300;
}

static double flipped_sum(const double *d, size_t m, uint64_t signs) {
    double sum = 0;
    for (size_t i = 0; i < m; i++)
        sum += signs >> i & 1 ? -d[i] : d[i];
    return sum;
}

static double random_flipped_sum(const double *d, size_t m, struct cr_rng *rng) {
    double sum = 0;
    for (size_t i = 0; i < m; i += 64)
        sum += flipped_sum(d + i, CR_MIN(m - i, (size_t)64), cr_rng_u64(rng));
    return sum;
}

/* Sums of differences per cluster; those that are zero are dropped, since no flip moves them. */
static size_t cluster_differences(double *d, const double *a, const double *b, size_t n,
                                  const uint32_t *cluster, size_t n_clusters) {
    size_t units = cluster ? n_clusters : n;
    for (size_t i = 0; i < n; i++)
        d[cluster ? cluster[i] : i] += a[i] - b[i];
    size_t m = 0;
    for (size_t i = 0; i < units; i++)
        if (d[i] != 0)
            d[m++] = d[i];
    return m;
}

static struct cr_stat flip_test(const double *d, size_t m, size_t n_draws,
                                uint64_t seed) {
    double observed = flipped_sum(d, CR_MIN(m, (size_t)64), 0);
    for (size_t i = 64; i < m; i++)
        observed += d[i];
    size_t extreme = 0;
    if (m < 63 && (uint64_t)1 << m <= n_draws) {
        for (uint64_t signs = 0; signs < (uint64_t)1 << m; signs++)
            extreme += is_extreme(flipped_sum(d, m, signs), observed);
        return cr_stat_of((double)extreme / (double)((uint64_t)1 << m));
    }
#pragma omp parallel for reduction(+ : extreme) schedule(static)
    for (size_t draw = 0; draw < n_draws; draw++) {
        struct cr_rng rng;
        cr_rng_seed_at(&rng, seed, draw);
        extreme += is_extreme(random_flipped_sum(d, m, &rng), observed);
    }
    return cr_stat_of((1 + (double)extreme) / (1 + (double)n_draws));
}

enum critic_status cr_permute_paired(struct cr_stat *p_value, const double *a,
                                     const double *b, size_t n, const uint32_t *cluster,
                                     size_t n_clusters, size_t n_draws, uint64_t seed,
                                     critic_error *err) {
    *p_value = cr_stat_undefined(n == 0 ? cr_why_empty : NULL);
    if (n_draws == 0)
        return cr_fail(err, CRITIC_BAD_ARGUMENT, "a permutation test needs draws");
    for (size_t i = 0; i < n; i++) {
        if (!isfinite(a[i]) || !isfinite(b[i]))
            p_value->why = cr_why_nan;
        if (cluster && cluster[i] >= n_clusters)
            return cr_fail(err, CRITIC_BAD_ARGUMENT, "item %zu's cluster is out of range",
                           i);
    }
    if (p_value->why)
        return CRITIC_OK;
    double *d = calloc(CR_MAX(n, n_clusters), sizeof *d);
    if (!d)
        return cr_fail(err, CRITIC_NO_MEMORY, "no memory for %zu differences", n);
    size_t m = cluster_differences(d, a, b, n, cluster, n_clusters);
    *p_value = m == 0 ? cr_stat_of(1) : flip_test(d, m, n_draws, seed);
    free(d);
    return CRITIC_OK;
}

static double choose(size_t n, size_t k) {
    double c = 1;
    for (size_t i = 1; i <= k; i++)
        c = c * (double)(n - k + i) / (double)i;
    return round(c);
}

/* Every subset of size k of n < 64 items in turn (Gosper). */
static struct cr_stat group_test_exact(const double *x, size_t n, size_t k, double total,
                                       double observed) {
    uint64_t set = ((uint64_t)1 << k) - 1;
    size_t extreme = 0, n_sets = 0;
    while (set < (uint64_t)1 << n) {
        double sum = 0;
        for (size_t i = 0; i < n; i++)
            sum += set >> i & 1 ? x[i] : 0;
        double gap = sum / (double)k - (total - sum) / (double)(n - k);
        extreme += is_extreme(gap, observed);
        n_sets++;
        uint64_t lowest = set & (~set + 1);
        uint64_t ripple = set + lowest;
        set = ripple | (((set ^ ripple) >> 2) / lowest);
    }
    return cr_stat_of((double)extreme / (double)n_sets);
}

static struct cr_stat group_test_random(double *x, size_t n, size_t k, double total,
                                        double observed, size_t n_draws, uint64_t seed) {
    size_t extreme = 0;
    struct cr_rng rng;
    cr_rng_seed(&rng, seed);
    for (size_t draw = 0; draw < n_draws; draw++) {
        double sum = 0;
        for (size_t i = 0; i < k; i++) { /* any order of x is as good a start */
            size_t j = i + (size_t)cr_rng_below(&rng, n - i);
            double swap = x[i];
            x[i] = x[j];
            x[j] = swap;
            sum += x[i];
        }
        double gap = sum / (double)k - (total - sum) / (double)(n - k);
        extreme += is_extreme(gap, observed);
    }
    return cr_stat_of((1 + (double)extreme) / (1 + (double)n_draws));
}

enum critic_status cr_permute_groups(struct cr_stat *p_value, const double *a, size_t n_a,
                                     const double *b, size_t n_b, size_t n_draws,
                                     uint64_t seed, critic_error *err) {
    struct cr_stat mean_a = cr_mean(a, n_a);
    struct cr_stat mean_b = cr_mean(b, n_b);
    size_t n = n_a + n_b;
    *p_value = cr_stat_undefined(mean_a.why ? mean_a.why : mean_b.why);
    if (n_draws == 0)
        return cr_fail(err, CRITIC_BAD_ARGUMENT, "a permutation test needs draws");
    if (p_value->why)
        return CRITIC_OK;
    double *x = calloc(n, sizeof *x);
    if (!x)
        return cr_fail(err, CRITIC_NO_MEMORY, "no memory for %zu items", n);
    double total = 0;
    for (size_t i = 0; i < n; i++) {
        x[i] = i < n_a ? a[i] : b[i - n_a];
        total += x[i];
    }
    double observed = mean_a.value - mean_b.value;
    if (n < 63 && choose(n, n_a) <= (double)n_draws)
        *p_value = group_test_exact(x, n, n_a, total, observed);
    else
        *p_value = group_test_random(x, n, n_a, total, observed, n_draws, seed);
    free(x);
    return CRITIC_OK;
}

/* ---- several tests -------------------------------------------------------------------------- */

struct test {
    double p;
    size_t at;
};

static int compare_tests(const void *a, const void *b) {
    const struct test *x = a;
    const struct test *y = b;
    if (x->p != y->p)
        return x->p < y->p ? -1 : 1;
    return (x->at > y->at) - (x->at < y->at);
}

enum critic_status cr_holm(double *adjusted, const double *p, size_t n,
                           critic_error *err) {
    struct test *tests = calloc(n + 1, sizeof *tests);
    if (!tests)
        return cr_fail(err, CRITIC_NO_MEMORY, "no memory for %zu tests", n);
    size_t m = 0;
    for (size_t i = 0; i < n; i++) {
        adjusted[i] = NAN;
        if (!isnan(p[i]))
            tests[m++] = (struct test){p[i], i};
    }
    qsort(tests, m, sizeof *tests, compare_tests);
    double largest = 0;
    for (size_t i = 0; i < m; i++) {
        largest = fmax(largest, tests[i].p * (double)(m - i));
        adjusted[tests[i].at] = fmin(largest, 1);
    }
    free(tests);
    return CRITIC_OK;
}

/* ---- power ---------------------------------------------------------------------------------- */

static struct cr_power needed(double n_needed, size_t n) {
    struct cr_power out = {cr_stat_of(ceil(n_needed - 1e-9)), {0, NULL}};
    if (out.n_needed.why)
        out.n_more = out.n_needed;
    else
        out.n_more = cr_stat_of(fmax(out.n_needed.value - (double)n, 0));
    return out;
}

static struct cr_power undefined(const char *why) {
    return (struct cr_power){cr_stat_undefined(why), cr_stat_undefined(why)};
}

struct cr_power cr_power_paired(double mean, double sd, size_t n, double alpha,
                                double power) {
    if (!isfinite(mean) || !isfinite(sd) || sd < 0)
        return undefined(cr_why_nan);
    if (mean == 0)
        return undefined(cr_why_difference);
    double z = cr_normal_quantile(1 - alpha / 2) + cr_normal_quantile(power);
    return needed(fmax(z * z * sd * sd / (mean * mean), 2), n);
}

struct cr_power cr_power_mcnemar(size_t only_a, size_t only_b, size_t n, double alpha,
                                 double power) {
    if (n == 0 || only_a + only_b > n)
        return undefined(cr_why_empty);
    if (only_a == only_b)
        return undefined(cr_why_difference);
    double discordant = (double)(only_a + only_b) / (double)n;
    double gap = ((double)only_a - (double)only_b) / (double)n;
    double root = cr_normal_quantile(1 - alpha / 2) * sqrt(discordant) +
                  cr_normal_quantile(power) * sqrt(fmax(discordant - gap * gap, 0));
    return needed(root * root / (gap * gap), n);
}
