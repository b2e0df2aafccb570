#include "train/pictures.h"

#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "base/file.h"
#include "base/hash.h"
#include "image/image.h"

void cr_pictures_init(struct cr_pictures *p, size_t keep_bytes) {
    memset(p, 0, sizeof *p);
    cr_image_limits_default(&p->limits);
    p->budget = keep_bytes;
}

void cr_pictures_fini(struct cr_pictures *p) {
    for (size_t i = 0; i < p->n; i++) {
        free(p->items[i].path);
        free(p->items[i].err);
        cr_image_free(&p->items[i].image);
    }
    free(p->items);
    free(p->slots);
    memset(p, 0, sizeof *p);
}

static size_t hash_path(const char *path) {
    struct cr_hash h;
    uint64_t out[2];
    cr_hash_init(&h, 0);
    cr_hash_update(&h, path, strlen(path));
    cr_hash_final(&h, out);
    return (size_t)out[0];
}

/* The slot that holds path, or the free one where it would go. */
static size_t slot_of(const struct cr_pictures *p, const char *path) {
    size_t at = hash_path(path) & (p->n_slots - 1);
    while (p->slots[at] && strcmp(p->items[p->slots[at] - 1].path, path) != 0)
        at = (at + 1) & (p->n_slots - 1);
    return at;
}

static enum critic_status grow(struct cr_pictures *p, critic_error *err) {
    size_t cap = CR_MAX(p->cap * 2, 256);
    struct cr_picture *items = realloc(p->items, cap * sizeof *items);
    if (items)
        p->items = items;
    uint32_t *slots = items ? calloc(cap * 2, sizeof *slots) : NULL;
    if (!slots)
        return cr_fail(err, CRITIC_NO_MEMORY, "out of memory for %zu pictures", cap);
    free(p->slots);
    p->slots = slots;
    p->n_slots = cap * 2;
    p->cap = cap;
    for (size_t i = 0; i < p->n; i++)
        p->slots[slot_of(p, p->items[i].path)] = (uint32_t)i + 1;
    return CRITIC_OK;
}

/* The key of a picture: its path behind the folder, or the data: URL. */
static enum critic_status picture_path(struct cr_buf *path, const char *folder,
                                       struct cr_str name, critic_error *err) {
    char *plain = memchr(name.data, 0, name.len) ? NULL : cr_str_dup(name);
    if (!plain || name.len == 0 || strcmp(plain, "-") == 0) {
        free(plain);
        return cr_fail(err, CRITIC_BAD_DATA, "a picture's name is empty or no path");
    }
    enum critic_status status =
        cr_is_data_url(name) ? cr_buf_append_c(path, plain, err)
                             : cr_path_join(path, folder ? folder : "", plain, err);
    free(plain);
    return status;
}

bool cr_pictures_has(const struct cr_pictures *p, const char *folder,
                     struct cr_str name) {
    struct cr_buf path;
    cr_buf_init(&path, SIZE_MAX / 2);
    bool found = picture_path(&path, folder, name, NULL) == CRITIC_OK && p->n_slots > 0 &&
                 p->slots[slot_of(p, path.data)] != 0;
    cr_buf_fini(&path);
    return found;
}

enum critic_status cr_pictures_add(struct cr_pictures *p, const char *folder,
                                   struct cr_str name, uint32_t *index,
                                   critic_error *err) {
    struct cr_buf path;
    cr_buf_init(&path, SIZE_MAX / 2);
    enum critic_status status = picture_path(&path, folder, name, err);
    if (status == CRITIC_OK && p->n == p->cap)
        status = grow(p, err);
    size_t slot = status == CRITIC_OK ? slot_of(p, path.data) : 0;
    if (status == CRITIC_OK && !p->slots[slot]) {
        char *copy = cr_str_dup(cr_buf_str(&path));
        if (copy) {
            p->items[p->n] = (struct cr_picture){.path = copy};
            p->slots[slot] = (uint32_t)++p->n;
        } else {
            status = cr_fail(err, CRITIC_NO_MEMORY, "out of memory for a picture's name");
        }
    }
    if (status == CRITIC_OK)
        *index = p->slots[slot] - 1;
    cr_buf_fini(&path);
    return status;
}

static void check_one(struct cr_pictures *p, size_t i) {
    struct cr_picture *picture = &p->items[i];
    critic_error err = {0};
    if (cr_image_load(&picture->image, picture->path, &p->limits, &err) != CRITIC_OK) {
        picture->err = malloc(sizeof err);
        if (picture->err)
            *picture->err = err;
    }
}

enum critic_status cr_pictures_check(struct cr_pictures *p, size_t first,
                                     bool (*cancel)(void *user), void *user,
                                     critic_error *err) {
    /* In groups, so that memory beyond the budget is given back soon. */
    for (size_t group = first; group < p->n; group += 256) {
        size_t end = CR_MIN(group + 256, p->n);
#pragma omp parallel for schedule(dynamic, 4)
        for (size_t i = group; i < end; i++)
            check_one(p, i);
        for (size_t i = group; i < end; i++) {
            struct cr_image *image = &p->items[i].image;
            size_t bytes = 3 * image->width * image->height;
            if (bytes <= p->budget) {
                p->budget -= bytes;
                continue;
            }
            free(image->rgb);
            image->rgb = NULL;
        }
        if (cancel && cancel(user))
            return cr_fail(err, CRITIC_CANCELLED,
                           "interrupted while pictures were checked");
    }
    return CRITIC_OK;
}

enum critic_status cr_pictures_tiles(const struct cr_pictures *p, size_t i,
                                     const struct cr_tile_plan *plan,
                                     const struct cr_anyres_config *config, float *pixels,
                                     critic_error *err) {
    const struct cr_picture *picture = &p->items[i];
    struct cr_image loaded = {0};
    const struct cr_image *image = &picture->image;
    if (!image->rgb) {
        CR_TRY(cr_image_load(&loaded, picture->path, &p->limits, err));
        image = &loaded;
    }
    enum critic_status status =
        image->width == plan->width && image->height == plan->height
            ? cr_image_tiles(pixels, image, plan, config, err)
            : cr_fail(err, CRITIC_BAD_DATA, "%s: changed its size during training",
                      picture->path);
    cr_image_free(&loaded);
    return status;
}
