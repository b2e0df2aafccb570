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
