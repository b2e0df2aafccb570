/* Descriptions of objects: "small red circle with seven", any part of it left out. */
#ifndef CR_WORLD_DESC_H
#define CR_WORLD_DESC_H

#include "world/scene.h"

/* 0 (digit: CR_NO_DIGIT) where a part is not stated. */
struct cr_desc {
    uint8_t size, colour, shape;
    int8_t digit;
};

static inline struct cr_desc cr_desc_of(const struct cr_object *o) {
    return (struct cr_desc){o->size, o->colour, o->shape, o->digit};
}
bool cr_desc_eq(const struct cr_desc *a, const struct cr_desc *b);
/* Does the object have everything that is stated? */
bool cr_desc_fits(const struct cr_desc *d, const struct cr_object *o);
/* Does d say all there is to say of the object, and rightly? */
bool cr_desc_is_full(const struct cr_desc *d, const struct cr_object *o);
/* Number of objects of the scene that it fits; *first is one of them (may be NULL). */
unsigned cr_desc_count(const struct cr_desc *d, const struct cr_scene *s,
                       const struct cr_object **first);

/* "small red circle with seven"; the shape's place is taken by "object" where it is not stated. */
void cr_desc_add(struct cr_line *l, const struct cr_desc *d);
/* The same with "a" or "an" before it. */
void cr_desc_add_article(struct cr_line *l, const struct cr_desc *d);
/* "red circles"; of descriptions without a digit. */
void cr_desc_add_plural(struct cr_line *l, const struct cr_desc *d);
/* The stated words that the truth does not bear out, a blank before each: " small blue". */
void cr_desc_add_wrong(struct cr_line *l, const struct cr_desc *said,
                       const struct cr_desc *truth);
/* Reads one back; false where none stands there. */
bool cr_desc_read(struct cr_str s, size_t *at, struct cr_desc *d);

/* A short description that fits this object alone: by shape, by colour, by both or by more, which
 * of those that are enough is drawn. False where even the full one fits another. */
bool cr_desc_refer(struct cr_rng *r, const struct cr_scene *s, const struct cr_object *o,
                   struct cr_desc *out);

/* Changes one stated part to another value, `part` says which: 0 size, 1 colour, 2 shape, 3 digit.
 * Never makes a novel pair unless novel_ok. */
void cr_desc_change(struct cr_rng *r, struct cr_desc *d, unsigned part, bool novel_ok);

/* "at the top-left", "at b2" */
void cr_add_at_place(struct cr_line *l, unsigned side, unsigned cell);

#endif
