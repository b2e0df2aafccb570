/* Tab-separated tables as pandas writes them (VLMEvalKit): a first line of names; fields may stand in
 * double quotes, in which "" is a quote and line ends are text. Each row becomes an object of
 * texts. */
#ifndef CR_EVAL_TSV_H
#define CR_EVAL_TSV_H

#include "eval/lines.h"

/* Errors: as cr_lines_read. A row of another number of fields is a fault, counted, left out. */
enum critic_status cr_tsv_read(const char *path, struct cr_faults *faults,
                               cr_on_object on_object, void *user, critic_error *err);

#endif
