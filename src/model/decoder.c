#include "model/model.h"

#include <math.h>
#include <string.h>

#include "base/checked.h"
#include "op/activation.h"
#include "op/cast.h"
#include "op/norm.h"
#include "op/rope.h"

/* What every block of one pass shares. */
struct pass {
    const struct cr_span *spans;
    size_t n_spans;
    const struct cr_kv_layout *kv;
    const struct cr_decoder_config *c;
    float *cos_table; /* (T, E/2) */
    float *sin_table;
    void **k_pages; /* room for the pages of the longest span */
    void **v_pages;
    enum cr_phase phase;
    struct cr_exec *ex;
};

struct cr_kv_layout cr_kv_layout_make(const struct cr_decoder_config *c, enum cr_dtype act,
                                      size_t page_len) {
    size_t row;
    CR_ASSERT(cr_dtype_row_bytes(act, c->n_kv_heads * c->head_dim, &row));
    struct cr_kv_layout kv = {.page_len = page_len, .block_bytes = row * page_len};
    kv.page_bytes = 2 * c->n_layers * kv.block_bytes;
    return kv;
}

/* Row (G*E) at `position` goes to its place in a block (G, page_len, E). */
static void write_row(unsigned char *block, const unsigned char *row, size_t slot,
                      const struct cr_kv_layout *kv, const struct cr_decoder_config *c) {
    size_t head_bytes = kv->block_bytes / (kv->page_len * c->n_kv_heads);
    for (size_t g = 0; g < c->n_kv_heads; g++)
        memcpy(block + (g * kv->page_len + slot) * head_bytes, row + g * head_bytes,
               head_bytes);
}

/* Keys and values of all rows into their pages. */
static void store_kv(const struct pass *p, size_t layer, struct cr_tensor k,
                     struct cr_tensor v) {
    const struct cr_kv_layout *kv = p->kv;
    size_t row = 0;
    for (size_t s = 0; s < p->n_spans; s++) {
        const struct cr_span *span = &p->spans[s];
        for (size_t t = 0; t < span->n_rows; t++, row++) {
            size_t position = span->first + t;
            unsigned char *k_block =
                span->pages[position / kv->page_len] + 2 * layer * kv->block_bytes;
            size_t slot = position % kv->page_len;
            write_row(k_block, cr_tensor_row(&k, row), slot, kv, p->c);
            write_row(k_block + kv->block_bytes, cr_tensor_row(&v, row), slot, kv, p->c);
        }
    }
}

static void attend(const struct pass *p, size_t layer, struct cr_tensor y,
                   struct cr_tensor q) {
    const struct cr_decoder_config *c = p->c;
    size_t row = 0;
    for (size_t s = 0; s < p->n_spans; s++) {
        const struct cr_span *span = &p->spans[s];
        size_t n_keys = span->first + span->n_rows;
        size_t n_pages = CR_CEIL_DIV(n_keys, p->kv->page_len);
        for (size_t i = 0; i < n_pages; i++) {
            p->k_pages[i] = span->pages[i] + 2 * layer * p->kv->block_bytes;
            p->v_pages[i] = span->pages[i] + (2 * layer + 1) * p->kv->block_bytes;
        }
        struct cr_kv_view view = {.k = p->k_pages,
                                  .v = p->v_pages,
                                  .page_len = p->kv->page_len,
                                  .row_stride = c->head_dim,
                                  .head_stride = p->kv->page_len * c->head_dim,
                                  .n_keys = n_keys};
        struct cr_attention_shape shape = {.n_heads = c->n_heads,
                                           .n_kv_heads = c->n_kv_heads,
                                           .head_dim = c->head_dim,
                                           .scale = 1.0f / sqrtf((float)c->head_dim),
                                           .causal = true,
                                           .first = span->first};
        cr_attention_fwd(cr_tensor_slice(&y, row, span->n_rows), NULL,
                         cr_tensor_slice(&q, row, span->n_rows), &view, &shape, p->phase,
                         p->ex);
        row += span->n_rows;
    }
}

/* x += o_proj(attention(rope(q), rope(k), v)).   modeling_qwen2.py Qwen2Attention */
static void attention_fwd(struct cr_tensor x, const struct cr_decoder_layer *layer,
                          size_t index, const struct pass *p) {
    const struct cr_decoder_config *c = p->c;
    struct cr_exec *ex = p->ex;
    size_t mark = cr_arena_mark(&ex->scratch);
    size_t rows = x.dim[0];
    size_t q_width = c->n_heads * c->head_dim;
    size_t kv_width = c->n_kv_heads * c->head_dim;
    struct cr_tensor h = cr_exec_matrix(ex, ex->act, rows, c->width);
    struct cr_tensor q = cr_exec_matrix(ex, ex->act, rows, q_width);
    struct cr_tensor k = cr_exec_matrix(ex, ex->act, rows, kv_width);
    struct cr_tensor v = cr_exec_matrix(ex, ex->act, rows, kv_width);
    /* Products before the rotation stay in f32: one rounding instead of two. */
    struct cr_tensor q32 = cr_exec_matrix(ex, CR_F32, rows, q_width);
    struct cr_tensor k32 = cr_exec_matrix(ex, CR_F32, rows, kv_width);
    cr_rmsnorm_fwd(h, NULL, x, layer->attn_norm, (float)c->rms_eps, ex);
    cr_linear_fwd(q32, h, &layer->q, CR_ASSIGN, p->phase, ex);
    cr_linear_fwd(k32, h, &layer->k, CR_ASSIGN, p->phase, ex);
    cr_linear_fwd(v, h, &layer->v, CR_ASSIGN, p->phase, ex);
    cr_rope_fwd(q, q32, p->cos_table, p->sin_table, c->head_dim, ex);
    cr_rope_fwd(k, k32, p->cos_table, p->sin_table, c->head_dim, ex);
    store_kv(p, index, k, v);
    struct cr_tensor out = cr_exec_matrix(ex, ex->act, rows, q_width);
    attend(p, index, out, q);
    cr_linear_fwd(x, out, &layer->o, CR_ADD, p->phase, ex);
    cr_arena_release(&ex->scratch, mark);
}

/* x += down(silu(gate(x)) * up(x)).   modeling_qwen2.py Qwen2MLP */
static void ffn_fwd(struct cr_tensor x, const struct cr_decoder_layer *layer,
                    const struct pass *p) {
    struct cr_exec *ex = p->ex;
    size_t mark = cr_arena_mark(&ex->scratch);
    struct cr_tensor h = cr_exec_matrix(ex, ex->act, x.dim[0], p->c->width);
    struct cr_tensor gate = cr_exec_matrix(ex, ex->act, x.dim[0], p->c->ffn_width);
    struct cr_tensor up = cr_exec_matrix(ex, ex->act, x.dim[0], p->c->ffn_width);
    cr_rmsnorm_fwd(h, NULL, x, layer->ffn_norm, (float)p->c->rms_eps, ex);
    cr_linear_fwd(gate, h, &layer->gate, CR_ASSIGN, p->phase, ex);
    cr_linear_fwd(up, h, &layer->up, CR_ASSIGN, p->phase, ex);
    cr_swiglu_fwd(gate, gate, up, ex);
    cr_linear_fwd(x, gate, &layer->down, CR_ADD, p->phase, ex);
    cr_arena_release(&ex->scratch, mark);
}

/* Tables and page lists in scratch, freed by the caller's mark. */
static void prepare(struct pass *p, size_t rows) {
    struct cr_arena *scratch = &p->ex->scratch;
    int32_t *positions = cr_arena_calloc(scratch, rows, sizeof *positions);
    p->cos_table = cr_arena_calloc(scratch, rows * (p->c->head_dim / 2), sizeof(float));
    p->sin_table = cr_arena_calloc(scratch, rows * (p->c->head_dim / 2), sizeof(float));
    size_t row = 0, most_pages = 0;
    for (size_t s = 0; s < p->n_spans; s++) {
        const struct cr_span *span = &p->spans[s];
        size_t end = span->first + span->n_rows;
        CR_ASSERT(row + span->n_rows <= rows);
        for (size_t t = span->first; t < end; t++)
            positions[row++] = (int32_t)t;
        most_pages = CR_MAX(most_pages, CR_CEIL_DIV(end, p->kv->page_len));
    }
    CR_ASSERT(row == rows);
    p->k_pages = cr_arena_calloc(scratch, most_pages, sizeof *p->k_pages);
    p->v_pages = cr_arena_calloc(scratch, most_pages, sizeof *p->v_pages);
    CR_ASSERT(positions && p->cos_table && p->sin_table && p->k_pages && p->v_pages);
    cr_rope_table(p->cos_table, p->sin_table, positions, rows, p->c->head_dim,
                  p->c->rope_theta);
}

void cr_decoder_fwd(struct cr_tensor x, const struct cr_span *spans, size_t n_spans,
                    const struct cr_kv_layout *kv, const struct cr_model *m,
                    enum cr_phase phase, const struct cr_layer_tap *tap,
                    struct cr_exec *ex) {
    const struct cr_decoder_config *c = &m->config->text;
    CR_ASSERT(x.dtype == CR_F32 && x.dim[1] == c->width);
    size_t mark = cr_arena_mark(&ex->scratch);
    struct pass p = {
        .spans = spans, .n_spans = n_spans, .kv = kv, .c = c, .phase = phase, .ex = ex};
    prepare(&p, x.dim[0]);
    for (size_t l = 0; l < c->n_layers; l++) {
        if (tap && tap->fn)
            tap->fn(tap->user, "hidden_states", l, spans[0].first, &x);
        attention_fwd(x, &m->params.layers[l], l, &p);
        ffn_fwd(x, &m->params.layers[l], &p);
    }
    if (tap && tap->fn)
        tap->fn(tap->user, "hidden_states", c->n_layers, spans[0].first, &x);
    cr_arena_release(&ex->scratch, mark);
}

void cr_decoder_norm_fwd(struct cr_tensor y, struct cr_tensor x, const struct cr_model *m,
                         struct cr_exec *ex) {
    cr_rmsnorm_fwd(y, NULL, x, m->params.norm, (float)m->config->text.rms_eps, ex);
}

void cr_decoder_head_fwd(struct cr_tensor logits, struct cr_tensor x, const struct cr_model *m,
                         enum cr_phase phase, struct cr_exec *ex) {
    size_t mark = cr_arena_mark(&ex->scratch);
    cr_linear_fwd(logits, cr_cast_act(x, ex), &m->params.head, CR_ASSIGN, phase, ex);
    cr_arena_release(&ex->scratch, mark);
}
