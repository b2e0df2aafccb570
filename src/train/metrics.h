/* RUN/metrics.jsonl: a line for every report and every evaluation. */
#ifndef CR_TRAIN_METRICS_H
#define CR_TRAIN_METRICS_H

#include "io/jsonl.h"
#include "train/loop.h"

struct cr_metrics {
    struct cr_jsonl_log log;
    char *path;
    bool is_open;
};

struct cr_metrics_line {
    size_t step;
    double epoch, loss, lr, grad_norm;
    double parts[3]; /* gradient norms by enum cr_param_part */
    uint64_t n_tokens;
    double tokens_per_second, seconds;
    const struct cr_pass *pass; /* its metrics come along */
};

/* resume: lines of steps beyond `step` are dropped, they will come again. Otherwise the file must
 * not be there. Errors: CRITIC_BAD_ARGUMENT (RUN holds a run), CRITIC_IO. cr_metrics_close is safe
 * on a zeroed struct. */
enum critic_status cr_metrics_open(struct cr_metrics *m, const char *run, bool resume,
                                   size_t step, critic_error *err);
void cr_metrics_close(struct cr_metrics *m);
/* Errors: CRITIC_IO. */
enum critic_status cr_metrics_append(struct cr_metrics *m,
                                     const struct cr_metrics_line *line,
                                     critic_error *err);
enum critic_status cr_metrics_append_eval(struct cr_metrics *m, size_t step,
                                          const struct cr_pass *pass, critic_error *err);

#endif
