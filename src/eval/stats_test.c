/* Hand-computed vectors, edges and refusals. SciPy's values: tests/stats/golden_test.c. */
#include "t.h"

#include "eval/stats.h"
#include "eval/stats_label.h"

#define N(array) (sizeof(array) / sizeof((array)[0]))

static void refused(struct cr_stat s, const char *why) {
    assert_true(isnan(s.value));
    assert_ptr_equal(s.why, why);
}

static void test_kendall_of_the_specification(void **state) {
    (void)state;
    critic_error err = {0};
    const double x[] = {1, 2, 2, 3};
    const double y[] = {1, 3, 2, 4};
    struct cr_kendall k;
    T_OK(cr_kendall(&k, x, y, 4, &err));
    assert_true(k.n_concordant == 5 && k.n_discordant == 0 && k.n_tied_x == 1 &&
                k.n_tied_y == 0 && k.n_tied_both == 0);
    T_NEAR(k.tau_b.value, 5 / sqrt(30), 1e-15, 0);
    T_NEAR(k.tau_a.value, 5.0 / 6, 1e-15, 0);
    T_NEAR(k.tau_c.value, 2 * 5.0 / (16 * 2.0 / 3), 1e-15, 0);
}

static void test_undefined_is_said(void **state) {
    (void)state;
    critic_error err = {0};
    const double one[] = {1};
    const double flat[] = {2, 2, 2};
    const double rise[] = {1, 2, 3};
    const double nan_in[] = {1, NAN, 3};
    const double inf_in[] = {1, INFINITY, 3};
    struct cr_stat s;
    struct cr_kendall k;
    refused(cr_pearson(NULL, NULL, 0), cr_why_empty);
    refused(cr_pearson(one, one, 1), cr_why_few);
    refused(cr_pearson(flat, rise, 3), cr_why_constant);
    refused(cr_pearson(rise, flat, 3), cr_why_constant);
    refused(cr_pearson(rise, nan_in, 3), cr_why_nan);
    refused(cr_pearson(inf_in, rise, 3), cr_why_nan);
    T_OK(cr_spearman(&s, flat, rise, 3, &err));
    refused(s, cr_why_constant);
    T_OK(cr_spearman(&s, nan_in, rise, 3, &err));
    refused(s, cr_why_nan);
    T_OK(cr_kendall(&k, flat, rise, 3, &err));
    refused(k.tau_b, cr_why_constant);
    refused(k.tau_c, cr_why_constant);
    assert_true(k.tau_a.value == 0);
    T_OK(cr_kendall(&k, rise, nan_in, 3, &err));
    refused(k.tau_a, cr_why_nan);
    T_OK(cr_kendall(&k, one, one, 1, &err));
    refused(k.tau_b, cr_why_few);
    refused(cr_mean(NULL, 0), cr_why_empty);
    refused(cr_sd(one, 1), cr_why_few);
    refused(cr_concordance(flat, flat, 3), cr_why_constant);
    refused(cr_partial(rise, rise, rise, 3), cr_why_constant);
}

static void test_spread(void **state) {
    (void)state;
    critic_error err = {0};
    struct cr_spread s;
    const double six[] = {6, 6, 6, 6, 6, 6, 6, 6, 6, 5};
    const double even[] = {1, 2, 3, 4};
    T_OK(cr_spread(&s, six, N(six), 10, &err));
    assert_true(s.mode == 6 && s.n_distinct == 2 && s.collapsed);
    T_NEAR(s.mode_share.value, 0.9, 1e-15, 0);
    T_NEAR(s.entropy.value, (-0.9 * log(0.9) - 0.1 * log(0.1)) / log(10), 1e-15, 0);
    T_OK(cr_spread(&s, even, 4, 0, &err));
    assert_true(!s.collapsed);
    T_NEAR(s.entropy.value, 1, 1e-15, 0);
    T_OK(cr_spread(&s, NULL, 0, 0, &err));
    refused(s.entropy, cr_why_empty);
}

static void test_picks(void **state) {
    (void)state;
    const unsigned char reference[] = {0, 0, 0, 1, 1, 2, 2, 3};
    const unsigned char verdict[] = {0, 1, 2, 1, 3, 2, 0, 0};
    struct cr_pick_scores s;
    cr_pick_scores(&s, reference, verdict, N(reference));
    assert_int_equal(s.n, 7);
    T_NEAR(s.with_tie.value, 3.0 / 7, 1e-15, 0);
    T_NEAR(s.no_tie_strict.value, 2.0 / 5, 1e-15, 0);
    T_NEAR(s.no_tie_decisive.value, 2.0 / 3, 1e-15, 0);
    T_NEAR(s.decisive_rate.value, 3.0 / 5, 1e-15, 0);
    T_NEAR(s.macro.value, (1.0 / 3 + 1.0 / 2 + 1.0 / 2) / 3, 1e-15, 0);
    T_NEAR(s.tie_precision.value, 0.5, 1e-15, 0);
    T_NEAR(s.tie_recall.value, 0.5, 1e-15, 0);
    cr_pick_scores(&s, reference, verdict, 0);
    refused(s.with_tie, cr_why_empty);
    refused(s.kappa, cr_why_empty);
}

static void test_kappa(void **state) {
    (void)state;
    critic_error err = {0};
    struct cr_stat s;
    const int a[] = {0, 1, 2, 3, 3};
    const int b[] = {1, 1, 1, 1, 1};
    T_OK(cr_kappa(&s, CR_KAPPA_QUADRATIC, a, a, 5, 4, &err));
    assert_true(s.value == 1);
    T_OK(cr_kappa(&s, CR_KAPPA_PLAIN, b, b, 5, 4, &err));
    refused(s, cr_why_one_class);
    T_OK(cr_kappa(&s, CR_KAPPA_PLAIN, a, b, 5, 3, &err));
    assert_string_equal(s.why, "a class is out of range");
    T_OK(cr_kappa(&s, CR_KAPPA_PLAIN, a, b, 0, 3, &err));
    refused(s, cr_why_empty);
}

/* The worked example of Krippendorff, "Computing Krippendorff's alpha-reliability" (2011), D. */
static void test_alpha(void **state) {
    (void)state;
    critic_error err = {0};
    const double x = NAN;
    const double units[12][4] = {{1, 1, x, 1}, {2, 2, 3, 2}, {3, 3, 3, 3}, {3, 3, 3, 3},
                                 {2, 2, 2, 2}, {1, 2, 3, 4}, {4, 4, 4, 4}, {1, 1, 2, 1},
                                 {2, 2, 2, 2}, {x, 5, 5, 5}, {x, x, 1, 1}, {x, x, 3, x}};
    struct cr_stat s;
    T_OK(cr_alpha(&s, CR_ALPHA_NOMINAL, &units[0][0], 12, 4, &err));
    T_NEAR(s.value, 0.743, 5e-4, 0);
    T_OK(cr_alpha(&s, CR_ALPHA_ORDINAL, &units[0][0], 12, 4, &err));
    T_NEAR(s.value, 0.815, 5e-4, 0);
    T_OK(cr_alpha(&s, CR_ALPHA_INTERVAL, &units[0][0], 12, 4, &err));
    T_NEAR(s.value, 0.849, 5e-4, 0);
    const double same[] = {7, 7, 7, 7};
    T_OK(cr_alpha(&s, CR_ALPHA_INTERVAL, same, 2, 2, &err));
    refused(s, cr_why_constant);
    T_OK(cr_alpha(&s, CR_ALPHA_INTERVAL, same, 4, 1, &err));
    refused(s, cr_why_few);
}

static void test_order_distance(void **state) {
    (void)state;
    critic_error err = {0};
    struct cr_stat s;
    T_OK(cr_order_distance(&s, "CADB", 4, "CDAB", 4, &err));
    assert_true(s.value == 0.5);
    T_OK(cr_order_distance(&s, "ABC", 3, "", 0, &err));
    assert_true(s.value == 1);
    T_OK(cr_order_distance(&s, "", 0, "", 0, &err));
    refused(s, cr_why_empty);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_kendall_of_the_specification),
        cmocka_unit_test(test_undefined_is_said),
        cmocka_unit_test(test_spread),
        cmocka_unit_test(test_picks),
        cmocka_unit_test(test_kappa),
        cmocka_unit_test(test_alpha),
        cmocka_unit_test(test_order_distance),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
