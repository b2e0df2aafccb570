/* critic perplexity: how well a model foretells a text, and how that changes with precision. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "base/file.h"
#include "cli/cli.h"
#include "cli/progress.h"
#include "engine/perplexity.h"
#include "io/safetensors.h"

#define ARENA_BYTES ((size_t)64 << 20)

struct perplexity_flags {
    struct cr_common common;
    struct cr_str text;
    size_t window, max_tokens;
    const char *save, *against;
};

/* A text and what was foretold of it. */
struct run {
    struct cr_ids ids;
    struct cr_foretold *foretold;
};

struct summary {
    size_t n_scored;
    double nll; /* mean */
    /* Beside the run of --against. */
    double base_nll, same_top;
};

static void on_done(void *user, size_t n_tokens) {
    struct cr_progress *p = user;
    cr_progress_update(p, n_tokens, p->total);
}

static enum critic_status foretell(struct perplexity_flags *f, struct run *r,
                                   critic_error *err) {
    struct cr_engine *engine = NULL;
    struct cr_progress progress;
    cr_progress_begin(&progress, "foretelling", "tokens", f->common.quiet);
    f->common.progress = &progress;
    CR_TRY(cr_common_open(&f->common, &engine, err));
    enum critic_status status =
        cr_tokenizer_encode(cr_engine_tokenizer(engine), f->text, false, &r->ids, err);
    if (status == CRITIC_OK && f->max_tokens > 0)
        r->ids.len = CR_MIN(r->ids.len, f->max_tokens);
    if (status == CRITIC_OK && r->ids.len < 2)
        status =
            cr_fail(err, CRITIC_BAD_DATA, "the text has %zu token%s; expected at least 2",
                    r->ids.len, r->ids.len == 1 ? "" : "s");
    if (status == CRITIC_OK)
        r->foretold = calloc(r->ids.len, sizeof *r->foretold);
    if (status == CRITIC_OK && !r->foretold)
        status = cr_fail(err, CRITIC_NO_MEMORY, "out of memory");
    progress.total = r->ids.len;
    if (status == CRITIC_OK)
        status = cr_engine_foretell(engine, r->ids.data, r->ids.len, f->window,
                                    r->foretold, on_done, &progress, err);
    cr_progress_clear(&progress);
    cr_engine_free(engine);
    return status;
}

/* ---- what --save keeps ------------------------------------------------------------------------ */

static enum critic_status save(const struct run *r, size_t window, const char *path,
                               critic_error *err) {
    size_t n = r->ids.len;
    char window_text[24];
    snprintf(window_text, sizeof window_text, "%zu", window);
    const struct cr_file_tensor tensors[] = {
        {.name = "ids", .dtype = CR_I32, .n_dim = 1, .dim = {n}},
        {.name = "top", .dtype = CR_I32, .n_dim = 1, .dim = {n}},
        {.name = "logprob", .dtype = CR_F32, .n_dim = 1, .dim = {n}}};
    const struct cr_safetensors_note note = {"window", window_text};
    struct cr_safetensors_writer w = {0};
    CR_TRY(cr_safetensors_create(&w, path, tensors, CR_COUNT(tensors), &note, 1, err));
    enum critic_status status =
        cr_safetensors_write(&w, r->ids.data, n * sizeof *r->ids.data, err);
    for (size_t i = 0; status == CRITIC_OK && i < n; i++)
        status = cr_safetensors_write(&w, &r->foretold[i].top, sizeof(int32_t), err);
    for (size_t i = 0; status == CRITIC_OK && i < n; i++)
        status = cr_safetensors_write(&w, &r->foretold[i].logprob, sizeof(float), err);
    if (status == CRITIC_OK)
        return cr_safetensors_commit(&w, err);
    cr_safetensors_abort(&w);
    return status;
}

static const void *saved_column(const struct cr_safetensors *s, const char *name,
                                enum cr_dtype dtype, size_t n) {
    const struct cr_file_tensor *t = cr_safetensors_find(s, name);
    return t && t->dtype == dtype && t->n_dim == 1 && t->dim[0] == n ? t->data : NULL;
}

static bool same_window(const struct cr_safetensors *s, size_t window) {
    for (size_t i = 0; i < s->n_notes; i++)
        if (strcmp(s->notes[i].key, "window") == 0)
            return strtoull(s->notes[i].value, NULL, 10) == window;
    return false;
}

static enum critic_status compare(const struct run *r, const struct cr_safetensors *s,
                                  const char *path, size_t window, struct summary *sum,
                                  critic_error *err) {
    size_t n = r->ids.len, n_same = 0;
    const int32_t *ids = saved_column(s, "ids", CR_I32, n);
    const int32_t *top = saved_column(s, "top", CR_I32, n);
    const float *logprob = saved_column(s, "logprob", CR_F32, n);
    if (!ids || !top || !logprob || !same_window(s, window) ||
        memcmp(ids, r->ids.data, n * sizeof *ids) != 0)
        return cr_fail(err, CRITIC_BAD_DATA,
                       "%s: was not written by --save for the same text, tokenizer and "
                       "window",
                       path);
    for (size_t i = 0; i < n; i++) {
        if (!r->foretold[i].scored)
            continue;
        sum->base_nll -= (double)logprob[i] / (double)sum->n_scored;
        n_same += top[i] == r->foretold[i].top;
    }
    sum->same_top = (double)n_same / (double)sum->n_scored;
    return CRITIC_OK;
}

static enum critic_status compare_file(const struct run *r, const char *path,
                                       size_t window, struct summary *sum,
                                       critic_error *err) {
    struct cr_arena arena;
    struct cr_safetensors s = {0};
    CR_TRY(cr_arena_init(&arena, ARENA_BYTES, err));
    enum critic_status status = cr_safetensors_open(&s, &arena, path, err);
    if (status == CRITIC_OK)
        status = compare(r, &s, path, window, sum, err);
    cr_safetensors_close(&s);
    cr_arena_fini(&arena);
    return status;
}

/* ---- the result ------------------------------------------------------------------------------- */

static enum critic_status print_summary(const struct perplexity_flags *f,
                                        const struct summary *s, critic_error *err) {
    double ratio = exp(s->nll - s->base_nll);
    if (f->common.json) {
        json_t *root = json_pack("{s:I,s:f,s:f}", "tokens", (json_int_t)s->n_scored,
                                 "nll", s->nll, "perplexity", exp(s->nll));
        if (root && f->against) {
            json_object_set_new(root, "base_perplexity", json_real(exp(s->base_nll)));
            json_object_set_new(root, "ratio", json_real(ratio));
            json_object_set_new(root, "same_top", json_real(s->same_top));
        }
        return cr_print_json(root, err);
    }
    printf("perplexity %.4f over %zu tokens", exp(s->nll), s->n_scored);
    if (f->against)
        printf(", %.4f times that of %s; the same likeliest token in %.2f %%", ratio,
               f->against, 100 * s->same_top);
    putchar('\n');
    return CRITIC_OK;
}

static enum critic_status summarise(const struct perplexity_flags *f, const struct run *r,
                                    critic_error *err) {
    struct summary s = {0};
    for (size_t i = 0; i < r->ids.len; i++)
        s.n_scored += r->foretold[i].scored;
    for (size_t i = 0; i < r->ids.len; i++)
        s.nll -= r->foretold[i].scored ? (double)r->foretold[i].logprob : 0;
    s.nll /= (double)s.n_scored;
    if (!isfinite(s.nll))
        return cr_fail(err, CRITIC_BAD_MODEL, "the model's probabilities are not finite");
    if (f->against)
        CR_TRY(compare_file(r, f->against, f->window, &s, err));
    if (f->save)
        CR_TRY(save(r, f->window, f->save, err));
    return print_summary(f, &s, err);
}

static enum critic_status run_parsed(struct perplexity_flags *f,
                                     const struct cr_args *args, critic_error *err) {
    struct run r = {0};
    if (!f->text.data)
        return cr_fail(err, CRITIC_BAD_ARGUMENT, "no text: give --text-file or --text");
    if (f->save && f->against)
        CR_TRY(cr_file_apart(f->against, f->save, err));
    for (size_t i = 0; f->save && i < args->files.n; i++)
        CR_TRY(cr_file_apart(args->files.items[i].data, f->save, err));
    cr_ids_init(&r.ids);
    enum critic_status status = foretell(f, &r, err);
    if (status == CRITIC_OK)
        status = summarise(f, &r, err);
    cr_ids_fini(&r.ids);
    free(r.foretold);
    return status;
}

int cr_cmd_perplexity(int n_args, const char *const *args) {
    struct perplexity_flags f = {.window = 1024};
    critic_error err = {0};
    cr_common_init(&f.common);
    const struct cr_flag flags[] = {
        CR_MODEL_FLAG(f.common),
        {"text", 0, CR_FLAG_TEXT, &f.text, "TEXT",
         "the text; special tokens are not parsed", 0, 0},
        {"window", 0, CR_FLAG_SIZE, &f.window, "N",
         "tokens that are read from nothing at a time (default 1024)", 2, 1e9},
        {"max-tokens", 0, CR_FLAG_SIZE, &f.max_tokens, "N",
         "no more than the first N tokens of the text; 0: all", 0, 0},
        {"save", 0, CR_FLAG_STR, &f.save, "FILE",
         "keep each token's log-probability and the likeliest token (safetensors)", 0, 0},
        {"against", 0, CR_FLAG_STR, &f.against, "FILE",
         "what --save kept of another precision: ratio of perplexities, share of the "
         "same "
         "likeliest token",
         0, 0},
        CR_MACHINE_FLAGS(f.common),
        CR_PICTURE_FLAGS(f.common),
        CR_OUTPUT_FLAGS(f.common),
        CR_END_FLAGS};
    const struct cr_args_spec spec = {
        .command = "perplexity",
        .usage = "--model MODEL --text-file FILE [--save FILE] [--against FILE]",
        .about = "How well a model foretells a text, and what another precision makes of "
                 "that. The text is\nread in windows, each from nothing; all tokens but "
                 "the first of a window count.",
        .example =
            "critic perplexity --model ./model --text-file text.txt --dtype bf16 \\\n"
            "    --save bf16.safetensors\n"
            "critic perplexity --model ./model --text-file text.txt --dtype int8 \\\n"
            "    --against bf16.safetensors",
        .flags = flags};
    struct cr_args parsed;
    int status = cr_command_begin(&parsed, &spec, n_args, args);
    if (status >= 0)
        return status;
    return cr_command_end(&parsed, cr_outcome(run_parsed(&f, &parsed, &err), &err));
}
