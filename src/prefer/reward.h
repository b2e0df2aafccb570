/* From what a judge said of K answers to one reward an answer.
 *
 * A judge gives scores, one an answer, or shares, one an ordered pair: share[i][j] is answer
 * i's share of the win over j where i was shown first (1 first, 0.5 tie, 0 second, or the
 * verdict's probability of first plus half of the tie's). What was not judged is NAN.
 *
 *   sum             r_i = sum_k a_ki - sum_l a_il,  a_ij = share of the second - of the first
 *                   (LLaVA-Critic, arXiv 2410.02712, section 4: an order bias cancels)
 *   bradley-terry   maximum-likelihood log-strengths of the order-averaged shares, centred
 *                   (MM algorithm, Hunter 2004), a tenth of a tie added to every pair so that
 *                   an answer that wins every pair stays finite
 *   win             mean share over the others, both orders averaged
 *   score           the judge's own scores
 *
 * Pure functions; nothing is allocated. */
#ifndef CR_PREFER_REWARD_H
#define CR_PREFER_REWARD_H

#include <stdbool.h>
#include <stddef.h>

#define CR_MAX_K 64 /* answers of one prompt */

enum cr_reward_kind {
    CR_REWARD_SUM,
    CR_REWARD_BRADLEY_TERRY,
    CR_REWARD_WIN,
    CR_REWARD_SCORE
};

/* What one judge said of the k answers of one prompt. */
struct cr_opinions {
    size_t k;
    double score[CR_MAX_K];           /* NAN: none */
    double share[CR_MAX_K][CR_MAX_K]; /* NAN: not judged; the diagonal is not read */
};

/* Everything NAN. */
void cr_opinions_init(struct cr_opinions *o, size_t k);

/* Share of i over j, both orders averaged; one order where only one was judged; NAN: none. */
double cr_opinions_share(const struct cr_opinions *o, size_t i, size_t j);

/* Mean over the unordered pairs judged both ways of |share_ij - (1 - share_ji)|: how far the
 * verdicts hang on the order. NAN where no pair was judged both ways. */
double cr_opinions_order_gap(const struct cr_opinions *o);

/* reward[i] of each answer; NAN for an answer of which the judge said nothing. Of `sum`, an
 * answer that lacks a comparison is judged by those it has, scaled up to k - 1. */
void cr_rewards(const struct cr_opinions *o, enum cr_reward_kind kind, double *reward);

#endif
