/* Which operation of a forward pass first gives a value that is not finite. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/checked.h"
#include "kernel/quant.h"
#include "model/train_parts.h"

static bool is_finite(const struct cr_tensor *t) {
    float part[256];
    for (size_t r = 0; t->data && r < cr_tensor_rows(t); r++)
        for (size_t at = 0, n; at < cr_tensor_cols(t); at += n) {
            n = CR_MIN(cr_tensor_cols(t) - at, CR_COUNT(part));
            cr_row_to_f32(t->dtype,
                          (const char *)cr_tensor_row(t, r) +
                              at * cr_dtype_block_bytes(t->dtype),
                          part, n);
            for (size_t i = 0; i < n; i++)
                if (!isfinite(part[i]))
                    return false;
        }
    return true;
}

/* One result of an operation. */
struct result {
    const char *op;
    struct cr_tensor t;
};

static bool first_of(const struct result *results, size_t n, const char *where,
                     char out[CR_OP_NAME]) {
    for (size_t i = 0; i < n; i++)
        if (!is_finite(&results[i].t)) {
            snprintf(out, CR_OP_NAME, "%s%s", where, results[i].op);
            return true;
        }
    return false;
}

static bool in_block(const struct cr_train *t, const struct cr_block_stack *s, size_t l,
                     bool gated, const char *part, char out[CR_OP_NAME]) {
    const struct cr_attention_acts *a = &s->a[cr_stack_at(s, l)];
    const struct cr_ffn_acts *f = &s->f[cr_stack_at(s, l)];
    if (gated) /* a later block's is there */
        cr_decoder_ffn_act(f, t->ex);
    else
        cr_vision_ffn_act(f, &t->m->config->vision, t->ex);
    char where[64];
    snprintf(where, sizeof where, "%slayers.%zu ", part, l);
    /* Results that share memory with a later one (the product's with its activation's) are seen there. */
    const struct result results[] = {
        {"norm before attention", a->h},
        {"q_proj", a->q},
        {"k_proj", a->k},
        {"v_proj", a->v},
        {"attention", a->out},
        {gated ? "o_proj" : "out_proj", s->mid[cr_stack_at(s, l)]},
        {"norm before the feed-forward part", f->h},
        {gated ? "gate_proj" : "fc1", f->gate},
        {"up_proj", gated ? f->up : (struct cr_tensor){0}},
        {gated ? "silu" : "gelu", f->act},
        {gated ? "down_proj" : "fc2", s->x[l + 1]}};
    return first_of(results, CR_COUNT(results), where, out);
}

bool cr_train_find_bad(struct cr_train *t, const struct cr_train_batch *batch,
                       char out[CR_OP_NAME]) {
    const struct cr_train_opts opts = t->opts;
    size_t n = cr_batch_rows(batch), mark = cr_arena_mark(&t->ex->scratch);
    float *logp = cr_exec_matrix(t->ex, CR_F32, 1, CR_MAX(n, 1)).data;
    bool found = false;
    t->opts.frozen_tower = t->opts.recompute =
        false; /* everything is kept, to be looked at */
    cr_train_forward(t, batch, logp);
    cr_arena_release(&t->ex->scratch, mark);
    if (t->sizes.n_tiles) {
        const struct result before[] = {{"the pictures' pixels", t->patches},
                                        {"patch_embedding", t->tower.x[0]}};
        found = first_of(before, 2, "", out);
        for (size_t l = 0; l < t->tower.n_layers && !found; l++)
            found = in_block(t, &t->tower, l, false, "vision_tower.", out);
        const struct result after = {"multi_modal_projector", t->projected};
        found = found || first_of(&after, 1, "", out);
    }
    const struct result input = {"embed_tokens and picture rows", t->decoder.x[0]};
    found = found || first_of(&input, 1, "", out);
    for (size_t l = 0; l < t->decoder.n_layers && !found; l++)
        found = in_block(t, &t->decoder, l, true, "", out);
    struct cr_tensor logps = cr_tensor_view2(t->logp, CR_F32, 1, t->sizes.n_targets);
    const struct result head[] = {{"norm", t->head_h},
                                  {"lm_head and log-softmax", logps}};
    found = found || first_of(head, 2, "", out);
    t->opts = opts;
    return found;
}
