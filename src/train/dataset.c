#include "train/dataset.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "base/hash.h"
#include "text/chat.h"
#include "train/preference_record.h"

#define MAX_PICTURES   64
#define MAX_BAD_LOGGED 20

void cr_dataset_opts_default(struct cr_dataset_opts *o) {
    *o = (struct cr_dataset_opts){.pack = CR_PACKS_NONE,
                                  .pack_tokens = 4096,
                                  .max_tokens = 32768,
                                  .mask = CR_LABELS_LLAVA,
                                  .keep_picture_bytes = (size_t)1 << 30};
    o->system = cr_str_of(cr_chat_default_system);
}

struct open_pack {
    uint64_t key;
    uint32_t pack; /* index + 1; 0: free */
};

/* What building needs beside the dataset. */
struct builder {
    struct cr_dataset *d;
    const struct cr_dataset_opts *o;
    struct cr_encoder encoder;
    struct open_pack *open; /* by the hash of prefix and pictures */
    size_t n_open, open_cap;
    /* The record in work. */
    uint32_t record;
    bool lacks_picture; /* that is what is wrong with it */
    uint32_t pictures[MAX_PICTURES];
    size_t n_pictures;
    size_t picture_rows[MAX_PICTURES];
    struct cr_labelled prefix;
    struct cr_labelled branches; /* of the record, one after the other */
    size_t *ends;
    size_t n_ends, ends_cap;
    size_t n_logged;
    critic_error first_bad;
};

static enum critic_status no_memory(const char *what, critic_error *err) {
    return cr_fail(err, CRITIC_NO_MEMORY, "out of memory for %s", what);
}

/* Makes room for one more element. */
static bool grow(void **items, size_t *cap, size_t n, size_t size) {
    if (n < *cap)
        return true;
    size_t more = CR_MAX(*cap * 2, 256);
    void *bigger = realloc(*items, more * size);
    if (!bigger)
        return false;
    *items = bigger;
    *cap = more;
    return true;
}

#define GROW(items, cap, n) grow((void **)&(items), &(cap), (n), sizeof *(items))

static void log_line(const struct builder *b, const char *fmt, ...) CR_PRINTF(2, 3);
static void log_line(const struct builder *b, const char *fmt, ...) {
    char line[640];
    va_list args;
    if (!b->o->log)
        return;
    va_start(args, fmt);
    vsnprintf(line, sizeof line, fmt, args);
    va_end(args);
    b->o->log(b->o->log_user, 0, line);
}

/* ---- records ---- */

static enum critic_status add_picture(struct builder *b, const json_t *name,
                                      critic_error *err) {
    if (!json_is_string(name))
        return cr_fail(err, CRITIC_BAD_DATA, "'image' is no path and no list of paths");
    if (b->n_pictures == MAX_PICTURES)
        return cr_fail(err, CRITIC_BAD_DATA, "more than %d pictures", MAX_PICTURES);
    struct cr_str text = {json_string_value(name), json_string_length(name)};
    return cr_pictures_add(&b->d->pictures, b->o->image_folder, text,
                           &b->pictures[b->n_pictures++], err);
}

static enum critic_status read_pictures(struct builder *b, const json_t *record,
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
static enum critic_status plan_pictures(struct builder *b, critic_error *err) {
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
static size_t count_rows(const struct builder *b, const int32_t *ids, size_t n,
                         size_t *next) {
    size_t rows = 0;
    for (size_t i = 0; i < n; i++)
        rows += ids[i] == CR_IMAGE_MARK ? b->picture_rows[(*next)++] : 1;
    return rows;
}

/* ---- packs ---- */

static enum critic_status store_tokens(struct builder *b, const struct cr_labelled *l,
                                       struct cr_token_run *run, critic_error *err) {
    *run = (struct cr_token_run){b->d->tokens.n, l->n};
    for (size_t i = 0; i < l->n; i++)
        b->d->n_targets += l->label[i];
    return cr_labelled_push(&b->d->tokens, l->ids, l->label, l->n, err);
}

static enum critic_status new_pack(struct builder *b, const struct cr_labelled *prefix,
                                   bool with_pictures, uint32_t *index,
                                   critic_error *err) {
    struct cr_dataset *d = b->d;
    if (!GROW(d->packs, d->packs_cap, d->n_packs))
        return no_memory("the packs", err);
    struct cr_pack *pack = &d->packs[d->n_packs];
    *pack = (struct cr_pack){.first_picture = d->n_picture_of};
    size_t next = 0;
    CR_TRY(store_tokens(b, prefix, &pack->prefix, err));
    pack->n_rows = count_rows(b, prefix->ids, prefix->n, &next);
    for (size_t i = 0; i < b->n_pictures && with_pictures; i++) {
        if (!GROW(d->picture_of, d->picture_of_cap, d->n_picture_of))
            return no_memory("the packs", err);
        d->picture_of[d->n_picture_of++] = b->pictures[i];
        pack->n_pictures++;
    }
    *index = (uint32_t)d->n_packs++;
    return CRITIC_OK;
}

static enum critic_status add_branch(struct builder *b, uint32_t pack,
                                     const struct cr_labelled *l, size_t rows,
                                     critic_error *err) {
    struct cr_dataset *d = b->d;
    if (!GROW(d->branches, d->branches_cap, d->n_branches))
        return no_memory("the packs", err);
    struct cr_branch *branch = &d->branches[d->n_branches];
    *branch = (struct cr_branch){.record = b->record, .pack = pack};
    CR_TRY(store_tokens(b, l, &branch->tokens, err));
    d->n_branches++;
    d->packs[pack].n_branches++;
    d->packs[pack].n_rows += rows;
    return CRITIC_OK;
}

static enum critic_status check_length(const struct builder *b, size_t rows,
                                       critic_error *err) {
    if (rows <= b->o->max_tokens)
        return CRITIC_OK;
    return cr_fail(err, CRITIC_BAD_DATA,
                   "%zu tokens, pictures included; expected at most %zu (--max-tokens)",
                   rows, b->o->max_tokens);
}

static uint64_t key_of(const struct builder *b, const struct cr_labelled *prefix) {
    struct cr_hash h;
    uint64_t out[2];
    cr_hash_init(&h, 0);
    if (prefix->n > 0)
        cr_hash_update(&h, prefix->ids, prefix->n * sizeof *prefix->ids);
    cr_hash_update(&h, b->pictures, b->n_pictures * sizeof *b->pictures);
    cr_hash_final(&h, out);
    return out[0] | 1;
}

static enum critic_status grow_open(struct builder *b, critic_error *err) {
    size_t cap = CR_MAX(b->open_cap * 2, 1024);
    struct open_pack *open = calloc(cap, sizeof *open);
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
static enum critic_status pack_with_room(struct builder *b,
                                         const struct cr_labelled *prefix, size_t rows,
                                         uint32_t *index, critic_error *err) {
    if (b->n_open * 2 >= b->open_cap)
        CR_TRY(grow_open(b, err));
    uint64_t key = key_of(b, prefix);
    size_t at = (size_t)key & (b->open_cap - 1);
    while (b->open[at].pack && b->open[at].key != key)
        at = (at + 1) & (b->open_cap - 1);
    struct open_pack *slot = &b->open[at];
    if (slot->pack && b->d->packs[slot->pack - 1].n_rows + rows <= b->o->pack_tokens) {
        *index = slot->pack - 1;
        return CRITIC_OK;
    }
    CR_TRY(new_pack(b, prefix, prefix->n > 0, index, err));
    b->n_open += slot->pack == 0;
    *slot = (struct open_pack){key, *index + 1};
    return CRITIC_OK;
}

static enum critic_status keep_branch(void *user, const struct cr_labelled *l,
                                      critic_error *err) {
    struct builder *b = user;
    CR_TRY(cr_labelled_push(&b->branches, l->ids, l->label, l->n, err));
    if (!GROW(b->ends, b->ends_cap, b->n_ends))
        return no_memory("a record", err);
    b->ends[b->n_ends++] = b->branches.n;
    return CRITIC_OK;
}

static struct cr_labelled part_of(const struct cr_labelled *l, size_t first, size_t end) {
    return (struct cr_labelled){l->ids + first, l->label + first, end - first, 0};
}

/* Branches on a shared prefix; *done is false where the conversation cannot share. */
static enum critic_status add_shared(struct builder *b, const struct cr_conversation *c,
                                     bool turns, bool *done, critic_error *err) {
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

static enum critic_status add_whole(struct builder *b, const struct cr_conversation *c,
                                    critic_error *err) {
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

static enum critic_status add_conversation(struct builder *b, const json_t *turns,
                                           bool alone, critic_error *err) {
    struct cr_conversation c = {turns, b->n_pictures};
    bool done = false;
    if (b->o->pack == CR_PACKS_TURNS)
        CR_TRY(add_shared(b, &c, alone, &done, err));
    return done ? CRITIC_OK : add_whole(b, &c, err);
}

/* ---- pairs ---- */

/* One side's tokens behind what b->branches holds; where its answer's turn begins in them. */
static enum critic_status encode_side(struct builder *b,
                                      const struct cr_preference_record *pair, int side,
                                      size_t *answer, critic_error *err) {
    struct cr_encoder e = b->encoder;
    struct cr_conversation c = {pair->sides[side], b->n_pictures};
    if (pair->system)
        e.system = (struct cr_str){json_string_value(pair->system),
                                   json_string_length(pair->system)};
    CR_TRY(cr_encode_answer(&e, &c, &b->branches, answer, err));
    if (!GROW(b->ends, b->ends_cap, b->n_ends))
        return no_memory("a record", err);
    b->ends[b->n_ends++] = b->branches.n;
    return CRITIC_OK;
}

/* Rows that both sides share: the prompt and the answer's header, less the last of them, which stays
 * with the answers, each of which it predicts the first token of. */
static size_t common_rows(const struct builder *b, size_t answer) {
    size_t first = b->ends[0], n = answer + 1;
    while (n < first && first + n < b->ends[1] &&
           b->branches.ids[n] == b->branches.ids[first + n] && !b->branches.label[n] &&
           !b->branches.label[first + n])
        n++;
    return n - 1;
}

static enum critic_status
add_sides(struct builder *b, const struct cr_preference_record *pair, critic_error *err) {
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

static enum critic_status add_pair(struct builder *b, const json_t *record,
                                   critic_error *err) {
    struct cr_preference_record pair;
    enum critic_status status =
        cr_preference_record_read(&pair, record, b->n_pictures, err);
    if (status == CRITIC_OK)
        status = add_sides(b, &pair, err);
    cr_preference_record_fini(&pair);
    return status;
}

static enum critic_status add_record(struct builder *b, const json_t *record,
                                     critic_error *err) {
    if (b->o->pack == CR_PACKS_PAIRS) {
        CR_TRY(read_pictures(b, record, err));
        CR_TRY(plan_pictures(b, err));
        return add_pair(b, record, err);
    }
    const json_t *conversations = json_object_get(record, "conversations");
    if (!json_is_array(conversations) || json_array_size(conversations) == 0)
        return cr_fail(err, CRITIC_BAD_DATA, "no list 'conversations'");
    CR_TRY(read_pictures(b, record, err));
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

/* ---- all of them ---- */

/* A bad record stops the run or is left out, each told once. Packs that it joined before keep
 * nothing of it because conversations are checked before they are added; a later conversation of
 * the same record may be the bad one, and then the earlier ones stay. */
static enum critic_status note_bad(struct builder *b, critic_error *err) {
    char where[512];
    if (err->status != CRITIC_BAD_DATA && err->status != CRITIC_BAD_FILE &&
        err->status != CRITIC_UNSUPPORTED)
        return err->status;
    cr_records_where(&b->d->records, b->record, where);
    if (strncmp(err->message, where, strlen(where)) != 0)
        cr_error_wrap(err, err->status, "%s: ", where);
    bool skip = b->o->skip_pictureless && b->lacks_picture;
    if (skip)
        b->d->n_pictureless++;
    else if (b->d->n_bad++ == 0)
        b->first_bad = *err;
    bool told =
        b->d->n_bad == 1 && !skip && !b->o->skip_bad; /* as the error, in the end */
    if (!told && (skip || b->n_logged++ < MAX_BAD_LOGGED))
        log_line(b, "%s%s", err->message, skip ? "; skipped" : "");
    cr_error_clear(err);
    return CRITIC_OK;
}

/* Every record's pictures are known before any is planned, so that they are decoded by all
 * threads. */
static enum critic_status collect_pictures(struct builder *b, critic_error *err) {
    for (size_t i = 0; i < b->d->records.n; i++) {
        json_t *record;
        critic_error ignored = {0}; /* told when the record is read for good */
        if (cr_records_get(&b->d->records, i, &record, &ignored) != CRITIC_OK)
            continue;
        enum critic_status status = read_pictures(b, record, &ignored);
        json_decref(record);
        if (status == CRITIC_NO_MEMORY)
            return cr_fail(err, status, "%s", ignored.message);
        if (i % 1024 == 0 && b->o->cancel && b->o->cancel(b->o->cancel_user))
            return cr_fail(err, CRITIC_CANCELLED, "interrupted while data was read");
    }
    return cr_pictures_check(&b->d->pictures, 0, b->o->cancel, b->o->cancel_user, err);
}

static enum critic_status add_records(struct builder *b, critic_error *err) {
    critic_error one;
    for (size_t i = 0; i < b->d->records.n; i++) {
        json_t *record;
        memset(&one, 0, sizeof one);
        b->record = (uint32_t)i;
        b->lacks_picture = false;
        enum critic_status status = cr_records_get(&b->d->records, i, &record, &one);
        if (status == CRITIC_OK) {
            status = add_record(b, record, &one);
            json_decref(record);
        }
        if (status != CRITIC_OK)
            status = note_bad(b, &one);
        if (status != CRITIC_OK)
            return cr_fail(err, status, "%s", one.message);
        if (i % 1024 == 0 && b->o->cancel && b->o->cancel(b->o->cancel_user))
            return cr_fail(err, CRITIC_CANCELLED, "interrupted while data was read");
    }
    return CRITIC_OK;
}

/* Branches in the order of their packs (a counting sort keeps the order inside a pack). */
static enum critic_status sort_branches(struct cr_dataset *d, critic_error *err) {
    struct cr_branch *sorted = malloc(CR_MAX(d->n_branches, 1) * sizeof *sorted);
    size_t *next = malloc(CR_MAX(d->n_packs, 1) * sizeof *next);
    enum critic_status status = CRITIC_OK;
    if (sorted && next) {
        size_t at = 0;
        for (size_t p = 0; p < d->n_packs; p++) {
            d->packs[p].first_branch = next[p] = at;
            at += d->packs[p].n_branches;
        }
        for (size_t i = 0; i < d->n_branches; i++)
            sorted[next[d->branches[i].pack]++] = d->branches[i];
        free(d->branches);
        d->branches = sorted;
        sorted = NULL;
    } else {
        status = no_memory("the packs", err);
    }
    free(sorted);
    free(next);
    return status;
}

static void hash_all(struct cr_dataset *d) {
    struct cr_hash h;
    cr_hash_init(&h, 1);
    cr_hash_update(&h, d->tokens.ids, d->tokens.n * sizeof *d->tokens.ids);
    cr_hash_update(&h, d->tokens.label, d->tokens.n);
    for (size_t i = 0; i < d->n_packs; i++) {
        uint64_t facts[4] = {d->packs[i].prefix.n, d->packs[i].n_branches,
                             d->packs[i].n_pictures, d->packs[i].n_rows};
        cr_hash_update(&h, facts, sizeof facts);
    }
    for (size_t i = 0; i < d->pictures.n; i++)
        cr_hash_update(&h, d->pictures.items[i].path,
                       strlen(d->pictures.items[i].path) + 1);
    cr_hash_final(&h, d->hash);
}

static enum critic_status build(struct builder *b, const char *path, critic_error *err) {
    struct cr_dataset *d = b->d;
    CR_TRY(cr_records_open(&d->records, path, b->o->seed, err));
    CR_TRY(collect_pictures(b, err));
    CR_TRY(add_records(b, err));
    if (d->n_bad > MAX_BAD_LOGGED)
        log_line(b, "… and %zu more bad records", d->n_bad - MAX_BAD_LOGGED);
    if (d->n_bad > 0 && !b->o->skip_bad) {
        if (err)
            *err = b->first_bad;
        return d->n_bad == 1
                   ? b->first_bad.status
                   : cr_error_wrap(
                         err, b->first_bad.status,
                         "%zu bad records (--skip-bad leaves them out); the first: ",
                         d->n_bad);
    }
    if (d->n_packs == 0)
        return cr_fail(err, CRITIC_BAD_DATA, "%s:1: no usable record", path);
    CR_TRY(sort_branches(d, err));
    hash_all(d);
    return CRITIC_OK;
}

enum critic_status cr_dataset_open(struct cr_dataset *d, const char *path,
                                   const struct cr_config *config,
                                   const struct cr_tokenizer *tokenizer,
                                   const struct cr_dataset_opts *opts,
                                   critic_error *err) {
    struct builder b = {.d = d, .o = opts};
    memset(d, 0, sizeof *d);
    d->config = config;
    cr_pictures_init(&d->pictures, opts->keep_picture_bytes);
    cr_encoder_init(&b.encoder, tokenizer, opts->system, opts->mask);
    d->newline = b.encoder.newline;
    enum critic_status status = build(&b, path, err);
    free(b.open);
    free(b.ends);
    cr_labelled_fini(&b.prefix);
    cr_labelled_fini(&b.branches);
    return status;
}

void cr_dataset_close(struct cr_dataset *d) {
    cr_records_close(&d->records);
    cr_pictures_fini(&d->pictures);
    cr_labelled_fini(&d->tokens);
    free(d->branches);
    free(d->packs);
    free(d->picture_of);
    memset(d, 0, sizeof *d);
}

void cr_dataset_name(const struct cr_dataset *d, uint32_t record, char text[512]) {
    json_t *json;
    cr_records_where(&d->records, record, text);
    if (cr_records_get(&d->records, record, &json, NULL) != CRITIC_OK)
        return;
    const char *id = json_string_value(json_object_get(json, "id"));
    size_t n = strlen(text);
    if (id)
        snprintf(text + n, 512 - n, " (%.40s)", id);
    json_decref(json);
}
