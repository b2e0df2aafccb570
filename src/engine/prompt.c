#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "base/hash.h"
#include "engine/internal.h"
#include "engine/random_model.h"
#include "text/chat.h"

/* Stands for one picture before expansion; no token has this id. */
#define IMAGE_MARK ((int32_t)-200)

enum critic_status cr_prompt_new(struct cr_prompt **out, struct cr_engine *e,
                                 critic_error *err) {
    struct cr_prompt *p = *out = calloc(1, sizeof *p);
    if (!p)
        return cr_fail(err, CRITIC_NO_MEMORY, "out of memory for a prompt");
    p->engine = e;
    cr_ids_init(&p->raw);
    cr_ids_init(&p->ids);
    return CRITIC_OK;
}

void cr_prompt_free(struct cr_prompt *p) {
    if (!p)
        return;
    for (size_t i = 0; i < p->n_images; i++) {
        cr_image_free(&p->images[i].image);
        cr_features_drop(p->images[i].features);
    }
    free(p->images);
    free(p->keys);
    cr_ids_fini(&p->raw);
    cr_ids_fini(&p->ids);
    free(p);
}

enum critic_status cr_prompt_text(struct cr_prompt *p, struct cr_str text,
                                  bool parse_special, critic_error *err) {
    CR_ASSERT(!p->finished);
    if (!p->engine->tokenizer)
        return cr_fail(err, CRITIC_BAD_ARGUMENT,
                       "a model of random weights has no tokenizer");
    return cr_tokenizer_encode(p->engine->tokenizer, text, parse_special, &p->raw, err);
}

enum critic_status cr_prompt_tokens(struct cr_prompt *p, const int32_t *ids, size_t n,
                                    critic_error *err) {
    CR_ASSERT(!p->finished);
    for (size_t i = 0; i < n; i++)
        if (ids[i] < 0 || (size_t)ids[i] >= p->engine->config.text.vocab)
            return cr_fail(err, CRITIC_BAD_DATA, "token %zu is %d; expected 0 to %zu", i,
                           (int)ids[i], p->engine->config.text.vocab - 1);
    return cr_ids_append(&p->raw, ids, n, err);
}

enum critic_status cr_prompt_image(struct cr_prompt *p, const struct cr_image *image,
                                   critic_error *err) {
    CR_ASSERT(!p->finished);
    if (!p->engine->config.vision.present)
        return cr_fail(err, CRITIC_UNSUPPORTED,
                       "%s: a text model takes no pictures; expected a checkpoint with a "
                       "vision tower",
                       p->engine->name);
    struct cr_prompt_image *images =
        realloc(p->images, (p->n_images + 1) * sizeof *p->images);
    if (!images)
        return cr_fail(err, CRITIC_NO_MEMORY, "out of memory for a picture");
    p->images = images;
    struct cr_prompt_image *own = &images[p->n_images];
    memset(own, 0, sizeof *own);
    size_t bytes = 3 * image->width * image->height; /* exists, so it fits */
    own->image =
        (struct cr_image){malloc(CR_MAX(bytes, (size_t)1)), image->width, image->height};
    if (!own->image.rgb)
        return cr_fail(err, CRITIC_NO_MEMORY, "out of memory for a picture");
    memcpy(own->image.rgb, image->rgb, bytes);
    int32_t mark = IMAGE_MARK;
    enum critic_status status = cr_ids_append(&p->raw, &mark, 1, err);
    if (status != CRITIC_OK) {
        cr_image_free(&own->image);
        return status;
    }
    p->n_images++;
    return CRITIC_OK;
}

enum critic_status cr_prompt_chat(struct cr_prompt *p, const struct cr_image *images,
                                  size_t n_images, struct cr_str system,
                                  struct cr_str user, critic_error *err) {
    struct cr_chat chat;
    struct cr_turn turn = {.role = CR_ROLE_USER, .text = user, .images_first = n_images};
    if (!system.data)
        system = cr_str_of(cr_chat_default_system);
    else if (system.len == 0)
        system.data = NULL; /* the renderer's word for no system block */
    CR_TRY(cr_chat_render(&chat, system, &turn, 1, true, err));
    enum critic_status status = CRITIC_OK;
    size_t next_image = 0;
    for (size_t i = 0; i < chat.n_pieces && status == CRITIC_OK; i++) {
        const struct cr_chat_piece *piece = &chat.pieces[i];
        if (piece->is_image)
            status = cr_prompt_image(p, &images[next_image++], err);
        else
            status = cr_prompt_text(p, piece->text, piece->parse_special, err);
    }
    cr_chat_fini(&chat);
    return status;
}

enum critic_status cr_prompt_raw(struct cr_prompt *p, struct cr_str text,
                                 const struct cr_image *images, size_t n_images,
                                 critic_error *err) {
    const struct cr_str mark = cr_str_of("<image>");
    size_t used = 0;
    for (;;) {
        size_t at = cr_str_find(text, mark);
        size_t len = CR_MIN(at, text.len);
        CR_TRY(cr_prompt_text(p, (struct cr_str){text.data, len}, true, err));
        if (at == SIZE_MAX)
            break;
        if (used < n_images)
            CR_TRY(cr_prompt_image(p, &images[used], err));
        used++;
        text = (struct cr_str){text.data + len + mark.len, text.len - len - mark.len};
    }
    if (used != n_images)
        return cr_fail(
            err, CRITIC_BAD_DATA,
            "prompt has %zu \"<image>\" mark%s and %zu picture%s; expected as many "
            "of one as of the other",
            used, used == 1 ? "" : "s", n_images, n_images == 1 ? "" : "s");
    return CRITIC_OK;
}

void cr_picture_anyres(struct cr_anyres_config *out, const struct cr_config *c,
                       size_t n_images) {
    cr_anyres_config_default(out);
    out->aspect = n_images > 1 ? CR_ASPECT_PAD : c->picture.aspect;
    out->tile_px = c->vision.image_px;
    out->patch_px = c->vision.patch_px;
    out->max_tiles = c->picture.max_tiles;
    out->pinpoints = c->picture.pinpoints;
    out->n_pinpoints = c->picture.n_pinpoints;
    out->rounding = c->picture.rounding;
    memcpy(out->normalize.mean, c->picture.mean, sizeof c->picture.mean);
    memcpy(out->normalize.std, c->picture.std, sizeof c->picture.std);
}

struct cr_anyres_config cr_engine_picture_config(const struct cr_engine *e,
                                                 size_t n_images) {
    struct cr_anyres_config config;
    cr_picture_anyres(&config, &e->config, n_images);
    if (e->opts.preprocess == CR_PREPROCESS_LMMS)
        config.rounding = CR_ROUND_LMMS;
    if (e->opts.preprocess == CR_PREPROCESS_HF)
        config.rounding = CR_ROUND_HF;
    return config;
}

/* Content and processing: equal keys, equal feature rows. */
static void picture_key(struct cr_prompt_image *image) {
    struct cr_hash h;
    uint64_t facts[3] = {image->image.width, image->image.height,
                         (uint64_t)image->config.aspect};
    cr_hash_init(&h, 0);
    cr_hash_update(&h, facts, sizeof facts);
    cr_hash_update(&h, image->image.rgb, 3 * image->image.width * image->image.height);
    cr_hash_final(&h, image->key);
}

static enum critic_status plan_images(struct cr_prompt *p, size_t *n_rows,
                                      critic_error *err) {
    *n_rows = 0;
    for (size_t i = 0; i < p->n_images; i++) {
        struct cr_prompt_image *image = &p->images[i];
        image->config = cr_engine_picture_config(p->engine, p->n_images);
        enum critic_status status = cr_tile_plan_make(
            &image->plan, image->image.width, image->image.height, &image->config, err);
        if (status != CRITIC_OK)
            return cr_error_wrap(err, status, "picture %zu: ", i + 1);
        picture_key(image);
        *n_rows += image->plan.n_tokens;
    }
    return CRITIC_OK;
}

enum critic_status cr_prompt_finish(struct cr_prompt *p, critic_error *err) {
    CR_ASSERT(!p->finished);
    size_t n_rows;
    if (p->raw.len == 0)
        return cr_fail(err, CRITIC_BAD_DATA, "the prompt is empty");
    CR_TRY(plan_images(p, &n_rows, err));
    size_t n = p->raw.len - p->n_images + n_rows;
    if (n > p->engine->context)
        return cr_fail(
            err, CRITIC_CONTEXT_FULL,
            "the prompt has %zu tokens (%zu of pictures); the context holds %zu", n,
            n_rows, p->engine->context);
    p->keys = malloc(n * sizeof *p->keys);
    if (!p->keys)
        return cr_fail(err, CRITIC_NO_MEMORY, "out of memory for a prompt of %zu tokens",
                       n);
    size_t next_image = 0;
    for (size_t i = 0; i < p->raw.len; i++) {
        int32_t id = p->raw.data[i];
        if (id != IMAGE_MARK) {
            p->keys[p->ids.len] = (uint64_t)id;
            CR_TRY(cr_ids_push(&p->ids, id, err));
            continue;
        }
        struct cr_prompt_image *image = &p->images[next_image++];
        image->first = p->ids.len;
        for (size_t r = 0; r < image->plan.n_tokens; r++) {
            /* The top bit keeps picture rows apart from ids. */
            p->keys[p->ids.len] =
                (image->key[0] ^ (image->key[1] + r)) | ((uint64_t)1 << 63);
            CR_TRY(cr_ids_push(&p->ids, p->engine->config.image_token_id, err));
        }
    }
    CR_ASSERT(p->ids.len == n);
    p->finished = true;
    return CRITIC_OK;
}

const struct cr_ids *cr_prompt_ids(const struct cr_prompt *p) {
    CR_ASSERT(p->finished);
    return &p->ids;
}

size_t cr_prompt_n_images(const struct cr_prompt *p) {
    return p->n_images;
}

const struct cr_tile_plan *cr_prompt_plan(const struct cr_prompt *p, size_t image) {
    CR_ASSERT(p->finished && image < p->n_images);
    return &p->images[image].plan;
}
