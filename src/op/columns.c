#include "op/columns.h"

#include "base/checked.h"
#include "kernel/row.h"

void cr_add_columns(float *y, struct cr_tensor x, struct cr_exec *ex) {
    size_t n = cr_tensor_cols(&x), rows = cr_tensor_rows(&x);
    size_t elem = cr_dtype_block_bytes(x.dtype);
#pragma omp parallel for num_threads(ex->n_threads) schedule(static)
    for (size_t c = 0; c < n; c += CR_COLUMNS)
        for (size_t t = 0; t < rows; t++)
            ex->row->accumulate(y + c, (const char *)cr_tensor_row(&x, t) + c * elem,
                                x.dtype, CR_MIN(CR_COLUMNS, n - c));
}
