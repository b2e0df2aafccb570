/* How well a model foretells a text: each token's log-probability and the token it would have
 * said itself. The measure that quantised weights are held to (docs/numerics.md). */
#ifndef CR_ENGINE_PERPLEXITY_H
#define CR_ENGINE_PERPLEXITY_H

#include "engine/engine.h"

struct cr_foretold {
    bool scored;   /* false: the first of a window, which nothing foretells */
    int32_t top;   /* the likeliest token at this place */
    float logprob; /* of the text's own token, natural logarithm */
};

/* The text goes in windows of `window` tokens (at least 2), each from nothing; the rest of less
 * than 2 is not scored. out: n entries. Ids past the tokenizer take no probability mass.
 * done (may be NULL) hears how many tokens are through.
 * Errors: as cr_engine_forward. */
enum critic_status cr_engine_foretell(struct cr_engine *e, const int32_t *ids, size_t n,
                                      size_t window, struct cr_foretold *out,
                                      void (*done)(void *user, size_t n_tokens),
                                      void *user, critic_error *err);

#endif
