#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "text/tokenizer.h"

void cr_ids_init(struct cr_ids *ids) {
    *ids = (struct cr_ids){0};
}

void cr_ids_fini(struct cr_ids *ids) {
    free(ids->data);
    *ids = (struct cr_ids){0};
}

void cr_ids_clear(struct cr_ids *ids) {
    ids->len = 0;
}

enum critic_status cr_ids_append(struct cr_ids *ids, const int32_t *data, size_t len,
                                 critic_error *err) {
    if (len == 0)
        return CRITIC_OK;
    size_t need;
    size_t bytes;
    if (!cr_add_size(ids->len, len, &need))
        return cr_fail(err, CRITIC_NO_MEMORY, "too many ids");
    if (need > ids->cap) {
        size_t cap = CR_MAX(need, ids->cap + ids->cap / 2);
        cap = CR_MAX(cap, 64);
        if (!cr_mul_size(cap, sizeof *ids->data, &bytes))
            return cr_fail(err, CRITIC_NO_MEMORY, "too many ids");
        int32_t *grown = realloc(ids->data, bytes);
        if (!grown)
            return cr_fail(err, CRITIC_NO_MEMORY, "out of memory for %zu ids", cap);
        ids->data = grown;
        ids->cap = cap;
    }
    memcpy(ids->data + ids->len, data, len * sizeof *data);
    ids->len = need;
    return CRITIC_OK;
}

enum critic_status cr_ids_push(struct cr_ids *ids, int32_t id, critic_error *err) {
    if (ids->len < ids->cap) {
        ids->data[ids->len++] = id;
        return CRITIC_OK;
    }
    return cr_ids_append(ids, &id, 1, err);
}
