/* What is wrong with files of verdicts: one line a kind and file, counted, so that a file with a
 * thousand doubled ids says it once and nothing is lost in silence. */
#ifndef CR_EVAL_FAULTS_H
#define CR_EVAL_FAULTS_H

#include "base/error.h"

struct cr_fault {
    char *file, *kind;
    char *message; /* of the first place: "FILE:LINE: what is wrong; what was expected" */
    size_t n;
};

struct cr_faults {
    struct cr_fault *items;
    size_t n;
};

/* Safe on a zeroed list. */
void cr_faults_fini(struct cr_faults *f);
/* Counts one fault of this kind in this file; the first one's place (a line from 1; 0: the
 * file as a whole) and text are kept. Errors: CRITIC_NO_MEMORY. */
enum critic_status cr_faults_add(struct cr_faults *f, const char *file, const char *kind,
                                 size_t line, critic_error *err, const char *fmt, ...)
    CR_PRINTF(6, 7);
/* All faults together. */
size_t cr_faults_total(const struct cr_faults *f);

#endif
