/* Drafts from what a text said before. */
#include "engine/lookup.h"

#include "base/checked.h"
#include "t.h"

static void expect(const int32_t *ids, size_t n, size_t most, const int32_t *want,
                   size_t n_want) {
    int32_t draft[CR_MAX_DRAFT] = {0};
    assert_int_equal(cr_lookup_draft(ids, n, most, draft), n_want);
    if (n_want)
        assert_memory_equal(draft, want, n_want * sizeof *want);
}

static void test_draft(void **state) {
    (void)state;
    static const int32_t text[] = {1, 2, 3, 4, 5, 9, 2, 3, 6, 7, 8, 1, 2, 3};
    expect(text, 0, 4, NULL, 0);
    expect(text, 1, 4, NULL, 0);
    expect(text, 5, 4, NULL, 0);
    /* "1 2 3" is longer than the later "2 3". */
    expect(text, CR_COUNT(text), 4, (const int32_t[]){4, 5, 9, 2}, 4);
    /* Of two places alike, the later. */
    expect(text + 1, CR_COUNT(text) - 1, 2, (const int32_t[]){6, 7}, 2);
    expect(text, CR_COUNT(text), 0, NULL, 0);
    /* One token alike is no place. */
    expect((const int32_t[]){5, 1, 6, 1}, 4, 4, NULL, 0);
    /* What repeats itself goes on as far as it is there. */
    expect((const int32_t[]){3, 3, 3}, 3, 4, (const int32_t[]){3}, 1);
    expect((const int32_t[]){1, 2, 1, 2}, 4, 4, (const int32_t[]){1, 2}, 2);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_draft)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
