/* One prompt: render, prefill, then read probabilities or generate and parse. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
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

/* The prompt's sequence. The engine itself finds what earlier prompts of the item computed. */
static enum critic_status prefill(struct cr_run *run, const struct cr_ask *ask,
                                  struct cr_seq **out, struct cr_usage *usage,
                                  critic_error *err) {
    struct cr_engine *e = run->judge->engine;
    struct cr_buf text;
    struct cr_prompt *prompt = NULL;
    enum critic_status status;
    cr_buf_init(&text, MAX_PROMPT_BYTES);
    CR_TRY_GOTO(cr_run_render(run, ask, &text, err));
    CR_TRY_GOTO(cr_prompt_new(&prompt, e, err));
    CR_TRY_GOTO(cr_prompt_chat(prompt, run->images, run->n_images,
                               run->judge->opts.system, cr_buf_str(&text), err));
    CR_TRY_GOTO(cr_prompt_finish(prompt, err));
    CR_TRY_GOTO(cr_engine_prefill(e, prompt, out, usage, err));
fail:
    cr_prompt_free(prompt);
    cr_buf_fini(&text);
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
                                          struct cr_seq *s, const struct cr_completion *c,
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
                                       struct cr_seq *s, const struct cr_completion *all,
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

static enum critic_status generate(struct cr_run *run, const struct cr_ask *ask,
                                   struct cr_seq *s, struct cr_usage *usage,
                                   struct cr_opinion *op, critic_error *err) {
    struct cr_judge *j = run->judge;
    size_t n = j->opts.n_samples;
    struct cr_generate_opts opts;
    struct cr_completion *all = calloc(n, sizeof *all);
    if (!all)
        return cr_fail(err, CRITIC_NO_MEMORY, "no memory for %zu samples", n);
    cr_generate_opts_default(&opts, j->engine);
    opts.max_new_tokens = j->opts.max_new_tokens;
    opts.temperature = j->opts.temperature;
    opts.top_p = j->opts.top_p;
    opts.top_k = j->opts.top_k;
    opts.seed = run->seed;
    if (j->opts.on_text) {
        opts.on_text = stream;
        opts.user = &j->opts;
    }
    enum critic_status status = cr_generate(s, n, &opts, all, usage, err);
    if (status == CRITIC_OK)
        status = read_samples(run, ask, s, all, op, err);
    for (size_t i = 0; i < n; i++)
        cr_completion_fini(&all[i]);
    free(all);
    return status;
}

enum critic_status cr_run_ask(struct cr_run *run, const struct cr_ask *ask,
                              struct cr_opinion *out, critic_error *err) {
    struct cr_seq *s = NULL;
    struct cr_usage usage = {0};
    struct cr_judge_opts *opts = &run->judge->opts;
    out->score = NAN;
    if (run->judge->voice)
        return cr_run_ask_voice(run, ask, out, err);
    CR_TRY(prefill(run, ask, &s, &usage, err));
    enum critic_status status;
    if (opts->verdict_only)
        status = cr_run_options(run, s, out, err);
    else
        status = generate(run, ask, s, &usage, out, err);
    cr_seq_free(s);
    run->usage->prompt_tokens += usage.prompt_tokens;
    run->usage->cached_tokens += usage.cached_tokens;
    run->usage->completion_tokens += usage.completion_tokens;
    run->usage->image_tiles += usage.image_tiles;
    run->usage->cached_tiles += usage.cached_tiles;
    run->usage->n_prompts++;
    if (status == CRITIC_OK && opts->on_prompt)
        opts->on_prompt(opts->user, run->usage->n_prompts, run->n_total);
    return status;
}
