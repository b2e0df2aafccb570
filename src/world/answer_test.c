/* The oracle on answers whose scores were worked out by hand, reasons that read back to the claims
 * that they are about, and pairs that are what they are meant to be. */
#include "world/answer.h"

#include "base/checked.h"
#include "judge/verdict.h"
#include "t.h"
#include "world/critic.h"
#include "world/reason.h"

/* top-left: small red circle with seven; centre: large green square; right: small blue star */
static struct cr_scene three_objects(void) {
    struct cr_scene s = {.side = 3, .n = 3};
    s.objects[0] = (struct cr_object){
        .cell = 0, .shape = CR_CIRCLE, .colour = 1, .size = 1, .digit = 7};
    s.objects[1] = (struct cr_object){
        .cell = 4, .shape = CR_SQUARE, .colour = 2, .size = 2, .digit = CR_NO_DIGIT};
    s.objects[2] = (struct cr_object){
        .cell = 5, .shape = CR_STAR, .colour = 3, .size = 1, .digit = CR_NO_DIGIT};
    return s;
}

static struct cr_ask describe_all(void) {
    return (struct cr_ask){.kind = CR_ASK_ALL,
                           .pick = {{.digit = CR_NO_DIGIT}, {.digit = CR_NO_DIGIT}},
                           .facts = 7,
                           .n_facts = 3,
                           .text = "Describe the picture."};
}

static struct cr_claim object(uint8_t cell, uint8_t size, uint8_t colour, uint8_t shape,
                              int8_t digit) {
    return (struct cr_claim){
        .kind = CR_CLAIM_OBJECT, .cell = cell, .said = {size, colour, shape, digit}};
}

struct hand {
    struct cr_claim claims[6];
    unsigned n;
    int scores
        [CR_N_CRITERIA]; /* overall, accuracy, completeness, hallucination, relevance, concise */
    int rating;
    const char *text, *walk, *faults;
};

static void test_formulas(void **state) {
    const struct cr_scene s = three_objects();
    const struct cr_ask ask = describe_all();
    const struct hand hands[] = {
        {{object(0, 1, 1, 1, 7), object(4, 2, 2, 2, -1), object(5, 1, 3, 4, -1)},
         3,
         {100, 100, 100, 100, 100, 100},
         6,
         "top-left: small red circle with seven; centre: large green square; right: "
         "small blue star.",
         "top-left: small red circle with seven, ok; centre: large green square, ok; "
         "right: small blue "
         "star, ok; three of three right; three of three found; score 100.",
         "all ok."},
        /* one wrong colour, one true but without its digit, one left out:
         * t 1 of m 2, c 0 of F 3: 50/2 + 0 = 25 */
        {{object(4, 2, 1, 2, -1), object(0, 1, 1, 1, -1)},
         2,
         {25, 50, 0, 100, 100, 100},
         0,
         "centre: large red square; top-left: small red circle.",
         "centre: large green square, not red; top-left: small red circle with seven, "
         "partial; missing "
         "right: small blue star; one of two right; zero of three found; score 25.",
         "centre: large green square, not red; top-left: small red circle with seven, "
         "partial; missing "
         "right: small blue star."},
        /* invented, padded, repeated: m 3, t 2, v 1, c 1, s 4, a 2, x 2: 33.3 + 16.7 - 10 = 40 */
        {{object(5, 1, 3, 4, -1),
          object(8, 2, 7, 5, 3),
          {.kind = CR_CLAIM_PADDING, .value = 1},
          object(5, 1, 3, 4, -1)},
         4,
         {40, 67, 33, 67, 50, 75},
         1,
         "right: small blue star; bottom-right: large black ring with three. I hope this "
         "helps. right: "
         "small blue star.",
         "right: small blue star, ok; bottom-right: nothing, not large black ring with "
         "three; padding; "
         "right: small blue star, ok, extra; missing top-left: small red circle with "
         "seven; missing "
         "centre: large green square; two of three right; one of three found; two extra; "
         "score 40.",
         "bottom-right: nothing, not large black ring with three; padding; right: small "
         "blue star, ok, "
         "extra; missing top-left: small red circle with seven; missing centre: large "
         "green square."},
        {{{0}},
         0,
         {0, 0, 0, 100, 0, 0},
         3,
         "",
         "nothing said; missing top-left: small red circle with seven; missing centre: "
         "large green "
         "square; missing right: small blue star; zero of zero right; zero of three "
         "found; score 0.",
         "nothing said; missing top-left: small red circle with seven; missing centre: "
         "large green "
         "square; missing right: small blue star."},
    };
    (void)state;
    for (size_t i = 0; i < CR_COUNT(hands); i++) {
        struct cr_answer a = {.n = hands[i].n};
        struct cr_line l;
        memcpy(a.claims, hands[i].claims, sizeof hands[i].claims);
        cr_answer_judge(&a, &s, &ask);
        for (int c = 0; c < CR_N_CRITERIA; c++)
            assert_int_equal(a.scores[c], hands[i].scores[c]);
        assert_int_equal(a.rating, hands[i].rating);
        assert_string_equal(a.text, hands[i].text);
        cr_line_clear(&l);
        cr_reason_walk(&l, &s, &ask, &a, CR_OVERALL, true);
        assert_string_equal(l.text, hands[i].walk);
        cr_line_clear(&l);
        cr_reason_faults(&l, &s, &ask, &a, CR_OVERALL);
        assert_string_equal(l.text, hands[i].faults);
    }
}

/* A short answer: right, but explained wrongly; then the wrong one. */
static void test_short_answer(void **state) {
    const struct cr_scene s = three_objects();
    struct cr_ask ask = {
        .kind = CR_ASK_COUNT,
        .pick = {{.shape = CR_CIRCLE, .digit = CR_NO_DIGIT}, {.digit = CR_NO_DIGIT}},
        .has_value = true,
        .value_kind = CR_VALUE_NUMBER,
        .value = 1,
        .n_facts = 1};
    struct cr_answer a = {.claims = {{.kind = CR_CLAIM_VALUE, .value = 1},
                                     object(0, 2, 1, 1, 7),
                                     object(4, 2, 2, 2, -1)},
                          .n = 3,
                          .sentences = true};
    struct cr_line l;
    (void)state;
    cr_answer_judge(&a, &s, &ask);
    assert_string_equal(
        a.text, "The answer is one. There is a large red circle with seven at the "
                "top-left. There is a large green square at the centre.");
    /* m 3, t 2, c 1 of 1, s 3, a 2 (the square is no circle): 33.3 + 50 - 5 */
    assert_int_equal(a.scores[CR_OVERALL], 78);
    assert_int_equal(a.scores[CR_ACCURACY], 67);
    assert_int_equal(a.scores[CR_COMPLETENESS], 100);
    assert_int_equal(a.scores[CR_RELEVANCE], 67);
    assert_int_equal(a.scores[CR_CONCISENESS], 33);
    cr_line_clear(&l);
    cr_reason_walk(&l, &s, &ask, &a, CR_RELEVANCE, true);
    assert_string_equal(
        l.text,
        "answer: one, ok; top-left: small red circle with seven, not large; "
        "centre: large green square, ok, extra; two of three asked for; score 67.");
    a.claims[0].value = 3;
    cr_answer_judge(&a, &s, &ask);
    assert_int_equal(a.scores[CR_COMPLETENESS], 0);
    cr_line_clear(&l);
    cr_reason_faults(&l, &s, &ask, &a, CR_CONCISENESS);
    assert_string_equal(
        l.text, "answer: one, not three; top-left: small red circle with seven, not "
                "large; centre: large green square, ok, extra.");
}

static void test_scale(void **state) {
    (void)state;
    assert_int_equal(cr_on_scale(0, 1, 10), 1);
    assert_int_equal(cr_on_scale(100, 1, 10), 10);
    assert_int_equal(cr_on_scale(50, 1, 5), 3);
    assert_int_equal(cr_on_scale(38, 1, 5), 3); /* 2.52 */
    assert_int_equal(cr_on_scale(37, 1, 5), 2); /* 2.48 */
    for (int i = 0; i <= 100; i++)
        assert_int_equal(cr_on_scale(i, 0, 100), i);
}

static void read_reason(struct cr_reason *r, struct cr_fact *facts,
                        const struct cr_line *l, unsigned side) {
    *r = (struct cr_reason){.facts = facts, .max_facts = 64};
    cr_reason_read(r, cr_line_str(l), side);
    assert_int_equal(r->n_unread, 0);
}

/* Fact k of the walk is claim k. */
static void check_facts(const struct cr_reason *r, const struct cr_scene *s,
                        const struct cr_ask *ask, const struct cr_answer *a) {
    struct cr_line value;
    size_t k = 0;
    cr_line_clear(&value);
    if (ask->has_value)
        cr_value_add(&value, ask, s->side, ask->value);
    for (unsigned i = 0; i < a->n; i++) {
        const struct cr_claim *c = &a->claims[i];
        if (c->kind == CR_CLAIM_PADDING)
            continue;
        assert_true(k < r->n_facts);
        const struct cr_fact *f = &r->facts[k++];
        assert_int_equal(f->mark, c->is_full   ? CR_MARK_OK
                                  : c->is_true ? CR_MARK_PARTIAL
                                               : CR_MARK_NOT);
        assert_int_equal(f->extra, !c->asked);
        if (c->kind == CR_CLAIM_VALUE) {
            assert_int_equal(f->kind, CR_FACT_ANSWER);
            continue;
        }
        assert_int_equal(f->kind,
                         cr_scene_at(s, c->cell) ? CR_FACT_OBJECT : CR_FACT_NOTHING);
        assert_int_equal(f->cell, c->cell);
        const struct cr_desc *w =
            &f->wrong; /* the wrong words are words of the claim, and wrong */
        if (f->mark == CR_MARK_NOT && f->kind == CR_FACT_OBJECT) {
            struct cr_desc t = f->shown;
            assert_true(!w->size || (w->size == c->said.size && w->size != t.size));
            assert_true(!w->colour ||
                        (w->colour == c->said.colour && w->colour != t.colour));
            assert_true(!w->shape || (w->shape == c->said.shape && w->shape != t.shape));
            assert_true(w->digit < 0 ||
                        (w->digit == c->said.digit && w->digit != t.digit));
        }
    }
    for (size_t i = 0; i < r->n_facts; i++)
        assert_true(cr_fact_holds(&r->facts[i], s, cr_line_str(&value)));
}

static void test_reasons_read_back(void **state) {
    size_t n_wrong = 0, n_facts = 0;
    (void)state;
    for (uint64_t i = 0; i < 1500; i++) {
        enum cr_split split = (enum cr_split)(i % CR_N_SPLITS);
        struct cr_scene s, other;
        struct cr_rng r;
        struct cr_pair p;
        struct cr_line l;
        struct cr_fact facts[64];
        struct cr_reason reason;
        cr_scene_draw(&s, split, 21, i, 25);
        cr_scene_draw(&other, split, 22, i, s.side == 4 ? 100 : 0);
        cr_rng_seed_at(&r, 21, i);
        cr_pair_draw(&p, &s, &r, i & 1, split == CR_NOVEL);
        for (unsigned c = 0; c <= CR_RUBRIC; c++) {
            cr_line_clear(&l);
            cr_reason_walk(&l, &s, &p.ask, &p.answers[0], c, c != CR_RUBRIC);
            read_reason(&reason, facts, &l, s.side);
            check_facts(&reason, &s, &p.ask, &p.answers[0]);
            for (size_t k = 0; k < reason.n_facts; k++)
                n_wrong += !cr_fact_holds(&facts[k], &other, (struct cr_str){NULL, 0});
            n_facts += reason.n_facts;
            cr_line_clear(&l);
            cr_reason_faults(&l, &s, &p.ask, &p.answers[1], c);
            read_reason(&reason, facts, &l, s.side);
        }
    }
    /* Of another picture most of it is false: the measure can fail. */
    assert_true(n_wrong * 10 > n_facts * 7);
}

/* The scan lists every object, in the order of the grid, for questions that are searched for. */
static void test_scan_read_back(void **state) {
    size_t n_scans = 0, n_ways = 0;
    (void)state;
    for (uint64_t i = 0; i < 600; i++) {
        struct cr_scene s;
        struct cr_rng r;
        struct cr_pair p;
        struct cr_line l;
        struct cr_fact facts[64];
        struct cr_reason reason;
        cr_scene_draw(&s, (enum cr_split)(i % CR_N_SPLITS), 23, i, 25);
        cr_rng_seed_at(&r, 23, i);
        cr_pair_draw(&p, &s, &r, i & 1, true);
        cr_line_clear(&l);
        cr_reason_scan(&l, &s, &p.ask);
        bool lists_all = p.ask.kind == CR_ASK_ALL || p.ask.kind == CR_ASK_AT;
        assert_int_equal(l.len == 0, lists_all);
        n_scans += !lists_all;
        size_t n_seen = lists_all ? 0 : s.n, n_asked = 0;
        cr_reason_walk(&l, &s, &p.ask, &p.answers[0], CR_RELEVANCE, true);
        read_reason(&reason, facts, &l, s.side);
        for (size_t k = 0; k < n_seen; k++) {
            struct cr_desc d = cr_desc_of(&s.objects[k]);
            assert_true(k < reason.n_facts);
            assert_int_equal(facts[k].kind, CR_FACT_SEEN);
            assert_int_equal(facts[k].mark, CR_MARK_NONE);
            assert_int_equal(facts[k].cell, s.objects[k].cell);
            assert_true(cr_desc_eq(&facts[k].shown, &d));
            assert_true(k == 0 || facts[k].cell > facts[k - 1].cell);
            assert_true(cr_fact_holds(&facts[k], &s, (struct cr_str){NULL, 0}));
        }
        for (size_t k = n_seen; k < reason.n_facts; k++) {
            n_ways += facts[k].kind == CR_FACT_WAY;
            n_asked += facts[k].kind == CR_FACT_SEEN;
            assert_true(facts[k].kind < CR_FACT_SEEN || facts[k].kind > CR_FACT_WAY ||
                        cr_fact_holds(&facts[k], &s, (struct cr_str){NULL, 0}));
        }
        unsigned n_fit = cr_desc_count(&p.ask.pick[0], &s, NULL);
        assert_int_equal(n_asked, lists_all                       ? 0
                                  : p.ask.kind == CR_ASK_RELATION ? 2
                                                                  : n_fit);
    }
    assert_true(n_scans > 200 && n_ways > 10);
}

/* What is asked is counted, and its places compared, right or wrong. */
static void test_asked_read_back(void **state) {
    static const struct {
        const char *text;
        unsigned n_facts, n_unread;
        bool holds; /* of the last fact, in any scene */
    } cases[] = {
        {"Asked: none.", 0, 0, false},
        {"Asked: one at top: small red circle; two at left: large blue ring; one above "
         "two; "
         "one right of two.",
         4, 0, true},
        {"Asked: one at top: small red circle; two at left: large blue ring; one below "
         "two.",
         3, 0, false},
        {"Asked: one at top: small red circle; two at left: large blue ring; two below "
         "one.",
         2, 1, false},
        {"Asked: one at top: small red circle; three at left: large blue ring.", 1, 1,
         false},
        {"Asked: one at top: small red circle; one above two.", 1, 1, false},
        {"Asked: one at top: small red circle; none.", 1, 1, false},
    };
    const struct cr_scene none = {.side = 3};
    (void)state;
    for (size_t i = 0; i < CR_COUNT(cases); i++) {
        struct cr_fact facts[8];
        struct cr_reason r = {.facts = facts, .max_facts = 8};
        cr_reason_read(&r, cr_str_of(cases[i].text), 3);
        assert_int_equal(r.n_facts, cases[i].n_facts);
        assert_int_equal(r.n_unread, cases[i].n_unread);
        if (r.n_facts > 0)
            assert_int_equal(
                cr_fact_holds(&facts[r.n_facts - 1], &none, (struct cr_str){NULL, 0}),
                cases[i].holds);
    }
}

static void test_reader_on_other_text(void **state) {
    static const struct {
        const char *text;
        size_t n_facts, n_unread;
    } cases[] = {
        {"The better response: [first].\nFirst: all ok.\nSecond: top: small red star, "
         "not blue.",
         1, 0},
        {"1: padding; one extra.\n2: missing b2: large white cross.\nScore: [4]", 0,
         1}, /* 3x3 has no b2 */
        {"Both are fine answers.", 0, 1},
        {"top: small red star", 0, 1},
        {"top: small red star, ok and more", 0, 1},
        {"middle: small red star, ok", 0, 1},
        {"top: nothing, not ", 0, 1},
        {"answer: , ok", 0, 1},
        {"answer: two, not three; missing answer: no", 2, 0},
        {"score 4x; four of", 0, 2},
        {"Picture: top: small red star; left: nothing, not small red star; left: large "
         "blue ring, ok; padding.",
         1, 3},
        {"", 0, 0},
        {"; ; \n.\n", 0, 2},
    };
    (void)state;
    for (size_t i = 0; i < CR_COUNT(cases); i++) {
        struct cr_fact facts[8];
        struct cr_reason r = {.facts = facts, .max_facts = 8};
        cr_reason_read(&r, cr_str_of(cases[i].text), 3);
        if (r.n_facts != cases[i].n_facts || r.n_unread != cases[i].n_unread)
            fail_msg("'%s': %zu facts, %zu unread", cases[i].text, r.n_facts, r.n_unread);
    }
    struct cr_fact facts[8];
    struct cr_reason r = {.facts = facts, .max_facts = 8};
    cr_reason_read(&r, cr_str_of(cases[0].text), 3);
    assert_int_equal(facts[0].answer, 1);
    assert_int_equal(facts[0].wrong.colour, 3);
}

/* Gaps, order, length and style of pairs. */
static void test_balance(void **state) {
    enum { N = 2500 };
    unsigned bins[CR_N_GAPS] = {0}, n_first = 0, n_untied = 0, n_longer = 0, n_uneven = 0,
             n_mixed = 0, n_wordier = 0, n_perfect = 0;
    (void)state;
    for (uint64_t i = 0; i < N; i++) {
        struct cr_scene s;
        struct cr_rng r;
        struct cr_pair p;
        cr_scene_draw(&s, CR_TRAIN, 31, i, CR_LARGE_PERCENT);
        cr_rng_seed_at(&r, 31, i);
        cr_pair_draw(&p, &s, &r, i & 1, false);
        assert_int_equal(p.gap, p.answers[0].scores[p.criterion] -
                                    p.answers[1].scores[p.criterion]);
        assert_true(cr_gap_bin(p.gap) >= 0);
        assert_true(p.gap == 0 || (p.gap > 0) == (i & 1));
        bins[cr_gap_bin(p.gap)]++;
        for (int k = 0; k < 2; k++)
            n_perfect += p.answers[k].scores[CR_OVERALL] == 100;
        if (p.gap == 0)
            continue;
        const struct cr_answer *better = &p.answers[p.gap < 0],
                               *worse = &p.answers[p.gap > 0];
        n_untied++;
        n_first += p.gap > 0;
        n_uneven += better->len != worse->len;
        n_longer += better->len > worse->len;
        n_mixed += better->sentences != worse->sentences;
        n_wordier += better->sentences && !worse->sentences;
    }
    T_NEAR((double)bins[0] / N, 0.20, 0.06, 0);
    assert_true(bins[CR_N_GAPS - 1] < N / 5);
    assert_true(bins[1] + bins[2] > N / 3);
    T_NEAR((double)n_first / n_untied, 0.5, 0.03, 0);
    T_NEAR((double)n_longer / n_uneven, 0.5, 0.05, 0);
    T_NEAR((double)n_wordier / n_mixed, 0.5, 0.10, 0);
    assert_true(n_perfect < 2 * N / 4);
}

static void test_swaps(void **state) {
    unsigned n = 0;
    (void)state;
    for (uint64_t i = 0; i < 1000; i++) {
        struct cr_scene s;
        struct cr_rng r;
        struct cr_pair p;
        cr_scene_draw(&s, CR_TRAIN, 41, i, 0);
        cr_rng_seed_at(&r, 41, i);
        cr_pair_draw(&p, &s, &r, true, false);
        enum cr_criterion old = p.criterion;
        int gap = p.gap;
        if (!cr_pair_swap(&p, &r))
            continue;
        n++;
        assert_true(p.is_swap && p.criterion != old);
        assert_true((p.gap > 0) != (gap > 0) || (p.gap < 0) != (gap < 0));
        assert_int_equal(p.gap, p.answers[0].scores[p.criterion] -
                                    p.answers[1].scores[p.criterion]);
    }
    assert_true(n > 200);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_formulas),
                                       cmocka_unit_test(test_short_answer),
                                       cmocka_unit_test(test_scale),
                                       cmocka_unit_test(test_reasons_read_back),
                                       cmocka_unit_test(test_scan_read_back),
                                       cmocka_unit_test(test_asked_read_back),
                                       cmocka_unit_test(test_reader_on_other_text),
                                       cmocka_unit_test(test_balance),
                                       cmocka_unit_test(test_swaps)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
