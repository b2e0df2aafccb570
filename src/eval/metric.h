/* The published metrics of a benchmark from its rows: by the official rule, by ours, and the
 * variants that other harnesses compute, each with its interval and its number of items. */
#ifndef CR_EVAL_METRIC_H
#define CR_EVAL_METRIC_H

#include "eval/judged.h"
#include "eval/stats_boot.h"

enum cr_rule_set { CR_BY_OFFICIAL, CR_BY_ROBUST, CR_BY_VARIANT };

struct cr_metric {
    const char *name;    /* as published: "overall", "Acc+", "mean Pearson" */
    const char *variant; /* "official", "robust", "lmms-eval", "swap-consistent" … */
    enum cr_rule_set by;
    const char *group; /* NULL: all */
    struct cr_stat value;
    struct cr_interval interval;
    size_t n, n_used; /* items of the group; items that count in the value */
    bool is_percent;  /* value is already times 100 */
    bool lower_is_better;
    bool is_headline;
};

struct cr_metrics {
    struct cr_metric *items;
    size_t n, cap;
    /* of all items */
    size_t n_total, n_judged, n_unparsed, n_error;
    size_t n_official;        /* replies that the official rule read */
    size_t n_official_failed; /* replies that it could not read */
    size_t n_differ;          /* items on which official and robust reading differ */
    bool has_official;        /* there is raw text to apply the rule to */
    struct cr_arena arena;    /* of group names */
};

/* Intervals: percentile bootstrap over clusters (prompt or picture where the benchmark names one),
 * paired with nothing. Errors: CRITIC_NO_MEMORY. */
enum critic_status cr_metrics_compute(struct cr_metrics *out,
                                      const struct cr_judged *rows,
                                      const struct cr_boot_options *boot,
                                      critic_error *err);
void cr_metrics_fini(struct cr_metrics *m);
/* NULL: none. group NULL: of all. */
const struct cr_metric *cr_metric_find(const struct cr_metrics *m, const char *name,
                                       const char *variant, const char *group);
/* The first headline; NULL: none. */
const struct cr_metric *cr_metric_headline(const struct cr_metrics *m);

/* What one item adds to the headline: 1 or 0 for accuracies, a score, NAN where it does not
 * count. For paired comparisons of judges. */
double cr_metric_item(const struct cr_exam *bench, const struct cr_judgement *row,
                      enum cr_rule_set by);
/* Cluster numbers of all rows (malloc'ed), *n of them. Errors: CRITIC_NO_MEMORY. */
enum critic_status cr_metric_clusters(const struct cr_judged *rows, uint32_t **out,
                                      size_t *n, critic_error *err);

#endif
