#include <stdlib.h>
#include <string.h>

#include "api/api.h"

void critic_engine_options_default(critic_engine_options *options) {
    memset(options, 0, sizeof *options);
}

static bool is_cancelled(void *user) {
    struct critic_engine *engine = user;
    return atomic_load(&engine->cancelled) ||
           (engine->cancel && engine->cancel(engine->user));
}

static void pass_log(void *user, int level, const char *line) {
    struct critic_engine *engine = user;
    engine->log(engine->user, level, line);
}

static enum critic_status fill_options(struct cr_engine_opts *to,
                                       const critic_engine_options *from,
                                       critic_error *err) {
    static const enum cr_compute compute[] = {
        [CRITIC_PRECISION_AUTO] = CR_COMPUTE_AUTO,
        [CRITIC_PRECISION_F32] = CR_COMPUTE_F32,
        [CRITIC_PRECISION_BF16] = CR_COMPUTE_BF16,
        [CRITIC_PRECISION_INT8] = CR_COMPUTE_AUTO,
        [CRITIC_PRECISION_Q4] = CR_COMPUTE_AUTO,
    };
    static const enum cr_preprocess preprocess[] = {
        [CRITIC_PREPROCESS_AUTO] = CR_PREPROCESS_AUTO,
        [CRITIC_PREPROCESS_LMMS] = CR_PREPROCESS_LMMS,
        [CRITIC_PREPROCESS_HF] = CR_PREPROCESS_HF,
    };
    if ((unsigned)from->precision > CRITIC_PRECISION_Q4 ||
        (unsigned)from->preprocess > CRITIC_PREPROCESS_HF)
        return cr_fail(err, CRITIC_BAD_ARGUMENT,
                       "precision or preprocess is no value of its enumeration");
    if (from->isa && !cr_isa_parse(from->isa, &to->exec.isa))
        return cr_fail(err, CRITIC_BAD_ARGUMENT,
                       "isa '%.40s' is not one of scalar, neon, avx2, avx512", from->isa);
    if (from->n_threads < 0)
        return cr_fail(err, CRITIC_BAD_ARGUMENT, "n_threads is negative");
    to->exec.compute = compute[from->precision];
    if (from->precision == CRITIC_PRECISION_INT8)
        to->weights = CR_WEIGHTS_INT8;
    else if (from->precision == CRITIC_PRECISION_Q4)
        to->weights = CR_WEIGHTS_Q4;
    to->exec.n_threads = from->n_threads;
    to->preprocess = preprocess[from->preprocess];
    to->context = from->context;
    to->kv_bytes = from->kv_bytes;
    return CRITIC_OK;
}

enum critic_status critic_engine_open(critic_engine **out, const char *model,
                                      const critic_engine_options *options,
                                      critic_error *err) {
    struct cr_engine_opts opts;
    critic_engine_options defaults;
    *out = NULL;
    if (!options) {
        critic_engine_options_default(&defaults);
        options = &defaults;
    }
    cr_engine_opts_default(&opts);
    CR_TRY(fill_options(&opts, options, err));
    struct critic_engine *engine = calloc(1, sizeof *engine);
    if (!engine)
        return cr_fail(err, CRITIC_NO_MEMORY, "out of memory for an engine");
    atomic_init(&engine->cancelled, false);
    engine->cancel = options->cancel;
    engine->log = options->log;
    engine->user = options->user;
    opts.cancel = is_cancelled;
    opts.cancel_user = engine;
    opts.log = options->log ? pass_log : NULL;
    opts.log_user = engine;
    enum critic_status status = cr_engine_open(&engine->engine, model, &opts, err);
    if (status != CRITIC_OK) {
        free(engine);
        return status;
    }
    *out = engine;
    return CRITIC_OK;
}

void critic_engine_free(critic_engine *engine) {
    if (!engine)
        return;
    cr_engine_free(engine->engine);
    free(engine);
}

void critic_engine_cancel(critic_engine *engine) {
    atomic_store(&engine->cancelled, true);
}

enum critic_status cr_api_end_call(struct critic_engine *engine,
                                   enum critic_status status) {
    if (status == CRITIC_CANCELLED)
        atomic_store(&engine->cancelled, false);
    return status;
}

void critic_engine_drop_cache(critic_engine *engine) {
    cr_engine_drop_cache(engine->engine);
}

const char *critic_engine_model(const critic_engine *engine) {
    return cr_engine_model_name(engine->engine);
}

const char *critic_engine_model_hash(const critic_engine *engine) {
    return cr_engine_model_hash(engine->engine);
}

bool critic_engine_reads_images(const critic_engine *engine) {
    return cr_engine_config(engine->engine)->vision.present;
}

size_t critic_engine_context(const critic_engine *engine) {
    return cr_engine_context(engine->engine);
}

size_t critic_engine_kv_bytes_per_token(const critic_engine *engine) {
    return cr_engine_kv_bytes_per_token(engine->engine);
}

/* ---- tokens --------------------------------------------------------------------------- */

/* A malloc'ed, zero-terminated copy. */
static enum critic_status copy_out(void **out, const void *data, size_t bytes,
                                   critic_error *err) {
    *out = calloc(bytes + 1, 1);
    if (!*out)
        return cr_fail(err, CRITIC_NO_MEMORY, "out of memory for the result");
    if (bytes > 0)
        memcpy(*out, data, bytes);
    return CRITIC_OK;
}

enum critic_status critic_tokenize(const critic_engine *engine, critic_text text,
                                   bool parse_special, int32_t **ids, size_t *n_ids,
                                   critic_error *err) {
    struct cr_ids list;
    void *copy = NULL;
    cr_ids_init(&list);
    enum critic_status status = cr_tokenizer_encode(
        cr_engine_tokenizer(engine->engine), cr_api_str(text), parse_special, &list, err);
    if (status == CRITIC_OK)
        status = copy_out(&copy, list.data, list.len * sizeof *list.data, err);
    *ids = copy;
    *n_ids = copy ? list.len : 0;
    cr_ids_fini(&list);
    return status;
}

enum critic_status critic_detokenize(const critic_engine *engine, const int32_t *ids,
                                     size_t n_ids, bool skip_special, char **text,
                                     size_t *len, critic_error *err) {
    struct cr_buf buf;
    void *copy = NULL;
    cr_buf_init(&buf, SIZE_MAX / 2);
    enum critic_status status = cr_tokenizer_decode(cr_engine_tokenizer(engine->engine),
                                                    ids, n_ids, skip_special, &buf, err);
    if (status == CRITIC_OK)
        status = copy_out(&copy, buf.data, buf.len, err);
    *text = copy;
    *len = copy ? buf.len : 0;
    cr_buf_fini(&buf);
    return status;
}
