#include "rater/rater.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "rater/rater_impl.h"

struct cr_rater *cr_rater_alloc(size_t size, const char *model, critic_error *err) {
    struct cr_hash h;
    struct cr_rater *r = calloc(1, size);
    if (!r) {
        cr_fail(err, CRITIC_NO_MEMORY, "no memory for a judge");
        return NULL;
    }
    snprintf(r->model, sizeof r->model, "%s", model);
    cr_hash_init(&h, 0);
    cr_hash_update(&h, model, strlen(model));
    cr_hash_hex(&h, r->hash);
    r->voice.model = r->model;
    r->voice.model_hash = r->hash;
    r->voice.self = r;
    return r;
}

const struct cr_voice *cr_rater_voice(const struct cr_rater *r) {
    return &r->voice;
}

void cr_rater_free(struct cr_rater *r) {
    if (r && r->fini)
        r->fini(r);
    free(r);
}
