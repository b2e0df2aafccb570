#include "world/desc.h"

bool cr_desc_eq(const struct cr_desc *a, const struct cr_desc *b) {
    return a->size == b->size && a->colour == b->colour && a->shape == b->shape &&
           a->digit == b->digit;
}

bool cr_desc_fits(const struct cr_desc *d, const struct cr_object *o) {
    return (!d->size || d->size == o->size) && (!d->colour || d->colour == o->colour) &&
           (!d->shape || d->shape == o->shape) && (d->digit < 0 || d->digit == o->digit);
}

bool cr_desc_is_full(const struct cr_desc *d, const struct cr_object *o) {
    struct cr_desc truth = cr_desc_of(o);
    return cr_desc_eq(d, &truth);
}

unsigned cr_desc_count(const struct cr_desc *d, const struct cr_scene *s,
                       const struct cr_object **first) {
    unsigned n = 0;
    for (unsigned i = 0; i < s->n; i++)
        if (cr_desc_fits(d, &s->objects[i]) && n++ == 0 && first)
            *first = &s->objects[i];
    return n;
}

void cr_desc_add(struct cr_line *l, const struct cr_desc *d) {
    if (d->size)
        cr_line_addf(l, "%s ", cr_size_name(d->size));
    if (d->colour)
        cr_line_addf(l, "%s ", cr_colour_name(d->colour));
    cr_line_add(l, d->shape ? cr_shape_name(d->shape) : "object");
    if (d->digit >= 0)
        cr_line_addf(l, " with %s", cr_number_name((unsigned)d->digit));
}

void cr_desc_add_article(struct cr_line *l, const struct cr_desc *d) {
    bool vowel =
        !d->size && (d->colour == 6 || (!d->colour && !d->shape)); /* orange, object */
    cr_line_add(l, vowel ? "an " : "a ");
    cr_desc_add(l, d);
}

void cr_desc_add_plural(struct cr_line *l, const struct cr_desc *d) {
    cr_desc_add(l, d);
    cr_line_add(l, d->shape == CR_CROSS ? "es" : "s");
}

void cr_desc_add_wrong(struct cr_line *l, const struct cr_desc *said,
                       const struct cr_desc *truth) {
    if (said->size && said->size != truth->size)
        cr_line_addf(l, " %s", cr_size_name(said->size));
    if (said->colour && said->colour != truth->colour)
        cr_line_addf(l, " %s", cr_colour_name(said->colour));
    if (said->shape && said->shape != truth->shape)
        cr_line_addf(l, " %s", cr_shape_name(said->shape));
    if (said->digit >= 0 && said->digit != truth->digit)
        cr_line_addf(l, " %s", cr_number_name((unsigned)said->digit));
}

bool cr_desc_read(struct cr_str s, size_t *at, struct cr_desc *d) {
    size_t k = *at;
    *d = (struct cr_desc){.digit = CR_NO_DIGIT};
    d->size = (uint8_t)cr_read_size(s, &k);
    d->colour = (uint8_t)cr_read_colour(s, &k);
    d->shape = (uint8_t)cr_read_shape(s, &k);
    if (!d->shape && !cr_read_literal(s, &k, "object"))
        return false;
    if (!d->shape && k < s.len && s.data[k] == ' ')
        k++;
    if (cr_read_literal(s, &k, "with ")) {
        int digit = cr_read_number(s, &k);
        if (digit < 0 || digit > 9)
            return false;
        d->digit = (int8_t)digit;
    }
    *at = k;
    return true;
}

bool cr_desc_refer(struct cr_rng *r, const struct cr_scene *s, const struct cr_object *o,
                   struct cr_desc *out) {
    const struct cr_desc tries[5] = {{0, 0, o->shape, CR_NO_DIGIT},
                                     {0, o->colour, 0, CR_NO_DIGIT},
                                     {0, o->colour, o->shape, CR_NO_DIGIT},
                                     {o->size, o->colour, o->shape, CR_NO_DIGIT},
                                     cr_desc_of(o)};
    /* The pair is the ordinary way to name an object; shorter ways now and then. */
    unsigned from = cr_chance(r, 60) ? 2 : cr_draw(r, 2);
    for (unsigned i = from; i < 5; i++)
        if (cr_desc_count(&tries[i], s, NULL) == 1) {
            *out = tries[i];
            return true;
        }
    return false;
}

void cr_desc_change(struct cr_rng *r, struct cr_desc *d, unsigned part, bool novel_ok) {
    struct cr_desc old = *d;
    do {
        *d = old;
        if (part == 0)
            d->size = (uint8_t)(3 - old.size);
        else if (part == 1)
            d->colour =
                (uint8_t)(1 + (old.colour + cr_draw(r, CR_N_COLOURS - 1)) % CR_N_COLOURS);
        else if (part == 2)
            d->shape =
                (uint8_t)(1 + (old.shape + cr_draw(r, CR_N_SHAPES - 1)) % CR_N_SHAPES);
        else
            d->digit = (int8_t)((old.digit + 1 + (int)cr_draw(r, 9)) % 10);
    } while (!novel_ok && cr_is_novel_pair(d->shape, d->colour));
}

/* "the top-left", "b2" */
static void add_the_place(struct cr_line *l, unsigned side, unsigned cell) {
    cr_line_addf(l, side == 3 ? "the %s" : "%s", cr_place_name(side, cell));
}

void cr_add_at_place(struct cr_line *l, unsigned side, unsigned cell) {
    cr_line_add(l, "at ");
    add_the_place(l, side, cell);
}
