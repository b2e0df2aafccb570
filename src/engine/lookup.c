#include "engine/lookup.h"

#include <string.h>

#include "base/checked.h"
#include "base/error.h"

/* Shorter likenesses say too little, longer ones nothing more. */
#define LEAST_LIKE 2
#define MOST_LIKE  8

/* Tokens that ids [0, n) and [0, end) end with alike. */
static size_t likeness(const int32_t *ids, size_t n, size_t end) {
    size_t like = 0;
    while (like < MOST_LIKE && like < end && ids[end - 1 - like] == ids[n - 1 - like])
        like++;
    return like;
}

size_t cr_lookup_draft(const int32_t *ids, size_t n, size_t most, int32_t *draft) {
    size_t best = 0, at = 0;
    CR_ASSERT(most <= CR_MAX_DRAFT);
    for (size_t end = n; end > 1 && best < MOST_LIKE;) {
        size_t like = likeness(ids, n, --end);
        if (like > best) {
            best = like;
            at = end;
        }
    }
    if (best < LEAST_LIKE)
        return 0;
    size_t len = CR_MIN(most, n - at);
    memcpy(draft, ids + at, len * sizeof *draft);
    return len;
}
