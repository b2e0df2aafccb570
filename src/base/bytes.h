/* Borrowed slices, and growable buffers that state their maximum at birth. */
#ifndef CR_BASE_BYTES_H
#define CR_BASE_BYTES_H

#include <stdarg.h>

#include "base/error.h"

/* Borrowed bytes; not terminated. */
struct cr_bytes {
    const unsigned char *data;
    size_t len;
};

/* Borrowed UTF-8 text; not terminated unless said so. */
struct cr_str {
    const char *data;
    size_t len;
};

struct cr_str cr_str_of(const char *terminated);
bool cr_str_eq(struct cr_str a, struct cr_str b);
bool cr_str_eq_c(struct cr_str a, const char *terminated);
/* Offset of the first needle in s, SIZE_MAX where there is none; an empty needle is found at 0. */
size_t cr_str_find(struct cr_str s, struct cr_str needle);
/* A malloc'ed terminated copy, NULL when memory is out. */
char *cr_str_dup(struct cr_str s);

/* Growable bytes; data[len] is always 0 once anything was appended, so text can be
 * printed. Appending past `max`, or when memory is out, fails and changes nothing. */
struct cr_buf {
    char *data;
    size_t len;
    size_t cap;
    size_t max;
};

void cr_buf_init(struct cr_buf *b, size_t max_bytes);
void cr_buf_fini(struct cr_buf *b);
void cr_buf_clear(struct cr_buf *b);
enum critic_status cr_buf_append(struct cr_buf *b, const void *data, size_t len,
                                 critic_error *err);
enum critic_status cr_buf_append_c(struct cr_buf *b, const char *terminated,
                                   critic_error *err);
enum critic_status cr_buf_printf(struct cr_buf *b, critic_error *err, const char *fmt,
                                 ...) CR_PRINTF(3, 4);
struct cr_str cr_buf_str(const struct cr_buf *b);

/* The first byte offset at which s is not valid UTF-8 (surrogates and overlong forms are
 * not valid), or SIZE_MAX where all of it is. */
size_t cr_utf8_invalid_at(const char *s, size_t len);
/* Decodes one code point at s (len > 0, valid UTF-8); returns its bytes. */
size_t cr_utf8_decode(const char *s, size_t len, uint32_t *code_point);
/* Writes 1 to 4 bytes; returns how many. */
size_t cr_utf8_encode(uint32_t code_point, char out[4]);

#endif
