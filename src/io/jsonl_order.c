#include "io/jsonl_order.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/hash.h"

struct cr_row_key cr_row_key(struct cr_str id, bool is_number) {
    struct cr_row_key key;
    struct cr_hash h;
    cr_hash_init(&h, is_number);
    cr_hash_update(&h, id.data, id.len);
    cr_hash_final(&h, key.hash);
    return key;
}

struct cr_row_key cr_row_key_of(const json_t *row, const char *id_key) {
    const json_t *id = json_object_get(row, id_key);
    char digits[32];
    if (json_is_real(id))
        snprintf(digits, sizeof digits, "%.17g", json_real_value(id));
    else if (json_is_integer(id))
        snprintf(digits, sizeof digits, "%lld", (long long)json_integer_value(id));
    else
        return cr_row_key((struct cr_str){json_string_value(id), json_string_length(id)},
                          false);
    return cr_row_key(cr_str_of(digits), true);
}

int cr_row_key_compare(const struct cr_row_key *a, const struct cr_row_key *b) {
    return memcmp(a->hash, b->hash, sizeof a->hash);
}

bool cr_row_is_error(const json_t *row) {
    const char *status = json_string_value(json_object_get(row, "status"));
    return (status && strcmp(status, "error") == 0) ||
           json_integer_value(json_object_get(row, "n_failed")) > 0;
}

struct row {
    struct cr_row_key key;
    bool is_error;
    bool used;
    struct cr_str line; /* with its newline */
};

/* By id; of one id, lines without an error first, then as they stand (later errors first). */
static int by_key(const void *a, const void *b) {
    const struct row *x = a;
    const struct row *y = b;
    int order = cr_row_key_compare(&x->key, &y->key);
    if (order != 0)
        return order;
    if (x->is_error != y->is_error)
        return x->is_error ? 1 : -1;
    int place = x->line.data < y->line.data ? -1 : 1;
    return x->is_error ? -place : place;
}

static enum critic_status read_rows(struct cr_bytes file, const char *path,
                                    const char *id_key, struct row *rows, size_t *n_rows,
                                    critic_error *err) {
    const char *at = (const char *)file.data;
    const char *end = at + file.len;
    while (at < end) {
        const char *newline = memchr(at, '\n', (size_t)(end - at));
        size_t len = newline ? (size_t)(newline - at) + 1 : (size_t)(end - at);
        json_t *row;
        CR_TRY(cr_json_parse(&row, at, len, path, err));
        rows[*n_rows] = (struct row){
            cr_row_key_of(row, id_key), cr_row_is_error(row), false, {at, len}};
        *n_rows += 1;
        json_decref(row);
        at += len;
    }
    return CRITIC_OK;
}

/* The first row of this id; n_rows where there is none. */
static size_t find_row(const struct row *rows, size_t n_rows, struct cr_row_key key) {
    size_t low = 0;
    size_t high = n_rows;
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        if (cr_row_key_compare(&rows[mid].key, &key) < 0)
            low = mid + 1;
        else
            high = mid;
    }
    return low;
}

static bool is_of(const struct row *rows, size_t n_rows, size_t i,
                  struct cr_row_key key) {
    return i < n_rows && cr_row_key_compare(&rows[i].key, &key) == 0;
}

static enum critic_status write_rows(struct cr_out *out, struct row *rows, size_t n_rows,
                                     const struct cr_row_key *keys, size_t n_keys,
                                     critic_error *err) {
    for (size_t k = 0; k < n_keys; k++) {
        size_t i = find_row(rows, n_rows, keys[k]);
        while (is_of(rows, n_rows, i, keys[k]) && rows[i].used)
            i++;
        if (!is_of(rows, n_rows, i, keys[k]))
            continue;
        rows[i].used = true;
        CR_TRY(cr_out_write(out, rows[i].line.data, rows[i].line.len, err));
    }
    return CRITIC_OK;
}

static int by_place(const void *a, const void *b) {
    return ((const struct row *)a)->line.data < ((const struct row *)b)->line.data ? -1
                                                                                   : 1;
}

/* Rows of ids that nobody asked for now, where they are no errors: another run may want them. */
static enum critic_status write_others(struct cr_out *out, struct row *rows,
                                       size_t n_rows, const struct cr_row_key *keys,
                                       size_t n_keys, critic_error *err) {
    for (size_t k = 0; k < n_keys; k++)
        for (size_t i = find_row(rows, n_rows, keys[k]); is_of(rows, n_rows, i, keys[k]);
             i++)
            rows[i].used = true;
    qsort(rows, n_rows, sizeof *rows, by_place);
    for (size_t i = 0; i < n_rows; i++)
        if (!rows[i].used && !rows[i].is_error)
            CR_TRY(cr_out_write(out, rows[i].line.data, rows[i].line.len, err));
    return CRITIC_OK;
}

enum critic_status cr_jsonl_put_in_order(const char *path, const char *id_key,
                                         const struct cr_row_key *keys, size_t n_keys,
                                         critic_error *err) {
    struct cr_map map = {0};
    struct cr_out out = {0};
    struct row *rows = NULL;
    size_t n_lines = 1;
    size_t n_rows = 0;
    enum critic_status status;
    CR_TRY_GOTO(cr_map_open(&map, path, err));
    for (size_t i = 0; i < map.bytes.len; i++)
        n_lines += map.bytes.data[i] == '\n';
    rows = calloc(n_lines, sizeof *rows);
    if (!rows) {
        status =
            cr_fail(err, CRITIC_NO_MEMORY, "%s: no memory for %zu lines", path, n_lines);
        goto fail;
    }
    CR_TRY_GOTO(read_rows(map.bytes, path, id_key, rows, &n_rows, err));
    qsort(rows, n_rows, sizeof *rows, by_key);
    CR_TRY_GOTO(cr_out_open(&out, path, err));
    CR_TRY_GOTO(write_rows(&out, rows, n_rows, keys, n_keys, err));
    CR_TRY_GOTO(write_others(&out, rows, n_rows, keys, n_keys, err));
    status = cr_out_commit(&out, err);
fail:
    cr_out_abort(&out);
    cr_map_close(&map);
    free(rows);
    return status;
}
