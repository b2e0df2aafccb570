/* RUN/report.html: the curves of a run, from its metrics.jsonl (report/page.h: alone in one file). */
#ifndef CR_TRAIN_CURVES_H
#define CR_TRAIN_CURVES_H

#include "base/error.h"

/* Errors: CRITIC_BAD_FILE, CRITIC_IO, CRITIC_NO_MEMORY. */
enum critic_status cr_curves_write(const char *run, critic_error *err);

#endif
