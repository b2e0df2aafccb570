#include "train/schedule.h"

#include <math.h>

double cr_schedule_at(const struct cr_schedule_opts *s, size_t step) {
    const double pi = 3.14159265358979323846;
    double t = (double)step, n = (double)s->n_steps, warmup = (double)s->warmup;
    if (step < s->warmup)
        return t / warmup;
    if (s->kind == CR_SCHEDULE_COSINE) {
        double span = n - warmup;
        double progress = span > 1 ? (t - warmup) / span : t - warmup;
        return progress >= 1 ? 0 : 0.5 * (1 + cos(pi * progress));
    }
    double from = s->decay_from * n;
    if (s->kind == CR_SCHEDULE_DECAY && t > from)
        return t >= n ? 0 : (n - t) / (n - from);
    return 1;
}
