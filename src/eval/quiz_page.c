#include "eval/quiz_page.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "eval/stats_signif.h"

#define MAX_BARS 40

static const char by_hand[] = "95 % percentile bootstrap over pictures, 2000 draws, seed "
                              "0; a picture's questions are "
                              "drawn together";

static void put_interval(struct cr_page *page, struct cr_stat value,
                         struct cr_interval interval, double factor, int decimals) {
    if (!cr_stat_ok(value))
        cr_page_cell(page, "%s", value.why);
    else if (interval.why)
        cr_page_number(page, factor * value.value, decimals);
    else
        cr_page_interval(page, factor * value.value, factor * interval.low,
                         factor * interval.high, decimals);
}

struct bars {
    const char *labels[MAX_BARS];
    double y[MAX_BARS], low[MAX_BARS], high[MAX_BARS];
    size_t n;
};

static void add_bar(struct bars *b, const char *label, struct cr_stat value,
                    struct cr_interval interval, double factor) {
    if (b->n == MAX_BARS || !cr_stat_ok(value))
        return;
    b->labels[b->n] = label;
    b->y[b->n] = factor * value.value;
    b->low[b->n] = interval.why ? (double)NAN : factor * interval.low;
    b->high[b->n++] = interval.why ? (double)NAN : factor * interval.high;
}

static void put_bars(struct cr_page *page, const struct bars *b, const char *title,
                     const char *x_label, const char *y_label, double y_max) {
    const struct cr_series series = {y_label, NULL, b->y, b->low, b->high, b->n};
    const struct cr_chart chart = {.kind = CR_CHART_BAR,
                                   .title = title,
                                   .description = "Bars with 95 % intervals.",
                                   .x_label = x_label,
                                   .y_label = y_label,
                                   .labels = b->labels,
                                   .series = &series,
                                   .n_series = 1,
                                   .y_max = y_max,
                                   .decimals = 2};
    if (b->n > 0)
        cr_page_chart(page, &chart);
}

/* ---- POPE ----------------------------------------------------------------------------------- */

static void put_pope_row(struct cr_page *page, const char *name, const char *rule,
                         const struct cr_pope_result *r, bool intervals) {
    static const struct cr_interval none = {0, 0, cr_why_few};
    cr_page_cell(page, "%s", name);
    cr_page_cell(page, "%s", rule);
    put_interval(page, r->accuracy, intervals ? r->accuracy_95 : none, 100, 1);
    put_interval(page, r->f1, intervals ? r->f1_95 : none, 100, 1);
    put_interval(page, r->precision, none, 100, 1);
    put_interval(page, r->recall, none, 100, 1);
    put_interval(page, r->yes_ratio, none, 100, 1);
    cr_page_cell(page, "%zu", r->n);
    cr_page_cell_tone(page, r->n_other ? CR_TONE_AMBER : CR_TONE_PLAIN, "%zu",
                      r->n_other);
}

void cr_pope_page(struct cr_page *page, const struct cr_pope *p) {
    static const struct cr_column columns[] = {
        {"split", false, NULL},
        {"rule", false,
         "official: POPE's evaluate.py; exact: lmms-eval; ours: docs/evaluation.md"},
        {"accuracy (%)", true, by_hand},
        {"F1 (%)", true, NULL},
        {"precision (%)", true, NULL},
        {"recall (%)", true, NULL},
        {"yes ratio (%)", true, "of the predictions"},
        {"judged", true, NULL},
        {"neither", true, "replies from which the rule reads neither yes nor no"}};
    static const char *const rules[CR_N_POPE_RULES] = {"official", "exact", "ours"};
    const struct cr_pope_result *all = &p->by[CR_POPE_OFFICIAL];
    struct bars *bars = calloc(1, sizeof *bars);
    cr_page_note(page, all->n == p->n_labels ? CR_TONE_PLAIN : CR_TONE_AMBER,
                 "Accuracy %.1f %%, F1 %.1f %% by POPE's own rule; %zu of %zu judged.",
                 100 * all->accuracy.value, 100 * all->f1.value, all->n, p->n_labels);
    cr_page_heading(page, "Scores");
    cr_page_table_begin(page, "POPE", columns, CR_COUNT(columns));
    for (size_t i = 0; i < p->n_splits; i++)
        put_pope_row(page, p->splits[i].name, rules[0],
                     &p->splits[i].by[CR_POPE_OFFICIAL], true);
    for (size_t r = 0; r < CR_N_POPE_RULES; r++)
        put_pope_row(page, "all", rules[r], &p->by[r], r == CR_POPE_OFFICIAL);
    cr_page_table_end(page);
    for (size_t i = 0; bars && i < p->n_splits; i++)
        add_bar(bars, p->splits[i].name, p->splits[i].by[CR_POPE_OFFICIAL].accuracy,
                p->splits[i].by[CR_POPE_OFFICIAL].accuracy_95, 100);
    if (bars)
        add_bar(bars, "all", all->accuracy, all->accuracy_95, 100);
    if (bars)
        put_bars(page, bars, "Accuracy by split", "split", "accuracy (%)", 100);
    free(bars);
    cr_page_paragraph(page,
                      "The official rule and ours read %zu of %zu replies differently.",
                      p->n_differ, all->n);
}

/* ---- MME ------------------------------------------------------------------------------------ */

void cr_mme_page(struct cr_page *page, const struct cr_mme *m) {
    static const struct cr_column columns[] = {
        {"task", false, NULL},
        {"part", false, NULL},
        {"score, of 200", true, by_hand},
        {"accuracy (%)", true, NULL},
        {"accuracy+ (%)", true, "pictures with both questions right"},
        {"questions", true, NULL},
        {"neither", true,
         "replies from which the official rule reads neither yes nor no"},
        {"read otherwise by ours", true, NULL}};
    static const struct cr_interval none = {0, 0, cr_why_few};
    struct bars *bars = calloc(1, sizeof *bars);
    cr_page_note(
        page, m->n_missing ? CR_TONE_AMBER : CR_TONE_PLAIN,
        "Perception %.1f of 2000, cognition %.1f of 800 by MME's own rule; %zu of %d "
        "tasks are there.",
        m->perception[CR_MME_OFFICIAL].value, m->cognition[CR_MME_OFFICIAL].value,
        CR_MME_TASKS - m->n_missing, CR_MME_TASKS);
    cr_page_heading(page, "Scores");
    cr_page_table_begin(page, "MME by task", columns, CR_COUNT(columns));
    for (size_t i = 0; i < CR_MME_TASKS; i++) {
        const struct cr_mme_task *t = &m->tasks[i];
        const struct cr_mme_result *r = &t->by[CR_MME_OFFICIAL];
        if (!t->is_there)
            continue;
        cr_page_cell(page, "%s", cr_mme_tasks[i]);
        cr_page_cell(page, "%s", i < CR_MME_N_PERCEPTION ? "perception" : "cognition");
        put_interval(page, r->score, t->score_95, 1, 1);
        put_interval(page, r->accuracy, none, 100, 1);
        put_interval(page, r->accuracy_plus, none, 100, 1);
        cr_page_cell(page, "%zu", t->n_questions);
        cr_page_cell_tone(page, r->n_other ? CR_TONE_AMBER : CR_TONE_PLAIN, "%zu",
                          r->n_other);
        cr_page_cell(page, "%zu", t->n_differ);
        if (bars)
            add_bar(bars, cr_mme_tasks[i], r->score, t->score_95, 1);
    }
    cr_page_table_end(page);
    static const struct cr_column sums[] = {
        {"rule", false, "official: calculation.py; the others: docs/evaluation.md"},
        {"perception", true, "95 % interval from the tasks' standard errors"},
        {"cognition", true, NULL}};
    static const char *const rules[CR_N_MME_RULES] = {"official", "lmms-eval", "ours"};
    cr_page_table_begin(page, "Sums by rule", sums, CR_COUNT(sums));
    for (size_t r = 0; r < CR_N_MME_RULES; r++) {
        bool first = r == CR_MME_OFFICIAL;
        cr_page_cell(page, "%s", rules[r]);
        put_interval(page, m->perception[r], first ? m->perception_95 : none, 1, 1);
        put_interval(page, m->cognition[r], first ? m->cognition_95 : none, 1, 1);
    }
    cr_page_table_end(page);
    if (bars)
        put_bars(page, bars, "Score by task", "task", "score", 200);
    free(bars);
}

/* ---- MMBench -------------------------------------------------------------------------------- */

struct cr_interval cr_mmbench_interval(const struct cr_mmbench_group *g,
                                       enum cr_mmbench_rule rule) {
    return cr_wilson(g->n_hit[rule], g->n_questions, 0.95);
}

static struct cr_stat hits(const struct cr_mmbench_group *g, enum cr_mmbench_rule rule) {
    return g->n_questions ? cr_stat_of((double)g->n_hit[rule] / (double)g->n_questions)
                          : cr_stat_undefined(cr_why_empty);
}

void cr_mmbench_page(struct cr_page *page, const struct cr_mmbench *m) {
    static const struct cr_column columns[] = {
        {"group", false, NULL},
        {"kind", false, NULL},
        {"hits (%)", true,
         "a question is a hit where every rotation is right; the benchmark's own "
         "matching, then "
         "the likeliest letter where rows hold one; Wilson's 95 % interval"},
        {"by matching alone (%)", true, NULL},
        {"as VLMEvalKit reads (%)", true, NULL},
        {"questions", true, NULL}};
    struct bars *bars = calloc(1, sizeof *bars);
    const struct cr_mmbench_group *all = &m->groups[0];
    cr_page_note(
        page, m->n_unread[CR_MMBENCH_CHOICE] ? CR_TONE_AMBER : CR_TONE_PLAIN,
        "%.1f %% of %zu questions are hits (circular evaluation); of %zu rows %zu "
        "were not matched, %zu of them chosen by likelihood.",
        100 * hits(all, CR_MMBENCH_CHOICE).value, m->n_questions, m->n_rows,
        m->n_unread[CR_MMBENCH_OFFICIAL], m->n_chosen);
    cr_page_heading(page, "Scores");
    cr_page_table_begin(page, "MMBench by group", columns, CR_COUNT(columns));
    for (size_t i = 0; i < m->n_groups; i++) {
        const struct cr_mmbench_group *g = &m->groups[i];
        struct cr_interval interval = cr_mmbench_interval(g, CR_MMBENCH_CHOICE);
        cr_page_cell(page, "%s", g->name);
        cr_page_cell(page, "%s", g->kind);
        put_interval(page, hits(g, CR_MMBENCH_CHOICE), interval, 100, 1);
        cr_page_number(page, 100 * hits(g, CR_MMBENCH_OFFICIAL).value, 1);
        cr_page_number(page, 100 * hits(g, CR_MMBENCH_VLMEVAL).value, 1);
        cr_page_cell(page, "%zu", g->n_questions);
        if (bars && strcmp(g->kind, "split") != 0)
            add_bar(bars, g->name, hits(g, CR_MMBENCH_CHOICE), interval, 100);
    }
    cr_page_table_end(page);
    if (bars)
        put_bars(page, bars, "Hits by group", "group", "hits (%)", 100);
    free(bars);
    cr_page_paragraph(page, "VLMEvalKit's rule reads %zu of %zu rows differently.",
                      m->n_differ, m->n_rows);
}
