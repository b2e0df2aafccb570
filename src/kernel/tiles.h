/* Products of many rows in bf16 with f32 sums, where oneDNN's are not the fastest: weights are
 * packed a panel of columns at a time, once a pass over all rows, and the tile's result is
 * still in cache when the caller adds a bias or applies an activation.
 *
 * A sum runs over k pair by pair from the first to the last, in one f32: a row's bits depend on
 * nothing else, and parts of k may follow each other. vdpbf16ps takes bf16 denormals as zero.
 *
 * Against oneDNN's matmul on weights as they lie in a checkpoint, two Zen 4 cores, share of the
 * bf16 peak: docs/performance.md. */
#ifndef CR_KERNEL_TILES_H
#define CR_KERNEL_TILES_H

#include <stddef.h>
#include <stdint.h>

#include "base/cpu.h"
#include "base/dtype.h"

#define CR_TILE_ROWS 6u
#define CR_TILE_COLS 64u
/* Of products with few columns (an adapter's): so many rows at a time. */
#define CR_THIN_ROWS 12u
#define CR_THIN_COLS 16u

/* bf16 terms of a cache line. */
#define CR_TILE_LINE 32u

/* A panel that tiles pack by the way, while they multiply another: packing takes what their dot products
 * leave free, and its weights come from memory meanwhile. Each CR_TILE_LINE terms of a tile pack as many
 * of 4 columns; 16 columns after 16. */
struct cr_tiles_ahead {
    uint32_t *panel;
    const uint16_t *w; /* rows w_row apart, one a column */
    size_t w_row;
    size_t cols, lines; /* a multiple of 16; whole CR_TILE_LINE terms of each */
    size_t col, line;   /* which come next; col == cols: none */
};

struct cr_tiles {
    /* `cols` columns (a multiple of 16) of a panel from n <= cols weight rows w, w + w_row, … of k
     * bf16 elements each; columns past n become zeros. panel: (ceil(k / 2), CR_TILE_COLS) pairs,
     * 64-byte aligned. */
    void (*pack)(uint32_t *panel, const uint16_t *w, size_t w_row, size_t n, size_t cols,
                 size_t k);
    /* The same from weights that lie the other way round: k rows w, w + w_row, … of n columns. */
    void (*pack_turned)(uint32_t *panel, const uint16_t *w, size_t w_row, size_t n,
                        size_t cols, size_t k);
    /* y (n, k), rows y_row apart, from k rows x, x + x_row, … of n bf16 elements; a zero behind each
     * row where k is odd. */
    void (*transpose)(uint16_t *y, size_t y_row, const uint16_t *x, size_t x_row,
                      size_t n, size_t k);
    /* y (m, CR_TILE_COLS) = or += x (m, k) panel, m <= CR_TILE_ROWS, k even, rows of x x_row
     * elements apart, rows of y CR_TILE_COLS. ahead: what is packed by the way, never NULL. */
    void (*tile)(float *y, const uint16_t *x, size_t x_row, size_t m,
                 const uint32_t *panel, size_t k, bool add, struct cr_tiles_ahead *ahead);
    /* The first CR_THIN_COLS columns of that, m <= CR_THIN_ROWS: the same bits. */
    void (*thin)(float *y, const uint16_t *x, size_t x_row, size_t m,
                 const uint32_t *panel, size_t k, bool add);
    /* n <= CR_TILE_COLS results of a row, plus bias unless NULL, to f32 (= or +=) or bf16. */
    void (*store)(void *y, enum cr_dtype type, const float *p, const float *bias,
                  size_t n, bool add);
};

/* NULL where the ISA does not multiply bf16. */
const struct cr_tiles *cr_tiles_for(enum cr_isa isa);

#if defined(__x86_64__)
extern const struct cr_tiles cr_tiles_avx512;
#endif

#endif
