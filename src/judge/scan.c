#include "judge/scan.h"

#include <math.h>
#include <string.h>

unsigned char cr_scan_at(const struct cr_scan *s, size_t i) {
    unsigned char c = i < s->text.len ? (unsigned char)s->text.data[i] : 0;
    return c >= 'A' && c <= 'Z' ? (unsigned char)(c + 32) : c;
}

bool cr_scan_is(const struct cr_scan *s, size_t i, const char *lower) {
    size_t n = strlen(lower);
    if (i > s->text.len || n > s->text.len - i)
        return false;
    for (size_t k = 0; k < n; k++)
        if (cr_scan_at(s, i + k) != (unsigned char)lower[k])
            return false;
    return true;
}

bool cr_scan_is_digit(unsigned char c) {
    return c >= '0' && c <= '9';
}

bool cr_scan_is_word_byte(unsigned char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || cr_scan_is_digit(c);
}

bool cr_scan_word(const struct cr_scan *s, size_t i, const char *lower) {
    if (!cr_scan_is(s, i, lower))
        return false;
    if (i > 0 && cr_scan_is_word_byte(cr_scan_at(s, i - 1)))
        return false;
    return !cr_scan_is_word_byte(cr_scan_at(s, i + strlen(lower)));
}

size_t cr_scan_blanks(const struct cr_scan *s, size_t i) {
    while (cr_scan_at(s, i) == ' ' || cr_scan_at(s, i) == '\t')
        i++;
    return i;
}

static bool is_mark(unsigned char c) {
    return c == '*' || c == '_' || c == '`' || c == '#';
}

size_t cr_scan_marks(const struct cr_scan *s, size_t i) {
    for (;; i++) {
        unsigned char c = cr_scan_at(s, i);
        if (c != ' ' && c != '\t' && !is_mark(c))
            return i;
    }
}

size_t cr_scan_colon(const struct cr_scan *s, size_t i) {
    i = cr_scan_marks(s, i);
    if (cr_scan_is(s, i, "\xef\xbc\x9a")) /* U+FF1A */
        i += 3;
    else if (cr_scan_at(s, i) == ':' || cr_scan_at(s, i) == '=')
        i++;
    else
        return SIZE_MAX;
    return cr_scan_marks(s, i);
}

size_t cr_scan_line_start(const struct cr_scan *s, size_t i) {
    while (i > 0 && s->text.data[i - 1] != '\n')
        i--;
    return i;
}

size_t cr_scan_line_end(const struct cr_scan *s, size_t i) {
    while (i < s->text.len && s->text.data[i] != '\n')
        i++;
    return i;
}

/* Walks back from i over what may stand before a verdict, instead of forward from the
 * line's start: lines may be long and matches many. */
bool cr_scan_starts_line(const struct cr_scan *s, size_t i) {
    while (i > 0) {
        unsigned char c = cr_scan_at(s, i - 1);
        if (c == '\n')
            return true;
        if (c == ' ' || c == '\t' || c == '\r' || is_mark(c) || c == '-' || c == '"') {
            i--;
            continue;
        }
        if (i >= 3 && cr_scan_word(s, i - 3, "the"))
            i -= 3;
        else if (i >= 2 && cr_scan_word(s, i - 2, "my"))
            i -= 2;
        else if (i >= 5 &&
                 (cr_scan_word(s, i - 5, "final") || cr_scan_word(s, i - 5, "total")))
            i -= 5;
        else if (i >= 7 && cr_scan_word(s, i - 7, "overall"))
            i -= 7;
        else
            return false;
    }
    return true;
}

bool cr_scan_number(const struct cr_scan *s, size_t i, struct cr_number *out) {
    size_t start = i;
    bool negative = cr_scan_at(s, i) == '-';
    double value = 0;
    double place = 1;
    size_t n_whole = 0;
    i += negative;
    for (; cr_scan_is_digit(cr_scan_at(s, i)); i++, n_whole++)
        value = n_whole < 9 ? value * 10 + (cr_scan_at(s, i) - '0') : value;
    if (n_whole == 0)
        return false;
    size_t n_decimals = 0;
    if (cr_scan_at(s, i) == '.' && cr_scan_is_digit(cr_scan_at(s, i + 1))) {
        for (i++; cr_scan_is_digit(cr_scan_at(s, i)); i++, n_decimals++) {
            place *= n_decimals < 9 ? 10 : 1;
            value = n_decimals < 9 ? value * 10 + (cr_scan_at(s, i) - '0') : value;
        }
    }
    unsigned char next = cr_scan_at(s, i);
    out->value = (negative ? -value : value) / place;
    out->after = i;
    out->malformed =
        n_whole > 8 || n_decimals > 8 ||
        ((next == ',' || next == '.') && cr_scan_is_digit(cr_scan_at(s, i + 1))) ||
        cr_scan_is_word_byte(next) || (start > 0 && cr_scan_at(s, start - 1) == '.');
    return true;
}

bool cr_match_beats(const struct cr_scan *s, const struct cr_match *best, int strength,
                    size_t at) {
    return !s->quoted[at] && (!best->found || strength >= best->strength);
}

const char *cr_scale_refuses(const struct cr_scale *scale, double value) {
    if (value < scale->min || value > scale->max)
        return "the score is outside the scale";
    if (scale->step >= 1 && value != floor(value))
        return "the score has decimals; the scale has whole numbers";
    return NULL;
}
