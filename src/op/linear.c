#include "op/linear.h"

#include <omp.h>
#include <string.h>

#include "base/checked.h"
#include "base/rng.h"
#include "kernel/dense.h"
#include "kernel/gemm.h"
#include "kernel/quant.h"
#include "kernel/row.h"
#include "op/columns.h"
#include "op/linear_parts.h"

static bool is_plain(enum cr_dtype dtype) {
    return dtype == CR_F32 || dtype == CR_F16 || dtype == CR_BF16;
}

static void check_shapes(const struct cr_tensor *y, const struct cr_tensor *x,
                         const struct cr_linear *lin, enum cr_store_mode mode,
                         const struct cr_exec *ex) {
    const struct cr_tensor *w = &lin->w, *bias = &lin->bias;
    size_t n = cr_tensor_rows(w);
    CR_ASSERT(w->n_dim == 2 && x->dtype == ex->act &&
              cr_tensor_cols(x) == cr_tensor_cols(w));
    CR_ASSERT(cr_tensor_cols(y) == n && cr_tensor_rows(y) == cr_tensor_rows(x));
    CR_ASSERT(y->dtype == CR_F32 || (y->dtype == ex->act && mode == CR_ASSIGN));
    CR_ASSERT(!bias->data || (cr_tensor_cols(bias) == n && is_plain(bias->dtype)));
}

const float *cr_linear_bias(const struct cr_tensor *bias, struct cr_exec *ex) {
    if (!bias->data)
        return NULL;
    if (bias->dtype == CR_F32)
        return bias->data;
    size_t n = cr_tensor_cols(bias);
    struct cr_tensor b = cr_exec_matrix(ex, CR_F32, 1, n);
    ex->dense->row_to_f32(bias->dtype, bias->data, b.data, n);
    return b.data;
}

/* Bytes of converted weights that one product takes; larger matrices go panel by panel. */
#define PANEL_BYTES ((size_t)64 << 20)

bool cr_linear_is_dense(const struct cr_tensor *t) {
    size_t bytes;
    return cr_dtype_row_bytes(t->dtype, cr_tensor_cols(t), &bytes) &&
           t->row_bytes == bytes;
}

/* Rows [first, first + to.dim[0]) of t, converted to the type of `to`, over all threads. */
static void convert_rows(const struct cr_tensor *to, const struct cr_tensor *t,
                         size_t first, struct cr_exec *ex) {
    size_t n_rows = to->dim[0], cols = cr_tensor_cols(t);
#pragma omp parallel for num_threads(ex->n_threads) schedule(static)
    for (size_t row = 0; row < n_rows; row++) {
        const void *src = cr_tensor_row(t, first + row);
        if (to->dtype == CR_F32)
            ex->dense->row_to_f32(t->dtype, src, cr_tensor_row(to, row), cols);
        else
            ex->dense->row_to_bf16(t->dtype, src, cr_tensor_row(to, row), cols);
    }
}

struct cr_tensor cr_linear_dense(const struct cr_tensor *t, enum cr_dtype dtype,
                                 struct cr_exec *ex) {
    if (t->dtype == dtype && cr_linear_is_dense(t))
        return *t;
    struct cr_tensor copy =
        cr_exec_matrix(ex, dtype, cr_tensor_rows(t), cr_tensor_cols(t));
    convert_rows(&copy, t, 0, ex);
    return copy;
}

/* Columns [first, first + w.dim[0]) of y, by way of a dense panel unless y is one. */
static void product_panel(const struct cr_tensor *y, const struct cr_tensor *x,
                          const struct cr_tensor *w, const float *bias, size_t first,
                          enum cr_store_mode mode, struct cr_exec *ex) {
    size_t m = cr_tensor_rows(x), n = w->dim[0];
    struct cr_gemm_shape shape = {.m = m,
                                  .n = n,
                                  .k = cr_tensor_cols(x),
                                  .in = x->dtype,
                                  .out = y->dtype,
                                  .bias = bias,
                                  .add = mode == CR_ADD};
    const float *panel_bias = bias ? bias + first : NULL;
    bool takes_type = y->dtype == CR_F32 || y->dtype == x->dtype;
    if (cr_linear_is_dense(y) && n == cr_tensor_cols(y) && takes_type) {
        cr_gemm_run(ex->gemm, &shape, x->data, w->data, panel_bias, y->data,
                    &ex->scratch);
        return;
    }
    size_t mark = cr_arena_mark(&ex->scratch);
    struct cr_tensor p = cr_exec_matrix(ex, CR_F32, m, n);
    shape.out = CR_F32;
    shape.bias = shape.add = false;
    cr_gemm_run(ex->gemm, &shape, x->data, w->data, NULL, p.data, &ex->scratch);
#pragma omp parallel for num_threads(ex->n_threads) schedule(static)
    for (size_t t = 0; t < m; t++)
        cr_linear_store(y, t, cr_tensor_row(&p, t), bias, mode, first, first + n);
    cr_arena_release(&ex->scratch, mark);
}

/* Tiles through the dense product library; weights of its own type are used in place. */
static void linear_prefill(struct cr_tensor y, struct cr_tensor x,
                           const struct cr_linear *lin, enum cr_store_mode mode,
                           struct cr_exec *ex) {
    const struct cr_tensor *w = &lin->w;
    size_t n = cr_tensor_rows(w), k = cr_tensor_cols(w);
    size_t mark = cr_arena_mark(&ex->scratch);
    const float *bias = cr_linear_bias(&lin->bias, ex);
    const enum cr_dtype type = CR_F32;
    struct cr_tensor rows = cr_linear_dense(&x, type, ex);
    if (w->dtype == type && cr_linear_is_dense(w)) {
        product_panel(&y, &rows, w, bias, 0, mode, ex);
    } else {
        size_t panel_rows = CR_MAX(PANEL_BYTES / (k * cr_dtype_block_bytes(type)), 64);
        struct cr_tensor panel = cr_exec_matrix(ex, type, CR_MIN(panel_rows, n), k);
        for (size_t first = 0; first < n; first += panel_rows) {
            panel.dim[0] = CR_MIN(panel_rows, n - first);
            convert_rows(&panel, w, first, ex);
            product_panel(&y, &rows, &panel, bias, first, mode, ex);
        }
    }
    cr_arena_release(&ex->scratch, mark);
}

/* A block of weights that stays in the second-level cache, and the part of a row of x that
 * stays in the first while it meets the block. */
#define BLOCK_COLS 64u
#define BLOCK_K    256u
#define TILE_ROWS  6u

/* Weights [first, first + cols) by [k0, k0 + k) in f32, as panels (k, tile_cols) one after the
 * other, columns past the last filled with zeros. k0 starts a block of the dtype. */
static void pack_block(const struct cr_tensor *w, size_t first, size_t cols, size_t k0,
                       size_t k, float *packed, const struct cr_dense *dense) {
    size_t tile = dense->tile_cols;
    size_t offset = k0 / cr_dtype_block_len(w->dtype) * cr_dtype_block_bytes(w->dtype);
    float row[BLOCK_K] = {0};
    for (size_t n = 0; n < BLOCK_COLS; n++) {
        float *to = packed + n / tile * (k * tile) + n % tile;
        if (n < cols)
            dense->row_to_f32(w->dtype, (char *)cr_tensor_row(w, first + n) + offset, row,
                              k);
        for (size_t i = 0; i < k; i++)
            to[i * tile] = n < cols ? row[i] : 0;
    }
}

/* Prefill without oneDNN: columns of y go to the threads by blocks, each packed once and met
 * by all rows. The sum over k runs one by one, whatever the number of rows. */
static void linear_tiles(struct cr_tensor y, struct cr_tensor x,
                         const struct cr_linear *lin, enum cr_store_mode mode,
                         struct cr_exec *ex) {
    const struct cr_dense *dense = ex->dense;
    size_t m = cr_tensor_rows(&x), n = cr_tensor_rows(&lin->w), k = cr_tensor_cols(&x);
    size_t mark = cr_arena_mark(&ex->scratch);
    const float *bias = cr_linear_bias(&lin->bias, ex);
    struct cr_tensor rows = cr_linear_dense(&x, CR_F32, ex);
    size_t padded = CR_CEIL_DIV(n, BLOCK_COLS) * BLOCK_COLS;
    struct cr_tensor p = cr_exec_matrix(ex, CR_F32, m, padded);
    struct cr_tensor packed =
        cr_exec_matrix(ex, CR_F32, ex->n_threads, BLOCK_COLS * BLOCK_K);
#pragma omp parallel for num_threads(ex->n_threads) schedule(static)
    for (size_t first = 0; first < n; first += BLOCK_COLS) {
        float *block = cr_tensor_row(&packed, (size_t)omp_get_thread_num());
        for (size_t k0 = 0; k0 < k; k0 += BLOCK_K) {
            size_t part = CR_MIN(BLOCK_K, k - k0), tile = dense->tile_cols;
            pack_block(&lin->w, first, CR_MIN(BLOCK_COLS, n - first), k0, part, block,
                       dense);
            for (size_t t = 0; t < m; t += TILE_ROWS)
                for (size_t col = 0; col < BLOCK_COLS; col += tile)
                    dense->tile((const float *)rows.data + t * k + k0, k,
                                CR_MIN(TILE_ROWS, m - t), block + col * part, part,
                                (float *)p.data + t * padded + first + col, padded,
                                k0 > 0);
        }
        for (size_t t = 0; t < m; t++)
            cr_linear_store(&y, t, (const float *)p.data + t * padded + first, bias, mode,
                            first, CR_MIN(first + BLOCK_COLS, n));
    }
    cr_arena_release(&ex->scratch, mark);
}

static void linear_packed(struct cr_tensor y, struct cr_tensor x,
                          const struct cr_linear *lin, enum cr_store_mode mode,
                          enum cr_phase phase, struct cr_exec *ex) {
    size_t mark = cr_arena_mark(&ex->scratch);
    const float *bias = cr_linear_bias(&lin->bias, ex);
    cr_packed_fwd(y, x, lin->packed, bias, mode == CR_ADD, phase, ex);
    cr_arena_release(&ex->scratch, mark);
}

void cr_linear_store(const struct cr_tensor *y, size_t t, const float *p,
                     const float *bias, enum cr_store_mode mode, size_t first,
                     size_t last) {
    float *to = cr_tensor_row(y, t);
    uint16_t *to_bf16 = cr_tensor_row(y, t);
    size_t n = last - first;
    float with_bias[64];
    for (size_t at = 0; bias && at < n; at += CR_COUNT(with_bias)) {
        size_t part = CR_MIN(n - at, CR_COUNT(with_bias));
        for (size_t i = 0; i < part; i++)
            with_bias[i] = p[at + i] + bias[first + at + i];
        cr_linear_store(y, t, with_bias, NULL, mode, first + at, first + at + part);
    }
    if (bias)
        return;
    if (y->dtype == CR_BF16)
        for (size_t i = 0; i < n; i++)
            to_bf16[first + i] = cr_bf16_from_f32(p[i]);
    else if (mode == CR_ADD)
        for (size_t i = 0; i < n; i++)
            to[first + i] += p[i];
    else
        memcpy(to + first, p, n * sizeof *to);
}

void cr_linear_tile_all(const struct cr_tensor *y, const struct cr_linear *const *lin,
                        size_t n, struct cr_tensor x, enum cr_linear_after after,
                        struct cr_exec *ex) {
    struct cr_tiled products[CR_LINEAR_GROUP] = {0};
    for (size_t i = 0; i < n; i++)
        products[i] = (struct cr_tiled){.y = y[after == CR_AFTER_SWIGLU ? 0 : i],
                                        .w = &lin[i]->w,
                                        .bias = &lin[i]->bias,
                                        .panels = lin[i]->panels};
    cr_linear_tiles(products, n, x, after, ex);
}

bool cr_linear_takes_tiles(const struct cr_linear *lin, struct cr_tensor x,
                           enum cr_phase phase, const struct cr_exec *ex) {
    return !lin->packed && cr_linear_is_tiled(lin, phase, ex) && cr_tensor_rows(&x) > 0 &&
           cr_tensor_cols(&x) > 0;
}

void cr_linear_plain(struct cr_tensor y, struct cr_tensor x, const struct cr_linear *lin,
                     enum cr_store_mode mode, enum cr_phase phase, struct cr_exec *ex) {
    check_shapes(&y, &x, lin, mode, ex);
    if (cr_tensor_rows(&x) == 0 || cr_tensor_rows(&lin->w) == 0)
        return;
    if (lin->packed)
        linear_packed(y, x, lin, mode, phase, ex);
    else if ((phase == CR_STEP && !lin->panels) || cr_tensor_cols(&x) == 0 ||
             (!ex->gemm && !ex->dense->tile))
        cr_linear_step(&y, &lin, 1, x, mode, ex);
    else if (cr_linear_is_tiled(lin, phase, ex))
        cr_linear_tile_all(&y, &lin, 1, x, mode == CR_ADD ? CR_AFTER_ADD : CR_AFTER_STORE,
                           ex);
    else if (!ex->gemm)
        linear_tiles(y, x, lin, mode, ex);
    else
        linear_prefill(y, x, lin, mode, ex);
}

bool cr_linear_are_packed(const struct cr_linear *const *lin, size_t n,
                          struct cr_tensor x) {
    for (size_t i = 0; i < n; i++)
        if (!lin[i]->packed || lin[i]->lora.a.data || cr_tensor_rows(&lin[i]->w) == 0)
            return false;
    return cr_tensor_rows(&x) > 0;
}

static void packed_group(const struct cr_tensor *y, const struct cr_linear *const *lin,
                         size_t n, struct cr_tensor x, enum cr_store_mode mode,
                         enum cr_phase phase, struct cr_exec *ex) {
    const struct cr_packed *w[CR_LINEAR_GROUP];
    const float *bias[CR_LINEAR_GROUP];
    size_t mark = cr_arena_mark(&ex->scratch);
    CR_ASSERT(n <= CR_LINEAR_GROUP);
    for (size_t i = 0; i < n; i++) {
        w[i] = lin[i]->packed;
        bias[i] = cr_linear_bias(&lin[i]->bias, ex);
    }
    cr_packed_group_fwd(y, x, w, bias, n, mode == CR_ADD, phase, ex);
    cr_arena_release(&ex->scratch, mark);
}

bool cr_linear_are_tiled(const struct cr_linear *const *lin, size_t n, struct cr_tensor x,
                         enum cr_phase phase, const struct cr_exec *ex) {
    for (size_t i = 0; i < n; i++)
        if (lin[i]->lora.a.data || !cr_linear_takes_tiles(lin[i], x, phase, ex))
            return false;
    return true;
}

static void group(const struct cr_tensor *y, const struct cr_linear *const *lin, size_t n,
                  struct cr_tensor x, enum cr_store_mode mode, enum cr_phase phase,
                  struct cr_exec *ex) {
    bool alike = phase == CR_STEP && cr_tensor_rows(&x) > 0;
    for (size_t i = 0; i < n; i++) {
        check_shapes(&y[i], &x, lin[i], mode, ex);
        alike = alike && !lin[i]->packed && !lin[i]->panels && !lin[i]->lora.a.data &&
                lin[i]->w.dtype == lin[0]->w.dtype;
    }
    if (alike)
        cr_linear_step(y, lin, n, x, mode, ex);
    else if (cr_linear_are_packed(lin, n, x))
        packed_group(y, lin, n, x, mode, phase, ex);
    else if (cr_linear_are_tiled(lin, n, x, phase, ex))
        cr_linear_tile_all(y, lin, n, x, mode == CR_ADD ? CR_AFTER_ADD : CR_AFTER_STORE,
                           ex);
    else
        for (size_t i = 0; i < n; i++)
            cr_linear_fwd(y[i], x, lin[i], mode, phase, ex);
}

void cr_linear_group_fwd(const struct cr_tensor *y, const struct cr_linear *const *lin,
                         size_t n, struct cr_tensor x, enum cr_phase phase,
                         struct cr_exec *ex) {
    group(y, lin, n, x, CR_ASSIGN, phase, ex);
}

void cr_linear_rest_fwd(const struct cr_tensor *y, const struct cr_linear *const *lin,
                        size_t n, struct cr_tensor rest, enum cr_phase phase,
                        struct cr_exec *ex) {
    CR_ASSERT(n <= CR_LINEAR_GROUP);
    struct cr_linear maps[CR_LINEAR_GROUP]; /* without bias */
    const struct cr_linear *gaining[CR_LINEAR_GROUP];
    struct cr_tensor sums[CR_LINEAR_GROUP];
    size_t n_gaining = 0;
    for (size_t i = 0; i < n; i++) {
        if (lin[i]->packed)
            continue;
        maps[n_gaining] = *lin[i];
        maps[n_gaining].bias.data = NULL;
        gaining[n_gaining] = &maps[n_gaining];
        sums[n_gaining++] = y[i];
    }
    if (n_gaining > 0)
        group(sums, gaining, n_gaining, rest, CR_ADD, phase, ex);
}

void cr_linear_f32_fwd(struct cr_tensor y, struct cr_tensor x,
                       const struct cr_linear *lin, enum cr_store_mode mode,
                       enum cr_phase phase, struct cr_exec *ex) {
    CR_ASSERT(y.dtype == CR_F32);
    if (ex->act == CR_F32) {
        cr_linear_fwd(y, x, lin, mode, phase, ex);
        return;
    }
    size_t mark = cr_arena_mark(&ex->scratch);
    struct cr_tensor upper = cr_exec_matrix(ex, CR_BF16, x.dim[0], x.dim[1]);
    struct cr_tensor rest = cr_exec_matrix(ex, CR_BF16, x.dim[0], x.dim[1]);
#pragma omp parallel for num_threads(ex->n_threads) schedule(static)
    for (size_t t = 0; t < x.dim[0]; t++)
        ex->row->split(cr_tensor_row(&upper, t), cr_tensor_row(&rest, t),
                       cr_tensor_row(&x, t), x.dim[1]);
    cr_linear_fwd(y, upper, lin, mode, phase, ex);
    cr_linear_rest_fwd(&y, &lin, 1, rest, phase, ex);
    cr_arena_release(&ex->scratch, mark);
}
