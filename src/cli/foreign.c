#include "cli/foreign.h"

#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "cli/progress.h"
#include "engine/engine.h"
#include "judge/judge.h"
#include "tensor/embedded.h"
#include "world/outside.h"

void cr_foreign_begin(struct cr_foreign *f, const struct cr_common *common,
                      const struct cr_engine *engine) {
    struct cr_embedded embedded;
    const char *name = cr_engine_model_name(engine);
    memset(f, 0, sizeof *f);
    f->common = common;
    if (!common->quiet && !cr_file_exists(name) && cr_embedded_find(name, &embedded))
        f->model = embedded.name;
}

/* False where nothing is wrong. */
static bool is_foreign(const struct cr_item *item, const struct cr_image *images,
                       size_t n_images, char why[160]) {
    if (n_images != 1) {
        snprintf(why, 160, "%zu pictures; it is made for one at a time", n_images);
        return true;
    }
    if (cr_is_foreign_picture(&images[0], why))
        return true;
    struct cr_str word = cr_foreign_word(item->question);
    if (word.len > 0)
        snprintf(why, 160, "a question with '%.*s', which the world has no word for",
                 (int)(word.len < 60 ? word.len : 60), word.data);
    return word.len > 0;
}

void cr_foreign_see(struct cr_foreign *f, const struct cr_item *item,
                    const struct cr_image *images, size_t n_images) {
    char why[160];
    if (!f->model)
        return;
    f->n_items++;
    if (!is_foreign(item, images, n_images, why) || f->n_foreign++ > 0)
        return;
    if (f->common->progress)
        cr_progress_clear(f->common->progress);
    fprintf(stderr,
            "warning: %s was not made for this: it knows the micro world only, and here "
            "is %s.\n"
            "         What it says here means nothing. A critic for real pictures:\n"
            "           hf download lmms-lab/llava-critic-7b\n"
            "           critic judge --model lmms-lab/llava-critic-7b …\n",
            f->model, why);
}

void cr_foreign_end(const struct cr_foreign *f) {
    if (f->n_foreign > 1)
        fprintf(stderr, "warning: %zu of %zu items were from outside %s's world\n",
                f->n_foreign, f->n_items, f->model);
}
