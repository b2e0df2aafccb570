/* Lines of a verdict file by the id they carry. */
#ifndef CR_JUDGE_BATCH_ORDER_H
#define CR_JUDGE_BATCH_ORDER_H

#include "io/json.h"

struct cr_row_key {
    uint64_t hash[2];
};

/* Texts and numbers are told apart: "7" is another id than 7. */
struct cr_row_key cr_row_key(struct cr_str id, bool is_number);
struct cr_row_key cr_row_key_of(const json_t *row);
int cr_row_key_compare(const struct cr_row_key *a, const struct cr_row_key *b);
bool cr_row_is_error(const json_t *row);

/* Rewrites the file, whole or not at all: for each key in turn one line of that id, a line
 * without an error where there is one. Errors: CRITIC_BAD_FILE, CRITIC_IO, CRITIC_NO_MEMORY. */
enum critic_status cr_batch_put_in_order(const char *path, const struct cr_row_key *keys,
                                         size_t n_keys, critic_error *err);

#endif
