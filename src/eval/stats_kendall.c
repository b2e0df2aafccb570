/* Kendall's tau by Knight's method: sort by x, count exchanges while merging by y. */
#include "eval/stats.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/checked.h"

struct point {
    double x, y;
};

static int compare_points(const void *a, const void *b) {
    const struct point *p = a;
    const struct point *q = b;
    if (p->x != q->x)
        return p->x < q->x ? -1 : 1;
    return (p->y > q->y) - (p->y < q->y);
}

static double pairs_of(size_t n) {
    return (double)n * ((double)n - 1) / 2;
}

/* Sorts p by y; returns how many pairs stood the wrong way round (strictly). */
static double count_exchanges(struct point *p, struct point *spare, size_t n) {
    double exchanges = 0;
    for (size_t width = 1; width < n; width *= 2) {
        for (size_t start = 0; start < n; start += 2 * width) {
            size_t middle = CR_MIN(start + width, n);
            size_t end = CR_MIN(start + 2 * width, n);
            size_t i = start;
            size_t j = middle;
            for (size_t k = start; k < end; k++) {
                if (i < middle && (j == end || p[i].y <= p[j].y)) {
                    spare[k] = p[i++];
                } else {
                    exchanges += (double)(middle - i);
                    spare[k] = p[j++];
                }
            }
        }
        memcpy(p, spare, n * sizeof *p);
    }
    return exchanges;
}

static void fill_taus(struct cr_kendall *out, size_t n, size_t n_distinct_x,
                      size_t n_distinct_y) {
    double p = out->n_concordant;
    double q = out->n_discordant;
    size_t m = CR_MIN(n_distinct_x, n_distinct_y);
    out->tau_a = cr_stat_of((p - q) / pairs_of(n));
    if (m < 2) {
        out->tau_b = out->tau_c = cr_stat_undefined(cr_why_constant);
        return;
    }
    out->tau_b =
        cr_stat_of((p - q) / sqrt(p + q + out->n_tied_x) / sqrt(p + q + out->n_tied_y));
    out->tau_c =
        cr_stat_of(2 * (p - q) / ((double)n * (double)n * (double)(m - 1) / (double)m));
}

enum critic_status cr_kendall(struct cr_kendall *out, const double *x, const double *y,
                              size_t n, critic_error *err) {
    memset(out, 0, sizeof *out);
    const char *why = n == 0 ? cr_why_empty : n < 2 ? cr_why_few : NULL;
    for (size_t i = 0; i < n && !why; i++)
        if (!isfinite(x[i]) || !isfinite(y[i]))
            why = cr_why_nan;
    out->tau_a = out->tau_b = out->tau_c = cr_stat_undefined(why);
    if (why)
        return CRITIC_OK;
    struct point *p = calloc(n, 2 * sizeof *p);
    if (!p)
        return cr_fail(err, CRITIC_NO_MEMORY, "no memory for Kendall's tau of %zu items",
                       n);
    for (size_t i = 0; i < n; i++)
        p[i] = (struct point){x[i], y[i]};
    qsort(p, n, sizeof *p, compare_points);
    double tied_x = 0, tied_y = 0, tied_both = 0;
    size_t distinct_x = 0, distinct_y = 0;
    for (size_t i = 0, end; i < n; i = end) {
        size_t same = i;
        for (end = i + 1; end < n && p[end].x == p[i].x; end++)
            if (p[end].y != p[same].y) {
                tied_both += pairs_of(end - same);
                same = end;
            }
        tied_both += pairs_of(end - same);
        tied_x += pairs_of(end - i);
        distinct_x++;
    }
    out->n_discordant = count_exchanges(p, p + n, n);
    for (size_t i = 0, end; i < n; i = end) {
        for (end = i + 1; end < n && p[end].y == p[i].y; end++)
            ;
        tied_y += pairs_of(end - i);
        distinct_y++;
    }
    free(p);
    out->n_tied_both = tied_both;
    out->n_tied_x = tied_x - tied_both;
    out->n_tied_y = tied_y - tied_both;
    out->n_concordant = pairs_of(n) - out->n_discordant - tied_x - tied_y + tied_both;
    fill_taus(out, n, distinct_x, distinct_y);
    return CRITIC_OK;
}
