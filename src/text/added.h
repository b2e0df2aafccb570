/* Added tokens: literal strings that are recognised in running text before anything else
 * happens to it. Matches are leftmost, then longest, as the reference's automaton finds
 * them. */
#ifndef CR_TEXT_ADDED_H
#define CR_TEXT_ADDED_H

#include "base/bytes.h"

/* Bounds the work that one position of a text can cost. */
enum { CR_MAX_ADDED_BYTES = 1024 };

struct cr_added_token {
    struct cr_str text; /* owned by the set */
    int32_t id;
    bool special;
    bool lstrip; /* takes the white space before it */
    bool rstrip; /* takes the white space behind it */
};

/* Sorted by text. */
struct cr_added_set {
    struct cr_added_token *tokens;
    size_t n_tokens;
    size_t cap;
    bool first[256]; /* bytes that some token begins with */
};

/* Safe on a zeroed set. */
void cr_added_fini(struct cr_added_set *set);
/* Copies token (its text too). Errors: CRITIC_NO_MEMORY. */
enum critic_status cr_added_push(struct cr_added_set *set,
                                 const struct cr_added_token *token, critic_error *err);
/* Sorts; to be called once, after the last push. Errors: CRITIC_BAD_FILE (a text that
 * comes twice). */
enum critic_status cr_added_seal(struct cr_added_set *set, const char *name,
                                 critic_error *err);
/* NULL where there is none. */
const struct cr_added_token *cr_added_find(const struct cr_added_set *set,
                                           struct cr_str text);

/* A match: text[start..end) including stripped white space. */
struct cr_added_match {
    const struct cr_added_token *token;
    size_t start;
    size_t end;
};

/* The first match that begins at or behind `at`; with parse_special false, special tokens
 * hide what they cover but are no match. White space before `at` is not taken. */
bool cr_added_next(const struct cr_added_set *set, struct cr_str text, size_t at,
                   bool parse_special, struct cr_added_match *found);

#endif
