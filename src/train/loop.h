/* The training loop, whatever is learnt: order of the data, accumulation, clipping, optimiser,
 * schedule, metrics, evaluation, checkpoints, resuming. What a sample is and what its loss is
 * comes from a task (train/sft.h, train/tower.h).
 *
 * A run is a function of its options, data and seed: the order depends on seed and step alone, and
 * a resumed run ends in the same bits as one that was never stopped.
 * While one batch is in the network, a second thread prepares the next. */
#ifndef CR_TRAIN_LOOP_H
#define CR_TRAIN_LOOP_H

#include "train/checkpoint.h"
#include "train/schedule.h"

#define CR_MAX_METRICS 20

/* A sum that is reported as sum / n: "shape" 231 of 240. */
struct cr_metric {
    char name[40];
    double sum, n;
};

/* What passes add up to between two reports. */
struct cr_pass {
    double loss; /* mean of micro-batches: sum of losses, and their number */
    size_t n_losses;
    size_t n_tokens; /* rows through the network */
    struct cr_metric metrics[CR_MAX_METRICS];
    size_t n_metrics;
};

/* Adds to the metric of that name. */
void cr_pass_add(struct cr_pass *p, const char *name, double sum, double n);

#define CR_TASK_SLOTS 2

struct cr_task {
    void *self;
    size_t n_train, n_eval; /* samples of each split */
    /* Samples' places in their split. slot < CR_TASK_SLOTS; may run on another thread than the one
     * that runs pass, for another slot. */
    enum critic_status (*prepare)(void *self, size_t slot, bool eval, const uint32_t *at,
                                  size_t n, critic_error *err);
    /* Forward and backward of what the slot holds: adds its loss to *pass and scale times its
     * gradient to the net's. train false: forward only. */
    enum critic_status (*pass)(void *self, size_t slot, bool train, double scale,
                               struct cr_pass *pass, critic_error *err);
    /* The first operation of the slot's forward pass that gives a value that is not finite; false:
     * none does. NULL: the task cannot tell. */
    bool (*find_bad)(void *self, size_t slot, char out[CR_OP_NAME]);
    /* Appends the names of the slot's samples, for messages. */
    enum critic_status (*names)(void *self, size_t slot, struct cr_buf *out,
                                critic_error *err);
};

struct cr_loop_progress {
    size_t step, n_steps;
    size_t first_step; /* done before this process began */
    double loss, lr, tokens_per_second;
};

struct cr_loop_opts {
    const char *out; /* RUN */
    bool resume;
    uint64_t seed;
    struct cr_optim_opts optim;
    /* n_steps 0: from epochs; warmup SIZE_MAX: from the ratio */
    struct cr_schedule_opts schedule;
    double epochs, warmup_ratio;
    size_t batch, accumulate;                       /* samples a pass, passes a step */
    size_t log_every, eval_every, save_every, keep; /* steps; 0: never (keep: all) */
    char data[33];                                  /* hash of the data, hex */
    const char *options; /* JSON object: what a resumed run must share beside the above */
    cr_log_fn *log;
    void *log_user;
    cr_cancel_fn *cancel;
    void *cancel_user;
    void (*on_step)(void *user, const struct cr_loop_progress *p);
    void *on_step_user;
};

/* lr as cr_optim_opts_default; cosine, warm-up 3 %, 1 epoch; batch 8; a checkpoint every 200 steps,
 * the last 2 kept. */
void cr_loop_opts_default(struct cr_loop_opts *o);

struct cr_loop_result {
    size_t n_steps, first_step; /* of the run; where this process began */
    double loss;                /* of the last report */
    double seconds;
    uint64_t n_tokens;
};

/* Errors: CRITIC_CANCELLED (a checkpoint was written first), CRITIC_BAD_DATA (a loss or gradient
 * that is not finite: step, samples, where), CRITIC_BAD_ARGUMENT (RUN holds a run and resume is
 * false), CRITIC_IO, those of the task. */
enum critic_status cr_loop_run(struct cr_net *net, const struct cr_task *task,
                               const struct cr_loop_opts *opts,
                               struct cr_loop_result *result, critic_error *err);

#endif
