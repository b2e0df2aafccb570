/* Prompt templates: plain text with placeholders, and how its verdicts are to be read
 * (docs/templates.md).
 *
 *   ---                       front matter: may be left out where the mode can be told from
 *   mode: pairwise            the placeholders; then the whole file is the body
 *   format: better-response
 *   ---
 *   Question: [{question}]    the body, byte for byte; the final newline counts
 *   …
 *
 * Text that is put in is never scanned again, neither for placeholders nor for anything
 * else. Immutable once opened. */
#ifndef CR_JUDGE_TEMPLATE_H
#define CR_JUDGE_TEMPLATE_H

#include "base/hash.h"
#include "judge/verdict.h"

enum cr_field {
    CR_FIELD_QUESTION,
    CR_FIELD_ANSWER, /* of a pointwise body, and of each turn of {#answers} */
    CR_FIELD_ANSWER_1,
    CR_FIELD_ANSWER_2,
    CR_FIELD_REFERENCE,
    CR_FIELD_CRITERION,
    CR_FIELD_CONTEXT,
    CR_FIELD_SCALE_MIN,
    CR_FIELD_SCALE_MAX,
    CR_FIELD_N_ANSWERS,
    CR_FIELD_INDEX,   /* of {#answers}: 1, 2, … */
    CR_FIELD_LETTER,  /* of {#answers}: A, B, … */
    CR_FIELD_ANSWERS, /* only as {#answers}…{/answers} */
    CR_N_FIELDS
};

#define CR_MAX_LABELS 5

/* A verdict that can be read by probability: what the model would write, and its meaning. */
struct cr_label {
    struct cr_str text; /* between prefix and suffix; a whole sentence where `whole` */
    bool whole;
    enum cr_choice choice;
};

struct cr_template {
    const char *name;
    const char *description;
    char hash[CR_HASH_HEX]; /* of the file's bytes */
    enum cr_mode mode;
    struct cr_verdict_rule rule; /* n_answers is left to the prompt */
    bool verdict_last; /* reasons first; such verdicts cannot be read without them */
    bool has_prefix;   /* verdicts can be read by probability */
    struct cr_str prefix, suffix;
    struct cr_label labels[CR_MAX_LABELS]; /* pairwise */
    size_t n_labels;
    bool uses[CR_N_FIELDS];  /* anywhere in the body */
    bool needs[CR_N_FIELDS]; /* outside a {#section} of its own */
    struct cr_piece *pieces;
    size_t n_pieces;
    struct cr_arena arena;
};

/* Built-in templates, sorted by name. */
size_t cr_template_n_builtin(void);
const char *cr_template_builtin_name(size_t i);

/* A built-in one. Errors: CRITIC_BAD_ARGUMENT (there is none of that name), CRITIC_NO_MEMORY. */
enum critic_status cr_template_open_builtin(struct cr_template **out, const char *name,
                                            critic_error *err);
/* A built-in name, else a file. Errors: CRITIC_BAD_ARGUMENT (neither), CRITIC_BAD_FILE
 * "file:line: …", CRITIC_NO_MEMORY. *out is NULL on failure. */
enum critic_status cr_template_open(struct cr_template **out, const char *name,
                                    critic_error *err);
/* `name` is the template's own where the front matter gives none, and the place in errors. */
enum critic_status cr_template_parse(struct cr_template **out, const char *name,
                                     struct cr_str text, critic_error *err);
void cr_template_free(struct cr_template *t);

/* data NULL: not given. */
struct cr_template_values {
    struct cr_str question;
    const struct cr_str *answers; /* in prompt order */
    size_t n_answers;
    struct cr_str reference;
    struct cr_str criterion;
    struct cr_str context;
    struct cr_scale scale;
};

/* Appends the prompt. Errors: CRITIC_BAD_DATA: a value that the body needs is not given, or one
 * that is given has no place in it; CRITIC_NO_MEMORY. */
enum critic_status cr_template_render(const struct cr_template *t,
                                      const struct cr_template_values *values,
                                      struct cr_buf *out, critic_error *err);

#endif
