/* Dense labels of pictures and the linear heads that learn them: what a tower's pre-training is
 * for a small network, and an auxiliary loss beside the text.
 *
 * Record: {"image": path, "grid": [R, C], "labels": {name: [class per cell, row by row]}}, classes
 * from 0 on (by convention 0 is "empty"). The features of the patches whose centre lies in a cell
 * are averaged (global view: the first tile), a linear head per name gives logits.
 *   loss = sum over heads of the mean over all cells of the cross-entropy */
#ifndef CR_TRAIN_LABELS_H
#define CR_TRAIN_LABELS_H

#include "train/net.h"
#include "train/pictures.h"
#include "train/records.h"

#define CR_MAX_HEADS   8
#define CR_MAX_CLASSES 64

struct cr_label_head {
    char name[32];
    size_t n_classes;
    struct cr_train_tensor *w,
        *b; /* (classes, Dv), (classes); once cr_label_heads_add ran */
    /* Counted by cr_label_loss: */
    size_t n_cells, n_right;         /* all cells */
    size_t n_filled, n_filled_right; /* cells whose class is not 0 */
};

struct cr_label_item {
    uint32_t picture; /* index into pictures */
    uint32_t record;
    uint16_t rows, cols;
    size_t first; /* cells of head 0; head h follows at rows * cols * h */
};

struct cr_labels {
    struct cr_records records;
    size_t n_heads;
    struct cr_label_head heads[CR_MAX_HEADS];
    size_t n, cap;
    struct cr_label_item *items;
    unsigned char *cells;
    size_t n_cells, cells_cap;
    uint32_t *by_picture; /* item + 1 of each picture; 0: none */
    size_t n_by_picture;
};

/* Reads path; pictures are added to `pictures` (and may be there already), not decoded.
 * only_known: records whose picture is not there already are left out.
 * Errors: CRITIC_BAD_DATA "file:line: …", CRITIC_BAD_FILE, CRITIC_NO_MEMORY. cr_labels_close after
 * failure too. */
enum critic_status cr_labels_open(struct cr_labels *l, const char *path,
                                  const char *image_folder, struct cr_pictures *pictures,
                                  bool only_known, critic_error *err);
void cr_labels_close(struct cr_labels *l);
/* The item of a picture; NULL where it has none. */
const struct cr_label_item *cr_labels_of(const struct cr_labels *l, size_t picture);

/* Heads as tensors of the net, N(0, 1 / Dv) from the seed. */
enum critic_status cr_label_heads_add(struct cr_labels *l, struct cr_net *net,
                                      uint64_t seed, critic_error *err);

/* One tile's labels: features of tile `tile` of a batch. */
struct cr_label_use {
    const struct cr_label_item *item;
    size_t tile;
};
/* Loss over n uses; where dfeatures has data, scale * gradient is added to it, and to the heads'.
 * Shapes: features, dfeatures (tiles * P, Dv) F32. Errors: CRITIC_NO_MEMORY. */
enum critic_status cr_label_loss(struct cr_labels *l, const struct cr_label_use *uses,
                                 size_t n, struct cr_tensor features,
                                 struct cr_tensor dfeatures, size_t patches_per_side,
                                 double scale, double *loss, critic_error *err);
/* Zeroes the counts of all heads. */
void cr_label_counts_clear(struct cr_labels *l);

#endif
