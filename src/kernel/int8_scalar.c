/* 8-bit products, the definition: kernel/int8.h. */
#include <float.h>
#include <math.h>
#include <string.h>

#include "kernel/int8.h"

#define INLINE static inline

#define ROWS8 1
#define ROWS4 1

#include "kernel/int8_store.h"

INLINE void dots8(size_t m, const struct cr_int8_rows *x, size_t first,
                  const uint8_t *panel, size_t g0, size_t g1, float *tile,
                  const struct cr_int8_out *out, size_t row) {
    for (size_t i = 0; i < m * CR_INT8_COLS; i++) {
        size_t t = first + i / CR_INT8_COLS, n = i % CR_INT8_COLS;
        const int8_t *q = x->q + t * x->q_row;
        float sum = g0 ? tile[i] : 0;
        for (size_t g = g0; g < g1; g++) {
            int32_t group = x->offsets[t * x->n_groups + g];
            for (size_t k = g * CR_INT8_GROUP; k < (g + 1) * CR_INT8_GROUP && k < x->k;
                 k++)
                group += q[k] * panel[k / 4 * 4 * CR_INT8_COLS + 4 * n + k % 4];
            sum = fmaf((float)group, x->scales[t * x->n_groups + g], sum);
        }
        tile[i] = sum;
    }
    for (size_t r = 0; out && r < m; r++)
        store_row(tile + r * COLS, NULL, out, row + r);
}

/* One block of one column: sum of q w. */
INLINE int32_t block4(const int8_t *q, const uint8_t *block, size_t n) {
    int32_t sum = 0;
    for (size_t k = 0; k < CR_INT4_BLOCK; k++) {
        uint8_t both = block[k / 8 * 4 * CR_INT8_COLS + 4 * n + k % 4];
        sum += q[k] * (k % 8 < 4 ? both & 15 : both >> 4);
    }
    return sum;
}

INLINE void dots4(size_t m, const struct cr_int8_rows *x, size_t first,
                  const uint8_t *panel, float *tile, float *minima) {
    const size_t at_s = CR_INT4_BLOCK / 2 * CR_INT8_COLS;
    const size_t block_bytes = at_s + 2 * CR_INT8_COLS;
    for (size_t i = 0; i < m * CR_INT8_COLS; i++) {
        size_t row = first + i / CR_INT8_COLS, n = i % CR_INT8_COLS;
        const int8_t *q = x->q + row * x->q_row;
        float sum = 0, minimum = 0;
        for (size_t g = 0; g < x->n_groups; g++) {
            int32_t group = 0, group_minimum = 0;
            for (size_t b = 4 * g; b < 4 * g + 4 && b * CR_INT4_BLOCK < x->k; b++) {
                const uint8_t *block = panel + b * block_bytes;
                group += block4(q + b * CR_INT4_BLOCK, block, n) * block[at_s + n];
                group_minimum += x->block_sums[4 * row * x->n_groups + b] *
                                 block[at_s + CR_INT8_COLS + n];
            }
            float scale = x->scales[row * x->n_groups + g];
            sum = fmaf((float)group, scale, sum);
            minimum = fmaf((float)group_minimum, scale, minimum);
        }
        tile[i] = sum;
        minima[i] = minimum;
    }
}

#include "kernel/int8_body.h"

const struct cr_int8 cr_int8_scalar = CR_INT8_TABLE(CR_ISA_SCALAR);
