/* What the sub-commands share: the flags that mean the same everywhere, opening a model,
 * printing results and errors. A sub-command parses its flags, calls one function of the
 * library and prints. Results go to standard output, everything else to standard error. */
#ifndef CR_CLI_CLI_H
#define CR_CLI_CLI_H

#include <jansson.h>

#include "cli/args.h"
#include "image/image.h"

struct cr_engine;
struct cr_engine_opts;
struct cr_prompt;
struct cr_progress;

/* Exit statuses of the program beyond critic_status_exit. */
#define CR_EXIT_DONE   0
#define CR_EXIT_FAILED 1 /* done, but some item failed or a check did not hold */
#define CR_EXIT_USAGE  2
#define CR_EXIT_IO     4

/* Each returns the exit status; args as cr_args_parse wants them. */
int cr_cmd_judge(int n_args, const char *const *args);
int cr_cmd_generate(int n_args, const char *const *args);
int cr_cmd_forward(int n_args, const char *const *args);
int cr_cmd_tokenize(int n_args, const char *const *args);
int cr_cmd_train(int n_args, const char *const *args);
int cr_cmd_info(int n_args, const char *const *args);
int cr_cmd_inspect(int n_args, const char *const *args);
int cr_cmd_convert(int n_args, const char *const *args);
int cr_cmd_prefer(int n_args, const char *const *args);
int cr_cmd_align(int n_args, const char *const *args);
int cr_cmd_eval(int n_args, const char *const *args);
int cr_cmd_perplexity(int n_args, const char *const *args);
int cr_cmd_data(int n_args, const char *const *args);
int cr_cmd_bench(int n_args, const char *const *args);

/* The judge that is compiled in. */
#define CR_OWN_CRITIC "micro-critic"

/* ---- common flags ------------------------------------------------------------------------ */

enum cr_dtype_choice {
    CR_CHOOSE_AUTO,
    CR_CHOOSE_F32,
    CR_CHOOSE_BF16,
    CR_CHOOSE_INT8,
    CR_CHOOSE_Q4
};
enum cr_color { CR_COLOR_AUTO, CR_COLOR_ALWAYS, CR_COLOR_NEVER };

struct cr_common {
    const char *model;
    bool judges;    /* without a model: the embedded micro-critic */
    int dtype;      /* enum cr_dtype_choice */
    int kv_dtype;   /* enum cr_kv_type */
    int preprocess; /* enum cr_preprocess */
    size_t n_threads;
    const char *isa;
    bool deterministic;
    size_t context, cache_memory;
    const char *cache_dir;
    size_t cache_dir_size;
    struct cr_image_limits limits;
    bool json, quiet, verbose;
    int color;                    /* enum cr_color */
    struct cr_progress *progress; /* ticks while the engine works; may be NULL */
};

/* Fills the defaults. */
void cr_common_init(struct cr_common *c);

/* Rows for a flag table; `c` is a struct cr_common. */
#define CR_OUTPUT_FLAGS(c)                                                               \
    {"output and messages", 0, CR_FLAG_TITLE, 0, 0, 0, 0, 0},                            \
        {"json", 0, CR_FLAG_BOOL, &(c).json, NULL, "results as JSON", 0, 0},             \
        {"quiet", 'q', CR_FLAG_BOOL, &(c).quiet, NULL, "errors only", 0, 0},             \
        {"verbose", 'v', CR_FLAG_BOOL, &(c).verbose, NULL, "more about what happens",    \
         0,         0},                                                                  \
    {                                                                                    \
        "color", 0, CR_FLAG_CHOICE, &(c).color, "auto|always|never",                     \
            "auto: on a terminal, unless NO_COLOR is set", 0, 0                          \
    }
#define CR_MACHINE_FLAGS(c)                                                              \
    {"machine", 0, CR_FLAG_TITLE, 0, 0, 0, 0, 0},                                        \
        {"dtype",                                                                        \
         0,                                                                              \
         CR_FLAG_CHOICE,                                                                 \
         &(c).dtype,                                                                     \
         "auto|f32|bf16|int8|q4",                                                        \
         "precision of products; auto: bf16 where the machine multiplies it at speed; "  \
         "int8, q4: weights are quantised when the model is opened",                     \
         0,                                                                              \
         0},                                                                             \
        {"threads",                                                                      \
         't',                                                                            \
         CR_FLAG_SIZE,                                                                   \
         &(c).n_threads,                                                                 \
         "N",                                                                            \
         "threads; 0: as many as the process may use",                                   \
         0,                                                                              \
         1024},                                                                          \
        {"isa",       0,                                                                 \
         CR_FLAG_STR, &(c).isa,                                                          \
         "NAME",      "scalar, neon, avx2 or avx512; default: the best of this machine", \
         0,           0},                                                                \
    {                                                                                    \
        "deterministic", 0, CR_FLAG_BOOL, &(c).deterministic, NULL,                      \
            "same bits for any number of threads and any batch; this version always "    \
            "works so",                                                                  \
            0, 0                                                                         \
    }
#define CR_MODEL_FLAG_OF(c, usual)                                                       \
    {                                                                                    \
        "model", 'm', CR_FLAG_STR, &(c).model, "MODEL",                                  \
            "a checkpoint folder, a .gguf or .safetensors file, micro-critic, "          \
            "micro-base or micro-policy, or a hub id that is in the local cache; "       \
            "default: " usual,                                                           \
            0, 0                                                                         \
    }
#define CR_MODEL_FLAG(c)       CR_MODEL_FLAG_OF(c, "$CRITIC_MODEL")
#define CR_JUDGE_MODEL_FLAG(c) CR_MODEL_FLAG_OF(c, "$CRITIC_MODEL, else micro-critic")
/* Of commands that let a model write; same text whatever it is. */
#define CR_LOOKUP_FLAG(n, usual)                                                         \
    {                                                                                    \
        "lookup", 0, CR_FLAG_SIZE, &(n), "N",                                            \
            "guess up to N tokens a step from what prompt and answer said before; the "  \
            "same text, sooner where it repeats them (default " usual ")",               \
            0, 7                                                                         \
    }
/* Of commands that read and write, not of those that train. */
#define CR_KV_FLAG(c)                                                                    \
    {                                                                                    \
        "kv-dtype", 0, CR_FLAG_CHOICE, &(c).kv_dtype, "auto|f32|bf16|int8",              \
            "what keys and values are kept in; auto: f32 with --dtype f32, keys in 16 "  \
            "bits and values in 8 with int8 and q4, else bf16; f32 makes attention "     \
            "compute in f32, int8 takes 17 bytes where bf16 takes 32",                   \
            0, 0                                                                         \
    }
#define CR_PICTURE_FLAGS(c)                                                              \
    CR_KV_FLAG(c),                                                                       \
        {"preprocess",                                                                   \
         0,                                                                              \
         CR_FLAG_CHOICE,                                                                 \
         &(c).preprocess,                                                                \
         "auto|lmms|hf",                                                                 \
         "whose rounding of picture sizes; auto: as the checkpoint's layout",            \
         0,                                                                              \
         0},                                                                             \
        {"context",                                                                      \
         0,                                                                              \
         CR_FLAG_SIZE,                                                                   \
         &(c).context,                                                                   \
         "N",                                                                            \
         "most tokens of a prompt and its answer; 0: the model's own limit",             \
         0,                                                                              \
         1e9},                                                                           \
        {"cache-memory",                                                                 \
         0,                                                                              \
         CR_FLAG_BYTES,                                                                  \
         &(c).cache_memory,                                                              \
         "SIZE",                                                                         \
         "most memory for prompts that later ones may share, and as much again for "     \
         "features of pictures (default 1 GiB each)",                                    \
         0,                                                                              \
         0},                                                                             \
        {"cache-dir", 0,                                                                 \
         CR_FLAG_STR, &(c).cache_dir,                                                    \
         "DIR",       "keep features of pictures in this folder, for later runs, too",   \
         0,           0},                                                                \
        {"cache-dir-size",                                                               \
         0,                                                                              \
         CR_FLAG_BYTES,                                                                  \
         &(c).cache_dir_size,                                                            \
         "SIZE",                                                                         \
         "most bytes of them; the ones unused for longest go first (default 4 GiB)",     \
         0,                                                                              \
         0},                                                                             \
        {"max-image-px",                                                                 \
         0,                                                                              \
         CR_FLAG_SIZE,                                                                   \
         &(c).limits.max_px,                                                             \
         "N",                                                                            \
         "refuse pictures with more pixels (default 178956970)",                         \
         1,                                                                              \
         1e12},                                                                          \
    {                                                                                    \
        "max-image-bytes", 0, CR_FLAG_BYTES, &(c).limits.max_bytes, "SIZE",              \
            "refuse larger picture files (default 64M)", 1, 1e12                         \
    }
#define CR_END_FLAGS                                                                     \
    { 0 }

/* ---- models (open.c) ------------------------------------------------------------------------ */

/* The path that --model means: itself where it exists, else an embedded model's name, else a hub
 * id's snapshot in the local Hugging Face cache; without --model $CRITIC_MODEL. path is
 * initialised by the caller. Errors: CRITIC_BAD_ARGUMENT (no model named), CRITIC_BAD_FILE. */
enum critic_status cr_model_path(const char *model, struct cr_buf *path,
                                 critic_error *err);
struct cr_config; /* model/config.h */
/* The built-in templates that --judge-template names, in place of config's own; none: those stay.
 * Errors: CRITIC_BAD_ARGUMENT (there is none of that name, or too many). */
enum critic_status cr_judge_templates(const struct cr_strs *names,
                                      struct cr_config *config, critic_error *err);
/* The engine options that the common flags ask for; Ctrl-C cancels.
 * Errors: CRITIC_BAD_ARGUMENT, CRITIC_UNSUPPORTED. */
enum critic_status cr_common_engine_opts(struct cr_common *c, struct cr_engine_opts *opts,
                                         critic_error *err);
/* Both, and opens it. Where `judges` is set, none is named and $CRITIC_MODEL is not set either,
 * c->model becomes micro-critic, and standard error says so. */
enum critic_status cr_common_open(struct cr_common *c, struct cr_engine **out,
                                  critic_error *err);
/* Loads the pictures that --image named; *out is malloc'ed, n of them, freed by
 * cr_images_free. Errors: as cr_image_load; "-" may stand there once. */
enum critic_status cr_images_load(struct cr_image **out, const struct cr_strs *sources,
                                  const struct cr_image_limits *limits,
                                  critic_error *err);
void cr_images_free(struct cr_image *images, size_t n);

/* What the commands that take a free prompt share. */
struct cr_prompt_flags {
    struct cr_strs images;
    struct cr_str text, system;
    bool raw;
};

#define CR_PROMPT_FLAGS(p)                                                                 \
    {"image",     'i',    CR_FLAG_STRS,                                                    \
     &(p).images, "FILE", "a picture (JPEG, PNG, WebP; -: standard input); repeats",       \
     0,           0},                                                                      \
        {"prompt", 'p', CR_FLAG_TEXT, &(p).text, "TEXT", "what the user says", 0, 0},      \
        {"system",    0,      CR_FLAG_TEXT,                                                \
         &(p).system, "TEXT", "system text instead of the chat format's own; empty: none", \
         0,           0},                                                                  \
    {                                                                                      \
        "raw", 0, CR_FLAG_BOOL, &(p).raw, NULL,                                            \
            "the text is the final prompt: special tokens are parsed and each <image> "    \
            "takes the next picture",                                                      \
            0, 0                                                                           \
    }

/* Errors: CRITIC_BAD_ARGUMENT (no prompt; --raw with --system). */
enum critic_status cr_prompt_flags_check(const struct cr_prompt_flags *f,
                                         critic_error *err);
/* The finished prompt: pictures loaded, chat format applied unless raw.
 * Ownership: the caller frees *out. */
enum critic_status cr_prompt_from_flags(struct cr_prompt **out, struct cr_engine *engine,
                                        const struct cr_prompt_flags *f,
                                        const struct cr_image_limits *limits,
                                        critic_error *err);

/* ---- printing (output.c) ----------------------------------------------------------------------- */

/* Parses; prints --help where it is asked for. Returns -1 where the command is to go on, else
 * the exit status to end with (args are then released). */
int cr_command_begin(struct cr_args *args, const struct cr_args_spec *spec, int n_args,
                     const char *const *argv);
/* The end of what cr_command_begin let go on: releases args and flushes standard output; the
 * exit status, as cr_finish. */
int cr_command_end(struct cr_args *args, int exit_status);
/* "critic: MESSAGE" on standard error, one line whatever the message holds; the exit status. */
int cr_report(const critic_error *err);
/* The exit status of a call: CR_EXIT_DONE, or of cr_report where it failed. */
int cr_outcome(enum critic_status status, const critic_error *err);
/* Flushes standard output: `exit_status`, or 4 with a message where not all could be
 * written (a full disk, a closed descriptor). */
int cr_finish(int exit_status);
/* One JSON value and a newline on standard output; takes `value`, which may be NULL where
 * memory ran out while it was built. */
enum critic_status cr_print_json(json_t *value, critic_error *err);
/* The same with 15 digits, for statistics. */
enum critic_status cr_print_json_exact(json_t *value, critic_error *err);
/* Text on standard output; what a terminal would obey (escape sequences) is made visible. */
void cr_print_text(struct cr_str text);
/* Does standard output take colours? */
bool cr_use_color(int choice);
/* "1.5 GiB" */
struct cr_size_text {
    char text[24];
};
struct cr_size_text cr_size_text(double bytes);

#endif
