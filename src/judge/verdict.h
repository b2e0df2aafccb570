/* The verdict parser: what a judge wrote, to a typed verdict or to a failure that says why.
 *
 * A template declares the formats it asks for, in order of preference, and the scale; the
 * first declared format with a match decides. Within a format the strongest match wins and
 * among equally strong ones the last (docs/judge.md):
 *   strength = 2 * stands at the start of its line + 1 * has the exact form that was asked for
 * Text between quotation marks and lines quoted with ">" never count. Letter case never
 * matters. A score off the scale, or with decimals on a scale of whole numbers, is a
 * failure; no default exists.
 *
 * Pure functions on text; any bytes are accepted. */
#ifndef CR_JUDGE_VERDICT_H
#define CR_JUDGE_VERDICT_H

#include "judge/judge.h"

/* X(name, spelling in templates, what it reads) */
#define CR_FORMAT_LIST(X)                                                                \
    X(SCORE, "score", "Score: [85]; also Score: 85, Score: 7/10")                        \
    X(FINAL_SCORE, "final-score", "Final Score: 85")                                     \
    X(RATING, "rating", "Rating: 4; also Rating: [4]")                                   \
    X(JSON, "json", "a \"score\", \"rating\" or \"judgement\" member with a number")     \
    X(BRACKETS, "brackets", "[[4]]")                                                     \
    X(NUMBER, "number", "a number that the text begins with")                            \
    X(TWO_SCORES, "two-scores", "a line of two numbers, one for each answer")            \
    X(BETTER, "better-response", "The better response: [first]; equally good")           \
    X(LETTER, "letter", "[[A]], [[B]] or [[C]] (tie)")                                   \
    X(ARENA, "arena", "[[A>>B]], [[A>B]], [[A=B]], [[B>A]] or [[B>>A]]")                 \
    X(ANSWER_BETTER, "answer-better", "Answer 1 is better")                              \
    X(ORDER, "order", "Ranking: [2, 1, 3]; also 2 > 1 > 3, [[B]], [[A]], [[C]]")

enum cr_format {
#define CR_FORMAT_ENUM(name, text, what) CR_FORMAT_##name,
    CR_FORMAT_LIST(CR_FORMAT_ENUM)
#undef CR_FORMAT_ENUM
        CR_N_FORMATS
};

const char *cr_format_name(enum cr_format format);
bool cr_format_find(struct cr_str name, enum cr_format *out);
/* The mode whose verdicts this format can express. */
enum cr_mode cr_format_mode(enum cr_format format);

#define CR_MAX_ANSWERS 26 /* of one prompt: letters name them */

struct cr_verdict_rule {
    enum cr_format formats[CR_N_FORMATS]; /* in order of preference */
    size_t n_formats;
    struct cr_scale scale; /* of the formats with numbers */
    size_t n_answers;      /* of the prompt; for ORDER */
};

struct cr_parsed {
    bool ok;
    const char *why; /* not ok: one constant line */
    enum cr_format format;
    double score;                 /* pointwise formats */
    enum cr_choice choice;        /* pairwise formats, by position in the prompt */
    int margin;                   /* ARENA: 2, 1, 0, -1, -2 from A>>B to B>>A */
    double pair[2];               /* TWO_SCORES */
    size_t order[CR_MAX_ANSWERS]; /* ORDER: positions in the prompt, best first */
    size_t n_order;
    size_t at, len;  /* the verdict's bytes: "Score: [85]" */
    size_t value_at; /* the first byte of the value: "85]" */
};

/* Errors: CRITIC_NO_MEMORY only; what cannot be read is out->ok == false with out->why. */
enum critic_status cr_verdict_parse(struct cr_parsed *out, struct cr_str text,
                                    const struct cr_verdict_rule *rule,
                                    critic_error *err);

/* Appends the text without the verdict: its line where it stands alone, its words where they
 * begin a line, and the whole text where they stand inside a sentence. Trimmed. */
enum critic_status cr_verdict_reason(struct cr_buf *out, struct cr_str text,
                                     const struct cr_parsed *parsed, critic_error *err);

#endif
