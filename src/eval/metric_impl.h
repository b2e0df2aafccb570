/* Between metric.c (what every benchmark shares) and metric_rules.c (what each wants). */
#ifndef CR_EVAL_METRIC_IMPL_H
#define CR_EVAL_METRIC_IMPL_H

#include "eval/metric.h"

struct cr_metric_job {
    struct cr_metrics *out;
    const struct cr_judged *rows;
    const struct cr_boot_options *boot;
    uint32_t *cluster;
    size_t n_clusters;
    const char **groups; /* names in order */
    size_t n_groups;
    double *x, *y; /* room for every row */
    uint32_t *kept, *kept_cluster;
};

/* One item's value; NAN: it does not count. */
typedef double (*cr_item_value)(const struct cr_exam *bench,
                                const struct cr_judgement *row, enum cr_rule_set by);

/* Adds the mean of `value` (times factor) over the items of a group (NULL: all). */
enum critic_status cr_metric_mean(struct cr_metric_job *j, const struct cr_metric *as,
                                  cr_item_value value, double factor, critic_error *err);
/* Adds the share of clusters all of whose items have the value 1. */
enum critic_status cr_metric_all(struct cr_metric_job *j, const struct cr_metric *as,
                                 cr_item_value value, double factor, critic_error *err);
/* Adds the mean over the groups of the means of their items. */
enum critic_status cr_metric_macro(struct cr_metric_job *j, const struct cr_metric *as,
                                   cr_item_value value, double factor, critic_error *err);
/* Adds Pearson's r of values and labels over a group. */
enum critic_status cr_metric_pearson(struct cr_metric_job *j, const struct cr_metric *as,
                                     cr_item_value value, critic_error *err);
/* Adds the mean over groups of Pearson's r. */
enum critic_status cr_metric_mean_pearson(struct cr_metric_job *j,
                                          const struct cr_metric *as, cr_item_value value,
                                          critic_error *err);
/* Adds 100 * mean of value / mean of other over a group. */
enum critic_status cr_metric_ratio(struct cr_metric_job *j, const struct cr_metric *as,
                                   cr_item_value value, cr_item_value other,
                                   critic_error *err);
/* Adds Kendall's tau-b between judge and label over models: of their mean scores, or of their
 * Bradley-Terry strengths where items are pairs; by_group: the mean over the groups of each group's.
 * Adds nothing where models are not named (metric_models.c). */
enum critic_status cr_metric_models(struct cr_metric_job *j, const struct cr_metric *as,
                                    cr_item_value value, bool by_group,
                                    critic_error *err);
/* ---- what those are made of ------------------------------------------------------------- */

/* Keeps the items of as->group that have a value, in j->x and j->kept; *n_group: of the group. */
size_t cr_metric_collect(struct cr_metric_job *j, const struct cr_metric *as,
                         cr_item_value value, size_t *n_group);
/* Clusters of the n kept items into j->kept_cluster, numbered from 0; how many. */
size_t cr_metric_pack_clusters(struct cr_metric_job *j, size_t n);
void cr_metric_undefined(struct cr_boot *b);
/* Adds one metric; the official ones only where there is text to read. */
enum critic_status cr_metric_add(struct cr_metric_job *j, const struct cr_metric *as,
                                 size_t n, size_t n_used, const struct cr_boot *boot,
                                 critic_error *err);

/* Is the row in the group? NULL is everything; "a,b" is in a and in b. */
bool cr_judgement_in_group(const struct cr_judgement *row, const char *group);

/* metric_rules.c: all metrics of the benchmark. */
enum critic_status cr_metric_rules(struct cr_metric_job *j, critic_error *err);

#endif
