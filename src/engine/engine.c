#include "engine/engine.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "base/clock.h"
#include "engine/internal.h"
#include "engine/open_tokenizer.h"
#include "engine/random_model.h"
#include "kernel/attention.h"

/* Parameter tables of the deepest network there is: pages are taken when touched. */
#define TABLE_BYTES ((size_t)64 << 20)

void cr_engine_opts_default(struct cr_engine_opts *opts) {
    *opts = (struct cr_engine_opts){.exec = {.isa = cr_isa_best()}};
    cr_image_limits_default(&opts->image_limits);
}

void cr_engine_log(const struct cr_engine *e, int level, const char *fmt, ...) {
    if (!e->opts.log)
        return;
    char line[512];
    va_list args;
    va_start(args, fmt);
    vsnprintf(line, sizeof line, fmt, args);
    va_end(args);
    e->opts.log(e->opts.log_user, level, line);
}

size_t cr_engine_pass_rows(const struct cr_engine *e, size_t left) {
    size_t most = e->opts.prefill_chunk,
           even = CR_CEIL_DIV(left, CR_CEIL_DIV(left, most));
    even = CR_CEIL_DIV(even, (size_t)CR_ATTENTION_ROWS) * CR_ATTENTION_ROWS;
    return CR_MIN(CR_MIN(even, most), left);
}

bool cr_engine_cancelled(const struct cr_engine *e) {
    return e->opts.cancel && e->opts.cancel(e->opts.cancel_user);
}

void cr_engine_set_cancel(struct cr_engine *e, cr_cancel_fn *cancel, void *user) {
    e->opts.cancel = cancel;
    e->opts.cancel_user = user;
}

void cr_engine_free(struct cr_engine *e) {
    if (!e)
        return;
    cr_engine_drop_cache(e);
    cr_feature_files_close(e->feature_files);
    cr_kv_fini(&e->kv);
    cr_exec_free(e->exec);
    cr_tokenizer_free(e->tokenizer);
    cr_store_close(e->store);
    cr_arena_fini(&e->arena);
    cr_arena_fini(&e->packed);
    free(e->logits);
    free(e->page_seen);
    free(e->name);
    free(e);
}

static enum critic_status open_tokenizer(struct cr_engine *e, critic_error *err) {
    if (cr_store_gguf(e->store))
        return cr_engine_tokenizer_from_gguf(&e->tokenizer, cr_store_gguf(e->store),
                                             e->name, err);
    return cr_tokenizer_open(&e->tokenizer, cr_store_dir(e->store), err);
}

/* Which ids may be sampled, and which end a text: what the checkpoint names, and ChatML's own two
 * wherever the tokenizer has them. */
static void set_ids(struct cr_engine *e) {
    static const char *const ends[] = {"<|im_end|>", "<|endoftext|>"};
    e->n_valid_ids = e->config.text.vocab;
    for (size_t i = 0; i < e->config.n_eos; i++)
        e->end_ids[e->n_end_ids++] = e->config.eos_ids[i];
    if (!e->tokenizer)
        return;
    e->n_valid_ids = CR_MIN(e->n_valid_ids, cr_tokenizer_size(e->tokenizer));
    for (size_t i = 0; i < CR_COUNT(ends); i++)
        e->end_ids[e->n_end_ids++] = cr_tokenizer_find(e->tokenizer, cr_str_of(ends[i]));
}

static bool is_packed(const struct cr_engine *e) {
    return e->store && cr_store_is_packed(e->store);
}

/* A packed file is computed in what it holds: the options may say so or leave it open. */
static enum critic_status use_packed(struct cr_engine *e, critic_error *err) {
    bool four = cr_store_packing(e->store) == CR_PANEL4;
    enum cr_weights own = four ? CR_WEIGHTS_Q4 : CR_WEIGHTS_INT8;
    bool is_open =
        e->opts.weights == CR_WEIGHTS_FILE && e->opts.exec.compute == CR_COMPUTE_AUTO;
    if (!is_open && e->opts.weights != own)
        return cr_fail(err, CRITIC_BAD_ARGUMENT,
                       "%s: a packed file of %s weights has no others; expected --dtype "
                       "auto or %s",
                       e->name, four ? "q4" : "int8", four ? "q4" : "int8");
    e->opts.weights = own;
    CR_TRY(cr_params_use_panels(&e->model.params, &e->config, &e->arena, err));
    cr_engine_log(e, 1, "weights of %d bits used in place from the file", four ? 4 : 8);
    return CRITIC_OK;
}

static enum critic_status quantise(struct cr_engine *e, critic_error *err) {
    if (is_packed(e) || e->opts.weights == CR_WEIGHTS_FILE)
        return CRITIC_OK;
    bool four = e->opts.weights == CR_WEIGHTS_Q4;
    enum cr_packing packing = four ? CR_PACK_INT4 : CR_PACK_INT8;
    size_t bytes = cr_params_quantised_bytes(&e->model.params, &e->config, packing);
    double start = cr_clock_seconds();
    CR_TRY(cr_arena_init(&e->packed, bytes, err));
    cr_arena_use_huge_pages(&e->packed);
    CR_TRY(cr_params_quantise(&e->model.params, &e->config, packing, &e->packed,
                              e->opts.cancel, e->opts.cancel_user, e->exec, err));
    cr_engine_log(e, 1, "weights quantised to %d bits: %.2f GiB in %.1f s", four ? 4 : 8,
                  (double)e->packed.used / (1 << 30), cr_clock_seconds() - start);
    return CRITIC_OK;
}

/* Below this many parameters a network is small: a pass is over before a second thread is awake, and where other work
 * holds the cores it is waited for: 0.1 s with one thread, 7 s with two, for a micro verdict. */
#define MIN_THREADED 16e6

/* A small network in bf16: its weights once more cost little memory, and its sums are so short that
 * the row kernels of a step, made for weights that come from memory, spend their time elsewhere. */
static enum critic_status lay_out(struct cr_engine *e, critic_error *err) {
    if (e->opts.weights != CR_WEIGHTS_FILE || !e->exec->tiles ||
        e->exec->act != CR_BF16 || cr_params_elements(&e->config) >= MIN_THREADED)
        return CRITIC_OK;
    CR_TRY(cr_arena_init(&e->packed, cr_params_panels_bytes(&e->model.params, &e->config),
                         err));
    return cr_params_make_panels(&e->model.params, &e->config, &e->packed, e->exec, err);
}

/* Where products take 8 bits, so do those of attention. */
static enum cr_dtype kv_dtype(const struct cr_engine *e) {
    static const enum cr_dtype types[] = {
        [CR_KV_F32] = CR_F32, [CR_KV_BF16] = CR_BF16, [CR_KV_INT8] = CR_Q8_0};
    if (e->opts.kv_type != CR_KV_AUTO)
        return types[e->opts.kv_type];
    bool in_8_bits = e->opts.weights != CR_WEIGHTS_FILE && e->exec->act == CR_BF16;
    return in_8_bits ? CR_I8 : e->exec->act;
}

/* Everything that follows from config and parameters: kernels, KV pool, logits row. */
static enum critic_status set_up(struct cr_engine *e, critic_error *err) {
    if (e->opts.exec.n_threads == 0 && cr_params_elements(&e->config) < MIN_THREADED)
        e->opts.exec.n_threads = 1;
    CR_TRY(cr_exec_new(&e->exec, &e->opts.exec, err));
    CR_TRY(quantise(e, err));
    CR_TRY(lay_out(e, err));
    e->model.config = &e->config;
    size_t most = e->config.text.max_positions;
    e->context = e->opts.context ? CR_MIN(e->opts.context, most) : most;
    /* Fewer rows stay nearer the cache, but bf16 packs and 4 bits widen every weight for each pass. */
    const struct cr_packed *packed = e->model.params.layers[0].down.packed;
    if (e->opts.prefill_chunk == 0)
        e->opts.prefill_chunk = packed && packed->packing == CR_PACK_INT8 ? 1024 : 2048;
    if (e->opts.kv_bytes == 0)
        e->opts.kv_bytes = CR_MAX(cr_memory_bytes() / 2, (size_t)256 << 20);
    struct cr_kv_layout layout = cr_kv_layout_make(&e->config.text, kv_dtype(e), e->exec);
    CR_ASSERT(layout.page_len == CR_PAGE_LEN);
    if (e->opts.cache_bytes == 0)
        e->opts.cache_bytes = (size_t)1 << 30;
    CR_TRY(cr_kv_init(&e->kv, &layout, e->opts.kv_bytes, err));
    e->page_seen = calloc(e->kv.n_pages, sizeof *e->page_seen);
    e->logits = malloc(e->config.text.vocab * sizeof *e->logits);
    if (!e->logits || !e->page_seen)
        return cr_fail(err, CRITIC_NO_MEMORY, "out of memory for a row of logits");
    set_ids(e);
    return CRITIC_OK;
}

static void warn_of_files(void *user, const char *line) {
    cr_engine_log(user, 0, "%s", line);
}

/* All that a picture's features follow from but the picture: weights, shapes, processing,
 * precision, kernels. */
static enum critic_status open_feature_files(struct cr_engine *e, critic_error *err) {
    const struct cr_config *c = &e->config;
    size_t least = cr_vision_grid(&c->vision) * cr_vision_grid(&c->vision) *
                   c->text.width * sizeof(float);
    struct cr_buf salt;
    cr_buf_init(&salt, (size_t)1 << 16);
    if (e->opts.cache_dir_bytes == 0)
        e->opts.cache_dir_bytes = (size_t)4 << 30;
    if (e->opts.cache_dir_bytes < least)
        return cr_fail(
            err, CRITIC_BAD_ARGUMENT,
            "%s: %zu bytes are too few for one picture's features; expected at "
            "least %zu",
            e->opts.cache_dir, e->opts.cache_dir_bytes, least);
    enum critic_status status =
        cr_buf_printf(&salt, err, "3 %s %s %s %d %d %d ", critic_version(), e->hash,
                      cr_engine_dtype(e), (int)e->exec->compute, (int)e->exec->isa,
                      (int)cr_engine_picture_config(e, 1).rounding);
    if (status == CRITIC_OK)
        status = cr_buf_append(&salt, &c->vision, sizeof c->vision, err);
    if (status == CRITIC_OK)
        status = cr_buf_append(&salt, &c->picture, sizeof c->picture, err);
    if (status == CRITIC_OK)
        status = cr_buf_append(&salt, &c->projector_act, sizeof c->projector_act, err);
    if (status == CRITIC_OK)
        status = cr_feature_files_open(&e->feature_files, e->opts.cache_dir,
                                       e->opts.cache_dir_bytes, cr_buf_str(&salt),
                                       warn_of_files, e, err);
    cr_buf_fini(&salt);
    return status;
}

static enum critic_status load(struct cr_engine *e, const char *model,
                               critic_error *err) {
    CR_TRY(cr_store_open(&e->store, model, err));
    CR_TRY(cr_config_read(&e->config, e->store, err));
    CR_TRY(cr_arena_init(&e->arena, TABLE_BYTES, err));
    CR_TRY(cr_params_init(&e->model.params, &e->config, &e->arena, err));
    CR_TRY(cr_params_bind(&e->model.params, &e->config, e->store, err));
    if (is_packed(e))
        CR_TRY(use_packed(e, err));
    CR_TRY(open_tokenizer(e, err));
    cr_store_hash(e->store, e->hash);
    CR_TRY(set_up(e, err));
    return e->opts.cache_dir && e->config.vision.present ? open_feature_files(e, err)
                                                         : CRITIC_OK;
}

static enum critic_status engine_new(struct cr_engine **out, const char *name,
                                     const struct cr_engine_opts *opts,
                                     critic_error *err) {
    *out = NULL;
    struct cr_engine *e = calloc(1, sizeof *e);
    char *copy = cr_str_dup(cr_str_of(name));
    if (!e || !copy) {
        free(e);
        free(copy);
        return cr_fail(err, CRITIC_NO_MEMORY, "out of memory for an engine");
    }
    e->opts = *opts;
    e->name = copy;
    *out = e;
    return CRITIC_OK;
}

enum critic_status cr_engine_open(struct cr_engine **out, const char *model,
                                  const struct cr_engine_opts *opts, critic_error *err) {
    CR_TRY(engine_new(out, model, opts, err));
    enum critic_status status = load(*out, model, err);
    if (status != CRITIC_OK) {
        cr_engine_free(*out);
        *out = NULL;
    }
    return status;
}

enum critic_status cr_engine_open_random(struct cr_engine **out,
                                         const struct cr_config *config,
                                         enum cr_dtype dtype, uint64_t seed,
                                         const struct cr_engine_opts *opts,
                                         critic_error *err) {
    CR_TRY(engine_new(out, "random weights", opts, err));
    struct cr_engine *e = *out;
    e->config = *config;
    memset(e->hash, '0', sizeof e->hash - 1);
    enum critic_status status =
        cr_arena_init(&e->arena, (size_t)64 << 30, err); /* address space only */
    if (status == CRITIC_OK)
        status = cr_params_init(&e->model.params, &e->config, &e->arena, err);
    if (status == CRITIC_OK)
        status =
            cr_params_random(&e->model.params, &e->config, dtype, seed, &e->arena, err);
    if (status == CRITIC_OK)
        status = set_up(e, err);
    if (status != CRITIC_OK) {
        cr_engine_free(e);
        *out = NULL;
    }
    return status;
}

enum critic_status cr_engine_reserve(struct cr_engine *e, size_t n_tokens,
                                     critic_error *err) {
    size_t n_pages = CR_CEIL_DIV(n_tokens, (size_t)CR_PAGE_LEN);
    double mib = (double)n_pages * (double)e->kv.layout.page_bytes / (1 << 20);
    if (n_pages > e->kv.n_pages)
        return cr_fail(
            err, CRITIC_NO_MEMORY,
            "keys and values of %zu tokens need %.0f MiB; the limit is %.0f MiB",
            n_tokens, mib, (double)e->opts.kv_bytes / (1 << 20));
    cr_engine_log(e, 1, "keys and values: %zu tokens, %.1f MiB", n_pages * CR_PAGE_LEN,
                  mib);
    return CRITIC_OK;
}

const struct cr_config *cr_engine_config(const struct cr_engine *e) {
    return &e->config;
}

const struct cr_tokenizer *cr_engine_tokenizer(const struct cr_engine *e) {
    return e->tokenizer;
}

struct cr_exec *cr_engine_exec(const struct cr_engine *e) {
    return e->exec;
}

const struct cr_model *cr_engine_model(const struct cr_engine *e) {
    return &e->model;
}

const char *cr_engine_dtype(const struct cr_engine *e) {
    if (e->opts.weights != CR_WEIGHTS_FILE)
        return e->opts.weights == CR_WEIGHTS_INT8 ? "int8" : "q4";
    return e->exec->compute == CR_COMPUTE_BF16 ? "bf16" : "f32";
}

const char *cr_engine_model_hash(const struct cr_engine *e) {
    return e->hash;
}

const char *cr_engine_model_name(const struct cr_engine *e) {
    return e->name;
}

size_t cr_engine_kv_bytes_per_token(const struct cr_engine *e) {
    return e->kv.layout.page_bytes / CR_PAGE_LEN;
}

size_t cr_engine_context(const struct cr_engine *e) {
    return e->context;
}
