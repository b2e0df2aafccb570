/* critic eval run: a benchmark, judged and scored. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "base/clock.h"
#include "base/file.h"
#include "cli/eval.h"
#include "cli/eval_judges.h"
#include "cli/eval_output.h"
#include "cli/eval_panel.h"
#include "cli/eval_quiz.h"
#include "cli/progress.h"
#include "cli/signals.h"
#include "eval/run.h"

struct run_flags {
    struct cr_common common;
    struct cr_judge_flags judge;
    struct cr_result_flags result;
    struct cr_exam_load load;
    struct cr_run_opts run;
    const char *shard, *name;
    struct cr_panel_flags panel;        /* its output NULL: no panel */
    const char *pictures, *instruction; /* of benchmarks with plain answers */
    struct cr_progress progress;
    const struct cr_eval_judges *judges;
    char what[180];
};

/* ---- labels for the oracle --------------------------------------------------------------------- */

struct truth_room {
    const struct cr_exam_set *set;
    size_t order[26];
};

static bool find_truth(void *user, const struct cr_item *item, struct cr_truth *out) {
    struct truth_room *room = user;
    const struct cr_exam_item *b =
        (const struct cr_exam_item *)((const char *)item -
                                      offsetof(struct cr_exam_item, item));
    static const enum cr_choice choices[] = {CR_CHOICE_FIRST, CR_CHOICE_SECOND,
                                             CR_CHOICE_TIE, CR_CHOICE_NONE};
    if (b < room->set->items || b >= room->set->items + room->set->n)
        return false;
    out->score = b->label_score;
    out->choice = choices[b->label_pick];
    out->order = room->order;
    for (size_t i = 0; b->label_order && b->label_order[i] && i < 26; i++)
        room->order[i] = (size_t)(b->label_order[i] - 'A');
    return b->label_order || out->choice != CR_CHOICE_NONE || out->score == out->score;
}

/* ---- running ------------------------------------------------------------------------------------- */

static enum critic_status parse_shard(struct run_flags *f, critic_error *err) {
    char *end = NULL;
    if (!f->shard)
        return CRITIC_OK;
    unsigned long i = strtoul(f->shard, &end, 10);
    unsigned long n = *end == '/' ? strtoul(end + 1, &end, 10) : 0;
    if (*end || i == 0 || i > n || n > 1000000)
        return cr_fail(err, CRITIC_BAD_ARGUMENT,
                       "--shard %.20s: expected I/N with I from 1 to N", f->shard);
    f->load.shard = i - 1;
    f->load.n_shards = n;
    return CRITIC_OK;
}

static void on_item(void *user, const struct cr_run_counts *n) {
    struct run_flags *f = user;
    struct cr_cost_text cost = cr_eval_cost(f->judges, &f->judge);
    if (cost.text[0]) {
        snprintf(f->what, sizeof f->what, "judging (%s)", cost.text);
        f->progress.what = f->what;
    }
    f->progress.first = n->n_there;
    cr_progress_update(&f->progress, n->n_there + n->n_ok + n->n_unparsed + n->n_error,
                       n->n_total);
}

static void print_work(const struct run_flags *f, const struct cr_run_counts *n,
                       double seconds) {
    size_t own = n->n_ok + n->n_unparsed + n->n_error;
    size_t tokens = n->usage.prompt_tokens + n->usage.completion_tokens;
    struct cr_cost_text cost = cr_eval_cost(f->judges, &f->judge);
    if (f->common.quiet)
        return;
    fprintf(
        stderr,
        "%zu items (%zu were there): %zu judged, %zu unparsed, %zu failed; %.1f items/s, "
        "%.0f tokens/s%s%s\n",
        n->n_total, n->n_there, n->n_ok, n->n_unparsed, n->n_error,
        (double)own / (seconds + 1e-9), (double)tokens / (seconds + 1e-9),
        cost.text[0] ? "; " : "", cost.text);
}

static enum critic_status note_verdicts(const struct run_flags *f,
                                        struct cr_faults *faults, critic_error *err) {
    if (!f->judges->is_verdicts)
        return CRITIC_OK;
    struct cr_verdict_counts n = cr_rater_verdict_counts(f->judges->rater);
    const char *path = f->judge.verdicts;
    for (size_t i = 0; i < n.n_bad; i++)
        CR_TRY(
            cr_faults_add(faults, path, "verdict", 0, err, "%s; left out", n.first_bad));
    if (f->judge.opts.n_samples == 1)
        for (size_t i = 0; i < n.n_doubled; i++)
            CR_TRY(cr_faults_add(faults, path, "doubled id", 0, err,
                                 "an id stands there twice; the first counts"));
    bool whole = f->load.limit == 0 && f->load.sample == 0 && f->load.n_shards == 0;
    for (size_t i = n.n_used; whole && i < n.n_ids; i++)
        CR_TRY(cr_faults_add(faults, path, "unknown id", 0, err,
                             "a verdict for an id that the benchmark does not have"));
    return CRITIC_OK;
}

/* The first fault of items, so that the reason is seen without opening a file. */
static void print_first_failure(const struct run_flags *f, const struct cr_judged *rows) {
    for (size_t i = 0; i < rows->n && !f->common.quiet; i++)
        if (rows->items[i].status == CR_ROW_ERROR) {
            fprintf(stderr, "critic: item %.80s: %s\n", rows->items[i].id,
                    rows->items[i].error ? rows->items[i].error : "failed");
            return;
        }
}

static enum critic_status show(struct run_flags *f, const struct cr_result *r,
                               critic_error *err) {
    if (f->common.json)
        CR_TRY(cr_print_json_exact(cr_result_json(r), err));
    else
        cr_result_print(r);
    return cr_result_files(&f->result, r, 1, err);
}

static enum critic_status score(struct run_flags *f, const struct cr_exam_set *set,
                                const struct cr_judged *rows,
                                const struct cr_panel *panel, struct cr_faults *faults,
                                int *exit_status, critic_error *err) {
    struct cr_metrics metrics;
    struct cr_result r = {.label = f->name ? f->name : rows->model,
                          .rows = rows,
                          .metrics = &metrics,
                          .set = set,
                          .faults = faults,
                          .panel = panel,
                          .orders = f->judge.opts.both_orders ? "both" : "one",
                          .n_samples = f->judge.opts.n_samples};
    cr_boot_options_default(&r.boot);
    r.boot.n_draws = f->result.n_draws;
    r.boot.seed = f->judge.opts.seed;
    enum critic_status status = cr_metrics_compute(&metrics, rows, &r.boot, err);
    if (status == CRITIC_OK)
        status = show(f, &r, err);
    if (metrics.n_judged < metrics.n_total || cr_faults_total(faults) > 0)
        *exit_status = CR_EXIT_FAILED;
    cr_metrics_fini(&metrics);
    return status;
}

static enum critic_status run_bench(struct run_flags *f, const struct cr_exam *bench,
                                    struct cr_faults *faults, int *exit_status,
                                    critic_error *err) {
    struct cr_exam_set set = {0};
    struct cr_judged rows = {0};
    struct cr_eval_judges judges = {0};
    struct cr_run_counts counts;
    struct cr_panel panel;
    struct truth_room room = {.set = &set};
    const struct cr_truths truths = {find_truth, &room};
    enum critic_status status;
    CR_TRY_GOTO(cr_exam_load(&set, bench, &f->load, faults, err));
    CR_TRY_GOTO(cr_eval_judges_open(&judges, &f->judge, &truths, err));
    CR_TRY_GOTO(cr_judged_init(&rows, bench, err));
    f->judges = &judges;
    f->run.n_parallel = judges.n;
    double start = cr_clock_seconds();
    CR_TRY_GOTO(cr_exam_run(&rows, &set, judges.judges, &f->run, &counts, err));
    cr_progress_clear(&f->progress);
    print_work(f, &counts, cr_clock_seconds() - start);
    print_first_failure(f, &rows);
    CR_TRY_GOTO(note_verdicts(f, faults, err));
    if (f->panel.output) {
        cr_progress_begin(&f->progress, "asking for the panel", "items", f->common.quiet);
        CR_TRY_GOTO(cr_eval_ask_panel(&panel, &set, &judges, &f->judge, &f->panel,
                                      f->result.n_draws, err));
        cr_progress_clear(&f->progress);
    }
    CR_TRY_GOTO(
        score(f, &set, &rows, f->panel.output ? &panel : NULL, faults, exit_status, err));
fail:
    if (status == CRITIC_CANCELLED && f->run.output)
        cr_fail(err, status, "interrupted; go on with --resume");
    cr_judged_fini(&rows);
    cr_eval_judges_close(&judges);
    cr_exam_set_fini(&set);
    return status;
}

/* What is judged must not be written over. */
static enum critic_status check_outputs(const struct run_flags *f, critic_error *err) {
    const char *const outputs[] = {f->run.output, f->panel.output};
    for (size_t i = 0; f->load.data && i < CR_COUNT(outputs); i++)
        if (outputs[i])
            CR_TRY(cr_eval_apart(f->load.data, outputs[i], err));
    return f->load.data ? cr_result_apart(&f->result, f->load.data, err) : CRITIC_OK;
}

/* POPE, MME, MMBench: no judge, a model that answers. */
static int run_quiz(struct run_flags *f, const struct cr_quiz *quiz) {
    critic_error err = {0};
    struct cr_quiz_flags q = {.common = &f->common,
                              .judge = &f->judge,
                              .result = &f->result,
                              .load = {.data = f->load.data,
                                       .pictures = f->pictures,
                                       .instruction = f->instruction,
                                       .limit = f->load.limit,
                                       .sample = f->load.sample,
                                       .seed = f->judge.opts.seed},
                              .output = f->run.output,
                              .resume = f->run.resume,
                              .force = f->run.force,
                              .progress = &f->progress};
    cr_progress_begin(&f->progress, "answering", "questions", f->common.quiet);
    f->common.progress = &f->progress;
    if (parse_shard(f, &err) != CRITIC_OK)
        return cr_report(&err);
    q.load.shard = f->load.shard;
    q.load.n_shards = f->load.n_shards;
    int rc = cr_eval_run_quiz(&q, quiz);
    cr_progress_clear(&f->progress);
    return rc;
}

static int run_parsed(struct run_flags *f, const char *name) {
    struct cr_faults faults = {0};
    critic_error err = {0};
    int exit_status = CR_EXIT_DONE;
    const struct cr_exam *bench = NULL;
    enum critic_status status = cr_eval_exam(&bench, name, &f->judge, &f->load, &err);
    cr_progress_begin(&f->progress, "judging", "items", f->common.quiet);
    f->common.progress = &f->progress;
    if (status == CRITIC_OK) {
        bool both = f->judge.orders == CR_ORDERS_BOTH ||
                    (f->judge.orders == CR_ORDERS_DEFAULT && bench->both_orders &&
                     !f->judge.verdicts);
        f->judge.opts.both_orders = both && bench->mode != CR_MODE_POINTWISE;
        status = parse_shard(f, &err);
    }
    if (status == CRITIC_OK)
        status = run_bench(f, bench, &faults, &exit_status, &err);
    cr_progress_clear(&f->progress);
    int rc = cr_eval_end(status, &faults, &err);
    return rc == CR_EXIT_DONE ? exit_status : rc;
}

int cr_eval_run(int n_args, const char *const *args) {
    struct run_flags f = {0};
    cr_common_init(&f.common);
    cr_judge_flags_init(&f.judge, &f.common);
    f.result.n_draws = 2000;
    size_t longest = f.judge.opts.max_new_tokens;
    f.judge.opts.max_new_tokens = 0; /* not given: judges and answers differ */
    const struct cr_flag flags[] = {
        {"what is judged", 0, CR_FLAG_TITLE, 0, 0, 0, 0, 0},
        CR_DATA_FLAGS(f.load),
        {"pictures", 0, CR_FLAG_STR, &f.pictures, "FOLDER",
         "pictures of pope, mme and mmbench that do not lie beside their file", 0, 0},
        {"instruction", 0, CR_FLAG_STR, &f.instruction, "TEXT",
         "what stands below each question of these (default: the benchmark's; empty: "
         "nothing)",
         0, 0},
        {"shard", 0, CR_FLAG_STR, &f.shard, "I/N",
         "part I of N; critic eval merge puts the parts' outputs together", 0, 0},
        CR_JUDGE_SOURCE_FLAGS(f.judge),
        CR_JUDGE_HOW_FLAGS(f.judge),
        {"output", 'o', CR_FLAG_STR, &f.run.output, "FILE",
         "verdicts as JSON lines, appended one by one", 0, 0},
        {"resume", 0, CR_FLAG_BOOL, &f.run.resume, NULL,
         "go on with an output that is there", 0, 0},
        {"force", 0, CR_FLAG_BOOL, &f.run.force, NULL, "empty an output that is there", 0,
         0},
        {"name", 0, CR_FLAG_STR, &f.name, "TEXT", "what tables call the judge", 0, 0},
        {"panel", 0, CR_FLAG_STR, &f.panel.output, "FILE",
         "look for the diseases of critic eval panel on the same items, too: into the "
         "report, and a line an item into FILE",
         0, 0},
        CR_PANEL_FLAGS(f.panel),
        CR_RESULT_FLAGS(f.result),
        CR_MACHINE_FLAGS(f.common),
        CR_PICTURE_FLAGS(f.common),
        CR_OUTPUT_FLAGS(f.common),
        CR_END_FLAGS};
    const struct cr_args_spec spec = {
        .command = "eval run",
        .usage = "BENCH --data FOLDER [--model M | --endpoint URL | --verdicts FILE | "
                 "--baseline NAME]",
        .about =
            "Judges a benchmark's items and scores the verdicts by the benchmark's own "
            "rule and by\nours, side by side, with intervals. critic eval list names the "
            "benchmarks and their files.",
        .example =
            "critic eval run vl-rewardbench --data vlrb --model llava-critic-7b \\\n"
            "    --output verdicts.jsonl --resume --report vlrb.html\n"
            "critic eval run mm-vet --data mmvet --answers mine.jsonl \\\n"
            "    --endpoint http://localhost:8000/v1 --endpoint-model judge --cache "
            "replies.db\n"
            "critic eval run pope --data POPE/output/coco --model llava-onevision-7b "
            "--output pope.jsonl",
        .flags = flags,
        .min_positional = 1,
        .max_positional = 1};
    struct cr_args parsed;
    int status = cr_command_begin(&parsed, &spec, n_args, args);
    if (status >= 0)
        return status;
    f.run.cancel = cr_cancelled;
    f.run.on_item = on_item;
    f.run.user = &f;
    const struct cr_quiz *quiz = cr_quiz_find(parsed.positional[0]);
    if (!quiz && f.judge.opts.max_new_tokens == 0)
        f.judge.opts.max_new_tokens = longest;
    f.panel.resume = f.run.resume;
    f.panel.force = f.run.force;
    critic_error err = {0};
    if (check_outputs(&f, &err) != CRITIC_OK)
        status = cr_report(&err);
    else
        status = quiz ? run_quiz(&f, quiz) : run_parsed(&f, parsed.positional[0]);
    return cr_command_end(&parsed, status);
}
