/* Inside src/cli only: critic align and its stages. */
#ifndef CR_CLI_ALIGN_H
#define CR_CLI_ALIGN_H

#include "align/align.h"
#include "align/evaluate.h"
#include "cli/prefer.h"

#define CR_ALIGN_MAX_PATH 4096

enum cr_align_method { CR_ALIGN_DPO, CR_ALIGN_SFT };

struct cr_align_flags {
    struct cr_prefer_flags all;
    const char *out, *eval_prompts;
    double eval_share;
    size_t n_rounds, n_examples;
    bool resume;
    int method;               /* enum cr_align_method */
    const char *const *train; /* what stood behind "--": flags of critic train */
    size_t n_train;
    /* Of the run: */
    json_t *prompts, *held_out;
    char folder[CR_ALIGN_MAX_PATH], eval_folder[CR_ALIGN_MAX_PATH]; /* of pictures */
    char what[96]; /* the progress line's beginning */
    size_t round;  /* that is under way, and its stage; NULL: none yet */
    const char *stage;
    int exit_status; /* of a sub-command that ended the run and said so; -1: none */
};

extern const char *const cr_align_dtypes[]; /* by enum cr_dtype_choice */
extern const struct cr_align_stage cr_align_stages[];
extern const size_t cr_align_n_stages;

/* ---- what the stages share ---- */

struct cr_align_place {
    char text[CR_ALIGN_MAX_PATH];
};
struct cr_align_place cr_align_in_folder(const struct cr_align_round *r,
                                         const char *name);
/* The policy that a round ends with; of round 0 the one that came. */
struct cr_align_place cr_align_policy_of(const struct cr_align_flags *f, size_t round);
enum critic_status cr_align_open_policy(struct cr_align_flags *f, size_t round,
                                        struct cr_engine **out, critic_error *err);
/* Is it the policy that the run began with? Errors: CRITIC_BAD_ARGUMENT. */
enum critic_status cr_align_same_policy(const struct cr_align_round *r,
                                        const struct cr_engine *policy,
                                        critic_error *err);

/* ---- align_train.c ---- */

/* The stage. */
enum critic_status cr_align_train(void *self, const struct cr_align_round *r,
                                  json_t *detail, critic_error *err);
void cr_align_drop_checkpoints(const struct cr_align_flags *f,
                               const struct cr_align_round *r);
/* Does critic train take what stands behind "--"? -1, or its exit status, what is wrong being said. */
int cr_align_check_train(const struct cr_align_flags *f);
/* Is a --lora behind "--" one that every round can begin anew? Errors: CRITIC_BAD_ARGUMENT. */
enum critic_status cr_align_check_lora(const struct cr_align_flags *f, critic_error *err);

#endif
