/* Every statistic against NumPy, SciPy, scikit-learn and statsmodels on the committed vectors of
 * tests/golden/eval/stats.json (scripts/golden/stats.py). null is NaN: in a vector it is one, as an
 * expectation the statistic is to refuse. */
#include "t.h"

#include "eval/stats.h"
#include "eval/stats_bias.h"
#include "eval/stats_boot.h"
#include "eval/stats_calib.h"
#include "eval/stats_math.h"
#include "eval/stats_rank.h"
#include "eval/stats_signif.h"
#include "io/json.h"

static json_t *golden;

static const json_t *at(const json_t *parent, const char *key) {
    const json_t *value = json_object_get(parent, key);
    if (!value)
        fail_msg("the golden lacks '%s'", key);
    return value;
}

static double number(const json_t *value) {
    return json_is_number(value) ? json_number_value(value) : (double)NAN;
}

static double nth(const json_t *list, size_t i) {
    assert_true(i < json_array_size(list));
    return number(json_array_get(list, i));
}

/* The caller frees; flattens lists of lists. */
static double *vector(const json_t *list, size_t *n) {
    double *out = calloc(16 * json_array_size(list) + 1, sizeof *out);
    *n = 0;
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *item = json_array_get(list, i);
        for (size_t j = 0; json_is_array(item) && j < json_array_size(item); j++)
            out[(*n)++] = nth(item, j);
        if (!json_is_array(item))
            out[(*n)++] = number(item);
    }
    return out;
}

static int *ints(const json_t *list, size_t *n) {
    double *x = vector(list, n);
    int *out = calloc(*n + 1, sizeof *out);
    for (size_t i = 0; i < *n; i++)
        out[i] = (int)x[i];
    free(x);
    return out;
}

/* Refused where the expectation is null, else within rtol. */
static void agrees(const char *name, struct cr_stat got, const json_t *expect,
                   double rtol) {
    if (json_is_null(expect)) {
        if (cr_stat_ok(got) || !isnan(got.value))
            fail_msg("%s: got %.17g; expected a refusal", name, got.value);
        return;
    }
    double e = number(expect);
    if (!cr_stat_ok(got))
        fail_msg("%s: refused (%s); expected %.17g", name, got.why, e);
    if (!(fabs(got.value - e) <= rtol * fmax(1, fabs(e))))
        fail_msg("%s: got %.17g, expected %.17g", name, got.value, e);
}

static void close_to(const char *name, double got, double expect, double rtol) {
    if (!(fabs(got - expect) <= rtol * fmax(1, fabs(expect))))
        fail_msg("%s: got %.17g, expected %.17g", name, got, expect);
}

static void test_pairs(void **state) {
    (void)state;
    critic_error err = {0};
    size_t i;
    const json_t *c;
    json_array_foreach(at(golden, "pairs"), i, c) {
        size_t n;
        double *x = vector(at(c, "x"), &n);
        double *y = vector(at(c, "y"), &n);
        double *z = vector(at(c, "z"), &n);
        const json_t *e = at(c, "expect");
        const char *name = json_string_value(at(c, "name"));
        print_message("  %s\n", name);
        struct cr_stat s;
        struct cr_kendall k;
        agrees("pearson", cr_pearson(x, y, n), at(e, "pearson"), 1e-6);
        T_OK(cr_spearman(&s, x, y, n, &err));
        agrees("spearman", s, at(e, "spearman"), 1e-12);
        T_OK(cr_kendall(&k, x, y, n, &err));
        agrees("tau_a", k.tau_a, at(e, "tau_a"), 1e-12);
        agrees("tau_b", k.tau_b, at(e, "tau_b"), 1e-12);
        agrees("tau_c", k.tau_c, at(e, "tau_c"), 1e-12);
        if (strcmp(name, "tiny spread") != 0)
            agrees("partial", cr_partial(x, y, z, n), at(e, "partial"), 1e-6);
        agrees("mean", cr_mean(x, n), at(e, "mean"), 1e-12);
        agrees("sd", cr_sd(x, n), at(e, "sd"), 1e-9);
        agrees("mae", cr_mean_error(x, y, n), at(e, "mae"), 1e-12);
        agrees("bias", cr_mean_bias(x, y, n), at(e, "bias"), 1e-12);
        agrees("concordance", cr_concordance(x, y, n), at(e, "concordance"), 1e-9);
        T_OK(cr_wasserstein(&s, x, n, y, n, &err));
        agrees("wasserstein", s, at(e, "wasserstein"), 1e-9);
        if (json_array_size(at(e, "ranks")) > 0) {
            double *ranks = calloc(n, sizeof *ranks);
            T_OK(cr_midranks(ranks, x, n, &err));
            for (size_t j = 0; j < n; j++)
                assert_true(ranks[j] == nth(at(e, "ranks"), j));
            free(ranks);
        }
        const json_t *interval = json_object_get(e, "pearson_interval");
        if (interval) {
            struct cr_interval ci =
                cr_correlation_interval(CR_PEARSON, cr_pearson(x, y, n), n, 0.9);
            close_to("low", ci.low, nth(interval, 0), 1e-6);
            close_to("high", ci.high, nth(interval, 1), 1e-6);
        }
        free(x);
        free(y);
        free(z);
    }
}

static void test_labels(void **state) {
    (void)state;
    static const char *const names[] = {"plain", "linear", "quadratic"};
    critic_error err = {0};
    size_t i;
    const json_t *c;
    json_array_foreach(at(golden, "labels"), i, c) {
        size_t n;
        size_t k = (size_t)number(at(c, "k"));
        int *a = ints(at(c, "a"), &n);
        int *b = ints(at(c, "b"), &n);
        const json_t *e = at(c, "expect");
        agrees("accuracy", cr_accuracy(a, b, n), at(e, "accuracy"), 1e-14);
        agrees("macro", cr_macro_accuracy(a, b, n, k), at(e, "macro"), 1e-14);
        for (int w = CR_KAPPA_PLAIN; w <= CR_KAPPA_QUADRATIC; w++) {
            struct cr_stat s;
            T_OK(cr_kappa(&s, (enum cr_kappa_weights)w, a, b, n, k, &err));
            agrees(names[w], s, at(e, names[w]), 1e-12);
        }
        free(a);
        free(b);
    }
}

static void test_probabilities(void **state) {
    (void)state;
    critic_error err = {0};
    size_t i;
    const json_t *c;
    json_array_foreach(at(golden, "probabilities"), i, c) {
        size_t n;
        double *p = vector(at(c, "p"), &n);
        double *y = vector(at(c, "y"), &n);
        unsigned char *happened = calloc(n + 1, 1);
        for (size_t j = 0; j < n; j++)
            happened[j] = y[j] != 0;
        const json_t *e = at(c, "expect");
        struct cr_stat s;
        struct cr_bin bins[10];
        agrees("brier", cr_brier(p, happened, n), at(e, "brier"), 1e-13);
        agrees("log_loss", cr_log_loss(p, happened, n), at(e, "log_loss"), 1e-10);
        T_OK(cr_auroc(&s, p, happened, n, &err));
        agrees("auroc", s, at(e, "auroc"), 1e-13);
        T_OK(cr_ece(&s, bins, 10, CR_EQUAL_WIDTH, p, happened, n, &err));
        agrees("ece_width", s, at(e, "ece_width"), 1e-12);
        size_t total = 0;
        for (size_t b = 0; b < 10; b++)
            total += bins[b].n;
        assert_int_equal(total, n);
        T_OK(cr_ece(&s, NULL, 10, CR_EQUAL_MASS, p, happened, n, &err));
        agrees("ece_mass", s, at(e, "ece_mass"), 1e-12);
        free(p);
        free(y);
        free(happened);
    }
}

static void test_logistic(void **state) {
    (void)state;
    critic_error err = {0};
    size_t i;
    const json_t *c;
    json_array_foreach(at(golden, "logistic"), i, c) {
        size_t n, n_x;
        size_t k = (size_t)number(at(c, "k"));
        double *x = vector(at(c, "x"), &n_x);
        double *y = vector(at(c, "y"), &n);
        const json_t *e = at(c, "expect");
        struct cr_logistic fit;
        assert_int_equal(n_x, n * k);
        T_OK(cr_logistic_fit(&fit, x, y, n, k, &err));
        assert_null(fit.why);
        for (size_t j = 0; j <= k; j++) {
            close_to("coef", fit.coef[j], nth(at(e, "coef"), j), 1e-8);
            close_to("error", fit.error[j], nth(at(e, "error"), j), 1e-6);
        }
        close_to("log_likelihood", fit.log_likelihood, number(at(e, "log_likelihood")),
                 1e-10);
        free(x);
        free(y);
    }
    const json_t *l = at(golden, "length_control");
    const json_t *e = at(l, "expect");
    size_t n;
    double *won = vector(at(l, "won"), &n);
    double *length = vector(at(l, "length"), &n);
    double *base = vector(at(l, "baseline"), &n);
    struct cr_length_control lc;
    T_OK(cr_length_control(&lc, won, length, base, n, 0.95, &err));
    agrees("raw", lc.raw, at(e, "raw"), 1e-13);
    agrees("controlled", lc.controlled, at(e, "controlled"), 1e-8);
    agrees("slope", lc.slope, at(e, "slope"), 1e-8);
    close_to("low", lc.controlled_interval.low, nth(at(e, "controlled_interval"), 0),
             1e-6);
    close_to("high", lc.controlled_interval.high, nth(at(e, "controlled_interval"), 1),
             1e-6);
    close_to("slope low", lc.slope_interval.low, nth(at(e, "slope_interval"), 0), 1e-6);
    close_to("slope high", lc.slope_interval.high, nth(at(e, "slope_interval"), 1), 1e-6);
    free(won);
    free(length);
    free(base);
}

static void test_bradley_terry(void **state) {
    (void)state;
    critic_error err = {0};
    size_t i;
    const json_t *c;
    json_array_foreach(at(golden, "bradley_terry"), i, c) {
        size_t players = (size_t)number(at(c, "players"));
        const json_t *list = at(c, "battles");
        size_t n = json_array_size(list);
        struct cr_battle *battles = calloc(n, sizeof *battles);
        double *ratings = calloc(players, sizeof *ratings);
        for (size_t j = 0; j < n; j++) {
            const json_t *b = json_array_get(list, j);
            battles[j] = (struct cr_battle){(uint32_t)nth(b, 0), (uint32_t)nth(b, 1),
                                            nth(b, 2), nth(b, 3)};
        }
        struct cr_bt_options o;
        struct cr_bt bt;
        cr_bt_options_default(&o);
        T_OK(cr_bt_fit(&bt, ratings, battles, n, players, &o, &err));
        assert_false(bt.smoothed);
        const json_t *e = at(c, "expect");
        for (size_t j = 0; j < players; j++)
            close_to("rating", ratings[j], nth(at(e, "rating"), j), 1e-8);
        close_to("log_likelihood", bt.log_likelihood, number(at(e, "log_likelihood")),
                 1e-10);
        T_OK(cr_elo_online(ratings, battles, n, players, 1000, 4, 0, 1, &err));
        for (size_t j = 0; j < players; j++)
            close_to("elo", ratings[j], nth(at(e, "elo"), j), 1e-11);
        free(battles);
        free(ratings);
    }
}

static void test_intervals_and_mcnemar(const json_t *s) {
    size_t i;
    const json_t *c;
    json_array_foreach(at(s, "wilson"), i, c) {
        struct cr_interval ci =
            cr_wilson((size_t)nth(c, 0), (size_t)nth(c, 1), nth(c, 2));
        close_to("wilson low", ci.low, nth(c, 3), 1e-12);
        close_to("wilson high", ci.high, nth(c, 4), 1e-12);
    }
    json_array_foreach(at(s, "newcombe"), i, c) {
        struct cr_interval ci =
            cr_two_proportions((size_t)nth(c, 0), (size_t)nth(c, 1), (size_t)nth(c, 2),
                               (size_t)nth(c, 3), 0.95);
        close_to("newcombe low", ci.low, nth(c, 4), 1e-9);
        close_to("newcombe high", ci.high, nth(c, 5), 1e-9);
    }
    json_array_foreach(at(s, "mcnemar"), i, c) {
        struct cr_mcnemar m = cr_mcnemar((size_t)nth(c, 0), (size_t)nth(c, 1));
        assert_int_equal(m.exact, json_is_true(json_array_get(c, 2)));
        close_to("mcnemar statistic", m.statistic, nth(c, 3), 1e-12);
        agrees("mcnemar p", m.p_value, json_array_get(c, 4), 1e-11);
    }
}

static void test_permutations(const json_t *s) {
    critic_error err = {0};
    size_t i;
    const json_t *c;
    json_array_foreach(at(s, "flips"), i, c) {
        size_t n;
        double *a = vector(json_array_get(c, 0), &n);
        double *b = vector(json_array_get(c, 1), &n);
        struct cr_stat p;
        T_OK(cr_permute_paired(&p, a, b, n, NULL, 0, 1 << 20, 1, &err));
        agrees("exact flips", p, json_array_get(c, 2), 1e-12);
        T_OK(cr_permute_paired(&p, a, b, n, NULL, 0, 40000, 1, &err));
        T_OK(
            cr_permute_paired(&p, a, b, n, NULL, 0, 16, 1, &err)); /* few draws: random */
        assert_true(p.value >= 1.0 / 17 && p.value <= 1);
        free(a);
        free(b);
    }
    json_array_foreach(at(s, "groups"), i, c) {
        size_t n_a, n_b;
        double *a = vector(json_array_get(c, 0), &n_a);
        double *b = vector(json_array_get(c, 1), &n_b);
        struct cr_stat p;
        T_OK(cr_permute_groups(&p, a, n_a, b, n_b, 1 << 20, 1, &err));
        agrees("exact groups", p, json_array_get(c, 2), 1e-12);
        T_OK(cr_permute_groups(&p, a, n_a, b, n_b, 30, 1, &err));
        assert_true(p.value >= 1.0 / 31 && p.value <= 1);
        free(a);
        free(b);
    }
}

static void test_significance(void **state) {
    (void)state;
    critic_error err = {0};
    const json_t *s = at(golden, "significance");
    size_t i;
    const json_t *c;
    test_intervals_and_mcnemar(s);
    test_permutations(s);
    json_array_foreach(at(s, "holm"), i, c) {
        size_t n;
        double *p = vector(json_array_get(c, 0), &n);
        double *adjusted = calloc(n, sizeof *adjusted);
        T_OK(cr_holm(adjusted, p, n, &err));
        for (size_t j = 0; j < n; j++)
            close_to("holm", adjusted[j], nth(json_array_get(c, 1), j), 1e-13);
        free(p);
        free(adjusted);
    }
    json_array_foreach(at(s, "power"), i, c) {
        struct cr_power p =
            cr_power_paired(nth(c, 0), nth(c, 1), 10, nth(c, 2), nth(c, 3));
        agrees("power", p.n_needed, json_array_get(c, 4), 0);
        close_to("more", p.n_more.value, fmax(nth(c, 4) - 10, 0), 0);
    }
    json_array_foreach(at(s, "power_mcnemar"), i, c) {
        struct cr_power p = cr_power_mcnemar((size_t)nth(c, 0), (size_t)nth(c, 1),
                                             (size_t)nth(c, 2), 0.05, 0.8);
        agrees("power mcnemar", p.n_needed, json_array_get(c, 3), 0);
    }
    const json_t *q = at(s, "quantile");
    for (i = 0; i < json_array_size(json_array_get(q, 0)); i++)
        close_to("quantile", cr_normal_quantile(nth(json_array_get(q, 0), i)),
                 nth(json_array_get(q, 1), i), 1e-13);
}

/* Ends of both sides' intervals are quantiles of independent draws. With B draws and q = 0.025 the
 * deviation of one is sqrt(q (1-q) / B) / f(q) = 2.67 / sqrt(B) standard errors of the statistic (f: the
 * normal density at its quantile); of the difference of two with B and 100000 draws, 4 of these. */
static void boot_agrees(const char *name, const struct cr_boot *got, const json_t *e,
                        const char *method, size_t n_draws, double scipy_draws) {
    double error = number(at(e, "error"));
    double tol = 4 * 2.67 * error * sqrt(1.0 / (double)n_draws + 1.0 / scipy_draws);
    const json_t *ends = at(e, method);
    if (strcmp(method, "BCa") == 0)
        tol *= 2; /* levels further out, and the bias correction is drawn too */
    if (got->interval.why || strcmp(got->how, method) != 0)
        fail_msg("%s: %s, %s", name, got->how,
                 got->interval.why ? got->interval.why : "");
    if (!(fabs(got->interval.low - nth(ends, 0)) <= tol) ||
        !(fabs(got->interval.high - nth(ends, 1)) <= tol))
        fail_msg("%s %s: [%.6g, %.6g], expected [%.6g, %.6g] within %.2g", name, method,
                 got->interval.low, got->interval.high, nth(ends, 0), nth(ends, 1), tol);
    close_to(name, got->error / error, 1, 0.03);
}

static void test_bootstrap(void **state) {
    (void)state;
    critic_error err = {0};
    const json_t *b = at(golden, "bootstrap");
    size_t n, i;
    double *x = vector(at(b, "x"), &n);
    double *y = vector(at(b, "y"), &n);
    double *z = vector(at(b, "z"), &n);
    double *c = vector(at(b, "cluster"), &n);
    uint32_t *cluster = calloc(n, sizeof *cluster);
    for (i = 0; i < n; i++)
        cluster[i] = (uint32_t)c[i];
    const json_t *job;
    json_array_foreach(at(b, "cases"), i, job) {
        const char *name = json_string_value(at(job, "name"));
        for (int bca = 0; bca < 2; bca++) {
            struct cr_boot_options o;
            struct cr_boot r;
            cr_boot_options_default(&o);
            o.n_draws = strcmp(name, "spearman") == 0 ? 10000 : 50000;
            o.method = bca ? CR_BOOT_BCA : CR_BOOT_PERCENTILE;
            if (strcmp(name, "mean") == 0)
                T_OK(cr_boot_mean(&r, x, NULL, n, NULL, 0, &o, &err));
            else if (strcmp(name, "difference") == 0)
                T_OK(cr_boot_mean(&r, y, z, n, NULL, 0, &o, &err));
            else if (strcmp(name, "pearson") == 0)
                T_OK(cr_boot_pearson(&r, y, NULL, x, n, NULL, 0, &o, &err));
            else if (strcmp(name, "pearson difference") == 0)
                T_OK(cr_boot_pearson(&r, y, z, x, n, NULL, 0, &o, &err));
            else if (strcmp(name, "spearman") == 0)
                T_OK(cr_boot_rank(&r, CR_SPEARMAN, y, NULL, x, n, NULL, 0, &o, &err));
            else if (bca)
                break;
            else
                T_OK(cr_boot_mean(&r, x, NULL, n, cluster, 15, &o, &err));
            boot_agrees(name, &r, at(job, "expect"), bca ? "BCa" : "percentile",
                        o.n_draws, number(at(job, "draws")));
        }
    }
    free(x);
    free(y);
    free(z);
    free(c);
    free(cluster);
}

static int load(void **state) {
    (void)state;
    critic_error err = {0};
    if (cr_json_read(&golden, T_SOURCE("tests/golden/eval/stats.json"), 1 << 24, &err) ==
        CRITIC_OK)
        return 0;
    print_error("%s\n", err.message);
    return 1;
}

static int unload(void **state) {
    (void)state;
    json_decref(golden);
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pairs),         cmocka_unit_test(test_labels),
        cmocka_unit_test(test_probabilities), cmocka_unit_test(test_logistic),
        cmocka_unit_test(test_bradley_terry), cmocka_unit_test(test_significance),
        cmocka_unit_test(test_bootstrap),
    };
    return cmocka_run_group_tests(tests, load, unload);
}
