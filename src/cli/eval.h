/* The commands below `critic eval`: one file src/cli/eval_*.c and one row of the table in
 * cmd_eval.c each. */
#ifndef CR_CLI_EVAL_H
#define CR_CLI_EVAL_H

#include "cli/cli.h"
#include "eval/faults.h"
#include "eval/stats.h"

struct cr_page;

int cr_eval_stats(int n_args, const char *const *args);
int cr_eval_wildvision(int n_args, const char *const *args);
int cr_eval_score_mme(int n_args, const char *const *args);
int cr_eval_score_pope(int n_args, const char *const *args);
int cr_eval_score_mmbench(int n_args, const char *const *args);
int cr_eval_micro(int n_args, const char *const *args);
int cr_eval_llava_reviews(int n_args, const char *const *args);
int cr_eval_run(int n_args, const char *const *args);
int cr_eval_panel(int n_args, const char *const *args);
int cr_eval_compare(int n_args, const char *const *args);
int cr_eval_merge(int n_args, const char *const *args);
int cr_eval_list(int n_args, const char *const *args);

/* What the eval commands share. ---------------------------------------------------------- */

/* The exit status of a command whose work ended with `status`: 1 where there are faults. Prints the
 * faults, one line a kind with their number, and the error, and releases the faults. */
int cr_eval_end(enum critic_status status, struct cr_faults *faults,
                const critic_error *err);
/* Says that a flag without which the command does nothing is not there; the exit status. */
int cr_eval_missing(const char *flag);
#define CR_REPORT_FLAG(report)                                                           \
    {                                                                                    \
        "report", 0, CR_FLAG_STR, &(report), "OUT.html",                                 \
            "a page that stands alone, and OUT.json with the same", 0, 0                 \
    }
/* OUT.html, filled by `fill`, and OUT.json with `twin` (taken) in it. */
enum critic_status
cr_eval_write_report(const char *report, const char *title,
                     void (*fill)(struct cr_page *page, const void *from),
                     const void *from, json_t *twin, critic_error *err);
/* Fails where `output` is `input`, or lies in it where that is a folder. */
enum critic_status cr_eval_apart(const char *input, const char *output,
                                 critic_error *err);
/* The same of the page and its twin; report NULL: none. */
enum critic_status cr_eval_report_apart(const char *input, const char *report,
                                        critic_error *err);
/* Scores a file of predictions, prints, and with report not NULL writes the page and its twin: the
 * exit status. labels NULL: they stand in the predictions. */
int cr_eval_show_pope(const struct cr_common *c, const char *predictions,
                      const char *labels, const char *report);
int cr_eval_show_mme(const struct cr_common *c, const char *predictions,
                     const char *report);
int cr_eval_show_mmbench(const struct cr_common *c, const char *predictions,
                         const char *report);
/* [low, high], or null. */
json_t *cr_eval_json_interval(struct cr_interval interval);
/* A number, or null where the statistic is undefined. */
json_t *cr_eval_json(struct cr_stat s);
/* "12.34", or "undefined (why)". */
struct cr_stat_text {
    char text[128];
};
struct cr_stat_text cr_eval_text(struct cr_stat s, int decimals);

#endif
