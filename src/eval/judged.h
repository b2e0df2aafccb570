/* One judged item of a benchmark, and files of them: what the label was, what the judge wrote, how
 * the benchmark's own rule and ours read it. A row stands on its own: metrics, comparisons and
 * reports need the rows and nothing else. Files are JSON lines, appended one by one, without
 * anything that differs between two runs of the same judging (times, cache hits), so that shards
 * put together give the bytes of one run. */
#ifndef CR_EVAL_JUDGED_H
#define CR_EVAL_JUDGED_H

#include "eval/exam.h"
#include "eval/rules.h"

/* A verdict read from text or decided, by content: first is the item's first answer. */
struct cr_reading {
    bool ok;
    enum cr_pick pick; /* pairwise; NONE where not ok */
    double score;      /* pointwise; NAN */
    double pair[2];    /* two scores; NAN */
    enum cr_arena_verdict arena;
    char order[27];  /* "CADB"; "" */
    unsigned number; /* VL-RewardBench's "Answer N", by position, any N; 0: none */
};

/* One prompt's reply. */
struct cr_heard {
    bool swapped;
    struct cr_str raw; /* data NULL: decided without text */
    struct cr_reading official, robust;
};

enum cr_judgement_status { CR_ROW_OK, CR_ROW_UNPARSED, CR_ROW_ERROR };

struct cr_judgement {
    const char *id, *group, *subgroup, *cluster, *models[2], *label_order;
    enum cr_pick label_pick;
    double label_score;
    size_t lengths[2]; /* code points of the first two answers */
    enum cr_judgement_status status;
    const char *error;        /* not OK: one line */
    struct cr_reading robust; /* the judge's whole opinion */
    bool has_consistent, consistent;
    double p_first;  /* probability of first + tie/2; NAN: none */
    double expected; /* probability-weighted score; NAN: none */
    struct cr_heard *heard;
    size_t n_heard;
    size_t prompt_tokens, completion_tokens;
};

struct cr_judged {
    const struct cr_exam *bench;
    struct cr_judgement *items;
    size_t n, cap;
    char *model, *model_hash, *template_name, *template_hash;
    uint64_t seed;
    struct cr_arena arena;
};

enum critic_status cr_judged_init(struct cr_judged *rows, const struct cr_exam *bench,
                                  critic_error *err);
void cr_judged_fini(struct cr_judged *rows);

/* Who judges: model, template and seed of any verdict; the first call counts. */
enum critic_status cr_judged_set_source(struct cr_judged *rows,
                                        const struct cr_verdict *v, critic_error *err);
/* Adds the row of an item and its verdict; v NULL: it failed with `fault`. Errors: NO_MEMORY. */
enum critic_status cr_judged_add(struct cr_judged *rows, const struct cr_exam_item *item,
                                 const struct cr_verdict *v, const critic_error *fault,
                                 critic_error *err);
/* The last row as one line without its end. */
enum critic_status cr_judgement_to_json(const struct cr_judged *rows,
                                        const struct cr_judgement *row,
                                        struct cr_buf *out, critic_error *err);
/* Adds the row that a line holds; `where` begins errors. Errors: CRITIC_BAD_DATA (no row; of
 * another benchmark, model, template or seed than the rows before), CRITIC_NO_MEMORY. */
enum critic_status cr_judged_add_json(struct cr_judged *rows, struct cr_str line,
                                      const char *where, critic_error *err);
/* Reads a file of rows; the benchmark is the one of its first row. A doubled id is a fault,
 * counted; the first counts. Initialises rows. */
enum critic_status cr_judged_read(struct cr_judged *rows, const char *path,
                                  struct cr_faults *faults, critic_error *err);
/* NULL: none. Linear. */
const struct cr_judgement *cr_judged_find(const struct cr_judged *rows, const char *id);

/* By the benchmark's rule, by position; swapped turns it to content. (judged_read.c) */
struct cr_reading cr_read_official(const struct cr_exam *bench, struct cr_str raw,
                                   size_t n_answers, bool swapped);
bool cr_reading_equal(enum cr_metric_rule metric, const struct cr_reading *a,
                      const struct cr_reading *b);
/* The reply that counts officially where one is asked for: the first in the order given. */
const struct cr_heard *cr_judgement_official(const struct cr_judgement *row);

#endif
