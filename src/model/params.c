#include "model/params.h"

#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "base/checked.h"
#include "base/rng.h"
#include "kernel/quant.h"

/* Symbolic extents, resolved against a config. */
enum symbol { NONE, D, V, QE, GE, F, DV, FV, P, RGB, PX };

enum place { IN_MODEL, IN_LAYER, IN_VISION, IN_TOWER };

struct row {
    const char *pattern; /* %zu is the layer */
    enum place place;
    enum cr_param_part part;
    size_t offset; /* of the struct cr_tensor, from the place's struct */
    enum symbol dim[CR_MAX_DIM];
};

#define LAYER(member)   IN_LAYER, CR_PART_DECODER, offsetof(struct cr_decoder_layer, member)
#define TOWER(member)   IN_TOWER, CR_PART_TOWER, offsetof(struct cr_vision_layer, member)
#define MODEL(member)   IN_MODEL, CR_PART_DECODER, offsetof(struct cr_params, member)
#define VISION(member)  IN_VISION, CR_PART_TOWER, offsetof(struct cr_params, member)
#define PROJECT(member) IN_VISION, CR_PART_PROJECTOR, offsetof(struct cr_params, member)
#define BLOCK           "vision_tower.encoder.layers.%zu."

/* clang-format off */
static const struct row table[] = {
    {"embed_tokens.weight", MODEL(embed), {V, D}},
    {"layers.%zu.input_layernorm.weight", LAYER(attn_norm), {D}},
    {"layers.%zu.self_attn.q_proj.weight", LAYER(q.w), {QE, D}},
    {"layers.%zu.self_attn.q_proj.bias", LAYER(q.bias), {QE}},
    {"layers.%zu.self_attn.k_proj.weight", LAYER(k.w), {GE, D}},
    {"layers.%zu.self_attn.k_proj.bias", LAYER(k.bias), {GE}},
    {"layers.%zu.self_attn.v_proj.weight", LAYER(v.w), {GE, D}},
    {"layers.%zu.self_attn.v_proj.bias", LAYER(v.bias), {GE}},
    {"layers.%zu.self_attn.o_proj.weight", LAYER(o.w), {D, QE}},
    {"layers.%zu.post_attention_layernorm.weight", LAYER(ffn_norm), {D}},
    {"layers.%zu.mlp.gate_proj.weight", LAYER(gate.w), {F, D}},
    {"layers.%zu.mlp.up_proj.weight", LAYER(up.w), {F, D}},
    {"layers.%zu.mlp.down_proj.weight", LAYER(down.w), {D, F}},
    {"norm.weight", MODEL(norm), {D}},
    {"lm_head.weight", MODEL(head.w), {V, D}},
    {"image_newline", IN_VISION, CR_PART_DECODER, offsetof(struct cr_params, newline), {D}},
    {"multi_modal_projector.linear_1.weight", PROJECT(project1.w), {D, DV}},
    {"multi_modal_projector.linear_1.bias", PROJECT(project1.bias), {D}},
    {"multi_modal_projector.linear_2.weight", PROJECT(project2.w), {D, D}},
    {"multi_modal_projector.linear_2.bias", PROJECT(project2.bias), {D}},
    {"vision_tower.embeddings.patch_embedding.weight", VISION(patch.w), {DV, RGB, PX, PX}},
    {"vision_tower.embeddings.patch_embedding.bias", VISION(patch.bias), {DV}},
    {"vision_tower.embeddings.position_embedding.weight", VISION(position), {P, DV}},
    {BLOCK "layer_norm1.weight", TOWER(norm1.w), {DV}},
    {BLOCK "layer_norm1.bias", TOWER(norm1.b), {DV}},
    {BLOCK "self_attn.q_proj.weight", TOWER(q.w), {DV, DV}},
    {BLOCK "self_attn.q_proj.bias", TOWER(q.bias), {DV}},
    {BLOCK "self_attn.k_proj.weight", TOWER(k.w), {DV, DV}},
    {BLOCK "self_attn.k_proj.bias", TOWER(k.bias), {DV}},
    {BLOCK "self_attn.v_proj.weight", TOWER(v.w), {DV, DV}},
    {BLOCK "self_attn.v_proj.bias", TOWER(v.bias), {DV}},
    {BLOCK "self_attn.out_proj.weight", TOWER(o.w), {DV, DV}},
    {BLOCK "self_attn.out_proj.bias", TOWER(o.bias), {DV}},
    {BLOCK "layer_norm2.weight", TOWER(norm2.w), {DV}},
    {BLOCK "layer_norm2.bias", TOWER(norm2.b), {DV}},
    {BLOCK "mlp.fc1.weight", TOWER(fc1.w), {FV, DV}},
    {BLOCK "mlp.fc1.bias", TOWER(fc1.bias), {FV}},
    {BLOCK "mlp.fc2.weight", TOWER(fc2.w), {DV, FV}},
    {BLOCK "mlp.fc2.bias", TOWER(fc2.bias), {DV}},
};
/* clang-format on */

static size_t extent(enum symbol s, const struct cr_config *c) {
    size_t grid = c->vision.present ? cr_vision_grid(&c->vision) : 0;
    switch (s) {
    case D:
        return c->text.width;
    case V:
        return c->text.vocab;
    case QE:
        return c->text.n_heads * c->text.head_dim;
    case GE:
        return c->text.n_kv_heads * c->text.head_dim;
    case F:
        return c->text.ffn_width;
    case DV:
        return c->vision.width;
    case FV:
        return c->vision.ffn_width;
    case P:
        return grid * grid;
    case RGB:
        return 3;
    case PX:
        return c->vision.patch_px;
    case NONE:
        break;
    }
    return 0;
}

/* How often a row occurs in a network of this config. */
static size_t repeats(const struct row *r, const struct cr_config *c) {
    switch (r->place) {
    case IN_MODEL:
        return r->offset == offsetof(struct cr_params, head.w) && c->text.tied ? 0 : 1;
    case IN_LAYER:
        return c->text.n_layers;
    case IN_VISION:
        return c->vision.present ? 1 : 0;
    case IN_TOWER:
        return c->vision.present ? c->vision.n_layers : 0;
    }
    return 0;
}

/* Rows of one place are adjacent, so a place's layers can be listed layer by layer. */
static size_t rows_of_place(size_t first) {
    size_t n = 1;
    while (first + n < CR_COUNT(table) && table[first + n].place == table[first].place)
        n++;
    return n;
}

enum critic_status cr_params_init(struct cr_params *p, const struct cr_config *config,
                                  struct cr_arena *arena, critic_error *err) {
    memset(p, 0, sizeof *p);
    size_t n_tower = config->vision.present ? config->vision.n_layers : 0;
    p->layers = cr_arena_calloc(arena, config->text.n_layers, sizeof *p->layers);
    p->tower = cr_arena_calloc(arena, n_tower, sizeof *p->tower);
    if (!p->layers || !p->tower) {
        memset(p, 0, sizeof *p);
        return cr_fail(err, CRITIC_NO_MEMORY, "out of memory for the parameter table");
    }
    return CRITIC_OK;
}

size_t cr_params_count(const struct cr_config *config) {
    size_t n = 0;
    for (size_t r = 0; r < CR_COUNT(table); r++)
        n += repeats(&table[r], config);
    return n;
}

static struct cr_tensor *locate(struct cr_params *p, const struct row *r, size_t layer) {
    char *base = r->place == IN_LAYER   ? (char *)&p->layers[layer]
                 : r->place == IN_TOWER ? (char *)&p->tower[layer]
                                        : (char *)p;
    return (struct cr_tensor *)(void *)(base + r->offset);
}

static void fill_slot(struct cr_param_slot *slot, struct cr_params *p,
                      const struct row *r, size_t layer, const struct cr_config *config) {
    memset(slot, 0, sizeof *slot);
    const char *mark = strstr(r->pattern, "%zu");
    if (mark)
        snprintf(slot->name, sizeof slot->name, "%.*s%zu%s", (int)(mark - r->pattern),
                 r->pattern, layer, mark + 3);
    else
        snprintf(slot->name, sizeof slot->name, "%s", r->pattern);
    slot->part = r->part;
    while (slot->n_dim < CR_MAX_DIM && r->dim[slot->n_dim] != NONE) {
        slot->dim[slot->n_dim] = extent(r->dim[slot->n_dim], config);
        slot->n_dim++;
    }
    bool is_position =
        r->place == IN_VISION && r->offset == offsetof(struct cr_params, position);
    slot->is_matrix = slot->n_dim > 1 && !is_position;
    slot->is_norm =
        slot->n_dim == 1 && strstr(r->pattern, "norm") && strstr(r->pattern, ".weight");
    slot->tensor = locate(p, r, layer);
}

void cr_params_slot(struct cr_params *p, const struct cr_config *config, size_t i,
                    struct cr_param_slot *slot) {
    for (size_t first = 0; first < CR_COUNT(table);) {
        bool layered = table[first].place == IN_LAYER || table[first].place == IN_TOWER;
        size_t n_rows = layered ? rows_of_place(first) : 1;
        size_t n = n_rows * repeats(&table[first], config);
        if (i < n) {
            fill_slot(slot, p, &table[first + i % n_rows], i / n_rows, config);
            return;
        }
        i -= n;
        first += n_rows;
    }
    CR_ASSERT(!"parameter index out of range");
}

/* A convolution's weight is used as a matrix (Dv, 3*p*p); same bytes. */
static void as_matrix(struct cr_tensor *t) {
    if (t->n_dim == 4) {
        *t = (struct cr_tensor){.data = t->data,
                                .dtype = t->dtype,
                                .n_dim = 2,
                                .dim = {t->dim[0], t->dim[1] * t->dim[2] * t->dim[3]},
                                .row_bytes = t->row_bytes * t->dim[1] * t->dim[2],
                                .name = t->name};
    }
}

static void tie_head(struct cr_params *p, const struct cr_config *config) {
    if (config->text.tied)
        p->head.w = p->embed;
}

static bool is_plain_float(enum cr_dtype dtype) {
    return dtype == CR_F32 || dtype == CR_F16 || dtype == CR_BF16;
}

enum critic_status cr_params_bind(struct cr_params *p, const struct cr_config *config,
                                  const struct cr_store *store, critic_error *err) {
    size_t n = cr_params_count(config);
    for (size_t i = 0; i < n; i++) {
        struct cr_param_slot slot;
        cr_params_slot(p, config, i, &slot);
        enum critic_status status =
            cr_store_get(store, slot.name, slot.n_dim, slot.dim, slot.tensor, err);
        if (status != CRITIC_OK && config->absent_sizes[0])
            cr_error_wrap(err, status,
                          "config.json: no %s, and transformers' default does not fit: ",
                          config->absent_sizes);
        CR_TRY(status);
        enum cr_dtype dtype = slot.tensor->dtype;
        bool quantised = cr_dtype_block_len(dtype) > 1 || cr_dtype_is_panels(dtype);
        if (!is_plain_float(dtype) && !(quantised && slot.is_matrix))
            return cr_fail(err, CRITIC_BAD_MODEL,
                           "tensor '%s' has dtype %s; expected F32, F16%s",
                           slot.tensor->name, cr_dtype_name(dtype),
                           slot.is_matrix ? ", BF16 or a quantised matrix" : " or BF16");
        if (slot.n_dim == 4 && quantised)
            return cr_fail(err, CRITIC_BAD_MODEL,
                           "tensor '%s' is a quantised convolution", slot.tensor->name);
        if (slot.tensor == &p->embed && cr_dtype_is_panels(dtype))
            return cr_fail(err, CRITIC_BAD_MODEL,
                           "tensor '%s' has dtype %s; an embedding is read row by row",
                           slot.tensor->name, cr_dtype_name(dtype));
        as_matrix(slot.tensor);
    }
    tie_head(p, config);
    return CRITIC_OK;
}

/* Matrices ~ N(0, 1/K) keep activations of order one through any depth. Rows are pieces of one
 * table of normals, brought to a matrix's scale and dtype once and then copied: gigabytes a
 * second. */
#define NORMALS ((size_t)1 << 16)

struct normals {
    float *plain;  /* (NORMALS) */
    float *scaled; /* (NORMALS), for one tensor */
    char *typed;   /* the same in the tensor's dtype */
};

/* n bytes from offset `at` of a ring of from_bytes. */
static void copy_round(char *to, const char *from, size_t from_bytes, size_t at,
                       size_t n) {
    while (n > 0) {
        size_t part = CR_MIN(n, from_bytes - at);
        memcpy(to, from + at, part);
        to += part;
        n -= part;
        at = 0;
    }
}

static void fill_random(const struct cr_param_slot *slot, const struct normals *normals,
                        uint64_t seed) {
    struct cr_tensor *t = slot->tensor;
    size_t cols = cr_tensor_cols(t), n_rows = cr_tensor_rows(t);
    size_t block = cr_dtype_block_bytes(t->dtype);
    size_t n_blocks = NORMALS / cr_dtype_block_len(t->dtype);
    float scale = slot->is_matrix ? 1.0f / sqrtf((float)cols) : 0.1f;
    float shift = slot->is_norm ? 1.0f : 0.0f;
    for (size_t i = 0; i < NORMALS; i++)
        normals->scaled[i] = shift + scale * normals->plain[i];
    cr_row_from_f32(t->dtype, normals->scaled, normals->typed, NORMALS);
#pragma omp parallel for schedule(static)
    for (size_t r = 0; r < n_rows; r++) {
        size_t at = (size_t)(cr_hash_u64(seed + r) % n_blocks) * block;
        copy_round(cr_tensor_row(t, r), normals->typed, n_blocks * block, at,
                   t->row_bytes);
    }
}

static enum critic_status make_normals(struct normals *n, uint64_t seed,
                                       struct cr_arena *arena, critic_error *err) {
    struct cr_rng rng;
    n->plain = cr_arena_calloc(arena, NORMALS, sizeof(float));
    n->scaled = cr_arena_calloc(arena, NORMALS, sizeof(float));
    n->typed = cr_arena_calloc(arena, NORMALS, sizeof(float)); /* f32 is the widest */
    if (!n->plain || !n->scaled || !n->typed)
        return cr_fail(err, CRITIC_NO_MEMORY, "out of memory for random weights");
    cr_rng_seed(&rng, seed);
    for (size_t i = 0; i < NORMALS; i++)
        n->plain[i] = (float)cr_rng_normal(&rng);
    return CRITIC_OK;
}

enum critic_status cr_params_random(struct cr_params *p, const struct cr_config *config,
                                    enum cr_dtype dtype, uint64_t seed,
                                    struct cr_arena *arena, critic_error *err) {
    struct normals normals;
    CR_TRY(make_normals(&normals, seed, arena, err));
    for (size_t i = 0, n = cr_params_count(config); i < n; i++) {
        struct cr_param_slot slot;
        cr_params_slot(p, config, i, &slot);
        struct cr_tensor *t = slot.tensor;
        *t = (struct cr_tensor){.n_dim = slot.n_dim, .name = "random"};
        memcpy(t->dim, slot.dim, sizeof t->dim);
        bool in_blocks = cr_tensor_cols(t) % cr_dtype_block_len(dtype) == 0;
        t->dtype = !slot.is_matrix ? CR_F32 : in_blocks ? dtype : CR_F16;
        size_t bytes;
        if (!cr_dtype_row_bytes(t->dtype, cr_tensor_cols(t), &t->row_bytes) ||
            !cr_mul_size(t->row_bytes, cr_tensor_rows(t), &bytes))
            return cr_fail(err, CRITIC_BAD_MODEL, "%s: rows of %zu do not fit %s blocks",
                           slot.name, cr_tensor_cols(t), cr_dtype_name(t->dtype));
        t->data = cr_arena_alloc(arena, bytes);
        if (!t->data)
            return cr_fail(err, CRITIC_NO_MEMORY, "out of memory for random weights");
        fill_random(&slot, &normals, cr_hash_u64(seed ^ i));
        as_matrix(t);
    }
    tie_head(p, config);
    return CRITIC_OK;
}

double cr_params_elements(const struct cr_config *config) {
    double n = 0;
    for (size_t r = 0; r < CR_COUNT(table); r++) {
        double elements = (double)repeats(&table[r], config);
        for (size_t d = 0; d < CR_MAX_DIM && table[r].dim[d] != NONE; d++)
            elements *= (double)extent(table[r].dim[d], config);
        n += elements;
    }
    return n;
}

void cr_params_size(struct cr_params *p, const struct cr_config *config,
                    size_t *n_elements, size_t *n_bytes) {
    *n_elements = 0;
    *n_bytes = 0;
    for (size_t i = 0, n = cr_params_count(config); i < n; i++) {
        struct cr_param_slot slot;
        cr_params_slot(p, config, i, &slot);
        *n_elements += cr_tensor_rows(slot.tensor) * cr_tensor_cols(slot.tensor);
        *n_bytes += cr_tensor_bytes(slot.tensor);
    }
}
