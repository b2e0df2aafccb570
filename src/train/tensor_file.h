/* A safetensors file of the trainer: tensors collected first, then written at once. */
#ifndef CR_TRAIN_TENSOR_FILE_H
#define CR_TRAIN_TENSOR_FILE_H

#include "io/file_tensor.h"
#include "train/optim.h"

struct cr_store;
struct cr_tensor_piece;

/* Zeroed is empty. */
struct cr_tensor_file {
    struct cr_tensor_piece *items;
    size_t n, cap;
    /* Raw tensors of it leave memory once written; NULL: none does. */
    const struct cr_store *store;
};

void cr_tensor_file_fini(struct cr_tensor_file *f);
/* A tensor called prefix + name, of t's shape, with the F32 values at `data` (borrowed), written
 * as dtype: F32, BF16 or F16. Errors: CRITIC_NO_MEMORY. */
enum critic_status cr_tensor_file_f32(struct cr_tensor_file *f, const char *prefix,
                                      const char *name, const struct cr_train_tensor *t,
                                      const float *data, enum cr_dtype dtype,
                                      critic_error *err);
/* A tensor as it lies in memory, dense. Errors: CRITIC_NO_MEMORY. */
enum critic_status cr_tensor_file_raw(struct cr_tensor_file *f, const char *name,
                                      const struct cr_tensor *t, critic_error *err);
/* Written beside and renamed; sorts the tensors. Errors: CRITIC_IO, CRITIC_NO_MEMORY. */
enum critic_status cr_tensor_file_write(struct cr_tensor_file *f, const char *path,
                                        critic_error *err);

#endif
