#include "judge/judge.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "api/api.h"

#define MAX_JSON ((size_t)1 << 30)

struct critic_verdict {
    struct cr_verdict verdict;
    critic_option *options;
    struct cr_buf json;
};

void critic_judge_options_default(critic_judge_options *options) {
    struct cr_judge_opts o;
    cr_judge_opts_default(&o);
    *options = (critic_judge_options){.n_samples = o.n_samples,
                                      .temperature = o.temperature,
                                      .top_p = o.top_p,
                                      .top_k = o.top_k,
                                      .seed = o.seed,
                                      .max_new_tokens = o.max_new_tokens};
}

static enum critic_status fill_options(struct cr_judge_opts *to,
                                       const critic_judge_options *from,
                                       critic_error *err) {
    static const enum cr_mode modes[] = {[CRITIC_MODE_AUTO] = CR_MODE_AUTO,
                                         [CRITIC_MODE_POINTWISE] = CR_MODE_POINTWISE,
                                         [CRITIC_MODE_PAIRWISE] = CR_MODE_PAIRWISE,
                                         [CRITIC_MODE_RANKING] = CR_MODE_RANKING};
    cr_judge_opts_default(to);
    if ((unsigned)from->mode > CRITIC_MODE_RANKING)
        return cr_fail(err, CRITIC_BAD_ARGUMENT, "mode is no value of its enumeration");
    to->mode = modes[from->mode];
    to->template_name = from->template_name;
    to->verdict_only = from->verdict_only;
    to->probabilities = from->probabilities;
    to->both_orders = from->both_orders;
    to->n_samples = from->n_samples;
    to->temperature = from->temperature;
    to->top_p = from->top_p;
    to->top_k = from->top_k;
    to->seed = from->seed;
    to->max_new_tokens = from->max_new_tokens;
    to->system = cr_api_str(from->system);
    to->has_scale = from->scale != NULL;
    return from->scale ? cr_scale_parse(from->scale, &to->scale, err) : CRITIC_OK;
}

/* What accessors return beyond the verdict itself, made once. */
static enum critic_status prepare(critic_verdict *v, critic_error *err) {
    const struct cr_opinion *o = &v->verdict.opinion;
    CR_TRY(cr_verdict_to_json(&v->verdict, &v->json, err));
    v->options = calloc(o->n_options + 1, sizeof *v->options);
    if (!v->options)
        return cr_fail(err, CRITIC_NO_MEMORY, "out of memory for a verdict");
    for (size_t i = 0; i < o->n_options; i++)
        v->options[i] = (critic_option){o->options[i].label, o->options[i].probability,
                                        o->options[i].score};
    return CRITIC_OK;
}

static enum critic_status judge(critic_engine *engine, const struct cr_item *item,
                                const critic_judge_options *options, critic_verdict *v,
                                critic_error *err) {
    struct cr_judge_opts opts;
    struct cr_judge *judge;
    CR_TRY(fill_options(&opts, options, err));
    CR_TRY(cr_judge_new(&judge, engine->engine, &opts, err));
    enum critic_status status = cr_judge_item(judge, item, &v->verdict, err);
    if (status == CRITIC_OK)
        status = prepare(v, err);
    cr_judge_free(judge);
    return status;
}

enum critic_status critic_judge(critic_engine *engine, const critic_item *item,
                                const critic_judge_options *options, critic_verdict **out,
                                critic_error *err) {
    critic_judge_options defaults;
    *out = NULL;
    if (!options) {
        critic_judge_options_default(&defaults);
        options = &defaults;
    }
    critic_verdict *v = calloc(1, sizeof *v);
    struct cr_image *images = cr_api_images(item->images, item->n_images);
    struct cr_str *answers = cr_api_strs(item->answers, item->n_answers);
    struct cr_str *criteria = cr_api_strs(item->criteria, item->n_criteria);
    const struct cr_item inner = {.images = images,
                                  .n_images = item->n_images,
                                  .question = cr_api_str(item->question),
                                  .answers = answers,
                                  .n_answers = item->n_answers,
                                  .reference = cr_api_str(item->reference),
                                  .context = cr_api_str(item->context),
                                  .criteria = criteria,
                                  .n_criteria = item->n_criteria};
    if (v)
        cr_buf_init(&v->json, MAX_JSON);
    enum critic_status status =
        v && images && answers && criteria
            ? judge(engine, &inner, options, v, err)
            : cr_fail(err, CRITIC_NO_MEMORY, "out of memory for a verdict");
    free(images);
    free(answers);
    free(criteria);
    if (status != CRITIC_OK)
        critic_verdict_free(v);
    else
        *out = v;
    return cr_api_end_call(engine, status);
}

void critic_verdict_free(critic_verdict *v) {
    if (!v)
        return;
    cr_verdict_fini(&v->verdict);
    cr_buf_fini(&v->json);
    free(v->options);
    free(v);
}

bool critic_verdict_is_parsed(const critic_verdict *v) {
    return v->verdict.opinion.status == CR_VERDICT_OK;
}

const char *critic_verdict_fault(const critic_verdict *v) {
    return v->verdict.opinion.why;
}

enum critic_mode critic_verdict_mode(const critic_verdict *v) {
    static const enum critic_mode modes[] = {[CR_MODE_AUTO] = CRITIC_MODE_AUTO,
                                             [CR_MODE_POINTWISE] = CRITIC_MODE_POINTWISE,
                                             [CR_MODE_PAIRWISE] = CRITIC_MODE_PAIRWISE,
                                             [CR_MODE_RANKING] = CRITIC_MODE_RANKING};
    return modes[v->verdict.opinion.mode];
}

double critic_verdict_score(const critic_verdict *v) {
    return v->verdict.opinion.score;
}

double critic_verdict_expected_score(const critic_verdict *v) {
    return v->verdict.opinion.has_expected ? v->verdict.opinion.expected : (double)NAN;
}

enum critic_choice critic_verdict_choice(const critic_verdict *v) {
    static const enum critic_choice choices[] = {[CR_CHOICE_NONE] = CRITIC_CHOICE_NONE,
                                                 [CR_CHOICE_FIRST] = CRITIC_CHOICE_FIRST,
                                                 [CR_CHOICE_SECOND] =
                                                     CRITIC_CHOICE_SECOND,
                                                 [CR_CHOICE_TIE] = CRITIC_CHOICE_TIE};
    return choices[v->verdict.opinion.choice];
}

const size_t *critic_verdict_order(const critic_verdict *v, size_t *n) {
    *n = v->verdict.opinion.n_order;
    return v->verdict.opinion.order;
}

const double *critic_verdict_scores(const critic_verdict *v, size_t *n) {
    *n = v->verdict.opinion.n_scores;
    return v->verdict.opinion.scores;
}

const critic_option *critic_verdict_options(const critic_verdict *v, size_t *n) {
    *n = v->verdict.opinion.n_options;
    return v->options;
}

bool critic_verdict_is_consistent(const critic_verdict *v) {
    return !v->verdict.opinion.has_consistent || v->verdict.opinion.consistent;
}

critic_text critic_verdict_reason(const critic_verdict *v) {
    return cr_api_text(v->verdict.opinion.reason);
}

critic_text critic_verdict_raw(const critic_verdict *v) {
    return cr_api_text(v->verdict.opinion.raw);
}

critic_usage critic_verdict_usage(const critic_verdict *v) {
    const struct cr_judge_usage *u = &v->verdict.usage;
    return (critic_usage){.prompt_tokens = u->prompt_tokens,
                          .cached_tokens = u->cached_tokens,
                          .completion_tokens = u->completion_tokens,
                          .image_tiles = u->image_tiles,
                          .seconds = u->seconds};
}

const char *critic_verdict_json(const critic_verdict *v) {
    return v->json.data;
}
