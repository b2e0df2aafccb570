/* What is written reads back: questions of drawn scenes, answers of speakers; and what others might
 * write. */
#include <string.h>

#include "base/checked.h"
#include "t.h"
#include "world/answer.h"
#include "world/world.h"

#define N 4000

static bool same_claim(const struct cr_claim *a, const struct cr_claim *b) {
    return a->kind == b->kind && a->value == b->value && a->cell == b->cell &&
           (a->kind != CR_CLAIM_OBJECT || cr_desc_eq(&a->said, &b->said));
}

static void draw(struct cr_scene *s, struct cr_ask *ask, struct cr_rng *r, uint64_t i) {
    static const enum cr_split splits[] = {CR_TRAIN, CR_NOVEL, CR_CROWDED};
    enum cr_split split = splits[i % 3];
    cr_scene_draw(s, split, 51, i, 30);
    cr_world_rng(r, CR_STREAM_PROMPTS, split, 51, i);
    cr_ask_draw(ask, s, r, split == CR_NOVEL);
}

static void test_questions(void **state) {
    unsigned n[CR_N_ASKS] = {0};
    (void)state;
    for (uint64_t i = 0; i < N; i++) {
        struct cr_scene s;
        struct cr_ask ask, read;
        struct cr_rng r;
        draw(&s, &ask, &r, i);
        if (!cr_ask_read(&read, &s, cr_str_of(ask.text)))
            fail_msg("not read: %s", ask.text);
        assert_int_equal(read.kind, ask.kind);
        assert_string_equal(read.text, ask.text);
        assert_int_equal(read.has_value, ask.has_value);
        assert_int_equal(read.n_facts, ask.n_facts);
        assert_int_equal(read.facts, ask.facts);
        assert_int_equal(read.cell, ask.cell);
        for (int k = 0; k < 2; k++)
            assert_true(cr_desc_eq(&read.pick[k], &ask.pick[k]));
        if (ask.has_value) {
            assert_int_equal(read.value_kind, ask.value_kind);
            assert_int_equal(read.value, ask.value);
        }
        n[ask.kind]++;
    }
    for (int k = 0; k < CR_N_ASKS; k++)
        assert_true(n[k] > N / 100);
}

static void test_no_questions(void **state) {
    static const char *const texts[] = {"",
                                        "Describe the picture",
                                        "Describe the red.",
                                        "How many are there?",
                                        "Is the red star left of it?",
                                        "What is at the moon?",
                                        "Where is the purple cross with nine?",
                                        "Is there a red star? Really?"};
    struct cr_scene s;
    struct cr_ask ask;
    (void)state;
    cr_scene_draw(&s, CR_TRAIN, 51, 3, 0);
    for (size_t i = 0; i < CR_COUNT(texts); i++)
        if (cr_ask_read(&ask, &s, cr_str_of(texts[i])))
            fail_msg("read: %s", texts[i]);
}

static void test_answers(void **state) {
    unsigned n_said = 0, n_padding = 0, n_sentences = 0, n_bare = 0;
    (void)state;
    for (uint64_t i = 0; i < N; i++) {
        struct cr_scene s;
        struct cr_ask ask;
        struct cr_answer a, b;
        struct cr_rng r;
        draw(&s, &ask, &r, i);
        cr_answer_speak(&a, &s, &ask, (unsigned)(i % 6), &r, i % 3 == 1);
        cr_answer_read(&b, &s, &ask, (struct cr_str){a.text, a.len});
        if (a.n != b.n)
            fail_msg("%u claims, not %u, in: %s | %s", b.n, a.n, ask.text, a.text);
        for (unsigned k = 0; k < a.n; k++) {
            if (!same_claim(&a.claims[k], &b.claims[k]))
                fail_msg("claim %u of: %s | %s", k, ask.text, a.text);
            n_padding += a.claims[k].kind == CR_CLAIM_PADDING;
        }
        assert_string_equal(b.text, a.text);
        assert_memory_equal(b.scores, a.scores, sizeof a.scores);
        n_said += a.n;
        n_sentences += a.sentences;
        n_bare += a.bare;
    }
    assert_true(n_said > 2 * N && n_padding > N / 10 && n_sentences > N / 10 &&
                n_bare > N / 10);
}

/* What a policy answers short questions with. */
static void test_bare(void **state) {
    unsigned n = 0, n_alone = 0;
    (void)state;
    for (uint64_t i = 0; i < N; i++) {
        struct cr_scene s;
        struct cr_ask ask;
        struct cr_answer a, b;
        struct cr_rng r;
        bool right = i & 1;
        draw(&s, &ask, &r, i);
        if (!cr_ask_is_short(&ask))
            continue;
        cr_answer_bare(&a, &s, &ask, right, &r, i % 3 == 1);
        assert_int_equal(a.n, 1);
        assert_int_equal(a.scores[CR_OVERALL], right ? 100 : 0);
        assert_true(a.len > 0 && a.text[a.len - 1] != '.' && !strchr(a.text, ':'));
        cr_answer_read(&b, &s, &ask, (struct cr_str){a.text, a.len});
        assert_true(b.n == 1 && same_claim(&a.claims[0], &b.claims[0]));
        assert_string_equal(b.text, a.text);
        assert_int_equal(b.scores[CR_OVERALL], a.scores[CR_OVERALL]);
        n++;
        n_alone += ask.kind == CR_ASK_AT;
    }
    assert_true(n > N / 3 && n_alone > N / 30);
}

/* overall, by hand, of what a model may write about one object at the top of a 3x3 grid */
static void test_free_text(void **state) {
    static const struct {
        const char *question, *answer;
        int overall;
    } rows[] = {
        {"What is at the top?", "small red star", 100},
        {"What is at the top?", "Small red star.", 100},
        {"What is at the top?", "small star", 50},
        {"What is at the top?", "small blue star", 0},
        {"What is at the top?", "nothing", 0},
        {"What is at the top?", "top: small red star. So there.", 95},
        {"Is there a red star?", "Yes", 100},
        {"Is there a red star?", "yes; no", 0}, /* says nothing */
        {"Is there a red star?", "yesterday", 0},
        {"How many stars are there?", "one\n", 100},
        {"How many stars are there?", "1", 0},
        {"Where is the star?", "top", 100},
        {"Which digit is on the star?", "none.", 100},
        {"What colour is the star?", "reddish", 0},
        {"Describe the picture.", "", 0},
        {"Describe the picture.", "small red star", 0},
        {"Describe the picture.", "top: small red star; left: large red ring.", 75}};
    struct cr_scene s = {.side = 3, .n = 1};
    (void)state;
    s.objects[0] = (struct cr_object){
        .cell = 1, .shape = CR_STAR, .colour = 1, .size = 1, .digit = CR_NO_DIGIT};
    for (size_t i = 0; i < CR_COUNT(rows); i++) {
        struct cr_ask ask;
        struct cr_answer a;
        assert_true(cr_ask_read(&ask, &s, cr_str_of(rows[i].question)));
        cr_answer_read(&a, &s, &ask, cr_str_of(rows[i].answer));
        if (a.scores[CR_OVERALL] != rows[i].overall)
            fail_msg("%s | %s: %d", rows[i].question, rows[i].answer,
                     a.scores[CR_OVERALL]);
    }
}

/* Longer than anything that is kept, and than the list of claims. */
static void test_long_text(void **state) {
    struct cr_scene s;
    struct cr_ask ask;
    struct cr_answer a;
    char text[9000];
    (void)state;
    cr_scene_draw(&s, CR_TRAIN, 51, 3, 0);
    assert_true(cr_ask_read(&ask, &s, cr_str_of("Describe the picture.")));
    for (size_t i = 0; i < sizeof text; i++)
        text[i] = "top: large yellow triangle; "[i % 28];
    cr_answer_read(&a, &s, &ask, (struct cr_str){text, sizeof text});
    assert_int_equal(a.n, CR_MAX_CLAIMS);
    assert_true(a.scores[CR_OVERALL] < 50);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_questions), cmocka_unit_test(test_no_questions),
        cmocka_unit_test(test_answers),   cmocka_unit_test(test_free_text),
        cmocka_unit_test(test_long_text), cmocka_unit_test(test_bare)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
