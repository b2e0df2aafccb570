#include "judge/verdict.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "judge/scan.h"

static const char *const names[] = {
#define NAME(name, text, what) text,
    CR_FORMAT_LIST(NAME)
#undef NAME
};

const char *cr_format_name(enum cr_format format) {
    return names[format];
}

bool cr_format_find(struct cr_str name, enum cr_format *out) {
    for (size_t i = 0; i < CR_N_FORMATS; i++)
        if (cr_str_eq_c(name, names[i])) {
            *out = (enum cr_format)i;
            return true;
        }
    return false;
}

enum cr_mode cr_format_mode(enum cr_format format) {
    if (format == CR_FORMAT_ORDER)
        return CR_MODE_RANKING;
    return format < CR_FORMAT_TWO_SCORES ? CR_MODE_POINTWISE : CR_MODE_PAIRWISE;
}

/* ---- quotations ------------------------------------------------------------------------- */

struct quote {
    const char *open, *close;
    bool spans_lines;
};

/* The straight ones need a word boundary, so that 5" and don't open nothing. */
static const struct quote quotes[] = {
    {"\"", "\"", true},
    {"\xe2\x80\x9c", "\xe2\x80\x9d", true},
    {"\xc2\xab", "\xc2\xbb", true},
    {"\xe2\x80\x98", "\xe2\x80\x99", false},
    {"'", "'", false},
};

static const struct quote *quote_opens(const struct cr_scan *s, size_t i) {
    for (size_t k = 0; k < CR_COUNT(quotes); k++) {
        size_t n = strlen(quotes[k].open);
        unsigned char next = cr_scan_at(s, i + n);
        if (!cr_scan_is(s, i, quotes[k].open) || next == ' ' || next == '\n' || next == 0)
            continue;
        unsigned char before = i > 0 ? cr_scan_at(s, i - 1) : 0;
        if (n == 1 && (cr_scan_is_word_byte(before) || before >= 0x80 || before == '\\'))
            continue;
        return &quotes[k];
    }
    return NULL;
}

static bool quote_closes(const struct cr_scan *s, size_t i, const struct quote *q) {
    return cr_scan_is(s, i, q->close) && cr_scan_at(s, i - 1) != '\\' &&
           !cr_scan_is_word_byte(cr_scan_at(s, i + strlen(q->close)));
}

/* A JSON member whose value is a verdict, "judgement": "[[A]]", quotes nobody. Returns the
 * closing mark's position where i opens such a value, else i. */
static size_t skip_json_verdict(const struct cr_scan *s, size_t i) {
    size_t k = i;
    if (!cr_scan_is(s, i, "\"[["))
        return i;
    while (k > 0 && s->text.data[k - 1] == ' ')
        k--;
    if (k < 2 || s->text.data[k - 1] != ':' ||
        (s->text.data[k - 2] != '"' && s->text.data[k - 2] != ' '))
        return i;
    for (k = i + 1; k < s->text.len && k < i + 256; k++)
        if (s->text.data[k] == '"')
            return k;
    return i;
}

static bool is_blank_line(const struct cr_scan *s, size_t i) {
    return cr_scan_at(s, i) == '\n' && cr_scan_at(s, cr_scan_blanks(s, i + 1)) == '\n';
}

/* Marks what stands between quotation marks, which end with their paragraph at the latest,
 * and lines quoted with ">". Linear in the text. */
static void mark_quoted(const struct cr_scan *s, unsigned char *mask) {
    const struct quote *open = NULL;
    size_t start = 0;
    for (size_t i = 0; i < s->text.len; i++) {
        if (i == 0 || s->text.data[i - 1] == '\n') {
            size_t k = cr_scan_blanks(s, i);
            if (cr_scan_at(s, k) == '>')
                memset(mask + i, 1, cr_scan_line_end(s, i) - i);
        }
        if (open &&
            (is_blank_line(s, i) || (s->text.data[i] == '\n' && !open->spans_lines))) {
            open = NULL;
        } else if (open && i > start + 1 && quote_closes(s, i, open)) {
            memset(mask + start, 1, i + strlen(open->close) - start);
            i += strlen(open->close) - 1;
            open = NULL;
        } else if (!open) {
            size_t verdict_end = skip_json_verdict(s, i);
            open = verdict_end == i ? quote_opens(s, i) : NULL;
            i = verdict_end;
            start = i;
        }
    }
}

/* A reply that is one quotation as a whole quotes nobody. */
static void unmark_whole(const struct cr_scan *s, unsigned char *mask) {
    size_t a = 0;
    size_t b = s->text.len;
    while (a < b && strchr(" \t\r\n", s->text.data[a]))
        a++;
    while (b > a && strchr(" \t\r\n", s->text.data[b - 1]))
        b--;
    if (a == b || cr_scan_at(s, a) == '>')
        return;
    for (size_t i = a; i < b; i++)
        if (!mask[i] || (i > a && i + 1 < b && quote_opens(s, i)))
            return;
    memset(mask, 0, s->text.len);
}

/* ---- parse ------------------------------------------------------------------------------ */

static bool parse_as(const struct cr_scan *s, const struct cr_verdict_rule *rule,
                     enum cr_format format, struct cr_parsed *out) {
    switch (cr_format_mode(format)) {
    case CR_MODE_RANKING:
        return cr_parse_order(s, CR_MIN(rule->n_answers, (size_t)CR_MAX_ANSWERS), out);
    case CR_MODE_PAIRWISE:
        if (format != CR_FORMAT_TWO_SCORES)
            return cr_parse_choice(s, format, out);
        return cr_parse_score(s, rule, format, out);
    default:
        return cr_parse_score(s, rule, format, out);
    }
}

enum critic_status cr_verdict_parse(struct cr_parsed *out, struct cr_str text,
                                    const struct cr_verdict_rule *rule,
                                    critic_error *err) {
    memset(out, 0, sizeof *out);
    out->score = NAN;
    out->why = "no verdict found";
    if (text.len == 0)
        return CRITIC_OK;
    unsigned char *mask = calloc(text.len, 1);
    if (!mask)
        return cr_fail(err, CRITIC_NO_MEMORY, "no memory to parse a verdict of %zu bytes",
                       text.len);
    struct cr_scan s = {.text = text, .quoted = mask};
    mark_quoted(&s, mask);
    unmark_whole(&s, mask);
    for (size_t i = 0; i < rule->n_formats; i++) {
        struct cr_parsed one = {.format = rule->formats[i], .score = NAN};
        if (!parse_as(&s, rule, rule->formats[i], &one))
            continue;
        one.ok = one.why == NULL;
        *out = one;
        break;
    }
    free(mask);
    if (!out->ok) {
        out->score = NAN;
        out->choice = CR_CHOICE_NONE;
        out->n_order = 0;
    }
    return CRITIC_OK;
}

/* ---- reason ----------------------------------------------------------------------------- */

static bool follows_sentence(const struct cr_scan *s, size_t i) {
    while (i > 0 && strchr(" \t\r*_", s->text.data[i - 1]))
        i--;
    return i > 0 && strchr(".!?", s->text.data[i - 1]);
}

static enum critic_status append_trimmed(struct cr_buf *out, const char *data, size_t a,
                                         size_t b, critic_error *err) {
    while (a < b && strchr(" \t\r\n", data[a]))
        a++;
    while (b > a && strchr(" \t\r\n", data[b - 1]))
        b--;
    return a < b ? cr_buf_append(out, data + a, b - a, err) : CRITIC_OK;
}

enum critic_status cr_verdict_reason(struct cr_buf *out, struct cr_str text,
                                     const struct cr_parsed *parsed, critic_error *err) {
    struct cr_scan s = {.text = text};
    size_t from = parsed->at;
    size_t to = parsed->at + parsed->len;
    bool starts = parsed->ok && cr_scan_starts_line(&s, from);
    if (!parsed->ok || (!starts && !follows_sentence(&s, from)))
        return append_trimmed(out, text.data, 0, text.len, err);
    if (starts)
        from = cr_scan_line_start(&s, from);
    while (to < text.len && strchr(" \t\r*_`\"].,;:!)", text.data[to]))
        to++;
    size_t before = out->len;
    CR_TRY(append_trimmed(out, text.data, 0, from, err));
    if (out->len > before && to < text.len)
        CR_TRY(cr_buf_append(out, text.data[to] == '\n' || starts ? "\n" : " ", 1, err));
    return append_trimmed(out, text.data, to, text.len, err);
}
