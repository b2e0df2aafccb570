#include "train/tensor_file.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "base/grow.h"
#include "io/safetensors.h"
#include "kernel/quant.h"
#include "tensor/store.h"

/* One tensor of a file: f32 in memory (any other dtype only where kept as it is). */
struct cr_tensor_piece {
    struct cr_file_tensor target;
    const float *f32;         /* to be converted to target.dtype; or */
    const unsigned char *raw; /* bytes as they are */
    size_t cols;
    char name[128];
};

static enum critic_status add_piece(struct cr_tensor_file *p,
                                    struct cr_tensor_piece **out, critic_error *err) {
    struct cr_tensor_piece *items = cr_grow(p->items, p->n, &p->cap, sizeof *items);
    if (!items)
        return cr_fail(err, CRITIC_NO_MEMORY, "out of memory for a checkpoint");
    p->items = items;
    *out = &p->items[p->n++];
    memset(*out, 0, sizeof **out);
    return CRITIC_OK;
}

enum critic_status cr_tensor_file_f32(struct cr_tensor_file *p, const char *prefix,
                                      const char *name, const struct cr_train_tensor *t,
                                      const float *data, enum cr_dtype dtype,
                                      critic_error *err) {
    struct cr_tensor_piece *piece;
    CR_TRY(add_piece(p, &piece, err));
    snprintf(piece->name, sizeof piece->name, "%s%s", prefix, name);
    piece->target = (struct cr_file_tensor){.dtype = dtype, .n_dim = t->n_dim};
    memcpy(piece->target.dim, t->dim, sizeof piece->target.dim);
    piece->f32 = data;
    piece->cols = t->rows * t->cols;
    return CRITIC_OK;
}

enum critic_status cr_tensor_file_raw(struct cr_tensor_file *p, const char *name,
                                      const struct cr_tensor *t, critic_error *err) {
    struct cr_tensor_piece *piece;
    CR_TRY(add_piece(p, &piece, err));
    snprintf(piece->name, sizeof piece->name, "%s", name);
    piece->target = (struct cr_file_tensor){.dtype = t->dtype, .n_dim = t->n_dim};
    memcpy(piece->target.dim, t->dim, sizeof piece->target.dim);
    piece->raw = t->data;
    return CRITIC_OK;
}

static enum critic_status write_piece(struct cr_safetensors_writer *w,
                                      const struct cr_tensor_piece *p,
                                      const struct cr_store *store, critic_error *err) {
    if (p->raw) {
        CR_TRY(cr_safetensors_write(w, p->raw, p->target.bytes, err));
        if (store)
            cr_store_forget(store, (struct cr_bytes){p->raw, p->target.bytes});
        return CRITIC_OK;
    }
    if (p->target.dtype == CR_F32)
        return cr_safetensors_write(w, p->f32, p->target.bytes, err);
    uint16_t part[4096];
    enum critic_status status = CRITIC_OK;
    for (size_t at = 0; at < p->cols && status == CRITIC_OK;) {
        size_t n = CR_MIN(p->cols - at, CR_COUNT(part));
        cr_row_from_f32(p->target.dtype, p->f32 + at, part, n);
        status = cr_safetensors_write(w, part, n * sizeof *part, err);
        at += n;
    }
    return status;
}

/* Wider types first, so that all are aligned in the file. */
static int by_width(const void *a, const void *b) {
    const struct cr_tensor_piece *x = a, *y = b;
    size_t wide_x = cr_dtype_block_bytes(x->target.dtype);
    size_t wide_y = cr_dtype_block_bytes(y->target.dtype);
    if (wide_x != wide_y)
        return wide_x < wide_y ? 1 : -1;
    return strcmp(x->name, y->name);
}

enum critic_status cr_tensor_file_write(struct cr_tensor_file *p, const char *path,
                                        critic_error *err) {
    static const struct cr_safetensors_note note = {"format", "pt"};
    struct cr_safetensors_writer w;
    struct cr_file_tensor *list = malloc(CR_MAX(p->n, 1) * sizeof *list);
    if (!list)
        return cr_fail(err, CRITIC_NO_MEMORY, "out of memory for a checkpoint");
    if (p->n > 0)
        qsort(p->items, p->n, sizeof *p->items, by_width);
    for (size_t i = 0; i < p->n; i++) {
        struct cr_file_tensor *t = &p->items[i].target;
        t->name = p->items[i].name;
        CR_ASSERT(cr_file_tensor_bytes(t->dtype, t->n_dim, t->dim, &t->bytes));
        list[i] = *t;
    }
    enum critic_status status =
        cr_safetensors_create(&w, path, list, p->n, &note, 1, err);
    free(list);
    if (status != CRITIC_OK)
        return status;
    for (size_t i = 0; i < p->n && status == CRITIC_OK; i++)
        status = write_piece(&w, &p->items[i], p->store, err);
    if (status == CRITIC_OK)
        return cr_safetensors_commit(&w, err);
    cr_safetensors_abort(&w);
    return status;
}

void cr_tensor_file_fini(struct cr_tensor_file *f) {
    free(f->items);
    memset(f, 0, sizeof *f);
}
