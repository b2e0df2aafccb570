#include "world/render.h"

#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "world/glyph.h"

enum { SUB = 4, N_VARIANTS = 3 };

/* masks[shape][size][variant]: (extent, extent) bytes of 0 or 1 at four samples a pixel. */
struct cr_renderer {
    unsigned cell_px;
    unsigned extent; /* cell_px * SUB */
    unsigned char *masks;
};

static const uint8_t colour_rgb[CR_N_COLOURS][3] = {
    {215, 40, 40},  {40, 160, 60},  {45, 80, 215}, {240, 215, 50},
    {140, 60, 170}, {245, 140, 30}, {20, 20, 20},  {248, 248, 248}};
static const uint8_t background_rgb[CR_N_BACKGROUNDS][3] = {
    {190, 190, 190}, {205, 190, 160}, {165, 190, 205}, {210, 175, 175},
    {130, 130, 130}, {75, 85, 100},   {105, 85, 65},   {70, 95, 85}};

const uint8_t *cr_colour_rgb(unsigned colour) {
    CR_ASSERT(colour >= 1 && colour <= CR_N_COLOURS);
    return colour_rgb[colour - 1];
}

const uint8_t *cr_background_rgb(unsigned background) {
    CR_ASSERT(background < CR_N_BACKGROUNDS);
    return background_rgb[background];
}

/* ---- shapes: a point (u, v) against radius r, all in half samples ----------------------------- */

/* Corners of a five-pointed star of radius 1000, inner radius 550. */
static const int16_t star[10][2] = {{0, -1000},   {323, -445}, {951, -309}, {523, 170},
                                    {588, 809},   {0, 550},    {-588, 809}, {-523, 170},
                                    {-951, -309}, {-323, -445}};

static bool in_star(int64_t u, int64_t v, int64_t r) {
    bool inside = false;
    for (int i = 0, j = 9; i < 10; j = i++) {
        int64_t yi = star[i][1] * r, yj = star[j][1] * r;
        int64_t xi = star[i][0] * r, xj = star[j][0] * r;
        if ((yi > v * 1000) == (yj > v * 1000))
            continue;
        /* u < x of the edge at height v, without dividing */
        int64_t left = (u * 1000 - xi) * (yj - yi), right = (xj - xi) * (v * 1000 - yi);
        if (yj > yi ? left < right : left > right)
            inside = !inside;
    }
    return inside;
}

static bool in_shape(unsigned shape, int64_t u, int64_t v, int64_t r) {
    int64_t au = u < 0 ? -u : u, av = v < 0 ? -v : v, d = u * u + v * v;
    switch (shape) {
    case CR_CIRCLE:
        return d <= r * r;
    case CR_SQUARE:
        return au * 8 <= r * 7 && av * 8 <= r * 7;
    case CR_TRIANGLE: /* apex (0, -r), base at 3/4 r, half as wide as 19/20 r */
        return v * 4 <= r * 3 && au * 35 <= (v + r) * 19;
    case CR_STAR:
        return in_star(u, v, r);
    case CR_RING:
        return d <= r * r && d * 1000 >= r * r * 436;
    default: /* cross */
        return (au * 100 <= r * 38 && av <= r) || (av * 100 <= r * 38 && au <= r);
    }
}

static size_t mask_at(const struct cr_renderer *r, unsigned shape, unsigned size,
                      unsigned variant) {
    return (((shape - 1) * CR_N_SIZES + size - 1) * N_VARIANTS + variant) *
           (size_t)r->extent * r->extent;
}

static void fill_mask(const struct cr_renderer *r, unsigned shape, unsigned size,
                      unsigned variant) {
    int n = (int)r->extent;
    /* Of a cell of 128 samples: 36, 38, 40 and 50, 52, 54. */
    int radius = 2 * ((size == 2 ? 50 : 36) + 2 * (int)variant) * n / 128;
    unsigned char *mask = r->masks + mask_at(r, shape, size, variant);
    for (int y = 0; y < n; y++)
        for (int x = 0; x < n; x++)
            mask[y * n + x] = in_shape(shape, 2 * x + 1 - n, 2 * y + 1 - n, radius);
}

enum critic_status cr_renderer_new(struct cr_renderer **out, unsigned cell_px,
                                   critic_error *err) {
    *out = NULL;
    if (cell_px < 16 || cell_px > 256)
        return cr_fail(err, CRITIC_BAD_ARGUMENT, "cells of %u pixels; expected 16 to 256",
                       cell_px);
    struct cr_renderer *r = calloc(1, sizeof *r);
    size_t extent = (size_t)cell_px * SUB;
    if (r)
        r->masks = malloc(CR_N_SHAPES * CR_N_SIZES * N_VARIANTS * extent * extent);
    if (!r || !r->masks) {
        cr_renderer_free(r);
        return cr_fail(err, CRITIC_NO_MEMORY, "no memory to draw scenes");
    }
    r->cell_px = cell_px;
    r->extent = (unsigned)extent;
    for (unsigned shape = 1; shape <= CR_N_SHAPES; shape++)
        for (unsigned size = 1; size <= CR_N_SIZES; size++)
            for (unsigned v = 0; v < N_VARIANTS; v++)
                fill_mask(r, shape, size, v);
    *out = r;
    return CRITIC_OK;
}

void cr_renderer_free(struct cr_renderer *r) {
    if (r)
        free(r->masks);
    free(r);
}

/* ---- painting ----------------------------------------------------------------------------------- */

static uint8_t clamp(int x) {
    return (uint8_t)(x < 0 ? 0 : x > 255 ? 255 : x);
}

static void paint_background(const struct cr_scene *s, struct cr_image *image) {
    const uint8_t *base = background_rgb[s->background & 7];
    int n = (int)image->width;
    for (int y = 0; y < n; y++)
        for (int x = 0; x < n; x++) {
            int add =
                (s->gradient[0] * (2 * y - n) + s->gradient[1] * (2 * x - n)) / (2 * n);
            for (int c = 0; c < 3; c++)
                image->rgb[((size_t)y * (size_t)n + (size_t)x) * 3 + (size_t)c] =
                    clamp(base[c] + add);
        }
}

/* Mixes `rgb` over a pixel with coverage of 16. */
static void mix(struct cr_image *image, int x, int y, const uint8_t *rgb, int coverage) {
    int n = (int)image->width;
    if (x < 0 || y < 0 || x >= n || y >= n || coverage == 0)
        return;
    uint8_t *p = image->rgb + ((size_t)y * (size_t)n + (size_t)x) * 3;
    for (int c = 0; c < 3; c++)
        p[c] = (uint8_t)((p[c] * (16 - coverage) + rgb[c] * coverage + 8) / 16);
}

/* Covers the box of samples from (left, top), `w` x `h` of them, where inside() says so. */
struct stencil {
    const unsigned char *bits;
    int w, h;       /* of bits */
    int to_w, to_h; /* samples that they are stretched to */
};

static int sample(const struct stencil *s, int x, int y) {
    if (x < 0 || y < 0 || x >= s->to_w || y >= s->to_h)
        return 0;
    if (s->w != s->to_w)
        x = x * s->w / s->to_w;
    if (s->h != s->to_h)
        y = y * s->h / s->to_h;
    return s->bits[y * s->w + x];
}

static int floor_div(int a, int b) {
    return a >= 0 ? a / b : -((b - 1 - a) / b);
}

static void stamp(struct cr_image *image, const struct stencil *s, int left, int top,
                  const uint8_t *rgb) {
    int x0 = floor_div(left, SUB), x1 = floor_div(left + s->to_w - 1, SUB);
    int y0 = floor_div(top, SUB), y1 = floor_div(top + s->to_h - 1, SUB);
    for (int y = y0; y <= y1; y++)
        for (int x = x0; x <= x1; x++) {
            int coverage = 0;
            for (int j = 0; j < SUB; j++)
                for (int i = 0; i < SUB; i++)
                    coverage += sample(s, x * SUB + i - left, y * SUB + j - top);
            mix(image, x, y, rgb, coverage);
        }
}

static const uint8_t *contrast(const uint8_t *rgb) {
    static const uint8_t dark[3] = {15, 15, 15}, light[3] = {250, 250, 250};
    int brightness = (rgb[0] * 3 + rgb[1] * 6 + rgb[2]) / 10;
    return brightness > 110 ? dark : light;
}

/* Width and height of a digit, in samples of a cell of 128: what fits into each shape. */
static const uint8_t digit_size[CR_N_SHAPES][CR_N_SIZES][2] = {
    {{30, 42}, {40, 56}}, {{32, 44}, {44, 60}}, {{22, 30}, {32, 44}},
    {{22, 32}, {30, 42}}, {{24, 34}, {34, 46}}, {{24, 36}, {34, 50}}};

static void paint_digit(const struct cr_renderer *r, const struct cr_scene *s,
                        const struct cr_object *o, int cx, int cy, const uint8_t *rgb,
                        struct cr_image *image) {
    const uint8_t *size = digit_size[o->shape - 1][o->size - 1];
    int n = (int)r->extent;
    struct stencil g = {.bits = cr_glyphs[o->digit],
                        .w = CR_GLYPH_W,
                        .h = CR_GLYPH_H,
                        .to_w = size[0] * n / 128,
                        .to_h = size[1] * n / 128};
    /* A triangle's middle lies below the centre of its box. */
    int down = o->shape == CR_TRIANGLE ? (o->size == 2 ? 10 : 6) * n / 128 : 0;
    const uint8_t *under = o->shape == CR_RING ? background_rgb[s->background & 7] : rgb;
    stamp(image, &g, cx - g.to_w / 2, cy - g.to_h / 2 + down, contrast(under));
}

static void paint_object(const struct cr_renderer *r, const struct cr_scene *s,
                         const struct cr_object *o, struct cr_image *image) {
    int n = (int)r->extent;
    int dx = (o->dx + s->shift[0]) * n / 128, dy = (o->dy + s->shift[1]) * n / 128;
    int left = (o->cell % s->side) * n + dx, top = (o->cell / s->side) * n + dy;
    uint8_t rgb[3];
    for (int c = 0; c < 3; c++)
        rgb[c] = clamp(colour_rgb[o->colour - 1][c] + o->tint[c]);
    struct stencil mask = {.bits = r->masks + mask_at(r, o->shape, o->size, o->variant),
                           .w = n,
                           .h = n,
                           .to_w = n,
                           .to_h = n};
    stamp(image, &mask, left, top, rgb);
    if (o->digit >= 0)
        paint_digit(r, s, o, left + n / 2, top + n / 2, rgb, image);
}

static void add_noise(unsigned amplitude, uint64_t seed, struct cr_image *image) {
    struct cr_rng rng;
    size_t n = image->width * image->height * 3;
    cr_rng_seed(&rng, seed);
    for (size_t i = 0; i < n; i += 8) {
        uint64_t bits = cr_rng_u64(&rng);
        for (size_t k = i; k < CR_MIN(i + 8, n); k++, bits >>= 8)
            image->rgb[k] = clamp(image->rgb[k] - (int)amplitude +
                                  (int)((bits & 255) * (2 * amplitude + 1) / 256));
    }
}

void cr_render(const struct cr_renderer *r, const struct cr_scene *s, unsigned noise,
               uint64_t noise_seed, struct cr_image *image) {
    image->width = image->height = (size_t)s->side * r->cell_px;
    paint_background(s, image);
    for (unsigned i = 0; i < s->n; i++)
        paint_object(r, s, &s->objects[i], image);
    if (noise > 0)
        add_noise(noise, noise_seed, image);
}
