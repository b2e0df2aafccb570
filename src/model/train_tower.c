#include "model/train_parts.h"
#include "op/cast.h"
#include "op/patch.h"

static size_t patches_of(const struct cr_train *t) {
    size_t grid = cr_vision_grid(&t->m->config->vision);
    return grid * grid;
}

/* One block, activations into their place; y NULL: the activations only. */
static void block_fwd(struct cr_train *t, size_t l, struct cr_tensor y) {
    const struct cr_vision_config *c = &t->m->config->vision;
    struct cr_block_stack *s = &t->tower;
    size_t at = cr_stack_at(s, l);
    const struct cr_vision_layer *layer = &t->m->params.tower[l];
    cr_vision_attention_fwd(s->mid[at], &s->a[at], s->x[l], layer, patches_of(t), c,
                            t->ex);
    cr_vision_ffn_fwd(y, &s->f[at], s->mid[at], layer, c, t->ex);
}

void cr_train_tower_fwd(struct cr_train *t) {
    struct cr_block_stack *s = &t->tower;
    cr_linear_fwd(s->x[0], t->patches, &t->m->params.patch, CR_ASSIGN, CR_PREFILL, t->ex);
    cr_add_rows_fwd(s->x[0], t->m->params.position, t->ex);
    size_t mark = cr_stack_borrow(t, s);
    for (size_t l = 0; l < s->n_layers; l++)
        block_fwd(t, l, s->x[l + 1]);
    cr_stack_return(t, mark);
}

static bool layer_trains(const struct cr_vision_layer *g) {
    return g->norm1.w.data || g->norm1.b.data || g->norm2.w.data || g->norm2.b.data ||
           cr_linear_trains(&g->q) || cr_linear_trains(&g->k) ||
           cr_linear_trains(&g->v) || cr_linear_trains(&g->o) ||
           cr_linear_trains(&g->fc1) || cr_linear_trains(&g->fc2);
}

static bool input_trains(const struct cr_params *grads) {
    return cr_linear_trains(&grads->patch) || grads->position.data;
}

/* The lowest block that something trained needs; n_layers: none. */
static size_t lowest(const struct cr_train *t, const struct cr_params *grads) {
    size_t l = 0, n = t->m->config->vision.n_layers;
    if (input_trains(grads))
        return 0;
    while (l < n && !layer_trains(&grads->tower[l]))
        l++;
    return l;
}

bool cr_train_tower_trains(const struct cr_train *t, const struct cr_params *grads) {
    return t->m->config->vision.present && !t->opts.frozen_tower &&
           (input_trains(grads) || lowest(t, grads) < t->m->config->vision.n_layers);
}

void cr_train_tower_bwd(struct cr_train *t, struct cr_params *grads) {
    const struct cr_vision_config *c = &t->m->config->vision;
    struct cr_block_stack *s = &t->tower;
    struct cr_exec *ex = t->ex;
    size_t mark = cr_stack_borrow(t, s);
    for (size_t l = s->n_layers; l-- > lowest(t, grads);) {
        size_t at = cr_stack_at(s, l);
        const struct cr_vision_layer *layer = &t->m->params.tower[l],
                                     *g = &grads->tower[l];
        if (s->keep == CR_KEEP_INPUTS)
            block_fwd(t, l, (struct cr_tensor){0});
        cr_vision_ffn_bwd(s->dx, g, &s->f[at], s->mid[at], layer, c, ex);
        cr_vision_attention_bwd(s->dx, g, &s->a[at], s->x[l], layer, patches_of(t), c,
                                ex);
    }
    cr_stack_return(t, mark);
    if (!input_trains(grads))
        return;
    mark = cr_arena_mark(&ex->scratch);
    if (grads->position.data)
        cr_add_rows_bwd(grads->position, s->dx, ex);
    cr_linear_bwd((struct cr_tensor){0}, &grads->patch, cr_cast_act(s->dx, ex),
                  t->patches, &t->m->params.patch, CR_ASSIGN, ex);
    cr_arena_release(&ex->scratch, mark);
}

struct cr_tensor cr_train_tower_forward(struct cr_train *t, const float *pixels,
                                        size_t n_tiles) {
    const struct cr_vision_config *c = &t->m->config->vision;
    CR_ASSERT(c->present && n_tiles);
    t->batch = NULL;
    cr_train_allocate_tower(t, n_tiles, t->opts.recompute ? CR_KEEP_INPUTS : CR_KEEP_ALL);
    cr_patch_rows_fwd(t->patches, pixels, n_tiles, c->image_px, c->patch_px, t->ex);
    cr_train_tower_fwd(t);
    return cr_train_features(t);
}

void cr_train_tower_backward(struct cr_train *t, struct cr_tensor dfeatures,
                             struct cr_params *grads) {
    cr_copy_rows(t->tower.dx, dfeatures, t->ex);
    cr_train_tower_bwd(t, grads);
}

struct cr_tensor cr_train_features(const struct cr_train *t) {
    return t->patches.data ? t->tower.x[t->tower.n_layers] : (struct cr_tensor){0};
}
