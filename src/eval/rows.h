/* Tables: TSV with a header as pandas writes it, each row as an object of strings; every other
 * file as cr_lines_read reads it. */
#ifndef CR_EVAL_ROWS_H
#define CR_EVAL_ROWS_H

#include "eval/lines.h"

/* path that ends in ".tsv": columns between tabs; a field in '"' may hold tabs, line feeds and ""
 * for '"'. A row with more or fewer columns than the header is a fault, left out.
 * Errors: as cr_lines_read. */
enum critic_status cr_rows_read(const char *path, struct cr_faults *faults,
                                cr_on_object on_object, void *user, critic_error *err);

#endif
