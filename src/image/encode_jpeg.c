/* JPEG out: noise for training pictures, as cameras and the web add it. */
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>

#include <jpeglib.h>

#include "base/checked.h"
#include "image/image.h"

struct writer {
    struct jpeg_error_mgr errors;
    jmp_buf jump;
};

/* Without it libjpeg would print and exit. */
_Noreturn static void on_error(j_common_ptr common) {
    struct writer *w = common->client_data;
    longjmp(w->jump, 1);
}

static void on_message(j_common_ptr common, int level) {
    (void)common;
    (void)level;
}

/* The whole file into *data, which libjpeg allocates. */
static bool compress(const struct cr_image *image, int quality, unsigned char **data,
                     unsigned long *len) {
    struct writer w;
    struct jpeg_compress_struct c;
    c.err = jpeg_std_error(&w.errors);
    w.errors.error_exit = on_error;
    w.errors.emit_message = on_message;
    c.client_data = &w;
    if (setjmp(w.jump)) {
        jpeg_destroy_compress(&c);
        return false;
    }
    jpeg_create_compress(&c);
    jpeg_mem_dest(&c, data, len);
    c.image_width = (JDIMENSION)image->width;
    c.image_height = (JDIMENSION)image->height;
    c.input_components = 3;
    c.in_color_space = JCS_RGB;
    jpeg_set_defaults(&c);
    jpeg_set_quality(&c, quality, TRUE);
    jpeg_start_compress(&c, TRUE);
    while (c.next_scanline < c.image_height) {
        JSAMPROW row = image->rgb + (size_t)c.next_scanline * image->width * 3;
        jpeg_write_scanlines(&c, &row, 1);
    }
    jpeg_finish_compress(&c);
    jpeg_destroy_compress(&c);
    return true;
}

enum critic_status cr_image_encode_jpeg(struct cr_buf *out, const struct cr_image *image,
                                        int quality, critic_error *err) {
    unsigned char *data = NULL;
    unsigned long len = 0;
    if (!image->width || !image->height || image->width > JPEG_MAX_DIMENSION ||
        image->height > JPEG_MAX_DIMENSION)
        return cr_fail(err, CRITIC_BAD_DATA,
                       "a picture of %zu x %zu pixels; JPEG holds 1 to %ld a side",
                       image->width, image->height, JPEG_MAX_DIMENSION);
    enum critic_status status =
        compress(image, quality, &data, &len)
            ? cr_buf_append(out, data, len, err)
            : cr_fail(err, CRITIC_NO_MEMORY, "out of memory for a JPEG");
    free(data);
    return status;
}
