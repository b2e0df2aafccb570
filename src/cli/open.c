#define _POSIX_C_SOURCE 200809L
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "base/file.h"
#include "cli/cli.h"
#include "cli/progress.h"
#include "cli/signals.h"
#include "engine/engine.h"
#include "judge/template.h"
#include "tensor/embedded.h"

#define MAX_PATH_BYTES ((size_t)1 << 16)
#define MAX_REF_BYTES  ((size_t)256)

void cr_common_init(struct cr_common *c) {
    memset(c, 0, sizeof *c);
    cr_image_limits_default(&c->limits);
}

/* ---- where a model lies ------------------------------------------------------------------ */

/* "org/name", both of the characters that hubs allow. */
static bool is_hub_id(const char *model) {
    static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                  "0123456789-_.";
    size_t org = strspn(model, allowed);
    if (org == 0 || model[org] != '/' || model[0] == '.')
        return false;
    size_t name = strspn(model + org + 1, allowed);
    return name > 0 && model[org + 1 + name] == '\0';
}

static const char *environment(const char *name) {
    const char *value = getenv(name);
    return value && *value ? value : NULL;
}

/* The hub's cache folder, as huggingface_hub looks for it. */
static enum critic_status cache_folder(struct cr_buf *out, critic_error *err) {
    const char *dir;
    if ((dir = environment("HF_HUB_CACHE")))
        return cr_buf_append_c(out, dir, err);
    if ((dir = environment("HF_HOME")))
        return cr_buf_printf(out, err, "%s/hub", dir);
    if ((dir = environment("XDG_CACHE_HOME")))
        return cr_buf_printf(out, err, "%s/huggingface/hub", dir);
    dir = environment("HOME");
    return cr_buf_printf(out, err, "%s/.cache/huggingface/hub", dir ? dir : "");
}

/* The revision that refs/main names, else the only one that is there; false: none. */
static bool find_revision(const char *repo, char revision[MAX_REF_BYTES + 1]) {
    struct cr_buf path, text;
    bool found = false;
    cr_buf_init(&path, MAX_PATH_BYTES);
    cr_buf_init(&text, MAX_REF_BYTES);
    if (cr_buf_printf(&path, NULL, "%s/refs/main", repo) == CRITIC_OK &&
        cr_file_read(path.data, &text, NULL) == CRITIC_OK && text.len > 0) {
        size_t n = strcspn(text.data, "\r\n/");
        memcpy(revision, text.data, n);
        revision[n] = '\0';
        found = n > 0;
    }
    cr_buf_clear(&path);
    DIR *dir = NULL;
    if (!found && cr_buf_printf(&path, NULL, "%s/snapshots", repo) == CRITIC_OK)
        dir = opendir(path.data);
    size_t n_revisions = 0;
    for (struct dirent *entry; dir && (entry = readdir(dir));) {
        if (entry->d_name[0] == '.' || strlen(entry->d_name) > MAX_REF_BYTES)
            continue;
        memcpy(revision, entry->d_name, strlen(entry->d_name) + 1);
        n_revisions++;
    }
    if (dir)
        closedir(dir);
    cr_buf_fini(&path);
    cr_buf_fini(&text);
    return found || n_revisions == 1;
}

static enum critic_status hub_path(const char *id, struct cr_buf *path,
                                   critic_error *err) {
    char revision[MAX_REF_BYTES + 1];
    CR_TRY(cache_folder(path, err));
    size_t cache_len = path->len;
    size_t org = strcspn(id, "/");
    CR_TRY(cr_buf_printf(path, err, "/models--%.*s--%s", (int)org, id, id + org + 1));
    if (find_revision(path->data, revision)) {
        CR_TRY(cr_buf_printf(path, err, "/snapshots/%s", revision));
        if (cr_file_exists(path->data))
            return CRITIC_OK;
    }
    return cr_fail(err, CRITIC_BAD_FILE,
                   "%s: no such path, and not in the hub cache %.*s; fetch it with "
                   "'hf download %s'",
                   id, (int)cache_len, path->data, id);
}

enum critic_status cr_judge_templates(const struct cr_strs *names,
                                      struct cr_config *config, critic_error *err) {
    if (names->n > 0)
        config->templates.n = 0;
    for (size_t i = 0; i < names->n; i++) {
        struct cr_template *t;
        CR_TRY(cr_template_open_builtin(&t, names->items[i].data, err));
        cr_template_free(t);
        CR_TRY(cr_config_add_template(config, names->items[i], "command line",
                                      "--judge-template", err));
    }
    return CRITIC_OK;
}

enum critic_status cr_model_path(const char *model, struct cr_buf *path,
                                 critic_error *err) {
    if (!model)
        model = environment("CRITIC_MODEL");
    if (!model)
        return cr_fail(err, CRITIC_BAD_ARGUMENT,
                       "no model named: give --model or set CRITIC_MODEL, for example to "
                       "the folder that 'hf download lmms-lab/llava-critic-7b' prints");
    struct cr_embedded embedded;
    if (cr_file_exists(model) || cr_embedded_find(model, &embedded))
        return cr_buf_append_c(path, model, err);
    if (is_hub_id(model))
        return hub_path(model, path, err);
    return cr_fail(err, CRITIC_BAD_FILE,
                   "%s: no such file or folder; expected a checkpoint folder, a .gguf or "
                   ".safetensors file, or a hub id such as lmms-lab/llava-critic-7b",
                   model);
}

/* ---- engine -------------------------------------------------------------------------------- */

static void log_line(void *user, int level, const char *line) {
    const struct cr_common *c = user;
    if (c->quiet || (level > 0 && !c->verbose))
        return;
    if (c->progress)
        cr_progress_clear(c->progress);
    fprintf(stderr, "%s\n", line);
}

/* Asked between chunks of a prompt and between tokens. */
static bool tick_and_cancelled(void *user) {
    const struct cr_common *c = user;
    if (c->progress)
        cr_progress_tick(c->progress);
    return cr_cancelled(NULL);
}

enum critic_status cr_common_engine_opts(struct cr_common *c, struct cr_engine_opts *opts,
                                         critic_error *err) {
    cr_engine_opts_default(opts);
    switch (c->dtype) {
    case CR_CHOOSE_F32:
        opts->exec.compute = CR_COMPUTE_F32;
        break;
    case CR_CHOOSE_BF16:
        opts->exec.compute = CR_COMPUTE_BF16;
        break;
    case CR_CHOOSE_INT8:
        opts->weights = CR_WEIGHTS_INT8;
        break;
    case CR_CHOOSE_Q4:
        opts->weights = CR_WEIGHTS_Q4;
        break;
    default:
        break; /* auto */
    }
    if (c->isa && !cr_isa_parse(c->isa, &opts->exec.isa))
        return cr_fail(err, CRITIC_BAD_ARGUMENT,
                       "--isa '%.40s' is not one of scalar, neon, avx2, avx512", c->isa);
    if (c->isa && !cr_isa_available(opts->exec.isa))
        return cr_fail(err, CRITIC_BAD_ARGUMENT,
                       "--isa %s: not of this machine; the best it can run is %s", c->isa,
                       cr_isa_name(cr_isa_best()));
    opts->kv_type = (enum cr_kv_type)c->kv_dtype;
    opts->exec.n_threads = (int)c->n_threads;
    opts->preprocess = (enum cr_preprocess)c->preprocess;
    opts->image_limits = c->limits;
    opts->context = c->context;
    opts->cache_bytes = c->cache_memory;
    opts->cache_dir = c->cache_dir;
    opts->cache_dir_bytes = c->cache_dir_size;
    opts->log = log_line;
    opts->log_user = c;
    opts->cancel = tick_and_cancelled;
    opts->cancel_user = c;
    return CRITIC_OK;
}

static void take_own_critic(struct cr_common *c) {
    struct cr_embedded embedded;
    if (!cr_embedded_find(CR_OWN_CRITIC, &embedded))
        return;
    c->model = CR_OWN_CRITIC;
    if (!c->quiet)
        fprintf(stderr, "no --model given: judging with " CR_OWN_CRITIC
                        ", which is made for the micro world's pictures only\n");
}

enum critic_status cr_common_open(struct cr_common *c, struct cr_engine **out,
                                  critic_error *err) {
    struct cr_engine_opts opts;
    struct cr_buf path;
    *out = NULL;
    CR_TRY(cr_common_engine_opts(c, &opts, err));
    if (!c->model && c->judges && !environment("CRITIC_MODEL"))
        take_own_critic(c);
    cr_buf_init(&path, MAX_PATH_BYTES);
    enum critic_status status = cr_model_path(c->model, &path, err);
    if (status == CRITIC_OK)
        status = cr_engine_open(out, path.data, &opts, err);
    cr_buf_fini(&path);
    return status;
}

/* ---- pictures --------------------------------------------------------------------------------- */

enum critic_status cr_images_load(struct cr_image **out, const struct cr_strs *sources,
                                  const struct cr_image_limits *limits,
                                  critic_error *err) {
    bool has_stdin = false;
    *out = NULL;
    if (sources->n == 0)
        return CRITIC_OK;
    struct cr_image *images = calloc(sources->n, sizeof *images);
    if (!images)
        return cr_fail(err, CRITIC_NO_MEMORY, "out of memory");
    for (size_t i = 0; i < sources->n; i++) {
        const char *source = sources->items[i].data;
        bool is_stdin = strcmp(source, "-") == 0;
        enum critic_status status =
            is_stdin && has_stdin
                ? cr_fail(err, CRITIC_BAD_ARGUMENT, "--image - is given twice")
                : cr_image_load(&images[i], source, limits, err);
        if (status != CRITIC_OK) {
            cr_images_free(images, sources->n);
            return status;
        }
        has_stdin |= is_stdin;
    }
    *out = images;
    return CRITIC_OK;
}

void cr_images_free(struct cr_image *images, size_t n) {
    for (size_t i = 0; images && i < n; i++)
        cr_image_free(&images[i]);
    free(images);
}

/* ---- prompts ------------------------------------------------------------------------------------ */

enum critic_status cr_prompt_flags_check(const struct cr_prompt_flags *f,
                                         critic_error *err) {
    if (!f->text.data)
        return cr_fail(err, CRITIC_BAD_ARGUMENT,
                       "no prompt: give --prompt or --prompt-file");
    if (f->raw && f->system.data)
        return cr_fail(err, CRITIC_BAD_ARGUMENT,
                       "--raw takes the text as it is: leave out --system");
    return CRITIC_OK;
}

enum critic_status cr_prompt_from_flags(struct cr_prompt **out, struct cr_engine *engine,
                                        const struct cr_prompt_flags *f,
                                        const struct cr_image_limits *limits,
                                        critic_error *err) {
    struct cr_image *images;
    size_t n = f->images.n;
    *out = NULL;
    CR_TRY(cr_images_load(&images, &f->images, limits, err));
    enum critic_status status = cr_prompt_new(out, engine, err);
    if (status == CRITIC_OK && f->raw)
        status = cr_prompt_raw(*out, f->text, images, n, err);
    else if (status == CRITIC_OK)
        status = cr_prompt_chat(*out, images, n, f->system, f->text, err);
    if (status == CRITIC_OK)
        status = cr_prompt_finish(*out, err);
    cr_images_free(images, n);
    if (status != CRITIC_OK) {
        cr_prompt_free(*out);
        *out = NULL;
    }
    return status;
}
