/* Judging: one item (pictures, question, answers) to one verdict with its provenance.
 *
 * A verdict is typed: a score (pointwise), first / second / tie (pairwise) or an order of
 * answers (ranking). It is the root of a tree of opinions: a leaf is one prompt put to the
 * model, an inner node combines its parts by the rule of its kind (docs/judge.md):
 *
 *   criteria -> answers or comparisons (several answers) -> orders (both) -> samples
 *
 * What cannot be parsed is CR_VERDICT_UNPARSED with the raw text kept, never a default.
 * Text under judgement is data: it is never parsed for special tokens, nor scanned for
 * placeholders. This layer knows prompts and ids, never tensors.
 *
 *   struct cr_judge *judge;
 *   struct cr_verdict verdict;
 *   cr_judge_new(&judge, engine, &opts, &err);
 *   cr_judge_item(judge, &item, &verdict, &err);
 *   cr_verdict_to_json(&verdict, &line, &err);
 *   cr_verdict_fini(&verdict);
 *
 * Threads: one call at a time per engine, as engine.h. */
#ifndef CR_JUDGE_JUDGE_H
#define CR_JUDGE_JUDGE_H

#include "base/arena.h"
#include "base/bytes.h"

struct cr_engine;
struct cr_image;
struct cr_image_limits;
struct cr_template;
struct cr_judge;

enum cr_mode { CR_MODE_AUTO, CR_MODE_POINTWISE, CR_MODE_PAIRWISE, CR_MODE_RANKING };
enum cr_choice { CR_CHOICE_NONE, CR_CHOICE_FIRST, CR_CHOICE_SECOND, CR_CHOICE_TIE };
enum cr_verdict_status { CR_VERDICT_OK, CR_VERDICT_UNPARSED, CR_VERDICT_ERROR };

/* "auto", "pointwise", …; "first", …; "ok", …. The parse is false for anything else. */
const char *cr_mode_name(enum cr_mode mode);
bool cr_mode_parse(const char *text, enum cr_mode *out);
const char *cr_choice_name(enum cr_choice choice);
const char *cr_verdict_status_name(enum cr_verdict_status status);

/* A closed interval of scores; `step` is 1 for whole scores, 0.1 for tenths. */
struct cr_scale {
    double min;
    double max;
    double step;
};
#define CR_MAX_STEPS 1000 /* of a scale: verdict-only reads every score */
/* "1-10", "0-1:0.1" (step after a colon; 1 without). Errors: CRITIC_BAD_ARGUMENT. */
enum critic_status cr_scale_parse(const char *text, struct cr_scale *out,
                                  critic_error *err);

/* ---- items (item.c) ------------------------------------------------------------------- */

/* Zero it, point the fields at what the caller owns, and cr_item_fini is not needed; or
 * let cr_item_from_json fill it, and it is. */
struct cr_item {
    struct cr_str id;
    bool id_is_number;            /* the id was a JSON number, and is written as one */
    const struct cr_str *sources; /* a path or a data URL each; loaded by cr_judge_item */
    size_t n_sources;
    const struct cr_image *images; /* decoded pictures instead of sources; NULL: none */
    size_t n_images;
    struct cr_str question;
    const struct cr_str *answers;
    size_t n_answers;
    struct cr_str reference; /* data NULL: none; likewise context */
    struct cr_str context;
    const struct cr_str *criteria;
    size_t n_criteria;
    struct cr_str folder;  /* that relative sources start from; data NULL: the current */
    struct cr_arena arena; /* of cr_item_from_json */
};

/* One line of JSONL: {"id", "images", "question", "responses", "reference"?, "criteria"?,
 * "context"?} (docs/judge.md). `id` may be a string or a whole number (kept as its text),
 * and `images` absent, for a text judge. `folder` is where relative paths start; `where` is
 * "file:line". Errors: CRITIC_BAD_DATA "file:line: …" naming the key. */
enum critic_status cr_item_from_json(struct cr_item *out, struct cr_str line,
                                     const char *folder, const char *where,
                                     critic_error *err);
void cr_item_fini(struct cr_item *item);

/* ---- the judge -------------------------------------------------------------------------- */

struct cr_judge_opts {
    enum cr_mode mode; /* AUTO: 1 answer pointwise, 2 pairwise, more ranking */
    /* a built-in name or a file; NULL: what the checkpoint names for mode, scale and
       verdict_only, else the mode's own */
    const char *template_name;
    enum cr_mode template_mode; /* without a name: this mode's template serves all modes;
                                   POINTWISE judges several answers each alone */
    bool has_scale;             /* replaces the template's scale */
    struct cr_scale scale;
    bool verdict_only; /* probabilities at the verdict position, no generation */
    /* > 0: read as verdict_only, and where the most probable verdict has less, let the
       judge write its reason and verdict after all */
    double explain_below;
    bool probabilities; /* also when generating: read them at the verdict position */
    bool both_orders;   /* pairs are judged both ways round and combined */
    size_t n_samples;   /* > 1: distribution over samples (temperature > 0) */
    double temperature; /* 0: greedy */
    double top_p;
    size_t top_k;
    uint64_t seed;
    size_t max_new_tokens;
    /* tokens drafted a step from prompt and reason (engine.h): same verdicts */
    size_t lookup;
    struct cr_str system; /* data NULL: the chat format's own; len 0: none */
    const struct cr_image_limits *image_limits; /* NULL: the defaults */
    /* Before an item's first prompt, with its pictures (none where a voice answers); may be
     * NULL. */
    void (*on_item)(void *user, const struct cr_item *item, const struct cr_image *images,
                    size_t n_images);
    /* Generated text as it comes (sample 0 of each prompt); may be NULL. */
    void (*on_text)(void *user, struct cr_str piece);
    /* After each prompt of an item: `done` of `total`; may be NULL. */
    void (*on_prompt)(void *user, size_t done, size_t total);
    void *user;
};

/* Auto mode, one greedy sample, 1024 new tokens. */
void cr_judge_opts_default(struct cr_judge_opts *opts);

/* Loads and checks the template. `engine` must outlive the judge; strings in opts are copied.
 * Errors: CRITIC_BAD_ARGUMENT (options that contradict each other, an unknown template),
 * CRITIC_BAD_FILE (a template file's line), CRITIC_NO_MEMORY. */
enum critic_status cr_judge_new(struct cr_judge **out, struct cr_engine *engine,
                                const struct cr_judge_opts *opts, critic_error *err);
void cr_judge_free(struct cr_judge *judge);
/* Does the checkpoint name, as the one it prefers for this mode, a template whose reason comes first?
 * Such a critic was tuned to look before it judges, and may judge much worse in one pass.
 * Errors: CRITIC_BAD_ARGUMENT (a name that is no built-in template). */
enum critic_status cr_judge_wants_reasons(const struct cr_engine *engine,
                                          enum cr_mode mode, bool *out,
                                          critic_error *err);
/* The template that items of this mode use (template.h). */
const struct cr_template *cr_judge_template(const struct cr_judge *judge,
                                            enum cr_mode mode);
/* NULL where a voice answers (voice.h). */
struct cr_engine *cr_judge_engine(const struct cr_judge *judge);
const char *cr_judge_model_hash(const struct cr_judge *judge);
uint64_t cr_judge_seed(const struct cr_judge *judge);
/* What it was made with; strings as in cr_judge_new are copies or gone. */
const struct cr_judge_opts *cr_judge_opts_of(const struct cr_judge *judge);
/* The mode in which an item with so many answers is judged; auto where that cannot be said. */
enum cr_mode cr_judge_mode_of(const struct cr_judge *judge, size_t n_answers);

/* ---- verdicts --------------------------------------------------------------------------- */

/* A possible verdict and its probability among the alternatives (they sum to 1). */
struct cr_option {
    const char *label; /* "87", "first", "tie", "A>>B" … */
    double probability;
    double score; /* of a score label; NAN otherwise */
};

enum cr_parts {
    CR_PARTS_NONE,
    CR_PARTS_CRITERIA,
    CR_PARTS_ANSWERS,     /* each judged alone, by a pointwise template */
    CR_PARTS_COMPARISONS, /* all pairs */
    CR_PARTS_ORDERS,
    CR_PARTS_SAMPLES
};

/* Indices count the item's answers from 0. All memory belongs to the verdict's arena. */
struct cr_opinion {
    enum cr_verdict_status status;
    enum cr_mode mode;
    double score;          /* pointwise; NAN where there is none */
    enum cr_choice choice; /* pairwise, by content: `first` is answers[0] of the pair */
    size_t *order;         /* ranking, best first; answers that tie in index order */
    size_t n_order;
    double *scores; /* one per answer of this opinion (docs/judge.md) */
    size_t n_scores;
    struct cr_option *options; /* NULL: no probabilities were read */
    size_t n_options;
    double mass;      /* probability of all options together before normalising */
    bool has_numbers; /* scores are numbers that the judge wrote for both answers */
    bool has_expected;
    double expected; /* sum of p * score */
    bool has_consistent;
    bool consistent;         /* orders: both name the same answer */
    struct cr_str reason;    /* the text without the verdict */
    struct cr_str raw;       /* all that the model wrote, specials skipped */
    const char *why;         /* unparsed: what is wrong, in one line; else NULL */
    struct cr_str criterion; /* a part of CRITERIA; data NULL otherwise */
    size_t pair[2];    /* a part of COMPARISONS or ORDERS: answers in prompt order */
    size_t n_unparsed; /* of the parts */
    enum cr_parts parts_kind;
    struct cr_opinion *parts;
    size_t n_parts;
};

struct cr_judge_usage {
    size_t prompt_tokens;
    size_t cached_tokens;
    size_t completion_tokens;
    size_t image_tiles;
    size_t cached_tiles;
    size_t n_prompts;
    size_t n_remembered; /* of them, answered by a cache of replies (voice.h) */
    /* of work; a step that served several items counts for each in part */
    double seconds;
};

/* sum += u */
void cr_judge_usage_add(struct cr_judge_usage *sum, const struct cr_judge_usage *u);

struct cr_verdict {
    struct cr_str id;
    bool id_is_number;
    struct cr_opinion opinion;
    const char *error; /* CR_VERDICT_ERROR: the line; else NULL */
    struct cr_judge_usage usage;
    const char *model;
    const char *model_hash;
    const char *template_name;
    const char *template_hash;
    uint64_t seed;
    struct cr_arena arena;
};

/* Errors: CRITIC_BAD_DATA (number of answers, a picture), CRITIC_BAD_FILE, CRITIC_CONTEXT_FULL,
 * CRITIC_NO_MEMORY, CRITIC_CANCELLED. On failure *out is zeroed. An unparsed verdict is OK as
 * a call: look at out->opinion.status. */
enum critic_status cr_judge_item(struct cr_judge *judge, const struct cr_item *item,
                                 struct cr_verdict *out, critic_error *err);
/* The verdict of an item that failed: status "error" with fault's message. id may be empty. */
enum critic_status cr_verdict_failed(struct cr_judge *judge, struct cr_str id,
                                     const critic_error *fault, struct cr_verdict *out,
                                     critic_error *err);
void cr_verdict_fini(struct cr_verdict *v);
/* Appends one JSON object on one line, no newline (docs/judge.md lists the keys). */
enum critic_status cr_verdict_to_json(const struct cr_verdict *v, struct cr_buf *out,
                                      critic_error *err);

#endif
