/* The rules by which opinions become one, on opinions made by hand. */
#include "judge/run.h"
#include "t.h"

static struct cr_arena arena;

static int make_arena(void **state) {
    (void)state;
    return cr_arena_init(&arena, 1 << 22, NULL) == CRITIC_OK ? 0 : -1;
}

static int drop_arena(void **state) {
    (void)state;
    cr_arena_fini(&arena);
    return 0;
}

static double *scores_of(double a, double b) {
    double *s = cr_arena_calloc(&arena, 2, sizeof *s);
    s[0] = a;
    s[1] = b;
    return s;
}

static struct cr_opinion said(enum cr_choice choice) {
    double share = choice == CR_CHOICE_FIRST ? 1 : choice == CR_CHOICE_TIE ? 0.5 : 0;
    return (struct cr_opinion){.mode = CR_MODE_PAIRWISE,
                               .choice = choice,
                               .scores = scores_of(share, 1 - share),
                               .n_scores = 2,
                               .score = NAN,
                               .raw = {cr_choice_name(choice), 1}};
}

static struct cr_opinion scored(double a, double b) {
    struct cr_opinion op = said(a > b   ? CR_CHOICE_FIRST
                                : b > a ? CR_CHOICE_SECOND
                                        : CR_CHOICE_TIE);
    op.scores = scores_of(a, b);
    op.has_numbers = true;
    return op;
}

static struct cr_opinion likely(double first, double second, double tie) {
    struct cr_opinion op = said(first > second ? CR_CHOICE_FIRST : CR_CHOICE_SECOND);
    op.options = cr_arena_calloc(&arena, 3, sizeof *op.options);
    op.options[0] = (struct cr_option){"first", first, NAN};
    op.options[1] = (struct cr_option){"second", second, NAN};
    op.options[2] = (struct cr_option){"tie", tie, NAN};
    op.n_options = 3;
    op.scores = scores_of(first + tie / 2, second + tie / 2);
    op.mass = 0.5;
    return op;
}

static struct cr_opinion point(double score) {
    return (struct cr_opinion){.mode = CR_MODE_POINTWISE,
                               .score = score,
                               .scores = scores_of(score, 0),
                               .n_scores = 1};
}

static struct cr_opinion failed(enum cr_mode mode) {
    return (struct cr_opinion){.mode = mode,
                               .status = CR_VERDICT_UNPARSED,
                               .why = "no verdict found",
                               .score = NAN,
                               .raw = {"??", 2}};
}

static struct cr_opinion combine(enum cr_mode mode, enum cr_parts kind, size_t n_answers,
                                 const struct cr_opinion *parts, size_t n) {
    critic_error err;
    struct cr_item item = {.n_answers = n_answers};
    struct cr_run run = {.item = &item, .arena = &arena};
    struct cr_opinion op = {.mode = mode, .parts_kind = kind, .n_parts = n};
    op.parts = cr_arena_calloc(&arena, n, sizeof *op.parts);
    memcpy(op.parts, parts, n * sizeof *parts);
    T_OK(cr_combine(&run, &op, &err));
    return op;
}

static struct cr_opinion orders(struct cr_opinion a, struct cr_opinion b) {
    struct cr_opinion parts[2] = {a, b};
    return combine(CR_MODE_PAIRWISE, CR_PARTS_ORDERS, 2, parts, 2);
}

static void test_orders_without_probabilities(void **state) {
    (void)state;
    static const enum cr_choice all[] = {CR_CHOICE_FIRST, CR_CHOICE_SECOND,
                                         CR_CHOICE_TIE};
    for (int i = 0; i < 3; i++)
        for (int k = 0; k < 3; k++) {
            struct cr_opinion op = orders(said(all[i]), said(all[k]));
            assert_int_equal(op.status, CR_VERDICT_OK);
            assert_true(op.has_consistent);
            assert_int_equal(op.consistent, i == k);
            assert_int_equal(op.choice, i == k ? all[i] : CR_CHOICE_TIE);
            assert_int_equal(op.n_options, 0);
        }
}

static void test_orders_with_probabilities(void **state) {
    (void)state;
    struct cr_opinion op = orders(likely(0.9, 0.1, 0), likely(0.4, 0.6, 0));
    assert_int_equal(op.choice, CR_CHOICE_FIRST);
    assert_false(op.consistent);
    T_NEAR(op.options[0].probability, 0.65, 1e-12, 0);
    T_NEAR(op.mass, 0.5, 1e-12, 0);
    assert_int_equal(orders(likely(0.7, 0.3, 0), likely(0.3, 0.7, 0)).choice,
                     CR_CHOICE_TIE);
    assert_int_equal(orders(likely(0.3, 0.2, 0.5), likely(0.4, 0.3, 0.3)).choice,
                     CR_CHOICE_TIE);
}

static void test_orders_with_numbers(void **state) {
    (void)state;
    struct cr_opinion op = orders(scored(9, 5), scored(6, 7));
    assert_int_equal(op.choice, CR_CHOICE_FIRST);
    T_NEAR(op.scores[0], 7.5, 0, 0);
    T_NEAR(op.scores[1], 6, 0, 0);
    assert_int_equal(orders(scored(9, 5), scored(5, 9)).choice, CR_CHOICE_TIE);
}

static void test_an_unparsed_part_spoils(void **state) {
    (void)state;
    struct cr_opinion op = orders(said(CR_CHOICE_FIRST), failed(CR_MODE_PAIRWISE));
    assert_int_equal(op.status, CR_VERDICT_UNPARSED);
    assert_string_equal(op.why, "no verdict found");
    assert_int_equal(op.raw.len, 2);
    assert_false(op.has_consistent);
    struct cr_opinion parts[3] = {said(CR_CHOICE_FIRST), failed(CR_MODE_PAIRWISE),
                                  said(CR_CHOICE_FIRST)};
    op = combine(CR_MODE_RANKING, CR_PARTS_COMPARISONS, 3, parts, 3);
    assert_int_equal(op.status, CR_VERDICT_UNPARSED);
    assert_int_equal(op.n_order, 0);
    assert_int_equal(op.n_unparsed, 1);
}

static void test_swap(void **state) {
    (void)state;
    struct cr_opinion op = likely(0.7, 0.2, 0.1);
    cr_opinion_swap(&op);
    assert_int_equal(op.choice, CR_CHOICE_SECOND);
    assert_string_equal(op.options[0].label, "second");
    assert_string_equal(op.options[2].label, "tie");
    T_NEAR(op.scores[0], 0.25, 1e-12, 0);
    T_NEAR(cr_opinion_share(&op), 0.25, 1e-12, 0);
    op = said(CR_CHOICE_TIE);
    cr_opinion_swap(&op);
    assert_int_equal(op.choice, CR_CHOICE_TIE);
}

static void test_samples(void **state) {
    (void)state;
    struct cr_opinion points[5] = {point(80), point(60), failed(CR_MODE_POINTWISE),
                                   point(80), point(0)};
    struct cr_opinion op = combine(CR_MODE_POINTWISE, CR_PARTS_SAMPLES, 1, points, 5);
    assert_int_equal(op.status, CR_VERDICT_OK);
    T_NEAR(op.score, 55, 1e-12, 0);
    assert_int_equal(op.n_unparsed, 1);
    assert_int_equal(op.n_options, 3);
    assert_string_equal(op.options[0].label, "0");
    assert_string_equal(op.options[2].label, "80");
    T_NEAR(op.options[2].probability, 0.5, 1e-12, 0);
    T_NEAR(op.mass, 0.8, 1e-12, 0);
    struct cr_opinion pairs[4] = {said(CR_CHOICE_FIRST), said(CR_CHOICE_SECOND),
                                  said(CR_CHOICE_FIRST), said(CR_CHOICE_TIE)};
    op = combine(CR_MODE_PAIRWISE, CR_PARTS_SAMPLES, 2, pairs, 4);
    assert_int_equal(op.choice, CR_CHOICE_FIRST);
    T_NEAR(op.options[0].probability, 0.5, 1e-12, 0);
    op = combine(CR_MODE_PAIRWISE, CR_PARTS_SAMPLES, 2, pairs, 2);
    assert_int_equal(op.choice, CR_CHOICE_TIE); /* one vote each */
    op = combine(CR_MODE_PAIRWISE, CR_PARTS_SAMPLES, 2, pairs + 1, 1);
    assert_int_equal(op.choice, CR_CHOICE_SECOND);
    op = combine(CR_MODE_PAIRWISE, CR_PARTS_SAMPLES, 2, pairs + 3, 1);
    assert_int_equal(op.choice, CR_CHOICE_TIE);
}

static void test_comparisons(void **state) {
    (void)state;
    /* 1 beats 0, 2 beats 0, 1 and 2 tie; 0-3, 1-3, 2-3: 3 loses all */
    struct cr_opinion parts[6] = {said(CR_CHOICE_SECOND), said(CR_CHOICE_SECOND),
                                  said(CR_CHOICE_FIRST),  said(CR_CHOICE_TIE),
                                  said(CR_CHOICE_FIRST),  said(CR_CHOICE_FIRST)};
    struct cr_opinion op = combine(CR_MODE_RANKING, CR_PARTS_COMPARISONS, 4, parts, 6);
    static const size_t order[] = {1, 2, 0, 3};
    assert_memory_equal(op.order, order, sizeof order);
    T_NEAR(op.scores[1], 2.5 / 3, 1e-12, 0);
    T_NEAR(op.scores[3], 0, 1e-12, 0);
    /* numbers decide a comparison by which is larger, not by their size */
    struct cr_opinion numbers[3] = {scored(9, 1), scored(4, 5), scored(2, 9)};
    op = combine(CR_MODE_RANKING, CR_PARTS_COMPARISONS, 3, numbers, 3);
    static const size_t by_wins[] = {2, 0, 1};
    assert_memory_equal(op.order, by_wins, sizeof by_wins);
    /* a cycle: all equal, in the order of the item */
    struct cr_opinion cycle[3] = {said(CR_CHOICE_FIRST), said(CR_CHOICE_SECOND),
                                  said(CR_CHOICE_FIRST)};
    op = combine(CR_MODE_RANKING, CR_PARTS_COMPARISONS, 3, cycle, 3);
    static const size_t as_given[] = {0, 1, 2};
    assert_memory_equal(op.order, as_given, sizeof as_given);
}

static void test_answers(void **state) {
    (void)state;
    struct cr_opinion parts[3] = {point(50), point(90), point(50)};
    struct cr_opinion op = combine(CR_MODE_RANKING, CR_PARTS_ANSWERS, 3, parts, 3);
    static const size_t order[] = {1, 0, 2};
    assert_memory_equal(op.order, order, sizeof order);
    parts[0].has_expected = parts[1].has_expected = true;
    parts[0].expected = 50.2;
    parts[1].expected = 50.1;
    op = combine(CR_MODE_PAIRWISE, CR_PARTS_ANSWERS, 2, parts, 2);
    assert_int_equal(op.choice, CR_CHOICE_FIRST);
}

static void test_criteria(void **state) {
    (void)state;
    struct cr_opinion points[2] = {point(50), point(90)};
    assert_true(combine(CR_MODE_POINTWISE, CR_PARTS_CRITERIA, 1, points, 2).score == 70);
    struct cr_opinion pairs[3] = {said(CR_CHOICE_SECOND), said(CR_CHOICE_SECOND),
                                  said(CR_CHOICE_FIRST)};
    assert_int_equal(combine(CR_MODE_PAIRWISE, CR_PARTS_CRITERIA, 2, pairs, 3).choice,
                     CR_CHOICE_SECOND);
    assert_int_equal(combine(CR_MODE_PAIRWISE, CR_PARTS_CRITERIA, 2, pairs + 1, 2).choice,
                     CR_CHOICE_TIE);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_orders_without_probabilities),
        cmocka_unit_test(test_orders_with_probabilities),
        cmocka_unit_test(test_orders_with_numbers),
        cmocka_unit_test(test_an_unparsed_part_spoils),
        cmocka_unit_test(test_swap),
        cmocka_unit_test(test_samples),
        cmocka_unit_test(test_comparisons),
        cmocka_unit_test(test_answers),
        cmocka_unit_test(test_criteria),
    };
    return cmocka_run_group_tests(tests, make_arena, drop_arena);
}
