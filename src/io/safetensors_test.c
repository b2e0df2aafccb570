#include "io/safetensors.h"

#include <jansson.h>

#include "base/checked.h"
#include "t_files.h"

static struct t_dir dir;
static struct cr_arena arena;

static int set_up(void **state) {
    (void)state;
    t_dir_make(&dir, "safetensors");
    return cr_arena_init(&arena, 1 << 20, NULL) == CRITIC_OK ? 0 : -1;
}

static int tear_down(void **state) {
    (void)state;
    t_dir_remove(&dir);
    cr_arena_fini(&arena);
    return 0;
}

/* A file of this header and `data` bytes of zeros. */
static const char *make(const char *header, size_t data) {
    unsigned char file[4096] = {0};
    size_t n = strlen(header);
    file[0] = (unsigned char)(n & 255);
    file[1] = (unsigned char)(n >> 8);
    memcpy(file + 8, header, n);
    return t_write(&dir, "x.safetensors", file, 8 + n + data);
}

static void test_round_trip(void **state) {
    (void)state;
    critic_error err;
    struct cr_safetensors_writer w;
    struct cr_safetensors s;
    const struct cr_file_tensor tensors[] = {
        {.name = "ids", .dtype = CR_I64, .n_dim = 1, .dim = {3}},
        {.name = "matrix", .dtype = CR_F32, .n_dim = 2, .dim = {2, 3}},
        {.name = "scalar \"q\" é", .dtype = CR_F32, .n_dim = 0},
        {.name = "empty", .dtype = CR_BF16, .n_dim = 3, .dim = {2, 0, 5}},
        {.name = "flag", .dtype = CR_BOOL, .n_dim = 4, .dim = {1, 1, 1, 1}},
    };
    const struct cr_safetensors_note note = {"format", "pt"};
    unsigned char bytes[24 + 24 + 4 + 1];
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (unsigned char)i;
    T_OK(cr_safetensors_create(&w, t_path(&dir, "a.safetensors"), tensors, 5, &note, 1,
                               &err));
    assert_int_equal(w.bytes_left, sizeof bytes);
    T_OK(cr_safetensors_write(&w, bytes, 10, &err));
    T_OK(cr_safetensors_write(&w, bytes + 10, 0, &err));
    assert_false(cr_file_exists(dir.file));
    T_OK(cr_safetensors_write(&w, bytes + 10, sizeof bytes - 10, &err));
    T_OK(cr_safetensors_commit(&w, &err));
    T_OK(cr_safetensors_open(&s, &arena, dir.file, &err));
    assert_int_equal(s.n_tensors, 5);
    assert_int_equal(s.n_notes, 1);
    assert_string_equal(s.notes[0].key, "format");
    assert_string_equal(s.notes[0].value, "pt");
    for (size_t i = 0; i < 5; i++) {
        const struct cr_file_tensor *t = cr_safetensors_find(&s, tensors[i].name);
        assert_non_null(t);
        assert_int_equal(t->dtype, tensors[i].dtype);
        assert_int_equal(t->n_dim, tensors[i].n_dim);
        assert_memory_equal(t->dim, tensors[i].dim, (size_t)t->n_dim * sizeof *t->dim);
    }
    assert_null(cr_safetensors_find(&s, "other"));
    assert_memory_equal(cr_safetensors_find(&s, "matrix")->data, bytes + 24, 24);
    assert_int_equal((uintptr_t)s.tensors[0].data % 8, 0);
    cr_safetensors_close(&s);
    cr_safetensors_close(&s);
}

static void test_writer_abort(void **state) {
    (void)state;
    critic_error err;
    struct cr_safetensors_writer w;
    struct cr_file_tensor t = {.name = "x", .dtype = CR_F32, .n_dim = 1, .dim = {4}};
    T_OK(cr_safetensors_create(&w, t_path(&dir, "a.safetensors"), &t, 1, NULL, 0, &err));
    T_OK(cr_safetensors_write(&w, "1234", 4, &err));
    cr_safetensors_abort(&w);
    cr_safetensors_abort(&w);
    assert_false(cr_file_exists(dir.file));
    T_FAILS(cr_safetensors_create(&w, "no-such-dir/x", &t, 1, NULL, 0, &err), CRITIC_IO,
            "no-such-dir/x");
    t.dim[0] = SIZE_MAX;
    T_FAILS(cr_safetensors_create(&w, dir.file, &t, 1, NULL, 0, &err),
            CRITIC_BAD_ARGUMENT, "overflows");
}

#define ONE(dtype, shape, offsets)                                                       \
    "{\"x\":{\"dtype\":" dtype ",\"shape\":" shape ",\"data_offsets\":" offsets "}}"

static void test_bad_headers(void **state) {
    (void)state;
    critic_error err;
    static const struct {
        const char *header;
        size_t data;
        enum critic_status status;
        const char *text;
    } cases[] = {
        {"", 0, CRITIC_BAD_FILE, "not valid JSON"},
        {"{", 0, CRITIC_BAD_FILE, "x.safetensors:1:1"},
        {"[]", 0, CRITIC_BAD_FILE, "not an object"},
        {"{} x", 0, CRITIC_BAD_FILE, "not valid JSON"},
        {"{\"x\":1}", 0, CRITIC_BAD_FILE, "tensor 'x' is not described by an object"},
        {"{\"x\":{}}", 0, CRITIC_BAD_FILE, "no string 'dtype'"},
        {ONE("3", "[1]", "[0,4]"), 4, CRITIC_BAD_FILE, "no string 'dtype'"},
        {ONE("\"F8_E4M3\"", "[4]", "[0,4]"), 4, CRITIC_UNSUPPORTED, "dtype 'F8_E4M3'"},
        {ONE("\"Q8_0\"", "[32]", "[0,34]"), 34, CRITIC_UNSUPPORTED, "dtype 'Q8_0'"},
        {ONE("\"F32\"", "4", "[0,4]"), 4, CRITIC_BAD_FILE, "no list 'shape'"},
        {ONE("\"F32\"", "[-1]", "[0,4]"), 4, CRITIC_BAD_FILE, "'shape' holds"},
        {ONE("\"F32\"", "[1.5]", "[0,4]"), 4, CRITIC_BAD_FILE, "'shape' holds"},
        {ONE("\"F32\"", "[1,1,1,1,1]", "[0,4]"), 4, CRITIC_UNSUPPORTED, "5 numbers"},
        {ONE("\"F32\"", "[1]", "[0]"), 4, CRITIC_BAD_FILE, "begin and an end"},
        {ONE("\"F32\"", "[1]", "[0,4,8]"), 8, CRITIC_UNSUPPORTED, "3 numbers"},
        {ONE("\"F32\"", "[1]", "[4,0]"), 4, CRITIC_BAD_FILE, "begin and an end"},
        {ONE("\"F32\"", "[2]", "[0,8]"), 4, CRITIC_BAD_FILE, "ends at byte 8 of 4"},
        {ONE("\"F32\"", "[1]", "[0,9223372036854775807]"), 4, CRITIC_BAD_FILE,
         "ends at byte 9223372036854775807"},
        {ONE("\"F32\"", "[1]", "[0,99999999999999999999]"), 4, CRITIC_BAD_FILE,
         "not valid JSON"},
        {ONE("\"F32\"", "[3]", "[0,8]"), 8, CRITIC_BAD_FILE,
         "has 8 bytes; its F32 shape"},
        {ONE("\"F32\"", "[4611686018427387904,4]", "[0,4]"), 4, CRITIC_BAD_FILE,
         "shape overflows"},
        {ONE("\"F32\"", "[1]", "[4,8]"), 8, CRITIC_BAD_FILE, "4 bytes before tensor 'x'"},
        {ONE("\"F32\"", "[1]", "[0,4]"), 5, CRITIC_BAD_FILE, "1 bytes at the end"},
        {"{}", 1, CRITIC_BAD_FILE, "1 bytes at the end"},
        {"{\"a\":{\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":[0,4]},"
         "\"b\":{\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":[3,7]}}",
         7, CRITIC_BAD_FILE, "'a' and 'b' overlap"},
        {"{\"a\":{\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":[0,4]},"
         "\"a\":{\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":[4,8]}}",
         8, CRITIC_BAD_FILE, "duplicate"},
        {"{\"a\\nb\":{}}", 0, CRITIC_BAD_FILE, "control character"},
        {"{\"a\\u0000b\":{}}", 0, CRITIC_BAD_FILE, "NUL byte"},
        {"{\"__metadata__\":3}", 0, CRITIC_BAD_FILE, "'__metadata__' is not an object"},
        {"{\"__metadata__\":{\"a\":1}}", 0, CRITIC_BAD_FILE, "else than strings"},
        {"{\"a\n", 0, CRITIC_BAD_FILE, "not valid JSON"},
    };
    for (size_t i = 0; i < CR_COUNT(cases); i++) {
        struct cr_safetensors s;
        T_FAILS(
            cr_safetensors_open(&s, &arena, make(cases[i].header, cases[i].data), &err),
            cases[i].status, cases[i].text);
        assert_null(s.map.bytes.data);
        assert_non_null(strstr(err.message, "x.safetensors"));
    }
}

static void test_bad_lengths(void **state) {
    (void)state;
    critic_error err;
    struct cr_safetensors s;
    T_FAILS(cr_safetensors_open(&s, &arena, t_path(&dir, "absent"), &err),
            CRITIC_BAD_FILE, "absent");
    T_FAILS(cr_safetensors_open(&s, &arena, dir.path, &err), CRITIC_BAD_FILE,
            "not a regular file");
    T_FAILS(cr_safetensors_open(&s, &arena, t_write(&dir, "a", "1234567", 7), &err),
            CRITIC_BAD_FILE, "7 bytes");
    T_FAILS(cr_safetensors_open(&s, &arena, t_write(&dir, "a", "", 0), &err),
            CRITIC_BAD_FILE, "0 bytes");
    T_FAILS(cr_safetensors_open(&s, &arena, t_write(&dir, "a", "\3\0\0\0\0\0\0\0{}", 10),
                                &err),
            CRITIC_BAD_FILE, "truncated");
    T_FAILS(cr_safetensors_open(
                &s, &arena, t_write(&dir, "a", "\377\377\377\377\377\377\377\377{}", 10),
                &err),
            CRITIC_BAD_FILE, "at most 16777216");
}

/* Cut anywhere, the file is refused. */
static void test_truncated_everywhere(void **state) {
    (void)state;
    critic_error err;
    struct cr_safetensors s;
    struct cr_buf whole;
    cr_buf_init(&whole, 4096);
    T_OK(cr_file_read(make(ONE("\"F32\"", "[2]", "[0,8]"), 8), &whole, &err));
    for (size_t n = 0; n < whole.len; n++) {
        const char *path = t_write(&dir, "cut", whole.data, n);
        T_FAILS(cr_safetensors_open(&s, &arena, path, &err), CRITIC_BAD_FILE, "cut");
    }
    T_OK(cr_safetensors_open(&s, &arena, t_write(&dir, "cut", whole.data, whole.len),
                             &err));
    cr_safetensors_close(&s);
    cr_buf_fini(&whole);
}

/* Nesting far beyond the parser's limit is an error and no overflow of the stack. */
static void test_deep_json(void **state) {
    (void)state;
    critic_error err;
    struct cr_safetensors s;
    const size_t n = 1 << 20;
    char *file = malloc(8 + n);
    memset(file, '[', 8 + n);
    memcpy(file, "\0\0\x10\0\0\0\0\0", 8);
    T_FAILS(cr_safetensors_open(&s, &arena, t_write(&dir, "deep", file, 8 + n), &err),
            CRITIC_BAD_FILE, "not valid JSON");
    free(file);
}

/* Jansson's n-th allocation fails. */
static size_t allocations_left;

static void *failing_malloc(size_t n) {
    return allocations_left-- == 0 ? NULL : malloc(n);
}

static void test_out_of_memory(void **state) {
    (void)state;
    critic_error err;
    struct cr_safetensors s;
    const char *path =
        make("{\"__metadata__\":{\"format\":\"pt\"},"
             "\"x\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]}}",
             8);
    size_t mark = cr_arena_mark(&arena);
    enum critic_status status = CRITIC_NO_MEMORY;
    for (size_t n = 1; status == CRITIC_NO_MEMORY; n++) {
        arena.fail_at = arena.n_allocs + n;
        status = cr_safetensors_open(&s, &arena, path, &err);
        cr_arena_release(&arena, mark);
        assert_true(n < 100);
    }
    assert_int_equal(status, CRITIC_OK);
    cr_safetensors_close(&s);
    arena.fail_at = 0;

    status = CRITIC_NO_MEMORY;
    for (size_t n = 0; status != CRITIC_OK; n++) {
        allocations_left = n;
        json_set_alloc_funcs(failing_malloc, free);
        memset(&err, 0, sizeof err);
        status = cr_safetensors_open(&s, &arena, path, &err);
        json_set_alloc_funcs(malloc, free);
        assert_true(n < 1000 && (status == CRITIC_OK || err.message[0] != '\0'));
    }
    cr_safetensors_close(&s);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_round_trip, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_writer_abort, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_bad_headers, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_bad_lengths, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_truncated_everywhere, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_deep_json, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_out_of_memory, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
