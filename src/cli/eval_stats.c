/* critic eval stats: every statistic of a judge beside a reference. */
#include <stdio.h>

#include "cli/eval.h"
#include "eval/pairs.h"

struct stats_flags {
    struct cr_common common;
    struct cr_pair_keys keys;
    struct cr_boot_options boot;
    int method;
};

static json_t *count_json(size_t n) {
    return json_integer((json_int_t)n);
}

static json_t *interval_json(struct cr_interval ci) {
    return ci.why ? json_null() : json_pack("[f, f]", ci.low, ci.high);
}

/* {"value", "ci", "how"}, or {"value": null, "why"}. */
static json_t *measured_json(struct cr_stat value, struct cr_interval ci,
                             const char *how) {
    json_t *out = json_object();
    json_object_set_new(out, "value", cr_eval_json(value));
    if (!cr_stat_ok(value))
        json_object_set_new(out, "why", json_string(value.why));
    json_object_set_new(out, "ci", interval_json(ci));
    if (!ci.why)
        json_object_set_new(out, "how", json_string(how));
    return out;
}

static json_t *boot_json(const struct cr_boot *b) {
    json_t *out = measured_json(b->estimate, b->interval, b->how);
    if (!b->interval.why)
        json_object_set_new(out, "p", json_real(b->p_value));
    return out;
}

static json_t *spread_json(const struct cr_spread *s) {
    json_t *out = json_object();
    json_object_set_new(out, "distinct", count_json(s->n_distinct));
    json_object_set_new(out, "mode", json_real(s->mode));
    json_object_set_new(out, "mode_share", cr_eval_json(s->mode_share));
    json_object_set_new(out, "entropy", cr_eval_json(s->entropy));
    json_object_set_new(out, "collapsed", json_boolean(s->collapsed));
    return out;
}

static void put_measured(json_t *out, const char *key, const struct cr_measured *m) {
    json_object_set_new(out, key, measured_json(m->value, m->interval, m->how));
}

static json_t *numbers_json(const struct cr_number_report *r, bool has_z) {
    json_t *out = json_object();
    put_measured(out, "pearson", &r->pearson);
    put_measured(out, "spearman", &r->spearman);
    put_measured(out, "kendall_tau_b", &r->tau_b);
    json_object_set_new(out, "kendall_tau_a", cr_eval_json(r->tau_a));
    json_object_set_new(out, "kendall_tau_c", cr_eval_json(r->tau_c));
    json_object_set_new(out, "concordance", cr_eval_json(r->concordance));
    json_object_set_new(out, "mean_error", cr_eval_json(r->mean_error));
    put_measured(out, "bias", &r->bias);
    json_object_set_new(out, "judge_scores", spread_json(&r->spread_x));
    json_object_set_new(out, "reference_scores", spread_json(&r->spread_y));
    if (!has_z)
        return out;
    json_t *against = json_object();
    json_object_set_new(against, "pearson_gain", boot_json(&r->pearson_gain));
    json_object_set_new(against, "error_gain", boot_json(&r->error_gain));
    json_object_set_new(against, "error_gain_permutation_p",
                        cr_eval_json(r->error_gain_p));
    json_object_set_new(against, "items_needed",
                        cr_eval_json(r->error_gain_power.n_needed));
    json_object_set_new(against, "items_more", cr_eval_json(r->error_gain_power.n_more));
    json_object_set_new(out, "against_z", against);
    return out;
}

static json_t *pick_scores_json(const struct cr_pick_scores *s) {
    json_t *out = json_object();
    json_object_set_new(out, "accuracy_with_tie", cr_eval_json(s->with_tie));
    json_object_set_new(out, "accuracy_no_tie_strict", cr_eval_json(s->no_tie_strict));
    json_object_set_new(out, "accuracy_no_tie_decisive",
                        cr_eval_json(s->no_tie_decisive));
    json_object_set_new(out, "decisive_rate", cr_eval_json(s->decisive_rate));
    json_object_set_new(out, "macro_accuracy", cr_eval_json(s->macro));
    json_object_set_new(out, "kappa", cr_eval_json(s->kappa));
    json_object_set_new(out, "tie_precision", cr_eval_json(s->tie_precision));
    json_object_set_new(out, "tie_recall", cr_eval_json(s->tie_recall));
    size_t n_unparsed = 0;
    for (size_t r = 0; r < CR_PICK_NONE; r++)
        n_unparsed += s->confusion[r][CR_PICK_NONE];
    json_object_set_new(out, "unparsed", count_json(n_unparsed));
    return out;
}

static json_t *picks_json(const struct cr_pick_report *r, bool has_z) {
    json_t *out = pick_scores_json(&r->x);
    json_object_set_new(out, "with_tie_ci", interval_json(r->with_tie.interval));
    json_object_set_new(out, "no_tie_strict_ci",
                        interval_json(r->no_tie_strict.interval));
    if (!has_z)
        return out;
    json_t *against = json_object();
    json_object_set_new(against, "z", pick_scores_json(&r->z));
    json_object_set_new(against, "accuracy_gain", boot_json(&r->gain));
    json_object_set_new(against, "only_x_right", count_json(r->only_x));
    json_object_set_new(against, "only_z_right", count_json(r->only_z));
    json_object_set_new(against, "mcnemar_p", cr_eval_json(r->mcnemar.p_value));
    json_object_set_new(against, "items_needed", cr_eval_json(r->power.n_needed));
    json_object_set_new(against, "items_more", cr_eval_json(r->power.n_more));
    json_object_set_new(out, "against_z", against);
    return out;
}

/* ---- text ----------------------------------------------------------------------------------- */

static void print_line(const char *name, struct cr_stat value, struct cr_interval ci,
                       const char *how) {
    printf("%-28s %s", name, cr_eval_text(value, 4).text);
    if (cr_stat_ok(value) && !ci.why)
        printf("  (%.4f to %.4f, %s)", ci.low, ci.high, how);
    printf("\n");
}

static void print_plain(const char *name, struct cr_stat value) {
    const struct cr_interval none = {0, 0, "none"};
    print_line(name, value, none, "");
}

static void print_power(struct cr_power p) {
    if (cr_stat_ok(p.n_more) && p.n_more.value > 0)
        printf(
            "%.0f more items (%.0f in all) would tell the two apart four times in five\n",
            p.n_more.value, p.n_needed.value);
    else if (cr_stat_ok(p.n_more))
        printf("the items are enough to tell a difference like this\n");
    else
        printf("no number of items can be named: %s\n", p.n_more.why);
}

static void print_numbers(const struct cr_number_report *r, bool has_z) {
    print_line("Pearson", r->pearson.value, r->pearson.interval, r->pearson.how);
    print_line("Spearman", r->spearman.value, r->spearman.interval, r->spearman.how);
    print_line("Kendall tau-b", r->tau_b.value, r->tau_b.interval, r->tau_b.how);
    print_plain("Kendall tau-c", r->tau_c);
    print_plain("concordance (Lin)", r->concordance);
    print_plain("mean absolute error", r->mean_error);
    print_line("mean bias", r->bias.value, r->bias.interval, r->bias.how);
    printf("%-28s %zu different, most often %g (%s of all)%s\n", "judge's scores",
           r->spread_x.n_distinct, r->spread_x.mode,
           cr_eval_text(r->spread_x.mode_share, 3).text,
           r->spread_x.collapsed ? " COLLAPSED" : "");
    if (!has_z)
        return;
    print_line("Pearson, x less z", r->pearson_gain.estimate, r->pearson_gain.interval,
               r->pearson_gain.how);
    print_line("error saved by x", r->error_gain.estimate, r->error_gain.interval,
               r->error_gain.how);
    print_plain("permutation p", r->error_gain_p);
    print_power(r->error_gain_power);
}

static void print_picks(const struct cr_pick_report *r, bool has_z) {
    print_line("accuracy with ties", r->x.with_tie, r->with_tie.interval,
               r->with_tie.how);
    print_line("without ties, strict", r->x.no_tie_strict, r->no_tie_strict.interval,
               r->no_tie_strict.how);
    print_plain("without ties, decisive", r->x.no_tie_decisive);
    print_plain("decisive rate", r->x.decisive_rate);
    print_plain("macro accuracy", r->x.macro);
    print_plain("Cohen's kappa", r->x.kappa);
    if (!has_z)
        return;
    print_line("accuracy, x less z", r->gain.estimate, r->gain.interval, r->gain.how);
    print_plain("McNemar p", r->mcnemar.p_value);
    print_power(r->power);
}

/* ---- the command ---------------------------------------------------------------------------- */

static enum critic_status report(const struct stats_flags *f, const struct cr_pairs *p,
                                 critic_error *err) {
    struct cr_number_report numbers;
    struct cr_pick_report picks;
    bool has_z = f->keys.z != NULL;
    if (p->are_picks)
        CR_TRY(cr_pairs_picks(&picks, p, &f->boot, err));
    else
        CR_TRY(cr_pairs_numbers(&numbers, p, &f->boot, err));
    if (!f->common.json) {
        printf("%zu of %zu rows used", p->n, p->n_rows);
        printf(p->cluster ? ", %zu clusters\n" : "\n", p->n_clusters);
        if (p->are_picks)
            print_picks(&picks, has_z);
        else
            print_numbers(&numbers, has_z);
        return CRITIC_OK;
    }
    json_t *out =
        p->are_picks ? picks_json(&picks, has_z) : numbers_json(&numbers, has_z);
    json_object_set_new(out, "n", count_json(p->n));
    json_object_set_new(out, "rows", count_json(p->n_rows));
    json_object_set_new(out, "clusters",
                        p->cluster ? count_json(p->n_clusters) : json_null());
    json_object_set_new(out, "draws", count_json(f->boot.n_draws));
    json_object_set_new(out, "level", json_real(f->boot.level));
    return cr_print_json_exact(out, err);
}

static int run_parsed(struct stats_flags *f, const char *path) {
    critic_error err = {0};
    struct cr_faults faults = {0};
    struct cr_pairs pairs;
    f->boot.method = f->method ? CR_BOOT_BCA : CR_BOOT_PERCENTILE;
    enum critic_status status = cr_pairs_read(&pairs, path, &f->keys, &faults, &err);
    if (status == CRITIC_OK)
        status = report(f, &pairs, &err);
    cr_pairs_fini(&pairs);
    return cr_eval_end(status, &faults, &err);
}

int cr_eval_stats(int n_args, const char *const *args) {
    struct stats_flags f = {.keys = {"judge", "reference", NULL, NULL}};
    cr_common_init(&f.common);
    cr_boot_options_default(&f.boot);
    const struct cr_flag flags[] = {
        {"x", 'x', CR_FLAG_STR, &f.keys.x, "COLUMN", "the judge's value (default judge)",
         0, 0},
        {"y", 'y', CR_FLAG_STR, &f.keys.y, "COLUMN",
         "the value it is held against (default reference)", 0, 0},
        {"z", 'z', CR_FLAG_STR, &f.keys.z, "COLUMN",
         "another judge's: paired differences, significance, items needed", 0, 0},
        {"cluster", 0, CR_FLAG_STR, &f.keys.cluster, "COLUMN",
         "rows that belong together (prompt, picture): drawn as one", 0, 0},
        {"draws", 0, CR_FLAG_SIZE, &f.boot.n_draws, "N", "bootstrap draws (default 2000)",
         1, 1e7},
        {"method", 0, CR_FLAG_CHOICE, &f.method, "percentile|bca",
         "kind of bootstrap interval (default percentile)", 0, 0},
        {"level", 0, CR_FLAG_DOUBLE, &f.boot.level, "X",
         "of the intervals (default 0.95)", 0.01, 0.9999},
        {"seed", 0, CR_FLAG_U64, &f.boot.seed, "N", "of the draws (default 1)", 0, 0},
        CR_OUTPUT_FLAGS(f.common),
        CR_END_FLAGS};
    const struct cr_args_spec spec = {
        .command = "eval stats",
        .usage = "FILE [--x COLUMN] [--y COLUMN] [--z COLUMN] [--json]",
        .about =
            "Agreement of a judge with a reference, with intervals, from a table: JSON "
            "lines, or TSV\nwith a header. Numbers give correlations and errors; first, "
            "second and tie (or A, B, C)\ngive accuracies.",
        .example =
            "critic eval stats scores.jsonl -x judge -y human --cluster question_id\n"
            "critic eval stats pairs.tsv -x critic -y human -z gpt4 --json",
        .flags = flags,
        .min_positional = 1,
        .max_positional = 1};
    struct cr_args parsed;
    int status = cr_command_begin(&parsed, &spec, n_args, args);
    if (status >= 0)
        return status;
    return cr_command_end(&parsed, run_parsed(&f, parsed.positional[0]));
}
