#include "train/tower.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "base/hash.h"
#include "base/rng.h"

static enum critic_status no_memory(critic_error *err) {
    return cr_fail(err, CRITIC_NO_MEMORY, "out of memory for a batch of pictures");
}

/* ---- data ---- */

static bool held_back(const struct cr_tower *t, uint32_t picture) {
    struct cr_rng rng;
    cr_rng_seed_at(&rng, t->o.seed ^ 0x5eed5eed, picture);
    return cr_rng_uniform(&rng) < t->o.eval_split;
}

static enum critic_status split(struct cr_tower *t, critic_error *err) {
    for (int i = 0; i < 2; i++) {
        t->items[i] = malloc(CR_MAX(t->labels.n, 1) * sizeof *t->items[i]);
        if (!t->items[i])
            return no_memory(err);
    }
    for (size_t i = 0; i < t->labels.n; i++) {
        int side = t->o.eval_split > 0 && held_back(t, t->labels.items[i].picture);
        t->items[side][t->n_items[side]++] = (uint32_t)i;
    }
    return CRITIC_OK;
}

static enum critic_status check_pictures(struct cr_tower *t, critic_error *err) {
    CR_TRY(cr_pictures_check(&t->pictures, 0, t->o.cancel, t->o.cancel_user, err));
    for (size_t i = 0; i < t->labels.n; i++) {
        const struct cr_label_item *item = &t->labels.items[i];
        const critic_error *bad = t->pictures.items[item->picture].err;
        char where[512];
        if (!bad)
            continue;
        cr_records_where(&t->labels.records, item->record, where);
        return cr_fail(err, bad->status, "%.200s: %.280s", where, bad->message);
    }
    return CRITIC_OK;
}

static void hash_data(struct cr_tower *t) {
    struct cr_hash h;
    cr_hash_init(&h, 2);
    cr_hash_update(&h, t->labels.cells, t->labels.n_cells);
    for (size_t i = 0; i < t->pictures.n; i++)
        cr_hash_update(&h, t->pictures.items[i].path,
                       strlen(t->pictures.items[i].path) + 1);
    cr_hash_final(&h, t->hash);
}

enum critic_status cr_tower_open(struct cr_tower *t, struct cr_net *net,
                                 const struct cr_tower_opts *opts, critic_error *err) {
    size_t found = 0, side = net->config.vision.image_px;
    memset(t, 0, sizeof *t);
    t->net = net;
    t->o = *opts;
    t->tile_floats = 3 * side * side;
    cr_pictures_init(&t->pictures, opts->keep_picture_bytes);
    CR_TRY(cr_labels_open(&t->labels, opts->data_path, opts->image_folder, &t->pictures,
                          false, err));
    CR_TRY(check_pictures(t, err));
    CR_TRY(split(t, err));
    hash_data(t);
    CR_TRY(cr_label_heads_add(&t->labels, net, opts->seed, err));
    return opts->model_dir ? cr_checkpoint_heads(net, opts->model_dir, &found, err)
                           : CRITIC_OK;
}

void cr_tower_close(struct cr_tower *t) {
    for (size_t i = 0; i < CR_TASK_SLOTS; i++) {
        free(t->slots[i].pixels);
        free(t->slots[i].uses);
    }
    cr_labels_close(&t->labels);
    cr_pictures_fini(&t->pictures);
    free(t->items[0]);
    free(t->items[1]);
    free(t->dfeatures);
    memset(t, 0, sizeof *t);
}

/* ---- task ---- */

static enum critic_status slot_room(struct cr_tower *t, struct cr_tower_slot *slot,
                                    size_t n, critic_error *err) {
    if (n <= slot->cap)
        return CRITIC_OK;
    free(slot->pixels);
    free(slot->uses);
    slot->cap = 0;
    slot->pixels = malloc(n * t->tile_floats * sizeof *slot->pixels);
    slot->uses = malloc(n * sizeof *slot->uses);
    if (!slot->pixels || !slot->uses)
        return no_memory(err);
    slot->cap = n;
    return CRITIC_OK;
}

/* The global view alone: a whole picture squashed to one tile is what anyres puts in front. */
static enum critic_status prepare(void *self, size_t index, bool eval, const uint32_t *at,
                                  size_t n, critic_error *err) {
    struct cr_tower *t = self;
    struct cr_tower_slot *slot = &t->slots[index];
    struct cr_anyres_config config;
    CR_TRY(slot_room(t, slot, n, err));
    cr_picture_anyres(&config, &t->net->config, 1);
    config.aspect = CR_ASPECT_SQUARE;
    for (size_t i = 0; i < n; i++) {
        const struct cr_label_item *item = &t->labels.items[t->items[eval][at[i]]];
        const struct cr_image *image = &t->pictures.items[item->picture].image;
        struct cr_tile_plan plan;
        CR_TRY(cr_tile_plan_make(&plan, image->width, image->height, &config, err));
        CR_TRY(cr_pictures_tiles(&t->pictures, item->picture, &plan, &config,
                                 slot->pixels + i * t->tile_floats, err));
        slot->uses[i] = (struct cr_label_use){item, i};
    }
    slot->n = n;
    return CRITIC_OK;
}

static enum critic_status zero_dfeatures(struct cr_tower *t, size_t len,
                                         critic_error *err) {
    if (len > t->dfeatures_cap) {
        free(t->dfeatures);
        t->dfeatures_cap = 0;
        t->dfeatures = malloc(len * sizeof *t->dfeatures);
        if (!t->dfeatures)
            return no_memory(err);
        t->dfeatures_cap = len;
    }
    memset(t->dfeatures, 0, len * sizeof *t->dfeatures);
    return CRITIC_OK;
}

static void report_heads(struct cr_labels *l, struct cr_pass *pass) {
    for (size_t h = 0; h < l->n_heads; h++) {
        const struct cr_label_head *head = &l->heads[h];
        char name[40];
        cr_pass_add(pass, head->name, (double)head->n_filled_right,
                    (double)head->n_filled);
        snprintf(name, sizeof name, "%.32s_all", head->name);
        cr_pass_add(pass, name, (double)head->n_right, (double)head->n_cells);
    }
    cr_label_counts_clear(l);
}

static enum critic_status pass(void *self, size_t index, bool train, double scale,
                               struct cr_pass *out, critic_error *err) {
    struct cr_tower *t = self;
    const struct cr_tower_slot *slot = &t->slots[index];
    size_t grid = cr_vision_grid(&t->net->config.vision);
    struct cr_tensor features =
        cr_train_tower_forward(t->net->train, slot->pixels, slot->n);
    struct cr_tensor dfeatures = features;
    double loss;
    if (train)
        CR_TRY(zero_dfeatures(t, features.dim[0] * features.dim[1], err));
    dfeatures.data = train ? t->dfeatures : NULL;
    dfeatures.row_bytes = features.dim[1] * sizeof(float);
    CR_TRY(cr_label_loss(&t->labels, slot->uses, slot->n, features, dfeatures, grid,
                         scale, &loss, err));
    if (train)
        cr_train_tower_backward(t->net->train, dfeatures, &t->net->grads);
    out->loss += loss;
    out->n_losses++;
    out->n_tokens += features.dim[0];
    report_heads(&t->labels, out);
    return CRITIC_OK;
}

static enum critic_status names(void *self, size_t index, struct cr_buf *out,
                                critic_error *err) {
    struct cr_tower *t = self;
    for (size_t i = 0; i < t->slots[index].n; i++)
        CR_TRY(
            cr_buf_printf(out, err, "%s%s", i ? ", " : "",
                          t->pictures.items[t->slots[index].uses[i].item->picture].path));
    return CRITIC_OK;
}

struct cr_task cr_tower_task(struct cr_tower *t) {
    return (struct cr_task){.self = t,
                            .n_train = t->n_items[0],
                            .n_eval = t->n_items[1],
                            .prepare = prepare,
                            .pass = pass,
                            .names = names};
}
