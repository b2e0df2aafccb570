/* The micro world's vocabulary: every name has one spelling, so that text written by one
 * part is read back by another. Classes count from 1; 0 is "none" or "not stated". */
#ifndef CR_WORLD_WORDS_H
#define CR_WORLD_WORDS_H

#include "base/bytes.h"
#include "base/rng.h"

enum {
    CR_N_SHAPES = 6,
    CR_N_COLOURS = 8,
    CR_N_SIZES = 2,
    CR_MAX_SIDE = 4,
    CR_MAX_CELLS = CR_MAX_SIDE * CR_MAX_SIDE
};

enum cr_shape { CR_CIRCLE = 1, CR_SQUARE, CR_TRIANGLE, CR_STAR, CR_RING, CR_CROSS };

const char *cr_shape_name(unsigned shape);   /* 1..6 */
const char *cr_colour_name(unsigned colour); /* 1..8 */
const char *cr_size_name(unsigned size);     /* 1 small, 2 large */
const char *cr_number_name(unsigned n);      /* 0..16: zero, one, … */
/* 3x3: top-left … bottom-right, centre; 4x4: a1 … d4, letter the row from above, number the
 * column from the left. Cells count row by row. */
const char *cr_place_name(unsigned side, unsigned cell);

/* How one cell lies to another: 0 left of, 1 right of, 2 above, 3 below. */
enum { CR_N_WAYS = 4 };
const char *cr_way_name(unsigned way);
bool cr_lies(unsigned side, unsigned cell, unsigned other, unsigned way);
/* A way in which a cell lies to another one; where there are two, either. */
unsigned cr_way_draw(struct cr_rng *r, unsigned side, unsigned cell, unsigned other);

/* Text of bounded length, built from our own words only. */
enum { CR_LINE_MAX = 4096 };
struct cr_line {
    size_t len;
    char text[CR_LINE_MAX];
};

static inline void cr_line_clear(struct cr_line *l) {
    l->len = 0;
    l->text[0] = '\0';
}
static inline struct cr_str cr_line_str(const struct cr_line *l) {
    return (struct cr_str){l->text, l->len};
}
void cr_line_add(struct cr_line *l, const char *text);
void cr_line_addf(struct cr_line *l, const char *fmt, ...) CR_PRINTF(2, 3);

/* Appends what stands between the quotation marks of a JSON string. */
enum critic_status cr_add_json_text(struct cr_buf *out, struct cr_str text,
                                    critic_error *err);
/* The same with the quotation marks. */
enum critic_status cr_add_json_str(struct cr_buf *out, struct cr_str text,
                                   critic_error *err);

/* Reads one of our words at *at and moves *at behind it and one following blank.
 * 0 (or -1 for numbers and cells) where none stands there. */
unsigned cr_read_shape(struct cr_str s, size_t *at);
unsigned cr_read_colour(struct cr_str s, size_t *at);
unsigned cr_read_size(struct cr_str s, size_t *at);
int cr_read_number(struct cr_str s, size_t *at);
int cr_read_place(unsigned side, struct cr_str s, size_t *at);
/* The literal itself, blanks included. */
bool cr_read_literal(struct cr_str s, size_t *at, const char *literal);

static inline unsigned cr_draw(struct cr_rng *r, unsigned n) {
    return (unsigned)cr_rng_below(r, n);
}
static inline bool cr_chance(struct cr_rng *r, unsigned percent) {
    return cr_rng_below(r, 100) < percent;
}
/* Index by weight; weights sum to more than 0. */
unsigned cr_draw_weighted(struct cr_rng *r, const unsigned *weights, unsigned n);

#endif
