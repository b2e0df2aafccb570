/* Rewards and selection on tables worked out by hand. */
#include "prefer/reward.h"
#include "prefer/select.h"
#include "t.h"

/* Three answers; 0 always wins, 1 ties with 2, and whoever is shown first gains a tenth. */
static void fill(struct cr_opinions *o) {
    static const double fair[3][3] = {{0, 0.9, 0.8}, {0.1, 0, 0.5}, {0.2, 0.5, 0}};
    cr_opinions_init(o, 3);
    for (size_t i = 0; i < 3; i++)
        for (size_t j = 0; j < 3; j++)
            if (i != j)
                o->share[i][j] = fair[i][j] + 0.05;
}

static void test_order_bias_cancels(void **state) {
    (void)state;
    struct cr_opinions o;
    double r[3];
    fill(&o);
    T_NEAR(cr_opinions_share(&o, 0, 1), 0.9, 1e-12, 0);
    T_NEAR(cr_opinions_order_gap(&o), 0.1, 1e-12, 0);
    /* r_i = sum_k a_ki - sum_l a_il with a = second's share - first's: 4 (fair - 1/2) summed. */
    cr_rewards(&o, CR_REWARD_SUM, r);
    T_NEAR(r[0], 4 * (0.4 + 0.3), 1e-12, 0);
    T_NEAR(r[1], 4 * (-0.4 + 0.0), 1e-12, 0);
    T_NEAR(r[2], 4 * (-0.3 + 0.0), 1e-12, 0);
    cr_rewards(&o, CR_REWARD_WIN, r);
    T_NEAR(r[0], 0.85, 1e-12, 0);
    T_NEAR(r[1], 0.30, 1e-12, 0);
}

static void test_one_order_is_scaled(void **state) {
    (void)state;
    struct cr_opinions o;
    double r[3];
    cr_opinions_init(&o, 3);
    o.share[0][1] = 1;
    o.share[1][2] = 0.5;
    cr_rewards(&o, CR_REWARD_SUM, r);
    T_NEAR(r[0], 4, 1e-12, 0);
    T_NEAR(r[1], -2, 1e-12, 0);
    T_NEAR(r[2], 0, 1e-12, 0);
    cr_rewards(&o, CR_REWARD_SCORE, r);
    assert_true(isnan(r[0]));
}

/* Of two answers with share p the difference of strengths is logit((p + t/2) / (1 + t)), t = 0.1. */
static void test_bradley_terry(void **state) {
    (void)state;
    struct cr_opinions o;
    double r[4], q[4];
    cr_opinions_init(&o, 2);
    o.share[0][1] = 1;
    o.share[1][0] = 0;
    cr_rewards(&o, CR_REWARD_BRADLEY_TERRY, r);
    T_NEAR(r[0] - r[1], log(1.05 / 0.05), 1e-9, 0);
    T_NEAR(r[0] + r[1], 0, 1e-9, 0);
    /* At the optimum expected wins equal observed wins, for every answer. */
    cr_opinions_init(&o, 4);
    for (size_t i = 0; i < 4; i++)
        for (size_t j = 0; j < 4; j++)
            if (i != j)
                o.share[i][j] =
                    0.5 + 0.1 * ((double)j - (double)i) + 0.03 * (double)(i * j % 3);
    cr_rewards(&o, CR_REWARD_BRADLEY_TERRY, q);
    for (size_t i = 0; i < 4; i++) {
        double observed = 0, expected = 0;
        for (size_t j = 0; j < 4; j++) {
            if (i == j)
                continue;
            observed += cr_opinions_share(&o, i, j) + 0.05;
            expected += 1.1 / (1 + exp(q[j] - q[i]));
        }
        T_NEAR(observed, expected, 1e-8, 0);
    }
    /* An answer that nobody compared has no reward and disturbs nobody. */
    struct cr_opinions more;
    cr_opinions_init(&more, 3);
    more.share[0][1] = 1;
    more.share[1][0] = 0;
    cr_rewards(&more, CR_REWARD_BRADLEY_TERRY, r);
    T_NEAR(r[0] - r[1], log(1.05 / 0.05), 1e-9, 0);
    assert_true(isnan(r[2]));
}

static struct cr_candidate candidate(const char *text, double reward) {
    return (struct cr_candidate){.text = cr_str_of(text), .reward = reward};
}

static void test_overlap(void **state) {
    (void)state;
    T_NEAR(cr_text_overlap(cr_str_of("A red cat."), cr_str_of("a  RED cat")), 1, 0, 0);
    T_NEAR(cr_text_overlap(cr_str_of("a b c"), cr_str_of("a b d")), 1.0 / 3, 1e-12, 0);
    T_NEAR(cr_text_overlap(cr_str_of("yes"), cr_str_of("no")), 0, 0, 0);
    T_NEAR(cr_text_overlap(cr_str_of(""), cr_str_of(" .")), 1, 0, 0);
}

static void test_selection(void **state) {
    (void)state;
    struct cr_candidate c[6] = {candidate("two cats", 0.2), candidate("  ", 5),
                                candidate("Two cats!", 9),  candidate("one dog", 0.7),
                                candidate("a bird", NAN),   candidate("a fish", 0.2)};
    struct cr_candidate cut = candidate("a long", 3);
    struct cr_select_opts opts = {.near_same = 0.9};
    struct cr_preference pairs[15];
    size_t twin[6], best;
    assert_int_equal(cr_select_texts(c, 6, &opts, twin), 4);
    assert_int_equal(c[1].drop, CR_DROP_EMPTY);
    assert_int_equal(c[2].drop, CR_DROP_DUPLICATE);
    assert_int_equal(twin[2], 0);
    assert_int_equal(cr_select_pairs(c, 6, &opts, pairs, &best), 1);
    assert_int_equal(c[4].drop, CR_DROP_UNSCORED);
    assert_int_equal(best, 3);
    assert_int_equal(pairs[0].chosen, 3);
    assert_int_equal(pairs[0].rejected, 0); /* the earlier of two that are equal */
    opts.pairing = CR_PAIR_ALL;
    assert_int_equal(cr_select_pairs(c, 6, &opts, pairs, &best), 2);
    assert_int_equal(pairs[1].rejected, 5);
    opts.min_margin = 0.5;
    assert_int_equal(cr_select_pairs(c, 6, &opts, pairs, &best), 0); /* 0.5 is not more */
    cut.truncated = true;
    assert_int_equal(cr_select_texts(&cut, 1, &opts, twin), 0);
    opts.keep_truncated = true;
    assert_int_equal(cr_select_texts(&cut, 1, &opts, twin), 1);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_order_bias_cancels),
        cmocka_unit_test(test_one_order_is_scaled), cmocka_unit_test(test_bradley_terry),
        cmocka_unit_test(test_overlap), cmocka_unit_test(test_selection)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
