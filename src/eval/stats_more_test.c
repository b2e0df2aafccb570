/* Bias, ranking, bootstrap and tests: hand-computed vectors, refusals, what holds by construction. */
#include "t.h"

#include "eval/stats_bias.h"
#include "eval/stats_boot.h"
#include "eval/stats_calib.h"
#include "eval/stats_rank.h"
#include "eval/stats_signif.h"

#include "base/rng.h"

static void refused(struct cr_stat s, const char *why) {
    assert_true(isnan(s.value));
    assert_ptr_equal(s.why, why);
}

/* ---- probabilities -------------------------------------------------------------------------- */

static void test_probabilities_refused(void **state) {
    (void)state;
    critic_error err = {0};
    const double p[] = {0.5, 1.5, 0.1};
    const double bad[] = {0.5, NAN, 0.1};
    const unsigned char y[] = {1, 1, 1};
    struct cr_stat s;
    refused(cr_brier(p, y, 0), cr_why_empty);
    assert_string_equal(cr_brier(p, y, 3).why, "a probability is outside 0 to 1");
    refused(cr_log_loss(bad, y, 3), cr_why_nan);
    T_OK(cr_auroc(&s, p, y, 3, &err));
    refused(s, cr_why_one_class);
    T_OK(cr_auroc(&s, bad, y, 3, &err));
    refused(s, cr_why_nan);
    T_OK(cr_ece(&s, NULL, 10, CR_EQUAL_WIDTH, p, y, 0, &err));
    refused(s, cr_why_empty);
    T_FAILS(cr_ece(&s, NULL, 0, CR_EQUAL_WIDTH, p, y, 3, &err), CRITIC_BAD_ARGUMENT,
            "bin");
}

/* ---- order ---------------------------------------------------------------------------------- */

static void test_position(void **state) {
    (void)state;
    enum { F = CR_PICK_FIRST, S = CR_PICK_SECOND, T = CR_PICK_TIE, N = CR_PICK_NONE };
    const unsigned char ab[] = {F, F, S, S, T, T, F, F, N};
    const unsigned char ba[] = {S, F, F, S, T, F, F, T, F};
    struct cr_position p;
    cr_position(&p, ab, ba, 9);
    assert_int_equal(p.n, 8);
    assert_int_equal(p.n_left_out, 1);
    T_NEAR(p.consistency.value, 3.0 / 8, 1e-15, 0);
    T_NEAR(p.primacy.value, 2.0 / 8, 1e-15, 0);
    T_NEAR(p.recency.value, 1.0 / 8, 1e-15, 0);
    T_NEAR(p.preference.value, 1.0 / 8, 1e-15, 0);
    T_NEAR(p.conflict_tie.value, 2.0 / 8, 1e-15, 0);
    /* Verdicts on the answers: AAFBBTTAA -> rows A 4, B 2, T 2; columns A 2, B 4, T 2. */
    double chance = (4 * 2 + 2 * 4 + 2 * 2) / 64.0;
    T_NEAR(p.chance_corrected.value, (3.0 / 8 - chance) / (1 - chance), 1e-15, 0);
    cr_position(&p, ab, ba, 0);
    refused(p.consistency, cr_why_empty);
    refused(p.chance_corrected, cr_why_empty);
    const unsigned char always[] = {F, F, F};
    cr_position(&p, always, always, 3);
    assert_true(p.consistency.value == 0 && p.primacy.value == 1);
    assert_true(p.chance_corrected.value == 0); /* A, A, A against B, B, B */
}

static void test_longer(void **state) {
    (void)state;
    const unsigned char reference[] = {0, 0, 1, 1, 2, 0};
    const unsigned char verdict[] = {0, 1, 0, 1, 0, 2};
    const double first[] = {9, 2, 9, 3, 9, 9};
    const double second[] = {1, 5, 1, 3, 1, 1};
    struct cr_longer l;
    cr_longer(&l, reference, verdict, first, second, 6);
    assert_int_equal(l.n, 4);
    assert_true(l.verdicts.value == 1);
    T_NEAR(l.reference.value, 1.0 / 3, 1e-15, 0);
    assert_int_equal(l.n_wrong, 2);
    assert_true(l.errors.value == 1);
}

static void test_logistic_refused(void **state) {
    (void)state;
    critic_error err = {0};
    struct cr_logistic fit;
    const double x[] = {1, 2, 3, 4, 5, 6};
    const double flat[] = {2, 2, 2, 2, 2, 2};
    const double y[] = {0, 0, 0, 1, 1, 1};
    const double ones[] = {1, 1, 1, 1, 1, 1};
    const double mixed[] = {0, 1, 0, 1, 0, 1};
    T_OK(cr_logistic_fit(&fit, x, y, 6, 1, &err));
    assert_ptr_equal(fit.why, cr_why_separated);
    assert_true(isnan(fit.coef[0]));
    T_OK(cr_logistic_fit(&fit, x, ones, 6, 1, &err));
    assert_ptr_equal(fit.why, cr_why_one_class);
    T_OK(cr_logistic_fit(&fit, flat, mixed, 6, 1, &err));
    assert_string_equal(fit.why, "the columns depend on each other");
    T_OK(cr_logistic_fit(&fit, x, y, 0, 1, &err));
    assert_ptr_equal(fit.why, cr_why_empty);
    T_OK(cr_logistic_fit(&fit, x, y, 2, 1, &err));
    assert_ptr_equal(fit.why, cr_why_few);
    T_FAILS(cr_logistic_fit(&fit, x, y, 6, 16, &err), CRITIC_BAD_ARGUMENT, "16 columns");
    struct cr_length_control lc;
    const double zero[] = {0, 1, 1, 1, 1, 1};
    T_OK(cr_length_control(&lc, mixed, zero, x, 6, 0.95, &err));
    assert_string_equal(lc.controlled.why, "a length is not positive");
}

/* A judge that follows nothing but length: raw and controlled win rates part ways. */
static void test_length_control(void **state) {
    (void)state;
    critic_error err = {0};
    struct cr_rng rng;
    enum { N = 4000 };
    static double won[N], length[N], base[N];
    cr_rng_seed(&rng, 5);
    for (size_t i = 0; i < N; i++) {
        base[i] = 100;
        length[i] = 100 * exp(0.8 + 0.5 * cr_rng_normal(&rng));
        double p = 1 / (1 + exp(-2 * log(length[i] / base[i])));
        won[i] = cr_rng_uniform(&rng) < p;
    }
    struct cr_length_control lc;
    T_OK(cr_length_control(&lc, won, length, base, N, 0.999, &err));
    assert_true(lc.raw.value > 0.75);
    assert_true(lc.controlled_interval.low < 0.5 && lc.controlled_interval.high > 0.5);
    assert_true(lc.slope_interval.low < 2 && lc.slope_interval.high > 2);
}

/* ---- ranking -------------------------------------------------------------------------------- */

static void test_bt_smoothed(void **state) {
    (void)state;
    critic_error err = {0};
    struct cr_bt bt;
    struct cr_bt_options o;
    double r[4];
    cr_bt_options_default(&o);
    const struct cr_battle one[] = {{0, 1, 1, 1}};
    T_OK(cr_bt_fit(&bt, r, one, 1, 2, &o, &err));
    assert_true(bt.smoothed);
    T_NEAR(r[1], 1000 - 400 * log10(3), 1e-9, 0); /* 1.5 to 0.5 points */
    const struct cr_battle apart[] = {
        {0, 1, 1, 1}, {1, 0, 1, 1}, {2, 3, 1, 1}, {3, 2, 1, 1}};
    T_OK(cr_bt_fit(&bt, r, apart, 4, 4, &o, &err));
    assert_false(bt.smoothed);
    assert_int_equal(bt.n_unconnected, 2);
    assert_true(r[1] == 1000 && isnan(r[2]) && isnan(r[3]));
    /* A circle of wins is connected; everybody is as strong. */
    const struct cr_battle circle[] = {{0, 1, 1, 1}, {1, 2, 1, 1}, {2, 0, 1, 1}};
    T_OK(cr_bt_fit(&bt, r, circle, 3, 3, &o, &err));
    assert_false(bt.smoothed);
    T_NEAR(r[1], 1000, 1e-9, 0);
    T_NEAR(r[2], 1000, 1e-9, 0);
    struct cr_stat s;
    T_OK(cr_cyclic_triads(&s, circle, 3, 3, &err));
    assert_true(s.value == 1);
    T_OK(cr_cyclic_triads(&s, one, 1, 2, &err));
    refused(s, cr_why_empty);
    const struct cr_battle bad[] = {{0, 5, 1, 1}};
    T_FAILS(cr_bt_fit(&bt, r, bad, 1, 2, &o, &err), CRITIC_BAD_ARGUMENT, "battle 0");
    const struct cr_battle worse[] = {{0, 1, 2, 1}};
    T_FAILS(cr_bt_fit(&bt, r, worse, 1, 2, &o, &err), CRITIC_BAD_ARGUMENT, "battle 0");
    T_OK(cr_bt_fit(&bt, r, NULL, 0, 2, &o, &err));
    assert_int_equal(bt.n_unconnected, 1);
}

static void test_elo(void **state) {
    (void)state;
    critic_error err = {0};
    double r[2], again[2];
    const struct cr_battle b[] = {
        {0, 1, 1, 1}, {0, 1, 1, 1}, {0, 1, 0, 1}, {0, 1, 0.5, 1}};
    T_OK(cr_elo_online(r, b, 4, 2, 1000, 32, 100, 3, &err));
    T_NEAR(r[0] + r[1], 2000, 1e-9, 0);
    assert_true(r[0] > r[1]);
    T_OK(cr_elo_online(again, b, 4, 2, 1000, 32, 100, 3, &err));
    assert_memory_equal(r, again, sizeof r);
    T_NEAR(cr_elo_expected(1400, 1000, 400, 10), 10.0 / 11, 1e-15, 0);
}

/* ---- bootstrap ------------------------------------------------------------------------------ */

static void test_boot_refused(void **state) {
    (void)state;
    critic_error err = {0};
    struct cr_boot_options o;
    struct cr_boot b;
    const double x[] = {1, 2, 3};
    const double bad[] = {1, NAN, 3};
    const double flat[] = {2, 2, 2};
    const uint32_t cluster[] = {0, 0, 7};
    cr_boot_options_default(&o);
    T_OK(cr_boot_mean(&b, x, NULL, 0, NULL, 0, &o, &err));
    assert_ptr_equal(b.interval.why, cr_why_empty);
    T_OK(cr_boot_mean(&b, x, NULL, 1, NULL, 0, &o, &err));
    assert_ptr_equal(b.interval.why, cr_why_few);
    assert_true(b.estimate.value == 1);
    T_OK(cr_boot_mean(&b, bad, NULL, 3, NULL, 0, &o, &err));
    assert_ptr_equal(b.interval.why, cr_why_nan);
    T_OK(cr_boot_pearson(&b, flat, NULL, x, 3, NULL, 0, &o, &err));
    assert_non_null(b.interval.why);
    assert_true(isnan(b.estimate.value));
    T_FAILS(cr_boot_mean(&b, x, NULL, 3, cluster, 2, &o, &err), CRITIC_BAD_ARGUMENT,
            "item 2's cluster");
    o.n_draws = 0;
    T_FAILS(cr_boot_mean(&b, x, NULL, 3, NULL, 0, &o, &err), CRITIC_BAD_ARGUMENT,
            "draws");
}

static void same_for_any_threads(const double *x, const double *y, size_t n) {
    critic_error err = {0};
    struct cr_boot_options o;
    struct cr_boot one, many;
    cr_boot_options_default(&o);
    o.n_draws = 500;
    o.n_threads = 1;
    T_OK(cr_boot_pearson(&one, x, NULL, y, n, NULL, 0, &o, &err));
    o.n_threads = 4;
    T_OK(cr_boot_pearson(&many, x, NULL, y, n, NULL, 0, &o, &err));
    assert_true(one.interval.low == many.interval.low &&
                one.interval.high == many.interval.high);
    o.seed = 2;
    T_OK(cr_boot_pearson(&many, x, NULL, y, n, NULL, 0, &o, &err));
    assert_true(one.interval.low != many.interval.low);
}

/* Two judges that err on the same items: pairing makes the interval of their difference narrow. */
static void test_pairing_and_clusters(void **state) {
    (void)state;
    critic_error err = {0};
    struct cr_rng rng;
    enum { N = 400 };
    double a[N], b[N];
    uint32_t cluster[N];
    struct cr_boot_options o;
    struct cr_boot paired, alone, whole, clustered;
    cr_rng_seed(&rng, 11);
    for (size_t i = 0; i < N; i++) {
        double hard =
            i % 8 == 0 ? cr_rng_normal(&rng) : a[i - 1]; /* 8 of a cluster alike */
        a[i] = hard;
        b[i] = hard + 0.05 * cr_rng_normal(&rng);
        cluster[i] = (uint32_t)(i / 8);
    }
    cr_boot_options_default(&o);
    T_OK(cr_boot_mean(&paired, a, b, N, NULL, 0, &o, &err));
    T_OK(cr_boot_mean(&alone, a, NULL, N, NULL, 0, &o, &err));
    assert_true(paired.error < 0.1 * alone.error);
    T_OK(cr_boot_mean(&whole, a, NULL, N, NULL, 0, &o, &err));
    T_OK(cr_boot_mean(&clustered, a, NULL, N, cluster, N / 8, &o, &err));
    assert_int_equal(clustered.n_units, N / 8);
    T_NEAR(whole.estimate.value, clustered.estimate.value, 1e-12, 0);
    T_NEAR(clustered.error / whole.error, sqrt(8), 0.5, 0);
    same_for_any_threads(a, b, N);
}

static double share_of_sums(const double *s, size_t k, const void *user) {
    (void)k;
    (void)user;
    return s[1] / s[0];
}

/* The three ways to draw agree with each other and with the formula sqrt(p (1-p) / n). */
static void test_ways_to_draw(void **state) {
    (void)state;
    critic_error err = {0};
    struct cr_boot_options o;
    struct cr_boot kinds, units, bags;
    enum { N = 20000 };
    double *terms = calloc(2 * N, sizeof *terms);
    assert_non_null(terms);
    cr_boot_options_default(&o);
    o.n_draws = 3000;
    for (size_t i = 0; i < N; i++) {
        terms[2 * i] = 1;
        terms[2 * i + 1] = i % 10 < 3;
    }
    double error = sqrt(0.3 * 0.7 / N);
    T_OK(cr_boot_sums(&kinds, terms, N, 2, NULL, 0, share_of_sums, NULL, &o, &err));
    assert_string_equal(kinds.how, "percentile");
    T_NEAR(kinds.error / error, 1, 0.06, 0);
    for (size_t i = 0; i < N; i++) /* every row its own kind */
        terms[2 * i + 1] += 1e-9 * (double)i / N;
    T_OK(cr_boot_sums(&units, terms, N, 2, NULL, 0, share_of_sums, NULL, &o, &err));
    assert_string_equal(units.how, "percentile");
    T_NEAR(units.error / error, 1, 0.06, 0);
    o.n_draws = 60000; /* 1.2e9 unit draws */
    T_OK(cr_boot_sums(&bags, terms, N, 2, NULL, 0, share_of_sums, NULL, &o, &err));
    assert_string_equal(bags.how, "little bags");
    T_NEAR(bags.error / error, 1, 0.1,
           0); /* 20 bags of 1024: their variances differ by 5 % */
    T_NEAR(bags.interval.low, 0.3 - 1.96 * error, 0.2 * error, 0);
    T_NEAR(bags.interval.high, 0.3 + 1.96 * error, 0.2 * error, 0);
    free(terms);
}

/* ---- tests ---------------------------------------------------------------------------------- */

static void test_significance_refused(void **state) {
    (void)state;
    critic_error err = {0};
    struct cr_stat p;
    double adjusted[3];
    const double a[] = {1, 2, 3};
    const double bad[] = {1, NAN, 3};
    refused(cr_mcnemar(0, 0).p_value, cr_why_difference);
    assert_ptr_equal(cr_wilson(0, 0, 0.95).why, cr_why_empty);
    assert_non_null(cr_two_proportions(1, 2, 0, 0, 0.95).why);
    T_OK(cr_permute_paired(&p, a, a, 3, NULL, 0, 100, 1, &err));
    assert_true(p.value == 1);
    T_OK(cr_permute_paired(&p, a, bad, 3, NULL, 0, 100, 1, &err));
    refused(p, cr_why_nan);
    T_OK(cr_permute_paired(&p, a, a, 0, NULL, 0, 100, 1, &err));
    refused(p, cr_why_empty);
    T_FAILS(cr_permute_paired(&p, a, a, 3, NULL, 0, 0, 1, &err), CRITIC_BAD_ARGUMENT,
            "draws");
    T_OK(cr_permute_groups(&p, a, 3, bad, 3, 100, 1, &err));
    refused(p, cr_why_nan);
    const double some[] = {0.01, NAN, 0.04};
    T_OK(cr_holm(adjusted, some, 3, &err));
    assert_true(adjusted[0] == 0.02 && isnan(adjusted[1]) && adjusted[2] == 0.04);
    refused(cr_power_paired(0, 1, 10, 0.05, 0.8).n_needed, cr_why_difference);
    refused(cr_power_mcnemar(5, 5, 100, 0.05, 0.8).n_more, cr_why_difference);
    refused(cr_power_mcnemar(0, 0, 0, 0.05, 0.8).n_more, cr_why_empty);
    assert_true(cr_power_paired(1, 0.5, 100, 0.05, 0.8).n_more.value == 0);
}

/* Clustered flips: two clusters have four sign patterns, two of them as extreme. */
static void test_clustered_flips(void **state) {
    (void)state;
    critic_error err = {0};
    struct cr_stat p;
    const double a[] = {1, 1, 1, 1};
    const double b[] = {0, 0, 0, 0};
    const uint32_t cluster[] = {0, 0, 1, 1};
    T_OK(cr_permute_paired(&p, a, b, 4, cluster, 2, 1000, 1, &err));
    assert_true(p.value == 0.5);
    T_OK(cr_permute_paired(&p, a, b, 4, NULL, 0, 1000, 1, &err));
    assert_true(p.value == 0.125);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_probabilities_refused),
        cmocka_unit_test(test_position),
        cmocka_unit_test(test_longer),
        cmocka_unit_test(test_logistic_refused),
        cmocka_unit_test(test_length_control),
        cmocka_unit_test(test_bt_smoothed),
        cmocka_unit_test(test_elo),
        cmocka_unit_test(test_boot_refused),
        cmocka_unit_test(test_pairing_and_clusters),
        cmocka_unit_test(test_ways_to_draw),
        cmocka_unit_test(test_significance_refused),
        cmocka_unit_test(test_clustered_flips),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
