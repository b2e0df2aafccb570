/* Element types of tensors: plain numbers, the block formats of GGUF, and whole matrices as the 8-bit
 * products read them.
 * A block holds block_len consecutive elements of a row in block_bytes bytes. The
 * conversions live in kernel/quant.h; this table is only about sizes and names.
 * PANEL8 and PANEL4 (kernel/int8.h) have no rows to address: panels of 64 rows of the matrix,
 * then a scale for each (4 bits: scale, minimum, scale of the widened panel). Their line in the
 * table says nothing; cr_dtype_matrix_bytes knows their size. */
#ifndef CR_BASE_DTYPE_H
#define CR_BASE_DTYPE_H

#include <stdbool.h>
#include <stddef.h>

/* enumerator, name, elements a block, bytes a block */
#define CR_DTYPE_LIST(X)                                                                 \
    X(CR_F32, "F32", 1, 4)                                                               \
    X(CR_F16, "F16", 1, 2)                                                               \
    X(CR_BF16, "BF16", 1, 2)                                                             \
    X(CR_I64, "I64", 1, 8)                                                               \
    X(CR_I32, "I32", 1, 4)                                                               \
    X(CR_I16, "I16", 1, 2)                                                               \
    X(CR_I8, "I8", 1, 1)                                                                 \
    X(CR_U8, "U8", 1, 1)                                                                 \
    X(CR_BOOL, "BOOL", 1, 1)                                                             \
    X(CR_F64, "F64", 1, 8)                                                               \
    X(CR_Q8_0, "Q8_0", 32, 34)                                                           \
    X(CR_Q4_0, "Q4_0", 32, 18)                                                           \
    X(CR_Q4_1, "Q4_1", 32, 20)                                                           \
    X(CR_Q5_0, "Q5_0", 32, 22)                                                           \
    X(CR_Q5_1, "Q5_1", 32, 24)                                                           \
    X(CR_Q4_K, "Q4_K", 256, 144)                                                         \
    X(CR_Q5_K, "Q5_K", 256, 176)                                                         \
    X(CR_Q6_K, "Q6_K", 256, 210)                                                         \
    X(CR_PANEL8, "PANEL8", 1, 1)                                                         \
    X(CR_PANEL4, "PANEL4", 1, 1)

enum cr_dtype {
#define CR_DTYPE_ENUM(id, name, block_len, block_bytes) id,
    CR_DTYPE_LIST(CR_DTYPE_ENUM) CR_DTYPE_COUNT
#undef CR_DTYPE_ENUM
};

const char *cr_dtype_name(enum cr_dtype dtype);
size_t cr_dtype_block_len(enum cr_dtype dtype);
size_t cr_dtype_block_bytes(enum cr_dtype dtype);
/* Bytes of a row of n elements; false where n is no whole number of blocks or the size
 * does not fit. */
bool cr_dtype_row_bytes(enum cr_dtype dtype, size_t n, size_t *bytes);
/* Is the matrix kept in panels? */
bool cr_dtype_is_panels(enum cr_dtype dtype);
/* Bytes of a dense matrix; false where a row is no whole number of blocks or the size does not
 * fit. */
bool cr_dtype_matrix_bytes(enum cr_dtype dtype, size_t rows, size_t cols, size_t *bytes);
/* By name, case-sensitive; false where there is none. */
bool cr_dtype_parse(const char *name, size_t len, enum cr_dtype *dtype);

#endif
