/* Questions that are judged (answer.h). */
#include <string.h>

#include "world/answer.h"

static const char *const ask_names[CR_N_ASKS] = {
#define ASK_TEXT(name, text, weight) text,
    CR_ASK_LIST(ASK_TEXT)
#undef ASK_TEXT
};
static const unsigned ask_weights[CR_N_ASKS] = {
#define ASK_WEIGHT(name, text, weight) weight,
    CR_ASK_LIST(ASK_WEIGHT)
#undef ASK_WEIGHT
};

const char *cr_ask_name(enum cr_ask_kind kind) {
    return ask_names[kind];
}

bool cr_ask_is_short(const struct cr_ask *ask) {
    return ask->has_value || ask->kind == CR_ASK_AT;
}

void cr_value_add(struct cr_line *l, const struct cr_ask *ask, unsigned side, int value) {
    switch (ask->value_kind) {
    case CR_VALUE_NUMBER:
        cr_line_add(l, cr_number_name((unsigned)value));
        break;
    case CR_VALUE_YES_NO:
        cr_line_add(l, value ? "yes" : "no");
        break;
    case CR_VALUE_PLACE:
        cr_line_add(l, cr_place_name(side, (unsigned)value));
        break;
    case CR_VALUE_COLOUR:
        cr_line_add(l, cr_colour_name((unsigned)value));
        break;
    default:
        cr_line_add(l, value < 0 ? "none" : cr_number_name((unsigned)value));
    }
}

static const struct cr_desc anything = {.digit = CR_NO_DIGIT};

static void set_value(struct cr_ask *a, enum cr_value_kind kind, int value) {
    a->has_value = true;
    a->value_kind = kind;
    a->value = value;
    a->n_facts = 1;
}

static void set_facts(struct cr_ask *a, const struct cr_scene *s) {
    for (unsigned i = 0; i < s->n; i++) {
        const struct cr_object *o = &s->objects[i];
        if (a->kind == CR_ASK_AT ? o->cell == a->cell : cr_desc_fits(&a->pick[0], o)) {
            a->facts |= 1u << i;
            a->n_facts++;
        }
    }
}

static const struct cr_object *any_object(const struct cr_scene *s, struct cr_rng *r) {
    return &s->objects[cr_draw(r, s->n)];
}

/* One attribute of an object: all of a colour, or of a shape. */
static struct cr_desc one_part(const struct cr_object *o, struct cr_rng *r) {
    struct cr_desc d = anything;
    if (cr_chance(r, 50))
        d.colour = o->colour;
    else
        d.shape = o->shape;
    return d;
}

static bool ask_exists(struct cr_ask *a, const struct cr_scene *s, struct cr_rng *r,
                       bool novel_ok, struct cr_line *l) {
    const struct cr_object *o = any_object(s, r);
    a->pick[0] = (struct cr_desc){0, o->colour, o->shape, CR_NO_DIGIT};
    if (cr_chance(r, 50))
        cr_desc_change(r, &a->pick[0], 1 + cr_draw(r, 2), novel_ok);
    set_value(a, CR_VALUE_YES_NO, cr_desc_count(&a->pick[0], s, NULL) > 0);
    cr_line_add(l, "Is there ");
    cr_desc_add_article(l, &a->pick[0]);
    cr_line_add(l, "?");
    return true;
}

static bool ask_relation(struct cr_ask *a, const struct cr_scene *s, struct cr_rng *r,
                         struct cr_line *l) {
    const struct cr_object *o = any_object(s, r), *p = any_object(s, r);
    if (o == p || !cr_desc_refer(r, s, o, &a->pick[0]) ||
        !cr_desc_refer(r, s, p, &a->pick[1]))
        return false;
    unsigned truth = cr_way_draw(r, s->side, o->cell, p->cell), yes = cr_draw(r, 2);
    set_value(a, CR_VALUE_YES_NO, (int)yes);
    a->way = yes ? truth : truth ^ 1;
    cr_line_add(l, "Is the ");
    cr_desc_add(l, &a->pick[0]);
    cr_line_addf(l, " %s the ", cr_way_name(a->way));
    cr_desc_add(l, &a->pick[1]);
    cr_line_add(l, "?");
    return true;
}

static bool ask_of_one(struct cr_ask *a, const struct cr_scene *s, struct cr_rng *r,
                       struct cr_line *l) {
    const struct cr_object *o = any_object(s, r);
    if (a->kind == CR_ASK_COLOUR) {
        a->pick[0].shape = o->shape;
        if (cr_desc_count(&a->pick[0], s, NULL) != 1)
            return false;
        cr_line_add(l, "What colour is the ");
        set_value(a, CR_VALUE_COLOUR, o->colour);
    } else if (!cr_desc_refer(r, s, o, &a->pick[0])) {
        return false;
    } else if (a->kind == CR_ASK_WHERE) {
        cr_line_add(l, "Where is the ");
        set_value(a, CR_VALUE_PLACE, o->cell);
    } else {
        if (a->pick[0].digit >= 0)
            return false;
        cr_line_add(l, "Which digit is on the ");
        set_value(a, CR_VALUE_DIGIT, o->digit);
    }
    cr_desc_add(l, &a->pick[0]);
    cr_line_add(l, "?");
    return true;
}

static bool ask_list(struct cr_ask *a, const struct cr_scene *s, struct cr_rng *r,
                     struct cr_line *l) {
    static const char *const alls[] = {"Describe the picture.", "What is in the picture?",
                                       "List all objects."};
    if (a->kind == CR_ASK_ALL) {
        cr_line_add(l, alls[cr_chance(r, 50) ? 0 : cr_draw(r, 3)]);
    } else if (a->kind == CR_ASK_SOME) {
        a->pick[0] = one_part(any_object(s, r), r);
        cr_line_add(l, cr_chance(r, 70) ? "Describe the " : "List the ");
        cr_desc_add_plural(l, &a->pick[0]);
        cr_line_add(l, ".");
    } else {
        a->cell = any_object(s, r)->cell;
        cr_line_add(l, "What is ");
        cr_add_at_place(l, s->side, a->cell);
        cr_line_add(l, "?");
    }
    set_facts(a, s);
    return true;
}

static bool draw(struct cr_ask *a, const struct cr_scene *s, struct cr_rng *r,
                 bool novel_ok, struct cr_line *l) {
    *a = (struct cr_ask){
        .kind = (enum cr_ask_kind)cr_draw_weighted(r, ask_weights, CR_N_ASKS),
        .pick = {anything, anything}};
    cr_line_clear(l);
    switch (a->kind) {
    case CR_ASK_ALL:
    case CR_ASK_SOME:
    case CR_ASK_AT:
        return ask_list(a, s, r, l);
    case CR_ASK_COUNT:
        if (cr_chance(r, 85))
            a->pick[0] = one_part(any_object(s, r), r);
        set_value(a, CR_VALUE_NUMBER, (int)cr_desc_count(&a->pick[0], s, NULL));
        cr_line_add(l, "How many ");
        cr_desc_add_plural(l, &a->pick[0]);
        cr_line_add(l, " are there?");
        return true;
    case CR_ASK_EXISTS:
        return ask_exists(a, s, r, novel_ok, l);
    case CR_ASK_RELATION:
        return ask_relation(a, s, r, l);
    default:
        return ask_of_one(a, s, r, l);
    }
}

void cr_ask_draw(struct cr_ask *out, const struct cr_scene *s, struct cr_rng *r,
                 bool novel_ok) {
    struct cr_line l;
    while (!draw(out, s, r, novel_ok, &l)) {
    }
    CR_ASSERT(l.len < sizeof out->text);
    memcpy(out->text, l.text, l.len + 1);
}
