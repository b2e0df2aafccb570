/* What was seen before: a set of keys. */
#ifndef CR_WORLD_SEEN_H
#define CR_WORLD_SEEN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

/* A set of 64-bit keys, each with the number of who put it there first. */
struct cr_seen {
    uint64_t *keys; /* 0: free */
    uint32_t *owners;
    size_t n, cap;
};
/* Puts key in unless it is there; *owner is then who was first, and *again says so.
 * Errors: CRITIC_NO_MEMORY. */
enum critic_status cr_seen_put(struct cr_seen *s, uint64_t key, uint32_t *owner,
                               bool *again, critic_error *err);
void cr_seen_fini(struct cr_seen *s);

#endif
