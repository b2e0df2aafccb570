/* data: URLs (RFC 2397), read as the Fetch and Infra standards say browsers do: the part
 * after the comma is percent-decoded, then, if the header ends in ";base64", forgiving-base64
 * decoded (ASCII white space skipped, padding optional, spare bits ignored). A '#' ends
 * the data: what follows is the URL's fragment. */
#include "image/image.h"

#include <stdio.h>
#include <string.h>

static bool is_space(int c) {
    return c == ' ' || c == '\t' || c == '\n' || c == '\f' || c == '\r';
}

static bool equal_ignoring_case(const char *a, const char *lower, size_t len) {
    for (size_t i = 0; i < len; i++)
        if ((a[i] >= 'A' && a[i] <= 'Z' ? a[i] + ('a' - 'A') : a[i]) != lower[i])
            return false;
    return true;
}

bool cr_is_data_url(struct cr_str source) {
    return source.len >= 5 && equal_ignoring_case(source.data, "data:", 5);
}

/* Does the header (between "data:" and the comma) end in ";" spaces "base64" spaces? */
static bool says_base64(struct cr_str header) {
    while (header.len > 0 && is_space(header.data[header.len - 1]))
        header.len--;
    if (header.len < 6 || !equal_ignoring_case(header.data + header.len - 6, "base64", 6))
        return false;
    header.len -= 6;
    while (header.len > 0 && header.data[header.len - 1] == ' ')
        header.len--;
    return header.len > 0 && header.data[header.len - 1] == ';';
}

static int hex_digit(char c) {
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

static int base64_digit(int c) {
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    if (c == '+')
        return 62;
    return c == '/' ? 63 : -1;
}

/* The percent-decoded byte at url[*at], which advances past it. */
static unsigned char next_byte(struct cr_str url, size_t *at) {
    const char *s = url.data + *at;
    if (*s == '%' && url.len - *at >= 3 && hex_digit(s[1]) >= 0 && hex_digit(s[2]) >= 0) {
        *at += 3;
        return (unsigned char)(hex_digit(s[1]) << 4 | hex_digit(s[2]));
    }
    *at += 1;
    return (unsigned char)*s;
}

/* Decoded bytes on their way to the buffer, which says no at the caller's limit. */
struct sink {
    struct cr_buf *out;
    unsigned char block[3072];
    size_t n;
};

static enum critic_status flush(struct sink *s, critic_error *err) {
    if (s->n > s->out->max - s->out->len)
        return cr_fail(err, CRITIC_BAD_DATA, "data URL: more bytes than the limit of %zu",
                       s->out->max);
    enum critic_status status = cr_buf_append(s->out, s->block, s->n, err);
    s->n = 0;
    return status == CRITIC_OK ? status : cr_error_wrap(err, status, "data URL: ");
}

static enum critic_status put(struct sink *s, unsigned int byte, critic_error *err) {
    s->block[s->n++] = (unsigned char)byte;
    return s->n == sizeof s->block ? flush(s, err) : CRITIC_OK;
}

static enum critic_status decode_plain(struct sink *s, struct cr_str url, size_t at,
                                       critic_error *err) {
    while (at < url.len)
        CR_TRY(put(s, next_byte(url, &at), err));
    return flush(s, err);
}

static enum critic_status fail_digit(size_t at, unsigned char c, critic_error *err) {
    char shown[8];
    snprintf(shown, sizeof shown, c > ' ' && c < 0x7F ? "'%c'" : "0x%02X", c);
    return cr_fail(err, CRITIC_BAD_DATA, "data URL: byte %zu: %s is no base64 digit", at,
                   shown);
}

static enum critic_status decode_base64(struct sink *s, struct cr_str url, size_t at,
                                        critic_error *err) {
    unsigned int bits = 0;
    size_t n_digits = 0;
    size_t n_pad = 0;
    while (at < url.len) {
        size_t where = at;
        unsigned char c = next_byte(url, &at);
        if (is_space(c))
            continue;
        int digit = base64_digit(c);
        if (c == '=')
            n_pad++;
        if (c != '=' && (digit < 0 || n_pad > 0))
            return fail_digit(where, c, err);
        if (c == '=')
            continue;
        bits = bits << 6 | (unsigned int)digit;
        if (++n_digits % 4 == 0)
            for (int shift = 16; shift >= 0; shift -= 8)
                CR_TRY(put(s, bits >> shift & 0xFF, err));
    }
    size_t rest = n_digits % 4;
    if (rest == 1 || n_pad > 2 || (n_pad > 0 && (rest + n_pad) % 4 != 0))
        return cr_fail(err, CRITIC_BAD_DATA,
                       "data URL: the base64 text ends early or is padded wrongly: %zu "
                       "digits and %zu '='",
                       n_digits, n_pad);
    if (rest >= 2)
        CR_TRY(put(s, (rest == 2 ? bits >> 4 : bits >> 10) & 0xFF, err));
    if (rest == 3)
        CR_TRY(put(s, bits >> 2 & 0xFF, err));
    return flush(s, err);
}

enum critic_status cr_data_url_decode(struct cr_buf *out, struct cr_str url,
                                      critic_error *err) {
    struct sink s = {.out = out};
    cr_buf_clear(out);
    if (!cr_is_data_url(url))
        return cr_fail(err, CRITIC_BAD_DATA, "data URL: does not start with 'data:'");
    const char *comma = memchr(url.data, ',', url.len);
    if (!comma)
        return cr_fail(err, CRITIC_BAD_DATA,
                       "data URL: no comma; expected data:[type][;base64],DATA");
    const char *hash = memchr(url.data, '#', url.len);
    if (hash)
        url.len = (size_t)(hash - url.data);
    size_t at = (size_t)(comma - url.data) + 1;
    struct cr_str header = {url.data + 5, at - 6};
    if (hash && hash < comma)
        return cr_fail(err, CRITIC_BAD_DATA, "data URL: byte %zu: '#' before the comma",
                       url.len);
    return says_base64(header) ? decode_base64(&s, url, at, err)
                               : decode_plain(&s, url, at, err);
}
