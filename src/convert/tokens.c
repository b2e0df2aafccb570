#include "convert/tokens.h"

#include <stdio.h>
#include <string.h>

#include "base/checked.h"
#include "base/file.h"
#include "io/gguf.h"
#include "io/json.h"

#define ARENA_BYTES     ((size_t)256 << 20)
#define MAX_TOKEN_BYTES ((size_t)128 << 20)

static enum critic_status no_memory(critic_error *err) {
    return cr_fail(err, CRITIC_NO_MEMORY, "out of memory for the tokenizer");
}

static enum critic_status alloc_lists(struct cr_tokens *t, size_t n_rows,
                                      critic_error *err) {
    t->n = n_rows;
    t->tokens = cr_arena_calloc(&t->arena, n_rows, sizeof *t->tokens);
    t->types = cr_arena_calloc(&t->arena, n_rows, sizeof *t->types);
    return t->tokens && t->types ? CRITIC_OK : no_memory(err);
}

static enum critic_status set_token(struct cr_tokens *t, json_int_t id,
                                    struct cr_str token, int32_t type, const char *where,
                                    critic_error *err) {
    if (id < 0 || (size_t)id >= t->n)
        return cr_fail(err, CRITIC_BAD_MODEL,
                       "%s: token id %lld is outside the embedding's %zu rows", where,
                       (long long)id, t->n);
    t->tokens[id] = token;
    t->types[id] = type;
    return CRITIC_OK;
}

/* Rows without a token get a name of their own: GGUF readers want all names distinct. */
static enum critic_status pad(struct cr_tokens *t, critic_error *err) {
    for (size_t i = 0; i < t->n; i++) {
        char name[32];
        if (t->types[i] != 0)
            continue;
        int len = snprintf(name, sizeof name, "[PAD%zu]", i);
        t->tokens[i] =
            (struct cr_str){cr_arena_strndup(&t->arena, name, (size_t)len), (size_t)len};
        t->types[i] = CR_TOKEN_UNUSED;
        if (!t->tokens[i].data)
            return no_memory(err);
    }
    return CRITIC_OK;
}

static enum critic_status read_vocab(struct cr_tokens *t, const json_t *vocab,
                                     int32_t type, const char *where, critic_error *err) {
    json_t *object = (json_t *)(uintptr_t)vocab;
    if (!json_is_object(object))
        return cr_fail(err, CRITIC_BAD_FILE, "%s: no object of tokens", where);
    for (void *i = json_object_iter(object); i; i = json_object_iter_next(object, i)) {
        json_t *id = json_object_iter_value(i);
        if (!json_is_integer(id))
            return cr_fail(err, CRITIC_BAD_FILE, "%s: a token's id is no integer", where);
        CR_TRY(set_token(
            t, json_integer_value(id),
            (struct cr_str){json_object_iter_key(i), json_object_iter_key_len(i)}, type,
            where, err));
    }
    return CRITIC_OK;
}

/* A merge is "left right" or ["left", "right"]. */
static enum critic_status read_merge(struct cr_tokens *t, const json_t *merge,
                                     struct cr_str *out, critic_error *err) {
    if (json_is_string(merge)) {
        *out = (struct cr_str){json_string_value(merge), json_string_length(merge)};
        return CRITIC_OK;
    }
    const json_t *left = json_array_get(merge, 0);
    const json_t *right = json_array_get(merge, 1);
    if (json_array_size(merge) != 2 || !json_is_string(left) || !json_is_string(right))
        return cr_fail(err, CRITIC_BAD_FILE,
                       "tokenizer.json: a merge is no pair of strings");
    size_t a = json_string_length(left), b = json_string_length(right);
    char *text = cr_arena_alloc(&t->arena, a + 1 + b);
    if (!text)
        return no_memory(err);
    memcpy(text, json_string_value(left), a);
    text[a] = ' ';
    memcpy(text + a + 1, json_string_value(right), b);
    *out = (struct cr_str){text, a + 1 + b};
    return CRITIC_OK;
}

static enum critic_status read_tokenizer_json(struct cr_tokens *t, const json_t *root,
                                              critic_error *err) {
    const json_t *model = json_object_get(root, "model");
    const json_t *merges = json_object_get(model, "merges");
    const json_t *added = json_object_get(root, "added_tokens");
    CR_TRY(read_vocab(t, json_object_get(model, "vocab"), CR_TOKEN_NORMAL,
                      "tokenizer.json", err));
    t->n_merges = json_array_size(merges);
    t->merges = cr_arena_calloc(&t->arena, t->n_merges, sizeof *t->merges);
    if (!t->merges)
        return no_memory(err);
    for (size_t i = 0; i < t->n_merges; i++)
        CR_TRY(read_merge(t, json_array_get(merges, i), &t->merges[i], err));
    for (size_t i = 0; i < json_array_size(added); i++) {
        const json_t *token = json_array_get(added, i);
        const json_t *content = json_object_get(token, "content");
        const json_t *id = json_object_get(token, "id");
        if (!json_is_string(content) || !json_is_integer(id))
            return cr_fail(
                err, CRITIC_BAD_FILE,
                "tokenizer.json: entry %zu of 'added_tokens' lacks id or content", i);
        CR_TRY(set_token(
            t, json_integer_value(id),
            (struct cr_str){json_string_value(content), json_string_length(content)},
            json_is_true(json_object_get(token, "special")) ? CR_TOKEN_CONTROL
                                                            : CR_TOKEN_USER,
            "tokenizer.json", err));
    }
    return CRITIC_OK;
}

static enum critic_status read_merges_txt(struct cr_tokens *t, critic_error *err) {
    const char *p = t->text.data ? t->text.data : "";
    size_t n = 0;
    for (const char *q = p; *q; q++)
        n += *q == '\n';
    t->merges = cr_arena_calloc(&t->arena, n + 1, sizeof *t->merges);
    if (!t->merges)
        return no_memory(err);
    for (bool first = true; *p; first = false) {
        size_t line = strcspn(p, "\n");
        size_t len = line > 0 && p[line - 1] == '\r' ? line - 1 : line;
        if (len > 0 && !(first && p[0] == '#'))
            t->merges[t->n_merges++] = (struct cr_str){p, len};
        p += line + (p[line] == '\n');
    }
    return CRITIC_OK;
}

/* *found tells whether the file is there. */
static enum critic_status read_json(json_t **out, const struct cr_store *store,
                                    const char *name, critic_error *err) {
    struct cr_buf path;
    enum critic_status status;
    *out = NULL;
    cr_buf_init(&path, 1 << 16);
    CR_TRY_GOTO(cr_path_join(&path, cr_store_dir(store), name, err));
    if (cr_file_exists(path.data))
        CR_TRY_GOTO(cr_json_read(out, path.data, MAX_TOKEN_BYTES, err));
fail:
    cr_buf_fini(&path);
    return status;
}

static enum critic_status read_text(struct cr_buf *out, const struct cr_store *store,
                                    const char *name, critic_error *err) {
    struct cr_buf path;
    enum critic_status status;
    cr_buf_init(&path, 1 << 16);
    CR_TRY_GOTO(cr_path_join(&path, cr_store_dir(store), name, err));
    if (cr_file_exists(path.data))
        CR_TRY_GOTO(cr_file_read(path.data, out, err));
fail:
    cr_buf_fini(&path);
    return status;
}

static enum critic_status
read_vocab_files(struct cr_tokens *t, const struct cr_store *store, critic_error *err) {
    CR_TRY(read_json(&t->owner[0], store, "vocab.json", err));
    if (!t->owner[0])
        return cr_fail(err, CRITIC_BAD_MODEL,
                       "%s: neither tokenizer.json nor vocab.json is there",
                       cr_store_dir(store));
    CR_TRY(read_vocab(t, t->owner[0], CR_TOKEN_NORMAL, "vocab.json", err));
    CR_TRY(read_text(&t->text, store, "merges.txt", err));
    CR_TRY(read_merges_txt(t, err));
    CR_TRY(read_json(&t->owner[1], store, "added_tokens.json", err));
    return t->owner[1]
               ? read_vocab(t, t->owner[1], CR_TOKEN_CONTROL, "added_tokens.json", err)
               : CRITIC_OK;
}

/* chat_template.jinja, or the key of tokenizer_config.json. */
static enum critic_status read_template(struct cr_tokens *t, const struct cr_store *store,
                                        critic_error *err) {
    struct cr_buf text;
    cr_buf_init(&text, MAX_TOKEN_BYTES);
    enum critic_status status = read_text(&text, store, "chat_template.jinja", err);
    if (status == CRITIC_OK && text.len > 0) {
        t->chat_template =
            (struct cr_str){cr_arena_strndup(&t->arena, text.data, text.len), text.len};
        if (!t->chat_template.data)
            status = no_memory(err);
    }
    cr_buf_fini(&text);
    if (status != CRITIC_OK || t->chat_template.data)
        return status;
    CR_TRY(read_json(&t->owner[2], store, "tokenizer_config.json", err));
    const json_t *value = json_object_get(t->owner[2], "chat_template");
    if (json_is_string(value))
        t->chat_template =
            (struct cr_str){json_string_value(value), json_string_length(value)};
    return CRITIC_OK;
}

static enum critic_status read_folder(struct cr_tokens *t, const struct cr_store *store,
                                      critic_error *err) {
    CR_TRY(read_json(&t->owner[0], store, "tokenizer.json", err));
    if (t->owner[0])
        CR_TRY(read_tokenizer_json(t, t->owner[0], err));
    else
        CR_TRY(read_vocab_files(t, store, err));
    return read_template(t, store, err);
}

static enum critic_status read_gguf(struct cr_tokens *t, const struct cr_gguf *g,
                                    critic_error *err) {
    const struct cr_gguf_value *tokens, *types, *merges;
    CR_TRY(cr_gguf_array(g, "tokenizer.ggml.tokens", CR_GGUF_STRING, &tokens, err));
    CR_TRY(cr_gguf_array(g, "tokenizer.ggml.token_type", CR_GGUF_I32, &types, err));
    CR_TRY(cr_gguf_array(g, "tokenizer.ggml.merges", CR_GGUF_STRING, &merges, err));
    if (!tokens || !merges || (types && types->n != tokens->n))
        return cr_fail(
            err, CRITIC_BAD_MODEL,
            "GGUF key 'tokenizer.ggml.tokens' or 'tokenizer.ggml.merges' is missing, "
            "or 'tokenizer.ggml.token_type' has another length");
    for (size_t i = 0; i < tokens->n; i++) {
        int32_t type = types ? (int32_t)cr_gguf_element_i64(types, i) : CR_TOKEN_NORMAL;
        CR_TRY(set_token(t, (json_int_t)i, tokens->strings[i], type,
                         "tokenizer.ggml.tokens", err));
    }
    t->n_merges = merges->n;
    t->merges = cr_arena_calloc(&t->arena, merges->n, sizeof *t->merges);
    if (!t->merges)
        return no_memory(err);
    for (size_t i = 0; i < merges->n; i++)
        t->merges[i] = merges->strings[i];
    return cr_gguf_str(g, "tokenizer.chat_template", &t->chat_template, err);
}

enum critic_status cr_tokens_read(struct cr_tokens *t, const struct cr_store *store,
                                  size_t n_rows, critic_error *err) {
    memset(t, 0, sizeof *t);
    CR_TRY(cr_arena_init(&t->arena, ARENA_BYTES, err));
    cr_buf_init(&t->text, MAX_TOKEN_BYTES);
    enum critic_status status = alloc_lists(t, n_rows, err);
    if (status == CRITIC_OK)
        status = cr_store_gguf(store) ? read_gguf(t, cr_store_gguf(store), err)
                                      : read_folder(t, store, err);
    if (status == CRITIC_OK)
        status = pad(t, err);
    if (status != CRITIC_OK)
        cr_tokens_fini(t);
    return status;
}

void cr_tokens_fini(struct cr_tokens *t) {
    for (size_t i = 0; i < CR_COUNT(t->owner); i++)
        json_decref(t->owner[i]);
    cr_buf_fini(&t->text);
    cr_arena_fini(&t->arena);
    memset(t, 0, sizeof *t);
}

int32_t cr_tokens_find(const struct cr_tokens *t, const char *token) {
    for (size_t i = 0; i < t->n; i++)
        if (t->types[i] != CR_TOKEN_UNUSED && cr_str_eq_c(t->tokens[i], token))
            return (int32_t)i;
    return -1;
}

/* ---- tokenizer.json ---- */

static bool is_added(int32_t type) {
    return type == CR_TOKEN_CONTROL || type == CR_TOKEN_USER;
}

static enum critic_status append_quoted(struct cr_buf *out, struct cr_str text,
                                        critic_error *err) {
    json_t *string = json_stringn(text.data, text.len);
    if (!string)
        return cr_fail(err, CRITIC_BAD_DATA, "a token is not valid UTF-8");
    enum critic_status status = cr_json_append(out, string, err);
    json_decref(string);
    return status;
}

static enum critic_status append_added(const struct cr_tokens *t, struct cr_buf *out,
                                       critic_error *err) {
    const char *comma = "";
    for (size_t i = 0; i < t->n; i++) {
        if (!is_added(t->types[i]))
            continue;
        CR_TRY(cr_buf_printf(out, err, "%s{\"id\":%zu,\"content\":", comma, i));
        CR_TRY(append_quoted(out, t->tokens[i], err));
        CR_TRY(cr_buf_printf(out, err,
                             ",\"single_word\":false,\"lstrip\":false,\"rstrip\":false,"
                             "\"normalized\":false,\"special\":%s}",
                             t->types[i] == CR_TOKEN_CONTROL ? "true" : "false"));
        comma = ",\n";
    }
    return CRITIC_OK;
}

static enum critic_status append_model(const struct cr_tokens *t, struct cr_buf *out,
                                       critic_error *err) {
    const char *comma = "";
    CR_TRY(cr_buf_append_c(
        out,
        "\"model\":{\"type\":\"BPE\",\"dropout\":null,\"unk_token\":null,"
        "\"continuing_subword_prefix\":null,\"end_of_word_suffix\":null,"
        "\"fuse_unk\":false,\"byte_fallback\":false,\"ignore_merges\":false,"
        "\"vocab\":{",
        err));
    for (size_t i = 0; i < t->n; i++) {
        if (is_added(t->types[i]) || t->types[i] == CR_TOKEN_UNUSED)
            continue;
        CR_TRY(cr_buf_append_c(out, comma, err));
        CR_TRY(append_quoted(out, t->tokens[i], err));
        CR_TRY(cr_buf_printf(out, err, ":%zu", i));
        comma = ",";
    }
    CR_TRY(cr_buf_append_c(out, "},\n\"merges\":[", err));
    for (size_t i = 0; i < t->n_merges; i++) {
        if (i > 0)
            CR_TRY(cr_buf_append_c(out, ",", err));
        CR_TRY(append_quoted(out, t->merges[i], err));
    }
    return cr_buf_append_c(out, "]}}\n", err);
}

enum critic_status cr_tokens_to_json(const struct cr_tokens *t, struct cr_buf *out,
                                     critic_error *err) {
    static const char byte_level[] = "{\"type\":\"ByteLevel\",\"add_prefix_space\":false,"
                                     "\"trim_offsets\":false,\"use_regex\":false}";
    static const char split[] =
        "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\\\r\\\\n\\\\p{L}\\\\p{N}]?\\\\p{L}+|\\\\p{N}|"
        " ?[^\\\\s\\\\p{L}\\\\p{N}]+[\\\\r\\\\n]*|\\\\s*[\\\\r\\\\n]+|\\\\s+(?!\\\\S)|"
        "\\\\s+";
    CR_TRY(cr_buf_append_c(
        out,
        "{\"version\":\"1.0\",\"truncation\":null,\"padding\":null,\"added_tokens\":[",
        err));
    CR_TRY(append_added(t, out, err));
    CR_TRY(cr_buf_printf(
        out, err,
        "],\n\"normalizer\":{\"type\":\"NFC\"},\n\"pre_tokenizer\":{\"type\":"
        "\"Sequence\","
        "\"pretokenizers\":[{\"type\":\"Split\",\"pattern\":{\"Regex\":\"%s\"},"
        "\"behavior\":\"Isolated\",\"invert\":false},%s]},\n\"post_processor\":%s,\n"
        "\"decoder\":%s,\n",
        split, byte_level, byte_level, byte_level));
    return append_model(t, out, err);
}
