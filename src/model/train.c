#include "model/train.h"

#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "image/anyres.h"
#include "kernel/row.h"
#include "model/train_parts.h"
#include "op/embed.h"
#include "op/patch.h"
#include "op/rope.h"

#define ARENA_BYTES ((size_t)256 << 30) /* of address space */

enum critic_status cr_train_new(struct cr_train **out, const struct cr_model *model,
                                struct cr_exec *ex, const struct cr_train_opts *opts,
                                critic_error *err) {
    *out = NULL;
    struct cr_train *t = calloc(1, sizeof *t);
    if (!t)
        return cr_fail(err, CRITIC_NO_MEMORY, "cannot allocate a training pass");
    t->m = model;
    t->ex = ex;
    t->opts = *opts;
    enum critic_status status = cr_arena_init(&t->arena, ARENA_BYTES, err);
    if (status != CRITIC_OK) {
        free(t);
        return status;
    }
    cr_arena_use_huge_pages(&t->arena);
    *out = t;
    return CRITIC_OK;
}

void cr_train_free(struct cr_train *t) {
    if (!t)
        return;
    cr_arena_fini(&t->arena);
    free(t);
}

/* ---- forward ---- */

/* Ids, positions, targets and the mask, sequence after sequence. */
static void gather(struct cr_train *t) {
    size_t row = 0, n = 0;
    for (size_t i = 0; i < t->batch->n; i++) {
        const struct cr_train_sequence *s = &t->batch->sequences[i];
        t->sequences[i] = (struct cr_packed_sequence){row, s->n_rows, s->n_prefix,
                                                      s->n_branches, s->branch_ends};
        memcpy(t->ids + row, s->ids, s->n_rows * sizeof *s->ids);
        memcpy(t->positions + row, s->positions, s->n_rows * sizeof *s->positions);
        for (size_t r = 0; r < s->n_rows; r++)
            if (s->targets[r] >= 0) {
                t->target_rows[n] = row + r;
                t->targets[n++] = s->targets[r];
            }
        row += s->n_rows;
    }
    CR_ASSERT(row == t->sizes.n_rows && n == t->sizes.n_targets);
}

/* Calls fn for every picture with its first row in T and its first tile in the batch. */
static void each_picture(struct cr_train *t,
                         void (*fn)(struct cr_train *t, const struct cr_train_picture *p,
                                    size_t row, size_t tile, void *user),
                         void *user) {
    size_t row = 0, tile = 0;
    for (size_t i = 0; i < t->batch->n; i++) {
        const struct cr_train_sequence *s = &t->batch->sequences[i];
        for (size_t p = 0; p < s->n_pictures; p++) {
            fn(t, &s->pictures[p], row + s->pictures[p].first_row, tile, user);
            tile += s->pictures[p].plan->n_tiles;
        }
        row += s->n_rows;
    }
}

/* Rows of a (tiles * P, ..) matrix that belong to a picture. */
static struct cr_tensor of_tiles(const struct cr_train *t, const struct cr_tensor *m,
                                 size_t tile, const struct cr_train_picture *p) {
    size_t grid = cr_vision_grid(&t->m->config->vision);
    return cr_tensor_slice(m, tile * grid * grid, p->plan->n_tiles * grid * grid);
}

static void picture_patches(struct cr_train *t, const struct cr_train_picture *p,
                            size_t row, size_t tile, void *user) {
    const struct cr_vision_config *c = &t->m->config->vision;
    (void)row;
    (void)user;
    cr_patch_rows_fwd(of_tiles(t, &t->patches, tile, p), p->pixels, p->plan->n_tiles,
                      c->image_px, c->patch_px, t->ex);
}

static void picture_rows(struct cr_train *t, const struct cr_train_picture *p, size_t row,
                         size_t tile, void *user) {
    (void)user;
    cr_pack_fwd(cr_tensor_slice(&t->decoder.x[0], row, p->plan->n_tokens),
                of_tiles(t, &t->projected, tile, p), t->m->params.newline, p->plan,
                t->ex);
}

/* Runs of token rows between pictures. */
static void token_rows(struct cr_train *t) {
    for (size_t row = 0; row < t->sizes.n_rows;) {
        size_t end = row;
        while (end < t->sizes.n_rows && t->ids[end] >= 0)
            end++;
        cr_embed_fwd(cr_tensor_slice(&t->decoder.x[0], row, end - row), t->ids + row,
                     t->m->params.embed, t->ex);
        for (row = end; row < t->sizes.n_rows && t->ids[row] < 0;)
            row++;
    }
}

static struct cr_decoder_pass decoder_pass(struct cr_train *t) {
    return (struct cr_decoder_pass){.c = &t->m->config->text,
                                    .cos_table = t->cos_table,
                                    .sin_table = t->sin_table,
                                    .sequences = t->sequences,
                                    .n_sequences = t->batch->n,
                                    .phase = CR_PREFILL,
                                    .ex = t->ex};
}

/* One block, activations into their place; y NULL: the activations only. */
static void block_fwd(struct cr_train *t, size_t l, struct cr_tensor y) {
    struct cr_block_stack *s = &t->decoder;
    struct cr_decoder_pass pass = decoder_pass(t);
    size_t at = cr_stack_at(s, l);
    const struct cr_decoder_layer *layer = &t->m->params.layers[l];
    cr_decoder_attention_fwd(s->mid[at], &s->a[at], s->x[l], layer, l, &pass);
    cr_decoder_ffn_fwd(y, &s->f[at], s->mid[at], layer, &pass);
}

/* Everything up to the residual stream after the last block. */
static void trunk_fwd(struct cr_train *t, const struct cr_train_batch *batch,
                      enum cr_keep keep) {
    const struct cr_decoder_config *c = &t->m->config->text;
    struct cr_train_sizes sizes = cr_batch_sizes(batch);
    cr_train_allocate(t, &sizes, keep);
    t->batch = batch;
    gather(t);
    if (sizes.n_tiles) {
        each_picture(t, picture_patches, NULL);
        cr_train_tower_fwd(t);
        cr_projector_fwd(t->projected, cr_train_features(t), t->m, t->ex);
    }
    token_rows(t);
    each_picture(t, picture_rows, NULL);
    cr_rope_table(t->cos_table, t->sin_table, t->positions, sizes.n_rows, c->head_dim,
                  c->rope_theta);
    size_t mark = cr_stack_borrow(t, &t->decoder);
    for (size_t l = 0; l < c->n_layers; l++)
        block_fwd(t, l, t->decoder.x[l + 1]);
    cr_stack_return(t, mark);
}

static void write_logp(const struct cr_train *t, float *logp) {
    memset(logp, 0, t->sizes.n_rows * sizeof *logp);
    for (size_t i = 0; i < t->sizes.n_targets; i++)
        logp[t->target_rows[i]] = t->logp[i];
}

static enum cr_keep keep_of(const struct cr_train *t) {
    return t->opts.recompute ? CR_KEEP_INPUTS : CR_KEEP_ALL;
}

void cr_train_forward(struct cr_train *t, const struct cr_train_batch *batch,
                      float *logp) {
    trunk_fwd(t, batch, keep_of(t));
    cr_train_head_fwd(t);
    write_logp(t, logp);
}

void cr_train_score(struct cr_train *t, const struct cr_train_batch *batch, float *logp) {
    trunk_fwd(t, batch, CR_KEEP_NOTHING);
    cr_train_head_fwd(t);
    write_logp(t, logp);
}

/* ---- backward ---- */

static bool layer_trains(const struct cr_decoder_layer *g) {
    return g->attn_norm.data || g->ffn_norm.data || cr_linear_trains(&g->q) ||
           cr_linear_trains(&g->k) || cr_linear_trains(&g->v) ||
           cr_linear_trains(&g->o) || cr_linear_trains(&g->gate) ||
           cr_linear_trains(&g->up) || cr_linear_trains(&g->down);
}

static bool projector_trains(const struct cr_params *grads) {
    return cr_linear_trains(&grads->project1) || cr_linear_trains(&grads->project2);
}

/* Does the gradient of pictures' rows serve anyone? */
static bool pictures_train(const struct cr_train *t, const struct cr_params *grads) {
    return t->sizes.n_tiles && (grads->newline.data || projector_trains(grads) ||
                                cr_train_tower_trains(t, grads));
}

static void picture_bwd(struct cr_train *t, const struct cr_train_picture *p, size_t row,
                        size_t tile, void *user) {
    struct cr_params *grads = user;
    cr_pack_bwd(of_tiles(t, &t->dprojected, tile, p), grads->newline,
                cr_tensor_slice(&t->decoder.dx, row, p->plan->n_tokens), p->plan, t->ex);
}

static void add_rows(struct cr_tensor y, struct cr_tensor x, struct cr_exec *ex) {
#pragma omp parallel for num_threads(ex->n_threads) schedule(static)
    for (size_t r = 0; r < x.dim[0]; r++)
        ex->row->add(cr_tensor_row(&y, r), cr_tensor_row(&x, r), x.dim[1]);
}

/* Newline rows, projector and tower. */
static void pictures_bwd(struct cr_train *t, struct cr_tensor dfeatures,
                         struct cr_params *grads) {
    bool tower = cr_train_tower_trains(t, grads);
    each_picture(t, picture_bwd, grads);
    if (!tower && !projector_trains(grads))
        return;
    struct cr_tensor dx = tower ? t->tower.dx : (struct cr_tensor){0};
    cr_projector_bwd(dx, grads, t->dprojected, cr_train_features(t), t->m, t->ex);
    if (!tower)
        return;
    if (dfeatures.data)
        add_rows(t->tower.dx, dfeatures, t->ex);
    cr_train_tower_bwd(t, grads);
}

/* Everything below decoder.dx. */
static void trunk_bwd(struct cr_train *t, struct cr_tensor dfeatures,
                      struct cr_params *grads) {
    struct cr_block_stack *s = &t->decoder;
    struct cr_decoder_pass pass = decoder_pass(t);
    bool to_input = grads->embed.data || pictures_train(t, grads);
    size_t lowest = 0;
    while (!to_input && lowest < s->n_layers && !layer_trains(&grads->layers[lowest]))
        lowest++;
    size_t mark = cr_stack_borrow(t, s);
    for (size_t l = s->n_layers; l-- > lowest;) {
        size_t at = cr_stack_at(s, l);
        const struct cr_decoder_layer *layer = &t->m->params.layers[l],
                                      *g = &grads->layers[l];
        if (s->keep == CR_KEEP_INPUTS)
            block_fwd(t, l, (struct cr_tensor){0});
        cr_decoder_ffn_bwd(s->dx, g, &s->f[at], s->mid[at], layer, &pass);
        cr_decoder_attention_bwd(s->dx, g, &s->a[at], s->x[l], layer, &pass);
    }
    cr_stack_return(t, mark);
    if (grads->embed.data)
        cr_embed_bwd(grads->embed, t->ids, s->dx, t->ex);
    if (pictures_train(t, grads))
        pictures_bwd(t, dfeatures, grads);
}

static void read_dlogp(struct cr_train *t, const float *dlogp) {
    for (size_t i = 0; i < t->sizes.n_targets; i++)
        t->dlogp[i] = dlogp[t->target_rows[i]];
}

void cr_train_backward(struct cr_train *t, const float *dlogp, struct cr_tensor dfeatures,
                       struct cr_params *grads) {
    CR_ASSERT(t->batch && t->keep != CR_KEEP_NOTHING);
    read_dlogp(t, dlogp);
    cr_train_head_bwd(t, grads);
    trunk_bwd(t, dfeatures, grads);
}

void cr_train_forward_backward(struct cr_train *t, const struct cr_train_batch *batch,
                               const float *dlogp, const struct cr_feature_loss *loss,
                               float *logp, struct cr_params *grads) {
    trunk_fwd(t, batch, keep_of(t));
    struct cr_tensor features = cr_train_features(t), dfeatures = {0};
    if (loss && loss->fn && features.data) {
        dfeatures = cr_tensor_view2(NULL, CR_F32, features.dim[0], features.dim[1]);
        dfeatures.data = cr_arena_calloc(&t->arena, features.dim[0], features.row_bytes);
        CR_ASSERT(dfeatures.data);
        loss->fn(loss->user, features, dfeatures);
    }
    read_dlogp(t, dlogp);
    cr_train_head_fwd_bwd(t, grads);
    write_logp(t, logp);
    trunk_bwd(t, dfeatures, grads);
}
