#include "judge/template.h"

#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "base/file.h"
#include "judge/assets.h"
#include "judge/template_body.h"

#define MAX_TEMPLATE_BYTES ((size_t)1 << 20)

/* ---- front matter ----------------------------------------------------------------------- */

struct reader {
    struct cr_template *t;
    const char *name; /* place in errors */
    size_t line;
    bool has_scale;
    bool has_labels;
};

#define FAULT(r, ...) front_fault((r), err, __VA_ARGS__)

static enum critic_status front_fault(const struct reader *r, critic_error *err,
                                      const char *what, const char *expected) {
    return cr_fail(err, CRITIC_BAD_FILE, "%s:%zu: %s; %s", r->name, r->line, what,
                   expected);
}

static struct cr_str trim(struct cr_str s) {
    while (s.len > 0 && strchr(" \t\r", s.data[0]))
        s = (struct cr_str){s.data + 1, s.len - 1};
    while (s.len > 0 && strchr(" \t\r", s.data[s.len - 1]))
        s.len--;
    return s;
}

/* A value: the rest of the line, or text in double quotes with \n \" \\ inside. */
static enum critic_status read_value(const struct reader *r, struct cr_str raw,
                                     struct cr_str *out, critic_error *err) {
    char *text = cr_arena_strndup(&r->t->arena, raw.data, raw.len);
    size_t n = 0;
    if (!text)
        return cr_fail(err, CRITIC_NO_MEMORY, "%s: no memory for the template", r->name);
    *out = (struct cr_str){text, raw.len};
    if (raw.len == 0 || raw.data[0] != '"')
        return CRITIC_OK;
    if (raw.len < 2 || raw.data[raw.len - 1] != '"')
        return FAULT(r, "a value that begins with a quotation mark does not end with one",
                     "expected \"…\"");
    for (size_t i = 1; i + 1 < raw.len; i++) {
        char c = raw.data[i];
        if (c == '\\') {
            c = raw.data[++i];
            if (i + 1 >= raw.len || !strchr("n\"\\", c))
                return FAULT(r, "unknown escape in a value",
                             "expected \\n, \\\" or \\\\");
            c = c == 'n' ? '\n' : c;
        }
        text[n++] = c;
    }
    text[n] = '\0';
    out->len = n;
    return CRITIC_OK;
}

static enum critic_status read_formats(const struct reader *r, struct cr_str value,
                                       critic_error *err) {
    struct cr_verdict_rule *rule = &r->t->rule;
    rule->n_formats = 0;
    for (size_t from = 0; from <= value.len;) {
        const char *comma = memchr(value.data + from, ',', value.len - from);
        size_t end = comma ? (size_t)(comma - value.data) : value.len;
        struct cr_str one = trim((struct cr_str){value.data + from, end - from});
        enum cr_format format;
        if (!cr_format_find(one, &format))
            return cr_fail(err, CRITIC_BAD_FILE,
                           "%s:%zu: unknown format '%.*s'; docs/templates.md lists them",
                           r->name, r->line, (int)CR_MIN(one.len, (size_t)40), one.data);
        if (rule->n_formats == CR_N_FORMATS)
            return FAULT(r, "a format is listed twice", "expected each once");
        rule->formats[rule->n_formats++] = format;
        from = end + 1;
    }
    return CRITIC_OK;
}

/* Labels of a pairwise verdict: first, second, tie; or five from A>>B to B>>A. */
static enum critic_status read_labels(struct reader *r, struct cr_str value,
                                      critic_error *err) {
    static const enum cr_choice of3[] = {CR_CHOICE_FIRST, CR_CHOICE_SECOND,
                                         CR_CHOICE_TIE};
    static const enum cr_choice of5[] = {CR_CHOICE_FIRST, CR_CHOICE_FIRST, CR_CHOICE_TIE,
                                         CR_CHOICE_SECOND, CR_CHOICE_SECOND};
    struct cr_template *t = r->t;
    t->n_labels = 0;
    r->has_labels = true;
    for (size_t from = 0; from <= value.len;) {
        const char *comma = memchr(value.data + from, ',', value.len - from);
        size_t end = comma ? (size_t)(comma - value.data) : value.len;
        struct cr_str one = trim((struct cr_str){value.data + from, end - from});
        if (one.len == 0 || t->n_labels == CR_MAX_LABELS)
            return FAULT(r, "wrong labels", "expected 2, 3 or 5 of them between commas");
        t->labels[t->n_labels++].text = one;
        from = end + 1;
    }
    if (t->n_labels < 2 || t->n_labels == 4)
        return FAULT(r, "wrong labels", "expected 2, 3 or 5 of them between commas");
    for (size_t i = 0; i < t->n_labels; i++)
        t->labels[i].choice = t->n_labels == 5 ? of5[i] : of3[i];
    return CRITIC_OK;
}

static enum critic_status read_key(struct reader *r, struct cr_str key,
                                   struct cr_str value, struct cr_str *tie,
                                   critic_error *err) {
    struct cr_template *t = r->t;
    if (cr_str_eq_c(key, "name")) {
        t->name = value.data;
    } else if (cr_str_eq_c(key, "description")) {
        t->description = value.data;
    } else if (cr_str_eq_c(key, "mode")) {
        if (!cr_mode_parse(value.data, &t->mode) || t->mode == CR_MODE_AUTO)
            return FAULT(r, "unknown mode", "expected pointwise, pairwise or ranking");
    } else if (cr_str_eq_c(key, "format")) {
        return read_formats(r, value, err);
    } else if (cr_str_eq_c(key, "scale")) {
        r->has_scale = true;
        if (cr_scale_parse(value.data, &t->rule.scale, NULL) != CRITIC_OK)
            return FAULT(r, "wrong scale", "expected MIN-MAX or MIN-MAX:STEP");
    } else if (cr_str_eq_c(key, "position")) {
        t->verdict_last = cr_str_eq_c(value, "last");
        if (!t->verdict_last && !cr_str_eq_c(value, "first"))
            return FAULT(r, "wrong position", "expected first or last");
    } else if (cr_str_eq_c(key, "prefix")) {
        t->has_prefix = true;
        t->prefix = value;
    } else if (cr_str_eq_c(key, "suffix")) {
        t->suffix = value;
    } else if (cr_str_eq_c(key, "labels")) {
        return read_labels(r, value, err);
    } else if (cr_str_eq_c(key, "tie")) {
        *tie = value;
    } else {
        return cr_fail(err, CRITIC_BAD_FILE,
                       "%s:%zu: unknown key '%.*s'; docs/templates.md lists the keys",
                       r->name, r->line, (int)CR_MIN(key.len, (size_t)40), key.data);
    }
    return CRITIC_OK;
}

/* Takes one line off the front of *rest, without its newline. */
static bool next_line(struct cr_str *rest, struct cr_str *line) {
    if (rest->len == 0)
        return false;
    const char *end = memchr(rest->data, '\n', rest->len);
    size_t n = end ? (size_t)(end - rest->data) : rest->len;
    *line = (struct cr_str){rest->data, n};
    n += end != NULL;
    *rest = (struct cr_str){rest->data + n, rest->len - n};
    return true;
}

static bool is_fence(struct cr_str line) {
    return cr_str_eq_c(line, "---") || cr_str_eq_c(line, "---\r");
}

static enum critic_status read_front(struct reader *r, struct cr_str *text,
                                     struct cr_str *tie, critic_error *err) {
    struct cr_str rest = *text;
    struct cr_str line;
    if (!next_line(&rest, &line) || !is_fence(line))
        return CRITIC_OK;
    for (r->line = 2; next_line(&rest, &line); r->line++) {
        if (is_fence(line)) {
            r->line++;
            *text = rest;
            return CRITIC_OK;
        }
        line = trim(line);
        if (line.len == 0 || line.data[0] == '#')
            continue;
        const char *colon = memchr(line.data, ':', line.len);
        if (!colon)
            return FAULT(r, "a front matter line without a colon", "expected key: value");
        size_t n = (size_t)(colon - line.data);
        struct cr_str value = {0};
        CR_TRY(read_value(r, trim((struct cr_str){colon + 1, line.len - n - 1}), &value,
                          err));
        CR_TRY(read_key(r, trim((struct cr_str){line.data, n}), value, tie, err));
    }
    return FAULT(r, "the front matter does not end", "expected a line ---");
}

/* ---- defaults and checks ------------------------------------------------------------------ */

static void default_formats(struct cr_template *t) {
    static const enum cr_format pointwise[] = {CR_FORMAT_SCORE, CR_FORMAT_FINAL_SCORE,
                                               CR_FORMAT_RATING};
    static const enum cr_format pairwise[] = {CR_FORMAT_BETTER, CR_FORMAT_ARENA,
                                              CR_FORMAT_LETTER};
    if (t->rule.n_formats > 0)
        return;
    t->rule.n_formats = t->mode == CR_MODE_RANKING ? 1 : 3;
    if (t->mode == CR_MODE_RANKING)
        t->rule.formats[0] = CR_FORMAT_ORDER;
    else
        memcpy(t->rule.formats, t->mode == CR_MODE_POINTWISE ? pointwise : pairwise,
               sizeof pointwise);
}

/* How each format writes its verdict, for templates that do not say. */
static void default_prefix(struct cr_template *t) {
    static const struct {
        enum cr_format format;
        const char *prefix, *suffix;
    } shapes[] = {
        {CR_FORMAT_SCORE, "Score: [", "]"},
        {CR_FORMAT_FINAL_SCORE, "Final Score: ", ""},
        {CR_FORMAT_RATING, "Rating: ", ""},
        {CR_FORMAT_BRACKETS, "[[", "]]"},
        {CR_FORMAT_NUMBER, "", ""},
        {CR_FORMAT_BETTER, "The better response: [", "]"},
        {CR_FORMAT_LETTER, "[[", "]]"},
        {CR_FORMAT_ARENA, "[[", "]]"},
        {CR_FORMAT_ANSWER_BETTER, "Answer ", " is better"},
    };
    for (size_t i = 0; i < CR_COUNT(shapes) && !t->has_prefix; i++)
        if (shapes[i].format == t->rule.formats[0]) {
            t->has_prefix = true;
            t->prefix = cr_str_of(shapes[i].prefix);
            t->suffix = cr_str_of(shapes[i].suffix);
        }
}

static enum critic_status default_labels(struct reader *r, struct cr_str *tie,
                                         critic_error *err) {
    struct cr_template *t = r->t;
    if (t->mode != CR_MODE_PAIRWISE || !t->has_prefix)
        return CRITIC_OK;
    enum cr_format format = t->rule.formats[0];
    if (!r->has_labels) {
        const char *text = format == CR_FORMAT_ARENA           ? "A>>B,A>B,A=B,B>A,B>>A"
                           : format == CR_FORMAT_LETTER        ? "A,B,C"
                           : format == CR_FORMAT_ANSWER_BETTER ? "1,2"
                                                               : "first,second";
        CR_TRY(read_labels(r, cr_str_of(text), err));
        if (format == CR_FORMAT_BETTER && !tie->data)
            *tie = cr_str_of("Two responses are equally good.");
    }
    if (!tie->data || tie->len == 0)
        return CRITIC_OK;
    if (t->n_labels != 2)
        return FAULT(r, "both a tie label and a tie sentence", "expected one of them");
    t->labels[t->n_labels++] = (struct cr_label){*tie, true, CR_CHOICE_TIE};
    return CRITIC_OK;
}

static enum critic_status check_mode(struct reader *r, critic_error *err) {
    struct cr_template *t = r->t;
    bool pair = t->uses[CR_FIELD_ANSWER_1] || t->uses[CR_FIELD_ANSWER_2];
    bool list = t->uses[CR_FIELD_ANSWERS];
    bool single = t->needs[CR_FIELD_ANSWER];
    enum cr_mode seen = list   ? CR_MODE_RANKING
                        : pair ? CR_MODE_PAIRWISE
                               : CR_MODE_POINTWISE;
    r->line = 1;
    if (t->needs[CR_FIELD_ANSWER_1] != t->needs[CR_FIELD_ANSWER_2] ||
        pair + list + single != 1)
        return FAULT(r, "the placeholders fit no mode",
                     "expected {answer}, or {answer_1} and {answer_2}, or {#answers}");
    if (t->mode != CR_MODE_AUTO && t->mode != seen &&
        !(list && t->mode == CR_MODE_PAIRWISE))
        return FAULT(r, "the placeholders are of another mode than the template's",
                     "expected {answer}, or {answer_1} and {answer_2}, or {#answers}");
    t->mode = t->mode == CR_MODE_AUTO ? seen : t->mode;
    default_formats(t);
    for (size_t i = 0; i < t->rule.n_formats; i++)
        if (cr_format_mode(t->rule.formats[i]) != t->mode)
            return cr_fail(err, CRITIC_BAD_FILE, "%s:1: format '%s' is no %s format",
                           r->name, cr_format_name(t->rule.formats[i]),
                           cr_mode_name(t->mode));
    return CRITIC_OK;
}

static enum critic_status parse_into(struct reader *r, struct cr_str text,
                                     critic_error *err) {
    struct cr_template *t = r->t;
    struct cr_str body = text;
    struct cr_str tie = {0};
    struct cr_hash h;
    cr_hash_init(&h, 0);
    cr_hash_update(&h, text.data, text.len);
    cr_hash_hex(&h, t->hash);
    size_t bad = cr_utf8_invalid_at(text.data, text.len);
    if (bad != SIZE_MAX)
        return cr_fail(err, CRITIC_BAD_FILE, "%s: byte %zu is not UTF-8", r->name, bad);
    r->line = 1;
    CR_TRY(read_front(r, &body, &tie, err));
    CR_TRY(cr_body_parse(t, body, r->name, r->line, err));
    if (!r->has_scale)
        t->rule.scale = (struct cr_scale){0, 100, 1};
    CR_TRY(check_mode(r, err));
    default_prefix(t);
    return default_labels(r, &tie, err);
}

enum critic_status cr_template_parse(struct cr_template **out, const char *name,
                                     struct cr_str text, critic_error *err) {
    struct cr_template *t = calloc(1, sizeof *t);
    enum critic_status status;
    size_t limit;
    *out = NULL;
    if (!t)
        return cr_fail(err, CRITIC_NO_MEMORY, "%s: no memory for the template", name);
    struct reader r = {.t = t, .name = name};
    if (!cr_mul_size(text.len, 4 * sizeof(struct cr_piece) + 128, &limit)) {
        status = cr_fail(err, CRITIC_BAD_FILE, "%s: too long for a template", name);
        goto fail;
    }
    CR_TRY_GOTO(cr_arena_init(&t->arena, limit + (1 << 16), err));
    t->name = cr_arena_strndup(&t->arena, name, strlen(name));
    t->description = "";
    if (!t->name) {
        status = cr_fail(err, CRITIC_NO_MEMORY, "%s: no memory for the template", name);
        goto fail;
    }
    CR_TRY_GOTO(parse_into(&r, text, err));
    *out = t;
    return CRITIC_OK;
fail:
    cr_template_free(t);
    return status;
}

void cr_template_free(struct cr_template *t) {
    if (!t)
        return;
    cr_arena_fini(&t->arena);
    free(t);
}

/* ---- built-in and files -------------------------------------------------------------------- */

size_t cr_template_n_builtin(void) {
    size_t n = 0;
    while (cr_template_assets[n].name)
        n++;
    return n;
}

const char *cr_template_builtin_name(size_t i) {
    CR_ASSERT(i < cr_template_n_builtin());
    return cr_template_assets[i].name;
}

static const struct cr_asset *find_builtin(const char *name) {
    for (const struct cr_asset *a = cr_template_assets; a->name; a++)
        if (strcmp(a->name, name) == 0)
            return a;
    return NULL;
}

enum critic_status cr_template_open_builtin(struct cr_template **out, const char *name,
                                            critic_error *err) {
    const struct cr_asset *a = find_builtin(name);
    *out = NULL;
    if (a)
        return cr_template_parse(out, name, (struct cr_str){a->data, a->len}, err);
    return cr_fail(
        err, CRITIC_BAD_ARGUMENT,
        "template '%s' is not built in; docs/templates.md lists those that are", name);
}

enum critic_status cr_template_open(struct cr_template **out, const char *name,
                                    critic_error *err) {
    *out = NULL;
    if (find_builtin(name))
        return cr_template_open_builtin(out, name, err);
    if (strcmp(name, "-") != 0 && !cr_file_exists(name))
        return cr_fail(
            err, CRITIC_BAD_ARGUMENT,
            "template '%s' is neither built in nor a file; --list-templates shows "
            "the built-in ones",
            name);
    struct cr_buf file;
    cr_buf_init(&file, MAX_TEMPLATE_BYTES);
    enum critic_status status = cr_file_read(name, &file, err);
    if (status == CRITIC_OK)
        status = cr_template_parse(out, name, cr_buf_str(&file), err);
    cr_buf_fini(&file);
    return status;
}
