#include "op/patch.h"

#include "kernel/quant.h"
#include "kernel/row.h"

void cr_patch_rows_fwd(struct cr_tensor y, const float *pixels, size_t n_tiles,
                       size_t image_px, size_t patch_px, struct cr_exec *ex) {
    size_t n = image_px / patch_px, area = image_px * image_px;
    CR_ASSERT(cr_tensor_rows(&y) == n_tiles * n * n);
    CR_ASSERT(cr_tensor_cols(&y) == 3 * patch_px * patch_px);
    CR_ASSERT(y.dtype == CR_F32 || y.dtype == CR_BF16);
    size_t run_bytes = patch_px * (y.dtype == CR_F32 ? 4 : 2);
#pragma omp parallel for schedule(static) num_threads(ex->n_threads)
    for (size_t r = 0; r < n_tiles * n * n; r++) {
        size_t tile = r / (n * n), row = r / n % n, col = r % n;
        char *run = cr_tensor_row(&y, r);
        for (size_t c = 0; c < 3; c++) {
            const float *plane = pixels + (tile * 3 + c) * area;
            for (size_t i = 0; i < patch_px; i++, run += run_bytes)
                cr_row_from_f32(y.dtype,
                                plane + (row * patch_px + i) * image_px + col * patch_px,
                                run, patch_px);
        }
    }
}

void cr_add_rows_fwd(struct cr_tensor y, struct cr_tensor table, struct cr_exec *ex) {
    size_t n_rows = cr_tensor_rows(&y), n = cr_tensor_cols(&y);
    size_t period = cr_tensor_rows(&table);
    CR_ASSERT(y.dtype == CR_F32 && cr_tensor_cols(&table) == n && (period || !n_rows));
    CR_ASSERT(table.dtype == CR_F32 || table.dtype == CR_F16 || table.dtype == CR_BF16);
    size_t mark = cr_arena_mark(&ex->scratch);
    struct cr_tensor plain = table;
    if (table.dtype != CR_F32) {
        plain = cr_exec_matrix(ex, CR_F32, period, n);
#pragma omp parallel for schedule(static) num_threads(ex->n_threads)
        for (size_t r = 0; r < period; r++)
            cr_row_to_f32(table.dtype, cr_tensor_row(&table, r), cr_tensor_row(&plain, r),
                          n);
    }
#pragma omp parallel for schedule(static) num_threads(ex->n_threads)
    for (size_t r = 0; r < n_rows; r++)
        ex->row->add(cr_tensor_row(&y, r), cr_tensor_row(&plain, r % period), n);
    cr_arena_release(&ex->scratch, mark);
}

void cr_add_rows_bwd(struct cr_tensor dtable, struct cr_tensor dy, struct cr_exec *ex) {
    size_t n_rows = cr_tensor_rows(&dy), n = cr_tensor_cols(&dy);
    size_t period = cr_tensor_rows(&dtable);
    CR_ASSERT(dtable.dtype == CR_F32 && dy.dtype == CR_F32 &&
              cr_tensor_cols(&dtable) == n);
#pragma omp parallel for schedule(static) num_threads(ex->n_threads)
    for (size_t p = 0; p < period; p++)
        for (size_t r = p; r < n_rows; r += period)
            ex->row->add(cr_tensor_row(&dtable, p), cr_tensor_row(&dy, r), n);
}
