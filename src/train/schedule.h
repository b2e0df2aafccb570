/* Learning-rate schedules: a multiplier of step and number of steps, shared by all parameter
 * groups. Steps count from 0, as torch's LambdaLR does.
 *   cosine    0.5 * (1 + cos(pi * progress))          transformers get_cosine_schedule_with_warmup
 *   decay     1, then linear to 0 from `decay_from` * n_steps on
 *   constant  1
 * each behind a linear warm-up (step / warmup, 0 at step 0). */
#ifndef CR_TRAIN_SCHEDULE_H
#define CR_TRAIN_SCHEDULE_H

#include <stddef.h>

enum cr_schedule { CR_SCHEDULE_COSINE, CR_SCHEDULE_DECAY, CR_SCHEDULE_CONSTANT };

struct cr_schedule_opts {
    enum cr_schedule kind;
    size_t n_steps;
    size_t warmup;     /* steps */
    double decay_from; /* share of n_steps; CR_SCHEDULE_DECAY only */
};

double cr_schedule_at(const struct cr_schedule_opts *s, size_t step);

#endif
