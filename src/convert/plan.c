#include "convert/plan.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "kernel/quant.h"
#include "model/params.h"
#include "tensor/names.h"

#define ARENA_BYTES  ((size_t)64 << 20)
#define ARENA_MARGIN ((size_t)1024)
/* Tensors of one decoder layer, of one tower block, and outside of both, at most. */
#define PER_LAYER 12
#define PER_BLOCK 16
#define OTHERS    16

struct planner {
    struct cr_plan *plan;
    const struct cr_store *store;
    const struct cr_convert_options *options;
    enum cr_layout layout;
    struct cr_buf name;
    const struct cr_tensor *constant; /* stands for the store's tensor; NULL: none */
    const char *other;                /* its name in the store; NULL: the canonical one */
};

static bool is_float(enum cr_dtype dtype) {
    return dtype == CR_F32 || dtype == CR_F16 || dtype == CR_BF16 || dtype == CR_F64;
}

/* Its own type where that is a plain float that every reader knows. */
static enum cr_dtype plain(enum cr_dtype dtype) {
    if (dtype == CR_F64)
        return CR_F32;
    return is_float(dtype) ? dtype : CR_F16;
}

static enum cr_dtype gguf_dtype(struct planner *p, const char *canonical,
                                const struct cr_tensor *t) {
    enum cr_dtype want = p->options->dtype;
    bool keep = want == CR_DTYPE_COUNT;
    bool quantise = want == CR_Q8_0 || want == CR_Q4_0;
    /* llama.cpp adds and scales by vectors in F32 and convolves in F32 or F16 only. */
    if (t->n_dim == 1 ||
        strcmp(canonical, "vision_tower.embeddings.position_embedding.weight") == 0)
        return CR_F32;
    if (t->n_dim != 2)
        return want == CR_F16 || (keep && t->dtype == CR_F16) ? CR_F16 : CR_F32;
    if (keep)
        return is_float(t->dtype) ? plain(t->dtype) : t->dtype;
    if (quantise && cr_tensor_cols(t) % 32 != 0) {
        p->plan->n_not_quantised++;
        return plain(t->dtype);
    }
    if (want == CR_Q4_0 && (strcmp(canonical, "embed_tokens.weight") == 0 ||
                            strcmp(canonical, "lm_head.weight") == 0))
        return CR_Q8_0;
    return want;
}

/* What is no product stays as it is, so that nothing but the panels can tell the file from its
 * source. */
static enum cr_dtype packed_dtype(const struct planner *p, const char *canonical,
                                  const struct cr_tensor *t) {
    if (t->n_dim != 2 || strcmp(canonical, "embed_tokens.weight") == 0 ||
        strcmp(canonical, "vision_tower.embeddings.position_embedding.weight") == 0)
        return t->dtype == CR_F64 ? CR_F32 : t->dtype;
    bool in_decoder_block = strncmp(canonical, "layers.", 7) == 0;
    return cr_packed_dtype(
        cr_param_packing(t->dtype, cr_tensor_cols(t), in_decoder_block,
                         p->options->dtype == CR_PANEL4 ? CR_PACK_INT4 : CR_PACK_INT8));
}

static enum cr_dtype choose_dtype(struct planner *p, const char *canonical,
                                  const struct cr_tensor *t) {
    if (p->options->target == CR_CONVERT_PACKED)
        return packed_dtype(p, canonical, t);
    if (p->layout == CR_LAYOUT_GGUF)
        return gguf_dtype(p, canonical, t);
    return p->options->dtype == CR_DTYPE_COUNT ? plain(t->dtype) : p->options->dtype;
}

static enum critic_status no_memory(critic_error *err) {
    return cr_fail(err, CRITIC_NO_MEMORY, "out of memory for the list of tensors");
}

static enum critic_status add(struct planner *p, int n_dim, size_t a, size_t b, size_t c,
                              critic_error *err, const char *fmt, ...) CR_PRINTF(7, 8);

/* The tensor of this canonical name and shape (a), (a, b) or (a, b, c, c). */
static enum critic_status add(struct planner *p, int n_dim, size_t a, size_t b, size_t c,
                              critic_error *err, const char *fmt, ...) {
    char canonical[128];
    va_list args;
    va_start(args, fmt);
    vsnprintf(canonical, sizeof canonical, fmt, args);
    va_end(args);
    const size_t dim[4] = {a, b, c, c};
    struct cr_plan_item *item = &p->plan->items[p->plan->n_items];
    if (p->constant)
        item->source = *p->constant;
    else
        CR_TRY(cr_store_get(p->store, p->other ? p->other : canonical, n_dim, dim,
                            &item->source, err));
    CR_TRY(cr_name_to(&p->name, p->layout, canonical, err));
    item->vision = cr_name_is_vision(canonical);
    item->canonical = cr_arena_strndup(&p->plan->arena, canonical, strlen(canonical));
    item->target.name = cr_arena_strndup(&p->plan->arena, p->name.data, p->name.len);
    if (!item->canonical || !item->target.name)
        return no_memory(err);
    if (!is_float(item->source.dtype) && cr_dtype_block_len(item->source.dtype) == 1)
        return cr_fail(err, CRITIC_UNSUPPORTED,
                       "tensor '%s' has dtype %s; expected floats", item->source.name,
                       cr_dtype_name(item->source.dtype));
    item->target.dtype = choose_dtype(p, canonical, &item->source);
    item->target.n_dim = n_dim;
    memcpy(item->target.dim, dim, sizeof dim);
    if (!cr_file_tensor_bytes(item->target.dtype, n_dim, dim, &item->target.bytes))
        return cr_fail(err, CRITIC_UNSUPPORTED, "tensor '%s' cannot be stored as %s",
                       item->source.name, cr_dtype_name(item->target.dtype));
    p->plan->n_items++;
    return CRITIC_OK;
}

static enum critic_status
add_decoder(struct planner *p, const struct cr_decoder_config *t, critic_error *err) {
    size_t q = t->n_heads * t->head_dim;
    size_t kv = t->n_kv_heads * t->head_dim;
    CR_TRY(add(p, 2, t->vocab, t->width, 0, err, "embed_tokens.weight"));
    for (size_t i = 0; i < t->n_layers; i++) {
        static const char layer[] = "layers.%zu.%s";
        CR_TRY(add(p, 1, t->width, 0, 0, err, layer, i, "input_layernorm.weight"));
        CR_TRY(add(p, 2, q, t->width, 0, err, layer, i, "self_attn.q_proj.weight"));
        CR_TRY(add(p, 1, q, 0, 0, err, layer, i, "self_attn.q_proj.bias"));
        CR_TRY(add(p, 2, kv, t->width, 0, err, layer, i, "self_attn.k_proj.weight"));
        CR_TRY(add(p, 1, kv, 0, 0, err, layer, i, "self_attn.k_proj.bias"));
        CR_TRY(add(p, 2, kv, t->width, 0, err, layer, i, "self_attn.v_proj.weight"));
        CR_TRY(add(p, 1, kv, 0, 0, err, layer, i, "self_attn.v_proj.bias"));
        CR_TRY(add(p, 2, t->width, q, 0, err, layer, i, "self_attn.o_proj.weight"));
        CR_TRY(
            add(p, 1, t->width, 0, 0, err, layer, i, "post_attention_layernorm.weight"));
        CR_TRY(
            add(p, 2, t->ffn_width, t->width, 0, err, layer, i, "mlp.gate_proj.weight"));
        CR_TRY(add(p, 2, t->ffn_width, t->width, 0, err, layer, i, "mlp.up_proj.weight"));
        CR_TRY(
            add(p, 2, t->width, t->ffn_width, 0, err, layer, i, "mlp.down_proj.weight"));
    }
    CR_TRY(add(p, 1, t->width, 0, 0, err, "norm.weight"));
    bool is_packed = p->options->target == CR_CONVERT_PACKED;
    if (t->tied && !is_packed)
        return CRITIC_OK;
    /* The rows of a tied embedding stay as they are, and the head is packed beside them. */
    p->other = t->tied ? "embed_tokens.weight" : NULL;
    enum critic_status status = add(p, 2, t->vocab, t->width, 0, err, "lm_head.weight");
    p->other = NULL;
    return status;
}

/* weight (rows, cols) and bias (rows) of one linear layer of block i. */
static enum critic_status add_block_linear(struct planner *p, size_t i, const char *name,
                                           size_t rows, size_t cols, critic_error *err) {
    static const char layer[] = "vision_tower.encoder.layers.%zu.%s.%s";
    CR_TRY(add(p, 2, rows, cols, 0, err, layer, i, name, "weight"));
    return add(p, 1, rows, 0, 0, err, layer, i, name, "bias");
}

/* Unused by every pass, but readers of both safetensors layouts expect it. A model that was trained
 * from nothing may lack it: then it is what it starts as, 1 and 0. */
static enum critic_status add_post_layernorm(struct planner *p, size_t width,
                                             critic_error *err) {
    bool is_there = cr_store_find(p->store, "vision_tower.post_layernorm.weight");
    if (p->options->target == CR_CONVERT_PACKED ||
        (!is_there && p->layout == CR_LAYOUT_GGUF))
        return CRITIC_OK;
    float *values = cr_arena_calloc(&p->plan->arena, 2 * width, sizeof *values);
    if (!values)
        return no_memory(err);
    for (size_t i = 0; i < width; i++)
        values[i] = 1;
    for (size_t bias = 0; bias < 2; bias++) {
        struct cr_tensor t = {.data = values + bias * width,
                              .dtype = CR_F32,
                              .n_dim = 1,
                              .dim = {width},
                              .row_bytes = width * sizeof *values,
                              .name = "post_layernorm"};
        p->constant = is_there ? NULL : &t;
        enum critic_status status =
            add(p, 1, width, 0, 0, err, "vision_tower.post_layernorm.%s",
                bias ? "bias" : "weight");
        p->constant = NULL;
        CR_TRY(status);
    }
    return CRITIC_OK;
}

static enum critic_status add_tower(struct planner *p, const struct cr_vision_config *v,
                                    critic_error *err) {
    static const char *const attention[] = {"self_attn.q_proj", "self_attn.k_proj",
                                            "self_attn.v_proj", "self_attn.out_proj"};
    size_t grid = cr_vision_grid(v);
    CR_TRY(add(p, 4, v->width, 3, v->patch_px, err,
               "vision_tower.embeddings.patch_embedding.weight"));
    CR_TRY(
        add(p, 1, v->width, 0, 0, err, "vision_tower.embeddings.patch_embedding.bias"));
    CR_TRY(add(p, 2, grid * grid, v->width, 0, err,
               "vision_tower.embeddings.position_embedding.weight"));
    for (size_t i = 0; i < v->n_layers; i++) {
        for (int norm = 1; norm <= 2; norm++)
            for (int bias = 0; bias <= 1; bias++)
                CR_TRY(add(p, 1, v->width, 0, 0, err,
                           "vision_tower.encoder.layers.%zu.layer_norm%d.%s", i, norm,
                           bias ? "bias" : "weight"));
        for (size_t k = 0; k < CR_COUNT(attention); k++)
            CR_TRY(add_block_linear(p, i, attention[k], v->width, v->width, err));
        CR_TRY(add_block_linear(p, i, "mlp.fc1", v->ffn_width, v->width, err));
        CR_TRY(add_block_linear(p, i, "mlp.fc2", v->width, v->ffn_width, err));
    }
    return add_post_layernorm(p, v->width, err);
}

static enum critic_status add_all(struct planner *p, const struct cr_config *c,
                                  critic_error *err) {
    size_t width = c->text.width;
    CR_TRY(add_decoder(p, &c->text, err));
    if (!c->vision.present)
        return CRITIC_OK;
    CR_TRY(add_tower(p, &c->vision, err));
    CR_TRY(add(p, 2, width, c->vision.width, 0, err,
               "multi_modal_projector.linear_1.weight"));
    CR_TRY(add(p, 1, width, 0, 0, err, "multi_modal_projector.linear_1.bias"));
    CR_TRY(add(p, 2, width, width, 0, err, "multi_modal_projector.linear_2.weight"));
    CR_TRY(add(p, 1, width, 0, 0, err, "multi_modal_projector.linear_2.bias"));
    return add(p, 1, width, 0, 0, err, "image_newline");
}

enum critic_status cr_plan_make(struct cr_plan *plan, const struct cr_store *store,
                                const struct cr_config *config, enum cr_layout layout,
                                const struct cr_convert_options *options,
                                critic_error *err) {
    struct planner p = {
        .plan = plan, .store = store, .options = options, .layout = layout};
    memset(plan, 0, sizeof *plan);
    CR_TRY(cr_arena_init(&plan->arena, ARENA_BYTES, err));
    cr_buf_init(&p.name, 1 << 16);
    size_t most = config->text.n_layers * PER_LAYER +
                  config->vision.n_layers * PER_BLOCK +
                  OTHERS; /* both counts were bounded when the configuration was read */
    enum critic_status status = CRITIC_OK;
    plan->items = cr_arena_calloc(&plan->arena, most, sizeof *plan->items);
    if (!plan->items)
        status = no_memory(err);
    if (status == CRITIC_OK)
        status = add_all(&p, config, err);
    cr_buf_fini(&p.name);
    if (status != CRITIC_OK)
        cr_plan_fini(plan);
    return status;
}

void cr_plan_fini(struct cr_plan *plan) {
    cr_exec_free(plan->ex);
    cr_arena_fini(&plan->merged);
    cr_arena_fini(&plan->arena);
    memset(plan, 0, sizeof *plan);
}

/* A finite number that would become infinite, or one that no block can hold. */
static enum critic_status check_range(const struct cr_plan_item *item, const float *row,
                                      size_t n, critic_error *err) {
    enum cr_dtype dtype = item->target.dtype;
    if (dtype == CR_F32 || dtype == CR_BF16)
        return CRITIC_OK;
    bool blocks = cr_dtype_block_len(dtype) > 1;
    for (size_t i = 0; i < n; i++)
        if (isfinite(row[i]) ? fabsf(row[i]) >= 65520 : blocks)
            return cr_fail(err, CRITIC_BAD_DATA,
                           "tensor '%s' holds %g, which %s cannot hold",
                           item->source.name, (double)row[i], cr_dtype_name(dtype));
    return CRITIC_OK;
}

/* A matrix in panels, as memory holds it when it is quantised on opening. */
static enum critic_status stream_panels(const struct cr_plan *plan,
                                        const struct cr_plan_item *item,
                                        cr_plan_sink *sink, void *user,
                                        critic_error *err) {
    struct cr_arena arena;
    struct cr_packed packed;
    CR_TRY(cr_arena_init(&arena, item->target.bytes + ARENA_MARGIN, err));
    enum critic_status status = cr_packed_new(
        &packed, item->target.dtype == CR_PANEL4 ? CR_PACK_INT4 : CR_PACK_INT8,
        &item->source, &arena, plan->ex, err);
    if (status == CRITIC_OK)
        status = sink(user, packed.panels, item->target.bytes, err);
    cr_arena_fini(&arena);
    return status;
}

enum critic_status cr_plan_stream(const struct cr_plan *plan,
                                  const struct cr_plan_item *item, cr_plan_sink *sink,
                                  void *user, critic_error *err) {
    const struct cr_tensor *t = &item->source;
    size_t rows = cr_tensor_rows(t), cols = cr_tensor_cols(t), bytes;
    if (cr_dtype_is_panels(item->target.dtype))
        return stream_panels(plan, item, sink, user, err);
    CR_ASSERT(cr_dtype_row_bytes(item->target.dtype, cols, &bytes));
    if (t->dtype == item->target.dtype)
        return sink(user, t->data, rows * bytes, err);
    float *row = malloc(cols * sizeof *row);
    unsigned char *out = malloc(bytes);
    enum critic_status status = row && out ? CRITIC_OK : no_memory(err);
    for (size_t r = 0; r < rows && status == CRITIC_OK; r++) {
        cr_row_to_f32(t->dtype, cr_tensor_row(t, r), row, cols);
        status = check_range(item, row, cols, err);
        if (status != CRITIC_OK)
            break;
        cr_row_from_f32(item->target.dtype, row, out, cols);
        status = sink(user, out, bytes, err);
    }
    free(row);
    free(out);
    return status;
}

/* ---- reading back ---- */

struct compare {
    const struct cr_plan_item *item;
    const unsigned char *found;
};

static enum critic_status compare_bytes(void *user, const void *data, size_t bytes,
                                        critic_error *err) {
    struct compare *c = user;
    if (memcmp(c->found, data, bytes) != 0)
        return cr_fail(err, CRITIC_IO,
                       "tensor '%s' reads back differently from what was written",
                       c->item->target.name);
    c->found += bytes;
    return CRITIC_OK;
}

static enum critic_status verify_tensor(const struct cr_plan *plan,
                                        const struct cr_plan_item *item,
                                        const struct cr_store *store, critic_error *err) {
    struct cr_tensor t;
    CR_TRY(cr_store_get(store, item->canonical, item->target.n_dim, item->target.dim, &t,
                        err));
    const struct cr_store_entry *e = cr_store_find(store, item->canonical);
    if (t.dtype != item->target.dtype || strcmp(e->name, item->target.name) != 0)
        return cr_fail(err, CRITIC_IO, "tensor '%s' reads back as '%s' of type %s",
                       item->target.name, e->name, cr_dtype_name(t.dtype));
    struct compare c = {item, t.data};
    return cr_plan_stream(plan, item, compare_bytes, &c, err);
}

static bool same_templates(const struct cr_config *a, const struct cr_config *b) {
    const struct cr_template_names *t = &a->templates, *u = &b->templates;
    bool same = t->n == u->n;
    for (size_t i = 0; same && i < t->n; i++)
        same = strcmp(t->name[i], u->name[i]) == 0;
    return same;
}

/* What must survive; layout, rounding and system turn follow from the target's layout. */
static bool same_config(const struct cr_config *a, const struct cr_config *b) {
    const struct cr_decoder_config *t = &a->text, *u = &b->text;
    const struct cr_vision_config *v = &a->vision, *w = &b->vision;
    if (t->width != u->width || t->n_layers != u->n_layers || t->n_heads != u->n_heads ||
        t->n_kv_heads != u->n_kv_heads || t->head_dim != u->head_dim ||
        t->ffn_width != u->ffn_width || t->vocab != u->vocab ||
        t->max_positions != u->max_positions || t->tied != u->tied ||
        (float)t->rope_theta != (float)u->rope_theta ||
        (float)t->rms_eps != (float)u->rms_eps || !same_templates(a, b))
        return false;
    if (v->present != w->present || !v->present)
        return v->present == w->present;
    return v->width == w->width && v->n_layers == w->n_layers &&
           v->n_heads == w->n_heads && v->ffn_width == w->ffn_width &&
           v->image_px == w->image_px && v->patch_px == w->patch_px && v->act == w->act &&
           (float)v->layer_norm_eps == (float)w->layer_norm_eps &&
           a->projector_act == b->projector_act &&
           a->picture.aspect == b->picture.aspect &&
           a->picture.max_tiles == b->picture.max_tiles &&
           a->picture.n_pinpoints == b->picture.n_pinpoints &&
           memcmp(a->picture.pinpoints, b->picture.pinpoints,
                  a->picture.n_pinpoints * sizeof a->picture.pinpoints[0]) == 0 &&
           memcmp(a->picture.mean, b->picture.mean, sizeof a->picture.mean) == 0 &&
           memcmp(a->picture.std, b->picture.std, sizeof a->picture.std) == 0;
}

enum critic_status cr_plan_verify(const struct cr_plan *plan,
                                  const struct cr_config *config, const char *path,
                                  critic_error *err) {
    struct cr_store *store;
    struct cr_config found;
    enum critic_status status = cr_store_open(&store, path, err);
    if (status == CRITIC_OK)
        status = cr_config_read(&found, store, err);
    if (status == CRITIC_OK && !same_config(config, &found))
        status = cr_fail(err, CRITIC_IO, "the configuration reads back differently");
    for (size_t i = 0; i < plan->n_items && status == CRITIC_OK; i++)
        status = verify_tensor(plan, &plan->items[i], store, err);
    cr_store_close(store);
    if (status != CRITIC_OK)
        cr_error_wrap(err, status, "reading back: ");
    return status;
}
