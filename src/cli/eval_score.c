/* critic eval score mme, pope: result files by the official rules. */
#include <stdio.h>

#include "cli/eval.h"
#include "eval/mme.h"
#include "eval/pope.h"
#include "eval/quiz_page.h"

static json_t *count_json(size_t n) {
    return json_integer((json_int_t)n);
}

/* ---- MME ------------------------------------------------------------------------------------ */

static const char *const mme_rules[CR_N_MME_RULES] = {"official", "lmms-eval", "robust"};

static json_t *task_json(const struct cr_mme_task *t) {
    const struct cr_mme_result *r = &t->by[CR_MME_OFFICIAL];
    json_t *out = json_object();
    json_object_set_new(out, "score", cr_eval_json(r->score));
    json_object_set_new(out, "acc", cr_eval_json(r->accuracy));
    json_object_set_new(out, "acc_plus", cr_eval_json(r->accuracy_plus));
    json_object_set_new(out, "questions", count_json(t->n_questions));
    json_object_set_new(out, "pictures", count_json(t->n_pictures));
    json_object_set_new(out, "other", count_json(r->n_other));
    json_object_set_new(out, "differ", count_json(t->n_differ));
    json_object_set_new(out, "ci", cr_eval_json_interval(t->score_95));
    return out;
}

static json_t *mme_json(const struct cr_mme *m) {
    json_t *out = json_object();
    json_t *tasks = json_object();
    json_t *rules = json_object();
    json_t *missing = json_array();
    for (size_t i = 0; i < CR_MME_TASKS; i++)
        if (m->tasks[i].is_there)
            json_object_set_new(tasks, cr_mme_tasks[i], task_json(&m->tasks[i]));
        else
            json_array_append_new(missing, json_string(cr_mme_tasks[i]));
    for (size_t r = 0; r < CR_N_MME_RULES; r++) {
        json_t *one = json_object();
        json_object_set_new(one, "perception", cr_eval_json(m->perception[r]));
        json_object_set_new(one, "cognition", cr_eval_json(m->cognition[r]));
        json_object_set_new(rules, mme_rules[r], one);
    }
    json_object_set_new(out, "perception", cr_eval_json(m->perception[CR_MME_OFFICIAL]));
    json_object_set_new(out, "cognition", cr_eval_json(m->cognition[CR_MME_OFFICIAL]));
    json_object_set_new(out, "tasks", tasks);
    json_object_set_new(out, "ci",
                        json_pack("{s:o, s:o}", "perception",
                                  cr_eval_json_interval(m->perception_95), "cognition",
                                  cr_eval_json_interval(m->cognition_95)));
    json_object_set_new(out, "missing", missing);
    json_object_set_new(out, "rules", rules);
    return out;
}

static void print_mme(const struct cr_mme *m) {
    printf("%-24s %8s %8s %8s %6s\n", "task", "score", "acc", "acc+", "other");
    for (size_t i = 0; i < CR_MME_TASKS; i++) {
        const struct cr_mme_result *r = &m->tasks[i].by[CR_MME_OFFICIAL];
        if (m->tasks[i].is_there)
            printf("%-24s %8.2f %8.4f %8.4f %6zu\n", cr_mme_tasks[i], r->score.value,
                   r->accuracy.value, r->accuracy_plus.value, r->n_other);
        else
            printf("%-24s missing\n", cr_mme_tasks[i]);
    }
    printf("\nperception %s, cognition %s (%zu of %d tasks)\n",
           cr_eval_text(m->perception[CR_MME_OFFICIAL], 2).text,
           cr_eval_text(m->cognition[CR_MME_OFFICIAL], 2).text,
           CR_MME_TASKS - m->n_missing, CR_MME_TASKS);
}

static void fill_mme(struct cr_page *page, const void *from) {
    cr_mme_page(page, from);
}

int cr_eval_show_mme(const struct cr_common *c, const char *predictions,
                     const char *report) {
    critic_error err = {0};
    struct cr_faults faults = {0};
    struct cr_mme m = {0};
    enum critic_status status = cr_eval_report_apart(predictions, report, &err);
    if (status == CRITIC_OK)
        status = cr_mme_score(&m, predictions, &faults, &err);
    if (status == CRITIC_OK && c->json)
        status = cr_print_json_exact(mme_json(&m), &err);
    else if (status == CRITIC_OK)
        print_mme(&m);
    if (status == CRITIC_OK && report)
        status = cr_eval_write_report(report, "MME", fill_mme, &m, mme_json(&m), &err);
    return cr_eval_end(status, &faults, &err);
}

int cr_eval_score_mme(int n_args, const char *const *args) {
    struct cr_common c;
    const char *predictions = NULL;
    const char *report = NULL;
    cr_common_init(&c);
    const struct cr_flag flags[] = {
        {"predictions", 0, CR_FLAG_STR, &predictions, "DIR",
         "official result files TASK.txt: picture, question, answer, prediction; or the "
         "file that critic eval run mme wrote",
         0, 0},
        CR_REPORT_FLAG(report),
        CR_OUTPUT_FLAGS(c),
        CR_END_FLAGS};
    const struct cr_args_spec spec = {
        .command = "eval score mme",
        .usage = "--predictions DIR [--json]",
        .about = "MME scores of result files by the rule of its own evaluation tool; "
                 "lmms-eval's and\ncritic's own reading stand beside it in the JSON.",
        .example = "critic eval score mme --predictions eval_tool/Your_Results --json",
        .flags = flags};
    struct cr_args parsed;
    int status = cr_command_begin(&parsed, &spec, n_args, args);
    if (status >= 0)
        return status;
    status = predictions ? cr_eval_show_mme(&c, predictions, report)
                         : cr_eval_missing("--predictions DIR");
    return cr_command_end(&parsed, status);
}

/* ---- POPE ----------------------------------------------------------------------------------- */

static const char *const pope_rules[CR_N_POPE_RULES] = {"official", "exact", "robust"};

static json_t *pope_result_json(const struct cr_pope_result *r) {
    json_t *out = json_object();
    json_object_set_new(out, "accuracy", cr_eval_json(r->accuracy));
    json_object_set_new(out, "precision", cr_eval_json(r->precision));
    json_object_set_new(out, "recall", cr_eval_json(r->recall));
    json_object_set_new(out, "f1", cr_eval_json(r->f1));
    json_object_set_new(out, "yes_ratio", cr_eval_json(r->yes_ratio));
    if (!r->accuracy_95.why && r->accuracy_95.high > 0)
        json_object_set_new(out, "ci",
                            json_pack("{s:o, s:o}", "accuracy",
                                      cr_eval_json_interval(r->accuracy_95), "f1",
                                      cr_eval_json_interval(r->f1_95)));
    json_object_set_new(out, "judged", count_json(r->n));
    json_object_set_new(out, "tp", count_json(r->true_yes));
    json_object_set_new(out, "fp", count_json(r->false_yes));
    json_object_set_new(out, "tn", count_json(r->true_no));
    json_object_set_new(out, "fn", count_json(r->false_no));
    json_object_set_new(out, "other", count_json(r->n_other));
    return out;
}

static json_t *pope_json(const struct cr_pope *p) {
    json_t *out = pope_result_json(&p->by[CR_POPE_OFFICIAL]);
    json_t *rules = json_object();
    json_t *splits = json_object();
    for (size_t r = 0; r < CR_N_POPE_RULES; r++)
        json_object_set_new(rules, pope_rules[r], pope_result_json(&p->by[r]));
    for (size_t i = 0; i < p->n_splits; i++)
        json_object_set_new(splits, p->splits[i].name,
                            pope_result_json(&p->splits[i].by[CR_POPE_OFFICIAL]));
    json_object_set_new(out, "questions", count_json(p->n_labels));
    json_object_set_new(out, "differ", count_json(p->n_differ));
    json_object_set_new(out, "paired_by", json_string(p->by_id ? "question_id" : "line"));
    json_object_set_new(out, "rules", rules);
    json_object_set_new(out, "splits", splits);
    return out;
}

static void print_pope_row(const char *name, const struct cr_pope_result *r) {
    printf("%-14s %9s %9s %9s %9s %9s  %zu\n", name, cr_eval_text(r->accuracy, 4).text,
           cr_eval_text(r->precision, 4).text, cr_eval_text(r->recall, 4).text,
           cr_eval_text(r->f1, 4).text, cr_eval_text(r->yes_ratio, 4).text, r->n);
}

static void print_pope(const struct cr_pope *p) {
    printf("%-14s %9s %9s %9s %9s %9s  %s\n", "", "accuracy", "precision", "recall", "F1",
           "yes ratio", "judged");
    for (size_t i = 0; i < p->n_splits; i++)
        print_pope_row(p->splits[i].name, &p->splits[i].by[CR_POPE_OFFICIAL]);
    print_pope_row("all", &p->by[CR_POPE_OFFICIAL]);
    printf(
        "\n%zu of %zu questions judged; POPE's rule and a plain reading differ on %zu\n",
        p->by[0].n, p->n_labels, p->n_differ);
}

static void fill_pope(struct cr_page *page, const void *from) {
    cr_pope_page(page, from);
}

int cr_eval_show_pope(const struct cr_common *c, const char *predictions,
                      const char *labels, const char *report) {
    critic_error err = {0};
    struct cr_faults faults = {0};
    struct cr_pope p = {0};
    enum critic_status status = cr_eval_report_apart(predictions, report, &err);
    if (status == CRITIC_OK && labels)
        status = cr_eval_report_apart(labels, report, &err);
    if (status == CRITIC_OK)
        status = cr_pope_score(&p, predictions, labels, &faults, &err);
    if (status == CRITIC_OK && c->json)
        status = cr_print_json_exact(pope_json(&p), &err);
    else if (status == CRITIC_OK)
        print_pope(&p);
    if (status == CRITIC_OK && report)
        status = cr_eval_write_report(report, "POPE", fill_pope, &p, pope_json(&p), &err);
    cr_pope_fini(&p);
    return cr_eval_end(status, &faults, &err);
}

int cr_eval_score_pope(int n_args, const char *const *args) {
    struct cr_common c;
    const char *predictions = NULL;
    const char *labels = NULL;
    const char *report = NULL;
    cr_common_init(&c);
    const struct cr_flag flags[] = {
        {"predictions", 0, CR_FLAG_STR, &predictions, "FILE",
         "JSON lines with 'answer' or 'text', perhaps question_id", 0, 0},
        {"labels", 0, CR_FLAG_STR, &labels, "FILE",
         "the benchmark's file: question_id, label, perhaps category; needed unless the "
         "predictions hold them",
         0, 0},
        CR_REPORT_FLAG(report),
        CR_OUTPUT_FLAGS(c),
        CR_END_FLAGS};
    const struct cr_args_spec spec = {
        .command = "eval score pope",
        .usage = "--predictions FILE [--labels FILE] [--json]",
        .about =
            "POPE scores by its own rule: no where the first sentence has the word No, "
            "no or not,\nelse yes. lmms-eval's exact match and critic's own reading "
            "stand beside it in the JSON.",
        .example = "critic eval score pope --predictions answers.jsonl \\\n"
                   "    --labels coco_pope_random.json --json",
        .flags = flags};
    struct cr_args parsed;
    int status = cr_command_begin(&parsed, &spec, n_args, args);
    if (status >= 0)
        return status;
    status = predictions ? cr_eval_show_pope(&c, predictions, labels, report)
                         : cr_eval_missing("--predictions FILE");
    return cr_command_end(&parsed, status);
}
