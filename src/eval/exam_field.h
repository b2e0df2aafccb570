/* Fields of published records by name: "a.b" goes down (a number into a list), "x|y" takes the
 * first that is there. */
#ifndef CR_EVAL_BENCH_FIELD_H
#define CR_EVAL_BENCH_FIELD_H

#include "base/arena.h"
#include "io/json.h"

/* NULL where none of the names is there, or is null. */
const json_t *cr_field_find(const json_t *object, const char *names);
/* Text of a value, in the arena: a string as it is, a number as JSON writes it, a list of texts
 * with ", " between. data NULL: none of these, or memory is out. */
struct cr_str cr_field_text(struct cr_arena *a, const json_t *value);
/* A list of texts: a JSON list, or a string that holds one as JSON or Python writes it. Returns how
 * many were put into out (at most max); 0 where it is no list of texts. */
size_t cr_field_texts(struct cr_arena *a, const json_t *value, struct cr_str *out,
                      size_t max);
/* Where a picture is to be had, in the arena: a path or data URL as it stands, base64 as a data URL,
 * {"path", "bytes"} as data sets write it. Errors: CRITIC_BAD_DATA, CRITIC_NO_MEMORY. */
enum critic_status cr_field_picture(struct cr_arena *a, const json_t *value,
                                    struct cr_str *out, critic_error *err);

#endif
