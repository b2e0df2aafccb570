#include "base/grow.h"

#include "t.h"

static void test_items_stay(void **state) {
    (void)state;
    uint32_t *items = NULL;
    size_t cap = 0, n_moves = 0;
    for (uint32_t n = 0; n < 1000; n++) {
        size_t before = cap;
        uint32_t *grown = cr_grow(items, n, &cap, sizeof *grown);
        assert_non_null(grown);
        assert_true(cap > n);
        n_moves += cap != before;
        items = grown;
        items[n] = n * n;
    }
    assert_true(n_moves < 8); /* twice as much each time */
    for (uint32_t n = 0; n < 1000; n++)
        assert_int_equal(items[n], n * n);
    free(items);
}

static void test_no_overflow(void **state) {
    (void)state;
    char item = 7;
    size_t cap = SIZE_MAX / 2;
    assert_null(cr_grow(&item, cap, &cap, 3));
    assert_int_equal(cap, SIZE_MAX / 2);
    cap = SIZE_MAX / 24;
    assert_null(cr_grow(&item, cap, &cap, 16));
    assert_int_equal(item, 7);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_items_stay),
        cmocka_unit_test(test_no_overflow),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
