#include "prefer/ledger.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "io/json.h"
#include "io/jsonl_order.h"

#define MAX_LINE_BYTES ((size_t)256 << 20)

static enum critic_status check_stamp(const struct cr_ledger *l, const json_t *line,
                                      const char *where, critic_error *err) {
    const char *key;
    json_t *mine;
    json_object_foreach(l->stamp, key, mine) {
        const json_t *theirs = json_object_get(line, key);
        if (json_equal(mine, theirs))
            continue;
        char *text[2] = {json_dumps(mine, JSON_ENCODE_ANY),
                         theirs ? json_dumps(theirs, JSON_ENCODE_ANY) : NULL};
        enum critic_status status = cr_fail(
            err, CRITIC_BAD_ARGUMENT,
            "%s: written with %s %.200s; this run has %.200s: write to another file or "
            "begin anew with --force",
            where, key, text[1] ? text[1] : "nothing", text[0] ? text[0] : "?");
        free(text[0]);
        free(text[1]);
        return status;
    }
    return CRITIC_OK;
}

/* The text and its length, so that no two lists of texts look alike. */
static void hash_text(struct cr_hash *h, const json_t *text) {
    uint64_t n = json_string_length(text);
    cr_hash_update(h, &n, sizeof n);
    cr_hash_update(h, json_string_value(text), n);
}

json_t *cr_ledger_print(const json_t *entry, bool with_answers) {
    struct cr_hash h;
    uint64_t value[2];
    size_t i;
    json_t *element;
    cr_hash_init(&h, 0);
    hash_text(&h, json_object_get(entry, "prompt"));
    json_array_foreach(json_object_get(entry, "images"), i, element)
        hash_text(&h, element);
    if (with_answers)
        json_array_foreach(json_object_get(entry, "answers"), i, element)
            hash_text(&h, json_object_get(element, "text"));
    cr_hash_final(&h, value);
    return json_integer((json_int_t)value[0]);
}

/* Was the line made of what the input says of this id? */
static enum critic_status check_wanted(const struct cr_ledger *l, const json_t *line,
                                       const char *id, const char *where,
                                       critic_error *err) {
    const json_t *wanted = json_object_get(l->wanted, id);
    const char *how = "write to another file or begin anew with --force";
    if (json_object_get(l->there, id))
        return cr_fail(err, CRITIC_BAD_DATA, "%s: the id '%.80s' stands there twice",
                       where, id);
    if (!l->wanted)
        return CRITIC_OK;
    if (!wanted)
        return cr_fail(err, CRITIC_BAD_ARGUMENT,
                       "%s: the prompt '%.80s' is not among those of this run: %s", where,
                       id, how);
    json_t *print = cr_ledger_print(line, l->with_answers);
    bool same = json_equal(print, wanted);
    json_decref(print);
    return same ? CRITIC_OK
                : cr_fail(err, CRITIC_BAD_ARGUMENT,
                          "%s: the prompt '%.80s' had another text, other pictures%s: %s",
                          where, id, l->with_answers ? " or other answers" : "", how);
}

static enum critic_status on_old_line(void *user, struct cr_str text, size_t number,
                                      critic_error *err) {
    struct cr_ledger *l = user;
    char where[320];
    json_t *line = NULL;
    snprintf(where, sizeof where, "%.256s:%zu", l->log.name, number);
    CR_TRY(cr_json_parse(&line, text.data, text.len, where, err));
    const char *id = json_string_value(json_object_get(line, "id"));
    enum critic_status status =
        id ? check_stamp(l, line, where, err)
           : cr_fail(err, CRITIC_BAD_DATA, "%s: not a line of this command", where);
    if (status == CRITIC_OK && cr_row_is_error(line)) {
        l->n_retry++;
        json_decref(line);
        return CRITIC_OK;
    }
    if (status == CRITIC_OK)
        status = check_wanted(l, line, id, where, err);
    if (status == CRITIC_OK && json_object_set_new(l->there, id, json_true()))
        status = cr_fail(err, CRITIC_NO_MEMORY, "out of memory");
    if (status == CRITIC_OK && l->on_line)
        l->on_line(l->user, line);
    json_decref(line);
    return status;
}

enum critic_status cr_ledger_open(struct cr_ledger *l, const char *path, json_t *stamp,
                                  const struct cr_prefer_opts *opts, critic_error *err) {
    l->log = (struct cr_jsonl_log){.fd = -1};
    l->stamp = stamp;
    l->there = json_object();
    if (!l->there || !stamp)
        return cr_fail(err, CRITIC_NO_MEMORY, "out of memory");
    return cr_jsonl_log_open(&l->log, path,
                             opts->resume  ? CR_JSONL_RESUME
                             : opts->force ? CR_JSONL_FORCE
                                           : CR_JSONL_FRESH,
                             on_old_line, l, err);
}

bool cr_ledger_has(const struct cr_ledger *l, const char *id) {
    return json_object_get(l->there, id) != NULL;
}

enum critic_status cr_ledger_append(struct cr_ledger *l, json_t *line,
                                    critic_error *err) {
    struct cr_buf text;
    if (!line || json_object_update(line, l->stamp)) {
        json_decref(line);
        return cr_fail(err, CRITIC_NO_MEMORY, "%s: out of memory", l->log.name);
    }
    cr_buf_init(&text, MAX_LINE_BYTES);
    enum critic_status status = cr_json_append(&text, line, err);
    if (status == CRITIC_OK)
        status = cr_jsonl_log_append(&l->log, cr_buf_str(&text), err);
    cr_buf_fini(&text);
    json_decref(line);
    return status;
}

enum critic_status cr_ledger_finish(struct cr_ledger *l, const json_t *ids,
                                    critic_error *err) {
    const char *id, *path = l->log.name;
    json_t *value;
    size_t n = 0;
    cr_jsonl_log_close(&l->log);
    if (l->n_retry == 0)
        return CRITIC_OK;
    struct cr_row_key *keys = calloc(json_object_size(ids) + 1, sizeof *keys);
    if (!keys)
        return cr_fail(err, CRITIC_NO_MEMORY, "out of memory");
    json_object_foreach((json_t *)(uintptr_t)ids, id, value) keys[n++] =
        cr_row_key(cr_str_of(id), false);
    enum critic_status status = cr_jsonl_put_in_order(path, "id", keys, n, err);
    free(keys);
    return status;
}

bool cr_prefer_ends_run(enum critic_status status,
                        const struct cr_prefer_counts *counts) {
    bool nothing_yet = counts->n_there == 0 && counts->n_done == counts->n_faults;
    return status == CRITIC_CANCELLED || status == CRITIC_IO ||
           (status == CRITIC_BAD_ARGUMENT && nothing_yet);
}

void cr_ledger_close(struct cr_ledger *l) {
    cr_jsonl_log_close(&l->log);
    json_decref(l->there);
    l->there = NULL;
}

struct cr_str cr_folder_of(const char *path) {
    const char *slash = strcmp(path, "-") == 0 ? NULL : strrchr(path, '/');
    if (!slash)
        return (struct cr_str){"", 0};
    return (struct cr_str){path, slash == path ? 1 : (size_t)(slash - path)};
}
