#include "engine/answers.h"

#include <stdlib.h>

#include "base/checked.h"

/* Answers that are written side by side, and prompts on their way: more, so that one long answer
 * holds nobody up. */
#define MOST_LANES 32u
#define MOST_JOBS  64u

struct cr_answers {
    struct cr_engine *engine;
    struct cr_lanes *lanes;
    size_t most_lanes;
    cr_answers_done_fn *done;
    void *user;
    struct cr_answers_job *jobs[MOST_JOBS]; /* ring, in the order of the prompts */
    size_t first, n;
};

static struct cr_answers_job *job_at(const struct cr_answers *a, size_t i) {
    return a->jobs[(a->first + i) % MOST_JOBS];
}

enum critic_status cr_answers_new(struct cr_answers **out, struct cr_engine *e,
                                  size_t most_lanes, cr_answers_done_fn *done, void *user,
                                  critic_error *err) {
    struct cr_answers *a = *out = calloc(1, sizeof *a);
    if (!a)
        return cr_fail(err, CRITIC_NO_MEMORY, "out of memory");
    a->engine = e;
    a->most_lanes = most_lanes ? most_lanes : MOST_LANES;
    a->done = done;
    a->user = user;
    return cr_lanes_new(&a->lanes, e, err);
}

static void free_completions(struct cr_talk *talk) {
    for (size_t i = 0; talk->out && i < talk->n; i++)
        cr_completion_fini(&talk->out[i]);
    free(talk->out);
    talk->out = NULL;
}

/* Gives the first job back. The job may be gone afterwards. */
static enum critic_status hand_back(struct cr_answers *a, critic_error *err) {
    struct cr_answers_job *job = job_at(a, 0);
    struct cr_talk talk = job->talk;
    for (size_t i = 0; talk.out && job->status == CRITIC_OK && i < talk.n; i++)
        job->usage.completion_tokens += talk.out[i].ids.len;
    job->usage.seconds += talk.seconds;
    a->first = (a->first + 1) % MOST_JOBS;
    a->n--;
    enum critic_status status = a->done(a->user, job, err);
    free_completions(&talk);
    return status;
}

void cr_answers_free(struct cr_answers *a) {
    if (!a)
        return;
    while (a->n > 0) {
        struct cr_answers_job *job = job_at(a, 0);
        if (job->talk.n_running > 0)
            cr_lanes_drop(a->lanes, &job->talk);
        job->status = cr_fail(&job->fault, CRITIC_CANCELLED, "cancelled");
        hand_back(a, NULL);
    }
    cr_lanes_free(a->lanes);
    free(a);
}

/* A token for everyone; what makes it fail falls on those who ran. */
static void step(struct cr_answers *a) {
    critic_error fault = {0};
    enum critic_status status = cr_lanes_step(a->lanes, &fault);
    for (size_t i = 0; i < a->n && status != CRITIC_OK; i++) {
        struct cr_answers_job *job = job_at(a, i);
        if (job->talk.n_running == 0)
            continue;
        cr_lanes_drop(a->lanes, &job->talk);
        job->status = status;
        job->fault = fault;
    }
}

/* Steps until the answers to a prompt of len tokens fit beside what runs. */
static void wait_for_room(struct cr_answers *a, const struct cr_talk *talk, size_t len) {
    while (cr_lanes_running(a->lanes) > 0 &&
           (cr_lanes_running(a->lanes) + talk->n > a->most_lanes ||
            !cr_lanes_have_room(a->lanes, len, talk->n, talk->opts.max_new_tokens)))
        step(a);
}

static enum critic_status start(struct cr_answers *a, struct cr_answers_job *job,
                                struct cr_prompt *prompt, critic_error *err) {
    struct cr_talk *talk = &job->talk;
    struct cr_seq *seq = NULL;
    talk->out = calloc(CR_MAX(talk->n, 1), sizeof *talk->out);
    if (!talk->out)
        return cr_fail(err, CRITIC_NO_MEMORY, "out of memory");
    wait_for_room(a, talk, cr_prompt_ids(prompt)->len);
    enum critic_status status =
        cr_engine_prefill(a->engine, prompt, &seq, &job->usage, err);
    if (status == CRITIC_OK)
        status = cr_lanes_add(a->lanes, talk, seq, err);
    cr_seq_free(seq);
    return status;
}

/* Gives back the jobs in front that have ended; all: waits for every one. */
static enum critic_status hand_over(struct cr_answers *a, bool all, critic_error *err) {
    while (a->n > 0) {
        struct cr_answers_job *job = job_at(a, 0);
        if (job->talk.n_running > 0 && !all && a->n < MOST_JOBS)
            return CRITIC_OK;
        while (job->talk.n_running > 0)
            step(a);
        CR_TRY(hand_back(a, err));
    }
    return CRITIC_OK;
}

enum critic_status cr_answers_ask(struct cr_answers *a, struct cr_answers_job *job,
                                  struct cr_prompt *prompt, critic_error *err) {
    job->talk.out = NULL;
    job->talk.n_running = 0;
    job->talk.seconds = 0;
    job->usage = (struct cr_usage){0};
    if (job->status == CRITIC_OK && prompt)
        job->status = start(a, job, prompt, &job->fault);
    cr_prompt_free(prompt);
    a->jobs[(a->first + a->n++) % MOST_JOBS] = job;
    return hand_over(a, false, err);
}

enum critic_status cr_answers_finish(struct cr_answers *a, critic_error *err) {
    return hand_over(a, true, err);
}
