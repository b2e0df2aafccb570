/* Tokenizer: byte-level BPE (Sennrich et al. 2016; Radford et al. 2019) as the Python
 * package `tokenizers` does it, id for id. Reads tokenizer.json, vocab.json + merges.txt
 * (+ added_tokens.json), and the lists of a GGUF file.
 *
 * A text goes through: added tokens cut out of the raw text; NFC where the file asks for
 * it; added tokens that are matched after normalisation; the pre-tokenizer, which cuts words;
 * and merges by rank inside each word. It refuses, with an error naming the key, whatever
 * it does not do exactly: other models than BPE, other pre-tokenizers, other decoders.
 * No special token is ever added: prompts are built by the caller (text/chat.h). */
#ifndef CR_TEXT_TOKENIZER_H
#define CR_TEXT_TOKENIZER_H

#include "base/bytes.h"

/* Immutable once opened. Threads: any number may use one at the same time. */
struct cr_tokenizer;

/* Token ids; grows by itself. */
struct cr_ids {
    int32_t *data;
    size_t len;
    size_t cap;
};

void cr_ids_init(struct cr_ids *ids);
void cr_ids_fini(struct cr_ids *ids);
void cr_ids_clear(struct cr_ids *ids);
/* Errors: CRITIC_NO_MEMORY; then nothing was appended. */
enum critic_status cr_ids_append(struct cr_ids *ids, const int32_t *data, size_t len,
                                 critic_error *err);
enum critic_status cr_ids_push(struct cr_ids *ids, int32_t id, critic_error *err);

/* All openers. `name` is what errors call the source. *out is NULL on failure.
 * Errors: CRITIC_BAD_FILE (malformed), CRITIC_UNSUPPORTED (naming the key), CRITIC_NO_MEMORY.
 * Ownership: nothing of the arguments is kept. */
enum critic_status cr_tokenizer_from_json(struct cr_tokenizer **out, struct cr_str json,
                                          const char *name, critic_error *err);
/* The slow tokenizer's files; taken to be Qwen2's (NFC, its pre-tokenizer). Every entry of
 * added_json (may be empty) is special: the file has no flags. */
enum critic_status cr_tokenizer_from_vocab(struct cr_tokenizer **out,
                                           struct cr_str vocab_json,
                                           struct cr_str merges_txt,
                                           struct cr_str added_json, const char *name,
                                           critic_error *err);

/* GGUF metadata: tokenizer.ggml.tokens, .token_type, .merges, .pre. token_types may be NULL
 * (all normal). Types: 1 normal, 3 control (special), 4 user defined (added), 5 unused
 * (padding rows: no token). */
struct cr_tokenizer_lists {
    const struct cr_str *tokens;
    const int32_t *token_types;
    size_t n_tokens;
    const struct cr_str *merges;
    size_t n_merges;
    struct cr_str pre; /* "qwen2", "deepseek-r1-qwen", "llama-bpe", "gpt-2" */
};

enum critic_status cr_tokenizer_from_lists(struct cr_tokenizer **out,
                                           const struct cr_tokenizer_lists *lists,
                                           const char *name, critic_error *err);
/* A folder: tokenizer.json, else vocab.json + merges.txt (+ added_tokens.json). */
enum critic_status cr_tokenizer_open(struct cr_tokenizer **out, const char *dir,
                                     critic_error *err);
void cr_tokenizer_free(struct cr_tokenizer *t);

/* Largest id + 1. Ids below it may be unused. */
size_t cr_tokenizer_size(const struct cr_tokenizer *t);
/* The id whose bytes are exactly `token` (plain text, not the byte alphabet: "\n", " the");
 * added tokens by their literal text, and they come first. -1 where there is none. */
int32_t cr_tokenizer_find(const struct cr_tokenizer *t, struct cr_str token);
bool cr_tokenizer_is_special(const struct cr_tokenizer *t, int32_t id);
/* The bytes that id stands for (possibly a part of a UTF-8 sequence); data is NULL where
 * there is no such token. */
struct cr_bytes cr_tokenizer_bytes(const struct cr_tokenizer *t, int32_t id);

/* Appends the ids of text. parse_special false: the spelling of a special token is plain
 * text, so that text under judgement cannot forge a turn; added tokens that are not
 * special are recognised either way (as `tokenizers` does under encode_special_tokens).
 * Errors: CRITIC_BAD_DATA (invalid UTF-8, with the byte offset; a byte that the vocabulary
 * has no token for), CRITIC_NO_MEMORY. On failure `out` is as it was. */
enum critic_status cr_tokenizer_encode(const struct cr_tokenizer *t, struct cr_str text,
                                       bool parse_special, struct cr_ids *out,
                                       critic_error *err);
/* Appends the text of ids; each ill-formed sequence of the whole becomes U+FFFD (as Rust's
 * from_utf8_lossy). skip_special leaves special tokens out.
 * Errors: CRITIC_BAD_DATA (an id that is no token), CRITIC_NO_MEMORY. */
enum critic_status cr_tokenizer_decode(const struct cr_tokenizer *t, const int32_t *ids,
                                       size_t n_ids, bool skip_special,
                                       struct cr_buf *out, critic_error *err);

/* Decoding one id at a time: what is complete comes out at once, a UTF-8 sequence that is
 * still open is held back. All pieces together equal cr_tokenizer_decode of all ids. */
struct cr_stream_decoder {
    const struct cr_tokenizer *tokenizer;
    bool skip_special;
    unsigned char held[4];
    size_t n_held;
};

void cr_stream_decoder_init(struct cr_stream_decoder *d, const struct cr_tokenizer *t,
                            bool skip_special);
/* Appends the text that id completes, maybe none. Errors: as cr_tokenizer_decode. */
enum critic_status cr_stream_decoder_feed(struct cr_stream_decoder *d, int32_t id,
                                          struct cr_buf *out, critic_error *err);
/* The end of the stream: an open sequence becomes U+FFFD. */
enum critic_status cr_stream_decoder_finish(struct cr_stream_decoder *d,
                                            struct cr_buf *out, critic_error *err);

#endif
