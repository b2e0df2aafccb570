/* Pictures to feature rows, kept by content so that a picture is encoded once. */
#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "base/hash.h"
#include "engine/internal.h"

void cr_features_drop(struct cr_features *f) {
    if (!f || --f->n_refs > 0)
        return;
    free(f->rows);
    free(f);
}

enum critic_status cr_prompt_pixels(const struct cr_prompt *p, size_t i, float **out,
                                    critic_error *err) {
    const struct cr_prompt_image *image = &p->images[i];
    size_t len, bytes;
    *out = NULL;
    if (!cr_tile_plan_pixels_len(&image->plan, &image->config, &len) ||
        !cr_mul_size(len, sizeof(float), &bytes) || !(*out = malloc(bytes)))
        return cr_fail(err, CRITIC_NO_MEMORY, "out of memory for %zu tiles",
                       image->plan.n_tiles);
    enum critic_status status =
        cr_image_tiles(*out, &image->image, &image->plan, &image->config, err);
    if (status != CRITIC_OK) {
        free(*out);
        *out = NULL;
    }
    return status;
}

/* Tower, projector and packing of one picture. */
static enum critic_status encode(struct cr_prompt *p, size_t i,
                                 const struct cr_layer_tap *tap, float *rows,
                                 critic_error *err) {
    struct cr_engine *e = p->engine;
    const struct cr_tile_plan *plan = &p->images[i].plan;
    size_t grid = cr_vision_grid(&e->config.vision);
    size_t n_patches = plan->n_tiles * grid * grid;
    size_t width = e->config.text.width;
    float *pixels;
    CR_TRY(cr_prompt_pixels(p, i, &pixels, err));
    float *features = malloc(n_patches * e->config.vision.width * sizeof *features);
    float *projected = malloc(n_patches * width * sizeof *projected);
    enum critic_status status = CRITIC_OK;
    if (features && projected) {
        struct cr_tensor f =
            cr_tensor_view2(features, CR_F32, n_patches, e->config.vision.width);
        struct cr_tensor h = cr_tensor_view2(projected, CR_F32, n_patches, width);
        cr_vision_fwd(f, pixels, plan->n_tiles, &e->model, tap, e->exec);
        cr_projector_fwd(h, f, &e->model, e->exec);
        cr_pack_fwd(cr_tensor_view2(rows, CR_F32, plan->n_tokens, width), h,
                    e->model.params.newline, plan, e->exec);
    } else {
        status = cr_fail(err, CRITIC_NO_MEMORY,
                         "out of memory for the features of %zu tiles", plan->n_tiles);
    }
    free(pixels);
    free(features);
    free(projected);
    return status;
}

/* The features with this key, moved to the front; NULL where there are none. */
static struct cr_features *find(struct cr_engine *e, const uint64_t key[2]) {
    for (size_t i = 0; i < e->n_features; i++) {
        struct cr_features *f = e->features[i];
        if (f->key[0] == key[0] && f->key[1] == key[1]) {
            memmove(&e->features[1], &e->features[0], i * sizeof e->features[0]);
            e->features[0] = f;
            return f;
        }
    }
    return NULL;
}

static void keep(struct cr_engine *e, struct cr_features *f) {
    size_t row_bytes = e->config.text.width * sizeof(float);
    size_t bytes = f->n_rows * row_bytes;
    size_t n = 0;
    while (n < e->n_features && n + 1 < CR_MAX_FEATURES &&
           bytes + e->features[n]->n_rows * row_bytes <= e->opts.cache_bytes) {
        bytes += e->features[n]->n_rows * row_bytes;
        n++;
    }
    while (e->n_features > n)
        cr_features_drop(e->features[--e->n_features]);
    memmove(&e->features[1], &e->features[0], n * sizeof e->features[0]);
    e->features[0] = f;
    e->n_features = n + 1;
    f->n_refs++;
}

enum critic_status cr_prompt_features(struct cr_prompt *p, size_t i, bool use_cache,
                                      const struct cr_layer_tap *tap, bool *cached,
                                      critic_error *err) {
    struct cr_prompt_image *image = &p->images[i];
    *cached = image->features != NULL;
    if (image->features)
        return CRITIC_OK;
    struct cr_features *f = use_cache ? find(p->engine, image->key) : NULL;
    if (f) {
        *cached = true;
        f->n_refs++;
        image->features = f;
        return CRITIC_OK;
    }
    f = calloc(1, sizeof *f);
    float *rows =
        f ? malloc(image->plan.n_tokens * p->engine->config.text.width * sizeof *rows)
          : NULL;
    if (!rows) {
        free(f);
        return cr_fail(err, CRITIC_NO_MEMORY, "out of memory for %zu picture tokens",
                       image->plan.n_tokens);
    }
    *f = (struct cr_features){.n_refs = 1, .n_rows = image->plan.n_tokens, .rows = rows};
    memcpy(f->key, image->key, sizeof f->key);
    struct cr_feature_files *files = use_cache ? p->engine->feature_files : NULL;
    size_t width = p->engine->config.text.width;
    enum critic_status status = CRITIC_OK;
    if (files)
        *cached = cr_feature_files_read(files, f->key, rows, f->n_rows, width);
    if (!*cached) {
        status = encode(p, i, tap, rows, err);
        if (files && status == CRITIC_OK)
            cr_feature_files_write(files, f->key, rows, f->n_rows, width);
    }
    if (status != CRITIC_OK) {
        cr_features_drop(f);
        return status;
    }
    image->features = f;
    if (use_cache)
        keep(p->engine, f);
    return CRITIC_OK;
}
