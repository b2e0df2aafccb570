/* critic data critic: judgements of answers, in the shape of LLaVA-Critic-113k
 * (docs/micro-world.md). From scenes.jsonl to
 *
 *   critic.jsonl         one judgement a record: id, source, image, conversations (two turns)
 *   critic-packed.jsonl  the same, all judgements of a picture in one record together with some
 *                        base turns; every pair of turns stands alone. For training.
 *   critic-oracle.jsonl  line k is about line k of critic.jsonl: the oracle's numbers and claims;
 *                        an item of `critic judge --input` as well */
#ifndef CR_WORLD_CRITIC_H
#define CR_WORLD_CRITIC_H

#include "world/reason.h"

/* How a judgement is worded; a template has one. */
enum cr_manner { CR_VERDICT_FIRST, CR_REASON_FIRST, CR_VERDICT_ONLY, CR_N_MANNERS };
const char *cr_manner_name(enum cr_manner m);

/* ---- one pair or answer, chosen by its numbers ----------------------------------------------------- */

struct cr_pair {
    struct cr_ask ask;
    struct cr_answer answers[2]; /* in prompt order */
    enum cr_criterion criterion;
    int gap; /* score of the first minus that of the second */
    bool
        is_swap; /* the answers of the pair before, by a criterion that orders them otherwise */
};

/* Shares in percent of the gap's size: equal, 3-9, 10-15, 16-29, 30 and more. A gap of 1 or 2 is
 * never drawn. */
enum { CR_N_GAPS = 5 };
extern const unsigned cr_gap_percent[CR_N_GAPS];
int cr_gap_bin(int gap); /* -1 for 1 and 2 */

/* want_first: the better answer stands first, where one is better. */
void cr_pair_draw(struct cr_pair *out, const struct cr_scene *s, struct cr_rng *r,
                  bool want_first, bool novel_ok);
/* The same answers under a criterion that gives another verdict; false where there is none. */
bool cr_pair_swap(struct cr_pair *pair, struct cr_rng *r);

/* ---- all of them ------------------------------------------------------------------------------------- */

struct cr_critic_opts {
    const char *scenes; /* scenes.jsonl that critic data world wrote */
    const char *out;    /* folder; NULL: that of scenes.jsonl */
    uint64_t seed;
    size_t limit;           /* scenes; 0: all */
    unsigned pairs, points; /* a picture */
    unsigned base;          /* base turns in a packed record, `describe` among them */
    unsigned manner_percent[CR_N_MANNERS];
    bool both_orders; /* every pair a second time, the answers exchanged */
    int n_threads;
    bool force;
    void (*on_progress)(void *user, size_t done, size_t total); /* total 0; may be NULL */
    bool (*cancel)(void *user);
    void *user;
};
/* seed 1, 3 pairs, 2 points, 12 base turns, 35 / 50 / 15 %, 1 thread. */
void cr_critic_opts_default(struct cr_critic_opts *opts);

struct cr_critic_result {
    size_t n_scenes, n_pairs, n_points, n_base_turns;
    uint64_t answer_bytes,
        base_answer_bytes; /* of packed records: all, and of base turns */
};

/* Errors: CRITIC_BAD_ARGUMENT, CRITIC_BAD_DATA "file:line: …", CRITIC_BAD_FILE, CRITIC_IO,
 * CRITIC_NO_MEMORY, CRITIC_CANCELLED. */
enum critic_status cr_critic_generate(const struct cr_critic_opts *opts,
                                      struct cr_critic_result *result, critic_error *err);

#endif
