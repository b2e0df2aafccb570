#include "op/linear.h"

#include "base/checked.h"
#include "kernel/dense.h"
#include "kernel/quant.h"

static bool is_plain(enum cr_dtype dtype) {
    return dtype == CR_F32 || dtype == CR_F16 || dtype == CR_BF16;
}

static void check_shapes(const struct cr_tensor *y, const struct cr_tensor *x,
                         const struct cr_linear *lin, enum cr_store_mode mode,
                         const struct cr_exec *ex) {
    const struct cr_tensor *w = &lin->w, *bias = &lin->bias;
    size_t n = cr_tensor_rows(w);
    CR_ASSERT(w->n_dim == 2 && x->dtype == ex->act &&
              cr_tensor_cols(x) == cr_tensor_cols(w));
    CR_ASSERT(cr_tensor_cols(y) == n && cr_tensor_rows(y) == cr_tensor_rows(x));
    CR_ASSERT(y->dtype == CR_F32 || (y->dtype == ex->act && mode == CR_ASSIGN));
    CR_ASSERT(!bias->data || (cr_tensor_cols(bias) == n && is_plain(bias->dtype)));
}

/* The bias as f32 in scratch, NULL where there is none. */
static const float *bias_f32(const struct cr_tensor *bias, struct cr_exec *ex) {
    if (!bias->data)
        return NULL;
    size_t n = cr_tensor_cols(bias);
    struct cr_tensor b = cr_exec_matrix(ex, CR_F32, 1, n);
    ex->dense->row_to_f32(bias->dtype, bias->data, b.data, n);
    return b.data;
}

/* Columns [first, last) of y from the products p, both row by row. */
static void store_columns(const struct cr_tensor *y, const struct cr_tensor *p,
                          const float *bias, enum cr_store_mode mode, size_t first,
                          size_t last) {
    for (size_t t = 0; t < cr_tensor_rows(y); t++) {
        const float *from = cr_tensor_row(p, t);
        float *to = cr_tensor_row(y, t);
        uint16_t *to_bf16 = cr_tensor_row(y, t);
        for (size_t n = first; n < last; n++) {
            float value = bias ? from[n] + bias[n] : from[n];
            if (y->dtype == CR_BF16)
                to_bf16[n] = cr_bf16_from_f32(value);
            else if (mode == CR_ADD)
                to[n] += value;
            else
                to[n] = value;
        }
    }
}

/* Row kernels straight on the weights: rows of x are packed, then columns of y are split
 * over the threads, each reading its weight rows once. */
static void linear_step(struct cr_tensor y, struct cr_tensor x,
                        const struct cr_linear *lin, enum cr_store_mode mode,
                        struct cr_exec *ex) {
    const struct cr_dense *dense = ex->dense;
    size_t n_rows = cr_tensor_rows(&x), k = cr_tensor_cols(&x),
           n = cr_tensor_rows(&lin->w);
    size_t mark = cr_arena_mark(&ex->scratch);
    const float *bias = bias_f32(&lin->bias, ex);
    size_t packed_bytes = dense->pack_bytes(lin->w.dtype, ex->act, k);
    struct cr_tensor packed = cr_exec_matrix(ex, CR_U8, n_rows, packed_bytes);
    struct cr_tensor p = cr_exec_matrix(ex, CR_F32, n_rows, n);
#pragma omp parallel num_threads(ex->n_threads)
    {
#pragma omp for schedule(static)
        for (size_t t = 0; t < n_rows; t++)
            dense->pack(lin->w.dtype, ex->act, cr_tensor_row(&x, t),
                        cr_tensor_row(&packed, t), k);
            /* 16 columns are a cache line of y, which then has one writer. */
#pragma omp for schedule(static)
        for (size_t first = 0; first < n; first += 16) {
            size_t last = CR_MIN(first + 16, n);
            struct cr_step step = {.w_dtype = lin->w.dtype,
                                   .act = ex->act,
                                   .w = cr_tensor_row(&lin->w, first),
                                   .w_row_bytes = lin->w.row_bytes,
                                   .k = k,
                                   .x = packed.data,
                                   .m = n_rows,
                                   .y = (float *)p.data + first,
                                   .y_row = n};
            dense->step(&step, last - first);
            store_columns(&y, &p, bias, mode, first, last);
        }
    }
    cr_arena_release(&ex->scratch, mark);
}

void cr_linear_fwd(struct cr_tensor y, struct cr_tensor x, const struct cr_linear *lin,
                   enum cr_store_mode mode, enum cr_phase phase, struct cr_exec *ex) {
    check_shapes(&y, &x, lin, mode, ex);
    (void)phase;
    if (cr_tensor_rows(&x) == 0 || cr_tensor_rows(&lin->w) == 0)
        return;
    linear_step(y, x, lin, mode, ex);
}
