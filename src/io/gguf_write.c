/* The writing half of io/gguf.h. */
#include <string.h>

#include "base/checked.h"
#include "io/gguf.h"

#define ALIGNMENT    ((size_t)32)
#define HEADER_LIMIT ((size_t)1 << 30)

static const unsigned char zeros[CR_GGUF_PAGE];

/* ggml's numbers; -1 for a dtype that GGUF lacks. */
static int tensor_type(enum cr_dtype dtype) {
    switch (dtype) {
    case CR_F32:
        return 0;
    case CR_F16:
        return 1;
    case CR_Q4_0:
        return 2;
    case CR_Q4_1:
        return 3;
    case CR_Q5_0:
        return 6;
    case CR_Q5_1:
        return 7;
    case CR_Q8_0:
        return 8;
    case CR_Q4_K:
        return 12;
    case CR_Q5_K:
        return 13;
    case CR_Q6_K:
        return 14;
    case CR_I8:
        return 24;
    case CR_I16:
        return 25;
    case CR_I32:
        return 26;
    case CR_I64:
        return 27;
    case CR_F64:
        return 28;
    case CR_BF16:
        return 30;
    case CR_PANEL4:
        return CR_GGUF_PANEL4;
    case CR_PANEL8:
        return CR_GGUF_PANEL8;
    default:
        return -1;
    }
}

void cr_gguf_writer_init(struct cr_gguf_writer *w) {
    memset(w, 0, sizeof *w);
    w->alignment = ALIGNMENT;
    cr_buf_init(&w->values, HEADER_LIMIT);
    cr_buf_init(&w->infos, HEADER_LIMIT);
    cr_buf_init(&w->sizes, HEADER_LIMIT);
}

void cr_gguf_writer_fini(struct cr_gguf_writer *w) {
    cr_out_abort(&w->out);
    cr_buf_fini(&w->values);
    cr_buf_fini(&w->infos);
    cr_buf_fini(&w->sizes);
    memset(w, 0, sizeof *w);
}

static enum critic_status put_uint(struct cr_buf *b, uint64_t u, size_t bytes,
                                   critic_error *err) {
    unsigned char raw[8];
    for (size_t i = 0; i < bytes; i++)
        raw[i] = (unsigned char)(u >> 8 * i & 255);
    return cr_buf_append(b, raw, bytes, err);
}

static enum critic_status put_str(struct cr_buf *b, struct cr_str s, critic_error *err) {
    CR_TRY(put_uint(b, s.len, 8, err));
    return cr_buf_append(b, s.data, s.len, err);
}

static enum critic_status put_key(struct cr_gguf_writer *w, struct cr_str key,
                                  enum cr_gguf_type type, critic_error *err) {
    w->n_values++;
    CR_TRY(put_str(&w->values, key, err));
    return put_uint(&w->values, type, 4, err);
}

enum critic_status cr_gguf_add_u32(struct cr_gguf_writer *w, const char *key,
                                   uint32_t value, critic_error *err) {
    CR_TRY(put_key(w, cr_str_of(key), CR_GGUF_U32, err));
    return put_uint(&w->values, value, 4, err);
}

enum critic_status cr_gguf_align_to_pages(struct cr_gguf_writer *w, critic_error *err) {
    CR_ASSERT(w->n_tensors == 0);
    w->alignment = CR_GGUF_PAGE;
    return cr_gguf_add_u32(w, "general.alignment", (uint32_t)CR_GGUF_PAGE, err);
}

enum critic_status cr_gguf_add_f32(struct cr_gguf_writer *w, const char *key, float value,
                                   critic_error *err) {
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    CR_TRY(put_key(w, cr_str_of(key), CR_GGUF_F32, err));
    return put_uint(&w->values, bits, 4, err);
}

enum critic_status cr_gguf_add_bool(struct cr_gguf_writer *w, const char *key, bool value,
                                    critic_error *err) {
    CR_TRY(put_key(w, cr_str_of(key), CR_GGUF_BOOL, err));
    return put_uint(&w->values, value, 1, err);
}

enum critic_status cr_gguf_add_str(struct cr_gguf_writer *w, const char *key,
                                   struct cr_str value, critic_error *err) {
    CR_TRY(put_key(w, cr_str_of(key), CR_GGUF_STRING, err));
    return put_str(&w->values, value, err);
}

/* Bytes of one element; strings have none. */
static size_t element_bytes(enum cr_gguf_type type) {
    switch (type) {
    case CR_GGUF_U8:
    case CR_GGUF_I8:
    case CR_GGUF_BOOL:
        return 1;
    case CR_GGUF_U16:
    case CR_GGUF_I16:
        return 2;
    case CR_GGUF_U64:
    case CR_GGUF_I64:
    case CR_GGUF_F64:
        return 8;
    default:
        CR_ASSERT(type == CR_GGUF_U32 || type == CR_GGUF_I32 || type == CR_GGUF_F32);
        return 4;
    }
}

static enum critic_status put_array(struct cr_gguf_writer *w, struct cr_str key,
                                    enum cr_gguf_type type, size_t n, critic_error *err) {
    CR_TRY(put_key(w, key, CR_GGUF_ARRAY, err));
    CR_TRY(put_uint(&w->values, type, 4, err));
    return put_uint(&w->values, n, 8, err);
}

enum critic_status cr_gguf_add_array(struct cr_gguf_writer *w, const char *key,
                                     enum cr_gguf_type type, const void *data, size_t n,
                                     critic_error *err) {
    CR_TRY(put_array(w, cr_str_of(key), type, n, err));
    return cr_buf_append(&w->values, data, n * element_bytes(type), err);
}

static enum critic_status put_strings(struct cr_gguf_writer *w,
                                      const struct cr_str *strings, size_t n,
                                      critic_error *err) {
    for (size_t i = 0; i < n; i++)
        CR_TRY(put_str(&w->values, strings[i], err));
    return CRITIC_OK;
}

enum critic_status cr_gguf_add_str_array(struct cr_gguf_writer *w, const char *key,
                                         const struct cr_str *strings, size_t n,
                                         critic_error *err) {
    CR_TRY(put_array(w, cr_str_of(key), CR_GGUF_STRING, n, err));
    return put_strings(w, strings, n, err);
}

enum critic_status cr_gguf_add_tensor(struct cr_gguf_writer *w, const char *name,
                                      enum cr_dtype dtype, int n_dim, const size_t *dim,
                                      critic_error *err) {
    size_t bytes, end;
    int type = tensor_type(dtype);
    if (type < 0)
        return cr_fail(err, CRITIC_UNSUPPORTED, "tensor '%s': GGUF has no type %s", name,
                       cr_dtype_name(dtype));
    if (!cr_file_tensor_bytes(dtype, n_dim, dim, &bytes) ||
        !cr_add_size(w->next_offset, bytes, &end) ||
        !cr_round_up_size(end, w->alignment, &end))
        return cr_fail(
            err, CRITIC_BAD_ARGUMENT,
            "tensor '%s': its shape overflows or does not fill whole %s blocks", name,
            cr_dtype_name(dtype));
    w->n_tensors++;
    CR_TRY(put_str(&w->infos, cr_str_of(name), err));
    CR_TRY(put_uint(&w->infos, (uint64_t)n_dim, 4, err));
    for (int i = n_dim - 1; i >= 0; i--)
        CR_TRY(put_uint(&w->infos, dim[i], 8, err));
    CR_TRY(put_uint(&w->infos, (uint64_t)type, 4, err));
    CR_TRY(put_uint(&w->infos, w->next_offset, 8, err));
    CR_TRY(cr_buf_append(&w->sizes, &bytes, sizeof bytes, err));
    w->next_offset = end;
    return CRITIC_OK;
}

static enum critic_status pad(struct cr_gguf_writer *w, critic_error *err) {
    return cr_out_write(&w->out, zeros, -w->out.n_written & (w->alignment - 1), err);
}

/* Moves on while the current tensor is complete. */
static enum critic_status next_tensor(struct cr_gguf_writer *w, critic_error *err) {
    while (w->data_left == 0 && w->n_begun < w->n_tensors) {
        CR_TRY(pad(w, err));
        memcpy(&w->data_left, w->sizes.data + w->n_begun * sizeof w->data_left,
               sizeof w->data_left);
        w->n_begun++;
    }
    return CRITIC_OK;
}

enum critic_status cr_gguf_begin(struct cr_gguf_writer *w, const char *path,
                                 critic_error *err) {
    struct cr_buf head;
    enum critic_status status;
    cr_buf_init(&head, 64);
    CR_TRY_GOTO(cr_out_open(&w->out, path, err));
    CR_TRY_GOTO(cr_buf_append_c(&head, "GGUF", err));
    CR_TRY_GOTO(put_uint(&head, 3, 4, err));
    CR_TRY_GOTO(put_uint(&head, w->n_tensors, 8, err));
    CR_TRY_GOTO(put_uint(&head, w->n_values, 8, err));
    CR_TRY_GOTO(cr_out_write(&w->out, head.data, head.len, err));
    CR_TRY_GOTO(cr_out_write(&w->out, w->values.data, w->values.len, err));
    CR_TRY_GOTO(cr_out_write(&w->out, w->infos.data, w->infos.len, err));
    CR_TRY_GOTO(pad(w, err));
fail:
    cr_buf_fini(&head);
    return status;
}

enum critic_status cr_gguf_write(struct cr_gguf_writer *w, const void *data, size_t bytes,
                                 critic_error *err) {
    const unsigned char *p = data;
    while (bytes > 0) {
        CR_TRY(next_tensor(w, err));
        CR_ASSERT(w->data_left > 0);
        size_t n = CR_MIN(bytes, w->data_left);
        CR_TRY(cr_out_write(&w->out, p, n, err));
        w->data_left -= n;
        p += n;
        bytes -= n;
    }
    return CRITIC_OK;
}

enum critic_status cr_gguf_commit(struct cr_gguf_writer *w, critic_error *err) {
    CR_TRY(next_tensor(w, err)); /* empty tensors at the end */
    CR_ASSERT(w->data_left == 0 && w->n_begun == w->n_tensors);
    CR_TRY(pad(w, err));
    return cr_out_commit(&w->out, err);
}
