#include "base/rng.h"

#include <math.h>

uint64_t cr_hash_u64(uint64_t x) {
    x += 0x9E3779B97F4A7C15u;
    x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9u;
    x = (x ^ (x >> 27)) * 0x94D049BB133111EBu;
    return x ^ (x >> 31);
}

void cr_rng_seed(struct cr_rng *r, uint64_t seed) {
    for (int i = 0; i < 4; i++) {
        r->s[i] = cr_hash_u64(seed);
        seed += 0x9E3779B97F4A7C15u;
    }
}

void cr_rng_seed_at(struct cr_rng *r, uint64_t seed, uint64_t index) {
    cr_rng_seed(r, cr_hash_u64(seed) ^ cr_hash_u64(~index));
}

static uint64_t rotate_left(uint64_t x, int k) {
    return x << k | x >> (64 - k);
}

uint64_t cr_rng_u64(struct cr_rng *r) {
    uint64_t *s = r->s;
    uint64_t result = rotate_left(s[1] * 5, 7) * 9;
    uint64_t t = s[1] << 17;
    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= t;
    s[3] = rotate_left(s[3], 45);
    return result;
}

uint64_t cr_rng_below(struct cr_rng *r, uint64_t n) {
    uint64_t reject = -n % n; /* 2^64 mod n: values below it are drawn once too often */
    uint64_t x;
    do {
        x = cr_rng_u64(r);
    } while (x < reject);
    return x % n;
}

double cr_rng_uniform(struct cr_rng *r) {
    return (double)(cr_rng_u64(r) >> 11) * 0x1p-53;
}

double cr_rng_normal(struct cr_rng *r) {
    double u, v, s;
    do {
        u = 2 * cr_rng_uniform(r) - 1;
        v = 2 * cr_rng_uniform(r) - 1;
        s = u * u + v * v;
    } while (s >= 1 || s == 0);
    return u * sqrt(-2 * log(s) / s);
}
