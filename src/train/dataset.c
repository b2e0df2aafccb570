#include "train/dataset.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "base/hash.h"
#include "text/chat.h"
#include "train/dataset_impl.h"

#define MAX_BAD_LOGGED 20

void cr_dataset_opts_default(struct cr_dataset_opts *o) {
    *o = (struct cr_dataset_opts){.pack = CR_PACKS_NONE,
                                  .pack_tokens = 4096,
                                  .max_tokens = 32768,
                                  .mask = CR_LABELS_LLAVA,
                                  .keep_picture_bytes = (size_t)1 << 30};
    o->system = cr_str_of(cr_chat_default_system);
}

static void log_line(const struct cr_dataset_builder *b, const char *fmt, ...)
    CR_PRINTF(2, 3);
static void log_line(const struct cr_dataset_builder *b, const char *fmt, ...) {
    char line[640];
    va_list args;
    if (!b->o->log)
        return;
    va_start(args, fmt);
    vsnprintf(line, sizeof line, fmt, args);
    va_end(args);
    b->o->log(b->o->log_user, 0, line);
}

/* A bad record stops the run or is left out, each told once. Packs that it joined before keep
 * nothing of it because conversations are checked before they are added; a later conversation of
 * the same record may be the bad one, and then the earlier ones stay. */
static enum critic_status note_bad(struct cr_dataset_builder *b, critic_error *err) {
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
static enum critic_status collect_pictures(struct cr_dataset_builder *b,
                                           critic_error *err) {
    for (size_t i = 0; i < b->d->records.n; i++) {
        json_t *record;
        critic_error ignored = {0}; /* told when the record is read for good */
        if (cr_records_get(&b->d->records, i, &record, &ignored) != CRITIC_OK)
            continue;
        enum critic_status status = cr_dataset_pictures(b, record, &ignored);
        json_decref(record);
        if (status == CRITIC_NO_MEMORY)
            return cr_fail(err, status, "%s", ignored.message);
        if (i % 1024 == 0 && b->o->cancel && b->o->cancel(b->o->cancel_user))
            return cr_fail(err, CRITIC_CANCELLED, "interrupted while data was read");
    }
    return cr_pictures_check(&b->d->pictures, 0, b->o->cancel, b->o->cancel_user, err);
}

static enum critic_status add_records(struct cr_dataset_builder *b, critic_error *err) {
    critic_error one;
    for (size_t i = 0; i < b->d->records.n; i++) {
        json_t *record;
        memset(&one, 0, sizeof one);
        b->record = (uint32_t)i;
        b->lacks_picture = false;
        enum critic_status status = cr_records_get(&b->d->records, i, &record, &one);
        if (status == CRITIC_OK) {
            status = cr_dataset_add(b, record, &one);
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
        status = cr_fail(err, CRITIC_NO_MEMORY, "out of memory for the packs");
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

static enum critic_status build(struct cr_dataset_builder *b, const char *path,
                                critic_error *err) {
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
    struct cr_dataset_builder b = {.d = d, .o = opts};
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
