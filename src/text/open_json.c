/* tokenizer.json of the Python package `tokenizers`, and the folder that holds it. */
#include "base/checked.h"
#include "base/file.h"
#include "io/json.h"
#include "text/tokenizer_impl.h"

#include <string.h>

/* Above any published tokenizer (Qwen2.5: 7 MB; the largest known: 34 MB). */
enum { MAX_FILE_BYTES = 256 << 20, MAX_NESTING = 8 };

/* A string from a file, fit for a one-line message. */
struct shown {
    char text[48];
};

static struct shown show(struct cr_str s) {
    struct shown out = {""};
    for (size_t i = 0; i < s.len && i + 1 < sizeof out.text; i++)
        out.text[i] = s.data[i] >= ' ' && s.data[i] <= '~' ? s.data[i] : '?';
    return out;
}

static enum critic_status unsupported(const char *name, const char *key,
                                      struct cr_str value, const char *expected,
                                      critic_error *err) {
    return cr_fail(err, CRITIC_UNSUPPORTED, "%s: %s is '%s'; expected %s", name, key,
                   show(value).text, expected);
}

/* The member that must be a string. */
static enum critic_status required_str(const json_t *object, const char *key,
                                       struct cr_str *out, const char *name,
                                       critic_error *err) {
    *out = (struct cr_str){0};
    CR_TRY(cr_json_str(object, key, out, name, err));
    if (!out->data)
        return cr_fail(err, CRITIC_BAD_FILE, "%s: '%s' is missing", name, key);
    return CRITIC_OK;
}

static enum critic_status required_type(const json_t *object, struct cr_str *out,
                                        const char *key, const char *name,
                                        critic_error *err) {
    if (!json_is_object(object))
        return cr_fail(err, CRITIC_BAD_FILE, "%s: %s is not an object", name, key);
    return required_str(object, "type", out, name, err);
}

/* A boolean that must have one value; absent counts as `absent`. */
static enum critic_status required_flag(const json_t *object, const char *key,
                                        bool wanted, bool absent, const char *name,
                                        critic_error *err) {
    bool value = absent;
    CR_TRY(cr_json_bool(object, key, &value, name, err));
    if (value != wanted)
        return cr_fail(err, CRITIC_UNSUPPORTED, "%s: '%s' is %s; expected %s", name, key,
                       value ? "true" : "false", wanted ? "true" : "false");
    return CRITIC_OK;
}

/* ---- normalizer, pre_tokenizer, decoder ---- */

/* `depth` bounds what nested sequences can do to the stack. */
static enum critic_status read_normalizer(struct cr_tokenizer *t, const json_t *object,
                                          int depth, const char *name,
                                          critic_error *err) {
    if (!object || json_is_null(object))
        return CRITIC_OK;
    struct cr_str type;
    CR_TRY(required_type(object, &type, "normalizer", name, err));
    if (cr_str_eq_c(type, "NFC")) {
        t->nfc = true;
        return CRITIC_OK;
    }
    if (!cr_str_eq_c(type, "Sequence") || depth == MAX_NESTING)
        return unsupported(name, "normalizer", type, "NFC", err);
    json_t *list;
    CR_TRY(cr_json_array(object, "normalizers", &list, name, err));
    for (size_t i = 0; i < json_array_size(list); i++)
        CR_TRY(read_normalizer(t, json_array_get(list, i), depth + 1, name, err));
    return CRITIC_OK;
}

static enum critic_status read_split(struct cr_tokenizer *t, const json_t *object,
                                     const char *name, critic_error *err) {
    json_t *pattern;
    struct cr_str behavior;
    struct cr_str regex;
    CR_TRY(required_str(object, "behavior", &behavior, name, err));
    if (!cr_str_eq_c(behavior, "Isolated"))
        return unsupported(name, "pre_tokenizer behavior", behavior, "Isolated", err);
    CR_TRY(required_flag(object, "invert", false, false, name, err));
    CR_TRY(cr_json_object(object, "pattern", &pattern, name, err));
    if (!pattern || !json_object_get(pattern, "Regex"))
        return cr_fail(err, CRITIC_UNSUPPORTED,
                       "%s: pre_tokenizer Split has no 'pattern' with a 'Regex'", name);
    CR_TRY(required_str(pattern, "Regex", &regex, name, err));
    return cr_splitter_add_pattern(&t->splitter, regex, name, err);
}

/* *byte_level becomes true behind the ByteLevel step, which has to come last. */
static enum critic_status read_pre_tokenizer(struct cr_tokenizer *t, const json_t *object,
                                             bool *byte_level, int depth,
                                             const char *name, critic_error *err) {
    struct cr_str type;
    CR_TRY(required_type(object, &type, "pre_tokenizer", name, err));
    if (cr_str_eq_c(type, "Sequence") && depth < MAX_NESTING) {
        json_t *list;
        CR_TRY(cr_json_array(object, "pretokenizers", &list, name, err));
        for (size_t i = 0; i < json_array_size(list); i++)
            CR_TRY(read_pre_tokenizer(t, json_array_get(list, i), byte_level, depth + 1,
                                      name, err));
        return CRITIC_OK;
    }
    if (*byte_level)
        return unsupported(name, "the pre_tokenizer after ByteLevel", type, "none", err);
    if (cr_str_eq_c(type, "Split"))
        return read_split(t, object, name, err);
    if (!cr_str_eq_c(type, "ByteLevel"))
        return unsupported(name, "pre_tokenizer", type, "Split, ByteLevel or Sequence",
                           err);
    CR_TRY(required_flag(object, "add_prefix_space", false, true, name, err));
    bool use_regex = true;
    CR_TRY(cr_json_bool(object, "use_regex", &use_regex, name, err));
    if (use_regex)
        CR_TRY(cr_splitter_add(&t->splitter, CR_SPLIT_GPT2, name, err));
    *byte_level = true;
    return CRITIC_OK;
}

static enum critic_status check_decoder(const json_t *object, const char *name,
                                        critic_error *err) {
    struct cr_str type;
    CR_TRY(required_type(object, &type, "decoder", name, err));
    if (!cr_str_eq_c(type, "ByteLevel"))
        return unsupported(name, "decoder", type, "ByteLevel", err);
    return CRITIC_OK;
}

/* ---- model ---- */

/* The largest id of a vocabulary object, all ids checked. */
static enum critic_status max_id(json_t *vocab, size_t *out, const char *name,
                                 critic_error *err) {
    const char *key;
    json_t *value;
    *out = 0;
    json_object_foreach(vocab, key, value) {
        json_int_t id = json_is_integer(value) ? json_integer_value(value) : -1;
        if (id < 0 || id > CR_MAX_TOKEN_ID)
            return cr_fail(err, CRITIC_BAD_FILE, "%s: token '%s' has no id from 0 to %d",
                           name, show(cr_str_of(key)).text, CR_MAX_TOKEN_ID);
        *out = CR_MAX(*out, (size_t)id);
    }
    return CRITIC_OK;
}

static enum critic_status read_vocab(struct cr_tokenizer *t, json_t *vocab,
                                     const char *name, critic_error *err) {
    for (void *i = json_object_iter(vocab); i; i = json_object_iter_next(vocab, i)) {
        struct cr_str spelling = {json_object_iter_key(i), json_object_iter_key_len(i)};
        int32_t id = (int32_t)json_integer_value(json_object_iter_value(i));
        CR_TRY(cr_vocab_add(&t->vocab, id, spelling, name, err));
    }
    return CRITIC_OK;
}

static enum critic_status read_merges(struct cr_tokenizer *t, json_t *merges,
                                      const char *name, critic_error *err) {
    for (size_t i = 0; i < json_array_size(merges); i++) {
        const json_t *m = json_array_get(merges, i);
        if (json_is_string(m)) {
            struct cr_str line = {json_string_value(m), json_string_length(m)};
            CR_TRY(cr_tokenizer_add_merge_line(t, line, i, name, err));
            continue;
        }
        const json_t *left = json_array_get(m, 0);
        const json_t *right = json_array_get(m, 1);
        if (json_array_size(m) != 2 || !json_is_string(left) || !json_is_string(right))
            return cr_fail(err, CRITIC_BAD_FILE, "%s: merge %zu is not two tokens", name,
                           i);
        struct cr_str a = {json_string_value(left), json_string_length(left)};
        struct cr_str b = {json_string_value(right), json_string_length(right)};
        CR_TRY(cr_tokenizer_add_merge(t, a, b, i, name, err));
    }
    return CRITIC_OK;
}

/* What a BPE model may say besides its vocabulary and merges. */
static enum critic_status check_model(const json_t *model, const char *name,
                                      critic_error *err) {
    struct cr_str type = {0};
    CR_TRY(cr_json_str(model, "type", &type, name, err));
    if (type.data && !cr_str_eq_c(type, "BPE")) /* old files do not say it */
        return unsupported(name, "model type", type, "BPE", err);
    static const char *const affixes[] = {"continuing_subword_prefix",
                                          "end_of_word_suffix"};
    for (size_t i = 0; i < CR_COUNT(affixes); i++) {
        struct cr_str affix = {"", 0};
        CR_TRY(cr_json_str(model, affixes[i], &affix, name, err));
        if (affix.len > 0)
            return unsupported(name, affixes[i], affix, "nothing", err);
    }
    double dropout = 0;
    CR_TRY(cr_json_double(model, "dropout", &dropout, name, err));
    if (dropout != 0)
        return cr_fail(err, CRITIC_UNSUPPORTED, "%s: 'dropout' is %g; expected none",
                       name, dropout);
    return required_flag(model, "byte_fallback", false, false, name, err);
}

static enum critic_status read_model(struct cr_tokenizer **out, const json_t *root,
                                     const char *name, critic_error *err) {
    json_t *model;
    json_t *vocab;
    json_t *merges;
    size_t last;
    CR_TRY(cr_json_object(root, "model", &model, name, err));
    if (!model)
        return cr_fail(err, CRITIC_BAD_FILE, "%s: 'model' is missing", name);
    CR_TRY(check_model(model, name, err));
    CR_TRY(cr_json_object(model, "vocab", &vocab, name, err));
    CR_TRY(cr_json_array(model, "merges", &merges, name, err));
    if (!vocab || !merges)
        return cr_fail(err, CRITIC_BAD_FILE, "%s: model has no '%s'", name,
                       vocab ? "merges" : "vocab");
    CR_TRY(max_id(vocab, &last, name, err));
    CR_TRY(cr_tokenizer_new(out, last + 1, json_array_size(merges), err));
    CR_TRY(read_vocab(*out, vocab, name, err));
    CR_TRY(read_merges(*out, merges, name, err));
    return cr_json_bool(model, "ignore_merges", &(*out)->ignore_merges, name, err);
}

/* ---- added tokens ---- */

static enum critic_status read_added_token(struct cr_tokenizer *t, const json_t *object,
                                           const char *name, critic_error *err) {
    struct cr_added_token token = {0};
    size_t id = SIZE_MAX;
    bool normalized = true;
    if (!json_is_object(object))
        return cr_fail(err, CRITIC_BAD_FILE, "%s: an added token is not an object", name);
    CR_TRY(cr_json_size(object, "id", 0, CR_MAX_TOKEN_ID, &id, name, err));
    CR_TRY(required_str(object, "content", &token.text, name, err));
    if (id == SIZE_MAX)
        return cr_fail(err, CRITIC_BAD_FILE, "%s: added token '%s' has no id", name,
                       show(token.text).text);
    token.id = (int32_t)id;
    CR_TRY(cr_json_bool(object, "special", &token.special, name, err));
    CR_TRY(cr_json_bool(object, "lstrip", &token.lstrip, name, err));
    CR_TRY(cr_json_bool(object, "rstrip", &token.rstrip, name, err));
    normalized = !token.special;
    CR_TRY(cr_json_bool(object, "normalized", &normalized, name, err));
    CR_TRY(required_flag(object, "single_word", false, false, name, err));
    return cr_tokenizer_add_added(t, &token, normalized, name, err);
}

static enum critic_status read_root(struct cr_tokenizer **out, const json_t *root,
                                    const char *name, critic_error *err) {
    if (!json_is_object(root))
        return cr_fail(err, CRITIC_BAD_FILE, "%s: not an object", name);
    CR_TRY(read_model(out, root, name, err));
    struct cr_tokenizer *t = *out;
    CR_TRY(read_normalizer(t, json_object_get(root, "normalizer"), 0, name, err));
    bool byte_level = false;
    CR_TRY(read_pre_tokenizer(t, json_object_get(root, "pre_tokenizer"), &byte_level, 0,
                              name, err));
    if (!byte_level)
        return cr_fail(err, CRITIC_UNSUPPORTED,
                       "%s: pre_tokenizer does not end with ByteLevel", name);
    CR_TRY(check_decoder(json_object_get(root, "decoder"), name, err));
    /* post_processor adds special tokens and moves offsets; truncation and padding are the
     * caller's in the reference too. None of them concerns us. */
    json_t *added;
    CR_TRY(cr_json_array(root, "added_tokens", &added, name, err));
    for (size_t i = 0; i < json_array_size(added); i++)
        CR_TRY(read_added_token(t, json_array_get(added, i), name, err));
    return cr_tokenizer_seal(t, name, err);
}

enum critic_status cr_tokenizer_from_json(struct cr_tokenizer **out, struct cr_str json,
                                          const char *name, critic_error *err) {
    json_t *root;
    *out = NULL;
    CR_TRY(cr_json_parse(&root, json.data, json.len, name, err));
    enum critic_status status = read_root(out, root, name, err);
    json_decref(root);
    if (status != CRITIC_OK) {
        cr_tokenizer_free(*out);
        *out = NULL;
    }
    return status;
}

/* ---- vocab.json, merges.txt, added_tokens.json ---- */

/* The next line of text without its end; false behind the last one. */
static bool next_line(struct cr_str *text, struct cr_str *line) {
    if (text->len == 0)
        return false;
    const char *end = memchr(text->data, '\n', text->len);
    size_t len = end ? (size_t)(end - text->data) : text->len;
    size_t taken = end ? len + 1 : len;
    *line = (struct cr_str){text->data, len};
    if (len > 0 && text->data[len - 1] == '\r')
        line->len--;
    text->data += taken;
    text->len -= taken;
    return true;
}

/* With t NULL only counts. */
static enum critic_status read_merge_lines(struct cr_tokenizer *t, struct cr_str text,
                                           size_t *n_merges, const char *name,
                                           critic_error *err) {
    struct cr_str line;
    bool first = true;
    *n_merges = 0;
    for (; next_line(&text, &line); first = false) {
        bool version = first && line.len >= 8 && memcmp(line.data, "#version", 8) == 0;
        if (version || line.len == 0)
            continue;
        if (t)
            CR_TRY(cr_tokenizer_add_merge_line(t, line, *n_merges, name, err));
        ++*n_merges;
    }
    return CRITIC_OK;
}

static enum critic_status read_added_object(struct cr_tokenizer *t, json_t *added,
                                            const char *name, critic_error *err) {
    for (void *i = json_object_iter(added); i; i = json_object_iter_next(added, i)) {
        struct cr_added_token token = {
            .text = {json_object_iter_key(i), json_object_iter_key_len(i)},
            .id = (int32_t)json_integer_value(json_object_iter_value(i)),
            .special = true,
        };
        CR_TRY(cr_tokenizer_add_added(t, &token, false, name, err));
    }
    return CRITIC_OK;
}

static enum critic_status read_parts(struct cr_tokenizer **out, json_t *vocab,
                                     struct cr_str merges, json_t *added,
                                     const char *name, critic_error *err) {
    size_t last;
    size_t last_added;
    size_t n_merges;
    if (!json_is_object(vocab) || (added && !json_is_object(added)))
        return cr_fail(err, CRITIC_BAD_FILE, "%s: %s is not an object", name,
                       json_is_object(vocab) ? "added_tokens" : "vocab");
    size_t invalid_at = cr_utf8_invalid_at(merges.data, merges.len);
    if (invalid_at != SIZE_MAX)
        return cr_fail(err, CRITIC_BAD_FILE, "%s: merges are not valid UTF-8 at byte %zu",
                       name, invalid_at);
    CR_TRY(max_id(vocab, &last, name, err));
    CR_TRY(max_id(added, &last_added, name, err));
    CR_TRY(read_merge_lines(NULL, merges, &n_merges, name, err));
    CR_TRY(cr_tokenizer_new(out, last + 1, n_merges, err));
    struct cr_tokenizer *t = *out;
    t->nfc = true;
    CR_TRY(cr_splitter_add(&t->splitter, CR_SPLIT_QWEN2, name, err));
    CR_TRY(read_vocab(t, vocab, name, err));
    CR_TRY(read_merge_lines(t, merges, &n_merges, name, err));
    CR_TRY(read_added_object(t, added, name, err));
    return cr_tokenizer_seal(t, name, err);
}

enum critic_status cr_tokenizer_from_vocab(struct cr_tokenizer **out,
                                           struct cr_str vocab_json,
                                           struct cr_str merges_txt,
                                           struct cr_str added_json, const char *name,
                                           critic_error *err) {
    enum critic_status status;
    json_t *vocab = NULL;
    json_t *added = NULL;
    *out = NULL;
    CR_TRY_GOTO(cr_json_parse(&vocab, vocab_json.data, vocab_json.len, name, err));
    if (added_json.len > 0)
        CR_TRY_GOTO(cr_json_parse(&added, added_json.data, added_json.len, name, err));
    CR_TRY_GOTO(read_parts(out, vocab, merges_txt, added, name, err));
    json_decref(vocab);
    json_decref(added);
    return CRITIC_OK;
fail:
    json_decref(vocab);
    json_decref(added);
    cr_tokenizer_free(*out);
    *out = NULL;
    return status;
}

/* ---- a folder ---- */

/* Reads dir/file into out; found false where there is no such file. */
static enum critic_status read_part(const char *dir, const char *file, struct cr_buf *out,
                                    bool *found, critic_error *err) {
    struct cr_buf path;
    cr_buf_init(&path, 1 << 16);
    enum critic_status status = cr_path_join(&path, dir, file, err);
    *found = status == CRITIC_OK && cr_file_exists(path.data);
    if (*found)
        status = cr_file_read(path.data, out, err);
    cr_buf_fini(&path);
    return status;
}

static enum critic_status open_parts(struct cr_tokenizer **out, const char *dir,
                                     struct cr_buf parts[3], critic_error *err) {
    bool found[3];
    CR_TRY(read_part(dir, "tokenizer.json", &parts[0], &found[0], err));
    if (found[0]) {
        enum critic_status status =
            cr_tokenizer_from_json(out, cr_buf_str(&parts[0]), "tokenizer.json", err);
        return status == CRITIC_OK ? status : cr_error_wrap(err, status, "%s/", dir);
    }
    CR_TRY(read_part(dir, "vocab.json", &parts[0], &found[0], err));
    CR_TRY(read_part(dir, "merges.txt", &parts[1], &found[1], err));
    CR_TRY(read_part(dir, "added_tokens.json", &parts[2], &found[2], err));
    if (!found[0] || !found[1])
        return cr_fail(
            err, CRITIC_BAD_FILE,
            "%s: no tokenizer; expected tokenizer.json, or vocab.json and merges.txt",
            dir);
    enum critic_status status =
        cr_tokenizer_from_vocab(out, cr_buf_str(&parts[0]), cr_buf_str(&parts[1]),
                                cr_buf_str(&parts[2]), "vocab.json", err);
    return status == CRITIC_OK ? status : cr_error_wrap(err, status, "%s/", dir);
}

enum critic_status cr_tokenizer_open(struct cr_tokenizer **out, const char *dir,
                                     critic_error *err) {
    struct cr_buf parts[3];
    *out = NULL;
    for (size_t i = 0; i < CR_COUNT(parts); i++)
        cr_buf_init(&parts[i], MAX_FILE_BYTES);
    enum critic_status status = open_parts(out, dir, parts, err);
    for (size_t i = 0; i < CR_COUNT(parts); i++)
        cr_buf_fini(&parts[i]);
    return status;
}
