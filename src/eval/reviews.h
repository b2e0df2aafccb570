/* Review files of LLaVA-Bench: one JSON object a line with the judge's raw text, "text" or
 * "content", whose first line holds two scores, and often the pair that was recorded, "score" or
 * "tuple". Score 1 is the reference's, score 2 the candidate's. */
#ifndef CR_EVAL_REVIEWS_H
#define CR_EVAL_REVIEWS_H

#include "eval/faults.h"
#include "eval/stats.h"

enum cr_review_source {
    CR_REVIEW_UNPARSED,
    CR_REVIEW_OFFICIAL, /* read from the text by LLaVA's own rule */
    CR_REVIEW_RECORDED  /* that rule fails; the recorded pair stands */
};

struct cr_review {
    char *id;       /* as JSON, "68"; may be NULL */
    char *category; /* may be NULL */
    enum cr_review_source source;
    double pair[2]; /* NaN where unparsed */
    bool has_recorded, has_robust, has_lmms;
    double recorded[2], robust[2], lmms[2];
};

struct cr_reviews {
    struct cr_review *items;
    size_t n;
};

/* Reads a file. A line that is no review is a fault, counted and left out; a doubled id
 * within a file keeps the last; a text that says another pair than was recorded is a fault.
 * Errors: CRITIC_BAD_FILE (cannot be read, empty, no review in it), CRITIC_BAD_DATA (not
 * UTF-8), CRITIC_NO_MEMORY. Ownership: cr_reviews_fini, after failure too. */
enum critic_status cr_reviews_read(struct cr_reviews *out, const char *path,
                                   struct cr_faults *faults, critic_error *err);
void cr_reviews_fini(struct cr_reviews *r);

/* Means of the reference's and the candidate's scores and 100 * candidate / reference, over the
 * reviews that have a pair; category NULL: all. Undefined where none has, never 100. */
struct cr_relative {
    size_t n, n_scored;
    struct cr_stat reference, candidate, relative;
};
enum cr_review_rule {
    CR_REVIEW_RULE_HEADLINE, /* pair */
    CR_REVIEW_RULE_OFFICIAL, /* LLaVA's rule alone */
    CR_REVIEW_RULE_LMMS,
    CR_REVIEW_RULE_ROBUST,
    CR_N_REVIEW_RULES
};
struct cr_relative cr_reviews_relative(const struct cr_reviews *r,
                                       enum cr_review_rule rule, const char *category);

#endif
