/* Preference learning in rounds: each answers prompts with the newest policy, has the answers judged,
 * trains on the pairs and measures what came out (LLaVA-Critic, arXiv 2410.02712, section 4).
 *
 * This is the frame alone: folders, the order of the stages, and a state that survives kill -9. What
 * the stages do comes from outside; each keeps its files in the round's folder and, begun again,
 * goes on with what is there.
 *
 *   OUT/state.sqlite    stages that are done (state.h)
 *   OUT/round-0/        the policy as it came
 *   OUT/round-1/ …      a round each
 *
 * A finished run is a function of options, prompts and models, whatever stopped it on the way. */
#ifndef CR_ALIGN_ALIGN_H
#define CR_ALIGN_ALIGN_H

#include "align/state.h"

struct cr_align_round {
    size_t number;
    const char *folder; /* OUT/round-N, made already */
    struct cr_align_state *state;
};

struct cr_align_stage {
    const char *name;
    bool at_start; /* also of round 0 */
    /* Fills detail (an object) with what is worth counting. */
    enum critic_status (*run)(void *self, const struct cr_align_round *round,
                              json_t *detail, critic_error *err);
};

struct cr_align_opts {
    const char *out;
    size_t n_rounds;
    const json_t *options; /* what must be the same to go on */
    struct cr_align_late late;
    bool resume;
    /* Before each stage that is run; may be NULL. */
    void (*on_stage)(void *user, size_t round, const char *stage);
    void *user;
};

/* Runs what is not done yet. Errors: those of the stages and of cr_align_state_open. */
enum critic_status cr_align_run(const struct cr_align_opts *opts,
                                const struct cr_align_stage *stages, size_t n_stages,
                                void *self, critic_error *err);

#endif
