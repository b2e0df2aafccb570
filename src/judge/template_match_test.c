/* Every built-in template that asks about one answer or two gives back what was put in. */
#include "t.h"
#include "judge/template_match.h"

static const struct cr_str answers[] = {{"One [1].\nTwo.", 13}, {"Other", 5}};

static void check(const struct cr_template *t, bool with_sections) {
    critic_error err;
    struct cr_buf text;
    struct cr_template_found found;
    struct cr_template_values v = {.question = {"What?", 5},
                                   .answers = answers,
                                   .n_answers = t->mode == CR_MODE_PAIRWISE ? 2 : 1,
                                   .scale = t->rule.scale};
    if (t->needs[CR_FIELD_REFERENCE] || (with_sections && t->uses[CR_FIELD_REFERENCE]))
        v.reference = (struct cr_str){"Truth", 5};
    if (t->needs[CR_FIELD_CRITERION] || (with_sections && t->uses[CR_FIELD_CRITERION]))
        v.criterion = (struct cr_str){"length", 6};
    if (t->needs[CR_FIELD_CONTEXT] || (with_sections && t->uses[CR_FIELD_CONTEXT]))
        v.context = (struct cr_str){"A cat.", 6};
    cr_buf_init(&text, 1 << 20);
    T_OK(cr_template_render(t, &v, &text, &err));
    if (!cr_template_match(t, cr_buf_str(&text), &found))
        fail_msg("%s: its own prompt is not recognised", t->name);
    const struct {
        enum cr_field field;
        struct cr_str want;
    } fields[] = {
        {CR_FIELD_QUESTION, v.question},
        {CR_FIELD_REFERENCE, v.reference},
        {CR_FIELD_CRITERION, v.criterion},
        {CR_FIELD_CONTEXT, v.context},
        {v.n_answers == 2 ? CR_FIELD_ANSWER_1 : CR_FIELD_ANSWER, answers[0]},
        {CR_FIELD_ANSWER_2, v.n_answers == 2 ? answers[1] : (struct cr_str){0}}};
    for (size_t i = 0; i < sizeof fields / sizeof fields[0]; i++) {
        struct cr_str got = found.fields[fields[i].field];
        if (t->uses[fields[i].field] && !cr_str_eq(got, fields[i].want))
            fail_msg("%s: field %d is '%.*s', put in was '%.*s'", t->name,
                     (int)fields[i].field, (int)got.len, got.data ? got.data : "",
                     (int)fields[i].want.len,
                     fields[i].want.data ? fields[i].want.data : "");
    }
    text.data[0] ^= 1;
    assert_false(cr_template_match(t, cr_buf_str(&text), &found));
    cr_buf_fini(&text);
}

static void test_own_prompts(void **state) {
    (void)state;
    critic_error err;
    size_t n = 0;
    for (size_t i = 0; i < cr_template_n_builtin(); i++) {
        struct cr_template *t;
        T_OK(cr_template_open_builtin(&t, cr_template_builtin_name(i), &err));
        bool begins_with_text = t->n_pieces > 0 && !t->uses[CR_FIELD_ANSWERS];
        if (t->mode != CR_MODE_RANKING && begins_with_text) {
            check(t, false);
            check(t, true);
            n++;
        }
        cr_template_free(t);
    }
    assert_true(n > 40);
}

/* A text made to be ambiguous ends, and does not match. */
static void test_bounded(void **state) {
    (void)state;
    critic_error err;
    struct cr_template *t;
    struct cr_template_found found;
    static char text[20000];
    const char *body = "Q {question} x {answer_1} x {answer_2} y";
    T_OK(cr_template_parse(&t, "test", cr_str_of(body), &err));
    memcpy(text, "Q ", 2);
    for (size_t i = 2; i < sizeof text; i++)
        text[i] = i % 3 == 0 ? 'x' : ' ';
    assert_false(cr_template_match(t, (struct cr_str){text, sizeof text}, &found));
    assert_true(cr_template_match(t, cr_str_of("Q a x x b x c y"), &found));
    assert_true(cr_str_eq_c(found.fields[CR_FIELD_ANSWER_2], "c"));
    cr_template_free(t);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_own_prompts),
                                       cmocka_unit_test(test_bounded)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
