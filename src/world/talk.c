#include "world/talk.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/rng.h"

#define MAX_LINE ((size_t)64 << 20)
#define MAX_LIST ((size_t)2 << 30)

/* Does the file begin with "["? A list may be large; only its beginning is looked at. */
static enum critic_status begins_list(const char *path, bool *is_list,
                                      critic_error *err) {
    struct cr_map map;
    *is_list = false;
    CR_TRY(cr_map_open(&map, path, err));
    for (size_t i = 0; i < map.bytes.len && i < 4096; i++)
        if (!strchr(" \t\r\n", map.bytes.data[i])) {
            *is_list = map.bytes.data[i] == '[';
            break;
        }
    cr_map_close(&map);
    return CRITIC_OK;
}

enum critic_status cr_talk_open(struct cr_talk_reader *r, const char *path,
                                critic_error *err) {
    memset(r, 0, sizeof *r);
    r->path = path;
    r->lines.fd = -1;
    CR_TRY(begins_list(path, &r->is_list, err));
    if (!r->is_list)
        return cr_jsonl_open(&r->lines, path, MAX_LINE, err);
    return cr_json_read(&r->list, path, MAX_LIST, err);
}

static void set_where(struct cr_talk_reader *r) {
    snprintf(r->where, sizeof r->where, "%.400s:%zu", r->path, r->at);
}

enum critic_status cr_talk_next(struct cr_talk_reader *r, const json_t **out,
                                critic_error *err) {
    struct cr_str line;
    *out = NULL;
    if (r->is_list) {
        *out = json_array_get(r->list, r->at);
        r->at += *out != NULL;
        set_where(r);
        return CRITIC_OK;
    }
    json_decref(r->record);
    r->record = NULL;
    CR_TRY(cr_jsonl_next(&r->lines, &line, err));
    r->at = r->lines.line_number;
    set_where(r);
    if (!line.data)
        return CRITIC_OK;
    enum critic_status status =
        cr_json_parse(&r->record, line.data, line.len, r->where, err);
    if (status == CRITIC_BAD_FILE) {
        status = CRITIC_BAD_DATA;
        if (err)
            err->status = status;
    }
    *out = r->record;
    return status;
}

void cr_talk_close(struct cr_talk_reader *r) {
    json_decref(r->record);
    json_decref(r->list);
    if (!r->is_list)
        cr_jsonl_close(&r->lines);
    memset(r, 0, sizeof *r);
    r->lines.fd = -1;
}

size_t cr_record_n_turns(const json_t *record) {
    return json_array_size(json_object_get(record, "conversations"));
}

struct cr_str cr_record_turn(const json_t *record, size_t i, const char *who) {
    const json_t *turn = json_array_get(json_object_get(record, "conversations"), i);
    const char *from = json_string_value(json_object_get(turn, "from"));
    const json_t *value = json_object_get(turn, "value");
    if (!from || strcmp(from, who) != 0 || !json_is_string(value))
        return (struct cr_str){NULL, 0};
    return (struct cr_str){json_string_value(value), json_string_length(value)};
}

struct cr_str cr_record_image(const json_t *record, size_t i) {
    const json_t *image = json_object_get(record, "image");
    if (json_is_array(image))
        image = json_array_get(image, i);
    else if (i > 0)
        image = NULL;
    if (!json_is_string(image))
        return (struct cr_str){NULL, 0};
    return (struct cr_str){json_string_value(image), json_string_length(image)};
}

/* ---- keys --------------------------------------------------------------------------------------------- */

static size_t slot_of(const struct cr_seen *s, uint64_t key) {
    size_t i = (size_t)cr_hash_u64(key) & (s->cap - 1);
    while (s->keys[i] != 0 && s->keys[i] != key)
        i = (i + 1) & (s->cap - 1);
    return i;
}

static enum critic_status grow(struct cr_seen *s, critic_error *err) {
    struct cr_seen old = *s;
    s->cap = old.cap ? 2 * old.cap : 1024;
    s->keys = calloc(s->cap, sizeof *s->keys);
    s->owners = calloc(s->cap, sizeof *s->owners);
    if (!s->keys || !s->owners) {
        free(s->keys);
        free(s->owners);
        *s = old;
        return cr_fail(err, CRITIC_NO_MEMORY, "no memory for %zu keys", 2 * old.cap);
    }
    for (size_t i = 0; i < old.cap; i++)
        if (old.keys[i] != 0) {
            size_t k = slot_of(s, old.keys[i]);
            s->keys[k] = old.keys[i];
            s->owners[k] = old.owners[i];
        }
    free(old.keys);
    free(old.owners);
    return CRITIC_OK;
}

enum critic_status cr_seen_put(struct cr_seen *s, uint64_t key, uint32_t *owner,
                               bool *again, critic_error *err) {
    key = key ? key : 1;
    if (2 * (s->n + 1) > s->cap)
        CR_TRY(grow(s, err));
    size_t i = slot_of(s, key);
    *again = s->keys[i] == key;
    if (*again) {
        *owner = s->owners[i];
        return CRITIC_OK;
    }
    s->keys[i] = key;
    s->owners[i] = *owner;
    s->n++;
    return CRITIC_OK;
}

void cr_seen_fini(struct cr_seen *s) {
    free(s->keys);
    free(s->owners);
    memset(s, 0, sizeof *s);
}
