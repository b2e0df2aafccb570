/* Many items at once. Their prompts run one after the other, so that each finds what the one before
 * it left (engine.h, "Sharing"), and their answers are decoded side by side: the weights of a step
 * are read once for all. Verdicts are those of cr_judge_item to the bit, whatever the company.
 *
 * Where a voice answers, or text is wanted as it comes, one prompt is asked after the other. */
#ifndef CR_JUDGE_MANY_H
#define CR_JUDGE_MANY_H

#include "judge/judge.h"

/* An item on its way. Judges may differ; their engine may not. */
struct cr_judge_job {
    struct cr_judge *judge;
    const struct cr_item
        *item; /* stays until the job is done; NULL: nothing is asked, the job is
                                   passed through in its turn */
    /* Out; a job that comes with a fault is passed through. */
    enum critic_status status;
    critic_error fault;
    struct cr_verdict verdict; /* where status is CRITIC_OK; the receiver releases it */
};

struct cr_judge_feed {
    /* The next job; *job NULL: there is none. */
    enum critic_status (*next)(void *user, struct cr_judge_job **job, critic_error *err);
    /* Takes a job back, in the order of `next`; a failure ends the run. */
    enum critic_status (*done)(void *user, struct cr_judge_job *job, critic_error *err);
    void *user;
};

/* Errors: those of next and done; faults of items are in their jobs. After a failure the jobs on
 * their way are given to `done` with status CRITIC_CANCELLED, what it returns is ignored. */
enum critic_status cr_judge_many(const struct cr_judge_feed *feed, critic_error *err);

#endif
