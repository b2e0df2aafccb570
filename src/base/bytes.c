#define _GNU_SOURCE
#include "base/bytes.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/checked.h"

struct cr_str cr_str_of(const char *terminated) {
    return (struct cr_str){terminated, strlen(terminated)};
}

bool cr_str_eq(struct cr_str a, struct cr_str b) {
    return a.len == b.len && (a.len == 0 || memcmp(a.data, b.data, a.len) == 0);
}

bool cr_str_eq_c(struct cr_str a, const char *terminated) {
    return cr_str_eq(a, cr_str_of(terminated));
}

size_t cr_str_find(struct cr_str s, struct cr_str needle) {
    if (needle.len == 0)
        return 0;
    const char *hit = s.len ? memmem(s.data, s.len, needle.data, needle.len) : NULL;
    return hit ? (size_t)(hit - s.data) : SIZE_MAX;
}

char *cr_str_dup(struct cr_str s) {
    char *copy = malloc(s.len + 1);
    if (copy) {
        if (s.len)
            memcpy(copy, s.data, s.len);
        copy[s.len] = '\0';
    }
    return copy;
}

void cr_buf_init(struct cr_buf *b, size_t max_bytes) {
    *b = (struct cr_buf){.max = max_bytes};
}

void cr_buf_fini(struct cr_buf *b) {
    free(b->data);
    *b = (struct cr_buf){0};
}

void cr_buf_clear(struct cr_buf *b) {
    b->len = 0;
    if (b->data)
        b->data[0] = '\0';
}

/* Makes room for `more` bytes and the terminator. */
static enum critic_status reserve(struct cr_buf *b, size_t more, critic_error *err) {
    size_t need;
    if (!cr_add_size(b->len, more, &need) || need > b->max)
        return cr_fail(err, CRITIC_NO_MEMORY, "buffer limit of %zu bytes exceeded",
                       b->max);
    if (need < b->cap)
        return CRITIC_OK;
    size_t cap = CR_MAX(need + 1, b->cap + b->cap / 2);
    cap = CR_MAX(cap, 64);
    char *data = realloc(b->data, cap);
    if (!data)
        return cr_fail(err, CRITIC_NO_MEMORY, "out of memory for %zu bytes", cap);
    b->data = data;
    b->cap = cap;
    return CRITIC_OK;
}

enum critic_status cr_buf_append(struct cr_buf *b, const void *data, size_t len,
                                 critic_error *err) {
    CR_TRY(reserve(b, len, err));
    if (len)
        memcpy(b->data + b->len, data, len);
    b->len += len;
    b->data[b->len] = '\0';
    return CRITIC_OK;
}

enum critic_status cr_buf_append_c(struct cr_buf *b, const char *terminated,
                                   critic_error *err) {
    return cr_buf_append(b, terminated, strlen(terminated), err);
}

enum critic_status cr_buf_printf(struct cr_buf *b, critic_error *err, const char *fmt,
                                 ...) {
    va_list args;
    va_start(args, fmt);
    int n = vsnprintf(NULL, 0, fmt, args);
    va_end(args);
    CR_ASSERT(n >= 0);
    CR_TRY(reserve(b, (size_t)n, err));
    va_start(args, fmt);
    vsnprintf(b->data + b->len, (size_t)n + 1, fmt, args);
    va_end(args);
    b->len += (size_t)n;
    return CRITIC_OK;
}

struct cr_str cr_buf_str(const struct cr_buf *b) {
    return (struct cr_str){b->data ? b->data : "", b->len};
}

/* Bytes of the well-formed sequence at s, 0 where there is none (Unicode 15, table 3-7). */
static size_t utf8_sequence(const unsigned char *s, size_t len) {
    unsigned char c = s[0];
    if (c < 0x80)
        return 1;
    size_t n = c >= 0xF0 ? 4 : c >= 0xE0 ? 3 : 2;
    if (c < 0xC2 || c > 0xF4 || n > len)
        return 0;
    unsigned char low = c == 0xE0 ? 0xA0 : c == 0xF0 ? 0x90 : 0x80;
    unsigned char high = c == 0xED ? 0x9F : c == 0xF4 ? 0x8F : 0xBF;
    if (s[1] < low || s[1] > high)
        return 0;
    for (size_t i = 2; i < n; i++)
        if ((s[i] & 0xC0) != 0x80)
            return 0;
    return n;
}

size_t cr_utf8_invalid_at(const char *s, size_t len) {
    const unsigned char *u = (const unsigned char *)s;
    for (size_t i = 0; i < len;) {
        size_t n = utf8_sequence(u + i, len - i);
        if (n == 0)
            return i;
        i += n;
    }
    return SIZE_MAX;
}

size_t cr_utf8_decode(const char *s, size_t len, uint32_t *code_point) {
    const unsigned char *u = (const unsigned char *)s;
    size_t n = utf8_sequence(u, len);
    CR_ASSERT(n > 0);
    uint32_t c = n == 1 ? u[0] : (uint32_t)(u[0] & (0x7F >> n));
    for (size_t i = 1; i < n; i++)
        c = c << 6 | (u[i] & 0x3F);
    *code_point = c;
    return n;
}

size_t cr_utf8_encode(uint32_t c, char out[4]) {
    if (c < 0x80) {
        out[0] = (char)c;
        return 1;
    }
    size_t n = c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
    for (size_t i = n - 1; i > 0; i--, c >>= 6)
        out[i] = (char)(0x80 | (c & 0x3F));
    static const unsigned char lead[5] = {0, 0, 0xC0, 0xE0, 0xF0};
    out[0] = (char)(lead[n] | c);
    return n;
}
