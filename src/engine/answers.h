/* Answers to many prompts: written side by side (engine.h, lanes), handed back in the order of the
 * prompts. Each is what it would be alone, to the bit.
 *
 *   cr_answers_new(&a, engine, 0, done, user, &err);
 *   for each prompt: cr_answers_ask(a, job, prompt, &err);
 *   cr_answers_finish(a, &err);
 *   cr_answers_free(a);
 *
 * Threads: one call at a time per engine, as engine.h. */
#ifndef CR_ENGINE_ANSWERS_H
#define CR_ENGINE_ANSWERS_H

#include "engine/engine.h"

/* One prompt on its way. It belongs to the caller and stays where it is until it is done. */
struct cr_answers_job {
    struct cr_talk talk; /* in: opts and n; out: `out`, of the job until it is done */
    struct cr_usage usage;
    /* Out; a job that comes with a fault is passed through. */
    enum critic_status status;
    critic_error fault;
};

/* Takes a job back, in the order in which they were asked; a failure ends the run. The completions
 * are gone when it returns. */
typedef enum critic_status cr_answers_done_fn(void *user, struct cr_answers_job *job,
                                              critic_error *err);

struct cr_answers;

/* most_lanes: answers written side by side at most, though never fewer than those of one prompt;
 * 0: 32. Errors: CRITIC_NO_MEMORY. */
enum critic_status cr_answers_new(struct cr_answers **out, struct cr_engine *e,
                                  size_t most_lanes, cr_answers_done_fn *done, void *user,
                                  critic_error *err);
/* Jobs on their way are given to `done` with status CRITIC_CANCELLED; what it returns is ignored. */
void cr_answers_free(struct cr_answers *a);
/* Takes over the finished prompt; NULL: there is nothing to ask, the job is passed through. Waits for
 * room in the engine's memory. Errors: those of `done`; faults of a prompt are in its job. */
enum critic_status cr_answers_ask(struct cr_answers *a, struct cr_answers_job *job,
                                  struct cr_prompt *prompt, critic_error *err);
/* Waits for all. Errors: those of `done`. */
enum critic_status cr_answers_finish(struct cr_answers *a, critic_error *err);

#endif
