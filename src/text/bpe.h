/* Byte-pair encoding of one word: starting from its bytes, the adjacent pair whose merge has
 * the lowest rank is joined, leftmost first, until no pair has a merge.
 * Source: Sennrich, Haddow, Birch 2016, section 3.2. */
#ifndef CR_TEXT_BPE_H
#define CR_TEXT_BPE_H

#include "text/tokenizer.h"

struct cr_merge {
    uint64_t pair; /* left id << 32 | right id; UINT64_MAX: free slot */
    uint32_t rank;
    int32_t joined;
};

struct cr_bpe {
    int32_t byte_ids[256];  /* -1 where the vocabulary lacks the byte */
    struct cr_merge *slots; /* open addressing, a power of two */
    size_t n_slots;
};

/* Room for n_merges. Errors: CRITIC_NO_MEMORY. On failure *b is zeroed. */
enum critic_status cr_bpe_init(struct cr_bpe *b, size_t n_merges, critic_error *err);
void cr_bpe_fini(struct cr_bpe *b);
/* A pair that comes twice keeps its last rank, as in the reference. */
void cr_bpe_add(struct cr_bpe *b, int32_t left, int32_t right, uint32_t rank,
                int32_t joined);

/* Working memory of one caller, reused from word to word. */
struct cr_bpe_scratch {
    uint32_t *memory;
    size_t cap; /* words of four bytes */
    uint64_t
        n_steps; /* heap moves and merges so far: a measure of work that tests bound */
};

void cr_bpe_scratch_fini(struct cr_bpe_scratch *s);

/* Appends the ids of word (len > 0). Time n log n in its length.
 * Errors: CRITIC_BAD_DATA (a byte without a token), CRITIC_NO_MEMORY. */
enum critic_status cr_bpe_word(const struct cr_bpe *b, struct cr_bpe_scratch *s,
                               struct cr_str word, struct cr_ids *out, critic_error *err);

#endif
