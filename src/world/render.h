/* A scene to pixels: anti-aliased by 4 x 4 samples a pixel, in integers throughout, so that a
 * scene has the same pixels on every machine. */
#ifndef CR_WORLD_RENDER_H
#define CR_WORLD_RENDER_H

#include "image/image.h"
#include "world/scene.h"

enum { CR_CELL_PX = 32, CR_N_BACKGROUNDS = 8 };

/* Red, green and blue: of a colour (1 to CR_N_COLOURS) before an object's tint, of a background
 * (from 0) before its gradient. */
const uint8_t *cr_colour_rgb(unsigned colour);
const uint8_t *cr_background_rgb(unsigned background);

struct cr_renderer;

/* cell_px: side of a grid cell in pixels, 16 to 256. Immutable once made: several threads may
 * use one. Errors: CRITIC_BAD_ARGUMENT, CRITIC_NO_MEMORY. */
enum critic_status cr_renderer_new(struct cr_renderer **out, unsigned cell_px,
                                   critic_error *err);
void cr_renderer_free(struct cr_renderer *r);

/* Draws into image, which has rgb for (side * cell_px) squared pixels. noise: amplitude of
 * uniform noise added to every sample, drawn from noise_seed; 0: none. */
void cr_render(const struct cr_renderer *r, const struct cr_scene *s, unsigned noise,
               uint64_t noise_seed, struct cr_image *image);

#endif
