#include "judge/template_match.h"

#include <string.h>

#include "base/checked.h"
#include "judge/template_body.h"

/* Texts that look like a template again and again end here. */
#define MAX_STEPS ((size_t)20000)

struct matcher {
    const struct cr_template *t;
    struct cr_str text;
    size_t n_steps;
    struct cr_template_found found;
};

static bool match(struct matcher *m, size_t piece, size_t at);

static struct cr_str trimmed(struct cr_str s) {
    while (s.len > 0 && strchr(" \n\r\t", s.data[s.len - 1]))
        s.len--;
    return s;
}

/* The template's own text; the last one without the white space at its end. */
static struct cr_str literal(const struct matcher *m, size_t piece) {
    struct cr_str s = m->t->pieces[piece].text;
    return piece + 1 == m->t->n_pieces ? trimmed(s) : s;
}

static bool match_text(struct matcher *m, size_t piece, size_t at) {
    struct cr_str s = literal(m, piece);
    if (m->text.len - at < s.len || memcmp(m->text.data + at, s.data, s.len) != 0)
        return false;
    m->found.n_literal += s.len;
    if (match(m, piece + 1, at + s.len))
        return true;
    m->found.n_literal -= s.len;
    return false;
}

static bool is_number(enum cr_field f) {
    return f == CR_FIELD_SCALE_MIN || f == CR_FIELD_SCALE_MAX || f == CR_FIELD_N_ANSWERS;
}

static bool may_hold(enum cr_field field, struct cr_str value) {
    for (size_t i = 0; is_number(field) && i < value.len; i++)
        if (!strchr("0123456789.-", value.data[i]))
            return false;
    bool may_be_empty = field == CR_FIELD_ANSWER || field == CR_FIELD_ANSWER_1 ||
                        field == CR_FIELD_ANSWER_2;
    return value.len > 0 || may_be_empty;
}

/* A value ends where the rest of the template goes on; shortest first. */
static bool match_value(struct matcher *m, size_t piece, size_t at) {
    enum cr_field field = m->t->pieces[piece].field;
    struct cr_str *place = &m->found.fields[field], before = *place;
    bool has_literal =
        piece + 1 < m->t->n_pieces && m->t->pieces[piece + 1].kind == CR_PIECE_TEXT;
    struct cr_str next = has_literal ? literal(m, piece + 1) : (struct cr_str){"", 0};
    for (size_t end = at; end <= m->text.len; end++) {
        if (next.len > 0) {
            struct cr_str rest = {m->text.data + end, m->text.len - end};
            size_t hop = cr_str_find(rest, next);
            if (hop >= rest.len)
                break;
            end += hop;
        } else if (piece + 1 == m->t->n_pieces ||
                   (has_literal && piece + 2 == m->t->n_pieces)) {
            end = m->text.len; /* nothing is left to end it */
        }
        struct cr_str value = {m->text.data + at, end - at};
        if (!may_hold(field, value) || (before.data && !cr_str_eq(before, value)))
            continue;
        *place = value;
        if (match(m, piece + 1, end))
            return true;
        *place = before;
    }
    return false;
}

/* With what is between, else without. */
static bool match_section(struct matcher *m, size_t piece, size_t at) {
    struct cr_template_found before = m->found;
    if (m->t->pieces[piece].field == CR_FIELD_ANSWERS)
        return false;
    if (match(m, piece + 1, at))
        return true;
    m->found = before;
    return match(m, m->t->pieces[piece].close + 1, at);
}

static bool match(struct matcher *m, size_t piece, size_t at) {
    if (++m->n_steps > MAX_STEPS)
        return false;
    if (piece == m->t->n_pieces)
        return at == m->text.len;
    switch (m->t->pieces[piece].kind) {
    case CR_PIECE_TEXT:
        return match_text(m, piece, at);
    case CR_PIECE_VALUE:
        return match_value(m, piece, at);
    case CR_PIECE_OPEN:
        return match_section(m, piece, at);
    case CR_PIECE_CLOSE:
        return match(m, piece + 1, at);
    }
    return false;
}

bool cr_template_match(const struct cr_template *t, struct cr_str text,
                       struct cr_template_found *out) {
    struct matcher m = {.t = t, .text = trimmed(text)};
    bool is = match(&m, 0, 0);
    *out = m.found;
    return is;
}
