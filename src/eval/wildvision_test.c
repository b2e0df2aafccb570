/* The published rows of WildVision-Bench, recomputed from the real verdicts. */
#include "t.h"

#include "eval/stats_rank.h"
#include "eval/wildvision.h"

/* README of the benchmark: score, interval, win rate, reward, much better … much worse. */
static const struct row {
    const char *model;
    double score, low, high, win_rate, reward;
    size_t counts[5];
    size_t n_unparsed;
} published[] = {
    {"gpt-4-vision-preview", 79.78, -2.4, 2.5, 71.8, 39.4, {182, 177, 22, 91, 28}, 7},
    {"Reka-Flash", 64.65, -2.7, 3.5, 58.8, 18.9, {135, 159, 28, 116, 62}, 8},
    {"liuhaotian/llava-v1.6-34b", 51.89, -3.0, 3.6, 49.2, 2.5, {90, 156, 26, 145, 83}, 7},
    {"claude-3-sonnet-20240229", 50.0, 0, 0, 0.2, 0.1, {0, 1, 499, 0, 0}, 7},
    {"claude-3-haiku-20240307", 37.83, -3.1, 3.3, 30.6, -16.5, {54, 99, 47, 228, 72}, 8},
    {"llava-1.5-7b-hf", 15.5, -1.5, 2.3, 18.0, -47.8, {28, 62, 25, 174, 211}, 20},
    {"openbmb/MiniCPM-V", 11.95, -1.9, 1.4, 13.6, -57.5, {25, 43, 16, 164, 252}, 8},
};
#define N_ROWS (sizeof published / sizeof published[0])

static void test_published_rows(void **state) {
    (void)state;
    critic_error err = {0};
    struct cr_faults faults = {0};
    struct cr_wildvision_options o;
    struct cr_wildvision w;
    cr_wildvision_options_default(&o);
    T_OK(cr_wildvision_run(&w, T_SOURCE("tests/golden/eval/wildvision"), &o, &faults,
                           &err));
    assert_int_equal(faults.n, 0);
    assert_int_equal(w.n_models, N_ROWS);
    assert_int_equal(w.n_questions, 500);
    for (size_t i = 0; i < N_ROWS; i++) {
        const struct row *p = &published[i];
        const struct cr_wildvision_model *m = &w.models[i];
        print_message("  %s\n", p->model);
        assert_string_equal(m->name, p->model);
        const size_t counts[5] = {m->much_better, m->better, m->tie, m->worse,
                                  m->much_worse};
        assert_memory_equal(counts, p->counts, sizeof counts);
        assert_int_equal(m->n_unparsed, p->n_unparsed);
        assert_int_equal(m->n_label_differs, 0);
        T_NEAR(m->score.value, p->score, 0.00501, 0);
        T_NEAR(m->win_rate.value, p->win_rate, 1e-9, 0);
        T_NEAR(m->reward.value, p->reward, 1e-9, 0);
        T_NEAR(m->ci.low, p->score + p->low, 1, 0);
        T_NEAR(m->ci.high, p->score + p->high, 1, 0);
        /* Questions vary more than the battles that a >> was turned into. */
        if (i != 3)
            assert_true(m->ci_questions.high - m->ci_questions.low >
                        m->ci.high - m->ci.low);
    }
    cr_wildvision_fini(&w);
    cr_faults_fini(&faults);
}

/* What the draws of the interval rely on: with one opponent the fit is the share of points. */
static void test_one_opponent_is_a_share(void **state) {
    (void)state;
    critic_error err = {0};
    const struct cr_battle battles[] = {{1, 0, 1, 3}, {1, 0, 1, 1}, {1, 0, 0.5, 1},
                                        {1, 0, 0, 1}, {1, 0, 0, 3}, {1, 0, 1, 1}};
    double ratings[2];
    struct cr_bt_options o;
    struct cr_bt bt;
    cr_bt_options_default(&o);
    T_OK(cr_bt_fit(&bt, ratings, battles, 6, 2, &o, &err));
    assert_true(ratings[0] == 1000);
    T_NEAR(cr_elo_expected(ratings[1], ratings[0], 400, 10), 5.5 / 10, 1e-12, 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_published_rows),
        cmocka_unit_test(test_one_opponent_is_a_share),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
