/* The pictures of a training set, each once by its path: checked and measured before training
 * starts, kept decoded while they fit a budget, and made into tiles for the tower exactly as
 * inference makes them. */
#ifndef CR_TRAIN_PICTURES_H
#define CR_TRAIN_PICTURES_H

#include "image/anyres.h"
#include "model/config.h"

struct cr_picture {
    char *path;
    struct cr_image image; /* rgb NULL: not kept; width and height once checked */
    critic_error *err;     /* why it cannot be used; NULL: it can */
};

struct cr_pictures {
    struct cr_picture *items;
    size_t n, cap;
    uint32_t *slots; /* open addressing over paths: index + 1 */
    size_t n_slots;
    struct cr_image_limits limits;
    size_t budget; /* bytes of decoded pictures that may be kept */
};

void cr_pictures_init(struct cr_pictures *p, size_t keep_bytes);
void cr_pictures_fini(struct cr_pictures *p);
/* Index of the picture `name`, relative to folder (may be NULL); added where it is new.
 * Errors: CRITIC_NO_MEMORY, CRITIC_BAD_DATA (a name with a zero byte). */
enum critic_status cr_pictures_add(struct cr_pictures *p, const char *folder,
                                   struct cr_str name, uint32_t *index,
                                   critic_error *err);
/* Is it there already? */
bool cr_pictures_has(const struct cr_pictures *p, const char *folder, struct cr_str name);
/* Decodes those from `first` on, over all threads. A picture that cannot be read has its err
 * set. Errors: CRITIC_CANCELLED. */
enum critic_status cr_pictures_check(struct cr_pictures *p, size_t first,
                                     bool (*cancel)(void *user), void *user,
                                     critic_error *err);
/* Tiles of picture i: pixels (plan->n_tiles, 3, S, S). Errors: as cr_image_load. */
enum critic_status cr_pictures_tiles(const struct cr_pictures *p, size_t i,
                                     const struct cr_tile_plan *plan,
                                     const struct cr_anyres_config *config, float *pixels,
                                     critic_error *err);

#endif
