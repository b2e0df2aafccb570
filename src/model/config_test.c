/* config.json of every layout: published ones field by field, and every value that is refused. */
#include "model/config.h"

#include <jansson.h>

#include "base/checked.h"
#include "t_files.h"

static struct t_dir dir;

static int set_up(void **state) {
    (void)state;
    t_dir_make(&dir, "config");
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    t_dir_remove(&dir);
    return 0;
}

/* One tensor is enough to say which layout a folder has. */
static void write_weights(const char *name) {
    char header[256], file[512] = {0};
    int n = snprintf(header, sizeof header,
                     "{\"%s\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]}}",
                     name);
    file[0] = (char)n;
    memcpy(file + 8, header, (size_t)n);
    t_write(&dir, "model.safetensors", file, 8 + (size_t)n + 4);
}

#define LMMS_WEIGHT "model.mm_projector.0.bias"
#define HF_WEIGHT   "multi_modal_projector.linear_1.bias"
#define TEXT_WEIGHT "model.norm.weight"

static enum critic_status read_config(struct cr_config *c, critic_error *err) {
    struct cr_store *store;
    assert_int_equal(cr_store_open(&store, dir.path, err), CRITIC_OK);
    enum critic_status status = cr_config_read(c, store, err);
    cr_store_close(store);
    return status;
}

/* ---- published configurations --------------------------------------------------------- */

#define GRID_36                                                                          \
    "[[384,384],[384,768],[384,1152],[384,1536],[384,1920],[384,2304],"                  \
    "[768,384],[768,768],[768,1152],[768,1536],[768,1920],[768,2304],"                   \
    "[1152,384],[1152,768],[1152,1152],[1152,1536],[1152,1920],[1152,2304],"             \
    "[1536,384],[1536,768],[1536,1152],[1536,1536],[1536,1920],[1536,2304],"             \
    "[1920,384],[1920,768],[1920,1152],[1920,1536],[1920,1920],[1920,2304],"             \
    "[2304,384],[2304,768],[2304,1152],[2304,1536],[2304,1920],[2304,2304]]"

/* As lmms-lab's 7B checkpoints have it (spec/model.md 2.3); so has llava-critic-7b. */
static const char lmms_7b[] =
    "{\"_name_or_path\":\"/x/y\",\"architectures\":[\"LlavaQwenForCausalLM\"],"
    "\"attention_dropout\":0.0,\"bos_token_id\":151643,\"eos_token_id\":151645,"
    "\"hidden_act\":\"silu\",\"hidden_size\":3584,\"image_aspect_ratio\":\"anyres_max_"
    "9\","
    "\"image_crop_resolution\":null,\"image_grid_pinpoints\":" GRID_36 ","
    "\"image_split_resolution\":null,\"image_token_index\":151646,\"initializer_range\":"
    "0.02,"
    "\"intermediate_size\":18944,\"max_position_embeddings\":32768,\"max_window_layers\":"
    "28,"
    "\"mm_hidden_size\":1152,\"mm_newline_position\":\"one_token\","
    "\"mm_patch_merge_type\":\"spatial_unpad\",\"mm_projector_lr\":null,"
    "\"mm_projector_type\":\"mlp2x_gelu\",\"mm_resampler_type\":null,"
    "\"mm_spatial_pool_mode\":\"bilinear\","
    "\"mm_tunable_parts\":\"mm_vision_tower,mm_mlp_adapter,mm_language_model\","
    "\"mm_use_im_patch_token\":false,\"mm_use_im_start_end\":false,"
    "\"mm_vision_select_feature\":\"patch\",\"mm_vision_select_layer\":-2,"
    "\"mm_vision_tower\":\"google/"
    "siglip-so400m-patch14-384\",\"mm_vision_tower_lr\":2e-06,"
    "\"model_type\":\"llava\",\"num_attention_heads\":28,\"num_hidden_layers\":28,"
    "\"num_key_value_heads\":4,\"pos_skipping_range\":4096,\"rms_norm_eps\":1e-06,"
    "\"rope_scaling\":null,\"rope_theta\":1000000.0,\"sliding_window\":131072,"
    "\"tie_word_embeddings\":false,\"tokenizer_model_max_length\":32768,"
    "\"tokenizer_padding_side\":\"right\",\"torch_dtype\":\"bfloat16\","
    "\"transformers_version\":\"4.40.0.dev0\",\"use_cache\":true,\"use_mm_proj\":true,"
    "\"use_pos_skipping\":false,\"use_sliding_window\":false,"
    "\"vision_tower_pretrained\":null,\"vocab_size\":152064}";

/* llava-onevision-qwen2-7b-ov-hf, transformers 4. */
static const char hf_7b[] =
    "{\"architectures\":[\"LlavaOnevisionForConditionalGeneration\"],\"ignore_index\":-"
    "100,"
    "\"image_grid_pinpoints\":" GRID_36 ",\"image_token_index\":151646,"
    "\"model_type\":\"llava_onevision\",\"projector_hidden_act\":\"gelu\","
    "\"text_config\":{\"_name_or_path\":\"Qwen/Qwen2-7B-Instruct\","
    "\"architectures\":[\"Qwen2ForCausalLM\"],\"bos_token_id\":151643,"
    "\"eos_token_id\":151645,\"hidden_size\":3584,\"intermediate_size\":18944,"
    "\"max_window_layers\":28,\"model_type\":\"qwen2\",\"num_attention_heads\":28,"
    "\"num_hidden_layers\":28,\"num_key_value_heads\":4,\"rope_theta\":1000000.0,"
    "\"sliding_window\":131072,\"torch_dtype\":\"bfloat16\",\"vocab_size\":152128},"
    "\"tie_word_embeddings\":false,\"torch_dtype\":\"float16\","
    "\"transformers_version\":\"4.45.0.dev0\",\"use_image_newline_parameter\":true,"
    "\"video_token_index\":151647,\"vision_aspect_ratio\":\"anyres_max_9\","
    "\"vision_config\":{\"hidden_size\":1152,\"image_size\":384,\"intermediate_size\":"
    "4304,"
    "\"model_type\":\"siglip_vision_model\",\"num_attention_heads\":16,"
    "\"num_hidden_layers\":26,\"patch_size\":14,\"vision_use_head\":false},"
    "\"vision_feature_layer\":-1,\"vision_feature_select_strategy\":\"full\"}";

static const char hf_preprocessor[] =
    "{\"do_convert_rgb\":true,\"do_normalize\":true,\"do_pad\":true,\"do_rescale\":true,"
    "\"do_resize\":true,\"image_grid_pinpoints\":" GRID_36 ","
    "\"image_mean\":[0.5,0.5,0.5],\"image_processor_type\":"
    "\"LlavaOnevisionImageProcessor\","
    "\"image_std\":[0.5,0.5,0.5],\"processor_class\":\"LlavaOnevisionProcessor\","
    "\"resample\":3,\"rescale_factor\":0.00392156862745098,"
    "\"size\":{\"height\":384,\"width\":384}}";

static void check_7b(const struct cr_config *c, enum cr_layout layout, size_t vocab) {
    assert_int_equal(c->layout, layout);
    assert_int_equal(c->text.width, 3584);
    assert_int_equal(c->text.n_layers, 28);
    assert_int_equal(c->text.n_heads, 28);
    assert_int_equal(c->text.n_kv_heads, 4);
    assert_int_equal(c->text.head_dim, 128);
    assert_int_equal(c->text.ffn_width, 18944);
    assert_int_equal(c->text.vocab, vocab);
    assert_int_equal(c->text.max_positions, 32768);
    assert_true(c->text.rope_theta == 1e6 && c->text.rms_eps == 1e-6 && !c->text.tied);
    assert_true(c->vision.present);
    assert_int_equal(c->vision.width, 1152);
    assert_int_equal(c->vision.n_layers, 26);
    assert_int_equal(c->vision.n_heads, 16);
    assert_int_equal(c->vision.ffn_width, 4304);
    assert_int_equal(c->vision.image_px, 384);
    assert_int_equal(c->vision.patch_px, 14);
    assert_int_equal(cr_vision_grid(&c->vision), 27);
    assert_true(c->vision.layer_norm_eps == 1e-6);
    assert_int_equal(c->vision.act, CR_ACT_GELU_TANH);
    assert_int_equal(c->projector_act, CR_ACT_GELU_ERF);
    assert_int_equal(c->picture.aspect, CR_ASPECT_ANYRES);
    assert_int_equal(c->picture.max_tiles, 9);
    assert_int_equal(c->picture.n_pinpoints, 36);
    assert_int_equal(c->picture.rounding,
                     layout == CR_LAYOUT_HF ? CR_ROUND_HF : CR_ROUND_LMMS);
    for (int i = 0; i < 3; i++)
        assert_true(c->picture.mean[i] == 0.5f && c->picture.std[i] == 0.5f);
    assert_int_equal(c->image_token_id, 151646);
    assert_int_equal(c->n_eos, 1);
    assert_int_equal(c->eos_ids[0], 151645);
    assert_int_equal(c->system_turn, layout != CR_LAYOUT_HF);
}

static void test_lmms_7b(void **state) {
    (void)state;
    critic_error err;
    struct cr_config c;
    write_weights(LMMS_WEIGHT);
    t_write_text(&dir, "config.json", lmms_7b);
    T_OK(read_config(&c, &err));
    check_7b(&c, CR_LAYOUT_LMMS, 152064);
    assert_true(c.tower_named);
    assert_int_equal(c.picture.pinpoints[1][0], 384); /* (width, height) */
    assert_int_equal(c.picture.pinpoints[1][1], 768);
    assert_true(c.generation.repetition_penalty == 1);
    /* generation_config.json adds end tokens and a penalty. */
    t_write_text(
        &dir, "generation_config.json",
        "{\"bos_token_id\":151643,\"do_sample\":true,"
        "\"eos_token_id\":[151645,151643],\"pad_token_id\":151643,"
        "\"repetition_penalty\":1.05,\"temperature\":0.7,\"top_k\":20,\"top_p\":0.8,"
        "\"transformers_version\":\"4.40.0.dev0\"}");
    T_OK(read_config(&c, &err));
    assert_int_equal(c.n_eos, 2);
    assert_int_equal(c.eos_ids[1], 151643);
    assert_int_equal(c.pad_id, 151643);
    assert_true(c.generation.repetition_penalty == 1.05 && c.generation.top_p == 0.8);
    assert_int_equal(c.generation.top_k, 20);
}

static void test_hf_7b(void **state) {
    (void)state;
    critic_error err;
    struct cr_config c;
    write_weights(HF_WEIGHT);
    t_write_text(&dir, "config.json", hf_7b);
    t_write_text(&dir, "preprocessor_config.json", hf_preprocessor);
    T_OK(read_config(&c, &err));
    check_7b(&c, CR_LAYOUT_HF, 152128);
    assert_false(c.tower_named);
    assert_int_equal(c.picture.pinpoints[1][0], 768); /* (height, width) in the file */
    assert_int_equal(c.picture.pinpoints[1][1], 384);
    /* transformers 5: the settings lie in processor_config.json, which wins. */
    char processor[4096];
    snprintf(processor, sizeof processor,
             "{\"image_processor\":%s,\"num_image_tokens\":729}", hf_preprocessor);
    t_write_text(&dir, "processor_config.json", processor);
    t_write_text(&dir, "preprocessor_config.json", "{\"do_resize\":false}");
    T_OK(read_config(&c, &err));
    check_7b(&c, CR_LAYOUT_HF, 152128);
}

/* transformers 5 leaves out what equals its defaults and renames rope_theta and torch_dtype. */
static void test_hf_defaults(void **state) {
    (void)state;
    critic_error err;
    struct cr_config c;
    write_weights(HF_WEIGHT);
    t_write_text(
        &dir, "config.json",
        "{\"model_type\":\"llava_onevision\",\"dtype\":\"bfloat16\","
        "\"text_config\":{\"model_type\":\"qwen2\",\"hidden_size\":128,"
        "\"num_attention_heads\":32,\"num_hidden_layers\":2,\"dtype\":\"bfloat16\","
        "\"eos_token_id\":[3,4],\"tie_word_embeddings\":true,"
        "\"rope_parameters\":{\"rope_theta\":5000000.0,\"rope_type\":\"default\"}},"
        "\"vision_config\":{\"model_type\":\"siglip_vision_model\","
        "\"image_size\":384}}");
    T_OK(read_config(&c, &err));
    assert_true(c.text.rope_theta == 5e6);
    assert_int_equal(c.text.n_kv_heads, 32); /* the class default */
    assert_int_equal(c.text.ffn_width, 22016);
    assert_int_equal(c.text.vocab, 151936);
    assert_true(c.text.tied);
    assert_int_equal(c.n_eos, 2);
    assert_int_equal(c.vision.width, 768); /* SiglipVisionConfig's */
    assert_int_equal(c.vision.patch_px, 16);
    assert_int_equal(c.picture.n_pinpoints, 36);
    assert_int_equal(c.picture.max_tiles, 9);
    assert_int_equal(c.image_token_id, 151646);
}

/* ---- values of our choice --------------------------------------------------------------- */

/* Sets `path` ("text_config.hidden_act") of a JSON text to a value; "" removes the key. */
static char *edited(const char *base, const char *path, const char *value) {
    json_error_t fault;
    json_t *root = json_loads(base, 0, &fault);
    assert_non_null(root);
    json_t *object = root;
    const char *dot = strchr(path, '.');
    if (dot) {
        char first[64];
        snprintf(first, sizeof first, "%.*s", (int)(dot - path), path);
        object = json_object_get(root, first);
        assert_non_null(object);
        path = dot + 1;
    }
    if (value[0]) {
        json_t *parsed = json_loads(value, JSON_DECODE_ANY, &fault);
        assert_non_null(parsed);
        assert_int_equal(json_object_set_new(object, path, parsed), 0);
    } else {
        assert_int_equal(json_object_del(object, path), 0);
    }
    char *text = json_dumps(root, JSON_COMPACT);
    json_decref(root);
    return text;
}

static enum critic_status read_edited(struct cr_config *c, const char *base,
                                      const char *path, const char *value,
                                      critic_error *err) {
    char *text = edited(base, path, value);
    write_weights(base == lmms_7b ? LMMS_WEIGHT : HF_WEIGHT);
    t_write_text(&dir, "config.json", text);
    free(text);
    return read_config(c, err);
}

static void test_pinpoint_forms(void **state) {
    (void)state;
    critic_error err;
    struct cr_config c;
    T_OK(read_edited(&c, lmms_7b, "image_grid_pinpoints", "\"(1x1),...,(6x6)\"", &err));
    assert_int_equal(c.picture.n_pinpoints, 36);
    assert_int_equal(c.picture.pinpoints[1][0], 384);
    assert_int_equal(c.picture.pinpoints[1][1], 768);
    assert_int_equal(c.picture.pinpoints[35][1], 2304);
    T_OK(read_edited(&c, lmms_7b, "image_grid_pinpoints", "\"(2x1),(2x3)\"", &err));
    assert_int_equal(c.picture.n_pinpoints, 3);
    assert_int_equal(c.picture.pinpoints[2][0], 768);
    assert_int_equal(c.picture.pinpoints[2][1], 1152);
    T_OK(read_edited(&c, lmms_7b, "image_grid_pinpoints", "[[384,768]]", &err));
    assert_int_equal(c.picture.n_pinpoints, 1);
    assert_int_equal(c.picture.pinpoints[0][1], 768);
}

static void test_accepted(void **state) {
    (void)state;
    critic_error err;
    struct cr_config c;
    T_OK(read_edited(&c, lmms_7b, "model_type", "\"llava_qwen\"", &err));
    T_OK(read_edited(&c, lmms_7b, "model_type", "\"qwen2\"", &err));
    T_OK(read_edited(&c, lmms_7b, "mm_vision_tower", "\"/a/b/siglip-so400m-patch14-384\"",
                     &err));
    T_OK(read_edited(&c, lmms_7b, "image_aspect_ratio", "\"anyres\"", &err));
    assert_int_equal(c.picture.max_tiles, 0);
    T_OK(read_edited(&c, lmms_7b, "image_aspect_ratio", "\"pad\"", &err));
    assert_int_equal(c.picture.aspect, CR_ASPECT_PAD);
    T_OK(read_edited(&c, lmms_7b, "image_aspect_ratio", "\"square\"", &err));
    assert_int_equal(c.picture.aspect, CR_ASPECT_SQUARE);
    T_OK(read_edited(&c, lmms_7b, "num_key_value_heads", "null", &err));
    assert_int_equal(c.text.n_kv_heads, 28);
    /* The model class of LLaVA-NeXT sets rope_scaling to none whatever the file says. */
    T_OK(read_edited(&c, lmms_7b, "rope_scaling", "{\"type\":\"linear\",\"factor\":2.0}",
                     &err));
    T_OK(read_edited(&c, lmms_7b, "some_key_of_tomorrow", "[1,2]", &err));
    T_OK(read_edited(&c, lmms_7b, "critic_templates", "[\"one\",\"two\"]", &err));
    assert_int_equal(c.templates.n, 2);
    assert_string_equal(c.templates.name[1], "two");
    T_OK(read_edited(&c, hf_7b, "vision_feature_layer", "-3", &err));
    assert_int_equal(c.vision.n_layers, 24);
    T_OK(read_edited(&c, hf_7b, "vision_feature_layer", "[7]", &err));
    assert_int_equal(c.vision.n_layers, 7);
    T_OK(read_edited(&c, hf_7b, "text_config.layer_types", "[\"full_attention\"]", &err));
    T_OK(read_edited(&c, hf_7b, "vision_config.image_size", "[384,384]", &err));
}

/* Whatever this implementation does not do is refused by its key's name. */
static void test_refused(void **state) {
    (void)state;
    static const struct {
        const char *base, *path, *value;
        enum critic_status status;
        const char *text;
    } cases[] = {
        {lmms_7b, "model_type", "", CRITIC_BAD_MODEL, "no 'model_type'"},
        {lmms_7b, "model_type", "\"llama\"", CRITIC_UNSUPPORTED,
         "'model_type' is llama;"},
        {lmms_7b, "model_type", "7", CRITIC_BAD_FILE, "'model_type' is not a string"},
        {lmms_7b, "model_type", "\"llava_onevision\"", CRITIC_BAD_MODEL,
         "another layout"},
        {lmms_7b, "architectures", "[\"LlavaMistralForCausalLM\"]", CRITIC_UNSUPPORTED,
         "'architectures' is LlavaMistralForCausalLM;"},
        {lmms_7b, "hidden_size", "0", CRITIC_BAD_FILE, "'hidden_size' is 0"},
        {lmms_7b, "critic_templates", "\"one\"", CRITIC_BAD_FILE,
         "'critic_templates' is not a"},
        {lmms_7b, "critic_templates", "[7]", CRITIC_BAD_FILE,
         "'critic_templates' is not a list of names"},
        {lmms_7b, "critic_templates", "[\"\"]", CRITIC_BAD_MODEL,
         "'critic_templates' holds a name of 0 bytes; expected 1 to 63"},
        {lmms_7b, "critic_templates",
         "[\"0123456789012345678901234567890123456789012345678901234567890123\"]",
         CRITIC_BAD_MODEL, "name of 64 bytes"},
        {lmms_7b, "critic_templates",
         "[\"a\",\"a\",\"a\",\"a\",\"a\",\"a\",\"a\",\"a\",\"a\",\"a\",\"a\",\"a\","
         "\"a\",\"a\",\"a\",\"a\",\"a\"]",
         CRITIC_BAD_MODEL, "names more than 16 templates"},
        {lmms_7b, "hidden_size", "-4", CRITIC_BAD_FILE, "'hidden_size' is -4"},
        {lmms_7b, "hidden_size", "3584.5", CRITIC_BAD_FILE,
         "'hidden_size' is not an integer"},
        {lmms_7b, "hidden_size", "99999999999", CRITIC_BAD_FILE, "'hidden_size' is"},
        {lmms_7b, "hidden_size", "3583", CRITIC_BAD_MODEL, "'num_attention_heads' 28"},
        {lmms_7b, "num_hidden_layers", "1000000", CRITIC_BAD_FILE, "'num_hidden_layers'"},
        {lmms_7b, "num_key_value_heads", "3", CRITIC_BAD_MODEL, "num_key_value_heads"},
        {lmms_7b, "vocab_size", "\"many\"", CRITIC_BAD_FILE, "'vocab_size'"},
        {lmms_7b, "hidden_act", "\"gelu\"", CRITIC_UNSUPPORTED, "'hidden_act' is gelu;"},
        {lmms_7b, "rms_norm_eps", "0", CRITIC_BAD_MODEL,
         "'rms_norm_eps' is 0 in its configuration; expected above 0 and below 1"},
        {lmms_7b, "rope_theta", "-1", CRITIC_BAD_MODEL, "'rope_theta' is -1"},
        {lmms_7b, "rope_theta", "1e18", CRITIC_BAD_MODEL, "'rope_theta' is 1e+18"},
        {lmms_7b, "architectures", "\"LlavaQwenForCausalLM\"", CRITIC_BAD_FILE,
         "'architectures' is not a list"},
        {lmms_7b, "architectures", "[7]", CRITIC_BAD_FILE,
         "'architectures' is not a list of names"},
        {lmms_7b, "num_key_value_heads", "", CRITIC_BAD_MODEL,
         "no 'num_key_value_heads'"},
        {lmms_7b, "use_sliding_window", "true", CRITIC_UNSUPPORTED,
         "'use_sliding_window'"},
        {lmms_7b, "quantization_config", "{\"bits\":4}", CRITIC_UNSUPPORTED,
         "'quantization_config'"},
        {lmms_7b, "mm_projector_type", "\"linear\"", CRITIC_UNSUPPORTED,
         "'mm_projector_type' is linear;"},
        {lmms_7b, "mm_projector_type", "", CRITIC_UNSUPPORTED, "'mm_projector_type'"},
        {lmms_7b, "mm_patch_merge_type", "\"flat\"", CRITIC_UNSUPPORTED,
         "'mm_patch_merge_type' is flat;"},
        {lmms_7b, "mm_resampler_type", "\"spatial_pool\"", CRITIC_UNSUPPORTED,
         "'mm_resampler_type'"},
        {lmms_7b, "mm_vision_select_feature", "\"cls_patch\"", CRITIC_UNSUPPORTED,
         "'mm_vision_select_feature'"},
        {lmms_7b, "mm_use_im_start_end", "true", CRITIC_UNSUPPORTED,
         "'mm_use_im_start_end'"},
        {lmms_7b, "mm_vision_tower", "\"openai/clip-vit-large-patch14-336\"",
         CRITIC_UNSUPPORTED, "'mm_vision_tower' is 'openai/clip"},
        {lmms_7b, "mm_hidden_size", "1024", CRITIC_BAD_MODEL, "'mm_hidden_size' is 1024"},
        {lmms_7b, "image_aspect_ratio", "\"anyres_min_9\"", CRITIC_UNSUPPORTED,
         "'image_aspect_ratio' is 'anyres_min_9'"},
        {lmms_7b, "image_aspect_ratio", "\"anyres_max_0\"", CRITIC_UNSUPPORTED,
         "'image_aspect_ratio'"},
        {lmms_7b, "image_grid_pinpoints", "[[384,383]]", CRITIC_UNSUPPORTED,
         "'image_grid_pinpoints' holds 384 x 383"},
        {lmms_7b, "image_grid_pinpoints", "[[384]]", CRITIC_BAD_FILE,
         "entry 0 of 'image_grid_pinpoints'"},
        {lmms_7b, "image_grid_pinpoints", "[[-384,384]]", CRITIC_BAD_FILE,
         "entry 0 of 'image_grid_pinpoints'"},
        {lmms_7b, "image_grid_pinpoints", "\"(1x1),...\"", CRITIC_OK, ""},
        {lmms_7b, "image_grid_pinpoints", "\"(6x6),...,(1x1)\"", CRITIC_UNSUPPORTED,
         "'image_grid_pinpoints' is '(6x6)"},
        {lmms_7b, "image_grid_pinpoints", "\"(1x1),...,(9x9)\"", CRITIC_UNSUPPORTED,
         "more than 64 entries"},
        {lmms_7b, "image_grid_pinpoints", "\"none\"", CRITIC_UNSUPPORTED,
         "'image_grid_pinpoints' is 'none'"},
        {lmms_7b, "image_grid_pinpoints", "[]", CRITIC_BAD_MODEL, "image_grid_pinpoints"},
        {lmms_7b, "eos_token_id", "\"x\"", CRITIC_BAD_FILE, "'eos_token_id'"},
        {lmms_7b, "eos_token_id", "-5", CRITIC_BAD_FILE, "'eos_token_id'"},
        {lmms_7b, "eos_token_id", "[1,2,3,4,5,6,7,8,9]", CRITIC_UNSUPPORTED,
         "'eos_token_id'"},
        {lmms_7b, "image_token_index", "-200", CRITIC_BAD_FILE,
         "'image_token_index' is -200"},
        {lmms_7b, "hidden_size", "", CRITIC_BAD_MODEL, "config.json: no 'hidden_size'"},
        {lmms_7b, "num_hidden_layers", "", CRITIC_BAD_MODEL, "no 'num_hidden_layers'"},
        {lmms_7b, "num_attention_heads", "", CRITIC_BAD_MODEL,
         "no 'num_attention_heads'"},
        {lmms_7b, "intermediate_size", "", CRITIC_BAD_MODEL, "no 'intermediate_size'"},
        {lmms_7b, "vocab_size", "", CRITIC_BAD_MODEL, "no 'vocab_size'"},
        {lmms_7b, "hidden_size", "null", CRITIC_BAD_FILE,
         "'hidden_size' is null; expected an integer"},
        {lmms_7b, "rms_norm_eps", "null", CRITIC_BAD_FILE,
         "'rms_norm_eps' is null; expected a number"},
        {lmms_7b, "rope_theta", "null", CRITIC_BAD_FILE, "'rope_theta' is null"},
        {lmms_7b, "hidden_act", "null", CRITIC_BAD_FILE,
         "'hidden_act' is null; expected silu"},
        {lmms_7b, "mm_projector_type", "null", CRITIC_BAD_FILE,
         "'mm_projector_type' is null"},
        {hf_7b, "text_config.vocab_size", "null", CRITIC_BAD_FILE,
         "text_config: 'vocab_size' is null"},
        {hf_7b, "vision_config.patch_size", "null", CRITIC_BAD_FILE,
         "vision_config: 'patch_size' is null"},
        {hf_7b, "vision_config.layer_norm_eps", "null", CRITIC_BAD_FILE,
         "'layer_norm_eps' is null"},
        {hf_7b, "text_config", "3", CRITIC_BAD_FILE, "'text_config' is not an object"},
        {hf_7b, "text_config.model_type", "\"llama\"", CRITIC_UNSUPPORTED,
         "text_config: 'model_type' is llama"},
        {hf_7b, "text_config.rope_scaling", "{\"rope_type\":\"yarn\",\"factor\":4.0}",
         CRITIC_UNSUPPORTED, "'rope_scaling' has 'factor'"},
        {hf_7b, "text_config.rope_parameters", "{\"rope_type\":\"yarn\"}",
         CRITIC_UNSUPPORTED, "'rope_type' is yarn"},
        {hf_7b, "text_config.layer_types", "[\"sliding_attention\"]", CRITIC_UNSUPPORTED,
         "'layer_types' is sliding_attention"},
        {hf_7b, "text_config.hidden_act", "\"relu\"", CRITIC_UNSUPPORTED,
         "text_config: 'hidden_act' is relu"},
        {hf_7b, "text_config.head_dim", "7", CRITIC_BAD_MODEL, "head width is odd"},
        {hf_7b, "vision_config.model_type", "\"clip_vision_model\"", CRITIC_UNSUPPORTED,
         "vision_config: 'model_type' is clip_vision_model"},
        {hf_7b, "vision_config.hidden_act", "\"quick_gelu\"", CRITIC_UNSUPPORTED,
         "vision_config: 'hidden_act' is quick_gelu"},
        {hf_7b, "vision_config.num_channels", "4", CRITIC_UNSUPPORTED, "'num_channels'"},
        {hf_7b, "vision_config.image_size", "[384,512]", CRITIC_UNSUPPORTED,
         "'image_size'"},
        {hf_7b, "vision_config.patch_size", "400", CRITIC_BAD_MODEL, "patch_size"},
        {hf_7b, "vision_config.num_attention_heads", "7", CRITIC_BAD_MODEL,
         "'num_attention_heads' 7 does not divide the tower's"},
        {hf_7b, "vision_config.layer_norm_eps", "2.0", CRITIC_BAD_MODEL,
         "layer_norm_eps"},
        {hf_7b, "vision_feature_layer", "-40", CRITIC_UNSUPPORTED,
         "'vision_feature_layer'"},
        {hf_7b, "vision_feature_layer", "[3,5]", CRITIC_UNSUPPORTED,
         "'vision_feature_layer'"},
        {hf_7b, "vision_feature_select_strategy", "\"default\"", CRITIC_UNSUPPORTED,
         "'vision_feature_select_strategy' is default"},
        {hf_7b, "vision_aspect_ratio", "\"pad\"", CRITIC_UNSUPPORTED,
         "'vision_aspect_ratio'"},
        {hf_7b, "projector_hidden_act", "\"silu\"", CRITIC_UNSUPPORTED,
         "'projector_hidden_act' is silu"},
        {hf_7b, "multimodal_projector_bias", "false", CRITIC_UNSUPPORTED,
         "'multimodal_projector_bias'"},
        {hf_7b, "quantization_config", "{}", CRITIC_UNSUPPORTED, "'quantization_config'"},
    };
    for (size_t i = 0; i < CR_COUNT(cases); i++) {
        critic_error err;
        struct cr_config c;
        if (cases[i].status == CRITIC_OK) {
            T_OK(read_edited(&c, cases[i].base, cases[i].path, cases[i].value, &err));
            continue;
        }
        print_message("%s = %s\n", cases[i].path, cases[i].value);
        T_FAILS(read_edited(&c, cases[i].base, cases[i].path, cases[i].value, &err),
                cases[i].status, cases[i].text);
        assert_int_equal(c.text.width, 0); /* zeroed */
    }
}

static void test_processor_refused(void **state) {
    (void)state;
    static const struct {
        const char *path, *value;
        enum critic_status status;
        const char *text;
    } cases[] = {
        {"do_resize", "false", CRITIC_UNSUPPORTED, "'do_resize'"},
        {"do_rescale", "false", CRITIC_UNSUPPORTED, "'do_rescale'"},
        {"do_normalize", "false", CRITIC_UNSUPPORTED, "'do_normalize'"},
        {"do_pad", "false", CRITIC_UNSUPPORTED, "'do_pad'"},
        {"do_center_crop", "true", CRITIC_UNSUPPORTED, "'do_center_crop'"},
        {"resample", "2", CRITIC_UNSUPPORTED, "'resample'"},
        {"rescale_factor", "0.5", CRITIC_UNSUPPORTED, "'rescale_factor'"},
        {"image_mean", "[0.5,0.5]", CRITIC_BAD_FILE, "'image_mean'"},
        {"image_std", "[0.5,0.5,0]", CRITIC_BAD_MODEL, "image_std"},
        {"size", "{\"height\":336,\"width\":336}", CRITIC_UNSUPPORTED, "'size' is 336"},
        {"image_grid_pinpoints", "[[384,384]]", CRITIC_BAD_MODEL,
         "'image_grid_pinpoints'"},
    };
    write_weights(HF_WEIGHT);
    t_write_text(&dir, "config.json", hf_7b);
    for (size_t i = 0; i < CR_COUNT(cases); i++) {
        critic_error err;
        struct cr_config c;
        char *text = edited(hf_preprocessor, cases[i].path, cases[i].value);
        t_write_text(&dir, "preprocessor_config.json", text);
        free(text);
        T_FAILS(read_config(&c, &err), cases[i].status, cases[i].text);
        assert_non_null(strstr(err.message, "config"));
    }
}

static void test_files(void **state) {
    (void)state;
    critic_error err;
    struct cr_config c;
    write_weights(LMMS_WEIGHT);
    T_FAILS(read_config(&c, &err), CRITIC_BAD_MODEL, "no config.json");
    t_write_text(&dir, "config.json", "{\"hidden_size\": }");
    T_FAILS(read_config(&c, &err), CRITIC_BAD_FILE, "config.json:1:17");
    t_write_text(&dir, "config.json", "[]");
    T_FAILS(read_config(&c, &err), CRITIC_BAD_FILE, "config.json: not a JSON object");
    /* Nesting without end, and a file without end. */
    const size_t n = (size_t)9 << 20;
    char *bomb = malloc(n + 1);
    memset(bomb, '[', n);
    bomb[n] = '\0';
    t_write(&dir, "config.json", bomb, 1 << 20);
    T_FAILS(read_config(&c, &err), CRITIC_BAD_FILE, "config.json");
    t_write(&dir, "config.json", bomb, n);
    T_FAILS(read_config(&c, &err), CRITIC_BAD_FILE, "config.json");
    free(bomb);
    t_write_text(&dir, "config.json", lmms_7b);
    t_write_text(&dir, "generation_config.json", "{\"repetition_penalty\":-1}");
    T_FAILS(read_config(&c, &err), CRITIC_BAD_MODEL, "'repetition_penalty'");
    t_write_text(&dir, "generation_config.json", "{\"top_k\":-1}");
    T_FAILS(read_config(&c, &err), CRITIC_BAD_FILE, "generation_config.json: 'top_k'");
}

/* Plain Qwen2 as safetensors: a text judge. */
static void test_text(void **state) {
    (void)state;
    critic_error err;
    struct cr_config c;
    write_weights(TEXT_WEIGHT);
    t_write_text(
        &dir, "config.json",
        "{\"model_type\":\"qwen2\",\"architectures\":[\"Qwen2ForCausalLM\"],"
        "\"hidden_size\":896,\"intermediate_size\":4864,\"num_hidden_layers\":24,"
        "\"num_attention_heads\":14,\"num_key_value_heads\":2,\"vocab_size\":151936,"
        "\"rope_theta\":1000000.0,\"tie_word_embeddings\":true,"
        "\"bos_token_id\":151643,\"eos_token_id\":151645}");
    T_OK(read_config(&c, &err));
    assert_int_equal(c.layout, CR_LAYOUT_TEXT);
    assert_int_equal(c.text.head_dim, 64);
    assert_false(c.vision.present);
    assert_true(c.text.tied && c.system_turn);
    assert_int_equal(c.image_token_id, -1);
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void) {
    const struct CMUnitTest tests[] = {
        CASE(test_lmms_7b),           CASE(test_hf_7b),    CASE(test_hf_defaults),
        CASE(test_pinpoint_forms),    CASE(test_accepted), CASE(test_refused),
        CASE(test_processor_refused), CASE(test_files),    CASE(test_text),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
