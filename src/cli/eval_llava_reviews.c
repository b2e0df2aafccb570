/* critic eval llava-reviews: scores and relative score of review files. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/eval.h"
#include "eval/reviews.h"

static const char *const rule_names[CR_N_REVIEW_RULES] = {
    [CR_REVIEW_RULE_OFFICIAL] = "official",
    [CR_REVIEW_RULE_LMMS] = "lmms-eval",
    [CR_REVIEW_RULE_ROBUST] = "robust"};
static const char *const source_names[] = {"unparsed", "official", "recorded"};

static size_t n_from(const struct cr_reviews *r, enum cr_review_source source) {
    size_t n = 0;
    for (size_t i = 0; i < r->n; i++)
        n += r->items[i].source == source;
    return n;
}

/* The text, read robustly, says another pair than the one that counts. */
static bool differs(const struct cr_review *r) {
    return r->source != CR_REVIEW_UNPARSED && r->has_robust &&
           (r->robust[0] != r->pair[0] || r->robust[1] != r->pair[1]);
}

static json_t *pair_json(const double pair[2]) {
    return json_pack("[f, f]", pair[0], pair[1]);
}

static json_t *item_json(const struct cr_review *r) {
    json_t *item = json_object();
    json_object_set_new(item, "id", r->id ? json_string(r->id) : json_null());
    json_object_set_new(item, "scores", r->source ? pair_json(r->pair) : json_null());
    json_object_set_new(item, "source", json_string(source_names[r->source]));
    if (r->has_recorded)
        json_object_set_new(item, "recorded", pair_json(r->recorded));
    if (differs(r))
        json_object_set_new(item, "text_says", pair_json(r->robust));
    return item;
}

static void put_relative(json_t *out, struct cr_relative s) {
    json_object_set_new(out, "n", json_integer((json_int_t)s.n));
    json_object_set_new(out, "scored", json_integer((json_int_t)s.n_scored));
    json_object_set_new(out, "mean_reference", cr_eval_json(s.reference));
    json_object_set_new(out, "mean_candidate", cr_eval_json(s.candidate));
    json_object_set_new(out, "relative_score", cr_eval_json(s.relative));
}

static json_t *categories_json(const struct cr_reviews *r) {
    json_t *out = json_object();
    for (size_t i = 0; i < r->n; i++) {
        const char *category = r->items[i].category;
        if (!category || json_object_get(out, category))
            continue;
        json_t *one = json_object();
        put_relative(one, cr_reviews_relative(r, CR_REVIEW_RULE_HEADLINE, category));
        json_object_set_new(out, category, one);
    }
    return out;
}

static json_t *file_json(const char *path, const struct cr_reviews *r) {
    json_t *out = json_object();
    json_t *scores = json_array();
    json_t *items = json_array();
    json_t *rules = json_object();
    size_t n_differ = 0;
    for (size_t i = 0; i < r->n; i++) {
        const struct cr_review *item = &r->items[i];
        n_differ += differs(item);
        json_array_append_new(items, item_json(item));
        json_array_append_new(scores, item->source ? pair_json(item->pair) : json_null());
    }
    for (int k = CR_REVIEW_RULE_OFFICIAL; k < CR_N_REVIEW_RULES; k++) {
        struct cr_relative s = cr_reviews_relative(r, (enum cr_review_rule)k, NULL);
        json_t *one = json_object();
        put_relative(one, s);
        json_object_set_new(rules, rule_names[k], one);
    }
    json_object_set_new(out, "file", json_string(path));
    put_relative(out, cr_reviews_relative(r, CR_REVIEW_RULE_HEADLINE, NULL));
    json_object_set_new(out, "parsed",
                        json_integer((json_int_t)(r->n - n_from(r, CR_REVIEW_UNPARSED))));
    json_object_set_new(out, "by_rule",
                        json_integer((json_int_t)n_from(r, CR_REVIEW_OFFICIAL)));
    json_object_set_new(out, "recorded",
                        json_integer((json_int_t)n_from(r, CR_REVIEW_RECORDED)));
    json_object_set_new(out, "unparsed",
                        json_integer((json_int_t)n_from(r, CR_REVIEW_UNPARSED)));
    json_object_set_new(out, "differ", json_integer((json_int_t)n_differ));
    json_object_set_new(out, "scores", scores);
    json_object_set_new(out, "rules", rules);
    json_object_set_new(out, "categories", categories_json(r));
    json_object_set_new(out, "items", items);
    return out;
}

static void print_file(const char *path, const struct cr_reviews *r) {
    struct cr_relative s = cr_reviews_relative(r, CR_REVIEW_RULE_HEADLINE, NULL);
    printf("%s\n  %zu of %zu reviews scored (%zu by LLaVA's rule, %zu as recorded), "
           "%zu unparsed\n",
           path, s.n_scored, s.n, n_from(r, CR_REVIEW_OFFICIAL),
           n_from(r, CR_REVIEW_RECORDED), n_from(r, CR_REVIEW_UNPARSED));
    printf("  reference %s, candidate %s, relative score %s\n",
           cr_eval_text(s.reference, 3).text, cr_eval_text(s.candidate, 3).text,
           cr_eval_text(s.relative, 1).text);
}

/* What the text says against the pair that counts is told, and is no fault of the file's. */
static void note_differences(const char *path, const struct cr_reviews *r) {
    for (size_t i = 0; i < r->n; i++)
        if (differs(&r->items[i]))
            fprintf(
                stderr,
                "critic: %s: review %s: counts as %g, %g (%s); the text says %g, %g\n",
                path, r->items[i].id ? r->items[i].id : "without id", r->items[i].pair[0],
                r->items[i].pair[1], source_names[r->items[i].source],
                r->items[i].robust[0], r->items[i].robust[1]);
}

/* Of all files together. */
struct totals {
    size_t n, n_scored;
    double reference, candidate; /* sums */
};

static void add_totals(struct totals *t, const struct cr_reviews *r) {
    struct cr_relative s = cr_reviews_relative(r, CR_REVIEW_RULE_HEADLINE, NULL);
    t->n += s.n;
    t->n_scored += s.n_scored;
    if (s.n_scored == 0)
        return;
    t->reference += s.reference.value * (double)s.n_scored;
    t->candidate += s.candidate.value * (double)s.n_scored;
}

static json_t *report_json(const struct totals *t, json_t *files) {
    struct cr_stat relative = t->reference > 0
                                  ? cr_stat_of(100 * t->candidate / t->reference)
                                  : cr_stat_undefined(cr_why_empty);
    return json_pack("{s:I, s:I, s:I, s:o, s:O}", "n", (json_int_t)t->n, "parsed",
                     (json_int_t)t->n_scored, "unparsed",
                     (json_int_t)(t->n - t->n_scored), "relative_score",
                     cr_eval_json(relative), "files", files);
}

static enum critic_status do_file(const struct cr_common *c, const char *path,
                                  json_t *files, struct totals *totals,
                                  struct cr_faults *faults, critic_error *err) {
    struct cr_reviews r;
    enum critic_status status = cr_reviews_read(&r, path, faults, err);
    if (status == CRITIC_OK) {
        add_totals(totals, &r);
        if (!c->quiet)
            note_differences(path, &r);
        if (c->json)
            json_array_append_new(files, file_json(path, &r));
        else
            print_file(path, &r);
    }
    cr_reviews_fini(&r);
    return status;
}

static int run_parsed(const struct cr_common *c, const struct cr_args *args) {
    critic_error err = {0};
    struct cr_faults faults = {0};
    struct totals totals = {0};
    json_t *files = json_array();
    enum critic_status status = CRITIC_OK;
    for (size_t i = 0; i < args->n_positional && status == CRITIC_OK; i++)
        status = do_file(c, args->positional[i], files, &totals, &faults, &err);
    if (status == CRITIC_OK && c->json)
        status = cr_print_json_exact(report_json(&totals, files), &err);
    json_decref(files);
    return cr_eval_end(status, &faults, &err);
}

int cr_eval_llava_reviews(int n_args, const char *const *args) {
    struct cr_common c;
    cr_common_init(&c);
    const struct cr_flag flags[] = {CR_OUTPUT_FLAGS(c), CR_END_FLAGS};
    const struct cr_args_spec spec = {
        .command = "eval llava-reviews",
        .usage = "FILE… [--json]",
        .about =
            "Scores and relative score, 100 x candidate / reference, of review files "
            "in the form\nof LLaVA-Bench: the judge's text, two scores on its first "
            "line. Where LLaVA's own\nrule reads no pair, the recorded one counts "
            "and is told apart; failures never count.",
        .example = "critic eval llava-reviews review_a.jsonl review_b.jsonl --json",
        .flags = flags,
        .min_positional = 1,
        .max_positional = 100000};
    struct cr_args parsed;
    int status = cr_command_begin(&parsed, &spec, n_args, args);
    if (status >= 0)
        return status;
    return cr_command_end(&parsed, run_parsed(&c, &parsed));
}
