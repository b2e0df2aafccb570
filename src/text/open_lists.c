/* The tokenizer in a GGUF file's metadata (llama.cpp, gguf-py/gguf/constants.py). */
#include "base/checked.h"
#include "text/tokenizer_impl.h"

enum token_type {
    TYPE_NORMAL = 1,
    TYPE_CONTROL = 3,
    TYPE_USER_DEFINED = 4,
    TYPE_UNUSED = 5
};

/* tokenizer.ggml.pre: the pre-tokenizer by name. NFC as the models' own tokenizer.json has
 * it, though llama.cpp leaves it out. */
static const struct {
    const char *pre;
    enum cr_split_kind kind;
    bool nfc;
    bool ignore_merges;
} known_pre[] = {
    {"qwen2", CR_SPLIT_QWEN2, true, false},
    {"deepseek-r1-qwen", CR_SPLIT_QWEN2, true, false},
    {"llama-bpe", CR_SPLIT_LLAMA3, false, true},
    {"llama3", CR_SPLIT_LLAMA3, false, true},
    {"gpt-2", CR_SPLIT_GPT2, false, false},
};

static enum critic_status set_pre(struct cr_tokenizer *t, struct cr_str pre,
                                  const char *name, critic_error *err) {
    for (size_t i = 0; i < CR_COUNT(known_pre); i++) {
        if (!cr_str_eq_c(pre, known_pre[i].pre))
            continue;
        t->nfc = known_pre[i].nfc;
        t->ignore_merges = known_pre[i].ignore_merges;
        return cr_splitter_add(&t->splitter, known_pre[i].kind, name, err);
    }
    char shown[32] = "";
    for (size_t i = 0; i < pre.len && i + 1 < sizeof shown; i++)
        shown[i] = pre.data[i] >= ' ' && pre.data[i] <= '~' ? pre.data[i] : '?';
    return cr_fail(err, CRITIC_UNSUPPORTED,
                   "%s: tokenizer.ggml.pre is '%s'; expected qwen2, deepseek-r1-qwen, "
                   "llama-bpe or gpt-2",
                   name, shown);
}

/* Added tokens are left for a second walk: a normal token may not repeat them. */
static enum critic_status add_token(struct cr_tokenizer *t, struct cr_str text,
                                    int32_t type, int32_t id, bool added,
                                    const char *name, critic_error *err) {
    if (type == TYPE_UNUSED)
        return CRITIC_OK;
    if (type == TYPE_NORMAL)
        return added ? CRITIC_OK : cr_vocab_add(&t->vocab, id, text, name, err);
    if (type != TYPE_CONTROL && type != TYPE_USER_DEFINED)
        return cr_fail(err, CRITIC_UNSUPPORTED,
                       "%s: token %d has type %d; expected 1, 3, 4 or 5", name, (int)id,
                       (int)type);
    if (!added)
        return CRITIC_OK;
    struct cr_added_token token = {
        .text = text, .id = id, .special = type == TYPE_CONTROL};
    return cr_tokenizer_add_added(t, &token, false, name, err);
}

static enum critic_status read_lists(struct cr_tokenizer *t,
                                     const struct cr_tokenizer_lists *lists,
                                     const char *name, critic_error *err) {
    CR_TRY(set_pre(t, lists->pre, name, err));
    for (int added = 0; added < 2; added++) {
        for (size_t i = 0; i < lists->n_tokens; i++) {
            struct cr_str text = lists->tokens[i];
            int32_t type = lists->token_types ? lists->token_types[i] : TYPE_NORMAL;
            if (!added && cr_utf8_invalid_at(text.data, text.len) != SIZE_MAX)
                return cr_fail(err, CRITIC_BAD_FILE, "%s: token %zu is not valid UTF-8",
                               name, i);
            CR_TRY(add_token(t, text, type, (int32_t)i, added == 1, name, err));
        }
    }
    for (size_t i = 0; i < lists->n_merges; i++) {
        struct cr_str line = lists->merges[i];
        if (cr_utf8_invalid_at(line.data, line.len) != SIZE_MAX)
            return cr_fail(err, CRITIC_BAD_FILE, "%s: merge %zu is not valid UTF-8", name,
                           i);
        CR_TRY(cr_tokenizer_add_merge_line(t, line, i, name, err));
    }
    return cr_tokenizer_seal(t, name, err);
}

enum critic_status cr_tokenizer_from_lists(struct cr_tokenizer **out,
                                           const struct cr_tokenizer_lists *lists,
                                           const char *name, critic_error *err) {
    *out = NULL;
    if (lists->n_tokens == 0 || lists->n_tokens > (size_t)CR_MAX_TOKEN_ID + 1)
        return cr_fail(err, CRITIC_BAD_FILE, "%s: %zu tokens; expected 1 to %d", name,
                       lists->n_tokens, CR_MAX_TOKEN_ID + 1);
    CR_TRY(cr_tokenizer_new(out, lists->n_tokens, lists->n_merges, err));
    enum critic_status status = read_lists(*out, lists, name, err);
    if (status != CRITIC_OK) {
        cr_tokenizer_free(*out);
        *out = NULL;
    }
    return status;
}
