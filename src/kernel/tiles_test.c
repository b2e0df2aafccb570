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
    if (!tiles) {
        print_message("no tiles here\n");
        skip();
    }
    struct cr_rng rng;
    cr_rng_seed(&rng, t_seed(1));
    for (size_t i = 0; i < CR_COUNT(sizes); i++)
        for (size_t j = 0; j < CR_COUNT(sizes); j++)
            check_transpose(tiles, sizes[i], sizes[j], &rng);
}

/* A panel packed by the way is the one of `pack`, after as many tiles as it takes, and the tiles' sums
 * are what they are without. */
static void check_ahead(const struct cr_tiles *tiles, size_t lines, size_t cols, size_t k,
                        struct cr_rng *rng) {
    enum { PAIRS = 48, TERMS = 2 * PAIRS };
    static uint16_t w[CR_TILE_COLS * (TERMS + 7)], x[2 * CR_TILE_ROWS * TERMS];
    static _Alignas(64) uint32_t panel[PAIRS * CR_TILE_COLS], plain[PAIRS * CR_TILE_COLS],
        ahead[PAIRS * CR_TILE_COLS];
    static float y[CR_TILE_ROWS * CR_TILE_COLS], z[CR_TILE_ROWS * CR_TILE_COLS];
    for (size_t i = 0; i < CR_COUNT(w); i++)
        w[i] = (uint16_t)cr_rng_below(rng, 0x3f80); /* small numbers, no NaN */
    for (size_t i = 0; i < CR_COUNT(x); i++)
        x[i] = (uint16_t)cr_rng_below(rng, 0x3f80);
    memset(plain, 0x5a, sizeof plain);
    memset(ahead, 0x5a, sizeof ahead);
    tiles->pack(panel, w, TERMS + 7, CR_TILE_COLS, CR_TILE_COLS, k);
    tiles->pack(plain, w + 3, TERMS + 7, cols, cols, lines * CR_TILE_LINE);
    struct cr_tiles_ahead next = {ahead, w + 3, TERMS + 7, cols, lines, 0, 0}, none = {0};
    size_t quads = lines * cols / 4, per_tile = CR_CEIL_DIV(k, (size_t)CR_TILE_LINE);
    for (size_t tile = 0; tile * per_tile < quads; tile++) {
        size_t m = 1 + tile % CR_TILE_ROWS;
        assert_true(next.col < next.cols);
        tiles->tile(y, x, TERMS, m, panel, k, false, &next);
        tiles->tile(z, x, TERMS, m, panel, k, false, &none);
        assert_memory_equal(y, z, m * CR_TILE_COLS * sizeof *y);
    }
    assert_int_equal(next.col, next.cols);
    assert_memory_equal(ahead, plain, sizeof ahead);
}

static void test_ahead(void **state) {
    (void)state;
    const struct cr_tiles *tiles = cr_tiles_for(cr_isa_best());
    if (!tiles) {
        print_message("no tiles here\n");
        skip();
    }
    struct cr_rng rng;
    cr_rng_seed(&rng, t_seed(2));
    for (size_t lines = 1; lines <= 3; lines++)
        for (size_t cols = 16; cols <= CR_TILE_COLS; cols *= 2)
            for (size_t k = 2; k <= 96; k += 30)
                check_ahead(tiles, lines, cols, k, &rng);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_transpose),
                                       cmocka_unit_test(test_ahead)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
