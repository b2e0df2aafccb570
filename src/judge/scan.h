/* Scanning of judges' prose: shared by the verdict parser's formats. Bytes are compared in
 * ASCII without case; other UTF-8 passes through. Positions past the end read as 0. */
#ifndef CR_JUDGE_SCAN_H
#define CR_JUDGE_SCAN_H

#include "judge/verdict.h"

struct cr_scan {
    struct cr_str text;
    const unsigned char *quoted; /* one byte a byte of text: 1 inside quotation marks */
};

/* A match being weighed against the best one so far. */
struct cr_match {
    bool found;
    int strength;
    size_t at, len, value_at;
};

unsigned char cr_scan_at(const struct cr_scan *s, size_t i);           /* lower case */
bool cr_scan_is(const struct cr_scan *s, size_t i, const char *lower); /* literal here? */
bool cr_scan_word(const struct cr_scan *s, size_t i,
                  const char *lower); /* and a whole word */
bool cr_scan_is_word_byte(unsigned char c);
bool cr_scan_is_digit(unsigned char c);
/* The position after blanks (space, tab) and after emphasis (* _ ` #) as well. */
size_t cr_scan_blanks(const struct cr_scan *s, size_t i);
size_t cr_scan_marks(const struct cr_scan *s, size_t i);
/* ":" or "=" or full-width colon, with marks around; SIZE_MAX where there is none. */
size_t cr_scan_colon(const struct cr_scan *s, size_t i);
size_t cr_scan_line_start(const struct cr_scan *s, size_t i);
size_t cr_scan_line_end(const struct cr_scan *s, size_t i);
/* Only blanks, marks, list bullets and an article stand before i on its line. */
bool cr_scan_starts_line(const struct cr_scan *s, size_t i);

/* A decimal number as people write scores. after: the position behind it. `malformed`:
 * digits that are no plain score ("1,000", "1.2.3", ten digits). */
struct cr_number {
    double value;
    bool malformed;
    size_t after;
};
bool cr_scan_number(const struct cr_scan *s, size_t i, struct cr_number *out);

/* Whether a match at this strength replaces the best so far (stronger, or as strong and
 * later); quoted matches never do. */
bool cr_match_beats(const struct cr_scan *s, const struct cr_match *best, int strength,
                    size_t at);

/* NULL where value fits the scale, else why not. */
const char *cr_scale_refuses(const struct cr_scale *scale, double value);

/* The formats; each fills *out where it found something (ok or why) and says whether. */
bool cr_parse_score(const struct cr_scan *s, const struct cr_verdict_rule *rule,
                    enum cr_format format, struct cr_parsed *out);
bool cr_parse_choice(const struct cr_scan *s, enum cr_format format,
                     struct cr_parsed *out);
bool cr_parse_order(const struct cr_scan *s, size_t n_answers, struct cr_parsed *out);

#endif
