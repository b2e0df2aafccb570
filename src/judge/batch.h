/* JSONL in, JSONL out: one verdict a line, same order, appended and flushed line by line.
 *
 * A run that stops (cancel, kill, power) is continued with `resume`: a torn last line is cut
 * off, and items whose id is in OUT with status ok or unparsed are skipped. Items with status
 * error are judged again; when such a run is through, OUT is put in the order of IN again, one
 * line an item. A file written with another model, template or seed is refused. Without `resume`
 * an OUT that holds anything is refused, unless `force`, which empties it.
 *
 * An item without an id gets its line number. Equal ids are judged as often as they stand in
 * IN. */
#ifndef CR_JUDGE_BATCH_H
#define CR_JUDGE_BATCH_H

#include "judge/judge.h"

struct cr_batch_counts {
    size_t n_items;   /* lines of input that are not blank */
    size_t n_skipped; /* there already */
    size_t n_ok;      /* of this run, as the next two */
    size_t n_unparsed;
    size_t n_error;
};

struct cr_batch_opts {
    const char *
        input; /* a path; "-": standard input, relative pictures from the current folder */
    const char *output; /* a path; "-": standard output */
    bool resume;
    bool force;
    size_t max_line; /* longest line of input; 0: 256 MiB (data URLs) */
    /* True to stop before the next item; may be NULL. The engine's own cancel function stops
     * inside an item, whose line is then not written. */
    bool (*cancel)(void *user);
    /* After each item: counts so far and how many items there are; may be NULL. */
    void (*on_item)(void *user, const struct cr_batch_counts *counts, size_t n_total);
    void *user;
};

/* Per-item faults become lines with status "error" and are counted; the run goes on.
 * Errors: CRITIC_BAD_FILE, CRITIC_BAD_ARGUMENT (resume or overwrite refused), CRITIC_IO,
 * CRITIC_CANCELLED. *counts is valid on failure too. */
enum critic_status cr_judge_batch(struct cr_judge *judge,
                                  const struct cr_batch_opts *opts,
                                  struct cr_batch_counts *counts, critic_error *err);

#endif
