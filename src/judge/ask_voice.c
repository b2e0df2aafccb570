/* One prompt put to a voice. */
#include <math.h>
#include <stdlib.h>

#include "judge/run.h"

#define MAX_PROMPT_BYTES ((size_t)64 << 20)
#define MAX_REPLY_BYTES  ((size_t)16 << 20)

static enum critic_status set_share(struct cr_run *run, const struct cr_reply *reply,
                                    struct cr_opinion *op, critic_error *err) {
    double share = reply->first_share;
    if (isnan(share) || op->mode != CR_MODE_PAIRWISE)
        return CRITIC_OK;
    op->options = cr_run_alloc(run, 2, sizeof *op->options, err);
    if (!op->options)
        return CRITIC_NO_MEMORY;
    op->options[0] = (struct cr_option){"first", share, (double)NAN};
    op->options[1] = (struct cr_option){"second", 1 - share, (double)NAN};
    op->n_options = 2;
    op->mass = 1;
    return CRITIC_OK;
}

/* The reply was to the prompt with the answers exchanged: its opinion is turned back. */
static void turn_back(struct cr_opinion *op) {
    cr_opinion_swap(op);
    op->pair[0] = 1;
    op->pair[1] = 0;
}

static enum critic_status read_reply(struct cr_run *run, const struct cr_ask *ask,
                                     const struct cr_reply *reply, struct cr_opinion *op,
                                     critic_error *err) {
    struct cr_parsed parsed;
    struct cr_str text = cr_buf_str(&reply->text);
    op->score = (double)NAN;
    if (!reply->is_decision) {
        CR_TRY(cr_run_read_text(run, ask, text, reply->cut, &parsed, op, err));
        if (parsed.ok && reply->tokens.n > 0 && run->judge->opts.n_samples == 1)
            CR_TRY(cr_run_options_heard(run, &reply->tokens, text, &parsed, op, err));
        if (reply->other_order && run->template->mode == CR_MODE_PAIRWISE)
            turn_back(op);
        return CRITIC_OK;
    }
    CR_TRY(cr_run_set_parsed(run, ask, &reply->decision, op, err));
    char *copy = cr_arena_strndup(run->arena, text.data, text.len);
    if (!copy)
        return cr_fail(err, CRITIC_NO_MEMORY, "no memory for the verdict of one item");
    op->raw = op->reason = (struct cr_str){copy, text.len};
    return op->status == CR_VERDICT_OK ? set_share(run, reply, op, err) : CRITIC_OK;
}

static enum critic_status read_replies(struct cr_run *run, const struct cr_ask *ask,
                                       const struct cr_reply *replies, size_t n,
                                       struct cr_opinion *op, critic_error *err) {
    if (n == 1)
        return read_reply(run, ask, replies, op, err);
    op->mode = run->template->mode;
    op->parts_kind = CR_PARTS_SAMPLES;
    op->parts = cr_run_alloc(run, n, sizeof *op->parts, err);
    if (!op->parts)
        return CRITIC_NO_MEMORY;
    for (; op->n_parts < n; op->n_parts++)
        CR_TRY(read_reply(run, ask, &replies[op->n_parts], &op->parts[op->n_parts], err));
    return cr_combine(run, op, err);
}

enum critic_status cr_run_ask_voice(struct cr_run *run, const struct cr_ask *ask,
                                    struct cr_opinion *out, critic_error *err) {
    const struct cr_judge_opts *opts = &run->judge->opts;
    const struct cr_voice *voice = run->judge->voice;
    size_t n = opts->n_samples;
    struct cr_buf prompt;
    enum critic_status status;
    struct cr_reply *replies = calloc(n, sizeof *replies);
    if (!replies)
        return cr_fail(err, CRITIC_NO_MEMORY, "no memory for %zu samples", n);
    cr_buf_init(&prompt, MAX_PROMPT_BYTES);
    for (size_t i = 0; i < n; i++) {
        cr_buf_init(&replies[i].text, MAX_REPLY_BYTES);
        replies[i].first_share = (double)NAN;
    }
    if (voice->reads_prompts)
        CR_TRY_GOTO(cr_run_render(run, ask, &prompt, err));
    struct cr_voice_ask question = {.item = run->item,
                                    .answers = ask->answers,
                                    .n_answers = ask->n_answers,
                                    .criterion = ask->criterion,
                                    .template = run->template,
                                    .scale = run->scale,
                                    .prompt = cr_buf_str(&prompt),
                                    .system = opts->system,
                                    .n_samples = n,
                                    .temperature = opts->temperature,
                                    .top_p = opts->top_p,
                                    .seed = run->seed,
                                    .max_new_tokens = opts->max_new_tokens,
                                    .probabilities = opts->probabilities && n == 1};
    CR_TRY_GOTO(voice->ask(voice->self, &question, replies, run->usage, err));
    run->usage->n_prompts++;
    CR_TRY_GOTO(read_replies(run, ask, replies, n, out, err));
    if (opts->on_prompt)
        opts->on_prompt(opts->user, run->usage->n_prompts, run->n_total);
fail:
    cr_buf_fini(&prompt);
    for (size_t i = 0; i < n; i++) {
        cr_buf_fini(&replies[i].text);
        cr_reply_tokens_fini(&replies[i].tokens);
    }
    free(replies);
    return status;
}
