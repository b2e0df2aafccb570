#include "eval/rows.h"

#include <string.h>

#define MAX_FIELD ((size_t)1 << 30)

struct table {
    const char *path;
    struct cr_faults *faults;
    struct cr_str text;
    size_t at, line; /* where the next row begins */
    json_t *header;  /* list of names */
};

/* One field from t->at on into `field`. Returns what ended it: '\t', '\n' or 0. */
static enum critic_status next_field(struct table *t, struct cr_buf *field, char *end,
                                     critic_error *err) {
    const char *s = t->text.data;
    size_t n = t->text.len;
    bool quoted = t->at < n && s[t->at] == '"';
    cr_buf_clear(field);
    t->at += quoted;
    for (; t->at < n; t->at++) {
        char c = s[t->at];
        if (quoted && c == '"' && t->at + 1 < n && s[t->at + 1] == '"') {
            t->at++;
        } else if (quoted && c == '"') {
            quoted = false;
            continue;
        } else if (!quoted && (c == '\t' || c == '\n')) {
            break;
        }
        t->line += c == '\n';
        CR_TRY(cr_buf_append(field, &c, 1, err));
    }
    *end = t->at < n ? s[t->at] : 0;
    t->at += t->at < n;
    t->line += *end == '\n';
    if (*end != '\t' && field->len > 0 && field->data[field->len - 1] == '\r')
        field->len--;
    return CRITIC_OK;
}

/* The next row as a list of strings; *row NULL at the end of the text. */
static enum critic_status next_row(struct table *t, json_t **row, bool *valid,
                                   critic_error *err) {
    struct cr_buf field;
    char end = '\t';
    enum critic_status status = CRITIC_OK;
    *row = NULL;
    *valid = true;
    if (t->at >= t->text.len)
        return CRITIC_OK;
    *row = json_array();
    if (!*row)
        return cr_fail(err, CRITIC_NO_MEMORY, "no memory to read %.160s", t->path);
    cr_buf_init(&field, MAX_FIELD);
    while (end == '\t' && status == CRITIC_OK) {
        status = next_field(t, &field, &end, err);
        json_t *value = status == CRITIC_OK
                            ? json_stringn(field.len > 0 ? field.data : "", field.len)
                            : NULL;
        *valid = *valid && value;
        if (status == CRITIC_OK &&
            json_array_append_new(*row, value ? value : json_null()) != 0)
            status = cr_fail(err, CRITIC_NO_MEMORY, "no memory to read %.160s", t->path);
    }
    cr_buf_fini(&field);
    return status;
}

static enum critic_status take_row(struct table *t, const json_t *row, bool valid,
                                   size_t line, cr_on_object on_object, void *user,
                                   critic_error *err) {
    size_t n = json_array_size(t->header);
    if (json_array_size(row) == 1 && json_string_length(json_array_get(row, 0)) == 0)
        return CRITIC_OK; /* an empty line */
    if (!valid)
        return cr_faults_add(t->faults, t->path, "encoding", line, err,
                             "is not UTF-8; row left out");
    if (json_array_size(row) != n)
        return cr_faults_add(
            t->faults, t->path, "columns", line, err,
            "has %zu columns; expected %zu as in the header; row left out",
            json_array_size(row), n);
    json_t *object = json_object();
    bool done = object != NULL;
    for (size_t i = 0; i < n && done; i++)
        done = json_object_set(object, json_string_value(json_array_get(t->header, i)),
                               json_array_get(row, i)) == 0;
    enum critic_status status =
        done ? on_object(user, object, line, err)
             : cr_fail(err, CRITIC_NO_MEMORY, "no memory to read %.160s", t->path);
    json_decref(object);
    return status;
}

static enum critic_status read_table(struct table *t, cr_on_object on_object, void *user,
                                     critic_error *err) {
    bool valid;
    json_t *row = NULL;
    CR_TRY(next_row(t, &t->header, &valid, err));
    if (!t->header || !valid || json_array_size(t->header) < 2)
        return cr_fail(err, CRITIC_BAD_FILE,
                       "%.160s: has no header; expected column names between tabs",
                       t->path);
    for (size_t line = t->line;; line = t->line) {
        enum critic_status status = next_row(t, &row, &valid, err);
        if (status == CRITIC_OK && row)
            status = take_row(t, row, valid, line, on_object, user, err);
        bool at_end = !row;
        json_decref(row);
        if (status != CRITIC_OK || at_end)
            return status;
    }
}

enum critic_status cr_rows_read(const char *path, struct cr_faults *faults,
                                cr_on_object on_object, void *user, critic_error *err) {
    size_t n = strlen(path);
    if (n < 4 || strcmp(path + n - 4, ".tsv") != 0)
        return cr_lines_read(path, faults, on_object, user, err);
    struct cr_buf buffer;
    struct table t = {.path = path, .faults = faults, .line = 1};
    enum critic_status status = cr_text_read(path, &buffer, &t.text, err);
    if (status == CRITIC_OK)
        status = read_table(&t, on_object, user, err);
    json_decref(t.header);
    cr_buf_fini(&buffer);
    return status;
}
