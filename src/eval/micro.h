/* How good is a judge of the micro world: fresh held-out scenes from a seed, judged, and held
 * against the oracle (docs/micro-world.md; spec of the tables: docs/evaluation.md).
 *
 *   cr_micro_run      draws `limit` pairs and lets a model judge them in every manner
 *   cr_micro_measure  the numbers, with bootstrap intervals
 *
 * Every pair is judged in both orders, reason first and verdict only; once more with a blank
 * picture and with another scene's; each of its answers is scored alone; and an answer whose scores
 * by two criteria lie 30 points apart is scored by both. What a model writes and cannot be parsed
 * counts as wrong. */
#ifndef CR_EVAL_MICRO_H
#define CR_EVAL_MICRO_H

#include "engine/engine.h"
#include "eval/stats_boot.h"
#include "eval/stats_calib.h"
#include "judge/judge.h"
#include "world/base.h"
#include "world/critic.h"

struct cr_micro_opts {
    enum cr_split split; /* test, novel or crowded */
    uint64_t seed;
    size_t limit; /* pairs, a scene each */
    unsigned qa;  /* base questions a scene; 0: none */
    bool quick;   /* leave out what takes long: controls, single answers */
    size_t max_new_tokens;
    bool (*cancel)(void *user);
    void (*on_item)(void *user, size_t done, size_t total);
    void *user;
};
/* test, seed 1, 2000 pairs, 4 questions, 320 new tokens. */
void cr_micro_opts_default(struct cr_micro_opts *opts);

/* A verdict on a pair by content: choice NONE where it could not be parsed. p: of first, second,
 * tie; has_p false where there are none. */
struct cr_micro_verdict {
    enum cr_choice choice;
    bool has_p;
    double p[3];
};

enum { CR_MICRO_ORDERS = 2 };

/* One pair and all that was judged of it. */
struct cr_micro_row {
    struct cr_scene scene;
    struct cr_pair pair;
    struct cr_micro_verdict reason[CR_MICRO_ORDERS]; /* reason first */
    struct cr_micro_verdict only[CR_MICRO_ORDERS];   /* verdict only */
    struct cr_micro_verdict blind, swapped;          /* reason first, one order */
    unsigned n_facts, n_true_facts;                  /* stated in both reasons */
    int agrees[CR_MICRO_ORDERS]; /* reason's scores and verdict: 1, 0, -1 not stated */
    double score[2]; /* of each answer alone by `overall`, 0 to 100; NAN: unparsed */
    int obeys
        [2]; /* the answer's two criteria ordered rightly: 1, 0; -1 no such criteria */
    uint8_t qa_family[16];
    uint8_t qa_right[16];
    unsigned n_qa;
};

struct cr_micro_rows {
    struct cr_micro_row *rows;
    size_t n;
    size_t n_unparsed, n_prompts;
    double seconds;
};

/* Errors: as cr_judge_item; CRITIC_CANCELLED. Ownership: cr_micro_rows_fini, after failure too. */
enum critic_status cr_micro_run(struct cr_micro_rows *out, struct cr_engine *engine,
                                const struct cr_micro_opts *opts, critic_error *err);
void cr_micro_rows_fini(struct cr_micro_rows *rows);

/* ---- numbers ------------------------------------------------------------------------------- */

#define CR_MICRO_LIST(X)                                                                 \
    X(pair_accuracy, "pair accuracy", "untied pairs, both orders, reason first")         \
    X(pair_accuracy_ties, "with ties", "all pairs, three verdicts")                      \
    X(only_accuracy, "verdict only", "untied pairs, both orders, one pass")              \
    X(combined_accuracy, "orders combined", "untied pairs, the two orders' mean")        \
    X(pearson, "Pearson", "score of single answers with the oracle's overall")           \
    X(kendall, "Kendall tau-b", "the same")                                              \
    X(swap_consistency, "swap consistency", "both orders name the same answer")          \
    X(faithfulness, "faithfulness", "stated facts that are true of the scene")           \
    X(agreement, "reason and verdict", "the reason's scores order as the verdict does")  \
    X(ece, "calibration error", "15 bins, probability of the verdict given")             \
    X(only_ece, "the same, verdict only", "15 bins")                                     \
    X(obedience, "criterion obedience", "one answer, two criteria 30 points apart")      \
    X(longer, "longer preferred", "equally good answers; 0.5 is fair")                   \
    X(first, "first preferred", "untied pairs, both orders; 0.5 is fair")                \
    X(blind_pair_accuracy, "blank picture", "untied pairs")                              \
    X(swapped_pair_accuracy, "another scene's picture", "untied pairs")                  \
    X(qa_accuracy, "base questions", "exact answers, mean over families")

enum cr_micro_measure {
#define CR_MICRO_ENUM(name, text, help) CR_MICRO_##name,
    CR_MICRO_LIST(CR_MICRO_ENUM)
#undef CR_MICRO_ENUM
        CR_N_MICRO
};
const char *cr_micro_name(enum cr_micro_measure m); /* "pair_accuracy" */
const char *cr_micro_text(enum cr_micro_measure m);
const char *cr_micro_help(enum cr_micro_measure m);

struct cr_micro_cell {
    double value, low, high; /* NAN: not measured, or not defined */
    size_t n;
};

enum { CR_MICRO_BINS = 15 };

struct cr_micro_table {
    struct cr_micro_cell of[CR_N_MICRO];
    struct cr_micro_cell by_gap[CR_N_GAPS];           /* pair accuracy; [0]: ties found */
    struct cr_micro_cell by_criterion[CR_N_CRITERIA]; /* pair accuracy */
    struct cr_micro_cell by_ask[CR_N_ASKS]; /* pair accuracy by family of question */
    struct cr_micro_cell qa[CR_N_FAMILIES];
    struct cr_bin bins[CR_MICRO_BINS];
    double easy_share; /* of untied pairs: gap of 30 and more */
    double unparsed;   /* share of prompts */
};

/* Intervals: bootstrap over scenes, 95 %. Errors: CRITIC_NO_MEMORY. */
enum critic_status cr_micro_tabulate(struct cr_micro_table *out,
                                     const struct cr_micro_rows *rows, uint64_t seed,
                                     critic_error *err);

#endif
