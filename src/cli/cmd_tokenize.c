/* critic tokenize: text to ids and back. */
#define _POSIX_C_SOURCE 200809L
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "cli/cli.h"
#include "engine/open_tokenizer.h"
#include "io/json.h"

#define MAX_TEXT ((size_t)1 << 30)

struct tokenize_flags {
    struct cr_common common;
    bool no_special, jsonl, decode;
};

static enum critic_status print_ids(const struct cr_ids *ids, critic_error *err) {
    json_t *array = json_array();
    for (size_t i = 0; i < ids->len; i++)
        json_array_append_new(array, json_integer(ids->data[i]));
    return cr_print_json(array, err);
}

static enum critic_status encode(const struct tokenize_flags *f,
                                 const struct cr_tokenizer *t, struct cr_str text,
                                 const char *where, critic_error *err) {
    struct cr_ids ids;
    cr_ids_init(&ids);
    enum critic_status status = cr_tokenizer_encode(t, text, !f->no_special, &ids, err);
    if (status == CRITIC_OK)
        status = print_ids(&ids, err);
    else
        cr_error_wrap(err, status, "%s: ", where);
    cr_ids_fini(&ids);
    return status;
}

static enum critic_status read_ids(const json_t *array, const char *where,
                                   struct cr_ids *ids, critic_error *err) {
    if (!json_is_array(array))
        return cr_fail(err, CRITIC_BAD_DATA, "%s: expected one JSON list of ids a line",
                       where);
    for (size_t i = 0; i < json_array_size(array); i++) {
        const json_t *id = json_array_get(array, i);
        if (!json_is_integer(id) || json_integer_value(id) < 0 ||
            json_integer_value(id) > INT32_MAX)
            return cr_fail(err, CRITIC_BAD_DATA, "%s: element %zu is not a token id",
                           where, i);
        CR_TRY(cr_ids_push(ids, (int32_t)json_integer_value(id), err));
    }
    return CRITIC_OK;
}

/* One line of ids; with --jsonl the text comes out as a JSON string. */
static enum critic_status decode(const struct tokenize_flags *f,
                                 const struct cr_tokenizer *t, const json_t *line,
                                 const char *where, critic_error *err) {
    struct cr_ids ids;
    struct cr_buf text;
    cr_ids_init(&ids);
    cr_buf_init(&text, MAX_TEXT);
    enum critic_status status = read_ids(line, where, &ids, err);
    if (status == CRITIC_OK) {
        status = cr_tokenizer_decode(t, ids.data, ids.len, f->no_special, &text, err);
        if (status != CRITIC_OK)
            cr_error_wrap(err, status, "%s: ", where);
    }
    if (status == CRITIC_OK && f->jsonl)
        status = cr_print_json(json_stringn(text.data ? text.data : "", text.len), err);
    else if (status == CRITIC_OK && text.len > 0)
        fwrite(text.data, 1, text.len, stdout);
    cr_ids_fini(&ids);
    cr_buf_fini(&text);
    return status;
}

static enum critic_status do_line(const struct tokenize_flags *f,
                                  const struct cr_tokenizer *t, const char *line,
                                  size_t len, size_t number, critic_error *err) {
    char where[48];
    json_t *value = NULL;
    snprintf(where, sizeof where, "standard input:%zu", number);
    CR_TRY(cr_json_parse_any(&value, line, len, where, err));
    enum critic_status status;
    if (f->decode)
        status = decode(f, t, value, where, err);
    else if (json_is_string(value))
        status = encode(
            f, t, (struct cr_str){json_string_value(value), json_string_length(value)},
            where, err);
    else
        status =
            cr_fail(err, CRITIC_BAD_DATA, "%s: expected one JSON string a line", where);
    json_decref(value);
    return status;
}

static enum critic_status do_lines(const struct tokenize_flags *f,
                                   const struct cr_tokenizer *t, critic_error *err) {
    char *line = NULL;
    size_t cap = 0;
    size_t number = 0;
    ssize_t n;
    enum critic_status status = CRITIC_OK;
    while (status == CRITIC_OK && (n = getline(&line, &cap, stdin)) >= 0) {
        size_t len = (size_t)n;
        while (len > 0 && (line[len - 1] == '\n' || line[len - 1] == '\r'))
            len--;
        number++;
        if (len > 0)
            status = do_line(f, t, line, len, number, err);
    }
    if (status == CRITIC_OK && ferror(stdin))
        status = cr_fail(err, CRITIC_BAD_FILE, "standard input: cannot read");
    free(line);
    return status;
}

static enum critic_status run_parsed(const struct tokenize_flags *f, critic_error *err) {
    struct cr_buf buffer;
    struct cr_tokenizer *t = NULL;
    cr_buf_init(&buffer, MAX_TEXT);
    enum critic_status status = cr_model_path(f->common.model, &buffer, err);
    if (status == CRITIC_OK)
        status = cr_open_tokenizer(&t, buffer.data, err);
    cr_buf_clear(&buffer);
    if (status == CRITIC_OK && (f->jsonl || f->decode))
        status = do_lines(f, t, err);
    else if (status == CRITIC_OK) {
        status = cr_file_read("-", &buffer, err);
        if (status == CRITIC_OK)
            status = encode(f, t, cr_buf_str(&buffer), "standard input", err);
    }
    cr_tokenizer_free(t);
    cr_buf_fini(&buffer);
    return status;
}

int cr_cmd_tokenize(int n_args, const char *const *args) {
    struct tokenize_flags f = {0};
    critic_error err = {0};
    cr_common_init(&f.common);
    const struct cr_flag flags[] = {
        CR_MODEL_FLAG(f.common),
        {"jsonl", 0, CR_FLAG_BOOL, &f.jsonl, NULL,
         "standard input holds one JSON string a line; with --decode, so does the output",
         0, 0},
        {"decode", 0, CR_FLAG_BOOL, &f.decode, NULL,
         "standard input holds one JSON list of ids a line; the text comes out", 0, 0},
        {"no-special", 0, CR_FLAG_BOOL, &f.no_special, NULL,
         "spellings such as <|im_end|> are plain text; with --decode, special tokens are "
         "left out",
         0, 0},
        CR_END_FLAGS};
    const struct cr_args_spec spec = {
        .command = "tokenize",
        .usage = "--model MODEL [--jsonl] [--decode] < TEXT",
        .about = "Standard input to token ids: the whole text to one JSON list, or with "
                 "--jsonl\n"
                 "one string a line to one list a line.",
        .example =
            "printf 'Hello, world' | critic tokenize --model lmms-lab/llava-critic-7b\n"
            "echo '[9707, 11, 1879]' | critic tokenize --model ./model --decode",
        .flags = flags};
    struct cr_args parsed;
    int status = cr_command_begin(&parsed, &spec, n_args, args);
    if (status >= 0)
        return status;
    return cr_command_end(&parsed, cr_outcome(run_parsed(&f, &err), &err));
}
