/* Packed files: a whole checkpoint, tower, tokenizer and configuration included, in one file whose
 * quantised matrices lie as the products read them, so that opening it copies nothing.
 *
 *   GGUF 3 of architecture CR_PACKED_ARCHITECTURE, tensors on pages
 *   critic.packed.version  u32     CR_PACKED_VERSION
 *   critic.packed.layout   string  CR_PACKED_LAYOUT: of types PANEL8 and PANEL4 (kernel/int8.h)
 *   critic.packed.dtype    string  "int8" or "q4": what --dtype is called that gives these bits
 *   configuration, tokenizer and tower in the keys and under the names of a GGUF pair
 *   critic.digests         I64 (tensors before it, 2), last in the file: of each one's type, shape and bytes
 *
 * The layout is the same on every instruction set. A file of another version or layout is refused. */
#ifndef CR_TENSOR_PACKED_FILE_H
#define CR_TENSOR_PACKED_FILE_H

#include "base/hash.h"
#include "io/gguf.h"

#define CR_PACKED_ARCHITECTURE "critic-packed"
#define CR_PACKED_VERSION      1u
#define CR_PACKED_LAYOUT       "panels-64x4"
#define CR_PACKED_DIGESTS      "critic.digests"

/* Is this GGUF a packed file? */
bool cr_packed_file_is(const struct cr_gguf *g);
/* Proves version, layout and the digests of small tensors; *dtype: CR_PANEL8 or CR_PANEL4, in which the
 * decoder's blocks are. Errors: CRITIC_UNSUPPORTED, CRITIC_BAD_FILE; path names the file. */
enum critic_status cr_packed_file_check(const struct cr_gguf *g, const char *path,
                                        enum cr_dtype *dtype, critic_error *err);
/* Reads the whole file and compares every digest. Errors: CRITIC_BAD_FILE naming the tensor. */
enum critic_status cr_packed_file_verify(const struct cr_gguf *g, const char *path,
                                         critic_error *err);
/* Starts a digest with type and shape of t; its bytes follow by cr_hash_update. */
void cr_packed_file_digest(struct cr_hash *h, const struct cr_file_tensor *t);
/* What critic.packed.dtype says for CR_PANEL8 and CR_PANEL4. */
const char *cr_packed_file_dtype(enum cr_dtype dtype);

#endif
