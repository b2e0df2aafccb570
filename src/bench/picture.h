/* A picture to measure with, made on the spot. */
#ifndef CR_BENCH_PICTURE_H
#define CR_BENCH_PICTURE_H

#include "image/image.h"

/* Smooth shapes with some noise, which compress like a photograph.
 * Errors: CRITIC_NO_MEMORY. The caller frees *out. */
enum critic_status cr_bench_picture(struct cr_image *out, size_t width, size_t height,
                                    critic_error *err);
/* The same as a JPEG file of quality 90 in `file`, which the caller initialised. */
enum critic_status cr_bench_jpeg(struct cr_buf *file, const struct cr_image *image,
                                 critic_error *err);

#endif
