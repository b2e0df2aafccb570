#include "eval/stats_label.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/checked.h"

static struct cr_stat share(size_t part, size_t whole) {
    return whole ? cr_stat_of((double)part / (double)whole)
                 : cr_stat_undefined(cr_why_empty);
}

/* ---- pairwise verdicts ---------------------------------------------------------------------- */

static size_t row_sum(const struct cr_pick_scores *s, size_t reference,
                      size_t n_verdicts) {
    size_t sum = 0;
    for (size_t v = 0; v < n_verdicts; v++)
        sum += s->confusion[reference][v];
    return sum;
}

static struct cr_stat macro_of(const struct cr_pick_scores *s) {
    double sum = 0;
    size_t n_classes = 0;
    for (size_t r = 0; r < CR_PICK_NONE; r++) {
        size_t n = row_sum(s, r, CR_N_PICKS);
        if (n == 0)
            continue;
        sum += (double)s->confusion[r][r] / (double)n;
        n_classes++;
    }
    return n_classes ? cr_stat_of(sum / (double)n_classes)
                     : cr_stat_undefined(cr_why_empty);
}

static struct cr_stat kappa_of(const struct cr_pick_scores *s) {
    double n = 0, agree = 0, chance = 0;
    for (size_t r = 0; r < CR_PICK_NONE; r++) {
        n += (double)row_sum(s, r, CR_PICK_NONE);
        agree += (double)s->confusion[r][r];
    }
    if (n == 0)
        return cr_stat_undefined(cr_why_empty);
    for (size_t c = 0; c < CR_PICK_NONE; c++) {
        double column = 0;
        for (size_t r = 0; r < CR_PICK_NONE; r++)
            column += (double)s->confusion[r][c];
        chance += column * (double)row_sum(s, c, CR_PICK_NONE) / (n * n);
    }
    if (chance >= 1)
        return cr_stat_undefined(cr_why_one_class);
    return cr_stat_of((agree / n - chance) / (1 - chance));
}

void cr_pick_scores(struct cr_pick_scores *out, const unsigned char *reference,
                    const unsigned char *verdict, size_t n) {
    memset(out, 0, sizeof *out);
    for (size_t i = 0; i < n; i++)
        if (reference[i] < CR_PICK_NONE)
            out->confusion[reference[i]]
                          [CR_MIN(verdict[i], (unsigned char)CR_PICK_NONE)]++;
    size_t right = 0, right_decided = 0, decided = 0, untied = 0, said_tie = 0;
    for (size_t r = 0; r < CR_PICK_NONE; r++) {
        out->n += row_sum(out, r, CR_N_PICKS);
        right += out->confusion[r][r];
        said_tie += out->confusion[r][CR_PICK_TIE];
        if (r == CR_PICK_TIE)
            continue;
        untied += row_sum(out, r, CR_N_PICKS);
        right_decided += out->confusion[r][r];
        decided += row_sum(out, r, CR_PICK_TIE);
    }
    size_t tied = out->confusion[CR_PICK_TIE][CR_PICK_TIE];
    out->with_tie = share(right, out->n);
    out->no_tie_strict = share(right_decided, untied);
    out->no_tie_decisive = share(right_decided, decided);
    out->decisive_rate = share(decided, untied);
    out->tie_precision = share(tied, said_tie);
    out->tie_recall = share(tied, row_sum(out, CR_PICK_TIE, CR_N_PICKS));
    out->macro = macro_of(out);
    out->kappa = kappa_of(out);
}

/* ---- classes -------------------------------------------------------------------------------- */

struct cr_stat cr_accuracy(const int *truth, const int *predicted, size_t n) {
    size_t right = 0;
    for (size_t i = 0; i < n; i++)
        right += truth[i] == predicted[i];
    return share(right, n);
}

struct cr_stat cr_macro_accuracy(const int *truth, const int *predicted, size_t n,
                                 size_t n_classes) {
    double sum = 0;
    size_t n_seen = 0;
    for (size_t i = 0; i < n; i++)
        if (truth[i] < 0 || (size_t)truth[i] >= n_classes)
            return cr_stat_undefined("a class is out of range");
    for (size_t c = 0; c < n_classes; c++) {
        size_t members = 0, right = 0;
        for (size_t i = 0; i < n; i++) {
            members += (size_t)truth[i] == c;
            right += (size_t)truth[i] == c && predicted[i] == truth[i];
        }
        if (members == 0)
            continue;
        sum += (double)right / (double)members;
        n_seen++;
    }
    return n_seen ? cr_stat_of(sum / (double)n_seen) : cr_stat_undefined(cr_why_empty);
}

static double kappa_weight(enum cr_kappa_weights weights, size_t i, size_t j) {
    double gap = fabs((double)i - (double)j);
    return weights == CR_KAPPA_PLAIN    ? gap != 0
           : weights == CR_KAPPA_LINEAR ? gap
                                        : gap * gap;
}

/* 1 - sum of weights over what is observed / over what chance gives. counts: rows of a,
 * columns of b, (k, k), with both marginals behind it. */
static struct cr_stat kappa_of_counts(enum cr_kappa_weights weights, const double *counts,
                                      size_t k, double n) {
    const double *row = counts + k * k;
    const double *column = row + k;
    double observed = 0, chance = 0;
    for (size_t i = 0; i < k; i++)
        for (size_t j = 0; j < k; j++) {
            double w = kappa_weight(weights, i, j);
            observed += w * counts[i * k + j];
            chance += w * row[i] * column[j] / n;
        }
    return chance > 0 ? cr_stat_of(1 - observed / chance)
                      : cr_stat_undefined(cr_why_one_class);
}

enum critic_status cr_kappa(struct cr_stat *out, enum cr_kappa_weights weights,
                            const int *a, const int *b, size_t n, size_t n_classes,
                            critic_error *err) {
    *out = cr_stat_undefined(n == 0 ? cr_why_empty : NULL);
    size_t k = n_classes;
    for (size_t i = 0; i < n && !out->why; i++)
        if (a[i] < 0 || b[i] < 0 || (size_t)a[i] >= k || (size_t)b[i] >= k)
            out->why = "a class is out of range";
    if (out->why)
        return CRITIC_OK;
    double *counts = k < 1 << 14 ? calloc(k * k + 2 * k, sizeof *counts) : NULL;
    if (!counts)
        return cr_fail(err, CRITIC_NO_MEMORY, "no memory for kappa of %zu classes", k);
    for (size_t i = 0; i < n; i++) {
        counts[(size_t)a[i] * k + (size_t)b[i]]++;
        counts[k * k + (size_t)a[i]]++;
        counts[k * k + k + (size_t)b[i]]++;
    }
    *out = kappa_of_counts(weights, counts, k, (double)n);
    free(counts);
    return CRITIC_OK;
}

/* ---- letter orders -------------------------------------------------------------------------- */

enum critic_status cr_order_distance(struct cr_stat *out, const char *a, size_t n_a,
                                     const char *b, size_t n_b, critic_error *err) {
    *out = cr_stat_undefined(cr_why_empty);
    if (n_a == 0 && n_b == 0)
        return CRITIC_OK;
    size_t *row = calloc(n_b + 1, sizeof *row);
    if (!row)
        return cr_fail(err, CRITIC_NO_MEMORY, "no memory to compare %zu letters", n_b);
    for (size_t j = 0; j <= n_b; j++)
        row[j] = j;
    for (size_t i = 1; i <= n_a; i++) {
        size_t diagonal = row[0];
        row[0] = i;
        for (size_t j = 1; j <= n_b; j++) {
            size_t change = diagonal + (a[i - 1] != b[j - 1]);
            diagonal = row[j];
            row[j] = CR_MIN(change, CR_MIN(row[j], row[j - 1]) + 1);
        }
    }
    *out = cr_stat_of((double)row[n_b] / (double)CR_MAX(n_a, n_b));
    free(row);
    return CRITIC_OK;
}
