#include "text/added.h"

#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "base/grow.h"
#include "text/unicode_tables.h"

void cr_added_fini(struct cr_added_set *set) {
    for (size_t i = 0; i < set->n_tokens; i++)
        free((void *)(uintptr_t)set->tokens[i].text.data);
    free(set->tokens);
    *set = (struct cr_added_set){0};
}

enum critic_status cr_added_push(struct cr_added_set *set,
                                 const struct cr_added_token *token, critic_error *err) {
    CR_ASSERT(token->text.len > 0);
    struct cr_added_token *tokens =
        cr_grow(set->tokens, set->n_tokens, &set->cap, sizeof *tokens);
    if (!tokens)
        return cr_fail(err, CRITIC_NO_MEMORY, "out of memory for %zu added tokens",
                       set->n_tokens + 1);
    set->tokens = tokens;
    char *text = malloc(token->text.len);
    if (!text)
        return cr_fail(err, CRITIC_NO_MEMORY, "out of memory for an added token");
    memcpy(text, token->text.data, token->text.len);
    struct cr_added_token *copy = &set->tokens[set->n_tokens++];
    *copy = *token;
    copy->text.data = text;
    set->first[(unsigned char)text[0]] = true;
    return CRITIC_OK;
}

static int compare_text(struct cr_str a, struct cr_str b) {
    int order = memcmp(a.data, b.data, CR_MIN(a.len, b.len));
    return order ? order : (a.len > b.len) - (a.len < b.len);
}

static int compare_tokens(const void *a, const void *b) {
    const struct cr_added_token *x = a;
    const struct cr_added_token *y = b;
    return compare_text(x->text, y->text);
}

enum critic_status cr_added_seal(struct cr_added_set *set, const char *name,
                                 critic_error *err) {
    if (set->n_tokens > 1)
        qsort(set->tokens, set->n_tokens, sizeof *set->tokens, compare_tokens);
    for (size_t i = 1; i < set->n_tokens; i++)
        if (cr_str_eq(set->tokens[i - 1].text, set->tokens[i].text))
            return cr_fail(err, CRITIC_BAD_FILE,
                           "%s: ids %d and %d are the same added token", name,
                           (int)set->tokens[i - 1].id, (int)set->tokens[i].id);
    return CRITIC_OK;
}

const struct cr_added_token *cr_added_find(const struct cr_added_set *set,
                                           struct cr_str text) {
    struct cr_added_token key = {.text = text};
    if (set->n_tokens == 0 || text.len == 0)
        return NULL;
    return bsearch(&key, set->tokens, set->n_tokens, sizeof key, compare_tokens);
}

/* The first token in [low, high) whose byte k is at least `byte`; all of them share the
 * first k bytes, and one that ends there sorts first. */
static size_t narrow(const struct cr_added_set *set, size_t low, size_t high, size_t k,
                     int byte) {
    while (low < high) {
        size_t middle = (low + high) / 2;
        struct cr_str t = set->tokens[middle].text;
        int have = t.len > k ? (unsigned char)t.data[k] : -1;
        if (have < byte)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* The longest token that text begins with, NULL where there is none. */
static const struct cr_added_token *longest(const struct cr_added_set *set,
                                            struct cr_str text) {
    const struct cr_added_token *best = NULL;
    size_t low = 0;
    size_t high = set->n_tokens;
    for (size_t k = 0; k < text.len; k++) {
        int byte = (unsigned char)text.data[k];
        low = narrow(set, low, high, k, byte);
        high = narrow(set, low, high, k, byte + 1);
        if (low == high)
            break;
        if (set->tokens[low].text.len == k + 1)
            best = &set->tokens[low];
    }
    return best;
}

/* Where the white space that ends at `end` begins, not before `floor`. */
static size_t space_before(struct cr_str text, size_t floor, size_t end) {
    while (end > floor) {
        size_t start = end - 1;
        while (start > floor && ((unsigned char)text.data[start] & 0xC0) == 0x80)
            start--;
        uint32_t c;
        (void)cr_utf8_decode(text.data + start, end - start, &c);
        if (cr_char_class(c) != CR_CHAR_SPACE)
            break;
        end = start;
    }
    return end;
}

static size_t space_behind(struct cr_str text, size_t start) {
    while (start < text.len) {
        uint32_t c;
        size_t n = cr_utf8_decode(text.data + start, text.len - start, &c);
        if (cr_char_class(c) != CR_CHAR_SPACE)
            break;
        start += n;
    }
    return start;
}

bool cr_added_next(const struct cr_added_set *set, struct cr_str text, size_t at,
                   bool parse_special, struct cr_added_match *found) {
    if (set->n_tokens == 0)
        return false;
    size_t floor = at;
    while (at < text.len) {
        if (!set->first[(unsigned char)text.data[at]]) {
            at++;
            continue;
        }
        const struct cr_added_token *token =
            longest(set, (struct cr_str){text.data + at, text.len - at});
        if (!token) {
            at++;
            continue;
        }
        size_t end = at + token->text.len;
        if (token->special && !parse_special) {
            at = end;
            continue;
        }
        *found = (struct cr_added_match){token, at, end};
        if (token->lstrip)
            found->start = space_before(text, floor, at);
        if (token->rstrip)
            found->end = space_behind(text, end);
        return true;
    }
    return false;
}
