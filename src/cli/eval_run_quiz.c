#include "cli/eval_quiz.h"

#include <stdio.h>

#include "base/clock.h"
#include "cli/eval.h"
#include "cli/progress.h"
#include "cli/signals.h"

/* Replies are a word; a model that goes on is not helped by more. */
#define LONGEST_REPLY 64

static enum critic_status check_flags(const struct cr_quiz_flags *f,
                                      const struct cr_quiz *quiz, critic_error *err) {
    const struct cr_judge_flags *j = f->judge;
    if (j->endpoint || j->verdicts || j->baseline)
        return cr_fail(
            err, CRITIC_BAD_ARGUMENT,
            "%s asks a checkpoint: expected --model; predictions of others are "
            "scored by critic eval score %s",
            quiz->title, quiz->name);
    if (j->opts.n_samples > 1 || f->result->csv || f->result->markdown)
        return cr_fail(
            err, CRITIC_BAD_ARGUMENT,
            "--samples, --csv and --markdown are for judges; %s has one reply a "
            "question, in --output",
            quiz->title);
    if (!f->output)
        return cr_fail(err, CRITIC_BAD_ARGUMENT,
                       "expected --output FILE, where the predictions are kept");
    return CRITIC_OK;
}

static void on_item(void *user, const struct cr_quiz_counts *n) {
    struct cr_quiz_flags *f = user;
    f->progress->first = n->n_there;
    cr_progress_update(f->progress, n->n_there + n->n_answered + n->n_failed, n->n_total);
}

static void print_work(const struct cr_quiz_flags *f, const struct cr_quiz_counts *n,
                       double seconds) {
    size_t own = n->n_answered + n->n_failed;
    size_t tokens = n->usage.prompt_tokens + n->usage.completion_tokens;
    if (f->common->quiet)
        return;
    fprintf(
        stderr,
        "%zu questions (%zu were there): %zu answered, %zu failed, %zu letters chosen by "
        "likelihood; %.1f questions/s, %.0f tokens/s\n",
        n->n_total, n->n_there, n->n_answered, n->n_failed, n->n_chosen,
        (double)own / (seconds + 1e-9), (double)tokens / (seconds + 1e-9));
    if (n->first_failure[0])
        fprintf(stderr, "critic: %s\n", n->first_failure);
}

static enum critic_status ask(struct cr_quiz_flags *f, const struct cr_quiz_set *set,
                              struct cr_quiz_counts *counts, critic_error *err) {
    const struct cr_judge_opts *o = &f->judge->opts;
    struct cr_engine *engine = NULL;
    struct cr_quiz_run run = {.output = f->output,
                              .resume = f->resume,
                              .force = f->force,
                              .limits = &f->common->limits,
                              .on_item = on_item,
                              .user = f};
    f->common->judges =
        false; /* the judge that is compiled in answers no such questions */
    CR_TRY(cr_common_open(f->common, &engine, err));
    cr_generate_opts_default(&run.generate, engine);
    run.generate.max_new_tokens = o->max_new_tokens ? o->max_new_tokens : LONGEST_REPLY;
    run.generate.temperature = o->temperature;
    run.generate.top_p = o->top_p;
    run.generate.seed = o->seed;
    double start = cr_clock_seconds();
    enum critic_status status = cr_quiz_ask(set, engine, &run, counts, err);
    cr_progress_clear(f->progress);
    if (status == CRITIC_OK)
        print_work(f, counts, cr_clock_seconds() - start);
    else if (status == CRITIC_CANCELLED)
        cr_fail(err, status, "interrupted; go on with --resume");
    cr_engine_free(engine);
    return status;
}

static int show(const struct cr_quiz_flags *f, enum cr_quiz_kind kind) {
    switch (kind) {
    case CR_QUIZ_POPE:
        return cr_eval_show_pope(f->common, f->output, NULL, f->result->report);
    case CR_QUIZ_MME:
        return cr_eval_show_mme(f->common, f->output, f->result->report);
    case CR_QUIZ_MMBENCH:
        break;
    }
    return cr_eval_show_mmbench(f->common, f->output, f->result->report);
}

int cr_eval_run_quiz(struct cr_quiz_flags *f, const struct cr_quiz *quiz) {
    struct cr_quiz_set set = {0};
    struct cr_quiz_counts counts = {0};
    struct cr_faults faults = {0};
    critic_error err = {0};
    enum critic_status status = check_flags(f, quiz, &err);
    if (status == CRITIC_OK)
        status = cr_quiz_load(&set, quiz, &f->load, &faults, &err);
    if (status == CRITIC_OK)
        status = ask(f, &set, &counts, &err);
    int rc = cr_eval_end(status, &faults, &err);
    if (status == CRITIC_OK && f->load.n_shards > 1) {
        if (!f->common->quiet)
            fprintf(stderr,
                    "a shard has no scores: critic eval merge puts the outputs together, "
                    "critic eval score %s scores the whole\n",
                    quiz->name);
    } else if (status == CRITIC_OK) {
        int shown = show(f, quiz->kind);
        rc = shown > rc ? shown : rc;
    }
    if (status == CRITIC_OK && counts.n_failed > 0 && rc == CR_EXIT_DONE)
        rc = CR_EXIT_FAILED;
    cr_quiz_set_fini(&set);
    return rc;
}
