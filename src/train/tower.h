/* The tower alone on dense labels (train/labels.h) as a task of the loop: what SigLIP's
 * pre-training is to the real network. */
#ifndef CR_TRAIN_TOWER_H
#define CR_TRAIN_TOWER_H

#include "train/labels.h"
#include "train/loop.h"

struct cr_tower_opts {
    const char *data_path;
    const char *eval_path; /* may be NULL */
    double eval_split;     /* share of the pictures kept back */
    const char *image_folder;
    size_t keep_picture_bytes;
    const char *model_dir; /* where label heads may lie; NULL: none */
    uint64_t seed;
    cr_cancel_fn *cancel;
    void *cancel_user;
};

struct cr_tower {
    struct cr_net *net;
    struct cr_tower_opts o;
    struct cr_pictures pictures;
    struct cr_labels labels;
    uint32_t *items[2]; /* train, held back */
    size_t n_items[2];
    size_t tile_floats;
    struct cr_tower_slot {
        float *pixels;
        size_t cap; /* tiles */
        struct cr_label_use *uses;
        size_t n;
    } slots[CR_TASK_SLOTS];
    float *dfeatures;
    size_t dfeatures_cap;
    uint64_t hash[2]; /* of the data */
};

/* Errors: those of cr_labels_open; CRITIC_BAD_DATA naming file and line of a label whose picture
 * cannot be read. cr_tower_close after failure too. */
enum critic_status cr_tower_open(struct cr_tower *t, struct cr_net *net,
                                 const struct cr_tower_opts *opts, critic_error *err);
void cr_tower_close(struct cr_tower *t);
struct cr_task cr_tower_task(struct cr_tower *t);

#endif
