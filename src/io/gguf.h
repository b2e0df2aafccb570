/* GGUF: reader (versions 2 and 3, little endian) over a mapped file and writer (version 3).
 *
 *   "GGUF" | u32 version | u64 n_tensors | u64 n_values
 *   n_values  x { string key | u32 type | value }       string: u64 length, bytes
 *   n_tensors x { string name | u32 n_dim | u64 dim[n_dim], fastest first | u32 type | u64 offset }
 *   padding to general.alignment (32 where absent) | tensor bytes, each tensor padded
 *
 * Shapes are turned round to slowest axis first. Counts and lengths are compared with the
 * bytes that remain before anything is allocated for them. Refused: big-endian files, other
 * versions, lists of lists, tensor types outside base/dtype.h, keys or names that appear
 * twice, tensors that overlap or leave the file. Holes between tensors are padding: allowed.
 * Source: docs/gguf.md of ggml. */
#ifndef CR_IO_GGUF_H
#define CR_IO_GGUF_H

#include "base/arena.h"
#include "base/bytes.h"
#include "base/file.h"
#include "io/file_tensor.h"

enum cr_gguf_type {
    CR_GGUF_U8,
    CR_GGUF_I8,
    CR_GGUF_U16,
    CR_GGUF_I16,
    CR_GGUF_U32,
    CR_GGUF_I32,
    CR_GGUF_F32,
    CR_GGUF_BOOL,
    CR_GGUF_STRING,
    CR_GGUF_ARRAY, /* in the file only: a cr_gguf_value says is_array and its element type */
    CR_GGUF_U64,
    CR_GGUF_I64,
    CR_GGUF_F64,
    CR_GGUF_TYPE_COUNT
};

/* Our own numbers of tensor types, far from ggml's. Another layout of panels gets another number, so
 * that no version takes one for the other. */
enum { CR_GGUF_PANEL4 = 43101, CR_GGUF_PANEL8 = 43102 };

struct cr_gguf_value {
    struct cr_str key;
    enum cr_gguf_type type; /* of the value, or of a list's elements */
    bool is_array;
    size_t n;                     /* elements; 1 unless a list */
    const unsigned char *data;    /* little-endian elements, unaligned; not for strings */
    const struct cr_str *strings; /* n of them where type is CR_GGUF_STRING */
};

struct cr_gguf {
    struct cr_map map;
    unsigned version;
    size_t alignment;
    size_t n_values;
    struct cr_gguf_value *values; /* as in the file */
    size_t n_tensors;
    struct cr_file_tensor *tensors; /* as in the file */
};

/* Does a file of any name begin as a GGUF does? */
bool cr_gguf_is(const char *path);
/* Maps and checks the file. Everything but the mapping lies in `a`.
 * Errors: CRITIC_BAD_FILE, CRITIC_UNSUPPORTED (version, tensor type), CRITIC_NO_MEMORY; the
 * message starts with path and names the key or tensor. */
enum critic_status cr_gguf_open(struct cr_gguf *out, struct cr_arena *a, const char *path,
                                critic_error *err);
/* The same of bytes in memory, which must outlive *out; errors call them `name`. */
enum critic_status cr_gguf_open_bytes(struct cr_gguf *out, struct cr_arena *a,
                                      struct cr_bytes bytes, const char *name,
                                      critic_error *err);
void cr_gguf_close(struct cr_gguf *g);

/* NULL where absent. */
const struct cr_gguf_value *cr_gguf_find(const struct cr_gguf *g, const char *key);
const struct cr_file_tensor *cr_gguf_find_tensor(const struct cr_gguf *g,
                                                 const char *name);

/* Typed access to single values; any integer type converts where the number fits, integers
 * to double as well. Absent: *out is left as it was (the caller's default) and CRITIC_OK.
 * Wrong type or range: CRITIC_BAD_FILE naming the key. */
enum critic_status cr_gguf_u64(const struct cr_gguf *g, const char *key, uint64_t *out,
                               critic_error *err);
enum critic_status cr_gguf_double(const struct cr_gguf *g, const char *key, double *out,
                                  critic_error *err);
enum critic_status cr_gguf_bool(const struct cr_gguf *g, const char *key, bool *out,
                                critic_error *err);
enum critic_status cr_gguf_str(const struct cr_gguf *g, const char *key,
                               struct cr_str *out, critic_error *err);
/* Lists: *out is NULL where absent; the element type must be `type`. */
enum critic_status cr_gguf_array(const struct cr_gguf *g, const char *key,
                                 enum cr_gguf_type type, const struct cr_gguf_value **out,
                                 critic_error *err);
/* Element i of a numeric value or list, as a double or a signed integer (floats truncated,
 * U64 above INT64_MAX clamped). Asserts i < n and a numeric type. */
double cr_gguf_element_double(const struct cr_gguf_value *v, size_t i);
int64_t cr_gguf_element_i64(const struct cr_gguf_value *v, size_t i);

/* Writer, in two steps: collect values and tensors, then stream the bytes. */
struct cr_gguf_writer {
    struct cr_out out;
    struct cr_buf values;
    struct cr_buf infos;
    size_t n_values;
    size_t n_tensors;
    size_t alignment;    /* of tensors in the file */
    size_t next_offset;  /* of the next tensor, padding included */
    size_t data_left;    /* bytes of the current tensor still to come */
    struct cr_buf sizes; /* size_t per tensor */
    size_t n_begun;
};

void cr_gguf_writer_init(struct cr_gguf_writer *w);
void cr_gguf_writer_fini(struct cr_gguf_writer *w); /* removes an output not committed */
enum critic_status cr_gguf_add_u32(struct cr_gguf_writer *w, const char *key,
                                   uint32_t value, critic_error *err);
/* Tensors on pages of CR_GGUF_PAGE bytes instead of at multiples of 32; before the first. */
#define CR_GGUF_PAGE ((size_t)4096)
enum critic_status cr_gguf_align_to_pages(struct cr_gguf_writer *w, critic_error *err);
enum critic_status cr_gguf_add_f32(struct cr_gguf_writer *w, const char *key, float value,
                                   critic_error *err);
enum critic_status cr_gguf_add_bool(struct cr_gguf_writer *w, const char *key, bool value,
                                    critic_error *err);
enum critic_status cr_gguf_add_str(struct cr_gguf_writer *w, const char *key,
                                   struct cr_str value, critic_error *err);
/* n elements of a fixed-size type, little endian as they lie in memory. */
enum critic_status cr_gguf_add_array(struct cr_gguf_writer *w, const char *key,
                                     enum cr_gguf_type type, const void *data, size_t n,
                                     critic_error *err);
enum critic_status cr_gguf_add_str_array(struct cr_gguf_writer *w, const char *key,
                                         const struct cr_str *strings, size_t n,
                                         critic_error *err);
/* Shape slowest axis first. Errors: CRITIC_UNSUPPORTED for a dtype that GGUF lacks. */
enum critic_status cr_gguf_add_tensor(struct cr_gguf_writer *w, const char *name,
                                      enum cr_dtype dtype, int n_dim, const size_t *dim,
                                      critic_error *err);
/* Writes header and descriptions; then the bytes of every tensor in the order added, each in
 * pieces of any size (padding is the writer's); then commits. Errors: CRITIC_IO. */
enum critic_status cr_gguf_begin(struct cr_gguf_writer *w, const char *path,
                                 critic_error *err);
enum critic_status cr_gguf_write(struct cr_gguf_writer *w, const void *data, size_t bytes,
                                 critic_error *err);
enum critic_status cr_gguf_commit(struct cr_gguf_writer *w, critic_error *err);

#endif
