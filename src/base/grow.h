/* Lists that grow: room for one item more. */
#ifndef CR_BASE_GROW_H
#define CR_BASE_GROW_H

#include <stddef.h>

/* `items` with room for item n of item_bytes: as it is while n < *cap, else moved to at least twice
 * the room, which *cap then says. NULL: no memory, and items stays as it was.
 *
 *   struct row *grown = cr_grow(rows, n, &cap, sizeof *grown); */
void *cr_grow(void *items, size_t n, size_t *cap, size_t item_bytes);

#endif
