#include "world/reason.h"

#include <string.h>

#include "base/checked.h"

/* ---- writing --------------------------------------------------------------------------------------- */

struct walk {
    struct cr_line *l;
    const struct cr_scene *s;
    const struct cr_ask *ask;
    const struct cr_answer *a;
    bool faults_only;
    unsigned n_items;
};

static void begin_item(struct walk *w) {
    if (w->n_items++ > 0)
        cr_line_add(w->l, "; ");
}

/* Describing everything walks over all objects anyway, and "what is at" names its one cell. */
static bool needs_scan(const struct cr_ask *ask) {
    return ask->kind != CR_ASK_ALL && ask->kind != CR_ASK_AT;
}

static void add_hit(struct cr_line *l, const struct cr_scene *s, unsigned n,
                    const struct cr_object *o) {
    struct cr_desc d = cr_desc_of(o);
    cr_line_addf(l, "%s%s at %s: ", n > 1 ? "; " : "", cr_number_name(n),
                 cr_place_name(s->side, o->cell));
    cr_desc_add(l, &d);
}

/* Two places compared, each axis on which they differ. */
static void add_ways(struct cr_line *l, unsigned side, unsigned a, unsigned b) {
    for (unsigned way = 0; way < CR_N_WAYS; way++)
        if (cr_lies(side, a, b, way))
            cr_line_addf(l, "; one %s two", cr_way_name(way));
}

static void add_asked(struct cr_line *l, const struct cr_scene *s,
                      const struct cr_ask *ask) {
    unsigned n = 0;
    cr_line_add(l, "Asked: ");
    if (ask->kind == CR_ASK_RELATION) {
        const struct cr_object *o[2];
        for (unsigned i = 0; i < 2; i++) {
            cr_desc_count(&ask->pick[i], s, &o[i]);
            add_hit(l, s, i + 1, o[i]);
        }
        add_ways(l, s->side, o[0]->cell, o[1]->cell);
        cr_line_addf(l, "; %s: %s", cr_way_name(ask->way), ask->value ? "yes" : "no");
    } else {
        for (unsigned i = 0; i < s->n; i++)
            if (cr_desc_fits(&ask->pick[0], &s->objects[i]))
                add_hit(l, s, ++n, &s->objects[i]);
        if (n == 0)
            cr_line_add(l, "none");
    }
    cr_line_add(l, ".\n");
}

void cr_reason_scan(struct cr_line *l, const struct cr_scene *s,
                    const struct cr_ask *ask) {
    if (!needs_scan(ask))
        return;
    cr_line_add(l, "Picture: ");
    for (unsigned i = 0; i < s->n; i++) {
        struct cr_desc d = cr_desc_of(&s->objects[i]);
        cr_line_addf(l, "%s%s: ", i ? "; " : "",
                     cr_place_name(s->side, s->objects[i].cell));
        cr_desc_add(l, &d);
    }
    cr_line_add(l, ".\n");
    add_asked(l, s, ask);
}

static void add_value_item(struct walk *w, const struct cr_claim *c) {
    begin_item(w);
    cr_line_add(w->l, "answer: ");
    cr_value_add(w->l, w->ask, w->s->side, w->ask->value);
    if (c->is_true) {
        cr_line_add(w->l, ", ok");
        return;
    }
    cr_line_add(w->l, ", not ");
    cr_value_add(w->l, w->ask, w->s->side, c->value);
}

static void add_object_item(struct walk *w, const struct cr_claim *c) {
    const struct cr_object *o = cr_scene_at(w->s, c->cell);
    begin_item(w);
    cr_line_addf(w->l, "%s: ", cr_place_name(w->s->side, c->cell));
    if (!o) {
        cr_line_add(w->l, "nothing, not ");
        cr_desc_add(w->l, &c->said);
    } else {
        struct cr_desc truth = cr_desc_of(o);
        cr_desc_add(w->l, &truth);
        cr_line_add(w->l, c->is_full ? ", ok" : c->is_true ? ", partial" : ", not");
        if (!c->is_true)
            cr_desc_add_wrong(w->l, &c->said, &truth);
    }
    if (!c->asked)
        cr_line_add(w->l, ", extra");
}

static void add_claim_items(struct walk *w) {
    if (w->a->n == 0) {
        begin_item(w);
        cr_line_add(w->l, "nothing said");
    }
    for (unsigned i = 0; i < w->a->n; i++) {
        const struct cr_claim *c = &w->a->claims[i];
        if (w->faults_only && c->is_full && c->asked)
            continue;
        if (c->kind == CR_CLAIM_VALUE) {
            add_value_item(w, c);
        } else if (c->kind == CR_CLAIM_OBJECT) {
            add_object_item(w, c);
        } else {
            begin_item(w);
            cr_line_add(w->l, "padding");
        }
    }
}

static bool speaks_of(const struct cr_answer *a, enum cr_claim_kind kind, unsigned cell) {
    for (unsigned i = 0; i < a->n; i++)
        if (a->claims[i].kind == kind &&
            (kind == CR_CLAIM_VALUE || a->claims[i].cell == cell))
            return true;
    return false;
}

static void add_missing(struct walk *w) {
    if (w->ask->has_value && !speaks_of(w->a, CR_CLAIM_VALUE, 0)) {
        begin_item(w);
        cr_line_add(w->l, "missing answer: ");
        cr_value_add(w->l, w->ask, w->s->side, w->ask->value);
    }
    for (unsigned i = 0; i < w->s->n; i++) {
        const struct cr_object *o = &w->s->objects[i];
        struct cr_desc d = cr_desc_of(o);
        if (!(w->ask->facts >> i & 1) || speaks_of(w->a, CR_CLAIM_OBJECT, o->cell))
            continue;
        begin_item(w);
        cr_line_addf(w->l, "missing %s: ", cr_place_name(w->s->side, o->cell));
        cr_desc_add(w->l, &d);
    }
}

static void add_count(struct walk *w, unsigned part, unsigned whole, const char *what) {
    begin_item(w);
    cr_line_addf(w->l, "%s of %s %s", cr_number_name(part), cr_number_name(whole), what);
}

static void add_counts(struct walk *w, unsigned criterion) {
    const struct cr_answer *a = w->a;
    unsigned extra = a->n_statements - a->n_asked, n_facts = w->ask->n_facts;
    if (criterion == CR_OVERALL || criterion == CR_ACCURACY || criterion == CR_RUBRIC)
        add_count(w, a->n_true, a->n_claims, "right");
    if (criterion == CR_OVERALL || criterion == CR_COMPLETENESS || criterion == CR_RUBRIC)
        add_count(w, a->n_found, n_facts, "found");
    if (criterion == CR_HALLUCINATION)
        add_count(w, a->n_invented, a->n_claims, "invented");
    if (criterion == CR_RELEVANCE)
        add_count(w, a->n_asked, a->n_statements, "asked for");
    if (criterion == CR_OVERALL && extra > 0) {
        begin_item(w);
        cr_line_addf(w->l, "%s extra", cr_number_name(extra));
    }
    if (criterion == CR_CONCISENESS) {
        begin_item(w);
        cr_line_addf(w->l, "%s said; %s needed", cr_number_name(a->n_statements),
                     cr_number_name(n_facts));
    }
}

static bool wants_missing(unsigned criterion) {
    return criterion == CR_OVERALL || criterion == CR_COMPLETENESS ||
           criterion == CR_RUBRIC;
}

void cr_reason_walk(struct cr_line *l, const struct cr_scene *s, const struct cr_ask *ask,
                    const struct cr_answer *a, unsigned criterion, bool score) {
    struct walk w = {l, s, ask, a, false, 0};
    add_claim_items(&w);
    if (wants_missing(criterion))
        add_missing(&w);
    add_counts(&w, criterion);
    if (score) {
        begin_item(&w);
        cr_line_addf(l, "score %d", a->scores[criterion]);
    }
    cr_line_add(l, ".");
}

void cr_reason_faults(struct cr_line *l, const struct cr_scene *s,
                      const struct cr_ask *ask, const struct cr_answer *a,
                      unsigned criterion) {
    struct walk w = {l, s, ask, a, true, 0};
    add_claim_items(&w);
    if (wants_missing(criterion))
        add_missing(&w);
    cr_line_add(l, w.n_items == 0 ? "all ok." : ".");
}

/* ---- reading ---------------------------------------------------------------------------------------- */

enum part { IN_WALK, IN_SCAN, IN_ASKED };

/* What was asked, as far as it is read: how many, and where the first two are. */
struct hits {
    unsigned n, cells[2];
};

static bool at_end(struct cr_str s, size_t at) {
    return at == s.len;
}

static bool read_extra(struct cr_str s, size_t *at, bool *extra) {
    *extra = cr_read_literal(s, at, ", extra");
    return at_end(s, *at);
}

/* " small blue": stated parts that are wrong, in the order of a description. */
static bool read_wrong(struct cr_str s, size_t *at, struct cr_desc *d) {
    size_t start = *at;
    *d = (struct cr_desc){.digit = CR_NO_DIGIT};
    d->size = (uint8_t)cr_read_size(s, at);
    d->colour = (uint8_t)cr_read_colour(s, at);
    d->shape = (uint8_t)cr_read_shape(s, at);
    int digit = cr_read_number(s, at);
    if (digit > 9)
        return false;
    d->digit = (int8_t)digit;
    return *at > start;
}

static bool read_object_item(struct cr_fact *f, struct cr_str s, size_t at) {
    if (f->kind == CR_FACT_OBJECT && cr_read_literal(s, &at, "nothing, not ")) {
        f->kind = CR_FACT_NOTHING;
        f->mark = CR_MARK_NOT;
        return cr_desc_read(s, &at, &f->wrong) && read_extra(s, &at, &f->extra);
    }
    if (!cr_desc_read(s, &at, &f->shown))
        return false;
    if (f->kind != CR_FACT_OBJECT)
        return at_end(s, at);
    if (cr_read_literal(s, &at, ", ok")) {
        f->mark = CR_MARK_OK;
    } else if (cr_read_literal(s, &at, ", partial")) {
        f->mark = CR_MARK_PARTIAL;
    } else {
        f->mark = CR_MARK_NOT;
        if (!cr_read_literal(s, &at, ", not ") || !read_wrong(s, &at, &f->wrong))
            return false;
    }
    return read_extra(s, &at, &f->extra);
}

static bool read_answer_item(struct cr_fact *f, struct cr_str s, size_t at) {
    struct cr_str rest = {s.data + at, s.len - at};
    size_t comma = cr_str_find(rest, cr_str_of(", "));
    f->kind = CR_FACT_ANSWER;
    f->value = (struct cr_str){rest.data, comma == SIZE_MAX ? rest.len : comma};
    if (f->value.len == 0 || comma == SIZE_MAX)
        return false;
    at += comma;
    f->mark = cr_read_literal(s, &at, ", ok") ? CR_MARK_OK : CR_MARK_NOT;
    if (f->mark == CR_MARK_OK)
        return at_end(s, at);
    if (!cr_read_literal(s, &at, ", not "))
        return false;
    f->said = (struct cr_str){s.data + at, s.len - at};
    return f->said.len > 0;
}

static bool is_digits(struct cr_str s, size_t at) {
    size_t n = 0;
    while (at + n < s.len && s.data[at + n] >= '0' && s.data[at + n] <= '9')
        n++;
    return n > 0 && at + n == s.len;
}

/* Items that state no fact of the picture. */
static bool is_plain_item(struct cr_str s) {
    static const char *const whats[] = {"right", "found", "invented", "asked for"};
    static const char *const counts[] = {"extra", "said", "needed"};
    size_t at = 0;
    if (cr_str_eq_c(s, "padding") || cr_str_eq_c(s, "nothing said") ||
        cr_str_eq_c(s, "all ok"))
        return true;
    if (cr_read_literal(s, &at, "score "))
        return is_digits(s, at);
    if (cr_read_number(s, &at) < 0)
        return false;
    struct cr_str rest = {s.data + at, s.len - at};
    for (size_t i = 0; i < CR_COUNT(counts); i++)
        if (cr_str_eq_c(rest, counts[i]))
            return true;
    if (!cr_read_literal(s, &at, "of ") || cr_read_number(s, &at) < 0)
        return false;
    rest = (struct cr_str){s.data + at, s.len - at};
    for (size_t i = 0; i < CR_COUNT(whats); i++)
        if (cr_str_eq_c(rest, whats[i]))
            return true;
    return false;
}

static bool read_place_item(struct cr_fact *f, struct cr_str s, unsigned side,
                            size_t at) {
    int cell = cr_read_place(side, s, &at);
    if (cell < 0 || !cr_read_literal(s, &at, ": "))
        return false;
    f->cell = (unsigned)cell;
    return read_object_item(f, s, at);
}

/* "one above two" or "below: no", of the hits before. */
static bool read_way(struct cr_fact *f, struct cr_str s, const struct hits *hits) {
    size_t at = 0;
    bool answers = !cr_read_literal(s, &at, "one ");
    *f = (struct cr_fact){
        .kind = CR_FACT_WAY, .cell = hits->cells[0], .other = hits->cells[1]};
    while (f->way < CR_N_WAYS && !cr_read_literal(s, &at, cr_way_name(f->way)))
        f->way++;
    struct cr_str rest = {s.data + at, s.len - at};
    f->mark = cr_str_eq_c(rest, ": no") ? CR_MARK_NOT : CR_MARK_NONE;
    return f->way < CR_N_WAYS && hits->n == 2 &&
           (answers ? f->mark == CR_MARK_NOT || cr_str_eq_c(rest, ": yes")
                    : cr_str_eq_c(rest, " two"));
}

/* An item of what is asked; hits are counted from one up. */
static bool read_hit(struct cr_fact *f, struct cr_str s, unsigned side,
                     struct hits *hits) {
    size_t at = 0;
    if (cr_read_number(s, &at) != (int)hits->n + 1 || !cr_read_literal(s, &at, "at ") ||
        !read_place_item(f, s, side, at))
        return false;
    if (hits->n < 2)
        hits->cells[hits->n] = f->cell;
    hits->n++;
    return true;
}

/* True where the item states a fact; *known tells whether the grammar has it at all. */
static bool read_item(struct cr_fact *f, struct cr_str s, unsigned side, enum part part,
                      struct hits *hits, bool *known) {
    size_t at = 0;
    *f = (struct cr_fact){.kind = part == IN_WALK ? CR_FACT_OBJECT : CR_FACT_SEEN};
    *known = true;
    if (part == IN_SCAN)
        return *known = read_place_item(f, s, side, at);
    if (part == IN_ASKED && hits->n == 0 && cr_str_eq_c(s, "none"))
        return false;
    if (part == IN_ASKED)
        return *known = read_hit(f, s, side, hits) || read_way(f, s, hits);
    if (is_plain_item(s))
        return false;
    if (cr_read_literal(s, &at, "missing answer: ")) {
        f->kind = CR_FACT_NO_ANSWER;
        f->value = (struct cr_str){s.data + at, s.len - at};
        return *known = f->value.len > 0;
    }
    if (cr_read_literal(s, &at, "answer: "))
        return *known = read_answer_item(f, s, at);
    if (cr_read_literal(s, &at, "missing "))
        f->kind = CR_FACT_MISSING;
    return *known = read_place_item(f, s, side, at);
}

/* "First: ", "B: ", "2: " at the beginning; which answer, or -1. */
static int read_heading(struct cr_str s, size_t *at) {
    static const char *const headings[] = {
        "First: ", "Second: ", "A: ", "B: ", "1: ", "2: "};
    for (int i = 0; i < 6; i++)
        if (cr_read_literal(s, at, headings[i]))
            return i & 1;
    return -1;
}

static bool is_verdict(struct cr_str s) {
    static const char *const starts[] = {
        "The better response: ", "Two responses are equally good", "Score: ", "Rating: "};
    size_t at = 0;
    for (size_t i = 0; i < CR_COUNT(starts); i++)
        if (cr_read_literal(s, &at, starts[i]))
            return true;
    return false;
}

static void read_sentence(struct cr_reason *out, struct cr_str s, unsigned side,
                          unsigned *answer) {
    size_t at = 0;
    struct hits hits = {0};
    enum part part = cr_read_literal(s, &at, "Picture: ") ? IN_SCAN
                     : cr_read_literal(s, &at, "Asked: ") ? IN_ASKED
                                                          : IN_WALK;
    int heading = part == IN_WALK ? read_heading(s, &at) : -1;
    if (heading >= 0)
        *answer = (unsigned)heading;
    while (at < s.len) {
        struct cr_str rest = {s.data + at, s.len - at};
        size_t n = cr_str_find(rest, cr_str_of("; "));
        struct cr_str item = {rest.data, n == SIZE_MAX ? rest.len : n};
        struct cr_fact f;
        bool known;
        if (read_item(&f, item, side, part, &hits, &known)) {
            f.answer = *answer;
            if (out->n_facts < out->max_facts)
                out->facts[out->n_facts++] = f;
            else
                out->n_unread++;
        } else if (!known) {
            out->n_unread++;
        }
        at += item.len + (n == SIZE_MAX ? 0 : 2);
    }
}

void cr_reason_read(struct cr_reason *out, struct cr_str text, unsigned side) {
    unsigned answer = 0;
    out->n_facts = out->n_unread = 0;
    for (size_t at = 0; at < text.len;) {
        size_t end = at;
        while (end < text.len && text.data[end] != '\n')
            end++;
        size_t next = end + 1;
        while (end > at && (text.data[end - 1] == ' ' || text.data[end - 1] == '.'))
            end--;
        struct cr_str line = {text.data + at, end - at};
        if (!is_verdict(line))
            read_sentence(out, line, side, &answer);
        at = next;
    }
}

bool cr_fact_holds(const struct cr_fact *f, const struct cr_scene *s,
                   struct cr_str value) {
    if (f->kind == CR_FACT_ANSWER || f->kind == CR_FACT_NO_ANSWER)
        return value.data && cr_str_eq(f->value, value);
    if (f->kind == CR_FACT_WAY)
        return cr_lies(s->side, f->cell, f->other, f->way) == (f->mark != CR_MARK_NOT);
    const struct cr_object *o = cr_scene_at(s, f->cell);
    if (f->kind == CR_FACT_NOTHING)
        return !o;
    return o && cr_desc_fits(&f->shown, o);
}
