/* The configuration in GGUF metadata: keys of llama.cpp's qwen2 and clip. */
#include <math.h>
#include <string.h>

#include "base/checked.h"
#include "io/gguf.h"
#include "model/config_parts.h"
#include "tensor/packed_file.h"

static enum critic_status get_size(const struct cr_gguf *g, const char *key, size_t max,
                                   bool required, size_t *out, critic_error *err) {
    uint64_t n = 0;
    if (!cr_gguf_find(g, key))
        return required ? cr_fail(err, CRITIC_BAD_MODEL, "GGUF key '%s' is missing", key)
                        : CRITIC_OK;
    CR_TRY(cr_gguf_u64(g, key, &n, err));
    if (n < 1 || n > max)
        return cr_fail(err, CRITIC_BAD_MODEL, "GGUF key '%s' is %llu; expected 1 to %zu",
                       key, (unsigned long long)n, max);
    *out = (size_t)n;
    return CRITIC_OK;
}

static enum critic_status get_id(const struct cr_gguf *g, const char *key, int32_t *out,
                                 critic_error *err) {
    uint64_t id = UINT64_MAX;
    CR_TRY(cr_gguf_u64(g, key, &id, err));
    if (id <= INT32_MAX)
        *out = (int32_t)id;
    return CRITIC_OK;
}

static enum critic_status add_eos(struct cr_config *c, const struct cr_gguf *g,
                                  const char *key, critic_error *err) {
    int32_t id = -1;
    CR_TRY(get_id(g, key, &id, err));
    for (size_t i = 0; i < c->n_eos; i++)
        if (c->eos_ids[i] == id)
            return CRITIC_OK;
    if (id >= 0 && c->n_eos < CR_MAX_EOS)
        c->eos_ids[c->n_eos++] = id;
    return CRITIC_OK;
}

static enum critic_status need_str(const struct cr_gguf *g, const char *key,
                                   const char *expected, critic_error *err) {
    struct cr_str text = cr_str_of(expected);
    CR_TRY(cr_gguf_str(g, key, &text, err));
    if (!cr_str_eq_c(text, expected))
        return cr_fail(err, CRITIC_UNSUPPORTED, "GGUF key '%s' is '%.*s'; supported: %s",
                       key, (int)CR_MIN(text.len, 64), text.data, expected);
    return CRITIC_OK;
}

static enum critic_status read_decoder(struct cr_config *c, const struct cr_store *store,
                                       critic_error *err) {
    const struct cr_gguf *g = cr_store_gguf(store);
    struct cr_decoder_config *t = &c->text;
    if (!cr_gguf_find(g, "general.architecture"))
        return cr_fail(err, CRITIC_BAD_MODEL,
                       "GGUF key 'general.architecture' is missing");
    CR_TRY(need_str(g, "general.architecture",
                    cr_store_is_packed(store) ? CR_PACKED_ARCHITECTURE : "qwen2", err));
    CR_TRY(need_str(g, "qwen2.rope.scaling.type", "none", err));
    t->rope_theta = 10000;
    CR_TRY(get_size(g, "qwen2.embedding_length", 1 << 24, true, &t->width, err));
    CR_TRY(get_size(g, "qwen2.block_count", 4096, true, &t->n_layers, err));
    CR_TRY(get_size(g, "qwen2.attention.head_count", 4096, true, &t->n_heads, err));
    t->n_kv_heads = t->n_heads;
    CR_TRY(
        get_size(g, "qwen2.attention.head_count_kv", 4096, false, &t->n_kv_heads, err));
    CR_TRY(get_size(g, "qwen2.feed_forward_length", 1 << 24, true, &t->ffn_width, err));
    CR_TRY(get_size(g, "qwen2.context_length", 1 << 30, true, &t->max_positions, err));
    CR_TRY(cr_gguf_double(g, "qwen2.rope.freq_base", &t->rope_theta, err));
    if (!cr_gguf_find(g, "qwen2.attention.layer_norm_rms_epsilon"))
        return cr_fail(err, CRITIC_BAD_MODEL,
                       "GGUF key 'qwen2.attention.layer_norm_rms_epsilon' is missing");
    CR_TRY(cr_gguf_double(g, "qwen2.attention.layer_norm_rms_epsilon", &t->rms_eps, err));
    CR_TRY(get_size(g, "qwen2.attention.key_length", 4096, false, &t->head_dim, err));
    if (t->head_dim == 0 && t->width % t->n_heads != 0)
        return cr_fail(err, CRITIC_BAD_MODEL,
                       "GGUF key 'qwen2.attention.head_count' does not divide "
                       "'qwen2.embedding_length'");
    if (t->head_dim == 0)
        t->head_dim = t->width / t->n_heads;
    const struct cr_store_entry *e = cr_store_find(store, "embed_tokens.weight");
    if (!e || e->tensor.n_dim != 2)
        return cr_fail(err, CRITIC_BAD_MODEL,
                       "GGUF tensor 'token_embd.weight' is missing");
    t->vocab = e->tensor.dim[0];
    t->tied = !cr_store_find(store, "lm_head.weight");
    CR_TRY(get_id(g, "tokenizer.ggml.bos_token_id", &c->bos_id, err));
    CR_TRY(get_id(g, "tokenizer.ggml.padding_token_id", &c->pad_id, err));
    CR_TRY(get_id(g, "critic.image_token_id", &c->image_token_id, err));
    CR_TRY(add_eos(c, g, "tokenizer.ggml.eos_token_id", err));
    CR_TRY(cr_gguf_bool(g, "critic.system_turn", &c->system_turn, err));
    return add_eos(c, g, "tokenizer.ggml.eot_token_id", err);
}

static enum critic_status read_templates(struct cr_config *c, const struct cr_gguf *g,
                                         critic_error *err) {
    static const char key[] = "critic.templates";
    const struct cr_gguf_value *list;
    CR_TRY(cr_gguf_array(g, key, CR_GGUF_STRING, &list, err));
    for (size_t i = 0; list && i < list->n; i++)
        CR_TRY(cr_config_add_template(c, list->strings[i], "GGUF", key, err));
    return CRITIC_OK;
}

static enum critic_status get_triple(const struct cr_gguf *g, const char *key,
                                     float out[3], critic_error *err) {
    const struct cr_gguf_value *v;
    CR_TRY(cr_gguf_array(g, key, CR_GGUF_F32, &v, err));
    if (v && v->n != 3)
        return cr_fail(err, CRITIC_BAD_FILE, "GGUF key '%s' has %zu numbers; expected 3",
                       key, v->n);
    for (size_t i = 0; v && i < 3; i++)
        out[i] = (float)cr_gguf_element_double(v, i);
    return CRITIC_OK;
}

/* clip.vision.feature_layer names the hidden state that is used, and so the blocks. */
static enum critic_status read_feature_layer(struct cr_vision_config *v,
                                             const struct cr_gguf *g, critic_error *err) {
    const struct cr_gguf_value *list;
    CR_TRY(cr_gguf_array(g, "clip.vision.feature_layer", CR_GGUF_I32, &list, err));
    if (!list)
        return CRITIC_OK;
    int64_t layer = list->n == 1 ? cr_gguf_element_i64(list, 0) : 0;
    if (layer < 1 || layer > (int64_t)v->n_layers)
        return cr_fail(err, CRITIC_UNSUPPORTED,
                       "GGUF key 'clip.vision.feature_layer' does not name one block");
    v->n_layers = (size_t)layer;
    return CRITIC_OK;
}

static enum critic_status read_pictures(struct cr_config *c, const struct cr_gguf *g,
                                        critic_error *err) {
    const struct cr_gguf_value *list;
    struct cr_str aspect = {NULL, 0};
    struct cr_str rounding = {"lmms", 4};
    CR_TRY(get_triple(g, "clip.vision.image_mean", c->picture.mean, err));
    CR_TRY(get_triple(g, "clip.vision.image_std", c->picture.std, err));
    CR_TRY(cr_gguf_array(g, "clip.vision.image_grid_pinpoints", CR_GGUF_I32, &list, err));
    if (list && list->n % 2 != 0)
        return cr_fail(err, CRITIC_BAD_FILE,
                       "GGUF key 'clip.vision.image_grid_pinpoints' has an odd length");
    for (size_t i = 0; list && i < list->n; i += 2) {
        int64_t width = cr_gguf_element_i64(list, i);
        int64_t height = cr_gguf_element_i64(list, i + 1);
        CR_TRY(cr_config_add_pinpoint(&c->picture, width > 0 ? (size_t)width : 0,
                                      height > 0 ? (size_t)height : 0, c->vision.image_px,
                                      "GGUF key clip.vision.image_grid_pinpoints", err));
    }
    aspect = cr_str_of(c->picture.n_pinpoints > 0 ? "anyres_max_9" : "square");
    CR_TRY(cr_gguf_str(g, "clip.vision.image_aspect_ratio", &aspect, err));
    CR_TRY(cr_config_set_aspect(&c->picture, aspect, "GGUF",
                                "clip.vision.image_aspect_ratio", err));
    CR_TRY(cr_gguf_str(g, "critic.unpad_rounding", &rounding, err));
    c->picture.rounding = cr_str_eq_c(rounding, "hf") ? CR_ROUND_HF : CR_ROUND_LMMS;
    if (c->picture.rounding == CR_ROUND_LMMS && !cr_str_eq_c(rounding, "lmms"))
        return cr_fail(err, CRITIC_UNSUPPORTED,
                       "GGUF key 'critic.unpad_rounding' is '%.*s'; supported: hf, lmms",
                       (int)CR_MIN(rounding.len, 64), rounding.data);
    return CRITIC_OK;
}

static enum critic_status read_tower(struct cr_config *c, const struct cr_store *store,
                                     critic_error *err) {
    const struct cr_gguf *g = cr_store_gguf_vision(store);
    struct cr_vision_config *v = &c->vision;
    bool silu = false, erf = false;
    CR_TRY(need_str(g, "general.architecture",
                    cr_store_is_packed(store) ? CR_PACKED_ARCHITECTURE : "clip", err));
    CR_TRY(need_str(g, "clip.projector_type", "mlp", err));
    CR_TRY(need_str(g, "clip.vision.mm_patch_merge_type", "spatial_unpad", err));
    CR_TRY(cr_gguf_bool(g, "clip.use_silu", &silu, err));
    if (silu)
        return cr_fail(err, CRITIC_UNSUPPORTED,
                       "GGUF key 'clip.use_silu' is true; supported: false");
    CR_TRY(get_size(g, "clip.vision.embedding_length", 1 << 24, true, &v->width, err));
    CR_TRY(get_size(g, "clip.vision.block_count", 4096, true, &v->n_layers, err));
    CR_TRY(get_size(g, "clip.vision.attention.head_count", 4096, true, &v->n_heads, err));
    CR_TRY(get_size(g, "clip.vision.feed_forward_length", 1 << 24, true, &v->ffn_width,
                    err));
    CR_TRY(get_size(g, "clip.vision.image_size", 16384, true, &v->image_px, err));
    CR_TRY(get_size(g, "clip.vision.patch_size", 16384, true, &v->patch_px, err));
    v->layer_norm_eps = 1e-6;
    CR_TRY(cr_gguf_double(g, "clip.vision.attention.layer_norm_epsilon",
                          &v->layer_norm_eps, err));
    /* clip.use_gelu means the tanh form there; the erf form is ours to say. */
    CR_TRY(cr_gguf_bool(g, "critic.tower_gelu_erf", &erf, err));
    v->act = erf ? CR_ACT_GELU_ERF : CR_ACT_GELU_TANH;
    erf = true;
    CR_TRY(cr_gguf_bool(g, "critic.projector_gelu_erf", &erf, err));
    c->projector_act = erf ? CR_ACT_GELU_ERF : CR_ACT_GELU_TANH;
    CR_TRY(read_feature_layer(v, g, err));
    v->present = true;
    return read_pictures(c, g, err);
}

enum critic_status cr_config_from_gguf(struct cr_config *c, const struct cr_store *store,
                                       critic_error *err) {
    enum critic_status status = read_decoder(c, store, err);
    if (status == CRITIC_OK)
        status = read_templates(c, cr_store_gguf(store), err);
    if (status == CRITIC_OK && cr_store_gguf_vision(store))
        status = read_tower(c, store, err);
    if (status != CRITIC_OK)
        cr_error_wrap(err, status, "%s: ", cr_store_dir(store));
    return status;
}
