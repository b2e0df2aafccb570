#include "io/gguf.h"

#include "base/checked.h"
#include "t_files.h"

static struct t_dir dir;
static struct cr_arena arena;

static int set_up(void **state) {
    (void)state;
    t_dir_make(&dir, "gguf");
    return cr_arena_init(&arena, 1 << 20, NULL) == CRITIC_OK ? 0 : -1;
}

static int tear_down(void **state) {
    (void)state;
    t_dir_remove(&dir);
    cr_arena_fini(&arena);
    return 0;
}

/* ---- what the writer writes, the reader reads ---- */

static void write_all_kinds(const char *path) {
    critic_error err;
    struct cr_gguf_writer w;
    static const struct cr_str words[] = {{"a", 1}, {"", 0}, {"b\0c", 3}};
    static const int32_t ints[] = {-7, 0, 7};
    static const float floats[] = {0.5f, -0.25f, 1e30f};
    cr_gguf_writer_init(&w);
    T_OK(cr_gguf_add_str(&w, "general.architecture", cr_str_of("qwen2"), &err));
    T_OK(cr_gguf_add_u32(&w, "n", 4000000000u, &err));
    T_OK(cr_gguf_add_f32(&w, "eps", 0.5f, &err));
    T_OK(cr_gguf_add_bool(&w, "yes", true, &err));
    T_OK(cr_gguf_add_array(&w, "ints", CR_GGUF_I32, ints, 3, &err));
    T_OK(cr_gguf_add_array(&w, "floats", CR_GGUF_F32, floats, 3, &err));
    T_OK(cr_gguf_add_array(&w, "none", CR_GGUF_F32, NULL, 0, &err));
    T_OK(cr_gguf_add_str_array(&w, "words", words, 3, &err));
    T_OK(cr_gguf_add_tensor(&w, "m", CR_F32, 2, (const size_t[]){2, 3}, &err));
    T_OK(cr_gguf_add_tensor(&w, "q", CR_Q8_0, 2, (const size_t[]){1, 64}, &err));
    T_OK(cr_gguf_add_tensor(&w, "v", CR_F16, 1, (const size_t[]){5}, &err));
    unsigned char bytes[24 + 68 + 10];
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (unsigned char)i;
    T_OK(cr_gguf_begin(&w, path, &err));
    T_OK(cr_gguf_write(&w, bytes, 7, &err)); /* in pieces of any size */
    T_OK(cr_gguf_write(&w, bytes + 7, 17, &err));
    T_OK(cr_gguf_write(&w, bytes + 24, 68, &err));
    T_OK(cr_gguf_write(&w, bytes + 92, 10, &err));
    assert_false(cr_file_exists(path)); /* until committed */
    T_OK(cr_gguf_commit(&w, &err));
    cr_gguf_writer_fini(&w);
}

static void test_round_trip(void **state) {
    (void)state;
    critic_error err;
    struct cr_gguf g;
    uint64_t n = 1;
    double d = 0;
    bool yes = false;
    struct cr_str text = {NULL, 0};
    const struct cr_gguf_value *list;
    char path[256];
    snprintf(path, sizeof path, "%s", t_path(&dir, "a.gguf"));
    write_all_kinds(path);
    T_OK(cr_gguf_open(&g, &arena, path, &err));
    assert_int_equal(g.version, 3);
    assert_int_equal(g.n_values, 8);
    assert_int_equal(g.n_tensors, 3);
    T_OK(cr_gguf_u64(&g, "n", &n, &err));
    assert_int_equal(n, 4000000000u);
    T_OK(cr_gguf_u64(&g, "absent", &n, &err));
    assert_int_equal(n, 4000000000u);
    T_OK(cr_gguf_double(&g, "eps", &d, &err));
    assert_true(d == 0.5);
    T_OK(cr_gguf_double(&g, "n", &d, &err));
    assert_true(d == 4e9);
    T_OK(cr_gguf_bool(&g, "yes", &yes, &err));
    assert_true(yes);
    T_OK(cr_gguf_str(&g, "general.architecture", &text, &err));
    assert_true(cr_str_eq_c(text, "qwen2"));
    T_OK(cr_gguf_array(&g, "ints", CR_GGUF_I32, &list, &err));
    assert_int_equal(list->n, 3);
    assert_int_equal(cr_gguf_element_i64(list, 0), -7);
    T_OK(cr_gguf_array(&g, "floats", CR_GGUF_F32, &list, &err));
    assert_true(cr_gguf_element_double(list, 1) == -0.25);
    assert_int_equal(cr_gguf_element_i64(list, 2), INT64_MAX); /* 1e30 is clamped */
    T_OK(cr_gguf_array(&g, "none", CR_GGUF_F32, &list, &err));
    assert_int_equal(list->n, 0);
    T_OK(cr_gguf_array(&g, "words", CR_GGUF_STRING, &list, &err));
    assert_int_equal(list->strings[2].len, 3);
    T_OK(cr_gguf_array(&g, "absent", CR_GGUF_F32, &list, &err));
    assert_null(list);
    const struct cr_file_tensor *q = cr_gguf_find_tensor(&g, "q");
    assert_int_equal(q->dtype, CR_Q8_0);
    assert_int_equal(q->bytes, 68);
    assert_int_equal(q->dim[1], 64); /* slowest axis first */
    for (size_t i = 0; i < 68; i++)
        assert_int_equal(q->data[i], 24 + i);
    T_FAILS(cr_gguf_u64(&g, "eps", &n, &err), CRITIC_BAD_FILE,
            "'eps' is a f32; expected an integer");
    T_FAILS(cr_gguf_u64(&g, "ints", &n, &err), CRITIC_BAD_FILE,
            "'ints' is a list of i32");
    T_FAILS(cr_gguf_double(&g, "yes", &d, &err), CRITIC_BAD_FILE, "expected a number");
    T_FAILS(cr_gguf_bool(&g, "n", &yes, &err), CRITIC_BAD_FILE, "expected true or false");
    T_FAILS(cr_gguf_str(&g, "n", &text, &err), CRITIC_BAD_FILE, "expected a string");
    T_FAILS(cr_gguf_array(&g, "words", CR_GGUF_F32, &list, &err), CRITIC_BAD_FILE,
            "expected a list of f32");
    cr_gguf_close(&g);
    cr_gguf_close(&g);
}

static void test_writer_fails(void **state) {
    (void)state;
    critic_error err;
    struct cr_gguf_writer w;
    cr_gguf_writer_init(&w);
    T_FAILS(cr_gguf_add_tensor(&w, "b", CR_BOOL, 1, (const size_t[]){4}, &err),
            CRITIC_UNSUPPORTED, "b");
    T_OK(cr_gguf_add_tensor(&w, "v", CR_F16, 1, (const size_t[]){5}, &err));
    T_FAILS(cr_gguf_begin(&w, "no-such-dir/x.gguf", &err), CRITIC_IO,
            "no-such-dir/x.gguf");
    cr_gguf_writer_fini(&w);

    cr_gguf_writer_init(&w);
    T_OK(cr_gguf_add_tensor(&w, "v", CR_F16, 1, (const size_t[]){5}, &err));
    T_OK(cr_gguf_begin(&w, t_path(&dir, "half.gguf"), &err));
    T_OK(cr_gguf_write(&w, "12", 2, &err));
    cr_gguf_writer_fini(&w); /* leaves no file behind */
    assert_false(cr_file_exists(t_path(&dir, "half.gguf")));
}

/* ---- files that nobody should have written ---- */

struct raw {
    unsigned char data[1024];
    size_t len;
};

static void put(struct raw *r, uint64_t u, size_t bytes) {
    for (size_t i = 0; i < bytes; i++)
        r->data[r->len++] = (unsigned char)(u >> 8 * i & 255);
}

static void put_str(struct raw *r, const char *s) {
    put(r, strlen(s), 8);
    memcpy(r->data + r->len, s, strlen(s));
    r->len += strlen(s);
}

static struct raw start(uint64_t version, uint64_t n_tensors, uint64_t n_values) {
    struct raw r = {.data = "GGUF", .len = 4};
    put(&r, version, 4);
    put(&r, n_tensors, 8);
    put(&r, n_values, 8);
    return r;
}

static void put_u32_value(struct raw *r, const char *key, uint32_t value) {
    put_str(r, key);
    put(r, CR_GGUF_U32, 4);
    put(r, value, 4);
}

/* An F32 vector (or of another type) of n elements. */
static void put_tensor(struct raw *r, const char *name, uint64_t n, uint32_t type,
                       uint64_t offset) {
    put_str(r, name);
    put(r, 1, 4);
    put(r, n, 8);
    put(r, type, 4);
    put(r, offset, 8);
}

/* Ends the descriptions and appends `bytes` of data. */
static void put_data(struct raw *r, size_t bytes) {
    r->len = (r->len + 31) / 32 * 32 + bytes;
    CR_ASSERT(r->len <= sizeof r->data);
}

static void refused(const struct raw *r, enum critic_status status, const char *text) {
    critic_error err;
    struct cr_gguf g;
    const char *path = t_write(&dir, "x.gguf", r->data, r->len);
    size_t mark = cr_arena_mark(&arena);
    T_FAILS(cr_gguf_open(&g, &arena, path, &err), status, text);
    assert_non_null(strstr(err.message, "x.gguf"));
    assert_null(g.map.bytes.data);
    cr_arena_release(&arena, mark);
}

static void test_bad_preambles(void **state) {
    (void)state;
    struct raw r = start(3, 0, 0);
    r.len = 23;
    refused(&r, CRITIC_BAD_FILE, "not a GGUF file");
    r = start(3, 0, 0);
    r.data[0] = 'g';
    refused(&r, CRITIC_BAD_FILE, "not a GGUF file");
    r = start(1, 0, 0);
    refused(&r, CRITIC_UNSUPPORTED, "GGUF version 1");
    r = start(4, 0, 0);
    refused(&r, CRITIC_UNSUPPORTED, "GGUF version 4");
    r = start(0x03000000, 0, 0);
    refused(&r, CRITIC_UNSUPPORTED, "big-endian");
}

/* Counts are compared with the file before a byte is allocated for them. */
static void test_absurd_counts(void **state) {
    (void)state;
    static const uint64_t counts[] = {1, 1000, UINT32_MAX, UINT64_MAX / 24, UINT64_MAX};
    for (size_t i = 0; i < CR_COUNT(counts); i++) {
        struct raw r = start(3, counts[i], 0);
        refused(&r, CRITIC_BAD_FILE, "tensors cannot lie in");
        r = start(3, 0, counts[i]);
        refused(&r, CRITIC_BAD_FILE, "metadata values cannot lie in");
        r = start(3, 0, 1); /* a key of that length */
        put(&r, counts[i] + 100, 8);
        put(&r, 0, 8);
        refused(&r, CRITIC_BAD_FILE, counts[i] + 100 > 100 ? "byte " : "");
        r = start(3, 0, 1); /* a string of that length */
        put_str(&r, "k");
        put(&r, CR_GGUF_STRING, 4);
        put(&r, counts[i], 8);
        refused(&r, CRITIC_BAD_FILE, "truncated or its counts are wrong");
        for (int type = 0; type < 2; type++) { /* a list of that length */
            r = start(3, 0, 1);
            put_str(&r, "k");
            put(&r, CR_GGUF_ARRAY, 4);
            put(&r, type ? CR_GGUF_STRING : CR_GGUF_U8, 4);
            put(&r, counts[i], 8);
            refused(&r, CRITIC_BAD_FILE, "list elements cannot lie in");
        }
    }
}

static void test_bad_values(void **state) {
    (void)state;
    struct raw r = start(3, 0, 1);
    put_str(&r, "k");
    put(&r, 99, 4);
    put(&r, 0, 8);
    refused(&r, CRITIC_BAD_FILE, "key 'k' has the unknown type 99");
    r = start(3, 0, 1);
    put_str(&r, "k");
    put(&r, CR_GGUF_ARRAY, 4);
    put(&r, CR_GGUF_ARRAY, 4);
    put(&r, 0, 8);
    refused(&r, CRITIC_UNSUPPORTED, "list of lists");
    r = start(3, 0, 2);
    put_u32_value(&r, "same", 1);
    put_u32_value(&r, "same", 2);
    refused(&r, CRITIC_BAD_FILE, "key 'same' appears twice");
    r = start(3, 0, 1);
    put_u32_value(&r, "a\nb", 1);
    refused(&r, CRITIC_BAD_FILE, "control characters");
    r = start(3, 0, 1);
    put_u32_value(&r, "", 1);
    refused(&r, CRITIC_BAD_FILE, "empty");
    static const uint32_t alignments[] = {0, 3, 48, 1u << 31};
    for (size_t i = 0; i < CR_COUNT(alignments); i++) {
        r = start(3, 0, 1);
        put_u32_value(&r, "general.alignment", alignments[i]);
        refused(&r, CRITIC_BAD_FILE, "expected a power of two");
    }
}

static void test_bad_tensors(void **state) {
    (void)state;
    struct raw r = start(3, 1, 0);
    put_tensor(&r, "t", 4, 99, 0);
    refused(&r, CRITIC_BAD_FILE, "tensor 't' has the unknown type 99");
    r = start(3, 1, 0);
    put_tensor(&r, "t", 256, 10, 0);
    refused(&r, CRITIC_UNSUPPORTED, "tensor 't': type Q2_K is not supported");
    r = start(3, 1, 0);
    put_str(&r, "t");
    put(&r, 9, 4);
    put(&r, 0, 8);
    refused(&r, CRITIC_UNSUPPORTED, "tensor 't' has 9 axes");
    r = start(3, 1, 0);
    put_tensor(&r, "t", UINT64_MAX / 2, 0, 0);
    refused(&r, CRITIC_BAD_FILE, "its shape overflows");
    r = start(3, 1, 0);
    put_tensor(&r, "t", 33, 8, 0); /* Q8_0 has blocks of 32 */
    put_data(&r, 64);
    refused(&r, CRITIC_BAD_FILE, "whole Q8_0 blocks");
    r = start(3, 1, 0);
    put_tensor(&r, "t", 4, 0, 5);
    put_data(&r, 64);
    refused(&r, CRITIC_BAD_FILE, "not a multiple of the alignment 32");
    r = start(3, 1, 0);
    put_tensor(&r, "t", 4, 0, 64);
    put_data(&r, 64);
    refused(&r, CRITIC_BAD_FILE, "needs 16 bytes from 64 on and the file has 64");
    r = start(3, 1, 0);
    put_tensor(&r, "t", 4, 0, UINT64_MAX - 31);
    put_data(&r, 64);
    refused(&r, CRITIC_BAD_FILE, "is truncated or the description wrong");
    r = start(3, 2, 0);
    put_tensor(&r, "a", 9, 0, 0);
    put_tensor(&r, "b", 4, 0, 32);
    put_data(&r, 64);
    refused(&r, CRITIC_BAD_FILE, "tensors 'a' and 'b' overlap");
    r = start(3, 2, 0);
    put_tensor(&r, "a", 4, 0, 0);
    put_tensor(&r, "a", 4, 0, 32);
    put_data(&r, 64);
    refused(&r, CRITIC_BAD_FILE, "tensor 'a' appears twice");
}

/* Cut anywhere, the file is refused or (in the padding behind the last tensor) complete. */
static void test_truncated_everywhere(void **state) {
    (void)state;
    critic_error err;
    struct cr_gguf g;
    struct cr_buf whole;
    char path[256];
    snprintf(path, sizeof path, "%s", t_path(&dir, "a.gguf"));
    write_all_kinds(path);
    cr_buf_init(&whole, 1 << 16);
    T_OK(cr_file_read(path, &whole, &err));
    T_OK(cr_gguf_open(&g, &arena, path, &err));
    const struct cr_file_tensor *last = cr_gguf_find_tensor(&g, "v");
    size_t needed = (size_t)(last->data + last->bytes - g.map.bytes.data);
    cr_gguf_close(&g);
    for (size_t n = 0; n <= whole.len; n++) {
        size_t mark = cr_arena_mark(&arena);
        const char *cut = t_write(&dir, "cut.gguf", whole.data, n);
        if (n < needed) {
            T_FAILS(cr_gguf_open(&g, &arena, cut, &err), CRITIC_BAD_FILE, "cut.gguf");
        } else {
            T_OK(cr_gguf_open(&g, &arena, cut, &err));
            cr_gguf_close(&g);
        }
        cr_arena_release(&arena, mark);
    }
    cr_buf_fini(&whole);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_round_trip, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_writer_fails, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_bad_preambles, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_absurd_counts, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_bad_values, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_bad_tensors, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_truncated_everywhere, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
