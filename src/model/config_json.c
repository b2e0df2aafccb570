/* config.json of every layout, and the processor and generation files beside it. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "base/file.h"
#include "io/json.h"
#include "model/config_parts.h"

#define MAX_JSON_BYTES ((size_t)8 << 20)
#define MAX_SIZE       ((size_t)1 << 24) /* of a width, a vocabulary */
#define MAX_LAYERS     ((size_t)4096)

/* eos_token_id: a number or a list. Ids that are there already are not repeated. */
static enum critic_status add_eos(struct cr_config *c, struct cr_section s,
                                  critic_error *err) {
    json_t *value = json_object_get(s.object, "eos_token_id");
    if (!value || json_is_null(value))
        return CRITIC_OK;
    size_t n = json_is_array(value) ? json_array_size(value) : 1;
    for (size_t i = 0; i < n; i++) {
        json_t *item = json_is_array(value) ? json_array_get(value, i) : value;
        json_int_t id = json_is_integer(item) ? json_integer_value(item) : -1;
        bool there = false;
        if (id < 0 || id > INT32_MAX)
            return cr_fail(err, CRITIC_BAD_FILE,
                           "%s: 'eos_token_id' is not a token id or a list of them",
                           s.where);
        for (size_t k = 0; k < c->n_eos; k++)
            there = there || c->eos_ids[k] == (int32_t)id;
        if (there)
            continue;
        if (c->n_eos == CR_MAX_EOS)
            return cr_fail(err, CRITIC_UNSUPPORTED,
                           "%s: 'eos_token_id' names more than %d tokens", s.where,
                           CR_MAX_EOS);
        c->eos_ids[c->n_eos++] = (int32_t)id;
    }
    return CRITIC_OK;
}

/* ---- decoder ---- */

/* transformers 4: rope_theta and rope_scaling; 5: rope_parameters. LLaVA-NeXT's model class
 * sets rope_scaling to none whatever the file says (llava_qwen.py): there it is not read. */
static enum critic_status read_rope(struct cr_decoder_config *t, struct cr_section s,
                                    bool lmms, critic_error *err) {
    static const char *const keys[] = {"rope_parameters", "rope_scaling"};
    CR_TRY(cr_section_number(s, "rope_theta", &t->rope_theta, err));
    for (size_t i = 0; i < (lmms ? 1 : CR_COUNT(keys)); i++) {
        struct cr_section rope = {NULL, s.where};
        json_t *object;
        double partial = 1;
        CR_TRY(cr_json_object(s.object, keys[i], &object, s.where, err));
        if (!object)
            continue;
        rope.object = object;
        const char *key;
        json_t *value;
        json_object_foreach(object, key, value) {
            if (strcmp(key, "rope_theta") != 0 && strcmp(key, "rope_type") != 0 &&
                strcmp(key, "type") != 0 && strcmp(key, "partial_rotary_factor") != 0)
                return cr_fail(err, CRITIC_UNSUPPORTED,
                               "%s: '%s' has '%.64s'; only plain rotary embeddings are "
                               "supported",
                               s.where, keys[i], key);
        }
        CR_TRY(cr_section_need_word(rope, "rope_type", "default", err));
        CR_TRY(cr_section_need_word(rope, "type", "default", err));
        CR_TRY(cr_json_double(object, "partial_rotary_factor", &partial, s.where, err));
        if (partial != 1)
            return cr_section_unsupported(rope, "partial_rotary_factor", "not 1", "1",
                                          err);
        CR_TRY(cr_section_number(rope, "rope_theta", &t->rope_theta, err));
    }
    return CRITIC_OK;
}

static enum critic_status need_full_attention(struct cr_section s, critic_error *err) {
    json_t *types;
    CR_TRY(cr_section_need_false(s, "use_sliding_window", err));
    CR_TRY(cr_json_array(s.object, "layer_types", &types, s.where, err));
    for (size_t i = 0; i < json_array_size(types); i++) {
        const char *type = json_string_value(json_array_get(types, i));
        if (!type || strcmp(type, "full_attention") != 0)
            return cr_section_unsupported(s, "layer_types",
                                          type ? type : "no list of strings",
                                          "full_attention", err);
    }
    return CRITIC_OK;
}

static enum critic_status read_decoder(struct cr_decoder_config *t, struct cr_section s,
                                       bool lmms, critic_error *err) {
    /* Qwen2Config's defaults: files of transformers leave out what equals them. */
    *t = (struct cr_decoder_config){.width = 4096,
                                    .n_layers = 32,
                                    .n_heads = 32,
                                    .ffn_width = 22016,
                                    .vocab = 151936,
                                    .max_positions = 32768,
                                    .rope_theta = 10000,
                                    .rms_eps = 1e-6};
    CR_TRY(cr_section_size(s, "hidden_size", MAX_SIZE, &t->width, err));
    CR_TRY(cr_section_size(s, "num_hidden_layers", MAX_LAYERS, &t->n_layers, err));
    CR_TRY(cr_section_size(s, "num_attention_heads", MAX_LAYERS, &t->n_heads, err));
    /* Absent it is 32, the class default; null it is the number of heads. */
    t->n_kv_heads = json_object_get(s.object, "num_key_value_heads") ? t->n_heads : 32;
    CR_TRY(cr_json_size(s.object, "num_key_value_heads", 1, MAX_LAYERS, &t->n_kv_heads,
                        s.where, err));
    CR_TRY(cr_section_size(s, "intermediate_size", MAX_SIZE, &t->ffn_width, err));
    CR_TRY(cr_section_size(s, "vocab_size", MAX_SIZE, &t->vocab, err));
    CR_TRY(cr_section_size(s, "max_position_embeddings", (size_t)1 << 30,
                           &t->max_positions, err));
    CR_TRY(cr_section_number(s, "rms_norm_eps", &t->rms_eps, err));
    CR_TRY(cr_json_bool(s.object, "tie_word_embeddings", &t->tied, s.where, err));
    CR_TRY(read_rope(t, s, lmms, err));
    CR_TRY(cr_section_need_word(s, "hidden_act", "silu", err));
    CR_TRY(need_full_attention(s, err));
    CR_TRY(cr_section_need_null(s, "quantization_config", err));
    CR_TRY(cr_json_size(s.object, "head_dim", 1, 4096, &t->head_dim, s.where, err));
    if (t->head_dim == 0 && t->width % t->n_heads != 0)
        return cr_fail(err, CRITIC_BAD_MODEL,
                       "%s: 'num_attention_heads' %zu does not divide 'hidden_size' %zu",
                       s.where, t->n_heads, t->width);
    if (t->head_dim == 0)
        t->head_dim = t->width / t->n_heads;
    return CRITIC_OK;
}

/* ---- tower ---- */

static const struct cr_vision_config so400m = {.present = true,
                                               .width = 1152,
                                               .n_layers = 26,
                                               .n_heads = 16,
                                               .ffn_width = 4304,
                                               .image_px = 384,
                                               .patch_px = 14,
                                               .layer_norm_eps = 1e-6,
                                               .act = CR_ACT_GELU_TANH};

/* SiglipVisionConfig's class defaults. */
static const struct cr_vision_config siglip_base = {.present = true,
                                                    .width = 768,
                                                    .n_layers = 12,
                                                    .n_heads = 12,
                                                    .ffn_width = 3072,
                                                    .image_px = 224,
                                                    .patch_px = 16,
                                                    .layer_norm_eps = 1e-6,
                                                    .act = CR_ACT_GELU_TANH};

/* image_size and patch_size: a number or a pair of equal numbers. */
static enum critic_status get_side(struct cr_section s, const char *key, size_t *out,
                                   critic_error *err) {
    json_t *value = json_object_get(s.object, key);
    if (!json_is_array(value))
        return cr_section_size(s, key, 16384, out, err);
    json_int_t a = json_integer_value(json_array_get(value, 0));
    json_int_t b = json_integer_value(json_array_get(value, 1));
    if (json_array_size(value) != 2 || a != b || a < 1 || a > 16384)
        return cr_section_unsupported(s, key, "a list", "a number or two equal ones",
                                      err);
    *out = (size_t)a;
    return CRITIC_OK;
}

static enum critic_status read_tower(struct cr_vision_config *v, struct cr_section s,
                                     critic_error *err) {
    size_t channels = 3;
    CR_TRY(cr_section_need_word(s, "model_type", "siglip_vision_model", err));
    CR_TRY(cr_section_size(s, "hidden_size", MAX_SIZE, &v->width, err));
    CR_TRY(cr_section_size(s, "num_hidden_layers", MAX_LAYERS, &v->n_layers, err));
    CR_TRY(cr_section_size(s, "num_attention_heads", MAX_LAYERS, &v->n_heads, err));
    CR_TRY(cr_section_size(s, "intermediate_size", MAX_SIZE, &v->ffn_width, err));
    CR_TRY(get_side(s, "image_size", &v->image_px, err));
    CR_TRY(get_side(s, "patch_size", &v->patch_px, err));
    CR_TRY(cr_section_size(s, "num_channels", 64, &channels, err));
    CR_TRY(cr_section_number(s, "layer_norm_eps", &v->layer_norm_eps, err));
    CR_TRY(cr_section_activation(s, "hidden_act", &v->act, err));
    if (channels != 3)
        return cr_section_unsupported(s, "num_channels", "not 3", "3", err);
    return CRITIC_OK;
}

/* ---- layouts ---- */

#define N_SIZES 8

/* What shapes the tensors of a decoder, of a tower. */
static const struct {
    const char *key;
    bool decoder, tower;
} sizes[N_SIZES] = {
    {"hidden_size", true, true},         {"num_hidden_layers", true, true},
    {"num_attention_heads", true, true}, {"intermediate_size", true, true},
    {"vocab_size", true, false},         {"num_key_value_heads", true, false},
    {"image_size", false, true},         {"patch_size", false, true},
};

/* Where whoever wrote the file writes every size, nothing is left to guess. */
static enum critic_status need_sizes(struct cr_section s, bool tower, critic_error *err) {
    for (size_t i = 0; i < N_SIZES; i++)
        if ((tower ? sizes[i].tower : sizes[i].decoder) &&
            !json_object_get(s.object, sizes[i].key))
            return cr_fail(err, CRITIC_BAD_MODEL, "%s: no '%s'", s.where, sizes[i].key);
    return CRITIC_OK;
}

/* Within llava-hf's files transformers leaves out what equals a class default: noted, for the
 * message of a tensor that does not fit. */
static void note_absent(struct cr_config *c, struct cr_section s, bool tower) {
    for (size_t i = 0; i < N_SIZES; i++)
        if ((tower ? sizes[i].tower : sizes[i].decoder) &&
            !json_object_get(s.object, sizes[i].key)) {
            size_t len = strlen(c->absent_sizes);
            snprintf(c->absent_sizes + len, sizeof c->absent_sizes - len, "%s%s.%s",
                     len ? ", " : "", tower ? "vision_config" : "text_config",
                     sizes[i].key);
        }
}

static enum critic_status read_hf(struct cr_config *c, struct cr_section s,
                                  critic_error *err) {
    json_t *text, *vision;
    struct cr_str aspect = cr_str_of("anyres_max_9");
    bool tied = false;
    CR_TRY(cr_json_object(s.object, "text_config", &text, s.where, err));
    CR_TRY(cr_json_object(s.object, "vision_config", &vision, s.where, err));
    struct cr_section text_section = {text, "config.json: text_config"};
    struct cr_section vision_section = {vision, "config.json: vision_config"};
    CR_TRY(cr_section_need_word(text_section, "model_type", "qwen2", err));
    CR_TRY(read_decoder(&c->text, text_section, false, err));
    note_absent(c, text_section, false);
    /* Either place ties, as LlavaOnevisionConfig has it. */
    CR_TRY(cr_json_bool(s.object, "tie_word_embeddings", &tied, s.where, err));
    c->text.tied = c->text.tied || tied;
    c->vision = vision ? siglip_base : so400m;
    CR_TRY(read_tower(&c->vision, vision_section, err));
    if (vision)
        note_absent(c, vision_section, true);
    CR_TRY(cr_section_need_true(s, "multimodal_projector_bias", err));
    CR_TRY(cr_section_activation(s, "projector_hidden_act", &c->projector_act, err));
    CR_TRY(cr_section_need_word(s, "vision_feature_select_strategy", "full", err));
    c->image_token_id = 151646;
    CR_TRY(cr_section_id(s, "image_token_index", &c->image_token_id, err));
    CR_TRY(cr_section_id(s, "image_token_id", &c->image_token_id, err));
    CR_TRY(cr_json_str(s.object, "vision_aspect_ratio", &aspect, s.where, err));
    CR_TRY(
        cr_config_set_aspect(&c->picture, aspect, s.where, "vision_aspect_ratio", err));
    if (c->picture.aspect != CR_ASPECT_ANYRES || c->picture.max_tiles == 0)
        return cr_section_unsupported(s, "vision_aspect_ratio", aspect.data,
                                      "anyres_max_N", err);
    CR_TRY(cr_config_pinpoints(&c->picture, s, c->vision.image_px, true, err));
    if (c->picture.n_pinpoints == 0)
        CR_TRY(
            cr_config_default_pinpoints(&c->picture, c->vision.image_px, s.where, err));
    return add_eos(c, text_section, err);
}

/* vision_feature_layer counts hidden states, state 0 being the embeddings: -1 is behind the
 * last block. A list of one is the same. */
static enum critic_status apply_feature_layer(struct cr_config *c, struct cr_section s,
                                              critic_error *err) {
    json_t *value = json_object_get(s.object, "vision_feature_layer");
    if (json_is_array(value) && json_array_size(value) == 1)
        value = json_array_get(value, 0);
    if (!value || json_is_null(value))
        return CRITIC_OK;
    json_int_t n = (json_int_t)c->vision.n_layers;
    json_int_t layer = json_is_integer(value) ? json_integer_value(value) : INT32_MAX;
    if (layer < 0)
        layer += n + 1;
    if (layer < 1 || layer > n)
        return cr_section_unsupported(s, "vision_feature_layer", "out of range or a list",
                                      "one of the tower's blocks", err);
    c->vision.n_layers = (size_t)layer;
    return CRITIC_OK;
}

static enum critic_status tower_by_name(struct cr_config *c, struct cr_section s,
                                        bool has_vision_config, critic_error *err) {
    struct cr_str name = {"", 0};
    CR_TRY(cr_json_str(s.object, "mm_vision_tower", &name, s.where, err));
    const char *slash = strrchr(name.data, '/');
    c->vision = so400m;
    c->tower_named = !has_vision_config;
    if (has_vision_config ||
        strcmp(slash ? slash + 1 : name.data, "siglip-so400m-patch14-384") == 0)
        return CRITIC_OK;
    return cr_fail(err, CRITIC_UNSUPPORTED,
                   "%s: 'mm_vision_tower' is '%.128s'; without a 'vision_config' only "
                   "siglip-so400m-patch14-384 is known",
                   s.where, name.data);
}

static enum critic_status read_lmms(struct cr_config *c, struct cr_section s,
                                    critic_error *err) {
    json_t *vision;
    struct cr_str aspect = cr_str_of("square");
    struct cr_str merge = {NULL, 0};
    size_t projector_in = 0;
    CR_TRY(need_sizes(s, false, err));
    CR_TRY(read_decoder(&c->text, s, true, err));
    CR_TRY(cr_json_object(s.object, "vision_config", &vision, s.where, err));
    CR_TRY(tower_by_name(c, s, vision != NULL, err));
    if (vision) {
        struct cr_section tower = {vision, "config.json: vision_config"};
        CR_TRY(need_sizes(tower, true, err));
        CR_TRY(read_tower(&c->vision, tower, err));
    }
    CR_TRY(cr_section_need_word(s, "mm_projector_type", "mlp2x_gelu", err));
    CR_TRY(cr_section_need_word(s, "mm_patch_merge_type", "spatial_unpad", err));
    CR_TRY(cr_json_str(s.object, "mm_patch_merge_type", &merge, s.where, err));
    if (!json_object_get(s.object, "mm_projector_type") || !merge.data)
        return cr_fail(err, CRITIC_UNSUPPORTED,
                       "%s: 'mm_projector_type' and 'mm_patch_merge_type' must be given; "
                       "supported: mlp2x_gelu, spatial_unpad",
                       s.where);
    CR_TRY(cr_section_need_word(s, "mm_vision_select_feature", "patch", err));
    CR_TRY(cr_section_need_null(s, "mm_resampler_type", err));
    CR_TRY(cr_section_need_false(s, "mm_use_im_start_end", err));
    CR_TRY(cr_section_need_false(s, "mm_use_im_patch_token", err));
    CR_TRY(cr_section_size(s, "mm_hidden_size", MAX_SIZE, &projector_in, err));
    if (projector_in != 0 && projector_in != c->vision.width)
        return cr_fail(err, CRITIC_BAD_MODEL,
                       "%s: 'mm_hidden_size' is %zu and the tower %zu wide", s.where,
                       projector_in, c->vision.width);
    CR_TRY(cr_section_id(s, "image_token_index", &c->image_token_id, err));
    CR_TRY(cr_json_str(s.object, "image_aspect_ratio", &aspect, s.where, err));
    CR_TRY(cr_config_set_aspect(&c->picture, aspect, s.where, "image_aspect_ratio", err));
    if (c->picture.aspect == CR_ASPECT_ANYRES)
        CR_TRY(cr_config_pinpoints(&c->picture, s, c->vision.image_px, false, err));
    return CRITIC_OK;
}

/* Which reader a config.json asks for; it must agree with the names of the tensors. */
static enum critic_status read_root(struct cr_config *c, struct cr_section s,
                                    critic_error *err) {
    bool nested = json_is_object(json_object_get(s.object, "text_config"));
    bool multimodal = json_object_get(s.object, "mm_vision_tower") != NULL ||
                      json_object_get(s.object, "mm_projector_type") != NULL;
    struct cr_str type = {NULL, 0};
    CR_TRY(cr_json_str(s.object, "model_type", &type, s.where, err));
    if (!type.data)
        return cr_fail(err, CRITIC_BAD_MODEL, "%s: no 'model_type'", s.where);
    CR_TRY(cr_section_need_word(s, "model_type", "llava_onevision,llava,llava_qwen,qwen2",
                                err));
    enum cr_layout want = CR_LAYOUT_TEXT;
    if (cr_str_eq_c(type, "llava_onevision"))
        want = CR_LAYOUT_HF;
    else if (!cr_str_eq_c(type, "qwen2") || multimodal)
        want = CR_LAYOUT_LMMS;
    if (nested && want != CR_LAYOUT_HF)
        return cr_section_unsupported(s, "model_type", type.data,
                                      "llava_onevision for nested configs", err);
    if (want != c->layout)
        return cr_fail(err, CRITIC_BAD_MODEL,
                       "%s: 'model_type' is '%.64s', and the names of the tensors are of "
                       "another layout",
                       s.where, type.data);
    json_t *architectures, *architecture;
    CR_TRY(cr_json_array(s.object, "architectures", &architectures, s.where, err));
    architecture = json_array_get(architectures, 0);
    if (architecture && !json_is_string(architecture))
        return cr_fail(err, CRITIC_BAD_FILE, "%s: 'architectures' is not a list of names",
                       s.where);
    if (want == CR_LAYOUT_LMMS && json_is_string(architecture) &&
        strcmp(json_string_value(architecture), "LlavaQwenForCausalLM") != 0)
        return cr_section_unsupported(s, "architectures", json_string_value(architecture),
                                      "LlavaQwenForCausalLM", err);
    CR_TRY(cr_section_need_null(s, "quantization_config", err));
    if (want == CR_LAYOUT_HF) {
        CR_TRY(read_hf(c, s, err));
        CR_TRY(apply_feature_layer(c, s, err));
    } else if (want == CR_LAYOUT_LMMS) {
        CR_TRY(read_lmms(c, s, err));
    } else {
        CR_TRY(need_sizes(s, false, err));
        CR_TRY(read_decoder(&c->text, s, false, err));
    }
    CR_TRY(cr_section_id(s, "bos_token_id", &c->bos_id, err));
    CR_TRY(cr_section_id(s, "pad_token_id", &c->pad_id, err));
    return add_eos(c, s, err);
}

static enum critic_status read_templates(struct cr_config *c, struct cr_section s,
                                         critic_error *err) {
    static const char key[] = "critic_templates";
    json_t *list;
    CR_TRY(cr_json_array(s.object, key, &list, s.where, err));
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *item = json_array_get(list, i);
        if (!json_is_string(item))
            return cr_fail(err, CRITIC_BAD_FILE, "%s: '%s' is not a list of names",
                           s.where, key);
        struct cr_str name = {json_string_value(item), json_string_length(item)};
        CR_TRY(cr_config_add_template(c, name, s.where, key, err));
    }
    return CRITIC_OK;
}

/* ---- files ---- */

/* NULL where the file is absent. */
static enum critic_status read_file(json_t **out, const char *dir, const char *name,
                                    critic_error *err) {
    struct cr_buf path;
    enum critic_status status;
    *out = NULL;
    cr_buf_init(&path, 1 << 16);
    CR_TRY_GOTO(cr_path_join(&path, dir, name, err));
    if (cr_file_exists(path.data))
        CR_TRY_GOTO(cr_json_read(out, path.data, MAX_JSON_BYTES, err));
    if (*out && !json_is_object(*out)) {
        json_decref(*out);
        *out = NULL;
        status = cr_fail(err, CRITIC_BAD_FILE, "%s: not a JSON object", path.data);
    }
fail:
    cr_buf_fini(&path);
    return status;
}

static enum critic_status read_generation(struct cr_config *c, const char *dir,
                                          critic_error *err) {
    json_t *root;
    struct cr_generation_config *g = &c->generation;
    CR_TRY(read_file(&root, dir, "generation_config.json", err));
    if (!root)
        return CRITIC_OK;
    struct cr_section s = {root, "generation_config.json"};
    enum critic_status status;
    CR_TRY_GOTO(
        cr_json_double(root, "repetition_penalty", &g->repetition_penalty, s.where, err));
    CR_TRY_GOTO(cr_json_double(root, "temperature", &g->temperature, s.where, err));
    CR_TRY_GOTO(cr_json_double(root, "top_p", &g->top_p, s.where, err));
    CR_TRY_GOTO(cr_json_size(root, "top_k", 0, MAX_SIZE, &g->top_k, s.where, err));
    CR_TRY_GOTO(cr_json_bool(root, "do_sample", &g->sample, s.where, err));
    CR_TRY_GOTO(cr_section_id(s, "bos_token_id", &c->bos_id, err));
    CR_TRY_GOTO(cr_section_id(s, "pad_token_id", &c->pad_id, err));
    CR_TRY_GOTO(add_eos(c, s, err));
    if (!(g->repetition_penalty > 0) || !(g->temperature >= 0) || !(g->top_p >= 0) ||
        g->top_p > 1)
        status =
            cr_fail(err, CRITIC_BAD_MODEL,
                    "%s: 'repetition_penalty', 'temperature' or 'top_p' is out of range",
                    s.where);
fail:
    json_decref(root);
    return status;
}

static enum critic_status read_processor_files(struct cr_config *c, const char *dir,
                                               critic_error *err) {
    json_t *root = NULL, *inner = NULL;
    enum critic_status status;
    CR_TRY_GOTO(read_file(&root, dir, "processor_config.json", err));
    if (root)
        CR_TRY_GOTO(cr_json_object(root, "image_processor", &inner,
                                   "processor_config.json", err));
    if (inner) {
        struct cr_section s = {inner, "processor_config.json: image_processor"};
        CR_TRY_GOTO(cr_config_processor(c, s, err));
        goto fail;
    }
    json_decref(root);
    root = NULL;
    CR_TRY_GOTO(read_file(&root, dir, "preprocessor_config.json", err));
    if (root) {
        struct cr_section s = {root, "preprocessor_config.json"};
        CR_TRY_GOTO(cr_config_processor(c, s, err));
    }
fail:
    json_decref(root);
    return status;
}

enum critic_status cr_config_from_json(struct cr_config *c, const char *dir,
                                       critic_error *err) {
    json_t *root;
    CR_TRY(read_generation(c, dir, err));
    CR_TRY(read_file(&root, dir, "config.json", err));
    if (!root)
        return cr_fail(err, CRITIC_BAD_MODEL, "%s: no config.json", dir);
    struct cr_section s = {root, "config.json"};
    enum critic_status status = read_root(c, s, err);
    if (status == CRITIC_OK)
        status = read_templates(c, s, err);
    json_decref(root);
    /* lmms-lab's own processing is fixed; it reads no processor file. */
    if (status == CRITIC_OK && c->layout == CR_LAYOUT_HF)
        status = read_processor_files(c, dir, err);
    return status;
}

enum critic_status cr_config_layout(enum cr_layout *out, const char *dir,
                                    critic_error *err) {
    json_t *root;
    *out = CR_LAYOUT_TEXT;
    CR_TRY(read_file(&root, dir, "config.json", err));
    if (!root)
        return cr_fail(err, CRITIC_BAD_MODEL, "%s: no config.json", dir);
    const char *type = json_string_value(json_object_get(root, "model_type"));
    if (type && strcmp(type, "llava_onevision") == 0)
        *out = CR_LAYOUT_HF;
    else if (json_object_get(root, "mm_vision_tower") ||
             (type && strncmp(type, "llava", 5) == 0))
        *out = CR_LAYOUT_LMMS;
    json_decref(root);
    return CRITIC_OK;
}
