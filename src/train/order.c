#include "train/order.h"

#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "base/rng.h"

enum critic_status cr_order_init(struct cr_order *o, size_t n, uint64_t seed,
                                 critic_error *err) {
    *o = (struct cr_order){.seed = seed, .n = n, .epoch = SIZE_MAX};
    o->at = malloc(CR_MAX(n, 1) * sizeof *o->at);
    if (!o->at)
        return cr_fail(err, CRITIC_NO_MEMORY,
                       "out of memory for the order of %zu samples", n);
    return CRITIC_OK;
}

void cr_order_fini(struct cr_order *o) {
    free(o->at);
    memset(o, 0, sizeof *o);
}

static void shuffle(struct cr_order *o, size_t epoch) {
    struct cr_rng rng;
    cr_rng_seed_at(&rng, o->seed, epoch);
    for (size_t i = 0; i < o->n; i++)
        o->at[i] = (uint32_t)i;
    for (size_t i = o->n; i > 1; i--) {
        size_t j = (size_t)cr_rng_below(&rng, i);
        uint32_t other = o->at[i - 1];
        o->at[i - 1] = o->at[j];
        o->at[j] = other;
    }
    o->epoch = epoch;
}

uint32_t cr_order_at(struct cr_order *o, size_t k) {
    if (k / o->n != o->epoch)
        shuffle(o, k / o->n);
    return o->at[k % o->n];
}
