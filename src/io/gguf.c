#include "io/gguf.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/checked.h"

#define DEFAULT_ALIGNMENT 32u
#define MAX_ALIGNMENT     ((size_t)1 << 20)

static const struct {
    size_t bytes; /* 0: no fixed size */
    const char *name;
} type_table[CR_GGUF_TYPE_COUNT] = {
    [CR_GGUF_U8] = {1, "u8"},         [CR_GGUF_I8] = {1, "i8"},
    [CR_GGUF_U16] = {2, "u16"},       [CR_GGUF_I16] = {2, "i16"},
    [CR_GGUF_U32] = {4, "u32"},       [CR_GGUF_I32] = {4, "i32"},
    [CR_GGUF_F32] = {4, "f32"},       [CR_GGUF_BOOL] = {1, "bool"},
    [CR_GGUF_STRING] = {0, "string"}, [CR_GGUF_ARRAY] = {0, "list"},
    [CR_GGUF_U64] = {8, "u64"},       [CR_GGUF_I64] = {8, "i64"},
    [CR_GGUF_F64] = {8, "f64"},
};

/* ggml's numbers of tensor types; those without a dtype are only named in errors. The panels are
 * ours: no other program reads them (docs/formats.md). */
/* clang-format off */
static const struct {
    uint32_t id;
    const char *name;
} tensor_types[] = {
    {0, "F32"},     {1, "F16"},      {2, "Q4_0"},   {3, "Q4_1"},    {6, "Q5_0"},
    {7, "Q5_1"},    {8, "Q8_0"},     {9, "Q8_1"},   {10, "Q2_K"},   {11, "Q3_K"},
    {12, "Q4_K"},   {13, "Q5_K"},    {14, "Q6_K"},  {15, "Q8_K"},   {16, "IQ2_XXS"},
    {17, "IQ2_XS"}, {18, "IQ3_XXS"}, {19, "IQ1_S"}, {20, "IQ4_NL"}, {21, "IQ3_S"},
    {22, "IQ2_S"},  {23, "IQ4_XS"},  {24, "I8"},    {25, "I16"},    {26, "I32"},
    {27, "I64"},    {28, "F64"},     {29, "IQ1_M"}, {30, "BF16"},   {34, "TQ1_0"},
    {35, "TQ2_0"},  {39, "MXFP4"},
    {CR_GGUF_PANEL8, "PANEL8"}, {CR_GGUF_PANEL4, "PANEL4"},
};
/* clang-format on */

/* A place in the file; all reading goes through take(). */
struct reader {
    const char *path;
    struct cr_arena *arena;
    const unsigned char *begin;
    const unsigned char *at;
    size_t left;
    struct cr_gguf *out;
};

static uint64_t load_le(const unsigned char *p, size_t bytes) {
    uint64_t u = 0;
    for (size_t i = 0; i < bytes; i++)
        u |= (uint64_t)p[i] << 8 * i;
    return u;
}

static size_t place(const struct reader *r) {
    return (size_t)(r->at - r->begin);
}

static enum critic_status no_memory(const struct reader *r, critic_error *err) {
    return cr_fail(err, CRITIC_NO_MEMORY, "%s: out of memory for the metadata", r->path);
}

static enum critic_status take(struct reader *r, size_t bytes, const unsigned char **p,
                               critic_error *err) {
    if (bytes > r->left)
        return cr_fail(err, CRITIC_BAD_FILE,
                       "%s: byte %zu: %zu bytes expected and %zu are left; the file is "
                       "truncated or its counts are wrong",
                       r->path, place(r), bytes, r->left);
    *p = r->at;
    r->at += bytes;
    r->left -= bytes;
    return CRITIC_OK;
}

static enum critic_status take_uint(struct reader *r, size_t bytes, uint64_t *out,
                                    critic_error *err) {
    const unsigned char *p = NULL;
    CR_TRY(take(r, bytes, &p, err));
    *out = load_le(p, bytes);
    return CRITIC_OK;
}

static enum critic_status take_string(struct reader *r, struct cr_str *out,
                                      critic_error *err) {
    uint64_t len;
    const unsigned char *p = NULL;
    CR_TRY(take_uint(r, 8, &len, err));
    CR_TRY(take(r, (size_t)len, &p, err));
    *out = (struct cr_str){(const char *)p, (size_t)len};
    return CRITIC_OK;
}

/* A count of things of at least min_bytes each, so that it cannot exceed the file. */
static enum critic_status take_count(struct reader *r, size_t min_bytes, const char *what,
                                     size_t *out, critic_error *err) {
    uint64_t n;
    size_t at = place(r);
    CR_TRY(take_uint(r, 8, &n, err));
    if (n > r->left / min_bytes)
        return cr_fail(err, CRITIC_BAD_FILE,
                       "%s: byte %zu: %llu %s cannot lie in the %zu bytes that are left",
                       r->path, at, (unsigned long long)n, what, r->left);
    *out = (size_t)n;
    return CRITIC_OK;
}

static bool is_plain_text(struct cr_str s) {
    for (size_t i = 0; i < s.len; i++)
        if ((unsigned char)s.data[i] < 0x20 || s.data[i] == 0x7F)
            return false;
    return true;
}

static enum critic_status take_key(struct reader *r, struct cr_str *out,
                                   critic_error *err) {
    size_t at = place(r);
    CR_TRY(take_string(r, out, err));
    if (out->len == 0 || out->len > 65535 || !is_plain_text(*out))
        return cr_fail(err, CRITIC_BAD_FILE,
                       "%s: byte %zu: a name that is empty, too long or holds control "
                       "characters",
                       r->path, at);
    return CRITIC_OK;
}

static enum critic_status take_type(struct reader *r, struct cr_str key,
                                    enum cr_gguf_type *out, critic_error *err) {
    uint64_t type;
    CR_TRY(take_uint(r, 4, &type, err));
    if (type >= CR_GGUF_TYPE_COUNT)
        return cr_fail(err, CRITIC_BAD_FILE, "%s: key '%.*s' has the unknown type %llu",
                       r->path, (int)key.len, key.data, (unsigned long long)type);
    *out = (enum cr_gguf_type)type;
    return CRITIC_OK;
}

static enum critic_status take_strings(struct reader *r, struct cr_gguf_value *v,
                                       critic_error *err) {
    struct cr_str *strings = cr_arena_calloc(r->arena, v->n, sizeof *strings);
    if (!strings)
        return no_memory(r, err);
    v->strings = strings;
    for (size_t i = 0; i < v->n; i++)
        CR_TRY(take_string(r, &strings[i], err));
    return CRITIC_OK;
}

static enum critic_status take_value(struct reader *r, struct cr_gguf_value *v,
                                     critic_error *err) {
    CR_TRY(take_key(r, &v->key, err));
    CR_TRY(take_type(r, v->key, &v->type, err));
    v->n = 1;
    v->is_array = v->type == CR_GGUF_ARRAY;
    if (v->is_array) {
        CR_TRY(take_type(r, v->key, &v->type, err));
        if (v->type == CR_GGUF_ARRAY)
            return cr_fail(err, CRITIC_UNSUPPORTED,
                           "%s: key '%.*s' is a list of lists, which is not supported",
                           r->path, (int)v->key.len, v->key.data);
        size_t least = v->type == CR_GGUF_STRING ? 8 : type_table[v->type].bytes;
        CR_TRY(take_count(r, least, "list elements", &v->n, err));
    }
    if (v->type == CR_GGUF_STRING)
        return take_strings(r, v, err);
    return take(r, v->n * type_table[v->type].bytes, &v->data, err);
}

static int compare_str(struct cr_str a, struct cr_str b) {
    int order = memcmp(a.data, b.data, CR_MIN(a.len, b.len));
    return order ? order : (a.len > b.len) - (a.len < b.len);
}

static int by_key(const void *a, const void *b) {
    const struct cr_gguf_value *const *x = a;
    const struct cr_gguf_value *const *y = b;
    return compare_str((*x)->key, (*y)->key);
}

static enum critic_status check_keys(const struct reader *r, critic_error *err) {
    const struct cr_gguf *g = r->out;
    size_t mark = cr_arena_mark(r->arena);
    const struct cr_gguf_value **order =
        cr_arena_calloc(r->arena, g->n_values, sizeof *order);
    if (!order)
        return no_memory(r, err);
    for (size_t i = 0; i < g->n_values; i++)
        order[i] = &g->values[i];
    if (g->n_values > 0)
        qsort(order, g->n_values, sizeof *order, by_key);
    enum critic_status status = CRITIC_OK;
    for (size_t i = 1; i < g->n_values && status == CRITIC_OK; i++)
        if (cr_str_eq(order[i - 1]->key, order[i]->key))
            status = cr_fail(err, CRITIC_BAD_FILE, "%s: key '%.*s' appears twice",
                             r->path, (int)order[i]->key.len, order[i]->key.data);
    cr_arena_release(r->arena, mark);
    return status;
}

static enum critic_status set_dtype(const struct reader *r, struct cr_file_tensor *t,
                                    uint64_t type, critic_error *err) {
    for (size_t i = 0; i < CR_COUNT(tensor_types); i++) {
        if (tensor_types[i].id != type)
            continue;
        const char *name = tensor_types[i].name;
        if (cr_dtype_parse(name, strlen(name), &t->dtype))
            return CRITIC_OK;
        return cr_fail(err, CRITIC_UNSUPPORTED,
                       "%s: tensor '%s': type %s is not supported", r->path, t->name,
                       name);
    }
    return cr_fail(err, CRITIC_BAD_FILE, "%s: tensor '%s' has the unknown type %llu",
                   r->path, t->name, (unsigned long long)type);
}

/* One description. The offset is kept in `bytes` until the data section is known. */
static enum critic_status take_tensor(struct reader *r, struct cr_file_tensor *t,
                                      critic_error *err) {
    struct cr_str name;
    uint64_t n_dim, type, offset, dim;
    CR_TRY(take_key(r, &name, err));
    t->name = cr_arena_strndup(r->arena, name.data, name.len);
    if (!t->name)
        return no_memory(r, err);
    CR_TRY(take_uint(r, 4, &n_dim, err));
    if (n_dim > CR_FILE_MAX_DIM)
        return cr_fail(err, CRITIC_UNSUPPORTED,
                       "%s: tensor '%s' has %llu axes; at most %d are supported", r->path,
                       t->name, (unsigned long long)n_dim, CR_FILE_MAX_DIM);
    t->n_dim = (int)n_dim;
    for (int i = t->n_dim - 1; i >= 0; i--) {
        CR_TRY(take_uint(r, 8, &dim, err));
        t->dim[i] = (size_t)dim;
    }
    CR_TRY(take_uint(r, 4, &type, err));
    CR_TRY(take_uint(r, 8, &offset, err));
    CR_TRY(set_dtype(r, t, type, err));
    t->bytes = (size_t)offset;
    return CRITIC_OK;
}

static enum critic_status place_tensor(const struct reader *r, struct cr_file_tensor *t,
                                       critic_error *err) {
    size_t offset = t->bytes;
    if (!cr_file_tensor_bytes(t->dtype, t->n_dim, t->dim, &t->bytes))
        return cr_fail(
            err, CRITIC_BAD_FILE,
            "%s: tensor '%s': its shape overflows or does not fill whole %s blocks",
            r->path, t->name, cr_dtype_name(t->dtype));
    if (offset % r->out->alignment != 0)
        return cr_fail(err, CRITIC_BAD_FILE,
                       "%s: tensor '%s' starts at %zu, which is not a multiple of the "
                       "alignment %zu",
                       r->path, t->name, offset, r->out->alignment);
    if (offset > r->left || t->bytes > r->left - offset)
        return cr_fail(
            err, CRITIC_BAD_FILE,
            "%s: tensor '%s' needs %zu bytes from %zu on and the file has %zu; it "
            "is truncated or the description wrong",
            r->path, t->name, t->bytes, offset, r->left);
    t->data = r->at + offset;
    return CRITIC_OK;
}

static int by_name(const void *a, const void *b) {
    const struct cr_file_tensor *const *x = a;
    const struct cr_file_tensor *const *y = b;
    return strcmp((*x)->name, (*y)->name);
}

static int by_place(const void *a, const void *b) {
    const struct cr_file_tensor *const *x = a;
    const struct cr_file_tensor *const *y = b;
    if ((*x)->data != (*y)->data)
        return (*x)->data < (*y)->data ? -1 : 1;
    return ((*x)->bytes > (*y)->bytes) - ((*x)->bytes < (*y)->bytes);
}

static enum critic_status check_tensors(const struct reader *r, critic_error *err) {
    const struct cr_gguf *g = r->out;
    size_t n = g->n_tensors;
    size_t mark = cr_arena_mark(r->arena);
    const struct cr_file_tensor **order = cr_arena_calloc(r->arena, n, sizeof *order);
    if (!order)
        return no_memory(r, err);
    for (size_t i = 0; i < n; i++)
        order[i] = &g->tensors[i];
    enum critic_status status = CRITIC_OK;
    if (n > 0)
        qsort(order, n, sizeof *order, by_name);
    for (size_t i = 1; i < n && status == CRITIC_OK; i++)
        if (strcmp(order[i - 1]->name, order[i]->name) == 0)
            status = cr_fail(err, CRITIC_BAD_FILE, "%s: tensor '%s' appears twice",
                             r->path, order[i]->name);
    if (n > 0)
        qsort(order, n, sizeof *order, by_place);
    for (size_t i = 1; i < n && status == CRITIC_OK; i++)
        if (order[i - 1]->data + order[i - 1]->bytes > order[i]->data)
            status = cr_fail(err, CRITIC_BAD_FILE, "%s: tensors '%s' and '%s' overlap",
                             r->path, order[i - 1]->name, order[i]->name);
    cr_arena_release(r->arena, mark);
    return status;
}

static enum critic_status read_alignment(const struct reader *r, critic_error *err) {
    uint64_t alignment = DEFAULT_ALIGNMENT;
    CR_TRY(cr_gguf_u64(r->out, "general.alignment", &alignment, err));
    if (alignment == 0 || alignment > MAX_ALIGNMENT || (alignment & (alignment - 1)) != 0)
        return cr_fail(
            err, CRITIC_BAD_FILE,
            "%s: key 'general.alignment' is %llu; expected a power of two up to %zu",
            r->path, (unsigned long long)alignment, MAX_ALIGNMENT);
    r->out->alignment = (size_t)alignment;
    return CRITIC_OK;
}

bool cr_gguf_is(const char *path) {
    struct cr_map map;
    if (cr_map_open(&map, path, NULL) != CRITIC_OK)
        return false;
    bool is = map.bytes.len >= 4 && memcmp(map.bytes.data, "GGUF", 4) == 0;
    cr_map_close(&map);
    return is;
}

static enum critic_status read_preamble(struct reader *r, critic_error *err) {
    const unsigned char *magic;
    uint64_t version;
    if (r->left < 24 || memcmp(r->at, "GGUF", 4) != 0)
        return cr_fail(err, CRITIC_BAD_FILE, "%s: not a GGUF file", r->path);
    CR_TRY(take(r, 4, &magic, err));
    CR_TRY(take_uint(r, 4, &version, err));
    if (version != 2 && version != 3)
        return cr_fail(err, CRITIC_UNSUPPORTED,
                       (version & 255) == 0 && version != 0
                           ? "%s: a big-endian GGUF file (version word %#llx); only "
                             "little-endian ones are read"
                           : "%s: GGUF version %llu; versions 2 and 3 are read",
                       r->path, (unsigned long long)version);
    r->out->version = (unsigned)version;
    return CRITIC_OK;
}

static enum critic_status read_all(struct reader *r, critic_error *err) {
    struct cr_gguf *g = r->out;
    size_t n_values, n_tensors;
    CR_TRY(read_preamble(r, err));
    CR_TRY(take_count(r, 24, "tensors", &n_tensors, err));
    CR_TRY(take_count(r, 13, "metadata values", &n_values, err));
    g->values = cr_arena_calloc(r->arena, n_values, sizeof *g->values);
    if (!g->values)
        return no_memory(r, err);
    for (; g->n_values < n_values; g->n_values++)
        CR_TRY(take_value(r, &g->values[g->n_values], err));
    CR_TRY(check_keys(r, err));
    CR_TRY(read_alignment(r, err));
    g->tensors = cr_arena_calloc(r->arena, n_tensors, sizeof *g->tensors);
    if (!g->tensors)
        return no_memory(r, err);
    for (; g->n_tensors < n_tensors; g->n_tensors++)
        CR_TRY(take_tensor(r, &g->tensors[g->n_tensors], err));
    size_t padding = -place(r) & (g->alignment - 1);
    padding = CR_MIN(padding, r->left); /* nothing follows where there are no tensors */
    r->at += padding;
    r->left -= padding;
    for (size_t i = 0; i < n_tensors; i++)
        CR_TRY(place_tensor(r, &g->tensors[i], err));
    return check_tensors(r, err);
}

/* Of out->map. */
static enum critic_status read_map(struct cr_gguf *out, struct cr_arena *a,
                                   const char *path, critic_error *err) {
    struct reader r = {.path = path, .arena = a, .out = out};
    r.begin = r.at = out->map.bytes.data;
    r.left = out->map.bytes.len;
    enum critic_status status = read_all(&r, err);
    if (status != CRITIC_OK)
        cr_gguf_close(out);
    return status;
}

enum critic_status cr_gguf_open(struct cr_gguf *out, struct cr_arena *a, const char *path,
                                critic_error *err) {
    memset(out, 0, sizeof *out);
    CR_TRY(cr_map_open(&out->map, path, err));
    return read_map(out, a, path, err);
}

enum critic_status cr_gguf_open_bytes(struct cr_gguf *out, struct cr_arena *a,
                                      struct cr_bytes bytes, const char *name,
                                      critic_error *err) {
    memset(out, 0, sizeof *out);
    out->map = (struct cr_map){.bytes = bytes, .is_borrowed = true};
    return read_map(out, a, name, err);
}

void cr_gguf_close(struct cr_gguf *g) {
    cr_map_close(&g->map);
    memset(g, 0, sizeof *g);
}

const struct cr_gguf_value *cr_gguf_find(const struct cr_gguf *g, const char *key) {
    for (size_t i = 0; i < g->n_values; i++)
        if (cr_str_eq_c(g->values[i].key, key))
            return &g->values[i];
    return NULL;
}

const struct cr_file_tensor *cr_gguf_find_tensor(const struct cr_gguf *g,
                                                 const char *name) {
    for (size_t i = 0; i < g->n_tensors; i++)
        if (strcmp(g->tensors[i].name, name) == 0)
            return &g->tensors[i];
    return NULL;
}

static enum critic_status wrong_type(const struct cr_gguf_value *v, const char *expected,
                                     critic_error *err) {
    return cr_fail(err, CRITIC_BAD_FILE, "GGUF key '%.*s' is a %s%s; expected %s",
                   (int)v->key.len, v->key.data, v->is_array ? "list of " : "",
                   type_table[v->type].name, expected);
}

static bool is_integer(enum cr_gguf_type type) {
    return type != CR_GGUF_F32 && type != CR_GGUF_F64 && type != CR_GGUF_BOOL &&
           type != CR_GGUF_STRING;
}

double cr_gguf_element_double(const struct cr_gguf_value *v, size_t i) {
    CR_ASSERT(i < v->n && v->type != CR_GGUF_STRING);
    const unsigned char *p = v->data + i * type_table[v->type].bytes;
    float f32;
    double f64;
    switch (v->type) {
    case CR_GGUF_F32:
        memcpy(&f32, p, sizeof f32);
        return (double)f32;
    case CR_GGUF_F64:
        memcpy(&f64, p, sizeof f64);
        return f64;
    case CR_GGUF_U64:
        return (double)load_le(p, 8);
    default:
        return (double)cr_gguf_element_i64(v, i);
    }
}

int64_t cr_gguf_element_i64(const struct cr_gguf_value *v, size_t i) {
    CR_ASSERT(i < v->n && v->type != CR_GGUF_STRING);
    size_t bytes = type_table[v->type].bytes;
    uint64_t u = load_le(v->data + i * bytes, bytes);
    double d;
    switch (v->type) {
    case CR_GGUF_I8:
        return (int8_t)u;
    case CR_GGUF_I16:
        return (int16_t)u;
    case CR_GGUF_I32:
        return (int32_t)u;
    case CR_GGUF_I64:
        return (int64_t)u;
    case CR_GGUF_F32:
    case CR_GGUF_F64:
        d = cr_gguf_element_double(v, i);
        if (!(d > -0x1p63))
            return INT64_MIN;
        return d < 0x1p63 ? (int64_t)d : INT64_MAX;
    default:
        return u > INT64_MAX ? INT64_MAX : (int64_t)u;
    }
}

enum critic_status cr_gguf_u64(const struct cr_gguf *g, const char *key, uint64_t *out,
                               critic_error *err) {
    const struct cr_gguf_value *v = cr_gguf_find(g, key);
    if (!v)
        return CRITIC_OK;
    if (v->is_array || !is_integer(v->type))
        return wrong_type(v, "an integer", err);
    int64_t n = cr_gguf_element_i64(v, 0);
    if (n < 0 && v->type != CR_GGUF_U64)
        return cr_fail(err, CRITIC_BAD_FILE, "GGUF key '%s' is %lld; expected 0 or more",
                       key, (long long)n);
    *out = v->type == CR_GGUF_U64 ? load_le(v->data, 8) : (uint64_t)n;
    return CRITIC_OK;
}

enum critic_status cr_gguf_double(const struct cr_gguf *g, const char *key, double *out,
                                  critic_error *err) {
    const struct cr_gguf_value *v = cr_gguf_find(g, key);
    if (!v)
        return CRITIC_OK;
    if (v->is_array || v->type == CR_GGUF_STRING || v->type == CR_GGUF_BOOL)
        return wrong_type(v, "a number", err);
    *out = cr_gguf_element_double(v, 0);
    return CRITIC_OK;
}

enum critic_status cr_gguf_bool(const struct cr_gguf *g, const char *key, bool *out,
                                critic_error *err) {
    const struct cr_gguf_value *v = cr_gguf_find(g, key);
    if (!v)
        return CRITIC_OK;
    if (v->is_array || v->type != CR_GGUF_BOOL)
        return wrong_type(v, "true or false", err);
    *out = v->data[0] != 0;
    return CRITIC_OK;
}

enum critic_status cr_gguf_str(const struct cr_gguf *g, const char *key,
                               struct cr_str *out, critic_error *err) {
    const struct cr_gguf_value *v = cr_gguf_find(g, key);
    if (!v)
        return CRITIC_OK;
    if (v->is_array || v->type != CR_GGUF_STRING)
        return wrong_type(v, "a string", err);
    *out = v->strings[0];
    return CRITIC_OK;
}

enum critic_status cr_gguf_array(const struct cr_gguf *g, const char *key,
                                 enum cr_gguf_type type, const struct cr_gguf_value **out,
                                 critic_error *err) {
    const struct cr_gguf_value *v = cr_gguf_find(g, key);
    *out = NULL;
    if (!v)
        return CRITIC_OK;
    if (!v->is_array || v->type != type)
        return cr_fail(err, CRITIC_BAD_FILE,
                       "GGUF key '%s' is a %s%s; expected a list of %s", key,
                       v->is_array ? "list of " : "", type_table[v->type].name,
                       type_table[type].name);
    *out = v;
    return CRITIC_OK;
}
