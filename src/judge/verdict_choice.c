/* Formats that name the better of two answers (verdict.h). */
#include "judge/scan.h"

#include <string.h>

struct reading {
    struct cr_match best;
    enum cr_choice choice;
    int margin;
};

static void weigh(const struct cr_scan *s, struct reading *r, int strength, size_t at,
                  size_t value_at, size_t end, enum cr_choice choice, int margin) {
    if (!cr_match_beats(s, &r->best, strength, at))
        return;
    r->best.found = true;
    r->best.strength = strength;
    r->best.at = at;
    r->best.len = end - at;
    r->best.value_at = value_at;
    r->choice = choice;
    r->margin = margin;
}

/* ---- labels ----------------------------------------------------------------------------- */

struct label {
    const char *text;
    enum cr_choice choice;
};

/* Longer spellings before their beginnings. */
static const struct label labels[] = {
    {"first", CR_CHOICE_FIRST}, {"second", CR_CHOICE_SECOND}, {"1st", CR_CHOICE_FIRST},
    {"2nd", CR_CHOICE_SECOND},  {"one", CR_CHOICE_FIRST},     {"two", CR_CHOICE_SECOND},
    {"1", CR_CHOICE_FIRST},     {"2", CR_CHOICE_SECOND},      {"a", CR_CHOICE_FIRST},
    {"b", CR_CHOICE_SECOND},    {"tie", CR_CHOICE_TIE},       {"tied", CR_CHOICE_TIE},
    {"draw", CR_CHOICE_TIE},    {"equal", CR_CHOICE_TIE},     {"equally", CR_CHOICE_TIE},
    {"same", CR_CHOICE_TIE},    {"both", CR_CHOICE_TIE},      {"neither", CR_CHOICE_TIE},
    {"c", CR_CHOICE_TIE},
};

static size_t skip_noun(const struct cr_scan *s, size_t i) {
    static const char *const nouns[] = {"response", "answer",      "assistant",
                                        "option",   "caption",     "candidate",
                                        "the",      "lmm response"};
    for (size_t k = 0; k < sizeof nouns / sizeof nouns[0]; k++)
        if (cr_scan_word(s, i, nouns[k]))
            return cr_scan_marks(s, i + strlen(nouns[k]));
    return i;
}

/* "first", "the first response", "Response A", "tie" at i. *bare: the label stands without
 * a noun; *at: where it stands. Returns the end, or SIZE_MAX. */
static size_t read_label(const struct cr_scan *s, size_t i, enum cr_choice *choice,
                         bool *bare, size_t *at) {
    size_t start = i;
    i = skip_noun(s, i);
    i = skip_noun(s, i);
    *at = i;
    for (size_t k = 0; k < sizeof labels / sizeof labels[0]; k++) {
        if (!cr_scan_word(s, i, labels[k].text))
            continue;
        size_t end = i + strlen(labels[k].text);
        size_t after = skip_noun(s, cr_scan_marks(s, end));
        *choice = labels[k].choice;
        *bare = i == start && after == cr_scan_marks(s, end);
        return *bare || after == cr_scan_marks(s, end) ? end : after;
    }
    return SIZE_MAX;
}

/* ---- The better response: [first] ------------------------------------------------------- */

/* Without brackets a bare label ends its line or sentence: "The better response: A detailed
 * answer would…" names nothing. */
static bool ends_clause(const struct cr_scan *s, size_t i) {
    i = cr_scan_marks(s, i);
    unsigned char c = cr_scan_at(s, i);
    if (c == '.' && cr_scan_is_digit(cr_scan_at(s, i + 1)))
        return false;
    return i >= s->text.len || strchr(".,;:!()\"'\n\r", c);
}

/* Brackets around a label, with whatever explains a tie: "[tie]", "[equally good]". */
static bool bracketed_label(const struct cr_scan *s, size_t i, enum cr_choice *choice,
                            size_t *value_at, size_t *end) {
    bool bare;
    size_t open = i;
    while (cr_scan_at(s, i) == '[')
        i++;
    if (i == open)
        return false;
    i = cr_scan_marks(s, i);
    if (cr_scan_at(s, i) == '"' || cr_scan_at(s, i) == '\'')
        i++;
    size_t k = read_label(s, i, choice, &bare, value_at);
    if (k == SIZE_MAX)
        return false;
    if (*choice == CR_CHOICE_TIE)
        while (k < s->text.len &&
               cr_scan_is_word_byte(cr_scan_at(s, cr_scan_blanks(s, k))))
            k = cr_scan_blanks(s, k) + 1;
    k = cr_scan_marks(s, k);
    if (cr_scan_at(s, k) == '"' || cr_scan_at(s, k) == '\'')
        k++;
    if (cr_scan_at(s, k) != ']')
        return false;
    while (cr_scan_at(s, k) == ']')
        k++;
    *end = k;
    return true;
}

static size_t better_keyword(const struct cr_scan *s, size_t i) {
    static const char *const words[] = {"better response", "better answer",
                                        "better caption", "better one"};
    for (size_t k = 0; k < sizeof words / sizeof words[0]; k++)
        if (cr_scan_word(s, i, words[k]))
            return i + strlen(words[k]);
    return SIZE_MAX;
}

static void scan_better(const struct cr_scan *s, struct reading *r) {
    for (size_t i = 0; i < s->text.len; i++) {
        enum cr_choice choice;
        bool bare;
        size_t value_at;
        size_t end;
        size_t k = better_keyword(s, i);
        if (k == SIZE_MAX)
            continue;
        bool is = cr_scan_word(s, cr_scan_marks(s, k), "is");
        size_t colon = cr_scan_colon(s, is ? cr_scan_marks(s, k) + 2 : k);
        if (is && colon == SIZE_MAX)
            k = cr_scan_marks(s, cr_scan_marks(s, k) + 2);
        else
            k = colon;
        if (k == SIZE_MAX)
            continue;
        int anchored = 2 * cr_scan_starts_line(s, i);
        if (bracketed_label(s, k, &choice, &value_at, &end)) {
            weigh(s, r, anchored + 1, i, value_at, end, choice, 0);
            continue;
        }
        if (cr_scan_at(s, k) == '"' || cr_scan_at(s, k) == '\'')
            k++;
        end = read_label(s, k, &choice, &bare, &value_at);
        if (end == SIZE_MAX || !ends_clause(s, end) || (colon == SIZE_MAX && bare))
            continue;
        weigh(s, r, anchored, i, value_at, end, choice, 0);
    }
}

/* ---- equally good ------------------------------------------------------------------------ */

static bool sentence_has(const struct cr_scan *s, size_t from, size_t to,
                         const char *const *words) {
    for (size_t i = from; i < to; i++)
        for (size_t k = 0; words[k]; k++)
            if (cr_scan_word(s, i, words[k]))
                return true;
    return false;
}

/* A sentence that says of both answers, without a condition or a contrast, that they are
 * as good as each other. */
static bool says_tie(const struct cr_scan *s, size_t from, size_t at, size_t to) {
    static const char *const denies[] = {
        "not",      "never",  "cannot",  "cant",     "no",     "hardly",  "if",
        "whether",  "unless", "though",  "although", "while",  "whereas", "scarcely",
        "isnt",     "arent",  "despite", "claim",    "claims", "wonder",  "doubt",
        "far from", "false",  "besides", NULL};
    static const char *const contrasts[] = {"but",    "however", "yet",       "although",
                                            "though", "except",  "while",     "whereas",
                                            "if",     "unless",  "otherwise", NULL};
    static const char *const subjects[] = {
        "both",       "two", "responses",  "answers", "they", "captions",
        "assistants", "tie", "candidates", "options", NULL};
    for (size_t i = from; i < at; i++)
        if (cr_scan_is(s, i, "n't") || cr_scan_is(s, i, "n\xe2\x80\x99t"))
            return false;
    return cr_scan_at(s, to) != '?' && !sentence_has(s, from, at, denies) &&
           !sentence_has(s, at, to, contrasts) && sentence_has(s, from, to, subjects);
}

static bool is_sentence_end(const struct cr_scan *s, size_t i) {
    unsigned char c = cr_scan_at(s, i);
    return c == '\n' || c == ';' || c == '!' || c == '?' ||
           (c == '.' && !cr_scan_is_digit(cr_scan_at(s, i + 1)));
}

static size_t tie_phrase(const struct cr_scan *s, size_t i) {
    static const char *const phrases[] = {
        "equally good",     "equally bad",        "equally poor",
        "equally well",     "equally strong",     "equally weak",
        "equal in quality", "of equal quality",   "equally valid",
        "equally matched",  "equally helpful",    "equally preferable",
        "equally suitable", "of the same quality"};
    for (size_t k = 0; k < sizeof phrases / sizeof phrases[0]; k++)
        if (cr_scan_word(s, i, phrases[k]))
            return i + strlen(phrases[k]);
    if (cr_scan_word(s, i, "it is a tie"))
        return i + 11;
    if (cr_scan_word(s, i, "it's a tie") || cr_scan_word(s, i, "this is a tie"))
        return i + (cr_scan_at(s, i) == 'i' ? 10 : 13);
    return SIZE_MAX;
}

static void scan_equally_good(const struct cr_scan *s, struct reading *r) {
    size_t from = 0;
    for (size_t i = 0; i < s->text.len; i++) {
        if (is_sentence_end(s, i)) {
            from = i + 1;
            continue;
        }
        if (tie_phrase(s, i) == SIZE_MAX)
            continue;
        size_t to = i;
        while (to < s->text.len && !is_sentence_end(s, to))
            to++;
        size_t at = from;
        while (at < i && strchr(" \t\r\n", s->text.data[at]))
            at++;
        if (says_tie(s, from, i, to))
            weigh(s, r, 0, at, i,
                  to < s->text.len && s->text.data[to] != '\n' ? to + 1 : to,
                  CR_CHOICE_TIE, 0);
        i = to > i ? to - 1 : i; /* one reading a sentence */
    }
}

/* ---- Answer 1 is better ------------------------------------------------------------------ */

static size_t read_is_better(const struct cr_scan *s, size_t i) {
    static const char *const degrees[] = {
        "the", "slightly", "much",   "clearly",   "far",        "overall",
        "a",   "bit",      "little", "generally", "marginally", "significantly"};
    if (!cr_scan_word(s, i, "is"))
        return SIZE_MAX;
    i = cr_scan_marks(s, i + 2);
    for (int round = 0; round < 3; round++)
        for (size_t k = 0; k < sizeof degrees / sizeof degrees[0]; k++)
            if (cr_scan_word(s, i, degrees[k])) {
                i = cr_scan_marks(s, i + strlen(degrees[k]));
                break;
            }
    return cr_scan_word(s, i, "better") ? i + 6 : SIZE_MAX;
}

static void scan_answer_better(const struct cr_scan *s, struct reading *r) {
    for (size_t i = 0; i < s->text.len; i++) {
        enum cr_choice choice;
        bool bare;
        if (i > 0 && cr_scan_is_word_byte(cr_scan_at(s, i - 1)))
            continue;
        size_t value_at;
        size_t k = read_label(s, i, &choice, &bare, &value_at);
        if (k == SIZE_MAX || bare || choice == CR_CHOICE_TIE)
            continue;
        size_t end = read_is_better(s, cr_scan_marks(s, k));
        if (end != SIZE_MAX)
            weigh(s, r, 0, i, value_at, end, choice, 0);
    }
}

/* ---- [[A]], [[A>>B]] --------------------------------------------------------------------- */

static void scan_letter(const struct cr_scan *s, struct reading *r) {
    for (size_t i = 0; i < s->text.len; i++) {
        enum cr_choice choice;
        bool bare;
        if (!cr_scan_is(s, i, "[["))
            continue;
        size_t value_at;
        size_t k = read_label(s, cr_scan_marks(s, i + 2), &choice, &bare, &value_at);
        if (k != SIZE_MAX && cr_scan_is(s, cr_scan_marks(s, k), "]]"))
            weigh(s, r, 0, i, value_at, cr_scan_marks(s, k) + 2, choice, 0);
    }
}

/* A>>B at i; the margin counts for A, whatever the order. Returns the end, or SIZE_MAX. */
static size_t read_arena(const struct cr_scan *s, size_t i, int *margin) {
    unsigned char left = cr_scan_at(s, i);
    int n = 0;
    if (left != 'a' && left != 'b')
        return SIZE_MAX;
    i = cr_scan_blanks(s, i + 1);
    unsigned char sign = cr_scan_at(s, i);
    if (sign != '>' && sign != '<' && sign != '=')
        return SIZE_MAX;
    for (; cr_scan_at(s, i) == sign; i++)
        n++;
    i = cr_scan_blanks(s, i);
    if (cr_scan_at(s, i) != (left == 'a' ? 'b' : 'a') || n > 2 || (sign == '=' && n > 1))
        return SIZE_MAX;
    *margin = sign == '=' ? 0 : (sign == '>') == (left == 'a') ? n : -n;
    return i + 1;
}

static void scan_arena(const struct cr_scan *s, struct reading *r) {
    for (size_t i = 0; i < s->text.len; i++) {
        int margin;
        if (!cr_scan_is(s, i, "[["))
            continue;
        size_t value_at = cr_scan_blanks(s, i + 2);
        size_t k = read_arena(s, value_at, &margin);
        if (k == SIZE_MAX || !cr_scan_is(s, cr_scan_blanks(s, k), "]]"))
            continue;
        weigh(s, r, 0, i, value_at, cr_scan_blanks(s, k) + 2,
              margin > 0   ? CR_CHOICE_FIRST
              : margin < 0 ? CR_CHOICE_SECOND
                           : CR_CHOICE_TIE,
              margin);
    }
}

bool cr_parse_choice(const struct cr_scan *s, enum cr_format format,
                     struct cr_parsed *out) {
    struct reading r = {.choice = CR_CHOICE_NONE};
    if (format == CR_FORMAT_LETTER)
        scan_letter(s, &r);
    else if (format == CR_FORMAT_ARENA)
        scan_arena(s, &r);
    else if (format == CR_FORMAT_BETTER)
        scan_better(s, &r);
    else
        scan_answer_better(s, &r);
    if (!r.best.found &&
        (format == CR_FORMAT_BETTER || format == CR_FORMAT_ANSWER_BETTER))
        scan_equally_good(s, &r);
    out->choice = r.choice;
    out->margin = r.margin;
    out->at = r.best.at;
    out->len = r.best.len;
    out->value_at = r.best.value_at;
    return r.best.found;
}
