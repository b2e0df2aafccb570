#include "judge/template_body.h"

#include <string.h>

#include "base/checked.h"

static const char *const field_names[CR_N_FIELDS] = {
    [CR_FIELD_QUESTION] = "question",   [CR_FIELD_ANSWER] = "answer",
    [CR_FIELD_ANSWER_1] = "answer_1",   [CR_FIELD_ANSWER_2] = "answer_2",
    [CR_FIELD_REFERENCE] = "reference", [CR_FIELD_CRITERION] = "criterion",
    [CR_FIELD_CONTEXT] = "context",     [CR_FIELD_SCALE_MIN] = "scale_min",
    [CR_FIELD_SCALE_MAX] = "scale_max", [CR_FIELD_N_ANSWERS] = "n_answers",
    [CR_FIELD_INDEX] = "index",         [CR_FIELD_LETTER] = "letter",
    [CR_FIELD_ANSWERS] = "answers",
};

struct parser {
    struct cr_template *t;
    const char *name;
    size_t line;
    struct cr_str body;
    size_t at;
    size_t open[2]; /* pieces of the open section and loop */
    size_t n_open;
    critic_error *err;
};

static enum critic_status fault(const struct parser *p, struct cr_str what,
                                const char *expected) {
    return cr_fail(p->err, CRITIC_BAD_FILE, "%s:%zu: placeholder '{%.*s}': %s", p->name,
                   p->line, (int)CR_MIN(what.len, (size_t)40), what.data, expected);
}

static bool is_name_byte(char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_';
}

/* "{name}", "{#name}" or "{/name}" at i: the text between the braces. */
static bool read_tag(struct cr_str body, size_t i, struct cr_str *tag) {
    size_t k = i + 1;
    if (k < body.len && (body.data[k] == '#' || body.data[k] == '/'))
        k++;
    if (k >= body.len || body.data[k] < 'a' || body.data[k] > 'z')
        return false;
    while (k < body.len && is_name_byte(body.data[k]))
        k++;
    *tag = (struct cr_str){body.data + i + 1, k - i - 1};
    return k < body.len && body.data[k] == '}';
}

static bool is_optional(enum cr_field f) {
    return f == CR_FIELD_REFERENCE || f == CR_FIELD_CRITERION || f == CR_FIELD_CONTEXT;
}

static bool is_open(const struct parser *p, enum cr_field field) {
    for (size_t i = 0; i < p->n_open; i++)
        if (p->t->pieces[p->open[i]].field == field)
            return true;
    return false;
}

static struct cr_piece *add_piece(struct parser *p, enum cr_piece_kind kind,
                                  enum cr_field field) {
    struct cr_piece *piece = &p->t->pieces[p->t->n_pieces++];
    *piece = (struct cr_piece){.kind = kind, .field = field};
    return piece;
}

static void add_text(struct parser *p, size_t from, size_t to) {
    if (from < to)
        add_piece(p, CR_PIECE_TEXT, CR_N_FIELDS)->text =
            (struct cr_str){p->body.data + from, to - from};
}

static enum critic_status open_section(struct parser *p, struct cr_str tag,
                                       enum cr_field field) {
    if (!is_optional(field) && field != CR_FIELD_ANSWERS)
        return fault(p, tag,
                     "only reference, criterion, context and answers open a section");
    if (p->n_open == CR_COUNT(p->open) || is_open(p, field) ||
        is_open(p, CR_FIELD_ANSWERS))
        return fault(p, tag, "this section cannot stand inside another");
    p->open[p->n_open++] = p->t->n_pieces;
    p->t->uses[field] = true;
    add_piece(p, CR_PIECE_OPEN, field);
    return CRITIC_OK;
}

static enum critic_status close_section(struct parser *p, struct cr_str tag,
                                        enum cr_field field) {
    if (p->n_open == 0 || p->t->pieces[p->open[p->n_open - 1]].field != field)
        return fault(p, tag, "it closes a section that is not open here");
    p->t->pieces[p->open[--p->n_open]].close = p->t->n_pieces;
    add_piece(p, CR_PIECE_CLOSE, field);
    return CRITIC_OK;
}

static enum critic_status add_value(struct parser *p, struct cr_str tag,
                                    enum cr_field field) {
    bool in_loop = is_open(p, CR_FIELD_ANSWERS);
    bool of_loop = field == CR_FIELD_INDEX || field == CR_FIELD_LETTER;
    if (field == CR_FIELD_ANSWERS)
        return fault(p, tag, "expected {#answers}…{/answers}");
    if (of_loop && !in_loop)
        return fault(p, tag, "it stands only between {#answers} and {/answers}");
    p->t->uses[field] = true;
    if (!is_open(p, field) && !(in_loop && field == CR_FIELD_ANSWER))
        p->t->needs[field] = true;
    add_piece(p, CR_PIECE_VALUE, field);
    return CRITIC_OK;
}

static enum critic_status add_tag(struct parser *p, struct cr_str tag) {
    bool opens = tag.data[0] == '#';
    bool closes = tag.data[0] == '/';
    struct cr_str name = {tag.data + (opens || closes), tag.len - (opens || closes)};
    for (size_t f = 0; f < CR_N_FIELDS; f++)
        if (cr_str_eq_c(name, field_names[f]))
            return opens    ? open_section(p, tag, (enum cr_field)f)
                   : closes ? close_section(p, tag, (enum cr_field)f)
                            : add_value(p, tag, (enum cr_field)f);
    return fault(p, tag,
                 "unknown; write {{ for a brace, docs/templates.md lists the names");
}

static enum critic_status parse_body(struct parser *p) {
    size_t from = 0;
    size_t i = 0;
    while (i < p->body.len) {
        struct cr_str tag;
        char c = p->body.data[i];
        p->line += c == '\n';
        if (c == '{' && i + 1 < p->body.len && p->body.data[i + 1] == '{') {
            add_text(p, from, i + 1);
            i += 2;
            from = i;
        } else if (c == '{' && read_tag(p->body, i, &tag)) {
            add_text(p, from, i);
            CR_TRY(add_tag(p, tag));
            i += tag.len + 2;
            from = i;
        } else {
            i++;
        }
    }
    add_text(p, from, i);
    if (p->n_open > 0) {
        enum cr_field field = p->t->pieces[p->open[p->n_open - 1]].field;
        return cr_fail(p->err, CRITIC_BAD_FILE, "%s:%zu: '{#%s}' is not closed", p->name,
                       p->line, field_names[field]);
    }
    return CRITIC_OK;
}

enum critic_status cr_body_parse(struct cr_template *t, struct cr_str body,
                                 const char *name, size_t line, critic_error *err) {
    size_t n = 1; /* a piece for every brace and one for the text before it */
    for (size_t i = 0; i < body.len; i++)
        n += 2 * (body.data[i] == '{');
    char *text = cr_arena_strndup(&t->arena, body.data ? body.data : "", body.len);
    t->pieces = cr_arena_calloc(&t->arena, n, sizeof *t->pieces);
    if (!text || !t->pieces)
        return cr_fail(err, CRITIC_NO_MEMORY, "%s: no memory for the template", name);
    struct parser p = {.t = t, .name = name, .line = line, .err = err};
    p.body = (struct cr_str){text, body.len};
    return parse_body(&p);
}

/* ---- render ------------------------------------------------------------------------------- */

static struct cr_str value_of(const struct cr_template_values *v, enum cr_field field,
                              size_t answer) {
    switch (field) {
    case CR_FIELD_QUESTION:
        return v->question;
    case CR_FIELD_ANSWER:
    case CR_FIELD_ANSWER_1:
        return v->answers[answer];
    case CR_FIELD_ANSWER_2:
        return v->answers[1];
    case CR_FIELD_REFERENCE:
        return v->reference;
    case CR_FIELD_CRITERION:
        return v->criterion;
    default:
        return v->context;
    }
}

static enum critic_status render_value(const struct cr_template_values *v,
                                       enum cr_field field, size_t answer,
                                       struct cr_buf *out, critic_error *err) {
    char letter = (char)('A' + answer % CR_MAX_ANSWERS);
    switch (field) {
    case CR_FIELD_SCALE_MIN:
        return cr_buf_printf(out, err, "%g", v->scale.min);
    case CR_FIELD_SCALE_MAX:
        return cr_buf_printf(out, err, "%g", v->scale.max);
    case CR_FIELD_N_ANSWERS:
        return cr_buf_printf(out, err, "%zu", v->n_answers);
    case CR_FIELD_INDEX:
        return cr_buf_printf(out, err, "%zu", answer + 1);
    case CR_FIELD_LETTER:
        return cr_buf_append(out, &letter, 1, err);
    default: {
        struct cr_str s = value_of(v, field, answer);
        return s.len > 0 ? cr_buf_append(out, s.data, s.len, err) : CRITIC_OK;
    }
    }
}

static enum critic_status render_range(const struct cr_template *t,
                                       const struct cr_template_values *v, size_t from,
                                       size_t to, size_t answer, struct cr_buf *out,
                                       critic_error *err) {
    for (size_t i = from; i < to; i++) {
        const struct cr_piece *p = &t->pieces[i];
        if (p->kind == CR_PIECE_TEXT)
            CR_TRY(cr_buf_append(out, p->text.data, p->text.len, err));
        else if (p->kind == CR_PIECE_VALUE)
            CR_TRY(render_value(v, p->field, answer, out, err));
        else if (p->kind == CR_PIECE_OPEN && p->field == CR_FIELD_ANSWERS)
            for (size_t a = 0; a < v->n_answers; a++)
                CR_TRY(render_range(t, v, i + 1, p->close, a, out, err));
        if (p->kind == CR_PIECE_OPEN &&
            (p->field == CR_FIELD_ANSWERS || !value_of(v, p->field, 0).data))
            i = p->close;
    }
    return CRITIC_OK;
}

enum critic_status cr_template_render(const struct cr_template *t,
                                      const struct cr_template_values *values,
                                      struct cr_buf *out, critic_error *err) {
    static const enum cr_field optional[] = {CR_FIELD_REFERENCE, CR_FIELD_CRITERION,
                                             CR_FIELD_CONTEXT};
    size_t n = t->uses[CR_FIELD_ANSWER_1] ? 2 : 1;
    CR_ASSERT(values->n_answers >= n && values->n_answers <= CR_MAX_ANSWERS);
    for (size_t i = 0; i < CR_COUNT(optional); i++) {
        enum cr_field f = optional[i];
        bool given = value_of(values, f, 0).data != NULL;
        if (t->needs[f] && !given)
            return cr_fail(err, CRITIC_BAD_DATA,
                           "template '%s' needs a %s; the item has none", t->name,
                           field_names[f]);
        if (given && !t->uses[f])
            return cr_fail(
                err, CRITIC_BAD_DATA,
                "template '%s' has no place for the item's %s; expected {%s} in it",
                t->name, field_names[f], field_names[f]);
    }
    return render_range(t, values, 0, t->n_pieces, 0, out, err);
}
