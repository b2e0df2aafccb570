/* Flat pictures to PNG files, with bytes that are the same on every machine.
 *
 * cr_image_encode_png leaves the compressing to zlib, whose output changes with its version; here
 * libpng writes the chunks and the data are packed by our own code: deflate with fixed codes,
 * matching only the pixel before and the row above. Drawings come out small and fast, photographs
 * larger than they need be. */
#ifndef CR_IMAGE_ENCODE_FLAT_H
#define CR_IMAGE_ENCODE_FLAT_H

#include "image/image.h"

/* Appends a whole PNG file: 8-bit RGB, no interlacing, no filters.
 * Errors: CRITIC_BAD_DATA (empty or over 2^31-1 bytes of pixels), CRITIC_NO_MEMORY. */
enum critic_status cr_image_encode_flat(struct cr_buf *out, const struct cr_image *image,
                                        critic_error *err);

#endif
