/* PNG out, for pictures that were changed and have to go to an endpoint or into a report. */
#include <png.h>
#include <setjmp.h>

#include "base/checked.h"
#include "image/image.h"

struct target {
    struct cr_buf *out;
    critic_error *err;
    enum critic_status status;
};

static void on_write(png_structp png, png_bytep data, size_t len) {
    struct target *t = png_get_io_ptr(png);
    t->status = cr_buf_append(t->out, data, len, t->err);
    if (t->status != CRITIC_OK)
        png_error(png, "no room");
}

static void on_warning(png_structp png, png_const_charp what) {
    (void)png;
    (void)what;
}

/* Without it libpng would print before it jumps. */
static void on_error(png_structp png, png_const_charp what) {
    (void)what;
    png_longjmp(png, 1);
}

static void on_flush(png_structp png) {
    (void)png;
}

enum critic_status cr_image_encode_png(struct cr_buf *out, const struct cr_image *image,
                                       critic_error *err) {
    struct target target = {out, err, CRITIC_OK};
    png_structp png =
        png_create_write_struct(PNG_LIBPNG_VER_STRING, NULL, on_error, on_warning);
    png_infop info = png ? png_create_info_struct(png) : NULL;
    if (!info) {
        png_destroy_write_struct(&png, NULL);
        return cr_fail(err, CRITIC_NO_MEMORY, "no memory for a picture");
    }
    if (setjmp(png_jmpbuf(png))) {
        png_destroy_write_struct(&png, &info);
        return target.status != CRITIC_OK
                   ? target.status
                   : cr_fail(err, CRITIC_BAD_DATA,
                             "a picture of %zu by %zu cannot be PNG", image->width,
                             image->height);
    }
    png_set_write_fn(png, &target, on_write, on_flush);
    png_set_IHDR(png, info, (png_uint_32)CR_MIN(image->width, (size_t)UINT32_MAX),
                 (png_uint_32)CR_MIN(image->height, (size_t)UINT32_MAX), 8,
                 PNG_COLOR_TYPE_RGB, PNG_INTERLACE_NONE, PNG_COMPRESSION_TYPE_DEFAULT,
                 PNG_FILTER_TYPE_DEFAULT);
    png_set_compression_level(png, 3);
    png_write_info(png, info);
    for (size_t y = 0; y < image->height; y++)
        png_write_row(png, image->rgb + 3 * image->width * y);
    png_write_end(png, NULL);
    png_destroy_write_struct(&png, &info);
    return CRITIC_OK;
}
