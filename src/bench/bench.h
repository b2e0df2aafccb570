/* Phases of judging beside what this machine can do at most, measured in the same run.
 *
 * Ceilings come first (kernel/ceiling.h) and again at the end, and read passes over memory stand
 * between the rounds of decoding; the best of each counts, because a ceiling is what the machine
 * can do, and a phase's time is the best of its passes.
 * Arithmetic counts a multiplication and an addition as two operations, the useful ones only:
 * products with weights, and attention over the keys that a row may see.
 * Threads: one run at a time per engine. */
#ifndef CR_BENCH_BENCH_H
#define CR_BENCH_BENCH_H

#include <jansson.h>

#include "engine/engine.h"

struct cr_bench_ceilings { /* Gop/s and GB/s; 0: the ISA has no such instruction */
    double f32, bf16, int8, memory_read;
};

struct cr_bench_phase {
    char name[32];
    char shape[64];
    char dtype[8];
    size_t tokens;
    double seconds;
    double gops; /* 0: the phase is bound by memory */
    double gbps; /* 0: the phase is bound by arithmetic */
    double share;
};

#define CR_BENCH_MAX_PHASES 48

struct cr_bench_report {
    struct cr_bench_ceilings ceilings;
    struct cr_bench_phase phases[CR_BENCH_MAX_PHASES];
    size_t n_phases;
};

/* What prompts that share their beginning save; NAN where a phase was not run. */
struct cr_bench_ratios {
    double answers_8; /* seconds of 8 answers on one picture over those of 1 */
    /* seconds of 20 ordered pairs each alone over those of all together */
    double pairs_20;
};

struct cr_bench_opts {
    const char *shape; /* what the report calls the network */
    const char *dtype; /* "f32", "bf16", "int8" or "q4": of the products */
    bool quick;        /* shorter phases; what would pass 40 seconds is left out */
    double started;    /* cr_clock_seconds() at the program's start, for `quick` */
    const char *only;  /* phases whose name starts so; NULL: all */
    size_t n_passes;   /* of each phase; 0: 2, or 1 where quick */
    size_t
        n_tokens; /* of the prompt in prefill and before decode; 0: 256, 1,024, 4,096; 1,024 */
    size_t image_width; /* of the picture; 0: 640 x 480 */
    size_t image_height;
    /* Called before a phase and after each one that is done; may be NULL. */
    void (*on_phase)(void *user, const char *name, const struct cr_bench_phase *done);
    void *user;
};

/* Errors: those of the engine; CRITIC_CANCELLED. */
enum critic_status cr_bench_run(struct cr_bench_report *out, struct cr_engine *e,
                                const struct cr_bench_opts *opts, critic_error *err);

struct cr_bench_ratios cr_bench_ratios(const struct cr_bench_report *report);

/* {"ceilings": {…}, "phases": […], "ratios"?: {"answers_8"?, "pairs_20"?}}; NULL when memory is
 * out. */
json_t *cr_bench_to_json(const struct cr_bench_report *report);
/* Errors: CRITIC_BAD_DATA naming `where` and what is missing. */
enum critic_status cr_bench_from_json(struct cr_bench_report *out, const json_t *json,
                                      const char *where, critic_error *err);
/* The phase of `in` with the same name, dtype, shape and tokens, or NULL. */
const struct cr_bench_phase *cr_bench_find(const struct cr_bench_report *in,
                                           const struct cr_bench_phase *phase);

#endif
