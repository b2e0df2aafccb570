#include "world/seen.h"

#include <stdlib.h>
#include <string.h>

#include "base/rng.h"

static size_t slot_of(const struct cr_seen *s, uint64_t key) {
    size_t i = (size_t)cr_hash_u64(key) & (s->cap - 1);
    while (s->keys[i] != 0 && s->keys[i] != key)
        i = (i + 1) & (s->cap - 1);
    return i;
}

static enum critic_status grow(struct cr_seen *s, critic_error *err) {
    struct cr_seen old = *s;
    s->cap = old.cap ? 2 * old.cap : 1024;
    s->keys = calloc(s->cap, sizeof *s->keys);
    s->owners = calloc(s->cap, sizeof *s->owners);
    if (!s->keys || !s->owners) {
        free(s->keys);
        free(s->owners);
        *s = old;
        return cr_fail(err, CRITIC_NO_MEMORY, "no memory for %zu keys", 2 * old.cap);
    }
    for (size_t i = 0; i < old.cap; i++)
        if (old.keys[i] != 0) {
            size_t k = slot_of(s, old.keys[i]);
            s->keys[k] = old.keys[i];
            s->owners[k] = old.owners[i];
        }
    free(old.keys);
    free(old.owners);
    return CRITIC_OK;
}

enum critic_status cr_seen_put(struct cr_seen *s, uint64_t key, uint32_t *owner,
                               bool *again, critic_error *err) {
    key = key ? key : 1;
    if (2 * (s->n + 1) > s->cap)
        CR_TRY(grow(s, err));
    size_t i = slot_of(s, key);
    *again = s->keys[i] == key;
    if (*again) {
        *owner = s->owners[i];
        return CRITIC_OK;
    }
    s->keys[i] = key;
    s->owners[i] = *owner;
    s->n++;
    return CRITIC_OK;
}

void cr_seen_fini(struct cr_seen *s) {
    free(s->keys);
    free(s->owners);
    memset(s, 0, sizeof *s);
}
