#include "io/file_tensor.h"

#include "base/checked.h"

bool cr_file_tensor_bytes(enum cr_dtype dtype, int n_dim, const size_t *dim,
                          size_t *bytes) {
    size_t row = n_dim > 0 ? dim[n_dim - 1] : 1;
    if (!cr_dtype_row_bytes(dtype, row, bytes))
        return false;
    for (int i = 0; i + 1 < n_dim; i++)
        if (!cr_mul_size(*bytes, dim[i], bytes))
            return false;
    return true;
}
