#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "eval/result.h"
#include "eval/stats_signif.h"

#define N_PERMUTATIONS 10000

/* The items that both judges have a value for. */
struct paired {
    double *x, *y;
    uint32_t *cluster;
    size_t n, n_clusters;
    size_t only_a, only_b; /* right and wrong */
    size_t n_same, n_verdicts;
    bool is_binary;
};

static int by_id(const void *a, const void *b) {
    const struct cr_judgement *const *x = a, *const *y = b;
    return strcmp((*x)->id, (*y)->id);
}

static const struct cr_judgement **sorted(const struct cr_judged *rows) {
    const struct cr_judgement **list = calloc(rows->n + 1, sizeof *list);
    for (size_t i = 0; list && i < rows->n; i++)
        list[i] = &rows->items[i];
    if (list)
        qsort(list, rows->n, sizeof *list, by_id);
    return list;
}

static void add_pair(struct paired *p, const struct cr_exam *bench,
                     const struct cr_judgement *a, const struct cr_judgement *b,
                     uint32_t cluster) {
    double x = cr_metric_item(bench, a, CR_BY_ROBUST),
           y = cr_metric_item(bench, b, CR_BY_ROBUST);
    if (a->status == CR_ROW_OK && b->status == CR_ROW_OK) {
        p->n_verdicts++;
        p->n_same += cr_reading_equal(bench->metric, &a->robust, &b->robust);
    }
    if (isnan(x) || isnan(y))
        return;
    p->is_binary &= (x == 0 || x == 1) && (y == 0 || y == 1);
    p->only_a += x > y;
    p->only_b += y > x;
    p->x[p->n] = x;
    p->y[p->n] = y;
    p->cluster[p->n++] = cluster;
}

static enum critic_status pair_up(struct paired *p, const struct cr_judged *a,
                                  const struct cr_judged *b, critic_error *err) {
    enum critic_status status = CRITIC_OK;
    const struct cr_judgement **x = sorted(a), **y = sorted(b);
    uint32_t *cluster = NULL;
    size_t i = 0, k = 0;
    memset(p, 0, sizeof *p);
    p->is_binary = true;
    p->x = calloc(a->n + 1, sizeof *p->x);
    p->y = calloc(a->n + 1, sizeof *p->y);
    p->cluster = calloc(a->n + 1, sizeof *p->cluster);
    if (!x || !y || !p->x || !p->y || !p->cluster)
        CR_TRY_GOTO(cr_fail(err, CRITIC_NO_MEMORY, "no memory for a comparison"));
    CR_TRY_GOTO(cr_metric_clusters(a, &cluster, &p->n_clusters, err));
    while (i < a->n && k < b->n) {
        int c = strcmp(x[i]->id, y[k]->id);
        if (c == 0)
            add_pair(p, a->bench, x[i], y[k], cluster[x[i] - a->items]);
        i += c <= 0;
        k += c >= 0;
    }
    if (p->n == 0)
        status = cr_fail(err, CRITIC_BAD_DATA,
                         "'%.80s' and '%.80s' have no judged item in common", a->model,
                         b->model);
fail:
    free(x);
    free(y);
    free(cluster);
    return status;
}

/* Clusters that lost all their items would count as empty units: numbered anew. */
static enum critic_status pack(struct paired *p, critic_error *err) {
    uint32_t *number = calloc(p->n_clusters + 1, sizeof *number), n = 0;
    if (!number)
        return cr_fail(err, CRITIC_NO_MEMORY, "no memory for a comparison");
    for (size_t i = 0; i < p->n; i++) {
        uint32_t *at = &number[p->cluster[i]];
        if (*at == 0)
            *at = ++n;
        p->cluster[i] = *at - 1;
    }
    p->n_clusters = n;
    free(number);
    return CRITIC_OK;
}

static enum critic_status test(const struct paired *p, const struct cr_boot_options *boot,
                               struct cr_comparison *out, critic_error *err) {
    bool clustered = p->n_clusters < p->n;
    if (p->is_binary && !clustered) {
        struct cr_mcnemar m = cr_mcnemar(p->only_a, p->only_b);
        out->p_value = m.p_value;
        out->test = m.exact ? "McNemar, exact" : "McNemar";
        out->n_more = cr_power_mcnemar(p->only_a, p->only_b, p->n, 0.05, 0.8).n_more;
        return CRITIC_OK;
    }
    double mean = 0, square = 0;
    for (size_t i = 0; i < p->n; i++)
        mean += (p->x[i] - p->y[i]) / (double)p->n;
    for (size_t i = 0; i < p->n; i++)
        square += (p->x[i] - p->y[i] - mean) * (p->x[i] - p->y[i] - mean);
    double sd = p->n > 1 ? sqrt(square / (double)(p->n - 1)) : (double)NAN;
    out->test = "permutation";
    out->n_more = cr_power_paired(mean, sd, p->n, 0.05, 0.8).n_more;
    return cr_permute_paired(&out->p_value, p->x, p->y, p->n, p->cluster, p->n_clusters,
                             N_PERMUTATIONS, boot->seed, err);
}

static enum critic_status compare_two(struct cr_comparison *out,
                                      const struct cr_judged *a,
                                      const struct cr_judged *b,
                                      const struct cr_boot_options *boot,
                                      critic_error *err) {
    struct paired p;
    struct cr_boot result;
    enum critic_status status = pair_up(&p, a, b, err);
    if (status == CRITIC_OK)
        status = pack(&p, err);
    if (status == CRITIC_OK)
        status = cr_boot_mean(&result, p.x, p.y, p.n, p.cluster, p.n_clusters, boot, err);
    if (status == CRITIC_OK)
        status = test(&p, boot, out, err);
    if (status == CRITIC_OK) {
        out->n = p.n;
        out->difference = result.estimate;
        out->interval = result.interval;
        out->agreement = p.n_verdicts > 0
                             ? cr_stat_of((double)p.n_same / (double)p.n_verdicts)
                             : cr_stat_undefined(cr_why_empty);
    }
    free(p.x);
    free(p.y);
    free(p.cluster);
    return status;
}

enum critic_status cr_compare(struct cr_comparison *out,
                              const struct cr_judged *const *rows, size_t n,
                              const struct cr_boot_options *boot, critic_error *err) {
    size_t m = 0;
    enum critic_status status = CRITIC_OK;
    for (size_t i = 1; i < n; i++)
        if (rows[i]->bench != rows[0]->bench)
            return cr_fail(err, CRITIC_BAD_DATA,
                           "judges of different benchmarks, %s and %s; expected one",
                           rows[0]->bench->name, rows[i]->bench->name);
    for (size_t a = 0; a < n; a++)
        for (size_t b = a + 1; b < n; b++, m++) {
            memset(&out[m], 0, sizeof out[m]);
            out[m].a = a;
            out[m].b = b;
            CR_TRY(compare_two(&out[m], rows[a], rows[b], boot, err));
        }
    double *p = calloc(2 * m + 1, sizeof *p);
    if (!p)
        return cr_fail(err, CRITIC_NO_MEMORY, "no memory for a comparison");
    for (size_t i = 0; i < m; i++)
        p[i] = out[i].p_value.value;
    status = cr_holm(p + m, p, m, err);
    for (size_t i = 0; i < m && status == CRITIC_OK; i++)
        out[i].adjusted = p[m + i];
    free(p);
    return status;
}
