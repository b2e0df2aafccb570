/* Two maps with an activation between them. */
#include "base/checked.h"
#include "kernel/row.h"
#include "op/linear_parts.h"

/* What the last map's rows are made of. */
struct between {
    struct cr_tensor gate, up; /* (T, F); up.data NULL: GELU */
    enum cr_gelu gelu;
    enum cr_dtype type; /* of a row that is made */
    const struct cr_row_kernels *row;
};

static void activate(const void *work, size_t t, void *to) {
    const struct between *b = work;
    const void *gate = cr_tensor_row(&b->gate, t);
    size_t n = cr_tensor_cols(&b->gate);
    if (b->up.data)
        b->row->swiglu(to, b->type, gate, cr_tensor_row(&b->up, t), b->gate.dtype, n);
    else if (b->gelu == CR_GELU_TANH)
        b->row->gelu_tanh(to, b->type, gate, b->gate.dtype, n);
    else
        b->row->gelu_erf(to, b->type, gate, b->gate.dtype, n);
}

/* Rows of gate and up become those of the last map one by one, rounded to 8 bits at once. */
static void packed_ffn(struct cr_tensor y, struct cr_tensor x, const struct cr_ffn *f,
                       const struct cr_linear *const *in, size_t n_in,
                       enum cr_phase phase, struct cr_exec *ex) {
    size_t mark = cr_arena_mark(&ex->scratch);
    size_t n = cr_tensor_rows(&x), width = cr_tensor_rows(&f->in->w);
    struct between b = {.gate = cr_exec_matrix(ex, ex->act, n, width),
                        .gelu = f->gelu,
                        .type = ex->act,
                        .row = ex->row};
    if (f->up)
        b.up = cr_exec_matrix(ex, ex->act, n, width);
    cr_linear_group_fwd((struct cr_tensor[]){b.gate, b.up}, in, n_in, x, phase, ex);
    struct cr_made_rows rows = {n, ex->act, activate, &b};
    cr_packed_add_made(y, &rows, f->out->packed, cr_linear_bias(&f->out->bias, ex), phase,
                       ex);
    cr_arena_release(&ex->scratch, mark);
}

/* All rows of the last map, (T, F) of type ex->act. */
static void hidden_rows(struct cr_tensor hidden, struct cr_tensor x,
                        const struct cr_ffn *f, const struct cr_linear *const *in,
                        size_t n_in, enum cr_phase phase, struct cr_exec *ex) {
    if (cr_linear_are_tiled(in, n_in, x, phase, ex)) {
        cr_linear_tile_all(&hidden, in, n_in, x,
                           f->up                     ? CR_AFTER_SWIGLU
                           : f->gelu == CR_GELU_TANH ? CR_AFTER_GELU_TANH
                                                     : CR_AFTER_GELU_ERF,
                           ex);
        return;
    }
    size_t rows = cr_tensor_rows(&x), width = cr_tensor_cols(&hidden);
    bool is_rounded = f->in->packed || (f->up && f->up->packed);
    enum cr_dtype type = is_rounded ? ex->act : CR_F32;
    struct cr_tensor gate =
        type == ex->act ? hidden : cr_exec_matrix(ex, type, rows, width);
    struct cr_tensor up = {0};
    if (f->up)
        up = cr_exec_matrix(ex, type, rows, width);
    cr_linear_group_fwd((struct cr_tensor[]){gate, up}, in, n_in, x, phase, ex);
    if (f->up)
        cr_swiglu_fwd(hidden, gate, up, ex);
    else
        cr_gelu_fwd(hidden, gate, f->gelu, ex);
}

void cr_linear_ffn_fwd(struct cr_tensor y, struct cr_tensor x, const struct cr_ffn *f,
                       enum cr_phase phase, struct cr_exec *ex) {
    const struct cr_linear *in[] = {f->in, f->up};
    size_t n_in = f->up ? 2 : 1, rows = cr_tensor_rows(&x);
    CR_ASSERT(y.dtype == CR_F32 && x.dtype == ex->act && cr_tensor_rows(&y) == rows);
    for (size_t i = 0; i < n_in; i++)
        CR_ASSERT(cr_tensor_cols(&in[i]->w) == cr_tensor_cols(&x) &&
                  cr_tensor_rows(&in[i]->w) == cr_tensor_cols(&f->out->w));
    if (cr_linear_are_packed(in, n_in, x) && cr_linear_are_packed(&f->out, 1, x)) {
        packed_ffn(y, x, f, in, n_in, phase, ex);
        return;
    }
    size_t mark = cr_arena_mark(&ex->scratch);
    struct cr_tensor hidden =
        cr_exec_matrix(ex, ex->act, rows, cr_tensor_rows(&f->in->w));
    hidden_rows(hidden, x, f, in, n_in, phase, ex);
    cr_linear_fwd(y, hidden, f->out, CR_ADD, phase, ex);
    cr_arena_release(&ex->scratch, mark);
}
