#include "world/answer.h"

#include <string.h>

#include "base/checked.h"

static const char *const criterion_names[CR_N_CRITERIA] = {
    "overall", "accuracy", "completeness", "hallucination", "relevance", "conciseness"};

const char *cr_criterion_name(enum cr_criterion c) {
    return criterion_names[c];
}

int cr_on_scale(int score, int min, int max) {
    return min + ((max - min) * score + 50) / 100;
}

/* ---- the oracle --------------------------------------------------------------------------------- */

/* Does the claim, taken at its word, speak of what was asked? */
static bool is_asked(const struct cr_claim *c, const struct cr_ask *ask) {
    if (ask->kind == CR_ASK_ALL)
        return true;
    if (ask->kind == CR_ASK_AT)
        return c->cell == ask->cell;
    struct cr_object said = {.shape = c->said.shape,
                             .colour = c->said.colour,
                             .size = c->said.size,
                             .digit = c->said.digit};
    return cr_desc_fits(&ask->pick[0], &said) ||
           (ask->kind == CR_ASK_RELATION && cr_desc_fits(&ask->pick[1], &said));
}

static void judge_claim(struct cr_answer *a, unsigned i, const struct cr_scene *s,
                        const struct cr_ask *ask) {
    struct cr_claim *c = &a->claims[i];
    c->is_true = c->is_full = c->invented = c->asked = false;
    if (c->kind == CR_CLAIM_PADDING)
        return;
    c->asked = true;
    if (c->kind == CR_CLAIM_VALUE) {
        c->is_true = c->is_full = c->value == ask->value;
        c->invented = ask->kind == CR_ASK_EXISTS && c->value == 1 && !c->is_true;
        return;
    }
    const struct cr_object *o = cr_scene_at(s, c->cell);
    c->is_true = o && cr_desc_fits(&c->said, o);
    c->is_full = c->is_true && cr_desc_is_full(&c->said, o);
    c->invented = !o;
    c->asked = is_asked(c, ask);
    for (unsigned k = 0; k < i; k++) /* said twice: the second is not asked for */
        if (a->claims[k].kind == CR_CLAIM_OBJECT && a->claims[k].cell == c->cell)
            c->asked = false;
}

/* "yes; no": two short answers that differ say nothing. (Speakers give one at most.) */
static void judge_contradiction(struct cr_answer *a) {
    const struct cr_claim *first = NULL;
    bool contradicts = false;
    for (unsigned i = 0; i < a->n; i++) {
        const struct cr_claim *c = &a->claims[i];
        if (c->kind != CR_CLAIM_VALUE)
            continue;
        first = first ? first : c;
        contradicts = contradicts || c->value != first->value;
    }
    for (unsigned i = 0; i < a->n && contradicts; i++)
        if (a->claims[i].kind == CR_CLAIM_VALUE)
            a->claims[i].is_true = a->claims[i].is_full = false;
}

static int ratio(unsigned part, unsigned whole, int otherwise) {
    return whole ? (int)((200 * part + whole) / (2 * whole)) : otherwise;
}

static int overall(const struct cr_answer *a, unsigned n_facts) {
    unsigned m = a->n_claims ? a->n_claims : 1, t = a->n_claims ? a->n_true : 0;
    unsigned x = CR_MIN(a->n_statements - a->n_asked, 4u);
    int score =
        (int)((100 * (t * n_facts + a->n_found * m) + m * n_facts) / (2 * m * n_facts));
    return CR_MAX(0, score - 5 * (int)x);
}

/* 6, 5, 4, 3 without a false claim, by how much of the facts is there: all, half or more, some,
 * none; 2, 1, 0 with one: half or more, some, none. */
static int rating(const struct cr_answer *a, unsigned n_facts) {
    int info = a->n_found == n_facts       ? 3
               : 2 * a->n_found >= n_facts ? 2
               : a->n_found > 0            ? 1
                                           : 0;
    return a->n_true == a->n_claims ? 3 + info : CR_MIN(info, 2);
}

static void count(struct cr_answer *a, const struct cr_scene *s,
                  const struct cr_ask *ask) {
    a->n_claims = a->n_true = a->n_invented = a->n_found = a->n_asked = a->found = 0;
    a->n_statements = a->n;
    bool has_value = false;
    for (unsigned i = 0; i < a->n; i++) {
        const struct cr_claim *c = &a->claims[i];
        a->n_claims += c->kind != CR_CLAIM_PADDING;
        a->n_true += c->is_true;
        a->n_invented += c->invented;
        a->n_asked += c->asked;
        if (c->kind == CR_CLAIM_VALUE)
            has_value = has_value || c->is_true;
        if (c->kind == CR_CLAIM_OBJECT && c->is_full)
            for (unsigned k = 0; k < s->n; k++)
                a->found |= (s->objects[k].cell == c->cell ? 1u : 0u) << k;
    }
    a->found &= ask->facts;
    for (unsigned k = 0; k < s->n; k++)
        a->n_found += a->found >> k & 1;
    if (ask->has_value)
        a->n_found = has_value;
}

/* ---- text ----------------------------------------------------------------------------------------- */

static const char *const padding[] = {
    "This is a nice picture.",       "I hope this helps.",
    "The colours are bright.",       "I am not quite sure.",
    "As you can see, it is simple.", "Thank you for asking."};
static const char *const off_topic[] = {"I like music.", "The weather is fine today.",
                                        "Cats sleep a lot."};
enum { N_PADDING = 6, N_OFF_TOPIC = 3, NOTHING = N_PADDING + N_OFF_TOPIC };

const char *cr_padding_text(int i) {
    return i < N_PADDING                 ? padding[i]
           : i < N_PADDING + N_OFF_TOPIC ? off_topic[i - N_PADDING]
           : i == NOTHING                ? "nothing"
                                         : NULL;
}

static void add_terse(struct cr_line *l, const struct cr_claim *c,
                      const struct cr_ask *ask, unsigned side, bool bare) {
    if (c->kind == CR_CLAIM_VALUE) {
        cr_value_add(l, ask, side, c->value);
        return;
    }
    if (!bare || ask->kind != CR_ASK_AT || c->cell != ask->cell)
        cr_line_addf(l, "%s: ", cr_place_name(side, c->cell));
    cr_desc_add(l, &c->said);
}

static void add_sentence(struct cr_line *l, const struct cr_claim *c,
                         const struct cr_ask *ask, unsigned side) {
    if (c->kind == CR_CLAIM_VALUE) {
        cr_line_add(l, "The answer is ");
        cr_value_add(l, ask, side, c->value);
    } else {
        cr_line_add(l, "There is ");
        cr_desc_add_article(l, &c->said);
        cr_line_add(l, " ");
        cr_add_at_place(l, side, c->cell);
    }
    cr_line_add(l, ".");
}

static void write_text(struct cr_answer *a, const struct cr_scene *s,
                       const struct cr_ask *ask) {
    struct cr_line l;
    bool open = false; /* a terse list that wants its full stop */
    cr_line_clear(&l);
    for (unsigned i = 0; i < a->n; i++) {
        const struct cr_claim *c = &a->claims[i];
        bool sentence = a->sentences || c->kind == CR_CLAIM_PADDING;
        if (i > 0)
            cr_line_add(&l, !open ? " " : sentence ? ". " : "; ");
        if (c->kind == CR_CLAIM_PADDING)
            cr_line_add(&l, cr_padding_text(c->value));
        else if (sentence)
            add_sentence(&l, c, ask, s->side);
        else
            add_terse(&l, c, ask, s->side, a->bare);
        open = !sentence;
    }
    if (open && !a->bare)
        cr_line_add(&l, ".");
    CR_ASSERT(l.len < sizeof a->text);
    a->len = l.len;
    memcpy(a->text, l.text, l.len + 1);
}

void cr_answer_judge(struct cr_answer *a, const struct cr_scene *s,
                     const struct cr_ask *ask) {
    for (unsigned i = 0; i < a->n; i++)
        judge_claim(a, i, s, ask);
    judge_contradiction(a);
    count(a, s, ask);
    a->scores[CR_OVERALL] = overall(a, ask->n_facts);
    a->scores[CR_ACCURACY] = ratio(a->n_true, a->n_claims, 0);
    a->scores[CR_COMPLETENESS] = ratio(a->n_found, ask->n_facts, 0);
    a->scores[CR_HALLUCINATION] = ratio(a->n_claims - a->n_invented, a->n_claims, 100);
    a->scores[CR_RELEVANCE] = ratio(a->n_asked, a->n_statements, 0);
    a->scores[CR_CONCISENESS] = a->n_statements == 0 ? 0
                                : a->n_statements <= ask->n_facts
                                    ? 100
                                    : ratio(ask->n_facts, a->n_statements, 0);
    a->rating = rating(a, ask->n_facts);
    write_text(a, s, ask);
}

/* ---- speakers --------------------------------------------------------------------------------------- */

static struct cr_claim object_claim(const struct cr_object *o) {
    return (struct cr_claim){
        .kind = CR_CLAIM_OBJECT, .cell = o->cell, .said = cr_desc_of(o)};
}

static void insert(struct cr_answer *a, unsigned at, struct cr_claim c) {
    if (a->n == CR_MAX_CLAIMS)
        return;
    memmove(&a->claims[at + 1], &a->claims[at], (a->n - at) * sizeof a->claims[0]);
    a->claims[at] = c;
    a->n++;
}

static void remove_at(struct cr_answer *a, unsigned at) {
    a->n--;
    memmove(&a->claims[at], &a->claims[at + 1], (a->n - at) * sizeof a->claims[0]);
}

/* Objects that explain a short answer. */
static void add_support(struct cr_answer *a, const struct cr_scene *s,
                        const struct cr_ask *ask) {
    for (unsigned i = 0; i < s->n; i++)
        if (cr_desc_fits(&ask->pick[0], &s->objects[i]) ||
            (ask->kind == CR_ASK_RELATION && cr_desc_fits(&ask->pick[1], &s->objects[i])))
            insert(a, a->n, object_claim(&s->objects[i]));
}

void cr_answer_perfect(struct cr_answer *a, const struct cr_scene *s,
                       const struct cr_ask *ask) {
    *a = (struct cr_answer){.n = 0};
    if (ask->has_value)
        insert(a, 0, (struct cr_claim){.kind = CR_CLAIM_VALUE, .value = ask->value});
    for (unsigned i = 0; i < s->n; i++)
        if (ask->facts >> i & 1)
            insert(a, a->n, object_claim(&s->objects[i]));
    cr_answer_judge(a, s, ask);
}

/* What a speaker works with. */
struct job {
    const struct cr_scene *s;
    const struct cr_ask *ask;
    struct cr_rng *r;
    bool novel_ok;
};

static int other_value(const struct job *j, int value) {
    const struct cr_ask *ask = j->ask;
    int n_cells = j->s->side * j->s->side, x;
    do {
        if (ask->value_kind == CR_VALUE_YES_NO)
            x = 1 - value;
        else if (ask->value_kind == CR_VALUE_PLACE)
            x = (int)cr_draw(j->r, (unsigned)n_cells);
        else if (ask->value_kind == CR_VALUE_COLOUR)
            x = 1 + (int)cr_draw(j->r, CR_N_COLOURS);
        else if (ask->value_kind == CR_VALUE_DIGIT)
            x = (int)cr_draw(j->r, 11) - 1;
        else
            x = cr_chance(j->r, 70) ? value + (cr_chance(j->r, 50) ? 1 : -1)
                                    : (int)cr_draw(j->r, 6);
        /* "The circle is …" would name a pair that this split does not name. */
        if (ask->value_kind == CR_VALUE_COLOUR && !j->novel_ok &&
            cr_is_novel_pair(ask->pick[0].shape, (unsigned)x))
            x = value;
    } while (x == value || (ask->value_kind == CR_VALUE_NUMBER && x < 0));
    return x;
}

static int empty_cell(const struct job *j) {
    unsigned n = (unsigned)j->s->side * j->s->side;
    for (int tries = 0; tries < 40; tries++) {
        unsigned cell = cr_draw(j->r, n);
        if (!cr_scene_at(j->s, cell))
            return (int)cell;
    }
    return -1;
}

static void change_part(const struct job *j, struct cr_desc *d) {
    unsigned n_parts = d->digit >= 0 ? 4 : 3;
    unsigned part = cr_draw(j->r, n_parts);
    if (d->digit < 0 && cr_chance(j->r, 8))
        d->digit = (int8_t)cr_draw(j->r, 10);
    else if ((part == 0 && !d->size) || (part == 1 && !d->colour) ||
             (part == 2 && !d->shape))
        cr_desc_change(j->r, d, d->shape ? 2 : 1, j->novel_ok);
    else
        cr_desc_change(j->r, d, part, j->novel_ok);
}

static void leave_out_part(const struct job *j, struct cr_desc *d) {
    if (d->digit >= 0 && cr_chance(j->r, 50))
        d->digit = CR_NO_DIGIT;
    else if (cr_chance(j->r, 70))
        d->size = 0;
    else
        d->colour = 0;
}

/* One fault in claim i; false where the claim is gone. */
static bool corrupt(const struct job *j, struct cr_answer *a, unsigned i) {
    struct cr_claim *c = &a->claims[i];
    if (c->kind == CR_CLAIM_VALUE) {
        if (cr_chance(j->r, 15)) {
            remove_at(a, i);
            return false;
        }
        c->value = other_value(j, j->ask->value);
        return true;
    }
    unsigned x = cr_draw(j->r, 100);
    int cell;
    if (x < 62) {
        change_part(j, &c->said);
    } else if (x < 72 && (cell = empty_cell(j)) >= 0) {
        c->cell = (uint8_t)cell;
    } else if (x < 88) {
        remove_at(a, i);
        return false;
    } else {
        leave_out_part(j, &c->said);
    }
    return true;
}

static struct cr_desc random_desc(const struct job *j) {
    struct cr_desc d;
    do {
        d = (struct cr_desc){
            (uint8_t)(1 + cr_draw(j->r, CR_N_SIZES)),
            (uint8_t)(1 + cr_draw(j->r, CR_N_COLOURS)),
            (uint8_t)(1 + cr_draw(j->r, CR_N_SHAPES)),
            (int8_t)(cr_chance(j->r, 40) ? (int)cr_draw(j->r, 10) : CR_NO_DIGIT)};
        if (cr_chance(j->r, 70)) { /* keeps to the question */
            d.colour = j->ask->pick[0].colour ? j->ask->pick[0].colour : d.colour;
            d.shape = j->ask->pick[0].shape ? j->ask->pick[0].shape : d.shape;
        }
    } while (!j->novel_ok && cr_is_novel_pair(d.shape, d.colour));
    return d;
}

/* Something that the answer is worse for: an invented object, one that was not asked for, the same
 * again, or padding. */
static void add_extra(const struct job *j, struct cr_answer *a) {
    unsigned x = cr_draw(j->r, 100), at = cr_draw(j->r, a->n + 1);
    if (a->n > 0 && a->claims[0].kind == CR_CLAIM_VALUE && at == 0)
        at = a->n; /* a short answer stands first */
    int cell;
    if (x < 30 && (cell = empty_cell(j)) >= 0) {
        insert(a, at,
               (struct cr_claim){.kind = CR_CLAIM_OBJECT,
                                 .cell = (uint8_t)cell,
                                 .said = random_desc(j)});
    } else if (x < 55 && j->ask->kind != CR_ASK_ALL) {
        insert(a, at, object_claim(&j->s->objects[cr_draw(j->r, j->s->n)]));
    } else if (x < 62 && a->n > 0 && a->claims[0].kind == CR_CLAIM_OBJECT) {
        insert(a, a->n, a->claims[0]);
    } else {
        insert(a, cr_chance(j->r, 75) ? a->n : 0,
               (struct cr_claim){.kind = CR_CLAIM_PADDING,
                                 .value = (int)cr_draw(j->r, N_PADDING)});
    }
}

static void shuffle_objects(const struct job *j, struct cr_answer *a) {
    unsigned first = a->n > 0 && a->claims[0].kind == CR_CLAIM_VALUE;
    for (unsigned i = a->n; i > first + 1; i--) {
        unsigned k = first + cr_draw(j->r, i - first);
        struct cr_claim c = a->claims[i - 1];
        a->claims[i - 1] = a->claims[k];
        a->claims[k] = c;
    }
}

static void say_nothing_of_use(const struct job *j, struct cr_answer *a) {
    a->n = 0;
    for (unsigned k = 0, n = 1 + cr_draw(j->r, 2); k < n; k++)
        insert(a, a->n,
               (struct cr_claim){.kind = CR_CLAIM_PADDING,
                                 .value = N_PADDING + (int)cr_draw(j->r, N_OFF_TOPIC)});
}

void cr_answer_speak(struct cr_answer *a, const struct cr_scene *s,
                     const struct cr_ask *ask, unsigned skill, struct cr_rng *r,
                     bool novel_ok) {
    static const unsigned fault_percent[6] = {0, 8, 18, 30, 45, 65};
    static const unsigned extra_percent[6] = {8, 20, 25, 30, 30, 30};
    struct job j = {s, ask, r, novel_ok};
    cr_answer_perfect(a, s, ask);
    if (ask->has_value && cr_chance(r, 55))
        add_support(a, s, ask);
    if (skill >= 2 && cr_chance(r, 3)) {
        say_nothing_of_use(&j, a);
    } else {
        for (unsigned i = 0; i < a->n;) {
            bool there = true;
            if (cr_chance(r, fault_percent[skill]))
                there = corrupt(&j, a, i);
            i += there;
        }
        if (cr_chance(r, 25))
            shuffle_objects(&j, a);
        while (cr_chance(r, extra_percent[skill]))
            add_extra(&j, a);
    }
    a->sentences = cr_chance(r, 18);
    a->bare = !a->sentences && cr_chance(r, cr_ask_is_short(ask) ? 40 : 10);
    cr_answer_judge(a, s, ask);
}

void cr_answer_bare(struct cr_answer *a, const struct cr_scene *s,
                    const struct cr_ask *ask, bool right, struct cr_rng *r,
                    bool novel_ok) {
    struct job j = {s, ask, r, novel_ok};
    CR_ASSERT(cr_ask_is_short(ask));
    cr_answer_perfect(a, s, ask);
    if (!right && ask->has_value)
        a->claims[0].value = other_value(&j, ask->value);
    else if (!right && cr_chance(r, 35)) /* true of empty places, which are not judged */
        a->claims[0] = (struct cr_claim){.kind = CR_CLAIM_PADDING, .value = NOTHING};
    else if (!right)
        change_part(&j, &a->claims[0].said);
    a->bare = true;
    cr_answer_judge(a, s, ask);
}

void cr_answer_vary(struct cr_answer *a, const struct cr_scene *s,
                    const struct cr_ask *ask, struct cr_rng *r, bool novel_ok) {
    struct job j = {s, ask, r, novel_ok};
    unsigned x = cr_draw(r, 100);
    if (x < 45 && a->n > 0) {
        unsigned i = cr_draw(r, a->n);
        if (a->claims[i].kind == CR_CLAIM_PADDING)
            remove_at(a, i);
        else
            (void)corrupt(&j, a, i);
    } else if (x < 75) {
        add_extra(&j, a);
    } else if (x < 88) {
        shuffle_objects(&j, a);
    } else {
        a->sentences = !a->sentences;
        a->bare = false;
    }
    cr_answer_judge(a, s, ask);
}
