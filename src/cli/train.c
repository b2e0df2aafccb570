/* critic train: what its sub-commands share. */
#include "cli/train.h"

#include <omp.h>
#include <stdio.h>
#include <string.h>

#include "base/checked.h"
#include "base/cpu.h"
#include "base/dir.h"
#include "base/file.h"
#include "cli/signals.h"
#include "convert/convert.h"
#include "tensor/embedded.h"

#define MAX_PATH_BYTES ((size_t)1 << 16)

void cr_train_flags_init(struct cr_train_flags *f) {
    struct cr_loop_opts o;
    memset(f, 0, sizeof *f);
    cr_common_init(&f->common);
    cr_loop_opts_default(&o);
    f->batch = o.batch;
    f->accumulate = o.accumulate;
    f->warmup = o.schedule.warmup;
    f->epochs = o.epochs;
    f->warmup_ratio = o.warmup_ratio;
    f->decay_from = o.schedule.decay_from;
    f->lr = o.optim.lr[CR_PART_DECODER];
    f->lr_tower = f->lr_projector = -1;
    f->beta1 = o.optim.beta1;
    f->beta2 = o.optim.beta2;
    f->eps = o.optim.eps;
    f->momentum = o.optim.momentum;
    f->clip = o.optim.clip;
    f->log_every = o.log_every;
    f->save_every = o.save_every;
    f->keep = o.keep;
    f->keep_pictures = (size_t)1 << 30;
}

static enum critic_status read_freeze(const struct cr_train_flags *f, bool frozen[3],
                                      critic_error *err) {
    static const struct {
        const char *name;
        enum cr_param_part part;
    } parts[] = {{"decoder", CR_PART_DECODER},
                 {"projector", CR_PART_PROJECTOR},
                 {"tower", CR_PART_TOWER}};
    for (size_t i = 0; i < f->freeze.n; i++) {
        size_t p = 0;
        while (p < CR_COUNT(parts) && !cr_str_eq_c(f->freeze.items[i], parts[p].name))
            p++;
        if (p == CR_COUNT(parts))
            return cr_fail(err, CRITIC_BAD_ARGUMENT,
                           "--freeze '%.40s'; expected tower, projector or decoder",
                           f->freeze.items[i].data);
        frozen[parts[p].part] = true;
    }
    return CRITIC_OK;
}

static enum critic_status unpack(const char *name, const char *folder,
                                 critic_error *err) {
    static const struct cr_convert_options options = {.target = CR_CONVERT_LMMS,
                                                      .dtype = CR_F32};
    struct cr_store *store;
    struct cr_config config;
    CR_TRY(cr_store_open(&store, name, err));
    enum critic_status status = cr_config_read(&config, store, err);
    if (status == CRITIC_OK)
        status = cr_convert(store, &config, folder, &options, NULL, err);
    cr_store_close(store);
    return status;
}

/* Where embedded models are unpacked. */
static enum critic_status models_folder(const struct cr_train_flags *f,
                                        struct cr_buf *out, critic_error *err) {
    return f->dump ? cr_buf_printf(out, err, "%s.models", f->dump)
                   : cr_buf_printf(out, err, "%s", f->out);
}

enum critic_status cr_train_model_path(const struct cr_train_flags *f, const char *model,
                                       struct cr_buf *path, critic_error *err) {
    struct cr_embedded embedded;
    struct cr_buf folder;
    CR_TRY(cr_model_path(model, path, err));
    if (cr_file_exists(path->data) || !cr_embedded_find(path->data, &embedded))
        return CRITIC_OK;
    cr_buf_init(&folder, MAX_PATH_BYTES);
    enum critic_status status = models_folder(f, &folder, err);
    if (status == CRITIC_OK)
        status = cr_dir_make(folder.data, err);
    if (status == CRITIC_OK)
        status = cr_path_join(path, folder.data, embedded.name, err);
    if (status == CRITIC_OK && !cr_file_exists(path->data)) /* else a run goes on */
        status = unpack(embedded.name, path->data, err);
    cr_buf_fini(&folder);
    return status;
}

/* Of a dump nothing but the dump stays. */
static void drop_models(const struct cr_train_flags *f) {
    struct cr_buf folder, names, path;
    const char *name = NULL;
    cr_buf_init(&folder, MAX_PATH_BYTES);
    cr_buf_init(&names, (size_t)1 << 20);
    cr_buf_init(&path, MAX_PATH_BYTES);
    if (f->dump && models_folder(f, &folder, NULL) == CRITIC_OK &&
        cr_dir_list(&names, folder.data, NULL) == CRITIC_OK) {
        while ((name = cr_dir_next(&names, name))) {
            cr_buf_clear(&path);
            if (cr_path_join(&path, folder.data, name, NULL) == CRITIC_OK)
                cr_dir_remove(path.data);
        }
        cr_dir_remove(folder.data);
    }
    cr_buf_fini(&folder);
    cr_buf_fini(&names);
    cr_buf_fini(&path);
}

static enum critic_status read_templates(const struct cr_train_flags *f,
                                         struct cr_template_names *out,
                                         critic_error *err) {
    struct cr_config named = {0};
    CR_TRY(cr_judge_templates(&f->templates, &named, err));
    *out = named.templates;
    return CRITIC_OK;
}

static enum critic_status net_opts(struct cr_train_flags *f, struct cr_buf *path,
                                   struct cr_net_opts *out, critic_error *err) {
    static const enum cr_dtype dtypes[] = {CR_DTYPE_COUNT, CR_F32, CR_BF16, CR_F16};
    struct cr_engine_opts engine;
    if (!f->data)
        return cr_fail(err, CRITIC_BAD_ARGUMENT, "no data: give --data FILE");
    if (!f->out && !f->dump)
        return cr_fail(err, CRITIC_BAD_ARGUMENT, "no place for the run: give --out RUN");
    if (f->init && f->common.model)
        return cr_fail(
            err, CRITIC_BAD_ARGUMENT,
            "--init starts from nothing and --model from a checkpoint: give one");
    if (f->tower_only && f->lora)
        return cr_fail(err, CRITIC_BAD_ARGUMENT, "--lora is for train sft and train dpo");
    CR_TRY(cr_common_engine_opts(&f->common, &engine, err));
    if (engine.exec.n_threads > 0) /* of regions that see no context: pictures, labels */
        omp_set_num_threads(engine.exec.n_threads);
    *out = (struct cr_net_opts){.exec = engine.exec,
                                .init = f->init,
                                .seed = f->seed,
                                .save = dtypes[f->save_dtype],
                                .tower_only = f->tower_only,
                                .recompute = f->recompute};
    CR_TRY(read_freeze(f, out->frozen, err));
    if (f->lora && f->freeze.n > 0)
        return cr_fail(err, CRITIC_BAD_ARGUMENT,
                       "--lora freezes everything but the adapter; expected no --freeze");
    if (f->lora && f->templates.n > 0)
        return cr_fail(err, CRITIC_BAD_ARGUMENT,
                       "an adapter names no judge templates: give --judge-template to "
                       "critic convert --merge-lora");
    CR_TRY(read_templates(f, &out->templates, err));
    if (f->lora)
        CR_TRY(cr_lora_opts_parse(&out->lora, f->lora, err));
    if (f->init)
        return CRITIC_OK;
    CR_TRY(cr_train_model_path(f, f->common.model, path, err));
    out->model = path->data;
    return CRITIC_OK;
}

enum critic_status cr_train_with_net(struct cr_train_flags *f,
                                     enum critic_status (*run)(void *self,
                                                               struct cr_net *net,
                                                               critic_error *err),
                                     void *self, critic_error *err) {
    struct cr_buf path;
    struct cr_net net = {0};
    struct cr_net_opts opts;
    cr_buf_init(&path, MAX_PATH_BYTES);
    if (f->dump)
        f->eval_split = 0;
    enum critic_status status = net_opts(f, &path, &opts, err);
    if (status == CRITIC_OK)
        status = cr_net_open(&net, &opts, err);
    if (status == CRITIC_OK)
        status = run(self, &net, err);
    cr_net_close(&net);
    cr_buf_fini(&path);
    drop_models(f);
    return status;
}

static void log_line(void *user, int level, const char *line) {
    struct cr_train_flags *f = user;
    if (f->common.quiet || level > f->common.verbose)
        return;
    cr_progress_clear(&f->progress);
    fprintf(stderr, "%s\n", line);
}

static void on_step(void *user, const struct cr_loop_progress *p) {
    struct cr_train_flags *f = user;
    snprintf(f->what, sizeof f->what, "training: loss %.4f, lr %.2g, %.0f tokens/s",
             p->loss, p->lr, p->tokens_per_second);
    f->progress.first = p->first_step;
    cr_progress_update(&f->progress, p->step, p->n_steps);
}

void cr_train_dataset_opts(struct cr_train_flags *f, const struct cr_net *net,
                           struct cr_dataset_opts *out) {
    cr_dataset_opts_default(out);
    out->image_folder = f->image_folder;
    out->max_tokens = f->max_tokens ? f->max_tokens : net->config.text.max_positions;
    if (f->system.data) /* empty: no system block */
        out->system = f->system.len ? f->system : (struct cr_str){NULL, 0};
    out->seed = f->seed;
    out->keep_picture_bytes = f->keep_pictures;
    out->skip_bad = f->skip_bad;
    out->log = log_line;
    out->log_user = f;
    out->cancel = cr_cancelled;
}

enum critic_status cr_train_loop_opts(struct cr_train_flags *f, struct cr_loop_opts *out,
                                      critic_error *err) {
    cr_loop_opts_default(out);
    out->out = f->out;
    out->resume = f->resume;
    out->seed = f->seed;
    out->optim = (struct cr_optim_opts){.kind = (enum cr_optimizer)f->optimizer,
                                        .lr_vector = f->lr_vector,
                                        .beta1 = f->beta1,
                                        .beta2 = f->beta2,
                                        .eps = f->eps,
                                        .momentum = f->momentum,
                                        .weight_decay = f->weight_decay,
                                        .clip = f->clip,
                                        .ema = f->ema};
    out->optim.lr[CR_PART_DECODER] = f->lr;
    out->optim.lr[CR_PART_PROJECTOR] = f->lr_projector >= 0 ? f->lr_projector : f->lr;
    out->optim.lr[CR_PART_TOWER] = f->lr_tower >= 0 ? f->lr_tower : f->lr;
    out->schedule = (struct cr_schedule_opts){.kind = (enum cr_schedule)f->schedule,
                                              .n_steps = f->steps,
                                              .warmup = f->warmup,
                                              .decay_from = f->decay_from};
    out->epochs = f->epochs;
    out->warmup_ratio = f->warmup_ratio;
    out->batch = f->batch;
    out->accumulate = f->accumulate;
    out->log_every = f->log_every;
    out->eval_every = f->eval_every;
    out->save_every = f->save_every;
    out->keep = f->keep;
    out->log = log_line;
    out->log_user = f;
    out->cancel = cr_cancelled;
    out->on_step = on_step;
    out->on_step_user = f;
    if (f->lr_vector > 0 && f->optimizer != CR_OPTIM_MUON)
        return cr_fail(err, CRITIC_BAD_ARGUMENT,
                       "--lr-vector is for --optimizer muon; expected --lr");
    return CRITIC_OK;
}

enum critic_status cr_train_check(struct cr_train_flags *f, critic_error *err) {
    struct cr_loop_opts loop;
    struct cr_template_names names;
    struct cr_lora_opts lora;
    bool frozen[3] = {false};
    if (f->dump || f->init)
        return cr_fail(err, CRITIC_BAD_ARGUMENT,
                       "--%s is of no use here: a run trains the policy that it has",
                       f->dump ? "dump-gradients" : "init");
    CR_TRY(read_freeze(f, frozen, err));
    CR_TRY(read_templates(f, &names, err));
    if (f->lora)
        CR_TRY(cr_lora_opts_parse(&lora, f->lora, err));
    return cr_train_loop_opts(f, &loop, err);
}

int cr_train_check_end(struct cr_args *args, enum critic_status right,
                       const critic_error *err) {
    cr_args_fini(args);
    return right == CRITIC_OK ? -1 : cr_report(err);
}

enum critic_status cr_train_announce(struct cr_train_flags *f, const struct cr_net *net,
                                     const struct cr_train_sizes *sizes,
                                     const struct cr_loop_opts *loop, critic_error *err) {
    struct cr_train_plan plan = cr_train_plan(net->train, &net->grads, sizes);
    size_t state = 0, machine = cr_memory_bytes();
    for (size_t i = 0; i < net->n_tensors; i++) {
        const struct cr_train_tensor *t = &net->tensors[i];
        size_t n = t->rows * t->cols;
        /* The master where a copy computes, one moment or two. */
        state += n * sizeof(float) *
                 ((t->copy ? 1 : 0) + (cr_optim_is_muon(&loop->optim, t) ? 1 : 2) +
                  (loop->optim.ema > 0 ? 1 : 0));
    }
    if (!f->common.quiet)
        fprintf(
            stderr,
            "memory: weights %s, gradients %s, optimiser %s, activations %s, scratch %s; "
            "%s in all\n",
            cr_size_text((double)plan.parameters).text,
            cr_size_text((double)plan.gradients).text, cr_size_text((double)state).text,
            cr_size_text((double)plan.activations).text,
            cr_size_text((double)plan.scratch).text,
            cr_size_text((double)(plan.total + state)).text);
    if (machine > 0 && plan.total + state > machine)
        return cr_fail(err, CRITIC_NO_MEMORY,
                       "the run needs %s; this machine has %s (a smaller --batch, "
                       "--recompute or --freeze needs less)",
                       cr_size_text((double)(plan.total + state)).text,
                       cr_size_text((double)machine).text);
    return CRITIC_OK;
}

enum critic_status cr_train_loop(struct cr_train_flags *f, struct cr_net *net,
                                 const struct cr_task *task,
                                 const struct cr_loop_opts *loop, critic_error *err) {
    struct cr_loop_result result;
    snprintf(f->what, sizeof f->what, "training");
    cr_progress_begin(&f->progress, f->what, "steps", f->common.quiet);
    enum critic_status status = cr_loop_run(net, task, loop, &result, err);
    cr_progress_clear(&f->progress);
    if (status != CRITIC_OK)
        return status;
    if (f->common.json)
        return cr_print_json(json_pack("{s:s,s:I,s:f,s:I,s:f}", "out", f->out, "steps",
                                       (json_int_t)result.n_steps, "loss", result.loss,
                                       "tokens", (json_int_t)result.n_tokens, "seconds",
                                       result.seconds),
                             err);
    if (!f->common.quiet)
        fprintf(
            stderr,
            "%zu steps, last loss %.4f, %llu tokens in all, %.1f s; the model is %s\n",
            result.n_steps, result.loss, (unsigned long long)result.n_tokens,
            result.seconds, f->out);
    return CRITIC_OK;
}

enum critic_status cr_train_say_dump(const struct cr_train_flags *f, double loss,
                                     size_t n_tensors, critic_error *err) {
    if (f->common.json)
        return cr_print_json(json_pack("{s:s,s:f,s:I}", "out", f->dump, "loss", loss,
                                       "tensors", (json_int_t)n_tensors),
                             err);
    if (!f->common.quiet)
        fprintf(stderr, "loss %.6f, gradients of %zu tensors: %s\n", loss, n_tensors,
                f->dump);
    return CRITIC_OK;
}
