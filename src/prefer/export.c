#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "io/json.h"
#include "io/jsonl.h"
#include "prefer/prefer.h"

#define MAX_LINE_BYTES ((size_t)256 << 20)

/* Builds values as long as memory lasts; a NULL that got in makes the whole NULL. */
struct job {
    enum cr_export format;
    struct cr_str prefix;
    struct cr_out out;
    size_t n;
};

static json_t *path_json(const struct job *j, const json_t *source) {
    struct cr_str s = {json_string_value(source), json_string_length(source)};
    struct cr_buf text;
    bool whole =
        j->prefix.len == 0 || cr_is_data_url(s) || (s.len > 0 && s.data[0] == '/');
    cr_buf_init(&text, SIZE_MAX / 2);
    if (!whole) {
        cr_buf_append(&text, j->prefix.data, j->prefix.len, NULL);
        cr_buf_append(&text, "/", 1, NULL);
    }
    cr_buf_append(&text, s.data, s.len, NULL);
    json_t *path = json_stringn(text.data ? text.data : "", text.len);
    cr_buf_fini(&text);
    return path;
}

static json_t *images_json(const struct job *j, const json_t *line) {
    json_t *list = json_array();
    size_t i;
    json_t *source;
    json_array_foreach(json_object_get(line, "images"), i, source)
        json_array_append_new(list, path_json(j, source));
    return list;
}

static json_t *text_of(const json_t *line, const char *list, size_t index) {
    return json_object_get(json_array_get(json_object_get(line, list), index), "text");
}

/* [{"role", "content": [{"type": "image"}…, {"type": "text", "text"}]}] */
static json_t *typed_message(const char *role, size_t n_images, json_t *text) {
    json_t *content = json_array();
    for (size_t i = 0; i < n_images; i++)
        json_array_append_new(content, json_pack("{s:s}", "type", "image"));
    json_array_append_new(content, json_pack("{s:s,s:O}", "type", "text", "text", text));
    return json_pack("[{s:s,s:o}]", "role", role, "content", content);
}

static json_t *message(const char *role, json_t *text) {
    return json_pack("[{s:s,s:O}]", "role", role, "content", text);
}

/* The text with a mark and a newline in front for every picture. */
static json_t *marked(const json_t *line, json_t *text) {
    struct cr_buf b;
    cr_buf_init(&b, SIZE_MAX / 2);
    for (size_t i = 0; i < json_array_size(json_object_get(line, "images")); i++)
        cr_buf_append_c(&b, "<image>\n", NULL);
    cr_buf_append(&b, json_string_value(text), json_string_length(text), NULL);
    json_t *out = json_stringn(b.data ? b.data : "", b.len);
    cr_buf_fini(&b);
    return out;
}

static json_t *pair_json(const struct job *j, const json_t *line, const char *id,
                         json_t *chosen, json_t *rejected, json_t *margin) {
    json_t *prompt = json_object_get(line, "prompt");
    json_t *images = images_json(j, line);
    size_t n = json_array_size(images);
    switch (j->format) {
    case CR_EXPORT_TRL:
        return json_pack("{s:s,s:o,s:o,s:o,s:o,s:O}", "id", id, "images", images,
                         "prompt", typed_message("user", n, prompt), "chosen",
                         typed_message("assistant", 0, chosen), "rejected",
                         typed_message("assistant", 0, rejected), "margin", margin);
    case CR_EXPORT_LLAMA_FACTORY:
        return json_pack("{s:s,s:[{s:s,s:o}],s:{s:s,s:O},s:{s:s,s:O},s:o}", "id", id,
                         "conversations", "from", "human", "value", marked(line, prompt),
                         "chosen", "from", "gpt", "value", chosen, "rejected", "from",
                         "gpt", "value", rejected, "images", images);
    case CR_EXPORT_SFT: {
        json_t *record = json_pack("{s:s,s:o,s:[{s:s,s:o},{s:s,s:O}]}", "id", id, "image",
                                   images, "conversations", "from", "human", "value",
                                   marked(line, prompt), "from", "gpt", "value", chosen);
        if (record && n == 0)
            json_object_del(record, "image");
        return record;
    }
    case CR_EXPORT_OPENRLHF:
        return json_pack("{s:s,s:o,s:o,s:o,s:o,s:O}", "id", id, "images", images,
                         "prompt", message("user", prompt), "chosen",
                         message("assistant", chosen), "rejected",
                         message("assistant", rejected), "margin", margin);
    default: {
        json_t *image =
            n == 1 ? json_incref(json_array_get(images, 0)) : json_incref(images);
        json_decref(images);
        json_t *record = json_pack("{s:s,s:o,s:O,s:O,s:O,s:s,s:O}", "id", id, "image",
                                   image, "prompt", prompt, "chosen", chosen, "rejected",
                                   rejected, "answer", "", "margin", margin);
        if (record && n == 0)
            json_object_del(record, "image");
        return record;
    }
    }
}

static json_t *rewards_json(const struct job *j, const json_t *line) {
    json_t *responses = json_array(), *rewards = json_array(), *answer;
    size_t i;
    json_array_foreach(json_object_get(line, "answers"), i, answer) {
        json_array_append(responses, json_object_get(answer, "text"));
        json_array_append(rewards, json_object_get(answer, "reward"));
    }
    return json_pack("{s:O,s:o,s:O,s:o,s:o}", "id", json_object_get(line, "id"), "images",
                     images_json(j, line), "prompt", json_object_get(line, "prompt"),
                     "responses", responses, "rewards", rewards);
}

static json_t *best_json(const struct job *j, const json_t *line, size_t best) {
    const json_t *answer = json_array_get(json_object_get(line, "answers"), best);
    return json_pack("{s:O,s:o,s:O,s:O,s:I,s:O,s:I}", "id", json_object_get(line, "id"),
                     "images", images_json(j, line), "prompt",
                     json_object_get(line, "prompt"), "response",
                     json_object_get(answer, "text"), "index", (json_int_t)best, "reward",
                     json_object_get(answer, "reward"), "of",
                     (json_int_t)json_array_size(json_object_get(line, "answers")));
}

static enum critic_status write_record(struct job *j, json_t *record, const char *where,
                                       critic_error *err) {
    struct cr_buf text;
    if (!record)
        return cr_fail(err, CRITIC_BAD_DATA,
                       "%s: a key of the ledger is missing or wrong", where);
    cr_buf_init(&text, MAX_LINE_BYTES);
    enum critic_status status = cr_json_append(&text, record, err);
    if (status == CRITIC_OK)
        status = cr_buf_append(&text, "\n", 1, err);
    if (status == CRITIC_OK)
        status = cr_out_write(&j->out, text.data, text.len, err);
    cr_buf_fini(&text);
    json_decref(record);
    j->n++;
    return status;
}

static enum critic_status write_pairs(struct job *j, const json_t *line,
                                      const char *where, critic_error *err) {
    const json_t *pairs = json_object_get(line, "pairs");
    const char *id = json_string_value(json_object_get(line, "id"));
    char name[300];
    for (size_t i = 0; i < json_array_size(pairs); i++) {
        const json_t *pair = json_array_get(pairs, i);
        json_int_t chosen = json_integer_value(json_object_get(pair, "chosen"));
        json_int_t rejected = json_integer_value(json_object_get(pair, "rejected"));
        json_t *texts[2] = {text_of(line, "answers", (size_t)chosen),
                            text_of(line, "answers", (size_t)rejected)};
        if (!texts[0] || !texts[1])
            return cr_fail(err, CRITIC_BAD_DATA, "%s: pair %zu names no answer", where,
                           i);
        snprintf(name, sizeof name, i ? "%.256s/%zu" : "%.256s", id, i);
        CR_TRY(write_record(
            j,
            pair_json(j, line, name, texts[0], texts[1], json_object_get(pair, "margin")),
            where, err));
    }
    return CRITIC_OK;
}

static enum critic_status export_line(struct job *j, const json_t *line,
                                      const char *where, critic_error *err) {
    const char *id = json_string_value(json_object_get(line, "id"));
    const char *status = json_string_value(json_object_get(line, "status"));
    const json_t *best = json_object_get(line, "best");
    if (!id || !status)
        return cr_fail(err, CRITIC_BAD_DATA, "%s: not a line of a ledger", where);
    if (strcmp(status, "error") == 0)
        return CRITIC_OK;
    if (j->format == CR_EXPORT_REWARDS)
        return write_record(j, rewards_json(j, line), where, err);
    if (j->format == CR_EXPORT_BEST)
        return json_is_integer(best)
                   ? write_record(j, best_json(j, line, (size_t)json_integer_value(best)),
                                  where, err)
                   : CRITIC_OK;
    return write_pairs(j, line, where, err);
}

static enum critic_status export_lines(struct job *j, const char *ledger,
                                       critic_error *err) {
    struct cr_jsonl_reader reader;
    struct cr_str text;
    char where[320];
    enum critic_status status = cr_jsonl_open(&reader, ledger, MAX_LINE_BYTES, err);
    while (status == CRITIC_OK) {
        json_t *line = NULL;
        status = cr_jsonl_next(&reader, &text, err);
        if (status != CRITIC_OK || !text.data)
            break;
        snprintf(where, sizeof where, "%.256s:%zu", ledger, reader.line_number);
        status = cr_json_parse(&line, text.data, text.len, where, err);
        if (status == CRITIC_OK)
            status = export_line(j, line, where, err);
        json_decref(line);
    }
    cr_jsonl_close(&reader);
    return status;
}

/* What LLaMA-Factory's dataset_info.json needs to know of the file. */
static enum critic_status write_dataset_info(const char *out, critic_error *err) {
    const char *slash = strrchr(out, '/'), *name = slash ? slash + 1 : out;
    size_t stem = strlen(out);
    struct cr_buf path;
    struct cr_out file;
    if (stem > 6 && strcmp(out + stem - 6, ".jsonl") == 0)
        stem -= 6;
    cr_buf_init(&path, (size_t)1 << 16);
    json_t *info = json_pack(
        "{s:{s:s,s:s,s:b,s:{s:s,s:s,s:s,s:s}}}", "critic_preferences", "file_name", name,
        "formatting", "sharegpt", "ranking", 1, "columns", "messages", "conversations",
        "chosen", "chosen", "rejected", "rejected", "images", "images");
    char *text = info ? json_dumps(info, JSON_INDENT(2)) : NULL;
    enum critic_status status =
        text ? cr_buf_printf(&path, err, "%.*s.dataset_info.json", (int)stem, out)
             : cr_fail(err, CRITIC_NO_MEMORY, "out of memory");
    if (status == CRITIC_OK &&
        (status = cr_out_open(&file, path.data, err)) == CRITIC_OK) {
        status = cr_out_write(&file, text, strlen(text), err);
        if (status == CRITIC_OK)
            status = cr_out_write(&file, "\n", 1, err);
        if (status == CRITIC_OK)
            status = cr_out_commit(&file, err);
        else
            cr_out_abort(&file);
    }
    json_decref(info);
    free(text);
    cr_buf_fini(&path);
    return status;
}

enum critic_status cr_prefer_export(const char *ledger, const char *out,
                                    enum cr_export format, const char *image_prefix,
                                    size_t *n, critic_error *err) {
    struct job j = {.format = format, .prefix = cr_str_of(image_prefix)};
    *n = 0;
    CR_TRY(cr_out_open(&j.out, out, err));
    enum critic_status status = export_lines(&j, ledger, err);
    if (status != CRITIC_OK) {
        cr_out_abort(&j.out);
        return status;
    }
    CR_TRY(cr_out_commit(&j.out, err));
    *n = j.n;
    return format == CR_EXPORT_LLAMA_FACTORY ? write_dataset_info(out, err) : CRITIC_OK;
}
