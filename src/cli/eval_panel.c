/* critic eval panel: the diseases that judges have. */
#include <math.h>
#include <stdio.h>

#include "cli/eval.h"
#include "cli/eval_output.h"
#include "cli/eval_panel.h"
#include "cli/progress.h"
#include "report/page.h"

struct panel_flags {
    struct cr_common common;
    struct cr_judge_flags judge;
    struct cr_result_flags result;
    struct cr_exam_load load;
    struct cr_panel_flags panel;
    struct cr_progress progress;
};

/* What is shown. */
struct outcome {
    const struct cr_panel *panel;
    const struct cr_exam_set *set;
    const char *judge;
};

static json_t *outcome_json(const struct outcome *o) {
    return json_pack("{s:s, s:s, s:s, s:I, s:I, s:I, s:o}", "bench", o->set->bench->name,
                     "judge", o->judge, "file_hash", o->set->hash, "items",
                     (json_int_t)o->panel->n_items, "asked",
                     (json_int_t)o->panel->n_asked, "failed",
                     (json_int_t)o->panel->n_failed, "panel", cr_panel_json(o->panel));
}

static void print_panel(const struct cr_panel *p) {
    printf("%zu items, %zu versions asked about, %zu without reply\n", p->n_items,
           p->n_asked, p->n_failed);
    for (size_t i = 0; i < p->n; i++) {
        const struct cr_panel_row *r = &p->rows[i];
        printf("%-12s %-40s ", cr_panel_colours[r->colour], r->name);
        if (!r->interval.why && isfinite(r->interval.low))
            printf("(%.2f to %.2f) ", r->interval.low, r->interval.high);
        printf("%s\n", r->sentence);
    }
}

static void fill_page(struct cr_page *page, const void *from) {
    const struct outcome *o = from;
    cr_page_subtitle(page, "%s on %s: %zu items, %zu versions asked about", o->judge,
                     o->set->bench->title, o->panel->n_items, o->panel->n_asked);
    cr_page_heading(page, "Panel");
    cr_panel_page(o->panel, page);
}

static enum critic_status show(const struct panel_flags *f, const struct outcome *o,
                               critic_error *err) {
    if (f->common.json)
        CR_TRY(cr_print_json_exact(outcome_json(o), err));
    else
        print_panel(o->panel);
    return f->result.report
               ? cr_eval_write_report(f->result.report, "What ails this judge", fill_page,
                                      o, outcome_json(o), err)
               : CRITIC_OK;
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
    enum critic_status status;
    if (f->load.data)
        CR_TRY(cr_result_apart(&f->result, f->load.data, err));
    if (f->load.data && f->panel.output)
        CR_TRY(cr_eval_apart(f->load.data, f->panel.output, err));
    CR_TRY_GOTO(cr_exam_load(&set, exam, &f->load, faults, err));
    if (f->judge.opts.n_samples > 1 && !(f->judge.opts.temperature > 0))
        f->judge.opts.temperature = 0.7;
    CR_TRY_GOTO(cr_eval_judges_open(&judges, &f->judge, NULL, err));
    CR_TRY_GOTO(cr_eval_ask_panel(&panel, &set, &judges, &f->judge, &f->panel,
                                  f->result.n_draws, err));
    cr_progress_clear(&f->progress);
    const struct outcome o = {&panel, &set, judge_name(f, &judges)};
    CR_TRY_GOTO(show(f, &o, err));
    if (panel.n_failed > 0)
        *exit_status = CR_EXIT_FAILED;
fail:
    if (status == CRITIC_CANCELLED && f->panel.output)
        cr_fail(err, status, "interrupted; go on with --resume");
    cr_eval_judges_close(&judges);
    cr_exam_set_fini(&set);
    return status;
}

static int run_parsed(struct panel_flags *f, const char *name) {
    struct cr_faults faults = {0};
    critic_error err = {0};
    int exit_status = CR_EXIT_DONE;
    const struct cr_exam *exam = NULL;
    cr_progress_begin(&f->progress, "asking", "items", f->common.quiet);
    f->common.progress = &f->progress;
    enum critic_status status = cr_eval_exam(&exam, name, &f->judge, &f->load, &err);
    if (status == CRITIC_OK && f->judge.verdicts)
        status =
            cr_fail(&err, CRITIC_BAD_ARGUMENT,
                    "the panel asks about changed items, which a file of verdicts does "
                    "not have; expected --model, --endpoint or --baseline");
    if (status == CRITIC_OK)
        status = run_panel(f, exam, &faults, &exit_status, &err);
    cr_progress_clear(&f->progress);
    int rc = cr_eval_end(status, &faults, &err);
    return rc == CR_EXIT_DONE ? exit_status : rc;
}

int cr_eval_panel(int n_args, const char *const *args) {
    struct panel_flags f = {0};
    cr_common_init(&f.common);
    cr_judge_flags_init(&f.judge, &f.common);
    f.result.n_draws = 2000;
    const struct cr_flag flags[] = {{"what is judged", 0, CR_FLAG_TITLE, 0, 0, 0, 0, 0},
                                    CR_DATA_FLAGS(f.load),
                                    CR_PANEL_FLAGS(f.panel),
                                    CR_JUDGE_SOURCE_FLAGS(f.judge),
                                    CR_JUDGE_HOW_FLAGS(f.judge),
                                    {"output", 'o', CR_FLAG_STR, &f.panel.output, "FILE",
                                     "a line an item, appended one by one", 0, 0},
                                    {"resume", 0, CR_FLAG_BOOL, &f.panel.resume, NULL,
                                     "go on with an output that is there", 0, 0},
                                    {"force", 0, CR_FLAG_BOOL, &f.panel.force, NULL,
                                     "empty an output that is there", 0, 0},
                                    {"where results go", 0, CR_FLAG_TITLE, 0, 0, 0, 0, 0},
                                    CR_REPORT_FLAG(f.result.report),
                                    CR_DRAWS_FLAG(f.result.n_draws),
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
    return cr_command_end(&parsed, run_parsed(&f, parsed.positional[0]));
}
