/* Private to src/bench: one run on its way. */
#ifndef CR_BENCH_RUN_H
#define CR_BENCH_RUN_H

#include "base/rng.h"
#include "bench/bench.h"
#include "model/model.h"

struct cr_bench_run {
    struct cr_engine *engine;
    struct cr_exec *ex;
    const struct cr_model *model;
    const struct cr_config *config;
    const struct cr_bench_opts *opts;
    struct cr_bench_report *report;
    struct cr_rng rng;
    struct cr_image picture;
    double
        pace; /* seconds of the slowest phase so far over those at half of the ceiling */
};

/* Would a quick run be done in time after so many seconds? */
bool cr_bench_has_time(const struct cr_bench_run *r, double seconds);
/* Is the phase wanted, and is there time for n_ops of it? Announces it if so. */
bool cr_bench_begin(struct cr_bench_run *r, const char *name, double n_ops);
/* Appends a phase: bound by arithmetic where n_ops is positive, else by memory. share: 0: of the
 * run's ceiling, once that is known. */
void cr_bench_add(struct cr_bench_run *r, const char *name, size_t tokens, double seconds,
                  double n_ops, double n_bytes, double share);
/* Passes for a phase of n_ops: long ones run once. */
size_t cr_bench_passes(const struct cr_bench_run *r, double n_ops);
/* One more measurement of memory, GB/s. */
double cr_bench_read_pass(struct cr_bench_run *r);
/* n, halved in a quick run until that many rows behind `first` others are short work. */
size_t cr_bench_tokens(const struct cr_bench_run *r, size_t n, size_t first);
/* Errors: CRITIC_NO_MEMORY, CRITIC_CONTEXT_FULL. */
enum critic_status cr_bench_random_ids(struct cr_bench_run *r, struct cr_prompt *p,
                                       size_t n, critic_error *err);

/* pictures.c: jpeg, resize, tower, projector, vision */
enum critic_status cr_bench_pictures(struct cr_bench_run *r, critic_error *err);
/* text.c: prefill, decode */
enum critic_status cr_bench_prefill(struct cr_bench_run *r, critic_error *err);
enum critic_status cr_bench_decode(struct cr_bench_run *r, critic_error *err);
/* judging.c: request, verdict_only, candidates, ordered pairs */
enum critic_status cr_bench_judging(struct cr_bench_run *r, critic_error *err);

#endif
