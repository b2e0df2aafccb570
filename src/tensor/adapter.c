#include "tensor/adapter.h"

#include <math.h>
#include <string.h>

#include "base/file.h"
#include "io/json.h"
#include "tensor/names.h"

#define ARENA_BYTES ((size_t)256 << 20) /* address space */
#define MAX_CONFIG  ((size_t)1 << 20)

static const char half_a[] = ".lora_A.weight", half_b[] = ".lora_B.weight";

/* ---- configuration ---- */

static bool is_empty(const json_t *value) {
    return !value || json_is_null(value) || json_is_false(value) ||
           (json_is_object(value) && json_object_size(value) == 0) ||
           (json_is_array(value) && json_array_size(value) == 0);
}

static enum critic_status check_config(const json_t *root, const char *path,
                                       critic_error *err) {
    static const char *const refused[] = {"use_dora", "fan_in_fan_out", "alpha_pattern",
                                          "modules_to_save"};
    struct cr_str type = {"LORA", 4}, bias = {"none", 4};
    CR_TRY(cr_json_str(root, "peft_type", &type, path, err));
    CR_TRY(cr_json_str(root, "bias", &bias, path, err));
    if (!cr_str_eq_c(type, "LORA") || !cr_str_eq_c(bias, "none"))
        return cr_fail(
            err, CRITIC_UNSUPPORTED,
            "%s: 'peft_type' '%.40s' with 'bias' '%.40s'; expected LORA and none", path,
            type.data, bias.data);
    for (size_t i = 0; i < sizeof refused / sizeof refused[0]; i++)
        if (!is_empty(json_object_get(root, refused[i])))
            return cr_fail(err, CRITIC_UNSUPPORTED, "%s: '%s' is set; expected it empty",
                           path, refused[i]);
    return CRITIC_OK;
}

static enum critic_status read_config(struct cr_adapter *a, const char *path,
                                      critic_error *err) {
    json_t *root;
    CR_TRY(cr_json_read(&root, path, MAX_CONFIG, err));
    enum critic_status status = check_config(root, path, err);
    a->rank = 8; /* LoraConfig's defaults */
    a->alpha = 8;
    if (status == CRITIC_OK)
        status = cr_json_size(root, "r", 1, 65536, &a->rank, path, err);
    if (status == CRITIC_OK)
        status = cr_json_double(root, "lora_alpha", &a->alpha, path, err);
    if (status == CRITIC_OK)
        status = cr_json_double(root, "lora_dropout", &a->dropout, path, err);
    if (status == CRITIC_OK)
        status = cr_json_bool(root, "use_rslora", &a->by_root, path, err);
    if (status == CRITIC_OK && !(a->dropout >= 0 && a->dropout < 1))
        status = cr_fail(err, CRITIC_BAD_FILE,
                         "%s: 'lora_dropout' is %g; expected 0 or more, below 1", path,
                         a->dropout);
    json_decref(root);
    return status;
}

/* ---- tensors ---- */

static struct cr_tensor tensor_of(const struct cr_file_tensor *f) {
    struct cr_tensor t = {.data = (void *)(uintptr_t)f->data,
                          .dtype = f->dtype,
                          .n_dim = f->n_dim,
                          .name = f->name};
    for (int i = 0; i < f->n_dim; i++)
        t.dim[i] = f->dim[i];
    CR_ASSERT(cr_dtype_row_bytes(f->dtype, t.dim[t.n_dim - 1], &t.row_bytes));
    return t;
}

static bool ends_in(const char *name, const char *end) {
    size_t n = strlen(name), m = strlen(end);
    return n > m && strcmp(name + n - m, end) == 0;
}

/* "base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight" to its canonical linear. */
static enum critic_status linear_of(struct cr_adapter *a, const char *name,
                                    const char **out, critic_error *err) {
    static const char prefix[] = "base_model.model.";
    struct cr_buf canonical;
    cr_buf_init(&canonical, 1 << 12);
    if (strncmp(name, prefix, sizeof prefix - 1) == 0)
        name += sizeof prefix - 1;
    enum critic_status status = cr_name_from_safetensors(&canonical, name, err);
    *out = status == CRITIC_OK ? cr_arena_strndup(&a->arena, canonical.data,
                                                  canonical.len - (sizeof half_a - 1))
                               : NULL;
    cr_buf_fini(&canonical);
    if (status == CRITIC_OK && !*out)
        return cr_fail(err, CRITIC_NO_MEMORY, "out of memory for an adapter");
    return status;
}

static struct cr_adapter_term *term_of(struct cr_adapter *a, const char *linear) {
    for (size_t i = 0; i < a->n; i++)
        if (strcmp(a->terms[i].linear, linear) == 0)
            return &a->terms[i];
    a->terms[a->n] = (struct cr_adapter_term){.linear = linear};
    return &a->terms[a->n++];
}

static enum critic_status add_tensor(struct cr_adapter *a, const struct cr_file_tensor *f,
                                     const char *path, critic_error *err) {
    const char *linear;
    bool is_a = ends_in(f->name, half_a), is_b = ends_in(f->name, half_b);
    if (!is_a && !is_b)
        return cr_fail(err, CRITIC_UNSUPPORTED,
                       "%s: tensor '%s' is no lora_A or lora_B of a linear", path,
                       f->name);
    if (f->n_dim != 2 ||
        (f->dtype != CR_F32 && f->dtype != CR_F16 && f->dtype != CR_BF16))
        return cr_fail(err, CRITIC_BAD_MODEL,
                       "%s: tensor '%s' is no matrix of F32, F16 or BF16", path, f->name);
    CR_TRY(linear_of(a, f->name, &linear, err));
    struct cr_adapter_term *term = term_of(a, linear);
    *(is_a ? &term->a : &term->b) = tensor_of(f);
    return CRITIC_OK;
}

static enum critic_status read_terms(struct cr_adapter *a, const char *path,
                                     critic_error *err) {
    CR_TRY(cr_safetensors_open(&a->file, &a->arena, path, err));
    a->terms = cr_arena_calloc(&a->arena, a->file.n_tensors + 1, sizeof *a->terms);
    if (!a->terms)
        return cr_fail(err, CRITIC_NO_MEMORY, "%s: out of memory", path);
    for (size_t i = 0; i < a->file.n_tensors; i++)
        CR_TRY(add_tensor(a, &a->file.tensors[i], path, err));
    for (size_t i = 0; i < a->n; i++) {
        struct cr_adapter_term *t = &a->terms[i];
        if (!t->a.data || !t->b.data || t->a.dim[0] != t->b.dim[1] || t->a.dim[0] == 0)
            return cr_fail(err, CRITIC_BAD_MODEL,
                           "%s: '%s' lacks lora_A (R, K) or lora_B (N, R) of one rank",
                           path, t->linear);
        double r = (double)t->a.dim[0];
        t->scale = a->alpha / (a->by_root ? sqrt(r) : r);
    }
    if (a->n == 0)
        return cr_fail(err, CRITIC_BAD_MODEL, "%s: no lora_A and lora_B in it", path);
    return CRITIC_OK;
}

enum critic_status cr_adapter_open(struct cr_adapter *a, const char *dir,
                                   critic_error *err) {
    struct cr_buf path;
    enum critic_status status;
    memset(a, 0, sizeof *a);
    cr_buf_init(&path, 1 << 16);
    CR_TRY_GOTO(cr_arena_init(&a->arena, ARENA_BYTES, err));
    CR_TRY_GOTO(cr_path_join(&path, dir, "adapter_config.json", err));
    CR_TRY_GOTO(read_config(a, path.data, err));
    CR_TRY_GOTO(cr_path_join(&path, dir, "adapter_model.safetensors", err));
    CR_TRY_GOTO(read_terms(a, path.data, err));
fail:
    cr_buf_fini(&path);
    return status;
}

void cr_adapter_close(struct cr_adapter *a) {
    cr_safetensors_close(&a->file);
    cr_arena_fini(&a->arena);
    memset(a, 0, sizeof *a);
}

const struct cr_adapter_term *cr_adapter_find(const struct cr_adapter *a,
                                              const char *linear) {
    for (size_t i = 0; i < a->n; i++)
        if (strcmp(a->terms[i].linear, linear) == 0)
            return &a->terms[i];
    return NULL;
}
