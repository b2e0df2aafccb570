/* Anyres: how a picture of any size becomes square tiles for the vision tower, and how
 * the tiles' features become a map with newlines (docs/model.md, LLaVA-OneVision).
 *
 * cr_tile_plan_make is pure geometry, from the picture's size alone. What it says about
 * pixels and about features comes from one plan, so that the two cannot disagree.
 *
 * The token order that the plan counts (image tokens of one picture):
 *   CR_ASPECT_ANYRES     the global view's p*p rows, no newlines; then for each of
 *                        out_h map rows: out_w rows and one image_newline
 *   CR_ASPECT_PAD/SQUARE p*p rows and one image_newline
 * with p = patches_per_side. Merge type "spatial_unpad" is assumed throughout.
 *
 * Source: LLaVA-NeXT llava/mm_utils.py and llava/model/llava_arch.py; transformers
 * models/llava_onevision. */
#ifndef CR_IMAGE_ANYRES_H
#define CR_IMAGE_ANYRES_H

#include "image/image.h"

/* Which checkpoint layout's rounding "unpad" follows: truncation (lmms-lab), or rounding
 * to 7 decimals before truncation (transformers). They differ for few, odd sizes. */
enum cr_rounding { CR_ROUND_LMMS, CR_ROUND_HF };

enum cr_aspect {
    CR_ASPECT_ANYRES, /* global view + tiles of the best grid */
    CR_ASPECT_PAD,    /* padded to a square, one tile (several pictures in a prompt) */
    CR_ASPECT_SQUARE  /* squashed to a square, one tile (video frames, stage-1 models) */
};

struct cr_anyres_config {
    enum cr_aspect aspect;
    size_t tile_px;  /* side of a tile: 384 */
    size_t patch_px; /* side of a tower patch: 14 */
    /* 9 for "anyres_max_9"; 0 for plain "anyres": the map never shrinks */
    size_t max_tiles;
    const size_t (*pinpoints)[2]; /* candidate canvases (width, height), in list order */
    size_t n_pinpoints;
    enum cr_rounding rounding;
    enum cr_filter filter;
    struct cr_normalize normalize;
    unsigned char pad_color[3]; /* of CR_ASPECT_PAD: 127. Anyres canvases are black. */
};

/* The values of the published LLaVA-OneVision and LLaVA-Critic checkpoints: anyres_max_9,
 * 384 / 14, the 36 canvases of (1..6) x (1..6) tiles (a constant table, width outer),
 * lmms-lab rounding, bicubic, 1/255, mean and std 0.5, padding 127. */
void cr_anyres_config_default(struct cr_anyres_config *config);

/* Everything that tiling and feature packing need to know about one picture. */
struct cr_tile_plan {
    enum cr_aspect aspect;
    size_t width, height;    /* of the picture */
    size_t n_tiles;          /* 1 + grid_h * grid_w for anyres, else 1 */
    size_t patches_per_side; /* p = tile_px / patch_px: 27 */
    size_t n_tokens; /* rows that the picture takes in the prompt, newlines included */
    /* Anyres only; 0 otherwise. */
    size_t grid_h, grid_w;       /* tiles */
    size_t resized_h, resized_w; /* the picture on its canvas, in pixels */
    size_t paste_y, paste_x;     /* its top left corner there */
    size_t map_top,
        map_left; /* part of the (grid_h * p, grid_w * p) map that unpad keeps */
    size_t map_h, map_w;
    size_t out_h, out_w; /* after the shrink; = map_h, map_w without */
    bool shrink;         /* bilinear resize of the map to (out_h, out_w) */
};

/* Errors: CRITIC_BAD_ARGUMENT where the configuration is impossible (a zero size, no
 * pinpoints, a pinpoint that is no whole number of tiles); CRITIC_BAD_DATA for an
 * empty picture. On failure *plan is zeroed. */
enum critic_status cr_tile_plan_make(struct cr_tile_plan *plan, size_t width,
                                     size_t height, const struct cr_anyres_config *config,
                                     critic_error *err);

/* Number of floats that cr_image_tiles writes: n_tiles * 3 * tile_px * tile_px. False where
 * that does not fit. */
bool cr_tile_plan_pixels_len(const struct cr_tile_plan *plan,
                             const struct cr_anyres_config *config, size_t *len);

/* The picture's tiles as network input.
 * Shapes: pixels (n_tiles, 3, tile_px, tile_px), channel order R, G, B. Tile 0 is the
 * global view; the others follow row by row over the canvas.
 * `plan` was made for the picture's size with the same config (asserted).
 * Errors: CRITIC_NO_MEMORY. */
enum critic_status cr_image_tiles(float *pixels, const struct cr_image *image,
                                  const struct cr_tile_plan *plan,
                                  const struct cr_anyres_config *config,
                                  critic_error *err);

#endif
