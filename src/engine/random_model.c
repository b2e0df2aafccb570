#include "engine/random_model.h"

#include <string.h>

#include "base/checked.h"

struct preset {
    const char *name;
    struct cr_decoder_config text;
    struct cr_vision_config vision;
};

#define SO400M                                                                           \
    {                                                                                    \
        .present = true, .width = 1152, .n_layers = 26, .n_heads = 16,                   \
        .ffn_width = 4304, .image_px = 384, .patch_px = 14, .layer_norm_eps = 1e-6,      \
        .act = CR_ACT_GELU_TANH                                                          \
    }

#define QWEN2(d, l, h, g, e, f, v, tie)                                                  \
    {                                                                                    \
        .width = (d), .n_layers = (l), .n_heads = (h), .n_kv_heads = (g),                \
        .head_dim = (e), .ffn_width = (f), .vocab = (v), .max_positions = 32768,         \
        .rope_theta = 1e6, .rms_eps = 1e-6, .tied = (tie)                                \
    }

/* clang-format off */
static const struct preset presets[] = {
    {"onevision-0.5b", QWEN2(896, 24, 14, 2, 64, 4864, 151936, true), SO400M},
    {"onevision-7b", QWEN2(3584, 28, 28, 4, 128, 18944, 152064, false), SO400M},
    {"onevision-72b", QWEN2(8192, 80, 64, 8, 128, 29568, 152064, false), SO400M},
    {"qwen-1.5b", QWEN2(1536, 28, 12, 2, 128, 8960, 151936, true), {.present = false}},
    {"tiny", QWEN2(56, 3, 4, 2, 14, 100, 640, true),
     {.present = true, .width = 144, .n_layers = 2, .n_heads = 2, .ffn_width = 102,
      .image_px = 58, .patch_px = 14, .layer_norm_eps = 1e-6, .act = CR_ACT_GELU_TANH}},
};
/* clang-format on */

enum critic_status cr_config_preset(struct cr_config *out, const char *name,
                                    critic_error *err) {
    memset(out, 0, sizeof *out);
    for (size_t i = 0; i < CR_COUNT(presets); i++) {
        if (strcmp(presets[i].name, name) != 0)
            continue;
        out->layout = CR_LAYOUT_LMMS;
        out->text = presets[i].text;
        out->vision = presets[i].vision;
        out->projector_act = CR_ACT_GELU_ERF;
        out->image_token_id = 0;
        out->bos_id = out->pad_id = -1;
        out->generation =
            (struct cr_generation_config){.repetition_penalty = 1, .top_p = 1};
        out->picture.aspect = CR_ASPECT_ANYRES;
        out->picture.max_tiles = 9;
        for (size_t w = 1; w <= 6 && out->vision.present; w++)
            for (size_t h = 1; h <= 6; h++) {
                size_t *pinpoint = out->picture.pinpoints[out->picture.n_pinpoints++];
                pinpoint[0] = w * out->vision.image_px;
                pinpoint[1] = h * out->vision.image_px;
            }
        for (int c = 0; c < 3; c++)
            out->picture.mean[c] = out->picture.std[c] = 0.5f;
        return CRITIC_OK;
    }
    return cr_fail(
        err, CRITIC_BAD_ARGUMENT,
        "unknown shape '%s'; expected onevision-0.5b, onevision-7b, onevision-72b, "
        "qwen-1.5b or tiny",
        name);
}
