/* SHA-256 (FIPS 180-4) for goldens that are stored as digests. Tests only. */
#ifndef CR_TESTS_T_DIGEST_H
#define CR_TESTS_T_DIGEST_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

/* clang-format off */
static const uint32_t t_sha256_k[64] = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2,
};
/* clang-format on */

static inline uint32_t t_sha256_rotate(uint32_t x, unsigned int n) {
    return x >> n | x << (32 - n);
}

/* One round; the caller turns the roles of the eight words instead of moving them. */
static inline void t_sha256_round(uint32_t s[8], size_t i, uint32_t w) {
    uint32_t a = s[(8 - i) & 7];
    uint32_t b = s[(9 - i) & 7];
    uint32_t c = s[(10 - i) & 7];
    uint32_t e = s[(12 - i) & 7];
    uint32_t sum1 =
        t_sha256_rotate(e, 6) ^ t_sha256_rotate(e, 11) ^ t_sha256_rotate(e, 25);
    uint32_t sum0 =
        t_sha256_rotate(a, 2) ^ t_sha256_rotate(a, 13) ^ t_sha256_rotate(a, 22);
    uint32_t t = s[(15 - i) & 7] + sum1 +
                 ((e & s[(13 - i) & 7]) ^ (~e & s[(14 - i) & 7])) + t_sha256_k[i] + w;
    s[(11 - i) & 7] += t;
    s[(15 - i) & 7] = t + sum0 + ((a & b) ^ (a & c) ^ (b & c));
}

static inline void t_sha256_block(uint32_t h[8], const unsigned char *p) {
    uint32_t w[64];
    uint32_t s[8];
    for (size_t i = 0; i < 16; i++)
        w[i] = (uint32_t)p[4 * i] << 24 | (uint32_t)p[4 * i + 1] << 16 |
               (uint32_t)p[4 * i + 2] << 8 | p[4 * i + 3];
    for (size_t i = 16; i < 64; i++) {
        uint32_t a = w[i - 15];
        uint32_t b = w[i - 2];
        w[i] = w[i - 16] + w[i - 7] +
               (t_sha256_rotate(a, 7) ^ t_sha256_rotate(a, 18) ^ a >> 3) +
               (t_sha256_rotate(b, 17) ^ t_sha256_rotate(b, 19) ^ b >> 10);
    }
    memcpy(s, h, sizeof s);
    for (size_t i = 0; i < 64; i += 8)
        for (size_t k = 0; k < 8; k++)
            t_sha256_round(s, i + k, w[i + k]);
    for (size_t i = 0; i < 8; i++)
        h[i] += s[i];
}

/* 64 lower-case digits and a terminating zero. */
static inline void t_sha256_hex(const void *data, size_t len, char hex[65]) {
    uint32_t h[8] = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
                     0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};
    const unsigned char *p = data;
    unsigned char tail[128] = {0};
    size_t rest = len % 64;
    size_t tail_len = rest < 56 ? 64 : 128;
    for (size_t i = 0; i + 64 <= len; i += 64)
        t_sha256_block(h, p + i);
    if (rest > 0)
        memcpy(tail, p + (len - rest), rest);
    tail[rest] = 0x80;
    for (size_t i = 0; i < 8; i++)
        tail[tail_len - 1 - i] = (unsigned char)((uint64_t)len * 8 >> 8 * i);
    for (size_t i = 0; i < tail_len; i += 64)
        t_sha256_block(h, tail + i);
    for (size_t i = 0; i < 8; i++)
        snprintf(hex + 8 * i, 9, "%08x", (unsigned int)h[i]);
}

#endif
