#include "text/vocab.h"

#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "base/rng.h"

/* Keeps every length in 32 bits. */
enum { MAX_VOCAB_BYTES = 1 << 30 };

enum critic_status cr_vocab_init(struct cr_vocab *v, size_t n_ids, critic_error *err) {
    *v = (struct cr_vocab){0};
    cr_buf_init(&v->bytes, MAX_VOCAB_BYTES);
    size_t n_slots = 64;
    while (n_slots / 2 < n_ids)
        n_slots *= 2;
    enum critic_status status = CRITIC_NO_MEMORY;
    v->slots = malloc(n_slots * sizeof *v->slots);
    if (!v->slots) {
        cr_fail(err, status, "out of memory for %zu tokens", n_ids);
        goto fail;
    }
    memset(v->slots, 0xFF, n_slots * sizeof *v->slots);
    v->n_slots = n_slots;
    CR_TRY_GOTO(cr_vocab_grow(v, n_ids, err));
    return CRITIC_OK;
fail:
    cr_vocab_fini(v);
    return status;
}

void cr_vocab_fini(struct cr_vocab *v) {
    cr_buf_fini(&v->bytes);
    free(v->starts);
    free(v->lens);
    free(v->flags);
    free(v->slots);
    *v = (struct cr_vocab){0};
}

enum critic_status cr_vocab_grow(struct cr_vocab *v, size_t n_ids, critic_error *err) {
    CR_ASSERT(n_ids <= (size_t)CR_MAX_TOKEN_ID + 1);
    if (n_ids <= v->n_ids)
        return CRITIC_OK;
    size_t *starts = realloc(v->starts, n_ids * sizeof *starts);
    if (starts)
        v->starts = starts;
    uint32_t *lens = realloc(v->lens, n_ids * sizeof *lens);
    if (lens)
        v->lens = lens;
    unsigned char *flags = realloc(v->flags, n_ids);
    if (flags)
        v->flags = flags;
    if (!starts || !lens || !flags)
        return cr_fail(err, CRITIC_NO_MEMORY, "out of memory for %zu tokens", n_ids);
    memset(flags + v->n_ids, 0, n_ids - v->n_ids);
    v->n_ids = n_ids;
    return CRITIC_OK;
}

/* The byte of a character of the alphabet (Radford et al. 2019, encoder.py), -1 where it is
 * none: printable Latin-1 stands for itself, the 68 other bytes follow from U+0100. */
static int alphabet_byte(uint32_t c) {
    if ((c >= 0x21 && c <= 0x7E) || (c >= 0xA1 && c <= 0xAC) || (c >= 0xAE && c <= 0xFF))
        return (int)c;
    if (c < 0x100 || c > 0x143)
        return -1;
    int k = (int)c - 0x100;
    if (k <= 0x20) /* 00-20 */
        return k;
    return k <= 0x42 ? 0x7F + (k - 0x21) : 0xAD; /* 7F-A0, AD */
}

bool cr_spelling_bytes(struct cr_str spelling, char *out, size_t *len) {
    size_t n = 0;
    for (size_t i = 0; i < spelling.len;) {
        uint32_t c;
        i += cr_utf8_decode(spelling.data + i, spelling.len - i, &c);
        int byte = alphabet_byte(c);
        if (byte < 0) {
            memcpy(out, spelling.data, spelling.len);
            *len = spelling.len;
            return false;
        }
        out[n++] = (char)byte;
    }
    *len = n;
    return true;
}

static uint64_t hash_bytes(struct cr_str s, bool literal) {
    uint64_t hash = s.len * 2 + literal;
    for (size_t i = 0; i < s.len; i += 8) {
        uint64_t word = 0;
        memcpy(&word, s.data + i, CR_MIN(s.len - i, 8));
        hash = cr_hash_u64(hash ^ word);
    }
    return hash;
}

/* The slot that holds these bytes, or the free one where they belong. */
static size_t slot_of(const struct cr_vocab *v, struct cr_str s, bool literal) {
    size_t i = (size_t)hash_bytes(s, literal) & (v->n_slots - 1);
    for (;; i = (i + 1) & (v->n_slots - 1)) {
        int32_t id = v->slots[i];
        if (id < 0)
            return i;
        struct cr_str known = {v->bytes.data + v->starts[id], v->lens[id]};
        bool known_literal = (v->flags[id] & CR_TOKEN_LITERAL) != 0;
        if (known_literal == literal && cr_str_eq(known, s))
            return i;
    }
}

int32_t cr_vocab_find(const struct cr_vocab *v, struct cr_str bytes, bool literal) {
    return v->slots[slot_of(v, bytes, literal)];
}

enum critic_status cr_vocab_add(struct cr_vocab *v, int32_t id, struct cr_str spelling,
                                const char *name, critic_error *err) {
    CR_ASSERT(id >= 0 && (size_t)id < v->n_ids);
    if (v->flags[id] & CR_TOKEN_PRESENT)
        return cr_fail(err, CRITIC_BAD_FILE, "%s: two tokens have the id %d", name,
                       (int)id);
    size_t start = v->bytes.len;
    /* Appending reserves the room that translation needs; bytes never outnumber it. */
    CR_TRY(cr_buf_append(&v->bytes, spelling.data, spelling.len, err));
    size_t len;
    bool literal = !cr_spelling_bytes(spelling, v->bytes.data + start, &len);
    v->bytes.len = start + len;
    struct cr_str bytes = {v->bytes.data + start, len};
    size_t slot = slot_of(v, bytes, literal);
    if (v->slots[slot] >= 0)
        return cr_fail(err, CRITIC_BAD_FILE, "%s: ids %d and %d are the same token", name,
                       (int)v->slots[slot], (int)id);
    v->starts[id] = start;
    v->lens[id] = (uint32_t)len;
    v->flags[id] = (unsigned char)(CR_TOKEN_PRESENT | (literal ? CR_TOKEN_LITERAL : 0));
    v->slots[slot] = id;
    return CRITIC_OK;
}

enum critic_status cr_vocab_set(struct cr_vocab *v, int32_t id, struct cr_str literal,
                                bool special, critic_error *err) {
    CR_ASSERT(id >= 0 && (size_t)id < v->n_ids);
    unsigned char special_flag = special ? CR_TOKEN_SPECIAL : 0;
    if (v->flags[id] & CR_TOKEN_PRESENT) {
        struct cr_str known = {v->bytes.data + v->starts[id], v->lens[id]};
        if (cr_str_eq(known, literal)) {
            v->flags[id] |= special_flag;
            return CRITIC_OK;
        }
    }
    /* A token with other bytes stays where it is in the lookup, under its old bytes: the
     * lookup compares with the new ones and so never answers with this id again. */
    size_t start = v->bytes.len;
    CR_TRY(cr_buf_append(&v->bytes, literal.data, literal.len, err));
    v->starts[id] = start;
    v->lens[id] = (uint32_t)literal.len;
    v->flags[id] = (unsigned char)(CR_TOKEN_PRESENT | CR_TOKEN_LITERAL | special_flag);
    return CRITIC_OK;
}
