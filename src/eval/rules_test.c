/* The acceptance vectors of the evaluation specification, and the quirks around them. */
#include "t.h"

#include "eval/rules.h"

static struct cr_str s(const char *text) {
    return cr_str_of(text);
}

typedef bool pair_rule(struct cr_str text, double pair[2]);

static void pair_is(pair_rule *rule, const char *text, double first, double second) {
    double pair[2] = {-1, -1};
    if (!rule(s(text), pair) || pair[0] != first || pair[1] != second)
        fail_msg("'%s' read as %g, %g", text, pair[0], pair[1]);
}

static void pair_fails(pair_rule *rule, const char *text) {
    double pair[2];
    if (rule(s(text), pair))
        fail_msg("'%s' read as %g, %g", text, pair[0], pair[1]);
}

static void test_two_scores(void **state) {
    (void)state;
    pair_is(cr_rule_pair_lmms, "8, 9\ntext", 8, 9);
    pair_fails(cr_rule_pair_llava, "8, 9\ntext");
    pair_fails(cr_rule_pair_llava, "8 9 ");
    pair_is(cr_rule_pair_wilder, "8 9 ", 8, 9);
    pair_is(cr_rule_pair_llava, "8 9", 8, 9);
    pair_is(cr_rule_pair_llava, "8,9\n", 8, 9);
    pair_is(cr_rule_pair_llava, "9 8.5\nBoth", 9, 8.5);
    pair_is(cr_rule_pair_lmms, "8;9.5", 8, 9.5);
    pair_fails(cr_rule_pair_llava, "");
    pair_fails(cr_rule_pair_llava, "8 9 10");
    pair_fails(cr_rule_pair_llava, "8 nine");
    pair_fails(cr_rule_pair_llava, "\n8 9");
    pair_fails(cr_rule_pair_lmms, "8");
    pair_is(cr_rule_pair_lmms, "Assistant 1 gets 8", 1, 8); /* the original reads it so */
    pair_fails(cr_rule_pair_robust, "Assistant 1 gets 8");
    pair_is(cr_rule_pair_robust, "**8, 9**\n", 8, 9);
    pair_is(cr_rule_pair_robust, "x\nScores:\nAssistant 1: 10\nAssistant 2: 4\nbye", 10,
            4);
    pair_fails(cr_rule_pair_robust, "Assistant 1: 10 points\nAssistant 2: 4");
    pair_fails(cr_rule_pair_robust, "8 9 10");
}

static void test_arena(void **state) {
    (void)state;
    assert_int_equal(cr_rule_arena(s("[[A>B]] then [[B>A]]")), CR_ARENA_NONE);
    assert_int_equal(cr_rule_arena_lmms(s("[[A>B]] then [[B>A]]")), CR_ARENA_A);
    assert_int_equal(cr_rule_arena(s("[[B>>A]] and [[B>>A]]")), CR_ARENA_B_MUCH);
    assert_int_equal(cr_rule_arena(s("verdict: [[A=B]]")), CR_ARENA_TIE);
    assert_int_equal(cr_rule_arena(s("[[A>>B]]")), CR_ARENA_A_MUCH);
    assert_int_equal(cr_rule_arena(s("[A>B] A>B [[ A>B ]]")), CR_ARENA_NONE);
    assert_int_equal(cr_rule_arena(s("[[A<B]]")), CR_ARENA_NONE);
    assert_int_equal(cr_rule_arena(s("[[]] [[B>A]]")), CR_ARENA_B);
    assert_int_equal(cr_rule_arena(s("[[A>B")), CR_ARENA_NONE);
    assert_int_equal(cr_rule_arena(s("[[[A>B]]]")), CR_ARENA_A);
    assert_int_equal(cr_rule_arena(s("")), CR_ARENA_NONE);
    assert_int_equal(cr_rule_arena_lmms(s("nothing")), CR_ARENA_NONE);
    assert_int_equal(cr_arena_swap(CR_ARENA_A_MUCH), CR_ARENA_B_MUCH);
    assert_int_equal(cr_arena_swap(CR_ARENA_TIE), CR_ARENA_TIE);
    assert_int_equal(cr_arena_of_label(s("B>A")), CR_ARENA_B);
    assert_int_equal(cr_arena_of_label(s("")), CR_ARENA_NONE);
}

static void test_vl_rewardbench(void **state) {
    (void)state;
    unsigned n = 0;
    assert_true(
        cr_rule_vlrb(s("Overall Judgment:\n**Answer 2** is slightly better."), &n));
    assert_int_equal(n, 2);
    assert_true(
        cr_rule_vlrb(s("Therefore, Answer 1 is better ... Answer 2 is better"), &n));
    assert_int_equal(n, 2);
    assert_true(cr_rule_vlrb(s("Overall Judgment: Answer 3 is better"), &n));
    assert_int_equal(n, 3);
    assert_true(cr_rule_vlrb(s("overall judgment: answer 1 is the slightly better"), &n));
    assert_int_equal(n, 1);
    assert_false(cr_rule_vlrb(s("Answer 1 is better. Therefore, none."), &n));
    assert_false(cr_rule_vlrb(s("Therefore Answer 1 is much better"), &n));
    /* Line feeds go first, and the original's blanks are any number of them. */
    assert_true(cr_rule_vlrb(s("Therefore\nAnswer\n1\nis  the\tbetter"), &n));
    assert_int_equal(n, 1);
    assert_true(cr_rule_vlrb(s("Therefore, Answer 12345678901 is better"), &n));
    assert_true(n > 2);
    assert_false(cr_rule_vlrb(s(""), &n));
}

static void test_letters(void **state) {
    (void)state;
    assert_int_equal(cr_rule_letter(s("[[B]] ... [[A]]")), 'A');
    assert_int_equal(cr_rule_letter_robust(s("[[B]] ... [[A]]")), 'A');
    assert_int_equal(cr_rule_letter(s("[[A]] ... [[B]]")), 'A');
    assert_int_equal(cr_rule_letter_robust(s("[[A]] ... [[B]]")), 'B');
    assert_int_equal(cr_rule_letter(s("[[C]]")), 0);
    assert_int_equal(cr_rule_letter_robust(s("[[A>B]]")), 0);
}

static void test_scores(void **state) {
    (void)state;
    double x = -1;
    assert_false(cr_rule_mmhal(s("Rating: 6 ... Rating: 2"), &x));
    assert_true(cr_rule_mmhal(s("so\nRating: 2, no"), &x) && x == 2);
    assert_true(cr_rule_mmhal(s("Rating: 4. rating: 4"), &x) && x == 4);
    assert_false(cr_rule_mmhal(s("Rating: 7"), &x));

    assert_true(cr_rule_mmvet_vlmeval(s("0.5"), &x) && x == 0.5);
    assert_false(cr_rule_mmvet_vlmeval(s("0.5 because"), &x));
    assert_false(cr_rule_mmvet_vlmeval(s("5"), &x));
    assert_true(cr_rule_mmvet_lmms(s("0.5"), &x) && x == 0.5);
    assert_true(cr_rule_mmvet_lmms(s("0.5 because"), &x) && x == 0.5);
    assert_false(cr_rule_mmvet_lmms(s("5"), &x));
    assert_false(cr_rule_mmvet_lmms(s(""), &x));
    assert_false(cr_rule_mmvet_vlmeval(s("nan"), &x));
    assert_false(cr_rule_mmvet_vlmeval(s("0x1p-1"), &x));

    assert_true(cr_rule_video_dc(s("{\"score\": 4.8}"), &x) && x == 4);
    assert_true(cr_rule_video_dc(s(" {'score': 3}\n"), &x) && x == 3);
    assert_false(cr_rule_video_dc(s("Sure! {'score': 3}"), &x));
    assert_false(cr_rule_video_dc(s("{}"), &x));
    assert_false(cr_rule_video_dc(s("{'score': 6}"), &x));
}

static void test_batch(void **state) {
    (void)state;
    char order[26];
    assert_true(cr_rule_batch(s("[[C]], [[A]], [[D]], [[B]]"), 4, order));
    assert_memory_equal(order, "CADB", 4);
    assert_false(cr_rule_batch(s("[[C]], [[A]], [[D]]"), 4, order));
    assert_false(cr_rule_batch(s("[[C]], [[A]], [[C]], [[B]]"), 4, order));
    assert_false(cr_rule_batch(s("[[A]], [[B]], [[C]], [[D]]"), 3, order));
}

static void yes_is(enum cr_yes (*rule)(struct cr_str), const char *text, enum cr_yes y) {
    if (rule(s(text)) != y)
        fail_msg("'%s' read as %d, not %d", text, (int)rule(s(text)), (int)y);
}

static void test_mme(void **state) {
    (void)state;
    yes_is(cr_rule_mme, "Yes.", CR_YES_YES);
    yes_is(cr_rule_mme, "no, there is not", CR_YES_NO);
    yes_is(cr_rule_mme, "NOT", CR_YES_NO);
    yes_is(cr_rule_mme, "", CR_YES_OTHER);
    yes_is(cr_rule_mme, "maybe", CR_YES_OTHER);
    yes_is(cr_rule_mme, " Yes", CR_YES_YES);
    yes_is(cr_rule_mme, "  Yes", CR_YES_OTHER);
    yes_is(cr_rule_mme, "eyes", CR_YES_YES);
    yes_is(cr_rule_mme, "I know", CR_YES_OTHER);
    yes_is(cr_rule_mme, "y", CR_YES_OTHER);
    yes_is(cr_rule_mme, "\xe2\x80\x9cyes\xe2\x80\x9d",
           CR_YES_YES); /* 4 characters, not bytes */
    yes_is(cr_rule_mme, "\xe2\x80\x9c yes", CR_YES_OTHER);
    yes_is(cr_rule_mme_lmms, "y.", CR_YES_YES);
    yes_is(cr_rule_mme_lmms, " N ", CR_YES_NO);
    yes_is(cr_rule_mme_lmms, "   Yes", CR_YES_YES);
    yes_is(cr_rule_mme_lmms, "...", CR_YES_OTHER);
}

static void test_pope(void **state) {
    (void)state;
    yes_is(cr_rule_pope, "There is no dog, but", CR_YES_NO);
    yes_is(cr_rule_pope_exact, "There is no dog, but", CR_YES_OTHER);
    yes_is(cr_rule_pope, "Yes. There is no cat.", CR_YES_YES);
    yes_is(cr_rule_pope, "no, there is", CR_YES_NO);
    yes_is(cr_rule_pope, "No", CR_YES_NO);
    yes_is(cr_rule_pope, "NO", CR_YES_YES);
    yes_is(cr_rule_pope, "NOT", CR_YES_YES);
    yes_is(cr_rule_pope, "not", CR_YES_NO);
    yes_is(cr_rule_pope, "", CR_YES_YES);
    yes_is(cr_rule_pope, "no\n", CR_YES_YES);
    yes_is(cr_rule_pope, "n,o", CR_YES_NO); /* commas go before the words part */
    yes_is(cr_rule_pope, "nothing", CR_YES_YES);
    yes_is(cr_rule_pope, "none", CR_YES_YES);
    yes_is(cr_rule_pope_exact, " YES\n", CR_YES_YES);
    yes_is(cr_rule_pope_exact, "yes.", CR_YES_OTHER);
    yes_is(cr_rule_yes_robust, "(No)", CR_YES_NO);
    yes_is(cr_rule_yes_robust, "Nothing says yes!", CR_YES_YES);
    yes_is(cr_rule_yes_robust, "know", CR_YES_OTHER);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_two_scores),
        cmocka_unit_test(test_arena),
        cmocka_unit_test(test_vl_rewardbench),
        cmocka_unit_test(test_letters),
        cmocka_unit_test(test_scores),
        cmocka_unit_test(test_batch),
        cmocka_unit_test(test_mme),
        cmocka_unit_test(test_pope),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
