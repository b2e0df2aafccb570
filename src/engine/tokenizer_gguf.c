/* The tokenizer that a GGUF file carries in its metadata. */
#include <stdlib.h>

#include "base/checked.h"
#include "engine/internal.h"
#include "engine/open_tokenizer.h"
#include "io/gguf.h"
#include "text/chat.h"

static enum critic_status read_lists(const struct cr_gguf *g,
                                     struct cr_tokenizer_lists *lists, int32_t **types,
                                     critic_error *err) {
    const struct cr_gguf_value *tokens = NULL, *merges = NULL, *kinds = NULL;
    struct cr_str model = {"", 0};
    CR_TRY(cr_gguf_str(g, "tokenizer.ggml.model", &model, err));
    if (!cr_str_eq_c(model, "gpt2"))
        return cr_fail(err, CRITIC_UNSUPPORTED,
                       "tokenizer.ggml.model is '%.*s'; expected 'gpt2' (byte-level BPE)",
                       (int)CR_MIN(model.len, (size_t)64), model.data);
    CR_TRY(cr_gguf_array(g, "tokenizer.ggml.tokens", CR_GGUF_STRING, &tokens, err));
    CR_TRY(cr_gguf_array(g, "tokenizer.ggml.merges", CR_GGUF_STRING, &merges, err));
    CR_TRY(cr_gguf_array(g, "tokenizer.ggml.token_type", CR_GGUF_I32, &kinds, err));
    CR_TRY(cr_gguf_str(g, "tokenizer.ggml.pre", &lists->pre, err));
    if (!tokens || !merges)
        return cr_fail(err, CRITIC_BAD_MODEL,
                       "no tokenizer.ggml.tokens and merges; expected both");
    if (kinds && kinds->n != tokens->n)
        return cr_fail(err, CRITIC_BAD_MODEL,
                       "tokenizer.ggml.token_type has %zu entries; expected %zu",
                       kinds->n, tokens->n);
    if (kinds) {
        *types = malloc(CR_MAX(kinds->n, (size_t)1) * sizeof **types);
        if (!*types)
            return cr_fail(err, CRITIC_NO_MEMORY, "out of memory for the tokenizer");
        for (size_t i = 0; i < kinds->n; i++)
            (*types)[i] = (int32_t)cr_gguf_element_i64(kinds, i);
    }
    lists->token_types = *types;
    lists->tokens = tokens->strings;
    lists->n_tokens = tokens->n;
    lists->merges = merges->strings;
    lists->n_merges = merges->n;
    return CRITIC_OK;
}

enum critic_status cr_engine_tokenizer_from_gguf(struct cr_tokenizer **out,
                                                 const struct cr_gguf *g,
                                                 const char *name, critic_error *err) {
    struct cr_tokenizer_lists lists = {.pre = {"", 0}};
    struct cr_str chat_template = {NULL, 0};
    enum cr_chat_format format;
    int32_t *types = NULL;
    *out = NULL;
    CR_TRY(cr_gguf_str(g, "tokenizer.chat_template", &chat_template, err));
    if (chat_template.data)
        CR_TRY(cr_chat_detect(chat_template, name, &format, err));
    enum critic_status status = read_lists(g, &lists, &types, err);
    if (status == CRITIC_OK)
        status = cr_tokenizer_from_lists(out, &lists, name, err);
    else
        cr_error_wrap(err, status, "%s: ", name);
    free(types);
    return status;
}
