#include "world/base.h"

#include <string.h>

#include "base/checked.h"

static const char *const family_names[CR_N_FAMILIES] = {
#define FAMILY_TEXT(name, text, weight) text,
    CR_FAMILY_LIST(FAMILY_TEXT)
#undef FAMILY_TEXT
};
static const unsigned family_weights[CR_N_FAMILIES] = {
#define FAMILY_WEIGHT(name, text, weight) weight,
    CR_FAMILY_LIST(FAMILY_WEIGHT)
#undef FAMILY_WEIGHT
};

const char *cr_family_name(enum cr_family family) {
    return family_names[family];
}

/* What the makers of turns share. */
struct job {
    const struct cr_scene *s;
    struct cr_rng *r;
    bool novel_ok;
    struct cr_line *q, *a;
};

/* One of n phrasings; the first is the usual one. */
static unsigned phrasing(struct job *j, unsigned n) {
    return cr_chance(j->r, 50) ? 0 : cr_draw(j->r, n);
}

static const struct cr_object *any_object(struct job *j) {
    return &j->s->objects[cr_draw(j->r, j->s->n)];
}

static unsigned any_cell(struct job *j, unsigned empty_percent) {
    if (cr_chance(j->r, empty_percent))
        return cr_draw(j->r, (unsigned)j->s->side * j->s->side);
    return any_object(j)->cell;
}

/* An object of the scene that a short description singles out. */
static const struct cr_object *named_object(struct job *j, struct cr_desc *d) {
    for (int i = 0; i < 6; i++) {
        const struct cr_object *o = any_object(j);
        if (cr_desc_refer(j->r, j->s, o, d))
            return o;
    }
    return NULL;
}

static void add_objects(struct job *j, const struct cr_desc *of) {
    bool first = true;
    for (unsigned i = 0; i < j->s->n; i++) {
        const struct cr_object *o = &j->s->objects[i];
        struct cr_desc d = cr_desc_of(o);
        if (!cr_desc_fits(of, o))
            continue;
        cr_line_addf(j->a, "%s%s: ", first ? "" : "; ",
                     cr_place_name(j->s->side, o->cell));
        cr_desc_add(j->a, &d);
        first = false;
    }
    cr_line_add(j->a, ".");
}

static const struct cr_desc anything = {.digit = CR_NO_DIGIT};

static bool describe(struct job *j) {
    static const char *const asks[] = {"Describe the picture.", "What is in the picture?",
                                       "List all objects."};
    cr_line_add(j->q, asks[phrasing(j, 3)]);
    add_objects(j, &anything);
    return true;
}

static bool describe_some(struct job *j) {
    static const char *const asks[] = {"Describe the", "List the"};
    const struct cr_object *o = any_object(j);
    struct cr_desc d = anything;
    if (cr_chance(j->r, 50))
        d.colour = o->colour;
    else
        d.shape = o->shape;
    cr_line_addf(j->q, "%s ", asks[phrasing(j, 2)]);
    cr_desc_add_plural(j->q, &d);
    cr_line_add(j->q, ".");
    add_objects(j, &d);
    return true;
}

static bool what_at(struct job *j) {
    static const char *const asks[] = {"What is", "Which object is"};
    unsigned cell = any_cell(j, 25);
    const struct cr_object *o = cr_scene_at(j->s, cell);
    cr_line_addf(j->q, "%s ", asks[phrasing(j, 2)]);
    cr_add_at_place(j->q, j->s->side, cell);
    cr_line_add(j->q, "?");
    struct cr_desc d = o ? cr_desc_of(o) : anything;
    if (o)
        cr_desc_add(j->a, &d);
    else
        cr_line_add(j->a, "nothing");
    return true;
}

static void add_attribute(struct cr_line *l, const struct cr_object *o, unsigned part) {
    if (part == 0)
        cr_line_add(l, cr_size_name(o->size));
    else if (part == 1)
        cr_line_add(l, cr_colour_name(o->colour));
    else if (part == 2)
        cr_line_add(l, cr_shape_name(o->shape));
    else
        cr_line_add(l, o->digit < 0 ? "none" : cr_number_name((unsigned)o->digit));
}

static bool attribute_at(struct job *j) {
    static const char *const asks[] = {"What size is the object ",
                                       "What colour is the object ",
                                       "What shape is the object ", "Which digit is "};
    const struct cr_object *o = any_object(j);
    unsigned part = cr_draw(j->r, 4);
    cr_line_add(j->q, asks[part]);
    cr_add_at_place(j->q, j->s->side, o->cell);
    cr_line_add(j->q, "?");
    add_attribute(j->a, o, part);
    return true;
}

static bool count(struct job *j, const struct cr_desc *d) {
    static const char *const asks[] = {"How many", "Count the"};
    unsigned k = phrasing(j, 2);
    cr_line_addf(j->q, "%s ", asks[k]);
    cr_desc_add_plural(j->q, d);
    cr_line_add(j->q, k == 0 ? " are there?" : ".");
    cr_line_add(j->a, cr_number_name(cr_desc_count(d, j->s, NULL)));
    return true;
}

static bool count_by(struct job *j, bool colour) {
    struct cr_desc d = anything;
    const struct cr_object *o = any_object(j);
    bool there = cr_chance(j->r, 80);
    if (colour)
        d.colour = there ? o->colour : (uint8_t)(1 + cr_draw(j->r, CR_N_COLOURS));
    else
        d.shape = there ? o->shape : (uint8_t)(1 + cr_draw(j->r, CR_N_SHAPES));
    return count(j, &d);
}

static bool attribute_of(struct job *j, unsigned part) {
    static const char *const asks[] = {"What size is the ", "What colour is the ", "",
                                       "Which digit is on the "};
    struct cr_desc d = anything;
    const struct cr_object *o = NULL;
    if (part == 1) { /* of a shape that is there once */
        o = any_object(j);
        d.shape = o->shape;
        if (cr_desc_count(&d, j->s, NULL) != 1)
            return false;
    } else {
        o = named_object(j, &d);
        if (!o || (part == 0 && d.size) || (part == 3 && d.digit >= 0))
            return false;
    }
    cr_line_add(j->q, asks[part]);
    cr_desc_add(j->q, &d);
    cr_line_add(j->q, "?");
    add_attribute(j->a, o, part);
    return true;
}

static bool where(struct job *j) {
    struct cr_desc d;
    const struct cr_object *o = named_object(j, &d);
    if (!o)
        return false;
    cr_line_add(j->q, phrasing(j, 2) ? "At which place is the " : "Where is the ");
    cr_desc_add(j->q, &d);
    cr_line_add(j->q, "?");
    cr_line_add(j->a, cr_place_name(j->s->side, o->cell));
    return true;
}

/* A description that fits nothing in the scene but is near something that is there. */
static bool near_miss(struct job *j, struct cr_desc *d) {
    for (int i = 0; i < 8; i++) {
        const struct cr_object *o = any_object(j);
        *d = (struct cr_desc){0, o->colour, o->shape, CR_NO_DIGIT};
        unsigned part = 1 + cr_draw(j->r, 2);
        cr_desc_change(j->r, d, part, j->novel_ok);
        if (cr_chance(j->r, 40)) /* the changed part alone */
            *(part == 1 ? &d->shape : &d->colour) = 0;
        if (cr_desc_count(d, j->s, NULL) == 0)
            return true;
    }
    return false;
}

static bool exists(struct job *j) {
    struct cr_desc d;
    bool yes = cr_chance(j->r, 50);
    if (yes) {
        const struct cr_object *o = any_object(j);
        d = (struct cr_desc){0, o->colour, o->shape, CR_NO_DIGIT};
        if (cr_chance(j->r, 40))
            *(cr_chance(j->r, 50) ? &d.shape : &d.colour) = 0;
    } else if (!near_miss(j, &d)) {
        return false;
    }
    cr_line_add(j->q, "Is there ");
    cr_desc_add_article(j->q, &d);
    cr_line_add(j->q, phrasing(j, 2) ? " in the picture?" : "?");
    cr_line_add(j->a, yes ? "yes" : "no");
    return true;
}

/* Two objects, both singled out. */
static bool two_objects(struct job *j, const struct cr_object *o[2],
                        struct cr_desc d[2]) {
    for (int i = 0; i < 6; i++) {
        o[0] = named_object(j, &d[0]);
        o[1] = named_object(j, &d[1]);
        if (o[0] && o[1] && o[0] != o[1])
            return true;
    }
    return false;
}

static bool relation(struct job *j) {
    const struct cr_object *o[2];
    struct cr_desc d[2];
    if (!two_objects(j, o, d))
        return false;
    unsigned truth = cr_way_draw(j->r, j->s->side, o[0]->cell, o[1]->cell);
    bool yes = cr_chance(j->r, 50);
    cr_line_add(j->q, "Is the ");
    cr_desc_add(j->q, &d[0]);
    cr_line_addf(j->q, " %s the ", cr_way_name(yes ? truth : truth ^ 1));
    cr_desc_add(j->q, &d[1]);
    cr_line_add(j->q, "?");
    cr_line_add(j->a, yes ? "yes" : "no");
    return true;
}

static unsigned look_of(const struct cr_object *o, bool by_colour) {
    return by_colour ? o->colour : o->shape;
}

/* The object that differs in colour (or shape) from all others, which are alike; NULL without. */
static const struct cr_object *odd_object(const struct cr_scene *s, bool by_colour) {
    for (unsigned i = 0; s->n >= 3 && i < s->n; i++) {
        unsigned other = look_of(&s->objects[i == 0 ? 1 : 0], by_colour);
        bool odd = look_of(&s->objects[i], by_colour) != other;
        for (unsigned k = 0; k < s->n; k++)
            odd = odd && (k == i || look_of(&s->objects[k], by_colour) == other);
        if (odd)
            return &s->objects[i];
    }
    return NULL;
}

static bool odd_one(struct job *j) {
    bool by_colour = cr_chance(j->r, 50);
    const struct cr_object *o = odd_object(j->s, by_colour);
    if (!o) {
        by_colour = !by_colour;
        o = odd_object(j->s, by_colour);
    }
    if (!o)
        return false;
    cr_line_addf(j->q, "Which object has another %s?", by_colour ? "colour" : "shape");
    struct cr_desc d = cr_desc_of(o);
    cr_desc_add(j->a, &d);
    return true;
}

static bool larger(struct job *j) {
    const struct cr_object *o[2];
    struct cr_desc d[2];
    if (!two_objects(j, o, d) || d[0].size || d[1].size)
        return false;
    cr_line_add(j->q, "Which is larger, the ");
    cr_desc_add(j->q, &d[0]);
    cr_line_add(j->q, " or the ");
    cr_desc_add(j->q, &d[1]);
    cr_line_add(j->q, "?");
    if (o[0]->size == o[1]->size)
        cr_line_add(j->a, "same");
    else
        cr_desc_add(j->a, &d[o[1]->size > o[0]->size]);
    return true;
}

static bool choice(struct job *j) {
    const struct cr_object *o = any_object(j);
    struct cr_desc options[4], truth = {o->size, o->colour, o->shape, CR_NO_DIGIT};
    unsigned right = cr_draw(j->r, 4);
    for (unsigned i = 0; i < 4; i++)
        for (bool again = true; again;) {
            options[i] = truth;
            again = false;
            if (i == right)
                continue;
            cr_desc_change(j->r, &options[i], cr_draw(j->r, 3), j->novel_ok);
            for (unsigned k = 0; k < i; k++)
                again = again || cr_desc_eq(&options[k], &options[i]);
        }
    cr_line_add(j->q, "What is ");
    cr_add_at_place(j->q, j->s->side, o->cell);
    cr_line_add(j->q, "?");
    for (unsigned i = 0; i < 4; i++) {
        cr_line_addf(j->q, " %c: ", 'A' + (int)i);
        cr_desc_add(j->q, &options[i]);
    }
    cr_line_addf(j->a, "%c", 'A' + (int)right);
    return true;
}

/* A claim about a cell: true, or false in one or two parts, or about an empty cell. *truth is
 * the object there. */
static unsigned draw_claim(struct job *j, struct cr_desc *d,
                           const struct cr_object **truth, unsigned true_percent) {
    const struct cr_object *o = any_object(j);
    unsigned cell = o->cell;
    *d = cr_desc_of(o);
    if (!cr_chance(j->r, true_percent)) {
        if (cr_chance(j->r, 15)) { /* moved or invented */
            cell = cr_draw(j->r, (unsigned)j->s->side * j->s->side);
        } else {
            unsigned part = cr_draw(j->r, d->digit >= 0 ? 4 : 3);
            cr_desc_change(j->r, d, part, j->novel_ok);
            if (cr_chance(j->r, 20))
                cr_desc_change(j->r, d, (part + 1) % 3, j->novel_ok);
        }
    }
    *truth = cr_scene_at(j->s, cell);
    return cell;
}

static bool true_false(struct job *j) {
    struct cr_desc d;
    const struct cr_object *truth;
    unsigned cell = draw_claim(j, &d, &truth, 50);
    cr_line_add(j->q, phrasing(j, 2) ? "Is this true? " : "True or false? ");
    cr_line_addf(j->q, "%s: ", cr_place_name(j->s->side, cell));
    cr_desc_add(j->q, &d);
    cr_line_add(j->a, truth && cr_desc_fits(&d, truth) ? "true" : "false");
    return true;
}

static void add_not(struct cr_line *l, const struct cr_desc *said,
                    const struct cr_desc *truth) {
    cr_line_add(l, "not");
    cr_desc_add_wrong(l, said, truth);
}

/* The step that reasons are made of: what is there, and which words of the claim are wrong. */
static bool check(struct job *j) {
    struct cr_desc d;
    const struct cr_object *truth;
    unsigned cell = draw_claim(j, &d, &truth, 35);
    const char *place = cr_place_name(j->s->side, cell);
    cr_line_addf(j->q, "Check: %s: ", place);
    cr_desc_add(j->q, &d);
    cr_line_addf(j->a, "%s: ", place);
    if (!truth) {
        cr_line_add(j->a, "nothing, not ");
        cr_desc_add(j->a, &d);
        return true;
    }
    struct cr_desc t = cr_desc_of(truth);
    cr_desc_add(j->a, &t);
    if (cr_desc_fits(&d, truth)) {
        cr_line_add(j->a, ", ok");
    } else {
        cr_line_add(j->a, ", ");
        add_not(j->a, &d, &t);
    }
    return true;
}

static struct cr_desc random_desc(struct job *j) {
    struct cr_desc d;
    do
        d = (struct cr_desc){
            (uint8_t)(1 + cr_draw(j->r, 2)), (uint8_t)(1 + cr_draw(j->r, CR_N_COLOURS)),
            (uint8_t)(1 + cr_draw(j->r, CR_N_SHAPES)),
            (int8_t)(cr_chance(j->r, 40) ? (int)cr_draw(j->r, 10) : CR_NO_DIGIT)};
    while (!j->novel_ok && cr_is_novel_pair(d.shape, d.colour));
    return d;
}

/* Text alone: nothing here is about the picture. */
static bool same_words(struct job *j) {
    struct cr_desc a = random_desc(j), b = a;
    if (cr_chance(j->r, 50))
        cr_desc_change(j->r, &b, cr_draw(j->r, a.digit >= 0 ? 4 : 3), j->novel_ok);
    if (a.size == b.size && cr_chance(j->r, 40))
        a.size = b.size = 0;
    cr_line_add(j->q, "Same or different? ");
    cr_desc_add(j->q, &a);
    cr_line_add(j->q, "; ");
    cr_desc_add(j->q, &b);
    cr_line_add(j->a, cr_desc_eq(&a, &b) ? "same" : "different");
    return true;
}

static bool wrong_words(struct job *j) {
    struct cr_desc truth = random_desc(j), said = truth;
    unsigned n = cr_chance(j->r, 25) ? 0 : cr_chance(j->r, 70) ? 1 : 2;
    unsigned part = cr_draw(j->r, truth.digit >= 0 ? 4 : 3);
    for (unsigned i = 0; i < n; i++)
        cr_desc_change(j->r, &said, (part + i) % (truth.digit >= 0 ? 4u : 3u),
                       j->novel_ok);
    cr_line_add(j->q, "Truth: ");
    cr_desc_add(j->q, &truth);
    cr_line_add(j->q, ". Claim: ");
    cr_desc_add(j->q, &said);
    cr_line_add(j->q, ". Wrong words?");
    if (cr_desc_eq(&truth, &said))
        cr_line_add(j->a, "ok");
    else
        add_not(j->a, &said, &truth);
    return true;
}

static bool make(struct job *j, enum cr_family family) {
    switch (family) {
    case CR_FAMILY_DESCRIBE:
        return describe(j);
    case CR_FAMILY_DESCRIBE_SOME:
        return describe_some(j);
    case CR_FAMILY_AT:
        return what_at(j);
    case CR_FAMILY_ATTRIBUTE_AT:
        return attribute_at(j);
    case CR_FAMILY_COUNT_ALL:
        return count(j, &anything);
    case CR_FAMILY_COUNT_COLOUR:
        return count_by(j, true);
    case CR_FAMILY_COUNT_SHAPE:
        return count_by(j, false);
    case CR_FAMILY_COLOUR_OF:
        return attribute_of(j, 1);
    case CR_FAMILY_SIZE_OF:
        return attribute_of(j, 0);
    case CR_FAMILY_DIGIT_ON:
        return attribute_of(j, 3);
    case CR_FAMILY_WHERE:
        return where(j);
    case CR_FAMILY_EXISTS:
        return exists(j);
    case CR_FAMILY_RELATION:
        return relation(j);
    case CR_FAMILY_ODD_ONE:
        return odd_one(j);
    case CR_FAMILY_LARGER:
        return larger(j);
    case CR_FAMILY_CHOICE:
        return choice(j);
    case CR_FAMILY_TRUE_FALSE:
        return true_false(j);
    case CR_FAMILY_CHECK:
        return check(j);
    case CR_FAMILY_SAME_WORDS:
        return same_words(j);
    default:
        return wrong_words(j);
    }
}

bool cr_base_turn(struct cr_turn_text *out, enum cr_family family,
                  const struct cr_scene *s, struct cr_rng *r, bool novel_ok) {
    struct job j = {s, r, novel_ok, &out->question, &out->answer};
    cr_line_clear(&out->question);
    cr_line_clear(&out->answer);
    return make(&j, family);
}

enum cr_family cr_base_draw(struct cr_turn_text *out, const struct cr_scene *s,
                            struct cr_rng *r, bool novel_ok) {
    for (;;) {
        enum cr_family f =
            (enum cr_family)cr_draw_weighted(r, family_weights, CR_N_FAMILIES);
        if (cr_base_turn(out, f, s, r, novel_ok))
            return f;
    }
}

enum critic_status cr_add_pair(struct cr_buf *out, bool first, struct cr_str question,
                               struct cr_str answer, critic_error *err) {
    CR_TRY(cr_buf_append_c(out,
                           first ? "{\"from\":\"human\",\"value\":\"<image>\\n"
                                 : ",{\"from\":\"human\",\"value\":\"",
                           err));
    CR_TRY(cr_add_json_text(out, question, err));
    CR_TRY(cr_buf_append_c(out, "\"},{\"from\":\"gpt\",\"value\":", err));
    CR_TRY(cr_add_json_str(out, answer, err));
    return cr_buf_append_c(out, "}", err);
}

enum critic_status cr_base_record(struct cr_buf *out, const struct cr_scene *s,
                                  const char *id, const char *image, unsigned n_turns,
                                  struct cr_rng *r, bool novel_ok, uint8_t *families,
                                  unsigned *n_made, critic_error *err) {
    enum { MAX_TURNS = 64 };
    struct cr_turn_text turn;
    uint64_t seen[MAX_TURNS];
    CR_ASSERT(n_turns <= MAX_TURNS);
    CR_TRY(cr_buf_printf(out, err,
                         "{\"id\":\"%s\",\"source\":\"micro-base\",\"image\":\"%s\","
                         "\"conversations\":[",
                         id, image));
    unsigned n = 0;
    for (unsigned tries = 0; n < n_turns && tries < 8 * n_turns; tries++) {
        enum cr_family f = CR_FAMILY_DESCRIBE;
        if (n == 0)
            (void)cr_base_turn(&turn, f, s, r, novel_ok);
        else
            f = cr_base_draw(&turn, s, r, novel_ok);
        uint64_t key = 0;
        for (size_t i = 0; i < turn.question.len; i++)
            key = cr_hash_u64(key ^ (unsigned char)turn.question.text[i]);
        bool again = false;
        for (unsigned i = 0; i < n; i++)
            again = again || seen[i] == key;
        if (again)
            continue;
        seen[n] = key;
        if (families)
            families[n] = (uint8_t)f;
        CR_TRY(cr_add_pair(out, n == 0, cr_line_str(&turn.question),
                           cr_line_str(&turn.answer), err));
        n++;
    }
    *n_made = n;
    return cr_buf_append_c(out, "]}", err);
}
