/* JPEG through libjpeg-turbo, set up as Pillow does: islow IDCT, fancy upsampling (the
 * library's defaults), colour space by the library's own guess; four components are
 * Adobe's inverted CMYK. Pillow feeds the library piecewise and calls a file truncated when
 * the decoder asks for more than there is; our source never has more, so asking is the
 * same fault. Damage in the entropy-coded data, which Pillow paints over, is an error. */
#include "image/decode.h"

#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jerror.h>
#include <jpeglib.h>

/* A progressive file may repeat scans at almost no cost in bytes; real encoders use about
 * ten. The bound is the one that libjpeg-turbo's own fuzzers use. */
#define MAX_SCANS 500

struct jpeg_reader {
    struct jpeg_error_mgr errors;
    struct jpeg_source_mgr source;
    struct jpeg_progress_mgr progress;
    struct jpeg_decompress_struct cinfo;
    jmp_buf jump;
    enum critic_status status;
    const struct cr_decode_job *job;
    unsigned char *cmyk; /* one row of four samples a pixel */
};

static size_t byte_position(const struct jpeg_reader *r) {
    return r->job->file.len - r->source.bytes_in_buffer;
}

static enum critic_status fail_truncated(const struct jpeg_reader *r, const char *where) {
    return cr_fail(r->job->err, CRITIC_BAD_DATA,
                   "%s: the JPEG ends early: %zu bytes, more expected %s", r->job->name,
                   r->job->file.len, where);
}

_Noreturn static void on_error(j_common_ptr common) {
    struct jpeg_reader *r = common->client_data;
    char text[JMSG_LENGTH_MAX];
    common->err->format_message(common, text);
    switch (common->err->msg_code) {
    case JERR_OUT_OF_MEMORY:
        r->status =
            cr_fail(r->job->err, CRITIC_NO_MEMORY, "%s: out of memory", r->job->name);
        break;
    case JERR_SOF_UNSUPPORTED:
    case JERR_BAD_PRECISION:
    case JERR_CONVERSION_NOTIMPL:
    case JERR_ARITH_NOTIMPL:
        r->status = cr_fail(r->job->err, CRITIC_UNSUPPORTED, "%s: unsupported JPEG: %s",
                            r->job->name, text);
        break;
    default:
        r->status = cr_fail(r->job->err, CRITIC_BAD_DATA,
                            "%s: damaged JPEG at byte %zu of %zu: %s", r->job->name,
                            byte_position(r), r->job->file.len, text);
    }
    longjmp(r->jump, 1);
}

static void on_message(j_common_ptr common, int level) {
    if (level >= 0)
        return;
    switch (common->err->msg_code) {
    case JWRN_HIT_MARKER:
    case JWRN_HUFF_BAD_CODE:
    case JWRN_MUST_RESYNC:
        on_error(common);
    default:
        break;
    }
}

static void on_progress(j_common_ptr common) {
    struct jpeg_reader *r = common->client_data;
    if (r->cinfo.input_scan_number > MAX_SCANS) {
        r->status = cr_fail(r->job->err, CRITIC_BAD_DATA,
                            "%s: JPEG of more than %d scans", r->job->name, MAX_SCANS);
        longjmp(r->jump, 1);
    }
}

static void nothing(j_decompress_ptr cinfo) {
    (void)cinfo;
}

static boolean no_more(j_decompress_ptr cinfo) {
    (void)cinfo;
    return FALSE;
}

static void skip(j_decompress_ptr cinfo, long n) {
    size_t have = cinfo->src->bytes_in_buffer;
    size_t step = n <= 0 ? 0 : (unsigned long)n < have ? (size_t)n : have;
    cinfo->src->next_input_byte += step;
    cinfo->src->bytes_in_buffer -= step;
}

static void set_up(struct jpeg_reader *r) {
    r->cinfo.err = jpeg_std_error(&r->errors);
    r->errors.error_exit = on_error;
    r->errors.emit_message = on_message;
    r->cinfo.client_data = r;
}

/* c = clip(nk - c * nk / 255), nk = 255 - K, on the inverted samples that Adobe stores.
 * Source: Pillow src/libImaging/Convert.c, cmyk2rgb. */
static void cmyk_to_rgb(unsigned char *rgb, const unsigned char *cmyk, size_t width) {
    for (size_t x = 0; x < width; x++) {
        int nk = cmyk[4 * x + 3];
        for (size_t c = 0; c < 3; c++) {
            int t = (255 - cmyk[4 * x + c]) * nk + 128;
            int ink = ((t >> 8) + t) >> 8;
            rgb[3 * x + c] = (unsigned char)(ink > nk ? 0 : nk - ink);
        }
    }
}

static enum critic_status choose_colors(struct jpeg_reader *r) {
    int n = r->cinfo.num_components;
    if (n != 1 && n != 3 && n != 4)
        return cr_fail(r->job->err, CRITIC_UNSUPPORTED,
                       "%s: unsupported JPEG: %d colour components; expected 1, 3 or 4",
                       r->job->name, n);
    r->cinfo.out_color_space = n == 4 ? JCS_CMYK : JCS_RGB;
    if (n != 4)
        return CRITIC_OK;
    r->cmyk = malloc(4 * (size_t)r->cinfo.image_width);
    if (!r->cmyk)
        return cr_fail(r->job->err, CRITIC_NO_MEMORY, "%s: out of memory", r->job->name);
    return CRITIC_OK;
}

static enum critic_status read_rows(struct cr_image *out, struct jpeg_reader *r) {
    for (size_t y = 0; y < out->height; y++) {
        unsigned char *rgb = out->rgb + y * 3 * out->width;
        JSAMPROW row = r->cmyk ? r->cmyk : rgb;
        if (jpeg_read_scanlines(&r->cinfo, &row, 1) != 1)
            return fail_truncated(r, "in the picture data");
        if (r->cmyk)
            cmyk_to_rgb(rgb, r->cmyk, out->width);
    }
    return CRITIC_OK;
}

/* Every call that may jump back. */
static enum critic_status decode(struct cr_image *out, struct jpeg_reader *r) {
    jpeg_create_decompress(&r->cinfo);
    r->source = (struct jpeg_source_mgr){
        .next_input_byte = r->job->file.data,
        .bytes_in_buffer = r->job->file.len,
        .init_source = nothing,
        .fill_input_buffer = no_more,
        .skip_input_data = skip,
        .resync_to_restart = jpeg_resync_to_restart,
        .term_source = nothing,
    };
    r->progress.progress_monitor = on_progress;
    r->cinfo.src = &r->source;
    r->cinfo.progress = &r->progress;
    if (jpeg_read_header(&r->cinfo, TRUE) != JPEG_HEADER_OK)
        return fail_truncated(r, "in the header");
    CR_TRY(choose_colors(r));
    CR_TRY(cr_decode_alloc(out, r->cinfo.image_width, r->cinfo.image_height, r->job));
    if (!jpeg_start_decompress(&r->cinfo))
        return fail_truncated(r, "in the picture data");
    CR_ASSERT(r->cinfo.output_width == out->width &&
              r->cinfo.output_height == out->height);
    return read_rows(out, r);
}

/* Apart from its caller, whose reader outlives the jump. */
static enum critic_status decode_guarded(struct cr_image *out, struct jpeg_reader *r) {
    if (setjmp(r->jump) != 0)
        return r->status;
    return decode(out, r);
}

enum critic_status cr_decode_jpeg(struct cr_image *out, const struct cr_decode_job *job) {
    struct jpeg_reader r;
    memset(&r, 0, sizeof r);
    r.job = job;
    set_up(&r);
    enum critic_status status = decode_guarded(out, &r);
    jpeg_destroy_decompress(&r.cinfo);
    free(r.cmyk);
    return status;
}
