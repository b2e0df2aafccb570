#include "judge/judge.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "judge/run.h"

/* Address space of one verdict; pages are taken as they are used. */
#define VERDICT_BYTES ((size_t)1 << 30)

void cr_judge_opts_default(struct cr_judge_opts *opts) {
    *opts = (struct cr_judge_opts){
        .n_samples = 1, .top_p = 1, .max_new_tokens = 1024, .lookup = 3};
}

/* ---- open -------------------------------------------------------------------------------- */

static enum critic_status check_opts(const struct cr_judge_opts *o, critic_error *err) {
    if (o->n_samples == 0 || o->n_samples > 1000)
        return cr_fail(err, CRITIC_BAD_ARGUMENT, "%zu samples; expected 1 to 1000",
                       o->n_samples);
    if (o->n_samples > 1 && !(o->temperature > 0))
        return cr_fail(err, CRITIC_BAD_ARGUMENT,
                       "%zu samples at temperature 0 would all be the same; expected a "
                       "temperature above 0",
                       o->n_samples);
    if (!(o->explain_below >= 0) || o->explain_below > 1)
        return cr_fail(err, CRITIC_BAD_ARGUMENT,
                       "explain below a probability of %g; expected 0 to 1",
                       o->explain_below);
    if ((o->verdict_only || o->explain_below > 0) &&
        (o->n_samples > 1 || o->temperature > 0))
        return cr_fail(
            err, CRITIC_BAD_ARGUMENT,
            "verdict-only reads probabilities and samples nothing; expected it "
            "without samples and temperature");
    const struct cr_scale *scale = &o->scale;
    if (o->has_scale && !(isfinite(scale->min) && isfinite(scale->max) &&
                          scale->step > 0 && scale->min < scale->max &&
                          (scale->max - scale->min) / scale->step <= CR_MAX_STEPS))
        return cr_fail(
            err, CRITIC_BAD_ARGUMENT,
            "scale from %g to %g in steps of %g; expected at most %d steps upwards",
            scale->min, scale->max, scale->step, CR_MAX_STEPS);
    if (!(o->temperature >= 0) || !(o->top_p > 0) || o->top_p > 1 ||
        o->max_new_tokens == 0)
        return cr_fail(err, CRITIC_BAD_ARGUMENT,
                       "expected temperature >= 0, 0 < top-p <= 1 and new tokens > 0");
    return CRITIC_OK;
}

static enum critic_status check_voice(const struct cr_judge_opts *o,
                                      const struct cr_voice *voice, critic_error *err) {
    if (o->verdict_only || o->explain_below > 0)
        return cr_fail(
            err, CRITIC_BAD_ARGUMENT,
            "a verdict without its text can be read from a checkpoint only; "
            "expected no verdict-only here%s",
            voice->gives_tokens ? " (probabilities are to be had beside the text)" : "");
    if (o->probabilities && !voice->gives_tokens)
        return cr_fail(err, CRITIC_BAD_ARGUMENT,
                       "probabilities can be read from a checkpoint or an endpoint only");
    return CRITIC_OK;
}

static enum critic_status new_judge(struct cr_judge **out, struct cr_engine *engine,
                                    const struct cr_voice *voice,
                                    const struct cr_judge_opts *opts, critic_error *err) {
    enum critic_status status;
    *out = NULL;
    CR_TRY(check_opts(opts, err));
    struct cr_judge *j = calloc(1, sizeof *j);
    if (!j)
        return cr_fail(err, CRITIC_NO_MEMORY, "no memory for a judge");
    j->engine = engine;
    j->voice = voice;
    j->opts = *opts;
    j->opts.verdict_only |= opts->explain_below > 0;
    cr_buf_init(&j->system, (size_t)1 << 20);
    CR_TRY_GOTO(cr_judge_open_templates(j, opts->template_name, err));
    if (opts->system.data) {
        CR_TRY_GOTO(cr_buf_append(&j->system, opts->system.data, opts->system.len, err));
        j->opts.system =
            (struct cr_str){j->system.data ? j->system.data : "", opts->system.len};
    }
    j->opts.template_name = NULL;
    *out = j;
    return CRITIC_OK;
fail:
    cr_judge_free(j);
    return status;
}

enum critic_status cr_judge_new(struct cr_judge **out, struct cr_engine *engine,
                                const struct cr_judge_opts *opts, critic_error *err) {
    return new_judge(out, engine, NULL, opts, err);
}

enum critic_status cr_judge_new_voiced(struct cr_judge **out,
                                       const struct cr_voice *voice,
                                       const struct cr_judge_opts *opts,
                                       critic_error *err) {
    *out = NULL;
    CR_TRY(check_voice(opts, voice, err));
    return new_judge(out, NULL, voice, opts, err);
}

void cr_judge_free(struct cr_judge *j) {
    if (!j)
        return;
    for (size_t m = CR_MODE_POINTWISE; m <= CR_MODE_RANKING; m++) {
        bool shared = m > CR_MODE_POINTWISE && j->templates[m] == j->templates[m - 1];
        if (!shared)
            cr_template_free(j->templates[m]);
    }
    cr_buf_fini(&j->system);
    free(j);
}

const struct cr_template *cr_judge_template(const struct cr_judge *j, enum cr_mode mode) {
    return j->templates[mode == CR_MODE_AUTO ? CR_MODE_POINTWISE : mode];
}

struct cr_engine *cr_judge_engine(const struct cr_judge *j) {
    return j->engine;
}

const char *cr_judge_model_hash(const struct cr_judge *j) {
    return j->voice ? j->voice->model_hash : cr_engine_model_hash(j->engine);
}

uint64_t cr_judge_seed(const struct cr_judge *j) {
    return j->opts.seed;
}

const struct cr_judge_opts *cr_judge_opts_of(const struct cr_judge *judge) {
    return &judge->opts;
}

enum cr_mode cr_judge_mode_of(const struct cr_judge *j, size_t n_answers) {
    if (j->opts.mode != CR_MODE_AUTO || n_answers == 0)
        return j->opts.mode;
    if (n_answers == 2 && j->templates[CR_MODE_PAIRWISE]->mode == CR_MODE_RANKING)
        return CR_MODE_RANKING;
    return n_answers == 1   ? CR_MODE_POINTWISE
           : n_answers == 2 ? CR_MODE_PAIRWISE
                            : CR_MODE_RANKING;
}

/* ---- what to do with an item ------------------------------------------------------------- */

void *cr_run_alloc(struct cr_run *run, size_t n, size_t size, critic_error *err) {
    void *p = cr_arena_calloc(run->arena, n, size);
    if (!p)
        cr_fail(err, CRITIC_NO_MEMORY, "no memory for the verdict of one item");
    return p;
}

static enum critic_status choose_mode(struct cr_run *run, critic_error *err) {
    size_t n = run->item->n_answers;
    const struct cr_judge *j = run->judge;
    enum cr_mode mode = cr_judge_mode_of(j, n);
    if (n == 0)
        return cr_fail(err, CRITIC_BAD_DATA, "the item has no answer to judge");
    if (mode == CR_MODE_POINTWISE ? n != 1 : mode == CR_MODE_PAIRWISE ? n != 2 : n < 2)
        return cr_fail(err, CRITIC_BAD_DATA, "%s judging of %zu answer%s; expected %s",
                       cr_mode_name(mode), n, n == 1 ? "" : "s",
                       mode == CR_MODE_POINTWISE  ? "1 (several: mode ranking with a "
                                                    "pointwise template)"
                       : mode == CR_MODE_PAIRWISE ? "2"
                                                  : "2 or more");
    run->mode = mode;
    run->template = j->templates[mode];
    enum cr_mode how = run->template->mode;
    if (how > mode || (how == CR_MODE_RANKING && n > CR_MAX_ANSWERS))
        return cr_fail(err, CRITIC_BAD_DATA,
                       "template '%s' is for %s judging; the item has %zu answer%s",
                       run->template->name, cr_mode_name(how), n, n == 1 ? "" : "s");
    run->scale = j->opts.has_scale ? j->opts.scale : run->template->rule.scale;
    return CRITIC_OK;
}

static size_t count_prompts(const struct cr_run *run) {
    size_t n = run->item->n_answers;
    size_t orders = run->judge->opts.both_orders ? 2 : 1;
    size_t prompts = run->template->mode == CR_MODE_POINTWISE  ? n
                     : run->template->mode == CR_MODE_PAIRWISE ? n * (n - 1) / 2 * orders
                                                               : orders;
    return prompts * CR_MAX(run->item->n_criteria, (size_t)1);
}

void cr_run_drop_images(struct cr_run *run) {
    for (size_t i = 0; run->own_images && i < run->item->n_sources; i++)
        cr_image_free(&run->own_images[i]);
    run->own_images = NULL;
    run->images = NULL;
    run->n_images = 0;
}

static enum critic_status load_images(struct cr_run *run, critic_error *err) {
    const struct cr_item *item = run->item;
    enum critic_status status = CRITIC_OK;
    run->images = item->images;
    run->n_images = item->n_images;
    if (item->images || item->n_sources == 0 || run->judge->voice)
        return CRITIC_OK;
    struct cr_image *own = cr_run_alloc(run, item->n_sources, sizeof *own, err);
    if (!own)
        return CRITIC_NO_MEMORY;
    run->own_images = own;
    for (size_t i = 0; i < item->n_sources && status == CRITIC_OK; i++)
        status = cr_image_load_in(&own[i], item->folder, item->sources[i],
                                  run->judge->opts.image_limits, err);
    run->images = own;
    run->n_images = item->n_sources;
    return status;
}

/* ---- the tree ------------------------------------------------------------------------------ */

/* A leaf: `op` is to hold what is said of these answers. */
static enum critic_status plan_ask(struct cr_run *run, const size_t *answers, size_t n,
                                   struct cr_str criterion, struct cr_opinion *op,
                                   critic_error *err) {
    size_t *own = cr_run_alloc(run, n, sizeof *own, err);
    if (!own)
        return CRITIC_NO_MEMORY;
    memcpy(own, answers, n * sizeof *own);
    CR_ASSERT(run->n_asks < run->n_total);
    run->asks[run->n_asks++] = (struct cr_asking){.ask = {own, n, criterion}, .op = op};
    op->pair[0] = n > 1 || run->item->n_answers > 1 ? answers[0] : 0;
    op->pair[1] = n > 1 ? answers[n - 1] : 0;
    return CRITIC_OK;
}

static enum critic_status plan_parts(struct cr_run *run, struct cr_opinion *op,
                                     enum cr_parts kind, size_t n, critic_error *err) {
    op->parts_kind = kind;
    op->parts = cr_run_alloc(run, n, sizeof *op->parts, err);
    op->n_parts = op->parts ? n : 0;
    return op->parts ? CRITIC_OK : CRITIC_NO_MEMORY;
}

/* One pair, in one order or in both. */
static enum critic_status plan_pair(struct cr_run *run, size_t a, size_t b,
                                    struct cr_str criterion, struct cr_opinion *op,
                                    critic_error *err) {
    size_t given[2] = {a, b};
    size_t swapped[2] = {b, a};
    if (!run->judge->opts.both_orders)
        return plan_ask(run, given, 2, criterion, op, err);
    op->mode = CR_MODE_PAIRWISE;
    memcpy(op->pair, given, sizeof given);
    CR_TRY(plan_parts(run, op, CR_PARTS_ORDERS, 2, err));
    CR_TRY(plan_ask(run, given, 2, criterion, &op->parts[0], err));
    return plan_ask(run, swapped, 2, criterion, &op->parts[1], err);
}

/* Several answers by what each gets alone, or by all pairs. */
static enum critic_status plan_several(struct cr_run *run, struct cr_str criterion,
                                       struct cr_opinion *op, critic_error *err) {
    size_t n = run->item->n_answers;
    size_t at = 0;
    bool alone = run->template->mode == CR_MODE_POINTWISE;
    op->mode = run->mode;
    CR_TRY(plan_parts(run, op, alone ? CR_PARTS_ANSWERS : CR_PARTS_COMPARISONS,
                      alone ? n : n * (n - 1) / 2, err));
    for (size_t a = 0; a < n; a++) {
        if (alone)
            CR_TRY(plan_ask(run, &a, 1, criterion, &op->parts[at++], err));
        for (size_t b = a + 1; b < n && !alone; b++)
            CR_TRY(plan_pair(run, a, b, criterion, &op->parts[at++], err));
    }
    return CRITIC_OK;
}

/* All answers in one prompt, in the given order or also in the reverse one. */
static enum critic_status plan_list(struct cr_run *run, struct cr_str criterion,
                                    struct cr_opinion *op, critic_error *err) {
    size_t n = run->item->n_answers;
    size_t indices[CR_MAX_ANSWERS];
    size_t n_orders = run->judge->opts.both_orders ? 2 : 1;
    if (n_orders == 2) {
        op->mode = CR_MODE_RANKING;
        CR_TRY(plan_parts(run, op, CR_PARTS_ORDERS, 2, err));
    }
    for (size_t k = 0; k < n_orders; k++) {
        for (size_t i = 0; i < n; i++)
            indices[i] = k == 0 ? i : n - 1 - i;
        CR_TRY(plan_ask(run, indices, n, criterion, n_orders == 2 ? &op->parts[k] : op,
                        err));
    }
    return CRITIC_OK;
}

static enum critic_status plan_by(struct cr_run *run, struct cr_str criterion,
                                  struct cr_opinion *op, critic_error *err) {
    enum cr_mode how = run->template->mode;
    static const size_t only = 0;
    op->criterion = criterion;
    if (how == CR_MODE_RANKING)
        return plan_list(run, criterion, op, err);
    if (run->mode == CR_MODE_POINTWISE)
        return plan_ask(run, &only, 1, criterion, op, err);
    if (run->mode == CR_MODE_PAIRWISE && how == CR_MODE_PAIRWISE)
        return plan_pair(run, 0, 1, criterion, op, err);
    return plan_several(run, criterion, op, err);
}

static enum critic_status plan_item(struct cr_run *run, struct cr_opinion *op,
                                    critic_error *err) {
    const struct cr_item *item = run->item;
    run->asks = cr_run_alloc(run, run->n_total, sizeof *run->asks, err);
    if (!run->asks)
        return CRITIC_NO_MEMORY;
    if (item->n_criteria <= 1)
        return plan_by(run, item->n_criteria ? item->criteria[0] : (struct cr_str){0}, op,
                       err);
    op->mode = run->mode;
    CR_TRY(plan_parts(run, op, CR_PARTS_CRITERIA, item->n_criteria, err));
    for (size_t i = 0; i < item->n_criteria; i++)
        CR_TRY(plan_by(run, item->criteria[i], &op->parts[i], err));
    return CRITIC_OK;
}

enum critic_status cr_run_conclude(struct cr_run *run, struct cr_opinion *op,
                                   critic_error *err) {
    /* Samples were combined when their prompt was done. */
    if (op->parts_kind == CR_PARTS_NONE || op->parts_kind == CR_PARTS_SAMPLES)
        return CRITIC_OK;
    for (size_t i = 0; i < op->n_parts; i++)
        CR_TRY(cr_run_conclude(run, &op->parts[i], err));
    if (op->parts_kind == CR_PARTS_ORDERS && op->mode == CR_MODE_PAIRWISE)
        cr_opinion_swap(&op->parts[1]);
    return cr_combine(run, op, err);
}

/* ---- verdicts ------------------------------------------------------------------------------ */

static char *copy_str(struct cr_arena *a, struct cr_str s) {
    return cr_arena_strndup(a, s.data ? s.data : "", s.len);
}

static enum critic_status start_verdict(struct cr_verdict *v, struct cr_judge *j,
                                        struct cr_str id, const struct cr_template *t,
                                        critic_error *err) {
    memset(v, 0, sizeof *v);
    CR_TRY(cr_arena_init(&v->arena, VERDICT_BYTES, err));
    const char *model = j->voice ? j->voice->model : cr_engine_model_name(j->engine);
    const char *hash = cr_judge_model_hash(j);
    v->id = (struct cr_str){id.data ? copy_str(&v->arena, id) : NULL, id.len};
    v->model = copy_str(&v->arena, cr_str_of(model));
    v->model_hash = copy_str(&v->arena, cr_str_of(hash));
    v->template_name = copy_str(&v->arena, cr_str_of(t->name));
    v->template_hash = copy_str(&v->arena, cr_str_of(t->hash));
    v->seed = j->opts.seed;
    v->opinion.score = NAN;
    if (!v->model || !v->model_hash || !v->template_name || !v->template_hash)
        return cr_fail(err, CRITIC_NO_MEMORY, "no memory for the verdict of one item");
    return CRITIC_OK;
}

/* Seeds differ between items and do not depend on what was judged before. */
static uint64_t item_seed(uint64_t seed, struct cr_str id) {
    struct cr_hash h;
    uint64_t value[2];
    cr_hash_init(&h, seed);
    cr_hash_update(&h, id.data, id.len);
    cr_hash_final(&h, value);
    return value[0];
}

enum critic_status cr_run_begin(struct cr_run *run, struct cr_judge *judge,
                                const struct cr_item *item, struct cr_verdict *out,
                                critic_error *err) {
    enum critic_status status;
    *run = (struct cr_run){.judge = judge, .item = item};
    memset(out, 0, sizeof *out);
    CR_TRY(choose_mode(run, err));
    CR_TRY_GOTO(start_verdict(out, judge, item->id, run->template, err));
    out->id_is_number = item->id_is_number;
    run->arena = &out->arena;
    run->usage = &out->usage;
    run->seed = item_seed(judge->opts.seed, item->id);
    run->n_total = count_prompts(run);
    CR_TRY_GOTO(plan_item(run, &out->opinion, err));
    CR_TRY_GOTO(load_images(run, err));
    if (judge->opts.on_item)
        judge->opts.on_item(judge->opts.user, item, run->images, run->n_images);
    return CRITIC_OK;
fail:
    cr_run_drop_images(run);
    cr_verdict_fini(out);
    return status;
}

enum critic_status cr_verdict_failed(struct cr_judge *judge, struct cr_str id,
                                     const critic_error *fault, struct cr_verdict *out,
                                     critic_error *err) {
    enum cr_mode mode = judge->opts.mode;
    const struct cr_template *t = cr_judge_template(judge, mode);
    enum critic_status status;
    CR_TRY_GOTO(start_verdict(out, judge, id, t, err));
    out->opinion.mode = mode;
    out->opinion.status = CR_VERDICT_ERROR;
    out->error = copy_str(&out->arena, cr_str_of(fault->message));
    if (out->error)
        return CRITIC_OK;
    status = cr_fail(err, CRITIC_NO_MEMORY, "no memory for the verdict of one item");
fail:
    cr_verdict_fini(out);
    return status;
}

void cr_verdict_fini(struct cr_verdict *v) {
    cr_arena_fini(&v->arena);
    memset(v, 0, sizeof *v);
}
