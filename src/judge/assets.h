/* Data files compiled into the library (cmake/embed.cmake). */
#ifndef CR_JUDGE_ASSETS_H
#define CR_JUDGE_ASSETS_H

#include <stddef.h>

struct cr_asset {
    const char *name;
    const char *data;
    size_t len;
};

/* Sorted by name, ended by a NULL name. */
extern const struct cr_asset cr_template_assets[];

#endif
