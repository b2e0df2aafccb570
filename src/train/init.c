#include "train/init.h"

#include <math.h>
#include <string.h>

#include "base/rng.h"

static bool has(const struct cr_param_slot *slot, const char *part) {
    return strstr(slot->name, part) != NULL;
}

static double deviation(const struct cr_param_slot *slot, const struct cr_config *c) {
    if (has(slot, "bias"))
        return 0;
    if (has(slot, "image_newline"))
        return 1 / sqrt((double)c->text.width);
    if (has(slot, "embed_tokens") || has(slot, "position_embedding"))
        return 0.02;
    double k = (double)cr_tensor_cols(slot->tensor);
    double layers =
        (double)(slot->part == CR_PART_TOWER ? c->vision.n_layers : c->text.n_layers);
    bool ends_branch = has(slot, "o_proj") || has(slot, "out_proj") ||
                       has(slot, "down_proj") || has(slot, "fc2");
    return sqrt(1 / (3 * k)) / (ends_branch ? sqrt(2 * layers) : 1);
}

enum critic_status cr_init_params(struct cr_params *p, const struct cr_config *config,
                                  uint64_t seed, struct cr_arena *arena,
                                  critic_error *err) {
    /* Shapes as the network uses them (the patch kernel as a matrix), then values. */
    CR_TRY(cr_params_random(p, config, CR_F32, seed, arena, err));
    for (size_t i = 0, n = cr_params_count(config); i < n; i++) {
        struct cr_param_slot slot;
        struct cr_rng rng;
        cr_params_slot(p, config, i, &slot);
        cr_rng_seed_at(&rng, seed, i);
        double s = deviation(&slot, config);
        float *x = slot.tensor->data;
        size_t len = cr_tensor_rows(slot.tensor) * cr_tensor_cols(slot.tensor);
        for (size_t k = 0; k < len; k++)
            x[k] = slot.is_norm ? 1.0f : s > 0 ? (float)(s * cr_rng_normal(&rng)) : 0.0f;
    }
    return CRITIC_OK;
}
