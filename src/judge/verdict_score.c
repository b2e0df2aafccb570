/* Formats with numbers (verdict.h). */
#include "judge/scan.h"

#include <math.h>
#include <string.h>

/* What stands behind a number: "/10", "out of 10", "%", closing brackets. */
struct tail {
    size_t after;
    bool has_maximum;
    double maximum;
    bool malformed;
};

static size_t skip_closers(const struct cr_scan *s, size_t i) {
    for (;;) {
        size_t k = cr_scan_marks(s, i);
        unsigned char c = cr_scan_at(s, k);
        if (!c || !strchr("])}\"", c))
            return i;
        i = k + 1;
    }
}

/* "85-90", "85–90", "85 to 90": no single score. */
static bool is_range(const struct cr_scan *s, size_t i) {
    size_t k = cr_scan_blanks(s, i);
    if (cr_scan_at(s, k) == '-')
        k++;
    else if (cr_scan_is(s, k, "\xe2\x80\x93"))
        k += 3;
    else if (cr_scan_word(s, k, "to"))
        k += 2;
    else
        return false;
    return cr_scan_is_digit(cr_scan_at(s, cr_scan_blanks(s, k)));
}

static void read_maximum(const struct cr_scan *s, struct tail *t) {
    size_t k = cr_scan_blanks(s, t->after);
    struct cr_number n;
    if (cr_scan_at(s, k) == '/')
        k++;
    else if (cr_scan_is(s, k, "out of "))
        k += 7;
    else
        return;
    k = cr_scan_blanks(s, k);
    if (!cr_scan_number(s, k, &n))
        return;
    t->has_maximum = true;
    t->maximum = n.value;
    t->malformed = t->malformed || n.malformed;
    t->after = n.after;
}

static struct tail read_tail(const struct cr_scan *s, size_t i) {
    struct tail t = {.after = i};
    t.malformed = is_range(s, i);
    if (cr_scan_at(s, i) == '%') {
        t.after = i + 1;
        t.has_maximum = true;
        t.maximum = 100;
    }
    read_maximum(s, &t);
    t.after = skip_closers(s, t.after);
    if (!t.has_maximum) {
        read_maximum(s, &t);
        t.after = skip_closers(s, t.after);
    }
    return t;
}

/* Where a score stands and what it says; `why` is what speaks against it. */
struct reading {
    struct cr_match best;
    double value;
    const char *why;
};

static void take(const struct cr_scan *s, const struct cr_verdict_rule *rule,
                 struct reading *r, int strength, size_t at, size_t value_at,
                 const struct cr_number *n) {
    struct tail t = read_tail(s, n->after);
    r->best.found = true;
    r->best.strength = strength;
    r->best.at = at;
    r->best.len = t.after - at;
    r->best.value_at = value_at;
    r->value = n->value;
    r->why = cr_scale_refuses(&rule->scale, n->value);
    if (n->malformed || t.malformed)
        r->why = "the score is not a plain number";
    else if (t.has_maximum && t.maximum != rule->scale.max)
        r->why = "the score is out of another maximum than the scale's";
}

static void weigh(const struct cr_scan *s, const struct cr_verdict_rule *rule,
                  struct reading *r, int strength, size_t at, size_t value_at,
                  const struct cr_number *n) {
    if (cr_match_beats(s, &r->best, strength, at))
        take(s, rule, r, strength, at, value_at, n);
}

/* Opening brackets and quotes of a value; *n_square counts "[". */
static size_t skip_openers(const struct cr_scan *s, size_t i, int *n_square) {
    for (;; i++) {
        unsigned char c = cr_scan_at(s, i);
        if (c == '[')
            ++*n_square;
        else if (!c || !strchr("({ *\"", c))
            return i;
    }
}

static void scan_keyword(const struct cr_scan *s, const struct cr_verdict_rule *rule,
                         enum cr_format format, struct reading *r) {
    const char *word = format == CR_FORMAT_RATING        ? "rating"
                       : format == CR_FORMAT_FINAL_SCORE ? "final score"
                                                         : "score";
    for (size_t i = 0; i < s->text.len; i++) {
        struct cr_number n;
        int n_square = 0;
        if (!cr_scan_word(s, i, word))
            continue;
        size_t k = cr_scan_colon(s, i + strlen(word));
        if (k == SIZE_MAX)
            continue;
        k = skip_openers(s, k, &n_square);
        if (!cr_scan_number(s, k, &n))
            continue;
        bool exact = format != CR_FORMAT_SCORE || n_square == 1;
        weigh(s, rule, r, 2 * cr_scan_starts_line(s, i) + exact, i, k, &n);
    }
}

/* [[4]] */
static void scan_brackets(const struct cr_scan *s, const struct cr_verdict_rule *rule,
                          struct reading *r) {
    for (size_t i = 0; i < s->text.len; i++) {
        struct cr_number n;
        if (!cr_scan_is(s, i, "[["))
            continue;
        size_t k = cr_scan_blanks(s, i + 2);
        if (cr_scan_number(s, k, &n) && cr_scan_is(s, cr_scan_blanks(s, n.after), "]]"))
            weigh(s, rule, r, 0, i, k, &n);
    }
}

static size_t json_key(const struct cr_scan *s, size_t i) {
    static const char *const keys[] = {"score",    "rating",      "judgement",
                                       "judgment", "final_score", "final score"};
    unsigned char quote = cr_scan_at(s, i);
    if ((quote != '"' && quote != '\'') || (i > 0 && cr_scan_at(s, i - 1) == '\\'))
        return SIZE_MAX;
    for (size_t k = 0; k < sizeof keys / sizeof keys[0]; k++) {
        size_t end = i + 1 + strlen(keys[k]);
        if (cr_scan_is(s, i + 1, keys[k]) && cr_scan_at(s, end) == quote)
            return end + 1;
    }
    return SIZE_MAX;
}

/* {"score": 4}, {'score': 4}, {"rating": "4"}, {"judgement": "[[4]]"}. The key's own quotes
 * are no quotation, so the mask does not apply; an escaped quote is inside a string. */
static void scan_json(const struct cr_scan *s, const struct cr_verdict_rule *rule,
                      struct reading *r) {
    for (size_t i = 0; i < s->text.len; i++) {
        struct cr_number n;
        size_t k = json_key(s, i);
        if (k == SIZE_MAX)
            continue;
        while (cr_scan_at(s, k) == ' ' || cr_scan_at(s, k) == '\n')
            k++;
        if (cr_scan_at(s, k) != ':')
            continue;
        k = cr_scan_blanks(s, k + 1);
        while (cr_scan_at(s, k) == '"' || cr_scan_at(s, k) == '\'' ||
               cr_scan_at(s, k) == '[')
            k++;
        if (!cr_scan_number(s, k, &n))
            continue;
        take(s, rule, r, 0, i, k, &n);
    }
}

/* The text begins with a number that ends there: "0.5", "0.5 because". */
static void scan_leading(const struct cr_scan *s, const struct cr_verdict_rule *rule,
                         struct reading *r) {
    struct cr_number n;
    int n_square = 0;
    size_t i = 0;
    while (cr_scan_at(s, i) == '\n' || cr_scan_at(s, i) == '\r' ||
           cr_scan_at(s, i) == ' ')
        i++;
    size_t k = skip_openers(s, cr_scan_marks(s, i), &n_square);
    if (cr_scan_number(s, k, &n))
        weigh(s, rule, r, 0, i, k, &n);
}

/* A whole line of two numbers: "8 9", "8, 9", "8.5/9", "Scores: 8 9". */
static bool two_numbers(const struct cr_scan *s, size_t start, size_t end, double pair[2],
                        size_t *value_at) {
    struct cr_number n;
    size_t i = cr_scan_marks(s, start);
    int n_square = 0;
    const char *label = cr_scan_word(s, i, "scores") ? "scores" : "score";
    if (cr_scan_word(s, i, label)) {
        i = cr_scan_colon(s, i + strlen(label));
        if (i == SIZE_MAX)
            return false;
    }
    i = skip_openers(s, i, &n_square);
    *value_at = i;
    for (int k = 0; k < 2; k++) {
        if (!cr_scan_number(s, i, &n))
            return false;
        pair[k] = n.value;
        unsigned char next = cr_scan_at(s, n.after);
        if (k == 0 && next != ' ' && next != '\t' && next != ',' && next != ';' &&
            next != '/' && next != ']' && next != '*')
            return false;
        if (k == 1 && n.malformed)
            return false;
        i = n.after;
        while (k == 0 && i < end && strchr(" \t,;/]*|[", cr_scan_at(s, i)))
            i++;
    }
    for (; i < end; i++)
        if (!strchr(" \t\r.*])`_", cr_scan_at(s, i)))
            return false;
    return true;
}

/* "Assistant 1: 10" at i. Returns the end, or SIZE_MAX. */
static size_t labelled_number(const struct cr_scan *s, size_t i, const char *index,
                              double *value, size_t *value_at) {
    static const char *const nouns[] = {"assistant", "response", "answer"};
    struct cr_number n;
    size_t k = SIZE_MAX;
    int n_square = 0;
    for (size_t w = 0; w < sizeof nouns / sizeof nouns[0] && k == SIZE_MAX; w++)
        if (cr_scan_word(s, i, nouns[w]))
            k = cr_scan_marks(s, i + strlen(nouns[w]));
    if (k == SIZE_MAX || !cr_scan_word(s, k, index))
        return SIZE_MAX;
    k = cr_scan_colon(s, k + 1);
    if (k == SIZE_MAX)
        return SIZE_MAX;
    k = skip_openers(s, k, &n_square);
    if (!cr_scan_number(s, k, &n) || n.malformed)
        return SIZE_MAX;
    *value = n.value;
    *value_at = k;
    return skip_closers(s, n.after);
}

/* "Assistant 1: 10" and "Assistant 2: 6" one after the other; the last such pair. */
static bool parse_labelled_pair(const struct cr_scan *s, struct cr_parsed *out) {
    bool found = false;
    for (size_t i = 0; i < s->text.len; i++) {
        double pair[2];
        size_t value_at;
        size_t other;
        if (s->quoted[i])
            continue;
        size_t k = labelled_number(s, i, "1", &pair[0], &value_at);
        if (k == SIZE_MAX)
            continue;
        while (k < s->text.len && strchr(" \t\r\n,;.*-", s->text.data[k]))
            k++;
        k = labelled_number(s, k, "2", &pair[1], &other);
        if (k == SIZE_MAX)
            continue;
        found = true;
        memcpy(out->pair, pair, sizeof pair);
        out->at = i;
        out->len = k - i;
        out->value_at = value_at;
    }
    return found;
}

/* The first line that is not blank, as asked for; else the last such line of the text; else
 * the last labelled pair. */
static bool parse_two_scores(const struct cr_scan *s, const struct cr_verdict_rule *rule,
                             struct cr_parsed *out) {
    bool found = false;
    bool first_line = true;
    for (size_t start = 0; start < s->text.len;) {
        size_t end = cr_scan_line_end(s, start);
        size_t body = start;
        double pair[2];
        size_t value_at;
        while (body < end && strchr(" \t\r", s->text.data[body]))
            body++;
        if (body < end && !s->quoted[body] &&
            two_numbers(s, body, end, pair, &value_at)) {
            found = true;
            memcpy(out->pair, pair, sizeof pair);
            out->at = body;
            out->len = end - body;
            out->value_at = value_at;
            if (first_line)
                break;
        }
        first_line = first_line && body == end;
        start = end + 1;
    }
    found = found || parse_labelled_pair(s, out);
    for (int k = 0; k < 2 && found && !out->why; k++)
        out->why = cr_scale_refuses(&rule->scale, out->pair[k]);
    out->choice = out->pair[0] > out->pair[1]   ? CR_CHOICE_FIRST
                  : out->pair[0] < out->pair[1] ? CR_CHOICE_SECOND
                                                : CR_CHOICE_TIE;
    return found;
}

bool cr_parse_score(const struct cr_scan *s, const struct cr_verdict_rule *rule,
                    enum cr_format format, struct cr_parsed *out) {
    struct reading r = {.value = NAN};
    if (format == CR_FORMAT_TWO_SCORES)
        return parse_two_scores(s, rule, out);
    if (format == CR_FORMAT_BRACKETS)
        scan_brackets(s, rule, &r);
    else if (format == CR_FORMAT_NUMBER)
        scan_leading(s, rule, &r);
    else if (format == CR_FORMAT_JSON)
        scan_json(s, rule, &r);
    else
        scan_keyword(s, rule, format, &r);
    out->score = r.value;
    out->why = r.why;
    out->at = r.best.at;
    out->len = r.best.len;
    out->value_at = r.best.value_at;
    return r.best.found;
}
