#include <math.h>

#include "model/block.h"
#include "op/activation.h"
#include "op/cast.h"
#include "op/rope.h"

static struct cr_attention_shape attention_shape(const struct cr_decoder_config *c) {
    return (struct cr_attention_shape){.n_heads = c->n_heads,
                                       .n_kv_heads = c->n_kv_heads,
                                       .head_dim = c->head_dim,
                                       .scale = 1.0f / sqrtf((float)c->head_dim),
                                       .causal = true};
}

/* The last n rows of t. */
static struct cr_tensor last_rows(struct cr_tensor t, size_t n) {
    return cr_tensor_slice(&t, t.dim[0] - n, n);
}

/* The normed rows into a->h and their products; q of the last rows only where it has fewer. Keys and
 * values are a small part of the work and much of the error: where they are not rounded themselves
 * and their weights are not in 8 or 4 bits, they also get what rounding takes from h. */
static void qkv_fwd(struct cr_tensor q, struct cr_tensor k, struct cr_tensor v,
                    struct cr_attention_acts *a, struct cr_tensor x,
                    const struct cr_decoder_layer *layer,
                    const struct cr_decoder_pass *p) {
    struct cr_exec *ex = p->ex;
    float eps = (float)p->c->rms_eps;
    struct cr_rmsnorm_saved saved = {a->rstd};
    bool split = ex->act == CR_BF16 && a->k.dtype == CR_F32 && a->v.dtype == CR_F32 &&
                 !(layer->k.packed && layer->v.packed);
    size_t mark = cr_arena_mark(&ex->scratch);
    struct cr_tensor rest = {0};
    if (split) {
        rest = cr_exec_matrix(ex, CR_BF16, x.dim[0], p->c->width);
        cr_rmsnorm_split_fwd(a->h, rest, x, layer->attn_norm, eps, ex);
    } else {
        cr_rmsnorm_fwd(a->h, a->rstd ? &saved : NULL, x, layer->attn_norm, eps, ex);
    }
    if (q.dim[0] == x.dim[0]) {
        cr_linear_group_fwd((struct cr_tensor[]){q, k, v},
                            (const struct cr_linear *[]){&layer->q, &layer->k, &layer->v},
                            3, a->h, p->phase, ex);
    } else {
        cr_linear_group_fwd((struct cr_tensor[]){k, v},
                            (const struct cr_linear *[]){&layer->k, &layer->v}, 2, a->h,
                            p->phase, ex);
        cr_linear_fwd(q, last_rows(a->h, q.dim[0]), &layer->q, CR_ASSIGN, p->phase, ex);
    }
    if (split)
        cr_linear_rest_fwd((struct cr_tensor[]){k, v},
                           (const struct cr_linear *[]){&layer->k, &layer->v}, 2, rest,
                           p->phase, ex);
    cr_arena_release(&ex->scratch, mark);
}

/* x += o_proj(attention(rope(q), rope(k), v)).   modeling_qwen2.py Qwen2Attention */
void cr_decoder_attention_fwd(struct cr_tensor y, struct cr_attention_acts *a,
                              struct cr_tensor x, const struct cr_decoder_layer *layer,
                              size_t index, const struct cr_decoder_pass *p) {
    const struct cr_decoder_config *c = p->c;
    struct cr_exec *ex = p->ex;
    size_t mark = cr_arena_mark(&ex->scratch);
    /* Products before the rotation stay in f32: one rounding instead of two, or none. */
    size_t skipped = x.dim[0] - y.dim[0], half = c->head_dim / 2;
    struct cr_tensor q32 =
        a->q.dtype == CR_F32 ? a->q : cr_exec_matrix(ex, CR_F32, y.dim[0], a->q.dim[1]);
    struct cr_tensor k32 =
        a->k.dtype == CR_F32 ? a->k : cr_exec_matrix(ex, CR_F32, x.dim[0], a->k.dim[1]);
    qkv_fwd(q32, k32, a->v, a, x, layer, p);
    cr_rope_fwd(a->q, q32, p->cos_table + skipped * half, p->sin_table + skipped * half,
                c->head_dim, ex);
    cr_rope_fwd(a->k, k32, p->cos_table, p->sin_table, c->head_dim, ex);
    cr_arena_release(&ex->scratch, mark);
    struct cr_attention_shape shape = attention_shape(c);
    if (p->attend)
        p->attend(p->user, index, a);
    else
        cr_packed_attention_fwd(a->out, a->lse, a->q, a->k, a->v, p->sequences,
                                p->n_sequences, &shape, ex);
    cr_copy_rows(y, last_rows(x, y.dim[0]), ex);
    mark = cr_arena_mark(&ex->scratch);
    struct cr_tensor out = a->out.dtype == ex->act ? a->out : cr_cast_act(a->out, ex);
    cr_linear_fwd(y, out, &layer->o, CR_ADD, p->phase, ex);
    cr_arena_release(&ex->scratch, mark);
}

void cr_decoder_attention_bwd(struct cr_tensor dx, const struct cr_decoder_layer *grad,
                              const struct cr_attention_acts *a, struct cr_tensor x,
                              const struct cr_decoder_layer *layer,
                              const struct cr_decoder_pass *p) {
    const struct cr_decoder_config *c = p->c;
    struct cr_exec *ex = p->ex;
    size_t mark = cr_arena_mark(&ex->scratch), rows = x.dim[0];
    size_t q_width = a->q.dim[1], kv_width = a->k.dim[1];
    struct cr_tensor dh = cr_exec_matrix(ex, CR_F32, rows, c->width);
    struct cr_tensor dq = cr_exec_matrix(ex, ex->act, rows, q_width);
    struct cr_tensor dk = cr_exec_matrix(ex, ex->act, rows, kv_width);
    struct cr_tensor dv = cr_exec_matrix(ex, ex->act, rows, kv_width);
    size_t inner = cr_arena_mark(&ex->scratch);
    struct cr_tensor dq32 = cr_exec_matrix(ex, CR_F32, rows, q_width);
    struct cr_tensor dk32 = cr_exec_matrix(ex, CR_F32, rows, kv_width);
    struct cr_tensor dout = cr_exec_matrix(ex, ex->act, rows, q_width);
    cr_linear_bwd(dout, &grad->o, cr_cast_act(dx, ex), a->out, &layer->o, CR_ASSIGN, ex);
    struct cr_attention_shape shape = attention_shape(c);
    cr_packed_attention_bwd(dq32, dk32, dv, dout, a->out, a->lse, a->q, a->k, a->v,
                            p->sequences, p->n_sequences, &shape, ex);
    cr_rope_bwd(dq, dq32, p->cos_table, p->sin_table, c->head_dim, ex);
    cr_rope_bwd(dk, dk32, p->cos_table, p->sin_table, c->head_dim, ex);
    cr_arena_release(&ex->scratch, inner);
    cr_linear_bwd(dh, &grad->q, dq, a->h, &layer->q, CR_ASSIGN, ex);
    cr_linear_bwd(dh, &grad->k, dk, a->h, &layer->k, CR_ADD, ex);
    cr_linear_bwd(dh, &grad->v, dv, a->h, &layer->v, CR_ADD, ex);
    struct cr_rmsnorm_saved saved = {a->rstd};
    cr_rmsnorm_bwd(dx, grad->attn_norm, dh, &saved, x, layer->attn_norm, ex);
    cr_arena_release(&ex->scratch, mark);
}

/* x += down(silu(gate(x)) * up(x)).   modeling_qwen2.py Qwen2MLP */
void cr_decoder_ffn_add(struct cr_tensor x, const struct cr_decoder_layer *layer,
                        const struct cr_decoder_pass *p) {
    size_t mark = cr_arena_mark(&p->ex->scratch);
    struct cr_tensor h = cr_exec_matrix(p->ex, p->ex->act, x.dim[0], p->c->width);
    struct cr_ffn f = {.in = &layer->gate, .up = &layer->up, .out = &layer->down};
    cr_rmsnorm_fwd(h, NULL, x, layer->ffn_norm, (float)p->c->rms_eps, p->ex);
    cr_linear_ffn_fwd(x, h, &f, p->phase, p->ex);
    cr_arena_release(&p->ex->scratch, mark);
}

void cr_decoder_ffn_act(const struct cr_ffn_acts *a, struct cr_exec *ex) {
    cr_swiglu_fwd(a->act, a->gate, a->up, ex);
}

void cr_decoder_ffn_fwd(struct cr_tensor y, struct cr_ffn_acts *a, struct cr_tensor x,
                        const struct cr_decoder_layer *layer,
                        const struct cr_decoder_pass *p) {
    struct cr_exec *ex = p->ex;
    struct cr_rmsnorm_saved saved = {a->rstd};
    cr_rmsnorm_fwd(a->h, &saved, x, layer->ffn_norm, (float)p->c->rms_eps, ex);
    cr_linear_group_fwd((struct cr_tensor[]){a->gate, a->up},
                        (const struct cr_linear *[]){&layer->gate, &layer->up}, 2, a->h,
                        p->phase, ex);
    cr_decoder_ffn_act(a, ex);
    if (!y.data)
        return;
    cr_copy_rows(y, x, ex);
    cr_linear_fwd(y, a->act, &layer->down, CR_ADD, p->phase, ex);
}

void cr_decoder_ffn_bwd(struct cr_tensor dx, const struct cr_decoder_layer *grad,
                        const struct cr_ffn_acts *a, struct cr_tensor x,
                        const struct cr_decoder_layer *layer,
                        const struct cr_decoder_pass *p) {
    struct cr_exec *ex = p->ex;
    size_t mark = cr_arena_mark(&ex->scratch), rows = x.dim[0], f = a->gate.dim[1];
    struct cr_tensor dh = cr_exec_matrix(ex, CR_F32, rows, p->c->width);
    struct cr_tensor dact = cr_exec_matrix(ex, ex->act, rows, f);
    struct cr_tensor dup = cr_exec_matrix(ex, ex->act, rows, f);
    if (cr_linear_trains(&grad->down))
        cr_decoder_ffn_act(a, ex);
    cr_linear_bwd(dact, &grad->down, cr_cast_act(dx, ex), a->act, &layer->down, CR_ASSIGN,
                  ex);
    struct cr_tensor dgate = dact;
    cr_swiglu_bwd(dgate, dup, dact, a->gate, a->up, ex);
    cr_linear_bwd(dh, &grad->gate, dgate, a->h, &layer->gate, CR_ASSIGN, ex);
    cr_linear_bwd(dh, &grad->up, dup, a->h, &layer->up, CR_ADD, ex);
    struct cr_rmsnorm_saved saved = {a->rstd};
    cr_rmsnorm_bwd(dx, grad->ffn_norm, dh, &saved, x, layer->ffn_norm, ex);
    cr_arena_release(&ex->scratch, mark);
}
