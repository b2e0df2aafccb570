#include "bench/work.h"

/* Elements of the matrices of one decoder block. */
static double block_elements(const struct cr_decoder_config *c) {
    double d = (double)c->width, q = (double)(c->n_heads * c->head_dim),
           kv = (double)(c->n_kv_heads * c->head_dim);
    return d * (2 * q + 2 * kv) + 3 * d * (double)c->ffn_width;
}

double cr_work_decoder(const struct cr_config *config, size_t first, size_t n) {
    const struct cr_decoder_config *c = &config->text;
    double rows = (double)n, keys = rows * (double)first + rows * (rows + 1) / 2;
    double a_key = 4 * (double)(c->n_heads * c->head_dim);
    double kv = 2 * (double)c->width * (double)(c->n_kv_heads * c->head_dim);
    double block = 2 * block_elements(c) * rows + a_key * keys;
    double last = 2 * (block_elements(c) - kv + kv * rows) + a_key * (double)(first + n);
    return (double)(c->n_layers - 1) * block + last;
}

double cr_work_head(const struct cr_config *c, size_t n) {
    return 2 * (double)c->text.width * (double)c->text.vocab * (double)n;
}

static double patches_of(const struct cr_vision_config *c) {
    size_t grid = cr_vision_grid(c);
    return (double)(grid * grid);
}

double cr_work_tower(const struct cr_config *config, size_t n_tiles) {
    const struct cr_vision_config *c = &config->vision;
    double d = (double)c->width, p = patches_of(c);
    double rows = p * (double)n_tiles;
    double block = 2 * (4 * d * d + 2 * d * (double)c->ffn_width) + 4 * d * p;
    double patch = 2 * d * 3 * (double)(c->patch_px * c->patch_px);
    return rows * ((double)c->n_layers * block + patch);
}

double cr_work_projector(const struct cr_config *c, size_t n_tiles) {
    double d = (double)c->text.width;
    return 2 * d * ((double)c->vision.width + d) * patches_of(&c->vision) *
           (double)n_tiles;
}

static double bytes_of(const struct cr_linear *lin) {
    const struct cr_packed *packed = lin->packed;
    if (packed)
        return (double)cr_packed_bytes(packed->packing, packed->n, packed->k);
    return (double)cr_tensor_rows(&lin->w) * (double)lin->w.row_bytes;
}

double cr_work_step_weights(const struct cr_model *m) {
    double bytes = bytes_of(&m->params.head);
    for (size_t l = 0; l < m->config->text.n_layers; l++) {
        const struct cr_decoder_layer *d = &m->params.layers[l];
        bytes += bytes_of(&d->q) + bytes_of(&d->k) + bytes_of(&d->v) + bytes_of(&d->o) +
                 bytes_of(&d->gate) + bytes_of(&d->up) + bytes_of(&d->down);
    }
    return bytes;
}
