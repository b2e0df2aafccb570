#include "base/grow.h"

#include <stdint.h>
#include <stdlib.h>

#define FIRST_ROOM 64

void *cr_grow(void *items, size_t n, size_t *cap, size_t item_bytes) {
    if (n < *cap)
        return items;
    if (*cap > (SIZE_MAX / item_bytes - FIRST_ROOM) / 2)
        return NULL;
    size_t more = 2 * *cap + FIRST_ROOM;
    void *grown = realloc(items, more * item_bytes);
    if (grown)
        *cap = more;
    return grown;
}
