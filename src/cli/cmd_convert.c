/* critic convert: a checkpoint in another layout or precision. */
#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "cli/cli.h"
#include "convert/convert.h"

#define MAX_PATH_BYTES ((size_t)1 << 16)

struct convert_flags {
    struct cr_common common;
    int to, dtype;
    size_t max_shard_bytes;
    const char *model, *out, *merge_lora;
    struct cr_strs templates;
};

/* In the order of the choices of --dtype; the first keeps each tensor's own. */
static const enum cr_dtype dtypes[] = {CR_DTYPE_COUNT, CR_F32,  CR_F16,    CR_BF16,
                                       CR_Q8_0,        CR_Q4_0, CR_PANEL8, CR_PANEL4};

static enum critic_status print_result(const struct convert_flags *f,
                                       const struct cr_convert_result *r,
                                       critic_error *err) {
    if (f->common.json)
        return cr_print_json(json_pack("{s:s,s:I,s:I,s:I,s:I}", "out", f->out, "tensors",
                                       (json_int_t)r->n_tensors, "files",
                                       (json_int_t)r->n_files, "bytes",
                                       (json_int_t)r->bytes, "not_quantised",
                                       (json_int_t)r->n_not_quantised),
                             err);
    if (f->common.quiet)
        return CRITIC_OK;
    printf("%zu tensors, %s in %zu file%s, read back and found equal: ", r->n_tensors,
           cr_size_text((double)r->bytes).text, r->n_files, r->n_files == 1 ? "" : "s");
    cr_print_text(cr_str_of(f->out));
    putchar('\n');
    if (r->n_not_quantised > 0)
        printf("%zu matrices kept as they were: their width is no multiple of 32\n",
               r->n_not_quantised);
    return CRITIC_OK;
}

static enum critic_status convert(const struct convert_flags *f, const char *path,
                                  critic_error *err) {
    struct cr_store *store;
    struct cr_config config;
    struct cr_convert_result result;
    const struct cr_convert_options options = {.target = (enum cr_convert_target)f->to,
                                               .dtype = dtypes[f->dtype],
                                               .merge_lora = f->merge_lora,
                                               .max_shard_bytes = f->max_shard_bytes};
    CR_TRY(cr_file_apart(path, f->out, err));
    CR_TRY(cr_store_open(&store, path, err));
    enum critic_status status = cr_config_read(&config, store, err);
    if (status == CRITIC_OK)
        status = cr_judge_templates(&f->templates, &config, err);
    if (status == CRITIC_OK)
        status = cr_convert(store, &config, f->out, &options, &result, err);
    if (status == CRITIC_OK)
        status = print_result(f, &result, err);
    cr_store_close(store);
    return status;
}

static enum critic_status run_parsed(const struct convert_flags *f, critic_error *err) {
    struct cr_buf path;
    if (f->to < 0)
        return cr_fail(err, CRITIC_BAD_ARGUMENT,
                       "--to names the layout: safetensors-hf, safetensors-lmms, gguf or "
                       "packed");
    cr_buf_init(&path, MAX_PATH_BYTES);
    enum critic_status status = cr_model_path(f->model, &path, err);
    if (status == CRITIC_OK)
        status = convert(f, path.data, err);
    cr_buf_fini(&path);
    return status;
}

int cr_cmd_convert(int n_args, const char *const *args) {
    struct convert_flags f = {.to = -1};
    critic_error err = {0};
    cr_common_init(&f.common);
    const struct cr_flag flags[] = {
        {"to", 0, CR_FLAG_CHOICE, &f.to, "safetensors-hf|safetensors-lmms|gguf|packed",
         "layout of the result", 0, 0},
        {"dtype", 0, CR_FLAG_CHOICE, &f.dtype, "keep|f32|f16|bf16|q8_0|q4_0|int8|q4",
         "precision of the result (default keep; of packed int8); q8_0 and q4_0 for gguf "
         "only, int8 and q4 for packed only",
         0, 0},
        {"merge-lora", 0, CR_FLAG_STR, &f.merge_lora, "DIR",
         "add the PEFT adapter in DIR to the weights", 0, 0},
        {"judge-template", 0, CR_FLAG_STRS, &f.templates, "NAME",
         "a built-in template that this judge was tuned on, in place of those that the "
         "checkpoint names; repeats, the preferred first",
         0, 0},
        {"max-shard-bytes", 0, CR_FLAG_BYTES, &f.max_shard_bytes, "SIZE",
         "largest safetensors file (default 5e9 bytes)", 0, 0},
        CR_OUTPUT_FLAGS(f.common),
        CR_END_FLAGS};
    const struct cr_args_spec spec = {
        .command = "convert",
        .usage = "MODEL OUT --to LAYOUT [--dtype TYPE]",
        .about =
            "Writes a checkpoint in another layout or precision, and reads back what it "
            "wrote.\nOUT is a new folder, a .gguf file (a tower goes into mmproj-OUT "
            "beside it), or a\npacked file: quantised as --dtype int8 or q4 does, ready "
            "to be used without any work\nat opening.",
        .example =
            "critic convert ./llava-critic-7b critic.gguf --to gguf --dtype q8_0\n"
            "critic convert ./llava-critic-7b ./hf --to safetensors-hf --dtype bf16\n"
            "critic convert ./llava-critic-7b critic-7b.int8 --to packed",
        .flags = flags,
        .min_positional = 2,
        .max_positional = 2};
    struct cr_args parsed;
    int status = cr_command_begin(&parsed, &spec, n_args, args);
    if (status >= 0)
        return status;
    f.model = parsed.positional[0];
    f.out = parsed.positional[1];
    return cr_command_end(&parsed, cr_outcome(run_parsed(&f, &err), &err));
}
