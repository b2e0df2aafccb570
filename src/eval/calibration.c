#include "eval/calibration.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static size_t collect(const struct cr_judged *rows, double *p, unsigned char *right) {
    size_t n = 0;
    for (size_t i = 0; i < rows->n; i++) {
        const struct cr_judgement *row = &rows->items[i];
        if (isnan(row->p_first) || row->label_pick > CR_PICK_SECOND ||
            row->p_first == 0.5)
            continue;
        p[n] = fmax(row->p_first, 1 - row->p_first);
        right[n++] = (row->p_first > 0.5) == (row->label_pick == CR_PICK_FIRST);
    }
    return n;
}

enum critic_status cr_calibration_of(struct cr_calibration *out,
                                     const struct cr_judged *rows, critic_error *err) {
    double *p = calloc(rows->n + 1, sizeof *p);
    unsigned char *right = calloc(rows->n + 1, 1);
    enum critic_status status = CRITIC_OK;
    memset(out, 0, sizeof *out);
    if (!p || !right)
        status = cr_fail(err, CRITIC_NO_MEMORY, "no memory for %zu items", rows->n);
    if (status == CRITIC_OK)
        out->n = collect(rows, p, right);
    if (out->n > 0) {
        out->brier = cr_brier(p, right, out->n);
        status = cr_ece(&out->ece, out->bins, CR_N_CALIBRATION_BINS, CR_EQUAL_MASS, p,
                        right, out->n, err);
        if (status == CRITIC_OK)
            status = cr_auroc(&out->auroc, p, right, out->n, err);
    }
    free(p);
    free(right);
    return status;
}
