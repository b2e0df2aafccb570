/* critic eval score mmbench: multiple choice with circular evaluation. */
#include <stdio.h>
#include <string.h>

#include "cli/eval.h"
#include "eval/mmbench.h"
#include "eval/quiz_page.h"

static const char *const rules[CR_N_MMBENCH_RULES] = {"official", "vlmevalkit",
                                                      "likelihood"};
/* What counts: the same as official where no row holds a choice. */
static const enum cr_mmbench_rule counting = CR_MMBENCH_CHOICE;

static json_t *count_json(size_t n) {
    return json_integer((json_int_t)n);
}

static struct cr_stat hits(const struct cr_mmbench_group *g, size_t rule) {
    return cr_stat_of((double)g->n_hit[rule] / (double)g->n_questions);
}

static struct cr_stat of_rows(const struct cr_mmbench *m, size_t n) {
    return cr_stat_of((double)n / (double)m->n_rows);
}

static json_t *groups_json(const struct cr_mmbench *m, const char *kind, size_t rule) {
    json_t *out = json_object();
    for (size_t i = 0; i < m->n_groups; i++)
        if (strcmp(m->groups[i].kind, kind) == 0)
            json_object_set_new(out, m->groups[i].name,
                                cr_eval_json(hits(&m->groups[i], rule)));
    return out;
}

static json_t *report_json(const struct cr_mmbench *m) {
    json_t *out = json_object();
    json_t *by = json_object();
    for (size_t r = 0; r < CR_N_MMBENCH_RULES; r++) {
        json_t *one = json_object();
        json_object_set_new(one, "overall", cr_eval_json(hits(&m->groups[0], r)));
        json_object_set_new(one, "row_accuracy", cr_eval_json(of_rows(m, m->n_right[r])));
        json_object_set_new(one, "extract_fail_rate",
                            cr_eval_json(of_rows(m, m->n_unread[r])));
        json_object_set_new(by, rules[r], one);
    }
    json_object_set_new(out, "overall", cr_eval_json(hits(&m->groups[0], counting)));
    json_object_set_new(out, "questions", count_json(m->n_questions));
    json_object_set_new(out, "rows", count_json(m->n_rows));
    json_object_set_new(out, "row_accuracy",
                        cr_eval_json(of_rows(m, m->n_right[counting])));
    json_object_set_new(out, "extract_fail_rate",
                        cr_eval_json(of_rows(m, m->n_unread[CR_MMBENCH_OFFICIAL])));
    json_object_set_new(out, "chosen_by_likelihood", count_json(m->n_chosen));
    json_object_set_new(out, "category", groups_json(m, "category", counting));
    json_object_set_new(out, "l2-category", groups_json(m, "l2-category", counting));
    json_object_set_new(out, "split", groups_json(m, "split", counting));
    json_object_set_new(out, "differ", count_json(m->n_differ));
    json_object_set_new(out, "rules", by);
    json_object_set_new(
        out, "ci", cr_eval_json_interval(cr_mmbench_interval(&m->groups[0], counting)));
    return out;
}

static void print_report(const struct cr_mmbench *m) {
    for (size_t i = 0; i < m->n_groups; i++)
        printf("%-12s %-40s %7.4f  (%zu of %zu)\n", m->groups[i].kind, m->groups[i].name,
               hits(&m->groups[i], counting).value, m->groups[i].n_hit[counting],
               m->groups[i].n_questions);
    printf("\n%zu rows of %zu questions; no letter read from %zu rows, %zu of them "
           "chosen by "
           "likelihood; VLMEvalKit reads %zu rows otherwise\n",
           m->n_rows, m->n_questions, m->n_unread[CR_MMBENCH_OFFICIAL], m->n_chosen,
           m->n_differ);
}

static void fill(struct cr_page *page, const void *from) {
    cr_mmbench_page(page, from);
}

int cr_eval_show_mmbench(const struct cr_common *c, const char *predictions,
                         const char *report) {
    critic_error err = {0};
    struct cr_faults faults = {0};
    struct cr_mmbench m = {0};
    enum critic_status status = cr_eval_report_apart(predictions, report, &err);
    if (status == CRITIC_OK)
        status = cr_mmbench_score(&m, predictions, &faults, &err);
    if (status == CRITIC_OK && c->json)
        status = cr_print_json_exact(report_json(&m), &err);
    else if (status == CRITIC_OK)
        print_report(&m);
    if (status == CRITIC_OK && report)
        status = cr_eval_write_report(report, "MMBench", fill, &m, report_json(&m), &err);
    cr_mmbench_fini(&m);
    return cr_eval_end(status, &faults, &err);
}

int cr_eval_score_mmbench(int n_args, const char *const *args) {
    struct cr_common c;
    const char *path = NULL;
    const char *report = NULL;
    cr_common_init(&c);
    const struct cr_flag flags[] = {
        {"predictions", 0, CR_FLAG_STR, &path, "FILE",
         "TSV or JSON lines: index, A to E, answer, prediction, perhaps category, "
         "l2-category, split, choice",
         0, 0},
        CR_REPORT_FLAG(report),
        CR_OUTPUT_FLAGS(c),
        CR_END_FLAGS};
    const struct cr_args_spec spec = {
        .command = "eval score mmbench",
        .usage = "--predictions FILE [--json]",
        .about =
            "MMBench with circular evaluation: a question is a hit where every rotation "
            "is right.\nLetters are read by the benchmark's own matching; where it "
            "would ask a judge or\ncast a die, the row is wrong and counted as not "
            "read.",
        .example =
            "critic eval score mmbench --predictions model_MMBench_DEV_EN.tsv --json",
        .flags = flags};
    struct cr_args parsed;
    int status = cr_command_begin(&parsed, &spec, n_args, args);
    if (status >= 0)
        return status;
    status = path ? cr_eval_show_mmbench(&c, path, report)
                  : cr_eval_missing("--predictions FILE");
    return cr_command_end(&parsed, status);
}
