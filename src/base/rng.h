/* Random numbers with an explicit state: xoshiro256** (Blackman and Vigna 2018), seeded by
 * splitmix64. The same seed gives the same numbers on every machine. */
#ifndef CR_BASE_RNG_H
#define CR_BASE_RNG_H

#include <stdint.h>

struct cr_rng {
    uint64_t s[4];
};

void cr_rng_seed(struct cr_rng *r, uint64_t seed);
/* An independent generator for part `index` of the job that `seed` names. */
void cr_rng_seed_at(struct cr_rng *r, uint64_t seed, uint64_t index);
uint64_t cr_rng_u64(struct cr_rng *r);
/* Uniform in [0, n), n > 0, without modulo bias. */
uint64_t cr_rng_below(struct cr_rng *r, uint64_t n);
/* Uniform in [0, 1) with 53 random bits. */
double cr_rng_uniform(struct cr_rng *r);
/* Standard normal (polar method). */
double cr_rng_normal(struct cr_rng *r);
/* One splitmix64 step as a hash. */
uint64_t cr_hash_u64(uint64_t x);

#endif
