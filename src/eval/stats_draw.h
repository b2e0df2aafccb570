/* Random counts for the bootstrap. */
#ifndef CR_EVAL_STATS_DRAW_H
#define CR_EVAL_STATS_DRAW_H

#include <stddef.h>

#include "base/rng.h"

/* Binomial(n, p): inversion where n p is small, else BTRS (Hormann 1993); both exact. */
size_t cr_draw_binomial(struct cr_rng *rng, size_t n, double p);

/* Poisson(mean <= 100) through an alias table (Walker 1977): one random number a draw. */
#define CR_POISSON_SIZE 256
struct cr_poisson {
    unsigned char alias[CR_POISSON_SIZE];
    uint32_t keep[CR_POISSON_SIZE]; /* probability of the cell itself, times 2^24 */
};
void cr_poisson_init(struct cr_poisson *p, double mean);
/* bits: 32 random ones. */
static inline unsigned cr_poisson_of(const struct cr_poisson *p, uint32_t bits) {
    uint32_t cell = bits & (CR_POISSON_SIZE - 1);
    return bits >> 8 < p->keep[cell] ? cell : p->alias[cell];
}

#endif
