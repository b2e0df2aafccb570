#include "op/norm.h"

#include <omp.h>

#include "base/checked.h"
#include "kernel/quant.h"
#include "kernel/row.h"
#include "op/columns.h"

/* A weight vector as f32: itself, or a copy in scratch. */
static const float *vector_f32(struct cr_tensor w, size_t n, struct cr_exec *ex) {
    CR_ASSERT(cr_tensor_cols(&w) == n && cr_tensor_rows(&w) == 1);
    if (w.dtype == CR_F32)
        return w.data;
    CR_ASSERT(w.dtype == CR_F16 || w.dtype == CR_BF16);
    struct cr_tensor copy = cr_exec_matrix(ex, CR_F32, 1, n);
    cr_row_to_f32(w.dtype, w.data, copy.data, n);
    return copy.data;
}

static void check_rows(const struct cr_tensor *y, const struct cr_tensor *x) {
    CR_ASSERT(x->dtype == CR_F32 && (y->dtype == CR_F32 || y->dtype == CR_BF16));
    CR_ASSERT(cr_tensor_rows(y) == cr_tensor_rows(x) &&
              cr_tensor_cols(y) == cr_tensor_cols(x));
}

/* Both norms' backward; mean NULL: RMSNorm. */
static void norm_bwd(struct cr_tensor dx, struct cr_tensor dw, struct cr_tensor dy,
                     const float *mean, const float *rstd, struct cr_tensor x,
                     struct cr_tensor w, struct cr_exec *ex) {
    size_t n_rows = cr_tensor_rows(&x), n = cr_tensor_cols(&x);
    CR_ASSERT(dx.dtype == CR_F32 && dy.dtype == CR_F32 && x.dtype == CR_F32);
    CR_ASSERT(cr_tensor_rows(&dx) == n_rows && cr_tensor_rows(&dy) == n_rows);
    CR_ASSERT(cr_tensor_cols(&dx) == n && cr_tensor_cols(&dy) == n);
    size_t mark = cr_arena_mark(&ex->scratch);
    const float *weight = vector_f32(w, n, ex);
#pragma omp parallel num_threads(ex->n_threads)
    {
#pragma omp for schedule(static)
        for (size_t c = 0; c < (dw.data ? n : 0); c += CR_COLUMNS)
            for (size_t r = 0; r < n_rows; r++)
                ex->row->norm_dw((float *)dw.data + c, (float *)cr_tensor_row(&dy, r) + c,
                                 (float *)cr_tensor_row(&x, r) + c, mean ? mean[r] : 0.0f,
                                 rstd[r], CR_MIN(CR_COLUMNS, n - c));
#pragma omp for schedule(static)
        for (size_t r = 0; r < n_rows; r++)
            ex->row->norm_bwd(cr_tensor_row(&dx, r), cr_tensor_row(&dy, r),
                              cr_tensor_row(&x, r), weight, mean ? mean[r] : 0.0f,
                              rstd[r], mean != NULL, n);
    }
    cr_arena_release(&ex->scratch, mark);
}

void cr_rmsnorm_fwd(struct cr_tensor y, struct cr_rmsnorm_saved *saved,
                    struct cr_tensor x, struct cr_tensor w, float eps,
                    struct cr_exec *ex) {
    check_rows(&y, &x);
    size_t mark = cr_arena_mark(&ex->scratch);
    size_t n_rows = cr_tensor_rows(&x), n = cr_tensor_cols(&x);
    const float *weight = vector_f32(w, n, ex);
#pragma omp parallel for schedule(static) num_threads(ex->n_threads) if (n_rows > 1)
    for (size_t r = 0; r < n_rows; r++) {
        float rrms = ex->row->rmsnorm(cr_tensor_row(&y, r), y.dtype, cr_tensor_row(&x, r),
                                      weight, n, eps);
        if (saved)
            saved->rrms[r] = rrms;
    }
    cr_arena_release(&ex->scratch, mark);
}

void cr_rmsnorm_split_fwd(struct cr_tensor y, struct cr_tensor rest, struct cr_tensor x,
                          struct cr_tensor w, float eps, struct cr_exec *ex) {
    check_rows(&y, &x);
    size_t mark = cr_arena_mark(&ex->scratch);
    size_t n_rows = cr_tensor_rows(&x), n = cr_tensor_cols(&x);
    const float *weight = vector_f32(w, n, ex);
    struct cr_tensor normed = cr_exec_matrix(ex, CR_F32, (size_t)ex->n_threads, n);
#pragma omp parallel for schedule(static) num_threads(ex->n_threads) if (n_rows > 1)
    for (size_t r = 0; r < n_rows; r++) {
        float *row = cr_tensor_row(&normed, (size_t)omp_get_thread_num());
        ex->row->rmsnorm(row, CR_F32, cr_tensor_row(&x, r), weight, n, eps);
        ex->row->split(cr_tensor_row(&y, r), cr_tensor_row(&rest, r), row, n);
    }
    cr_arena_release(&ex->scratch, mark);
}

void cr_rmsnorm_bwd(struct cr_tensor dx, struct cr_tensor dw, struct cr_tensor dy,
                    const struct cr_rmsnorm_saved *saved, struct cr_tensor x,
                    struct cr_tensor w, struct cr_exec *ex) {
    norm_bwd(dx, dw, dy, NULL, saved->rrms, x, w, ex);
}

void cr_layernorm_fwd(struct cr_tensor y, struct cr_layernorm_saved *saved,
                      struct cr_tensor x, struct cr_tensor w, struct cr_tensor b,
                      float eps, struct cr_exec *ex) {
    check_rows(&y, &x);
    size_t mark = cr_arena_mark(&ex->scratch);
    size_t n_rows = cr_tensor_rows(&x), n = cr_tensor_cols(&x);
    const float *weight = vector_f32(w, n, ex);
    const float *bias = vector_f32(b, n, ex);
#pragma omp parallel for schedule(static) num_threads(ex->n_threads) if (n_rows > 1)
    for (size_t r = 0; r < n_rows; r++) {
        float stats[2];
        ex->row->layernorm(cr_tensor_row(&y, r), y.dtype, stats, cr_tensor_row(&x, r),
                           weight, bias, n, eps);
        if (saved) {
            saved->mean[r] = stats[0];
            saved->rstd[r] = stats[1];
        }
    }
    cr_arena_release(&ex->scratch, mark);
}

void cr_layernorm_bwd(struct cr_tensor dx, struct cr_tensor dw, struct cr_tensor db,
                      struct cr_tensor dy, const struct cr_layernorm_saved *saved,
                      struct cr_tensor x, struct cr_tensor w, struct cr_exec *ex) {
    norm_bwd(dx, dw, dy, saved->mean, saved->rstd, x, w, ex);
    if (db.data)
        cr_add_columns(db.data, dy, ex);
}
