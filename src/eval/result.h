/* What a benchmark run leaves behind: JSON, CSV, Markdown and an HTML page. Files hold nothing that
 * differs between two runs of the same judging. */
#ifndef CR_EVAL_RESULT_H
#define CR_EVAL_RESULT_H

#include <jansson.h>

#include "eval/metric.h"
#include "eval/panel.h"

struct cr_page;

/* One judge on one benchmark. */
struct cr_result {
    const char *label; /* of the judge, for tables */
    const struct cr_judged *rows;
    const struct cr_metrics *metrics;
    const struct cr_exam_set *set;  /* NULL: only the rows are there */
    const struct cr_faults *faults; /* NULL: none */
    const struct cr_panel *panel;   /* NULL: not asked */
    const char *orders;             /* "one", "both" */
    size_t n_samples;
    struct cr_boot_options boot;
};

/* "412 of 1250 judged; 3 unparsed, 2 failed": what every headline says. */
struct cr_judged_text {
    char text[160];
};
struct cr_judged_text cr_result_judged(const struct cr_result *r);

/* Whose words the judge was asked in: ours, or those of a file (--template). */
const char *cr_result_wording(const struct cr_result *r);
/* New reference; NULL: memory is out. */
json_t *cr_result_json(const struct cr_result *r);
/* A line an item and judge, with a line of names. */
enum critic_status cr_result_csv(const struct cr_result *results, size_t n,
                                 struct cr_buf *out, critic_error *err);
/* A table for a paper: metrics as rows, judges as columns, intervals in brackets. */
enum critic_status cr_result_markdown(const struct cr_result *results, size_t n,
                                      struct cr_buf *out, critic_error *err);
/* The page: headline, metrics, published rows, calibration, scores, agreement, the most telling
 * disagreements with picture, answers and verdicts. The first fault stays in the page. */
void cr_result_page(const struct cr_result *results, size_t n, struct cr_page *page);
/* Only the telling disagreements (result_items.c). */
void cr_result_page_items(const struct cr_result *results, size_t n,
                          struct cr_page *page);

/* ---- two judges on the same items (compare.c) ------------------------------------------------ */

struct cr_comparison {
    size_t a, b; /* of the judges */
    size_t n;    /* items that both judged and that count */
    struct cr_stat difference;
    struct cr_interval interval; /* paired bootstrap over clusters */
    struct cr_stat p_value;      /* McNemar for right or wrong, else permutation */
    const char *test;
    double adjusted;          /* Holm over all pairs; NAN: no test */
    struct cr_stat agreement; /* share of items with the same verdict */
    struct cr_stat n_more;    /* items until the difference can be told at 80 % power */
};

/* All pairs of n >= 2 judges: n (n - 1) / 2 of them into out. Errors: CRITIC_BAD_DATA (of different
 * benchmarks; no item in common), CRITIC_NO_MEMORY. */
enum critic_status cr_compare(struct cr_comparison *out,
                              const struct cr_judged *const *rows, size_t n,
                              const struct cr_boot_options *boot, critic_error *err);

#endif
