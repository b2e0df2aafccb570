#include "cli/args.h"

#include "base/checked.h"
#include "base/file.h"
#include "t.h"

struct values {
    bool loud;
    const char *name;
    struct cr_str text;
    struct cr_strs words, files;
    size_t n, bytes;
    uint64_t seed;
    double ratio;
    int color;
};

static struct values v;
static struct cr_args args;

static enum critic_status parse(int n, const char *const *argv, critic_error *err) {
    static const struct cr_flag flags[] = {
        {"title", 0, CR_FLAG_TITLE, 0, 0, 0, 0, 0},
        {"loud", 'l', CR_FLAG_BOOL, &v.loud, NULL, "be loud", 0, 0},
        {"name", 0, CR_FLAG_STR, &v.name, "NAME", "a name", 0, 0},
        {"text", 0, CR_FLAG_TEXT, &v.text, "TEXT", "a text", 0, 0},
        {"word", 'w', CR_FLAG_TEXTS, &v.words, "TEXT", "a word", 0, 0},
        {"file", 0, CR_FLAG_STRS, &v.files, "FILE", "a file", 0, 0},
        {"number", 'n', CR_FLAG_SIZE, &v.n, "N", "a number", 1, 10},
        {"size", 0, CR_FLAG_BYTES, &v.bytes, "SIZE", "a size", 0, 0},
        {"seed", 0, CR_FLAG_U64, &v.seed, "N", "a seed", 0, 0},
        {"ratio", 0, CR_FLAG_DOUBLE, &v.ratio, "R", "a ratio", 0, 1},
        {"color", 0, CR_FLAG_CHOICE, &v.color, "red|green|blue", "a colour", 0, 0},
        {0}};
    static const struct cr_args_spec spec = {.command = "try",
                                             .usage = "THING",
                                             .about = "Tries.",
                                             .example = "critic try a\ncritic try b",
                                             .flags = flags,
                                             .max_positional = 2};
    cr_args_fini(&args);
    memset(&v, 0, sizeof v);
    enum critic_status status = cr_args_parse(&args, &spec, n, argv, err);
    if (status == CRITIC_OK && args.help) {
        struct cr_buf help;
        cr_buf_init(&help, 1 << 16);
        status = cr_args_help(&help, &spec, err);
        assert_non_null(strstr(help.data, "usage: critic try THING\n\nTries.\n"));
        assert_non_null(strstr(help.data, "\ntitle\n  -l, --loud"));
        assert_non_null(strstr(help.data, "--word-file FILE"));
        assert_null(strstr(help.data, "--name-file"));
        assert_non_null(strstr(help.data, "example\n  critic try a\n  critic try b\n"));
        cr_buf_fini(&help);
    }
    return status;
}

#define PARSE(...)                                                                       \
    parse((int)CR_COUNT(((const char *[]){__VA_ARGS__})), (const char *[]){__VA_ARGS__}, \
          &err)

static void takes_every_form(void **state) {
    critic_error err;
    (void)state;
    T_OK(PARSE("-l", "--name", "x", "--text=a=b", "-w", "one", "-wtwo", "--word=", "-n",
               "10", "--size", "1.5K", "--seed", "18446744073709551615", "--ratio",
               "0.25", "--color", "blue", "-", "--", "--ratio"));
    assert_true(v.loud);
    assert_string_equal(v.name, "x");
    assert_string_equal(v.text.data, "a=b");
    assert_int_equal(v.words.n, 3);
    assert_string_equal(v.words.items[1].data, "two");
    assert_int_equal(v.words.items[2].len, 0);
    assert_non_null(v.words.items[2].data);
    assert_int_equal(v.n, 10);
    assert_int_equal(v.bytes, 1536);
    assert_true(v.seed == UINT64_MAX);
    T_NEAR(v.ratio, 0.25, 0, 0);
    assert_int_equal(v.color, 2);
    assert_int_equal(args.n_positional, 2);
}

static void takes_nothing(void **state) {
    critic_error err;
    (void)state;
    T_OK(parse(0, NULL, &err));
    assert_int_equal(args.n_positional, 0);
    assert_null(v.text.data);
}

static void helps(void **state) {
    critic_error err;
    (void)state;
    T_OK(PARSE("--wrong", "--help"));
    assert_true(args.help);
    T_OK(PARSE("-h"));
    assert_true(args.help);
    T_OK(PARSE("--", "-h"));
    assert_false(args.help);
}

static void reads_twins(void **state) {
    critic_error err;
    struct cr_out out;
    (void)state;
    T_OK(cr_out_open(&out, "args_test.txt", &err));
    T_OK(cr_out_write(&out, "line\nline\n", 10, &err));
    T_OK(cr_out_commit(&out, &err));
    T_OK(PARSE("--text-file", "args_test.txt", "-w", "a", "--word-file=args_test.txt"));
    assert_string_equal(v.text.data, "line\nline\n");
    assert_int_equal(v.words.n, 2);
    assert_int_equal(v.words.items[1].len, 10);
    T_FAILS(PARSE("--text-file", "not-there"), CRITIC_BAD_FILE, "not-there: cannot open");
    T_FAILS(PARSE("--name-file", "x"), CRITIC_BAD_ARGUMENT, "unknown flag '--name-file'");
    T_OK(cr_out_open(&out, "args_test.txt", &err));
    T_OK(cr_out_write(&out, "a\xff", 2, &err));
    T_OK(cr_out_commit(&out, &err));
    T_FAILS(PARSE("--text-file", "args_test.txt"), CRITIC_BAD_DATA,
            "args_test.txt: byte 1 is not valid UTF-8");
    T_FAILS(PARSE("--text", "\xc3"), CRITIC_BAD_ARGUMENT, "--text: byte 0");
    remove("args_test.txt");
}

static void refuses(void **state) {
    critic_error err;
    (void)state;
    T_FAILS(PARSE("--colour", "red"), CRITIC_BAD_ARGUMENT, "did you mean --color?");
    T_FAILS(PARSE("--xyzzy"), CRITIC_BAD_ARGUMENT, "'critic try --help' lists them");
    T_FAILS(PARSE("-z"), CRITIC_BAD_ARGUMENT, "unknown flag '-z'");
    T_FAILS(PARSE("--name"), CRITIC_BAD_ARGUMENT, "--name needs a value (NAME)");
    T_FAILS(PARSE("--text-file"), CRITIC_BAD_ARGUMENT,
            "--text-file needs a value (FILE)");
    T_FAILS(PARSE("--loud=1"), CRITIC_BAD_ARGUMENT, "--loud takes no value");
    T_FAILS(PARSE("--name", "a", "--name", "b"), CRITIC_BAD_ARGUMENT, "given twice");
    T_FAILS(PARSE("-n", "0"), CRITIC_BAD_ARGUMENT,
            "-n '0' is not a whole number from 1 to 10");
    T_FAILS(PARSE("-n", "-1"), CRITIC_BAD_ARGUMENT, "-n '-1'");
    T_FAILS(PARSE("--number", "3x"), CRITIC_BAD_ARGUMENT, "--number '3x'");
    T_FAILS(PARSE("--text", "a", "--text-file", "b"), CRITIC_BAD_ARGUMENT,
            "--text is given twice, as text or as a file");
    T_FAILS(PARSE("--seed", "18446744073709551616"), CRITIC_BAD_ARGUMENT, "--seed");
    T_FAILS(PARSE("--seed", ""), CRITIC_BAD_ARGUMENT, "--seed");
    T_FAILS(PARSE("--ratio", "nan"), CRITIC_BAD_ARGUMENT, "a number from 0 to 1");
    T_FAILS(PARSE("--ratio", "1.01"), CRITIC_BAD_ARGUMENT, "--ratio");
    T_FAILS(PARSE("--size", "12Q"), CRITIC_BAD_ARGUMENT, "--size '12Q' is not a size");
    T_FAILS(PARSE("--color", "re"), CRITIC_BAD_ARGUMENT, "not one of red|green|blue");
    T_FAILS(PARSE("a", "b", "c"), CRITIC_BAD_ARGUMENT, "unexpected argument 'c'");
}

static void parses_sizes(void **state) {
    static const struct {
        const char *text;
        size_t bytes;
    } good[] = {{"0", 0},
                {"4096", 4096},
                {"64K", 65536},
                {"64k", 65536},
                {"2GiB", (size_t)2 << 30},
                {"1.5MB", 1572864}};
    static const char *const bad[] = {"",    "K",    "-1", "1KK", "1 K",
                                      "1Ki", "1e99", "x",  "."};
    size_t bytes;
    (void)state;
    for (size_t i = 0; i < CR_COUNT(good); i++) {
        assert_true(cr_parse_bytes(good[i].text, &bytes));
        assert_int_equal(bytes, good[i].bytes);
    }
    for (size_t i = 0; i < CR_COUNT(bad); i++)
        assert_false(cr_parse_bytes(bad[i], &bytes));
}

static void finds_the_nearest_word(void **state) {
    static const char *const words[] = {"judge", "generate", "info", "inspect", NULL};
    (void)state;
    assert_string_equal(cr_nearest("jugde", words), "judge");
    assert_string_equal(cr_nearest("gen", words), "generate");
    assert_string_equal(cr_nearest("inspct", words), "inspect");
    assert_null(cr_nearest("serve", words));
    assert_null(cr_nearest("", words));
}

static int release(void **state) {
    (void)state;
    cr_args_fini(&args);
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(takes_every_form),
        cmocka_unit_test(takes_nothing),
        cmocka_unit_test(helps),
        cmocka_unit_test(reads_twins),
        cmocka_unit_test(refuses),
        cmocka_unit_test(parses_sizes),
        cmocka_unit_test(finds_the_nearest_word),
    };
    return cmocka_run_group_tests(tests, NULL, release);
}
