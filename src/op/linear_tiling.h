/* Private to linear_tiles.c and linear_panels.c: one job of bf16 products, and the panels of weights
 * that its threads pack. */
#ifndef CR_OP_LINEAR_TILING_H
#define CR_OP_LINEAR_TILING_H

#include "kernel/tiles.h"
#include "op/linear_parts.h"

#define CR_NO_CHUNK SIZE_MAX

struct cr_tiling_map {
    const struct cr_tiled *p;
    struct cr_tensor u; /* p->u, with a zero behind where its terms are odd */
    const float *bias;
    size_t first_panel, n_panels;
};

/* A panel is CR_TILE_COLS columns of the weights, a chunk of it as many terms as one holds in the
 * second-level cache. Chunks are numbered panel by panel. */
struct cr_tiling {
    enum cr_linear_after after;
    struct cr_tiling_map maps[CR_LINEAR_GROUP];
    size_t n_panels, n_chunks; /* of the job; of a panel */
    /* of y in a panel: CR_TILE_COLS, or half where gate and up lie side by side */
    size_t columns;
    struct cr_tensor x;
    size_t m, k; /* k as the tiles see it: even */
    size_t low;  /* terms of the widest low-rank term */
    /* Pieces that the rows are cut into, so that one thread can take some from another. */
    size_t n_parts, part_rows;
    struct cr_workbench *benches; /* of each thread */
    struct cr_exec *ex;
};

/* One thread's own memory, on cache lines of its own. */
struct cr_workbench {
    /* The chunk in use and the one behind it, (pairs, CR_TILE_COLS); their numbers or CR_NO_CHUNK. */
    _Alignas(64) uint32_t *panel;
    uint32_t *ahead;
    size_t held, coming;
    /* How far `ahead` is packed, of each map in it. */
    struct cr_tiles_ahead next[2];
    /* Of the low-rank term of panel low_held. */
    uint32_t *low;
    size_t low_held;
    /* (rows of a part, CR_TILE_COLS), or one tile where a panel is one chunk */
    float *sums;
    /* (CR_TILE_COLS, CR_CONVERT_K), or turned (CR_CONVERT_K, CR_TILE_COLS) */
    uint16_t *converted;
};

/* Weights of other dtypes become bf16 so many at a time; a whole number of every dtype's blocks. */
#define CR_CONVERT_K 256u

/* Chunks of a panel of rows of k. */
size_t cr_tiling_chunks(size_t k);
/* Words of a thread's `panel` and of its `ahead` for rows of k. */
size_t cr_tiling_chunk_words(size_t k);
/* First term of the c-th chunk of a panel. */
size_t cr_tiling_first_term(size_t c);
size_t cr_tiling_columns_of(const struct cr_tiled *p);
const struct cr_tiling_map *cr_tiling_map_of(const struct cr_tiling *t, size_t panel);
/* Few columns: the thin kernel. */
bool cr_tiling_is_thin(const struct cr_tiling *t, size_t n);

/* Chunk `number` as the tiles take it, packed now unless it is there. */
const uint32_t *cr_tiling_chunk(const struct cr_tiling *t, size_t number,
                                struct cr_workbench *own);

/* From here on tiles pack chunk `number` (CR_NO_CHUNK: what they are at), where it is one that they can. */
void cr_tiling_ahead(const struct cr_tiling *t, size_t number, struct cr_workbench *own);
/* For the next tile. */
struct cr_tiles_ahead *cr_tiling_next(struct cr_workbench *own);
/* The low-rank term's panel, whose product ends the sums; the map has such a term. */
const uint32_t *cr_tiling_low(const struct cr_tiling *t, size_t panel,
                              struct cr_workbench *own);

#endif
