/* Tensor view: never owns. Row-major, last axis contiguous; dtype is data.
 * Shapes are written slowest axis first: (T, D). */
#ifndef CR_TENSOR_TENSOR_H
#define CR_TENSOR_TENSOR_H

#include "base/dtype.h"
#include "base/error.h"

#define CR_MAX_DIM 4

struct cr_tensor {
    void *data; /* weights lie in a read-only mapping: ops never write through a weight */
    enum cr_dtype dtype;
    int n_dim;
    size_t dim[CR_MAX_DIM];
    size_t row_bytes; /* distance between rows (the last axis) in bytes */
    const char *name; /* for messages; may be NULL */
};

/* A dense view of (rows, cols). */
static inline struct cr_tensor cr_tensor_view2(void *data, enum cr_dtype dtype,
                                               size_t rows, size_t cols) {
    struct cr_tensor t = {.data = data, .dtype = dtype, .n_dim = 2, .dim = {rows, cols}};
    CR_ASSERT(cr_dtype_row_bytes(dtype, cols, &t.row_bytes));
    return t;
}

/* Number of rows: the product of all axes but the last (1 for a vector). */
static inline size_t cr_tensor_rows(const struct cr_tensor *t) {
    size_t n = 1;
    for (int i = 0; i + 1 < t->n_dim; i++)
        n *= t->dim[i];
    return n;
}

static inline size_t cr_tensor_cols(const struct cr_tensor *t) {
    return t->dim[t->n_dim - 1];
}

static inline void *cr_tensor_row(const struct cr_tensor *t, size_t row) {
    return (char *)t->data + row * t->row_bytes;
}

/* Bytes of a dense tensor, panels included. */
static inline size_t cr_tensor_bytes(const struct cr_tensor *t) {
    size_t bytes = cr_tensor_rows(t) * t->row_bytes;
    if (cr_dtype_is_panels(t->dtype))
        CR_ASSERT(cr_dtype_matrix_bytes(t->dtype, cr_tensor_rows(t), cr_tensor_cols(t),
                                        &bytes));
    return bytes;
}

/* Rows [first, first + n) of a matrix. */
static inline struct cr_tensor cr_tensor_slice(const struct cr_tensor *t, size_t first,
                                               size_t n) {
    CR_ASSERT(t->n_dim == 2 && first + n <= t->dim[0]);
    struct cr_tensor s = *t;
    s.data = cr_tensor_row(t, first);
    s.dim[0] = n;
    return s;
}

#endif
