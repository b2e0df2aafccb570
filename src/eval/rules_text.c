#include "eval/rules_text.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

bool cr_text_is_blank(char c) {
    return c == ' ' || (c >= '\t' && c <= '\r');
}

char cr_text_lower(char c) {
    return c >= 'A' && c <= 'Z' ? (char)(c + 32) : c;
}

struct cr_str cr_text_trim(struct cr_str s) {
    while (s.len > 0 && cr_text_is_blank(s.data[0])) {
        s.data++;
        s.len--;
    }
    while (s.len > 0 && cr_text_is_blank(s.data[s.len - 1]))
        s.len--;
    return s;
}

struct cr_str cr_text_first_line(struct cr_str s) {
    const char *end = s.len > 0 ? memchr(s.data, '\n', s.len) : NULL;
    return (struct cr_str){s.data, end ? (size_t)(end - s.data) : s.len};
}

bool cr_text_starts(struct cr_str s, size_t at, const char *lower) {
    size_t n = strlen(lower);
    if (at > s.len || s.len - at < n)
        return false;
    for (size_t i = 0; i < n; i++)
        if (cr_text_lower(s.data[at + i]) != lower[i])
            return false;
    return true;
}

size_t cr_text_find(struct cr_str s, size_t from, const char *needle) {
    for (size_t i = from; i < s.len; i++)
        if (cr_text_starts(s, i, needle))
            return i;
    return SIZE_MAX;
}

static bool is_digit(char c) {
    return c >= '0' && c <= '9';
}

bool cr_text_decimal_at(struct cr_str s, size_t at, double *value, size_t *end) {
    char text[64];
    size_t n = 0;
    size_t digits = 0;
    size_t i = at;
    if (i < s.len && (s.data[i] == '-' || s.data[i] == '+'))
        text[n++] = s.data[i++];
    for (; i < s.len && is_digit(s.data[i]) && n < 40; i++, digits++)
        text[n++] = s.data[i];
    if (i + 1 < s.len && s.data[i] == '.' && is_digit(s.data[i + 1]))
        for (text[n++] = s.data[i++]; i < s.len && is_digit(s.data[i]) && n < 60;
             i++, digits++)
            text[n++] = s.data[i];
    if (digits == 0)
        return false;
    text[n] = '\0';
    *value = strtod(text, NULL);
    *end = i;
    return true;
}

bool cr_text_number(struct cr_str s, double *value) {
    char text[64];
    s = cr_text_trim(s);
    if (s.len == 0 || s.len >= sizeof text)
        return false;
    for (size_t i = 0; i < s.len; i++)
        if (!is_digit(s.data[i]) && !memchr("+-.eE", s.data[i], 5))
            return false;
    memcpy(text, s.data, s.len);
    text[s.len] = '\0';
    char *end;
    *value = strtod(text, &end);
    return *end == '\0' && isfinite(*value);
}
