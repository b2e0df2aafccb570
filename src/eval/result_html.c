/* The page of a benchmark. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "eval/calibration.h"
#include "eval/result.h"
#include "report/page.h"

#define MAX_JUDGES 32

static int decimals_of(const struct cr_metric *m) {
    return m->is_percent ? 1 : 3;
}

static void put_metric(struct cr_page *page, const struct cr_metric *m) {
    if (!m || !cr_stat_ok(m->value))
        cr_page_cell(page, "%s", m && m->value.why ? m->value.why : "\xe2\x80\x93");
    else if (m->interval.why)
        cr_page_number(page, m->value.value, decimals_of(m));
    else
        cr_page_interval(page, m->value.value, m->interval.low, m->interval.high,
                         decimals_of(m));
}

/* ---- top ---------------------------------------------------------------------------------------- */

static void put_headline(const struct cr_result *r, struct cr_page *page) {
    const struct cr_metric *m = cr_metric_headline(r->metrics);
    bool whole = r->metrics->n_judged == r->metrics->n_total;
    enum cr_tone tone = !m      ? CR_TONE_RED
                        : whole ? CR_TONE_PLAIN
                        : 10 * r->metrics->n_judged < 9 * r->metrics->n_total
                            ? CR_TONE_RED
                            : CR_TONE_AMBER;
    struct cr_judged_text text = cr_result_judged(r);
    if (!m)
        cr_page_note(page, tone, "%s: no headline figure; %s.", r->label, text.text);
    else if (m->interval.why)
        cr_page_note(page, tone, "%s: %s %.*f by the %s rule; %s.", r->label, m->name,
                     decimals_of(m), m->value.value, m->variant, text.text);
    else
        cr_page_note(page, tone, "%s: %s %.*f (%.*f to %.*f) by the %s rule; %s.",
                     r->label, m->name, decimals_of(m), m->value.value, decimals_of(m),
                     m->interval.low, decimals_of(m), m->interval.high, m->variant,
                     text.text);
}

static void put_source(const struct cr_result *r, struct cr_page *page) {
    static const struct cr_column columns[] = {{"what", false, NULL}, {"", false, NULL}};
    const struct cr_exam *b = r->rows->bench;
    cr_page_fold_begin(page, "How %s was asked", r->label);
    cr_page_table_begin(page, "How the judge was asked", columns, 2);
    const char *const rows[][2] = {
        {"model", r->rows->model},
        {"weights or source", r->rows->model_hash},
        {"prompt", r->rows->template_name},
        {"prompt hash", r->rows->template_hash},
        {"wording", cr_result_wording(r)},
        {"orders of the answers", r->orders},
        {"data file", r->set ? r->set->path : NULL},
        {"data hash", r->set ? r->set->hash : NULL},
        {"groups in the file", r->set ? r->set->groups : NULL}};
    for (size_t i = 0; i < CR_COUNT(rows); i++)
        if (rows[i][1]) {
            cr_page_cell(page, "%s", rows[i][0]);
            cr_page_cell(page, "%s", rows[i][1]);
        }
    cr_page_cell(page, "samples an item, seed");
    cr_page_cell(page, "%zu, %llu", r->n_samples, (unsigned long long)r->rows->seed);
    cr_page_cell(page, "intervals");
    cr_page_cell(page, "%g %% percentile bootstrap over %s, %zu draws, seed %llu",
                 100 * r->boot.level, b->keys.cluster ? b->keys.cluster : "items",
                 r->boot.n_draws, (unsigned long long)r->boot.seed);
    cr_page_table_end(page);
    cr_page_fold_end(page);
    if (r->set && !r->set->is_published && b->n_expected)
        cr_page_note(page, CR_TONE_AMBER,
                     "The file is not the published one: %zu items (%s), published are "
                     "%zu%s%s. Do not set these figures beside published ones.",
                     r->set->n_file, r->set->groups ? r->set->groups : "", b->n_expected,
                     b->group_sizes ? ": " : "", b->group_sizes ? b->group_sizes : "");
}

static void put_parsing(const struct cr_result *results, size_t n, struct cr_page *page) {
    static const struct cr_column columns[] = {
        {"judge", false, NULL},
        {"replies the official rule reads", true, NULL},
        {"it cannot read", true, NULL},
        {"items on which official and ours differ", true,
         "first reply in the given order; ours is the strict reader of docs/judge.md"},
        {"ours cannot read", true, NULL},
        {"failed", true, NULL}};
    cr_page_table_begin(page, "Reading the verdicts", columns, CR_COUNT(columns));
    for (size_t k = 0; k < n; k++) {
        const struct cr_metrics *m = results[k].metrics;
        cr_page_cell(page, "%s", results[k].label);
        if (m->has_official) {
            cr_page_cell(page, "%zu", m->n_official);
            cr_page_cell_tone(page, m->n_official_failed ? CR_TONE_AMBER : CR_TONE_PLAIN,
                              "%zu", m->n_official_failed);
            cr_page_cell_tone(page, m->n_differ ? CR_TONE_AMBER : CR_TONE_PLAIN, "%zu",
                              m->n_differ);
        } else {
            for (int i = 0; i < 3; i++)
                cr_page_cell(page, "no text");
        }
        cr_page_cell_tone(page, m->n_unparsed ? CR_TONE_AMBER : CR_TONE_PLAIN, "%zu",
                          m->n_unparsed);
        cr_page_cell_tone(page, m->n_error ? CR_TONE_RED : CR_TONE_PLAIN, "%zu",
                          m->n_error);
    }
    cr_page_table_end(page);
}

static void put_metrics(const struct cr_result *results, size_t n, struct cr_page *page) {
    struct cr_column columns[MAX_JUDGES + 4] = {
        {"metric", false, NULL},
        {"rule", false, NULL},
        {"group", false, NULL},
        {"n", true, "items that count, of the first judge"}};
    for (size_t k = 0; k < n; k++)
        columns[4 + k] = (struct cr_column){results[k].label, true, NULL};
    cr_page_table_begin(page, "Metrics as published, with 95 % intervals", columns,
                        4 + n);
    for (size_t i = 0; i < results[0].metrics->n; i++) {
        const struct cr_metric *m = &results[0].metrics->items[i];
        cr_page_cell(page, "%s%s", m->name, m->is_percent ? " (%)" : "");
        cr_page_cell(page, "%s", m->variant);
        cr_page_cell(page, "%s", m->group ? m->group : "all");
        cr_page_cell(page, m->n_used < m->n ? "%zu of %zu" : "%zu", m->n_used, m->n);
        for (size_t k = 0; k < n; k++)
            put_metric(page,
                       cr_metric_find(results[k].metrics, m->name, m->variant, m->group));
    }
    cr_page_table_end(page);
}

/* ---- published rows -------------------------------------------------------------------------------- */

struct board_row {
    const char *judge, *source;
    double value, low, high;
    char grade;
};

static int by_value(const void *a, const void *b) {
    double x = ((const struct board_row *)a)->value,
           y = ((const struct board_row *)b)->value;
    return (x < y) - (x > y);
}

static void put_board(const struct cr_result *results, size_t n, struct cr_page *page) {
    static const struct cr_column columns[] = {
        {"judge", false, NULL},
        {"value", true, NULL},
        {"grade", false,
         "A read in an official source, B reprinted in another paper, C in reading "
         "notes; rows "
         "of different papers differ in prompt and version"},
        {"source", false, NULL}};
    const struct cr_metric *head = cr_metric_headline(results[0].metrics);
    struct board_row rows[128];
    size_t m = 0;
    for (const struct cr_published *p = cr_published; head && p->bench && m < 90; p++)
        if (strcmp(p->bench, results[0].rows->bench->name) == 0 &&
            strcmp(p->metric, head->name) == 0)
            rows[m++] = (struct board_row){p->judge,    p->source,   p->value,
                                           (double)NAN, (double)NAN, p->grade};
    if (m == 0)
        return;
    for (size_t k = 0; k < n && m < CR_COUNT(rows); k++) {
        const struct cr_metric *h =
            cr_metric_find(results[k].metrics, head->name, head->variant, NULL);
        if (h && cr_stat_ok(h->value))
            rows[m++] =
                (struct board_row){results[k].label, "this report",    h->value.value,
                                   h->interval.low,  h->interval.high, 0};
    }
    qsort(rows, m, sizeof *rows, by_value);
    cr_page_heading(page, "Beside published rows");
    char caption[120];
    snprintf(caption, sizeof caption, "%s, %s", results[0].rows->bench->title,
             head->name);
    cr_page_table_begin(page, caption, columns, CR_COUNT(columns));
    for (size_t i = 0; i < m; i++) {
        cr_page_cell(page, "%s", rows[i].judge);
        cr_page_interval(page, rows[i].value, rows[i].low, rows[i].high,
                         rows[i].grade ? (head->is_percent ? 1 : 3) : decimals_of(head));
        cr_page_cell_tone(page, rows[i].grade ? CR_TONE_MUTED : CR_TONE_PLAIN, "%c",
                          rows[i].grade ? rows[i].grade : ' ');
        cr_page_cell(page, "%s", rows[i].source);
    }
    cr_page_table_end(page);
    cr_page_fold_begin(page, "Published figures that their own data do not give");
    for (const struct cr_irreproducible *x = cr_irreproducible; x->what; x++)
        cr_page_paragraph(page, "%s: %s.", x->what, x->why);
    cr_page_fold_end(page);
}

/* ---- groups as a chart ------------------------------------------------------------------------------ */

static void put_groups(const struct cr_result *results, size_t n, struct cr_page *page) {
    const char *labels[64];
    double y[MAX_JUDGES][64], low[MAX_JUDGES][64], high[MAX_JUDGES][64];
    struct cr_series series[MAX_JUDGES];
    size_t m = 0;
    const char *name = NULL;
    for (size_t i = 0; i < results[0].metrics->n && m < CR_COUNT(labels); i++) {
        const struct cr_metric *x = &results[0].metrics->items[i];
        if (!x->group || x->by != CR_BY_ROBUST || (name && strcmp(name, x->name) != 0))
            continue;
        name = x->name;
        labels[m] = x->group;
        for (size_t k = 0; k < n; k++) {
            const struct cr_metric *z =
                cr_metric_find(results[k].metrics, x->name, x->variant, x->group);
            bool ok = z && cr_stat_ok(z->value);
            y[k][m] = ok ? z->value.value : (double)NAN;
            low[k][m] = ok && !z->interval.why ? z->interval.low : (double)NAN;
            high[k][m] = ok && !z->interval.why ? z->interval.high : (double)NAN;
        }
        m++;
    }
    if (m < 2)
        return;
    for (size_t k = 0; k < n; k++)
        series[k] = (struct cr_series){results[k].label, NULL, y[k], low[k], high[k], m};
    const struct cr_chart chart = {.kind = CR_CHART_BAR,
                                   .title = "By group, our reading",
                                   .description = "Bars with 95 % intervals.",
                                   .x_label = "group",
                                   .y_label = "value",
                                   .labels = labels,
                                   .series = series,
                                   .n_series = n,
                                   .decimals = 2};
    cr_page_chart(page, &chart);
}

/* ---- scores ------------------------------------------------------------------------------------------ */

#define N_BINS 20

/* Shares of picks, or a histogram of scores over the range that any judge used. */
static void put_picks(const struct cr_result *results, size_t n, struct cr_page *page) {
    static const char *const labels[] = {"first", "second", "tie", "unread"};
    double y[MAX_JUDGES + 1][4] = {{0}};
    struct cr_series series[MAX_JUDGES + 1];
    size_t n_labels = 0;
    for (size_t k = 0; k < n; k++) {
        for (size_t i = 0; i < results[k].rows->n; i++)
            y[k][results[k].rows->items[i].robust.pick] +=
                100.0 / (double)results[k].rows->n;
        series[k] = (struct cr_series){results[k].label, NULL, y[k], NULL, NULL, 4};
    }
    for (size_t i = 0; i < results[0].rows->n; i++)
        n_labels += results[0].rows->items[i].label_pick != CR_PICK_NONE;
    for (size_t i = 0; i < results[0].rows->n && n_labels > 0; i++)
        if (results[0].rows->items[i].label_pick != CR_PICK_NONE)
            y[n][results[0].rows->items[i].label_pick] += 100.0 / (double)n_labels;
    series[n] = (struct cr_series){"labels", NULL, y[n], NULL, NULL, 4};
    const struct cr_chart chart = {.kind = CR_CHART_BAR,
                                   .title = "Verdicts, % of items",
                                   .description =
                                       "A judge that is far from the labels here "
                                       "prefers a place or ties too often.",
                                   .x_label = "verdict",
                                   .y_label = "% of items",
                                   .labels = labels,
                                   .series = series,
                                   .n_series = n + (n_labels > 0),
                                   .decimals = 1};
    cr_page_chart(page, &chart);
}

static void put_histogram(const struct cr_result *results, size_t n,
                          struct cr_page *page) {
    double least = INFINITY, most = -INFINITY;
    char names[N_BINS][24];
    const char *labels[N_BINS];
    double y[MAX_JUDGES + 1][N_BINS] = {{0}};
    struct cr_series series[MAX_JUDGES + 1];
    bool labelled = false;
    for (size_t k = 0; k <= n; k++)
        for (size_t i = 0; i < results[k < n ? k : 0].rows->n; i++) {
            const struct cr_judgement *row = &results[k < n ? k : 0].rows->items[i];
            double x = k < n ? row->robust.score : row->label_score;
            if (!isfinite(x))
                continue;
            least = fmin(least, x);
            most = fmax(most, x);
            labelled |= k == n;
        }
    if (!(least < most))
        return;
    for (size_t k = 0; k <= n; k++) {
        const struct cr_judged *rows = results[k < n ? k : 0].rows;
        for (size_t i = 0; i < rows->n; i++) {
            double x = k < n ? rows->items[i].robust.score : rows->items[i].label_score;
            if (isfinite(x))
                y[k][CR_MIN((size_t)((x - least) / (most - least) * N_BINS),
                            (size_t)N_BINS - 1)] += 100.0 / (double)rows->n;
        }
        series[k] = (struct cr_series){
            k < n ? results[k].label : "labels", NULL, y[k], NULL, NULL, N_BINS};
    }
    for (size_t b = 0; b < N_BINS; b++) {
        snprintf(names[b], sizeof names[b], "%.3g",
                 least + (most - least) * ((double)b + 0.5) / N_BINS);
        labels[b] = names[b];
    }
    const struct cr_chart chart = {.kind = CR_CHART_BAR,
                                   .title = "Scores, % of items",
                                   .description =
                                       "One high bar is a judge that gives everything "
                                       "the same score.",
                                   .x_label = "score (middle of the bin)",
                                   .y_label = "% of items",
                                   .labels = labels,
                                   .series = series,
                                   .n_series = n + labelled,
                                   .decimals = 1};
    cr_page_chart(page, &chart);
}

/* ---- calibration --------------------------------------------------------------------------------------- */

static void put_calibration(const struct cr_result *r, struct cr_page *page) {
    double x[CR_N_CALIBRATION_BINS], y[CR_N_CALIBRATION_BINS];
    struct cr_calibration c;
    size_t m = 0;
    if (cr_calibration_of(&c, r->rows, NULL) != CRITIC_OK || c.n < CR_CALIBRATION_MIN)
        return;
    for (size_t b = 0; b < CR_N_CALIBRATION_BINS; b++)
        if (c.bins[b].n > 0) {
            x[m] = c.bins[b].confidence;
            y[m++] = c.bins[b].frequency;
        }
    const struct cr_series series = {r->label, x, y, NULL, NULL, m};
    char title[160], auroc[80];
    snprintf(title, sizeof title, "Is %.80s as often right as it is sure?", r->label);
    const struct cr_chart chart = {
        .kind = CR_CHART_RELIABILITY,
        .title = title,
        .description = "Below the diagonal the judge is surer than it should be.",
        .x_label = "stated probability of its choice",
        .y_label = "share that is right",
        .series = &series,
        .n_series = 1,
        .decimals = 3};
    cr_page_chart(page, &chart);
    snprintf(auroc, sizeof auroc, cr_stat_ok(c.auroc) ? "%.3f" : "undefined",
             c.auroc.value);
    cr_page_paragraph(page,
                      "Expected calibration error %.3f, Brier score %.3f, AUROC of "
                      "confidence for being right %s, from %zu items with a probability "
                      "and a decided label.",
                      c.ece.value, c.brier.value, auroc, c.n);
}

/* ---- several judges ------------------------------------------------------------------------------------ */

static void put_agreement(const struct cr_result *results, size_t n,
                          const struct cr_comparison *pairs, struct cr_page *page) {
    struct cr_column columns[MAX_JUDGES + 1] = {{"judge", false, NULL}};
    for (size_t k = 0; k < n; k++)
        columns[k + 1] = (struct cr_column){results[k].label, true, NULL};
    cr_page_table_begin(page, "Share of items with the same verdict", columns, n + 1);
    for (size_t a = 0; a < n; a++) {
        cr_page_cell(page, "%s", results[a].label);
        for (size_t b = 0; b < n; b++) {
            double share = a == b ? 1 : (double)NAN;
            for (size_t i = 0; i < n * (n - 1) / 2; i++)
                if (pairs[i].a == CR_MIN(a, b) && pairs[i].b == CR_MAX(a, b))
                    share = pairs[i].agreement.value;
            cr_page_heat(page, share, 2);
        }
    }
    cr_page_table_end(page);
}

static void put_differences(const struct cr_result *results,
                            const struct cr_comparison *pairs, size_t m,
                            struct cr_page *page) {
    static const struct cr_column columns[] = {
        {"judges", false, NULL},
        {"items", true, "judged by both and counting"},
        {"difference", true, "mean of the first minus the second, paired bootstrap"},
        {"p", true, NULL},
        {"p, adjusted", true, "Holm over all pairs"},
        {"test", false, NULL},
        {"items more to tell", true, "for 80 % power at 5 %, at this difference"}};
    cr_page_table_begin(page, "Paired differences", columns, CR_COUNT(columns));
    for (size_t i = 0; i < m; i++) {
        const struct cr_comparison *c = &pairs[i];
        cr_page_cell(page, "%s against %s", results[c->a].label, results[c->b].label);
        cr_page_cell(page, "%zu", c->n);
        cr_page_interval(page, c->difference.value, c->interval.low, c->interval.high, 3);
        cr_page_number(page, c->p_value.value, 4);
        if (isnan(c->adjusted))
            cr_page_number(page, c->adjusted, 4);
        else
            cr_page_cell(page, "%.4f%s", c->adjusted,
                         c->adjusted < 0.05 ? ", told apart" : "");
        cr_page_cell(page, "%s", c->test);
        cr_page_number(page, c->n_more.value, 0);
    }
    cr_page_table_end(page);
}

static void put_comparison(const struct cr_result *results, size_t n,
                           struct cr_page *page) {
    const struct cr_judged *rows[MAX_JUDGES];
    struct cr_comparison *pairs = calloc(n * (n - 1) / 2, sizeof *pairs);
    critic_error why = {0};
    for (size_t k = 0; k < n; k++)
        rows[k] = results[k].rows;
    cr_page_heading(page, "Judge against judge");
    if (pairs && cr_compare(pairs, rows, n, &results[0].boot, &why) == CRITIC_OK) {
        put_differences(results, pairs, n * (n - 1) / 2, page);
        put_agreement(results, n, pairs, page);
    } else {
        cr_page_paragraph(page, "Not compared: %s.", why.message);
    }
    free(pairs);
}

/* ---- all ----------------------------------------------------------------------------------------------- */

void cr_result_page(const struct cr_result *results, size_t n, struct cr_page *page) {
    const struct cr_exam *b = results[0].rows->bench;
    n = CR_MIN(n, (size_t)MAX_JUDGES);
    cr_page_subtitle(page, "%s, %zu judge%s, critic %s", b->title, n, n == 1 ? "" : "s",
                     critic_version());
    cr_page_heading(page, "Result");
    for (size_t k = 0; k < n; k++)
        put_headline(&results[k], page);
    for (size_t k = 0; k < n; k++)
        put_source(&results[k], page);
    if (b->note)
        cr_page_note(page, CR_TONE_PLAIN, "%s", b->note);
    put_metrics(results, n, page);
    put_groups(results, n, page);
    put_parsing(results, n, page);
    put_board(results, n, page);
    cr_page_heading(page, "How the verdicts are spread");
    if (b->mode == CR_MODE_PAIRWISE)
        put_picks(results, n, page);
    else
        put_histogram(results, n, page);
    for (size_t k = 0; k < n; k++)
        put_calibration(&results[k], page);
    if (n > 1)
        put_comparison(results, n, page);
    for (size_t k = 0; k < n; k++)
        if (results[k].panel) {
            cr_page_heading(page, "Diseases that judges have");
            cr_panel_page(results[k].panel, page);
        }
    cr_result_page_items(results, n, page);
}
