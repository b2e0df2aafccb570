/* critic generate: answers to a prompt about pictures. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "cli/generate.h"
#include "cli/signals.h"

/* ---- JSON ------------------------------------------------------------------------------------ */

static json_t *completion_json(const struct cr_completion *c, bool logprobs) {
    static const char *const reasons[] = {[CR_FINISH_STOP] = "stop",
                                          [CR_FINISH_LENGTH] = "length",
                                          [CR_FINISH_CANCELLED] = "cancelled"};
    json_t *ids = json_array();
    for (size_t i = 0; i < c->ids.len; i++)
        json_array_append_new(ids, json_integer(c->ids.data[i]));
    json_t *object = json_pack(
        "{s:o,s:o}", "text", json_stringn(c->text.data ? c->text.data : "", c->text.len),
        "token_ids", ids);
    if (!object)
        return NULL;
    if (logprobs) {
        json_t *list = json_array();
        for (size_t i = 0; i < c->ids.len; i++)
            json_array_append_new(list, json_real((double)c->logprobs[i]));
        json_object_set_new(object, "logprobs", list);
    }
    json_object_set_new(object, "finish_reason", json_string(reasons[c->finish]));
    return object;
}

static json_t *usage_json(const struct cr_usage *u) {
    return json_pack("{s:I,s:I,s:I,s:I,s:f}", "prompt_tokens",
                     (json_int_t)u->prompt_tokens, "cached_tokens",
                     (json_int_t)u->cached_tokens, "completion_tokens",
                     (json_int_t)u->completion_tokens, "image_tiles",
                     (json_int_t)u->image_tiles, "seconds", u->seconds);
}

json_t *cr_completions_json(const struct cr_generate_flags *f, const struct cr_engine *e,
                            const struct cr_completion *samples,
                            const struct cr_usage *usage, const char *id) {
    json_t *root = json_object();
    if (id)
        json_object_set_new(root, "id", json_string(id));
    json_object_set_new(root, "status", json_string("ok"));
    if (f->n == 1) {
        json_t *one = completion_json(&samples[0], f->opts.logprobs);
        json_object_update(root, one);
        json_decref(one);
    } else {
        json_t *list = json_array();
        for (size_t i = 0; i < f->n; i++)
            json_array_append_new(list, completion_json(&samples[i], f->opts.logprobs));
        json_object_set_new(root, "samples", list);
    }
    json_object_set_new(root, "usage", usage_json(usage));
    json_object_set_new(root, "model", json_string(cr_engine_model_name(e)));
    json_object_set_new(root, "model_hash", json_string(cr_engine_model_hash(e)));
    json_object_set_new(root, "seed", json_integer((json_int_t)f->opts.seed));
    json_object_set_new(root, "version", json_string(critic_version()));
    return root;
}

/* ---- one prompt ---------------------------------------------------------------------------------- */

static void on_text(void *user, size_t index, struct cr_str piece) {
    const struct cr_generate_flags *f = user;
    if (index > 0 || f->n > 1)
        return;
    cr_progress_clear(f->progress);
    f->progress->quiet = true; /* the text shows that it goes on */
    cr_print_text(piece);
    fflush(stdout);
}

static void print_samples(const struct cr_generate_flags *f,
                          const struct cr_completion *samples) {
    for (size_t i = 0; i < f->n; i++) {
        if (f->n > 1) {
            printf("%s[%zu]\n", i ? "\n" : "", i + 1);
            cr_print_text(cr_buf_str(&samples[i].text));
        }
        putchar('\n');
    }
}

static void print_usage_line(const struct cr_generate_flags *f,
                             const struct cr_usage *u) {
    if (f->common.quiet || f->common.json)
        return;
    fflush(stdout);
    fprintf(
        stderr,
        "%zu prompt tokens (%zu from a shared prefix), %zu written, %zu picture tiles, "
        "%.2f s\n",
        u->prompt_tokens, u->cached_tokens, u->completion_tokens, u->image_tiles,
        u->seconds);
}

static enum critic_status generate_one(struct cr_generate_flags *f, struct cr_engine *e,
                                       critic_error *err) {
    struct cr_usage usage = {0};
    struct cr_prompt *prompt = NULL;
    struct cr_seq *seq = NULL;
    struct cr_completion *samples = calloc(f->n, sizeof *samples);
    if (!samples)
        return cr_fail(err, CRITIC_NO_MEMORY, "out of memory");
    enum critic_status status =
        cr_prompt_from_flags(&prompt, e, &f->prompt, &f->common.limits, err);
    if (status == CRITIC_OK)
        status = cr_engine_prefill(e, prompt, &seq, &usage, err);
    if (!f->common.json) {
        f->opts.on_text = on_text;
        f->opts.user = f;
    }
    bool started = status == CRITIC_OK;
    if (started)
        status = cr_generate(seq, f->n, &f->opts, samples, &usage, err);
    cr_progress_clear(f->progress);
    if (status == CRITIC_OK && f->common.json)
        status = cr_print_json(cr_completions_json(f, e, samples, &usage, NULL), err);
    else if (started && !f->common.json)
        print_samples(f, samples);
    if (status == CRITIC_OK)
        print_usage_line(f, &usage);
    for (size_t i = 0; i < f->n; i++)
        if (started)
            cr_completion_fini(&samples[i]);
    free(samples);
    cr_seq_free(seq);
    cr_prompt_free(prompt);
    return status;
}

/* ---- command ---------------------------------------------------------------------------------------- */

static enum critic_status check_flags(const struct cr_generate_flags *f,
                                      critic_error *err) {
    bool has_prompt = f->prompt.text.data || f->prompt.images.n > 0;
    if (f->input && has_prompt)
        return cr_fail(err, CRITIC_BAD_ARGUMENT,
                       "--input brings its own prompts: leave out --prompt and --image");
    if (!f->input && (f->output || f->resume || f->force))
        return cr_fail(err, CRITIC_BAD_ARGUMENT,
                       "--output, --resume and --force belong to --input");
    if (f->greedy && f->temperature > 0)
        return cr_fail(err, CRITIC_BAD_ARGUMENT,
                       "--greedy and --temperature contradict each other");
    if (f->n > 1 && !(f->temperature > 0))
        return cr_fail(err, CRITIC_BAD_ARGUMENT,
                       "%zu greedy samples would be one and the same: -n wants "
                       "--temperature",
                       f->n);
    if (f->critic && !f->refine)
        return cr_fail(err, CRITIC_BAD_ARGUMENT, "--critic belongs to --refine");
    if (f->refine && (f->n > 1 || f->input || f->prompt.raw))
        return cr_fail(
            err, CRITIC_BAD_ARGUMENT,
            "--refine takes one --prompt and gives one answer: leave out --samples, "
            "--input and --raw");
    return f->input ? CRITIC_OK : cr_prompt_flags_check(&f->prompt, err);
}

static void fill_opts(struct cr_generate_flags *f, const struct cr_engine *e) {
    uint64_t seed = f->opts.seed;
    size_t lookup = f->opts.lookup;
    bool logprobs = f->opts.logprobs;
    cr_generate_opts_default(&f->opts, e);
    f->opts.seed = seed;
    f->opts.lookup = lookup;
    f->opts.logprobs = logprobs;
    f->opts.stop = f->stop.items;
    f->opts.n_stop = f->stop.n;
    if (!isnan(f->temperature))
        f->opts.temperature = f->temperature;
    if (!isnan(f->top_p))
        f->opts.top_p = f->top_p;
    if (f->top_k != SIZE_MAX)
        f->opts.top_k = f->top_k;
    if (f->max_new_tokens != SIZE_MAX)
        f->opts.max_new_tokens = f->max_new_tokens;
    if (f->greedy)
        f->opts.temperature = 0;
}

static int run_parsed(struct cr_generate_flags *f) {
    struct cr_engine *engine = NULL;
    struct cr_progress progress;
    critic_error err = {0};
    int exit_status = CR_EXIT_DONE;
    cr_progress_begin(&progress, "generating", "prompts", f->common.quiet);
    f->progress = &progress;
    f->common.progress = &progress;
    enum critic_status status = check_flags(f, &err);
    if (status == CRITIC_OK)
        status = cr_common_open(&f->common, &engine, &err);
    if (status == CRITIC_OK) {
        fill_opts(f, engine);
        status = f->input    ? cr_generate_batch(f, engine, &exit_status, &err)
                 : f->refine ? cr_generate_refined(f, engine, &err)
                             : generate_one(f, engine, &err);
    }
    cr_progress_clear(&progress);
    cr_engine_free(engine);
    return status == CRITIC_OK ? exit_status : cr_report(&err);
}

int cr_cmd_generate(int n_args, const char *const *args) {
    struct cr_generate_flags f = {.n = 1,
                                  .temperature = NAN,
                                  .top_p = NAN,
                                  .top_k = SIZE_MAX,
                                  .max_new_tokens = SIZE_MAX};
    cr_common_init(&f.common);
    const struct cr_flag flags[] = {
        CR_MODEL_FLAG(f.common),
        CR_PROMPT_FLAGS(f.prompt),
        {"sampling", 0, CR_FLAG_TITLE, 0, 0, 0, 0, 0},
        {"samples", 'n', CR_FLAG_SIZE, &f.n, "K",
         "K samples of the prompt, which is computed once", 1, 4096},
        {"temperature", 0, CR_FLAG_DOUBLE, &f.temperature, "T", "0: greedy (default)", 0,
         100},
        {"top-p", 0, CR_FLAG_DOUBLE, &f.top_p, "P", "nucleus sampling; 1: off", 0, 1},
        {"top-k", 0, CR_FLAG_SIZE, &f.top_k, "K", "0: off", 0, 1e9},
        {"greedy", 0, CR_FLAG_BOOL, &f.greedy, NULL, "always the likeliest token", 0, 0},
        {"seed", 0, CR_FLAG_U64, &f.opts.seed, "N", "of sampling (default 0)", 0, 0},
        {"max-new-tokens", 0, CR_FLAG_SIZE, &f.max_new_tokens, "N",
         "longest answer (default 512)", 1, 1e9},
        CR_LOOKUP_FLAG(f.opts.lookup, "0"),
        {"stop", 0, CR_FLAG_TEXTS, &f.stop, "TEXT",
         "end before the first of these; repeats", 0, 0},
        {"logprobs", 0, CR_FLAG_BOOL, &f.opts.logprobs, NULL,
         "with --json: log-probability of every token", 0, 0},
        {"refine", 0, CR_FLAG_SIZE, &f.refine, "R",
         "R rounds of critique and revision; the answer that the critic prefers stays", 1,
         64},
        {"critic", 0, CR_FLAG_STR, &f.critic, "MODEL",
         "who critiques and compares; default: the model itself", 0, 0},
        {"many prompts", 0, CR_FLAG_TITLE, 0, 0, 0, 0, 0},
        {"input", 0, CR_FLAG_STR, &f.input, "FILE",
         "JSON lines: id, images, prompt (-: standard input)", 0, 0},
        {"output", 'o', CR_FLAG_STR, &f.output, "FILE",
         "JSON lines, appended one by one (default: standard output)", 0, 0},
        {"resume", 0, CR_FLAG_BOOL, &f.resume, NULL,
         "go on with an output that is there; finished items are skipped", 0, 0},
        {"force", 0, CR_FLAG_BOOL, &f.force, NULL, "empty an output that is there", 0, 0},
        CR_MACHINE_FLAGS(f.common),
        CR_PICTURE_FLAGS(f.common),
        CR_OUTPUT_FLAGS(f.common),
        CR_END_FLAGS};
    const struct cr_args_spec spec = {
        .command = "generate",
        .usage = "--model MODEL [--image FILE]… --prompt TEXT",
        .about = "Lets the model answer a prompt. The text is written as it comes.",
        .example =
            "critic generate --model ./model --image cat.jpg --prompt 'Describe it.'\n"
            "critic generate --model ./model --prompt-file p.txt -n 4 --temperature 0.7 "
            "--json",
        .flags = flags};
    struct cr_args parsed;
    int status = cr_command_begin(&parsed, &spec, n_args, args);
    if (status >= 0)
        return status;
    return cr_command_end(&parsed, run_parsed(&f));
}
