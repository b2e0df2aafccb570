/* Pictures: bytes from outside to 8-bit RGB, and Pillow-exact resampling.
 *
 * JPEG, PNG and WebP, recognised by content and decoded by libjpeg-turbo, libpng and
 * libwebp to the pixels of Pillow's Image.open(f).convert("RGB"): alpha is discarded, not
 * composited; EXIF orientation, ICC, gAMA and tRNS are ignored; 16-bit gray is clipped to
 * 255 (not scaled), 16-bit colour keeps its high byte; gray of 1, 2 and 4 bits is scaled
 * to 0..255; of an animation only the first frame is read. Everything else is refused by
 * name. A picture that ends early is an error, never half a picture; so is a JPEG with
 * damage in its coded data, which Pillow would paint gray.
 *
 * Errors name their picture ("cat.jpg: ..."; a data: URL is called "data URL").
 * Threads: all functions may be called concurrently; resizing also splits its rows over
 * OpenMP threads, with the same bits for any number of them. */
#ifndef CR_IMAGE_IMAGE_H
#define CR_IMAGE_IMAGE_H

#include "base/bytes.h"

/* Owner. rgb is row-major, 3 bytes a pixel, no padding; malloc'ed. */
struct cr_image {
    unsigned char *rgb;
    size_t width, height;
};

/* Safe on a zeroed image; zeroes it. */
void cr_image_free(struct cr_image *image);

/* Checked before anything is allocated from the numbers in a file. */
struct cr_image_limits {
    size_t max_bytes; /* of the encoded file; of a data: URL after base64 decoding */
    size_t max_px;    /* width * height */
};

/* 64 MiB, and 178,956,970 pixels (512 MiB of RGB): where Pillow refuses a
 * "decompression bomb". */
void cr_image_limits_default(struct cr_image_limits *limits);

/* Decodes a whole file held in memory. `name` is what errors call it; limits NULL means
 * the defaults. Ownership: the caller frees *out; zeroed on failure.
 * Errors: CRITIC_BAD_DATA (damaged, over a limit), CRITIC_UNSUPPORTED (another format or
 * a variant that we do not read), CRITIC_NO_MEMORY. */
enum critic_status cr_image_decode(struct cr_image *out, struct cr_bytes file,
                                   const struct cr_image_limits *limits, const char *name,
                                   critic_error *err);

/* The same from `source`: a path, "-" (standard input) or a data: URL. A data: URL may
 * hold base64 or percent-encoded bytes; its media type is not trusted, the content decides.
 * Errors: also CRITIC_BAD_FILE (cannot be read). */
enum critic_status cr_image_load(struct cr_image *out, const char *source,
                                 const struct cr_image_limits *limits, critic_error *err);

/* The same where a relative path starts from `folder` ("": the current one). `source` need not be
 * terminated. Errors: also CRITIC_BAD_DATA for a zero byte in it. */
enum critic_status cr_image_load_in(struct cr_image *out, struct cr_str folder,
                                    struct cr_str source,
                                    const struct cr_image_limits *limits,
                                    critic_error *err);

/* Appends the picture as a JPEG file of this quality (1 to 100), colours at half resolution.
 * Errors: CRITIC_NO_MEMORY, CRITIC_BAD_DATA (no pixels, or more than JPEG holds). */
enum critic_status cr_image_encode_jpeg(struct cr_buf *out, const struct cr_image *image,
                                        int quality, critic_error *err);
/* Appends the picture as a PNG file; decoding it gives the same pixels.
 * Errors: CRITIC_NO_MEMORY, CRITIC_BAD_DATA (no pixels, or too many for PNG). */
enum critic_status cr_image_encode_png(struct cr_buf *out, const struct cr_image *image,
                                       critic_error *err);

/* Does source start with "data:" (in any case)? */
bool cr_is_data_url(struct cr_str source);
/* The bytes of a data: URL (RFC 2397; base64 as browsers forgive it: white space anywhere,
 * %-escapes, missing padding). `out` is initialised by the caller; its max is the limit.
 * Errors: CRITIC_BAD_DATA with the offset into the URL, CRITIC_NO_MEMORY. */
enum critic_status cr_data_url_decode(struct cr_buf *out, struct cr_str url,
                                      critic_error *err);

enum cr_filter { CR_BICUBIC, CR_BILINEAR };

/* Resamples to (height, width), both > 0, as Pillow 12's Image.resize, bit for bit:
 * separable, horizontal pass first (vertical first where a picture over 100 times as tall
 * as wide gets shorter, which Pillow 11 did not do), antialiased when shrinking (support grows with
 * the ratio), weights in 22-bit fixed point, 8-bit intermediate; a pass whose size does
 * not change is left out. CR_BICUBIC has a = -0.5.
 * Ownership: the caller frees *out; zeroed on failure. `in` may not be `out`.
 * Errors: CRITIC_NO_MEMORY; CRITIC_BAD_DATA for a zero or an absurd size.
 * Source: Pillow src/libImaging/Resample.c. */
enum critic_status cr_image_resize(struct cr_image *out, const struct cr_image *in,
                                   size_t width, size_t height, enum cr_filter filter,
                                   critic_error *err);

/* How 8-bit values become network input, per channel c:
 *   y = (f32(x * rescale) - mean[c]) / std[c]    the product in f64, the rest in f32 */
struct cr_normalize {
    double rescale; /* 1/255 */
    float mean[3], std[3];
};

/* table[c][x] = y, for all 256 values: (3, 256). */
void cr_normalize_table(float table[3][256], const struct cr_normalize *n);

#endif
