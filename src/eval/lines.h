/* Files of one JSON object a line, one list of objects, or one object of objects by their ids (or of
 * texts: {"v1_0": "an answer"} is {"id": "v1_0", "text": "an answer"}), as judges and benchmarks leave them
 * behind: with a byte order mark, a torn last line, another encoding. What cannot be read is
 * a fault, counted, and the rest is used. */
#ifndef CR_EVAL_LINES_H
#define CR_EVAL_LINES_H

#include "eval/faults.h"
#include "io/json.h"

/* Called for every object; `line` is its line, or its place in the list from 1. */
typedef enum critic_status (*cr_on_object)(void *user, json_t *object, size_t line,
                                           critic_error *err);

/* Errors: CRITIC_BAD_FILE (cannot be read; empty; no object in it), CRITIC_BAD_DATA (UTF-16
 * or UTF-32), CRITIC_NO_MEMORY, what on_object returns. */
enum critic_status cr_lines_read(const char *path, struct cr_faults *faults,
                                 cr_on_object on_object, void *user, critic_error *err);

/* The whole file without its byte order mark, for formats of their own. out is initialised
 * here. Errors as above. */
enum critic_status cr_text_read(const char *path, struct cr_buf *out, struct cr_str *text,
                                critic_error *err);

/* The member as text: a string as it is, a number as JSON writes it; data NULL where absent,
 * null or something else. Valid as long as object and scratch. */
struct cr_id_text {
    char text[40];
};
struct cr_str cr_member_text(const json_t *object, const char *key,
                             struct cr_id_text *scratch);

#endif
