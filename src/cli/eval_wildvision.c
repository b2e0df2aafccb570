/* critic eval wildvision: the leaderboard of a folder of judgements. */
#include <stdio.h>

#include "cli/eval.h"
#include "eval/wildvision.h"

static json_t *interval_json(struct cr_interval ci) {
    return ci.why ? json_null() : json_pack("[f, f]", ci.low, ci.high);
}

static json_t *count_json(size_t n) {
    return json_integer((json_int_t)n);
}

static json_t *model_json(const struct cr_wildvision_model *m) {
    json_t *counts = json_object();
    json_object_set_new(counts, "much_better", count_json(m->much_better));
    json_object_set_new(counts, "better", count_json(m->better));
    json_object_set_new(counts, "tie", count_json(m->tie));
    json_object_set_new(counts, "worse", count_json(m->worse));
    json_object_set_new(counts, "much_worse", count_json(m->much_worse));
    json_t *out = json_object();
    json_object_set_new(out, "model", json_string(m->name));
    json_object_set_new(out, "score", cr_eval_json(m->score));
    json_object_set_new(out, "ci", interval_json(m->ci));
    json_object_set_new(out, "win_rate", cr_eval_json(m->win_rate));
    json_object_set_new(out, "reward", cr_eval_json(m->reward));
    json_object_set_new(out, "counts", counts);
    json_object_set_new(out, "unparsed", count_json(m->n_unparsed));
    json_object_set_new(out, "from_label", count_json(m->n_from_label));
    json_object_set_new(out, "label_differs", count_json(m->n_label_differs));
    json_object_set_new(out, "judged", count_json(m->n_items - m->n_unknown));
    json_object_set_new(out, "unknown", count_json(m->n_unknown));
    json_object_set_new(out, "missing", count_json(m->n_missing));
    json_object_set_new(out, "ci_questions", interval_json(m->ci_questions));
    json_object_set_new(out, "smoothed", json_boolean(m->smoothed));
    return out;
}

static json_t *report_json(const struct cr_wildvision *w,
                           const struct cr_wildvision_options *o) {
    json_t *out = json_object();
    json_t *models = json_array();
    for (size_t i = 0; i < w->n_models; i++)
        json_array_append_new(models, model_json(&w->models[i]));
    json_object_set_new(out, "models", models);
    json_object_set_new(out, "baseline", json_string(o->baseline));
    json_object_set_new(out, "questions", count_json(w->n_questions));
    json_object_set_new(out, "draws", count_json(o->n_draws));
    json_object_set_new(out, "seed", json_integer((json_int_t)o->seed));
    return out;
}

static void print_table(const struct cr_wildvision *w, const char *baseline) {
    printf("WildVision-Bench against %s\n\n", baseline);
    printf("%-34s %6s %14s %9s %7s  %s\n", "model", "score", "95 % CI", "win rate",
           "reward", "much better / better / tie / worse / much worse");
    for (size_t i = 0; i < w->n_models; i++) {
        const struct cr_wildvision_model *m = &w->models[i];
        char ci[32] = "-";
        if (!m->ci.why)
            snprintf(ci, sizeof ci, "%.1f to %.1f", m->ci.low, m->ci.high);
        printf("%-34s %6s %14s %8s%% %7s  %zu / %zu / %zu / %zu / %zu", m->name,
               cr_stat_ok(m->score) ? cr_eval_text(m->score, 2).text : "-", ci,
               cr_eval_text(m->win_rate, 1).text, cr_eval_text(m->reward, 1).text,
               m->much_better, m->better, m->tie, m->worse, m->much_worse);
        printf("  (%zu of %zu judged", m->n_items - m->n_unknown, w->n_questions);
        if (m->n_unknown)
            printf(", %zu that no other has", m->n_unknown);
        printf(m->n_unparsed ? ", %zu unparsed)\n" : ")\n", m->n_unparsed);
    }
}

static int run_parsed(const struct cr_common *c, const char *folder,
                      const struct cr_wildvision_options *o) {
    critic_error err = {0};
    struct cr_faults faults = {0};
    struct cr_wildvision w;
    enum critic_status status = cr_wildvision_run(&w, folder, o, &faults, &err);
    if (status == CRITIC_OK && c->json)
        status = cr_print_json_exact(report_json(&w, o), &err);
    else if (status == CRITIC_OK)
        print_table(&w, o->baseline);
    cr_wildvision_fini(&w);
    return cr_eval_end(status, &faults, &err);
}

int cr_eval_wildvision(int n_args, const char *const *args) {
    struct cr_common c;
    struct cr_wildvision_options o;
    const char *folder = NULL;
    cr_common_init(&c);
    cr_wildvision_options_default(&o);
    const struct cr_flag flags[] = {
        {"judgements", 0, CR_FLAG_STR, &folder, "DIR",
         "judgement files, each *.jsonl one candidate", 0, 0},
        {"baseline", 0, CR_FLAG_STR, &o.baseline, "MODEL",
         "the model that stood as Assistant A (default " CR_WILDVISION_BASELINE ")", 0,
         0},
        {"weight", 0, CR_FLAG_DOUBLE, &o.strong_weight, "X",
         "battles that a >> counts for (default 3)", 1, 100},
        {"draws", 0, CR_FLAG_SIZE, &o.n_draws, "N",
         "bootstrap draws of the intervals (default 10000)", 1, 1e7},
        {"seed", 0, CR_FLAG_U64, &o.seed, "N", "of the draws (default 42)", 0, 0},
        CR_OUTPUT_FLAGS(c),
        CR_END_FLAGS};
    const struct cr_args_spec spec = {
        .command = "eval wildvision",
        .usage = "--judgements DIR [--json]",
        .about =
            "The WildVision-Bench table of a folder of judgements, from the judge's raw "
            "text:\nscore (win rate predicted by Bradley-Terry on battles against the "
            "baseline, a >>\ncounts three, a tie half a win each), interval, win rate, "
            "reward, verdict counts.",
        .example = "critic eval wildvision --judgements judge_gpt-4o/ --json",
        .flags = flags};
    struct cr_args parsed;
    int status = cr_command_begin(&parsed, &spec, n_args, args);
    if (status >= 0)
        return status;
    status = folder ? run_parsed(&c, folder, &o) : cr_eval_missing("--judgements DIR");
    return cr_command_end(&parsed, status);
}
