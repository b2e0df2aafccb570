#include "cli/eval_panel.h"

#include <stdio.h>
#include <string.h>

#include "base/hash.h"
#include "cli/progress.h"
#include "cli/signals.h"

#define SAMPLE_TEMPERATURE 0.7 /* for self-agreement, where none is given */

/* Judges over the same source: both orders, one, another template, samples. */
static enum critic_status open_panel(const struct cr_judge_flags *judge,
                                     const struct cr_panel_flags *flags,
                                     const struct cr_eval_judges *from,
                                     struct cr_panel_judges *out, bool pairs,
                                     critic_error *err) {
    struct cr_judge_opts o = judge->opts;
    size_t n_samples = o.n_samples;
    double temperature =
        n_samples > 1 && !(o.temperature > 0) ? SAMPLE_TEMPERATURE : o.temperature;
    memset(out, 0, sizeof *out);
    o.n_samples = 1;
    o.temperature = 0;
    o.both_orders = false;
    CR_TRY(cr_eval_judges_again(&out->one, from, &o, err));
    o.both_orders = true;
    if (pairs)
        CR_TRY(cr_eval_judges_again(&out->both, from, &o, err));
    o.both_orders = false;
    if (flags->other_template) {
        o.template_name = flags->other_template;
        CR_TRY(cr_eval_judges_again(&out->other, from, &o, err));
        o.template_name = judge->opts.template_name;
    }
    o.n_samples = n_samples;
    o.temperature = temperature;
    o.verdict_only = o.probabilities = false;
    return n_samples > 1 ? cr_eval_judges_again(&out->samples, from, &o, err) : CRITIC_OK;
}

/* What the lines of an output must agree in: judges, prompts, sampling, items. */
static enum critic_status identify(const struct cr_panel_judges *judges,
                                   const struct cr_exam_set *set,
                                   const struct cr_judge_opts *o,
                                   const struct cr_scale *scale, char out[CR_HASH_HEX],
                                   critic_error *err) {
    static const critic_error no_fault = {.status = CRITIC_BAD_DATA};
    struct cr_judge *const all[] = {judges->one, judges->both, judges->other,
                                    judges->samples};
    struct cr_hash h;
    char text[256];
    cr_hash_init(&h, 0);
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        struct cr_verdict v;
        if (!all[i])
            continue;
        CR_TRY(cr_verdict_failed(all[i], (struct cr_str){"", 0}, &no_fault, &v, err));
        cr_hash_update(&h, v.model_hash, strlen(v.model_hash));
        cr_hash_update(&h, v.template_hash, strlen(v.template_hash));
        cr_hash_update(&h, &(unsigned char){(unsigned char)i}, 1); /* whose they are */
        cr_verdict_fini(&v);
    }
    int n =
        snprintf(text, sizeof text, " %zu %.17g %.17g %zu %d %d %llu %zu %.17g %.17g %s",
                 o->n_samples, o->temperature, o->top_p, o->max_new_tokens,
                 o->verdict_only, o->probabilities, (unsigned long long)o->seed, set->n,
                 scale ? scale->min : 0, scale ? scale->max : 0, set->hash);
    cr_hash_update(&h, text, (size_t)n);
    cr_hash_hex(&h, out);
    return CRITIC_OK;
}

static void on_item(void *user, size_t done, size_t total) {
    cr_progress_update(user, done, total);
}

enum critic_status cr_eval_ask_panel(struct cr_panel *out, const struct cr_exam_set *set,
                                     const struct cr_eval_judges *from,
                                     const struct cr_judge_flags *judge,
                                     const struct cr_panel_flags *flags, size_t n_draws,
                                     critic_error *err) {
    char identity[CR_HASH_HEX];
    bool pairs = set->bench->mode == CR_MODE_PAIRWISE;
    struct cr_panel_opts o = {.self = flags->self,
                              .seed = judge->opts.seed,
                              .scale = judge->opts.has_scale ? &judge->opts.scale : NULL,
                              .output = flags->output,
                              .identity = identity,
                              .resume = flags->resume,
                              .force = flags->force,
                              .cancel = cr_cancelled,
                              .on_item = on_item,
                              .user = judge->common->progress};
    if (from->is_verdicts)
        return cr_fail(
            err, CRITIC_BAD_ARGUMENT,
            "the panel asks about changed items, which a file of verdicts does "
            "not have; expected --model, --endpoint or --baseline");
    cr_boot_options_default(&o.boot);
    o.boot.n_draws = n_draws;
    o.boot.seed = judge->opts.seed;
    enum critic_status status = open_panel(judge, flags, from, &o.judges, pairs, err);
    if (status == CRITIC_OK)
        status = identify(&o.judges, set, &judge->opts, o.scale, identity, err);
    if (status == CRITIC_OK)
        status = cr_panel_run(out, set, &o, err);
    cr_judge_free(o.judges.both);
    cr_judge_free(o.judges.one);
    cr_judge_free(o.judges.other);
    cr_judge_free(o.judges.samples);
    return status;
}
