/* Data files compiled into the library (cmake/embed.cmake). */
#ifndef CR_BASE_ASSET_H
#define CR_BASE_ASSET_H

#include <stddef.h>

/* A table of them is sorted by name and ended by a NULL name. The data starts at a multiple of 64
 * and a zero, which len does not count, follows it. */
struct cr_asset {
    const char *name;
    const char *data;
    size_t len;
};

#endif
