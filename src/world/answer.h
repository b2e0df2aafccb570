/* Questions that are judged, answers of known quality, and the oracle that scores them.
 *
 * An answer is a list of claims. Speakers start from the right claims and corrupt them; the
 * oracle looks each claim up in the scene and counts. With
 *   m claims made, t of them true, v of them about a cell with nothing in it,
 *   F facts asked for, c of them stated fully and rightly,
 *   s statements (claims and padding), a of them about what was asked, x = s - a:
 *   accuracy      100 t / m                     0 where m = 0
 *   completeness  100 c / F
 *   hallucination 100 (m - v) / m               100 where m = 0
 *   relevance     100 a / s                     0 where s = 0
 *   conciseness   100 min(1, F / s)             0 where s = 0
 *   overall       max(0, 50 t/m + 50 c/F - 5 min(x, 4))
 * each rounded half up to a whole number from 0 to 100; more is better for all of them. */
#ifndef CR_WORLD_ANSWER_H
#define CR_WORLD_ANSWER_H

#include "world/desc.h"

/* ---- what is asked ---------------------------------------------------------------------------- */

#define CR_ASK_LIST(X)                                                                   \
    X(ALL, "describe", 40)       /* all objects */                                       \
    X(SOME, "describe-some", 18) /* those of a colour or a shape */                      \
    X(AT, "at", 8)               /* the object in a cell */                              \
    X(COUNT, "count", 9)                                                                 \
    X(EXISTS, "exists", 6)                                                               \
    X(WHERE, "where", 6)                                                                 \
    X(COLOUR, "colour-of", 5)                                                            \
    X(DIGIT, "digit-on", 4)                                                              \
    X(RELATION, "relation", 4)

enum cr_ask_kind {
#define CR_ASK_ENUM(name, text, weight) CR_ASK_##name,
    CR_ASK_LIST(CR_ASK_ENUM)
#undef CR_ASK_ENUM
        CR_N_ASKS
};
const char *cr_ask_name(enum cr_ask_kind kind);

/* What a short answer says. `v`: a number, 0 or 1 (no, yes), a cell, a colour, a digit or -1. */
enum cr_value_kind {
    CR_VALUE_NUMBER,
    CR_VALUE_YES_NO,
    CR_VALUE_PLACE,
    CR_VALUE_COLOUR,
    CR_VALUE_DIGIT
};

struct cr_ask {
    enum cr_ask_kind kind;
    struct cr_desc pick[2]; /* asked about; the second of RELATION only */
    unsigned cell;          /* AT */
    unsigned way;           /* RELATION: cr_way_name's index */
    bool has_value;         /* a short answer, which is then the one fact asked for */
    enum cr_value_kind value_kind;
    int value;      /* the truth */
    unsigned facts; /* bits of scene objects asked for, where there is no value */
    unsigned n_facts;
    char text[160];
};

void cr_ask_draw(struct cr_ask *out, const struct cr_scene *s, struct cr_rng *r,
                 bool novel_ok);
/* One value, or the object of one cell, answers it. */
bool cr_ask_is_short(const struct cr_ask *ask);
void cr_value_add(struct cr_line *l, const struct cr_ask *ask, unsigned side, int value);
/* The question back from its text (ask_read.c); false where it is none that cr_ask_draw would put to
 * this scene. */
bool cr_ask_read(struct cr_ask *out, const struct cr_scene *s, struct cr_str text);

/* ---- answers ------------------------------------------------------------------------------------ */

enum cr_claim_kind { CR_CLAIM_OBJECT, CR_CLAIM_VALUE, CR_CLAIM_PADDING };

struct cr_claim {
    enum cr_claim_kind kind;
    uint8_t cell;
    struct cr_desc said; /* OBJECT */
    int value;           /* VALUE; of PADDING the number of the sentence */
    /* Found by the oracle: */
    bool is_true;
    bool is_full;  /* true, and nothing left out */
    bool invented; /* there is nothing */
    bool asked;
};

enum cr_criterion {
    CR_OVERALL,
    CR_ACCURACY,
    CR_COMPLETENESS,
    CR_HALLUCINATION,
    CR_RELEVANCE,
    CR_CONCISENESS,
    CR_N_CRITERIA
};
const char *cr_criterion_name(enum cr_criterion c);

enum { CR_MAX_CLAIMS = 12 };

struct cr_answer {
    struct cr_claim claims[CR_MAX_CLAIMS];
    unsigned n;
    /* "There is a small red circle at the top." for "top: small red circle" */
    bool sentences;
    bool
        bare; /* no full stop at the end, and of a question about a cell its object alone */
    /* Found by the oracle: */
    unsigned n_claims, n_true, n_invented, n_found, n_statements, n_asked;
    unsigned found; /* bits of scene objects */
    int scores[CR_N_CRITERIA];
    int rating; /* 0 to 6, the hallucination rubric */
    size_t len;
    char text[1024];
};

/* Right and complete, terse, in grid order. */
void cr_answer_perfect(struct cr_answer *a, const struct cr_scene *s,
                       const struct cr_ask *ask);
/* A speaker: skill 0 (perfect) to 5 (poor), faults, order, style and padding drawn. */
void cr_answer_speak(struct cr_answer *a, const struct cr_scene *s,
                     const struct cr_ask *ask, unsigned skill, struct cr_rng *r,
                     bool novel_ok);
/* A short question's answer as a model gives it that was trained on the bare word: right, or with its one
 * claim false. Not for questions that ask for a list. */
void cr_answer_bare(struct cr_answer *a, const struct cr_scene *s,
                    const struct cr_ask *ask, bool right, struct cr_rng *r,
                    bool novel_ok);
/* The same answer with one thing changed. */
void cr_answer_vary(struct cr_answer *a, const struct cr_scene *s,
                    const struct cr_ask *ask, struct cr_rng *r, bool novel_ok);
/* What a text says, as claims (listen.c): "PLACE: OBJECT", "There is OBJECT at PLACE", "VALUE", "The
 * answer is VALUE", and for a question about a cell the OBJECT alone; any other statement is
 * padding. Of a speaker's text it is the speaker's claims. Capitals do not count; statements
 * beyond CR_MAX_CLAIMS are not heard. Ends with cr_answer_judge. */
void cr_answer_read(struct cr_answer *a, const struct cr_scene *s,
                    const struct cr_ask *ask, struct cr_str text);
/* The sentences of padding, for who reads them back; NULL past the last, which is the bare word "nothing". */
const char *cr_padding_text(int i);
/* Judges the claims and fills counts, scores and text. All makers above end with it. */
void cr_answer_judge(struct cr_answer *a, const struct cr_scene *s,
                     const struct cr_ask *ask);

/* A score of 0 to 100 on a scale of whole numbers: min + round((max - min) score / 100). */
int cr_on_scale(int score, int min, int max);

#endif
