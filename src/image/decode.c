#include "image/decode.h"

#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "base/file.h"

void cr_image_free(struct cr_image *image) {
    free(image->rgb);
    memset(image, 0, sizeof *image);
}

void cr_image_limits_default(struct cr_image_limits *limits) {
    limits->max_bytes = (size_t)64 << 20;
    limits->max_px = 178956970;
}

enum critic_status cr_decode_alloc(struct cr_image *out, size_t width, size_t height,
                                   const struct cr_decode_job *job) {
    size_t px;
    size_t bytes;
    if (width == 0 || height == 0)
        return cr_fail(job->err, CRITIC_BAD_DATA,
                       "%s: the picture is empty: %zux%zu pixels", job->name, width,
                       height);
    if (!cr_mul_size(width, height, &px) || px > job->limits.max_px)
        return cr_fail(job->err, CRITIC_BAD_DATA,
                       "%s: %zux%zu pixels are over the limit of %zu", job->name, width,
                       height, job->limits.max_px);
    if (!cr_mul_size(px, 3, &bytes) || !(out->rgb = malloc(bytes)))
        return cr_fail(job->err, CRITIC_NO_MEMORY, "%s: out of memory for %zux%zu pixels",
                       job->name, width, height);
    out->width = width;
    out->height = height;
    return CRITIC_OK;
}

static bool has_at(struct cr_bytes b, size_t at, const void *magic, size_t len) {
    return b.len >= at + len && memcmp(b.data + at, magic, len) == 0;
}

static bool is_jpeg(struct cr_bytes b) {
    return has_at(b, 0, "\xFF\xD8\xFF", 3);
}

static bool is_png(struct cr_bytes b) {
    return has_at(b, 0, "\x89PNG\r\n\x1A\n", 8);
}

static bool is_webp(struct cr_bytes b) {
    return has_at(b, 0, "RIFF", 4) && has_at(b, 8, "WEBP", 4);
}

static const struct {
    size_t at;
    const char *magic;
    size_t len;
    const char *what;
} known_formats[] = {
    {0, "GIF8", 4, "a GIF picture"},
    {0, "BM", 2, "a BMP picture"},
    {0, "II*\0", 4, "a TIFF picture"},
    {0, "MM\0*", 4, "a TIFF picture"},
    {4, "ftypavif", 8, "an AVIF picture"},
    {4, "ftypavis", 8, "an AVIF picture"},
    {4, "ftyphei", 7, "a HEIC picture"},
    {4, "ftypmif1", 8, "a HEIF picture"},
    {4, "ftyp", 4, "an MP4 video"},
    {0, "\0\0\0\x0CjP  ", 8, "a JPEG 2000 picture"},
    {0, "\0\0\0\x0CJXL ", 8, "a JPEG XL picture"},
    {0, "\xFF\x0A", 2, "a JPEG XL picture"},
    {0, "\0\0\1\0", 4, "an icon (ICO)"},
    {0, "8BPS", 4, "a Photoshop document"},
    {0, "%PDF", 4, "a PDF document"},
    {0, "PK\3\4", 4, "a zip archive"},
    {0, "\x1F\x8B", 2, "a gzip archive"},
    {0,
     "\x7F"
     "ELF",
     4, "a program"},
    {0, "version https://git-lfs", 23, "a Git LFS pointer, not the file itself"},
    {0, "<svg", 4, "an SVG picture"},
    {0, "<?xml", 5, "an XML or SVG document"},
    {0, "<!DOCTYPE", 9, "an HTML page"},
    {0, "<html", 5, "an HTML page"},
    {0, "data:", 5, "the text of a data: URL"},
};

static bool is_text(struct cr_bytes b) {
    size_t len = CR_MIN(b.len, 512);
    for (size_t i = 0; i < len; i++)
        if ((b.data[i] < ' ' && !strchr("\t\n\f\r\x1B", b.data[i])) || b.data[i] == 0 ||
            b.data[i] == 0x7F)
            return false;
    /* A sequence that the cut at 512 bytes splits is still text. */
    size_t bad = cr_utf8_invalid_at((const char *)b.data, len);
    return bad == SIZE_MAX || (b.len > len && bad + 4 > len);
}

static enum critic_status fail_unknown(const struct cr_decode_job *job) {
    const char *what = is_text(job->file) ? "plain text" : "data of an unknown kind";
    for (size_t i = CR_COUNT(known_formats); i-- > 0;)
        if (has_at(job->file, known_formats[i].at, known_formats[i].magic,
                   known_formats[i].len))
            what = known_formats[i].what;
    return cr_fail(
        job->err, CRITIC_UNSUPPORTED,
        "%s: not a supported picture: the content looks like %s; supported are "
        "JPEG, PNG and WebP",
        job->name, what);
}

enum critic_status cr_image_decode(struct cr_image *out, struct cr_bytes file,
                                   const struct cr_image_limits *limits, const char *name,
                                   critic_error *err) {
    struct cr_decode_job job = {.file = file, .name = name, .err = err};
    memset(out, 0, sizeof *out);
    if (limits)
        job.limits = *limits;
    else
        cr_image_limits_default(&job.limits);
    if (file.len == 0)
        return cr_fail(err, CRITIC_BAD_DATA,
                       "%s: the file is empty; expected a JPEG, PNG or WebP picture",
                       name);
    if (file.len > job.limits.max_bytes)
        return cr_fail(err, CRITIC_BAD_DATA, "%s: %zu bytes are over the limit of %zu",
                       name, file.len, job.limits.max_bytes);
    enum critic_status status;
    if (is_jpeg(file))
        status = cr_decode_jpeg(out, &job);
    else if (is_png(file))
        status = cr_decode_png(out, &job);
    else if (is_webp(file))
        status = cr_decode_webp(out, &job);
    else
        status = fail_unknown(&job);
    if (status != CRITIC_OK)
        cr_image_free(out);
    return status;
}

enum critic_status cr_image_load(struct cr_image *out, const char *source,
                                 const struct cr_image_limits *limits,
                                 critic_error *err) {
    struct cr_image_limits defaults;
    struct cr_buf buf;
    const char *name = strcmp(source, "-") == 0 ? "standard input" : source;
    enum critic_status status;
    memset(out, 0, sizeof *out);
    if (!limits) {
        cr_image_limits_default(&defaults);
        limits = &defaults;
    }
    if (strncmp(source, "http://", 7) == 0 || strncmp(source, "https://", 8) == 0)
        return cr_fail(
            err, CRITIC_UNSUPPORTED,
            "%s: pictures are not fetched from the network; expected a file, '-' "
            "or a data: URL",
            source);
    if (cr_is_data_url(cr_str_of(source))) {
        name = "data URL";
        cr_buf_init(&buf, limits->max_bytes);
        status = cr_data_url_decode(&buf, cr_str_of(source), err);
    } else {
        cr_buf_init(&buf, limits->max_bytes);
        status = cr_file_read(source, &buf, err);
    }
    if (status == CRITIC_OK) {
        struct cr_bytes file = {(const unsigned char *)buf.data, buf.len};
        status = cr_image_decode(out, file, limits, name, err);
    }
    cr_buf_fini(&buf);
    return status;
}

enum critic_status cr_image_load_in(struct cr_image *out, struct cr_str folder,
                                    struct cr_str source,
                                    const struct cr_image_limits *limits,
                                    critic_error *err) {
    struct cr_buf path;
    bool relative = folder.len > 0 && !cr_is_data_url(source) &&
                    !(source.len > 0 && source.data[0] == '/') &&
                    !cr_str_eq_c(source, "-");
    memset(out, 0, sizeof *out);
    if (memchr(source.data, '\0', source.len))
        return cr_fail(err, CRITIC_BAD_DATA, "a picture's name holds a zero byte");
    cr_buf_init(&path, SIZE_MAX / 2);
    enum critic_status status = CRITIC_OK;
    if (relative)
        status = cr_buf_printf(&path, err, "%.*s/", (int)folder.len, folder.data);
    if (status == CRITIC_OK)
        status = cr_buf_append(&path, source.data, source.len, err);
    if (status == CRITIC_OK)
        status = cr_image_load(out, path.data ? path.data : "", limits, err);
    cr_buf_fini(&path);
    return status;
}
