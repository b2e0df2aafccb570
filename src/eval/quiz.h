/* Benchmarks with plain answers, POPE, MME and MMBench: questions from the files as they are
 * downloaded, put to a model, its replies kept as JSON lines that cr_pope_score, cr_mme_score and
 * cr_mmbench_score read.
 *
 *   load (quiz_load.c, quiz_mme.c) -> ask (quiz_run.c) -> score -> page (quiz_page.c)
 *
 * The output, one line a question, repeats what scoring needs of the question, then has the reply:
 *   POPE     question_id, category, image, question, label; text
 *   MME      question_id, category, image, question, answer; prediction
 *   MMBench  index, question, A to E, answer, category, l2-category, split; prediction, and where
 *            the official rule reads no letter from it, choice and choice_probabilities
 * and of the run: status ("ok", or "error" with "error"), finish_reason, bench, model_hash, asked (a
 * hash of prompt, picture and sampling), seed. It holds no times: two runs give the same bytes. */
#ifndef CR_EVAL_QUIZ_H
#define CR_EVAL_QUIZ_H

#include <jansson.h>

#include "engine/engine.h"
#include "eval/exam.h"
#include "eval/mmbench.h"

enum cr_quiz_kind { CR_QUIZ_POPE, CR_QUIZ_MME, CR_QUIZ_MMBENCH };

struct cr_quiz {
    const char *name, *title;
    enum cr_quiz_kind kind;
    const char *files[8]; /* looked for in --data; POPE: all that are there are read */
    const char *source;   /* where they are to be had, for people */
    /* stands on a line of its own below each question; "": none */
    const char *instruction;
    const char *id_key, *reply_key; /* of the output */
};
/* Ended by a NULL name. */
extern const struct cr_quiz cr_quizzes[];
/* NULL where there is none. */
const struct cr_quiz *cr_quiz_find(const char *name);

struct cr_quiz_item {
    struct cr_str id; /* as text */
    struct cr_str prompt;
    struct cr_str folder, source; /* of the picture; source.data NULL: none */
    /* what belongs together: a question's rotations, a picture's questions */
    const char *unit;
    const char *group; /* split, task, category; "": none */
    /* MMBench; data NULL: the question lacks it */
    struct cr_str option[CR_MMBENCH_OPTIONS];
    json_t *row; /* what the output repeats */
};

struct cr_quiz_set {
    const struct cr_quiz *quiz;
    struct cr_quiz_item *items;
    size_t n, cap;
    size_t n_file; /* items before limit, sample and shard */
    struct cr_arena arena;
};

struct cr_quiz_load {
    const char *data;        /* the folder, or a file */
    const char *pictures;    /* folder of the pictures; NULL: beside the file */
    const char *instruction; /* NULL: the benchmark's */
    size_t limit, sample;    /* of units; 0: all */
    uint64_t seed;           /* of the sample */
    size_t shard, n_shards;  /* item k belongs to shard k mod n_shards; 0: all */
};

/* MMBench rows without rotated copies get them: in copy k letter i stands for option (i + k) mod n.
 * A row that is no item is a fault, counted, left out. Errors: CRITIC_BAD_FILE (no file: the message
 * names the files and where they are to be had), CRITIC_BAD_DATA, CRITIC_NO_MEMORY.
 * Ownership: cr_quiz_set_fini, after failure too. */
enum critic_status cr_quiz_load(struct cr_quiz_set *out, const struct cr_quiz *quiz,
                                const struct cr_quiz_load *how, struct cr_faults *faults,
                                critic_error *err);
void cr_quiz_set_fini(struct cr_quiz_set *set);

/* ---- asking (quiz_run.c) ------------------------------------------------------------------ */

struct cr_quiz_counts {
    size_t n_total, n_there, n_answered, n_failed;
    size_t n_chosen;         /* by likelihood */
    struct cr_usage usage;   /* of this run */
    char first_failure[320]; /* "item ID: why"; "": none */
};

struct cr_quiz_run {
    const char *output; /* JSON lines */
    bool resume, force;
    struct cr_generate_opts generate;
    const struct cr_image_limits *limits;
    /* After each question, in their order. */
    void (*on_item)(void *user, const struct cr_quiz_counts *counts);
    void *user;
};

/* Every line is written when its reply is there; a killed run loses the one under way, and resumed gives
 * the bytes of an uninterrupted one. A fault of one question (a picture that is missing) is
 * its line, and asked again on resume.
 * Errors: CRITIC_BAD_ARGUMENT (output holds something), CRITIC_BAD_DATA (output is of another model,
 * another prompt or other questions), CRITIC_IO, CRITIC_CANCELLED, CRITIC_NO_MEMORY. */
enum critic_status cr_quiz_ask(const struct cr_quiz_set *set, struct cr_engine *engine,
                               const struct cr_quiz_run *run,
                               struct cr_quiz_counts *counts, critic_error *err);

#endif
