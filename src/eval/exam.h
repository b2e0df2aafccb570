/* Benchmarks of judges as rows of one table: which files, which of their fields are what, which
 * prompt, whose parse rule, which groups, which metrics. A new benchmark is a new row of
 * exam_table.c; only a rule that no other has needs code.
 *
 * What comes out of a file is a list of items ready to be judged, each with its label. */
#ifndef CR_EVAL_BENCH_H
#define CR_EVAL_BENCH_H

#include "eval/faults.h"
#include "eval/stats_label.h"
#include "judge/judge.h"

/* How the label is written. Pairwise labels are by content: first is answers[0]. */
enum cr_label_rule {
    CR_LABEL_NONE,
    CR_LABEL_RANKING, /* [0, 1]: the first is preferred; also as text */
    CR_LABEL_OUTPUT,  /* "Output1" or "Output2" */
    CR_LABEL_CHOSEN,  /* answers[0] is the chosen one */
    CR_LABEL_ABC,     /* "A", "B", "C" (tie) */
    CR_LABEL_WINNER, /* "model_a", "model_b", "tie", "tie (bothbad)"; first, second, win, lose */
    CR_LABEL_SCORE, /* a number, or a number as text */
    CR_LABEL_ORDER  /* "CDAB", best first */
};

enum cr_group_rule {
    CR_GROUP_NONE,
    CR_GROUP_KEY,    /* the field as it is */
    CR_GROUP_LIST,   /* a list or "ocr,math": the item counts in each */
    CR_GROUP_VLRB,   /* prefix of the id: general, hallucination, reasoning */
    CR_GROUP_MMRB,   /* Category; safety and reasoning split by the id */
    CR_GROUP_MMRLHF, /* first of mcq, long, short, safety, video in the media path */
    CR_GROUP_MMHAL   /* index modulo 8: the question type */
};

/* The official parse rule. */
enum cr_parse_rule {
    CR_PARSE_OURS, /* the benchmark has none that runs: judge/verdict.h */
    CR_PARSE_VLRB,
    CR_PARSE_LETTER,
    CR_PARSE_BRACKET_LETTER, /* MLLM-as-a-Judge pair, WildVision Arena's letters: A, B, C */
    CR_PARSE_BRACKET_SCORE, /* [[4]] */
    CR_PARSE_BATCH,
    CR_PARSE_ARENA,
    CR_PARSE_PAIR_LLAVA,
    CR_PARSE_PAIR_WILDER,
    CR_PARSE_MMHAL,
    CR_PARSE_MMVET,
    CR_PARSE_FINAL_SCORE, /* the number after the last "Final Score:" */
    CR_PARSE_VIDEO_DC
};

enum cr_metric_rule {
    CR_METRIC_VLRB,   /* accuracy by group, overall and macro; K votes */
    CR_METRIC_MMRB,   /* accuracy over all and by category */
    CR_METRIC_MMRLHF, /* Acc and Acc+ */
    CR_METRIC_PEARSON, /* by group, then the mean of the groups; tau of models where named */
    CR_METRIC_PICK,    /* accuracy with and without ties; tau of models where named */
    CR_METRIC_ORDER,    /* mean normalised Levenshtein distance */
    CR_METRIC_ARENA,    /* reward, win rate, the five counts */
    CR_METRIC_RELATIVE, /* 100 * candidate / reference by category */
    CR_METRIC_MMHAL,    /* mean score, hallucination rate, by question type */
    CR_METRIC_MEAN      /* mean by group, times `factor` */
};

#define CR_EXAM_FILES 4

/* Fields by name: "a.b" goes down, "x|y" takes the first that is there. */
struct cr_exam_keys {
    const char *id, *question, *context, *reference, *images, *criteria;
    /* one that holds a list, or two; "@" is the candidate's answer */
    const char *answers[2];
    const char *models[2]; /* who wrote them */
    const char *label, *group, *subgroup, *cluster;
};

struct cr_exam {
    const char *name, *title;
    const char *files[CR_EXAM_FILES]; /* looked for in --data, in this order */
    const char *source;               /* where the files are to be had, for people */
    struct cr_exam_keys keys;
    enum cr_mode mode;
    const char *template_name;
    enum cr_label_rule label;
    enum cr_group_rule group;
    enum cr_parse_rule parse;
    enum cr_metric_rule metric;
    double factor;           /* of CR_METRIC_MEAN; 0: 1 */
    size_t n_expected;       /* items of the published file; 0: not known */
    const char *group_sizes; /* "general 183, …": a file of other sizes is not it; NULL */
    bool both_orders;        /* the default of --orders */
    const char *note;        /* what to know about its published numbers; NULL */
};

/* Ended by a NULL name. */
extern const struct cr_exam cr_exams[];
/* NULL where there is none. */
const struct cr_exam *cr_exam_find(const char *name);

/* ---- items (exam_load.c) ------------------------------------------------------------------ */

struct cr_exam_item {
    struct cr_item item;
    const char *group;    /* NULL: none; several with "," between */
    const char *subgroup; /* NULL: none */
    const char *cluster;  /* what is drawn together; NULL: the item alone */
    const char *models[2];
    enum cr_pick label_pick; /* CR_PICK_NONE: no label */
    double label_score;      /* NAN: none */
    const char *label_order; /* "CDAB"; NULL: none */
};

struct cr_exam_set {
    const struct cr_exam *bench;
    struct cr_exam_item *items;
    size_t n;
    size_t n_file; /* objects in the file, before --limit, --sample and --shard */
    char *path;
    char hash[33];     /* of the file's bytes */
    char *groups;      /* "general 183, hallucination 749, …" of the whole file */
    bool is_published; /* sizes are those of the published file, or none are known */
    struct cr_arena arena;
};

struct cr_exam_load {
    const char *data;       /* the folder, or the file itself */
    const char *answers;    /* JSON lines of the candidate's answers by id; NULL: none */
    const char *candidate;  /* the column that holds the candidate's answer; NULL: none */
    size_t limit;           /* 0: all */
    size_t sample;          /* so many, evenly over the groups; 0: all */
    uint64_t seed;          /* of the sample */
    size_t shard, n_shards; /* item k belongs to shard k mod n_shards; 0: all */
};

/* An object that is no item is a fault, counted, and left out; so is an item that stands there twice.
 * Different items of one id are "ID", "ID#2" and so on. Errors: CRITIC_BAD_FILE (no file: the message names the files and where they are to be
 * had), CRITIC_BAD_ARGUMENT, CRITIC_NO_MEMORY. Ownership: cr_exam_set_fini, after failure too. */
enum critic_status cr_exam_load(struct cr_exam_set *out, const struct cr_exam *bench,
                                const struct cr_exam_load *how, struct cr_faults *faults,
                                critic_error *err);
void cr_exam_set_fini(struct cr_exam_set *set);

/* ---- published results (published.c) ---------------------------------------------------------- */

struct cr_published {
    const char *bench, *judge, *metric;
    double value;
    /* A read in an official source, B reprinted in a paper, C in reading notes */
    char grade;
    const char *source;
};
/* Ended by a NULL bench; the rows of a bench stand together. */
extern const struct cr_published cr_published[];

/* Numbers in print that their own data do not give; listed, never imitated. */
struct cr_irreproducible {
    const char *what, *why;
};
extern const struct cr_irreproducible cr_irreproducible[]; /* ended by a NULL what */

#endif
