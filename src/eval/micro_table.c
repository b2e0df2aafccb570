#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "eval/micro.h"

#define CR_MICRO_NAME(name, text, help) #name,
static const char *const names[] = {CR_MICRO_LIST(CR_MICRO_NAME)};
#define CR_MICRO_TEXT(name, text, help) text,
static const char *const texts[] = {CR_MICRO_LIST(CR_MICRO_TEXT)};
#define CR_MICRO_HELP(name, text, help) help,
static const char *const helps[] = {CR_MICRO_LIST(CR_MICRO_HELP)};

const char *cr_micro_name(enum cr_micro_measure m) {
    return names[m];
}

const char *cr_micro_text(enum cr_micro_measure m) {
    return texts[m];
}

const char *cr_micro_help(enum cr_micro_measure m) {
    return helps[m];
}

#define NONE ((double)NAN)

/* Work space: a rate's numerator and denominator for each scene, and lists of up to two values a
 * scene. */
struct space {
    const struct cr_micro_rows *rows;
    struct cr_boot_options boot;
    double *terms;   /* (n, 2) */
    double *x, *y;   /* (2n) */
    uint32_t *scene; /* (2n): of each value */
    unsigned char *hit;
    size_t n_values;
};

static double ratio(const double *sums, size_t k, const void *user) {
    (void)k, (void)user;
    return sums[1] > 0 ? sums[0] / sums[1] : NONE;
}

/* The rate of what `count` adds up. */
typedef void count_fn(const struct cr_micro_row *row, int user, double *hits, double *of);

static enum critic_status rate(struct space *s, count_fn *count, int user,
                               struct cr_micro_cell *out, critic_error *err) {
    struct cr_boot boot;
    size_t n = s->rows->n;
    double of = 0;
    memset(s->terms, 0, 2 * n * sizeof *s->terms);
    for (size_t i = 0; i < n; i++) {
        count(&s->rows->rows[i], user, &s->terms[2 * i], &s->terms[2 * i + 1]);
        of += s->terms[2 * i + 1];
    }
    *out = (struct cr_micro_cell){NONE, NONE, NONE, (size_t)of};
    if (of <= 0)
        return CRITIC_OK;
    CR_TRY(cr_boot_sums(&boot, s->terms, n, 2, NULL, 0, ratio, NULL, &s->boot, err));
    out->value = boot.estimate.value;
    out->low = boot.interval.low;
    out->high = boot.interval.high;
    return CRITIC_OK;
}

/* ---- what is counted ------------------------------------------------------------------------- */

static enum cr_choice truth(const struct cr_micro_row *row) {
    return row->pair.gap > 0   ? CR_CHOICE_FIRST
           : row->pair.gap < 0 ? CR_CHOICE_SECOND
                               : CR_CHOICE_TIE;
}

static void add(bool hit, double *hits, double *of) {
    *hits += hit;
    *of += 1;
}

static void count_pairs(const struct cr_micro_row *row, int with_ties, double *hits,
                        double *of) {
    for (int k = 0; k < CR_MICRO_ORDERS && (with_ties || row->pair.gap); k++)
        add(row->reason[k].choice == truth(row), hits, of);
}

static void count_only(const struct cr_micro_row *row, int user, double *hits,
                       double *of) {
    (void)user;
    for (int k = 0; k < CR_MICRO_ORDERS && row->pair.gap; k++)
        add(row->only[k].choice == truth(row), hits, of);
}

static void count_combined(const struct cr_micro_row *row, int user, double *hits,
                           double *of) {
    (void)user;
    const struct cr_micro_verdict *a = &row->reason[0], *b = &row->reason[1];
    double first = a->p[0] + b->p[0], second = a->p[1] + b->p[1];
    bool known = a->has_p && b->has_p;
    if (row->pair.gap)
        add(known && first != second &&
                (first > second ? CR_CHOICE_FIRST : CR_CHOICE_SECOND) == truth(row),
            hits, of);
}

static void count_swaps(const struct cr_micro_row *row, int user, double *hits,
                        double *of) {
    (void)user;
    add(row->reason[0].choice != CR_CHOICE_NONE &&
            row->reason[0].choice == row->reason[1].choice,
        hits, of);
}

static void count_facts(const struct cr_micro_row *row, int user, double *hits,
                        double *of) {
    (void)user;
    *hits += row->n_true_facts;
    *of += row->n_facts;
}

static void count_agreement(const struct cr_micro_row *row, int user, double *hits,
                            double *of) {
    (void)user;
    for (int k = 0; k < CR_MICRO_ORDERS; k++)
        if (row->agrees[k] >= 0)
            add(row->agrees[k], hits, of);
}

static void count_obedience(const struct cr_micro_row *row, int user, double *hits,
                            double *of) {
    (void)user;
    for (int i = 0; i < 2; i++)
        if (row->obeys[i] >= 0)
            add(row->obeys[i], hits, of);
}

/* Of equally good answers of unlike length; a tie is half. */
static void count_longer(const struct cr_micro_row *row, int user, double *hits,
                         double *of) {
    (void)user;
    size_t a = row->pair.answers[0].len, b = row->pair.answers[1].len;
    enum cr_choice longer = a > b ? CR_CHOICE_FIRST : CR_CHOICE_SECOND;
    for (int k = 0; k < CR_MICRO_ORDERS && row->pair.gap == 0 && a != b; k++) {
        enum cr_choice c = row->reason[k].choice;
        if (c == CR_CHOICE_NONE)
            continue;
        *hits += c == CR_CHOICE_TIE ? 0.5 : c == longer;
        *of += 1;
    }
}

/* By place in the prompt; in the second order the item's second answer stands first. */
static void count_first(const struct cr_micro_row *row, int user, double *hits,
                        double *of) {
    (void)user;
    for (int k = 0; k < CR_MICRO_ORDERS && row->pair.gap; k++) {
        enum cr_choice c = row->reason[k].choice;
        if (c != CR_CHOICE_FIRST && c != CR_CHOICE_SECOND)
            continue;
        add((c == CR_CHOICE_FIRST) == (k == 0), hits, of);
    }
}

static void count_control(const struct cr_micro_row *row, int swapped, double *hits,
                          double *of) {
    if (row->pair.gap)
        add((swapped ? row->swapped : row->blind).choice == truth(row), hits, of);
}

static void count_gap(const struct cr_micro_row *row, int bin, double *hits, double *of) {
    if (cr_gap_bin(row->pair.gap) == bin)
        count_pairs(row, true, hits, of);
}

static void count_criterion(const struct cr_micro_row *row, int criterion, double *hits,
                            double *of) {
    if ((int)row->pair.criterion == criterion)
        count_pairs(row, false, hits, of);
}

static void count_ask(const struct cr_micro_row *row, int ask, double *hits, double *of) {
    if ((int)row->pair.ask.kind == ask)
        count_pairs(row, false, hits, of);
}

static void count_qa(const struct cr_micro_row *row, int family, double *hits,
                     double *of) {
    for (unsigned k = 0; k < row->n_qa; k++)
        if (row->qa_family[k] == family)
            add(row->qa_right[k], hits, of);
}

/* ---- scores and probabilities ------------------------------------------------------------------ */

static enum critic_status correlations(struct space *s, struct cr_micro_table *t,
                                       critic_error *err) {
    struct cr_micro_cell none = {NONE, NONE, NONE, 0};
    struct cr_boot boot;
    s->n_values = 0;
    for (size_t i = 0; i < s->rows->n; i++)
        for (int k = 0; k < 2; k++) {
            const struct cr_micro_row *row = &s->rows->rows[i];
            if (isnan(row->score[k]))
                continue;
            s->x[s->n_values] = row->score[k];
            s->y[s->n_values] = row->pair.answers[k].scores[CR_OVERALL];
            s->scene[s->n_values++] = (uint32_t)i;
        }
    t->of[CR_MICRO_pearson] = t->of[CR_MICRO_kendall] = none;
    if (s->n_values < 3)
        return CRITIC_OK;
    CR_TRY(cr_boot_pearson(&boot, s->x, NULL, s->y, s->n_values, s->scene, s->rows->n,
                           &s->boot, err));
    t->of[CR_MICRO_pearson] = (struct cr_micro_cell){
        boot.estimate.value, boot.interval.low, boot.interval.high, s->n_values};
    CR_TRY(cr_boot_rank(&boot, CR_KENDALL, s->x, NULL, s->y, s->n_values, s->scene,
                        s->rows->n, &s->boot, err));
    t->of[CR_MICRO_kendall] = (struct cr_micro_cell){
        boot.estimate.value, boot.interval.low, boot.interval.high, s->n_values};
    return CRITIC_OK;
}

/* Expected calibration error of the drawn values, 15 bins of equal width. */
static double ece_of(const uint32_t *index, size_t n, const void *user) {
    const struct space *s = user;
    double confidence[CR_MICRO_BINS] = {0}, hits[CR_MICRO_BINS] = {0}, sum = 0;
    for (size_t i = 0; i < n; i++) {
        double p = s->x[index[i]];
        int bin = CR_MIN(CR_MAX((int)ceil(p * CR_MICRO_BINS) - 1, 0), CR_MICRO_BINS - 1);
        confidence[bin] += p;
        hits[bin] += s->hit[index[i]];
    }
    for (int b = 0; b < CR_MICRO_BINS; b++)
        sum += fabs(hits[b] - confidence[b]);
    return n ? sum / (double)n : NONE;
}

/* Probability of the verdict that was given, and whether it was right, ties included. */
static enum critic_status calibration(struct space *s, bool only,
                                      struct cr_micro_cell *out, struct cr_bin *bins,
                                      critic_error *err) {
    struct cr_boot boot;
    struct cr_stat ece;
    s->n_values = 0;
    for (size_t i = 0; i < s->rows->n; i++)
        for (int k = 0; k < CR_MICRO_ORDERS; k++) {
            const struct cr_micro_row *row = &s->rows->rows[i];
            const struct cr_micro_verdict *v = only ? &row->only[k] : &row->reason[k];
            if (!v->has_p || v->choice == CR_CHOICE_NONE)
                continue;
            s->x[s->n_values] = CR_MIN(v->p[v->choice - CR_CHOICE_FIRST], 1.0);
            s->hit[s->n_values] = v->choice == truth(row);
            s->scene[s->n_values++] = (uint32_t)i;
        }
    *out = (struct cr_micro_cell){NONE, NONE, NONE, s->n_values};
    if (s->n_values == 0)
        return CRITIC_OK;
    CR_TRY(cr_ece(&ece, bins, CR_MICRO_BINS, CR_EQUAL_WIDTH, s->x, s->hit, s->n_values,
                  err));
    CR_TRY(cr_boot_items(&boot, s->n_values, s->scene, s->rows->n, ece_of, s, &s->boot,
                         err));
    *out = (struct cr_micro_cell){ece.value, boot.interval.low, boot.interval.high,
                                  s->n_values};
    return CRITIC_OK;
}

/* ---- the table ---------------------------------------------------------------------------------- */

static enum critic_status tabulate(struct space *s, struct cr_micro_table *t,
                                   critic_error *err) {
    static const struct {
        enum cr_micro_measure m;
        count_fn *count;
        int user;
    } rates[] = {{CR_MICRO_pair_accuracy, count_pairs, 0},
                 {CR_MICRO_pair_accuracy_ties, count_pairs, 1},
                 {CR_MICRO_only_accuracy, count_only, 0},
                 {CR_MICRO_combined_accuracy, count_combined, 0},
                 {CR_MICRO_swap_consistency, count_swaps, 0},
                 {CR_MICRO_faithfulness, count_facts, 0},
                 {CR_MICRO_agreement, count_agreement, 0},
                 {CR_MICRO_obedience, count_obedience, 0},
                 {CR_MICRO_longer, count_longer, 0},
                 {CR_MICRO_first, count_first, 0},
                 {CR_MICRO_blind_pair_accuracy, count_control, 0},
                 {CR_MICRO_swapped_pair_accuracy, count_control, 1}};
    for (size_t i = 0; i < CR_COUNT(rates); i++)
        CR_TRY(rate(s, rates[i].count, rates[i].user, &t->of[rates[i].m], err));
    for (int i = 0; i < CR_N_GAPS; i++)
        CR_TRY(rate(s, count_gap, i, &t->by_gap[i], err));
    for (int i = 0; i < CR_N_CRITERIA; i++)
        CR_TRY(rate(s, count_criterion, i, &t->by_criterion[i], err));
    for (int i = 0; i < CR_N_ASKS; i++)
        CR_TRY(rate(s, count_ask, i, &t->by_ask[i], err));
    double sum = 0;
    size_t n = 0;
    for (int i = 0; i < CR_N_FAMILIES; i++) {
        CR_TRY(rate(s, count_qa, i, &t->qa[i], err));
        if (t->qa[i].n) {
            sum += t->qa[i].value;
            n++;
        }
    }
    t->of[CR_MICRO_qa_accuracy] =
        (struct cr_micro_cell){n ? sum / (double)n : NONE, NONE, NONE, n};
    CR_TRY(correlations(s, t, err));
    CR_TRY(calibration(s, true, &t->of[CR_MICRO_only_ece], NULL, err));
    return calibration(s, false, &t->of[CR_MICRO_ece], t->bins, err);
}

enum critic_status cr_micro_tabulate(struct cr_micro_table *out,
                                     const struct cr_micro_rows *rows, uint64_t seed,
                                     critic_error *err) {
    size_t n = rows->n, untied = 0, easy = 0;
    struct space s = {.rows = rows};
    memset(out, 0, sizeof *out);
    cr_boot_options_default(&s.boot);
    s.boot.seed = seed;
    s.boot.n_draws = 1000;
    s.terms = calloc(2 * n + 1, sizeof *s.terms);
    s.x = calloc(2 * n + 1, sizeof *s.x);
    s.y = calloc(2 * n + 1, sizeof *s.y);
    s.scene = calloc(2 * n + 1, sizeof *s.scene);
    s.hit = calloc(2 * n + 1, 1);
    enum critic_status status = !s.terms || !s.x || !s.y || !s.scene || !s.hit
                                    ? cr_fail(err, CRITIC_NO_MEMORY, "out of memory")
                                    : tabulate(&s, out, err);
    for (size_t i = 0; i < n; i++) {
        untied += rows->rows[i].pair.gap != 0;
        easy += abs(rows->rows[i].pair.gap) >= 30;
    }
    out->easy_share = untied ? (double)easy / (double)untied : NONE;
    out->unparsed =
        rows->n_prompts ? (double)rows->n_unparsed / (double)rows->n_prompts : NONE;
    free(s.terms);
    free(s.x);
    free(s.y);
    free(s.scene);
    free(s.hit);
    return status;
}
