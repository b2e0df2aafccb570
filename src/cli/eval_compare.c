/* critic eval compare: judges on the same items. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/dir.h"
#include "cli/eval.h"
#include "cli/eval_output.h"
#include "eval/run.h"
#include "io/json.h"

#define MAX_JUDGES 32

struct compare_flags {
    struct cr_common common;
    struct cr_result_flags result;
    struct cr_exam_load load;
    uint64_t seed;
};

struct judges {
    struct cr_judged rows[MAX_JUDGES];
    struct cr_metrics metrics[MAX_JUDGES];
    struct cr_result results[MAX_JUDGES];
    size_t n;
};

static const char *orders_of(const struct cr_judged *rows) {
    for (size_t i = 0; i < rows->n; i++)
        if (rows->items[i].has_consistent)
            return "both";
    return "one";
}

static enum critic_status open_all(struct judges *j, const struct compare_flags *f,
                                   const struct cr_args *args, struct cr_faults *faults,
                                   critic_error *err) {
    for (size_t i = 0; i < args->n_positional; i++) {
        struct cr_result *r = &j->results[i];
        j->n++;
        CR_TRY(cr_result_apart(&f->result, args->positional[i], err));
        CR_TRY(cr_judged_read(&j->rows[i], args->positional[i], faults, err));
        *r = (struct cr_result){.label = cr_path_base(args->positional[i]),
                                .rows = &j->rows[i],
                                .metrics = &j->metrics[i],
                                .orders = orders_of(&j->rows[i]),
                                .n_samples = 1};
        cr_boot_options_default(&r->boot);
        r->boot.n_draws = f->result.n_draws;
        r->boot.seed = f->seed;
        CR_TRY(cr_metrics_compute(&j->metrics[i], &j->rows[i], &r->boot, err));
    }
    return CRITIC_OK;
}

static json_t *stat(struct cr_stat s) {
    return cr_eval_json(s);
}

static json_t *pair_json(const struct judges *j, const struct cr_comparison *c) {
    return json_pack(
        "{s:s, s:s, s:I, s:o, s:o, s:o, s:o, s:s, s:o, s:o}", "a", j->results[c->a].label,
        "b", j->results[c->b].label, "n", (json_int_t)c->n, "difference",
        stat(c->difference), "ci",
        c->interval.why ? json_null()
                        : json_pack("[f, f]", c->interval.low, c->interval.high),
        "p", stat(c->p_value), "p_holm", cr_json_number(c->adjusted), "test", c->test,
        "agreement", stat(c->agreement), "items_more", stat(c->n_more));
}

static void print_pair(const struct judges *j, const struct cr_comparison *c) {
    printf("%s against %s: difference %s", j->results[c->a].label, j->results[c->b].label,
           cr_eval_text(c->difference, 4).text);
    if (!c->interval.why)
        printf(" (%.4f to %.4f)", c->interval.low, c->interval.high);
    printf(", n %zu, p %s (%s), p adjusted %.4f, same verdict %s", c->n,
           cr_eval_text(c->p_value, 4).text, c->test, c->adjusted,
           cr_eval_text(c->agreement, 3).text);
    if (c->n_more.why == NULL && c->n_more.value > 0)
        printf(", %.0f items more would tell", c->n_more.value);
    putchar('\n');
}

static enum critic_status show(const struct compare_flags *f, struct judges *j,
                               critic_error *err) {
    const struct cr_judged *rows[MAX_JUDGES];
    size_t m = j->n * (j->n - 1) / 2;
    struct cr_comparison *pairs = calloc(m, sizeof *pairs);
    json_t *list = json_array(), *judges = json_array();
    for (size_t i = 0; i < j->n; i++)
        rows[i] = &j->rows[i];
    enum critic_status status =
        pairs ? cr_compare(pairs, rows, j->n, &j->results[0].boot, err)
              : cr_fail(err, CRITIC_NO_MEMORY, "no memory for a comparison");
    for (size_t i = 0; i < j->n && status == CRITIC_OK; i++)
        if (f->common.json)
            json_array_append_new(judges, cr_result_json(&j->results[i]));
        else
            cr_result_print(&j->results[i]);
    for (size_t i = 0; i < m && status == CRITIC_OK; i++)
        if (f->common.json)
            json_array_append_new(list, pair_json(j, &pairs[i]));
        else
            print_pair(j, &pairs[i]);
    if (status == CRITIC_OK && f->common.json)
        status = cr_print_json_exact(
            json_pack("{s:O, s:O}", "judges", judges, "comparisons", list), err);
    json_decref(list);
    json_decref(judges);
    free(pairs);
    return status == CRITIC_OK ? cr_result_files(&f->result, j->results, j->n, err)
                               : status;
}

static int run_compare(struct compare_flags *f, const struct cr_args *args) {
    struct judges *j = calloc(1, sizeof *j);
    struct cr_exam_set set = {0};
    struct cr_faults faults = {0};
    critic_error err = {0};
    enum critic_status status =
        j ? open_all(j, f, args, &faults, &err)
          : cr_fail(&err, CRITIC_NO_MEMORY, "no memory for a comparison");
    if (status == CRITIC_OK && f->load.data)
        status = cr_exam_load(&set, j->rows[0].bench, &f->load, &faults, &err);
    for (size_t i = 0; status == CRITIC_OK && f->load.data && i < j->n; i++)
        j->results[i].set = &set;
    if (status == CRITIC_OK)
        status = show(f, j, &err);
    for (size_t i = 0; j && i < j->n; i++) {
        cr_metrics_fini(&j->metrics[i]);
        cr_judged_fini(&j->rows[i]);
    }
    free(j);
    cr_exam_set_fini(&set);
    return cr_eval_end(status, &faults, &err);
}

int cr_eval_compare(int n_args, const char *const *args) {
    struct compare_flags f = {0};
    cr_common_init(&f.common);
    f.result.n_draws = 2000;
    const struct cr_flag flags[] = {
        {"data", 'd', CR_FLAG_STR, &f.load.data, "FOLDER",
         "the benchmark's files, for pictures and answers in the report", 0, 0},
        {"answers", 0, CR_FLAG_STR, &f.load.answers, "FILE", "the candidate's answers", 0,
         0},
        {"candidate", 0, CR_FLAG_STR, &f.load.candidate, "COLUMN",
         "the column of the file that holds them", 0, 0},
        {"seed", 0, CR_FLAG_U64, &f.seed, "N", "of the intervals (default 0)", 0, 0},
        CR_RESULT_FLAGS(f.result),
        CR_OUTPUT_FLAGS(f.common),
        CR_END_FLAGS};
    const struct cr_args_spec spec = {
        .command = "eval compare",
        .usage = "VERDICTS VERDICTS… [--data FOLDER] [--report OUT.html]",
        .about =
            "Judges side by side, from the outputs of critic eval run on one benchmark: "
            "metrics, paired\ndifferences with intervals and adjusted p, agreement, and "
            "how "
            "many items more would tell\ntwo of them apart.",
        .example = "critic eval compare mine.jsonl theirs.jsonl --report compare.html",
        .flags = flags,
        .min_positional = 2,
        .max_positional = MAX_JUDGES};
    struct cr_args parsed;
    int status = cr_command_begin(&parsed, &spec, n_args, args);
    if (status >= 0)
        return status;
    return cr_command_end(&parsed, run_compare(&f, &parsed));
}
