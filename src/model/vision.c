#include "model/model.h"

#include <math.h>

#include "base/checked.h"
#include "op/activation.h"
#include "op/norm.h"
#include "op/patch.h"

/* Tiles a pass: enough rows to keep the products at speed, few enough that their activations stay
 * near the cache. The result does not depend on it. */
#define TILES_A_PASS 4

/* Tiles attend within themselves only: one full, unmasked attention a tile. */
static void attend(struct cr_tensor y, struct cr_tensor q, struct cr_tensor k,
                   struct cr_tensor v, size_t n_patches, const struct cr_vision_config *c,
                   struct cr_exec *ex) {
    size_t head_dim = c->width / c->n_heads;
    struct cr_attention_shape shape = {.n_heads = c->n_heads,
                                       .n_kv_heads = c->n_heads,
                                       .head_dim = head_dim,
                                       .scale = 1.0f / sqrtf((float)head_dim)};
    for (size_t first = 0; first < y.dim[0]; first += n_patches) {
        void *k_page = cr_tensor_row(&k, first);
        void *v_page = cr_tensor_row(&v, first);
        struct cr_kv_view kv = {.k = &k_page,
                                .v = &v_page,
                                .page_len = n_patches,
                                .row_stride = c->width,
                                .head_stride = head_dim,
                                .n_keys = n_patches};
        cr_attention_fwd(cr_tensor_slice(&y, first, n_patches), NULL,
                         cr_tensor_slice(&q, first, n_patches), &kv, &shape, CR_PREFILL, ex);
    }
}

/* x += out_proj(MHA(LN1(x))); x += fc2(gelu(fc1(LN2(x)))).   modeling_siglip.py SiglipEncoderLayer */
static void block_fwd(struct cr_tensor x, const struct cr_vision_layer *layer,
                      size_t n_patches, const struct cr_vision_config *c,
                      struct cr_exec *ex) {
    size_t mark = cr_arena_mark(&ex->scratch);
    float eps = (float)c->layer_norm_eps;
    size_t rows = x.dim[0];
    struct cr_tensor h = cr_exec_matrix(ex, ex->act, rows, c->width);
    struct cr_tensor q = cr_exec_matrix(ex, ex->act, rows, c->width);
    struct cr_tensor k = cr_exec_matrix(ex, ex->act, rows, c->width);
    struct cr_tensor v = cr_exec_matrix(ex, ex->act, rows, c->width);
    cr_layernorm_fwd(h, NULL, x, layer->norm1.w, layer->norm1.b, eps, ex);
    cr_linear_fwd(q, h, &layer->q, CR_ASSIGN, CR_PREFILL, ex);
    cr_linear_fwd(k, h, &layer->k, CR_ASSIGN, CR_PREFILL, ex);
    cr_linear_fwd(v, h, &layer->v, CR_ASSIGN, CR_PREFILL, ex);
    attend(h, q, k, v, n_patches, c, ex);
    cr_linear_fwd(x, h, &layer->o, CR_ADD, CR_PREFILL, ex);
    cr_arena_release(&ex->scratch, mark);

    h = cr_exec_matrix(ex, ex->act, rows, c->width);
    struct cr_tensor f = cr_exec_matrix(ex, ex->act, rows, c->ffn_width);
    cr_layernorm_fwd(h, NULL, x, layer->norm2.w, layer->norm2.b, eps, ex);
    cr_linear_fwd(f, h, &layer->fc1, CR_ASSIGN, CR_PREFILL, ex);
    cr_gelu_fwd(f, f, c->act == CR_ACT_GELU_TANH ? CR_GELU_TANH : CR_GELU_ERF, ex);
    cr_linear_fwd(x, f, &layer->fc2, CR_ADD, CR_PREFILL, ex);
    cr_arena_release(&ex->scratch, mark);
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
            cr_exec_matrix(ex, ex->act, n * n_patches, 3 * c->patch_px * c->patch_px);
        cr_patch_rows_fwd(patches, pixels + tile * tile_len, n, c->image_px, c->patch_px, ex);
        cr_linear_fwd(x, patches, &m->params.patch, CR_ASSIGN, CR_PREFILL, ex);
        cr_arena_release(&ex->scratch, mark);
        cr_add_rows_fwd(x, m->params.position, ex);
        for (size_t l = 0; l < c->n_layers; l++) {
            look(tap, l, first_row, &x);
            block_fwd(x, &m->params.tower[l], n_patches, c, ex);
        }
        look(tap, c->n_layers, first_row, &x);
    }
}
