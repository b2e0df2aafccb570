#include "base/hash.h"
#include "t.h"

static void hex_of(const char *text, size_t len, char out[CR_HASH_HEX]) {
    struct cr_hash h;
    cr_hash_init(&h, 0);
    cr_hash_update(&h, text, len);
    cr_hash_hex(&h, out);
}

/* Values of the published algorithm with seed 0. */
static void test_known_values(void **state) {
    (void)state;
    static const char *const known[][2] = {
        {"", "00000000000000000000000000000000"},
        {"hello", "cbd8a7b341bd9b025b1e906a48ae1d19"},
        {"The quick brown fox jumps over the lazy dog",
         "e34bbc7bbc071b6c7a433ca9c49a9347"},
    };
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        char hex[CR_HASH_HEX];
        hex_of(known[i][0], strlen(known[i][0]), hex);
        assert_string_equal(hex, known[i][1]);
    }
}

static void test_any_split_gives_the_same_hash(void **state) {
    (void)state;
    char text[67];
    for (size_t i = 0; i < sizeof text; i++)
        text[i] = (char)(i * 37 + 11);
    for (size_t len = 0; len <= sizeof text; len++) {
        char whole[CR_HASH_HEX];
        hex_of(text, len, whole);
        for (size_t cut = 0; cut <= len; cut++) {
            struct cr_hash h;
            char parts[CR_HASH_HEX];
            cr_hash_init(&h, 0);
            cr_hash_update(&h, text, cut);
            cr_hash_update(&h, text + cut, len - cut);
            cr_hash_hex(&h, parts);
            assert_string_equal(parts, whole);
        }
    }
}

static void test_one_bit_or_byte_changes_it(void **state) {
    (void)state;
    char a[CR_HASH_HEX];
    char b[CR_HASH_HEX];
    hex_of("a\0", 1, a);
    hex_of("a\0", 2, b);
    assert_string_not_equal(a, b);
    hex_of("b", 1, b);
    assert_string_not_equal(a, b);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_known_values),
        cmocka_unit_test(test_any_split_gives_the_same_hash),
        cmocka_unit_test(test_one_bit_or_byte_changes_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
