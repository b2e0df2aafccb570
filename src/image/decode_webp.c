/* WebP through libwebp's one-shot decoder, which knows stills only. For an animation the
 * first frame is found here and put on a black canvas, as Pillow's animation decoder
 * shows it with alpha dropped.
 *
 *   "RIFF" size "WEBP" then chunks: tag[4] size[4, little endian] payload, padded to even
 *   "VP8X": flags[1] reserved[3] width-1[3] height-1[3]; flag 0x02 is animation
 *   "ANMF": x/2[3] y/2[3] width-1[3] height-1[3] duration[3] flags[1], then the frame's own
 *           chunks ("ALPH" and "VP8 ", or "VP8L"), which libwebp reads as they are */
#include "image/decode.h"

#include <string.h>

#include <webp/decode.h>

#define RIFF_HEADER  12
#define CHUNK_HEADER 8
#define VP8X_BYTES   10
#define ANMF_BYTES   16

static enum critic_status fail_webp(const struct cr_decode_job *job, VP8StatusCode code) {
    switch (code) {
    case VP8_STATUS_OUT_OF_MEMORY:
    case VP8_STATUS_INVALID_PARAM: /* our parameters are valid: a decoder was not made */
    case VP8_STATUS_USER_ABORT:    /* we abort nothing: a row buffer was not made */
        return cr_fail(job->err, CRITIC_NO_MEMORY, "%s: out of memory", job->name);
    case VP8_STATUS_NOT_ENOUGH_DATA:
    case VP8_STATUS_SUSPENDED:
        return cr_fail(job->err, CRITIC_BAD_DATA, "%s: the WebP ends early: %zu bytes",
                       job->name, job->file.len);
    case VP8_STATUS_UNSUPPORTED_FEATURE:
        return cr_fail(job->err, CRITIC_UNSUPPORTED, "%s: unsupported WebP", job->name);
    default:
        return cr_fail(job->err, CRITIC_BAD_DATA, "%s: damaged WebP: invalid bitstream",
                       job->name);
    }
}

/* Decodes a still into a window of *out that starts at pixel `at`. */
static enum critic_status decode_into(struct cr_image *out, size_t at,
                                      struct cr_bytes still, size_t width, size_t height,
                                      const struct cr_decode_job *job) {
    WebPDecoderConfig config;
    if (!WebPInitDecoderConfig(&config))
        return cr_fail(job->err, CRITIC_UNSUPPORTED, "libwebp differs from its headers");
    size_t stride = 3 * out->width;
    if (stride > INT32_MAX)
        return cr_fail(job->err, CRITIC_UNSUPPORTED, "%s: WebP rows of %zu bytes",
                       job->name, stride);
    config.output.colorspace = MODE_RGB;
    config.output.is_external_memory = 1;
    config.output.u.RGBA.rgba = out->rgb + 3 * at;
    config.output.u.RGBA.stride = (int)stride;
    config.output.u.RGBA.size = stride * (height - 1) + 3 * width;
    VP8StatusCode code = WebPDecode(still.data, still.len, &config);
    WebPFreeDecBuffer(&config.output);
    return code == VP8_STATUS_OK ? CRITIC_OK : fail_webp(job, code);
}

static size_t u24(const unsigned char *p) {
    return (size_t)p[0] | (size_t)p[1] << 8 | (size_t)p[2] << 16;
}

/* The payload of the first chunk called `tag` in a list of chunks; data NULL where there
 * is none or it is cut off. */
static struct cr_bytes find_chunk(struct cr_bytes list, const char tag[4]) {
    while (list.len >= CHUNK_HEADER) {
        size_t size = u24(list.data + 4) | (size_t)list.data[7] << 24;
        struct cr_bytes payload = {list.data + CHUNK_HEADER, list.len - CHUNK_HEADER};
        if (size > payload.len)
            break;
        if (memcmp(list.data, tag, 4) == 0)
            return (struct cr_bytes){payload.data, size};
        size_t step = size + (size & 1);
        if (step > payload.len)
            break;
        list = (struct cr_bytes){payload.data + step, payload.len - step};
    }
    return (struct cr_bytes){NULL, 0};
}

static enum critic_status decode_first_frame(struct cr_image *out,
                                             const struct cr_decode_job *job) {
    struct cr_bytes chunks = {job->file.data + RIFF_HEADER, job->file.len - RIFF_HEADER};
    struct cr_bytes canvas = find_chunk(chunks, "VP8X");
    struct cr_bytes frame = find_chunk(chunks, "ANMF");
    if (!canvas.data || canvas.len < VP8X_BYTES || !frame.data || frame.len < ANMF_BYTES)
        return cr_fail(job->err, CRITIC_BAD_DATA,
                       "%s: damaged WebP: an animation without a whole first frame",
                       job->name);
    size_t x = 2 * u24(frame.data);
    size_t y = 2 * u24(frame.data + 3);
    struct cr_bytes still = {frame.data + ANMF_BYTES, frame.len - ANMF_BYTES};
    WebPBitstreamFeatures features;
    VP8StatusCode code = WebPGetFeatures(still.data, still.len, &features);
    if (code != VP8_STATUS_OK)
        return fail_webp(job, code);
    size_t width = (size_t)features.width;
    size_t height = (size_t)features.height;
    CR_TRY(cr_decode_alloc(out, u24(canvas.data + 4) + 1, u24(canvas.data + 7) + 1, job));
    if (width != u24(frame.data + 6) + 1 || height != u24(frame.data + 9) + 1 ||
        x + width > out->width || y + height > out->height)
        return cr_fail(job->err, CRITIC_BAD_DATA,
                       "%s: damaged WebP: a frame of %zux%zu pixels at (%zu, %zu) on a "
                       "canvas of %zux%zu",
                       job->name, width, height, x, y, out->width, out->height);
    memset(out->rgb, 0, 3 * out->width * out->height);
    return decode_into(out, y * out->width + x, still, width, height, job);
}

enum critic_status cr_decode_webp(struct cr_image *out, const struct cr_decode_job *job) {
    WebPBitstreamFeatures features;
    VP8StatusCode code = WebPGetFeatures(job->file.data, job->file.len, &features);
    if (code != VP8_STATUS_OK)
        return fail_webp(job, code);
    if (features.has_animation)
        return decode_first_frame(out, job);
    size_t width = (size_t)features.width;
    size_t height = (size_t)features.height;
    CR_TRY(cr_decode_alloc(out, width, height, job));
    return decode_into(out, 0, job->file, width, height, job);
}
