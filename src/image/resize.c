/* Two passes, horizontal then vertical (but see vertical_first), each a sum of weighted neighbours in 22-bit fixed
 * point. Weights are made for a block of output columns or rows at a time: extreme
 * shapes (one row of 10^8 pixels) would otherwise need more memory for weights than for
 * the picture. Rows are split over threads; no sum is. */
#include "image/resize.h"

#include <limits.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <omp.h>

#include "base/checked.h"

/* 8 bits of result, 2 bits of head room for overshoot, the rest of 32 for the fraction. */
#define PRECISION_BITS 22
#define HALF           (1 << (PRECISION_BITS - 1))
/* Weights held at once, at least one output's worth. */
#define MAX_WEIGHTS ((size_t)1 << 20)
/* Bytes of a row that the vertical pass sums at a time: the sums stay in cache. */
#define STRIP 768

static double bicubic(double x) {
    const double a = -0.5;
    x = fabs(x);
    if (x < 1.0)
        return ((a + 2.0) * x - (a + 3.0)) * x * x + 1;
    if (x < 2.0)
        return (((x - 5) * x + 8) * x - 4) * a;
    return 0.0;
}

static double bilinear(double x) {
    x = fabs(x);
    return x < 1.0 ? 1.0 - x : 0.0;
}

/* One axis from n_in to n_out samples. */
struct axis {
    double (*filter)(double);
    double scale, filter_scale, support;
    size_t n_in, n_out;
    size_t max_taps;   /* of one output */
    size_t block_len;  /* outputs whose weights are held at once */
    size_t block_at;   /* first output of the block that is held */
    size_t *first;     /* (block_len): first input of each output */
    size_t *n_taps;    /* (block_len) */
    int32_t *weights;  /* (block_len, max_taps), fixed point */
    double *unrounded; /* (max_taps) */
};

static void axis_fini(struct axis *a) {
    free(a->first);
    free(a->n_taps);
    free(a->weights);
    free(a->unrounded);
    memset(a, 0, sizeof *a);
}

static enum critic_status axis_init(struct axis *a, size_t n_in, size_t n_out,
                                    enum cr_filter filter, critic_error *err) {
    memset(a, 0, sizeof *a);
    a->n_in = n_in;
    a->n_out = n_out;
    a->filter = filter == CR_BICUBIC ? bicubic : bilinear;
    /* Pillow keeps the source box in single precision. */
    a->scale = (double)(float)n_in / (double)n_out;
    a->filter_scale = a->scale < 1.0 ? 1.0 : a->scale;
    a->support = (filter == CR_BICUBIC ? 2.0 : 1.0) * a->filter_scale;
    a->max_taps = CR_MIN((size_t)ceil(a->support) * 2 + 1, n_in);
    a->block_len = CR_MAX(CR_MIN(MAX_WEIGHTS / a->max_taps, n_out), 1);
    a->first = calloc(a->block_len, sizeof *a->first);
    a->n_taps = calloc(a->block_len, sizeof *a->n_taps);
    a->weights = calloc(a->block_len * a->max_taps, sizeof *a->weights);
    a->unrounded = calloc(a->max_taps, sizeof *a->unrounded);
    if (a->first && a->n_taps && a->weights && a->unrounded)
        return CRITIC_OK;
    axis_fini(a);
    return cr_fail(err, CRITIC_NO_MEMORY, "out of memory for resampling weights");
}

/* The weights of output o, in double and normalised, then in fixed point. */
static void axis_output(struct axis *a, size_t o, size_t slot) {
    double center = ((double)o + 0.5) * a->scale;
    double inverse = 1.0 / a->filter_scale;
    double sum = 0.0;
    double low = trunc(center - a->support + 0.5);
    double high = trunc(center + a->support + 0.5);
    size_t first = low < 0.0 ? 0 : (size_t)low;
    size_t end = high > (double)a->n_in ? a->n_in : (size_t)high;
    first = CR_MIN(first, end);
    CR_ASSERT(end - first <= a->max_taps);
    for (size_t i = first; i < end; i++) {
        double w = a->filter(((double)i - center + 0.5) * inverse);
        a->unrounded[i - first] = w;
        sum += w;
    }
    a->first[slot] = first;
    a->n_taps[slot] = end - first;
    for (size_t i = 0; i < end - first; i++) {
        double w = sum != 0.0 ? a->unrounded[i] / sum : a->unrounded[i];
        double fixed = w * (1 << PRECISION_BITS);
        a->weights[slot * a->max_taps + i] = (int32_t)(w < 0 ? fixed - 0.5 : fixed + 0.5);
    }
}

/* Prepares the outputs [at, at + the return value). */
static size_t axis_block(struct axis *a, size_t at) {
    size_t n = CR_MIN(a->block_len, a->n_out - at);
    a->block_at = at;
    for (size_t i = 0; i < n; i++)
        axis_output(a, at + i, i);
    return n;
}

static unsigned char clip(int32_t sum) {
    int32_t value = sum >> PRECISION_BITS;
    return (unsigned char)(value < 0 ? 0 : value > 255 ? 255 : value);
}

/* out row (n pixels from the block's first output on) from one canvas row. */
static void resample_row(unsigned char *out, const unsigned char *in,
                         const struct axis *a, size_t n) {
    for (size_t o = 0; o < n; o++) {
        const int32_t *w = a->weights + o * a->max_taps;
        const unsigned char *p = in + 3 * a->first[o];
        size_t n_taps = a->n_taps[o];
        int32_t red = HALF;
        int32_t green = HALF;
        int32_t blue = HALF;
        for (size_t i = 0; i < n_taps; i++) {
            red += p[3 * i] * w[i];
            green += p[3 * i + 1] * w[i];
            blue += p[3 * i + 2] * w[i];
        }
        out[3 * o] = clip(red);
        out[3 * o + 1] = clip(green);
        out[3 * o + 2] = clip(blue);
    }
}

static void fill_color(unsigned char *rgb, size_t n_px, const unsigned char color[3]) {
    for (size_t i = 0; i < n_px; i++)
        memcpy(rgb + 3 * i, color, 3);
}

/* Row y of the canvas: where it is no stored row it is put together in `line`, which holds
 * the colour outside the picture's columns at entry and at exit. */
static const unsigned char *canvas_row(const struct cr_canvas *in, size_t y,
                                       unsigned char *line) {
    const struct cr_image *image = in->image;
    bool inside = y >= in->top && y - in->top < image->height;
    const unsigned char *row =
        inside ? image->rgb + (y - in->top) * 3 * image->width : NULL;
    if (inside && image->width == in->width)
        return row;
    if (inside)
        memcpy(line + 3 * in->left, row, 3 * image->width);
    else
        fill_color(line + 3 * in->left, image->width, in->color);
    return line;
}

/* One line of canvas a thread, filled with its colour; NULL where every canvas row is a
 * picture row. */
static enum critic_status make_lines(unsigned char **lines, const struct cr_canvas *in,
                                     size_t n_threads, critic_error *err) {
    *lines = NULL;
    if (in->image->width == in->width && in->image->height == in->height)
        return CRITIC_OK;
    *lines = malloc(3 * in->width * n_threads);
    if (!*lines)
        return cr_fail(err, CRITIC_NO_MEMORY, "out of memory for a row of %zu pixels",
                       in->width);
    fill_color(*lines, in->width * n_threads, in->color);
    return CRITIC_OK;
}

/* Canvas rows to (in->height, width); a copy where the width does not change. */
static enum critic_status horizontal_pass(struct cr_image *out,
                                          const struct cr_canvas *in, size_t width,
                                          enum cr_filter filter, critic_error *err) {
    struct axis a = {0};
    bool copies = width == in->width;
    int n_threads = omp_get_max_threads();
    unsigned char *lines;
    enum critic_status status = CRITIC_OK;
    CR_TRY(make_lines(&lines, in, (size_t)n_threads, err));
    if (!copies)
        CR_TRY_GOTO(axis_init(&a, in->width, width, filter, err));
    for (size_t at = 0; at < width;) {
        size_t n = copies ? width : axis_block(&a, at);
#pragma omp parallel for num_threads(n_threads) schedule(static)
        for (size_t y = 0; y < in->height; y++) {
            size_t thread = (size_t)omp_get_thread_num();
            unsigned char *line = lines ? lines + thread * 3 * in->width : NULL;
            const unsigned char *row = canvas_row(in, y, line);
            unsigned char *to = out->rgb + 3 * (y * width + at);
            if (copies)
                memcpy(to, row, 3 * width);
            else
                resample_row(to, row, &a, n);
        }
        at += n;
    }
fail:
    axis_fini(&a);
    free(lines);
    return status;
}

/* Bytes [at, at + n) of one output row: the sums of a strip of columns. */
static void resample_strip(unsigned char *out, const unsigned char *in, size_t row_bytes,
                           const int32_t *weights, size_t n_taps, size_t n) {
    int32_t sums[STRIP];
    for (size_t i = 0; i < n; i++)
        sums[i] = HALF;
    for (size_t t = 0; t < n_taps; t++) {
        const unsigned char *row = in + t * row_bytes;
        int32_t w = weights[t];
#pragma omp simd
        for (size_t i = 0; i < n; i++)
            sums[i] += row[i] * w;
    }
    for (size_t i = 0; i < n; i++)
        out[i] = clip(sums[i]);
}

/* (n_in, width) to (height, width). */
static enum critic_status vertical_pass(struct cr_image *out, const struct cr_image *in,
                                        enum cr_filter filter, critic_error *err) {
    struct axis a;
    size_t row_bytes = 3 * in->width;
    CR_TRY(axis_init(&a, in->height, out->height, filter, err));
    for (size_t at = 0; at < out->height;) {
        size_t n = axis_block(&a, at);
#pragma omp parallel for schedule(static)
        for (size_t o = 0; o < n; o++) {
            const unsigned char *from = in->rgb + a.first[o] * row_bytes;
            unsigned char *to = out->rgb + (at + o) * row_bytes;
            for (size_t x = 0; x < row_bytes; x += STRIP)
                resample_strip(to + x, from + x, row_bytes, a.weights + o * a.max_taps,
                               a.n_taps[o], CR_MIN(STRIP, row_bytes - x));
        }
        at += n;
    }
    axis_fini(&a);
    return CRITIC_OK;
}

static enum critic_status allocate(struct cr_image *out, size_t width, size_t height,
                                   critic_error *err) {
    size_t bytes;
    memset(out, 0, sizeof *out);
    if (width == 0 || height == 0 || width > INT_MAX / 4 || height > INT_MAX / 4)
        return cr_fail(err, CRITIC_BAD_DATA, "cannot resize to %zux%zu pixels", width,
                       height);
    if (!cr_mul_size(width, height, &bytes) || !cr_mul_size(bytes, 3, &bytes) ||
        !(out->rgb = malloc(bytes)))
        return cr_fail(err, CRITIC_NO_MEMORY, "out of memory for %zux%zu pixels", width,
                       height);
    out->width = width;
    out->height = height;
    return CRITIC_OK;
}

/* Pillow 12's exception: a picture more than 100 times as tall as wide that gets shorter
 * goes through the vertical pass first. The other order would need memory for its full
 * height at the new width. Source: Pillow 12.3, Image.resize. */
static bool vertical_first(const struct cr_image *in, size_t height) {
    return in->height > 100 * in->width && height < in->height;
}

/* Both passes, with the picture between them in *middle. */
static enum critic_status two_passes(struct cr_image *out, struct cr_image *middle,
                                     const struct cr_canvas *in, enum cr_filter filter,
                                     bool vertical, critic_error *err) {
    if (!vertical) {
        CR_TRY(allocate(middle, out->width, in->height, err));
        CR_TRY(horizontal_pass(middle, in, out->width, filter, err));
        return vertical_pass(out, middle, filter, err);
    }
    CR_TRY(allocate(middle, in->width, out->height, err));
    CR_TRY(vertical_pass(middle, in->image, filter, err));
    const struct cr_canvas canvas = {
        .image = middle, .width = middle->width, .height = middle->height};
    return horizontal_pass(out, &canvas, out->width, filter, err);
}

enum critic_status cr_canvas_resize(struct cr_image *out, const struct cr_canvas *in,
                                    size_t width, size_t height, enum cr_filter filter,
                                    critic_error *err) {
    const struct cr_image *image = in->image;
    bool whole = image->width == in->width && image->height == in->height;
    struct cr_image middle = {0};
    CR_ASSERT(image->width > 0 && image->height > 0 &&
              in->left + image->width <= in->width &&
              in->top + image->height <= in->height);
    CR_TRY(allocate(out, width, height, err));
    enum critic_status status;
    if (height == in->height)
        status = horizontal_pass(out, in, width, filter, err);
    else if (width == in->width && whole)
        status = vertical_pass(out, image, filter, err);
    else
        status = two_passes(out, &middle, in, filter,
                            whole && vertical_first(image, height), err);
    cr_image_free(&middle);
    if (status != CRITIC_OK)
        cr_image_free(out);
    return status;
}

enum critic_status cr_image_resize(struct cr_image *out, const struct cr_image *in,
                                   size_t width, size_t height, enum cr_filter filter,
                                   critic_error *err) {
    const struct cr_canvas canvas = {
        .image = in, .width = in->width, .height = in->height};
    return cr_canvas_resize(out, &canvas, width, height, filter, err);
}
