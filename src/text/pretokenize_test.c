#include "text/pretokenize.h"

#include "base/checked.h"
#include "base/file.h"
#include "io/json.h"
#include "t.h"
#include "text/unicode_tables.h"

/* The words that are still expected. */
struct expected {
    const json_t *words;
    size_t at;
};

static enum critic_status check_word(void *user, struct cr_str word, critic_error *err) {
    struct expected *e = user;
    const json_t *w = json_array_get(e->words, e->at++);
    struct cr_str wanted = {json_string_value(w), json_string_length(w)};
    if (!w || !cr_str_eq(word, wanted))
        return cr_fail(err, CRITIC_BAD_DATA, "word %zu differs", e->at);
    return CRITIC_OK;
}

static void check_row(const json_t *row, const struct cr_splitter *s, size_t line) {
    critic_error err;
    struct cr_buf text;
    struct expected e = {json_object_get(row, "words"), 0};
    cr_buf_init(&text, 1 << 20);
    for (size_t i = 0; i < json_array_size(e.words); i++) {
        const json_t *w = json_array_get(e.words, i);
        T_OK(cr_buf_append(&text, json_string_value(w), json_string_length(w), &err));
    }
    if (cr_split(s, cr_buf_str(&text), check_word, &e, &err) != CRITIC_OK ||
        e.at != json_array_size(e.words))
        fail_msg("splits.jsonl:%zu: word %zu differs", line, e.at);
    cr_buf_fini(&text);
}

/* Where the reference's regex engine cuts. */
static void test_reference_splits(void **state) {
    (void)state;
    static const char *const kinds[] = {"qwen2", "llama3", "gpt2"};
    critic_error err;
    struct cr_buf lines;
    size_t n[3] = {0};
    size_t line = 0;
    cr_buf_init(&lines, 1 << 24);
    T_OK(cr_file_read(T_SOURCE("tests/golden/text/splits.jsonl"), &lines, &err));
    for (const char *at = lines.data; *at; line++) {
        const char *end = strchr(at, '\n');
        json_t *row;
        T_OK(cr_json_parse(&row, at, (size_t)(end - at), "splits.jsonl", &err));
        for (size_t kind = 0; kind < CR_COUNT(kinds); kind++) {
            if (strcmp(json_string_value(json_object_get(row, "kind")), kinds[kind]) != 0)
                continue;
            struct cr_splitter s = {.steps = {{(enum cr_split_kind)kind, NULL}},
                                    .n_steps = 1};
            check_row(row, &s, line + 1);
            n[kind]++;
        }
        json_decref(row);
        at = end + 1;
    }
    assert_true(n[0] >= 200 && n[1] >= 200 && n[2] >= 200);
    cr_buf_fini(&lines);
}

/* Joins words with "|". */
static enum critic_status join(void *user, struct cr_str word, critic_error *err) {
    struct cr_buf *out = user;
    if (out->len)
        CR_TRY(cr_buf_append_c(out, "|", err));
    return cr_buf_append(out, word.data, word.len, err);
}

static void test_patterns(void **state) {
    (void)state;
    static const struct {
        const char *pattern;
        const char *text;
        const char *words;
    } cases[] = {
        {"b", "abcb", "a|b|c|b"},
        {"x", "abc", "abc"},
        {"x*", "axxb", "a|xx|b"},    /* empty matches cut and advance */
        {"(?=b)", "abab", "a|ba|b"}, /* only empty matches */
        {"$", "ab", "ab"},           /* an empty match at the end */
        {"é|", "éaé", "é|a|é"},      /* advances by characters, not bytes */
        {"\\p{Lu}", "aÉb", "a|É|b"}, /* Unicode classes */
        {"(?i)k", "a\u212Ab", "a|\u212A|b"},
        {" ?[^ ]+", "a b  c", "a| b| | c"},
    };
    critic_error err;
    struct cr_buf out;
    cr_buf_init(&out, 1000);
    for (size_t i = 0; i < CR_COUNT(cases); i++) {
        struct cr_splitter s = {0};
        T_OK(cr_splitter_add_pattern(&s, cr_str_of(cases[i].pattern), "t", &err));
        cr_buf_clear(&out);
        T_OK(cr_split(&s, cr_str_of(cases[i].text), join, &out, &err));
        assert_string_equal(out.data, cases[i].words);
        cr_splitter_fini(&s);
    }
    struct cr_splitter s = {0};
    T_FAILS(cr_splitter_add_pattern(&s, cr_str_of("a\\C"), "t", &err), CRITIC_UNSUPPORTED,
            "pattern fails at offset 3");
    for (int i = 0; i < CR_MAX_SPLITS; i++)
        T_OK(cr_splitter_add_pattern(&s, cr_str_of("\\d"), "t", &err));
    T_FAILS(cr_splitter_add_pattern(&s, cr_str_of("a"), "t", &err), CRITIC_UNSUPPORTED,
            "more than 8 steps");
    cr_buf_clear(&out);
    T_OK(cr_split(&s, cr_str_of("a12"), join, &out, &err));
    assert_string_equal(out.data, "a|1|2");
    out.max = out.len;
    T_FAILS(cr_split(&s, cr_str_of("a12"), join, &out, &err), CRITIC_NO_MEMORY, "limit");
    cr_splitter_fini(&s);
    cr_buf_fini(&out);
}

/* A pattern that explodes ends in an error, not in an endless search. */
static void test_hostile_pattern(void **state) {
    (void)state;
    critic_error err;
    struct cr_splitter s = {0};
    struct cr_buf out;
    char text[64];
    memset(text, 'a', sizeof text);
    cr_buf_init(&out, 1000);
    T_OK(cr_splitter_add_pattern(&s, cr_str_of("^(a|aa|a+)+[bd]"), "t", &err));
    T_FAILS(cr_split(&s, (struct cr_str){text, sizeof text}, join, &out, &err),
            CRITIC_BAD_DATA, "gives up");
    cr_splitter_fini(&s);
    cr_buf_fini(&out);
}

/* How many characters of each class the reference has (tokenizers 0.23.3). */
static void test_class_counts(void **state) {
    (void)state;
    size_t n[4] = {0};
    size_t n_marks = 0;
    size_t class_sum = 0;
    for (uint32_t c = 0; c < 0x110000; c++) {
        n[cr_char_class(c)]++;
        n_marks += cr_combining_class(c) != 0;
        class_sum += cr_combining_class(c);
    }
    assert_int_equal(n[CR_CHAR_LETTER], 141028);
    assert_int_equal(n[CR_CHAR_NUMBER], 1911);
    assert_int_equal(n[CR_CHAR_SPACE], 25);
    assert_int_equal(n_marks, 810);
    assert_int_equal(class_sum, 151706);
    assert_int_equal(cr_char_class(0x180E), CR_CHAR_OTHER);
    assert_int_equal(cr_char_class(0x323AF), CR_CHAR_LETTER);
    assert_int_equal(cr_combining_class(0x898), 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_reference_splits),
        cmocka_unit_test(test_patterns),
        cmocka_unit_test(test_hostile_pattern),
        cmocka_unit_test(test_class_counts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
