/* Probabilities from the tokens that an endpoint gave: by hand, for every way a verdict may be cut. */
#include <math.h>

#include "judge/voice.h"
#include "t.h"

static critic_error err;

struct place {
    const char *said;
    double p;
    struct {
        const char *text;
        double p;
    } top[4];
};

struct script {
    const char *text; /* NULL: the places' together */
    const struct place *places;
    size_t n;
    bool asked;
};

static struct cr_token_choice choice_of(const char *text, double p) {
    return (struct cr_token_choice){cr_str_of(text), log(p)};
}

static enum critic_status answer(void *self, const struct cr_voice_ask *ask,
                                 struct cr_reply *replies, struct cr_judge_usage *usage,
                                 critic_error *e) {
    struct script *s = self;
    struct cr_reply_tokens *t = &replies[0].tokens;
    (void)usage;
    s->asked = ask->probabilities;
    if (s->text)
        CR_TRY(cr_buf_append_c(&replies[0].text, s->text, e));
    CR_TRY(cr_arena_init(&t->arena, 1 << 20, e));
    t->all = cr_arena_calloc(&t->arena, s->n, sizeof *t->all);
    for (t->n = 0; t->n < s->n; t->n++) {
        const struct place *p = &s->places[t->n];
        struct cr_token_choice *top = cr_arena_calloc(&t->arena, 5, sizeof *top);
        size_t n = 0;
        for (; n < 4 && p->top[n].text; n++)
            top[n] = choice_of(p->top[n].text, p->top[n].p);
        top[n++] = choice_of(p->said, p->p); /* the list has it as well */
        t->all[t->n] = (struct cr_reply_token){choice_of(p->said, p->p), top, n};
        if (!s->text)
            CR_TRY(cr_buf_append_c(&replies[0].text, p->said, e));
    }
    return CRITIC_OK;
}

static const struct cr_str answers[] = {{"A cat.", 6}, {"A dog.", 6}};

static struct cr_verdict judged(struct script *s, const char *template_name,
                                size_t n_answers) {
    const struct cr_voice voice = {.model = "voice",
                                   .model_hash = "00",
                                   .reads_prompts = true,
                                   .gives_tokens = true,
                                   .ask = answer,
                                   .self = s};
    const struct cr_item item = {.id = {"7", 1},
                                 .question = {"Which?", 6},
                                 .answers = answers,
                                 .n_answers = n_answers};
    struct cr_judge_opts opts;
    struct cr_judge *judge;
    struct cr_verdict v;
    cr_judge_opts_default(&opts);
    opts.template_name = template_name;
    opts.probabilities = true;
    T_OK(cr_judge_new_voiced(&judge, &voice, &opts, &err));
    T_OK(cr_judge_item(judge, &item, &v, &err));
    cr_judge_free(judge);
    assert_int_equal(v.opinion.status, CR_VERDICT_OK);
    assert_true(s->asked);
    return v;
}

static double p_of(const struct cr_verdict *v, const char *label) {
    for (size_t i = 0; i < v->opinion.n_options; i++)
        if (strcmp(v->opinion.options[i].label, label) == 0)
            return v->opinion.options[i].probability;
    return NAN;
}

/* No other token is told of. */
#define ALONE                                                                            \
    {                                                                                    \
        { NULL, 0 }                                                                      \
    }
#define PLACES(name, ...) static const struct place name[] = {__VA_ARGS__}
#define SCRIPT(list, whole)                                                              \
    { .text = whole, .places = list, .n = sizeof list / sizeof list[0] }

static void a_choice_is_read_from_one_token(void **state) {
    (void)state;
    PLACES(places, {"The better", 0.9, ALONE}, {" response", 1, ALONE}, {": [", 1, ALONE},
           {"second", 0.6, {{"first", 0.2}, {" ", 0.1}, {"neither", 0.1}}},
           {"].", 1, ALONE});
    struct script s = SCRIPT(places, NULL);
    struct cr_verdict v = judged(&s, "pairwise", 2);
    assert_int_equal(v.opinion.choice, CR_CHOICE_SECOND);
    T_NEAR(p_of(&v, "first"), 0.25, 1e-12, 0);
    T_NEAR(p_of(&v, "second"), 0.75, 1e-12, 0);
    T_NEAR(v.opinion.mass, 0.8, 1e-12, 0);
    cr_verdict_fini(&v);
}

/* The verdict begins inside a token, ends in several, and the letter case is the judge's. */
static void tokens_may_cut_a_verdict_anywhere(void **state) {
    (void)state;
    PLACES(places, {" The better response: [F", 0.5, {{" The better response: [s", 0.3}}},
           {"ir", 1, ALONE}, {"st", 1, ALONE}, {"]", 1, ALONE});
    struct script s = SCRIPT(places, "The better response: [First]");
    struct cr_verdict v = judged(&s, "pairwise", 2);
    T_NEAR(p_of(&v, "first"), 0.5 / 0.8, 1e-12, 0);
    T_NEAR(p_of(&v, "second"), 0.3 / 0.8, 1e-12, 0);
    cr_verdict_fini(&v);
}

static void a_verdict_inside_a_sentence_is_found(void **state) {
    (void)state;
    PLACES(places, {"Overall Judgment:", 1, ALONE}, {" Answer", 1, ALONE},
           {" 2", 0.7, {{" 1", 0.3}}}, {" is better.", 1, ALONE});
    struct script s = SCRIPT(places, NULL);
    struct cr_verdict v = judged(&s, "answer-better", 2);
    assert_int_equal(v.opinion.choice, CR_CHOICE_SECOND);
    T_NEAR(p_of(&v, "first"), 0.3, 1e-12, 0);
    cr_verdict_fini(&v);
}

/* "A" may become A>>B, A>B or A=B: what was written is followed. "B" is the second either way. */
static void labels_that_begin_alike_are_followed(void **state) {
    (void)state;
    PLACES(places, {"[[", 1, ALONE}, {"A", 0.97, {{"B", 0.03}}},
           {">", 0.5, {{">>", 0.3}, {"=", 0.2}}}, {"B", 1, ALONE}, {"]]", 1, ALONE});
    struct script s = SCRIPT(places, NULL);
    struct cr_verdict v = judged(&s, "wildvision", 2);
    T_NEAR(p_of(&v, "first"), 0.97 * 0.8, 1e-12, 0);
    T_NEAR(p_of(&v, "tie"), 0.97 * 0.2, 1e-12, 0);
    T_NEAR(p_of(&v, "second"), 0.03, 1e-12, 0);
    cr_verdict_fini(&v);
    PLACES(open, {"[[", 1, ALONE}, {"B", 0.8, {{"A", 0.2}}}, {">", 1, ALONE},
           {"A", 1, ALONE}, {"]]", 1, ALONE});
    struct script t = SCRIPT(open, NULL);
    v = judged(&t, "wildvision", 2);
    assert_int_equal(v.opinion.n_options, 0); /* a fifth is A's or a tie's */
    cr_verdict_fini(&v);
}

static void numbers_of_several_tokens_are_followed(void **state) {
    (void)state;
    PLACES(places, {"Score: [", 1, ALONE}, {"8", 0.98, {{"100", 0.02}}},
           {"5", 0.5, {{"0", 0.25}, {"]", 0.25}}}, {"]", 1, ALONE});
    struct script s = SCRIPT(places, NULL);
    struct cr_verdict v = judged(&s, "pointwise", 1);
    T_NEAR(v.opinion.score, 85, 0, 0);
    T_NEAR(p_of(&v, "85"), 0.49, 1e-12, 0);
    T_NEAR(p_of(&v, "80"), 0.245, 1e-12, 0);
    T_NEAR(p_of(&v, "8"), 0.245, 1e-12, 0);
    T_NEAR(p_of(&v, "100"), 0.02, 1e-12, 0);
    assert_true(v.opinion.has_expected);
    T_NEAR(v.opinion.expected, 0.49 * 85 + 0.245 * 88 + 2, 1e-9, 0);
    cr_verdict_fini(&v);
    PLACES(end, {"Score: ", 1, ALONE},
           {"9", 0.7, {{"7.5", 0.1}, {"70", 0.3}}}); /* it ends there */
    struct script t = SCRIPT(end, NULL);
    v = judged(&t, "pointwise", 1);
    T_NEAR(p_of(&v, "9"), 0.7, 1e-12, 0);
    T_NEAR(p_of(&v, "70"), 0.3, 1e-12, 0);
    cr_verdict_fini(&v);
}

/* Whatever does not fit gives no probabilities, and the verdict stays. */
static void what_does_not_fit_gives_none(void **state) {
    (void)state;
    PLACES(other, {"Something else", 1, ALONE});
    PLACES(impossible,
           {"The better response: [first", 0, {{"The better response: [x", 1}}},
           {"]", 1, ALONE});
    PLACES(spelled, {"The better response: [", 1, ALONE}, {"1st", 1, ALONE},
           {"]", 1, ALONE});
    struct script scripts[] = {SCRIPT(other, "The better response: [first]"),
                               SCRIPT(impossible, NULL), SCRIPT(spelled, NULL)};
    for (size_t i = 0; i < sizeof scripts / sizeof scripts[0]; i++) {
        struct cr_verdict v = judged(&scripts[i], "pairwise", 2);
        assert_int_equal(v.opinion.choice, CR_CHOICE_FIRST);
        assert_int_equal(v.opinion.n_options, 0);
        cr_verdict_fini(&v);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_choice_is_read_from_one_token),
        cmocka_unit_test(tokens_may_cut_a_verdict_anywhere),
        cmocka_unit_test(a_verdict_inside_a_sentence_is_found),
        cmocka_unit_test(labels_that_begin_alike_are_followed),
        cmocka_unit_test(numbers_of_several_tokens_are_followed),
        cmocka_unit_test(what_does_not_fit_gives_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
