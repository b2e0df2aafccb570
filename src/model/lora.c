#include "model/lora.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/rng.h"
#include "kernel/quant.h"

/* The linear whose weight the slot is; NULL for other parameters. */
static struct cr_linear *linear_of(const struct cr_param_slot *slot) {
    if (!slot->is_matrix || slot->n_dim != 2 || strstr(slot->name, "embed"))
        return NULL;
    _Static_assert(offsetof(struct cr_linear, w) == 0, "the weight comes first");
    return (struct cr_linear *)(void *)slot->tensor;
}

static bool wants_decoder(void *user, const struct cr_param_slot *slot) {
    (void)user;
    return strncmp(slot->name, "layers.", 7) == 0;
}

static bool make(struct cr_tensor *t, enum cr_dtype dtype, size_t rows, size_t cols,
                 struct cr_arena *arena) {
    *t = cr_tensor_view2(NULL, dtype, rows, cols);
    t->name = "lora";
    t->data = cr_arena_calloc(arena, rows, t->row_bytes);
    return t->data != NULL;
}

enum critic_status
cr_lora_attach(struct cr_params *p, const struct cr_config *config,
               bool (*wants)(void *user, const struct cr_param_slot *slot), void *user,
               size_t rank, float scale, enum cr_dtype dtype, struct cr_arena *arena,
               critic_error *err) {
    for (size_t i = 0, n = cr_params_count(config); i < n; i++) {
        struct cr_param_slot slot;
        cr_params_slot(p, config, i, &slot);
        struct cr_linear *linear = linear_of(&slot);
        if (!linear || !(wants ? wants : wants_decoder)(user, &slot))
            continue;
        struct cr_lora *lora = &linear->lora;
        lora->scale = scale;
        if (!make(&lora->a, dtype, rank, slot.dim[1], arena) ||
            !make(&lora->b, dtype, slot.dim[0], rank, arena))
            return cr_fail(err, CRITIC_NO_MEMORY, "out of memory for the adapter of '%s'",
                           slot.name);
    }
    return CRITIC_OK;
}

enum critic_status cr_lora_grads_init(struct cr_params *grads, struct cr_params *p,
                                      const struct cr_config *config,
                                      struct cr_arena *arena, critic_error *err) {
    for (size_t i = 0, n = cr_params_count(config); i < n; i++) {
        struct cr_param_slot slot, grad;
        cr_params_slot(p, config, i, &slot);
        cr_params_slot(grads, config, i, &grad);
        struct cr_linear *linear = linear_of(&slot), *g = linear_of(&grad);
        if (!linear || !linear->lora.a.data)
            continue;
        if (!make(&g->lora.a, CR_F32, linear->lora.a.dim[0], linear->lora.a.dim[1],
                  arena) ||
            !make(&g->lora.b, CR_F32, linear->lora.b.dim[0], linear->lora.b.dim[1],
                  arena))
            return cr_fail(err, CRITIC_NO_MEMORY,
                           "out of memory for the adapter's gradient of '%s'", slot.name);
        g->lora.scale = linear->lora.scale;
    }
    return CRITIC_OK;
}

/* Fills slot with the i-th where there is one; returns how many were seen. */
static size_t walk(struct cr_params *p, const struct cr_config *config, size_t i,
                   struct cr_lora_slot *out) {
    size_t seen = 0;
    for (size_t k = 0, n = cr_params_count(config); k < n; k++) {
        struct cr_param_slot slot;
        cr_params_slot(p, config, k, &slot);
        struct cr_linear *linear = linear_of(&slot);
        if (!linear || !linear->lora.a.data)
            continue;
        if (seen++ != i)
            continue;
        memset(out, 0, sizeof *out);
        snprintf(out->name, sizeof out->name, "%.*s",
                 (int)(strlen(slot.name) - strlen(".weight")), slot.name);
        out->part = slot.part;
        out->lora = &linear->lora;
        out->n = slot.dim[0];
        out->k = slot.dim[1];
        return seen;
    }
    return seen;
}

size_t cr_lora_count(struct cr_params *p, const struct cr_config *config) {
    return walk(p, config, SIZE_MAX, NULL);
}

void cr_lora_at(struct cr_params *p, const struct cr_config *config, size_t i,
                struct cr_lora_slot *slot) {
    CR_ASSERT(walk(p, config, i, slot) == i + 1);
}

void cr_lora_reset(struct cr_params *p, const struct cr_config *config, uint64_t seed) {
    for (size_t i = 0, n = cr_lora_count(p, config); i < n; i++) {
        struct cr_lora_slot slot;
        struct cr_rng rng;
        cr_lora_at(p, config, i, &slot);
        cr_rng_seed_at(&rng, seed, i);
        struct cr_tensor *a = &slot.lora->a, *b = &slot.lora->b;
        double bound = 1.0 / sqrt((double)slot.k);
        for (size_t r = 0; r < a->dim[0]; r++)
            for (size_t c = 0; c < slot.k; c++) {
                float v = (float)(bound * (2.0 * cr_rng_uniform(&rng) - 1.0));
                cr_row_from_f32(
                    a->dtype, &v,
                    (char *)cr_tensor_row(a, r) + c * cr_dtype_block_bytes(a->dtype), 1);
            }
        memset(b->data, 0, b->dim[0] * b->row_bytes);
    }
}
