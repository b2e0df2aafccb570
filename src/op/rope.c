#include "op/rope.h"

#include <math.h>
#include <omp.h>

#include "kernel/row.h"

void cr_rope_table(float *cos_out, float *sin_out, const int32_t *positions, size_t n,
                   size_t head_dim, double theta) {
    CR_ASSERT(head_dim % 2 == 0);
    size_t half = head_dim / 2;
    for (size_t i = 0; i < half; i++) {
        float inv_freq = 1.0f / powf((float)theta, (float)(2 * i) / (float)head_dim);
        for (size_t t = 0; t < n; t++) {
            float angle = (float)positions[t] * inv_freq;
            cos_out[t * half + i] = (float)cos((double)angle);
            sin_out[t * half + i] = (float)sin((double)angle);
        }
    }
}

static void check(const struct cr_tensor *y, const struct cr_tensor *x, size_t head_dim) {
    CR_ASSERT(head_dim % 2 == 0 && cr_tensor_cols(x) % head_dim == 0);
    CR_ASSERT(cr_tensor_rows(y) == cr_tensor_rows(x) &&
              cr_tensor_cols(y) == cr_tensor_cols(x));
    CR_ASSERT(x->dtype == CR_F32 || x->dtype == CR_BF16);
    CR_ASSERT(y->dtype == CR_F32 || y->dtype == CR_BF16);
}

void cr_rope_fwd(struct cr_tensor y, struct cr_tensor x, const float *cos_table,
                 const float *sin_table, size_t head_dim, struct cr_exec *ex) {
    size_t n_rows = cr_tensor_rows(&x), n = cr_tensor_cols(&x), half = head_dim / 2;
    check(&y, &x, head_dim);
#pragma omp parallel for schedule(static) num_threads(ex->n_threads) if (n_rows > 1)
    for (size_t r = 0; r < n_rows; r++)
        ex->row->rope(cr_tensor_row(&y, r), y.dtype, cr_tensor_row(&x, r), x.dtype,
                      cos_table + r * half, sin_table + r * half, n / head_dim, head_dim);
}

void cr_rope_bwd(struct cr_tensor dx, struct cr_tensor dy, const float *cos_table,
                 const float *sin_table, size_t head_dim, struct cr_exec *ex) {
    size_t n_rows = cr_tensor_rows(&dy), n = cr_tensor_cols(&dy), half = head_dim / 2;
    check(&dx, &dy, head_dim);
    size_t mark = cr_arena_mark(&ex->scratch);
    struct cr_tensor negated = cr_exec_matrix(ex, CR_F32, ex->n_threads, half);
#pragma omp parallel for schedule(static) num_threads(ex->n_threads) if (n_rows > 1)
    for (size_t r = 0; r < n_rows; r++) {
        float *sin_row = cr_tensor_row(&negated, (size_t)omp_get_thread_num());
        for (size_t i = 0; i < half; i++)
            sin_row[i] = -sin_table[r * half + i];
        ex->row->rope(cr_tensor_row(&dx, r), dx.dtype, cr_tensor_row(&dy, r), dy.dtype,
                      cos_table + r * half, sin_row, n / head_dim, head_dim);
    }
    cr_arena_release(&ex->scratch, mark);
}
