/* A judge with a voice instead of an engine: prompts, orders, samples and criteria as ever. */
#include "judge/voice.h"

#include "t.h"

static critic_error err;

struct script {
    const char *texts[8];
    size_t n, asked;
    char prompts[8][4096];
    double share; /* decisions where texts are NULL */
};

static enum critic_status answer(void *self, const struct cr_voice_ask *ask,
                                 struct cr_reply *replies, struct cr_judge_usage *usage,
                                 critic_error *e) {
    struct script *s = self;
    (void)usage;
    snprintf(s->prompts[s->asked], sizeof s->prompts[0], "%.*s", (int)ask->prompt.len,
             ask->prompt.data);
    s->asked++;
    for (size_t i = 0; i < ask->n_samples; i++) {
        const char *text = s->texts[s->n++];
        if (text && strcmp(text, "FAULT") == 0)
            return cr_fail(e, CRITIC_IO, "the line is dead");
        if (text) {
            CR_TRY(cr_buf_append_c(&replies[i].text, text, e));
            continue;
        }
        replies[i].is_decision = true;
        replies[i].decision.ok = true;
        replies[i].decision.choice = CR_CHOICE_FIRST;
        replies[i].first_share = s->share;
    }
    return CRITIC_OK;
}

static const struct cr_str answers[] = {{"A cat.", 6}, {"A dog.", 6}};
static const struct cr_item pair = {
    .id = {"7", 1}, .question = {"Which?", 6}, .answers = answers, .n_answers = 2};

static struct cr_verdict judged(struct script *s, const struct cr_judge_opts *opts,
                                const struct cr_item *item) {
    const struct cr_voice voice = {.model = "voice",
                                   .model_hash = "00",
                                   .reads_prompts = true,
                                   .ask = answer,
                                   .self = s};
    struct cr_judge *judge;
    struct cr_verdict v;
    T_OK(cr_judge_new_voiced(&judge, &voice, opts, &err));
    T_OK(cr_judge_item(judge, item, &v, &err));
    cr_judge_free(judge);
    return v;
}

static void both_orders_are_asked_and_turned_back(void **state) {
    (void)state;
    struct script s = {.texts = {"The better response: [first]. Because.",
                                 "The better response: [second]."}};
    struct cr_judge_opts opts;
    cr_judge_opts_default(&opts);
    opts.both_orders = true;
    struct cr_verdict v = judged(&s, &opts, &pair);
    assert_int_equal(v.opinion.choice, CR_CHOICE_FIRST);
    assert_true(v.opinion.consistent);
    assert_int_equal(v.usage.n_prompts, 2);
    assert_string_equal(v.model, "voice");
    assert_non_null(strstr(s.prompts[0], "The first response: [A cat.]"));
    assert_non_null(strstr(s.prompts[1], "The first response: [A dog.]"));
    cr_verdict_fini(&v);
}

static void what_cannot_be_read_stays_unparsed(void **state) {
    (void)state;
    struct script s = {.texts = {"I cannot say."}};
    struct cr_judge_opts opts;
    cr_judge_opts_default(&opts);
    struct cr_verdict v = judged(&s, &opts, &pair);
    assert_int_equal(v.opinion.status, CR_VERDICT_UNPARSED);
    assert_string_equal(v.opinion.raw.data, "I cannot say.");
    cr_verdict_fini(&v);
}

static void samples_become_a_distribution(void **state) {
    (void)state;
    struct script s = {.texts = {"The better response: [second].",
                                 "The better response: [second].",
                                 "The better response: [first]."}};
    struct cr_judge_opts opts;
    cr_judge_opts_default(&opts);
    opts.n_samples = 3;
    opts.temperature = 1;
    struct cr_verdict v = judged(&s, &opts, &pair);
    assert_int_equal(v.opinion.choice, CR_CHOICE_SECOND);
    assert_int_equal(v.opinion.n_parts, 3);
    assert_int_equal(s.asked, 1);
    cr_verdict_fini(&v);
}

static void decisions_need_no_text(void **state) {
    (void)state;
    struct script s = {.share = 0.75};
    struct cr_judge_opts opts;
    cr_judge_opts_default(&opts);
    struct cr_verdict v = judged(&s, &opts, &pair);
    assert_int_equal(v.opinion.choice, CR_CHOICE_FIRST);
    assert_int_equal(v.opinion.n_options, 2);
    T_NEAR(v.opinion.options[0].probability, 0.75, 0, 0);
    cr_verdict_fini(&v);
}

static void faults_and_probabilities_are_refused(void **state) {
    (void)state;
    struct script s = {.texts = {"FAULT"}};
    const struct cr_voice voice = {
        .model = "v", .model_hash = "0", .ask = answer, .self = &s};
    struct cr_judge_opts opts;
    struct cr_judge *judge;
    struct cr_verdict v;
    cr_judge_opts_default(&opts);
    T_OK(cr_judge_new_voiced(&judge, &voice, &opts, &err));
    T_FAILS(cr_judge_item(judge, &pair, &v, &err), CRITIC_IO, "the line is dead");
    cr_judge_free(judge);
    opts.verdict_only = true;
    T_FAILS(cr_judge_new_voiced(&judge, &voice, &opts, &err), CRITIC_BAD_ARGUMENT,
            "from a checkpoint only");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(both_orders_are_asked_and_turned_back),
        cmocka_unit_test(what_cannot_be_read_stays_unparsed),
        cmocka_unit_test(samples_become_a_distribution),
        cmocka_unit_test(decisions_need_no_text),
        cmocka_unit_test(faults_and_probabilities_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
