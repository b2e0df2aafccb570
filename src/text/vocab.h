/* The vocabulary: the bytes of every id, and the id of given bytes.
 *
 * Files spell a token in the byte alphabet of GPT-2: each byte is one printable
 * character (space is U+0120, newline U+010A). A spelling with a character outside the
 * alphabet stands for itself; its bytes are kept apart from those of spelled tokens. */
#ifndef CR_TEXT_VOCAB_H
#define CR_TEXT_VOCAB_H

#include "base/bytes.h"

/* More ids than any published model; bounds what a hostile file makes us allocate. */
enum { CR_MAX_TOKEN_ID = 4 * 1024 * 1024 - 1 };

enum cr_token_flag {
    CR_TOKEN_PRESENT = 1,
    CR_TOKEN_LITERAL = 2, /* not in the byte alphabet */
    CR_TOKEN_SPECIAL = 4
};

struct cr_vocab {
    struct cr_buf bytes; /* of all tokens, one after another */
    size_t *starts;      /* by id, into bytes */
    uint32_t *lens;
    unsigned char *flags; /* enum cr_token_flag */
    size_t n_ids;         /* largest id + 1 */
    int32_t *slots;       /* open addressing by bytes; -1 free */
    size_t n_slots;
};

/* Room for ids 0 to n_ids - 1 and lookup of n_tokens. Errors: CRITIC_NO_MEMORY. On
 * failure *v is zeroed. */
enum critic_status cr_vocab_init(struct cr_vocab *v, size_t n_ids, critic_error *err);
void cr_vocab_fini(struct cr_vocab *v);
/* Grows n_ids; new ids are absent. */
enum critic_status cr_vocab_grow(struct cr_vocab *v, size_t n_ids, critic_error *err);

/* Adds the token with this spelling. Errors: CRITIC_BAD_FILE (id taken, spelling
 * known), CRITIC_NO_MEMORY. `id` < n_ids. */
enum critic_status cr_vocab_add(struct cr_vocab *v, int32_t id, struct cr_str spelling,
                                const char *name, critic_error *err);
/* Gives id these literal bytes, whatever it was before; not found by spelling. */
enum critic_status cr_vocab_set(struct cr_vocab *v, int32_t id, struct cr_str literal,
                                bool special, critic_error *err);

/* -1 where there is none. */
int32_t cr_vocab_find(const struct cr_vocab *v, struct cr_str bytes, bool literal);
/* Translates a spelling into bytes in out[0..spelling.len); false: it is literal, and its
 * own bytes were copied. *len receives how many. */
bool cr_spelling_bytes(struct cr_str spelling, char *out, size_t *len);

#endif
