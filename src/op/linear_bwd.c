/* Backward of a linear map, low-rank term included. */
#include <omp.h>

#include "base/checked.h"
#include "kernel/dense.h"
#include "kernel/gemm.h"
#include "kernel/quant.h"
#include "kernel/tiles.h"
#include "op/cast.h"
#include "op/columns.h"
#include "op/linear_parts.h"

/* (cols, rows) in type `dtype`: for machines whose products take one order only. */
static struct cr_tensor transposed(const struct cr_tensor *t, enum cr_dtype dtype,
                                   struct cr_exec *ex) {
    size_t rows = cr_tensor_rows(t), cols = cr_tensor_cols(t);
    struct cr_tensor out = cr_exec_matrix(ex, dtype, cols, rows);
    struct cr_tensor line = cr_exec_matrix(ex, CR_F32, ex->n_threads, cols);
#pragma omp parallel for num_threads(ex->n_threads) schedule(static)
    for (size_t first = 0; first < rows; first += 16) { /* a cache line has one writer */
        float *row = cr_tensor_row(&line, (size_t)omp_get_thread_num());
        for (size_t r = first; r < CR_MIN(first + 16, rows); r++) {
            ex->dense->row_to_f32(t->dtype, cr_tensor_row(t, r), row, cols);
            for (size_t c = 0; c < cols; c++)
                if (dtype == CR_F32)
                    ((float *)cr_tensor_row(&out, c))[r] = row[c];
                else
                    ((uint16_t *)cr_tensor_row(&out, c))[r] = cr_bf16_from_f32(row[c]);
        }
    }
    return out;
}

/* Do the tiles take a product of rows of type ex->act with w the other way round? */
static bool turns(const struct cr_tensor *w, const struct cr_exec *ex) {
    return ex->tiles && ex->act == CR_BF16 && cr_linear_turns(w);
}

/* Terms that one pass over dy takes: their columns of dy stay in the last cache while every panel
 * of w meets them. */
#define SLAB_K 4864u

/* y (+)= dy w + u v by the tiles; y F32, or of type ex->act where w has at most SLAB_K rows. */
static void turned_tiles(struct cr_tensor y, struct cr_tensor dy,
                         const struct cr_tensor *w, struct cr_tensor u,
                         struct cr_tensor v, enum cr_store_mode mode,
                         struct cr_exec *ex) {
    for (size_t k0 = 0; k0 < w->dim[0]; k0 += SLAB_K) {
        size_t k = CR_MIN(SLAB_K, w->dim[0] - k0);
        struct cr_tensor rows = cr_tensor_slice(w, k0, k), x = dy;
        x.data = (uint16_t *)dy.data + k0;
        x.dim[1] = k;
        struct cr_tiled p = {.y = y, .w = &rows, .turned = true, .u = u, .v = v};
        cr_linear_tiles(&p, 1, x, k0 || mode == CR_ADD ? CR_AFTER_ADD : CR_AFTER_STORE,
                        ex);
        u.data = NULL;
    }
}

/* dx (+)= dy w + du a; du.data NULL: no such term. */
static void input_tiles(struct cr_tensor dx, struct cr_tensor dy,
                        const struct cr_tensor *w, struct cr_tensor du,
                        struct cr_tensor a, enum cr_store_mode mode, struct cr_exec *ex) {
    struct cr_tensor sum = dx;
    if (dx.dtype != CR_F32 && w->dim[0] > SLAB_K)
        sum = cr_exec_matrix(ex, CR_F32, dx.dim[0], dx.dim[1]);
    turned_tiles(sum, dy, w, du, a, mode, ex);
    if (sum.data != dx.data)
        cr_linear_round(dx, sum, ex);
}

/* dx (+)= dy w */
static void input_bwd(struct cr_tensor dx, struct cr_tensor dy, const struct cr_tensor *w,
                      enum cr_store_mode mode, struct cr_exec *ex) {
    if (turns(w, ex)) {
        struct cr_tensor none = {0};
        input_tiles(dx, dy, w, none, none, mode, ex);
        return;
    }
    if (!ex->gemm) {
        struct cr_linear turned = {.w = transposed(w, CR_F32, ex)};
        cr_linear_plain(dx, dy, &turned, mode, CR_PREFILL, ex);
        return;
    }
    enum cr_dtype type = cr_gemm_multiplies_bf16(ex->gemm) ? ex->act : CR_F32;
    struct cr_tensor rows = cr_linear_dense(&dy, type, ex),
                     plain = cr_linear_dense(w, type, ex);
    struct cr_gemm_shape shape = {.m = dy.dim[0],
                                  .n = w->dim[1],
                                  .k = w->dim[0],
                                  .in = type,
                                  .out = dx.dtype,
                                  .add = mode == CR_ADD,
                                  .w_by_k = true};
    if (dx.dtype == CR_F32 || dx.dtype == type) {
        cr_gemm_run(ex->gemm, &shape, rows.data, plain.data, NULL, dx.data, &ex->scratch);
        return;
    }
    struct cr_tensor p = cr_exec_matrix(ex, CR_F32, shape.m, shape.n);
    shape.out = CR_F32;
    cr_gemm_run(ex->gemm, &shape, rows.data, plain.data, NULL, p.data, &ex->scratch);
    for (size_t t = 0; t < shape.m; t++)
        cr_linear_store(&dx, t, cr_tensor_row(&p, t), NULL, CR_ASSIGN, 0, shape.n);
}

/* Bytes of turned rows at a time: they stay in the last cache while every panel meets them. */
#define SLAB_BYTES ((size_t)8 << 20)

/* Columns [first, first + n) of s (T, N) BF16 as rows of T, zeros behind up to an even number. */
static struct cr_tensor turned_columns(const struct cr_tensor *s, size_t first, size_t n,
                                       size_t row_len, struct cr_exec *ex) {
    struct cr_tensor out = cr_exec_matrix(ex, CR_BF16, n, row_len);
    out.dim[1] = CR_CEIL_DIV(s->dim[0], (size_t)2) * 2;
#pragma omp parallel for num_threads(ex->n_threads) schedule(static)
    for (size_t c = 0; c < n; c += 32)
        ex->tiles->transpose(cr_tensor_row(&out, c), row_len,
                             (const uint16_t *)s->data + first + c, s->row_bytes / 2,
                             CR_MIN((size_t)32, n - c), s->dim[0]);
    return out;
}

/* y (N, C) F32 (+)= s' m for s (T, N) and m (T, C) BF16, by the tiles: T in order, whatever the
 * slabs of N are. */
static void outer_tiles(struct cr_tensor y, struct cr_tensor s, struct cr_tensor m,
                        enum cr_store_mode mode, struct cr_exec *ex) {
    /* An odd number of lines: rows of a tile do not meet in one set of the cache. */
    size_t row_len = (CR_CEIL_DIV(s.dim[0], (size_t)32) | 1) * 32;
    size_t slab = CR_MAX(SLAB_BYTES / (row_len * 2) / 64, (size_t)1) * 64;
    for (size_t first = 0; first < y.dim[0]; first += slab) {
        size_t n = CR_MIN(slab, y.dim[0] - first), mark = cr_arena_mark(&ex->scratch);
        struct cr_tiled p = {.y = cr_tensor_slice(&y, first, n), .w = &m, .turned = true};
        cr_linear_tiles(&p, 1, turned_columns(&s, first, n, row_len, ex),
                        mode == CR_ADD ? CR_AFTER_ADD : CR_AFTER_STORE, ex);
        cr_arena_release(&ex->scratch, mark);
    }
}

/* dw += dy' x */
static void weight_bwd(struct cr_tensor dw, struct cr_tensor dy, struct cr_tensor x,
                       struct cr_exec *ex) {
    if (turns(&x, ex)) {
        outer_tiles(dw, dy, x, CR_ADD, ex);
        return;
    }
    if (!ex->gemm) {
        struct cr_linear turned = {.w = transposed(&x, CR_F32, ex)};
        cr_linear_plain(dw, transposed(&dy, ex->act, ex), &turned, CR_ADD, CR_PREFILL,
                        ex);
        return;
    }
    enum cr_dtype type = cr_gemm_multiplies_bf16(ex->gemm) ? ex->act : CR_F32;
    struct cr_tensor left = cr_linear_dense(&dy, type, ex),
                     right = cr_linear_dense(&x, type, ex);
    struct cr_gemm_shape shape = {.m = dw.dim[0],
                                  .n = dw.dim[1],
                                  .k = dy.dim[0],
                                  .in = type,
                                  .out = CR_F32,
                                  .add = true,
                                  .x_by_k = true,
                                  .w_by_k = true};
    cr_gemm_run(ex->gemm, &shape, left.data, right.data, NULL, dw.data, &ex->scratch);
}

/* db (N, R) += dy' u */
static void up_bwd(struct cr_tensor db, struct cr_tensor dy, struct cr_tensor u,
                   struct cr_exec *ex) {
    if (!turns(&dy, ex)) {
        weight_bwd(db, dy, u, ex);
        return;
    }
    struct cr_tensor turned = cr_exec_matrix(ex, CR_F32, db.dim[1], db.dim[0]);
    outer_tiles(turned, u, dy, CR_ASSIGN, ex);
    for (size_t n = 0; n < db.dim[0]; n++)
        for (size_t r = 0; r < db.dim[1]; r++)
            ((float *)cr_tensor_row(&db, n))[r] +=
                ((const float *)cr_tensor_row(&turned, r))[n];
}

static void check_bwd(const struct cr_tensor *dx, const struct cr_linear *grad,
                      const struct cr_tensor *dy, const struct cr_tensor *x,
                      const struct cr_linear *lin, const struct cr_exec *ex) {
    size_t rows = cr_tensor_rows(dy), n = cr_tensor_rows(&lin->w),
           k = cr_tensor_cols(&lin->w);
    CR_ASSERT(dy->dtype == ex->act && cr_linear_is_dense(dy) && cr_tensor_cols(dy) == n);
    CR_ASSERT(!dx->data || (cr_linear_is_dense(dx) && cr_tensor_rows(dx) == rows &&
                            cr_tensor_cols(dx) == k));
    CR_ASSERT(!(grad->w.data || lin->lora.a.data) ||
              (x->dtype == ex->act && cr_linear_is_dense(x) &&
               cr_tensor_rows(x) == rows && cr_tensor_cols(x) == k));
    CR_ASSERT(!grad->w.data ||
              (grad->w.dtype == CR_F32 && grad->w.dim[0] == n && grad->w.dim[1] == k));
    CR_ASSERT(!grad->bias.data ||
              (grad->bias.dtype == CR_F32 && cr_tensor_cols(&grad->bias) == n));
}

/* Gradients of the low-rank term. */
static void lora_grads(const struct cr_lora *grad, struct cr_tensor dy,
                       struct cr_tensor du, struct cr_tensor x,
                       const struct cr_lora *lora, struct cr_exec *ex) {
    size_t mark = cr_arena_mark(&ex->scratch);
    if (grad->a.data || grad->b.data)
        x = cr_lora_rows(x, lora, ex);
    if (grad->b.data)
        up_bwd(grad->b, dy, cr_lora_product(x, lora->a, lora->scale, CR_PREFILL, ex), ex);
    if (grad->a.data)
        weight_bwd(grad->a, du, x, ex);
    cr_arena_release(&ex->scratch, mark);
}

/* dx (F32) += the part of the low-rank term. */
static void lora_input(struct cr_tensor dx, struct cr_tensor du,
                       const struct cr_lora *lora, struct cr_exec *ex) {
    size_t mark = cr_arena_mark(&ex->scratch);
    if (lora->dropout > 0) {
        struct cr_tensor d = cr_exec_matrix(ex, CR_F32, dx.dim[0], dx.dim[1]);
        input_bwd(d, du, &lora->a, CR_ASSIGN, ex);
        cr_lora_rows_bwd(dx, d, lora, ex);
    } else {
        input_bwd(dx, du, &lora->a, CR_ADD, ex);
    }
    cr_arena_release(&ex->scratch, mark);
}

static void adapted_bwd(struct cr_tensor dx, const struct cr_lora *grad,
                        struct cr_tensor dy, struct cr_tensor x,
                        const struct cr_linear *lin, enum cr_store_mode mode,
                        struct cr_exec *ex) {
    const struct cr_lora *lora = &lin->lora;
    struct cr_tensor du = {0};
    if (grad->a.data || dx.data) {
        struct cr_tensor sums = cr_exec_matrix(ex, CR_F32, dy.dim[0], lora->a.dim[0]);
        input_bwd(sums, dy, &lora->b, CR_ASSIGN, ex);
        du = cr_lora_scaled(sums, lora->scale, ex);
    }
    lora_grads(grad, dy, du, x, lora, ex);
    if (!dx.data)
        return;
    if (turns(&lin->w, ex) && lora->dropout <= 0) {
        input_tiles(dx, dy, &lin->w, du, lora->a, mode, ex);
        return;
    }
    struct cr_tensor sum = dx; /* in f32 until both terms are in */
    if (dx.dtype != CR_F32)
        sum = cr_exec_matrix(ex, CR_F32, dx.dim[0], dx.dim[1]);
    size_t inner = cr_arena_mark(&ex->scratch);
    input_bwd(sum, dy, &lin->w, mode, ex);
    cr_arena_release(&ex->scratch, inner);
    lora_input(sum, du, lora, ex);
    if (sum.data != dx.data)
        cr_linear_round(dx, sum, ex);
}

void cr_linear_bwd(struct cr_tensor dx, const struct cr_linear *grad, struct cr_tensor dy,
                   struct cr_tensor x, const struct cr_linear *lin,
                   enum cr_store_mode mode, struct cr_exec *ex) {
    check_bwd(&dx, grad, &dy, &x, lin, ex);
    if (dy.dim[0] == 0)
        return;
    size_t mark = cr_arena_mark(&ex->scratch);
    if (lin->lora.a.data)
        adapted_bwd(dx, &grad->lora, dy, x, lin, mode, ex);
    else if (dx.data)
        input_bwd(dx, dy, &lin->w, mode, ex);
    cr_arena_release(&ex->scratch, mark);
    if (grad->w.data)
        weight_bwd(grad->w, dy, x, ex);
    cr_arena_release(&ex->scratch, mark);
    if (grad->bias.data)
        cr_add_columns(grad->bias.data, dy, ex);
}
