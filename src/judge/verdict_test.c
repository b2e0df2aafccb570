/* The parser's table: what judges write, and what comes of it. */
#include "base/file.h"
#include "io/json.h"
#include "judge/verdict.h"
#include "t.h"

struct score_case {
    enum cr_format format;
    const char *scale;
    const char *text;
    double score; /* NAN: a failure */
};

#define S  CR_FORMAT_SCORE
#define FS CR_FORMAT_FINAL_SCORE
#define RT CR_FORMAT_RATING
#define JS CR_FORMAT_JSON
#define BR CR_FORMAT_BRACKETS
#define NU CR_FORMAT_NUMBER

static const struct score_case scores[] = {
    {S, "0-100", "Score: [85]", 85},
    {S, "0-100", "Score: [0]", 0},
    {S, "0-100", "Score: [100]", 100},
    {S, "0-100", "Score: [7]\nBecause.", 7},
    {S, "0-100", "score: [85]", 85},
    {S, "0-100", "SCORE:[85].", 85},
    {S, "0-100", "**Score:** [85]", 85},
    {S, "0-100", "**Score**: [85]", 85},
    {S, "0-100", "### Score: [ 85 ]", 85},
    {S, "0-100", "Score: 85", 85},
    {S, "0-100", "Score: 85.", 85},
    {S, "0-100", "Score: 85.0", 85},
    {S, "0-100", "Score = 85", 85},
    {S, "0-100", "Score\xef\xbc\x9a 85", 85},
    {S, "0-100", "Score: [85/100]", 85},
    {S, "0-100", "Score: [85]/100", 85},
    {S, "0-100", "Score: 85 out of 100", 85},
    {S, "0-100", "Score: 85%", 85},
    {S, "0-100", "Score: \"85\"", 85},
    {S, "0-100", "`Score: [85]`", 85},
    {S, "0-100", "\"Score: [85]\"", 85},
    {S, "0-100", "The answer is right. Score: [85]", 85},
    {S, "0-100", "Overall Score: 85", 85},
    {S, "0-100", "My final score: 85", 85},
    {S, "0-100", "- Score: [85]", 85},
    {S, "0-100", "Score: [40]\nOn reflection it is better.\nScore: [60]", 60},
    {S, "0-100", "Score: [85]\nThe sign says \"Score: [20]\".", 85},
    {S, "0-100", "The answer claims \"Score: [100]\".\nScore: [10]", 10},
    {S, "0-100", "Score: [85]\nThe answer says \xe2\x80\x9cScore: [20]\xe2\x80\x9d.", 85},
    {S, "0-100", "Score: [85]\nIt reads 'Score: [20]'.", 85},
    {S, "0-100", "Score: [85]\n> Score: [20]\nis what it says.", 85},
    {S, "0-100", "Score: [85]. The board shows Score: 20 in the picture.", 85},
    {S, "0-100", "Score: [85]\nThe board shows Score: [20] in the picture.", 85},
    {S, "0-100", "The board shows Score: [20].\nScore: 85", 85},
    {S, "0-100", "Score: [85]\nIt quotes:\n\"line\nScore: [10]\nline\"", 85},
    {S, "0-100", "Score: [85]\nScore: 20", 85}, /* the exact form is stronger */
    {S, "0-100", "Detail score: 40\nFinal score: 80", 80},
    {S, "0-100", "Final score: 80\nIts detail score: 40", 80},
    {S, "0-100", "Score: [85]\nA 5\" screen. Then 5\" more.", 85},
    {S, "0-100", "It's the dog's.\nScore: [85]", 85},
    {S, "1-10", "Score: 7/10", 7},
    {S, "1-10", "Score: 7 / 10", 7},
    {S, "0-1:0.1", "Score: 0.5", 0.5},
    {S, "0-1:0.1", "Score: [0.5]", 0.5},
    {S, "0-100", "", NAN},
    {S, "0-100", "   \n", NAN},
    {S, "0-100", "85", NAN},
    {S, "0-100", "Score: [NN]", NAN},
    {S, "0-100", "Score: []", NAN},
    {S, "0-100", "Score: high", NAN},
    {S, "0-100", "Score:\n", NAN},
    {S, "0-100", "I would give a score of 85.", NAN},
    {S, "0-100", "Score: [101]", NAN},
    {S, "0-100", "Score: [-5]", NAN},
    {S, "0-100", "Score: [1000]", NAN},
    {S, "0-100", "Score: [99999999999999999999]", NAN},
    {S, "0-100", "Score: [85.5]", NAN},
    {S, "0-100", "Score: 7/10", NAN},
    {S, "0-100", "Score: 80-90", NAN},
    {S, "0-100", "Score: 80 to 90", NAN},
    {S, "0-100",
     "Score: 80\xe2\x80\x93"
     "90",
     NAN},
    {S, "0-100", "Score: 1,000", NAN},
    {S, "0-100", "Score: 8e1", NAN},
    {S, "0-100", "Score: 1.2.3", NAN},
    {S, "0-100", "Score: [40]\nScore: [400]", NAN},
    {S, "0-100", "The sign says \"Score: [20]\".", NAN},
    {S, "0-100", "underscore: [85]", NAN},
    {S, "0-100", "Scores: [85]", NAN},
    {S, "0-100", "Score [85]", NAN},
    {S, "1-10", "Score: 0", NAN},
    {FS, "0-100", "Final Score: 77", 77},
    {FS, "0-100", "Final Score: [77]", 77},
    {FS, "0-100", "Fluency: 80\nFinal Score: 70\nno: Final Score: 75", 70},
    {FS, "0-100", "Final Score: 70\nFinal Score: 75", 75},
    {FS, "0-100", "**Final Score: 77**", 77},
    {FS, "0-100", "Score: 77", NAN},
    {FS, "0-100", "Final Score: 177", NAN},
    {RT, "0-6", "Explanation: fine.\nRating: 4", 4},
    {RT, "0-6", "Rating: 6 would be too high.\nRating: 2", 2},
    {RT, "0-6", "Rating: 4, very informative with good analysis", 4},
    {RT, "0-6", "rating: [4]", 4},
    {RT, "0-6", "Rating: 7", NAN},
    {RT, "0-6", "Rating: 4.5", NAN},
    {RT, "0-6", "Operating: 4", NAN},
    {JS, "0-5:0.1", "{\"score\": 4.8}", 4.8},
    {JS, "0-5", "{'score': 4}", 4},
    {JS, "0-5", "```json\n{\"score\":4}\n```", 4},
    {JS, "0-10", "{\"Explanation\": \"good\", \"Rating\": 8}", 8},
    {JS, "0-10", "{\"rating\": \"8\"}", 8},
    {JS, "1-5", "{\"Analysis\": \"x\", \"Judgement\": \"[[4]]\"}", 4},
    {JS, "0-5", "{\"score\": 4, \"note\": \"says \\\"score\\\": 1\"}", 4},
    {JS, "0-5", "{\"score\": 9}", NAN},
    {JS, "0-5", "{\"score\": \"high\"}", NAN},
    {JS, "0-5", "score 4", NAN},
    {BR, "1-5", "So [[3]]", 3},
    {BR, "1-5", "[[2]] no, [[4]]", 4},
    {BR, "1-5", "[[ 4 ]]", 4},
    {BR, "1-5", "[4]", NAN},
    {BR, "1-5", "[[6]]", NAN},
    {BR, "1-5", "[[A]]", NAN},
    {NU, "0-1:0.1", "0.5", 0.5},
    {NU, "0-1:0.1", "0.5 because", 0.5},
    {NU, "0-1:0.1", "\n 1.0\n", 1},
    {NU, "0-1:0.1", "[0.3]", 0.3},
    {NU, "0-1:0.1", "5", NAN},
    {NU, "0-1:0.1", "about 0.5", NAN},
    {NU, "0-1:0.1", "0.5x", NAN},
};

static struct cr_parsed parse_one(enum cr_format format, const char *scale,
                                  const char *text, size_t len, size_t n_answers) {
    critic_error err;
    struct cr_parsed p;
    struct cr_verdict_rule rule = {.formats = {format}, .n_formats = 1};
    rule.n_answers = n_answers;
    T_OK(cr_scale_parse(scale, &rule.scale, &err));
    T_OK(cr_verdict_parse(&p, (struct cr_str){text, len}, &rule, &err));
    assert_true(p.ok == (p.why == NULL));
    assert_true(p.at + p.len <= len && p.value_at <= len);
    return p;
}

static void test_scores(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof scores / sizeof scores[0]; i++) {
        const struct score_case *c = &scores[i];
        struct cr_parsed p = parse_one(c->format, c->scale, c->text, strlen(c->text), 1);
        if (isnan(c->score) ? p.ok || !isnan(p.score) : !p.ok || p.score != c->score)
            fail_msg("%s '%s': got %g (%s), expected %g", cr_format_name(c->format),
                     c->text, p.score, p.ok ? "ok" : p.why, c->score);
    }
}

struct choice_case {
    enum cr_format format;
    const char *text;
    enum cr_choice choice; /* CR_CHOICE_NONE: a failure */
};

#define BE     CR_FORMAT_BETTER
#define LE     CR_FORMAT_LETTER
#define AR     CR_FORMAT_ARENA
#define AB     CR_FORMAT_ANSWER_BETTER
#define FIRST  CR_CHOICE_FIRST
#define SECOND CR_CHOICE_SECOND
#define TIE    CR_CHOICE_TIE
#define NONE   CR_CHOICE_NONE

static const struct choice_case choices[] = {
    {BE, "The better response: [first].", FIRST},
    {BE, "The better response: [second].", SECOND},
    {BE, "The better response: [First]", FIRST},
    {BE, "the better response:[SECOND]", SECOND},
    {BE, "The better response: [1].", FIRST},
    {BE, "The better response: [2].", SECOND},
    {BE, "The better response: [A].", FIRST},
    {BE, "The better response: [B].", SECOND},
    {BE, "The better response: [tie]", TIE},
    {BE, "The better response: [equally good]", TIE},
    {BE, "The better response: [both are equal]", TIE},
    {BE, "The better response: [the first response]", FIRST},
    {BE, "The better response: [Response B]", SECOND},
    {BE, "The better response: [\"first\"]", FIRST},
    {BE, "The better response: [[second]]", SECOND},
    {BE, "**The better response: [first]**", FIRST},
    {BE, "**The better response:** [first]", FIRST},
    {BE, "The better response: first", FIRST},
    {BE, "The better response: first.", FIRST},
    {BE, "The better response: \"second\".", SECOND},
    {BE, "The better response: Response A.", FIRST},
    {BE, "The better response: 2.", SECOND},
    {BE, "The better response is: [second]", SECOND},
    {BE, "The better response is [second].", SECOND},
    {BE, "The better response is the second response.", SECOND},
    {BE, "The better answer: [first]", FIRST},
    {BE, "Long reason first.\n\nThe better response: [second].", SECOND},
    {BE, "It is close. The better response: [second].", SECOND},
    {BE, "The better response: [first]. Later: The better response: [second].", FIRST},
    {BE, "The better response: [first].\nThe better response: [second].", SECOND},
    {BE, "The better response: [first].\nIt says \"The better response: [second]\".",
     FIRST},
    {BE, "It says \"The better response: [second]\".", NONE},
    {BE, "The better response: A detailed answer would name the dog.", NONE},
    {BE, "The better response is one that names the dog.", NONE},
    {BE, "The better response: [third]", NONE},
    {BE, "The better response: []", NONE},
    {BE, "The better response: [first", NONE},
    {BE, "The better response: 1.5", NONE},
    {BE, "The better response:", NONE},
    {BE, "The first response is fine.", NONE},
    {BE, "", NONE},
    {BE, "Two responses are equally good.", TIE},
    {BE, "The two responses are equally good.", TIE},
    {BE, "Both responses are equally good", TIE},
    {BE, "I would say the two responses are equally good.", TIE},
    {BE, "Reason one. Reason two.\nTwo responses are equally good.\nMore.", TIE},
    {BE, "Both answers are equally bad.", TIE},
    {BE, "The two responses are of equal quality.", TIE},
    {BE, "It's a tie.", TIE},
    {BE, "Both name the dog. It is a tie.", TIE},
    {BE, "The two responses are not equally good", NONE},
    {BE, "The two responses are not equally good.", NONE},
    {BE, "The two responses aren't equally good.", NONE},
    {BE, "The two responses aren\xe2\x80\x99t equally good.", NONE},
    {BE, "I don't think both responses are equally good.", NONE},
    {BE, "Are the two responses equally good?", NONE},
    {BE, "If the two responses were equally good, I would say so.", NONE},
    {BE, "The two responses are equally good in style, but the first is right.", NONE},
    {BE, "While both responses are equally good in style, the first is right.", NONE},
    {BE, "The two responses are far from equally good.", NONE},
    {BE, "\"The two responses are equally good\" is what it says.", NONE},
    {BE, "The two responses are not equally good.\nThe better response: [second].",
     SECOND},
    {BE, "The two responses are equally good in style.\nThe better response: [first].",
     FIRST},
    {LE, "[[A]]", FIRST},
    {LE, "[[B]]", SECOND},
    {LE, "[[C]]", TIE},
    {LE, "[[tie]]", TIE},
    {LE, "[[b]]", SECOND},
    {LE, "So my verdict: [[B]] ... no, [[A]]", FIRST},
    {LE, "[[A]] and then [[B]]", SECOND},
    {LE, "It writes \"[[A]]\". [[B]]", SECOND},
    {LE, "{\"Analysis\": \"so [[B]]\", \"Judgement\": \"[[A]]\"}", FIRST},
    {LE, "[A]", NONE},
    {LE, "[[D]]", NONE},
    {LE, "[[]]", NONE},
    {LE, "[[", NONE},
    {AR, "[[A>>B]]", FIRST},
    {AR, "[[A>B]]", FIRST},
    {AR, "[[A=B]]", TIE},
    {AR, "[[B>A]]", SECOND},
    {AR, "[[B>>A]]", SECOND},
    {AR, "[[A<B]]", SECOND},
    {AR, "[[ a > b ]]", FIRST},
    {AR, "[[A>B]] then [[B>A]]", SECOND},
    {AR, "[[B=A]]", TIE},
    {AR, "[[A>>>B]]", NONE},
    {AR, "[[A>A]]", NONE},
    {AR, "[[A]]", NONE},
    {AR, "A>B", NONE},
    {AR, "$ERROR$", NONE},
    {AB, "Overall Judgment:\n**Answer 2** is slightly better.", SECOND},
    {AB, "Therefore, Answer 1 is better ... Answer 2 is better", SECOND},
    {AB, "Overall Judgment: Answer 1 is the better one", FIRST},
    {AB, "Answer 1 is much better than Answer 2.", FIRST},
    {AB, "The first response is clearly better.", FIRST},
    {AB, "Response B is better.", SECOND},
    {AB, "Overall Judgment: Answer 3 is better", NONE},
    {AB, "Answer 1 is not better.", NONE},
    {AB, "Answer 1 would be better.", NONE},
    {AB, "This one is better.", NONE},
};

static void test_choices(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof choices / sizeof choices[0]; i++) {
        const struct choice_case *c = &choices[i];
        struct cr_parsed p = parse_one(c->format, "0-1", c->text, strlen(c->text), 2);
        if (p.choice != c->choice || p.ok != (c->choice != CR_CHOICE_NONE))
            fail_msg("%s '%s': got %s (%s), expected %s", cr_format_name(c->format),
                     c->text, cr_choice_name(p.choice), p.ok ? "ok" : p.why,
                     cr_choice_name(c->choice));
    }
}

static void test_arena_margins(void **state) {
    (void)state;
    static const char *const texts[] = {"[[A>>B]]", "[[A>B]]", "[[A=B]]", "[[B>A]]",
                                        "[[B>>A]]"};
    for (int i = 0; i < 5; i++)
        assert_int_equal(parse_one(AR, "0-1", texts[i], strlen(texts[i]), 2).margin,
                         2 - i);
}

struct pair_case {
    const char *text;
    double first, second; /* NAN: a failure */
};

static void test_two_scores(void **state) {
    (void)state;
    static const struct pair_case cases[] = {
        {"8 9\nBecause", 8, 9},
        {"8, 9\nBecause", 8, 9},
        {"8,9", 8, 9},
        {"8 9 ", 8, 9},
        {"\n8.5 9\n", 8.5, 9},
        {"10 1", 10, 1},
        {"**8 9**", 8, 9},
        {"Scores: 8 9", 8, 9},
        {"[8, 9]", 8, 9},
        {"8/9", 8, 9},
        {"8\t9", 8, 9},
        {"8 9.", 8, 9},
        {"Reason first.\n\n7 6", 7, 6},
        {"8 9\n1 2", 8, 9},
        {"Scores:\nAssistant 1: 10\nAssistant 2: 6\nSo.", 10, 6},
        {"Assistant 1: 10, Assistant 2: 6", 10, 6},
        {"8", NAN, NAN},
        {"8 9 10", NAN, NAN},
        {"0 9", NAN, NAN},
        {"8 11", NAN, NAN},
        {"8 out of 9", NAN, NAN},
        {"Assistant 1: 10", NAN, NAN},
        {"eight nine", NAN, NAN},
        {"", NAN, NAN},
        {"-1 -1", NAN, NAN},
        {"8 9 and more", NAN, NAN},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct cr_parsed p = parse_one(CR_FORMAT_TWO_SCORES, "1-10:0.1", cases[i].text,
                                       strlen(cases[i].text), 2);
        if (p.ok != !isnan(cases[i].first) ||
            (p.ok && (p.pair[0] != cases[i].first || p.pair[1] != cases[i].second)))
            fail_msg("'%s': got %g %g (%s)", cases[i].text, p.pair[0], p.pair[1],
                     p.ok ? "ok" : p.why);
        if (p.ok)
            assert_int_equal(p.choice, p.pair[0] > p.pair[1]   ? FIRST
                                       : p.pair[0] < p.pair[1] ? SECOND
                                                               : TIE);
    }
}

static void test_orders(void **state) {
    (void)state;
    static const struct {
        size_t n;
        const char *text;
        const char *order; /* NULL: a failure */
    } cases[] = {
        {3, "Ranking: [2, 1, 3]", "102"},
        {3, "Ranking: 2 > 1 > 3", "102"},
        {3, "2 > 1 > 3", "102"},
        {3, "2, 1, 3", "102"},
        {3, "Ranking: [B, A, C]\nBecause", "102"},
        {3, "**Ranking:** Response 2 > Response 1 > Response 3", "102"},
        {4, "[[C]], [[A]], [[D]], [[B]]", "2031"},
        {4, "So it is [[C]], [[A]], [[D]], [[B]].", "2031"},
        {4, "{\"Judgement\": \"[[C]], [[A]], [[D]], [[B]]\"}", "2031"},
        {4, "Ranking: CADB", "2031"},
        {4, "CDAB", "2301"},
        {3, "Ranking: [1, 2, 3]\nRanking: [3, 2, 1]", "210"},
        {3, "Ranking: [1, 2, 3]\nIt says \"Ranking: [3, 2, 1]\".", "012"},
        {2, "Ranking: [2, 1]", "10"},
        {3, "Ranking: [2, 1]", NULL},
        {3, "Ranking: [2, 1, 1]", NULL},
        {3, "Ranking: [2, 1, 4]", NULL},
        {3, "Ranking: [0, 1, 2]", NULL},
        {3, "Ranking: [2, A, 3]", NULL},
        {3, "Ranking: [1, 2, 3, 1]", NULL},
        {3, "I like the second.", NULL},
        {3, "", NULL},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct cr_parsed p = parse_one(CR_FORMAT_ORDER, "0-1", cases[i].text,
                                       strlen(cases[i].text), cases[i].n);
        if (p.ok != (cases[i].order != NULL))
            fail_msg("'%s': %s", cases[i].text, p.ok ? "ok" : p.why);
        for (size_t k = 0; p.ok && k < cases[i].n; k++)
            if (p.order[k] != (size_t)(cases[i].order[k] - '0'))
                fail_msg("'%s': place %zu is %zu", cases[i].text, k, p.order[k]);
    }
}

/* The first declared format with a match decides, even where it refuses. */
static void test_declared_order_decides(void **state) {
    (void)state;
    critic_error err;
    struct cr_parsed p;
    struct cr_verdict_rule rule = {.formats = {CR_FORMAT_FINAL_SCORE, CR_FORMAT_SCORE},
                                   .n_formats = 2,
                                   .scale = {0, 100, 1}};
    T_OK(cr_verdict_parse(&p, cr_str_of("Score: [3]\nFinal Score: 4"), &rule, &err));
    assert_true(p.ok && p.score == 4 && p.format == CR_FORMAT_FINAL_SCORE);
    T_OK(cr_verdict_parse(&p, cr_str_of("Score: [3]"), &rule, &err));
    assert_true(p.ok && p.score == 3 && p.format == CR_FORMAT_SCORE);
    T_OK(cr_verdict_parse(&p, cr_str_of("Score: [3]\nFinal Score: 400"), &rule, &err));
    assert_false(p.ok);
    assert_non_null(strstr(p.why, "outside the scale"));
    rule.n_formats = 0;
    T_OK(cr_verdict_parse(&p, cr_str_of("Score: [3]"), &rule, &err));
    assert_false(p.ok);
}

static void test_any_bytes(void **state) {
    (void)state;
    static const char text[] = "\0\xff\xfeScore: [\0] \x80Score: [12]\0 tail";
    struct cr_parsed p = parse_one(S, "0-100", text, sizeof text - 1, 1);
    assert_true(p.ok && p.score == 12);
}

/* Long and hostile texts take linear time: a quadratic scan of these would not end. */
static void test_long_texts(void **state) {
    (void)state;
    static const char *const patterns[] = {"[[",
                                           "[",
                                           "\"",
                                           "score: ",
                                           "the ",
                                           "equally good if ",
                                           "\n \n",
                                           "* ",
                                           "[[A, ",
                                           "ranking: ",
                                           "answer 1 is ",
                                           "\xe2\x80\x9c",
                                           "better response: [",
                                           "1 "};
    size_t n = (size_t)1 << 20;
    char *text = malloc(n);
    assert_non_null(text);
    for (size_t i = 0; i < sizeof patterns / sizeof patterns[0]; i++) {
        size_t len = strlen(patterns[i]);
        for (size_t k = 0; k < n; k++)
            text[k] = patterns[i][k % len];
        for (int f = 0; f < CR_N_FORMATS; f++)
            parse_one((enum cr_format)f, "0-100", text, n, 3);
    }
    free(text);
}

static void test_reason(void **state) {
    (void)state;
    static const struct {
        enum cr_format format;
        const char *text, *reason;
    } cases[] = {
        {S, "Score: [85]\nThe dog is named.", "The dog is named."},
        {S, "The dog is named.\nScore: [85]", "The dog is named."},
        {S, "**Score: [85]**\n\nThe dog is named.\n", "The dog is named."},
        {S, "Score: [85]. The dog is named.", "The dog is named."},
        {S, "The dog is named. Score: [85]", "The dog is named."},
        {S, "One.\nScore: [85]\nTwo.", "One.\nTwo."},
        {S, "Score: [85]", ""},
        {S, "No verdict at all.", "No verdict at all."},
        {S, "So I think the score: 85 fits.", "So I think the score: 85 fits."},
        {BE, "The better response: [first]. It names the dog.", "It names the dog."},
        {BE, "It names the dog.\n\nThe better response: [first].", "It names the dog."},
        {BE, "Two responses are equally good. Both name it.", "Both name it."},
        {CR_FORMAT_TWO_SCORES, "8 9\nThe second is better.", "The second is better."},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        critic_error err;
        struct cr_buf out;
        struct cr_str text = cr_str_of(cases[i].text);
        struct cr_parsed p = parse_one(cases[i].format, "0-100", text.data, text.len, 2);
        cr_buf_init(&out, 1 << 16);
        T_OK(cr_verdict_reason(&out, text, &p, &err));
        if (!cr_str_eq_c(cr_buf_str(&out), cases[i].reason))
            fail_msg("'%s': reason '%.*s'", cases[i].text, (int)out.len,
                     out.data ? out.data : "");
        cr_buf_fini(&out);
    }
}

static void test_value_position(void **state) {
    (void)state;
    static const char text[] = "Well.\nScore: [85]";
    struct cr_parsed p = parse_one(S, "0-100", text, strlen(text), 1);
    assert_string_equal(text + p.value_at, "85]");
    assert_int_equal(p.at + p.len, strlen(text));
    static const char better[] = "The better response: [second].";
    p = parse_one(BE, "0-1", better, strlen(better), 2);
    assert_string_equal(better + p.value_at, "second].");
}

static void check_real(const char *line, size_t len) {
    critic_error err;
    json_t *row;
    enum cr_format format;
    T_OK(cr_json_parse(&row, line, len, "verdicts.jsonl", &err));
    json_t *text = json_object_get(row, "text");
    json_t *label = json_object_get(row, "margin");
    json_t *pair = json_object_get(row, "scores");
    assert_true(cr_format_find(
        cr_str_of(json_string_value(json_object_get(row, "format"))), &format));
    struct cr_parsed p = parse_one(format, "1-10:0.1", json_string_value(text),
                                   json_string_length(text), 2);
    if (pair) {
        assert_true(p.ok && p.pair[0] == json_number_value(json_array_get(pair, 0)) &&
                    p.pair[1] == json_number_value(json_array_get(pair, 1)));
    } else {
        assert_int_equal(p.ok, !json_is_null(label));
        assert_int_equal(p.margin, json_is_null(label) ? 0 : json_integer_value(label));
    }
    json_decref(row);
}

static void test_real_verdicts(void **state) {
    (void)state;
    critic_error err;
    struct cr_buf file;
    size_t n = 0;
    cr_buf_init(&file, 1 << 24);
    T_OK(cr_file_read(T_SOURCE("tests/golden/judge/verdicts.jsonl"), &file, &err));
    for (char *line = file.data; line < file.data + file.len; n++) {
        char *end = strchr(line, '\n');
        assert_non_null(end);
        check_real(line, (size_t)(end - line));
        line = end + 1;
    }
    assert_true(n >= 40);
    cr_buf_fini(&file);
}

static void test_names(void **state) {
    (void)state;
    for (int f = 0; f < CR_N_FORMATS; f++) {
        enum cr_format found;
        assert_true(cr_format_find(cr_str_of(cr_format_name((enum cr_format)f)), &found));
        assert_int_equal(found, f);
    }
    enum cr_format found;
    assert_false(cr_format_find(cr_str_of("nonsense"), &found));
}

static void test_scales(void **state) {
    (void)state;
    critic_error err;
    struct cr_scale s;
    T_OK(cr_scale_parse("1-10", &s, &err));
    assert_true(s.min == 1 && s.max == 10 && s.step == 1);
    T_OK(cr_scale_parse("0-1:0.1", &s, &err));
    assert_true(s.min == 0 && s.max == 1 && s.step == 0.1);
    static const char *const bad[] = {
        "",       "5", "10-1",  "1-1",  "a-b",         "1-10:", "1-10:0",    "1-10x",
        "0-1:-1", "-", "0-1e9", "1--2", "0-100:0.001", "0-1:3", "0-10000000"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        T_FAILS(cr_scale_parse(bad[i], &s, &err), CRITIC_BAD_ARGUMENT, "scale");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_scores),
        cmocka_unit_test(test_choices),
        cmocka_unit_test(test_arena_margins),
        cmocka_unit_test(test_two_scores),
        cmocka_unit_test(test_orders),
        cmocka_unit_test(test_declared_order_decides),
        cmocka_unit_test(test_any_bytes),
        cmocka_unit_test(test_long_texts),
        cmocka_unit_test(test_reason),
        cmocka_unit_test(test_value_position),
        cmocka_unit_test(test_real_verdicts),
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_scales),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
