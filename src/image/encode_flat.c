#include "image/encode_flat.h"

#include <setjmp.h>
#include <stdlib.h>
#include <string.h>

#include <png.h>

#include "base/checked.h"

enum { MIN_MATCH = 3, MAX_MATCH = 258, MAX_DISTANCE = 32768 };

/* ---- deflate (RFC 1951, one block of fixed codes) ------------------------------------------- */

struct bits {
    unsigned char *out;
    size_t n;
    uint64_t pending;
    unsigned n_pending;
};

static void put(struct bits *b, uint32_t value, unsigned n) {
    b->pending |= (uint64_t)value << b->n_pending;
    b->n_pending += n;
    while (b->n_pending >= 8) {
        b->out[b->n++] = (unsigned char)b->pending;
        b->pending >>= 8;
        b->n_pending -= 8;
    }
}

/* Huffman codes go in with their highest bit first. */
static void put_reversed(struct bits *b, uint32_t code, unsigned n) {
    uint32_t r = 0;
    for (unsigned i = 0; i < n; i++)
        r |= (code >> i & 1) << (n - 1 - i);
    put(b, r, n);
}

static void put_symbol(struct bits *b, unsigned s) {
    if (s < 144)
        put_reversed(b, 0x30 + s, 8);
    else if (s < 256)
        put_reversed(b, 0x190 + s - 144, 9);
    else if (s < 280)
        put_reversed(b, s - 256, 7);
    else
        put_reversed(b, 0xC0 + s - 280, 8);
}

static void put_match(struct bits *b, unsigned length, unsigned distance) {
    static const uint16_t length_base[29] = {3,  4,  5,  6,   7,   8,   9,   10,  11, 13,
                                             15, 17, 19, 23,  27,  31,  35,  43,  51, 59,
                                             67, 83, 99, 115, 131, 163, 195, 227, 258};
    static const uint8_t length_extra[29] = {0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2,
                                             2, 3, 3, 3, 3, 4, 4, 4, 4, 5, 5, 5, 5, 0};
    unsigned k = 28;
    while (length < length_base[k])
        k--;
    put_symbol(b, 257 + k);
    put(b, length - length_base[k], length_extra[k]);
    /* Distance code 2e + 2 + h has e extra bits behind 1h (e >= 1). */
    unsigned d = distance - 1;
    if (d < 4) {
        put_reversed(b, d, 5);
        return;
    }
    unsigned e = 0;
    while (d >> (e + 2) != 0)
        e++;
    unsigned high = d >> e & 1;
    put_reversed(b, 2 * e + 2 + high, 5);
    put(b, d & ((1u << e) - 1), e);
}

static size_t match_at(const unsigned char *p, size_t at, size_t len, size_t distance) {
    size_t n = 0, most = CR_MIN(len - at, (size_t)MAX_MATCH);
    if (distance > at)
        return 0;
    while (n < most && p[at + n] == p[at + n - distance])
        n++;
    return n;
}

static void deflate_fixed(struct bits *b, const unsigned char *p, size_t len,
                          size_t stride) {
    put(b, 1, 1); /* last block */
    put(b, 1, 2); /* fixed codes */
    for (size_t at = 0; at < len;) {
        size_t left = match_at(p, at, len, 3);
        size_t above =
            left < MAX_MATCH && stride <= MAX_DISTANCE ? match_at(p, at, len, stride) : 0;
        size_t best = CR_MAX(left, above);
        if (best < MIN_MATCH) {
            put_symbol(b, p[at++]);
            continue;
        }
        put_match(b, (unsigned)best, (unsigned)(above > left ? stride : 3));
        at += best;
    }
    put_symbol(b, 256);
    put(b, 0, 7); /* to a whole byte */
}

static uint32_t adler32_of(const unsigned char *p, size_t len) {
    uint32_t a = 1, b = 0;
    while (len > 0) {
        size_t n = CR_MIN(len, (size_t)5552); /* the most that cannot overflow */
        for (size_t i = 0; i < n; i++) {
            a += *p++;
            b += a;
        }
        a %= 65521;
        b %= 65521;
        len -= n;
    }
    return b << 16 | a;
}

static void store32(unsigned char *p, uint32_t x) {
    for (int i = 0; i < 4; i++)
        p[i] = (unsigned char)(x >> (24 - 8 * i));
}

/* ---- the file --------------------------------------------------------------------------------- */

struct writer {
    struct cr_buf *out;
    jmp_buf jump;
    enum critic_status status;
    critic_error *err;
};

_Noreturn static void on_error(png_structp png, png_const_charp text) {
    struct writer *w = png_get_error_ptr(png);
    if (w->status == CRITIC_OK)
        w->status = cr_fail(w->err, CRITIC_NO_MEMORY, "writing a PNG: %s", text);
    longjmp(w->jump, 1);
}

static void on_warning(png_structp png, png_const_charp text) {
    (void)png;
    (void)text;
}

static void on_write(png_structp png, png_bytep data, size_t len) {
    struct writer *w = png_get_io_ptr(png);
    w->status = cr_buf_append(w->out, data, len, w->err);
    if (w->status != CRITIC_OK)
        png_error(png, "out of memory");
}

static void on_flush(png_structp png) {
    (void)png;
}

static enum critic_status write_file(struct writer *w, const struct cr_image *image,
                                     const unsigned char *data, size_t len) {
    unsigned char header[13] = {0};
    store32(header, (uint32_t)image->width);
    store32(header + 4, (uint32_t)image->height);
    header[8] = 8; /* bits */
    header[9] = 2; /* RGB */
    png_structp png =
        png_create_write_struct(PNG_LIBPNG_VER_STRING, w, on_error, on_warning);
    if (!png)
        return cr_fail(w->err, CRITIC_NO_MEMORY, "no memory for a PNG");
    if (setjmp(w->jump) == 0) {
        png_set_write_fn(png, w, on_write, on_flush);
        png_write_sig(png);
        png_write_chunk(png, (png_const_bytep) "IHDR", header, sizeof header);
        png_write_chunk(png, (png_const_bytep) "IDAT", data, len);
        png_write_chunk(png, (png_const_bytep) "IEND", NULL, 0);
    }
    png_destroy_write_struct(&png, NULL);
    return w->status;
}

enum critic_status cr_image_encode_flat(struct cr_buf *out, const struct cr_image *image,
                                        critic_error *err) {
    size_t stride = image->width * 3 + 1, len, room;
    if (image->width == 0 || image->height == 0 || image->width > (1u << 24) ||
        !cr_mul_size(stride, image->height, &len) || len > INT32_MAX)
        return cr_fail(err, CRITIC_BAD_DATA, "a picture of %zu x %zu cannot be a PNG",
                       image->width, image->height);
    room = len + len / 7 + 64; /* a literal takes at most 9 bits */
    unsigned char *rows = malloc(len), *packed = malloc(room);
    enum critic_status status = CRITIC_NO_MEMORY;
    if (rows && packed) {
        for (size_t y = 0; y < image->height; y++) {
            rows[y * stride] = 0; /* no filter */
            memcpy(rows + y * stride + 1, image->rgb + y * (stride - 1), stride - 1);
        }
        struct bits b = {.out = packed, .n = 2};
        packed[0] = 0x78;
        packed[1] = 0x01;
        deflate_fixed(&b, rows, len, stride);
        store32(packed + b.n, adler32_of(rows, len));
        struct writer w = {.out = out, .err = err};
        status = write_file(&w, image, packed, b.n + 4);
    } else {
        cr_fail(err, CRITIC_NO_MEMORY, "no memory for a PNG of %zu x %zu", image->width,
                image->height);
    }
    free(rows);
    free(packed);
    return status;
}
