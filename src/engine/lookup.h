/* Drafts for decoding: a text that ends as it did before may go on as it did then. Reasons name what
 * the prompt's answers say, so their tokens are often there already. */
#ifndef CR_ENGINE_LOOKUP_H
#define CR_ENGINE_LOOKUP_H

#include <stddef.h>
#include <stdint.h>

/* Tokens that are drafted ahead at most. */
#define CR_MAX_DRAFT 7

/* Looks for the earlier place in ids [0, n) whose end is like ids' own for longest (at least 2
 * tokens; the later place of two), and copies up to `most` <= CR_MAX_DRAFT of the tokens behind it.
 * Returns how many; 0: there is no such place. */
size_t cr_lookup_draft(const int32_t *ids, size_t n, size_t most, int32_t *draft);

#endif
