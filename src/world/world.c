#include "world/world.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "base/dir.h"
#include "base/file.h"
#include "image/encode_flat.h"
#include "image/image.h"
#include "world/base.h"
#include "world/render.h"

enum { CHUNK = 256, PER_FOLDER = 1000, MAX_TEXT = 1 << 20, MAX_PNG = 16 << 20 };
enum { BEST_JPEG = 95 };
enum { SCENES, LABELS, BASE, N_FILES };
static const char *const file_names[N_FILES] = {"scenes", "labels", "base"};

/* What one item becomes. */
struct item {
    struct cr_buf text[N_FILES], png;
    struct cr_image image;
    unsigned n_turns;
    enum critic_status status;
    critic_error err;
};

struct job {
    const struct cr_world_opts *o;
    struct cr_renderer *renderer;
    struct item *items;
    struct cr_out files[N_FILES];
    struct cr_world_result *result;
};

void cr_world_opts_default(struct cr_world_opts *o) {
    *o = (struct cr_world_opts){.split = CR_TRAIN,
                                .seed = 1,
                                .count = 1000,
                                .turns = 16,
                                .cell_px = CR_CELL_PX,
                                .large_percent = CR_LARGE_PERCENT,
                                .n_threads = 1};
}

void cr_world_rng(struct cr_rng *r, enum cr_stream stream, enum cr_split split,
                  uint64_t seed, uint64_t index) {
    cr_rng_seed_at(r, seed ^ cr_hash_u64((uint64_t)stream << 8 | (uint64_t)split), index);
}

/* ---- one item ------------------------------------------------------------------------------------ */

static enum critic_status add_labels(struct cr_buf *out, const struct cr_scene *s,
                                     const char *image, critic_error *err) {
    static const char *const names[] = {"shape", "colour", "size", "digit"};
    CR_TRY(cr_buf_printf(out, err, "{\"image\":\"%s\",\"grid\":[%d,%d],\"labels\":{",
                         image, s->side, s->side));
    for (int k = 0; k < 4; k++) {
        CR_TRY(cr_buf_printf(out, err, "%s\"%s\":[", k ? "," : "", names[k]));
        for (unsigned cell = 0; cell < (unsigned)s->side * s->side; cell++) {
            const struct cr_object *o = cr_scene_at(s, cell);
            int v = !o       ? 0
                    : k == 0 ? o->shape
                    : k == 1 ? o->colour
                    : k == 2 ? o->size
                             : o->digit + 2; /* 1: an object without a digit */
            CR_TRY(cr_buf_printf(out, err, "%s%d", cell ? "," : "", v));
        }
        CR_TRY(cr_buf_append_c(out, "]", err));
    }
    return cr_buf_append_c(out, "}}\n", err);
}

static enum critic_status write_texts(const struct cr_world_opts *o, struct item *it,
                                      const struct cr_scene *s, uint64_t index,
                                      const char *image, critic_error *err) {
    struct cr_rng r;
    char id[64], from_root[128];
    snprintf(id, sizeof id, "s%llu-%s-%06llu", (unsigned long long)o->seed,
             cr_split_name(o->split), (unsigned long long)index);
    snprintf(from_root, sizeof from_root, "%s/%s", cr_split_name(o->split), image);
    CR_TRY(cr_buf_printf(&it->text[SCENES], err,
                         "{\"id\":\"%s\",\"image\":\"%s\",\"split\":\"%s\",\"seed\":%llu,"
                         "\"index\":%llu,",
                         id, image, cr_split_name(o->split), (unsigned long long)o->seed,
                         (unsigned long long)index));
    CR_TRY(cr_scene_write(&it->text[SCENES], s, err));
    CR_TRY(cr_buf_append_c(&it->text[SCENES], "}\n", err));
    CR_TRY(add_labels(&it->text[LABELS], s, from_root, err));
    cr_world_rng(&r, CR_STREAM_BASE, o->split, o->seed, index);
    CR_TRY(cr_base_record(&it->text[BASE], s, id, from_root, o->turns, &r,
                          o->split == CR_NOVEL, NULL, &it->n_turns, err));
    return cr_buf_append_c(&it->text[BASE], "\n", err);
}

/* The picture as JPEG of a drawn quality would give it back. */
static enum critic_status add_jpeg(struct item *it, unsigned lowest, struct cr_rng *r,
                                   critic_error *err) {
    struct cr_image back;
    int quality = (int)(lowest + cr_rng_below(r, BEST_JPEG + 1 - lowest));
    CR_TRY(cr_image_encode_jpeg(&it->png, &it->image, quality, err));
    CR_TRY(cr_image_decode(&back,
                           (struct cr_bytes){(unsigned char *)it->png.data, it->png.len},
                           NULL, "JPEG noise", err));
    memcpy(it->image.rgb, back.rgb, back.width * back.height * 3);
    cr_image_free(&back);
    cr_buf_clear(&it->png);
    return CRITIC_OK;
}

static enum critic_status make_item(const struct job *j, struct item *it, uint64_t index,
                                    critic_error *err) {
    const struct cr_world_opts *o = j->o;
    struct cr_scene s;
    struct cr_rng noise;
    char image[64], path[4096];
    for (int k = 0; k < N_FILES; k++)
        cr_buf_clear(&it->text[k]);
    cr_buf_clear(&it->png);
    cr_scene_draw(&s, o->split, o->seed, index, o->large_percent);
    snprintf(image, sizeof image, "images/%04llu/%06llu.png",
             (unsigned long long)(index / PER_FOLDER), (unsigned long long)index);
    CR_TRY(write_texts(o, it, &s, index, image, err));
    cr_world_rng(&noise, CR_STREAM_NOISE, o->split, o->seed, index);
    cr_render(j->renderer, &s, o->noise, cr_rng_u64(&noise), &it->image);
    if (o->jpeg > 0)
        CR_TRY(add_jpeg(it, o->jpeg, &noise, err));
    CR_TRY(cr_image_encode_flat(&it->png, &it->image, err));
    snprintf(path, sizeof path, "%s/%s/%s", o->out, cr_split_name(o->split), image);
    return cr_file_write(
        path, (struct cr_bytes){(unsigned char *)it->png.data, it->png.len}, err);
}

/* ---- all of them ----------------------------------------------------------------------------------- */

static enum critic_status make_folders(const struct cr_world_opts *o, critic_error *err) {
    char path[4096];
    uint64_t last = o->start + (o->count ? o->count - 1 : 0);
    if (strlen(o->out) > sizeof path - 128)
        return cr_fail(err, CRITIC_BAD_ARGUMENT, "%.64s…: the folder's name is too long",
                       o->out);
    snprintf(path, sizeof path, "%s/%s/scenes.jsonl", o->out, cr_split_name(o->split));
    if (!o->force && cr_file_exists(path))
        return cr_fail(err, CRITIC_BAD_ARGUMENT,
                       "%s: is there already; --force replaces what lies there", path);
    for (uint64_t f = o->start / PER_FOLDER; f <= last / PER_FOLDER; f++) {
        snprintf(path, sizeof path, "%s/%s/images/%04llu", o->out,
                 cr_split_name(o->split), (unsigned long long)f);
        CR_TRY(cr_dir_make(path, err));
    }
    return CRITIC_OK;
}

static enum critic_status run_chunk(struct job *j, uint64_t first, size_t n,
                                    critic_error *err) {
#pragma omp parallel for schedule(dynamic, 8) num_threads(j->o->n_threads)
    for (size_t i = 0; i < n; i++)
        j->items[i].status = make_item(j, &j->items[i], first + i, &j->items[i].err);
    for (size_t i = 0; i < n; i++) {
        struct item *it = &j->items[i];
        if (it->status != CRITIC_OK) {
            if (err)
                *err = it->err;
            return it->status;
        }
        for (int k = 0; k < N_FILES; k++) {
            CR_TRY(cr_out_write(&j->files[k], it->text[k].data, it->text[k].len, err));
            j->result->text_bytes += it->text[k].len;
        }
        j->result->image_bytes += it->png.len;
        j->result->n_turns += it->n_turns;
        j->result->n_images++;
    }
    return CRITIC_OK;
}

static enum critic_status run_all(struct job *j, critic_error *err) {
    const struct cr_world_opts *o = j->o;
    for (size_t done = 0; done < o->count;) {
        size_t n = CR_MIN(o->count - done, (size_t)CHUNK);
        if (o->cancel && o->cancel(o->user))
            return cr_fail(err, CRITIC_CANCELLED, "cancelled");
        CR_TRY(run_chunk(j, o->start + done, n, err));
        done += n;
        if (o->on_progress)
            o->on_progress(o->user, done, o->count);
    }
    for (int k = 0; k < N_FILES; k++)
        CR_TRY(cr_out_commit(&j->files[k], err));
    return CRITIC_OK;
}

static enum critic_status open_all(struct job *j, critic_error *err) {
    const struct cr_world_opts *o = j->o;
    size_t px = (size_t)CR_MAX_SIDE * o->cell_px;
    char path[4096];
    CR_TRY(make_folders(o, err));
    CR_TRY(cr_renderer_new(&j->renderer, o->cell_px, err));
    j->items = calloc(CHUNK, sizeof *j->items);
    if (!j->items)
        return cr_fail(err, CRITIC_NO_MEMORY, "no memory for %d items", CHUNK);
    for (size_t i = 0; i < CHUNK; i++) {
        struct item *it = &j->items[i];
        for (int k = 0; k < N_FILES; k++)
            cr_buf_init(&it->text[k], MAX_TEXT);
        cr_buf_init(&it->png, MAX_PNG);
        it->image.rgb = malloc(px * px * 3);
        if (!it->image.rgb)
            return cr_fail(err, CRITIC_NO_MEMORY, "no memory for pictures");
    }
    for (int k = 0; k < N_FILES; k++) {
        snprintf(path, sizeof path, "%s/%s/%s.jsonl", o->out, cr_split_name(o->split),
                 file_names[k]);
        CR_TRY(cr_out_open(&j->files[k], path, err));
    }
    return CRITIC_OK;
}

static void close_all(struct job *j) {
    for (size_t i = 0; j->items && i < CHUNK; i++) {
        for (int k = 0; k < N_FILES; k++)
            cr_buf_fini(&j->items[i].text[k]);
        cr_buf_fini(&j->items[i].png);
        cr_image_free(&j->items[i].image);
    }
    free(j->items);
    cr_renderer_free(j->renderer);
    for (int k = 0; k < N_FILES; k++)
        cr_out_abort(&j->files[k]);
}

enum critic_status cr_world_generate(const struct cr_world_opts *opts,
                                     struct cr_world_result *result, critic_error *err) {
    struct job j = {.o = opts, .result = result};
    memset(result, 0, sizeof *result);
    if (opts->turns < 1 || opts->turns > 64 || opts->large_percent > 100 ||
        opts->noise > 64 || opts->jpeg > BEST_JPEG || opts->n_threads < 1)
        return cr_fail(
            err, CRITIC_BAD_ARGUMENT,
            "turns, share of large grids, noise, JPEG quality or threads out of range; "
            "expected 1 to 64, 0 to 100, 0 to 64, 0 to 95, 1 or more");
    enum critic_status status = open_all(&j, err);
    if (status == CRITIC_OK)
        status = run_all(&j, err);
    close_all(&j);
    return status;
}
