/* What a round has made of the policy: its answers to prompts that no pair came from, beside those of
 * round 0.
 *
 *   answers.samples.jsonl  greedy answers (prefer/sample.c)
 *   draws.samples.jsonl    answers drawn at temperature 1 with their ids, for the divergence
 *   ratios.jsonl           what round 0's policy gives the draws
 *   eval.jsonl             a line a prompt: both answers, verdict, oracle's quality
 *   drawn.jsonl            the same of the drawn answers, by the oracle alone
 *
 * All of them are logs that are gone on with, as those of prefer/prefer.h. */
#ifndef CR_ALIGN_EVALUATE_H
#define CR_ALIGN_EVALUATE_H

#include "prefer/oracle.h"
#include "prefer/prefer.h"

/* The log-probability that `start` gives each drawn answer: lines {"id", "draws": [{"tokens",
 * "logprob", "start_logprob"}]}. Errors: as cr_prefer_sample. */
enum critic_status cr_align_ratios(struct cr_engine *start, const char *draws,
                                   const char *folder, const char *out,
                                   const struct cr_prefer_opts *opts,
                                   struct cr_prefer_counts *counts, critic_error *err);

/* Whoever looks at the answers. */
struct cr_align_eyes {
    const struct cr_scorer *scorer; /* NULL: no verdicts */
    const struct cr_oracle *oracle; /* NULL: no quality */
};
/* Lines {"id", "images", "prompt", "status", "answer", "tokens", "finish_reason"}, with the oracle
 * "quality", and with base (round 0's answers; NULL: none) "base", "share" (of the win over it: 1,
 * 0.5, 0 or a probability, both orders averaged), "base_quality"; of a pointwise judge "score" and
 * "base_score". Errors: as cr_prefer_score. */
enum critic_status cr_align_verdicts(const struct cr_align_eyes *eyes,
                                     const char *answers, const char *base,
                                     const char *folder, const char *out,
                                     const struct cr_prefer_opts *opts,
                                     struct cr_prefer_counts *counts, critic_error *err);

/* ---- in numbers (row.c) ------------------------------------------------------------------ */

/* A mean with its 95 % bootstrap interval; NAN: nothing to take it of. */
struct cr_align_cell {
    double value, low, high;
    size_t n;
};

enum cr_align_measure {
    CR_ALIGN_WIN,        /* share of the win over round 0, by the judge */
    CR_ALIGN_SCORE,      /* the judge's own score, where it gives one */
    CR_ALIGN_SCORE_GAIN, /* against round 0, same prompts */
    CR_ALIGN_QUALITY,    /* the oracle's, 0 to 100 */
    CR_ALIGN_GAIN,       /* against round 0, same prompts */
    CR_ALIGN_DRAWN,      /* the oracle's of answers drawn at temperature 1 */
    CR_ALIGN_DRAWN_GAIN, /* against round 0, same prompts */
    CR_ALIGN_TOKENS,     /* an answer, the end token included */
    CR_ALIGN_KL,         /* of the policy from round 0's, nats an answer */
    CR_N_ALIGN
};
const char *cr_align_measure_name(enum cr_align_measure m); /* "win" … */

struct cr_align_row {
    size_t round, n, n_faults, n_cut;
    struct cr_align_cell of[CR_N_ALIGN];
};
/* Of the files in a round's folder. Errors: CRITIC_BAD_FILE, CRITIC_BAD_DATA. */
enum critic_status cr_align_row_read(struct cr_align_row *out, size_t round,
                                     const char *folder, critic_error *err);

/* ---- for people (page.c) ----------------------------------------------------------------- */

struct cr_align_report {
    const char *out;    /* OUT: round folders, rounds.jsonl, report.html */
    const char *folder; /* of pictures */
    const char *critic; /* its name */
    const struct cr_align_row *rows;
    size_t n_rows;
    const json_t *details; /* a list, by round: {"stage": detail, …} */
    size_t n_examples;
};
/* rounds.jsonl (a line a round) and report.html, each when it is whole. Errors: CRITIC_IO,
 * CRITIC_BAD_FILE. */
enum critic_status cr_align_report_write(const struct cr_align_report *r,
                                         critic_error *err);

/* Calls on_line with each line of a JSON lines file. */
enum critic_status cr_align_lines(const char *path,
                                  enum critic_status (*on_line)(void *user, json_t *line,
                                                                critic_error *err),
                                  void *user, critic_error *err);
/* OUT/NAME into path, which is emptied first. */
enum critic_status cr_align_path(struct cr_buf *path, const char *folder,
                                 const char *name, critic_error *err);

#endif
