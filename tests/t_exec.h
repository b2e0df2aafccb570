/* For tests of ops: an execution context for each instruction set of this machine, and
 * tensors on the heap filled with repeatable numbers. */
#ifndef CR_TESTS_T_EXEC_H
#define CR_TESTS_T_EXEC_H

#include "base/rng.h"
#include "kernel/quant.h"
#include "op/exec.h"
#include "t.h"

#define T_EACH_ISA(isa)                                                                  \
    for (enum cr_isa isa = CR_ISA_SCALAR; isa < CR_ISA_COUNT; isa++)                     \
        if (cr_isa_available(isa))

static inline struct cr_exec *t_exec(enum cr_isa isa, enum cr_compute compute,
                                     int n_threads) {
    struct cr_exec_opts opts = {.isa = isa, .compute = compute, .n_threads = n_threads};
    struct cr_exec *ex = NULL;
    critic_error err;
    T_OK(cr_exec_new(&ex, &opts, &err));
    return ex;
}

/* (rows, cols), every byte 0xA5 so that an element that nothing wrote shows. */
static inline struct cr_tensor t_tensor(enum cr_dtype dtype, size_t rows, size_t cols) {
    struct cr_tensor t = cr_tensor_view2(NULL, dtype, rows, cols);
    size_t bytes = rows * t.row_bytes;
    t.data = malloc(bytes ? bytes : 1);
    assert_non_null(t.data);
    memset(t.data, 0xA5, bytes);
    return t;
}

static inline float t_get(const struct cr_tensor *t, size_t row, size_t col) {
    float value;
    size_t size = cr_dtype_block_bytes(t->dtype);
    cr_row_to_f32(t->dtype, (const char *)cr_tensor_row(t, row) + col * size, &value, 1);
    return value;
}

static inline void t_set(const struct cr_tensor *t, size_t row, size_t col, float value) {
    size_t size = cr_dtype_block_bytes(t->dtype);
    cr_row_from_f32(t->dtype, &value, (char *)cr_tensor_row(t, row) + col * size, 1);
}

/* Normal numbers times `scale`. */
static inline struct cr_tensor t_random(enum cr_dtype dtype, size_t rows, size_t cols,
                                        double scale, struct cr_rng *rng) {
    struct cr_tensor t = t_tensor(dtype, rows, cols);
    for (size_t r = 0; r < rows; r++)
        for (size_t c = 0; c < cols; c++)
            t_set(&t, r, c, (float)(scale * cr_rng_normal(rng)));
    return t;
}

static inline bool t_same_bits(const struct cr_tensor *a, const struct cr_tensor *b) {
    return a->row_bytes == b->row_bytes && cr_tensor_rows(a) == cr_tensor_rows(b) &&
           memcmp(a->data, b->data, cr_tensor_rows(a) * a->row_bytes) == 0;
}

#endif
