#include "text/bpe.h"

#include <stdlib.h>
#include <string.h>

#include "base/checked.h"

/* Up to here a linear search for the best pair beats the heap. */
enum { SHORT_WORD = 40 };
#define NO_RANK UINT32_MAX
#define NOWHERE UINT32_MAX

enum critic_status cr_bpe_init(struct cr_bpe *b, size_t n_merges, critic_error *err) {
    *b = (struct cr_bpe){0};
    for (size_t i = 0; i < CR_COUNT(b->byte_ids); i++)
        b->byte_ids[i] = -1;
    size_t n_slots = 64;
    size_t bytes;
    while (n_slots / 2 < n_merges)
        if (!cr_mul_size(n_slots, 2, &n_slots))
            return cr_fail(err, CRITIC_NO_MEMORY, "too many merges");
    if (!cr_mul_size(n_slots, sizeof *b->slots, &bytes) || !(b->slots = malloc(bytes))) {
        *b = (struct cr_bpe){0};
        return cr_fail(err, CRITIC_NO_MEMORY, "out of memory for %zu merges", n_merges);
    }
    memset(b->slots, 0xFF, bytes);
    b->n_slots = n_slots;
    return CRITIC_OK;
}

void cr_bpe_fini(struct cr_bpe *b) {
    free(b->slots);
    *b = (struct cr_bpe){0};
}

static uint64_t pair_of(int32_t left, int32_t right) {
    return (uint64_t)(uint32_t)left << 32 | (uint32_t)right;
}

/* The slot of pair, or the free one where it belongs. */
static inline struct cr_merge *slot_of(const struct cr_bpe *b, uint64_t pair) {
    uint64_t hash = pair * 0x9E3779B97F4A7C15u;
    hash ^= hash >> 32;
    size_t i = (size_t)hash & (b->n_slots - 1);
    while (b->slots[i].pair != pair && b->slots[i].pair != UINT64_MAX)
        i = (i + 1) & (b->n_slots - 1);
    return &b->slots[i];
}

void cr_bpe_add(struct cr_bpe *b, int32_t left, int32_t right, uint32_t rank,
                int32_t joined) {
    uint64_t pair = pair_of(left, right);
    *slot_of(b, pair) = (struct cr_merge){pair, rank, joined};
}

static enum critic_status missing_byte(unsigned char byte, critic_error *err) {
    return cr_fail(err, CRITIC_BAD_DATA, "the vocabulary has no token for byte 0x%02X",
                   byte);
}

static enum critic_status short_word(const struct cr_bpe *b, struct cr_bpe_scratch *s,
                                     struct cr_str word, struct cr_ids *out,
                                     critic_error *err) {
    int32_t id[SHORT_WORD];
    int32_t joined[SHORT_WORD]; /* joined[i], rank[i]: the merge of id[i] and id[i + 1] */
    uint32_t rank[SHORT_WORD];
    size_t n = word.len;
    for (size_t i = 0; i < n; i++) {
        unsigned char byte = (unsigned char)word.data[i];
        id[i] = b->byte_ids[byte];
        if (id[i] < 0)
            return missing_byte(byte, err);
    }
    for (size_t i = 0; i + 1 < n; i++) {
        const struct cr_merge *m = slot_of(b, pair_of(id[i], id[i + 1]));
        rank[i] = m->rank; /* a free slot holds NO_RANK */
        joined[i] = m->joined;
    }
    while (n > 1) {
        size_t best = 0;
        for (size_t i = 1; i + 1 < n; i++)
            if (rank[i] < rank[best])
                best = i;
        if (rank[best] == NO_RANK)
            break;
        s->n_steps++;
        id[best] = joined[best];
        n--;
        size_t tail = n - best - 1;
        memmove(id + best + 1, id + best + 2, tail * sizeof *id);
        memmove(rank + best, rank + best + 1, tail * sizeof *rank);
        memmove(joined + best, joined + best + 1, tail * sizeof *joined);
        for (size_t i = best ? best - 1 : 0; i <= best && i + 1 < n; i++) {
            const struct cr_merge *m = slot_of(b, pair_of(id[i], id[i + 1]));
            rank[i] = m->rank;
            joined[i] = m->joined;
        }
    }
    return cr_ids_append(out, id, n, err);
}

/* ---- long words: a linked list of symbols and a heap of pairs ---- */

/* Symbol i started as byte i. A merge keeps the left symbol and unlinks the right one. */
struct symbols {
    uint32_t *id;
    uint32_t *prev;
    uint32_t *next;
    uint32_t *rank;   /* of the merge with the next symbol; NO_RANK: none, or unlinked */
    uint32_t *joined; /* what that merge makes */
    uint64_t *heap;   /* rank << 32 | symbol, smallest first; may hold stale entries */
    size_t n_heap;
    uint64_t n_steps;
};

static void sift_down(struct symbols *w, size_t i) {
    uint64_t moving = w->heap[i];
    for (size_t child; (child = 2 * i + 1) < w->n_heap; i = child) {
        if (child + 1 < w->n_heap && w->heap[child + 1] < w->heap[child])
            child++;
        if (moving <= w->heap[child])
            break;
        w->heap[i] = w->heap[child];
        w->n_steps++;
    }
    w->heap[i] = moving;
}

static void heap_push(struct symbols *w, uint64_t entry) {
    size_t i = w->n_heap++;
    for (; i > 0 && entry < w->heap[(i - 1) / 2]; i = (i - 1) / 2) {
        w->heap[i] = w->heap[(i - 1) / 2];
        w->n_steps++;
    }
    w->heap[i] = entry;
}

static uint64_t heap_pop(struct symbols *w) {
    uint64_t top = w->heap[0];
    w->heap[0] = w->heap[--w->n_heap];
    sift_down(w, 0);
    return top;
}

/* Looks up the merge of symbol i with its successor. */
static void find_merge(const struct cr_bpe *b, struct symbols *w, uint32_t i) {
    uint32_t next = w->next[i];
    w->rank[i] = NO_RANK;
    if (next == NOWHERE)
        return;
    const struct cr_merge *m =
        slot_of(b, pair_of((int32_t)w->id[i], (int32_t)w->id[next]));
    w->rank[i] = m->rank;
    w->joined[i] = (uint32_t)m->joined;
}

static void merge_all(const struct cr_bpe *b, struct symbols *w) {
    while (w->n_heap > 0) {
        uint64_t top = heap_pop(w);
        uint32_t i = (uint32_t)top;
        w->n_steps++;
        if (w->rank[i] == NO_RANK || w->rank[i] != top >> 32)
            continue; /* the pair is no longer what it was */
        uint32_t gone = w->next[i];
        w->id[i] = w->joined[i];
        w->rank[gone] = NO_RANK;
        w->next[i] = w->next[gone];
        if (w->next[i] != NOWHERE)
            w->prev[w->next[i]] = i;
        uint32_t around[2] = {i, w->prev[i]};
        for (size_t k = 0; k < 2; k++) {
            if (around[k] == NOWHERE)
                continue;
            find_merge(b, w, around[k]);
            if (w->rank[around[k]] != NO_RANK)
                heap_push(w, (uint64_t)w->rank[around[k]] << 32 | around[k]);
        }
    }
}

/* Five lists of n and a heap: every merge takes one entry and adds at most two, and there
 * are fewer than n merges, so 2 n entries are enough. */
static enum critic_status reserve(struct cr_bpe_scratch *s, size_t n, struct symbols *w,
                                  critic_error *err) {
    size_t words;
    size_t bytes;
    if (n >= INT32_MAX || !cr_mul_size(n, 9, &words) || !cr_mul_size(words, 4, &bytes))
        return cr_fail(err, CRITIC_BAD_DATA, "a word of %zu bytes is too long", n);
    if (words > s->cap) {
        free(s->memory);
        s->cap = 0;
        s->memory = malloc(bytes);
        if (!s->memory)
            return cr_fail(err, CRITIC_NO_MEMORY, "out of memory for a word of %zu bytes",
                           n);
        s->cap = words;
    }
    uint32_t *lists = s->memory + 4 * n; /* the heap first: it needs the alignment */
    *w = (struct symbols){.id = lists,
                          .prev = lists + n,
                          .next = lists + 2 * n,
                          .rank = lists + 3 * n,
                          .joined = lists + 4 * n,
                          .heap = (uint64_t *)(void *)s->memory};
    return CRITIC_OK;
}

static enum critic_status long_word(const struct cr_bpe *b, struct cr_bpe_scratch *s,
                                    struct cr_str word, struct cr_ids *out,
                                    critic_error *err) {
    struct symbols w = {0};
    CR_TRY(reserve(s, word.len, &w, err));
    uint32_t n = (uint32_t)word.len;
    for (uint32_t i = 0; i < n; i++) {
        unsigned char byte = (unsigned char)word.data[i];
        if (b->byte_ids[byte] < 0)
            return missing_byte(byte, err);
        w.id[i] = (uint32_t)b->byte_ids[byte];
        w.prev[i] = i ? i - 1 : NOWHERE;
        w.next[i] = i + 1 < n ? i + 1 : NOWHERE;
    }
    for (uint32_t i = 0; i < n; i++) {
        find_merge(b, &w, i);
        if (w.rank[i] != NO_RANK)
            w.heap[w.n_heap++] = (uint64_t)w.rank[i] << 32 | i;
    }
    for (size_t i = w.n_heap / 2; i-- > 0;)
        sift_down(&w, i);
    merge_all(b, &w);
    s->n_steps += w.n_steps;
    for (uint32_t i = 0; i != NOWHERE; i = w.next[i])
        CR_TRY(cr_ids_push(out, (int32_t)w.id[i], err));
    return CRITIC_OK;
}

void cr_bpe_scratch_fini(struct cr_bpe_scratch *s) {
    free(s->memory);
    *s = (struct cr_bpe_scratch){0};
}

enum critic_status cr_bpe_word(const struct cr_bpe *b, struct cr_bpe_scratch *s,
                               struct cr_str word, struct cr_ids *out,
                               critic_error *err) {
    return word.len <= SHORT_WORD ? short_word(b, s, word, out, err)
                                  : long_word(b, s, word, out, err);
}
