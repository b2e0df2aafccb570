#include "op/cast.h"

#include "base/checked.h"
#include "kernel/dense.h"

struct cr_tensor cr_cast_act(struct cr_tensor x, struct cr_exec *ex) {
    CR_ASSERT(x.n_dim == 2 && x.dtype == CR_F32);
    if (ex->act == CR_F32)
        return x;
    struct cr_tensor y = cr_exec_matrix(ex, ex->act, x.dim[0], x.dim[1]);
#pragma omp parallel for num_threads(ex->n_threads) schedule(static)
    for (size_t t = 0; t < x.dim[0]; t++)
        ex->dense->row_to_bf16(CR_F32, cr_tensor_row(&x, t), cr_tensor_row(&y, t),
                               x.dim[1]);
    return y;
}
