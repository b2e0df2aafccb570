#include "eval/tsv.h"

#include <string.h>

struct table {
    const char *path;
    struct cr_faults *faults;
    struct cr_str text;
    size_t at, line;
    struct cr_buf field;
    json_t *names;
};

/* The next field into t->field; *end says that the row ends with it. */
static enum critic_status next_field(struct table *t, bool *end, critic_error *err) {
    struct cr_str s = t->text;
    bool quoted = t->at < s.len && s.data[t->at] == '"';
    cr_buf_clear(&t->field);
    t->at += quoted;
    while (t->at < s.len) {
        char c = s.data[t->at];
        bool is_quote = quoted && c == '"';
        if (is_quote && t->at + 1 < s.len && s.data[t->at + 1] == '"')
            t->at++;
        else if (is_quote) {
            quoted = false;
            t->at++;
            continue;
        } else if (!quoted && (c == '\t' || c == '\n'))
            break;
        size_t from = t->at++; /* as much as possible at once: pictures are long */
        while (t->at < s.len && !strchr("\"\t\n", s.data[t->at]))
            t->at++;
        for (size_t i = from; i < t->at; i++)
            t->line += s.data[i] == '\n';
        CR_TRY(cr_buf_append(&t->field, s.data + from, t->at - from, err));
    }
    *end = t->at >= s.len || s.data[t->at] == '\n';
    if (*end && t->field.len > 0 && t->field.data[t->field.len - 1] == '\r')
        t->field.data[--t->field.len] = '\0';
    t->line += t->at < s.len && *end;
    t->at++;
    return CRITIC_OK;
}

/* A row as a list of texts; null for one that is not UTF-8. */
static enum critic_status next_row(struct table *t, json_t **row, critic_error *err) {
    bool end = false;
    *row = json_array();
    while (*row && !end) {
        CR_TRY(next_field(t, &end, err));
        struct cr_str s = cr_buf_str(&t->field);
        json_t *text = json_stringn(s.data, s.len);
        if (json_array_append_new(*row, text ? text : json_null()) != 0)
            break;
    }
    return *row && end ? CRITIC_OK
                       : cr_fail(err, CRITIC_NO_MEMORY, "%s: out of memory", t->path);
}

static enum critic_status take_row(struct table *t, const json_t *row, size_t line,
                                   cr_on_object on_object, void *user,
                                   critic_error *err) {
    size_t n = json_array_size(t->names);
    if (json_array_size(row) != n)
        return cr_faults_add(
            t->faults, t->path, "columns", line, err,
            "has %zu columns; expected %zu as in the names; row left out",
            json_array_size(row), n);
    for (size_t i = 0; i < n; i++)
        if (json_is_null(json_array_get(row, i)))
            return cr_faults_add(t->faults, t->path, "encoding", line, err,
                                 "column %zu is not UTF-8; row left out", i + 1);
    json_t *object = json_object();
    for (size_t i = 0; i < n; i++)
        json_object_set(object, json_string_value(json_array_get(t->names, i)),
                        json_array_get(row, i));
    enum critic_status status = on_object(user, object, line, err);
    json_decref(object);
    return status;
}

static bool is_names(const json_t *names) {
    for (size_t i = 0; i < json_array_size(names); i++)
        if (!json_is_string(json_array_get(names, i)))
            return false;
    return json_array_size(names) > 1;
}

static enum critic_status take_all(struct table *t, cr_on_object on_object, void *user,
                                   critic_error *err) {
    CR_TRY(next_row(t, &t->names, err));
    if (!is_names(t->names))
        return cr_fail(err, CRITIC_BAD_FILE,
                       "%s:1: not the names of a table; expected them, separated by tabs",
                       t->path);
    size_t n = 0;
    while (t->at < t->text.len) {
        json_t *row = NULL;
        size_t line = t->line;
        enum critic_status status = next_row(t, &row, err);
        bool blank =
            json_array_size(row) == 1 && json_string_length(json_array_get(row, 0)) == 0;
        if (status == CRITIC_OK && !blank)
            status = take_row(t, row, line, on_object, user, err);
        json_decref(row);
        CR_TRY(status);
        n += !blank;
    }
    return n > 0 ? CRITIC_OK
                 : cr_fail(err, CRITIC_BAD_FILE, "%s: holds no row; expected one an item",
                           t->path);
}

enum critic_status cr_tsv_read(const char *path, struct cr_faults *faults,
                               cr_on_object on_object, void *user, critic_error *err) {
    struct table t = {.path = path, .faults = faults, .line = 1};
    struct cr_buf buffer;
    cr_buf_init(&t.field, (size_t)1 << 30);
    enum critic_status status = cr_text_read(path, &buffer, &t.text, err);
    if (status == CRITIC_OK)
        status = take_all(&t, on_object, user, err);
    json_decref(t.names);
    cr_buf_fini(&t.field);
    cr_buf_fini(&buffer);
    return status;
}
