/* safetensors: reader over a mapped file and streaming writer.
 *
 *   u64 N, little endian | N bytes of JSON, padded with spaces | tensor bytes
 *   {"__metadata__": {"key": "text", …},
 *    "name": {"dtype": "BF16", "shape": [2, 3], "data_offsets": [begin, end]}, …}
 *
 * Offsets count from the end of the header. As in the reference implementation, tensors must
 * cover the bytes behind the header exactly: an overlap, a hole or bytes left over refuse the
 * file. Refused as well: a header over CR_SAFETENSORS_MAX_HEADER, a dtype that base/dtype.h
 * does not name (the block formats of GGUF do not exist here), more than four axes.
 * Source: the format section of the safetensors README and its validate(). */
#ifndef CR_IO_SAFETENSORS_H
#define CR_IO_SAFETENSORS_H

#include "base/arena.h"
#include "base/file.h"
#include "io/file_tensor.h"

/* The reference accepts 100 MB; a header takes up to fifty times its size while it is parsed,
 * and the largest published ones are a few hundred KiB. */
#define CR_SAFETENSORS_MAX_HEADER ((size_t)16 << 20)

struct cr_safetensors_note {
    const char *key;
    const char *value;
};

struct cr_safetensors {
    struct cr_map map;
    size_t n_tensors;
    struct cr_file_tensor *tensors; /* in the order of their bytes */
    size_t n_notes;
    struct cr_safetensors_note *notes; /* __metadata__ */
};

/* Maps and checks the file. Everything but the mapping lies in `a`.
 * Errors: CRITIC_BAD_FILE, CRITIC_UNSUPPORTED (dtype, axes), CRITIC_NO_MEMORY; the message
 * starts with path and names the tensor. */
enum critic_status cr_safetensors_open(struct cr_safetensors *out, struct cr_arena *a,
                                       const char *path, critic_error *err);
/* Unmaps; safe on a zeroed struct. The arena stays the caller's. */
void cr_safetensors_close(struct cr_safetensors *s);
/* NULL where absent. */
const struct cr_file_tensor *cr_safetensors_find(const struct cr_safetensors *s,
                                                 const char *name);

/* Streaming writer: all names, dtypes and shapes first, then the bytes. */
struct cr_safetensors_writer {
    struct cr_out out;
    size_t bytes_left; /* tensor bytes still to come */
};

/* Writes the header. tensors[i].name, dtype, n_dim and dim count, the rest is ignored; bytes
 * follow in the order given (give wider dtypes first, so that all of them are aligned).
 * notes may be NULL; transformers wants {"format", "pt"}.
 * Errors: CRITIC_IO, CRITIC_NO_MEMORY. On failure nothing is left behind. */
enum critic_status cr_safetensors_create(struct cr_safetensors_writer *w,
                                         const char *path,
                                         const struct cr_file_tensor *tensors,
                                         size_t n_tensors,
                                         const struct cr_safetensors_note *notes,
                                         size_t n_notes, critic_error *err);
/* The next bytes, in pieces of any size. More than was announced is an assertion. */
enum critic_status cr_safetensors_write(struct cr_safetensors_writer *w, const void *data,
                                        size_t bytes, critic_error *err);
/* Asserts that all bytes came; the file then appears under its name. Closes w. */
enum critic_status cr_safetensors_commit(struct cr_safetensors_writer *w,
                                         critic_error *err);
/* Removes what was written. Safe on a zeroed or a committed writer. */
void cr_safetensors_abort(struct cr_safetensors_writer *w);

#endif
