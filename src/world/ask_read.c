/* Questions that are judged, read back from their text: the reverse of ask.c. */
#include "world/answer.h"

static const struct cr_desc anything = {.digit = CR_NO_DIGIT};

/* "PRE" … "POST": what stands between, data NULL where the text is not of this form. */
static struct cr_str between(struct cr_str text, const char *pre, const char *post) {
    struct cr_str a = cr_str_of(pre), b = cr_str_of(post);
    if (text.len < a.len + b.len || !cr_str_eq((struct cr_str){text.data, a.len}, a) ||
        !cr_str_eq((struct cr_str){text.data + text.len - b.len, b.len}, b))
        return (struct cr_str){NULL, 0};
    return (struct cr_str){text.data + a.len, text.len - a.len - b.len};
}

/* The whole text is a description. */
static bool read_desc(struct cr_str s, struct cr_desc *out) {
    size_t at = 0;
    return s.data && cr_desc_read(s, &at, out) && at == s.len;
}

static bool read_plural(struct cr_str s, struct cr_desc *out) {
    struct cr_str one =
        between(s, "", "crosses").data ? between(s, "", "es") : between(s, "", "s");
    return read_desc(one, out);
}

/* The one object that a description means. */
static const struct cr_object *only(const struct cr_scene *s, const struct cr_desc *d) {
    const struct cr_object *o = NULL;
    return cr_desc_count(d, s, &o) == 1 ? o : NULL;
}

static bool set_value(struct cr_ask *a, enum cr_ask_kind kind, enum cr_value_kind value,
                      int truth) {
    a->kind = kind;
    a->has_value = true;
    a->value_kind = value;
    a->value = truth;
    a->n_facts = 1;
    return true;
}

static bool set_facts(struct cr_ask *a, enum cr_ask_kind kind, const struct cr_scene *s) {
    a->kind = kind;
    for (unsigned i = 0; i < s->n; i++) {
        const struct cr_object *o = &s->objects[i];
        bool is_asked =
            kind == CR_ASK_AT ? o->cell == a->cell : cr_desc_fits(&a->pick[0], o);
        a->facts |= (is_asked ? 1u : 0u) << i;
        a->n_facts += is_asked;
    }
    return a->n_facts > 0;
}

static bool read_list(struct cr_ask *a, const struct cr_scene *s, struct cr_str text) {
    if (cr_str_eq_c(text, "Describe the picture.") ||
        cr_str_eq_c(text, "What is in the picture?") ||
        cr_str_eq_c(text, "List all objects."))
        return set_facts(a, CR_ASK_ALL, s);
    if (read_plural(between(text, "Describe the ", "."), &a->pick[0]) ||
        read_plural(between(text, "List the ", "."), &a->pick[0]))
        return set_facts(a, CR_ASK_SOME, s);
    a->pick[0] = anything;
    struct cr_str place =
        between(text, s->side == 3 ? "What is at the " : "What is at ", "?");
    size_t at = 0;
    int cell = place.data ? cr_read_place(s->side, place, &at) : -1;
    if (cell < 0 || at != place.len)
        return false;
    a->cell = (unsigned)cell;
    return set_facts(a, CR_ASK_AT, s);
}

static bool read_relation(struct cr_ask *a, const struct cr_scene *s,
                          struct cr_str text) {
    struct cr_str rest = between(text, "Is the ", "?");
    for (unsigned way = 0; rest.data && way < CR_N_WAYS; way++) {
        struct cr_line words = {0};
        cr_line_addf(&words, " %s the ", cr_way_name(way));
        size_t n = cr_str_find(rest, cr_line_str(&words));
        if (n == SIZE_MAX)
            continue;
        struct cr_str second = {rest.data + n + words.len, rest.len - n - words.len};
        if (!read_desc((struct cr_str){rest.data, n}, &a->pick[0]) ||
            !read_desc(second, &a->pick[1]))
            return false;
        const struct cr_object *o = only(s, &a->pick[0]), *p = only(s, &a->pick[1]);
        if (!o || !p)
            return false;
        a->way = way;
        return set_value(a, CR_ASK_RELATION, CR_VALUE_YES_NO,
                         cr_lies(s->side, o->cell, p->cell, way));
    }
    return false;
}

static bool read_short(struct cr_ask *a, const struct cr_scene *s, struct cr_str text) {
    const struct cr_object *o;
    struct cr_desc *d = &a->pick[0];
    if (read_plural(between(text, "How many ", " are there?"), d))
        return set_value(a, CR_ASK_COUNT, CR_VALUE_NUMBER,
                         (int)cr_desc_count(d, s, NULL));
    if (read_desc(between(text, "Is there a ", "?"), d) ||
        read_desc(between(text, "Is there an ", "?"), d))
        return set_value(a, CR_ASK_EXISTS, CR_VALUE_YES_NO,
                         cr_desc_count(d, s, NULL) > 0);
    if (read_desc(between(text, "Where is the ", "?"), d) && (o = only(s, d)))
        return set_value(a, CR_ASK_WHERE, CR_VALUE_PLACE, o->cell);
    if (read_desc(between(text, "What colour is the ", "?"), d) && (o = only(s, d)))
        return set_value(a, CR_ASK_COLOUR, CR_VALUE_COLOUR, o->colour);
    if (read_desc(between(text, "Which digit is on the ", "?"), d) && (o = only(s, d)))
        return set_value(a, CR_ASK_DIGIT, CR_VALUE_DIGIT, o->digit);
    return false;
}

bool cr_ask_read(struct cr_ask *out, const struct cr_scene *s, struct cr_str text) {
    bool (*const readers[])(struct cr_ask *, const struct cr_scene *,
                            struct cr_str) = {read_list, read_short, read_relation};
    for (size_t i = 0; i < sizeof readers / sizeof readers[0]; i++) {
        *out = (struct cr_ask){.pick = {anything, anything}};
        if (text.len >= sizeof out->text)
            return false;
        if (readers[i](out, s, text)) {
            for (size_t k = 0; k < text.len; k++)
                out->text[k] = text.data[k];
            return true;
        }
    }
    return false;
}
