/* PNG through libpng, to Pillow's pixels: 16-bit gray clipped to 255, other 16-bit samples
 * cut to their high byte, gray of 1, 2 and 4 bits scaled, palette looked up (entries that
 * the file leaves out are black), alpha and tRNS dropped, colour management ignored. The
 * bytes after the last row are not looked at, so a lost IEND is no fault. */
#include "image/decode.h"

#include <setjmp.h>
#include <stdlib.h>
#include <string.h>

#include <png.h>

#include "base/checked.h"

struct png_reader {
    png_structp png;
    png_infop info;
    jmp_buf jump;
    enum critic_status status;
    bool out_of_memory;
    size_t at; /* bytes consumed */
    const struct cr_decode_job *job;
    png_bytep *rows;
    unsigned char palette[256][3];
    int color_type;
    int bit_depth; /* of the file */
};

_Noreturn static void on_error(png_structp png, png_const_charp text) {
    struct png_reader *r = png_get_error_ptr(png);
    if (r->out_of_memory)
        r->status =
            cr_fail(r->job->err, CRITIC_NO_MEMORY, "%s: out of memory", r->job->name);
    else if (r->status == CRITIC_OK)
        r->status = cr_fail(r->job->err, CRITIC_BAD_DATA,
                            "%s: damaged PNG at byte %zu of %zu: %s", r->job->name, r->at,
                            r->job->file.len, text);
    longjmp(r->jump, 1);
}

static void on_warning(png_structp png, png_const_charp text) {
    (void)png;
    (void)text;
}

static png_voidp on_malloc(png_structp png, png_alloc_size_t bytes) {
    struct png_reader *r = png_get_mem_ptr(png);
    void *block = malloc(bytes);
    if (!block)
        r->out_of_memory = true;
    return block;
}

static void on_free(png_structp png, png_voidp block) {
    (void)png;
    free(block);
}

static void on_read(png_structp png, png_bytep data, size_t len) {
    struct png_reader *r = png_get_io_ptr(png);
    if (len > r->job->file.len - r->at) {
        r->status = cr_fail(
            r->job->err, CRITIC_BAD_DATA,
            "%s: the PNG ends early: %zu bytes, %zu more expected at byte %zu",
            r->job->name, r->job->file.len, len - (r->job->file.len - r->at), r->at);
        png_error(png, "truncated");
    }
    memcpy(data, r->job->file.data + r->at, len);
    r->at += len;
}

static void read_palette(struct png_reader *r) {
    png_colorp colors = NULL;
    int n = 0;
    if (png_get_PLTE(r->png, r->info, &colors, &n) == 0)
        png_error(r->png, "no palette");
    for (int i = 0; i < n && i < 256; i++) {
        r->palette[i][0] = colors[i].red;
        r->palette[i][1] = colors[i].green;
        r->palette[i][2] = colors[i].blue;
    }
}

/* Leaves at most three bytes a pixel: RGB, two-byte gray, one-byte gray, palette index. */
static void choose_transforms(struct png_reader *r) {
    r->color_type = png_get_color_type(r->png, r->info);
    r->bit_depth = png_get_bit_depth(r->png, r->info);
    if (r->color_type == PNG_COLOR_TYPE_PALETTE)
        read_palette(r);
    if (r->bit_depth < 8)
        png_set_packing(r->png);
    if (r->bit_depth == 16 && r->color_type != PNG_COLOR_TYPE_GRAY)
        png_set_strip_16(r->png);
    if (r->color_type & PNG_COLOR_MASK_ALPHA)
        png_set_strip_alpha(r->png);
    png_set_interlace_handling(r->png);
    png_read_update_info(r->png, r->info);
}

/* Widens a decoded row to RGB where it lies: from the back, so that nothing is overwritten
 * before it is read. */
static void expand_row(unsigned char *row, size_t width, const struct png_reader *r) {
    bool palette = r->color_type == PNG_COLOR_TYPE_PALETTE;
    bool wide = r->color_type == PNG_COLOR_TYPE_GRAY && r->bit_depth == 16;
    unsigned int scale = r->bit_depth < 8 ? 255u / ((1u << r->bit_depth) - 1u) : 1u;
    for (size_t x = width; x-- > 0;) {
        unsigned char *rgb = row + 3 * x;
        if (palette) {
            memcpy(rgb, r->palette[row[x]], 3);
            continue;
        }
        unsigned char gray = (unsigned char)(row[x] * scale);
        if (wide)
            gray = row[2 * x] ? 255 : row[2 * x + 1];
        memset(rgb, gray, 3);
    }
}

static enum critic_status read_rows(struct cr_image *out, struct png_reader *r) {
    size_t n = 0;
    if (cr_mul_size(out->height, sizeof *r->rows, &n))
        r->rows = malloc(n);
    if (!r->rows)
        return cr_fail(r->job->err, CRITIC_NO_MEMORY, "%s: out of memory", r->job->name);
    for (size_t y = 0; y < out->height; y++)
        r->rows[y] = out->rgb + y * 3 * out->width;
    CR_ASSERT(png_get_rowbytes(r->png, r->info) <= 3 * out->width);
    png_read_image(r->png, r->rows);
    if (!(r->color_type & PNG_COLOR_MASK_COLOR) ||
        r->color_type == PNG_COLOR_TYPE_PALETTE)
        for (size_t y = 0; y < out->height; y++)
            expand_row(r->rows[y], out->width, r);
    return CRITIC_OK;
}

/* Every call that may jump back. */
static enum critic_status decode(struct cr_image *out, struct png_reader *r) {
    r->info = png_create_info_struct(r->png);
    if (!r->info)
        return cr_fail(r->job->err, CRITIC_NO_MEMORY, "%s: out of memory", r->job->name);
    png_set_read_fn(r->png, r, on_read);
    /* The limit on pixels is ours; text, profiles and the like are skipped unread. */
    png_set_user_limits(r->png, PNG_UINT_31_MAX, PNG_UINT_31_MAX);
    png_set_keep_unknown_chunks(r->png, PNG_HANDLE_CHUNK_NEVER, NULL, -1);
    png_read_info(r->png, r->info);
    CR_TRY(cr_decode_alloc(out, png_get_image_width(r->png, r->info),
                           png_get_image_height(r->png, r->info), r->job));
    choose_transforms(r);
    return read_rows(out, r);
}

/* Apart from its caller, whose reader outlives the jump. */
static enum critic_status decode_guarded(struct cr_image *out, struct png_reader *r) {
    if (setjmp(r->jump) != 0)
        return r->status;
    r->png = png_create_read_struct_2(PNG_LIBPNG_VER_STRING, r, on_error, on_warning, r,
                                      on_malloc, on_free);
    if (!r->png)
        return cr_fail(r->job->err, CRITIC_NO_MEMORY, "%s: out of memory", r->job->name);
    return decode(out, r);
}

enum critic_status cr_decode_png(struct cr_image *out, const struct cr_decode_job *job) {
    struct png_reader r;
    memset(&r, 0, sizeof r);
    r.job = job;
    enum critic_status status = decode_guarded(out, &r);
    if (r.png)
        png_destroy_read_struct(&r.png, &r.info, NULL);
    free(r.rows);
    return status;
}
