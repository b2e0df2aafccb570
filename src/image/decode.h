/* Inside src/image only: what the three decoders share. */
#ifndef CR_IMAGE_DECODE_H
#define CR_IMAGE_DECODE_H

#include "image/image.h"

/* One file to decode; everything borrowed. */
struct cr_decode_job {
    struct cr_bytes file;
    struct cr_image_limits limits;
    const char *name;
    critic_error *err;
};

/* Checks the size that a header states against the limits, then allocates *out (contents
 * undefined). */
enum critic_status cr_decode_alloc(struct cr_image *out, size_t width, size_t height,
                                   const struct cr_decode_job *job);

/* The file starts with the format's signature. *out is zeroed by the caller; on failure it
 * may hold an allocation, which the caller frees. */
enum critic_status cr_decode_jpeg(struct cr_image *out, const struct cr_decode_job *job);
enum critic_status cr_decode_png(struct cr_image *out, const struct cr_decode_job *job);
enum critic_status cr_decode_webp(struct cr_image *out, const struct cr_decode_job *job);

#endif
