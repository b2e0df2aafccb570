/* Keys of llama.cpp's qwen2 and clip, and a few of ours under "critic.". */
#include <stdio.h>
#include <string.h>

#include "base/checked.h"
#include "convert/metadata.h"
#include "tensor/packed_file.h"

/* llama.cpp's number for the file as a whole (llama_ftype). */
static uint32_t file_type(enum cr_dtype dtype) {
    switch (dtype) {
    case CR_F32:
        return 0;
    case CR_Q4_0:
        return 2;
    case CR_Q8_0:
        return 7;
    case CR_BF16:
        return 32;
    default:
        return 1;
    }
}

static enum critic_status add_size(struct cr_gguf_writer *w, const char *key,
                                   size_t value, critic_error *err) {
    if (value > UINT32_MAX)
        return cr_fail(err, CRITIC_UNSUPPORTED, "GGUF key '%s': %zu is too large", key,
                       value);
    return cr_gguf_add_u32(w, key, (uint32_t)value, err);
}

static enum critic_status add_id(struct cr_gguf_writer *w, const char *key, int32_t id,
                                 critic_error *err) {
    return id < 0 ? CRITIC_OK : cr_gguf_add_u32(w, key, (uint32_t)id, err);
}

static enum critic_status add_general(struct cr_gguf_writer *w, const char *architecture,
                                      const char *name, enum cr_dtype dtype,
                                      critic_error *err) {
    CR_TRY(cr_gguf_add_str(w, "general.architecture", cr_str_of(architecture), err));
    CR_TRY(cr_gguf_add_str(w, "general.name", cr_str_of(name), err));
    CR_TRY(cr_gguf_add_u32(w, "general.file_type", file_type(dtype), err));
    return cr_gguf_add_u32(w, "general.quantization_version", 2, err);
}

static enum critic_status add_tokens(struct cr_gguf_writer *w, const struct cr_config *c,
                                     const struct cr_tokens *tokens, critic_error *err) {
    CR_TRY(cr_gguf_add_str(w, "tokenizer.ggml.model", cr_str_of("gpt2"), err));
    CR_TRY(cr_gguf_add_str(w, "tokenizer.ggml.pre", cr_str_of("qwen2"), err));
    CR_TRY(cr_gguf_add_str_array(w, "tokenizer.ggml.tokens", tokens->tokens, tokens->n,
                                 err));
    CR_TRY(cr_gguf_add_array(w, "tokenizer.ggml.token_type", CR_GGUF_I32, tokens->types,
                             tokens->n, err));
    CR_TRY(cr_gguf_add_str_array(w, "tokenizer.ggml.merges", tokens->merges,
                                 tokens->n_merges, err));
    if (c->n_eos > 0)
        CR_TRY(add_id(w, "tokenizer.ggml.eos_token_id", c->eos_ids[0], err));
    if (c->n_eos > 1)
        CR_TRY(add_id(w, "tokenizer.ggml.eot_token_id", c->eos_ids[1], err));
    CR_TRY(add_id(w, "tokenizer.ggml.bos_token_id", c->bos_id, err));
    CR_TRY(add_id(w, "tokenizer.ggml.padding_token_id", c->pad_id, err));
    CR_TRY(cr_gguf_add_bool(w, "tokenizer.ggml.add_bos_token", false, err));
    struct cr_str chat = tokens->chat_template;
    if (!chat.data)
        chat = cr_str_of(cr_metadata_template(c->vision.present, c->system_turn));
    return cr_gguf_add_str(w, "tokenizer.chat_template", chat, err);
}

static enum critic_status add_templates(struct cr_gguf_writer *w,
                                        const struct cr_template_names *t,
                                        critic_error *err) {
    struct cr_str names[CR_MAX_TEMPLATES];
    for (size_t i = 0; i < t->n; i++)
        names[i] = cr_str_of(t->name[i]);
    return t->n == 0 ? CRITIC_OK
                     : cr_gguf_add_str_array(w, "critic.templates", names, t->n, err);
}

static enum critic_status add_decoder(struct cr_gguf_writer *w, const struct cr_config *c,
                                      const struct cr_tokens *tokens, critic_error *err) {
    const struct cr_decoder_config *t = &c->text;
    CR_TRY(add_size(w, "qwen2.block_count", t->n_layers, err));
    CR_TRY(add_size(w, "qwen2.context_length", t->max_positions, err));
    CR_TRY(add_size(w, "qwen2.embedding_length", t->width, err));
    CR_TRY(add_size(w, "qwen2.feed_forward_length", t->ffn_width, err));
    CR_TRY(add_size(w, "qwen2.attention.head_count", t->n_heads, err));
    CR_TRY(add_size(w, "qwen2.attention.head_count_kv", t->n_kv_heads, err));
    if (t->head_dim * t->n_heads != t->width) {
        CR_TRY(add_size(w, "qwen2.attention.key_length", t->head_dim, err));
        CR_TRY(add_size(w, "qwen2.attention.value_length", t->head_dim, err));
    }
    CR_TRY(cr_gguf_add_f32(w, "qwen2.rope.freq_base", (float)t->rope_theta, err));
    CR_TRY(cr_gguf_add_f32(w, "qwen2.attention.layer_norm_rms_epsilon", (float)t->rms_eps,
                           err));
    CR_TRY(add_tokens(w, c, tokens, err));
    CR_TRY(add_id(w, "critic.image_token_id", c->image_token_id, err));
    CR_TRY(add_templates(w, &c->templates, err));
    return cr_gguf_add_bool(w, "critic.system_turn", c->system_turn, err);
}

enum critic_status cr_metadata_gguf_text(struct cr_gguf_writer *w,
                                         const struct cr_config *c,
                                         const struct cr_tokens *tokens, const char *name,
                                         enum cr_dtype dtype, critic_error *err) {
    CR_TRY(add_general(w, "qwen2", name, dtype, err));
    return add_decoder(w, c, tokens, err);
}

static enum critic_status add_pictures(struct cr_gguf_writer *w,
                                       const struct cr_picture_config *p,
                                       critic_error *err) {
    int32_t pinpoints[CR_MAX_PINPOINTS * 2];
    char aspect[32] = "square";
    for (size_t i = 0; i < 2 * p->n_pinpoints; i++)
        pinpoints[i] = (int32_t)p->pinpoints[i / 2][i % 2];
    if (p->aspect == CR_ASPECT_PAD)
        snprintf(aspect, sizeof aspect, "pad");
    else if (p->aspect == CR_ASPECT_ANYRES && p->max_tiles > 0)
        snprintf(aspect, sizeof aspect, "anyres_max_%zu", p->max_tiles);
    else if (p->aspect == CR_ASPECT_ANYRES)
        snprintf(aspect, sizeof aspect, "anyres");
    if (p->n_pinpoints > 0)
        CR_TRY(cr_gguf_add_array(w, "clip.vision.image_grid_pinpoints", CR_GGUF_I32,
                                 pinpoints, 2 * p->n_pinpoints, err));
    CR_TRY(cr_gguf_add_str(w, "clip.vision.image_aspect_ratio", cr_str_of(aspect), err));
    CR_TRY(cr_gguf_add_str(w, "clip.vision.mm_patch_merge_type",
                           cr_str_of("spatial_unpad"), err));
    CR_TRY(cr_gguf_add_array(w, "clip.vision.image_mean", CR_GGUF_F32, p->mean, 3, err));
    CR_TRY(cr_gguf_add_array(w, "clip.vision.image_std", CR_GGUF_F32, p->std, 3, err));
    return cr_gguf_add_str(w, "critic.unpad_rounding",
                           cr_str_of(p->rounding == CR_ROUND_HF ? "hf" : "lmms"), err);
}

static enum critic_status add_vision(struct cr_gguf_writer *w, const struct cr_config *c,
                                     critic_error *err) {
    const struct cr_vision_config *v = &c->vision;
    /* llama.cpp uses one block less unless the hidden state is named. */
    const int32_t feature_layer = (int32_t)v->n_layers;
    CR_TRY(cr_gguf_add_bool(w, "clip.has_text_encoder", false, err));
    CR_TRY(cr_gguf_add_bool(w, "clip.has_vision_encoder", true, err));
    CR_TRY(cr_gguf_add_bool(w, "clip.has_llava_projector", true, err));
    CR_TRY(cr_gguf_add_str(w, "clip.projector_type", cr_str_of("mlp"), err));
    CR_TRY(cr_gguf_add_bool(w, "clip.use_gelu", true, err));
    CR_TRY(add_size(w, "clip.vision.image_size", v->image_px, err));
    CR_TRY(add_size(w, "clip.vision.patch_size", v->patch_px, err));
    CR_TRY(add_size(w, "clip.vision.embedding_length", v->width, err));
    CR_TRY(add_size(w, "clip.vision.feed_forward_length", v->ffn_width, err));
    CR_TRY(add_size(w, "clip.vision.block_count", v->n_layers, err));
    CR_TRY(add_size(w, "clip.vision.attention.head_count", v->n_heads, err));
    CR_TRY(add_size(w, "clip.vision.projection_dim", c->text.width, err));
    CR_TRY(cr_gguf_add_f32(w, "clip.vision.attention.layer_norm_epsilon",
                           (float)v->layer_norm_eps, err));
    CR_TRY(cr_gguf_add_array(w, "clip.vision.feature_layer", CR_GGUF_I32, &feature_layer,
                             1, err));
    CR_TRY(cr_gguf_add_bool(w, "critic.tower_gelu_erf", v->act == CR_ACT_GELU_ERF, err));
    CR_TRY(cr_gguf_add_bool(w, "critic.projector_gelu_erf",
                            c->projector_act == CR_ACT_GELU_ERF, err));
    return add_pictures(w, &c->picture, err);
}

enum critic_status cr_metadata_gguf_vision(struct cr_gguf_writer *w,
                                           const struct cr_config *c, const char *name,
                                           enum cr_dtype dtype, critic_error *err) {
    CR_TRY(add_general(w, "clip", name, dtype, err));
    return add_vision(w, c, err);
}

enum critic_status cr_metadata_gguf_packed(struct cr_gguf_writer *w,
                                           const struct cr_config *c,
                                           const struct cr_tokens *tokens,
                                           const char *name, enum cr_dtype dtype,
                                           critic_error *err) {
    CR_TRY(cr_gguf_align_to_pages(w, err));
    CR_TRY(cr_gguf_add_str(w, "general.architecture", cr_str_of(CR_PACKED_ARCHITECTURE),
                           err));
    CR_TRY(cr_gguf_add_str(w, "general.name", cr_str_of(name), err));
    CR_TRY(cr_gguf_add_u32(w, "critic.packed.version", CR_PACKED_VERSION, err));
    CR_TRY(cr_gguf_add_str(w, "critic.packed.layout", cr_str_of(CR_PACKED_LAYOUT), err));
    CR_TRY(cr_gguf_add_str(w, "critic.packed.dtype",
                           cr_str_of(cr_packed_file_dtype(dtype)), err));
    CR_TRY(add_decoder(w, c, tokens, err));
    return c->vision.present ? add_vision(w, c, err) : CRITIC_OK;
}
