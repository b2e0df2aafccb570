#include "eval/lines.h"

#include <stdio.h>
#include <string.h>

#include "base/file.h"

#define MAX_FILE ((size_t)1 << 33)

enum critic_status cr_text_read(const char *path, struct cr_buf *out, struct cr_str *text,
                                critic_error *err) {
    cr_buf_init(out, MAX_FILE);
    CR_TRY(cr_file_read(path, out, err));
    struct cr_str s = {out->data, out->len};
    if (s.len >= 2 &&
        (memcmp(s.data, "\xff\xfe", 2) == 0 || memcmp(s.data, "\xfe\xff", 2) == 0 ||
         s.data[0] == '\0' || s.data[1] == '\0'))
        return cr_fail(err, CRITIC_BAD_DATA,
                       "%.160s: is UTF-16 or UTF-32; expected UTF-8", path);
    if (s.len >= 3 && memcmp(s.data, "\xef\xbb\xbf", 3) == 0)
        s = (struct cr_str){s.data + 3, s.len - 3};
    *text = s;
    return CRITIC_OK;
}

static bool is_blank(const char *s, size_t n) {
    for (size_t i = 0; i < n; i++)
        if (!strchr(" \t\r\n", s[i]))
            return false;
    return true;
}

struct reading {
    const char *path;
    struct cr_faults *faults;
    cr_on_object on_object;
    void *user;
    size_t n_objects;
};

static enum critic_status take_value(struct reading *r, json_t *value, size_t line,
                                     critic_error *err) {
    if (!json_is_object(value))
        return cr_faults_add(r->faults, r->path, "object", line, err,
                             "is no JSON object; left out");
    r->n_objects++;
    return r->on_object(r->user, value, line, err);
}

static enum critic_status take_line(struct reading *r, const char *s, size_t n,
                                    size_t line, critic_error *err) {
    critic_error fault = {0};
    json_t *value = NULL;
    size_t bad = cr_utf8_invalid_at(s, n);
    if (bad != SIZE_MAX)
        return cr_faults_add(r->faults, r->path, "encoding", line, err,
                             "byte %zu of the line is not UTF-8; line left out", bad);
    if (cr_json_parse_any(&value, s, n, "", &fault) != CRITIC_OK) {
        if (fault.status == CRITIC_NO_MEMORY)
            return cr_fail(err, CRITIC_NO_MEMORY, "%.160s:%zu: out of memory", r->path,
                           line);
        const char *what = strstr(fault.message, "not valid JSON");
        return cr_faults_add(r->faults, r->path, "json", line, err,
                             "%.120s; line left out", what ? what : "not valid JSON");
    }
    enum critic_status status = take_value(r, value, line, err);
    json_decref(value);
    return status;
}

static enum critic_status take_lines(struct reading *r, struct cr_str s,
                                     critic_error *err) {
    size_t line = 0;
    for (size_t i = 0, end; i < s.len; i = end + 1) {
        const char *feed = memchr(s.data + i, '\n', s.len - i);
        end = feed ? (size_t)(feed - s.data) : s.len;
        line++;
        if (!is_blank(s.data + i, end - i))
            CR_TRY(take_line(r, s.data + i, end - i, line, err));
    }
    return CRITIC_OK;
}

static enum critic_status take_list(struct reading *r, struct cr_str s,
                                    critic_error *err) {
    json_t *list;
    CR_TRY(cr_json_parse(&list, s.data, s.len, r->path, err));
    enum critic_status status = CRITIC_OK;
    for (size_t i = 0; i < json_array_size(list) && status == CRITIC_OK; i++)
        status = take_value(r, json_array_get(list, i), i + 1, err);
    json_decref(list);
    return status;
}

/* One record by its key: {"v1_0": {…}} or, of answers, {"v1_0": "text"}. */
static enum critic_status take_member(struct reading *r, const char *key, json_t *value,
                                      size_t number, critic_error *err) {
    json_t *row = json_is_string(value)
                      ? json_pack("{s:s, s:O}", "id", key, "text", value)
                      : json_copy(value);
    if (row && !json_is_string(value) && !json_object_get(row, "id"))
        json_object_set_new(row, "id", json_string(key));
    enum critic_status status =
        row ? take_value(r, row, number, err)
            : cr_fail(err, CRITIC_NO_MEMORY, "no memory to read %.160s", r->path);
    json_decref(row);
    return status;
}

/* Is it a record itself, or does it hold records by their keys? */
static bool holds_records(json_t *object, bool texts_too) {
    const char *key;
    json_t *value;
    bool all = json_object_size(object) > 0;
    json_object_foreach(object, key, value) {
        all = all && (json_is_object(value) || (texts_too && json_is_string(value)));
    }
    return all;
}

/* A file that is one object, such as MM-Vet's; *taken false: it is not. On one line it is taken for
 * that only where it holds objects alone. */
static enum critic_status take_object(struct reading *r, struct cr_str s, bool *taken,
                                      critic_error *err) {
    json_t *whole = NULL;
    critic_error ignored = {0};
    const char *key;
    json_t *value;
    size_t n = 0;
    enum critic_status status = CRITIC_OK;
    struct cr_str first = {s.data, s.len};
    const char *feed = memchr(s.data, '\n', s.len);
    bool one_line = !feed || is_blank(feed, s.len - (size_t)(feed - s.data));
    first.len = feed ? (size_t)(feed - s.data) : s.len;
    *taken = false;
    if (!one_line && cr_json_parse_any(&whole, first.data, first.len, "", &ignored) ==
                         CRITIC_OK) { /* lines, each whole */
        json_decref(whole);
        return CRITIC_OK;
    }
    if (cr_json_parse_any(&whole, s.data, s.len, "", &ignored) != CRITIC_OK)
        return CRITIC_OK;
    if (json_is_object(whole) && holds_records(whole, !one_line)) {
        *taken = true;
        json_object_foreach(whole, key, value) {
            if (status == CRITIC_OK)
                status = take_member(r, key, value, ++n, err);
        }
    } else if (!one_line) {
        *taken = true;
        status = take_value(r, whole, 1, err);
    }
    json_decref(whole);
    return status;
}

enum critic_status cr_lines_read(const char *path, struct cr_faults *faults,
                                 cr_on_object on_object, void *user, critic_error *err) {
    struct reading r = {path, faults, on_object, user, 0};
    struct cr_buf buffer;
    struct cr_str text;
    enum critic_status status = cr_text_read(path, &buffer, &text, err);
    if (status == CRITIC_OK && is_blank(text.data, text.len))
        status = cr_fail(err, CRITIC_BAD_FILE,
                         "%.160s: is empty; expected one JSON object a line", path);
    if (status == CRITIC_OK) {
        size_t first = 0;
        while (strchr(" \t\r\n", text.data[first]))
            first++;
        struct cr_str rest = {text.data + first, text.len - first};
        bool taken = text.data[first] == '[';
        if (taken)
            status = take_list(&r, text, err);
        else if (text.data[first] == '{')
            status = take_object(&r, rest, &taken, err);
        if (status == CRITIC_OK && !taken)
            status = take_lines(&r, text, err);
    }
    if (status == CRITIC_OK && r.n_objects == 0)
        status = cr_fail(err, CRITIC_BAD_FILE,
                         "%.160s: has no JSON object in it; expected one a line", path);
    cr_buf_fini(&buffer);
    return status;
}

struct cr_str cr_member_text(const json_t *object, const char *key,
                             struct cr_id_text *scratch) {
    const json_t *value = json_object_get(object, key);
    if (json_is_string(value))
        return (struct cr_str){json_string_value(value), json_string_length(value)};
    if (json_is_integer(value))
        snprintf(scratch->text, sizeof scratch->text, "%lld",
                 (long long)json_integer_value(value));
    else if (json_is_real(value))
        snprintf(scratch->text, sizeof scratch->text, "%.17g", json_real_value(value));
    else
        return (struct cr_str){NULL, 0};
    return cr_str_of(scratch->text);
}
