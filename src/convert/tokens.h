/* Private to src/convert: the vocabulary as lists, from any checkpoint, and as files.
 * Strings stay in the byte alphabet that the files use; nothing is tokenised here. */
#ifndef CR_CONVERT_TOKENS_H
#define CR_CONVERT_TOKENS_H

#include <jansson.h>

#include "base/arena.h"
#include "base/bytes.h"
#include "tensor/store.h"

/* GGUF's kinds of tokens. */
enum {
    CR_TOKEN_NORMAL = 1,
    CR_TOKEN_CONTROL = 3,
    CR_TOKEN_USER = 4,
    CR_TOKEN_UNUSED = 5
};

struct cr_tokens {
    struct cr_arena arena;
    json_t *owner[3];   /* of borrowed strings; NULL where unused */
    struct cr_buf text; /* merges.txt */
    size_t n;           /* rows; padded with unused ones up to the size asked for */
    struct cr_str *tokens;
    int32_t *types;
    size_t n_merges;
    struct cr_str *merges;       /* "left right" */
    struct cr_str chat_template; /* data NULL: none found */
};

/* Reads tokenizer.json, or vocab.json + merges.txt + added_tokens.json, or GGUF metadata, and
 * the chat template beside it. n_rows: length of the lists (rows of the embedding); an id
 * beyond it is an error.
 * Errors: CRITIC_BAD_FILE, CRITIC_BAD_MODEL (no tokenizer), CRITIC_NO_MEMORY.
 * cr_tokens_fini is safe on a zeroed struct. */
enum critic_status cr_tokens_read(struct cr_tokens *t, const struct cr_store *store,
                                  size_t n_rows, critic_error *err);
void cr_tokens_fini(struct cr_tokens *t);
/* -1 where absent. */
int32_t cr_tokens_find(const struct cr_tokens *t, const char *token);
/* Appends a tokenizer.json (byte-level BPE with Qwen2's pre-tokenizer and NFC). */
enum critic_status cr_tokens_to_json(const struct cr_tokens *t, struct cr_buf *out,
                                     critic_error *err);

#endif
