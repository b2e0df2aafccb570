#include <stdlib.h>
#include <string.h>

#include "api/api.h"

struct critic_completion {
    size_t n;
    struct cr_completion *samples;
    struct cr_usage usage;
};

/* The public callback and whom it belongs to. */
struct text_relay {
    void (*on_text)(void *user, size_t index, const char *text, size_t len);
    void *user;
};

void critic_generate_options_default(critic_generate_options *options) {
    *options = (critic_generate_options){.n = 1, .max_new_tokens = 512, .top_p = 1};
}

struct cr_str *cr_api_strs(const critic_text *texts, size_t n) {
    struct cr_str *strs = calloc(n + 1, sizeof *strs);
    for (size_t i = 0; strs && i < n; i++)
        strs[i] = cr_api_str(texts[i]);
    return strs;
}

static void relay_text(void *user, size_t index, struct cr_str piece) {
    const struct text_relay *relay = user;
    relay->on_text(relay->user, index, piece.data, piece.len);
}

static enum critic_status build_prompt(struct cr_prompt **out, struct cr_engine *engine,
                                       const struct cr_image *images, size_t n_images,
                                       struct cr_str text,
                                       const critic_generate_options *o,
                                       critic_error *err) {
    CR_TRY(cr_prompt_new(out, engine, err));
    if (o->raw)
        CR_TRY(cr_prompt_raw(*out, text, images, n_images, err));
    else
        CR_TRY(cr_prompt_chat(*out, images, n_images, cr_api_str(o->system), text, err));
    return cr_prompt_finish(*out, err);
}

static enum critic_status run(critic_engine *engine, const struct cr_image *images,
                              size_t n_images, struct cr_str text,
                              const critic_generate_options *o, const struct cr_str *stop,
                              critic_completion *c, critic_error *err) {
    struct text_relay relay = {o->on_text, o->user};
    struct cr_generate_opts opts;
    struct cr_prompt *prompt = NULL;
    struct cr_seq *seq = NULL;
    cr_generate_opts_default(&opts, engine->engine);
    opts.max_new_tokens = o->max_new_tokens;
    opts.temperature = o->temperature;
    opts.top_p = o->top_p;
    opts.top_k = o->top_k;
    opts.seed = o->seed;
    opts.stop = stop;
    opts.n_stop = o->n_stop;
    opts.logprobs = o->logprobs;
    opts.on_text = o->on_text ? relay_text : NULL;
    opts.user = &relay;
    enum critic_status status =
        build_prompt(&prompt, engine->engine, images, n_images, text, o, err);
    if (status == CRITIC_OK)
        status = cr_engine_prefill(engine->engine, prompt, &seq, &c->usage, err);
    if (status == CRITIC_OK) {
        c->n = o->n;
        status = cr_generate(seq, o->n, &opts, c->samples, &c->usage, err);
    }
    cr_seq_free(seq);
    cr_prompt_free(prompt);
    return status;
}

enum critic_status critic_generate(critic_engine *engine, critic_image *const *images,
                                   size_t n_images, critic_text prompt,
                                   const critic_generate_options *options,
                                   critic_completion **out, critic_error *err) {
    critic_generate_options defaults;
    *out = NULL;
    if (!options) {
        critic_generate_options_default(&defaults);
        options = &defaults;
    }
    if (options->n == 0 || options->max_new_tokens == 0 || !(options->temperature >= 0) ||
        !(options->top_p >= 0))
        return cr_fail(err, CRITIC_BAD_ARGUMENT,
                       "n or max_new_tokens is 0, or temperature or top_p is negative");
    critic_completion *c = calloc(1, sizeof *c);
    struct cr_image *views = cr_api_images(images, n_images);
    struct cr_str *stop = cr_api_strs(options->stop, options->n_stop);
    if (c)
        c->samples = calloc(options->n, sizeof *c->samples);
    enum critic_status status =
        c && c->samples && views && stop
            ? run(engine, views, n_images, cr_api_str(prompt), options, stop, c, err)
            : cr_fail(err, CRITIC_NO_MEMORY, "out of memory for a completion");
    free(views);
    free(stop);
    if (status != CRITIC_OK)
        critic_completion_free(c);
    else
        *out = c;
    return cr_api_end_call(engine, status);
}

void critic_completion_free(critic_completion *c) {
    if (!c)
        return;
    for (size_t i = 0; i < c->n; i++)
        cr_completion_fini(&c->samples[i]);
    free(c->samples);
    free(c);
}

critic_text critic_completion_text(const critic_completion *c, size_t i) {
    CR_ASSERT(i < c->n);
    struct cr_str text = cr_buf_str(&c->samples[i].text);
    return text.data ? cr_api_text(text) : critic_text_of("");
}

const int32_t *critic_completion_ids(const critic_completion *c, size_t i, size_t *n) {
    CR_ASSERT(i < c->n);
    *n = c->samples[i].ids.len;
    return c->samples[i].ids.data;
}

const float *critic_completion_logprobs(const critic_completion *c, size_t i) {
    CR_ASSERT(i < c->n);
    return c->samples[i].logprobs;
}

enum critic_finish critic_completion_finish(const critic_completion *c, size_t i) {
    CR_ASSERT(i < c->n);
    return c->samples[i].finish == CR_FINISH_STOP ? CRITIC_FINISH_STOP
                                                  : CRITIC_FINISH_LENGTH;
}

critic_usage critic_completion_usage(const critic_completion *c) {
    const struct cr_usage *u = &c->usage;
    return (critic_usage){.prompt_tokens = u->prompt_tokens,
                          .cached_tokens = u->cached_tokens,
                          .completion_tokens = u->completion_tokens,
                          .image_tiles = u->image_tiles,
                          .seconds = u->seconds};
}
