/* The tables of eval micro on rows whose verdicts are known: an oracle, a coin of one face, a liar. */
#include "eval/micro.h"

#include "t.h"

enum { N = 200 };

static void draw(struct cr_micro_rows *rows) {
    rows->rows = calloc(N, sizeof *rows->rows);
    rows->n = N;
    for (size_t i = 0; i < N; i++) {
        struct cr_micro_row *row = &rows->rows[i];
        struct cr_rng r;
        cr_scene_draw(&row->scene, CR_TEST, 5, i, CR_LARGE_PERCENT);
        cr_rng_seed_at(&r, 5, i);
        cr_pair_draw(&row->pair, &row->scene, &r, i % 2 == 0, false);
        row->obeys[0] = row->obeys[1] = row->agrees[0] = row->agrees[1] = -1;
    }
}

static struct cr_micro_verdict say(enum cr_choice c, double p) {
    struct cr_micro_verdict v = {.choice = c, .has_p = true};
    for (int i = 0; i < 3; i++)
        v.p[i] = (int)c - CR_CHOICE_FIRST == i ? p : (1 - p) / 2;
    return v;
}

static enum cr_choice right(const struct cr_pair *p) {
    return p->gap > 0 ? CR_CHOICE_FIRST : p->gap < 0 ? CR_CHOICE_SECOND : CR_CHOICE_TIE;
}

static double value(const struct cr_micro_table *t, enum cr_micro_measure m) {
    return t->of[m].value;
}

static void test_oracle(void **state) {
    (void)state;
    critic_error err;
    struct cr_micro_rows rows = {0};
    struct cr_micro_table t;
    draw(&rows);
    for (size_t i = 0; i < N; i++)
        for (int k = 0; k < 2; k++) {
            struct cr_micro_row *row = &rows.rows[i];
            row->reason[k] = row->only[k] = say(right(&row->pair), 0.9);
            row->score[k] = row->pair.answers[k].scores[CR_OVERALL];
            row->n_facts += 3;
            row->n_true_facts += 2;
        }
    T_OK(cr_micro_tabulate(&t, &rows, 1, &err));
    T_NEAR(value(&t, CR_MICRO_pair_accuracy), 1, 0, 0);
    T_NEAR(value(&t, CR_MICRO_pair_accuracy_ties), 1, 0, 0);
    T_NEAR(value(&t, CR_MICRO_only_accuracy), 1, 0, 0);
    T_NEAR(value(&t, CR_MICRO_combined_accuracy), 1, 0, 0);
    T_NEAR(value(&t, CR_MICRO_pearson), 1, 1e-12, 0);
    T_NEAR(value(&t, CR_MICRO_kendall), 1, 1e-12, 0);
    T_NEAR(value(&t, CR_MICRO_swap_consistency), 1, 0, 0);
    T_NEAR(value(&t, CR_MICRO_faithfulness), 2.0 / 3, 1e-12, 0);
    T_NEAR(value(&t, CR_MICRO_ece), 0.1, 1e-12, 0);
    T_NEAR(value(&t, CR_MICRO_longer), 0.5, 0, 0);
    T_NEAR(value(&t, CR_MICRO_first), 0.5, 0.02, 0);
    assert_true(isnan(value(&t, CR_MICRO_obedience)));
    T_NEAR(value(&t, CR_MICRO_blind_pair_accuracy), 0, 0, 0); /* not judged: not right */
    size_t by_gap = 0;
    for (int i = 0; i < CR_N_GAPS; i++)
        by_gap += t.by_gap[i].n;
    assert_int_equal(by_gap, 2 * N);
    assert_true(t.easy_share > 0.05 && t.easy_share < 0.25);
    cr_micro_rows_fini(&rows);
}

/* Whatever stands first in the prompt is better: right half the time, and never twice. */
static void test_first_always(void **state) {
    (void)state;
    critic_error err;
    struct cr_micro_rows rows = {0};
    struct cr_micro_table t;
    draw(&rows);
    for (size_t i = 0; i < N; i++) {
        rows.rows[i].reason[0] = say(CR_CHOICE_FIRST, 0.6);
        rows.rows[i].reason[1] = say(CR_CHOICE_SECOND, 0.6);
        rows.rows[i].obeys[0] = i % 4 == 0;
        rows.rows[i].agrees[0] = i % 2 == 0;
    }
    T_OK(cr_micro_tabulate(&t, &rows, 1, &err));
    T_NEAR(value(&t, CR_MICRO_pair_accuracy), 0.5, 0, 0);
    T_NEAR(value(&t, CR_MICRO_swap_consistency), 0, 0, 0);
    T_NEAR(value(&t, CR_MICRO_first), 1, 0, 0);
    T_NEAR(value(&t, CR_MICRO_longer), 0.5, 1e-12, 0);
    T_NEAR(value(&t, CR_MICRO_obedience), 0.25, 1e-12, 0);
    T_NEAR(value(&t, CR_MICRO_agreement), 0.5, 1e-12, 0);
    assert_true(t.by_gap[0].value == 0 && t.by_gap[4].value == 0.5);
    cr_micro_rows_fini(&rows);
}

/* The longer of two equally good answers, and the worse of two others. */
static void test_liar(void **state) {
    (void)state;
    critic_error err;
    struct cr_micro_rows rows = {0};
    struct cr_micro_table t;
    draw(&rows);
    for (size_t i = 0; i < N; i++)
        for (int k = 0; k < 2; k++) {
            struct cr_micro_row *row = &rows.rows[i];
            const struct cr_answer *a = row->pair.answers;
            bool first = row->pair.gap ? row->pair.gap < 0 : a[0].len > a[1].len;
            row->reason[k] = say(first ? CR_CHOICE_FIRST : CR_CHOICE_SECOND, 1);
            row->score[k] = -a[k].scores[CR_OVERALL];
        }
    T_OK(cr_micro_tabulate(&t, &rows, 1, &err));
    T_NEAR(value(&t, CR_MICRO_pair_accuracy), 0, 0, 0);
    T_NEAR(value(&t, CR_MICRO_longer), 1, 0, 0);
    T_NEAR(value(&t, CR_MICRO_pearson), -1, 1e-12, 0);
    T_NEAR(value(&t, CR_MICRO_ece), 1, 1e-12, 0);
    cr_micro_rows_fini(&rows);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_oracle),
                                       cmocka_unit_test(test_first_always),
                                       cmocka_unit_test(test_liar)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
