#include "train/loop.h"

#include <math.h>
#include <omp.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "base/clock.h"
#include "base/dir.h"
#include "train/curves.h"
#include "train/metrics.h"
#include "train/order.h"

void cr_loop_opts_default(struct cr_loop_opts *o) {
    *o = (struct cr_loop_opts){.schedule = {.warmup = SIZE_MAX, .decay_from = 0.6},
                               .epochs = 1,
                               .warmup_ratio = 0.03,
                               .batch = 8,
                               .accumulate = 1,
                               .log_every = 1,
                               .save_every = 200,
                               .keep = 2,
                               .options = "{}"};
    cr_optim_opts_default(&o->optim);
}

void cr_pass_add(struct cr_pass *p, const char *name, double sum, double n) {
    size_t i = 0;
    while (i < p->n_metrics && strcmp(p->metrics[i].name, name) != 0)
        i++;
    if (i == p->n_metrics) {
        CR_ASSERT(i < CR_MAX_METRICS);
        snprintf(p->metrics[i].name, sizeof p->metrics[i].name, "%s", name);
        p->metrics[i].sum = p->metrics[i].n = 0;
        p->n_metrics++;
    }
    p->metrics[i].sum += sum;
    p->metrics[i].n += n;
}

/* ---- preparing the next batch while one is in work ---- */

struct job {
    const struct cr_task *task;
    size_t slot;
    bool eval;
    uint32_t *at;
    size_t n;
    pthread_t thread;
    bool runs;
    enum critic_status status;
    critic_error err;
};

static void *prepare(void *user) {
    struct job *j = user;
    /* Pictures are resized over OpenMP threads elsewhere; here the cores belong to the network. */
    omp_set_num_threads(1);
    j->status = j->task->prepare(j->task->self, j->slot, j->eval, j->at, j->n, &j->err);
    return NULL;
}

static void start(struct job *j) {
    memset(&j->err, 0, sizeof j->err);
    j->status = CRITIC_OK;
    j->runs = pthread_create(&j->thread, NULL, prepare, j) == 0;
    if (!j->runs) /* no thread to be had: in this one, then */
        j->status =
            j->task->prepare(j->task->self, j->slot, j->eval, j->at, j->n, &j->err);
}

static enum critic_status finish(struct job *j, critic_error *err) {
    if (j->runs)
        pthread_join(j->thread, NULL);
    j->runs = false;
    if (j->status != CRITIC_OK && err)
        *err = j->err;
    return j->status;
}

/* ---- the run ---- */

struct run {
    struct cr_net *net;
    const struct cr_task *task;
    struct cr_loop_opts o; /* with steps and warm-up resolved */
    struct cr_order order;
    struct cr_run_state state;
    struct cr_buf options;
    struct cr_metrics metrics;
    struct job jobs[CR_TASK_SLOTS];
    /* of the whole run: the one that jobs[next_pass % 2] prepares or holds */
    size_t next_pass;
    struct cr_pass since; /* the last report */
    double started, reported;
    uint64_t tokens_at_report;
    struct cr_loop_result *result;
    double last_norm, last_parts[3], last_clip;
};

static void log_line(const struct run *r, const char *fmt, ...) CR_PRINTF(2, 3);
static void log_line(const struct run *r, const char *fmt, ...) {
    char line[512];
    va_list args;
    if (!r->o.log)
        return;
    va_start(args, fmt);
    vsnprintf(line, sizeof line, fmt, args);
    va_end(args);
    r->o.log(r->o.log_user, 0, line);
}

static void start_pass(struct run *r, size_t pass) {
    struct job *j = &r->jobs[pass % CR_TASK_SLOTS];
    size_t n_passes = r->o.schedule.n_steps * r->o.accumulate;
    if (pass >= n_passes)
        return;
    j->n = r->o.batch;
    for (size_t i = 0; i < j->n; i++)
        j->at[i] = cr_order_at(&r->order, pass * r->o.batch + i);
    start(j);
}

/* ---- one step ---- */

/* The one place where gradients of other ranks would be added (MPI: an all-reduce of every
 * tensor's g, then a division by the number of ranks). One process: nothing to do. */
static void reduce_gradients(struct cr_net *net) {
    (void)net;
}

static bool all_finite(const float *x, size_t n) {
    for (size_t i = 0; i < n; i++)
        if (!isfinite(x[i]))
            return false;
    return true;
}

/* Where it began, as far as parameters tell (used where every operation's result is finite): a weight that is not finite, else the gradient that
 * lies deepest in the backward pass's order (the last parts of the network come first). */
static const char *first_bad(const struct cr_net *net, const char **what) {
    *what = "weight";
    for (size_t i = 0; i < net->n_tensors; i++)
        if (!all_finite(net->tensors[i].w, net->tensors[i].rows * net->tensors[i].cols))
            return net->tensors[i].name;
    *what = "gradient of";
    for (size_t i = net->n_tensors; i-- > 0;)
        if (net->tensors[i].part == CR_PART_DECODER &&
            !all_finite(net->tensors[i].g, net->tensors[i].rows * net->tensors[i].cols))
            return net->tensors[i].name;
    for (size_t i = net->n_tensors; i-- > 0;)
        if (!all_finite(net->tensors[i].g, net->tensors[i].rows * net->tensors[i].cols))
            return net->tensors[i].name;
    *what = "";
    return "the loss itself";
}

static enum critic_status not_finite(struct run *r, size_t slot, const char *quantity,
                                     double value, critic_error *err) {
    struct cr_buf names;
    char op[CR_OP_NAME];
    const char *what, *where = first_bad(r->net, &what);
    bool is_weight = strcmp(what, "weight") == 0;
    if (!is_weight && r->task->find_bad && r->task->find_bad(r->task->self, slot, op)) {
        what = "the result of";
        where = op;
    }
    cr_buf_init(&names, 1 << 16);
    (void)r->task->names(r->task->self, slot, &names, NULL);
    enum critic_status status =
        cr_fail(err, CRITIC_BAD_DATA,
                "step %zu: the %s is %g; first not finite: %s%s%s; samples: %.200s",
                r->state.step + 1, quantity, value, what, *what ? " " : "", where,
                names.len ? names.data : "?");
    cr_buf_fini(&names);
    return status;
}

static enum critic_status accumulate(struct run *r, critic_error *err) {
    double scale = 1.0 / (double)r->o.accumulate;
    cr_optim_zero_grad(r->net->tensors, r->net->n_tensors);
    for (size_t a = 0; a < r->o.accumulate; a++) {
        struct job *j = &r->jobs[r->next_pass % CR_TASK_SLOTS];
        double before = r->since.loss;
        CR_TRY(finish(j, err));
        start_pass(r, r->next_pass + 1);
        size_t slot = r->next_pass++ % CR_TASK_SLOTS;
        size_t tokens = r->since.n_tokens;
        cr_net_lora_pass(r->net, true, r->next_pass - 1);
        CR_TRY(r->task->pass(r->task->self, slot, true, scale, &r->since, err));
        r->state.n_tokens += r->since.n_tokens - tokens;
        r->state.n_samples += r->o.batch;
        if (!isfinite(r->since.loss))
            return not_finite(r, slot, "loss", r->since.loss - before, err);
    }
    return CRITIC_OK;
}

static enum critic_status one_step(struct run *r, critic_error *err) {
    const struct cr_loop_opts *o = &r->o;
    CR_TRY(accumulate(r, err));
    reduce_gradients(r->net);
    r->last_norm = cr_optim_grad_norm(r->net->tensors, r->net->n_tensors, r->last_parts);
    if (!isfinite(r->last_norm))
        return not_finite(r, (r->next_pass + 1) % CR_TASK_SLOTS, "gradient's norm",
                          r->last_norm, err);
    r->last_clip = cr_optim_clip(&o->optim, r->last_norm);
    cr_optim_step(&o->optim, r->net->tensors, r->net->n_tensors, r->state.step,
                  cr_schedule_at(&o->schedule, r->state.step), r->last_clip,
                  r->net->exec);
    if (o->optim.ema > 0)
        cr_optim_average(&o->optim, r->net->tensors, r->net->n_tensors, r->state.step);
    r->state.step++;
    return CRITIC_OK;
}

/* ---- reports ---- */

static enum critic_status report(struct run *r, critic_error *err) {
    double now = cr_clock_seconds(), spent = now - r->reported;
    struct cr_metrics_line line = {
        .step = r->state.step,
        .epoch = (double)r->state.n_samples / (double)r->task->n_train,
        .loss = r->since.loss / (double)CR_MAX(r->since.n_losses, 1),
        .lr = r->o.optim.lr[CR_PART_DECODER] *
              cr_schedule_at(&r->o.schedule, r->state.step - 1),
        .grad_norm = r->last_norm,
        .parts = {r->last_parts[0], r->last_parts[1], r->last_parts[2]},
        .n_tokens = r->state.n_tokens,
        .tokens_per_second =
            spent > 0 ? (double)(r->state.n_tokens - r->tokens_at_report) / spent : 0,
        .seconds = now - r->started,
        .pass = &r->since};
    const struct cr_loop_progress progress = {
        r->state.step, r->o.schedule.n_steps, r->result->first_step, line.loss,
        line.lr,       line.tokens_per_second};
    r->result->loss = line.loss;
    if (r->o.on_step)
        r->o.on_step(r->o.on_step_user, &progress);
    CR_TRY(cr_metrics_append(&r->metrics, &line, err));
    memset(&r->since, 0, sizeof r->since);
    r->reported = now;
    r->tokens_at_report = r->state.n_tokens;
    return CRITIC_OK;
}

static enum critic_status evaluate(struct run *r, critic_error *err) {
    struct cr_pass total = {0};
    struct job job = {.task = r->task, .eval = true};
    /* The slot that the next training pass does not wait in. */
    job.slot = (r->next_pass + 1) % CR_TASK_SLOTS;
    job.at = malloc(r->o.batch * sizeof *job.at);
    if (!job.at)
        return cr_fail(err, CRITIC_NO_MEMORY, "out of memory for evaluation");
    enum critic_status status = CRITIC_OK;
    cr_net_lora_pass(r->net, false, 0);
    for (size_t i = 0; i < r->task->n_eval && status == CRITIC_OK; i += job.n) {
        job.n = CR_MIN(r->o.batch, r->task->n_eval - i);
        for (size_t k = 0; k < job.n; k++)
            job.at[k] = (uint32_t)(i + k);
        status = r->task->prepare(r->task->self, job.slot, true, job.at, job.n, err);
        if (status == CRITIC_OK)
            status = r->task->pass(r->task->self, job.slot, false, 0, &total, err);
        if (status == CRITIC_OK && r->o.cancel && r->o.cancel(r->o.cancel_user))
            break;
    }
    free(job.at);
    if (status == CRITIC_OK)
        status = cr_metrics_append_eval(&r->metrics, r->state.step, &total, err);
    if (status == CRITIC_OK)
        log_line(r, "step %zu: evaluation loss %.4f", r->state.step,
                 total.loss / (double)CR_MAX(total.n_losses, 1));
    return status;
}

static bool is_due(size_t every, size_t step) {
    return every > 0 && step % every == 0;
}

static enum critic_status save(struct run *r, critic_error *err) {
    CR_TRY(cr_curves_write(r->o.out, err));
    return cr_checkpoint_write(r->net, r->o.out, &r->state, r->o.keep, err);
}

static enum critic_status train(struct run *r, critic_error *err) {
    const struct cr_loop_opts *o = &r->o;
    size_t saved = r->state.step;
    while (r->state.step < o->schedule.n_steps) {
        CR_TRY(one_step(r, err));
        bool last = r->state.step == o->schedule.n_steps;
        bool stop = o->cancel && o->cancel(o->cancel_user);
        if (is_due(o->log_every, r->state.step) || last || stop)
            CR_TRY(report(r, err));
        if (r->task->n_eval > 0 && !stop &&
            (is_due(o->eval_every, r->state.step) || last))
            CR_TRY(evaluate(r, err));
        if (is_due(o->save_every, r->state.step) || last || stop) {
            CR_TRY(save(r, err));
            saved = r->state.step;
        }
        if (stop && !last)
            return cr_fail(
                err, CRITIC_CANCELLED,
                "interrupted at step %zu; %s/checkpoint-%zu holds it (--resume)",
                r->state.step, o->out, saved);
    }
    return cr_checkpoint_finish(r->net, o->out, err);
}

/* ---- setting up ---- */

static void resolve(struct cr_loop_opts *o, const struct cr_task *task) {
    struct cr_schedule_opts *s = &o->schedule;
    double per_epoch = (double)task->n_train / (double)(o->batch * o->accumulate);
    if (s->n_steps == 0)
        s->n_steps = (size_t)CR_MAX(1.0, ceil(o->epochs * per_epoch));
    if (s->warmup == SIZE_MAX)
        s->warmup = (size_t)ceil(o->warmup_ratio * (double)s->n_steps);
}

/* Everything that decides the bits, as the JSON that checkpoints keep. */
static enum critic_status write_options(struct run *r, critic_error *err) {
    const struct cr_loop_opts *o = &r->o;
    const struct cr_lora_set *lora = &r->net->lora;
    CR_TRY(cr_buf_append_c(&r->options, "{", err));
    if (lora->n > 0)
        CR_TRY(cr_buf_printf(&r->options, err, "\"lora\": [%zu, %zu, %.17g, %.17g], ",
                             lora->n, lora->rank, lora->alpha, lora->dropout));
    return cr_buf_printf(
        &r->options, err,
        "\"steps\": %zu, \"warmup\": %zu, \"schedule\": %d, \"decay-from\": %.17g, "
        "\"seed\": %llu, \"batch\": %zu, \"accumulate\": %zu, \"optimizer\": %d, "
        "\"lr\": %.17g, \"lr-projector\": %.17g, \"lr-tower\": %.17g, \"lr-vector\": "
        "%.17g, "
        "\"beta1\": %.17g, \"beta2\": %.17g, \"eps\": %.17g, \"momentum\": %.17g, "
        "\"weight-decay\": %.17g, \"clip\": %.17g, \"task\": %s}",
        o->schedule.n_steps, o->schedule.warmup, (int)o->schedule.kind,
        o->schedule.decay_from, (unsigned long long)o->seed, o->batch, o->accumulate,
        (int)o->optim.kind, o->optim.lr[CR_PART_DECODER], o->optim.lr[CR_PART_PROJECTOR],
        o->optim.lr[CR_PART_TOWER], o->optim.lr_vector, o->optim.beta1, o->optim.beta2,
        o->optim.eps, o->optim.momentum, o->optim.weight_decay, o->optim.clip,
        o->options);
}

static enum critic_status set_up(struct run *r, critic_error *err) {
    struct cr_loop_opts *o = &r->o;
    size_t newest;
    if (r->task->n_train == 0)
        return cr_fail(err, CRITIC_BAD_DATA, "no sample to train on");
    resolve(o, r->task);
    cr_buf_init(&r->options, 1 << 16);
    CR_TRY(write_options(r, err));
    r->state.options = r->options.data;
    snprintf(r->state.data, sizeof r->state.data, "%s", o->data);
    CR_TRY(cr_dir_make(o->out, err));
    CR_TRY(cr_checkpoint_newest(o->out, &newest, err));
    CR_TRY(cr_net_moments(r->net, &o->optim, err));
    if (o->resume && newest > 0)
        CR_TRY(cr_checkpoint_read(r->net, o->out, newest, &r->state, err));
    CR_TRY(cr_metrics_open(&r->metrics, o->out, o->resume, r->state.step, err));
    for (size_t i = 0; i < CR_TASK_SLOTS; i++) {
        r->jobs[i] = (struct job){.task = r->task, .slot = i};
        r->jobs[i].at = malloc(o->batch * sizeof *r->jobs[i].at);
        if (!r->jobs[i].at)
            return cr_fail(err, CRITIC_NO_MEMORY,
                           "out of memory for the order of the data");
    }
    return cr_order_init(&r->order, r->task->n_train, o->seed, err);
}

enum critic_status cr_loop_run(struct cr_net *net, const struct cr_task *task,
                               const struct cr_loop_opts *opts,
                               struct cr_loop_result *result, critic_error *err) {
    struct run r = {.net = net, .task = task, .o = *opts, .result = result};
    memset(result, 0, sizeof *result);
    enum critic_status status = set_up(&r, err);
    if (status == CRITIC_OK) {
        r.started = r.reported = cr_clock_seconds();
        r.tokens_at_report = r.state.n_tokens;
        result->first_step = r.state.step;
        if (r.state.step > 0)
            log_line(&r, "resumed at step %zu of %zu", r.state.step,
                     r.o.schedule.n_steps);
        r.next_pass = r.state.step * r.o.accumulate;
        start_pass(&r, r.next_pass);
        status = train(&r, err);
        result->seconds = cr_clock_seconds() - r.started;
        result->n_steps = r.state.step;
        result->n_tokens = r.state.n_tokens;
    }
    for (size_t i = 0; i < CR_TASK_SLOTS; i++) {
        (void)finish(&r.jobs[i], NULL);
        free(r.jobs[i].at);
    }
    cr_order_fini(&r.order);
    cr_metrics_close(&r.metrics);
    cr_buf_fini(&r.options);
    return status;
}
