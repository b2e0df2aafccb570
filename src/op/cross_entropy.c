#include "op/cross_entropy.h"

#include <math.h>

#include "kernel/quant.h"
#include "kernel/row.h"

void cr_cross_entropy_fwd(float *logp, float *lse, struct cr_tensor logits,
                          const int32_t *targets, struct cr_exec *ex) {
    size_t n_rows = cr_tensor_rows(&logits), n = cr_tensor_cols(&logits);
    CR_ASSERT(logits.dtype == CR_F32);
#pragma omp parallel for num_threads(ex->n_threads) schedule(static)
    for (size_t t = 0; t < n_rows; t++) {
        const float *row = cr_tensor_row(&logits, t);
        lse[t] = ex->row->log_sum_exp(row, n);
        logp[t] = row[targets[t]] - lse[t];
    }
}

void cr_cross_entropy_bwd(struct cr_tensor dlogits, const float *dlogp, const float *lse,
                          struct cr_tensor logits, const int32_t *targets,
                          struct cr_exec *ex) {
    size_t n_rows = cr_tensor_rows(&logits), n = cr_tensor_cols(&logits);
    size_t elem = cr_dtype_block_bytes(dlogits.dtype);
    CR_ASSERT(logits.dtype == CR_F32 && cr_tensor_rows(&dlogits) == n_rows);
    CR_ASSERT(dlogits.dtype == CR_F32 || dlogits.dtype == CR_BF16);
#pragma omp parallel for num_threads(ex->n_threads) schedule(static)
    for (size_t t = 0; t < n_rows; t++) {
        const float *row = cr_tensor_row(&logits, t);
        char *to = cr_tensor_row(&dlogits, t);
        /* 1 - p without the cancellation near p = 1 */
        float at_target = -dlogp[t] * expm1f(row[targets[t]] - lse[t]);
        ex->row->softmax_bwd(to, dlogits.dtype, row, lse[t], -dlogp[t], n);
        cr_row_from_f32(dlogits.dtype, &at_target, to + (size_t)targets[t] * elem, 1);
    }
}
