#include "base/dtype.h"

#include <string.h>

#include "base/checked.h"
#include "base/error.h"

static const struct {
    const char *name;
    size_t block_len;
    size_t block_bytes;
} dtype_table[CR_DTYPE_COUNT] = {
#define DTYPE_ROW(id, name, block_len, block_bytes) [id] = {name, block_len, block_bytes},
    CR_DTYPE_LIST(DTYPE_ROW)
#undef DTYPE_ROW
};

const char *cr_dtype_name(enum cr_dtype dtype) {
    CR_ASSERT((unsigned)dtype < CR_DTYPE_COUNT);
    return dtype_table[dtype].name;
}

size_t cr_dtype_block_len(enum cr_dtype dtype) {
    CR_ASSERT((unsigned)dtype < CR_DTYPE_COUNT);
    return dtype_table[dtype].block_len;
}

size_t cr_dtype_block_bytes(enum cr_dtype dtype) {
    CR_ASSERT((unsigned)dtype < CR_DTYPE_COUNT);
    return dtype_table[dtype].block_bytes;
}

bool cr_dtype_row_bytes(enum cr_dtype dtype, size_t n, size_t *bytes) {
    size_t block_len = cr_dtype_block_len(dtype);
    return n % block_len == 0 &&
           cr_mul_size(n / block_len, cr_dtype_block_bytes(dtype), bytes);
}

bool cr_dtype_is_panels(enum cr_dtype dtype) {
    return dtype == CR_PANEL8 || dtype == CR_PANEL4;
}

/* kernel/int8.h has the layout, and op/packed.c asserts that both agree. */
#define PANEL_ROWS ((size_t)64)

bool cr_dtype_matrix_bytes(enum cr_dtype dtype, size_t rows, size_t cols, size_t *bytes) {
    size_t row = 0;
    bool fits;
    if (dtype == CR_PANEL8)
        fits = cr_round_up_size(cols, 4, &row) && cr_add_size(row, sizeof(float), &row);
    else if (dtype == CR_PANEL4)
        fits = cols % 32 == 0 && cr_mul_size(cols / 32, 18, &row) &&
               cr_add_size(row, 3 * sizeof(float), &row);
    else
        fits = cr_dtype_row_bytes(dtype, cols, &row);
    if (fits && cr_dtype_is_panels(dtype))
        fits = cr_round_up_size(rows, PANEL_ROWS, &rows);
    return fits && cr_mul_size(row, rows, bytes);
}

bool cr_dtype_parse(const char *name, size_t len, enum cr_dtype *dtype) {
    for (int i = 0; i < CR_DTYPE_COUNT; i++) {
        if (strlen(dtype_table[i].name) == len &&
            memcmp(dtype_table[i].name, name, len) == 0) {
            *dtype = (enum cr_dtype)i;
            return true;
        }
    }
    return false;
}
