/* One record into the packs of a data set (dataset_impl.h). */
#include "train/dataset_impl.h"

#include <stdlib.h>

#include "base/checked.h"
#include "base/grow.h"
#include "base/hash.h"
#include "train/preference_record.h"

static enum critic_status no_memory(const char *what, critic_error *err) {
    return cr_fail(err, CRITIC_NO_MEMORY, "out of memory for %s", what);
}

/* ---- pictures ---- */

static enum critic_status add_picture(struct cr_dataset_builder *b, const json_t *name,
                                      critic_error *err) {
    if (!json_is_string(name))
        return cr_fail(err, CRITIC_BAD_DATA, "'image' is no path and no list of paths");
    if (b->n_pictures == CR_MAX_RECORD_PICTURES)
        return cr_fail(err, CRITIC_BAD_DATA, "more than %d pictures",
                       CR_MAX_RECORD_PICTURES);
    struct cr_str text = {json_string_value(name), json_string_length(name)};
    return cr_pictures_add(&b->d->pictures, b->o->image_folder, text,
                           &b->pictures[b->n_pictures++], err);
}

enum critic_status cr_dataset_pictures(struct cr_dataset_builder *b, const json_t *record,
                                       critic_error *err) {
    const json_t *image = json_object_get(record, "image");
    b->n_pictures = 0;
    if (!image)
        image = json_object_get(record, "images");
    if (json_object_get(record, "video"))
        return cr_fail(err, CRITIC_BAD_DATA, "'video' is not supported");
    if (!image || json_is_null(image))
        return CRITIC_OK;
    if (!json_is_array(image))
        return add_picture(b, image, err);
    for (size_t i = 0; i < json_array_size(image); i++)
        CR_TRY(add_picture(b, json_array_get(image, i), err));
    return CRITIC_OK;
}

/* Rows of each picture, from sizes found by cr_pictures_check. */
static enum critic_status plan_pictures(struct cr_dataset_builder *b, critic_error *err) {
    struct cr_anyres_config config;
    if (b->n_pictures > 0 && !b->d->config->vision.present)
        return cr_fail(err, CRITIC_BAD_DATA, "a picture; the model has no tower");
    cr_picture_anyres(&config, b->d->config, b->n_pictures);
    for (size_t i = 0; i < b->n_pictures; i++) {
        const struct cr_picture *p = &b->d->pictures.items[b->pictures[i]];
        struct cr_tile_plan plan;
        if (p->err) {
            b->lacks_picture = true;
            return cr_fail(err, CRITIC_BAD_DATA, "%s", p->err->message);
        }
        CR_TRY(cr_tile_plan_make(&plan, p->image.width, p->image.height, &config, err));
        b->picture_rows[i] = plan.n_tokens;
    }
    return CRITIC_OK;
}

/* Rows of tokens with pictures expanded, the first mark being picture *next. */
static size_t count_rows(const struct cr_dataset_builder *b, const int32_t *ids, size_t n,
                         size_t *next) {
    size_t rows = 0;
    for (size_t i = 0; i < n; i++)
        rows += ids[i] == CR_IMAGE_MARK ? b->picture_rows[(*next)++] : 1;
    return rows;
}

/* ---- packs ---- */

static enum critic_status store_tokens(struct cr_dataset_builder *b,
                                       const struct cr_labelled *l,
                                       struct cr_token_run *run, critic_error *err) {
    *run = (struct cr_token_run){b->d->tokens.n, l->n};
    for (size_t i = 0; i < l->n; i++)
        b->d->n_targets += l->label[i];
    return cr_labelled_push(&b->d->tokens, l->ids, l->label, l->n, err);
}

static enum critic_status new_pack(struct cr_dataset_builder *b,
                                   const struct cr_labelled *prefix, bool with_pictures,
                                   uint32_t *index, critic_error *err) {
    struct cr_dataset *d = b->d;
    struct cr_pack *grown = cr_grow(d->packs, d->n_packs, &d->packs_cap, sizeof *grown);
    if (!grown)
        return no_memory("the packs", err);
    d->packs = grown;
    struct cr_pack *pack = &d->packs[d->n_packs];
    *pack = (struct cr_pack){.first_picture = d->n_picture_of};
    size_t next = 0;
    CR_TRY(store_tokens(b, prefix, &pack->prefix, err));
    pack->n_rows = count_rows(b, prefix->ids, prefix->n, &next);
    for (size_t i = 0; i < b->n_pictures && with_pictures; i++) {
        uint32_t *pictures =
            cr_grow(d->picture_of, d->n_picture_of, &d->picture_of_cap, sizeof *pictures);
        if (!pictures)
            return no_memory("the packs", err);
        d->picture_of = pictures;
        d->picture_of[d->n_picture_of++] = b->pictures[i];
        pack->n_pictures++;
    }
    *index = (uint32_t)d->n_packs++;
    return CRITIC_OK;
}

static enum critic_status add_branch(struct cr_dataset_builder *b, uint32_t pack,
                                     const struct cr_labelled *l, size_t rows,
                                     critic_error *err) {
    struct cr_dataset *d = b->d;
    struct cr_branch *grown =
        cr_grow(d->branches, d->n_branches, &d->branches_cap, sizeof *grown);
    if (!grown)
        return no_memory("the packs", err);
    d->branches = grown;
    struct cr_branch *branch = &d->branches[d->n_branches];
    *branch = (struct cr_branch){.record = b->record, .pack = pack};
    CR_TRY(store_tokens(b, l, &branch->tokens, err));
    d->n_branches++;
    d->packs[pack].n_branches++;
    d->packs[pack].n_rows += rows;
    return CRITIC_OK;
}

static enum critic_status check_length(const struct cr_dataset_builder *b, size_t rows,
                                       critic_error *err) {
    if (rows <= b->o->max_tokens)
        return CRITIC_OK;
    return cr_fail(err, CRITIC_BAD_DATA,
                   "%zu tokens, pictures included; expected at most %zu (--max-tokens)",
                   rows, b->o->max_tokens);
}

static uint64_t key_of(const struct cr_dataset_builder *b,
                       const struct cr_labelled *prefix) {
    struct cr_hash h;
    uint64_t out[2];
    cr_hash_init(&h, 0);
    if (prefix->n > 0)
        cr_hash_update(&h, prefix->ids, prefix->n * sizeof *prefix->ids);
    cr_hash_update(&h, b->pictures, b->n_pictures * sizeof *b->pictures);
    cr_hash_final(&h, out);
    return out[0] | 1;
}

static enum critic_status grow_open(struct cr_dataset_builder *b, critic_error *err) {
    size_t cap = CR_MAX(b->open_cap * 2, 1024);
    struct cr_open_pack *open = calloc(cap, sizeof *open);
    if (!open)
        return no_memory("the packs", err);
    for (size_t i = 0; i < b->open_cap; i++) {
        if (!b->open[i].pack)
            continue;
        size_t at = (size_t)b->open[i].key & (cap - 1);
        while (open[at].pack)
            at = (at + 1) & (cap - 1);
        open[at] = b->open[i];
    }
    free(b->open);
    b->open = open;
    b->open_cap = cap;
    return CRITIC_OK;
}

/* The open pack with this prefix and these pictures that has room for `rows` more; a new one where
 * there is none. */
static enum critic_status pack_with_room(struct cr_dataset_builder *b,
                                         const struct cr_labelled *prefix, size_t rows,
                                         uint32_t *index, critic_error *err) {
    if (b->n_open * 2 >= b->open_cap)
        CR_TRY(grow_open(b, err));
    uint64_t key = key_of(b, prefix);
    size_t at = (size_t)key & (b->open_cap - 1);
    while (b->open[at].pack && b->open[at].key != key)
        at = (at + 1) & (b->open_cap - 1);
    struct cr_open_pack *slot = &b->open[at];
    if (slot->pack && b->d->packs[slot->pack - 1].n_rows + rows <= b->o->pack_tokens) {
        *index = slot->pack - 1;
        return CRITIC_OK;
    }
    CR_TRY(new_pack(b, prefix, prefix->n > 0, index, err));
    b->n_open += slot->pack == 0;
    *slot = (struct cr_open_pack){key, *index + 1};
    return CRITIC_OK;
}

static enum critic_status keep_branch(void *user, const struct cr_labelled *l,
                                      critic_error *err) {
    struct cr_dataset_builder *b = user;
    CR_TRY(cr_labelled_push(&b->branches, l->ids, l->label, l->n, err));
    size_t *grown = cr_grow(b->ends, b->n_ends, &b->ends_cap, sizeof *grown);
    if (!grown)
        return no_memory("a record", err);
    b->ends = grown;
    b->ends[b->n_ends++] = b->branches.n;
    return CRITIC_OK;
}

static struct cr_labelled part_of(const struct cr_labelled *l, size_t first, size_t end) {
    return (struct cr_labelled){l->ids + first, l->label + first, end - first, 0};
}

/* Branches on a shared prefix; *done is false where the conversation cannot share. */
static enum critic_status add_shared(struct cr_dataset_builder *b,
                                     const struct cr_conversation *c, bool turns,
                                     bool *done, critic_error *err) {
    b->branches.n = b->n_ends = b->prefix.n = 0;
    CR_TRY(
        cr_encode_branches(&b->encoder, c, turns, &b->prefix, done, keep_branch, b, err));
    if (!*done)
        return CRITIC_OK;
    size_t next = 0, first = 0;
    size_t prefix_rows = count_rows(b, b->prefix.ids, b->prefix.n, &next);
    for (size_t i = 0; i < b->n_ends; first = b->ends[i++])
        CR_TRY(check_length(b, prefix_rows + b->ends[i] - first, err));
    first = 0;
    for (size_t i = 0; i < b->n_ends; first = b->ends[i++]) {
        uint32_t pack;
        struct cr_labelled l = part_of(&b->branches, first, b->ends[i]);
        CR_TRY(pack_with_room(b, &b->prefix, l.n, &pack, err));
        CR_TRY(add_branch(b, pack, &l, l.n, err));
    }
    return CRITIC_OK;
}

static enum critic_status add_whole(struct cr_dataset_builder *b,
                                    const struct cr_conversation *c, critic_error *err) {
    const struct cr_labelled none = {0};
    size_t next = 0;
    uint32_t pack;
    b->branches.n = 0;
    CR_TRY(cr_encode_conversation(&b->encoder, c, &b->branches, err));
    size_t rows = count_rows(b, b->branches.ids, b->branches.n, &next);
    CR_TRY(check_length(b, rows, err));
    if (b->o->pack == CR_PACKS_LENGTH && b->n_pictures == 0)
        CR_TRY(pack_with_room(b, &none, rows, &pack, err));
    else
        CR_TRY(new_pack(b, &none, true, &pack, err));
    return add_branch(b, pack, &b->branches, rows, err);
}

static enum critic_status add_conversation(struct cr_dataset_builder *b,
                                           const json_t *turns, bool alone,
                                           critic_error *err) {
    struct cr_conversation c = {turns, b->n_pictures};
    bool done = false;
    if (b->o->pack == CR_PACKS_TURNS)
        CR_TRY(add_shared(b, &c, alone, &done, err));
    return done ? CRITIC_OK : add_whole(b, &c, err);
}

/* ---- pairs ---- */

/* One side's tokens behind what b->branches holds; where its answer's turn begins in them. */
static enum critic_status encode_side(struct cr_dataset_builder *b,
                                      const struct cr_preference_record *pair, int side,
                                      size_t *answer, critic_error *err) {
    struct cr_encoder e = b->encoder;
    struct cr_conversation c = {pair->sides[side], b->n_pictures};
    if (pair->system)
        e.system = (struct cr_str){json_string_value(pair->system),
                                   json_string_length(pair->system)};
    CR_TRY(cr_encode_answer(&e, &c, &b->branches, answer, err));
    size_t *grown = cr_grow(b->ends, b->n_ends, &b->ends_cap, sizeof *grown);
    if (!grown)
        return no_memory("a record", err);
    b->ends = grown;
    b->ends[b->n_ends++] = b->branches.n;
    return CRITIC_OK;
}

/* Rows that both sides share: the prompt and the answer's header, less the last of them, which stays
 * with the answers, each of which it predicts the first token of. */
static size_t common_rows(const struct cr_dataset_builder *b, size_t answer) {
    size_t first = b->ends[0], n = answer + 1;
    while (n < first && first + n < b->ends[1] &&
           b->branches.ids[n] == b->branches.ids[first + n] && !b->branches.label[n] &&
           !b->branches.label[first + n])
        n++;
    return n - 1;
}

static enum critic_status add_sides(struct cr_dataset_builder *b,
                                    const struct cr_preference_record *pair,
                                    critic_error *err) {
    size_t answer[2], next = 0;
    uint32_t pack;
    b->branches.n = b->n_ends = 0;
    for (int i = 0; i < 2; i++)
        CR_TRY(encode_side(b, pair, i, &answer[i], err));
    size_t shared = common_rows(b, answer[0]);
    struct cr_labelled prefix = part_of(&b->branches, 0, shared);
    struct cr_labelled part[2] = {part_of(&b->branches, shared, b->ends[0]),
                                  part_of(&b->branches, b->ends[0] + shared, b->ends[1])};
    size_t prefix_rows = count_rows(b, prefix.ids, prefix.n, &next);
    for (int i = 0; i < 2; i++)
        CR_TRY(check_length(b, prefix_rows + part[i].n, err));
    CR_TRY(new_pack(b, &prefix, true, &pack, err));
    for (int i = 0; i < 2; i++)
        CR_TRY(add_branch(b, pack, &part[i], part[i].n, err));
    return CRITIC_OK;
}

static enum critic_status add_pair(struct cr_dataset_builder *b, const json_t *record,
                                   critic_error *err) {
    struct cr_preference_record pair;
    enum critic_status status =
        cr_preference_record_read(&pair, record, b->n_pictures, err);
    if (status == CRITIC_OK)
        status = add_sides(b, &pair, err);
    cr_preference_record_fini(&pair);
    return status;
}

/* ---- a record ---- */

enum critic_status cr_dataset_add(struct cr_dataset_builder *b, const json_t *record,
                                  critic_error *err) {
    if (b->o->pack == CR_PACKS_PAIRS) {
        CR_TRY(cr_dataset_pictures(b, record, err));
        CR_TRY(plan_pictures(b, err));
        return add_pair(b, record, err);
    }
    const json_t *conversations = json_object_get(record, "conversations");
    if (!json_is_array(conversations) || json_array_size(conversations) == 0)
        return cr_fail(err, CRITIC_BAD_DATA, "no list 'conversations'");
    CR_TRY(cr_dataset_pictures(b, record, err));
    CR_TRY(plan_pictures(b, err));
    if (!json_is_array(json_array_get(conversations, 0)))
        return add_conversation(b, conversations, true, err);
    for (size_t i = 0; i < json_array_size(conversations); i++) {
        const json_t *turns = json_array_get(conversations, i);
        if (!json_is_array(turns))
            return cr_fail(err, CRITIC_BAD_DATA, "conversation %zu is no list of turns",
                           i + 1);
        CR_TRY(add_conversation(b, turns, false, err));
    }
    return CRITIC_OK;
}
