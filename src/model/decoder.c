#include "model/model.h"

#include <math.h>
#include <string.h>

#include "base/checked.h"
#include "kernel/attention.h"
#include "model/block.h"
#include "op/cast.h"
#include "op/norm.h"
#include "op/rope.h"

/* Fewer rows are stored before a second thread is awake. */
#define MIN_SHARED_ROWS 64

/* What every block of one pass shares. */
struct pass {
    const struct cr_span *spans;
    size_t n_spans;
    const struct cr_kv_layout *kv;
    const struct cr_decoder_config *c;
    struct cr_decoder_pass blocks;
    void **k_pages; /* room for the pages of the longest span */
    void **v_pages;
    enum cr_phase phase;
    struct cr_exec *ex;
};

struct cr_kv_layout cr_kv_layout_make(const struct cr_decoder_config *c,
                                      enum cr_dtype type, const struct cr_exec *ex) {
    enum cr_dtype attention = type == CR_F32 ? CR_F32 : ex->act;
    struct cr_kv_page page = cr_attention_page(c->head_dim, attention, type, ex);
    struct cr_kv_layout kv = {.type = type,
                              .attention = attention,
                              .page_len = page.len,
                              .row_bytes = page.row_bytes,
                              .k_bytes = page.k_bytes * c->n_kv_heads,
                              .v_bytes = page.v_bytes * c->n_kv_heads};
    kv.page_bytes = c->n_layers * (kv.k_bytes + kv.v_bytes);
    return kv;
}

size_t cr_kv_token_bytes(const struct cr_decoder_config *c, enum cr_dtype type) {
    if (type ==
        CR_I8) /* units: one number for a key, two for a value; a page's first key in f32 */
        return c->n_layers * c->n_kv_heads *
               (2 * c->head_dim + 3 * sizeof(float) +
                CR_CEIL_DIV(c->head_dim * sizeof(float), (size_t)CR_ATTENTION_PANEL));
    size_t n_blocks = CR_CEIL_DIV(c->head_dim, cr_dtype_block_len(type));
    return 2 * c->n_layers * c->n_kv_heads * n_blocks * cr_dtype_block_bytes(type);
}

/* Where a layer's keys begin in a page; its values follow. */
static unsigned char *keys_at(unsigned char *page, size_t layer,
                              const struct cr_kv_layout *kv) {
    return page + layer * (kv->k_bytes + kv->v_bytes);
}

/* The span's keys and values that belong to one page; row: its first row of k and v. */
static void store_page(const struct pass *p, size_t layer, const struct cr_span *span,
                       size_t page, const struct cr_tensor *k, const struct cr_tensor *v,
                       size_t row) {
    const struct cr_kv_layout *kv = p->kv;
    size_t first = CR_MAX(page * kv->page_len, span->first);
    size_t end = CR_MIN((page + 1) * kv->page_len, span->first + span->n_rows);
    unsigned char *to = keys_at(span->pages[page], layer, kv);
    for (size_t position = first; position < end; position++) {
        size_t t = row + position - span->first;
        cr_attention_put(to, to + kv->k_bytes, cr_tensor_row(k, t), cr_tensor_row(v, t),
                         position % kv->page_len, p->c->n_kv_heads, p->c->head_dim,
                         kv->attention, kv->type, p->ex);
    }
}

/* Keys and values of all rows into their pages, each page in order. */
static void store_kv(const struct pass *p, size_t layer, struct cr_tensor k,
                     struct cr_tensor v) {
    size_t row = 0;
    for (size_t s = 0; s < p->n_spans; s++) {
        const struct cr_span *span = &p->spans[s];
        size_t from = span->first / p->kv->page_len;
        size_t to = CR_CEIL_DIV(span->first + span->n_rows, p->kv->page_len);
#pragma omp parallel for num_threads(p->ex->n_threads)                                   \
    schedule(static) if (span->n_rows > MIN_SHARED_ROWS)
        for (size_t page = from; page < to; page++)
            store_page(p, layer, span, page, &k, &v, row);
        row += span->n_rows;
    }
}

/* skipped: the first rows of the only span, which have no row in q and y. */
static void attend(const struct pass *p, size_t layer, struct cr_tensor y,
                   struct cr_tensor q, size_t skipped) {
    const struct cr_decoder_config *c = p->c;
    size_t row = 0, stride = p->kv->row_bytes / cr_dtype_block_bytes(p->kv->type);
    CR_ASSERT(skipped == 0 || p->n_spans == 1);
    for (size_t s = 0; s < p->n_spans; s++) {
        const struct cr_span *span = &p->spans[s];
        size_t n_keys = span->first + span->n_rows, n_rows = span->n_rows - skipped;
        size_t n_pages = CR_CEIL_DIV(n_keys, p->kv->page_len);
        for (size_t i = 0; i < n_pages; i++) {
            unsigned char *at = keys_at(span->pages[i], layer, p->kv);
            p->k_pages[i] = at;
            p->v_pages[i] = at + p->kv->k_bytes;
        }
        struct cr_kv_view view = {.k = p->k_pages,
                                  .v = p->v_pages,
                                  .page_len = p->kv->page_len,
                                  .row_stride = c->n_kv_heads * stride,
                                  .head_stride = stride,
                                  .n_keys = n_keys,
                                  .type = p->kv->type,
                                  .packed = p->kv->row_bytes == 0};
        struct cr_attention_shape shape = {.n_heads = c->n_heads,
                                           .n_kv_heads = c->n_kv_heads,
                                           .head_dim = c->head_dim,
                                           .scale = 1.0f / sqrtf((float)c->head_dim),
                                           .causal = true,
                                           .first = span->first + skipped};
        cr_attention_fwd(cr_tensor_slice(&y, row, n_rows), NULL,
                         cr_tensor_slice(&q, row, n_rows), &view, &shape, p->phase,
                         p->ex);
        row += n_rows;
    }
}

static void store_and_attend(void *user, size_t layer,
                             const struct cr_attention_acts *a) {
    const struct pass *p = user;
    store_kv(p, layer, a->k, a->v);
    attend(p, layer, a->out, a->q, a->k.dim[0] - a->q.dim[0]);
}

/* One block in place, its activations in scratch. Of x, the last n_out rows are what the block makes
 * of them; all others keep what they held. */
static void block_fwd(struct cr_tensor x, size_t n_out,
                      const struct cr_decoder_layer *layer, size_t index,
                      const struct pass *p) {
    const struct cr_decoder_config *c = p->c;
    struct cr_arena *scratch = &p->ex->scratch;
    size_t mark = cr_arena_mark(scratch), skipped = x.dim[0] - n_out;
    struct cr_tensor y = cr_tensor_slice(&x, skipped, n_out);
    struct cr_attention_types types = {CR_F32, CR_F32, CR_F32, p->kv->attention};
    struct cr_attention_acts a = cr_attention_acts_make(
        x.dim[0], c->width, c->n_heads * c->head_dim, c->n_kv_heads * c->head_dim,
        c->n_heads, false, types, scratch, p->ex->act);
    a.q = cr_tensor_slice(&a.q, 0, n_out);
    a.out = cr_tensor_slice(&a.out, 0, n_out);
    cr_decoder_attention_fwd(y, &a, x, layer, index, &p->blocks);
    cr_arena_release(scratch, mark);
    cr_decoder_ffn_add(y, layer, &p->blocks);
}

/* Tables and page lists in scratch, freed by the caller's mark. */
static void prepare(struct pass *p, size_t rows) {
    struct cr_arena *scratch = &p->ex->scratch;
    int32_t *positions = cr_arena_calloc(scratch, rows, sizeof *positions);
    float *cos_table =
        cr_arena_calloc(scratch, rows * (p->c->head_dim / 2), sizeof(float));
    float *sin_table =
        cr_arena_calloc(scratch, rows * (p->c->head_dim / 2), sizeof(float));
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
    CR_ASSERT(positions && cos_table && sin_table && p->k_pages && p->v_pages);
    cr_rope_table(cos_table, sin_table, positions, rows, p->c->head_dim,
                  p->c->rope_theta);
    p->blocks = (struct cr_decoder_pass){.c = p->c,
                                         .cos_table = cos_table,
                                         .sin_table = sin_table,
                                         .attend = store_and_attend,
                                         .user = p,
                                         .phase = p->phase,
                                         .ex = p->ex};
}

void cr_decoder_fwd(struct cr_tensor x, size_t n_out, const struct cr_span *spans,
                    size_t n_spans, const struct cr_kv_layout *kv,
                    const struct cr_model *m, enum cr_phase phase,
                    const struct cr_layer_tap *tap, struct cr_exec *ex) {
    const struct cr_decoder_config *c = &m->config->text;
    CR_ASSERT(x.dtype == CR_F32 && x.dim[1] == c->width);
    CR_ASSERT(n_out > 0 && n_out <= x.dim[0]);
    size_t mark = cr_arena_mark(&ex->scratch);
    struct pass p = {
        .spans = spans, .n_spans = n_spans, .kv = kv, .c = c, .phase = phase, .ex = ex};
    prepare(&p, x.dim[0]);
    for (size_t l = 0; l < c->n_layers; l++) {
        if (tap && tap->fn)
            tap->fn(tap->user, "hidden_states", l, spans[0].first, &x);
        block_fwd(x, l + 1 < c->n_layers ? x.dim[0] : n_out, &m->params.layers[l], l, &p);
    }
    if (tap && tap->fn)
        tap->fn(tap->user, "hidden_states", c->n_layers, spans[0].first, &x);
    cr_arena_release(&ex->scratch, mark);
}

void cr_decoder_norm_fwd(struct cr_tensor y, struct cr_tensor x, const struct cr_model *m,
                         struct cr_exec *ex) {
    cr_rmsnorm_fwd(y, NULL, x, m->params.norm, (float)m->config->text.rms_eps, ex);
}

void cr_decoder_head_fwd(struct cr_tensor logits, struct cr_tensor x,
                         const struct cr_model *m, enum cr_phase phase,
                         struct cr_exec *ex) {
    size_t mark = cr_arena_mark(&ex->scratch);
    cr_linear_fwd(logits, cr_cast_act(x, ex), &m->params.head, CR_ASSIGN, phase, ex);
    cr_arena_release(&ex->scratch, mark);
}
