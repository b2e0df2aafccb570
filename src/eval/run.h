/* Judging the items of a benchmark: in order, several at a time where the judge can, resumable. */
#ifndef CR_EVAL_RUN_H
#define CR_EVAL_RUN_H

#include "eval/judged.h"

struct cr_run_counts {
    size_t n_total;
    size_t n_there; /* judged by an earlier run (resume) */
    size_t n_ok, n_unparsed, n_error;
    struct cr_judge_usage usage; /* of this run */
};

struct cr_run_opts {
    const char *output; /* JSON lines of rows; NULL: kept in memory only */
    bool resume, force;
    size_t n_parallel; /* judges that work side by side; 1: one after the other */
    bool (*cancel)(void *user);
    /* After each item, in their order. */
    void (*on_item)(void *user, const struct cr_run_counts *counts);
    void *user;
};

/* judges: opts->n_parallel of them, alike. Rows of all items, in their order, into rows
 * (initialised by the caller, empty); with resume those of opts->output come first and items
 * that are there with another status than error are not judged again.
 * A fault of one item is its row. Errors: CRITIC_BAD_ARGUMENT (output holds something), CRITIC_BAD_DATA
 * (output is of another judge), CRITIC_IO, CRITIC_CANCELLED, CRITIC_NO_MEMORY. */
enum critic_status cr_exam_run(struct cr_judged *rows, const struct cr_exam_set *set,
                               struct cr_judge *const *judges,
                               const struct cr_run_opts *opts,
                               struct cr_run_counts *counts, critic_error *err);

#endif
