/* What a free answer says, as claims: the reverse of write_text (answer.c). */
#include <string.h>

#include "base/checked.h"
#include "world/answer.h"

#define MAX_TEXT ((size_t)4096) /* of longer answers the beginning is heard */

struct ear {
    const struct cr_scene *s;
    const struct cr_ask *ask;
    struct cr_str text; /* capitals lowered */
};

static char lower(char c) {
    return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

static bool is_end(struct cr_str s, size_t at) {
    while (at < s.len && s.data[at] == ' ')
        at++;
    return at == s.len || s.data[at] == '.' || s.data[at] == ';' || s.data[at] == '\n';
}

static bool read_padding(const struct ear *e, size_t *at, struct cr_claim *c) {
    const char *words;
    for (int i = 0; (words = cr_padding_text(i)); i++) {
        size_t n = strlen(words), k = 0;
        while (k < n && *at + k < e->text.len && e->text.data[*at + k] == lower(words[k]))
            k++;
        if (k == n && (words[n - 1] == '.' || is_end(e->text, *at + n))) {
            *at += n;
            *c = (struct cr_claim){.kind = CR_CLAIM_PADDING, .value = i};
            return true;
        }
    }
    return false;
}

/* "top: small red circle", "there is a small red circle at the top", and of a question about a cell
 * "small red circle". */
static bool read_object(const struct ear *e, size_t *at, struct cr_claim *c) {
    struct cr_str s = e->text;
    size_t k = *at;
    int cell;
    *c = (struct cr_claim){.kind = CR_CLAIM_OBJECT};
    if (cr_read_literal(s, &k, "there is a ") || cr_read_literal(s, &k, "there is an ")) {
        if (!cr_desc_read(s, &k, &c->said))
            return false;
        if (k < s.len && s.data[k] == ' ')
            k++;
        if (!cr_read_literal(s, &k, e->s->side == 3 ? "at the " : "at ") ||
            (cell = cr_read_place(e->s->side, s, &k)) < 0)
            return false;
    } else if ((cell = cr_read_place(e->s->side, s, &k)) >= 0) {
        if (!cr_read_literal(s, &k, ": ") || !cr_desc_read(s, &k, &c->said))
            return false;
    } else if (e->ask->kind == CR_ASK_AT && cr_desc_read(s, &k, &c->said)) {
        cell = (int)e->ask->cell;
    } else {
        return false;
    }
    c->cell = (uint8_t)cell;
    if (!is_end(s, k))
        return false;
    *at = k;
    return true;
}

static int value_of(const struct ear *e, size_t *at) {
    struct cr_str s = e->text;
    switch (e->ask->value_kind) {
    case CR_VALUE_NUMBER:
        return cr_read_number(s, at);
    case CR_VALUE_YES_NO:
        return cr_read_literal(s, at, "yes") ? 1 : cr_read_literal(s, at, "no") ? 0 : -1;
    case CR_VALUE_PLACE:
        return cr_read_place(e->s->side, s, at);
    case CR_VALUE_COLOUR: {
        unsigned colour = cr_read_colour(s, at);
        return colour ? (int)colour : -1;
    }
    default:
        return cr_read_number(s, at);
    }
}

static bool read_value(const struct ear *e, size_t *at, struct cr_claim *c) {
    size_t k = *at;
    if (!e->ask->has_value)
        return false;
    cr_read_literal(e->text, &k, "the answer is ");
    bool is_none =
        e->ask->value_kind == CR_VALUE_DIGIT && cr_read_literal(e->text, &k, "none");
    int value = is_none ? -1 : value_of(e, &k);
    if ((value < 0 && !is_none) || !is_end(e->text, k))
        return false;
    *c = (struct cr_claim){.kind = CR_CLAIM_VALUE, .value = value};
    *at = k;
    return true;
}

/* Behind what nobody understands. */
static void skip(const struct ear *e, size_t *at) {
    while (*at < e->text.len && !is_end(e->text, *at))
        ++*at;
}

void cr_answer_read(struct cr_answer *a, const struct cr_scene *s,
                    const struct cr_ask *ask, struct cr_str text) {
    char low[MAX_TEXT];
    struct ear e = {s, ask, {low, CR_MIN(text.len, sizeof low)}};
    size_t at = 0;
    for (size_t i = 0; i < e.text.len; i++)
        low[i] = lower(text.data[i]);
    *a = (struct cr_answer){.n = 0};
    while (a->n < CR_MAX_CLAIMS) {
        struct cr_claim *c = &a->claims[a->n];
        while (at < e.text.len && strchr(" .;\n", low[at]))
            at++;
        if (at == e.text.len)
            break;
        size_t from = at;
        if (read_object(&e, &at, c)) {
            size_t place = from;
            bool is_sentence = cr_read_literal(e.text, &from, "there ");
            a->sentences |= is_sentence;
            a->bare |= !is_sentence && cr_read_place(s->side, e.text, &place) < 0;
        } else if (read_value(&e, &at, c)) {
            a->sentences |= cr_read_literal(e.text, &from, "the answer");
        } else if (!read_padding(&e, &at, c)) {
            *c = (struct cr_claim){.kind = CR_CLAIM_PADDING};
            skip(&e, &at);
        }
        a->n++;
    }
    if (!a->sentences && e.text.len > 0)
        a->bare |= low[e.text.len - 1] != '.';
    cr_answer_judge(a, s, ask);
}
