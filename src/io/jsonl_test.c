#include "io/jsonl.h"

#include <unistd.h>

#include "base/file.h"
#include "t.h"

static const char *const path = "jsonl_test.jsonl";

static void put(const char *text) {
    critic_error err;
    struct cr_out out;
    T_OK(cr_out_open(&out, path, &err));
    T_OK(cr_out_write(&out, text, strlen(text), &err));
    T_OK(cr_out_commit(&out, &err));
}

static void expect_file(const char *text) {
    critic_error err;
    struct cr_buf buf;
    cr_buf_init(&buf, 1 << 20);
    T_OK(cr_file_read(path, &buf, &err));
    assert_string_equal(buf.data ? buf.data : "", text);
    cr_buf_fini(&buf);
}

static void reads_lines(void **state) {
    critic_error err;
    struct cr_jsonl_reader r;
    struct cr_str line;
    (void)state;
    put("{\"a\":1}\n\n \t\r\nlast");
    T_OK(cr_jsonl_open(&r, path, 100, &err));
    T_OK(cr_jsonl_next(&r, &line, &err));
    assert_true(cr_str_eq_c(line, "{\"a\":1}"));
    assert_int_equal(r.line_number, 1);
    T_OK(cr_jsonl_next(&r, &line, &err));
    assert_true(cr_str_eq_c(line, "last"));
    assert_int_equal(r.line_number, 4);
    T_OK(cr_jsonl_next(&r, &line, &err));
    assert_null(line.data);
    cr_jsonl_close(&r);
}

static void reads_lines_over_chunks(void **state) {
    enum { N = 200000 };
    critic_error err;
    struct cr_jsonl_reader r;
    struct cr_str line;
    char *text = malloc(N + 3);
    (void)state;
    assert_non_null(text);
    memset(text, 'x', N);
    memcpy(text + N, "\ny", 3);
    put(text);
    T_OK(cr_jsonl_open(&r, path, N, &err));
    T_OK(cr_jsonl_next(&r, &line, &err));
    assert_int_equal(line.len, N);
    T_OK(cr_jsonl_next(&r, &line, &err));
    assert_true(cr_str_eq_c(line, "y"));
    cr_jsonl_close(&r);
    T_OK(cr_jsonl_open(&r, path, N - 1, &err));
    T_FAILS(cr_jsonl_next(&r, &line, &err), CRITIC_BAD_DATA,
            "jsonl_test.jsonl:1: line is");
    cr_jsonl_close(&r);
    free(text);
}

static void refuses_what_it_cannot_read(void **state) {
    critic_error err;
    struct cr_jsonl_reader r;
    (void)state;
    T_FAILS(cr_jsonl_open(&r, "not/there", 9, &err), CRITIC_BAD_FILE,
            "not/there: cannot open");
    cr_jsonl_close(&r);
    T_FAILS(cr_jsonl_open(&r, ".", 9, &err), CRITIC_BAD_FILE, "is a folder");
    cr_jsonl_close(&r);
}

static enum critic_status collect(void *user, struct cr_str line, size_t number,
                                  critic_error *err) {
    char *seen = user;
    size_t n = strlen(seen);
    if (cr_str_eq_c(line, "bad"))
        return cr_fail(err, CRITIC_BAD_DATA, "line %zu is bad", number);
    snprintf(seen + n, 64 - n, "%zu:%.*s;", number, (int)line.len, line.data);
    return CRITIC_OK;
}

static void resumes_after_a_torn_line(void **state) {
    critic_error err;
    struct cr_jsonl_log log;
    char seen[64] = "";
    (void)state;
    put("a\n\nb\ntor");
    T_OK(cr_jsonl_log_open(&log, path, CR_JSONL_RESUME, collect, seen, &err));
    assert_string_equal(seen, "1:a;3:b;");
    T_OK(cr_jsonl_log_append(&log, cr_str_of("c"), &err));
    cr_jsonl_log_close(&log);
    expect_file("a\n\nb\nc\n");
    put("a\nbad\n");
    T_FAILS(cr_jsonl_log_open(&log, path, CR_JSONL_RESUME, collect, seen, &err),
            CRITIC_BAD_DATA, "line 2 is bad");
    cr_jsonl_log_close(&log);
    expect_file("a\nbad\n");
}

static void keeps_what_is_there(void **state) {
    critic_error err;
    struct cr_jsonl_log log;
    (void)state;
    put("a\n");
    T_FAILS(cr_jsonl_log_open(&log, path, CR_JSONL_FRESH, NULL, NULL, &err),
            CRITIC_BAD_ARGUMENT, "--resume");
    cr_jsonl_log_close(&log);
    expect_file("a\n");
    T_OK(cr_jsonl_log_open(&log, path, CR_JSONL_FORCE, NULL, NULL, &err));
    cr_jsonl_log_close(&log);
    expect_file("");
    T_OK(cr_jsonl_log_open(&log, path, CR_JSONL_FRESH, NULL, NULL, &err));
    cr_jsonl_log_close(&log);
    T_FAILS(cr_jsonl_log_open(&log, "not/there/out", CR_JSONL_FRESH, NULL, NULL, &err),
            CRITIC_IO, "not/there/out: cannot write");
    cr_jsonl_log_close(&log);
}

static void says_that_a_disk_is_full(void **state) {
    critic_error err;
    struct cr_jsonl_log log;
    (void)state;
    if (!cr_file_exists("/dev/full"))
        skip();
    T_OK(cr_jsonl_log_open(&log, "/dev/full", CR_JSONL_FRESH, NULL, NULL, &err));
    T_FAILS(cr_jsonl_log_append(&log, cr_str_of("x"), &err), CRITIC_IO,
            "/dev/full: cannot write");
    cr_jsonl_log_close(&log);
}

static int remove_file(void **state) {
    (void)state;
    unlink(path);
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_lines),
        cmocka_unit_test(reads_lines_over_chunks),
        cmocka_unit_test(refuses_what_it_cannot_read),
        cmocka_unit_test(resumes_after_a_torn_line),
        cmocka_unit_test(keeps_what_is_there),
        cmocka_unit_test(says_that_a_disk_is_full),
    };
    return cmocka_run_group_tests(tests, NULL, remove_file);
}
