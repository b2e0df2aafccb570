#include "cli/eval_judges.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "cli/progress.h"
#include "cli/signals.h"
#include "engine/engine.h"

void cr_judge_flags_init(struct cr_judge_flags *f, struct cr_common *common) {
    struct cr_chat_opts chat;
    memset(f, 0, sizeof *f);
    cr_chat_opts_default(&chat);
    f->common = common;
    f->timeout = chat.timeout;
    f->n_tries = chat.n_tries;
    f->n_parallel = 1;
    f->key_variable = "CRITIC_API_KEY";
    cr_judge_opts_default(&f->opts);
    common->judges = true;
}

enum critic_status cr_eval_exam(const struct cr_exam **out, const char *name,
                                struct cr_judge_flags *f, struct cr_exam_load *load,
                                critic_error *err) {
    *out = cr_exam_find(name);
    if (!*out)
        return cr_fail(err, CRITIC_BAD_ARGUMENT,
                       "no benchmark is called '%.60s'; 'critic eval list' names them",
                       name);
    f->opts.mode = (*out)->mode;
    if (!f->opts.template_name)
        f->opts.template_name = (*out)->template_name;
    load->seed = f->opts.seed;
    return CRITIC_OK;
}

/* ---- endpoints ----------------------------------------------------------------------------------- */

static void on_log(void *user, const char *line) {
    const struct cr_judge_flags *f = user;
    if (f->common->quiet)
        return;
    if (f->common->progress)
        cr_progress_clear(f->common->progress);
    fprintf(stderr, "critic: %s\n", line);
}

static bool cancelled(void *user) {
    (void)user;
    return cr_cancelled(NULL);
}

static enum critic_status read_key(const struct cr_judge_flags *f, struct cr_buf *key,
                                   struct cr_str *out, critic_error *err) {
    const char *value = getenv(f->key_variable);
    *out = (struct cr_str){0};
    if (f->key_file) {
        CR_TRY(cr_file_read(f->key_file, key, err));
        *out = cr_buf_str(key);
    } else if (value && value[0]) {
        *out = cr_str_of(value);
    }
    return CRITIC_OK;
}

static enum critic_status open_endpoint(struct cr_eval_judges *j,
                                        struct cr_judge_flags *f, critic_error *err) {
    struct cr_chat_opts o;
    struct cr_buf key;
    enum critic_status status;
    cr_buf_init(&key, 1 << 16);
    cr_chat_opts_default(&o);
    if (!f->endpoint_model)
        return cr_fail(err, CRITIC_BAD_ARGUMENT,
                       "--endpoint wants --endpoint-model, the model's name there");
    o.url = f->endpoint;
    o.model = f->endpoint_model;
    o.timeout = f->timeout;
    o.n_tries = f->n_tries;
    o.per_minute = f->per_minute;
    o.cancel = cancelled;
    o.log = on_log;
    o.user = f;
    CR_TRY_GOTO(read_key(f, &key, &o.key, err));
    if (f->cache)
        CR_TRY_GOTO(cr_reply_cache_open(&j->cache, f->cache, err));
    o.cache = j->cache;
    CR_TRY_GOTO(cr_chat_new(&j->chat, &o, err));
    CR_TRY_GOTO(cr_rater_endpoint(&j->rater, j->chat, &f->common->limits, err));
fail:
    if (key.data) /* the key does not stay in freed memory */
        memset(key.data, 0, key.len);
    cr_buf_fini(&key);
    return status;
}

/* ---- --------------------------------------------------------------------------------------------- */

static enum critic_status check_flags(struct cr_judge_flags *f, critic_error *err) {
    int n = (f->common->model != NULL) + (f->endpoint != NULL) + (f->verdicts != NULL) +
            (f->baseline != NULL);
    if (n > 1)
        return cr_fail(
            err, CRITIC_BAD_ARGUMENT,
            "expected one judge: --model, --endpoint, --verdicts or --baseline");
    if (f->n_parallel > 1 && !f->endpoint)
        return cr_fail(err, CRITIC_BAD_ARGUMENT,
                       "--parallel is for endpoints; a checkpoint uses --threads");
    if (f->cache && !f->endpoint)
        return cr_fail(err, CRITIC_BAD_ARGUMENT, "--cache belongs to --endpoint");
    if (f->scale) {
        f->opts.has_scale = true;
        return cr_scale_parse(f->scale, &f->opts.scale, err);
    }
    return CRITIC_OK;
}

enum critic_status cr_eval_judges_again(struct cr_judge **out,
                                        const struct cr_eval_judges *from,
                                        const struct cr_judge_opts *opts,
                                        critic_error *err) {
    return from->rater ? cr_judge_new_voiced(out, cr_rater_voice(from->rater), opts, err)
                       : cr_judge_new(out, from->engine, opts, err);
}

static enum critic_status open_checkpoint(struct cr_eval_judges *j,
                                          struct cr_judge_flags *f, critic_error *err) {
    bool with_reasons;
    enum cr_mode mode = f->opts.template_mode;
    CR_TRY(cr_common_open(f->common, &j->engine, err));
    if (!f->own_manner)
        return CRITIC_OK;
    CR_TRY(cr_judge_wants_reasons(j->engine, mode, &with_reasons, err));
    f->opts.verdict_only = f->opts.template_name || !with_reasons;
    return CRITIC_OK;
}

enum critic_status cr_eval_judges_open(struct cr_eval_judges *j, struct cr_judge_flags *f,
                                       const struct cr_truths *truths,
                                       critic_error *err) {
    enum critic_status status;
    memset(j, 0, sizeof *j);
    CR_TRY(check_flags(f, err));
    f->opts.image_limits = &f->common->limits;
    j->is_verdicts = f->verdicts != NULL;
    if (f->endpoint)
        CR_TRY_GOTO(open_endpoint(j, f, err));
    else if (f->verdicts)
        CR_TRY_GOTO(cr_rater_verdicts(&j->rater, f->verdicts, err));
    else if (f->baseline)
        CR_TRY_GOTO(cr_rater_baseline(&j->rater, f->baseline, truths, f->opts.seed, err));
    else
        CR_TRY_GOTO(open_checkpoint(j, f, err));
    j->judges = calloc(f->n_parallel, sizeof *j->judges);
    if (!j->judges)
        CR_TRY_GOTO(cr_fail(err, CRITIC_NO_MEMORY, "no memory for judges"));
    for (; j->n < f->n_parallel; j->n++)
        CR_TRY_GOTO(cr_eval_judges_again(&j->judges[j->n], j, &f->opts, err));
    return CRITIC_OK;
fail:
    cr_eval_judges_close(j);
    return status;
}

void cr_eval_judges_close(struct cr_eval_judges *j) {
    for (size_t i = 0; i < j->n; i++)
        cr_judge_free(j->judges[i]);
    free(j->judges);
    cr_rater_free(j->rater);
    cr_chat_free(j->chat);
    cr_reply_cache_close(j->cache);
    cr_engine_free(j->engine);
    memset(j, 0, sizeof *j);
}

struct cr_cost_text cr_eval_cost(const struct cr_eval_judges *j,
                                 const struct cr_judge_flags *f) {
    struct cr_cost_text t = {""};
    if (!j->chat)
        return t;
    struct cr_chat_usage u = cr_rater_usage(j->rater);
    int n = snprintf(t.text, sizeof t.text, "%zu calls, %zu remembered, %zu tried again",
                     u.n_calls - u.n_remembered, u.n_remembered, u.n_retries);
    if (f->price_in > 0 || f->price_out > 0)
        snprintf(t.text + n, sizeof t.text - (size_t)n, ", cost %.4f",
                 ((double)u.prompt_tokens * f->price_in +
                  (double)u.completion_tokens * f->price_out) /
                     1e6);
    return t;
}
