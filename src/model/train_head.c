#include <string.h>

#include "base/checked.h"
#include "model/train_parts.h"
#include "op/cross_entropy.h"

enum what { FORWARD = 1, BACKWARD = 2 };

/* The head's gradient; of a tied head it is the embedding's. */
static struct cr_linear head_grad(const struct cr_train *t,
                                  const struct cr_params *grads) {
    return t->m->config->text.tied ? (struct cr_linear){.w = grads->embed} : grads->head;
}

/* Target rows [first, first + n). */
static void chunk(struct cr_train *t, struct cr_params *grads, size_t first, size_t n,
                  int what) {
    struct cr_exec *ex = t->ex;
    size_t mark = cr_arena_mark(&ex->scratch), vocab = t->m->config->text.vocab;
    struct cr_tensor h = cr_tensor_slice(&t->head_h, first, n);
    struct cr_tensor logits = cr_exec_matrix(ex, CR_F32, n, vocab);
    cr_linear_fwd(logits, h, &t->m->params.head, CR_ASSIGN, CR_PREFILL, ex);
    if (what & FORWARD)
        cr_cross_entropy_fwd(t->logp + first, t->lse + first, logits, t->targets + first,
                             ex);
    if (what & BACKWARD) {
        struct cr_linear grad = head_grad(t, grads);
        struct cr_tensor dlogits =
            ex->act == CR_F32 ? logits : cr_exec_matrix(ex, ex->act, n, vocab);
        cr_cross_entropy_bwd(dlogits, t->dlogp + first, t->lse + first, logits,
                             t->targets + first, ex);
        cr_linear_bwd(cr_tensor_slice(&t->head_dh, first, n), &grad, dlogits, h,
                      &t->m->params.head, CR_ASSIGN, ex);
    }
    cr_arena_release(&ex->scratch, mark);
}

static void run(struct cr_train *t, struct cr_params *grads, int what) {
    size_t n = t->sizes.n_targets, rows = cr_train_head_rows(t, n);
    for (size_t first = 0; first < n; first += rows)
        chunk(t, grads, first, CR_MIN(rows, n - first), what);
}

static void norm_fwd(struct cr_train *t) {
    const struct cr_block_stack *s = &t->decoder;
    struct cr_rmsnorm_saved saved = {t->rrms};
    size_t bytes = t->head_x.row_bytes;
    for (size_t i = 0; i < t->sizes.n_targets; i++)
        memcpy(cr_tensor_row(&t->head_x, i),
               cr_tensor_row(&s->x[s->n_layers], t->target_rows[i]), bytes);
    cr_rmsnorm_fwd(t->head_h, &saved, t->head_x, t->m->params.norm,
                   (float)t->m->config->text.rms_eps, t->ex);
}

/* head_dh through the norm to the rows of the residual stream; rows without a target get 0. */
static void norm_bwd(struct cr_train *t, struct cr_params *grads) {
    struct cr_rmsnorm_saved saved = {t->rrms};
    struct cr_tensor dx = t->decoder.dx;
    size_t bytes = t->head_dx.row_bytes;
    memset(t->head_dx.data, 0, t->head_dx.dim[0] * bytes);
    cr_rmsnorm_bwd(t->head_dx, grads->norm, t->head_dh, &saved, t->head_x,
                   t->m->params.norm, t->ex);
    memset(dx.data, 0, dx.dim[0] * dx.row_bytes);
    for (size_t i = 0; i < t->sizes.n_targets; i++)
        memcpy(cr_tensor_row(&dx, t->target_rows[i]), cr_tensor_row(&t->head_dx, i),
               bytes);
}

void cr_train_head_fwd(struct cr_train *t) {
    norm_fwd(t);
    run(t, NULL, FORWARD);
}

void cr_train_head_bwd(struct cr_train *t, struct cr_params *grads) {
    run(t, grads, BACKWARD);
    norm_bwd(t, grads);
}

void cr_train_head_fwd_bwd(struct cr_train *t, struct cr_params *grads) {
    norm_fwd(t);
    run(t, grads, FORWARD | BACKWARD);
    norm_bwd(t, grads);
}
