#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "engine/engine.h"
#include "prefer/ledger.h"

void cr_prefer_opts_default(struct cr_prefer_opts *opts) {
    *opts = (struct cr_prefer_opts){.k = 5,
                                    .temperature = 0.7,
                                    .top_p = 0.9,
                                    .max_new_tokens = 512,
                                    .select = {.near_same = 0.9}};
    cr_image_limits_default(&opts->limits);
}

struct stage {
    struct cr_engine *policy;
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

static enum critic_status sample_prompt(struct stage *s, json_t *entry, json_t **out,
                                        critic_error *err) {
    const struct cr_prefer_opts *o = s->opts;
    struct cr_completion answers[CR_MAX_K];
    struct cr_generate_opts g;
    struct cr_usage usage = {0};
    struct cr_prompt *prompt = NULL;
    struct cr_seq *seq = NULL;
    cr_generate_opts_default(&g, s->policy);
    g.max_new_tokens = o->max_new_tokens;
    g.temperature = o->temperature;
    g.top_p = o->top_p;
    g.top_k = o->top_k;
    g.seed = prompt_seed(o->seed, json_string_value(json_object_get(entry, "id")));
    g.logprobs = true;
    enum critic_status status =
        cr_prefer_prompt(&prompt, s->policy, entry, s->folder, o, err);
    if (status == CRITIC_OK)
        status = cr_engine_prefill(s->policy, prompt, &seq, &usage, err);
    if (status == CRITIC_OK) {
        status = cr_generate(seq, o->k, &g, answers, &usage, err);
        json_t *list = json_array();
        for (size_t i = 0; i < o->k; i++) {
            if (status == CRITIC_OK)
                json_array_append_new(list, answer_json(&answers[i], o->keep_ids));
            cr_completion_fini(&answers[i]);
        }
        *out = result_line(s, entry, "ok");
        json_object_set_new(*out, "answers", list);
    }
    s->counts->prompt_tokens += usage.prompt_tokens;
    s->counts->cached_tokens += usage.cached_tokens;
    s->counts->completion_tokens += usage.completion_tokens;
    cr_seq_free(seq);
    cr_prompt_free(prompt);
    return status;
}

/* A fault of the prompt is a line of its own; lack of memory or a wish to stop ends the run. */
static enum critic_status do_prompt(struct stage *s, json_t *entry, critic_error *err) {
    json_t *line = NULL;
    critic_error fault = {0};
    enum critic_status status = sample_prompt(s, entry, &line, &fault);
    if (status != CRITIC_OK) {
        json_decref(line);
        if (status == CRITIC_CANCELLED || status == CRITIC_NO_MEMORY)
            return cr_fail(err, status, "%s", fault.message);
        line = result_line(s, entry, "error");
        json_object_set_new(line, "error", json_string(fault.message));
        s->counts->n_faults++;
    }
    CR_TRY(cr_ledger_append(&s->log, line, err));
    s->counts->n_done++;
    return CRITIC_OK;
}

static void count_old(void *user, const json_t *line) {
    struct cr_prefer_counts *counts = user;
    const char *status = json_string_value(json_object_get(line, "status"));
    counts->n_there++;
    counts->n_faults += status && strcmp(status, "error") == 0;
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
    json_t *stamp = stamp_of(&s);
    enum critic_status status = cr_ledger_open(&s.log, samples, stamp, opts, err);
    for (size_t i = 0; i < counts->n_total && status == CRITIC_OK; i++) {
        json_t *entry = json_array_get(prompts, i);
        if (cr_ledger_has(&s.log, json_string_value(json_object_get(entry, "id"))))
            continue;
        if (opts->cancel && opts->cancel(opts->user))
            status = cr_fail(err, CRITIC_CANCELLED, "cancelled");
        else
            status = do_prompt(&s, entry, err);
        if (status == CRITIC_OK && opts->on_item)
            opts->on_item(opts->user, counts);
    }
    cr_ledger_close(&s.log);
    json_decref(stamp);
    return status;
}
