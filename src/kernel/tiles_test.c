#include "t.h"

#include "base/checked.h"
#include "base/rng.h"
#include "kernel/tiles.h"

static const size_t sizes[] = {1, 2, 15, 16, 17, 31, 32, 33, 63, 64, 65, 100};

#define MOST  100u
#define ROW   (MOST + 3)
#define GUARD 0x5a5au

/* Every element in its place, one zero behind an odd row, nothing else written. */
static void check_transpose(const struct cr_tiles *tiles, size_t n, size_t k,
                            struct cr_rng *rng) {
    static uint16_t x[MOST * ROW], y[MOST * ROW];
    for (size_t i = 0; i < CR_COUNT(x); i++) {
        x[i] = (uint16_t)cr_rng_below(rng, 65536);
        y[i] = GUARD;
    }
    tiles->transpose(y, ROW, x + 1, ROW, n, k);
    for (size_t r = 0; r < MOST; r++)
        for (size_t c = 0; c < ROW; c++) {
            uint16_t expected = GUARD;
            if (r < n && c < k)
                expected = x[1 + c * ROW + r];
            else if (r < n && c == k && k % 2)
                expected = 0;
            if (y[r * ROW + c] != expected)
                fail_msg("%zu x %zu: row %zu, column %zu is %x, expected %x", n, k, r, c,
                         y[r * ROW + c], expected);
        }
}

static void test_transpose(void **state) {
    (void)state;
    const struct cr_tiles *tiles = cr_tiles_for(cr_isa_best());
    if (!tiles)
        skip();
    struct cr_rng rng;
    cr_rng_seed(&rng, t_seed(1));
    for (size_t i = 0; i < CR_COUNT(sizes); i++)
        for (size_t j = 0; j < CR_COUNT(sizes); j++)
            check_transpose(tiles, sizes[i], sizes[j], &rng);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_transpose)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
