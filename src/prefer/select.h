/* Which answers of one prompt become preference pairs.
 *
 * Answers are left out, each with its reason, when they are empty, cut at the length limit,
 * nearly the same as an earlier one, or without a reward. Of the others:
 *   best-worst   the best against the worst
 *   all          every pair
 * and a pair whose rewards differ by `min_margin` or less is a tie and dropped. Equal rewards
 * keep the order of sampling, so that the choice is a function of the ledger. */
#ifndef CR_PREFER_SELECT_H
#define CR_PREFER_SELECT_H

#include "base/bytes.h"
#include "prefer/reward.h"

enum cr_drop {
    CR_KEPT,
    CR_DROP_EMPTY,
    CR_DROP_TRUNCATED,
    CR_DROP_DUPLICATE,
    CR_DROP_UNSCORED,
    CR_N_DROPS
};
/* "kept", "empty", "truncated", "duplicate", "unscored". */
const char *cr_drop_name(enum cr_drop drop);

enum cr_pairing { CR_PAIR_BEST_WORST, CR_PAIR_ALL };

struct cr_select_opts {
    enum cr_pairing pairing;
    /* a pair must differ by more than this; 0: only ties are dropped */
    double min_margin;
    /* Jaccard index of word pairs from which answers are one; 1: equal only */
    double near_same;
    bool keep_truncated;
};

struct cr_candidate {
    struct cr_str text;
    bool truncated;    /* ended at the length limit */
    double reward;     /* NAN: none */
    enum cr_drop drop; /* out */
};

struct cr_preference {
    size_t chosen, rejected;
    double margin; /* reward of chosen - of rejected */
};

/* Marks what can be said from the texts alone, before anything is judged: empty, truncated,
 * duplicate. Returns how many were kept. twin[i]: the earlier candidate that a duplicate repeats,
 * else i. */
size_t cr_select_texts(struct cr_candidate *candidates, size_t k,
                       const struct cr_select_opts *opts, size_t *twin);

/* Of the kept candidates: marks those without a reward and fills pairs (room for
 * k * (k - 1) / 2), largest margin first; returns how many. *best: the kept candidate with the
 * largest reward, k where there is none. */
size_t cr_select_pairs(struct cr_candidate *candidates, size_t k,
                       const struct cr_select_opts *opts, struct cr_preference *pairs,
                       size_t *best);

/* Jaccard index of the two texts' sets of adjacent word pairs, case and punctuation aside; single
 * words are compared as they are. 1 for texts that say the same, also both empty. */
double cr_text_overlap(struct cr_str a, struct cr_str b);

#endif
