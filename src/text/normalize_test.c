#include "text/normalize.h"

#include "base/checked.h"
#include "t.h"

/* Expected values are what tokenizers.normalizers.NFC (0.23.3) gives. */
static const struct {
    const char *text;
    const char *nfc;
    bool needed;
} cases[] = {
    {"", "", false},
    {"plain é 漢字 😀", "plain é 漢字 😀", false},
    {"e\u0301", "é", true},
    {"\u0301e", "\u0301e", true},
    {">\u0338", "\u226F", true},
    {"a\u0316\u0301", "\u00E1\u0316", true},  /* composes past a mark of another class */
    {"a\u0301\u0316", "\u00E1\u0316", true},  /* and is put in order */
    {"a\u0305\u0301", "a\u0305\u0301", true}, /* blocked by its own class */
    {"a\u05AE\u0300", "\u00E0\u05AE", true},
    {"\u212B", "\u00C5", true},               /* singleton */
    {"\u0958", "\u0915\u093C", true},         /* composition exclusion */
    {"\u1100\u1161\u11A8", "\uAC01", true},   /* Hangul */
    {"\uAC00\u11A8", "\uAC01", true},         /* LV + T */
    {"\uAC00\u11A7", "\uAC00\u11A7", false},  /* the filler is no T */
    {"\u09C7\u09BE", "\u09CB", true},         /* second half is a starter */
    {"a\u0898\u0316", "a\u0898\u0316", true}, /* U+0898: class 0 there */
    {"a\u0301\u0898\u0316", "\u00E1\u0898\u0316", true},
    {"\U00011935\U00011930", "\U00011935\U00011930", false}, /* composed later */
    {"\U00011938", "\U00011938", false},
    {"\U0001D15E", "\U0001D157\U0001D165", true},
    {"\u1E9B\u0323", "\u1E9B\u0323", true},
    {"a\u302D\u302A", "a\u302A\u302D", true},
};

static void test_cases(void **state) {
    (void)state;
    critic_error err;
    struct cr_buf out;
    cr_buf_init(&out, 1000);
    for (size_t i = 0; i < CR_COUNT(cases); i++) {
        cr_buf_clear(&out);
        T_OK(cr_nfc(cr_str_of(cases[i].text), &out, &err));
        if (!cr_str_eq_c(cr_buf_str(&out), cases[i].nfc))
            fail_msg("case %zu: '%s' instead of '%s'", i, out.data, cases[i].nfc);
        assert_int_equal(cr_nfc_needed(cr_str_of(cases[i].text)), cases[i].needed);
    }
    cr_buf_fini(&out);
}

/* A text that the quick check lets through is what NFC gives. */
static void test_quick_check(void **state) {
    (void)state;
    critic_error err;
    struct cr_buf out;
    cr_buf_init(&out, 100);
    size_t n_stable = 0;
    for (uint32_t c = 0; c < 0x110000; c++) {
        char text[4];
        if (c >= 0xD800 && c < 0xE000)
            continue;
        struct cr_str s = {text, cr_utf8_encode(c, text)};
        if (cr_nfc_needed(s))
            continue;
        n_stable++;
        cr_buf_clear(&out);
        T_OK(cr_nfc(s, &out, &err));
        if (!cr_str_eq(cr_buf_str(&out), s))
            fail_msg("U+%04X is not stable", c);
    }
    assert_true(n_stable > 1100000);
    cr_buf_fini(&out);
}

static void test_long_run_of_marks(void **state) {
    (void)state;
    critic_error err;
    struct cr_buf text;
    struct cr_buf out;
    cr_buf_init(&text, 1 << 20);
    cr_buf_init(&out, 1 << 20);
    for (int i = 0; i < 100000; i++)
        T_OK(cr_buf_append_c(&text, i % 2 ? "\u0316" : "\u0301", &err));
    T_OK(cr_nfc(cr_buf_str(&text), &out, &err));
    assert_int_equal(out.len, text.len);
    for (size_t i = 0; i < 50000; i++) { /* class 220 before class 230 */
        assert_memory_equal(out.data + 2 * i, "\u0316", 2);
        assert_memory_equal(out.data + 100000 + 2 * i, "\u0301", 2);
    }
    cr_buf_fini(&text);
    cr_buf_fini(&out);
    cr_buf_init(&out, 3);
    T_FAILS(cr_nfc(cr_str_of("abcd"), &out, &err), CRITIC_NO_MEMORY, "limit");
    cr_buf_fini(&out);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cases),
        cmocka_unit_test(test_quick_check),
        cmocka_unit_test(test_long_run_of_marks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
