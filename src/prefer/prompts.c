#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "io/json.h"
#include "io/jsonl.h"
#include "prefer/prefer.h"

#define MAX_LINE_BYTES ((size_t)256 << 20)
#define MAX_FILE_BYTES ((size_t)4 << 30)

struct list {
    json_t *prompts;
    json_t *ids; /* as keys */
};

static enum critic_status no_memory(critic_error *err) {
    return cr_fail(err, CRITIC_NO_MEMORY, "out of memory while reading prompts");
}

/* The text without `<image>` marks and the white space around it, a new reference. */
static json_t *without_marks(struct cr_str s, critic_error *err) {
    static const struct cr_str mark = {"<image>", 7};
    struct cr_buf text;
    json_t *out = NULL;
    cr_buf_init(&text, s.len + 1);
    while (s.len > 0) {
        size_t at = cr_str_find(s, mark);
        size_t n = at == SIZE_MAX ? s.len : at;
        if (cr_buf_append(&text, s.data, n, err) != CRITIC_OK)
            goto done;
        n += at == SIZE_MAX ? 0 : mark.len;
        s = (struct cr_str){s.data + n, s.len - n};
    }
    size_t first = 0, last = text.len;
    while (first < last && strchr(" \t\r\n", text.data[first]))
        first++;
    while (last > first && strchr(" \t\r\n", text.data[last - 1]))
        last--;
    out = json_stringn(text.data ? text.data + first : "", last - first);
done:
    cr_buf_fini(&text);
    return out;
}

/* The last turn of a person. LLaVA calls the speaker "human", others "user". */
static enum critic_status last_question(const json_t *turns, const char *where,
                                        struct cr_str *out, critic_error *err) {
    for (size_t i = json_array_size(turns); i-- > 0;) {
        const json_t *turn = json_array_get(turns, i);
        const char *from = json_string_value(json_object_get(turn, "from"));
        if (from && (strcmp(from, "human") == 0 || strcmp(from, "user") == 0))
            return cr_json_str(turn, "value", out, where, err);
    }
    return CRITIC_OK;
}

/* "images": a list, or "image": a path or a list. A new reference. */
static enum critic_status read_images(const json_t *record, const char *where,
                                      json_t **out, critic_error *err) {
    json_t *value = json_object_get(record, "images");
    if (!value || json_is_null(value))
        value = json_object_get(record, "image");
    *out = json_array();
    if (!*out)
        return no_memory(err);
    if (json_is_string(value))
        json_array_append(*out, value);
    else if (json_is_array(value))
        json_array_extend(*out, value);
    else if (value && !json_is_null(value))
        goto wrong;
    for (size_t i = 0; i < json_array_size(*out); i++)
        if (!json_is_string(json_array_get(*out, i)))
            goto wrong;
    return CRITIC_OK;
wrong:
    json_decref(*out);
    *out = NULL;
    return cr_fail(err, CRITIC_BAD_DATA,
                   "%s: key 'images': expected a path or a list of paths or data URLs",
                   where);
}

static enum critic_status read_id(const json_t *record, size_t number, const char *where,
                                  char *out, size_t size, critic_error *err) {
    const json_t *id = json_object_get(record, "id");
    if (!id || json_is_null(id))
        snprintf(out, size, "%zu", number);
    else if (json_is_integer(id))
        snprintf(out, size, "%lld", (long long)json_integer_value(id));
    else if (json_is_string(id) && json_string_length(id) > 0 &&
             json_string_length(id) < size &&
             strlen(json_string_value(id)) == json_string_length(id))
        snprintf(out, size, "%s", json_string_value(id));
    else
        return cr_fail(
            err, CRITIC_BAD_DATA,
            "%s: key 'id': expected a whole number or a text of 1 to %zu bytes", where,
            size - 1);
    return CRITIC_OK;
}

static enum critic_status add(struct list *list, const json_t *record, const char *where,
                              critic_error *err) {
    char id[256];
    struct cr_str text = {NULL, 0};
    json_t *turns = NULL, *images = NULL;
    if (!json_is_object(record))
        return cr_fail(err, CRITIC_BAD_DATA, "%s: expected an object", where);
    CR_TRY(
        read_id(record, json_array_size(list->prompts) + 1, where, id, sizeof id, err));
    CR_TRY(cr_json_str(record, "prompt", &text, where, err));
    if (!text.data)
        CR_TRY(cr_json_str(record, "question", &text, where, err));
    CR_TRY(cr_json_array(record, "conversations", &turns, where, err));
    if (!text.data && turns)
        CR_TRY(last_question(turns, where, &text, err));
    if (!text.data)
        return cr_fail(
            err, CRITIC_BAD_DATA,
            "%s: no prompt; expected a key 'prompt', 'question' or 'conversations' "
            "with a human turn",
            where);
    if (json_object_get(list->ids, id))
        return cr_fail(err, CRITIC_BAD_DATA, "%s: the id '%s' stands there twice", where,
                       id);
    CR_TRY(read_images(record, where, &images, err));
    json_t *prompt = without_marks(text, err);
    json_t *entry =
        json_pack("{s:s,s:o,s:o}", "id", id, "images", images, "prompt", prompt);
    if (!entry || json_object_set_new(list->ids, id, json_true()) ||
        json_array_append_new(list->prompts, entry))
        return no_memory(err);
    return CRITIC_OK;
}

static enum critic_status read_lines(struct list *list, const char *path,
                                     critic_error *err) {
    struct cr_jsonl_reader reader;
    struct cr_str line;
    char where[320];
    enum critic_status status = cr_jsonl_open(&reader, path, MAX_LINE_BYTES, err);
    while (status == CRITIC_OK) {
        json_t *record = NULL;
        status = cr_jsonl_next(&reader, &line, err);
        if (status != CRITIC_OK || !line.data)
            break;
        snprintf(where, sizeof where, "%.256s:%zu", reader.name, reader.line_number);
        status = cr_json_parse(&record, line.data, line.len, where, err);
        if (status == CRITIC_OK)
            status = add(list, record, where, err);
        json_decref(record);
    }
    cr_jsonl_close(&reader);
    return status;
}

/* Does the file begin with a list? */
static bool is_list(const char *path) {
    FILE *f = strcmp(path, "-") == 0 ? NULL : fopen(path, "rb");
    int c = ' ';
    while (f && (c == ' ' || c == '\n' || c == '\r' || c == '\t'))
        c = fgetc(f);
    if (f)
        fclose(f);
    return c == '[';
}

static enum critic_status read_list(struct list *list, const char *path,
                                    critic_error *err) {
    struct cr_buf text;
    json_t *records = NULL;
    char where[320];
    cr_buf_init(&text, MAX_FILE_BYTES);
    enum critic_status status = cr_file_read(path, &text, err);
    if (status == CRITIC_OK)
        status = cr_json_parse_any(&records, text.data, text.len, path, err);
    cr_buf_fini(&text);
    for (size_t i = 0; status == CRITIC_OK && i < json_array_size(records); i++) {
        snprintf(where, sizeof where, "%.256s: record %zu", path, i + 1);
        status = add(list, json_array_get(records, i), where, err);
    }
    json_decref(records);
    return status;
}

enum critic_status cr_prefer_prompts(json_t **out, const char *path, critic_error *err) {
    struct list list = {json_array(), json_object()};
    *out = NULL;
    enum critic_status status = !list.prompts || !list.ids ? no_memory(err)
                                : is_list(path)            ? read_list(&list, path, err)
                                                           : read_lines(&list, path, err);
    if (status == CRITIC_OK && json_array_size(list.prompts) == 0)
        status = cr_fail(err, CRITIC_BAD_DATA, "%s: no prompt in it", path);
    json_decref(list.ids);
    if (status == CRITIC_OK)
        *out = list.prompts;
    else
        json_decref(list.prompts);
    return status;
}
