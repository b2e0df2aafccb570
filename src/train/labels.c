#include "train/labels.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "base/grow.h"
#include "base/rng.h"

#define MAX_SIDE 64

/* ---- reading ---- */

static struct cr_label_head *head_of(struct cr_labels *l, const char *name) {
    for (size_t h = 0; h < l->n_heads; h++)
        if (strcmp(l->heads[h].name, name) == 0)
            return &l->heads[h];
    return NULL;
}

static enum critic_status name_heads(struct cr_labels *l, const json_t *labels,
                                     critic_error *err) {
    const char *name;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)labels, name, value) {
        if (l->n_heads == CR_MAX_HEADS || strlen(name) >= sizeof l->heads[0].name)
            return cr_fail(err, CRITIC_BAD_DATA,
                           "'labels': more than %d names, or a long one", CR_MAX_HEADS);
        snprintf(l->heads[l->n_heads++].name, sizeof l->heads[0].name, "%s", name);
    }
    return CRITIC_OK;
}

static enum critic_status read_side(const json_t *grid, size_t i, uint16_t *out,
                                    critic_error *err) {
    json_int_t side = json_integer_value(json_array_get(grid, i));
    if (side < 1 || side > MAX_SIDE)
        return cr_fail(err, CRITIC_BAD_DATA, "'grid' is no [rows, columns] of 1 to %d",
                       MAX_SIDE);
    *out = (uint16_t)side;
    return CRITIC_OK;
}

static enum critic_status read_cells(struct cr_label_head *head, const json_t *list,
                                     unsigned char *cells, size_t n, critic_error *err) {
    if (json_array_size(list) != n)
        return cr_fail(err, CRITIC_BAD_DATA,
                       "'labels' '%s' has %zu classes; expected %zu, one a cell",
                       head->name, json_array_size(list), n);
    for (size_t i = 0; i < n; i++) {
        const json_t *value = json_array_get(list, i);
        json_int_t class = json_is_integer(value) ? json_integer_value(value) : -1;
        if (class < 0 || class >= CR_MAX_CLASSES)
            return cr_fail(err, CRITIC_BAD_DATA,
                           "'labels' '%s', cell %zu: expected a class of 0 to %d",
                           head->name, i, CR_MAX_CLASSES - 1);
        cells[i] = (unsigned char)class;
        head->n_classes = CR_MAX(head->n_classes, (size_t) class + 1);
    }
    return CRITIC_OK;
}

static enum critic_status make_room(struct cr_labels *l, size_t n_cells,
                                    critic_error *err) {
    struct cr_label_item *items = cr_grow(l->items, l->n, &l->cap, sizeof *items);
    if (!items)
        return cr_fail(err, CRITIC_NO_MEMORY, "out of memory for the labels");
    l->items = items;
    if (l->n_cells + n_cells > l->cells_cap) {
        size_t cap = CR_MAX(l->cells_cap * 2, l->n_cells + n_cells + 4096);
        unsigned char *cells = realloc(l->cells, cap);
        if (!cells)
            return cr_fail(err, CRITIC_NO_MEMORY, "out of memory for the labels");
        l->cells = cells;
        l->cells_cap = cap;
    }
    return CRITIC_OK;
}

static enum critic_status read_labels(struct cr_labels *l, const json_t *record,
                                      struct cr_label_item *item, critic_error *err) {
    const json_t *grid = json_object_get(record, "grid");
    const json_t *labels = json_object_get(record, "labels");
    if (!json_is_object(labels) || json_object_size(labels) == 0)
        return cr_fail(err, CRITIC_BAD_DATA, "no object 'labels'");
    CR_TRY(read_side(grid, 0, &item->rows, err));
    CR_TRY(read_side(grid, 1, &item->cols, err));
    if (l->n_heads == 0)
        CR_TRY(name_heads(l, labels, err));
    size_t n = (size_t)item->rows * item->cols, seen = 0;
    CR_TRY(make_room(l, n * l->n_heads, err));
    item->first = l->n_cells;
    const char *name;
    json_t *list;
    json_object_foreach((json_t *)(uintptr_t)labels, name, list) {
        struct cr_label_head *head = head_of(l, name);
        if (!head)
            return cr_fail(err, CRITIC_BAD_DATA,
                           "'labels' has '%.40s', which the first record has not", name);
        size_t h = (size_t)(head - l->heads);
        CR_TRY(read_cells(head, list, l->cells + l->n_cells + h * n, n, err));
        seen++;
    }
    if (seen != l->n_heads)
        return cr_fail(err, CRITIC_BAD_DATA, "'labels' has %zu names; expected %zu", seen,
                       l->n_heads);
    l->n_cells += n * l->n_heads;
    return CRITIC_OK;
}

static enum critic_status read_record(struct cr_labels *l, const json_t *record,
                                      uint32_t index, const char *folder,
                                      struct cr_pictures *pictures, bool only_known,
                                      critic_error *err) {
    const json_t *image = json_object_get(record, "image");
    struct cr_label_item item = {.record = index};
    if (!json_is_string(image))
        return cr_fail(err, CRITIC_BAD_DATA, "no path 'image'");
    struct cr_str name = {json_string_value(image), json_string_length(image)};
    if (only_known && !cr_pictures_has(pictures, folder, name))
        return CRITIC_OK;
    CR_TRY(cr_pictures_add(pictures, folder, name, &item.picture, err));
    CR_TRY(read_labels(l, record, &item, err));
    l->items[l->n++] = item;
    return CRITIC_OK;
}

static enum critic_status index_pictures(struct cr_labels *l, size_t n_pictures,
                                         critic_error *err) {
    l->n_by_picture = n_pictures;
    l->by_picture = calloc(CR_MAX(n_pictures, 1), sizeof *l->by_picture);
    if (!l->by_picture)
        return cr_fail(err, CRITIC_NO_MEMORY, "out of memory for the labels");
    for (size_t i = 0; i < l->n; i++)
        l->by_picture[l->items[i].picture] = (uint32_t)i + 1;
    return CRITIC_OK;
}

enum critic_status cr_labels_open(struct cr_labels *l, const char *path,
                                  const char *image_folder, struct cr_pictures *pictures,
                                  bool only_known, critic_error *err) {
    memset(l, 0, sizeof *l);
    CR_TRY(cr_records_open(&l->records, path, 0, err));
    for (size_t i = 0; i < l->records.n; i++) {
        json_t *record;
        char where[512];
        CR_TRY(cr_records_get(&l->records, i, &record, err));
        enum critic_status status =
            read_record(l, record, (uint32_t)i, image_folder, pictures, only_known, err);
        json_decref(record);
        cr_records_where(&l->records, i, where);
        if (status != CRITIC_OK)
            return cr_error_wrap(err, status, "%s: ", where);
    }
    if (l->n == 0)
        return cr_fail(err, CRITIC_BAD_DATA, "%s:1: no label of a picture in use", path);
    return index_pictures(l, pictures->n, err);
}

void cr_labels_close(struct cr_labels *l) {
    cr_records_close(&l->records);
    free(l->items);
    free(l->cells);
    free(l->by_picture);
    memset(l, 0, sizeof *l);
}

const struct cr_label_item *cr_labels_of(const struct cr_labels *l, size_t picture) {
    uint32_t at = picture < l->n_by_picture ? l->by_picture[picture] : 0;
    return at ? &l->items[at - 1] : NULL;
}

/* ---- heads ---- */

enum critic_status cr_label_heads_add(struct cr_labels *l, struct cr_net *net,
                                      uint64_t seed, critic_error *err) {
    size_t width = net->config.vision.width;
    for (size_t h = 0; h < l->n_heads; h++) {
        struct cr_label_head *head = &l->heads[h];
        struct cr_rng rng;
        char name[96];
        snprintf(name, sizeof name, "label_head.%s.weight", head->name);
        CR_TRY(cr_net_add(net, name, head->n_classes, width, &head->w, err));
        snprintf(name, sizeof name, "label_head.%s.bias", head->name);
        CR_TRY(cr_net_add(net, name, head->n_classes, 1, &head->b, err));
        cr_rng_seed_at(&rng, seed, 0x1abe1 + h);
        double s = 1 / sqrt((double)width);
        for (size_t i = 0; i < head->n_classes * width; i++)
            head->w->w[i] = (float)(s * cr_rng_normal(&rng));
    }
    return CRITIC_OK;
}

void cr_label_counts_clear(struct cr_labels *l) {
    for (size_t h = 0; h < l->n_heads; h++) {
        struct cr_label_head *head = &l->heads[h];
        head->n_cells = head->n_right = head->n_filled = head->n_filled_right = 0;
    }
}

/* ---- loss ---- */

/* The cells of all uses, one after the other. */
struct cell_rows {
    struct cr_labels *l;
    const struct cr_label_use *uses;
    size_t n_uses;
    size_t *first; /* (n_uses + 1): first cell of each use */
    size_t n, width, side;
    float *mean, *dmean; /* (n, width) */
    float *logits;       /* (n, CR_MAX_CLASSES) of one head; then their gradient */
};

/* Cell of the patch (y, x): the one its centre lies in. */
static size_t cell_of(const struct cr_label_item *item, size_t y, size_t x, size_t side) {
    size_t r = (2 * y + 1) * item->rows / (2 * side);
    size_t c = (2 * x + 1) * item->cols / (2 * side);
    return r * item->cols + c;
}

/* Averages features into cells, or with `back` spreads cells' gradients over features. */
static void pool(const struct cell_rows *k, struct cr_tensor features, bool back) {
    size_t n_patches = k->side * k->side;
#pragma omp parallel for schedule(static)
    for (size_t u = 0; u < k->n_uses; u++) {
        const struct cr_label_item *item = k->uses[u].item;
        size_t n_cells = (size_t)item->rows * item->cols;
        size_t counts[MAX_SIDE * MAX_SIDE];
        memset(counts, 0, n_cells * sizeof *counts);
        for (size_t p = 0; p < n_patches; p++)
            counts[cell_of(item, p / k->side, p % k->side, k->side)]++;
        for (size_t p = 0; p < n_patches; p++) {
            size_t cell = cell_of(item, p / k->side, p % k->side, k->side);
            float share = 1.0f / (float)counts[cell];
            float *x = cr_tensor_row(&features, k->uses[u].tile * n_patches + p);
            float *mean = k->mean + (k->first[u] + cell) * k->width;
            const float *dmean = k->dmean + (k->first[u] + cell) * k->width;
            for (size_t d = 0; d < k->width; d++) {
                if (back)
                    x[d] += share * dmean[d];
                else
                    mean[d] += share * x[d];
            }
        }
    }
}

static unsigned char label_at(const struct cell_rows *k, size_t u, size_t cell,
                              size_t head) {
    const struct cr_label_item *item = k->uses[u].item;
    return k->l->cells[item->first + head * item->rows * item->cols + cell];
}

/* Logits of one cell to the gradient of its cross-entropy times `scale`; returns -log p. */
static double softmax_row(float *z, size_t n, size_t label, float scale) {
    float top = z[0];
    double sum = 0;
    for (size_t c = 1; c < n; c++)
        top = CR_MAX(top, z[c]);
    double own = (double)(z[label] - top);
    for (size_t c = 0; c < n; c++) {
        z[c] = expf(z[c] - top);
        sum += (double)z[c];
    }
    for (size_t c = 0; c < n; c++)
        z[c] = scale * ((float)((double)z[c] / sum) - (c == label ? 1.0f : 0.0f));
    return log(sum) - own;
}

static size_t best_of(const float *z, size_t n) {
    size_t best = 0;
    for (size_t c = 1; c < n; c++)
        best = z[c] > z[best] ? c : best;
    return best;
}

/* Forward of one head, its counts, and the gradient of its logits in place. */
static double head_forward(const struct cell_rows *k, size_t h, float scale) {
    struct cr_label_head *head = &k->l->heads[h];
    size_t n = head->n_classes;
    double loss = 0;
#pragma omp parallel for schedule(static)
    for (size_t i = 0; i < k->n; i++)
        for (size_t c = 0; c < n; c++) {
            float sum = head->b->w[c];
            for (size_t d = 0; d < k->width; d++)
                sum += k->mean[i * k->width + d] * head->w->w[c * k->width + d];
            k->logits[i * CR_MAX_CLASSES + c] = sum;
        }
    for (size_t u = 0; u < k->n_uses; u++)
        for (size_t i = k->first[u]; i < k->first[u + 1]; i++) {
            float *z = k->logits + i * CR_MAX_CLASSES;
            size_t label = label_at(k, u, i - k->first[u], h);
            bool right = best_of(z, n) == label;
            head->n_cells++;
            head->n_right += right;
            head->n_filled += label > 0;
            head->n_filled_right += right && label > 0;
            loss += softmax_row(z, n, label, scale);
        }
    return loss;
}

static void head_backward(const struct cell_rows *k, size_t h) {
    struct cr_label_head *head = &k->l->heads[h];
    size_t n = head->n_classes;
#pragma omp parallel for schedule(static)
    for (size_t c = 0; c < n; c++)
        for (size_t i = 0; i < k->n; i++) {
            float g = k->logits[i * CR_MAX_CLASSES + c];
            head->b->g[c] += g;
            for (size_t d = 0; d < k->width; d++)
                head->w->g[c * k->width + d] += g * k->mean[i * k->width + d];
        }
#pragma omp parallel for schedule(static)
    for (size_t i = 0; i < k->n; i++)
        for (size_t c = 0; c < n; c++) {
            float g = k->logits[i * CR_MAX_CLASSES + c];
            for (size_t d = 0; d < k->width; d++)
                k->dmean[i * k->width + d] += g * head->w->w[c * k->width + d];
        }
}

enum critic_status cr_label_loss(struct cr_labels *l, const struct cr_label_use *uses,
                                 size_t n, struct cr_tensor features,
                                 struct cr_tensor dfeatures, size_t patches_per_side,
                                 double scale, double *loss, critic_error *err) {
    struct cell_rows k = {.l = l,
                          .uses = uses,
                          .n_uses = n,
                          .width = cr_tensor_cols(&features),
                          .side = patches_per_side};
    *loss = 0;
    if (n == 0)
        return CRITIC_OK;
    k.first = malloc((n + 1) * sizeof *k.first);
    for (size_t u = 0; k.first && u < n; u++) {
        k.first[u] = k.n;
        k.n += (size_t)uses[u].item->rows * uses[u].item->cols;
    }
    k.mean = calloc(2 * k.n * k.width, sizeof *k.mean);
    k.logits = malloc(CR_MAX(k.n, 1) * CR_MAX_CLASSES * sizeof *k.logits);
    enum critic_status status = CRITIC_OK;
    if (k.first && k.mean && k.logits) {
        k.first[n] = k.n;
        k.dmean = k.mean + k.n * k.width;
        pool(&k, features, false);
        for (size_t h = 0; h < l->n_heads; h++) {
            *loss += head_forward(&k, h, (float)(scale / (double)k.n)) / (double)k.n;
            if (dfeatures.data)
                head_backward(&k, h);
        }
        if (dfeatures.data)
            pool(&k, dfeatures, true);
    } else {
        status = cr_fail(err, CRITIC_NO_MEMORY, "out of memory for the labels' loss");
    }
    free(k.first);
    free(k.mean);
    free(k.logits);
    return status;
}
