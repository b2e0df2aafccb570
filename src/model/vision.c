#include "model/model.h"

#include "base/checked.h"
#include "model/block.h"
#include "op/patch.h"

/* Tiles a pass: enough rows to keep the products at speed, few enough that their activations stay
 * near the cache. The result does not depend on it. */
#define TILES_A_PASS 2

/* One block in place, its activations in scratch. */
static void block_fwd(struct cr_tensor x, const struct cr_vision_layer *layer,
                      size_t n_patches, const struct cr_vision_config *c,
                      struct cr_exec *ex) {
    size_t mark = cr_arena_mark(&ex->scratch), rows = x.dim[0];
    struct cr_attention_acts a = cr_attention_acts_make(
        rows, c->width, c->width, c->width, c->n_heads, false,
        (struct cr_attention_types){CR_F32, CR_F32, ex->act, ex->act}, &ex->scratch,
        ex->act);
    cr_vision_attention_fwd(x, &a, x, layer, n_patches, c, ex);
    cr_arena_release(&ex->scratch, mark);
    cr_vision_ffn_add(x, layer, c, ex);
}

static void look(const struct cr_layer_tap *tap, size_t layer, size_t first_row,
                 const struct cr_tensor *x) {
    if (tap && tap->fn)
        tap->fn(tap->user, "vision_hidden_states", layer, first_row, x);
}

void cr_vision_fwd(struct cr_tensor y, const float *pixels, size_t n_tiles,
                   const struct cr_model *m, const struct cr_layer_tap *tap,
                   struct cr_exec *ex) {
    const struct cr_vision_config *c = &m->config->vision;
    size_t grid = cr_vision_grid(c);
    size_t n_patches = grid * grid;
    size_t tile_len = 3 * c->image_px * c->image_px;
    CR_ASSERT(c->present && y.dtype == CR_F32 && y.dim[0] == n_tiles * n_patches);
    for (size_t tile = 0; tile < n_tiles; tile += TILES_A_PASS) {
        size_t n = CR_MIN(n_tiles - tile, (size_t)TILES_A_PASS);
        size_t first_row = tile * n_patches;
        struct cr_tensor x = cr_tensor_slice(&y, first_row, n * n_patches);
        size_t mark = cr_arena_mark(&ex->scratch);
        struct cr_tensor patches =
            cr_exec_matrix(ex, CR_F32, n * n_patches, 3 * c->patch_px * c->patch_px);
        cr_patch_rows_fwd(patches, pixels + tile * tile_len, n, c->image_px, c->patch_px,
                          ex);
        cr_linear_f32_fwd(x, patches, &m->params.patch, CR_ASSIGN, CR_PREFILL, ex);
        cr_arena_release(&ex->scratch, mark);
        cr_add_rows_fwd(x, m->params.position, ex);
        for (size_t l = 0; l < c->n_layers; l++) {
            look(tap, l, first_row, &x);
            block_fwd(x, &m->params.tower[l], n_patches, c, ex);
        }
        look(tap, c->n_layers, first_row, &x);
    }
}
