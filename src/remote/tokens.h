/* The tokens of a reply with the probabilities that an endpoint gave for them: what was written at
 * each place, and what else might have been. */
#ifndef CR_REMOTE_TOKENS_H
#define CR_REMOTE_TOKENS_H

#include "base/arena.h"
#include "base/bytes.h"

struct cr_token_choice {
    struct cr_str text; /* bytes; maybe a part of a character */
    double logprob;
};

struct cr_reply_token {
    struct cr_token_choice said;
    /* the most probable ones; said may be one of them */
    const struct cr_token_choice *top;
    size_t n_top;
};

/* Zeroed: none. */
struct cr_reply_tokens {
    struct cr_reply_token *all;
    size_t n;
    struct cr_arena arena;
};

static inline void cr_reply_tokens_fini(struct cr_reply_tokens *t) {
    cr_arena_fini(&t->arena);
    *t = (struct cr_reply_tokens){0};
}

#endif
