/* From a reply to a letter (mmbench.h). */
#include <string.h>

#include "base/checked.h"
#include "eval/mmbench.h"
#include "eval/rules_text.h"

static bool has(struct cr_str reply, const char *text) {
    return cr_str_find(reply, cr_str_of(text)) != SIZE_MAX;
}

/* The next word between blanks from *at on; len 0 at the end. */
static struct cr_str next_word(struct cr_str s, size_t *at) {
    size_t i = *at;
    while (i < s.len && cr_text_is_blank(s.data[i]))
        i++;
    size_t start = i;
    while (i < s.len && !cr_text_is_blank(s.data[i]))
        i++;
    *at = i;
    return (struct cr_str){s.data + start, i - start};
}

/* Which letters stand as a word with prefix and suffix around; how many words there are. */
static unsigned letters_as(struct cr_str s, const char *prefix, const char *suffix,
                           size_t *n_words) {
    unsigned letters = 0;
    size_t n_prefix = strlen(prefix);
    size_t n_suffix = strlen(suffix);
    *n_words = 0;
    for (size_t at = 0;;) {
        struct cr_str w = next_word(s, &at);
        if (w.len == 0)
            return letters;
        ++*n_words;
        if (w.len != n_prefix + 1 + n_suffix || memcmp(w.data, prefix, n_prefix) != 0 ||
            memcmp(w.data + n_prefix + 1, suffix, n_suffix) != 0)
            continue;
        char c = w.data[n_prefix];
        if (c >= 'A' && c < 'A' + CR_MMBENCH_OPTIONS)
            letters |= 1u << (c - 'A');
    }
}

/* The letter where exactly one bit is set, else 0. */
static char only_letter(unsigned letters) {
    if (letters == 0 || (letters & (letters - 1)) != 0)
        return 0;
    char c = 'A';
    while (!(letters & 1)) {
        letters >>= 1;
        c++;
    }
    return c;
}

static char by_letter_official(struct cr_str reply) {
    static const char *const around[][2] = {
        {"", "."},   {"", ","}, {"", ":"},  {"", ")"},  {"", ")."}, {"(", ")"},
        {"(", ")."}, {":", ""}, {":", ","}, {":", "."}, {":", ")"}, {":", ")."}};
    size_t n_words;
    if (has(reply, "Failed to obtain answer via API"))
        return 0;
    unsigned bare = letters_as(reply, "", "", &n_words);
    bool article = (bare & 1) && n_words > 3; /* "A" may be one */
    if (only_letter(bare) && !article)
        return only_letter(bare);
    for (size_t i = 0; i < CR_COUNT(around); i++) {
        char c = only_letter(letters_as(reply, around[i][0], around[i][1], &n_words));
        if (c)
            return c;
    }
    return 0;
}

static bool contains_text(struct cr_str reply, struct cr_str option) {
    for (size_t i = 0; i + option.len <= reply.len; i++) {
        size_t k = 0;
        while (k < option.len &&
               cr_text_lower(reply.data[i + k]) == cr_text_lower(option.data[k]))
            k++;
        if (k == option.len)
            return true;
    }
    return false;
}

static char by_text(struct cr_str reply, const struct cr_str *option) {
    unsigned letters = 0;
    for (size_t i = 0; i < CR_MMBENCH_OPTIONS; i++)
        if (option[i].data && contains_text(reply, option[i]))
            letters |= 1u << i;
    return only_letter(letters);
}

/* ---- VLMEvalKit ----------------------------------------------------------------------------- */

static bool is_mark(char c) {
    return memchr(".()[],:;!*#{}", c, 13) != NULL;
}

/* A word of one letter between blanks and marks: its letter, 0 for another word. */
static char letter_word(struct cr_str s, size_t *at, bool *is_word) {
    size_t i = *at;
    while (i < s.len && (cr_text_is_blank(s.data[i]) || is_mark(s.data[i])))
        i++;
    size_t start = i;
    while (i < s.len && !cr_text_is_blank(s.data[i]) && !is_mark(s.data[i]))
        i++;
    *at = i;
    *is_word = i > start;
    return i == start + 1 ? s.data[start] : 0;
}

static char by_letter_vlmeval(struct cr_str reply, const struct cr_str *option) {
    static const char *const refusals[] = {
        "Sorry, I can't help with images of people yet.", "I can't process this file.",
        "I'm sorry, but without the image provided", "Cannot determine the answer"};
    if (has(reply, "Failed to obtain answer via API"))
        return 0;
    for (size_t i = 0; i < CR_COUNT(refusals); i++)
        if (has(reply, refusals[i]))
            return 'Z';
    unsigned letters = 0;
    bool none = false;
    size_t n_words = 0;
    size_t first[CR_MMBENCH_OPTIONS] = {0};
    bool is_word = true;
    for (size_t at = 0;; n_words++) {
        char c = letter_word(reply, &at, &is_word);
        if (!is_word)
            break;
        none = none || c == 'Z';
        size_t k = (size_t)(c - 'A');
        if (c < 'A' || k >= CR_MMBENCH_OPTIONS || !option[k].data)
            continue;
        if (!(letters >> k & 1))
            first[k] = n_words;
        letters |= 1u << k;
    }
    char c = only_letter(letters);
    if (c)
        return first[c - 'A'] + 5 > n_words ? c : 0;
    return letters == 0 && none ? 'Z' : 0;
}

static size_t n_characters(struct cr_str s) {
    size_t n = 0;
    for (size_t i = 0; i < s.len; i++)
        n += ((unsigned char)s.data[i] & 0xc0) != 0x80;
    return n;
}

char cr_mmbench_read(enum cr_mmbench_rule rule, struct cr_str reply,
                     const struct cr_str option[CR_MMBENCH_OPTIONS]) {
    char c = rule == CR_MMBENCH_VLMEVAL ? by_letter_vlmeval(reply, option)
                                        : by_letter_official(reply);
    if (c)
        return c;
    size_t n_options = 0;
    for (size_t i = 0; i < CR_MMBENCH_OPTIONS; i++)
        n_options += n_characters(option[i]);
    if (rule == CR_MMBENCH_VLMEVAL && n_characters(reply) > 2 * n_options)
        return 0;
    return by_text(reply, option);
}
