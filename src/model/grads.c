#include <string.h>

#include "base/checked.h"
#include "model/lora.h"
#include "model/train.h"

/* Dense F32 of the slot's shape; a convolution's weight as the matrix it is used as. */
static enum critic_status make(struct cr_tensor *t, const struct cr_param_slot *slot,
                               struct cr_arena *arena, critic_error *err) {
    size_t rows = slot->n_dim > 1 ? slot->dim[0] : 1, cols = 1;
    for (int i = slot->n_dim > 1; i < slot->n_dim; i++)
        cols *= slot->dim[i];
    *t = (struct cr_tensor){.dtype = CR_F32, .name = "gradient"};
    t->n_dim = slot->n_dim > 1 ? 2 : 1;
    t->dim[0] = t->n_dim > 1 ? rows : cols;
    t->dim[1] = t->n_dim > 1 ? cols : 0;
    CR_ASSERT(cr_dtype_row_bytes(CR_F32, cols, &t->row_bytes));
    t->data = cr_arena_calloc(arena, rows, t->row_bytes);
    if (!t->data)
        return cr_fail(err, CRITIC_NO_MEMORY, "out of memory for the gradient of '%s'",
                       slot->name);
    return CRITIC_OK;
}

enum critic_status cr_grads_init(struct cr_params *grads, const struct cr_config *config,
                                 bool (*trains)(void *user,
                                                const struct cr_param_slot *slot),
                                 void *user, struct cr_arena *arena, critic_error *err) {
    CR_TRY(cr_params_init(grads, config, arena, err));
    for (size_t i = 0, n = cr_params_count(config); i < n; i++) {
        struct cr_param_slot slot;
        cr_params_slot(grads, config, i, &slot);
        if (trains && !trains(user, &slot))
            continue;
        enum critic_status status = make(slot.tensor, &slot, arena, err);
        if (status != CRITIC_OK) {
            memset(grads, 0, sizeof *grads);
            return status;
        }
    }
    return CRITIC_OK;
}

/* A slice a thread: the pages are touched where they will be used. */
#define PART_BYTES ((size_t)1 << 20)

static void zero(const struct cr_tensor *t, struct cr_exec *ex) {
    char *data = t->data;
    size_t bytes = data ? cr_tensor_rows(t) * t->row_bytes : 0;
#pragma omp parallel for num_threads(ex->n_threads)                                      \
    schedule(static) if (bytes > PART_BYTES)
    for (size_t at = 0; at < bytes; at += PART_BYTES)
        memset(data + at, 0, CR_MIN(PART_BYTES, bytes - at));
}

void cr_grads_zero(struct cr_params *grads, const struct cr_config *config,
                   struct cr_exec *ex) {
    for (size_t i = 0, n = cr_params_count(config); i < n; i++) {
        struct cr_param_slot slot;
        cr_params_slot(grads, config, i, &slot);
        zero(slot.tensor, ex);
    }
    for (size_t i = 0, n = cr_lora_count(grads, config); i < n; i++) {
        struct cr_lora_slot slot;
        cr_lora_at(grads, config, i, &slot);
        zero(&slot.lora->a, ex);
        zero(&slot.lora->b, ex);
    }
}
