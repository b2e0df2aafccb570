#include "base/checked.h"
#include "model/model.h"
#include "op/activation.h"
#include "op/cast.h"

/* Rows a pass: bounds scratch. */
#define ROWS_A_PASS 2048

void cr_projector_fwd(struct cr_tensor y, struct cr_tensor x, const struct cr_model *m,
                      struct cr_exec *ex) {
    enum cr_gelu kind =
        m->config->projector_act == CR_ACT_GELU_TANH ? CR_GELU_TANH : CR_GELU_ERF;
    for (size_t first = 0; first < x.dim[0]; first += ROWS_A_PASS) {
        size_t n = CR_MIN(x.dim[0] - first, (size_t)ROWS_A_PASS);
        size_t mark = cr_arena_mark(&ex->scratch);
        struct cr_tensor in = cr_cast_act(cr_tensor_slice(&x, first, n), ex);
        struct cr_tensor h = cr_exec_matrix(ex, ex->act, n, y.dim[1]);
        cr_linear_fwd(h, in, &m->params.project1, CR_ASSIGN, CR_PREFILL, ex);
        cr_gelu_fwd(h, h, kind, ex);
        cr_linear_fwd(cr_tensor_slice(&y, first, n), h, &m->params.project2, CR_ASSIGN,
                      CR_PREFILL, ex);
        cr_arena_release(&ex->scratch, mark);
    }
}
