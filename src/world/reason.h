/* Reasons: a walk through an answer that restates what the picture shows at each place, and the
 * grammar that reads it back. Where what is asked must be searched for (a count, a place, those of
 * a colour), the picture's objects come first, then those that the question means, counted, and of
 * two how they lie to each other, so that the judging is done on words.
 *
 *   scan    := "Picture: " place ": " object {"; " place ": " object} "."
 *   asked   := "Asked: " ("none" | hit {"; " hit} [{"; one " way " two"} "; " way ": " ("yes" | "no")]) "."
 *   hit     := number " at " place ": " object               one, two, … of those that fit
 *                                                            the last way is the question's
 *   way     := "left of" | "right of" | "above" | "below"
 *   walk    := item {"; " item} "."
 *   item    := place ": " object ", ok" [", extra"]          the claim is right and full
 *            | place ": " object ", partial" [", extra"]     right, but leaves something out
 *            | place ": " object ", not " words [", extra"]  the words of the claim that are wrong
 *            | place ": nothing, not " object [", extra"]    there is nothing at that place
 *            | "answer: " value ", ok" | "answer: " value ", not " value
 *            | "missing " place ": " object                  asked for, and not said
 *            | "missing answer: " value
 *            | "padding" | "nothing said" | "all ok"
 *            | number " of " number " " what                 the counts of the criterion
 *            | number " extra" | number " said" | number " needed" | "score " digits
 *
 * `object` is always what the picture shows, in full (but behind "nothing, not"). */
#ifndef CR_WORLD_REASON_H
#define CR_WORLD_REASON_H

#include "world/answer.h"

/* What the reason is about: a criterion, or the 0 to 6 rubric. */
enum { CR_RUBRIC = CR_N_CRITERIA };

/* The scan and the line of what is asked, each with a line feed, for questions whose answer is searched
 * for; nothing for others. */
void cr_reason_scan(struct cr_line *l, const struct cr_scene *s,
                    const struct cr_ask *ask);
/* Every claim, what is missing where the criterion asks for it, the counts, and with `score`
 * "score NN"; ends with a full stop. */
void cr_reason_walk(struct cr_line *l, const struct cr_scene *s, const struct cr_ask *ask,
                    const struct cr_answer *a, unsigned criterion, bool score);
/* Only what is wrong, missing or too much: "all ok." where there is none. */
void cr_reason_faults(struct cr_line *l, const struct cr_scene *s,
                      const struct cr_ask *ask, const struct cr_answer *a,
                      unsigned criterion);

/* ---- reading back --------------------------------------------------------------------------------- */

enum cr_fact_kind {
    CR_FACT_OBJECT, /* something is at a place */
    CR_FACT_SEEN,   /* the same, in the scan or among what is asked */
    CR_FACT_WAY, /* how the first of what is asked lies to the second, or (MARK_NOT) does not */
    CR_FACT_NOTHING, /* nothing is there */
    CR_FACT_MISSING, /* something is there that the answer does not say */
    CR_FACT_ANSWER,  /* the short answer */
    CR_FACT_NO_ANSWER
};
enum cr_fact_mark { CR_MARK_NONE, CR_MARK_OK, CR_MARK_PARTIAL, CR_MARK_NOT };

/* One stated fact. */
struct cr_fact {
    enum cr_fact_kind kind;
    enum cr_fact_mark mark;
    unsigned answer; /* 0: no heading yet or the first; 1: behind the second heading */
    unsigned cell;
    unsigned other, way;  /* WAY: of the second, and cr_way_name's index */
    struct cr_desc shown; /* OBJECT, SEEN, MISSING: stated to be there */
    struct cr_desc wrong; /* with MARK_NOT: the words said to be wrong */
    struct cr_str value;  /* ANSWER: the true one; borrowed from the text */
    struct cr_str said;   /* ANSWER with MARK_NOT */
    bool extra;
};

struct cr_reason {
    struct cr_fact *facts;
    size_t n_facts,
        max_facts;   /* the caller's room; what does not fit is counted as unread */
    size_t n_unread; /* items that the grammar does not have */
};
/* Reads any text: verdict lines ("The better response: …", "Score: …", "Rating: …", "Two responses
 * are equally good.") are passed over, headings ("First:", "Second:", "A:", "1:", …) select
 * the answer. `side` is that of the scene's grid. */
void cr_reason_read(struct cr_reason *out, struct cr_str text, unsigned side);
/* Is what the fact states true of the scene? Facts about an answer need the question: true where
 * `value` (the right answer's words; data NULL: unknown) is the same. */
bool cr_fact_holds(const struct cr_fact *f, const struct cr_scene *s,
                   struct cr_str value);

#endif
