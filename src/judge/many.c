#include "judge/many.h"

#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "base/clock.h"
#include "judge/run.h"

/* Answers that are decoded side by side. Beyond it a step of a large model costs as much a row as
 * one row alone does, and a small one's rows no longer fit the first-level cache. */
#define MOST_LANES 32u
/* Items on their way: more than lanes, so that one long answer holds nobody up. */
#define MOST_FLIGHTS 64u

struct flight {
    struct cr_judge_job *job;
    struct cr_run run;
    double seconds;
    size_t n_started, n_done; /* of run.asks */
    bool is_done;
};

struct many {
    const struct cr_judge_feed *feed;
    struct cr_lanes *lanes; /* made when an engine is first met */
    struct flight *flights; /* ring of MOST_FLIGHTS, in the order of the jobs */
    size_t first, n;
    bool is_through;
};

static struct flight *flight_at(struct many *m, size_t i) {
    return &m->flights[(m->first + i) % MOST_FLIGHTS];
}

/* ---- one flight -------------------------------------------------------------------------- */

/* Whatever became of it: everything but the verdict is released. */
static void land(struct many *m, struct flight *f, enum critic_status status) {
    if (f->is_done)
        return;
    for (size_t i = 0; i < f->run.n_asks; i++) {
        struct cr_asking *a = &f->run.asks[i];
        if (a->talk.n_running > 0)
            cr_lanes_drop(m->lanes, &a->talk);
        cr_asking_fini(&f->run, a);
    }
    cr_run_drop_images(&f->run);
    f->job->verdict.usage.seconds += f->seconds;
    f->job->status = status;
    f->is_done = true;
    if (status != CRITIC_OK)
        cr_verdict_fini(&f->job->verdict);
}

static void take_off(struct many *m, struct cr_judge_job *job) {
    struct flight *f = flight_at(m, m->n++);
    double start = cr_clock_seconds();
    *f = (struct flight){.job = job};
    if (job->status != CRITIC_OK || !job->item) {
        f->is_done = true;
        return;
    }
    job->status =
        cr_run_begin(&f->run, job->judge, job->item, &job->verdict, &job->fault);
    f->is_done = job->status != CRITIC_OK;
    f->seconds = cr_clock_seconds() - start;
}

static enum critic_status make_lanes(struct many *m, struct cr_engine *e,
                                     critic_error *err) {
    return m->lanes || !e ? CRITIC_OK : cr_lanes_new(&m->lanes, e, err);
}

static bool is_full(const struct many *m, const struct flight *f) {
    size_t running = m->lanes ? cr_lanes_running(m->lanes) : 0;
    const struct cr_judge_opts *opts = &f->run.judge->opts;
    size_t most = opts->on_text ? opts->n_samples : MOST_LANES;
    return running > 0 && running + opts->n_samples > most;
}

/* Starts prompts of a flight while there is room; false where there is none. */
static bool start_asks(struct many *m, struct flight *f) {
    struct cr_run *run = &f->run;
    while (!f->is_done && f->n_started < run->n_asks) {
        struct cr_asking *a = &run->asks[f->n_started];
        critic_error *fault = &f->job->fault;
        enum critic_status status = CRITIC_OK;
        if (is_full(m, f))
            return false;
        if (!a->prompt)
            status = cr_asking_build(run, a, fault);
        if (status == CRITIC_OK)
            status = make_lanes(m, run->judge->engine, fault);
        if (status == CRITIC_OK && m->lanes && !cr_asking_has_room(run, a, m->lanes))
            return false;
        if (status == CRITIC_OK)
            status = cr_asking_start(run, a, m->lanes, fault);
        if (status != CRITIC_OK) {
            land(m, f, status);
            break;
        }
        f->n_done += a->is_done;
        if (a->is_done)
            cr_asking_fini(run, a);
        if (++f->n_started == run->n_asks)
            cr_run_drop_images(run);
    }
    return true;
}

/* Takes in what has ended, and the verdict where that was the last. */
static void gather(struct many *m, struct flight *f) {
    struct cr_run *run = &f->run;
    for (size_t i = 0; i < f->n_started && !f->is_done; i++) {
        struct cr_asking *a = &run->asks[i];
        if (a->is_done || a->talk.n_running > 0)
            continue;
        enum critic_status status = cr_asking_finish(run, a, &f->job->fault);
        cr_asking_fini(run, a);
        f->n_done++;
        if (status != CRITIC_OK)
            land(m, f, status);
    }
    if (!f->is_done && f->n_done == run->n_asks)
        land(m, f, cr_run_conclude(run, &f->job->verdict.opinion, &f->job->fault));
}

/* ---- all of them ------------------------------------------------------------------------- */

static enum critic_status hand_over(struct many *m, critic_error *err) {
    while (m->n > 0 && flight_at(m, 0)->is_done) {
        struct cr_judge_job *job = flight_at(m, 0)->job;
        m->first = (m->first + 1) % MOST_FLIGHTS;
        m->n--;
        CR_TRY(m->feed->done(m->feed->user, job, err));
    }
    return CRITIC_OK;
}

/* The next flight from the feed; *there false where none can be taken on. */
static enum critic_status take_next(struct many *m, bool *there, critic_error *err) {
    struct cr_judge_job *job = NULL;
    *there = false;
    if (m->is_through || m->n == MOST_FLIGHTS)
        return CRITIC_OK;
    CR_TRY(m->feed->next(m->feed->user, &job, err));
    m->is_through = !job;
    *there = job != NULL;
    if (job)
        take_off(m, job);
    return CRITIC_OK;
}

/* Fills the lanes from the flights, and the flights from the feed. Who is done goes at once. */
static enum critic_status fill(struct many *m, critic_error *err) {
    for (size_t i = 0;; i++) {
        bool there = i < m->n;
        if (!there)
            CR_TRY(take_next(m, &there, err));
        if (!there)
            return CRITIC_OK;
        struct flight *f = flight_at(m, i);
        bool has_room = start_asks(m, f);
        gather(m, f);
        size_t before = m->n;
        CR_TRY(hand_over(m, err));
        i -= before - m->n; /* may wrap to -1, which the loop counts up from */
        if (!has_room)
            return CRITIC_OK;
    }
}

/* A step; what makes it fail falls on those who ran, who stood alone unless it was cancelled. */
static void step(struct many *m) {
    critic_error fault = {0};
    if (!m->lanes || cr_lanes_running(m->lanes) == 0)
        return;
    enum critic_status status = cr_lanes_step(m->lanes, &fault);
    for (size_t i = 0; i < m->n; i++) {
        struct flight *f = flight_at(m, i);
        bool runs = false;
        for (size_t k = 0; k < f->n_started && !f->is_done; k++)
            runs |= f->run.asks[k].talk.n_running > 0;
        if (status != CRITIC_OK && runs) {
            f->job->fault = fault;
            land(m, f, status);
        }
        gather(m, f);
    }
}

static void give_up(struct many *m) {
    for (size_t i = 0; i < m->n; i++) {
        struct flight *f = flight_at(m, i);
        if (f->is_done && f->job->status == CRITIC_OK)
            cr_verdict_fini(&f->job->verdict);
        land(m, f, CRITIC_CANCELLED);
        f->job->status = CRITIC_CANCELLED;
        cr_fail(&f->job->fault, CRITIC_CANCELLED, "cancelled");
        m->feed->done(m->feed->user, f->job, NULL);
    }
}

enum critic_status cr_judge_many(const struct cr_judge_feed *feed, critic_error *err) {
    struct many m = {.feed = feed};
    m.flights = calloc(MOST_FLIGHTS, sizeof *m.flights);
    if (!m.flights)
        return cr_fail(err, CRITIC_NO_MEMORY, "no memory for %u items", MOST_FLIGHTS);
    enum critic_status status = CRITIC_OK;
    while (status == CRITIC_OK) {
        status = fill(&m, err);
        if (status == CRITIC_OK)
            step(&m);
        if (status == CRITIC_OK)
            status = hand_over(&m, err);
        if (m.n == 0 && m.is_through)
            break;
    }
    if (status != CRITIC_OK)
        give_up(&m);
    cr_lanes_free(m.lanes);
    free(m.flights);
    return status;
}

/* ---- one item ---------------------------------------------------------------------------- */

struct single {
    struct cr_judge_job job;
    bool is_taken;
};

static enum critic_status next_single(void *user, struct cr_judge_job **job,
                                      critic_error *err) {
    struct single *s = user;
    (void)err;
    *job = s->is_taken ? NULL : &s->job;
    s->is_taken = true;
    return CRITIC_OK;
}

static enum critic_status done_single(void *user, struct cr_judge_job *job,
                                      critic_error *err) {
    (void)user;
    (void)job;
    (void)err;
    return CRITIC_OK;
}

enum critic_status cr_judge_item(struct cr_judge *judge, const struct cr_item *item,
                                 struct cr_verdict *out, critic_error *err) {
    struct single s = {.job = {.judge = judge, .item = item}};
    memset(out, 0, sizeof *out);
    CR_TRY(cr_judge_many(&(struct cr_judge_feed){next_single, done_single, &s}, err));
    if (s.job.status == CRITIC_OK)
        *out = s.job.verdict;
    else if (err)
        *err = s.job.fault;
    return s.job.status;
}
