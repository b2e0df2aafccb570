#include "text/tokenizer.h"

#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "text/normalize.h"
#include "text/tokenizer_impl.h"

enum critic_status cr_tokenizer_new(struct cr_tokenizer **out, size_t n_ids,
                                    size_t n_merges, critic_error *err) {
    enum critic_status status;
    struct cr_tokenizer *t = calloc(1, sizeof *t);
    *out = NULL;
    if (!t)
        return cr_fail(err, CRITIC_NO_MEMORY, "out of memory for a tokenizer");
    CR_TRY_GOTO(cr_vocab_init(&t->vocab, n_ids, err));
    CR_TRY_GOTO(cr_bpe_init(&t->bpe, n_merges, err));
    *out = t;
    return CRITIC_OK;
fail:
    cr_tokenizer_free(t);
    return status;
}

void cr_tokenizer_free(struct cr_tokenizer *t) {
    if (!t)
        return;
    cr_splitter_fini(&t->splitter);
    cr_added_fini(&t->raw);
    cr_added_fini(&t->normalized);
    cr_bpe_fini(&t->bpe);
    cr_vocab_fini(&t->vocab);
    free(t);
}

/* The two spellings and their join are looked up in one buffer on the stack: no token
 * of a byte-level vocabulary that takes part in merges is longer. */
enum { MAX_MERGE_BYTES = 4096 };

enum critic_status cr_tokenizer_add_merge(struct cr_tokenizer *t, struct cr_str left,
                                          struct cr_str right, size_t rank,
                                          const char *name, critic_error *err) {
    char spelling[MAX_MERGE_BYTES];
    char bytes[MAX_MERGE_BYTES];
    if (rank >= UINT32_MAX || left.len > MAX_MERGE_BYTES ||
        right.len > MAX_MERGE_BYTES - left.len)
        return cr_fail(err, CRITIC_BAD_FILE, "%s: merge %zu is too long", name, rank);
    if (left.len)
        memcpy(spelling, left.data, left.len);
    if (right.len)
        memcpy(spelling + left.len, right.data, right.len);
    struct cr_str parts[3] = {left, right, {spelling, left.len + right.len}};
    int32_t ids[3];
    for (size_t i = 0; i < 3; i++) {
        size_t len;
        bool spelled = cr_spelling_bytes(parts[i], bytes, &len);
        ids[i] = cr_vocab_find(&t->vocab, (struct cr_str){bytes, len}, !spelled);
        if (ids[i] < 0)
            return cr_fail(err, CRITIC_BAD_FILE,
                           "%s: merge %zu: its %s is not in the vocabulary", name, rank,
                           i == 0   ? "left part"
                           : i == 1 ? "right part"
                                    : "result");
    }
    cr_bpe_add(&t->bpe, ids[0], ids[1], (uint32_t)rank, ids[2]);
    return CRITIC_OK;
}

enum critic_status cr_tokenizer_add_merge_line(struct cr_tokenizer *t, struct cr_str line,
                                               size_t rank, const char *name,
                                               critic_error *err) {
    const char *space = line.len ? memchr(line.data, ' ', line.len) : NULL;
    size_t left = space ? (size_t)(space - line.data) : 0;
    if (!space || memchr(space + 1, ' ', line.len - left - 1))
        return cr_fail(err, CRITIC_BAD_FILE,
                       "%s: merge %zu is not two tokens with a space between", name,
                       rank);
    return cr_tokenizer_add_merge(t, (struct cr_str){line.data, left},
                                  (struct cr_str){space + 1, line.len - left - 1}, rank,
                                  name, err);
}

enum critic_status cr_tokenizer_add_added(struct cr_tokenizer *t,
                                          const struct cr_added_token *token,
                                          bool normalized, const char *name,
                                          critic_error *err) {
    if (token->id < 0 || token->id > CR_MAX_TOKEN_ID)
        return cr_fail(err, CRITIC_BAD_FILE, "%s: added token id %d; expected 0 to %d",
                       name, (int)token->id, CR_MAX_TOKEN_ID);
    if (token->text.len == 0 || token->text.len > CR_MAX_ADDED_BYTES)
        return cr_fail(err, CRITIC_BAD_FILE,
                       "%s: added token %d has %zu bytes; expected 1 to %d", name,
                       (int)token->id, token->text.len, CR_MAX_ADDED_BYTES);
    char bytes[CR_MAX_ADDED_BYTES];
    size_t len;
    bool spelled = cr_spelling_bytes(token->text, bytes, &len);
    int32_t known = cr_vocab_find(&t->vocab, (struct cr_str){bytes, len}, !spelled);
    size_t id = (size_t)token->id;
    bool taken = id < t->vocab.n_ids && (t->vocab.flags[id] & CR_TOKEN_PRESENT);
    if ((known >= 0 && known != token->id) || (taken && known != token->id))
        return cr_fail(err, CRITIC_BAD_FILE,
                       "%s: added token %d is not the vocabulary's token of that id",
                       name, (int)token->id);
    CR_TRY(cr_vocab_grow(&t->vocab, id + 1, err));
    CR_TRY(cr_vocab_set(&t->vocab, token->id, token->text, token->special, err));
    if (!normalized)
        return cr_added_push(&t->raw, token, err);
    if (!t->nfc)
        return cr_added_push(&t->normalized, token, err);
    /* It meets normalised text, so it has to be normalised itself. */
    struct cr_buf text;
    cr_buf_init(&text, 4 * CR_MAX_ADDED_BYTES);
    enum critic_status status = cr_nfc(token->text, &text, err);
    if (status == CRITIC_OK) {
        struct cr_added_token copy = *token;
        copy.text = cr_buf_str(&text);
        status = cr_added_push(&t->normalized, &copy, err);
    }
    cr_buf_fini(&text);
    return status;
}

enum critic_status cr_tokenizer_seal(struct cr_tokenizer *t, const char *name,
                                     critic_error *err) {
    for (int byte = 0; byte < 256; byte++) {
        char c = (char)byte;
        t->bpe.byte_ids[byte] = cr_vocab_find(&t->vocab, (struct cr_str){&c, 1}, false);
    }
    while (t->vocab.n_ids > 0 && !(t->vocab.flags[t->vocab.n_ids - 1] & CR_TOKEN_PRESENT))
        t->vocab.n_ids--;
    CR_TRY(cr_added_seal(&t->raw, name, err));
    return cr_added_seal(&t->normalized, name, err);
}

size_t cr_tokenizer_size(const struct cr_tokenizer *t) {
    return t->vocab.n_ids;
}

int32_t cr_tokenizer_find(const struct cr_tokenizer *t, struct cr_str token) {
    const struct cr_added_token *added = cr_added_find(&t->raw, token);
    if (!added)
        added = cr_added_find(&t->normalized, token);
    if (added)
        return added->id;
    int32_t id = cr_vocab_find(&t->vocab, token, false);
    return id >= 0 ? id : cr_vocab_find(&t->vocab, token, true);
}

static bool is_token(const struct cr_tokenizer *t, int32_t id) {
    return id >= 0 && (size_t)id < t->vocab.n_ids &&
           (t->vocab.flags[id] & CR_TOKEN_PRESENT) != 0;
}

bool cr_tokenizer_is_special(const struct cr_tokenizer *t, int32_t id) {
    return is_token(t, id) && (t->vocab.flags[id] & CR_TOKEN_SPECIAL) != 0;
}

struct cr_bytes cr_tokenizer_bytes(const struct cr_tokenizer *t, int32_t id) {
    if (!is_token(t, id))
        return (struct cr_bytes){0};
    return (struct cr_bytes){(const unsigned char *)t->vocab.bytes.data +
                                 t->vocab.starts[id],
                             t->vocab.lens[id]};
}
