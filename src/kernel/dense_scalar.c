/* Products in plain C: the definition of correct. Sums run in double over four partial sums
 * (k modulo 4), added up in order, and are rounded once. */
#include "kernel/dense.h"

#include "base/checked.h"
#include "kernel/quant.h"

/* Elements of a row that are converted at a time; a multiple of every block length. */
#define CHUNK 256u
/* Activation rows that share one conversion of a weight chunk. */
#define ROWS 16u

static const unsigned char *element(enum cr_dtype dtype, const void *row, size_t k) {
    return (const unsigned char *)row +
           k / cr_dtype_block_len(dtype) * cr_dtype_block_bytes(dtype);
}

static void scalar_to_bf16(enum cr_dtype dtype, const void *src, uint16_t *dst,
                           size_t n) {
    float chunk[CHUNK];
    for (size_t at = 0; at < n; at += CHUNK) {
        size_t len = CR_MIN(CHUNK, n - at);
        cr_row_to_f32(dtype, element(dtype, src, at), chunk, len);
        for (size_t i = 0; i < len; i++)
            dst[at + i] = cr_bf16_from_f32(chunk[i]);
    }
}

static size_t scalar_pack_bytes(enum cr_dtype w_dtype, enum cr_dtype act, size_t k) {
    (void)w_dtype, (void)act;
    return (k * sizeof(float) + 63) / 64 * 64;
}

static void scalar_pack(enum cr_dtype w_dtype, enum cr_dtype act, const void *x,
                        void *packed, size_t k) {
    (void)w_dtype;
    cr_row_to_f32(act, x, packed, k);
}

/* One weight row against m <= ROWS packed rows, `stride` floats apart. */
static void dot_rows(const struct cr_step *s, const void *w, const float *x,
                     size_t stride, size_t m, float *y) {
    double sums[ROWS][4] = {{0}};
    float chunk[CHUNK];
    for (size_t at = 0; at < s->k; at += CHUNK) {
        size_t len = CR_MIN(CHUNK, s->k - at);
        cr_row_to_f32(s->w_dtype, element(s->w_dtype, w, at), chunk, len);
        for (size_t i = 0; i < m; i++) {
            const float *row = x + i * stride + at;
            for (size_t k = 0; k < len; k++)
                sums[i][k % 4] += (double)row[k] * (double)chunk[k];
        }
    }
    for (size_t i = 0; i < m; i++)
        y[i * s->y_row] = (float)(sums[i][0] + sums[i][1] + sums[i][2] + sums[i][3]);
}

static void scalar_step(const struct cr_step *s, size_t n) {
    size_t stride = scalar_pack_bytes(s->w_dtype, s->act, s->k) / sizeof(float);
    for (size_t row = 0; row < n; row++) {
        const void *w = (const unsigned char *)s->w + row * s->w_row_bytes;
        for (size_t first = 0; first < s->m; first += ROWS)
            dot_rows(s, w, (const float *)s->x + first * stride, stride,
                     CR_MIN(ROWS, s->m - first), s->y + first * s->y_row + row);
    }
}

const struct cr_dense cr_dense_scalar = {
    .isa = CR_ISA_SCALAR,
    .row_to_f32 = cr_row_to_f32,
    .row_to_bf16 = scalar_to_bf16,
    .pack_bytes = scalar_pack_bytes,
    .pack = scalar_pack,
    .step = scalar_step,
};
