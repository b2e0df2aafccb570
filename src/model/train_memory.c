#include <string.h>

#include "base/checked.h"
#include "model/lora.h"
#include "model/train_parts.h"

/* Many rows keep a product with a large vocabulary at speed. */
#define LOGITS_BYTES ((size_t)192 << 20)

static void *take(struct cr_train *t, size_t n, size_t size) {
    size_t bytes;
    CR_ASSERT(cr_mul_size(n, size, &bytes));
    void *p = cr_arena_alloc(&t->arena, bytes);
    CR_ASSERT(p);
    return p;
}

static struct cr_tensor matrix(struct cr_train *t, enum cr_dtype dtype, size_t rows,
                               size_t cols) {
    struct cr_tensor m = cr_tensor_view2(NULL, dtype, rows, cols);
    m.data = take(t, rows, m.row_bytes);
    return m;
}

static struct cr_block_dims decoder_dims(const struct cr_decoder_config *c) {
    return (struct cr_block_dims){c->n_layers,
                                  c->width,
                                  c->n_heads * c->head_dim,
                                  c->n_kv_heads * c->head_dim,
                                  c->ffn_width,
                                  c->n_heads,
                                  true};
}

static struct cr_block_dims tower_dims(const struct cr_vision_config *c) {
    return (struct cr_block_dims){c->n_layers,  c->width,   c->width, c->width,
                                  c->ffn_width, c->n_heads, false};
}

/* One block's activations; all blocks have one place for what the feed-forward's last product takes. Roundings are the same whatever is kept, so that the same weights have the same
 * loss: scores in one type, and the feed-forward's first products rounded before their activation. */
static void make_acts(struct cr_block_stack *s, size_t at, bool kept,
                      struct cr_arena *arena, enum cr_dtype act) {
    const struct cr_block_dims *d = &s->dims;
    struct cr_attention_types types = {act, act, act, act};
    s->a[at] = cr_attention_acts_make(s->n_rows, d->width, d->q_width, d->kv_width,
                                      d->n_heads, kept, types, arena, act);
    s->f[at] = cr_ffn_acts_make(s->n_rows, d->width, d->ffn_width, d->gated,
                                at ? &s->f[0].act : NULL, arena, act);
}

static void make_stack(struct cr_train *t, struct cr_block_stack *s,
                       const struct cr_block_dims *d, size_t rows, enum cr_keep keep) {
    *s = (struct cr_block_stack){
        .keep = keep, .dims = *d, .n_layers = d->n_layers, .n_rows = rows};
    size_t n = keep == CR_KEEP_ALL ? d->n_layers : 1;
    s->x = take(t, d->n_layers + 1, sizeof *s->x);
    s->mid = take(t, n, sizeof *s->mid);
    s->a = take(t, n, sizeof *s->a);
    s->f = take(t, n, sizeof *s->f);
    for (size_t l = 0; l <= d->n_layers; l++)
        s->x[l] =
            l && keep == CR_KEEP_NOTHING ? s->x[0] : matrix(t, CR_F32, rows, d->width);
    for (size_t l = 0; l < n; l++) {
        s->mid[l] = keep == CR_KEEP_NOTHING ? s->x[0] : matrix(t, CR_F32, rows, d->width);
        if (keep == CR_KEEP_ALL)
            make_acts(s, l, true, &t->arena, t->ex->act);
    }
    if (keep != CR_KEEP_NOTHING)
        s->dx = matrix(t, CR_F32, rows, d->width);
}

size_t cr_stack_borrow(struct cr_train *t, struct cr_block_stack *s) {
    size_t mark = cr_arena_mark(&t->ex->scratch);
    if (s->keep != CR_KEEP_ALL)
        make_acts(s, 0, s->keep == CR_KEEP_INPUTS, &t->ex->scratch, t->ex->act);
    return mark;
}

void cr_stack_return(struct cr_train *t, size_t mark) {
    cr_arena_release(&t->ex->scratch, mark);
}

static size_t patches_of(const struct cr_vision_config *c) {
    return cr_vision_grid(c) * cr_vision_grid(c);
}

static void tower_parts(struct cr_train *t, size_t n_tiles, enum cr_keep keep) {
    const struct cr_vision_config *c = &t->m->config->vision;
    struct cr_block_dims d = tower_dims(c);
    size_t rows = n_tiles * patches_of(c);
    t->patches = matrix(t, t->ex->act, rows, 3 * c->patch_px * c->patch_px);
    make_stack(t, &t->tower, &d, rows, keep);
}

static void forget(struct cr_train *t) {
    cr_arena_release(&t->arena, 0);
    t->patches = t->projected = t->dprojected = (struct cr_tensor){0};
    memset(&t->tower, 0, sizeof t->tower);
    memset(&t->decoder, 0, sizeof t->decoder);
}

void cr_train_allocate_tower(struct cr_train *t, size_t n_tiles, enum cr_keep keep) {
    forget(t);
    tower_parts(t, n_tiles, keep);
}

void cr_train_allocate(struct cr_train *t, const struct cr_train_sizes *sizes,
                       enum cr_keep keep) {
    const struct cr_config *config = t->m->config;
    size_t rows = sizes->n_rows, n = sizes->n_targets, width = config->text.width;
    forget(t);
    t->sizes = *sizes;
    t->keep = keep;
    if (sizes->n_tiles) {
        tower_parts(t, sizes->n_tiles, t->opts.frozen_tower ? CR_KEEP_NOTHING : keep);
        t->projected = matrix(t, CR_F32, t->patches.dim[0], width);
        if (keep != CR_KEEP_NOTHING)
            t->dprojected = matrix(t, CR_F32, t->patches.dim[0], width);
    }
    t->ids = take(t, rows, sizeof *t->ids);
    t->positions = take(t, rows, sizeof *t->positions);
    t->cos_table = take(t, rows, config->text.head_dim / 2 * sizeof(float));
    t->sin_table = take(t, rows, config->text.head_dim / 2 * sizeof(float));
    t->sequences = take(t, sizes->n_sequences, sizeof *t->sequences);
    struct cr_block_dims d = decoder_dims(&config->text);
    make_stack(t, &t->decoder, &d, rows, keep);
    t->target_rows = take(t, n, sizeof *t->target_rows);
    t->targets = take(t, n, sizeof *t->targets);
    t->rrms = take(t, n, sizeof(float));
    t->logp = take(t, n, sizeof(float));
    t->lse = take(t, n, sizeof(float));
    t->dlogp = take(t, n, sizeof(float));
    t->head_x = matrix(t, CR_F32, n, width);
    t->head_h = matrix(t, t->ex->act, n, width);
    if (keep != CR_KEEP_NOTHING) {
        t->head_dh = matrix(t, CR_F32, n, width);
        t->head_dx = matrix(t, CR_F32, n, width);
    }
}

size_t cr_train_head_rows(const struct cr_train *t, size_t n_targets) {
    if (t->opts.head_rows)
        return t->opts.head_rows;
    size_t most =
        CR_MAX(LOGITS_BYTES / (t->m->config->text.vocab * sizeof(float)), (size_t)1);
    size_t n_chunks = CR_MAX(CR_CEIL_DIV(n_targets, most), (size_t)1);
    return CR_MAX(CR_CEIL_DIV(n_targets, n_chunks), (size_t)1);
}

/* ---- the plan ---- */

/* Scratch of one block's backward, over all its moments; and of its forward, which is less. */
static size_t block_scratch(const struct cr_block_dims *d, size_t rows, size_t act) {
    size_t base = d->width * (4 + act); /* dh, and dx in act */
    size_t attention = d->q_width * (2 * act + 4) + d->kv_width * (2 * act + 4);
    /* An adapted linear sums in f32 before it is rounded. */
    size_t ffn = d->ffn_width * (2 * act + 4);
    return rows * (base + CR_MAX(attention, ffn));
}

/* What cr_stack_borrow takes, from an arena of which no page is touched. */
static size_t borrowed_bytes(const struct cr_train *t, const struct cr_block_dims *d,
                             size_t rows) {
    struct cr_arena arena;
    struct cr_attention_acts a;
    struct cr_ffn_acts f;
    struct cr_block_stack s = {.dims = *d, .n_rows = rows, .a = &a, .f = &f};
    if (cr_arena_init(&arena, t->arena.limit, NULL) != CRITIC_OK)
        return 0;
    make_acts(&s, 0, true, &arena, t->ex->act);
    size_t bytes = arena.used;
    cr_arena_fini(&arena);
    return bytes;
}

/* A thread's panels and sums in backward of attention. */
static size_t attention_scratch(size_t keys, size_t head_dim, int n_threads) {
    size_t padded = CR_CEIL_DIV(head_dim, 16) * 16, panels = CR_CEIL_DIV(keys, 64) + 3;
    return (size_t)n_threads * panels * 64 * padded * 4 * 5;
}

/* Converted copies of weights that products do not take as they are. */
static size_t conversion_scratch(struct cr_params *p, const struct cr_config *config,
                                 const struct cr_exec *ex) {
    size_t most = 0, act = cr_dtype_block_bytes(ex->act);
    for (size_t i = 0, n = cr_params_count(config); i < n; i++) {
        struct cr_param_slot slot;
        cr_params_slot(p, config, i, &slot);
        size_t n_elements = cr_tensor_rows(slot.tensor) * cr_tensor_cols(slot.tensor);
        if (slot.is_matrix && (!ex->gemm || slot.tensor->dtype != ex->act))
            most = CR_MAX(most, n_elements * (ex->gemm ? act : 4));
    }
    return most;
}

static size_t scratch_bytes(const struct cr_train *t,
                            const struct cr_train_sizes *sizes) {
    const struct cr_config *config = t->m->config;
    struct cr_params params = t->m->params;
    size_t act = cr_dtype_block_bytes(t->ex->act);
    /* Products by own kernels turn their operands and go through f32. */
    size_t times = t->ex->gemm ? 1 : 4;
    struct cr_block_dims d = decoder_dims(&config->text);
    size_t most = times * (block_scratch(&d, sizes->n_rows, act) +
                           attention_scratch(sizes->longest, config->text.head_dim,
                                             t->ex->n_threads)) +
                  borrowed_bytes(t, &d, sizes->n_rows);
    size_t head = CR_MIN(cr_train_head_rows(t, sizes->n_targets), sizes->n_targets) *
                  config->text.vocab;
    most = CR_MAX(most, times * head * (act == 4 ? 4 : 4 + act));
    if (sizes->n_tiles) {
        const struct cr_vision_config *c = &config->vision;
        size_t rows = sizes->n_tiles * patches_of(c);
        d = tower_dims(c);
        size_t tower = times * (block_scratch(&d, rows, act) +
                                attention_scratch(patches_of(c), c->width / c->n_heads,
                                                  t->ex->n_threads)) +
                       borrowed_bytes(t, &d, rows);
        most = CR_MAX(most, tower);
    }
    return most + conversion_scratch(&params, config, t->ex) + ((size_t)16 << 20);
}

struct cr_train_plan cr_train_plan(const struct cr_train *t,
                                   const struct cr_params *grads,
                                   const struct cr_train_sizes *sizes) {
    struct cr_train_plan plan = {0};
    struct cr_params params = t->m->params, g = *grads;
    size_t n_elements;
    cr_params_size(&params, t->m->config, &n_elements, &plan.parameters);
    for (size_t i = 0, n = cr_params_count(t->m->config); i < n; i++) {
        struct cr_param_slot slot;
        cr_params_slot(&g, t->m->config, i, &slot);
        if (slot.tensor->data)
            plan.gradients += cr_tensor_rows(slot.tensor) * slot.tensor->row_bytes;
    }
    for (size_t i = 0, n = cr_lora_count(&params, t->m->config); i < n; i++) {
        struct cr_lora_slot slot;
        cr_lora_at(&params, t->m->config, i, &slot);
        size_t n_elements_of = slot.lora->a.dim[0] * (slot.n + slot.k);
        plan.parameters += n_elements_of * cr_dtype_block_bytes(slot.lora->a.dtype);
        plan.gradients += n_elements_of * sizeof(float);
    }
    /* What a pass takes, from an arena of which no page is touched. */
    struct cr_train dry = *t;
    if (cr_arena_init(&dry.arena, t->arena.limit, NULL) == CRITIC_OK) {
        cr_train_allocate(&dry, sizes, t->opts.recompute ? CR_KEEP_INPUTS : CR_KEEP_ALL);
        plan.activations = dry.arena.used;
        cr_arena_fini(&dry.arena);
    }
    plan.scratch = scratch_bytes(t, sizes);
    plan.total = plan.parameters + plan.gradients + plan.activations + plan.scratch;
    return plan;
}

size_t cr_train_high_water(const struct cr_train *t) {
    return t->arena.high_water + t->ex->scratch.high_water;
}
