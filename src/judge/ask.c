/* One prompt: render, prefill, then read probabilities or generate and parse. What is generated
 * runs on lanes beside that of other prompts (many.c). */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "base/clock.h"
#include "judge/run.h"

#define MAX_PROMPT_BYTES ((size_t)64 << 20)

enum critic_status cr_run_render(struct cr_run *run, const struct cr_ask *ask,
                                 struct cr_buf *out, critic_error *err) {
    struct cr_str answers[CR_MAX_ANSWERS];
    const struct cr_item *item = run->item;
    for (size_t i = 0; i < ask->n_answers; i++)
        answers[i] = item->answers[ask->answers[i]];
    struct cr_template_values values = {
        .question = item->question,
        .answers = answers,
        .n_answers = ask->n_answers,
        .reference = item->reference,
        .criterion = ask->criterion,
        .context = item->context,
        .scale = run->scale,
    };
    return cr_template_render(run->template, &values, out, err);
}

enum critic_status cr_asking_build(struct cr_run *run, struct cr_asking *a,
                                   critic_error *err) {
    struct cr_buf text;
    enum critic_status status;
    double start = cr_clock_seconds();
    a->op->score = NAN;
    if (run->judge->voice)
        return CRITIC_OK;
    cr_buf_init(&text, MAX_PROMPT_BYTES);
    CR_TRY_GOTO(cr_run_render(run, &a->ask, &text, err));
    CR_TRY_GOTO(cr_prompt_new(&a->prompt, run->judge->engine, err));
    CR_TRY_GOTO(cr_prompt_chat(a->prompt, run->images, run->n_images,
                               run->judge->opts.system, cr_buf_str(&text), err));
    CR_TRY_GOTO(cr_prompt_finish(a->prompt, err));
fail:
    cr_buf_fini(&text);
    a->seconds += cr_clock_seconds() - start;
    return status;
}

/* ---- opinions from text ------------------------------------------------------------------- */

static enum critic_status set_scores(struct cr_run *run, struct cr_opinion *op, size_t n,
                                     critic_error *err) {
    op->scores = cr_run_alloc(run, n, sizeof *op->scores, err);
    op->n_scores = op->scores ? n : 0;
    return op->scores ? CRITIC_OK : CRITIC_NO_MEMORY;
}

enum critic_status cr_run_set_parsed(struct cr_run *run, const struct cr_ask *ask,
                                     const struct cr_parsed *p, struct cr_opinion *op,
                                     critic_error *err) {
    size_t n = ask->n_answers;
    op->mode = run->template->mode;
    op->score = NAN;
    op->status = p->ok ? CR_VERDICT_OK : CR_VERDICT_UNPARSED;
    op->why = p->why;
    op->choice = CR_CHOICE_NONE;
    op->n_scores = 0;
    if (!p->ok)
        return CRITIC_OK;
    CR_TRY(set_scores(run, op, n, err));
    if (op->mode == CR_MODE_POINTWISE) {
        op->score = op->scores[0] = p->score;
    } else if (op->mode == CR_MODE_PAIRWISE) {
        double share = p->format == CR_FORMAT_ARENA   ? (p->margin + 2) / 4.0
                       : p->choice == CR_CHOICE_FIRST ? 1
                       : p->choice == CR_CHOICE_TIE   ? 0.5
                                                      : 0;
        bool numbers = p->format == CR_FORMAT_TWO_SCORES;
        op->choice = p->choice;
        op->has_numbers = numbers;
        op->scores[0] = numbers ? p->pair[0] : share;
        op->scores[1] = numbers ? p->pair[1] : 1 - share;
    } else {
        op->order = cr_run_alloc(run, n, sizeof *op->order, err);
        if (!op->order)
            return CRITIC_NO_MEMORY;
        op->n_order = n;
        for (size_t place = 0; place < n; place++) {
            size_t answer = ask->answers[p->order[place]];
            op->order[place] = answer;
            op->scores[answer] = (double)(n - 1 - place) / (double)(n - 1);
        }
    }
    return CRITIC_OK;
}

static enum critic_status keep_text(struct cr_run *run, struct cr_str text,
                                    struct cr_str *out, critic_error *err) {
    char *copy = cr_arena_strndup(run->arena, text.data ? text.data : "", text.len);
    if (!copy)
        return cr_fail(err, CRITIC_NO_MEMORY, "no memory for the verdict of one item");
    *out = (struct cr_str){copy, text.len};
    return CRITIC_OK;
}

enum critic_status cr_run_read_text(struct cr_run *run, const struct cr_ask *ask,
                                    struct cr_str text, bool cut,
                                    struct cr_parsed *parsed, struct cr_opinion *op,
                                    critic_error *err) {
    struct cr_buf reason;
    struct cr_verdict_rule rule = run->template->rule;
    rule.scale = run->scale;
    rule.n_answers = ask->n_answers;
    CR_TRY(cr_verdict_parse(parsed, text, &rule, err));
    CR_TRY(cr_run_set_parsed(run, ask, parsed, op, err));
    CR_TRY(keep_text(run, text, &op->raw, err));
    cr_buf_init(&reason, text.len + 2);
    enum critic_status status = cr_verdict_reason(&reason, text, parsed, err);
    if (status == CRITIC_OK)
        status = keep_text(run, cr_buf_str(&reason), &op->reason, err);
    cr_buf_fini(&reason);
    if (status == CRITIC_OK && !parsed->ok && cut)
        op->why = "no verdict within the limit of new tokens";
    return status;
}

static enum critic_status read_completion(struct cr_run *run, const struct cr_ask *ask,
                                          struct cr_seq *s, struct cr_completion *c,
                                          struct cr_opinion *op, critic_error *err) {
    struct cr_parsed parsed;
    CR_TRY(cr_run_read_text(run, ask, cr_buf_str(&c->text), c->finish == CR_FINISH_LENGTH,
                            &parsed, op, err));
    if (parsed.ok && run->judge->opts.probabilities && run->judge->opts.n_samples == 1)
        return cr_run_options_at(run, s, c, &parsed, op, err);
    return CRITIC_OK;
}

/* ---- generation ----------------------------------------------------------------------------- */

static void stream(void *user, size_t index, struct cr_str piece) {
    const struct cr_judge_opts *opts = user;
    if (index == 0)
        opts->on_text(opts->user, piece);
}

static enum critic_status read_samples(struct cr_run *run, const struct cr_ask *ask,
                                       struct cr_seq *s, struct cr_completion *all,
                                       struct cr_opinion *op, critic_error *err) {
    size_t n = run->judge->opts.n_samples;
    if (n == 1)
        return read_completion(run, ask, s, all, op, err);
    op->mode = run->template->mode;
    op->parts_kind = CR_PARTS_SAMPLES;
    op->parts = cr_run_alloc(run, n, sizeof *op->parts, err);
    if (!op->parts)
        return CRITIC_NO_MEMORY;
    for (; op->n_parts < n; op->n_parts++)
        CR_TRY(read_completion(run, ask, s, &all[op->n_parts], &op->parts[op->n_parts],
                               err));
    return cr_combine(run, op, err);
}

/* Puts the answers on lanes. */
static enum critic_status speak(struct cr_run *run, struct cr_asking *a,
                                struct cr_lanes *lanes, critic_error *err) {
    struct cr_judge *j = run->judge;
    struct cr_generate_opts *opts = &a->talk.opts;
    size_t n = j->opts.n_samples;
    a->all = calloc(n, sizeof *a->all);
    if (!a->all)
        return cr_fail(err, CRITIC_NO_MEMORY, "no memory for %zu samples", n);
    cr_generate_opts_default(opts, j->engine);
    opts->max_new_tokens = j->opts.max_new_tokens;
    opts->temperature = j->opts.temperature;
    opts->top_p = j->opts.top_p;
    opts->top_k = j->opts.top_k;
    opts->seed = run->seed;
    opts->lookup = j->opts.lookup;
    if (j->opts.on_text) {
        opts->on_text = stream;
        opts->user = &j->opts;
    }
    a->talk.n = n;
    a->talk.out = a->all;
    a->talk.keep_seqs = j->opts.probabilities && n == 1;
    return cr_lanes_add(lanes, &a->talk, a->seq, err);
}

/* No verdict is as probable as the options want it: the judge is to give its reason. */
static bool is_close(const struct cr_run *run, const struct cr_opinion *op) {
    for (size_t i = 0; i < op->n_options; i++)
        if (op->options[i].probability >= run->judge->opts.explain_below)
            return false;
    return true;
}

static void count(struct cr_run *run, struct cr_asking *a) {
    struct cr_judge_usage *sum = run->usage;
    const struct cr_judge_opts *opts = &run->judge->opts;
    for (size_t i = 0; i < a->talk.n; i++)
        a->usage.completion_tokens += a->all[i].ids.len;
    sum->prompt_tokens += a->usage.prompt_tokens;
    sum->cached_tokens += a->usage.cached_tokens;
    sum->completion_tokens += a->usage.completion_tokens;
    sum->image_tiles += a->usage.image_tiles;
    sum->cached_tiles += a->usage.cached_tiles;
    sum->seconds += a->seconds + a->talk.seconds;
    sum->n_prompts++;
    if (opts->on_prompt)
        opts->on_prompt(opts->user, sum->n_prompts, run->n_total);
}

bool cr_asking_has_room(const struct cr_run *run, const struct cr_asking *a,
                        const struct cr_lanes *lanes) {
    const struct cr_judge_opts *opts = &run->judge->opts;
    return !a->prompt || cr_lanes_have_room(lanes, cr_prompt_ids(a->prompt)->len,
                                            opts->n_samples, opts->max_new_tokens);
}

enum critic_status cr_asking_start(struct cr_run *run, struct cr_asking *a,
                                   struct cr_lanes *lanes, critic_error *err) {
    double start = cr_clock_seconds();
    enum critic_status status;
    if (run->judge->voice) {
        a->is_done = true;
        status = cr_run_ask_voice(run, &a->ask, a->op, err);
        run->usage->seconds += cr_clock_seconds() - start;
        return status;
    }
    status = cr_engine_prefill(run->judge->engine, a->prompt, &a->seq, &a->usage, err);
    cr_prompt_free(a->prompt);
    a->prompt = NULL;
    if (status == CRITIC_OK && run->judge->opts.verdict_only) {
        status = cr_run_options(run, a->seq, a->op, err);
        a->is_done = status != CRITIC_OK || !is_close(run, a->op);
        if (!a->is_done)
            status = speak(run, a, lanes, err);
    } else if (status == CRITIC_OK) {
        status = speak(run, a, lanes, err);
    }
    a->seconds += cr_clock_seconds() - start;
    if (status == CRITIC_OK && a->is_done)
        count(run, a);
    return status;
}

enum critic_status cr_asking_finish(struct cr_run *run, struct cr_asking *a,
                                    critic_error *err) {
    double start = cr_clock_seconds();
    CR_TRY(read_samples(run, &a->ask, a->seq, a->all, a->op, err));
    a->seconds += cr_clock_seconds() - start;
    a->is_done = true;
    count(run, a);
    return CRITIC_OK;
}

void cr_asking_fini(struct cr_run *run, struct cr_asking *a) {
    cr_prompt_free(a->prompt);
    a->prompt = NULL;
    cr_seq_free(a->seq);
    a->seq = NULL;
    for (size_t i = 0; a->all && i < run->judge->opts.n_samples; i++)
        cr_completion_fini(&a->all[i]);
    free(a->all);
    a->all = NULL;
}
