/* From a JPEG file to rows that the decoder takes. */
#include <stdlib.h>

#include "base/checked.h"
#include "base/clock.h"
#include "bench/picture.h"
#include "bench/run.h"
#include "bench/work.h"

#define MAX_JPEG_BYTES ((size_t)256 << 20)
/* Decoding and resizing are short: more passes. */
#define SHORT_PASSES 5

static enum critic_status decode_jpeg(struct cr_bench_run *r, critic_error *err) {
    const struct cr_image *picture = &r->picture;
    struct cr_buf file;
    if (!cr_bench_begin(r, "jpeg", 0))
        return CRITIC_OK;
    cr_buf_init(&file, MAX_JPEG_BYTES);
    enum critic_status status = cr_bench_jpeg(&file, picture, err);
    double best = 1e30;
    for (size_t i = 0; i < SHORT_PASSES && status == CRITIC_OK; i++) {
        struct cr_image image;
        struct cr_bytes bytes = {(const unsigned char *)file.data, file.len};
        double start = cr_clock_seconds();
        status = cr_image_decode(&image, bytes, NULL, "bench", err);
        best = CR_MIN(best, cr_clock_seconds() - start);
        cr_image_free(&image);
    }
    cr_buf_fini(&file);
    if (status == CRITIC_OK)
        cr_bench_add(r, "jpeg", 0, best, 0,
                     3 * (double)(picture->width * picture->height), 0);
    return status;
}

/* Tiles of the picture, made SHORT_PASSES times; *pixels is malloc'ed. */
static enum critic_status make_tiles(struct cr_bench_run *r, struct cr_tile_plan *plan,
                                     float **pixels, critic_error *err) {
    struct cr_anyres_config config = cr_engine_picture_config(r->engine, 1);
    size_t len;
    CR_TRY(cr_tile_plan_make(plan, r->picture.width, r->picture.height, &config, err));
    if (!cr_tile_plan_pixels_len(plan, &config, &len) ||
        !(*pixels = malloc(len * sizeof **pixels)))
        return cr_fail(err, CRITIC_NO_MEMORY, "out of memory for %zu tiles",
                       plan->n_tiles);
    bool shown = cr_bench_begin(r, "resize", 0);
    double best = 1e30;
    for (size_t i = 0; i < (shown ? SHORT_PASSES : 1); i++) {
        double start = cr_clock_seconds();
        CR_TRY(cr_image_tiles(*pixels, &r->picture, plan, &config, err));
        best = CR_MIN(best, cr_clock_seconds() - start);
    }
    if (shown)
        cr_bench_add(r, "resize", 0, best, 0, (double)len * sizeof **pixels, 0);
    return CRITIC_OK;
}

/* Times cr_vision_fwd and cr_projector_fwd over n tiles. */
static void encode(struct cr_bench_run *r, const float *pixels, struct cr_tensor features,
                   struct cr_tensor rows, size_t n) {
    double tower_ops = cr_work_tower(r->config, n);
    double projector_ops = cr_work_projector(r->config, n);
    bool tower = cr_bench_begin(r, "tower", tower_ops);
    double rest = tower ? projector_ops : tower_ops + projector_ops; /* wants features */
    bool projector = cr_bench_begin(r, "projector", rest);
    bool vision = cr_bench_begin(r, "vision", rest);
    if (!tower && !projector && !vision)
        return;
    double best_tower = 1e30, best_projector = 1e30;
    for (size_t i = 0; i < cr_bench_passes(r, tower_ops); i++) {
        double start = cr_clock_seconds();
        if (tower || vision || i == 0) /* the projector wants features to work on */
            cr_vision_fwd(features, pixels, n, r->model, NULL, r->ex);
        double middle = cr_clock_seconds();
        cr_projector_fwd(rows, features, r->model, r->ex);
        best_tower = CR_MIN(best_tower, middle - start);
        best_projector = CR_MIN(best_projector, cr_clock_seconds() - middle);
    }
    size_t tokens = features.dim[0];
    if (tower)
        cr_bench_add(r, "tower", tokens, best_tower, tower_ops, 0, 0);
    if (projector)
        cr_bench_add(r, "projector", tokens, best_projector, projector_ops, 0, 0);
    if (vision)
        cr_bench_add(r, "vision", tokens, best_tower + best_projector,
                     tower_ops + projector_ops, 0, 0);
}

enum critic_status cr_bench_pictures(struct cr_bench_run *r, critic_error *err) {
    const struct cr_config *c = r->config;
    struct cr_tile_plan plan;
    float *pixels = NULL;
    CR_TRY(decode_jpeg(r, err));
    if (!c->vision.present)
        return CRITIC_OK;
    enum critic_status status = make_tiles(r, &plan, &pixels, err);
    if (status == CRITIC_OK) {
        size_t n = r->opts->quick ? CR_MIN(plan.n_tiles, 2) : plan.n_tiles;
        size_t n_rows = n * cr_vision_grid(&c->vision) * cr_vision_grid(&c->vision);
        float *features = malloc(n_rows * c->vision.width * sizeof *features);
        float *rows = malloc(n_rows * c->text.width * sizeof *rows);
        if (features && rows)
            encode(r, pixels, cr_tensor_view2(features, CR_F32, n_rows, c->vision.width),
                   cr_tensor_view2(rows, CR_F32, n_rows, c->text.width), n);
        else
            status = cr_fail(err, CRITIC_NO_MEMORY, "out of memory for %zu tiles", n);
        free(features);
        free(rows);
    }
    free(pixels);
    return status;
}
