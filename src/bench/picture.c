#include "bench/picture.h"

#include <math.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>

#include <jpeglib.h>

#include "base/rng.h"

enum critic_status cr_bench_picture(struct cr_image *out, size_t width, size_t height,
                                    critic_error *err) {
    struct cr_rng rng;
    *out = (struct cr_image){malloc(3 * width * height), width, height};
    if (!out->rgb)
        return cr_fail(err, CRITIC_NO_MEMORY, "out of memory for a picture");
    cr_rng_seed(&rng, 7);
    for (size_t y = 0; y < height; y++)
        for (size_t x = 0; x < width; x++)
            for (size_t c = 0; c < 3; c++) {
                double phase = (double)(x * (c + 1)) / 37 + (double)y / 53;
                double value = 128 + 90 * sin(phase) * cos((double)(x + 2 * y) / 71) +
                               (double)cr_rng_below(&rng, 17);
                out->rgb[3 * (y * width + x) + c] = (unsigned char)value;
            }
    return CRITIC_OK;
}

struct writer {
    struct jpeg_error_mgr errors;
    struct jpeg_compress_struct cinfo;
    jmp_buf jump;
    unsigned char *data; /* the library's own malloc'ed buffer */
    unsigned long len;
};

_Noreturn static void on_error(j_common_ptr common) {
    struct writer *w = common->client_data;
    longjmp(w->jump, 1);
}

static void write_rows(struct writer *w, const struct cr_image *image) {
    jpeg_create_compress(&w->cinfo);
    jpeg_mem_dest(&w->cinfo, &w->data, &w->len);
    w->cinfo.image_width = (JDIMENSION)image->width;
    w->cinfo.image_height = (JDIMENSION)image->height;
    w->cinfo.input_components = 3;
    w->cinfo.in_color_space = JCS_RGB;
    jpeg_set_defaults(&w->cinfo);
    jpeg_set_quality(&w->cinfo, 90, TRUE);
    jpeg_start_compress(&w->cinfo, TRUE);
    while (w->cinfo.next_scanline < w->cinfo.image_height) {
        JSAMPROW row = image->rgb + (size_t)w->cinfo.next_scanline * 3 * image->width;
        jpeg_write_scanlines(&w->cinfo, &row, 1);
    }
    jpeg_finish_compress(&w->cinfo);
}

enum critic_status cr_bench_jpeg(struct cr_buf *file, const struct cr_image *image,
                                 critic_error *err) {
    struct writer *w = calloc(1, sizeof *w);
    if (!w)
        return cr_fail(err, CRITIC_NO_MEMORY, "out of memory for a picture");
    w->cinfo.err = jpeg_std_error(&w->errors);
    w->errors.error_exit = on_error;
    w->cinfo.client_data = w;
    enum critic_status status;
    if (setjmp(w->jump) == 0) {
        write_rows(w, image);
        status = cr_buf_append(file, w->data, w->len, err);
    } else {
        status = cr_fail(err, CRITIC_NO_MEMORY, "libjpeg cannot write a picture");
    }
    jpeg_destroy_compress(&w->cinfo);
    free(w->data);
    free(w);
    return status;
}
