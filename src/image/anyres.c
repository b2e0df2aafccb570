#include "image/anyres.h"

#include <math.h>
#include <string.h>

#include "base/checked.h"
#include "image/resize.h"

/* Sides stay below 2^31, so that areas and their differences are exact in 64 bits. */
#define MAX_SIDE ((size_t)INT32_MAX)
/* A picture padded to a square costs time and memory by its longer side. */
#define MAX_PAD_SIDE ((size_t)1 << 15)

/* (width, height), width outer: the order of the published lists. */
/* clang-format off */
static const size_t onevision_pinpoints[36][2] = {
    {384, 384}, {384, 768}, {384, 1152}, {384, 1536}, {384, 1920}, {384, 2304},
    {768, 384}, {768, 768}, {768, 1152}, {768, 1536}, {768, 1920}, {768, 2304},
    {1152, 384}, {1152, 768}, {1152, 1152}, {1152, 1536}, {1152, 1920}, {1152, 2304},
    {1536, 384}, {1536, 768}, {1536, 1152}, {1536, 1536}, {1536, 1920}, {1536, 2304},
    {1920, 384}, {1920, 768}, {1920, 1152}, {1920, 1536}, {1920, 1920}, {1920, 2304},
    {2304, 384}, {2304, 768}, {2304, 1152}, {2304, 1536}, {2304, 1920}, {2304, 2304},
};
/* clang-format on */

void cr_anyres_config_default(struct cr_anyres_config *config) {
    *config = (struct cr_anyres_config){
        .aspect = CR_ASPECT_ANYRES,
        .tile_px = 384,
        .patch_px = 14,
        .max_tiles = 9,
        .pinpoints = onevision_pinpoints,
        .n_pinpoints = CR_COUNT(onevision_pinpoints),
        .rounding = CR_ROUND_LMMS,
        .filter = CR_BICUBIC,
        .normalize = {1.0 / 255.0, {0.5F, 0.5F, 0.5F}, {0.5F, 0.5F, 0.5F}},
        .pad_color = {127, 127, 127},
    };
}

static enum critic_status check_config(const struct cr_anyres_config *config,
                                       critic_error *err) {
    size_t tile = config->tile_px;
    if (config->patch_px == 0 || tile < config->patch_px || tile > MAX_SIDE)
        return cr_fail(err, CRITIC_BAD_ARGUMENT,
                       "image tiles of %zu pixels cannot hold patches of %zu", tile,
                       config->patch_px);
    if (config->aspect != CR_ASPECT_ANYRES)
        return CRITIC_OK;
    if (config->n_pinpoints == 0)
        return cr_fail(err, CRITIC_BAD_ARGUMENT,
                       "image_grid_pinpoints: empty; anyres needs one or more");
    for (size_t i = 0; i < config->n_pinpoints; i++) {
        size_t w = config->pinpoints[i][0];
        size_t h = config->pinpoints[i][1];
        if (w == 0 || h == 0 || w % tile || h % tile || w > MAX_SIDE || h > MAX_SIDE)
            return cr_fail(
                err, CRITIC_BAD_ARGUMENT,
                "image_grid_pinpoints: entry %zu is %zux%zu; expected multiples "
                "of the tile's %zu pixels",
                i, w, h, tile);
    }
    return CRITIC_OK;
}

/* The canvas that keeps most of the picture's pixels, then the one that wastes least; the
 * first wins ties. Source: select_best_resolution, in doubles, in its order. */
static const size_t *best_pinpoint(size_t width, size_t height,
                                   const struct cr_anyres_config *config) {
    const size_t *best = config->pinpoints[0];
    int64_t best_effective = 0;
    int64_t best_waste = INT64_MAX;
    for (size_t i = 0; i < config->n_pinpoints; i++) {
        const size_t *canvas = config->pinpoints[i];
        double scale =
            fmin((double)canvas[0] / (double)width, (double)canvas[1] / (double)height);
        int64_t scaled_w = (int64_t)((double)width * scale);
        int64_t scaled_h = (int64_t)((double)height * scale);
        int64_t effective = CR_MIN(scaled_w * scaled_h, (int64_t)(width * height));
        int64_t waste = (int64_t)(canvas[0] * canvas[1]) - effective;
        if (effective > best_effective ||
            (effective == best_effective && waste < best_waste)) {
            best = canvas;
            best_effective = effective;
            best_waste = waste;
        }
    }
    return best;
}

/* Where the picture lies on its canvas. Source: resize_and_pad_image. */
static void place(struct cr_tile_plan *p, size_t canvas_w, size_t canvas_h) {
    double scale_w = (double)canvas_w / (double)p->width;
    double scale_h = (double)canvas_h / (double)p->height;
    if (scale_w < scale_h) {
        p->resized_w = canvas_w;
        p->resized_h = CR_MIN((size_t)ceil((double)p->height * scale_w), canvas_h);
    } else {
        p->resized_h = canvas_h;
        p->resized_w = CR_MIN((size_t)ceil((double)p->width * scale_h), canvas_w);
    }
    p->paste_x = (canvas_w - p->resized_w) / 2;
    p->paste_y = (canvas_h - p->resized_h) / 2;
}

/* Truncation, with transformers' round(x, 7) before it where asked for. That rounds up to
 * the next whole number from a fraction of 0.99999995 on, a decimal number that no double
 * equals; the constant below is the largest double under it. */
static size_t trunc_rounded(double x, enum cr_rounding rounding) {
    double whole = trunc(x);
    if (rounding == CR_ROUND_HF && x - whole > 0.99999995)
        whole += 1.0;
    return (size_t)whole;
}

/* The rows or columns of the feature map that hold picture. Source: unpad_image. */
static void unpad(struct cr_tile_plan *p, enum cr_rounding rounding) {
    size_t map_h = p->grid_h * p->patches_per_side;
    size_t map_w = p->grid_w * p->patches_per_side;
    double w = (double)p->width;
    double h = (double)p->height;
    if (w / h > (double)map_w / (double)map_h)
        p->map_top =
            (map_h - CR_MIN(trunc_rounded(h * ((double)map_w / w), rounding), map_h)) / 2;
    else
        p->map_left =
            (map_w - CR_MIN(trunc_rounded(w * ((double)map_h / h), rounding), map_w)) / 2;
    p->map_h = map_h - 2 * p->map_top;
    p->map_w = map_w - 2 * p->map_left;
}

/* Python's float floor division for positive numbers (Objects/floatobject.c). */
static double floor_divide(double x, double y) {
    double div = (x - fmod(x, y)) / y;
    double whole = floor(div);
    return div - whole > 0.5 ? whole + 1.0 : whole;
}

/* anyres_max_N: the map shrinks when it is more than 1.1 times as long as that of N tiles
 * on a side (strictly). Source: llava_arch.py, pack_image_features. */
static void shrink(struct cr_tile_plan *p, size_t max_tiles) {
    p->out_h = p->map_h;
    p->out_w = p->map_w;
    if (max_tiles == 0)
        return;
    double side = (double)p->patches_per_side;
    double allowed = (double)max_tiles * side * side;
    double ratio = sqrt((double)p->map_h * (double)p->map_w / allowed);
    if (ratio > 1.1) {
        p->shrink = true;
        p->out_h = (size_t)floor_divide((double)p->map_h, ratio);
        p->out_w = (size_t)floor_divide((double)p->map_w, ratio);
    }
}

static enum critic_status plan_anyres(struct cr_tile_plan *p,
                                      const struct cr_anyres_config *config,
                                      critic_error *err) {
    const size_t *canvas = best_pinpoint(p->width, p->height, config);
    size_t rows;
    p->grid_w = canvas[0] / config->tile_px;
    p->grid_h = canvas[1] / config->tile_px;
    p->n_tiles = 1 + p->grid_h * p->grid_w;
    place(p, canvas[0], canvas[1]);
    unpad(p, config->rounding);
    shrink(p, config->max_tiles);
    if (p->shrink && (p->out_h == 0 || p->out_w == 0))
        return cr_fail(
            err, CRITIC_BAD_DATA,
            "a picture of %zux%zu pixels leaves no features after anyres_max_%zu",
            p->width, p->height, config->max_tiles);
    if (!cr_mul_size(p->out_h, p->out_w + 1, &rows) ||
        !cr_add_size(rows, p->patches_per_side * p->patches_per_side, &p->n_tokens))
        return cr_fail(err, CRITIC_BAD_DATA, "a picture of %zux%zu pixels is too large",
                       p->width, p->height);
    return CRITIC_OK;
}

enum critic_status cr_tile_plan_make(struct cr_tile_plan *plan, size_t width,
                                     size_t height, const struct cr_anyres_config *config,
                                     critic_error *err) {
    struct cr_tile_plan p = {.aspect = config->aspect, .width = width, .height = height};
    memset(plan, 0, sizeof *plan);
    CR_TRY(check_config(config, err));
    if (width == 0 || height == 0 || width > MAX_SIDE || height > MAX_SIDE)
        return cr_fail(err, CRITIC_BAD_DATA, "a picture of %zux%zu pixels has no tiles",
                       width, height);
    if (config->aspect == CR_ASPECT_PAD && CR_MAX(width, height) > MAX_PAD_SIDE)
        return cr_fail(
            err, CRITIC_BAD_DATA,
            "a picture of %zux%zu pixels is too long to be padded to a square; the "
            "limit is %zu",
            width, height, MAX_PAD_SIDE);
    p.patches_per_side = config->tile_px / config->patch_px;
    if (config->aspect == CR_ASPECT_ANYRES) {
        CR_TRY(plan_anyres(&p, config, err));
    } else {
        p.n_tiles = 1;
        p.n_tokens = p.patches_per_side * p.patches_per_side + 1;
    }
    *plan = p;
    return CRITIC_OK;
}

bool cr_tile_plan_pixels_len(const struct cr_tile_plan *plan,
                             const struct cr_anyres_config *config, size_t *len) {
    return cr_mul_size(config->tile_px, config->tile_px, len) &&
           cr_mul_size(*len, 3, len) && cr_mul_size(*len, plan->n_tiles, len);
}

/* Tile rows [0, side) of the window at (top, left) of a canvas on which `image` lies at
 * (plan's paste_y, paste_x); black elsewhere. Shapes: tile (3, side, side). */
static void copy_tile(float *tile, size_t side, const struct cr_image *image,
                      ptrdiff_t top, ptrdiff_t left, float table[3][256]) {
    size_t plane = side * side;
    for (size_t y = 0; y < side; y++) {
        ptrdiff_t from_y = top + (ptrdiff_t)y;
        bool inside = from_y >= 0 && from_y < (ptrdiff_t)image->height;
        const unsigned char *row =
            inside ? image->rgb + 3 * (size_t)from_y * image->width : NULL;
        ptrdiff_t first = inside ? CR_MIN(CR_MAX(-left, 0), (ptrdiff_t)side) : 0;
        ptrdiff_t end =
            inside ? CR_MIN((ptrdiff_t)image->width - left, (ptrdiff_t)side) : 0;
        for (size_t c = 0; c < 3; c++) {
            float *to = tile + c * plane + y * side;
            ptrdiff_t x = 0;
            for (; x < first; x++)
                to[x] = table[c][0];
            for (; x < end; x++)
                to[x] = table[c][row[3 * (left + x) + (ptrdiff_t)c]];
            for (; x < (ptrdiff_t)side; x++)
                to[x] = table[c][0];
        }
    }
}

/* Tile 0: the whole picture, squashed, or padded to a square first. */
static enum critic_status first_tile(float *pixels, const struct cr_image *image,
                                     const struct cr_anyres_config *config,
                                     float table[3][256], critic_error *err) {
    struct cr_canvas canvas = {
        .image = image, .width = image->width, .height = image->height};
    struct cr_image view;
    if (config->aspect == CR_ASPECT_PAD) {
        canvas.width = canvas.height = CR_MAX(image->width, image->height);
        canvas.left = (canvas.width - image->width) / 2;
        canvas.top = (canvas.height - image->height) / 2;
        memcpy(canvas.color, config->pad_color, sizeof canvas.color);
    }
    CR_TRY(cr_canvas_resize(&view, &canvas, config->tile_px, config->tile_px,
                            config->filter, err));
    copy_tile(pixels, config->tile_px, &view, 0, 0, table);
    cr_image_free(&view);
    return CRITIC_OK;
}

enum critic_status cr_image_tiles(float *pixels, const struct cr_image *image,
                                  const struct cr_tile_plan *plan,
                                  const struct cr_anyres_config *config,
                                  critic_error *err) {
    size_t side = config->tile_px;
    size_t tile_len = 3 * side * side;
    float table[3][256];
    struct cr_image resized;
    CR_ASSERT(plan->width == image->width && plan->height == image->height &&
              plan->aspect == config->aspect);
    cr_normalize_table(table, &config->normalize);
    CR_TRY(first_tile(pixels, image, config, table, err));
    if (plan->aspect != CR_ASPECT_ANYRES)
        return CRITIC_OK;
    CR_TRY(cr_image_resize(&resized, image, plan->resized_w, plan->resized_h,
                           config->filter, err));
#pragma omp parallel for schedule(static)
    for (size_t i = 0; i < plan->n_tiles - 1; i++)
        copy_tile(pixels + (i + 1) * tile_len, side, &resized,
                  (ptrdiff_t)(i / plan->grid_w * side) - (ptrdiff_t)plan->paste_y,
                  (ptrdiff_t)(i % plan->grid_w * side) - (ptrdiff_t)plan->paste_x, table);
    cr_image_free(&resized);
    return CRITIC_OK;
}
