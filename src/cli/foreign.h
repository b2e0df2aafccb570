/* The embedded models know the micro world only: says on standard error when they are asked about
 * anything else, and where to get a critic for real pictures. */
#ifndef CR_CLI_FOREIGN_H
#define CR_CLI_FOREIGN_H

#include "cli/cli.h"

struct cr_item;

struct cr_foreign {
    const struct cr_common *common;
    const char *model; /* NULL: no embedded one, nothing is said */
    size_t n_items, n_foreign;
};

/* Watches `engine` unless it is quiet. Both outlive *f. */
void cr_foreign_begin(struct cr_foreign *f, const struct cr_common *common,
                      const struct cr_engine *engine);
/* Looks at an item's pictures and question; warns of the first that is from outside. */
void cr_foreign_see(struct cr_foreign *f, const struct cr_item *item,
                    const struct cr_image *images, size_t n_images);
/* Of a batch: how many there were. */
void cr_foreign_end(const struct cr_foreign *f);

#endif
