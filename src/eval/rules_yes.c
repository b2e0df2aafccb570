/* Yes or no (rules.h). */
#include <string.h>

#include "eval/rules.h"
#include "eval/rules_text.h"

/* Bytes of the first n characters. */
static size_t first_characters(struct cr_str s, size_t n) {
    size_t i = 0;
    for (; i < s.len && n > 0; n--)
        for (i++; i < s.len && ((unsigned char)s.data[i] & 0xc0) == 0x80; i++)
            ;
    return i;
}

static enum cr_yes yes_or_no_in(struct cr_str s) {
    if (cr_text_find(s, 0, "yes") != SIZE_MAX)
        return CR_YES_YES;
    return cr_text_find(s, 0, "no") != SIZE_MAX ? CR_YES_NO : CR_YES_OTHER;
}

static bool is(struct cr_str s, const char *lower) {
    return s.len == strlen(lower) && cr_text_starts(s, 0, lower);
}

enum cr_yes cr_rule_mme(struct cr_str text) {
    text.len = first_characters(text, 4);
    return yes_or_no_in(text);
}

enum cr_yes cr_rule_mme_lmms(struct cr_str text) {
    char kept[16];
    size_t n = 0;
    text = cr_text_trim(text);
    for (size_t i = 0; i < text.len && n < sizeof kept; i++)
        if (text.data[i] != '.')
            kept[n++] = text.data[i];
    struct cr_str s = {kept, n};
    if (is(s, "y"))
        return CR_YES_YES;
    if (is(s, "n"))
        return CR_YES_NO;
    return cr_rule_mme(s);
}

enum cr_yes cr_rule_pope(struct cr_str text) {
    const char *period = text.len > 0 ? memchr(text.data, '.', text.len) : NULL;
    if (period)
        text.len = (size_t)(period - text.data);
    char word[4];
    size_t n = 0;
    for (size_t i = 0; i <= text.len; i++) {
        if (i < text.len && text.data[i] == ',')
            continue;
        if (i < text.len && text.data[i] != ' ') {
            if (n < sizeof word)
                word[n++] = text.data[i];
            continue;
        }
        if ((n == 2 && (memcmp(word, "No", 2) == 0 || memcmp(word, "no", 2) == 0)) ||
            (n == 3 && memcmp(word, "not", 3) == 0))
            return CR_YES_NO;
        n = 0;
    }
    return CR_YES_YES;
}

enum cr_yes cr_rule_pope_exact(struct cr_str text) {
    struct cr_str s = cr_text_trim(text);
    return is(s, "yes") ? CR_YES_YES : is(s, "no") ? CR_YES_NO : CR_YES_OTHER;
}

static bool is_letter(char c) {
    char lower = cr_text_lower(c);
    return (lower >= 'a' && lower <= 'z') || (unsigned char)c >= 0x80;
}

enum cr_yes cr_rule_yes_robust(struct cr_str text) {
    for (size_t i = 0, end; i < text.len; i = end + 1) {
        for (end = i; end < text.len && is_letter(text.data[end]); end++)
            ;
        struct cr_str word = {text.data + i, end - i};
        if (is(word, "yes"))
            return CR_YES_YES;
        if (is(word, "no"))
            return CR_YES_NO;
    }
    return CR_YES_OTHER;
}
