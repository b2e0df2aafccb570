/* critic data split: records into parts such that no picture is in two of them.
 *
 * A record's place follows from the seed and its first picture's name alone (without a picture: its
 * id, else its text), so a file that grows leaves the others where they were. */
#ifndef CR_WORLD_DATA_SPLIT_H
#define CR_WORLD_DATA_SPLIT_H

#include "base/bytes.h"

enum { CR_MAX_PARTS = 16 };

struct cr_data_part {
    char name[64];
    double share; /* of the sum of all shares */
    size_t n_records;
};

struct cr_data_split_opts {
    const char *in, *out; /* out: a folder; OUT/<name>.jsonl */
    uint64_t seed;
    bool force; /* replace files that are there */
};

/* "val=0.05". Errors: CRITIC_BAD_ARGUMENT. */
enum critic_status cr_data_part_parse(struct cr_data_part *part, struct cr_str text,
                                      critic_error *err);
/* Fills n_records of the parts; each file appears when it is whole.
 * Errors: CRITIC_BAD_FILE, CRITIC_BAD_DATA, CRITIC_BAD_ARGUMENT (a file is there), CRITIC_IO. */
enum critic_status cr_data_split(const struct cr_data_split_opts *opts,
                                 struct cr_data_part *parts, size_t n_parts,
                                 critic_error *err);

#endif
