#include "op/embed.h"

#include "base/checked.h"
#include "kernel/dense.h"
#include "kernel/row.h"
#include "op/columns.h"

void cr_embed_fwd(struct cr_tensor y, const int32_t *ids, struct cr_tensor w,
                  struct cr_exec *ex) {
    size_t n_rows = cr_tensor_rows(&y), d = cr_tensor_cols(&y), v = cr_tensor_rows(&w);
    CR_ASSERT(y.dtype == CR_F32 && cr_tensor_cols(&w) == d);
    for (size_t t = 0; t < n_rows; t++)
        CR_ASSERT(ids[t] >= 0 && (size_t)ids[t] < v);
#pragma omp parallel for num_threads(ex->n_threads) schedule(static)
    for (size_t t = 0; t < n_rows; t++)
        ex->dense->row_to_f32(w.dtype, cr_tensor_row(&w, (size_t)ids[t]),
                              cr_tensor_row(&y, t), d);
}

void cr_embed_bwd(struct cr_tensor dw, const int32_t *ids, struct cr_tensor dy,
                  struct cr_exec *ex) {
    size_t n_rows = cr_tensor_rows(&dy), d = cr_tensor_cols(&dy);
    CR_ASSERT(dw.dtype == CR_F32 && dy.dtype == CR_F32 && cr_tensor_cols(&dw) == d);
#pragma omp parallel for num_threads(ex->n_threads) schedule(static)
    for (size_t c = 0; c < d; c += CR_COLUMNS)
        for (size_t t = 0; t < n_rows; t++)
            if (ids[t] >= 0)
                ex->row->add((float *)cr_tensor_row(&dw, (size_t)ids[t]) + c,
                             (float *)cr_tensor_row(&dy, t) + c,
                             CR_MIN(CR_COLUMNS, d - c));
}
