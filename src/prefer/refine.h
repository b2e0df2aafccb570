/* Self-critique: answer, critique, revise, and keep what the critic prefers.
 *
 *   draft = policy(question)
 *   each round: notes = the critic's pointwise reason for the best answer so far;
 *               revision = policy(question, best answer, notes);
 *               the critic compares the two in both orders; the revision stays where its share
 *               of the win is above one half, else the best answer does.
 *
 * Policy and critic may be one engine. The critic sees pictures, question and answers only. */
#ifndef CR_PREFER_REFINE_H
#define CR_PREFER_REFINE_H

#include "engine/engine.h"
#include "judge/judge.h"

struct cr_refine_opts {
    size_t n_rounds;
    /* of draft and revisions; round r draws from seed + r */
    struct cr_generate_opts generate;
    struct cr_str system; /* of the policy; data NULL: the chat format's own */
};

struct cr_refine_round {
    struct cr_buf notes;
    struct cr_buf text; /* the revision */
    double share; /* of the revision against the best answer before; NAN: no verdict */
    bool kept;
};

struct cr_refined {
    struct cr_buf draft;
    struct cr_refine_round *rounds; /* n_rounds; those that were not begun are empty */
    size_t n_rounds;
    size_t best; /* 0: the draft; r: the revision of round r, counted from 1 */
    /* Everything that was computed, so that best-of-N can be given as much. */
    struct cr_usage policy;
    struct cr_judge_usage critic;
};

/* reasons: a judge with a pointwise template that writes reasons; pairs: one that compares in both
 * orders. Their engines may be the policy. out is released by cr_refined_fini, on failure too.
 * Errors: as cr_engine_prefill, cr_generate and cr_judge_item. */
enum critic_status cr_refine(struct cr_engine *policy, struct cr_judge *reasons,
                             struct cr_judge *pairs, const struct cr_image *images,
                             size_t n_images, struct cr_str question,
                             const struct cr_refine_opts *opts, struct cr_refined *out,
                             critic_error *err);
void cr_refined_fini(struct cr_refined *r);
/* The text of `best`. */
struct cr_str cr_refined_text(const struct cr_refined *r);

#endif
