#include "op/activation.h"

#include "kernel/row.h"

static void check_same(const struct cr_tensor *y, const struct cr_tensor *x) {
    CR_ASSERT(x->dtype == CR_F32 || x->dtype == CR_BF16);
    CR_ASSERT(y->dtype == CR_F32 || y->dtype == CR_BF16);
    CR_ASSERT(cr_tensor_rows(y) == cr_tensor_rows(x) &&
              cr_tensor_cols(y) == cr_tensor_cols(x));
}

void cr_gelu_fwd(struct cr_tensor y, struct cr_tensor x, enum cr_gelu kind,
                 struct cr_exec *ex) {
    check_same(&y, &x);
    size_t n_rows = cr_tensor_rows(&x), n = cr_tensor_cols(&x);
    void (*gelu)(void *, enum cr_dtype, const void *, enum cr_dtype, size_t) =
        kind == CR_GELU_TANH ? ex->row->gelu_tanh : ex->row->gelu_erf;
#pragma omp parallel for schedule(static) num_threads(ex->n_threads) if (n_rows > 1)
    for (size_t r = 0; r < n_rows; r++)
        gelu(cr_tensor_row(&y, r), y.dtype, cr_tensor_row(&x, r), x.dtype, n);
}

void cr_gelu_bwd(struct cr_tensor dx, struct cr_tensor dy, struct cr_tensor x,
                 enum cr_gelu kind, struct cr_exec *ex) {
    check_same(&dx, &x);
    check_same(&dy, &x);
    size_t n_rows = cr_tensor_rows(&x), n = cr_tensor_cols(&x);
    void (*slope)(void *, enum cr_dtype, const void *, enum cr_dtype, const void *,
                  enum cr_dtype, size_t) =
        kind == CR_GELU_TANH ? ex->row->gelu_tanh_bwd : ex->row->gelu_erf_bwd;
#pragma omp parallel for schedule(static) num_threads(ex->n_threads) if (n_rows > 1)
    for (size_t r = 0; r < n_rows; r++)
        slope(cr_tensor_row(&dx, r), dx.dtype, cr_tensor_row(&dy, r), dy.dtype,
              cr_tensor_row(&x, r), x.dtype, n);
}

void cr_swiglu_fwd(struct cr_tensor y, struct cr_tensor gate, struct cr_tensor up,
                   struct cr_exec *ex) {
    check_same(&y, &gate);
    check_same(&y, &up);
    CR_ASSERT(gate.dtype == up.dtype);
    size_t n_rows = cr_tensor_rows(&gate), n = cr_tensor_cols(&gate);
#pragma omp parallel for schedule(static) num_threads(ex->n_threads) if (n_rows > 1)
    for (size_t r = 0; r < n_rows; r++)
        ex->row->swiglu(cr_tensor_row(&y, r), y.dtype, cr_tensor_row(&gate, r),
                        cr_tensor_row(&up, r), gate.dtype, n);
}

void cr_swiglu_bwd(struct cr_tensor dgate, struct cr_tensor dup, struct cr_tensor dy,
                   struct cr_tensor gate, struct cr_tensor up, struct cr_exec *ex) {
    check_same(&dgate, &gate);
    check_same(&dup, &up);
    check_same(&dy, &gate);
    CR_ASSERT(gate.dtype == up.dtype && dgate.dtype == dup.dtype);
    size_t n_rows = cr_tensor_rows(&gate), n = cr_tensor_cols(&gate);
#pragma omp parallel for schedule(static) num_threads(ex->n_threads) if (n_rows > 1)
    for (size_t r = 0; r < n_rows; r++)
        ex->row->swiglu_bwd(cr_tensor_row(&dgate, r), cr_tensor_row(&dup, r), dgate.dtype,
                            cr_tensor_row(&dy, r), dy.dtype, cr_tensor_row(&gate, r),
                            cr_tensor_row(&up, r), gate.dtype, n);
}
