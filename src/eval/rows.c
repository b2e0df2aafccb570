#include "eval/rows.h"

#include <string.h>

#include "eval/tsv.h"

enum critic_status cr_rows_read(const char *path, struct cr_faults *faults,
                                cr_on_object on_object, void *user, critic_error *err) {
    size_t n = strlen(path);
    return n >= 4 && strcmp(path + n - 4, ".tsv") == 0
               ? cr_tsv_read(path, faults, on_object, user, err)
               : cr_lines_read(path, faults, on_object, user, err);
}
