/* The order of training samples: an endless stream of shuffled epochs, a function of seed and
 * place alone. */
#ifndef CR_TRAIN_ORDER_H
#define CR_TRAIN_ORDER_H

#include "base/error.h"

struct cr_order {
    uint64_t seed;
    size_t n;
    size_t epoch; /* whose permutation `at` holds; SIZE_MAX: none */
    uint32_t *at;
};

/* n samples. Errors: CRITIC_NO_MEMORY. */
enum critic_status cr_order_init(struct cr_order *o, size_t n, uint64_t seed,
                                 critic_error *err);
void cr_order_fini(struct cr_order *o);
/* The sample at place k of the stream. */
uint32_t cr_order_at(struct cr_order *o, size_t k);

#endif
