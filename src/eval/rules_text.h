/* Small text helpers of the rules: Python's idea of blanks, lower case and numbers in ASCII. */
#ifndef CR_EVAL_RULES_TEXT_H
#define CR_EVAL_RULES_TEXT_H

#include "base/bytes.h"

bool cr_text_is_blank(char c);
char cr_text_lower(char c);
struct cr_str cr_text_trim(struct cr_str s);
struct cr_str cr_text_first_line(struct cr_str s);
/* Offset of needle (lower case) in s from `from`, letter case ignored; SIZE_MAX: not there. */
size_t cr_text_find(struct cr_str s, size_t from, const char *needle);
bool cr_text_starts(struct cr_str s, size_t at, const char *lower);
/* What Python's float() takes, in decimal and finite: blanks around, sign, exponent. */
bool cr_text_number(struct cr_str s, double *value);
/* A signed decimal at s[at]; *end behind it. */
bool cr_text_decimal_at(struct cr_str s, size_t at, double *value, size_t *end);

#endif
