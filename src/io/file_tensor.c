#include "io/file_tensor.h"

#include "base/checked.h"

bool cr_file_tensor_bytes(enum cr_dtype dtype, int n_dim, const size_t *dim,
                          size_t *bytes) {
    size_t cols = n_dim > 0 ? dim[n_dim - 1] : 1, rows = 1;
    for (int i = 0; i + 1 < n_dim; i++)
        if (!cr_mul_size(rows, dim[i], &rows))
            return false;
    return cr_dtype_matrix_bytes(dtype, rows, cols, bytes);
}
