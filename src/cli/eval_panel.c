/* critic eval panel: the diseases that judges have. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/eval.h"
#include "cli/eval_judges.h"
#include "cli/eval_output.h"
#include "cli/progress.h"
#include "cli/signals.h"
#include "eval/panel.h"
#include "io/json.h"
#include "report/page.h"

struct panel_flags {
    struct cr_common common;
    struct cr_judge_flags judge;
    struct cr_result_flags result;
    struct cr_exam_load load;
    const char *self, *other_template;
    struct cr_progress progress;
};

static const char *const colours[] = {"not measured", "green", "amber", "red"};

/* ---- results -------------------------------------------------------------------------------------- */

static json_t *panel_json(const struct cr_panel *p, const struct cr_exam_set *set,
                          const char *judge) {
    json_t *rows = json_array();
    for (size_t i = 0; i < p->n; i++) {
        const struct cr_panel_row *r = &p->rows[i];
        bool interval = !r->interval.why && isfinite(r->interval.low);
        json_array_append_new(
            rows,
            json_pack("{s:s, s:o, s:o, s:I, s:s, s:f, s:f, s:s}", "name", r->name,
                      "value", cr_eval_json(r->value), "ci",
                      interval ? json_pack("[f, f]", r->interval.low, r->interval.high)
                               : json_null(),
                      "n", (json_int_t)r->n, "colour", colours[r->colour], "amber",
                      r->amber, "red", r->red, "sentence", r->sentence));
    }
    return json_pack("{s:s, s:s, s:s, s:I, s:I, s:I, s:o}", "bench", set->bench->name,
                     "judge", judge, "file_hash", set->hash, "items",
                     (json_int_t)p->n_items, "asked", (json_int_t)p->n_asked, "failed",
                     (json_int_t)p->n_failed, "panel", rows);
}

static void print_panel(const struct cr_panel *p) {
    printf("%zu items, %zu versions asked about, %zu without reply\n", p->n_items,
           p->n_asked, p->n_failed);
    for (size_t i = 0; i < p->n; i++) {
        const struct cr_panel_row *r = &p->rows[i];
        printf("%-12s %-40s ", colours[r->colour], r->name);
        if (!r->interval.why && isfinite(r->interval.low))
            printf("(%.2f to %.2f) ", r->interval.low, r->interval.high);
        printf("%s\n", r->sentence);
    }
}

static void put_panel(const struct cr_panel *p, struct cr_page *page) {
    static const struct cr_column columns[] = {
        {"disease", false, NULL},
        {"colour", false, "thresholds are ours and stand in the next columns"},
        {"value", true, "with a 95 % interval, percentile bootstrap over items"},
        {"amber from", true, NULL},
        {"red from", true, NULL},
        {"n", true, "items that count"},
        {"in words", false, NULL}};
    static const enum cr_tone tones[] = {CR_TONE_MUTED, CR_TONE_GREEN, CR_TONE_AMBER,
                                         CR_TONE_RED};
    cr_page_table_begin(page, "Panel", columns, 7);
    for (size_t i = 0; i < p->n; i++) {
        const struct cr_panel_row *r = &p->rows[i];
        cr_page_cell(page, "%s", r->name);
        cr_page_cell_tone(page, tones[r->colour], "%s", colours[r->colour]);
        cr_page_interval(page, r->value.value, r->interval.low, r->interval.high, 2);
        cr_page_number(page, r->amber, 2);
        cr_page_number(page, r->red, 2);
        cr_page_cell(page, "%zu", r->n);
        cr_page_cell(page, "%s", r->sentence);
    }
    cr_page_table_end(page);
}

static void put_chart(const struct cr_panel *p, struct cr_page *page) {
    const char *labels[CR_PANEL_ROWS];
    double y[CR_PANEL_ROWS], low[CR_PANEL_ROWS], high[CR_PANEL_ROWS];
    size_t n = 0;
    for (size_t i = 0; i < p->n; i++) {
        const struct cr_panel_row *r = &p->rows[i];
        if (r->colour == CR_PANEL_NONE)
            continue;
        labels[n] = r->name;
        y[n] = r->value.value;
        low[n] = r->interval.why ? (double)NAN : r->interval.low;
        high[n++] = r->interval.why ? (double)NAN : r->interval.high;
    }
    const struct cr_series series = {"value", NULL, y, low, high, n};
    const struct cr_chart chart = {.kind = CR_CHART_BAR,
                                   .title = "Strength of each",
                                   .description =
                                       "Bars with 95 % intervals; which side is bad "
                                       "stands in the table.",
                                   .x_label = "disease",
                                   .labels = labels,
                                   .series = &series,
                                   .n_series = 1,
                                   .decimals = 2};
    cr_page_chart(page, &chart);
}

static enum critic_status write_report(const struct panel_flags *f,
                                       const struct cr_panel *p,
                                       const struct cr_exam_set *set, const char *judge,
                                       critic_error *err) {
    struct cr_page *page;
    struct cr_buf path, text;
    json_t *json = panel_json(p, set, judge);
    cr_buf_init(&path, 1 << 16);
    cr_buf_init(&text, 1 << 24);
    enum critic_status status = cr_page_new(&page, "What ails this judge", err);
    if (status == CRITIC_OK) {
        cr_page_subtitle(page, "%s on %s: %zu items, %zu versions asked about", judge,
                         set->bench->title, p->n_items, p->n_asked);
        cr_page_heading(page, "Panel");
        put_panel(p, page);
        put_chart(p, page);
        status = cr_page_write(page, f->result.report, err);
        cr_page_free(page);
    }
    if (status == CRITIC_OK)
        status = cr_twin_path(&path, f->result.report, err);
    if (status == CRITIC_OK)
        status = cr_json_append(&text, json, err);
    if (status == CRITIC_OK)
        status = cr_buf_append_c(&text, "\n", err);
    if (status == CRITIC_OK)
        status = cr_write_text(path.data, cr_buf_str(&text), err);
    json_decref(json);
    cr_buf_fini(&path);
    cr_buf_fini(&text);
    return status;
}

/* ---- judges ----------------------------------------------------------------------------------------- */

static void on_item(void *user, size_t done, size_t total) {
    struct panel_flags *f = user;
    cr_progress_update(&f->progress, done, total);
}

/* Judges over the same source: both orders, one, another template, samples. */
static enum critic_status open_panel(const struct panel_flags *f,
                                     const struct cr_eval_judges *from,
                                     struct cr_panel_judges *out, bool pairs,
                                     critic_error *err) {
    struct cr_judge_opts o = f->judge.opts;
    size_t n_samples = o.n_samples;
    double temperature = o.temperature;
    memset(out, 0, sizeof *out);
    o.n_samples = 1;
    o.temperature = 0;
    o.both_orders = false;
    CR_TRY(cr_eval_judges_again(&out->one, from, &o, err));
    o.both_orders = true;
    if (pairs)
        CR_TRY(cr_eval_judges_again(&out->both, from, &o, err));
    o.both_orders = false;
    if (f->other_template) {
        o.template_name = f->other_template;
        CR_TRY(cr_eval_judges_again(&out->other, from, &o, err));
        o.template_name = f->judge.opts.template_name;
    }
    o.n_samples = n_samples;
    o.temperature = temperature;
    o.verdict_only = o.probabilities = false;
    return n_samples > 1 ? cr_eval_judges_again(&out->samples, from, &o, err) : CRITIC_OK;
}

static enum critic_status show(const struct panel_flags *f, const struct cr_panel *p,
                               const struct cr_exam_set *set, const char *judge,
                               critic_error *err) {
    if (f->common.json)
        CR_TRY(cr_eval_print_json(panel_json(p, set, judge), err));
    else
        print_panel(p);
    return f->result.report ? write_report(f, p, set, judge, err) : CRITIC_OK;
}

static const char *judge_name(const struct panel_flags *f,
                              const struct cr_eval_judges *judges) {
    return judges->rater     ? cr_rater_voice(judges->rater)->model
           : f->common.model ? f->common.model
                             : "the default model";
}

static enum critic_status run_panel(struct panel_flags *f, const struct cr_exam *exam,
                                    struct cr_faults *faults, int *exit_status,
                                    critic_error *err) {
    struct cr_exam_set set = {0};
    struct cr_eval_judges judges = {0};
    struct cr_panel panel;
    struct cr_panel_opts o = {.self = f->self, .seed = f->judge.opts.seed};
    enum critic_status status;
    size_t n_samples = f->judge.opts.n_samples;
    CR_TRY_GOTO(cr_exam_load(&set, exam, &f->load, faults, err));
    if (n_samples > 1 && !(f->judge.opts.temperature > 0))
        f->judge.opts.temperature = 0.7;
    CR_TRY_GOTO(cr_eval_judges_open(&judges, &f->judge, NULL, err));
    CR_TRY_GOTO(open_panel(f, &judges, &o.judges, exam->mode == CR_MODE_PAIRWISE, err));
    o.scale = f->judge.opts.has_scale ? &f->judge.opts.scale : NULL;
    cr_boot_options_default(&o.boot);
    o.boot.n_draws = f->result.n_draws;
    o.boot.seed = f->judge.opts.seed;
    o.cancel = cr_cancelled;
    o.on_item = on_item;
    o.user = f;
    CR_TRY_GOTO(cr_panel_run(&panel, &set, &o, err));
    cr_progress_clear(&f->progress);
    CR_TRY_GOTO(show(f, &panel, &set, judge_name(f, &judges), err));
    if (panel.n_failed > 0)
        *exit_status = CR_EXIT_FAILED;
fail:
    cr_judge_free(o.judges.both);
    cr_judge_free(o.judges.one);
    cr_judge_free(o.judges.other);
    cr_judge_free(o.judges.samples);
    cr_eval_judges_close(&judges);
    cr_exam_set_fini(&set);
    return status;
}

static int run_parsed(struct panel_flags *f, const char *name) {
    struct cr_faults faults = {0};
    critic_error err = {0};
    int exit_status = CR_EXIT_DONE;
    const struct cr_exam *exam = cr_exam_find(name);
    enum critic_status status = CRITIC_OK;
    cr_progress_begin(&f->progress, "asking", "items", f->common.quiet);
    f->common.progress = &f->progress;
    if (!exam)
        status = cr_fail(&err, CRITIC_BAD_ARGUMENT,
                         "no benchmark is called '%.60s'; 'critic eval list' names them",
                         name);
    else if (f->judge.verdicts)
        status =
            cr_fail(&err, CRITIC_BAD_ARGUMENT,
                    "the panel asks about changed items, which a file of verdicts does "
                    "not have; expected --model, --endpoint or --baseline");
    if (status == CRITIC_OK) {
        f->judge.opts.mode = exam->mode;
        if (!f->judge.opts.template_name)
            f->judge.opts.template_name = exam->template_name;
        f->load.seed = f->judge.opts.seed;
        status = run_panel(f, exam, &faults, &exit_status, &err);
    }
    cr_progress_clear(&f->progress);
    cr_eval_print_faults(&faults);
    if (cr_faults_total(&faults) > 0)
        exit_status = CR_EXIT_FAILED;
    cr_faults_fini(&faults);
    return status == CRITIC_OK ? exit_status : cr_report(&err);
}

int cr_eval_panel(int n_args, const char *const *args) {
    struct panel_flags f = {0};
    cr_common_init(&f.common);
    cr_judge_flags_init(&f.judge, &f.common);
    f.result.n_draws = 2000;
    const struct cr_flag flags[] = {
        {"what is judged", 0, CR_FLAG_TITLE, 0, 0, 0, 0, 0},
        {"data", 'd', CR_FLAG_STR, &f.load.data, "FOLDER",
         "where the benchmark's published files lie, or the file itself", 0, 0},
        {"answers", 0, CR_FLAG_STR, &f.load.answers, "FILE", "the candidate's answers", 0,
         0},
        {"candidate", 0, CR_FLAG_STR, &f.load.candidate, "COLUMN",
         "the column of the file that holds them", 0, 0},
        {"limit", 0, CR_FLAG_SIZE, &f.load.limit, "N", "the first N items", 1, 1e9},
        {"sample", 0, CR_FLAG_SIZE, &f.load.sample, "N",
         "N items drawn by --seed, every group in its share", 1, 1e9},
        {"self", 0, CR_FLAG_STR, &f.self, "NAME",
         "the judge's own name among the answers' models, for self-preference", 0, 0},
        {"other-template", 0, CR_FLAG_STR, &f.other_template, "NAME",
         "a second wording, for prompt sensitivity", 0, 0},
        CR_JUDGE_SOURCE_FLAGS(f.judge),
        CR_JUDGE_HOW_FLAGS(f.judge),
        CR_RESULT_FLAGS(f.result),
        CR_MACHINE_FLAGS(f.common),
        CR_PICTURE_FLAGS(f.common),
        CR_OUTPUT_FLAGS(f.common),
        CR_END_FLAGS};
    const struct cr_args_spec spec = {
        .command = "eval panel",
        .usage = "BENCH --data FOLDER [--model M | --endpoint URL | --baseline NAME]",
        .about =
            "The diseases that judges have: order, length, verbosity, formatting, "
            "injection, "
            "collapse,\npicture dependence, obedience, self-agreement, self-preference, "
            "calibration. Changes the items\nitself and asks about every version in one "
            "pass; each figure has an interval, a sentence and a colour.",
        .example =
            "critic eval panel mllm-judge-pair --data mllm --sample 200 --model "
            "llava-critic-7b \\\n    --samples 5 --other-template wildvision --report "
            "panel.html",
        .flags = flags,
        .min_positional = 1,
        .max_positional = 1};
    struct cr_args parsed;
    int status = cr_command_begin(&parsed, &spec, n_args, args);
    if (status >= 0)
        return status;
    status = run_parsed(&f, parsed.positional[0]);
    cr_args_fini(&parsed);
    return cr_finish(status);
}
