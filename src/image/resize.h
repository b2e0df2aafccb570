/* Inside src/image only: resampling of a picture that lies on a larger canvas, without
 * the canvas. */
#ifndef CR_IMAGE_RESIZE_H
#define CR_IMAGE_RESIZE_H

#include "image/image.h"

/* A canvas of one colour with a picture pasted at (top, left), wholly inside. */
struct cr_canvas {
    const struct cr_image *image;
    size_t width, height, top, left;
    unsigned char color[3];
};

/* As cr_image_resize, of the whole canvas. */
enum critic_status cr_canvas_resize(struct cr_image *out, const struct cr_canvas *in,
                                    size_t width, size_t height, enum cr_filter filter,
                                    critic_error *err);

#endif
