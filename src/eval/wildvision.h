/* WildVision-Bench from judgement files: every *.jsonl of a folder is one candidate against the one
 * baseline, which the judge saw as Assistant A (WildVision-Bench, show_results.py).
 *
 * A line: question_id, model, judgment or judgement (raw text) and score (the label that was
 * recorded), or both inside games[], of which the second has the candidate as A. The verdict
 * is what the raw text says by the official rule; where it says none, the label that was
 * recorded; where that is none either, no verdict: a tie for counts, reward and win rate, and
 * no battle for the score, as in the original. */
#ifndef CR_EVAL_WILDVISION_H
#define CR_EVAL_WILDVISION_H

#include "eval/faults.h"
#include "eval/rules.h"
#include "eval/stats.h"

#define CR_WILDVISION_BASELINE "claude-3-sonnet-20240229"

struct cr_wildvision_options {
    const char *baseline;
    double strong_weight; /* battles of a ">>": 3 */
    size_t n_draws;       /* bootstrap: 10000 */
    double level;         /* 0.95 */
    uint64_t seed;
};
void cr_wildvision_options_default(struct cr_wildvision_options *o);

struct cr_wildvision_game {
    enum cr_arena_verdict verdict; /* candidate is B: the second game is turned round */
    bool unparsed;                 /* its text gives no verdict */
    bool from_label;               /* unparsed, and the recorded label counts */
    bool label_differs;            /* text and recorded label name different verdicts */
};

struct cr_wildvision_item {
    char *question_id;
    size_t n_games; /* 1 or 2 */
    struct cr_wildvision_game games[2];
};

struct cr_wildvision_model {
    char *name, *file;
    struct cr_wildvision_item *items;
    size_t n_items;

    size_t n_missing; /* questions that other candidates have and this one lacks */
    size_t n_unknown; /* items of questions that no other candidate has; they count */
    size_t much_better, better, tie, worse, much_worse;
    size_t n_unparsed;      /* games whose text gives no verdict */
    size_t n_from_label;    /* of these, those whose recorded label counts */
    size_t n_label_differs; /* text and recorded label name different verdicts */
    struct cr_stat score, win_rate, reward; /* in percent; reward -100 to 100 */
    struct cr_interval ci; /* absolute ends of the score, battles resampled */
    /* the same with questions resampled: what it ought to be */
    struct cr_interval ci_questions;
    bool smoothed; /* all battles won or all lost: see stats_rank.h */
};

struct cr_wildvision {
    struct cr_wildvision_model *models;
    size_t n_models;
    size_t n_questions; /* different ones in the folder */
};

/* Reads and computes. A file that cannot be used is a fault and left out.
 * Errors: CRITIC_BAD_FILE (no usable file), CRITIC_NO_MEMORY.
 * Ownership: cr_wildvision_fini, after failure too. */
enum critic_status cr_wildvision_run(struct cr_wildvision *out, const char *folder,
                                     const struct cr_wildvision_options *options,
                                     struct cr_faults *faults, critic_error *err);
void cr_wildvision_fini(struct cr_wildvision *w);

#endif
