#include "model/block.h"

#include <string.h>

#include "base/checked.h"

static struct cr_tensor matrix(struct cr_arena *arena, enum cr_dtype dtype, size_t rows,
                               size_t cols) {
    struct cr_tensor t = cr_tensor_view2(NULL, dtype, rows, cols);
    size_t bytes;
    CR_ASSERT(cr_mul_size(rows, t.row_bytes, &bytes));
    t.data = cr_arena_alloc(arena, bytes);
    CR_ASSERT(t.data);
    return t;
}

static float *floats(struct cr_arena *arena, bool keep, size_t n) {
    return keep ? matrix(arena, CR_F32, 1, n).data : NULL;
}

struct cr_attention_acts
cr_attention_acts_make(size_t rows, size_t width, size_t q_width, size_t kv_width,
                       size_t n_heads, bool keep, struct cr_attention_types types,
                       struct cr_arena *arena, enum cr_dtype act) {
    struct cr_attention_acts a = {.h = matrix(arena, act, rows, width),
                                  .q = matrix(arena, types.q, rows, q_width),
                                  .k = matrix(arena, types.k, rows, kv_width),
                                  .v = matrix(arena, types.v, rows, kv_width),
                                  .out = matrix(arena, types.out, rows, q_width),
                                  .mean = floats(arena, keep, rows),
                                  .rstd = floats(arena, keep, rows),
                                  .lse = floats(arena, keep, rows * n_heads)};
    return a;
}

struct cr_ffn_acts cr_ffn_acts_make(size_t rows, size_t width, size_t ffn_width,
                                    bool gated, const struct cr_tensor *shared,
                                    struct cr_arena *arena, enum cr_dtype act) {
    struct cr_ffn_acts a = {.h = matrix(arena, act, rows, width),
                            .gate = matrix(arena, act, rows, ffn_width),
                            .mean = matrix(arena, CR_F32, 1, rows).data,
                            .rstd = matrix(arena, CR_F32, 1, rows).data};
    if (gated)
        a.up = matrix(arena, act, rows, ffn_width);
    a.act = shared ? *shared : matrix(arena, act, rows, ffn_width);
    return a;
}

void cr_copy_rows(struct cr_tensor y, struct cr_tensor x, struct cr_exec *ex) {
    CR_ASSERT(y.dtype == x.dtype && y.dim[0] == x.dim[0] && y.dim[1] == x.dim[1]);
    if (y.data == x.data)
        return;
    size_t bytes = x.dim[1] * cr_dtype_block_bytes(x.dtype);
#pragma omp parallel for num_threads(ex->n_threads) schedule(static)
    for (size_t t = 0; t < x.dim[0]; t++)
        memcpy(cr_tensor_row(&y, t), cr_tensor_row(&x, t), bytes);
}
