/* Lines of a resumed output by the id they carry: what was judged again stands at the end, and belongs
 * where it would stand in an uninterrupted run. */
#ifndef CR_IO_JSONL_ORDER_H
#define CR_IO_JSONL_ORDER_H

#include "io/json.h"

struct cr_row_key {
    uint64_t hash[2];
};

/* Texts and numbers are told apart: "7" is another id than 7. */
struct cr_row_key cr_row_key(struct cr_str id, bool is_number);
struct cr_row_key cr_row_key_of(const json_t *row, const char *id_key);
int cr_row_key_compare(const struct cr_row_key *a, const struct cr_row_key *b);
/* Its status is "error", or n_failed is above 0. */
bool cr_row_is_error(const json_t *row);

/* Rewrites the file, whole or not at all: for each key in turn one line of that id (under id_key), a
 * line without an error where there is one; then the lines of other ids that are no errors, as they stand. Of ids
 * that are keys no other line is kept. Errors: CRITIC_BAD_FILE, CRITIC_IO, CRITIC_NO_MEMORY. */
enum critic_status cr_jsonl_put_in_order(const char *path, const char *id_key,
                                         const struct cr_row_key *keys, size_t n_keys,
                                         critic_error *err);

#endif
