#include "tensor/packed_file.h"

#include <string.h>

#include "base/checked.h"

/* Tensors up to this size are compared at every opening: all vectors of a checkpoint, in a few
 * milliseconds. The others take as long as reading the file. */
#define SMALL_BYTES ((size_t)64 << 10)

const char *cr_packed_file_dtype(enum cr_dtype dtype) {
    CR_ASSERT(cr_dtype_is_panels(dtype));
    return dtype == CR_PANEL8 ? "int8" : "q4";
}

bool cr_packed_file_is(const struct cr_gguf *g) {
    struct cr_str architecture = {"", 0};
    return cr_gguf_str(g, "general.architecture", &architecture, NULL) == CRITIC_OK &&
           cr_str_eq_c(architecture, CR_PACKED_ARCHITECTURE);
}

void cr_packed_file_digest(struct cr_hash *h, const struct cr_file_tensor *t) {
    const char *dtype = cr_dtype_name(t->dtype);
    cr_hash_init(h, 0);
    cr_hash_update(h, t->name, strlen(t->name) + 1);
    cr_hash_update(h, dtype, strlen(dtype) + 1);
    for (int i = 0; i < t->n_dim; i++) {
        uint64_t n = t->dim[i];
        cr_hash_update(h, &n, sizeof n);
    }
}

static enum critic_status check_version(const struct cr_gguf *g, const char *path,
                                        enum cr_dtype *dtype, critic_error *err) {
    uint64_t version = 0;
    struct cr_str layout = {"", 0}, name = {"", 0};
    CR_TRY(cr_gguf_u64(g, "critic.packed.version", &version, err));
    CR_TRY(cr_gguf_str(g, "critic.packed.layout", &layout, err));
    CR_TRY(cr_gguf_str(g, "critic.packed.dtype", &name, err));
    if (version != CR_PACKED_VERSION || !cr_str_eq_c(layout, CR_PACKED_LAYOUT))
        return cr_fail(err, CRITIC_UNSUPPORTED,
                       "%s: packed in version %llu, layout '%.*s'; expected version %u, "
                       "layout '%s': pack the checkpoint again (critic convert --to "
                       "packed)",
                       path, (unsigned long long)version,
                       (int)CR_MIN(layout.len, (size_t)64), layout.data,
                       CR_PACKED_VERSION, CR_PACKED_LAYOUT);
    *dtype = cr_str_eq_c(name, "q4") ? CR_PANEL4 : CR_PANEL8;
    if (!cr_str_eq_c(name, cr_packed_file_dtype(*dtype)))
        return cr_fail(
            err, CRITIC_BAD_FILE,
            "%s: GGUF key 'critic.packed.dtype' is '%.*s'; expected int8 or q4", path,
            (int)CR_MIN(name.len, (size_t)64), name.data);
    return CRITIC_OK;
}

/* The last tensor, proved to hold a digest of each one before it. */
static enum critic_status find_digests(const struct cr_gguf *g, const char *path,
                                       const struct cr_file_tensor **out,
                                       critic_error *err) {
    size_t n = g->n_tensors;
    const struct cr_file_tensor *t = n > 0 ? &g->tensors[n - 1] : NULL;
    if (!t || strcmp(t->name, CR_PACKED_DIGESTS) != 0 || t->dtype != CR_I64 ||
        t->n_dim != 2 || t->dim[0] != n - 1 || t->dim[1] != 2)
        return cr_fail(err, CRITIC_BAD_FILE,
                       "%s: the last tensor is not '%s' with two numbers for each of the "
                       "%zu others",
                       path, CR_PACKED_DIGESTS, n > 0 ? n - 1 : 0);
    *out = t;
    return CRITIC_OK;
}

static enum critic_status compare(const struct cr_gguf *g, const char *path,
                                  size_t most_bytes, critic_error *err) {
    const struct cr_file_tensor *digests = NULL;
    CR_TRY(find_digests(g, path, &digests, err));
    for (size_t i = 0; i + 1 < g->n_tensors; i++) {
        const struct cr_file_tensor *t = &g->tensors[i];
        uint64_t found[2];
        struct cr_hash h;
        if (t->bytes > most_bytes)
            continue;
        cr_packed_file_digest(&h, t);
        cr_hash_update(&h, t->data, t->bytes);
        cr_hash_final(&h, found);
        if (memcmp(found, digests->data + i * sizeof found, sizeof found) != 0)
            return cr_fail(err, CRITIC_BAD_FILE,
                           "%s: tensor '%s' is not what was written: its hash differs; "
                           "expected an unchanged file",
                           path, t->name);
    }
    return CRITIC_OK;
}

enum critic_status cr_packed_file_check(const struct cr_gguf *g, const char *path,
                                        enum cr_dtype *dtype, critic_error *err) {
    CR_TRY(check_version(g, path, dtype, err));
    return compare(g, path, SMALL_BYTES, err);
}

enum critic_status cr_packed_file_verify(const struct cr_gguf *g, const char *path,
                                         critic_error *err) {
    return compare(g, path, SIZE_MAX, err);
}
