#include "base/hash.h"

#include <string.h>

#define C1 UINT64_C(0x87c37b91114253d5)
#define C2 UINT64_C(0x4cf5ad432745937f)

static uint64_t rotate(uint64_t x, int n) {
    return (x << n) | (x >> (64 - n));
}

static uint64_t load(const unsigned char *p) {
    uint64_t x = 0;
    for (int i = 7; i >= 0; i--)
        x = (x << 8) | p[i];
    return x;
}

static uint64_t mix1(uint64_t k) {
    return rotate(k * C1, 31) * C2;
}

static uint64_t mix2(uint64_t k) {
    return rotate(k * C2, 33) * C1;
}

static uint64_t finish(uint64_t k) {
    k ^= k >> 33;
    k *= UINT64_C(0xff51afd7ed558ccd);
    k ^= k >> 33;
    k *= UINT64_C(0xc4ceb9fe1a85ec53);
    return k ^ (k >> 33);
}

static void block(uint64_t h[2], const unsigned char *p) {
    h[0] ^= mix1(load(p));
    h[0] = (rotate(h[0], 27) + h[1]) * 5 + 0x52dce729;
    h[1] ^= mix2(load(p + 8));
    h[1] = (rotate(h[1], 31) + h[0]) * 5 + 0x38495ab5;
}

void cr_hash_init(struct cr_hash *h, uint64_t seed) {
    memset(h, 0, sizeof *h);
    h->h[0] = seed;
    h->h[1] = seed;
}

void cr_hash_update(struct cr_hash *h, const void *data, size_t len) {
    const unsigned char *p = data;
    if (len == 0)
        return;
    h->n_bytes += len;
    if (h->n_tail > 0) {
        size_t n = sizeof h->tail - h->n_tail;
        n = n < len ? n : len;
        memcpy(h->tail + h->n_tail, p, n);
        h->n_tail += n;
        p += n;
        len -= n;
        if (h->n_tail < sizeof h->tail)
            return;
        block(h->h, h->tail);
        h->n_tail = 0;
    }
    for (; len >= 16; p += 16, len -= 16)
        block(h->h, p);
    if (len > 0) {
        memcpy(h->tail, p, len);
        h->n_tail = len;
    }
}

void cr_hash_final(const struct cr_hash *h, uint64_t out[2]) {
    unsigned char last[16] = {0};
    uint64_t a = h->h[0];
    uint64_t b = h->h[1];
    if (h->n_tail > 0) { /* zero bytes past the tail mix to zero, as in the original */
        memcpy(last, h->tail, h->n_tail);
        a ^= mix1(load(last));
        b ^= mix2(load(last + 8));
    }
    a ^= h->n_bytes;
    b ^= h->n_bytes;
    a += b;
    b += a;
    a = finish(a);
    b = finish(b);
    out[0] = a + b;
    out[1] = b + out[0];
}

void cr_hash_hex(const struct cr_hash *h, char out[CR_HASH_HEX]) {
    static const char digits[] = "0123456789abcdef";
    uint64_t value[2];
    cr_hash_final(h, value);
    for (int i = 0; i < 32; i++)
        out[i] = digits[(value[i / 16] >> (60 - 4 * (i % 16))) & 15];
    out[32] = '\0';
}
