#include "image/anyres.h"
#include "model/train.h"

size_t cr_batch_rows(const struct cr_train_batch *b) {
    size_t n = 0;
    for (size_t s = 0; s < b->n; s++)
        n += b->sequences[s].n_rows;
    return n;
}

size_t cr_batch_targets(const struct cr_train_batch *b) {
    size_t n = 0;
    for (size_t s = 0; s < b->n; s++)
        for (size_t t = 0; t < b->sequences[s].n_rows; t++)
            n += b->sequences[s].targets[t] >= 0;
    return n;
}

/* Tiles of all pictures; the tower's features have P rows for each. */
static size_t count_tiles(const struct cr_train_batch *b) {
    size_t n = 0;
    for (size_t s = 0; s < b->n; s++)
        for (size_t p = 0; p < b->sequences[s].n_pictures; p++)
            n += b->sequences[s].pictures[p].plan->n_tiles;
    return n;
}

struct cr_train_sizes cr_batch_sizes(const struct cr_train_batch *b) {
    struct cr_train_sizes sizes = {.n_rows = cr_batch_rows(b),
                                   .n_targets = cr_batch_targets(b),
                                   .n_tiles = count_tiles(b)};
    for (size_t s = 0; s < b->n; s++) {
        if (b->sequences[s].n_rows > sizes.longest)
            sizes.longest = b->sequences[s].n_rows;
        sizes.n_sequences += 1 + b->sequences[s].n_branches;
    }
    return sizes;
}

/* Rows with id -1 are exactly the pictures' rows. */
static enum critic_status check_pictures(const struct cr_train_sequence *q, size_t index,
                                         const struct cr_config *config,
                                         critic_error *err) {
    size_t row = 0;
    if (q->n_pictures && !config->vision.present)
        return cr_fail(err, CRITIC_BAD_DATA,
                       "sequence %zu has a picture, but the model has no tower", index);
    for (size_t p = 0; p <= q->n_pictures; p++) {
        bool last = p == q->n_pictures;
        size_t from = last ? q->n_rows : q->pictures[p].first_row;
        size_t n = last ? 0 : q->pictures[p].plan->n_tokens;
        if (from < row || from > q->n_rows || n > q->n_rows - from)
            return cr_fail(
                err, CRITIC_BAD_DATA,
                "sequence %zu: picture %zu takes %zu rows from row %zu; expected "
                "rows in order, from %zu to %zu",
                index, p, n, from, row, q->n_rows);
        for (; row < from; row++)
            if (q->ids[row] < 0 || (size_t)q->ids[row] >= config->text.vocab)
                return cr_fail(err, CRITIC_BAD_DATA,
                               "sequence %zu, row %zu: id %d; expected 0 to %zu", index,
                               row, q->ids[row], config->text.vocab - 1);
        for (; row < from + n; row++)
            if (q->ids[row] != -1)
                return cr_fail(err, CRITIC_BAD_DATA,
                               "sequence %zu, row %zu: id %d in a picture; expected -1",
                               index, row, q->ids[row]);
    }
    return CRITIC_OK;
}

static enum critic_status check_branches(const struct cr_train_sequence *q, size_t index,
                                         critic_error *err) {
    size_t end = q->n_prefix;
    if (q->n_prefix > q->n_rows)
        return cr_fail(err, CRITIC_BAD_DATA, "sequence %zu: prefix of %zu in %zu rows",
                       index, q->n_prefix, q->n_rows);
    for (size_t i = 0; i < q->n_branches; i++) {
        if (q->branch_ends[i] <= end || q->branch_ends[i] > q->n_rows)
            return cr_fail(
                err, CRITIC_BAD_DATA,
                "sequence %zu: branch %zu ends at row %zu; expected %zu to %zu", index, i,
                q->branch_ends[i], end + 1, q->n_rows);
        end = q->branch_ends[i];
    }
    if (end != q->n_rows)
        return cr_fail(err, CRITIC_BAD_DATA,
                       "sequence %zu: prefix and branches end at row %zu of %zu", index,
                       end, q->n_rows);
    return CRITIC_OK;
}

enum critic_status cr_batch_check(const struct cr_train_batch *b,
                                  const struct cr_config *config, critic_error *err) {
    if (b->n == 0)
        return cr_fail(err, CRITIC_BAD_DATA, "a batch without sequences");
    for (size_t s = 0; s < b->n; s++) {
        const struct cr_train_sequence *q = &b->sequences[s];
        if (q->n_rows == 0)
            return cr_fail(err, CRITIC_BAD_DATA, "sequence %zu has no rows", s);
        CR_TRY(check_pictures(q, s, config, err));
        CR_TRY(check_branches(q, s, err));
        for (size_t t = 0; t < q->n_rows; t++) {
            if (q->targets[t] >= 0 && (size_t)q->targets[t] >= config->text.vocab)
                return cr_fail(err, CRITIC_BAD_DATA,
                               "sequence %zu, row %zu: target %d; expected at most %zu",
                               s, t, q->targets[t], config->text.vocab - 1);
            if (q->positions[t] < 0)
                return cr_fail(err, CRITIC_BAD_DATA, "sequence %zu, row %zu: position %d",
                               s, t, q->positions[t]);
        }
    }
    return CRITIC_OK;
}
