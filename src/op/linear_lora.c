/* The low-rank term of a linear map (LoRA), forward; its gradients: linear_bwd.c. */
#include "base/checked.h"
#include "base/rng.h"
#include "kernel/dense.h"
#include "kernel/quant.h"
#include "op/cast.h"
#include "op/linear_parts.h"

struct cr_tensor cr_lora_scaled(struct cr_tensor values, float scale,
                                struct cr_exec *ex) {
    float *v = values.data;
    for (size_t i = 0; i < values.dim[0] * values.dim[1]; i++)
        v[i] *= scale;
    return cr_cast_act(values, ex);
}

struct cr_tensor cr_lora_product(struct cr_tensor x, struct cr_tensor m, float scale,
                                 enum cr_phase phase, struct cr_exec *ex) {
    struct cr_tensor u = cr_exec_matrix(ex, CR_F32, cr_tensor_rows(&x), m.dim[0]);
    cr_linear_plain(u, x, &(struct cr_linear){.w = m}, CR_ASSIGN, phase, ex);
    return cr_lora_scaled(u, scale, ex);
}

void cr_linear_round(struct cr_tensor y, struct cr_tensor x, struct cr_exec *ex) {
#pragma omp parallel for num_threads(ex->n_threads) schedule(static)
    for (size_t t = 0; t < x.dim[0]; t++)
        ex->dense->row_to_bf16(CR_F32, cr_tensor_row(&x, t), cr_tensor_row(&y, t),
                               x.dim[1]);
}

/* What element (row, col) of x is multiplied by, four columns at a time. */
static void dropout_factors(const struct cr_lora *lora, size_t row, size_t col,
                            float factors[4]) {
    uint64_t bits = cr_hash_u64(cr_hash_u64(lora->seed + row) + col / 4);
    uint64_t limit = (uint64_t)(lora->dropout * 65536.0f);
    for (size_t i = 0; i < 4; i++)
        factors[i] = (bits >> (16 * i) & 0xffff) < limit ? 0 : 1 / (1 - lora->dropout);
}

struct cr_tensor cr_lora_rows(struct cr_tensor x, const struct cr_lora *lora,
                              struct cr_exec *ex) {
    if (lora->dropout <= 0)
        return x;
    size_t rows = cr_tensor_rows(&x), cols = cr_tensor_cols(&x);
    struct cr_tensor out = cr_exec_matrix(ex, x.dtype, rows, cols);
#pragma omp parallel for num_threads(ex->n_threads) schedule(static)
    for (size_t t = 0; t < rows; t++)
        for (size_t c = 0; c < cols; c += 4) {
            size_t n = CR_MIN(cols - c, 4), at = c * cr_dtype_block_bytes(x.dtype);
            float values[4], factors[4];
            dropout_factors(lora, t, c, factors);
            cr_row_to_f32(x.dtype, (char *)cr_tensor_row(&x, t) + at, values, n);
            for (size_t i = 0; i < n; i++)
                values[i] *= factors[i];
            cr_row_from_f32(x.dtype, values, (char *)cr_tensor_row(&out, t) + at, n);
        }
    return out;
}

void cr_lora_rows_bwd(struct cr_tensor dx, struct cr_tensor d, const struct cr_lora *lora,
                      struct cr_exec *ex) {
#pragma omp parallel for num_threads(ex->n_threads) schedule(static)
    for (size_t t = 0; t < d.dim[0]; t++) {
        float *to = cr_tensor_row(&dx, t);
        const float *from = cr_tensor_row(&d, t);
        for (size_t c = 0; c < d.dim[1]; c += 4) {
            float factors[4];
            dropout_factors(lora, t, c, factors);
            for (size_t i = 0; i < CR_MIN(d.dim[1] - c, 4); i++)
                to[c + i] += from[c + i] * factors[i];
        }
    }
}

void cr_linear_fwd(struct cr_tensor y, struct cr_tensor x, const struct cr_linear *lin,
                   enum cr_store_mode mode, enum cr_phase phase, struct cr_exec *ex) {
    const struct cr_lora *lora = &lin->lora;
    if (!lora->a.data) {
        cr_linear_plain(y, x, lin, mode, phase, ex);
        return;
    }
    size_t mark = cr_arena_mark(&ex->scratch);
    struct cr_tensor u =
        cr_lora_product(cr_lora_rows(x, lora, ex), lora->a, lora->scale, phase, ex);
    if (cr_linear_takes_tiles(lin, x, phase, ex)) {
        struct cr_tiled p = {y, &lin->w, false, &lin->bias, lin->panels, u, lora->b};
        cr_linear_tiles(&p, 1, x, mode == CR_ADD ? CR_AFTER_ADD : CR_AFTER_STORE, ex);
        cr_arena_release(&ex->scratch, mark);
        return;
    }
    struct cr_tensor sum = y; /* in f32 until both terms are in */
    if (y.dtype != CR_F32)
        sum = cr_exec_matrix(ex, CR_F32, cr_tensor_rows(&y), cr_tensor_cols(&y));
    cr_linear_plain(sum, x, lin, mode, phase, ex);
    cr_linear_plain(sum, u, &(struct cr_linear){.w = lora->b}, CR_ADD, phase, ex);
    if (y.dtype != CR_F32)
        cr_linear_round(y, sum, ex);
    cr_arena_release(&ex->scratch, mark);
}
