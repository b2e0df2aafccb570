/* MMBench: multiple choice with circular evaluation. A row: index, A to E (the options it has),
 * answer (a letter), prediction, perhaps choice (the likeliest letter, critic
 * eval run), category, l2-category, split. Rotated copies of a question
 * have index = base + k * 10^6; the question is a hit where all its rows are right. The file is TSV
 * with a header, or JSON lines. */
#ifndef CR_EVAL_MMBENCH_H
#define CR_EVAL_MMBENCH_H

#include "base/bytes.h"
#include "eval/faults.h"
#include "eval/stats.h"

#define CR_MMBENCH_OPTIONS 5

enum cr_mmbench_rule {
    CR_MMBENCH_OFFICIAL,
    CR_MMBENCH_VLMEVAL,
    CR_MMBENCH_CHOICE, /* official, and where it reads nothing the row's `choice` */
    CR_N_MMBENCH_RULES
};

/* The letter that a reply picks, 0 where no rule reads one ('Z': it says that none fits).
 * option: data NULL where the question lacks it. No judge is asked and no die is cast.
 * OFFICIAL (opencompass tools/eval_mmbench.py, lmms-eval): of the blank-separated words exactly one is
 * a letter A to E (not where A is one of more than three words); else the first of twelve
 * punctuations with which exactly one word is one; else exactly one option's text is in it.
 * VLMEVAL (VLMEvalKit matching_util.py): punctuation to blanks, exactly one option's letter among
 * the words, as one of the last four; else text, where the reply is not over twice as long as all
 * options together. CHOICE reads as OFFICIAL does. */
char cr_mmbench_read(enum cr_mmbench_rule rule, struct cr_str reply,
                     const struct cr_str option[CR_MMBENCH_OPTIONS]);

struct cr_mmbench_group {
    char *kind, *name; /* "overall", "category", "l2-category", "split" */
    size_t n_questions;
    size_t n_hit[CR_N_MMBENCH_RULES];
};

struct cr_mmbench {
    size_t n_rows, n_questions;
    size_t n_unread[CR_N_MMBENCH_RULES]; /* rows from which no letter was read */
    size_t n_right[CR_N_MMBENCH_RULES];  /* rows */
    size_t n_differ;
    size_t n_chosen;                 /* rows with a `choice` that counted */
    struct cr_mmbench_group *groups; /* overall first */
    size_t n_groups;
};

/* Errors: CRITIC_BAD_FILE, CRITIC_BAD_DATA, CRITIC_NO_MEMORY.
 * Ownership: cr_mmbench_fini, after failure too. */
enum critic_status cr_mmbench_score(struct cr_mmbench *out, const char *path,
                                    struct cr_faults *faults, critic_error *err);
void cr_mmbench_fini(struct cr_mmbench *m);

#endif
