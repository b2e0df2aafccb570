#include <math.h>

#include "model/block.h"
#include "op/activation.h"
#include "op/cast.h"

static struct cr_attention_shape attention_shape(const struct cr_vision_config *c) {
    size_t head_dim = c->width / c->n_heads;
    return (struct cr_attention_shape){.n_heads = c->n_heads,
                                       .n_kv_heads = c->n_heads,
                                       .head_dim = head_dim,
                                       .scale = 1.0f / sqrtf((float)head_dim)};
}

/* One sequence a tile, in scratch. */
static const struct cr_packed_sequence *tiles(size_t n_rows, size_t n_patches,
                                              struct cr_exec *ex) {
    struct cr_packed_sequence *s =
        cr_arena_calloc(&ex->scratch, n_rows / n_patches, sizeof *s);
    CR_ASSERT(s && n_rows % n_patches == 0);
    for (size_t i = 0; i < n_rows / n_patches; i++)
        s[i] = (struct cr_packed_sequence){
            .first = i * n_patches, .n_rows = n_patches, .n_prefix = n_patches};
    return s;
}

static enum cr_gelu gelu_of(const struct cr_vision_config *c) {
    return c->act == CR_ACT_GELU_TANH ? CR_GELU_TANH : CR_GELU_ERF;
}

/* x += out_proj(MHA(LN1(x))).   modeling_siglip.py SiglipEncoderLayer */
void cr_vision_attention_fwd(struct cr_tensor y, struct cr_attention_acts *a,
                             struct cr_tensor x, const struct cr_vision_layer *layer,
                             size_t n_patches, const struct cr_vision_config *c,
                             struct cr_exec *ex) {
    size_t mark = cr_arena_mark(&ex->scratch), rows = x.dim[0];
    struct cr_layernorm_saved saved = {a->mean, a->rstd};
    struct cr_attention_shape shape = attention_shape(c);
    cr_layernorm_fwd(a->h, a->rstd ? &saved : NULL, x, layer->norm1.w, layer->norm1.b,
                     (float)c->layer_norm_eps, ex);
    cr_linear_group_fwd((struct cr_tensor[]){a->q, a->k, a->v},
                        (const struct cr_linear *[]){&layer->q, &layer->k, &layer->v}, 3,
                        a->h, CR_PREFILL, ex);
    /* Where the products are in 8 bits, so are those of attention. */
    shape.in_8_bits = layer->o.packed && a->q.dtype == CR_F32 && a->v.dtype == CR_BF16;
    cr_packed_attention_fwd(a->out, a->lse, a->q, a->k, a->v, tiles(rows, n_patches, ex),
                            rows / n_patches, &shape, ex);
    cr_copy_rows(y, x, ex);
    cr_linear_fwd(y, a->out, &layer->o, CR_ADD, CR_PREFILL, ex);
    cr_arena_release(&ex->scratch, mark);
}

void cr_vision_attention_bwd(struct cr_tensor dx, const struct cr_vision_layer *grad,
                             const struct cr_attention_acts *a, struct cr_tensor x,
                             const struct cr_vision_layer *layer, size_t n_patches,
                             const struct cr_vision_config *c, struct cr_exec *ex) {
    size_t mark = cr_arena_mark(&ex->scratch), rows = x.dim[0];
    struct cr_tensor dh = cr_exec_matrix(ex, CR_F32, rows, c->width);
    struct cr_tensor dq = cr_exec_matrix(ex, ex->act, rows, c->width);
    struct cr_tensor dk = cr_exec_matrix(ex, ex->act, rows, c->width);
    struct cr_tensor dv = cr_exec_matrix(ex, ex->act, rows, c->width);
    struct cr_tensor dout = cr_exec_matrix(ex, ex->act, rows, c->width);
    struct cr_attention_shape shape = attention_shape(c);
    cr_linear_bwd(dout, &grad->o, cr_cast_act(dx, ex), a->out, &layer->o, CR_ASSIGN, ex);
    cr_packed_attention_bwd(dq, dk, dv, dout, a->out, a->lse, a->q, a->k, a->v,
                            tiles(rows, n_patches, ex), rows / n_patches, &shape, ex);
    cr_linear_bwd(dh, &grad->q, dq, a->h, &layer->q, CR_ASSIGN, ex);
    cr_linear_bwd(dh, &grad->k, dk, a->h, &layer->k, CR_ADD, ex);
    cr_linear_bwd(dh, &grad->v, dv, a->h, &layer->v, CR_ADD, ex);
    struct cr_layernorm_saved saved = {a->mean, a->rstd};
    cr_layernorm_bwd(dx, grad->norm1.w, grad->norm1.b, dh, &saved, x, layer->norm1.w, ex);
    cr_arena_release(&ex->scratch, mark);
}

void cr_vision_ffn_act(const struct cr_ffn_acts *a, const struct cr_vision_config *c,
                       struct cr_exec *ex) {
    cr_gelu_fwd(a->act, a->gate, gelu_of(c), ex);
}

/* x += fc2(gelu(fc1(LN2(x)))) */
void cr_vision_ffn_add(struct cr_tensor x, const struct cr_vision_layer *layer,
                       const struct cr_vision_config *c, struct cr_exec *ex) {
    size_t mark = cr_arena_mark(&ex->scratch);
    struct cr_tensor h = cr_exec_matrix(ex, ex->act, x.dim[0], c->width);
    struct cr_ffn f = {.in = &layer->fc1, .out = &layer->fc2, .gelu = gelu_of(c)};
    cr_layernorm_fwd(h, NULL, x, layer->norm2.w, layer->norm2.b, (float)c->layer_norm_eps,
                     ex);
    cr_linear_ffn_fwd(x, h, &f, CR_PREFILL, ex);
    cr_arena_release(&ex->scratch, mark);
}

void cr_vision_ffn_fwd(struct cr_tensor y, struct cr_ffn_acts *a, struct cr_tensor x,
                       const struct cr_vision_layer *layer,
                       const struct cr_vision_config *c, struct cr_exec *ex) {
    struct cr_layernorm_saved saved = {a->mean, a->rstd};
    cr_layernorm_fwd(a->h, &saved, x, layer->norm2.w, layer->norm2.b,
                     (float)c->layer_norm_eps, ex);
    cr_linear_fwd(a->gate, a->h, &layer->fc1, CR_ASSIGN, CR_PREFILL, ex);
    cr_vision_ffn_act(a, c, ex);
    if (!y.data)
        return;
    cr_copy_rows(y, x, ex);
    cr_linear_fwd(y, a->act, &layer->fc2, CR_ADD, CR_PREFILL, ex);
}

void cr_vision_ffn_bwd(struct cr_tensor dx, const struct cr_vision_layer *grad,
                       const struct cr_ffn_acts *a, struct cr_tensor x,
                       const struct cr_vision_layer *layer,
                       const struct cr_vision_config *c, struct cr_exec *ex) {
    size_t mark = cr_arena_mark(&ex->scratch), rows = x.dim[0];
    struct cr_tensor dh = cr_exec_matrix(ex, CR_F32, rows, c->width);
    struct cr_tensor df = cr_exec_matrix(ex, ex->act, rows, a->gate.dim[1]);
    if (cr_linear_trains(&grad->fc2))
        cr_vision_ffn_act(a, c, ex);
    cr_linear_bwd(df, &grad->fc2, cr_cast_act(dx, ex), a->act, &layer->fc2, CR_ASSIGN,
                  ex);
    cr_gelu_bwd(df, df, a->gate, gelu_of(c), ex);
    cr_linear_bwd(dh, &grad->fc1, df, a->h, &layer->fc1, CR_ASSIGN, ex);
    struct cr_layernorm_saved saved = {a->mean, a->rstd};
    cr_layernorm_bwd(dx, grad->norm2.w, grad->norm2.b, dh, &saved, x, layer->norm2.w, ex);
    cr_arena_release(&ex->scratch, mark);
}
