/* What critic generate does with one prompt, and with a file of prompts. */
#ifndef CR_CLI_GENERATE_H
#define CR_CLI_GENERATE_H

#include "cli/cli.h"
#include "cli/progress.h"
#include "engine/engine.h"

struct cr_generate_flags {
    struct cr_common common;
    struct cr_prompt_flags prompt;
    struct cr_generate_opts opts;
    struct cr_strs stop;
    size_t n;           /* samples a prompt */
    size_t refine;      /* rounds of self-critique */
    const char *critic; /* of these rounds; NULL: the model itself */
    bool greedy;
    /* NAN, SIZE_MAX: not given, the defaults of cr_generate_opts_default stay. */
    double temperature, top_p;
    size_t top_k, max_new_tokens;
    const char *input, *output;
    bool resume, force;
    struct cr_progress *progress;
};

/* {"id"?, "status", "text", "token_ids", "logprobs"?, "finish_reason", "usage", "model", "model_hash",
 * "seed", "version"}; of several samples the four in the middle stand in "samples", a list. A new
 * reference, NULL where memory ran out; id may be NULL. */
json_t *cr_completions_json(const struct cr_generate_flags *f, const struct cr_engine *e,
                            const struct cr_completion *samples,
                            const struct cr_usage *usage, const char *id);

/* f->input to f->output, one line an item, in order (generate_batch.c).
 * Errors: CRITIC_BAD_FILE, CRITIC_BAD_ARGUMENT, CRITIC_IO, CRITIC_CANCELLED. A prompt that fails
 * becomes a line with status "error" and makes *exit_status 1. */
enum critic_status cr_generate_batch(struct cr_generate_flags *f, struct cr_engine *e,
                                     int *exit_status, critic_error *err);

/* One prompt by way of self-critique (generate_refine.c); prints the outcome.
 * Errors: as cr_refine. */
enum critic_status cr_generate_refined(struct cr_generate_flags *f,
                                       struct cr_engine *policy, critic_error *err);

#endif
