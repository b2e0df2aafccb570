/* Inside dataset*.c only: a data set being built. */
#ifndef CR_TRAIN_DATASET_IMPL_H
#define CR_TRAIN_DATASET_IMPL_H

#include "train/dataset.h"

#define CR_MAX_RECORD_PICTURES 64

struct cr_open_pack {
    uint64_t key;
    uint32_t pack; /* index + 1; 0: free */
};

/* What building needs beside the dataset. */
struct cr_dataset_builder {
    struct cr_dataset *d;
    const struct cr_dataset_opts *o;
    struct cr_encoder encoder;
    struct cr_open_pack *open; /* by the hash of prefix and pictures */
    size_t n_open, open_cap;
    /* The record in work. */
    uint32_t record;
    bool lacks_picture; /* that is what is wrong with it */
    uint32_t pictures[CR_MAX_RECORD_PICTURES];
    size_t n_pictures;
    size_t picture_rows[CR_MAX_RECORD_PICTURES];
    struct cr_labelled prefix;
    struct cr_labelled branches; /* of the record, one after the other */
    size_t *ends;
    size_t n_ends, ends_cap;
    size_t n_logged;
    critic_error first_bad;
};

/* The record's pictures into b->pictures, known to the data set from then on.
 * Errors: CRITIC_BAD_DATA, CRITIC_NO_MEMORY. */
enum critic_status cr_dataset_pictures(struct cr_dataset_builder *b, const json_t *record,
                                       critic_error *err);
/* Puts the record's conversations or its pair into packs. Errors: CRITIC_BAD_DATA (no line in the
 * message: the caller wraps it), CRITIC_NO_MEMORY. */
enum critic_status cr_dataset_add(struct cr_dataset_builder *b, const json_t *record,
                                  critic_error *err);

#endif
