#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "engine/internal.h"
#include "op/embed.h"

enum critic_status cr_seq_new(struct cr_seq **out, struct cr_engine *e,
                              critic_error *err) {
    *out = NULL;
    struct cr_seq *s = calloc(1, sizeof *s);
    float *hidden = calloc(e->config.text.width, sizeof *hidden);
    if (!s || !hidden) {
        free(s);
        free(hidden);
        return cr_fail(err, CRITIC_NO_MEMORY, "out of memory for a sequence");
    }
    s->engine = e;
    s->hidden = hidden;
    *out = s;
    return CRITIC_OK;
}

void cr_seq_free(struct cr_seq *s) {
    if (!s)
        return;
    for (size_t i = 0; i < s->n_pages; i++)
        cr_kv_drop(&s->engine->kv, s->pages[i]);
    free(s->pages);
    free(s->ids);
    free(s->hidden);
    free(s);
}

static enum critic_status grow_page_list(struct cr_seq *s, size_t n, critic_error *err) {
    if (n <= s->pages_cap)
        return CRITIC_OK;
    size_t cap = CR_MAX(n, 2 * s->pages_cap);
    unsigned char **pages = realloc(s->pages, cap * sizeof *pages);
    if (!pages)
        return cr_fail(err, CRITIC_NO_MEMORY, "out of memory for a sequence");
    s->pages = pages;
    int32_t *ids = realloc(s->ids, cap * CR_PAGE_LEN * sizeof *ids);
    if (!ids)
        return cr_fail(err, CRITIC_NO_MEMORY, "out of memory for a sequence");
    s->ids = ids;
    s->pages_cap = cap;
    return CRITIC_OK;
}

enum critic_status cr_seq_fork(struct cr_seq **out, const struct cr_seq *s,
                               critic_error *err) {
    struct cr_seq *copy;
    *out = NULL;
    CR_TRY(cr_seq_new(&copy, s->engine, err));
    enum critic_status status = grow_page_list(copy, s->n_pages, err);
    if (status != CRITIC_OK) {
        cr_seq_free(copy);
        return status;
    }
    for (size_t i = 0; i < s->n_pages; i++) {
        cr_kv_share(&s->engine->kv, s->pages[i]);
        copy->pages[i] = s->pages[i];
    }
    copy->n_pages = s->n_pages;
    copy->len = s->len;
    if (s->len > 0)
        memcpy(copy->ids, s->ids, s->len * sizeof *s->ids);
    copy->has_hidden = s->has_hidden;
    memcpy(copy->hidden, s->hidden, s->engine->config.text.width * sizeof *s->hidden);
    *out = copy;
    return CRITIC_OK;
}

size_t cr_seq_len(const struct cr_seq *s) {
    return s->len;
}

void cr_seq_rewind(struct cr_seq *s, size_t n) {
    CR_ASSERT(n <= s->len);
    if (n < s->len)
        s->has_hidden = false;
    s->len = n;
    size_t keep = CR_CEIL_DIV(n, (size_t)CR_PAGE_LEN);
    while (s->n_pages > keep)
        cr_kv_drop(&s->engine->kv, s->pages[--s->n_pages]);
}

static enum critic_status no_page(const struct cr_engine *e, critic_error *err) {
    return cr_fail(err, CRITIC_NO_MEMORY,
                   "keys and values are at their limit of %zu tokens (%.1f MiB)",
                   e->kv.n_pages * CR_PAGE_LEN,
                   (double)(e->kv.n_pages * e->kv.layout.page_bytes) / (1 << 20));
}

enum critic_status cr_seq_make_room(struct cr_seq *s, size_t n, critic_error *err) {
    struct cr_engine *e = s->engine;
    size_t end;
    if (!cr_add_size(s->len, n, &end) || end > e->context)
        return cr_fail(err, CRITIC_CONTEXT_FULL,
                       "%zu tokens are more than the context of %zu", s->len + n,
                       e->context);
    size_t n_pages = CR_CEIL_DIV(end, (size_t)CR_PAGE_LEN);
    CR_TRY(grow_page_list(s, n_pages, err));
    if (n > 0 && s->len % CR_PAGE_LEN != 0) {
        unsigned char **last = &s->pages[s->len / CR_PAGE_LEN];
        if (cr_kv_is_shared(&e->kv, *last)) {
            unsigned char *own = cr_engine_take_page(e);
            if (!own)
                return no_page(e, err);
            memcpy(own, *last, e->kv.layout.page_bytes);
            cr_kv_drop(&e->kv, *last);
            *last = own;
        }
    }
    while (s->n_pages < n_pages) {
        unsigned char *page = cr_engine_take_page(e);
        if (!page)
            return no_page(e, err);
        s->pages[s->n_pages++] = page;
    }
    return CRITIC_OK;
}

static void keep_hidden(struct cr_seq *s, struct cr_tensor last_row) {
    struct cr_tensor y = cr_tensor_view2(s->hidden, CR_F32, 1, last_row.dim[1]);
    cr_decoder_norm_fwd(y, last_row, &s->engine->model, s->engine->exec);
    s->has_hidden = true;
}

void cr_seq_run(struct cr_seq *s, const int32_t *ids, struct cr_tensor x,
                const struct cr_layer_tap *tap) {
    struct cr_engine *e = s->engine;
    struct cr_span span = {.n_rows = x.dim[0], .first = s->len, .pages = s->pages};
    cr_decoder_fwd(x, tap ? x.dim[0] : 1, &span, 1, &e->kv.layout, &e->model, CR_PREFILL,
                   tap, e->exec);
    memcpy(s->ids + s->len, ids, x.dim[0] * sizeof *ids);
    s->len += x.dim[0];
    keep_hidden(s, cr_tensor_slice(&x, x.dim[0] - 1, 1));
}

static enum critic_status check_ids(const struct cr_engine *e, const int32_t *ids,
                                    size_t n, critic_error *err) {
    for (size_t i = 0; i < n; i++)
        if (ids[i] < 0 || (size_t)ids[i] >= e->config.text.vocab)
            return cr_fail(err, CRITIC_BAD_DATA,
                           "token %zu is %d; expected 0 to %zu (the model's vocabulary)",
                           i, (int)ids[i], e->config.text.vocab - 1);
    return CRITIC_OK;
}

enum critic_status cr_seq_feed(struct cr_seq *s, const int32_t *ids, size_t n,
                               critic_error *err) {
    struct cr_engine *e = s->engine;
    CR_TRY(check_ids(e, ids, n, err));
    CR_TRY(cr_seq_make_room(s, n, err));
    for (size_t done = 0; done < n;) {
        if (cr_engine_cancelled(e))
            return cr_fail(err, CRITIC_CANCELLED, "cancelled");
        size_t rows = cr_engine_pass_rows(e, n - done);
        size_t mark = cr_arena_mark(&e->exec->scratch);
        struct cr_tensor x = cr_exec_matrix(e->exec, CR_F32, rows, e->config.text.width);
        cr_embed_fwd(x, ids + done, e->model.params.embed, e->exec);
        cr_seq_run(s, ids + done, x, NULL);
        cr_arena_release(&e->exec->scratch, mark);
        done += rows;
    }
    return CRITIC_OK;
}

/* The rows of one stride after the pass: what the sequence ends as. */
static void end_stride(const struct cr_stride *stride, struct cr_tensor x) {
    struct cr_seq *s = stride->seq;
    struct cr_tensor last = cr_tensor_slice(&x, stride->n - 1, 1);
    memcpy(s->ids + s->len, stride->tokens, stride->n * sizeof *s->ids);
    s->len += stride->n;
    if (stride->rows) {
        struct cr_tensor rows =
            cr_tensor_view2(stride->rows, CR_F32, stride->n, x.dim[1]);
        cr_decoder_norm_fwd(rows, x, &s->engine->model, s->engine->exec);
    }
    keep_hidden(s, last);
}

enum critic_status cr_seq_stride(const struct cr_stride *strides, size_t n,
                                 critic_error *err) {
    if (n == 0)
        return CRITIC_OK;
    struct cr_engine *e = strides[0].seq->engine;
    size_t n_rows = 0, row = 0;
    for (size_t i = 0; i < n; i++) {
        CR_TRY(check_ids(e, strides[i].tokens, strides[i].n, err));
        CR_TRY(cr_seq_make_room(strides[i].seq, strides[i].n, err));
        n_rows += strides[i].n;
    }
    size_t mark = cr_arena_mark(&e->exec->scratch);
    struct cr_span *spans = cr_arena_calloc(&e->exec->scratch, n, sizeof *spans);
    CR_ASSERT(spans);
    struct cr_tensor x = cr_exec_matrix(e->exec, CR_F32, n_rows, e->config.text.width);
    for (size_t i = 0; i < n; i++) {
        const struct cr_seq *s = strides[i].seq;
        spans[i] = (struct cr_span){strides[i].n, s->len, s->pages};
        cr_embed_fwd(cr_tensor_slice(&x, row, strides[i].n), strides[i].tokens,
                     e->model.params.embed, e->exec);
        row += strides[i].n;
    }
    cr_decoder_fwd(x, n_rows, spans, n, &e->kv.layout, &e->model, CR_STEP, NULL, e->exec);
    row = 0;
    for (size_t i = 0; i < n; i++) {
        end_stride(&strides[i], cr_tensor_slice(&x, row, strides[i].n));
        row += strides[i].n;
    }
    cr_arena_release(&e->exec->scratch, mark);
    return CRITIC_OK;
}

enum critic_status cr_seq_step(struct cr_seq *const *seqs, const int32_t *tokens,
                               size_t n, critic_error *err) {
    if (n == 0)
        return CRITIC_OK;
    struct cr_stride *strides = calloc(n, sizeof *strides);
    if (!strides)
        return cr_fail(err, CRITIC_NO_MEMORY, "out of memory for a step");
    for (size_t i = 0; i < n; i++)
        strides[i] = (struct cr_stride){seqs[i], &tokens[i], 1, NULL};
    enum critic_status status = cr_seq_stride(strides, n, err);
    free(strides);
    return status;
}

void cr_seq_back_to(struct cr_seq *s, size_t n, const float *hidden) {
    cr_seq_rewind(s, n);
    memcpy(s->hidden, hidden, s->engine->config.text.width * sizeof *hidden);
    s->has_hidden = true;
}

void cr_seq_logits_many(struct cr_seq *const *seqs, size_t n, float *logits) {
    struct cr_engine *e = seqs[0]->engine;
    size_t width = e->config.text.width;
    size_t mark = cr_arena_mark(&e->exec->scratch);
    struct cr_tensor x = cr_exec_matrix(e->exec, CR_F32, n, width);
    for (size_t i = 0; i < n; i++) {
        CR_ASSERT(seqs[i]->has_hidden);
        memcpy(cr_tensor_row(&x, i), seqs[i]->hidden, width * sizeof(float));
    }
    cr_decoder_head_fwd(cr_tensor_view2(logits, CR_F32, n, e->config.text.vocab), x,
                        &e->model, CR_STEP, e->exec);
    cr_arena_release(&e->exec->scratch, mark);
}

const float *cr_seq_logits(struct cr_seq *s) {
    cr_seq_logits_many(&s, 1, s->engine->logits);
    return s->engine->logits;
}

double cr_log_sum_exp(const float *logits, size_t n) {
    float top = -INFINITY;
    for (size_t i = 0; i < n; i++)
        top = CR_MAX(top, logits[i]);
    double sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += exp((double)logits[i] - (double)top);
    return (double)top + log(sum);
}
