/* Progress on standard error: on a terminal one line that is drawn over, with rate and time
 * left, once a job has taken two seconds; into a pipe a plain line every ten seconds;
 * with --quiet nothing. */
#ifndef CR_CLI_PROGRESS_H
#define CR_CLI_PROGRESS_H

#include <stdbool.h>
#include <stddef.h>

struct cr_progress {
    const char *what; /* "judging" */
    const char *unit; /* "items"; NULL: nothing is counted, only time is shown */
    bool quiet;
    bool terminal;
    bool drawn;     /* a line stands on the terminal and is to be wiped */
    double started; /* seconds of a steady clock */
    double shown;   /* when the last line came out */
    size_t done, total;
    size_t first; /* done at the start: a resumed run's rate counts only its own */
};

void cr_progress_begin(struct cr_progress *p, const char *what, const char *unit,
                       bool quiet);
/* total 0: unknown. Cheap: shows at most ten times a second. */
void cr_progress_update(struct cr_progress *p, size_t done, size_t total);
/* Shows time going on while nothing was finished. */
void cr_progress_tick(struct cr_progress *p);
/* Wipes the terminal's line, so that something else can be printed. */
void cr_progress_clear(struct cr_progress *p);

/* The line without its terminal dressing, at `now`: "judging 3/40 items, 1.2/s, 0:31 left". */
void cr_progress_line(const struct cr_progress *p, double now, bool bar, char *out,
                      size_t size);

#endif
