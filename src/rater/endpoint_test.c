/* A judge behind an endpoint: its logprobs become probabilities of verdicts, in both orders. */
#define _POSIX_C_SOURCE 200809L
#include <math.h>

#include "rater/rater.h"
#include "t.h"
#include "t_http.h"

static critic_error err;

#define REPLY(choice, p, other, q)                                                       \
    T_HTTP("200 OK", "",                                                                 \
           "{\"choices\":[{\"message\":{\"content\":\"The better response: [" choice     \
           "]\"},\"finish_reason\":\"stop\",\"logprobs\":{\"content\":["                 \
           "{\"token\":\"The better response: [\",\"logprob\":0,\"top_logprobs\":[]},"   \
           "{\"token\":\"" choice "\",\"logprob\":" p ",\"top_logprobs\":["              \
           "{\"token\":\"" choice "\",\"logprob\":" p "},{\"token\":\"" other            \
           "\",\"logprob\":" q "}]},{\"token\":\"]\",\"logprob\":0}]}}]}")

static struct cr_verdict judged(const char *const *script, size_t n, bool probabilities) {
    static const struct cr_str answers[] = {{"A cat.", 6}, {"A dog.", 6}};
    const struct cr_item item = {
        .id = {"7", 1}, .question = {"Which?", 6}, .answers = answers, .n_answers = 2};
    struct t_server server;
    struct cr_chat_opts o;
    struct cr_judge_opts opts;
    struct cr_chat *chat;
    struct cr_rater *rater;
    struct cr_judge *judge;
    struct cr_verdict v;
    char url[64];
    t_server_start(&server, script, n);
    snprintf(url, sizeof url, "http://127.0.0.1:%d/v1", server.port);
    cr_chat_opts_default(&o);
    o.url = url;
    o.model = "judge";
    o.n_tries = 1;
    T_OK(cr_chat_new(&chat, &o, &err));
    T_OK(cr_rater_endpoint(&rater, chat, NULL, &err));
    cr_judge_opts_default(&opts);
    opts.both_orders = true;
    opts.probabilities = probabilities;
    T_OK(cr_judge_new_voiced(&judge, cr_rater_voice(rater), &opts, &err));
    T_OK(cr_judge_item(judge, &item, &v, &err));
    assert_int_equal(server.n_served, n);
    assert_true((strstr(server.last, "\"logprobs\":true") != NULL) ==
                (probabilities && n == 2));
    cr_judge_free(judge);
    cr_rater_free(rater);
    cr_chat_free(chat);
    t_server_stop(&server);
    return v;
}

static double p_first(const struct cr_verdict *v) {
    for (size_t i = 0; i < v->opinion.n_options; i++)
        if (strcmp(v->opinion.options[i].label, "first") == 0)
            return v->opinion.options[i].probability;
    return NAN;
}

/* ln 0.75, ln 0.25; then, with the answers exchanged, ln 0.6, ln 0.4. */
static const char *const script[] = {
    REPLY("second", "-0.2876820724517809", "first", "-1.3862943611198906"),
    REPLY("second", "-0.5108256237659907", "first", "-0.916290731874155")};

static void logprobs_become_probabilities(void **state) {
    (void)state;
    struct cr_verdict v = judged(script, 2, true);
    T_NEAR(p_first(&v), (0.25 + 0.6) / 2, 1e-12, 0);
    assert_int_equal(v.opinion.choice, CR_CHOICE_SECOND); /* 0.575 against 0.425 */
    assert_false(v.opinion.consistent);
    cr_verdict_fini(&v);
}

static void nobody_asks_for_them_unasked(void **state) {
    (void)state;
    struct cr_verdict v = judged(script, 2, false);
    assert_int_equal(v.opinion.n_options, 0);
    assert_int_equal(v.opinion.choice, CR_CHOICE_TIE); /* it contradicts itself */
    cr_verdict_fini(&v);
}

static void an_endpoint_without_them_judges(void **state) {
    (void)state;
    static const char *const plain[] = {
        T_HTTP("400 Bad Request", "", "{\"error\":{\"message\":\"logprobs: no\"}}"),
        T_HTTP("400 Bad Request", "", "{\"error\":{\"message\":\"logprobs: no\"}}"),
        T_GOOD("The better response: [second]"), T_GOOD("The better response: [first]")};
    struct cr_verdict v = judged(plain, 4, true);
    assert_int_equal(v.opinion.choice, CR_CHOICE_SECOND);
    assert_true(v.opinion.consistent);
    assert_int_equal(v.opinion.n_options, 0);
    cr_verdict_fini(&v);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(logprobs_become_probabilities),
        cmocka_unit_test(nobody_asks_for_them_unasked),
        cmocka_unit_test(an_endpoint_without_them_judges),
    };
    setenv("no_proxy", "*", 1);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
