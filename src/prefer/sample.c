#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "engine/answers.h"
#include "prefer/ledger.h"

void cr_prefer_opts_default(struct cr_prefer_opts *opts) {
    *opts = (struct cr_prefer_opts){.k = 5,
                                    .temperature = 0.7,
                                    .top_p = 0.9,
                                    .max_new_tokens = 512,
                                    .select = {.near_same = 0.9}};
    cr_image_limits_default(&opts->limits);
}

/* A prompt on its way to a line. */
struct job {
    struct cr_answers_job answers;
    json_t *entry; /* borrowed */
};

struct stage {
    struct cr_engine *policy;
    struct cr_answers *answers;
    const struct cr_prefer_opts *opts;
    struct cr_prefer_counts *counts;
    struct cr_str folder;
    struct cr_ledger log;
};

/* Seeds differ between prompts and do not depend on what was sampled before. */
static uint64_t prompt_seed(uint64_t seed, const char *id) {
    struct cr_hash h;
    uint64_t value[2];
    cr_hash_init(&h, seed);
    cr_hash_update(&h, id, strlen(id));
    cr_hash_final(&h, value);
    return value[0];
}

enum critic_status cr_prefer_prompt(struct cr_prompt **out, struct cr_engine *policy,
                                    const json_t *entry, struct cr_str folder,
                                    const struct cr_prefer_opts *opts,
                                    critic_error *err) {
    const json_t *sources = json_object_get(entry, "images");
    const json_t *text = json_object_get(entry, "prompt");
    struct cr_str user = {json_string_value(text), json_string_length(text)};
    size_t n = json_array_size(sources);
    struct cr_image *images = calloc(n + 1, sizeof *images);
    if (!images)
        return cr_fail(err, CRITIC_NO_MEMORY, "out of memory");
    enum critic_status status = cr_prompt_new(out, policy, err);
    for (size_t i = 0; i < n && status == CRITIC_OK; i++) {
        const json_t *source = json_array_get(sources, i);
        struct cr_str name = {json_string_value(source), json_string_length(source)};
        status = cr_image_load_in(&images[i], folder, name, &opts->limits, err);
    }
    if (status == CRITIC_OK)
        status = cr_prompt_chat(*out, images, n, opts->system, user, err);
    if (status == CRITIC_OK)
        status = cr_prompt_finish(*out, err);
    for (size_t i = 0; i < n; i++)
        cr_image_free(&images[i]);
    free(images);
    return status;
}

static json_t *answer_json(const struct cr_completion *c, bool with_ids) {
    double logprob = 0;
    for (size_t i = 0; i < c->ids.len; i++)
        logprob += (double)c->logprobs[i];
    json_t *answer =
        json_pack("{s:o,s:I,s:s,s:f}", "text",
                  json_stringn(c->text.data ? c->text.data : "", c->text.len), "tokens",
                  (json_int_t)c->ids.len, "finish_reason",
                  c->finish == CR_FINISH_LENGTH ? "length" : "stop", "logprob", logprob);
    if (!with_ids)
        return answer;
    json_t *ids = json_array();
    for (size_t i = 0; i < c->ids.len; i++)
        json_array_append_new(ids, json_integer(c->ids.data[i]));
    json_object_set_new(answer, "ids", ids);
    return answer;
}

/* entry with "status" and "policy", a new reference. */
static json_t *result_line(const struct stage *s, json_t *entry, const char *status) {
    json_t *line = json_copy(entry);
    json_object_set_new(line, "status", json_string(status));
    json_object_set_new(line, "policy",
                        json_string(s->opts->policy_name
                                        ? s->opts->policy_name
                                        : cr_engine_model_name(s->policy)));
    return line;
}

static json_t *answered_line(const struct stage *s, const struct job *job) {
    const struct cr_talk *talk = &job->answers.talk;
    json_t *list = json_array();
    for (size_t i = 0; i < talk->n; i++)
        json_array_append_new(list, answer_json(&talk->out[i], s->opts->keep_ids));
    json_t *line = result_line(s, job->entry, "ok");
    json_object_set_new(line, "answers", list);
    return line;
}

/* A fault of the prompt is a line of its own; lack of memory or a wish to stop ends the run. */
static enum critic_status write_job(struct stage *s, const struct job *job,
                                    critic_error *err) {
    const struct cr_answers_job *a = &job->answers;
    json_t *line;
    if (a->status == CRITIC_CANCELLED)
        return cr_fail(err, a->status, "%s", a->fault.message);
    if (a->status == CRITIC_NO_MEMORY)
        return cr_fail(err, a->status, "prompt '%.80s': %s",
                       json_string_value(json_object_get(job->entry, "id")),
                       a->fault.message);
    if (a->status == CRITIC_OK) {
        line = answered_line(s, job);
    } else {
        line = result_line(s, job->entry, "error");
        json_object_set_new(line, "error", json_string(a->fault.message));
        s->counts->n_faults++;
        if (s->opts->on_fault)
            s->opts->on_fault(s->opts->user,
                              json_string_value(json_object_get(job->entry, "id")),
                              a->fault.message);
    }
    s->counts->prompt_tokens += a->usage.prompt_tokens;
    s->counts->cached_tokens += a->usage.cached_tokens;
    s->counts->completion_tokens += a->usage.completion_tokens;
    CR_TRY(cr_ledger_append(&s->log, line, err));
    s->counts->n_done++;
    if (s->opts->on_item)
        s->opts->on_item(s->opts->user, s->counts);
    return CRITIC_OK;
}

static enum critic_status on_answered(void *user, struct cr_answers_job *answers,
                                      critic_error *err) {
    struct job *job = (struct job *)answers; /* its first member */
    enum critic_status status = write_job(user, job, err);
    free(job);
    return status;
}

static enum critic_status ask(struct stage *s, json_t *entry, critic_error *err) {
    const struct cr_prefer_opts *o = s->opts;
    struct cr_prompt *prompt = NULL;
    struct job *job = calloc(1, sizeof *job);
    if (!job)
        return cr_fail(err, CRITIC_NO_MEMORY, "out of memory");
    struct cr_answers_job *a = &job->answers;
    struct cr_generate_opts *g = &a->talk.opts;
    job->entry = entry;
    a->talk.n = o->k;
    cr_generate_opts_default(g, s->policy);
    g->max_new_tokens = o->max_new_tokens;
    g->temperature = o->temperature;
    g->top_p = o->top_p;
    g->top_k = o->top_k;
    g->seed = prompt_seed(o->seed, json_string_value(json_object_get(entry, "id")));
    g->logprobs = true;
    a->status = cr_prefer_prompt(&prompt, s->policy, entry, s->folder, o, &a->fault);
    return cr_answers_ask(s->answers, a, prompt, err);
}

static enum critic_status ask_all(struct stage *s, const json_t *prompts,
                                  critic_error *err) {
    for (size_t i = 0; i < s->counts->n_total; i++) {
        json_t *entry = json_array_get(prompts, i);
        if (cr_ledger_has(&s->log, json_string_value(json_object_get(entry, "id"))))
            continue;
        if (s->opts->cancel && s->opts->cancel(s->opts->user))
            return cr_fail(err, CRITIC_CANCELLED, "cancelled");
        CR_TRY(ask(s, entry, err));
    }
    return cr_answers_finish(s->answers, err);
}

static void count_old(void *user, const json_t *line) {
    (void)line;
    ((struct cr_prefer_counts *)user)->n_there++;
}

/* What each prompt says, by id; a new reference. */
static json_t *wanted_of(const json_t *prompts) {
    json_t *wanted = json_object();
    for (size_t i = 0; i < json_array_size(prompts); i++) {
        const json_t *entry = json_array_get(prompts, i);
        json_object_set_new(wanted, json_string_value(json_object_get(entry, "id")),
                            cr_ledger_print(entry, false));
    }
    return wanted;
}

static json_t *stamp_of(const struct stage *s) {
    const struct cr_prefer_opts *o = s->opts;
    return json_pack("{s:s,s:I,s:I,s:f,s:f,s:I,s:I,s:s}", "policy_hash",
                     cr_engine_model_hash(s->policy), "seed", (json_int_t)o->seed, "k",
                     (json_int_t)o->k, "temperature", o->temperature, "top_p", o->top_p,
                     "top_k", (json_int_t)o->top_k, "max_new_tokens",
                     (json_int_t)o->max_new_tokens, "version", critic_version());
}

enum critic_status cr_prefer_sample(struct cr_engine *policy, const json_t *prompts,
                                    const char *prompts_path, const char *samples,
                                    const struct cr_prefer_opts *opts,
                                    struct cr_prefer_counts *counts, critic_error *err) {
    struct stage s = {.policy = policy, .opts = opts, .counts = counts};
    *counts = (struct cr_prefer_counts){.n_total = json_array_size(prompts)};
    CR_ASSERT(opts->k >= 1 && opts->k <= CR_MAX_K);
    s.folder =
        opts->image_folder ? cr_str_of(opts->image_folder) : cr_folder_of(prompts_path);
    s.log.on_line = count_old;
    s.log.user = counts;
    json_t *stamp = stamp_of(&s), *wanted = wanted_of(prompts);
    s.log.wanted = wanted;
    enum critic_status status = wanted ? cr_ledger_open(&s.log, samples, stamp, opts, err)
                                       : cr_fail(err, CRITIC_NO_MEMORY, "out of memory");
    if (status == CRITIC_OK)
        status = cr_answers_new(&s.answers, policy, 0, on_answered, &s, err);
    if (status == CRITIC_OK)
        status = ask_all(&s, prompts, err);
    if (status == CRITIC_OK)
        status = cr_ledger_finish(&s.log, wanted, err);
    cr_answers_free(s.answers);
    cr_ledger_close(&s.log);
    json_decref(stamp);
    json_decref(wanted);
    return status;
}
