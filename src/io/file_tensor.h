/* A tensor as a checkpoint file describes it, whatever the format: proved to lie inside the
 * file, its byte count equal to what shape and dtype ask for. Borrowed from the file. */
#ifndef CR_IO_FILE_TENSOR_H
#define CR_IO_FILE_TENSOR_H

#include "base/dtype.h"

#define CR_FILE_MAX_DIM 4

struct cr_file_tensor {
    const char *name;
    enum cr_dtype dtype;
    int n_dim;                   /* 0 is a scalar */
    size_t dim[CR_FILE_MAX_DIM]; /* slowest axis first */
    const unsigned char *data;   /* NULL in a tensor that is still to be written */
    size_t bytes;
};

/* Bytes that shape and dtype ask for; false where the size does not fit or a row is no whole
 * number of blocks. */
bool cr_file_tensor_bytes(enum cr_dtype dtype, int n_dim, const size_t *dim,
                          size_t *bytes);

#endif
