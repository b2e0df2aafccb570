#include "base/checked.h"
#include "model/block.h"
#include "op/activation.h"
#include "op/cast.h"

/* Rows a pass: bounds scratch. */
#define ROWS_A_PASS 2048

static enum cr_gelu gelu_of(const struct cr_model *m) {
    return m->config->projector_act == CR_ACT_GELU_TANH ? CR_GELU_TANH : CR_GELU_ERF;
}

void cr_projector_fwd(struct cr_tensor y, struct cr_tensor x, const struct cr_model *m,
                      struct cr_exec *ex) {
    for (size_t first = 0; first < x.dim[0]; first += ROWS_A_PASS) {
        size_t n = CR_MIN(x.dim[0] - first, (size_t)ROWS_A_PASS);
        size_t mark = cr_arena_mark(&ex->scratch);
        struct cr_tensor h = cr_exec_matrix(ex, CR_F32, n, y.dim[1]);
        cr_linear_f32_fwd(h, cr_tensor_slice(&x, first, n), &m->params.project1,
                          CR_ASSIGN, CR_PREFILL, ex);
        cr_gelu_fwd(h, h, gelu_of(m), ex);
        cr_linear_f32_fwd(cr_tensor_slice(&y, first, n), h, &m->params.project2,
                          CR_ASSIGN, CR_PREFILL, ex);
        cr_arena_release(&ex->scratch, mark);
    }
}

/* The hidden rows are computed again: two products of one layer. */
void cr_projector_bwd(struct cr_tensor dx, struct cr_params *grads, struct cr_tensor dy,
                      struct cr_tensor x, const struct cr_model *m, struct cr_exec *ex) {
    size_t width = dy.dim[1];
    for (size_t first = 0; first < x.dim[0]; first += ROWS_A_PASS) {
        size_t n = CR_MIN(x.dim[0] - first, (size_t)ROWS_A_PASS);
        size_t mark = cr_arena_mark(&ex->scratch);
        struct cr_tensor in = cr_cast_act(cr_tensor_slice(&x, first, n), ex);
        struct cr_tensor h = cr_exec_matrix(ex, ex->act, n, width);
        struct cr_tensor g = cr_exec_matrix(ex, ex->act, n, width);
        struct cr_tensor dh = cr_exec_matrix(ex, ex->act, n, width);
        cr_linear_fwd(h, in, &m->params.project1, CR_ASSIGN, CR_PREFILL, ex);
        cr_gelu_fwd(g, h, gelu_of(m), ex);
        cr_linear_bwd(dh, &grads->project2,
                      cr_cast_act(cr_tensor_slice(&dy, first, n), ex), g,
                      &m->params.project2, CR_ASSIGN, ex);
        cr_gelu_bwd(dh, dh, h, gelu_of(m), ex);
        struct cr_tensor part = dx.data ? cr_tensor_slice(&dx, first, n) : dx;
        cr_linear_bwd(part, &grads->project1, dh, in, &m->params.project1, CR_ASSIGN, ex);
        cr_arena_release(&ex->scratch, mark);
    }
}
