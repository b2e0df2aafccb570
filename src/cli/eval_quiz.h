/* critic eval run pope, mme, mmbench: a model answers, and is scored (eval_run.c parses the flags). */
#ifndef CR_CLI_EVAL_QUIZ_H
#define CR_CLI_EVAL_QUIZ_H

#include "cli/eval_judges.h"
#include "cli/eval_output.h"
#include "eval/quiz.h"

struct cr_quiz_flags {
    struct cr_common *common;
    /* sampling, seed; sources other than a model are refused */
    const struct cr_judge_flags *judge;
    const struct cr_result_flags *result;
    struct cr_quiz_load load;
    const char *output;
    bool resume, force;
    struct cr_progress *progress;
};

/* Asks, then prints the scores as critic eval score does: the exit status. Of a shard there are no
 * scores, only its part of the output. */
int cr_eval_run_quiz(struct cr_quiz_flags *f, const struct cr_quiz *quiz);

#endif
