#include "train/checkpoint.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "base/dir.h"
#include "io/json.h"
#include "io/safetensors.h"
#include "train/tensor_file.h"

#define MAX_FILE_BYTES ((size_t)128 << 20)
#define MAX_PATH_BYTES ((size_t)1 << 16)

/* ---- tensors to write ---- */

static const struct cr_train_tensor *trained(const struct cr_net *net,
                                             const char *canonical) {
    for (size_t i = 0; i < net->n_tensors; i++)
        if (strcmp(net->tensors[i].name, canonical) == 0)
            return &net->tensors[i];
    return NULL;
}

/* Masters, or their running average. */
static const float *values(const struct cr_train_tensor *t, bool average) {
    return average ? t->e : t->w;
}

static bool is_head(const struct cr_train_tensor *t) {
    return strncmp(t->name, "label_head.", 11) == 0;
}

/* The model's tensors: what is trained from its masters, the rest as it was read (from nothing:
 * the masters too, frozen or not). */
static enum critic_status model_pieces(const struct cr_net *net, bool average,
                                       struct cr_tensor_file *p, critic_error *err) {
    p->store = net->store;
    for (size_t i = 0; net->store && i < cr_store_count(net->store); i++) {
        const struct cr_store_entry *e = cr_store_at(net->store, i);
        const struct cr_train_tensor *t = trained(net, e->canonical);
        CR_TRY(t ? cr_tensor_file_f32(p, "", t->saved, t, values(t, average),
                                      net->opts.save, err)
                 : cr_tensor_file_raw(p, e->name, &e->tensor, err));
    }
    if (net->store)
        return CRITIC_OK;
    for (size_t i = 0; i < net->n_tensors; i++)
        if (!is_head(&net->tensors[i]))
            CR_TRY(cr_tensor_file_f32(p, "", net->tensors[i].saved, &net->tensors[i],
                                      values(&net->tensors[i], average), net->opts.save,
                                      err));
    for (size_t i = 0; i < net->n_fixed; i++)
        CR_TRY(cr_tensor_file_f32(p, "", net->fixed[i].saved, &net->fixed[i],
                                  net->fixed[i].w, net->opts.save, err));
    return CRITIC_OK;
}

static enum critic_status head_pieces(const struct cr_net *net, bool average,
                                      struct cr_tensor_file *p, critic_error *err) {
    for (size_t i = 0; i < net->n_tensors; i++)
        if (is_head(&net->tensors[i]))
            CR_TRY(cr_tensor_file_f32(p, "", net->tensors[i].name, &net->tensors[i],
                                      values(&net->tensors[i], average), CR_F32, err));
    return CRITIC_OK;
}

static enum critic_status state_pieces(const struct cr_net *net, bool average,
                                       struct cr_tensor_file *p, critic_error *err) {
    (void)average;
    for (size_t i = 0; i < net->n_tensors; i++) {
        const struct cr_train_tensor *t = &net->tensors[i];
        CR_TRY(cr_tensor_file_f32(p, "w.", t->name, t, t->w, CR_F32, err));
        CR_TRY(cr_tensor_file_f32(p, "m.", t->name, t, t->m, CR_F32, err));
        if (t->v)
            CR_TRY(cr_tensor_file_f32(p, "v.", t->name, t, t->v, CR_F32, err));
        if (t->e)
            CR_TRY(cr_tensor_file_f32(p, "e.", t->name, t, t->e, CR_F32, err));
    }
    return CRITIC_OK;
}

static enum critic_status adapter_pieces(const struct cr_net *net, bool average,
                                         struct cr_tensor_file *p, critic_error *err) {
    for (size_t i = 0; i < net->n_tensors; i++)
        if (!is_head(&net->tensors[i]))
            CR_TRY(cr_tensor_file_f32(p, "", net->tensors[i].saved, &net->tensors[i],
                                      values(&net->tensors[i], average), net->opts.save,
                                      err));
    return CRITIC_OK;
}

typedef enum critic_status pieces_fn(const struct cr_net *net, bool average,
                                     struct cr_tensor_file *p, critic_error *err);

static enum critic_status write_file_of(const struct cr_net *net, bool average,
                                        pieces_fn *collect, const char *dir,
                                        const char *name, critic_error *err) {
    struct cr_tensor_file p = {0};
    struct cr_buf path;
    enum critic_status status;
    cr_buf_init(&path, MAX_PATH_BYTES);
    CR_TRY_GOTO(cr_path_join(&path, dir, name, err));
    CR_TRY_GOTO(collect(net, average, &p, err));
    if (p.n > 0)
        CR_TRY_GOTO(cr_tensor_file_write(&p, path.data, err));
fail:
    cr_tensor_file_fini(&p);
    cr_buf_fini(&path);
    return status;
}

/* ---- other files ---- */

static enum critic_status write_text(const char *dir, const char *name,
                                     struct cr_str text, critic_error *err) {
    struct cr_buf path;
    cr_buf_init(&path, MAX_PATH_BYTES);
    enum critic_status status = cr_path_join(&path, dir, name, err);
    if (status == CRITIC_OK)
        status = cr_file_write_text(path.data, text, err);
    cr_buf_fini(&path);
    return status;
}

/* config.json with the judge templates of this run. */
static enum critic_status name_templates(const struct cr_template_names *t,
                                         struct cr_buf *text, critic_error *err) {
    json_t *root = json_loadb(text->data, text->len, 0, NULL), *names = json_array();
    for (size_t i = 0; i < t->n; i++)
        json_array_append_new(names, json_string(t->name[i]));
    char *out = NULL;
    if (json_array_size(names) == t->n &&
        json_object_set(root, "critic_templates", names) == 0)
        out = json_dumps(root, JSON_INDENT(2));
    json_decref(names);
    json_decref(root);
    if (!out)
        return cr_fail(err, CRITIC_NO_MEMORY, "out of memory for the configuration");
    cr_buf_clear(text);
    enum critic_status status = cr_buf_printf(text, err, "%s\n", out);
    free(out);
    return status;
}

static enum critic_status copy_files(const struct cr_net *net, const char *dir,
                                     critic_error *err) {
    static const char *const names[] = {"config.json",
                                        "generation_config.json",
                                        "processor_config.json",
                                        "preprocessor_config.json",
                                        "tokenizer.json",
                                        "tokenizer_config.json",
                                        "vocab.json",
                                        "merges.txt",
                                        "added_tokens.json",
                                        "special_tokens_map.json",
                                        "chat_template.jinja",
                                        "chat_template.json"};
    struct cr_buf path, text;
    enum critic_status status = CRITIC_OK;
    cr_buf_init(&path, MAX_PATH_BYTES);
    cr_buf_init(&text, MAX_FILE_BYTES);
    for (size_t i = 0; i < CR_COUNT(names); i++) {
        CR_TRY_GOTO(cr_path_join(&path, net->dir, names[i], err));
        if (!cr_file_exists(path.data))
            continue;
        cr_buf_clear(&text);
        CR_TRY_GOTO(cr_file_read(path.data, &text, err));
        if (i == 0 && net->opts.templates.n > 0)
            CR_TRY_GOTO(name_templates(&net->opts.templates, &text, err));
        CR_TRY_GOTO(write_text(dir, names[i], cr_buf_str(&text), err));
    }
fail:
    cr_buf_fini(&path);
    cr_buf_fini(&text);
    return status;
}

static enum critic_status write_state(const char *dir, const struct cr_run_state *s,
                                      critic_error *err) {
    struct cr_buf text;
    cr_buf_init(&text, MAX_FILE_BYTES);
    enum critic_status status = cr_buf_printf(
        &text, err,
        "{\"step\": %zu, \"tokens\": %llu, \"samples\": %llu, \"data\": \"%s\",\n"
        "\"version\": \"%s\", \"options\": %s}\n",
        s->step, (unsigned long long)s->n_tokens, (unsigned long long)s->n_samples,
        s->data, critic_version(), s->options);
    if (status == CRITIC_OK)
        status = write_text(dir, "trainer.json", cr_buf_str(&text), err);
    cr_buf_fini(&text);
    return status;
}

/* What is not the trainer's own: the model, or the adapter in PEFT's layout; weights last. */
static enum critic_status write_model(const struct cr_net *net, bool average,
                                      const char *dir, critic_error *err) {
    CR_TRY(write_file_of(net, average, head_pieces, dir, "label_heads.safetensors", err));
    if (net->lora.n == 0) {
        CR_TRY(copy_files(net, dir, err));
        return write_file_of(net, average, model_pieces, dir, "model.safetensors", err);
    }
    struct cr_buf text;
    cr_buf_init(&text, MAX_FILE_BYTES);
    enum critic_status status =
        cr_lora_set_config(&net->lora, net->opts.model, &text, err);
    if (status == CRITIC_OK)
        status = write_text(dir, "adapter_config.json", cr_buf_str(&text), err);
    cr_buf_fini(&text);
    if (status != CRITIC_OK)
        return status;
    return write_file_of(net, average, adapter_pieces, dir, "adapter_model.safetensors",
                         err);
}

/* ---- the run's folder ---- */

static const char stem[] = "checkpoint-";

/* Step of "checkpoint-N"; 0 for any other name. */
static size_t step_of(const char *name) {
    char *end;
    if (strncmp(name, stem, sizeof stem - 1) != 0)
        return 0;
    const char *digits = name + sizeof stem - 1;
    unsigned long long n =
        digits[0] >= '1' && digits[0] <= '9' ? strtoull(digits, &end, 10) : 0;
    return n > 0 && *end == '\0' ? (size_t)n : 0;
}

static enum critic_status dir_of(struct cr_buf *path, const char *run, size_t step,
                                 critic_error *err) {
    cr_buf_clear(path);
    return cr_buf_printf(path, err, "%s/%s%zu", run, stem, step);
}

static void remove_checkpoint(const char *run, size_t step) {
    struct cr_buf from, to;
    cr_buf_init(&from, MAX_PATH_BYTES);
    cr_buf_init(&to, MAX_PATH_BYTES);
    /* Under another name first: a checkpoint that is half gone must not look like one. */
    if (dir_of(&from, run, step, NULL) == CRITIC_OK &&
        cr_buf_printf(&to, NULL, "%s.tmp-old", from.data) == CRITIC_OK &&
        cr_file_rename(from.data, to.data, NULL) == CRITIC_OK)
        cr_dir_remove(to.data);
    cr_buf_fini(&from);
    cr_buf_fini(&to);
}

static enum critic_status keep_last(const char *run, size_t keep, critic_error *err) {
    struct cr_buf names;
    cr_buf_init(&names, (size_t)16 << 20);
    enum critic_status status = cr_dir_list(&names, run, err);
    for (bool more = status == CRITIC_OK; more;) {
        size_t n = 0, oldest = SIZE_MAX;
        for (const char *p = cr_dir_next(&names, NULL); p; p = cr_dir_next(&names, p))
            if (step_of(p) > 0) {
                n++;
                oldest = CR_MIN(oldest, step_of(p));
            }
        more = n > keep;
        if (more)
            remove_checkpoint(run, oldest);
        if (more)
            status = cr_dir_list(&names, run, err);
        more = more && status == CRITIC_OK;
    }
    cr_buf_fini(&names);
    return status;
}

/* What a writer that was killed leaves beside the names it had not reached. */
static bool is_leftover(const char *name) {
    static const char *const stems[] = {stem,
                                        "report.html",
                                        "metrics.jsonl",
                                        "model.safetensors",
                                        "label_heads.safetensors",
                                        "adapter_"};
    for (size_t i = 0; i < CR_COUNT(stems); i++)
        if (strncmp(name, stems[i], strlen(stems[i])) == 0 && strstr(name, ".tmp-"))
            return true;
    return false;
}

enum critic_status cr_checkpoint_newest(const char *run, size_t *step,
                                        critic_error *err) {
    struct cr_buf names, path;
    cr_buf_init(&names, (size_t)16 << 20);
    cr_buf_init(&path, MAX_PATH_BYTES);
    *step = 0;
    enum critic_status status =
        cr_dir_exists(run) ? cr_dir_list(&names, run, err) : CRITIC_OK;
    for (const char *p = cr_dir_next(&names, NULL); p && status == CRITIC_OK;
         p = cr_dir_next(&names, p)) {
        *step = CR_MAX(*step, step_of(p));
        if (is_leftover(p)) {
            status = cr_path_join(&path, run, p, err);
            if (status == CRITIC_OK && cr_dir_exists(path.data))
                cr_dir_remove(path.data);
            else if (status == CRITIC_OK)
                (void)remove(path.data);
        }
    }
    cr_buf_fini(&names);
    cr_buf_fini(&path);
    return status;
}

static enum critic_status write_all(const struct cr_net *net, const char *dir,
                                    const struct cr_run_state *state, critic_error *err) {
    CR_TRY(write_file_of(net, false, state_pieces, dir, "trainer.safetensors", err));
    CR_TRY(write_state(dir, state, err));
    return write_model(net, false, dir, err);
}

enum critic_status cr_checkpoint_write(const struct cr_net *net, const char *run,
                                       const struct cr_run_state *state, size_t keep,
                                       critic_error *err) {
    struct cr_out_dir dir = {0};
    struct cr_buf path;
    enum critic_status status;
    cr_buf_init(&path, MAX_PATH_BYTES);
    CR_TRY_GOTO(cr_dir_make(run, err));
    CR_TRY_GOTO(dir_of(&path, run, state->step, err));
    if (cr_dir_exists(path.data)) /* of a run that was resumed from an older one */
        remove_checkpoint(run, state->step);
    CR_TRY_GOTO(cr_out_dir_open(&dir, path.data, err));
    CR_TRY_GOTO(write_all(net, dir.temporary, state, err));
    CR_TRY_GOTO(cr_out_dir_commit(&dir, err));
    if (keep > 0)
        CR_TRY_GOTO(keep_last(run, keep, err));
fail:
    cr_out_dir_abort(&dir);
    cr_buf_fini(&path);
    return status;
}

enum critic_status cr_checkpoint_finish(const struct cr_net *net, const char *run,
                                        critic_error *err) {
    CR_TRY(cr_dir_make(run, err));
    if (net->n_tensors > 0 && net->tensors[0].e) {
        struct cr_buf path;
        cr_buf_init(&path, MAX_PATH_BYTES);
        enum critic_status status = cr_path_join(&path, run, "ema", err);
        if (status == CRITIC_OK)
            status = cr_dir_make(path.data, err);
        if (status == CRITIC_OK)
            status = write_model(net, true, path.data, err);
        cr_buf_fini(&path);
        if (status != CRITIC_OK)
            return status;
    }
    return write_model(net, false, run, err);
}

/* ---- reading ---- */

static enum critic_status copy_tensor(const struct cr_safetensors *file, const char *path,
                                      const char *prefix, const struct cr_train_tensor *t,
                                      float *out, critic_error *err) {
    char name[128];
    snprintf(name, sizeof name, "%s%s", prefix, t->name);
    const struct cr_file_tensor *found = cr_safetensors_find(file, name);
    size_t bytes = t->rows * t->cols * sizeof *out;
    if (!found || found->dtype != CR_F32 || found->bytes != bytes)
        return cr_fail(err, CRITIC_BAD_FILE,
                       "%s: tensor '%s' is missing or has another shape", path, name);
    memcpy(out, found->data, bytes);
    return CRITIC_OK;
}

static enum critic_status read_tensors(struct cr_net *net, const char *path,
                                       critic_error *err) {
    struct cr_safetensors file;
    struct cr_arena arena;
    CR_TRY(cr_arena_init(&arena, (size_t)1 << 30, err));
    enum critic_status status = cr_safetensors_open(&file, &arena, path, err);
    for (size_t i = 0; i < net->n_tensors && status == CRITIC_OK; i++) {
        struct cr_train_tensor *t = &net->tensors[i];
        status = copy_tensor(&file, path, "w.", t, t->w, err);
        if (status == CRITIC_OK)
            status = copy_tensor(&file, path, "m.", t, t->m, err);
        if (status == CRITIC_OK && t->v)
            status = copy_tensor(&file, path, "v.", t, t->v, err);
        if (status == CRITIC_OK && t->e)
            status = copy_tensor(&file, path, "e.", t, t->e, err);
    }
    cr_safetensors_close(&file);
    cr_arena_fini(&arena);
    cr_optim_refresh(net->tensors, net->n_tensors, net->exec);
    return status;
}

/* The first key whose value differs. */
static enum critic_status compare_options(const json_t *was, const char *options,
                                          const char *path, critic_error *err) {
    json_t *is;
    const char *key;
    json_t *value;
    CR_TRY(cr_json_parse(&is, options, strlen(options), "options", err));
    enum critic_status status = CRITIC_OK;
    json_object_foreach(is, key, value) {
        const json_t *other = json_object_get(was, key);
        if (status != CRITIC_OK || (other && json_equal(other, value)))
            continue;
        char *a = other ? json_dumps(other, JSON_ENCODE_ANY) : NULL;
        char *b = json_dumps(value, JSON_ENCODE_ANY);
        status = cr_fail(err, CRITIC_BAD_DATA,
                         "%s: the run had --%s %.80s, now it is %.80s; expected the same",
                         path, key, a ? a : "(not set)", b ? b : "?");
        free(a);
        free(b);
    }
    json_decref(is);
    return status;
}

static enum critic_status read_state(const char *path, struct cr_run_state *s,
                                     critic_error *err) {
    json_t *root;
    size_t step = 0, tokens = 0, samples = 0;
    struct cr_str data = {"", 0};
    CR_TRY(cr_json_read(&root, path, MAX_FILE_BYTES, err));
    enum critic_status status;
    const size_t most = (size_t)1 << 52;
    CR_TRY_GOTO(cr_json_size(root, "step", 1, most, &step, path, err));
    CR_TRY_GOTO(cr_json_size(root, "tokens", 0, most, &tokens, path, err));
    CR_TRY_GOTO(cr_json_size(root, "samples", 0, most, &samples, path, err));
    CR_TRY_GOTO(cr_json_str(root, "data", &data, path, err));
    CR_TRY_GOTO(compare_options(json_object_get(root, "options"), s->options, path, err));
    if (!cr_str_eq_c(data, s->data))
        status = cr_fail(err, CRITIC_BAD_DATA,
                         "%s: the run was trained on other data; expected the same files",
                         path);
    s->step = step;
    s->n_tokens = tokens;
    s->n_samples = samples;
fail:
    json_decref(root);
    return status;
}

enum critic_status cr_checkpoint_read(struct cr_net *net, const char *run, size_t step,
                                      struct cr_run_state *state, critic_error *err) {
    struct cr_buf dir, path;
    enum critic_status status;
    cr_buf_init(&dir, MAX_PATH_BYTES);
    cr_buf_init(&path, MAX_PATH_BYTES);
    CR_TRY_GOTO(dir_of(&dir, run, step, err));
    CR_TRY_GOTO(cr_path_join(&path, dir.data, "trainer.json", err));
    CR_TRY_GOTO(read_state(path.data, state, err));
    CR_TRY_GOTO(cr_path_join(&path, dir.data, "trainer.safetensors", err));
    CR_TRY_GOTO(read_tensors(net, path.data, err));
fail:
    cr_buf_fini(&dir);
    cr_buf_fini(&path);
    return status;
}

enum critic_status cr_checkpoint_heads(struct cr_net *net, const char *dir, size_t *found,
                                       critic_error *err) {
    struct cr_safetensors file = {0};
    struct cr_arena arena;
    struct cr_buf path;
    *found = 0;
    cr_buf_init(&path, MAX_PATH_BYTES);
    CR_TRY(cr_arena_init(&arena, (size_t)64 << 20, err));
    enum critic_status status = cr_path_join(&path, dir, "label_heads.safetensors", err);
    if (status == CRITIC_OK && cr_file_exists(path.data))
        status = cr_safetensors_open(&file, &arena, path.data, err);
    for (size_t i = 0; i < net->n_tensors && status == CRITIC_OK; i++) {
        const struct cr_train_tensor *t = &net->tensors[i];
        if (file.n_tensors > 0 && is_head(t) &&
            copy_tensor(&file, path.data, "", t, t->w, NULL) == CRITIC_OK)
            ++*found;
    }
    cr_safetensors_close(&file);
    cr_arena_fini(&arena);
    cr_buf_fini(&path);
    return status;
}
