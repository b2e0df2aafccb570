/* critic eval micro: a judge of the micro world held against its oracle. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/checked.h"
#include "cli/eval.h"
#include "cli/progress.h"
#include "cli/signals.h"
#include "engine/engine.h"
#include "eval/micro.h"
#include "io/json.h"
#include "report/page.h"

/* Who is measured. */
struct judged {
    const char *role; /* "critic", "base" */
    const char *model;
    struct cr_micro_table table;
    size_t n;
    double seconds;
};

struct flags {
    struct cr_common common;
    const char *base, *report, *split;
    struct cr_micro_opts opts;
    struct cr_progress progress;
};

static void on_item(void *user, size_t done, size_t total) {
    struct flags *f = user;
    cr_progress_update(&f->progress, done, total);
}

static enum critic_status measure(struct flags *f, struct judged *j, critic_error *err) {
    struct cr_engine *engine = NULL;
    struct cr_micro_rows rows = {0};
    cr_progress_begin(&f->progress, j->role, "pairs", f->common.quiet);
    f->common.model = j->model;
    enum critic_status status = cr_common_open(&f->common, &engine, err);
    if (status == CRITIC_OK)
        status = cr_micro_run(&rows, engine, &f->opts, err);
    cr_progress_clear(&f->progress);
    if (status == CRITIC_OK)
        status = cr_micro_tabulate(&j->table, &rows, f->opts.seed, err);
    j->n = rows.n;
    j->seconds = rows.seconds;
    cr_micro_rows_fini(&rows);
    cr_engine_free(engine);
    return status;
}

/* ---- JSON ---------------------------------------------------------------------------------- */

static json_t *cell_json(const struct cr_micro_cell *c) {
    return json_pack("{s:o,s:[o,o],s:I}", "value", cr_json_number(c->value), "ci",
                     cr_json_number(c->low), cr_json_number(c->high), "n",
                     (json_int_t)c->n);
}

static json_t *table_json(const struct judged *j) {
    const struct cr_micro_table *t = &j->table;
    static const char *const gaps[] = {"0", "3-9", "10-15", "16-29", "30+"};
    json_t *root = json_object(), *ci = json_object(), *gap = json_object(),
           *criterion = json_object(), *family = json_object(), *qa = json_object(),
           *bins = json_array();
    for (int i = 0; i < CR_N_MICRO; i++) {
        const char *name = cr_micro_name((enum cr_micro_measure)i);
        json_object_set_new(root, name, cr_json_number(t->of[i].value));
        json_object_set_new(ci, name, cell_json(&t->of[i]));
    }
    for (int i = 0; i < CR_N_GAPS; i++)
        json_object_set_new(gap, gaps[i], cell_json(&t->by_gap[i]));
    for (int i = 0; i < CR_N_CRITERIA; i++)
        json_object_set_new(criterion, cr_criterion_name((enum cr_criterion)i),
                            cell_json(&t->by_criterion[i]));
    for (int i = 0; i < CR_N_ASKS; i++)
        json_object_set_new(family, cr_ask_name((enum cr_ask_kind)i),
                            cell_json(&t->by_ask[i]));
    for (int i = 0; i < CR_N_FAMILIES; i++)
        if (t->qa[i].n)
            json_object_set_new(qa, cr_family_name((enum cr_family)i),
                                cell_json(&t->qa[i]));
    for (int i = 0; i < CR_MICRO_BINS; i++)
        json_array_append_new(
            bins, json_pack("{s:I,s:f,s:f}", "n", (json_int_t)t->bins[i].n, "confidence",
                            t->bins[i].confidence, "frequency", t->bins[i].frequency));
    json_object_set_new(root, "intervals", ci);
    json_object_set_new(root, "pair_accuracy_by_gap", gap);
    json_object_set_new(root, "pair_accuracy_by_criterion", criterion);
    json_object_set_new(root, "pair_accuracy_by_family", family);
    json_object_set_new(root, "base_questions", qa);
    json_object_set_new(root, "reliability", bins);
    json_object_set_new(root, "easy_share", cr_json_number(t->easy_share));
    json_object_set_new(root, "unparsed", cr_json_number(t->unparsed));
    json_object_set_new(root, "pairs", json_integer((json_int_t)j->n));
    json_object_set_new(root, "seconds", json_real(j->seconds));
    json_object_set_new(root, "model", json_string(j->model));
    return root;
}

static json_t *report_json(const struct flags *f, const struct judged *judged, size_t n) {
    json_t *root = json_object();
    for (size_t i = 0; i < n; i++)
        json_object_set_new(root, judged[i].role, table_json(&judged[i]));
    json_object_set_new(root, "split", json_string(cr_split_name(f->opts.split)));
    json_object_set_new(root, "seed", json_integer((json_int_t)f->opts.seed));
    json_object_set_new(root, "limit", json_integer((json_int_t)f->opts.limit));
    json_object_set_new(root, "version", json_string(critic_version()));
    return root;
}

/* ---- for people -------------------------------------------------------------------------------- */

static void print_table(const struct judged *judged, size_t n) {
    printf("%-24s", "");
    for (size_t i = 0; i < n; i++)
        printf(" %-24s", judged[i].role);
    putchar('\n');
    for (int m = 0; m < CR_N_MICRO; m++) {
        printf("%-24s", cr_micro_text((enum cr_micro_measure)m));
        for (size_t i = 0; i < n; i++) {
            const struct cr_micro_cell *c = &judged[i].table.of[m];
            char text[64];
            if (isnan(c->value))
                snprintf(text, sizeof text, "-");
            else if (isnan(c->low))
                snprintf(text, sizeof text, "%.3f", c->value);
            else
                snprintf(text, sizeof text, "%.3f (%.3f to %.3f)", c->value, c->low,
                         c->high);
            printf(" %-24s", text);
        }
        printf(" %s\n", cr_micro_help((enum cr_micro_measure)m));
    }
}

static void page_rows(struct cr_page *page, const char *caption, const char *first,
                      const struct judged *judged, size_t n,
                      const struct cr_micro_cell *(*cell)(const struct cr_micro_table *t,
                                                          int i),
                      const char *(*name)(int i), int n_rows) {
    struct cr_column columns[3] = {{.name = first}};
    for (size_t i = 0; i < n; i++)
        columns[1 + i] = (struct cr_column){.name = judged[i].role, .is_number = true};
    cr_page_table_begin(page, caption, columns, 1 + n);
    for (int r = 0; r < n_rows; r++) {
        cr_page_cell(page, "%s", name(r));
        for (size_t i = 0; i < n; i++) {
            const struct cr_micro_cell *c = cell(&judged[i].table, r);
            cr_page_interval(page, c->value, c->low, c->high, 3);
        }
    }
    cr_page_table_end(page);
}

static const struct cr_micro_cell *cell_of(const struct cr_micro_table *t, int i) {
    return &t->of[i];
}
static const struct cr_micro_cell *cell_gap(const struct cr_micro_table *t, int i) {
    return &t->by_gap[i];
}
static const struct cr_micro_cell *cell_criterion(const struct cr_micro_table *t, int i) {
    return &t->by_criterion[i];
}
static const struct cr_micro_cell *cell_ask(const struct cr_micro_table *t, int i) {
    return &t->by_ask[i];
}
static const struct cr_micro_cell *cell_qa(const struct cr_micro_table *t, int i) {
    return &t->qa[i];
}
static const char *name_of(int i) {
    return cr_micro_text((enum cr_micro_measure)i);
}
static const char *name_gap(int i) {
    static const char *const gaps[] = {"equal", "3 to 9", "10 to 15", "16 to 29",
                                       "30 and more"};
    return gaps[i];
}
static const char *name_criterion(int i) {
    return cr_criterion_name((enum cr_criterion)i);
}
static const char *name_ask(int i) {
    return cr_ask_name((enum cr_ask_kind)i);
}
static const char *name_qa(int i) {
    return cr_family_name((enum cr_family)i);
}

static void page_charts(struct cr_page *page, const struct judged *judged, size_t n) {
    double values[2][CR_N_GAPS], low[2][CR_N_GAPS], high[2][CR_N_GAPS];
    double x[2][CR_MICRO_BINS], y[2][CR_MICRO_BINS];
    const char *labels[CR_N_GAPS];
    struct cr_series gaps[2], bins[2];
    for (size_t i = 0; i < n; i++) {
        size_t used = 0;
        for (int g = 0; g < CR_N_GAPS; g++) {
            labels[g] = name_gap(g);
            values[i][g] = judged[i].table.by_gap[g].value;
            low[i][g] = judged[i].table.by_gap[g].low;
            high[i][g] = judged[i].table.by_gap[g].high;
        }
        for (int b = 0; b < CR_MICRO_BINS; b++)
            if (judged[i].table.bins[b].n) {
                x[i][used] = judged[i].table.bins[b].confidence;
                y[i][used++] = judged[i].table.bins[b].frequency;
            }
        gaps[i] = (struct cr_series){.name = judged[i].role,
                                     .y = values[i],
                                     .low = low[i],
                                     .high = high[i],
                                     .n = CR_N_GAPS};
        bins[i] =
            (struct cr_series){.name = judged[i].role, .x = x[i], .y = y[i], .n = used};
    }
    cr_page_chart(page,
                  &(struct cr_chart){.kind = CR_CHART_BAR,
                                     .title = "Right verdicts by the gap of the scores",
                                     .x_label = "gap in points",
                                     .y_label = "share right",
                                     .labels = labels,
                                     .series = gaps,
                                     .n_series = n,
                                     .y_max = 1,
                                     .decimals = 3});
    cr_page_chart(page,
                  &(struct cr_chart){.kind = CR_CHART_RELIABILITY,
                                     .title = "Calibration of the verdict's probability",
                                     .x_label = "probability stated",
                                     .y_label = "share right",
                                     .series = bins,
                                     .n_series = n,
                                     .decimals = 3});
}

static enum critic_status write_page(const struct flags *f, const struct judged *judged,
                                     size_t n, critic_error *err) {
    struct cr_page *page;
    CR_TRY(cr_page_new(&page, "Judging the micro world", err));
    cr_page_subtitle(page,
                     "%zu pairs of the split %s in both orders, seed %llu; 95 %% "
                     "bootstrap intervals over scenes",
                     f->opts.limit, cr_split_name(f->opts.split),
                     (unsigned long long)f->opts.seed);
    cr_page_heading(page, "Headline");
    page_rows(page, "All measures", "measure", judged, n, cell_of, name_of, CR_N_MICRO);
    cr_page_paragraph(page,
                      "%.0f %% of the untied pairs are easy (gap of 30 points and more).",
                      100 * judged[0].table.easy_share);
    cr_page_heading(page, "By the size of the gap");
    page_charts(page, judged, n);
    page_rows(page, "Pair accuracy by gap", "gap", judged, n, cell_gap, name_gap,
              CR_N_GAPS);
    cr_page_heading(page, "By criterion and question");
    page_rows(page, "Pair accuracy by criterion", "criterion", judged, n, cell_criterion,
              name_criterion, CR_N_CRITERIA);
    page_rows(page, "Pair accuracy by family of question", "family", judged, n, cell_ask,
              name_ask, CR_N_ASKS);
    cr_page_heading(page, "Base questions");
    page_rows(page, "Exact answers", "family", judged, n, cell_qa, name_qa,
              CR_N_FAMILIES);
    enum critic_status status = cr_page_write(page, f->report, err);
    cr_page_free(page);
    return status;
}

/* ---- command ------------------------------------------------------------------------------------- */

static int run_parsed(struct flags *f) {
    /* The embedded pair belongs together; what another model came from, only its user knows. */
    bool own = !f->common.model;
    struct judged judged[2] = {
        {.role = "critic", .model = own ? CR_OWN_CRITIC : f->common.model},
        {.role = "base",
         .model = f->base ? f->base
                  : own   ? "micro-base"
                          : NULL}};
    size_t n = judged[1].model ? 2 : 1;
    critic_error err = {0};
    enum critic_status status = CRITIC_OK;
    if (f->split && !cr_split_parse(cr_str_of(f->split), &f->opts.split))
        status = cr_fail(&err, CRITIC_BAD_ARGUMENT,
                         "--split '%.40s'; expected train, val, test, novel or crowded",
                         f->split);
    f->common.progress = &f->progress;
    f->opts.cancel = cr_cancelled;
    f->opts.on_item = on_item;
    f->opts.user = f;
    for (size_t i = 0; i < n && status == CRITIC_OK; i++)
        status = measure(f, &judged[i], &err);
    if (status == CRITIC_OK && f->report)
        status = write_page(f, judged, n, &err);
    if (status == CRITIC_OK && f->common.json)
        status = cr_print_json_exact(report_json(f, judged, n), &err);
    else if (status == CRITIC_OK)
        print_table(judged, n);
    return cr_outcome(status, &err);
}

int cr_eval_micro(int n_args, const char *const *args) {
    struct flags f = {0};
    cr_common_init(&f.common);
    cr_micro_opts_default(&f.opts);
    size_t qa = f.opts.qa;
    const struct cr_flag flags[] = {
        CR_MODEL_FLAG_OF(f.common, CR_OWN_CRITIC),
        {"base-model", 0, CR_FLAG_STR, &f.base, "MODEL",
         "the model before critic tuning, measured beside it; without --model: "
         "micro-base",
         0, 0},
        {"split", 0, CR_FLAG_STR, &f.split, "NAME", "test (default), val, novel, crowded",
         0, 0},
        {"seed", 0, CR_FLAG_U64, &f.opts.seed, "N", "of the scenes (default 1)", 0, 0},
        {"limit", 'n', CR_FLAG_SIZE, &f.opts.limit, "N",
         "pairs, a scene each (default 2000)", 1, 1e7},
        {"questions", 0, CR_FLAG_SIZE, &qa, "N", "base questions a scene (default 4)", 0,
         16},
        {"no-controls", 0, CR_FLAG_BOOL, &f.opts.quick, NULL,
         "leave out blank and swapped pictures and single answers", 0, 0},
        {"report", 0, CR_FLAG_STR, &f.report, "FILE", "an HTML page with charts", 0, 0},
        CR_MACHINE_FLAGS(f.common),
        CR_KV_FLAG(f.common),
        CR_OUTPUT_FLAGS(f.common),
        CR_END_FLAGS};
    const struct cr_args_spec spec = {
        .command = "eval micro",
        .usage = "[--model MODEL] [--base-model MODEL] [--seed N] [--limit N]",
        .about =
            "Draws fresh held-out scenes of the micro world, lets a model judge answers "
            "of "
            "known quality,\nand holds verdicts, scores and reasons against the oracle.",
        .example =
            "critic eval micro --limit 200 --json\n"
            "critic eval micro --model ./critic --base-model ./base --report micro.html",
        .flags = flags};
    struct cr_args parsed;
    int status = cr_command_begin(&parsed, &spec, n_args, args);
    if (status >= 0)
        return status;
    f.opts.qa = (unsigned)qa;
    return cr_command_end(&parsed, run_parsed(&f));
}
