/* Data files compiled into the library (cmake/embed.cmake). */
#ifndef CR_BASE_ASSET_H
#define CR_BASE_ASSET_H

#include <stddef.h>

/* A table of them is sorted by name and ended by a NULL name; data is terminated. */
struct cr_asset {
    const char *name;
    const char *data;
    size_t len;
};

#endif
