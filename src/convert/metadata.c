#include "convert/metadata.h"

#include <string.h>

#include "base/checked.h"
#include "io/json.h"

static const char *dtype_word(enum cr_dtype dtype) {
    return dtype == CR_F16 ? "float16" : dtype == CR_BF16 ? "bfloat16" : "float32";
}

static const char *activation_word(enum cr_activation act) {
    return act == CR_ACT_GELU_ERF ? "gelu" : "gelu_pytorch_tanh";
}

/* "key": id or null, */
static enum critic_status append_id(struct cr_buf *out, const char *key, int32_t id,
                                    critic_error *err) {
    return id < 0 ? cr_buf_printf(out, err, "\"%s\": null, ", key)
                  : cr_buf_printf(out, err, "\"%s\": %d, ", key, (int)id);
}

static enum critic_status append_eos(struct cr_buf *out, const struct cr_config *c,
                                     critic_error *err) {
    if (c->n_eos <= 1)
        return append_id(out, "eos_token_id", c->n_eos ? c->eos_ids[0] : -1, err);
    CR_TRY(cr_buf_append_c(out, "\"eos_token_id\": [", err));
    for (size_t i = 0; i < c->n_eos; i++)
        CR_TRY(cr_buf_printf(out, err, "%s%d", i ? ", " : "", (int)c->eos_ids[i]));
    return cr_buf_append_c(out, "], ", err);
}

static enum critic_status append_pinpoints(struct cr_buf *out,
                                           const struct cr_picture_config *p,
                                           bool height_first, critic_error *err) {
    CR_TRY(cr_buf_append_c(out, "\"image_grid_pinpoints\": [", err));
    for (size_t i = 0; i < p->n_pinpoints; i++)
        CR_TRY(cr_buf_printf(out, err, "%s[%zu, %zu]", i ? ", " : "",
                             p->pinpoints[i][height_first ? 1 : 0],
                             p->pinpoints[i][height_first ? 0 : 1]));
    return cr_buf_append_c(out, "]", err);
}

/* "critic_templates": names, where there are any; read by nobody but us. */
static enum critic_status append_templates(struct cr_buf *out,
                                           const struct cr_template_names *t,
                                           critic_error *err) {
    struct cr_buf list;
    enum critic_status status = CRITIC_OK;
    json_t *names = json_array();
    if (t->n == 0) {
        json_decref(names);
        return CRITIC_OK;
    }
    cr_buf_init(&list, 1 << 16);
    for (size_t i = 0; i < t->n; i++)
        json_array_append_new(names, json_string(t->name[i]));
    if (json_array_size(names) != t->n)
        status = cr_fail(err, CRITIC_NO_MEMORY, "out of memory for the configuration");
    if (status == CRITIC_OK)
        status = cr_json_append(&list, names, err);
    if (status == CRITIC_OK)
        status = cr_buf_printf(out, err, "\"critic_templates\": %s,\n", list.data);
    json_decref(names);
    cr_buf_fini(&list);
    return status;
}

/* The fields of Qwen2Config, without braces. */
static enum critic_status append_decoder(struct cr_buf *out, const struct cr_config *c,
                                         bool rope_parameters, critic_error *err) {
    const struct cr_decoder_config *t = &c->text;
    CR_TRY(append_id(out, "bos_token_id", c->bos_id, err));
    CR_TRY(append_eos(out, c, err));
    CR_TRY(append_id(out, "pad_token_id", c->pad_id, err));
    if (t->head_dim * t->n_heads != t->width)
        CR_TRY(cr_buf_printf(out, err, "\"head_dim\": %zu, ", t->head_dim));
    CR_TRY(cr_buf_printf(
        out, err,
        "\"attention_dropout\": 0.0, \"hidden_act\": \"silu\", \"hidden_size\": %zu,\n"
        "\"initializer_range\": 0.02, \"intermediate_size\": %zu, "
        "\"max_position_embeddings\": "
        "%zu,\n\"num_attention_heads\": %zu, \"num_hidden_layers\": %zu, "
        "\"num_key_value_heads\": %zu,\n\"rms_norm_eps\": %.9g, \"tie_word_embeddings\": "
        "%s, "
        "\"use_cache\": true, \"use_sliding_window\": false, \"vocab_size\": %zu,\n",
        t->width, t->ffn_width, t->max_positions, t->n_heads, t->n_layers, t->n_kv_heads,
        t->rms_eps, t->tied ? "true" : "false", t->vocab));
    if (rope_parameters)
        return cr_buf_printf(
            out, err,
            "\"rope_parameters\": {\"rope_theta\": %.9g, \"rope_type\": \"default\"}",
            t->rope_theta);
    return cr_buf_printf(out, err, "\"rope_scaling\": null, \"rope_theta\": %.9g",
                         t->rope_theta);
}

static enum critic_status
append_tower(struct cr_buf *out, const struct cr_vision_config *v, critic_error *err) {
    return cr_buf_printf(
        out, err,
        "\"vision_config\": {\"model_type\": \"siglip_vision_model\", "
        "\"attention_dropout\": "
        "0.0, \"hidden_act\": \"%s\",\n\"hidden_size\": %zu, \"image_size\": %zu, "
        "\"intermediate_size\": %zu, \"layer_norm_eps\": %.9g,\n\"num_attention_heads\": "
        "%zu, "
        "\"num_channels\": 3, \"num_hidden_layers\": %zu, \"patch_size\": %zu, "
        "\"vision_use_head\": false}",
        activation_word(v->act), v->width, v->image_px, v->ffn_width, v->layer_norm_eps,
        v->n_heads, v->n_layers, v->patch_px);
}

static enum critic_status append_hf(struct cr_buf *out, const struct cr_config *c,
                                    enum cr_dtype dtype, critic_error *err) {
    const struct cr_picture_config *p = &c->picture;
    if (p->aspect != CR_ASPECT_ANYRES || p->max_tiles == 0)
        return cr_fail(err, CRITIC_UNSUPPORTED,
                       "the llava-hf layout knows only 'anyres_max_N' pictures");
    CR_TRY(
        cr_buf_printf(out, err,
                      "{\"architectures\": [\"LlavaOnevisionForConditionalGeneration\"], "
                      "\"model_type\": \"llava_onevision\", \"dtype\": \"%s\",\n",
                      dtype_word(dtype)));
    CR_TRY(append_templates(out, &c->templates, err));
    CR_TRY(append_id(out, "image_token_index", c->image_token_id, err));
    CR_TRY(cr_buf_printf(out, err,
                         "\"multimodal_projector_bias\": true, \"projector_hidden_act\": "
                         "\"%s\", \"tie_word_embeddings\": %s,\n\"vision_aspect_ratio\": "
                         "\"anyres_max_%zu\", \"vision_feature_layer\": -1, "
                         "\"vision_feature_select_strategy\": \"full\",\n",
                         activation_word(c->projector_act),
                         c->text.tied ? "true" : "false", p->max_tiles));
    CR_TRY(append_pinpoints(out, p, true, err));
    CR_TRY(cr_buf_append_c(out, ",\n\"text_config\": {\"model_type\": \"qwen2\", ", err));
    CR_TRY(append_decoder(out, c, true, err));
    CR_TRY(cr_buf_append_c(out, "},\n", err));
    CR_TRY(append_tower(out, &c->vision, err));
    return cr_buf_append_c(out, "}\n", err);
}

static bool is_so400m(const struct cr_vision_config *v) {
    return v->width == 1152 && v->n_layers == 26 && v->n_heads == 16 &&
           v->ffn_width == 4304 && v->image_px == 384 && v->patch_px == 14 &&
           v->layer_norm_eps == 1e-6 && v->act == CR_ACT_GELU_TANH;
}

static enum critic_status append_lmms(struct cr_buf *out, const struct cr_config *c,
                                      enum cr_dtype dtype, critic_error *err) {
    const struct cr_picture_config *p = &c->picture;
    bool known = is_so400m(&c->vision);
    for (int i = 0; i < 3; i++)
        if (p->mean[i] != 0.5f || p->std[i] != 0.5f ||
            c->projector_act != CR_ACT_GELU_ERF)
            return cr_fail(
                err, CRITIC_UNSUPPORTED,
                "the lmms-lab layout knows only image_mean and image_std 0.5 and an "
                "erf-GELU projector");
    CR_TRY(
        cr_buf_printf(out, err,
                      "{\"architectures\": [\"LlavaQwenForCausalLM\"], \"model_type\": "
                      "\"llava_qwen\", \"torch_dtype\": \"%s\",\n",
                      dtype_word(dtype)));
    CR_TRY(append_templates(out, &c->templates, err));
    CR_TRY(append_decoder(out, c, false, err));
    CR_TRY(cr_buf_append_c(out, ",\n", err));
    CR_TRY(append_id(out, "image_token_index", c->image_token_id, err));
    CR_TRY(cr_buf_printf(
        out, err,
        "\"mm_vision_tower\": \"%s\", \"mm_hidden_size\": %zu,\n"
        "\"mm_projector_type\": \"mlp2x_gelu\", \"mm_patch_merge_type\": "
        "\"spatial_unpad\", \"mm_vision_select_layer\": -2, "
        "\"mm_vision_select_feature\": \"patch\",\n\"mm_use_im_start_end\": "
        "false, \"mm_use_im_patch_token\": false, \"mm_newline_position\": "
        "\"one_token\", \"mm_spatial_pool_mode\": \"bilinear\", "
        "\"use_mm_proj\": true,\n\"tokenizer_model_max_length\": %zu, "
        "\"tokenizer_padding_side\": \"right\", \"image_aspect_ratio\": ",
        known ? "google/siglip-so400m-patch14-384" : "siglip", c->vision.width,
        c->text.max_positions));
    if (p->aspect != CR_ASPECT_ANYRES)
        CR_TRY(cr_buf_append_c(out, p->aspect == CR_ASPECT_PAD ? "\"pad\"" : "\"square\"",
                               err));
    else if (p->max_tiles > 0)
        CR_TRY(cr_buf_printf(out, err, "\"anyres_max_%zu\"", p->max_tiles));
    else
        CR_TRY(cr_buf_append_c(out, "\"anyres\"", err));
    CR_TRY(cr_buf_append_c(out, ",\n", err));
    CR_TRY(append_pinpoints(out, p, false, err));
    if (!known) {
        CR_TRY(cr_buf_append_c(out, ",\n", err));
        CR_TRY(append_tower(out, &c->vision, err));
    }
    return cr_buf_append_c(out, "}\n", err);
}

enum critic_status cr_metadata_config(struct cr_buf *out, const struct cr_config *c,
                                      enum cr_layout layout, enum cr_dtype dtype,
                                      critic_error *err) {
    if (layout == CR_LAYOUT_HF)
        return append_hf(out, c, dtype, err);
    if (layout == CR_LAYOUT_LMMS)
        return append_lmms(out, c, dtype, err);
    CR_TRY(cr_buf_printf(
        out, err,
        "{\"architectures\": [\"Qwen2ForCausalLM\"], \"model_type\": \"qwen2\","
        " \"dtype\": \"%s\",\n",
        dtype_word(dtype)));
    CR_TRY(append_templates(out, &c->templates, err));
    CR_TRY(append_decoder(out, c, true, err));
    return cr_buf_append_c(out, "}\n", err);
}

enum critic_status cr_metadata_generation(struct cr_buf *out, const struct cr_config *c,
                                          critic_error *err) {
    const struct cr_generation_config *g = &c->generation;
    CR_TRY(cr_buf_append_c(out, "{", err));
    CR_TRY(append_id(out, "bos_token_id", c->bos_id, err));
    CR_TRY(append_eos(out, c, err));
    CR_TRY(append_id(out, "pad_token_id", c->pad_id, err));
    if (g->top_k > 0)
        CR_TRY(cr_buf_printf(out, err, "\"top_k\": %zu, ", g->top_k));
    return cr_buf_printf(
        out, err,
        "\"do_sample\": %s, \"repetition_penalty\": %.9g, \"temperature\": "
        "%.9g, \"top_p\": %.9g}\n",
        g->sample ? "true" : "false", g->repetition_penalty, g->temperature, g->top_p);
}

static enum critic_status append_image_processor(struct cr_buf *out,
                                                 const struct cr_config *c,
                                                 const char *type, bool pinpoints,
                                                 critic_error *err) {
    const struct cr_picture_config *p = &c->picture;
    CR_TRY(cr_buf_printf(
        out, err,
        "{\"do_convert_rgb\": true, \"do_normalize\": true, %s\"do_rescale\": true, "
        "\"do_resize\": true,\n\"image_mean\": [%.9g, %.9g, %.9g], \"image_std\": [%.9g, "
        "%.9g, "
        "%.9g],\n\"resample\": 3, \"rescale_factor\": 0.00392156862745098, \"size\": "
        "{\"height\": %zu, \"width\": %zu},\n",
        pinpoints ? "\"do_pad\": true, " : "", (double)p->mean[0], (double)p->mean[1],
        (double)p->mean[2], (double)p->std[0], (double)p->std[1], (double)p->std[2],
        c->vision.image_px, c->vision.image_px));
    if (pinpoints) {
        CR_TRY(append_pinpoints(out, p, true, err));
        CR_TRY(cr_buf_append_c(out, ",\n", err));
    }
    return cr_buf_printf(out, err, "\"%s_processor_type\": \"%s\"",
                         pinpoints ? "image" : "video", type);
}

enum critic_status cr_metadata_processor(struct cr_buf *out, const struct cr_config *c,
                                         bool nested, critic_error *err) {
    size_t grid = cr_vision_grid(&c->vision);
    static const char image[] = "LlavaOnevisionImageProcessor";
    static const char processor[] = "LlavaOnevisionProcessor";
    if (!nested) {
        CR_TRY(append_image_processor(out, c, image, true, err));
        return cr_buf_printf(out, err, ", \"processor_class\": \"%s\"}\n", processor);
    }
    CR_TRY(cr_buf_append_c(out, "{\"image_processor\": ", err));
    CR_TRY(append_image_processor(out, c, image, true, err));
    CR_TRY(cr_buf_append_c(out, "},\n\"video_processor\": ", err));
    CR_TRY(append_image_processor(out, c, "LlavaOnevisionVideoProcessor", false, err));
    return cr_buf_printf(
        out, err,
        "},\n\"image_token\": \"<image>\", \"video_token\": \"<video>\", "
        "\"num_image_tokens\": %zu, \"processor_class\": \"%s\",\n"
        "\"vision_aspect_ratio\": \"anyres_max_%zu\", "
        "\"vision_feature_select_strategy\": \"full\"}\n",
        grid * grid, processor, c->picture.max_tiles);
}

#define TURNS_HEAD                                                                       \
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\\n' }}"
#define TURNS_TAIL                                                                       \
    "{{ '<|im_end|>\\n' }}{% endfor %}"                                                  \
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
#define SYSTEM_TURN                                                                      \
    "{% if messages[0]['role'] != 'system' %}{{ '<|im_start|>system\\n"                  \
    "You are a helpful assistant.<|im_end|>\\n' }}{% endif %}"
#define PICTURE_TURN                                                                     \
    "{% if message['content'] is string %}{{ message['content'] }}{% else %}"            \
    "{% for part in message['content'] %}{% if part['type'] == 'image' %}"               \
    "{{ '<image>\\n' }}{% endif %}{% endfor %}"                                          \
    "{% for part in message['content'] %}{% if part['type'] == 'text' %}"                \
    "{{ part['text'] }}{% endif %}{% endfor %}{% endif %}"

const char *cr_metadata_template(bool pictures, bool system_turn) {
    if (pictures)
        return system_turn ? SYSTEM_TURN TURNS_HEAD PICTURE_TURN TURNS_TAIL
                           : TURNS_HEAD PICTURE_TURN TURNS_TAIL;
    return system_turn ? SYSTEM_TURN TURNS_HEAD "{{ message['content'] }}" TURNS_TAIL
                       : TURNS_HEAD "{{ message['content'] }}" TURNS_TAIL;
}
