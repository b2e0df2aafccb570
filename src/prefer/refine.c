#include "prefer/refine.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "prefer/prefer.h"

#define MAX_TEXT_BYTES ((size_t)16 << 20)

struct job {
    struct cr_engine *policy;
    const struct cr_image *images;
    size_t n_images;
    struct cr_str question;
    const struct cr_refine_opts *opts;
    struct cr_refined *out;
};

/* One greedy or sampled answer of the policy to `text`. */
static enum critic_status answer(struct job *j, struct cr_str text, uint64_t seed,
                                 struct cr_buf *out, critic_error *err) {
    struct cr_prompt *prompt = NULL;
    struct cr_seq *seq = NULL;
    struct cr_completion c;
    struct cr_generate_opts g = j->opts->generate;
    g.seed = seed;
    enum critic_status status = cr_prompt_new(&prompt, j->policy, err);
    if (status == CRITIC_OK)
        status =
            cr_prompt_chat(prompt, j->images, j->n_images, j->opts->system, text, err);
    if (status == CRITIC_OK)
        status = cr_prompt_finish(prompt, err);
    if (status == CRITIC_OK)
        status = cr_engine_prefill(j->policy, prompt, &seq, &j->out->policy, err);
    if (status == CRITIC_OK) {
        status = cr_generate(seq, 1, &g, &c, &j->out->policy, err);
        if (status == CRITIC_OK)
            status = cr_buf_append(out, c.text.data, c.text.len, err);
        cr_completion_fini(&c);
    }
    cr_seq_free(seq);
    cr_prompt_free(prompt);
    return status;
}

static struct cr_item item_of(const struct job *j, const struct cr_str *answers,
                              size_t n) {
    return (struct cr_item){.id = {"refine", 6},
                            .images = j->images,
                            .n_images = j->n_images,
                            .question = j->question,
                            .answers = answers,
                            .n_answers = n};
}

/* What the critic writes about the best answer; its verdict as well, where it wrote nothing else. */
static enum critic_status take_notes(struct job *j, struct cr_judge *reasons,
                                     struct cr_buf *notes, critic_error *err) {
    struct cr_str best = cr_refined_text(j->out);
    struct cr_item item = item_of(j, &best, 1);
    struct cr_verdict v;
    CR_TRY(cr_judge_item(reasons, &item, &v, err));
    struct cr_str text = v.opinion.reason.len ? v.opinion.reason : v.opinion.raw;
    enum critic_status status =
        text.len ? cr_buf_append(notes, text.data, text.len, err) : CRITIC_OK;
    cr_judge_usage_add(&j->out->critic, &v.usage);
    cr_verdict_fini(&v);
    return status;
}

static enum critic_status revise(struct job *j, size_t round, critic_error *err) {
    struct cr_refine_round *r = &j->out->rounds[round];
    struct cr_str best = cr_refined_text(j->out);
    struct cr_buf text;
    cr_buf_init(&text, MAX_TEXT_BYTES);
    enum critic_status status = cr_buf_printf(
        &text, err,
        "%.*s\n\nA draft answer:\n%.*s\n\nNotes of a reviewer on the draft:\n%.*s\n\n"
        "Write the answer again and put right what the notes found wrong. Reply with the "
        "answer "
        "only.",
        (int)j->question.len, j->question.data, (int)best.len, best.data,
        (int)r->notes.len, r->notes.data ? r->notes.data : "");
    if (status == CRITIC_OK)
        status = answer(j, cr_buf_str(&text), j->opts->generate.seed + round + 1,
                        &r->text, err);
    cr_buf_fini(&text);
    return status;
}

static enum critic_status compare(struct job *j, struct cr_judge *pairs, size_t round,
                                  critic_error *err) {
    struct cr_refine_round *r = &j->out->rounds[round];
    struct cr_str answers[] = {cr_refined_text(j->out), cr_buf_str(&r->text)};
    struct cr_item item = item_of(j, answers, 2);
    struct cr_opinions o;
    if (cr_str_eq(answers[0], answers[1])) {
        r->share = 0.5;
        return CRITIC_OK;
    }
    cr_opinions_init(&o, 2);
    CR_TRY(cr_prefer_ask(pairs, &item, &o, &j->out->critic, err));
    r->share = cr_opinions_share(&o, 1, 0);
    r->kept = r->share > 0.5;
    if (r->kept)
        j->out->best = round + 1;
    return CRITIC_OK;
}

enum critic_status cr_refine(struct cr_engine *policy, struct cr_judge *reasons,
                             struct cr_judge *pairs, const struct cr_image *images,
                             size_t n_images, struct cr_str question,
                             const struct cr_refine_opts *opts, struct cr_refined *out,
                             critic_error *err) {
    struct job j = {policy, images, n_images, question, opts, out};
    memset(out, 0, sizeof *out);
    cr_buf_init(&out->draft, MAX_TEXT_BYTES);
    out->rounds = calloc(opts->n_rounds + 1, sizeof *out->rounds);
    if (!out->rounds)
        return cr_fail(err, CRITIC_NO_MEMORY, "out of memory");
    out->n_rounds = opts->n_rounds;
    for (size_t i = 0; i < opts->n_rounds; i++) {
        cr_buf_init(&out->rounds[i].notes, MAX_TEXT_BYTES);
        cr_buf_init(&out->rounds[i].text, MAX_TEXT_BYTES);
        out->rounds[i].share = (double)NAN;
    }
    CR_TRY(answer(&j, question, opts->generate.seed, &out->draft, err));
    for (size_t i = 0; i < opts->n_rounds; i++) {
        CR_TRY(take_notes(&j, reasons, &out->rounds[i].notes, err));
        CR_TRY(revise(&j, i, err));
        CR_TRY(compare(&j, pairs, i, err));
    }
    return CRITIC_OK;
}

void cr_refined_fini(struct cr_refined *r) {
    cr_buf_fini(&r->draft);
    for (size_t i = 0; i < r->n_rounds; i++) {
        cr_buf_fini(&r->rounds[i].notes);
        cr_buf_fini(&r->rounds[i].text);
    }
    free(r->rounds);
    memset(r, 0, sizeof *r);
}

struct cr_str cr_refined_text(const struct cr_refined *r) {
    const struct cr_buf *b = r->best ? &r->rounds[r->best - 1].text : &r->draft;
    return (struct cr_str){b->data ? b->data : "", b->len};
}
