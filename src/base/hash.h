/* Content hash of 128 bits: MurmurHash3_x64_128 (Appleby 2011) over a stream, the same on
 * every machine. It tells two files or templates apart; it is not a signature. */
#ifndef CR_BASE_HASH_H
#define CR_BASE_HASH_H

#include <stddef.h>
#include <stdint.h>

struct cr_hash {
    uint64_t h[2];
    uint64_t n_bytes;
    unsigned char tail[16];
    size_t n_tail;
};

#define CR_HASH_HEX 33 /* 32 hex digits and the terminating zero */

void cr_hash_init(struct cr_hash *h, uint64_t seed);
/* Any split of the same bytes gives the same hash. */
void cr_hash_update(struct cr_hash *h, const void *data, size_t len);
/* The hash of what came so far; h may go on being updated. */
void cr_hash_final(const struct cr_hash *h, uint64_t out[2]);
void cr_hash_hex(const struct cr_hash *h, char out[CR_HASH_HEX]);

#endif
