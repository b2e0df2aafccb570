/* Weights packed as the tiles of kernel/tiles.h take them: panel by panel as a product meets them, each
 * while the rows meet the one before, or all of them beforehand. */
#include <string.h>

#include "base/checked.h"
#include "kernel/dense.h"
#include "op/linear_tiling.h"

#define COLS CR_TILE_COLS
#define LINE ((size_t)CR_TILE_LINE)
/* Terms of a sum that one chunk holds: 608 KiB. More go chunk after chunk over sums in memory. */
#define CHUNK_K ((size_t)4864)

size_t cr_tiling_chunks(size_t k) {
    return CR_CEIL_DIV(k, CHUNK_K);
}

size_t cr_tiling_first_term(size_t c) {
    return c * CHUNK_K;
}

/* Words of a panel of rows of k. */
static size_t panel_words(size_t k) {
    return CR_CEIL_DIV(k, (size_t)2) * COLS;
}

size_t cr_tiling_chunk_words(size_t k) {
    return panel_words(CR_MIN(k, CHUNK_K));
}

size_t cr_tiling_columns_of(const struct cr_tiled *p) {
    return p->turned ? p->w->dim[1] : cr_tensor_rows(p->w);
}

static size_t terms_of(const struct cr_tiled *p) {
    return p->turned ? p->w->dim[0] : cr_tensor_cols(p->w);
}

const struct cr_tiling_map *cr_tiling_map_of(const struct cr_tiling *t, size_t panel) {
    const struct cr_tiling_map *m = t->maps;
    while (panel >= m->first_panel + m->n_panels)
        m++;
    return m;
}

bool cr_tiling_is_thin(const struct cr_tiling *t, size_t n) {
    return n <= 2 * CR_THIN_COLS && t->after != CR_AFTER_SWIGLU;
}

/* Columns of a panel that anyone looks at. */
static size_t packed_columns(const struct cr_tiling *t, size_t n) {
    return cr_tiling_is_thin(t, n) ? CR_CEIL_DIV(n, (size_t)CR_THIN_COLS) * CR_THIN_COLS
                                   : t->columns;
}

/* ---- packing -------------------------------------------------------------------------------- */

/* Weights as they lie in memory, n columns by k terms: n rows of k numbers, or turned. */
struct piece {
    const char *from;
    size_t row_bytes;
    enum cr_dtype type;
    bool turned;
    size_t n, k;
};

/* Columns [first, first + n), terms [k0, k0 + k) of w; first and k0 begin blocks of its type. */
static struct piece piece_of(const struct cr_tensor *w, bool turned, size_t first,
                             size_t n, size_t k0, size_t k) {
    size_t row = turned ? k0 : first, col = turned ? first : k0;
    return (struct piece){.from = (const char *)w->data + row * w->row_bytes +
                                  col / cr_dtype_block_len(w->dtype) *
                                      cr_dtype_block_bytes(w->dtype),
                          .row_bytes = w->row_bytes,
                          .type = w->dtype,
                          .turned = turned,
                          .n = n,
                          .k = k};
}

/* The piece into `cols` columns of a panel, those behind its own as zeros. */
static void pack(const struct piece *p, size_t cols, uint32_t *panel, uint16_t *converted,
                 const struct cr_exec *ex) {
    void (*kernel)(uint32_t *, const uint16_t *, size_t, size_t, size_t, size_t) =
        p->turned ? ex->tiles->pack_turned : ex->tiles->pack;
    if (p->type == CR_BF16) {
        kernel(panel, (const uint16_t *)(const void *)p->from, p->row_bytes / 2, p->n,
               cols, p->k);
        return;
    }
    size_t block = cr_dtype_block_len(p->type), bytes = cr_dtype_block_bytes(p->type);
    size_t row = p->turned ? COLS : CR_CONVERT_K; /* of what is converted */
    for (size_t at = 0; at < p->k; at += CR_CONVERT_K) {
        size_t k = CR_MIN(CR_CONVERT_K, p->k - at);
        const char *from = p->from + (p->turned ? at * p->row_bytes : at / block * bytes);
        for (size_t i = 0; i < (p->turned ? k : p->n); i++)
            ex->dense->row_to_bf16(p->type, from + i * p->row_bytes, converted + i * row,
                                   p->turned ? p->n : k);
        kernel(panel + at / 2 * COLS, converted, row, p->n, cols, k);
    }
}

bool cr_linear_turns(const struct cr_tensor *w) {
    return COLS % cr_dtype_block_len(w->dtype) == 0;
}

/* ---- chunks of a job ------------------------------------------------------------------------ */

struct chunk {
    const struct cr_tiling_map *m;
    size_t first, n; /* columns of m */
    size_t cols;     /* that are packed, of each map in it */
    size_t k0, k;
};

static struct chunk chunk_of(const struct cr_tiling *t, size_t number) {
    size_t panel = number / t->n_chunks;
    struct chunk c = {.m = cr_tiling_map_of(t, panel),
                      .k0 = cr_tiling_first_term(number % t->n_chunks)};
    c.first = (panel - c.m->first_panel) * t->columns;
    c.n = CR_MIN(t->columns, cr_tiling_columns_of(c.m->p) - c.first);
    c.cols = packed_columns(t, c.n);
    c.k = CR_MIN(CHUNK_K, terms_of(c.m->p) - c.k0);
    return c;
}

/* Gate and up side by side are two maps in one panel. */
static size_t maps_in(const struct cr_tiling *t) {
    return t->after == CR_AFTER_SWIGLU ? 2 : 1;
}

/* Half a panel at a time from those that are laid out. */
static void copy_half(uint32_t *to, const struct chunk *c, const struct cr_tiled *p) {
    size_t pairs = CR_CEIL_DIV(c->k, (size_t)2);
    const uint32_t *from = p->panels + c->first / COLS * pairs * COLS + c->first % COLS;
    for (size_t i = 0; i < pairs; i++)
        memcpy(to + i * COLS, from + i * COLS, c->cols * sizeof *to);
}

static void pack_chunk(const struct cr_tiling *t, const struct chunk *c,
                       const struct cr_workbench *own) {
    for (size_t i = 0; i < maps_in(t); i++) {
        const struct cr_tiled *p = c->m[i].p;
        uint32_t *to = own->panel + i * t->columns;
        struct piece piece = piece_of(p->w, p->turned, c->first, c->n, c->k0, c->k);
        if (p->panels)
            copy_half(to, c, p);
        else
            pack(&piece, c->cols, to, own->converted, t->ex);
    }
}

/* Whole panels of weights that lie there as tiles pack them by the way. */
static bool comes_ahead(const struct cr_tiling *t, const struct chunk *c) {
    for (size_t i = 0; i < maps_in(t); i++) {
        const struct cr_tiled *p = c->m[i].p;
        if (p->panels || p->turned || p->w->dtype != CR_BF16 || c->n < t->columns ||
            c->k < LINE)
            return false;
    }
    return true;
}

void cr_tiling_ahead(const struct cr_tiling *t, size_t number, struct cr_workbench *own) {
    if (own->coming == number || number == CR_NO_CHUNK)
        return;
    own->coming = number;
    struct chunk c = chunk_of(t, number);
    for (size_t i = 0; i < CR_COUNT(own->next); i++) {
        struct cr_tiles_ahead *a = &own->next[i];
        *a = (struct cr_tiles_ahead){0};
        if (i >= maps_in(t) || !comes_ahead(t, &c))
            continue;
        struct piece piece = piece_of(c.m[i].p->w, false, c.first, c.n, c.k0, c.k);
        *a = (struct cr_tiles_ahead){.panel = own->ahead + i * t->columns,
                                     .w = (const uint16_t *)(const void *)piece.from,
                                     .w_row = piece.row_bytes / 2,
                                     .cols = t->columns,
                                     .lines = c.k / LINE};
    }
}

struct cr_tiles_ahead *cr_tiling_next(struct cr_workbench *own) {
    return &own->next[own->next[0].col == own->next[0].cols];
}

/* What the tiles have not packed of a map: the columns that they had not finished, and the terms
 * behind the last whole line. */
static void pack_rest(const struct cr_tiling *t, const struct chunk *c, size_t map,
                      struct cr_workbench *own) {
    const struct cr_tiles_ahead *a = &own->next[map];
    size_t col = a->col / CR_THIN_COLS * CR_THIN_COLS, at = a->lines * LINE;
    const struct cr_tensor *w = c->m[map].p->w;
    struct piece cols = piece_of(w, false, c->first + col, c->n - col, c->k0, c->k);
    struct piece terms = piece_of(w, false, c->first, c->n, c->k0 + at, c->k - at);
    if (col < a->cols)
        pack(&cols, a->cols - col, a->panel + col, own->converted, t->ex);
    if (at < c->k)
        pack(&terms, a->cols, a->panel + at / 2 * COLS, own->converted, t->ex);
}

const uint32_t *cr_tiling_chunk(const struct cr_tiling *t, size_t number,
                                struct cr_workbench *own) {
    struct chunk c = chunk_of(t, number);
    if (maps_in(t) == 1 && c.m->p->panels)
        return c.m->p->panels + c.first / COLS * panel_words(c.k);
    if (own->held == number)
        return own->panel;
    if (own->coming == number && own->next[0].cols > 0) {
        for (size_t i = 0; i < maps_in(t); i++)
            pack_rest(t, &c, i, own);
        uint32_t *old = own->panel;
        own->panel = own->ahead;
        own->ahead = old;
    } else {
        pack_chunk(t, &c, own);
    }
    memset(own->next, 0, sizeof own->next); /* they know `ahead` as it was */
    own->coming = CR_NO_CHUNK;
    own->held = number;
    return own->panel;
}

const uint32_t *cr_tiling_low(const struct cr_tiling *t, size_t panel,
                              struct cr_workbench *own) {
    if (own->low_held != panel) {
        struct chunk c = chunk_of(t, panel * t->n_chunks);
        const struct cr_tiled *p = c.m->p;
        struct piece piece = piece_of(&p->v, p->turned, c.first, c.n, 0,
                                      p->turned ? p->v.dim[0] : p->v.dim[1]);
        pack(&piece, c.cols, own->low, own->converted, t->ex);
        own->low_held = panel;
    }
    return own->low;
}

/* ---- all panels beforehand ------------------------------------------------------------------ */

bool cr_linear_has_panels(const struct cr_tensor *w, const struct cr_exec *ex) {
    return ex->tiles && ex->act == CR_BF16 && cr_tensor_cols(w) > 0 &&
           cr_tensor_cols(w) <= CHUNK_K;
}

size_t cr_linear_panels_bytes(const struct cr_tensor *w) {
    return CR_CEIL_DIV(cr_tensor_rows(w), (size_t)COLS) * panel_words(cr_tensor_cols(w)) *
               sizeof(uint32_t) +
           64;
}

const uint32_t *cr_linear_panels(const struct cr_tensor *w, struct cr_arena *arena,
                                 struct cr_exec *ex) {
    size_t n = cr_tensor_rows(w), k = cr_tensor_cols(w);
    uint32_t *panels = cr_arena_calloc(arena, CR_CEIL_DIV(n, (size_t)COLS),
                                       panel_words(k) * sizeof *panels);
    size_t mark = cr_arena_mark(&ex->scratch);
    uint16_t *converted = cr_exec_matrix(ex, CR_BF16, COLS, CR_CONVERT_K).data;
    for (size_t first = 0; panels && first < n; first += COLS) {
        struct piece piece = piece_of(w, false, first, CR_MIN(COLS, n - first), 0, k);
        pack(&piece, COLS, panels + first / COLS * panel_words(k), converted, ex);
    }
    cr_arena_release(&ex->scratch, mark);
    return panels;
}
