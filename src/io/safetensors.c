#include "io/safetensors.h"

#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "io/json.h"

/* While a file is read: where its tensor bytes begin and how many there are. */
struct reader {
    const char *path;
    struct cr_arena *arena;
    const unsigned char *data;
    size_t data_bytes;
    struct cr_safetensors *out;
};

static enum critic_status no_memory(const char *path, critic_error *err) {
    return cr_fail(err, CRITIC_NO_MEMORY, "%s: out of memory for the header", path);
}

/* Names go into messages and C strings, so they may hold neither NUL nor control bytes. */
static bool is_plain_text(const char *s, size_t len) {
    for (size_t i = 0; i < len; i++)
        if ((unsigned char)s[i] < 0x20 || s[i] == 0x7F)
            return false;
    return true;
}

static enum critic_status read_size_list(const json_t *list, size_t *out, size_t max_n,
                                         size_t *n, const struct reader *r,
                                         const char *name, const char *key,
                                         critic_error *err) {
    if (!json_is_array(list))
        return cr_fail(err, CRITIC_BAD_FILE, "%s: tensor '%s': no list '%s'", r->path,
                       name, key);
    *n = json_array_size(list);
    if (*n > max_n)
        return cr_fail(err, CRITIC_UNSUPPORTED,
                       "%s: tensor '%s': '%s' has %zu numbers; at most %zu are supported",
                       r->path, name, key, *n, max_n);
    for (size_t i = 0; i < *n; i++) {
        json_t *item = json_array_get(list, i);
        if (!json_is_integer(item) || json_integer_value(item) < 0)
            return cr_fail(
                err, CRITIC_BAD_FILE,
                "%s: tensor '%s': '%s' holds something else than a whole number "
                "from 0 up",
                r->path, name, key);
        out[i] = (size_t)json_integer_value(item);
    }
    return CRITIC_OK;
}

static enum critic_status read_dtype(const json_t *info, struct cr_file_tensor *t,
                                     const struct reader *r, critic_error *err) {
    const json_t *dtype = json_object_get(info, "dtype");
    if (!json_is_string(dtype))
        return cr_fail(err, CRITIC_BAD_FILE, "%s: tensor '%s': no string 'dtype'",
                       r->path, t->name);
    const char *text = json_string_value(dtype);
    if (!cr_dtype_parse(text, json_string_length(dtype), &t->dtype) ||
        cr_dtype_block_len(t->dtype) != 1 || cr_dtype_is_panels(t->dtype))
        return cr_fail(err, CRITIC_UNSUPPORTED,
                       "%s: tensor '%s': dtype '%.32s' is not supported", r->path,
                       t->name, text);
    return CRITIC_OK;
}

static enum critic_status read_tensor(const json_t *info, struct cr_file_tensor *t,
                                      const struct reader *r, critic_error *err) {
    size_t n_dim = 0, n_offsets = 0, want;
    size_t offsets[2] = {0, 0};
    if (!json_is_object(info))
        return cr_fail(err, CRITIC_BAD_FILE,
                       "%s: tensor '%s' is not described by an object", r->path, t->name);
    CR_TRY(read_dtype(info, t, r, err));
    CR_TRY(read_size_list(json_object_get(info, "shape"), t->dim, CR_FILE_MAX_DIM, &n_dim,
                          r, t->name, "shape", err));
    CR_TRY(read_size_list(json_object_get(info, "data_offsets"), offsets, 2, &n_offsets,
                          r, t->name, "data_offsets", err));
    t->n_dim = (int)n_dim;
    if (n_offsets != 2 || offsets[0] > offsets[1])
        return cr_fail(err, CRITIC_BAD_FILE,
                       "%s: tensor '%s': 'data_offsets' is not a begin and an end",
                       r->path, t->name);
    if (offsets[1] > r->data_bytes)
        return cr_fail(
            err, CRITIC_BAD_FILE,
            "%s: tensor '%s' ends at byte %zu of %zu; the file is truncated or the "
            "header wrong",
            r->path, t->name, offsets[1], r->data_bytes);
    if (!cr_file_tensor_bytes(t->dtype, t->n_dim, t->dim, &want))
        return cr_fail(err, CRITIC_BAD_FILE, "%s: tensor '%s': its shape overflows",
                       r->path, t->name);
    t->data = r->data + offsets[0];
    t->bytes = offsets[1] - offsets[0];
    if (t->bytes != want)
        return cr_fail(err, CRITIC_BAD_FILE,
                       "%s: tensor '%s' has %zu bytes; its %s shape needs %zu", r->path,
                       t->name, t->bytes, cr_dtype_name(t->dtype), want);
    return CRITIC_OK;
}

static enum critic_status read_notes(const json_t *object, const struct reader *r,
                                     critic_error *err) {
    if (!json_is_object(object))
        return cr_fail(err, CRITIC_BAD_FILE, "%s: '__metadata__' is not an object",
                       r->path);
    size_t n = json_object_size(object);
    r->out->notes = cr_arena_calloc(r->arena, n, sizeof *r->out->notes);
    if (!r->out->notes)
        return no_memory(r->path, err);
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)object, key, value) {
        if (!json_is_string(value))
            return cr_fail(err, CRITIC_BAD_FILE,
                           "%s: '__metadata__' holds something else than strings",
                           r->path);
        struct cr_safetensors_note *note = &r->out->notes[r->out->n_notes++];
        note->key = cr_arena_strndup(r->arena, key, strlen(key));
        note->value = cr_arena_strndup(r->arena, json_string_value(value),
                                       strlen(json_string_value(value)));
        if (!note->key || !note->value)
            return no_memory(r->path, err);
    }
    return CRITIC_OK;
}

static int by_place(const void *a, const void *b) {
    const struct cr_file_tensor *x = a;
    const struct cr_file_tensor *y = b;
    if (x->data != y->data)
        return x->data < y->data ? -1 : 1;
    if (x->bytes != y->bytes)
        return x->bytes < y->bytes ? -1 : 1;
    return strcmp(x->name, y->name);
}

/* Every byte behind the header belongs to exactly one tensor. */
static enum critic_status check_cover(const struct reader *r, critic_error *err) {
    struct cr_safetensors *s = r->out;
    if (s->n_tensors > 0)
        qsort(s->tensors, s->n_tensors, sizeof *s->tensors, by_place);
    size_t end = 0;
    for (size_t i = 0; i < s->n_tensors; i++) {
        const struct cr_file_tensor *t = &s->tensors[i];
        size_t begin = (size_t)(t->data - r->data);
        if (begin < end)
            return cr_fail(err, CRITIC_BAD_FILE, "%s: tensors '%s' and '%s' overlap",
                           r->path, s->tensors[i - 1].name, t->name);
        if (begin > end)
            return cr_fail(err, CRITIC_BAD_FILE,
                           "%s: %zu bytes before tensor '%s' belong to no tensor",
                           r->path, begin - end, t->name);
        end = begin + t->bytes;
    }
    if (end != r->data_bytes)
        return cr_fail(err, CRITIC_BAD_FILE,
                       "%s: %zu bytes at the end belong to no tensor", r->path,
                       r->data_bytes - end);
    return CRITIC_OK;
}

static enum critic_status read_header(const json_t *root, const struct reader *r,
                                      critic_error *err) {
    if (!json_is_object(root))
        return cr_fail(err, CRITIC_BAD_FILE, "%s: the header is not an object", r->path);
    struct cr_safetensors *s = r->out;
    json_t *header = (json_t *)(uintptr_t)root; /* the iterator of Jansson is not const */
    size_t names_bytes = 0;
    for (void *i = json_object_iter(header); i; i = json_object_iter_next(header, i))
        names_bytes += json_object_iter_key_len(i) + 1;
    char *names = cr_arena_alloc(r->arena, names_bytes);
    s->tensors = cr_arena_calloc(r->arena, json_object_size(header), sizeof *s->tensors);
    if (!names || !s->tensors)
        return no_memory(r->path, err);
    for (void *i = json_object_iter(header); i; i = json_object_iter_next(header, i)) {
        const char *key = json_object_iter_key(i);
        size_t len = json_object_iter_key_len(i);
        json_t *value = json_object_iter_value(i);
        if (!is_plain_text(key, len))
            return cr_fail(err, CRITIC_BAD_FILE,
                           "%s: the name of a tensor holds a control character", r->path);
        if (strcmp(key, "__metadata__") == 0) {
            CR_TRY(read_notes(value, r, err));
            continue;
        }
        struct cr_file_tensor *t = &s->tensors[s->n_tensors++];
        memcpy(names, key, len + 1);
        t->name = names;
        names += len + 1;
        CR_TRY(read_tensor(value, t, r, err));
    }
    return check_cover(r, err);
}

static enum critic_status read_file(struct cr_safetensors *s, struct cr_arena *a,
                                    const char *path, critic_error *err) {
    CR_TRY(cr_map_open(&s->map, path, err));
    const unsigned char *file = s->map.bytes.data;
    size_t len = s->map.bytes.len;
    uint64_t header = 0;
    if (len < 8)
        return cr_fail(err, CRITIC_BAD_FILE,
                       "%s: %zu bytes; a safetensors file starts with 8 bytes of length",
                       path, len);
    for (int i = 7; i >= 0; i--)
        header = header << 8 | file[i];
    if (header > CR_SAFETENSORS_MAX_HEADER)
        return cr_fail(err, CRITIC_BAD_FILE,
                       "%s: a header of %llu bytes; at most %zu are accepted (is this a "
                       "safetensors file?)",
                       path, (unsigned long long)header, CR_SAFETENSORS_MAX_HEADER);
    if (header > len - 8)
        return cr_fail(err, CRITIC_BAD_FILE,
                       "%s: the header needs %llu bytes and the file has %zu behind the "
                       "length; it is truncated",
                       path, (unsigned long long)header, len - 8);
    struct reader r = {.path = path,
                       .arena = a,
                       .data = file + 8 + header,
                       .data_bytes = len - 8 - (size_t)header,
                       .out = s};
    json_t *root;
    CR_TRY(cr_json_parse(&root, (const char *)file + 8, (size_t)header, path, err));
    enum critic_status status = read_header(root, &r, err);
    json_decref(root);
    return status;
}

enum critic_status cr_safetensors_open(struct cr_safetensors *out, struct cr_arena *a,
                                       const char *path, critic_error *err) {
    memset(out, 0, sizeof *out);
    enum critic_status status = read_file(out, a, path, err);
    if (status != CRITIC_OK)
        cr_safetensors_close(out);
    return status;
}

void cr_safetensors_close(struct cr_safetensors *s) {
    cr_map_close(&s->map);
    memset(s, 0, sizeof *s);
}

const struct cr_file_tensor *cr_safetensors_find(const struct cr_safetensors *s,
                                                 const char *name) {
    for (size_t i = 0; i < s->n_tensors; i++)
        if (strcmp(s->tensors[i].name, name) == 0)
            return &s->tensors[i];
    return NULL;
}

static enum critic_status append_quoted(struct cr_buf *out, const char *text,
                                        critic_error *err) {
    json_t *string = json_string(text);
    if (!string)
        return cr_fail(err, CRITIC_NO_MEMORY, "cannot write '%s' as JSON", text);
    enum critic_status status = cr_json_append(out, string, err);
    json_decref(string);
    return status;
}

static enum critic_status append_tensor(struct cr_buf *out,
                                        const struct cr_file_tensor *t, size_t *offset,
                                        critic_error *err) {
    size_t bytes, end;
    CR_ASSERT(cr_dtype_block_len(t->dtype) == 1 && !cr_dtype_is_panels(t->dtype));
    if (!cr_file_tensor_bytes(t->dtype, t->n_dim, t->dim, &bytes) ||
        !cr_add_size(*offset, bytes, &end))
        return cr_fail(err, CRITIC_BAD_ARGUMENT, "tensor '%s': its shape overflows",
                       t->name);
    CR_TRY(append_quoted(out, t->name, err));
    CR_TRY(cr_buf_printf(out, err, ":{\"dtype\":\"%s\",\"shape\":[",
                         cr_dtype_name(t->dtype)));
    for (int d = 0; d < t->n_dim; d++)
        CR_TRY(cr_buf_printf(out, err, "%s%zu", d ? "," : "", t->dim[d]));
    CR_TRY(cr_buf_printf(out, err, "],\"data_offsets\":[%zu,%zu]}", *offset, end));
    *offset = end;
    return CRITIC_OK;
}

/* The JSON text, padded so that the tensor bytes start on a multiple of 8. */
static enum critic_status build_header(struct cr_buf *out, size_t *data_bytes,
                                       const struct cr_file_tensor *tensors,
                                       size_t n_tensors,
                                       const struct cr_safetensors_note *notes,
                                       size_t n_notes, critic_error *err) {
    *data_bytes = 0;
    CR_TRY(cr_buf_append_c(out, "{", err));
    if (n_notes > 0) {
        CR_TRY(cr_buf_append_c(out, "\"__metadata__\":{", err));
        for (size_t i = 0; i < n_notes; i++) {
            if (i > 0)
                CR_TRY(cr_buf_append_c(out, ",", err));
            CR_TRY(append_quoted(out, notes[i].key, err));
            CR_TRY(cr_buf_append_c(out, ":", err));
            CR_TRY(append_quoted(out, notes[i].value, err));
        }
        CR_TRY(cr_buf_append_c(out, n_tensors > 0 ? "}," : "}", err));
    }
    for (size_t i = 0; i < n_tensors; i++) {
        if (i > 0)
            CR_TRY(cr_buf_append_c(out, ",", err));
        CR_TRY(append_tensor(out, &tensors[i], data_bytes, err));
    }
    CR_TRY(cr_buf_append_c(out, "}", err));
    while (out->len % 8 != 0)
        CR_TRY(cr_buf_append_c(out, " ", err));
    return CRITIC_OK;
}

enum critic_status cr_safetensors_create(struct cr_safetensors_writer *w,
                                         const char *path,
                                         const struct cr_file_tensor *tensors,
                                         size_t n_tensors,
                                         const struct cr_safetensors_note *notes,
                                         size_t n_notes, critic_error *err) {
    struct cr_buf header;
    unsigned char length[8];
    enum critic_status status;
    memset(w, 0, sizeof *w);
    cr_buf_init(&header, CR_SAFETENSORS_MAX_HEADER);
    CR_TRY_GOTO(
        build_header(&header, &w->bytes_left, tensors, n_tensors, notes, n_notes, err));
    for (int i = 0; i < 8; i++)
        length[i] = (unsigned char)(header.len >> 8 * i & 255);
    CR_TRY_GOTO(cr_out_open(&w->out, path, err));
    CR_TRY_GOTO(cr_out_write(&w->out, length, sizeof length, err));
    CR_TRY_GOTO(cr_out_write(&w->out, header.data, header.len, err));
    cr_buf_fini(&header);
    return CRITIC_OK;
fail:
    cr_buf_fini(&header);
    cr_safetensors_abort(w);
    return status;
}

enum critic_status cr_safetensors_write(struct cr_safetensors_writer *w, const void *data,
                                        size_t bytes, critic_error *err) {
    CR_ASSERT(bytes <= w->bytes_left);
    w->bytes_left -= bytes;
    return cr_out_write(&w->out, data, bytes, err);
}

enum critic_status cr_safetensors_commit(struct cr_safetensors_writer *w,
                                         critic_error *err) {
    CR_ASSERT(w->bytes_left == 0);
    enum critic_status status = cr_out_commit(&w->out, err);
    memset(w, 0, sizeof *w);
    return status;
}

void cr_safetensors_abort(struct cr_safetensors_writer *w) {
    cr_out_abort(&w->out);
    memset(w, 0, sizeof *w);
}
