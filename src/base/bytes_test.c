#include "base/bytes.h"

#include "base/arena.h"
#include "base/checked.h"
#include "base/file.h"
#include "base/rng.h"
#include "t.h"

#include <unistd.h>

static void test_utf8(void **state) {
    (void)state;
    static const struct {
        const char *text;
        size_t len, invalid_at;
    } cases[] = {
        {"", 0, SIZE_MAX},          {"aé漢😀", 10, SIZE_MAX}, {"a\0b", 3, SIZE_MAX},
        {"\xC0\x80", 2, 0},         {"a\xED\xA0\x80", 4, 1}, {"ab\xF4\x90\x80\x80", 6, 2},
        {"x\xE6\xBC", 3, 1},        {"\x80", 1, 0},          {"\xE0\x9F\xBF", 3, 0},
        {"\xF0\x8F\xBF\xBF", 4, 0}, {"abc\xFF", 4, 3},
    };
    for (size_t i = 0; i < CR_COUNT(cases); i++)
        assert_int_equal(cr_utf8_invalid_at(cases[i].text, cases[i].len),
                         cases[i].invalid_at);
    for (uint32_t c = 1; c < 0x110000; c += c < 0x3000 ? 1 : 97) {
        if (c >= 0xD800 && c < 0xE000)
            continue;
        char out[4];
        uint32_t back;
        size_t n = cr_utf8_encode(c, out);
        assert_int_equal(cr_utf8_invalid_at(out, n), SIZE_MAX);
        assert_int_equal(cr_utf8_decode(out, n, &back), n);
        assert_int_equal(back, c);
    }
}

static void test_buf(void **state) {
    (void)state;
    critic_error err;
    struct cr_buf b;
    cr_buf_init(&b, 100);
    T_OK(cr_buf_append_c(&b, "one", &err));
    T_OK(cr_buf_printf(&b, &err, " %d", 2));
    assert_string_equal(b.data, "one 2");
    T_FAILS(cr_buf_printf(&b, &err, "%200d", 3), CRITIC_NO_MEMORY, "limit of 100");
    assert_string_equal(b.data, "one 2");
    cr_buf_fini(&b);
}

static void test_arena(void **state) {
    (void)state;
    critic_error err;
    struct cr_arena a;
    T_OK(cr_arena_init(&a, 1 << 16, &err));
    char *p = cr_arena_alloc(&a, 100);
    assert_int_equal((uintptr_t)p % 64, 0);
    memset(p, 1, 100);
    size_t mark = cr_arena_mark(&a);
    assert_non_null(cr_arena_calloc(&a, 10, 100));
    assert_null(cr_arena_calloc(&a, SIZE_MAX, 2));
    assert_null(cr_arena_alloc(&a, SIZE_MAX - 8));
    assert_null(cr_arena_alloc(&a, 1 << 16));
    cr_arena_release(&a, mark);
    assert_true(a.high_water > a.used);
    a.fail_at = a.n_allocs + 1;
    assert_null(cr_arena_alloc(&a, 1));
    assert_string_equal(cr_arena_strndup(&a, "hello", 4), "hell");
    cr_arena_fini(&a);
    T_FAILS(cr_arena_init(&a, SIZE_MAX - 5000, &err), CRITIC_NO_MEMORY, "reserve");
}

static void test_out_is_whole_or_absent(void **state) {
    (void)state;
    critic_error err;
    struct cr_out o;
    struct cr_map m;
    char path[64];
    snprintf(path, sizeof path, "base_out_%ld", (long)getpid());
    T_OK(cr_out_open(&o, path, &err));
    char block[70000];
    memset(block, 'x', sizeof block);
    T_OK(cr_out_write(&o, "ab", 2, &err));
    T_OK(cr_out_write(&o, block, sizeof block, &err));
    assert_false(cr_file_exists(path));
    T_OK(cr_out_commit(&o, &err));
    T_OK(cr_map_open(&m, path, &err));
    assert_int_equal(m.bytes.len, 70002);
    assert_memory_equal(m.bytes.data, "abx", 3);
    cr_map_close(&m);
    T_OK(cr_out_open(&o, path, &err));
    T_OK(cr_out_write(&o, "new", 3, &err));
    cr_out_abort(&o);
    T_OK(cr_map_open(&m, path, &err));
    assert_int_equal(m.bytes.len, 70002);
    cr_map_close(&m);
    unlink(path);
    T_FAILS(cr_map_open(&m, path, &err), CRITIC_BAD_FILE, "cannot open");
    T_FAILS(cr_map_open(&m, "/", &err), CRITIC_BAD_FILE, "not a regular file");
    T_FAILS(cr_out_open(&o, "/nonexistent/x", &err), CRITIC_IO, "cannot write");
}

static void test_full_disk(void **state) {
    (void)state;
    critic_error err;
    if (!cr_file_exists("/dev/full"))
        skip();
    struct cr_out o = {.fd = -1};
    T_OK(cr_out_open(&o, "full_probe", &err));
    FILE *full = fopen("/dev/full", "w");
    dup2(fileno(full), o.fd);
    fclose(full);
    T_OK(cr_out_write(&o, "x", 1, &err));
    T_FAILS(cr_out_commit(&o, &err), CRITIC_IO, "full_probe: cannot write");
    assert_false(cr_file_exists("full_probe"));
}

static void test_rng(void **state) {
    (void)state;
    struct cr_rng r;
    double sum = 0, squares = 0;
    cr_rng_seed(&r, 7);
    for (int i = 0; i < 100000; i++) {
        double x = cr_rng_normal(&r);
        sum += x;
        squares += x * x;
        assert_true(cr_rng_below(&r, 10) < 10);
    }
    T_NEAR(sum / 100000, 0, 0.02, 0);
    T_NEAR(squares / 100000, 1, 0.02, 0);
}

static void test_error_wrap(void **state) {
    (void)state;
    critic_error err = {0};
    cr_fail(&err, CRITIC_BAD_FILE, "inner %d", 3);
    assert_int_equal(cr_error_wrap(&err, CRITIC_IO, "shard %d: ", 2), CRITIC_BAD_FILE);
    assert_string_equal(err.message, "shard 2: inner 3");
    assert_int_equal(critic_status_exit(CRITIC_BAD_FILE), 3);
    assert_string_equal(critic_status_name(CRITIC_CANCELLED), "CRITIC_CANCELLED");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_utf8),       cmocka_unit_test(test_buf),
        cmocka_unit_test(test_arena),      cmocka_unit_test(test_out_is_whole_or_absent),
        cmocka_unit_test(test_full_disk),  cmocka_unit_test(test_rng),
        cmocka_unit_test(test_error_wrap),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
