#include "world/data_split.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "base/dir.h"
#include "base/file.h"
#include "base/hash.h"
#include "base/rng.h"
#include "train/records.h"

#define MAX_LINE_BYTES ((size_t)256 << 20)

enum critic_status cr_data_part_parse(struct cr_data_part *part, struct cr_str text,
                                      critic_error *err) {
    size_t equals = cr_str_find(text, (struct cr_str){"=", 1});
    char number[32] = "", *end = number;
    bool named = equals > 0 && equals < text.len && equals < sizeof part->name &&
                 text.len - equals <= sizeof number;
    if (named) {
        snprintf(part->name, sizeof part->name, "%.*s", (int)equals, text.data);
        snprintf(number, sizeof number, "%.*s", (int)(text.len - equals - 1),
                 text.data + equals + 1);
        part->share = strtod(number, &end);
    }
    part->n_records = 0;
    if (!named || end == number || *end || !(part->share > 0 && part->share < 1e9) ||
        strchr(part->name, '/') || part->name[0] == '.')
        return cr_fail(err, CRITIC_BAD_ARGUMENT,
                       "--part '%.*s'; expected NAME=SHARE, as in val=0.05",
                       (int)CR_MIN(text.len, 80), text.data);
    return CRITIC_OK;
}

static struct cr_str str_of(const json_t *value) {
    return (struct cr_str){json_string_value(value), json_string_length(value)};
}

/* What must not be in two parts: the first picture, else the id; data NULL: the whole text. */
static struct cr_str key_of(const json_t *record) {
    const json_t *image = json_object_get(record, "image");
    const json_t *images = json_object_get(record, "images");
    if (json_is_array(image))
        image = json_array_get(image, 0);
    if (!json_is_string(image))
        image = json_array_get(images, 0);
    if (!json_is_string(image))
        image = json_object_get(record, "id");
    return json_is_string(image) ? str_of(image) : (struct cr_str){NULL, 0};
}

/* In [0, 1). */
static double place_of(struct cr_str key, uint64_t seed) {
    struct cr_hash h;
    struct cr_rng rng;
    uint64_t hash[2];
    cr_hash_init(&h, seed);
    cr_hash_update(&h, key.data, key.len);
    cr_hash_final(&h, hash);
    cr_rng_seed(&rng, hash[0]);
    return cr_rng_uniform(&rng);
}

static struct cr_data_part *part_at(struct cr_data_part *parts, size_t n, double place) {
    double sum = 0, upto = 0;
    for (size_t i = 0; i < n; i++)
        sum += parts[i].share;
    for (size_t i = 0; i + 1 < n; i++) {
        upto += parts[i].share / sum;
        if (place < upto)
            return &parts[i];
    }
    return &parts[n - 1];
}

static enum critic_status write_record(const struct cr_records *r, size_t i,
                                       struct cr_buf *line, uint64_t seed,
                                       struct cr_data_part *parts, size_t n_parts,
                                       struct cr_out *files, critic_error *err) {
    json_t *record;
    CR_TRY(cr_records_get(r, i, &record, err));
    cr_buf_clear(line);
    enum critic_status status = cr_json_append(line, record, err);
    if (status == CRITIC_OK) {
        struct cr_str key = key_of(record);
        double place = place_of(key.data ? key : cr_buf_str(line), seed);
        struct cr_data_part *part = part_at(parts, n_parts, place);
        status = cr_buf_append_c(line, "\n", err);
        if (status == CRITIC_OK)
            status = cr_out_write(&files[part - parts], line->data, line->len, err);
        part->n_records++;
    }
    json_decref(record);
    return status;
}

static enum critic_status open_files(const struct cr_data_split_opts *o,
                                     const struct cr_data_part *parts, size_t n,
                                     struct cr_out *files, struct cr_buf *path,
                                     critic_error *err) {
    CR_TRY(cr_dir_make(o->out, err));
    for (size_t i = 0; i < n; i++) {
        cr_buf_clear(path);
        CR_TRY(cr_buf_printf(path, err, "%s/%s.jsonl", o->out, parts[i].name));
        if (!o->force && cr_file_exists(path->data))
            return cr_fail(err, CRITIC_BAD_ARGUMENT,
                           "%s: is there already; --force replaces it", path->data);
        CR_TRY(cr_out_open(&files[i], path->data, err));
    }
    return CRITIC_OK;
}

enum critic_status cr_data_split(const struct cr_data_split_opts *opts,
                                 struct cr_data_part *parts, size_t n_parts,
                                 critic_error *err) {
    struct cr_records records = {0};
    struct cr_out files[CR_MAX_PARTS] = {0};
    struct cr_buf path, line;
    enum critic_status status;
    CR_ASSERT(n_parts > 0 && n_parts <= CR_MAX_PARTS);
    cr_buf_init(&path, 1 << 16);
    cr_buf_init(&line, MAX_LINE_BYTES);
    CR_TRY_GOTO(cr_records_open(&records, opts->in, opts->seed, err));
    CR_TRY_GOTO(open_files(opts, parts, n_parts, files, &path, err));
    for (size_t i = 0; i < records.n; i++)
        CR_TRY_GOTO(
            write_record(&records, i, &line, opts->seed, parts, n_parts, files, err));
    for (size_t i = 0; i < n_parts; i++)
        CR_TRY_GOTO(cr_out_commit(&files[i], err));
fail:
    for (size_t i = 0; i < n_parts; i++)
        cr_out_abort(&files[i]);
    cr_buf_fini(&line);
    cr_buf_fini(&path);
    cr_records_close(&records);
    return status;
}
