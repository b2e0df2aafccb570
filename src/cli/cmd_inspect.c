/* critic inspect: what is in a checkpoint and the memory that it needs. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "cli/cli.h"
#include "model/model.h"
#include "tensor/store.h"

#define PATH_BYTES  ((size_t)1 << 16)
#define ARENA_BYTES ((size_t)1 << 32)

static const size_t contexts[] = {4096, 8192, 32768};

static const char *const layout_names[] = {
    [CR_LAYOUT_LMMS] = "lmms-lab safetensors",
    [CR_LAYOUT_HF] = "llava-hf safetensors",
    [CR_LAYOUT_TEXT] = "Qwen2 safetensors (text only)",
    [CR_LAYOUT_GGUF] = "GGUF",
};
static const char *layout_name(const struct cr_store *s) {
    if (cr_store_is_packed(s))
        return cr_store_packing(s) == CR_PANEL8 ? "packed int8" : "packed q4";
    return layout_names[cr_store_layout(s)];
}

static const char *const part_names[] = {[CR_PART_DECODER] = "decoder",
                                         [CR_PART_PROJECTOR] = "projector",
                                         [CR_PART_TOWER] = "tower"};

struct report {
    struct cr_store *store;
    struct cr_config config;
    struct cr_params params;
    struct cr_arena arena;
    size_t n_parameters[CR_COUNT(part_names)];
    size_t parameter_bytes; /* as stored; what a run touches */
    size_t file_bytes;      /* of all tensors, surplus ones included */
    struct {
        size_t count, bytes;
    } by_dtype[CR_DTYPE_COUNT];
    bool *surplus; /* one per store entry: recognised, not used */
    size_t n_surplus;
    size_t kv_bytes[CR_COUNT(contexts)];
    size_t kv_bytes_per_token;
};

/* ---- gathering ---------------------------------------------------------------------------------- */

static void count_parameters(struct report *r) {
    size_t n = cr_params_count(&r->config);
    for (size_t i = 0; i < n; i++) {
        struct cr_param_slot slot;
        cr_params_slot(&r->params, &r->config, i, &slot);
        size_t elements = 1;
        for (int d = 0; d < slot.n_dim; d++)
            elements *= slot.dim[d];
        r->n_parameters[slot.part] += elements;
        r->parameter_bytes += cr_tensor_bytes(slot.tensor);
        for (size_t e = 0; e < cr_store_count(r->store); e++)
            if (cr_store_at(r->store, e)->tensor.data == slot.tensor->data)
                r->surplus[e] = false;
    }
}

static void count_memory(struct report *r, const struct cr_common *c) {
    bool in_8_bits = c->dtype == CR_CHOOSE_AUTO && cr_store_is_packed(r->store);
    enum cr_dtype kv = c->dtype == CR_CHOOSE_F32 ? CR_F32 : in_8_bits ? CR_I8 : CR_BF16;
    r->kv_bytes_per_token = cr_kv_token_bytes(&r->config.text, kv);
    for (size_t i = 0; i < CR_COUNT(contexts); i++)
        r->kv_bytes[i] = contexts[i] * r->kv_bytes_per_token;
}

static enum critic_status gather(struct report *r, const char *path,
                                 const struct cr_common *c, critic_error *err) {
    CR_TRY(cr_store_open(&r->store, path, err));
    CR_TRY(cr_config_read(&r->config, r->store, err));
    CR_TRY(cr_arena_init(&r->arena, ARENA_BYTES, err));
    CR_TRY(cr_params_init(&r->params, &r->config, &r->arena, err));
    CR_TRY(cr_params_bind(&r->params, &r->config, r->store, err));
    size_t n = cr_store_count(r->store);
    r->surplus = cr_arena_calloc(&r->arena, n + 1, sizeof *r->surplus);
    if (!r->surplus)
        return cr_fail(err, CRITIC_NO_MEMORY, "out of memory");
    for (size_t i = 0; i < n; i++) {
        const struct cr_tensor *t = &cr_store_at(r->store, i)->tensor;
        r->by_dtype[t->dtype].count++;
        r->by_dtype[t->dtype].bytes += cr_tensor_bytes(t);
        r->file_bytes += cr_tensor_bytes(t);
        r->surplus[i] = true;
    }
    count_parameters(r);
    for (size_t i = 0; i < n; i++)
        r->n_surplus += r->surplus[i];
    count_memory(r, c);
    return CRITIC_OK;
}

/* ---- JSON ------------------------------------------------------------------------------------------ */

static json_t *whole(size_t n) {
    return json_integer((json_int_t)n);
}

static json_t *text_config(const struct cr_decoder_config *t) {
    return json_pack("{s:o,s:o,s:o,s:o,s:o,s:o,s:o,s:o,s:f,s:f,s:b}", "width",
                     whole(t->width), "layers", whole(t->n_layers), "heads",
                     whole(t->n_heads), "kv_heads", whole(t->n_kv_heads), "head_dim",
                     whole(t->head_dim), "ffn_width", whole(t->ffn_width), "vocab",
                     whole(t->vocab), "max_positions", whole(t->max_positions),
                     "rope_theta", t->rope_theta, "rms_eps", t->rms_eps, "tied",
                     (int)t->tied);
}

static json_t *template_list(const struct cr_template_names *t) {
    json_t *list = json_array();
    for (size_t i = 0; i < t->n; i++)
        json_array_append_new(list, json_string(t->name[i]));
    return list;
}

static json_t *vision_config(const struct cr_vision_config *v) {
    if (!v->present)
        return json_null();
    return json_pack("{s:o,s:o,s:o,s:o,s:o,s:o,s:f}", "width", whole(v->width), "layers",
                     whole(v->n_layers), "heads", whole(v->n_heads), "ffn_width",
                     whole(v->ffn_width), "image_px", whole(v->image_px), "patch_px",
                     whole(v->patch_px), "layer_norm_eps", v->layer_norm_eps);
}

static json_t *tensor_summary(const struct report *r) {
    json_t *by_dtype = json_object();
    for (int d = 0; d < CR_DTYPE_COUNT; d++)
        if (r->by_dtype[d].count > 0)
            json_object_set_new(by_dtype, cr_dtype_name((enum cr_dtype)d),
                                json_pack("{s:o,s:o}", "count",
                                          whole(r->by_dtype[d].count), "bytes",
                                          whole(r->by_dtype[d].bytes)));
    return json_pack("{s:o,s:o,s:o}", "count", whole(cr_store_count(r->store)), "bytes",
                     whole(r->file_bytes), "by_dtype", by_dtype);
}

static json_t *tensor_list(const struct report *r) {
    json_t *list = json_array();
    for (size_t i = 0; i < cr_store_count(r->store); i++) {
        const struct cr_store_entry *e = cr_store_at(r->store, i);
        json_t *shape = json_array();
        for (int d = 0; d < e->tensor.n_dim; d++)
            json_array_append_new(shape, whole(e->tensor.dim[d]));
        json_array_append_new(list,
                              json_pack("{s:s,s:s,s:s,s:s,s:o,s:b}", "name", e->name,
                                        "canonical", e->canonical, "file", e->file,
                                        "dtype", cr_dtype_name(e->tensor.dtype), "shape",
                                        shape, "surplus", (int)r->surplus[i]));
    }
    return list;
}

static json_t *memory_table(const struct report *r) {
    json_t *list = json_array();
    for (size_t i = 0; i < CR_COUNT(contexts); i++)
        json_array_append_new(
            list, json_pack("{s:o,s:o,s:o}", "tokens", whole(contexts[i]), "kv_bytes",
                            whole(r->kv_bytes[i]), "weights_and_kv_bytes",
                            whole(r->parameter_bytes + r->kv_bytes[i])));
    return json_pack("{s:o,s:o,s:o}", "weights_bytes", whole(r->parameter_bytes),
                     "kv_bytes_per_token", whole(r->kv_bytes_per_token), "contexts",
                     list);
}

static enum critic_status print_json(const struct report *r, const char *path,
                                     bool with_tensors, critic_error *err) {
    char hash[33];
    cr_store_hash(r->store, hash);
    json_t *parameters = json_object();
    size_t total = 0;
    for (size_t i = 0; i < CR_COUNT(part_names); i++) {
        json_object_set_new(parameters, part_names[i], whole(r->n_parameters[i]));
        total += r->n_parameters[i];
    }
    json_object_set_new(parameters, "total", whole(total));
    json_t *root = json_pack(
        "{s:s,s:s,s:s,s:o,s:o,s:o,s:o,s:o,s:o,s:o}", "path", path, "layout",
        layout_name(r->store), "model_hash", hash, "text", text_config(&r->config.text),
        "vision", vision_config(&r->config.vision), "templates",
        template_list(&r->config.templates), "parameters", parameters, "tensors",
        tensor_summary(r), "surplus", whole(r->n_surplus), "memory", memory_table(r));
    if (root && with_tensors)
        json_object_set_new(root, "tensor_list", tensor_list(r));
    return cr_print_json(root, err);
}

/* ---- text ---------------------------------------------------------------------------------------------- */

static void print_config(const struct cr_config *c) {
    const struct cr_decoder_config *t = &c->text;
    const struct cr_vision_config *v = &c->vision;
    printf("decoder    %zu layers, width %zu, %zu heads of %zu (%zu key/value), ffn %zu, "
           "vocabulary %zu%s, up to %zu tokens\n",
           t->n_layers, t->width, t->n_heads, t->head_dim, t->n_kv_heads, t->ffn_width,
           t->vocab, t->tied ? " (tied)" : "", t->max_positions);
    if (v->present)
        printf(
            "tower      %zu layers, width %zu, %zu heads, ffn %zu, %zu px in patches of "
            "%zu\n",
            v->n_layers, v->width, v->n_heads, v->ffn_width, v->image_px, v->patch_px);
    else
        printf("tower      none: reads no pictures\n");
    if (v->present && c->picture.aspect == CR_ASPECT_ANYRES) {
        printf("pictures   anyres, %zu canvases, ", c->picture.n_pinpoints);
        if (c->picture.max_tiles > 0)
            printf("at most %zu tiles before shrinking\n", c->picture.max_tiles);
        else
            printf("never shrunk\n");
    }
    for (size_t i = 0; i < c->templates.n; i++) {
        printf("%s", i == 0 ? "templates  " : ", ");
        cr_print_text(cr_str_of(c->templates.name[i]));
    }
    if (c->templates.n > 0)
        putchar('\n');
}

static void print_tensors(const struct report *r) {
    printf("\n");
    for (size_t i = 0; i < cr_store_count(r->store); i++) {
        const struct cr_store_entry *e = cr_store_at(r->store, i);
        printf("%-5s (", cr_dtype_name(e->tensor.dtype));
        for (int d = 0; d < e->tensor.n_dim; d++)
            printf("%s%zu", d ? ", " : "", e->tensor.dim[d]);
        printf(") ");
        cr_print_text(cr_str_of(e->name));
        printf("%s\n", r->surplus[i] ? "  (not used)" : "");
    }
}

static void print_text(const struct report *r, const char *path, bool with_tensors) {
    char hash[33];
    size_t total = 0;
    cr_store_hash(r->store, hash);
    printf("model      ");
    cr_print_text(cr_str_of(path));
    printf("\nlayout     %s\nhash       %s\n", layout_name(r->store), hash);
    print_config(&r->config);
    for (size_t i = 0; i < CR_COUNT(part_names); i++)
        total += r->n_parameters[i];
    printf("parameters %zu", total);
    for (size_t i = 0; i < CR_COUNT(part_names); i++)
        printf("%s %s %zu", i ? "," : ":", part_names[i], r->n_parameters[i]);
    printf("\ntensors    %zu, %s", cr_store_count(r->store),
           cr_size_text((double)r->file_bytes).text);
    for (int d = 0; d < CR_DTYPE_COUNT; d++)
        if (r->by_dtype[d].count > 0)
            printf("; %s %zu, %s", cr_dtype_name((enum cr_dtype)d), r->by_dtype[d].count,
                   cr_size_text((double)r->by_dtype[d].bytes).text);
    printf("\n");
    if (r->n_surplus > 0)
        printf("not used   %zu tensors that this network does without\n", r->n_surplus);
    printf("memory     weights %s, used in place from the file\n",
           cr_size_text((double)r->parameter_bytes).text);
    for (size_t i = 0; i < CR_COUNT(contexts); i++)
        printf("           %6zu tokens: %s of keys and values, %s in all\n", contexts[i],
               cr_size_text((double)r->kv_bytes[i]).text,
               cr_size_text((double)(r->kv_bytes[i] + r->parameter_bytes)).text);
    if (with_tensors)
        print_tensors(r);
}

/* ---- command --------------------------------------------------------------------------------------------- */

/* What the flag asks for is left out of `gather`: it reads gigabytes. */
static enum critic_status check(const struct report *r, const char *path,
                                critic_error *err) {
    if (!cr_store_is_packed(r->store))
        return cr_fail(err, CRITIC_BAD_ARGUMENT,
                       "%s: --check reads the hashes of a packed file, which this is not",
                       path);
    return cr_store_verify(r->store, err);
}

static enum critic_status run_parsed(const struct cr_common *c, const char *model,
                                     bool with_tensors, bool checks, critic_error *err) {
    struct report *r = calloc(1, sizeof *r);
    struct cr_buf path;
    cr_buf_init(&path, PATH_BYTES);
    enum critic_status status = r ? cr_model_path(model, &path, err)
                                  : cr_fail(err, CRITIC_NO_MEMORY, "out of memory");
    if (status == CRITIC_OK)
        status = gather(r, path.data, c, err);
    if (status == CRITIC_OK && checks)
        status = check(r, path.data, err);
    if (status == CRITIC_OK && c->json)
        status = print_json(r, path.data, with_tensors, err);
    else if (status == CRITIC_OK)
        print_text(r, path.data, with_tensors);
    if (r) {
        cr_store_close(r->store);
        cr_arena_fini(&r->arena);
    }
    free(r);
    cr_buf_fini(&path);
    return status;
}

int cr_cmd_inspect(int n_args, const char *const *args) {
    struct cr_common common;
    bool with_tensors = false, checks = false;
    critic_error err = {0};
    cr_common_init(&common);
    const struct cr_flag flags[] = {
        CR_MODEL_FLAG(common),
        {"tensors", 0, CR_FLAG_BOOL, &with_tensors, NULL, "list every tensor", 0, 0},
        {"check", 0, CR_FLAG_BOOL, &checks, NULL,
         "read all of a packed file and compare its hashes", 0, 0},
        {"dtype", 0, CR_FLAG_CHOICE, &common.dtype, "auto|f32|bf16",
         "precision that memory is computed for (auto: bf16)", 0, 0},
        CR_OUTPUT_FLAGS(common),
        CR_END_FLAGS};
    const struct cr_args_spec spec = {
        .command = "inspect",
        .usage = "MODEL",
        .about =
            "Reads a checkpoint, proves that every tensor is there with its shape, and "
            "says what\nit is and how much memory it needs. Nothing is computed.",
        .example = "critic inspect lmms-lab/llava-critic-7b\n"
                   "critic inspect model.gguf --tensors",
        .flags = flags,
        .max_positional = 1};
    struct cr_args parsed;
    int status = cr_command_begin(&parsed, &spec, n_args, args);
    if (status >= 0)
        return status;
    if (parsed.n_positional > 0 && common.model)
        status = cr_report(&(critic_error){.status = CRITIC_BAD_ARGUMENT,
                                           .message = "the model is given twice"});
    else
        status = cr_outcome(
            run_parsed(&common, parsed.n_positional ? parsed.positional[0] : common.model,
                       with_tensors, checks, &err),
            &err);
    return cr_command_end(&parsed, status);
}
