#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "base/clock.h"
#include "engine/internal.h"
#include "engine/sample.h"

/* Text of one completion at most. */
#define MAX_TEXT_BYTES ((size_t)64 << 20)

/* One continuation on its way. */
struct lane {
    size_t index; /* of its completion */
    struct cr_seq *seq;
    struct cr_rng rng;
    struct cr_stream_decoder decoder;
    struct cr_completion *out;
    size_t n_streamed; /* bytes of text handed to on_text */
};

struct generation {
    struct cr_engine *engine;
    const struct cr_generate_opts *opts;
    struct cr_sampler sampler;
    struct lane *lanes; /* the ones still running come first */
    size_t n_running;
    struct cr_seq **seqs;
    int32_t *tokens;
    float *logits; /* (n, V) */
};

void cr_generate_opts_default(struct cr_generate_opts *opts, const struct cr_engine *e) {
    *opts = (struct cr_generate_opts){
        .max_new_tokens = 512,
        .top_p = 1,
        .repetition_penalty = e->config.generation.repetition_penalty,
    };
}

void cr_completion_fini(struct cr_completion *c) {
    cr_buf_fini(&c->text);
    cr_ids_fini(&c->ids);
    free(c->logprobs);
    memset(c, 0, sizeof *c);
}

static bool is_end(const struct cr_engine *e, int32_t id) {
    for (size_t i = 0; i < e->n_end_ids; i++)
        if (e->end_ids[i] == id)
            return true;
    return false;
}

/* Cuts the text before the first stop string at or after byte `from`; true where there is one. */
static bool cut_at_stop(struct cr_completion *c, const struct cr_generate_opts *opts,
                        size_t from) {
    size_t cut = SIZE_MAX;
    for (size_t i = 0; i < opts->n_stop; i++) {
        size_t len = opts->stop[i].len;
        size_t begin = from > len ? from - len : 0; /* it may have begun before */
        if (len == 0 || c->text.len < len)
            continue;
        struct cr_str tail = {c->text.data + begin, c->text.len - begin};
        size_t hit = cr_str_find(tail, opts->stop[i]);
        if (hit != SIZE_MAX)
            cut = CR_MIN(cut, begin + hit);
    }
    if (cut == SIZE_MAX)
        return false;
    c->text.len = cut;
    c->text.data[cut] = '\0';
    return true;
}

/* Bytes at the end of the text that may be the beginning of a stop string. */
static size_t held_back(const struct cr_completion *c,
                        const struct cr_generate_opts *opts) {
    size_t held = 0;
    for (size_t i = 0; i < opts->n_stop; i++) {
        const struct cr_str *stop = &opts->stop[i];
        for (size_t n = CR_MIN(stop->len, c->text.len); n > held; n--)
            if (n < stop->len &&
                memcmp(c->text.data + c->text.len - n, stop->data, n) == 0)
                held = n;
    }
    return held;
}

static void stream(const struct generation *g, struct lane *lane, bool last) {
    struct cr_completion *c = lane->out;
    size_t end = last ? c->text.len : c->text.len - held_back(c, g->opts);
    if (g->opts->on_text && end > lane->n_streamed)
        g->opts->on_text(
            g->opts->user, lane->index,
            (struct cr_str){c->text.data + lane->n_streamed, end - lane->n_streamed});
    lane->n_streamed = CR_MAX(lane->n_streamed, end);
}

static enum critic_status keep_logprob(struct generation *g, struct cr_completion *c,
                                       const float *logits, int32_t id,
                                       critic_error *err) {
    if (!g->opts->logprobs)
        return CRITIC_OK;
    size_t n = c->ids.len; /* the token is there already */
    if (n == 1 || (n & (n - 1)) == 0) {
        float *grown = realloc(c->logprobs, 2 * n * sizeof *grown);
        if (!grown)
            return cr_fail(err, CRITIC_NO_MEMORY, "out of memory for log-probabilities");
        c->logprobs = grown;
    }
    double total = cr_log_sum_exp(logits, g->engine->n_valid_ids);
    c->logprobs[n - 1] = (float)((double)logits[id] - total);
    return CRITIC_OK;
}

/* Takes one token into the completion; *ended says that the lane is done. */
static enum critic_status take(struct generation *g, struct lane *lane, int32_t id,
                               const float *logits, bool *ended, critic_error *err) {
    struct cr_completion *c = lane->out;
    size_t before = c->text.len;
    *ended = true;
    CR_TRY(cr_ids_push(&c->ids, id, err));
    CR_TRY(keep_logprob(g, c, logits, id, err));
    bool is_cut = false;
    if (is_end(g->engine, id)) {
        c->finish = CR_FINISH_STOP;
    } else {
        if (g->engine->tokenizer)
            CR_TRY(cr_stream_decoder_feed(&lane->decoder, id, &c->text, err));
        is_cut = cut_at_stop(c, g->opts, before);
        if (is_cut)
            c->finish = CR_FINISH_STOP;
        else if (c->ids.len >= g->opts->max_new_tokens ||
                 cr_seq_len(lane->seq) >= g->engine->context)
            c->finish = CR_FINISH_LENGTH;
        else
            *ended = false;
    }
    if (*ended && !is_cut && g->engine->tokenizer)
        CR_TRY(cr_stream_decoder_finish(&lane->decoder, &c->text, err));
    stream(g, lane, *ended);
    return CRITIC_OK;
}

/* One token for every running lane; lanes that end leave. */
static enum critic_status advance(struct generation *g, critic_error *err) {
    size_t vocab = g->engine->config.text.vocab;
    for (size_t i = 0; i < g->n_running; i++)
        g->seqs[i] = g->lanes[i].seq;
    cr_seq_logits_many(g->seqs, g->n_running, g->logits);
    size_t kept = 0;
    for (size_t i = 0; i < g->n_running; i++) {
        struct lane *lane = &g->lanes[i];
        const float *logits = g->logits + i * vocab;
        bool ended;
        int32_t id = cr_sampler_draw(&g->sampler, logits, &lane->out->ids, &lane->rng);
        CR_TRY(take(g, lane, id, logits, &ended, err));
        if (ended) {
            cr_seq_free(lane->seq);
            lane->seq = NULL;
            continue;
        }
        struct lane swap = g->lanes[kept];
        g->tokens[kept] = id;
        g->lanes[kept++] = *lane;
        if (lane != &g->lanes[kept - 1])
            *lane = swap;
    }
    g->n_running = kept;
    for (size_t i = 0; i < kept; i++)
        g->seqs[i] = g->lanes[i].seq;
    return cr_seq_step(g->seqs, g->tokens, kept, err);
}

static enum critic_status begin(struct generation *g, struct cr_seq *s, size_t n,
                                struct cr_completion *out, critic_error *err) {
    g->lanes = calloc(n, sizeof *g->lanes);
    g->seqs = calloc(n, sizeof *g->seqs);
    g->tokens = calloc(n, sizeof *g->tokens);
    g->logits = malloc(n * g->engine->config.text.vocab * sizeof *g->logits);
    if (!g->lanes || !g->seqs || !g->tokens || !g->logits)
        return cr_fail(err, CRITIC_NO_MEMORY, "out of memory for %zu continuations", n);
    CR_TRY(cr_sampler_init(&g->sampler, g->opts, g->engine->n_valid_ids, err));
    for (size_t i = 0; i < n; i++) {
        struct lane *lane = &g->lanes[i];
        lane->index = i;
        lane->out = &out[i];
        cr_rng_seed_at(&lane->rng, g->opts->seed, i);
        if (g->engine->tokenizer)
            cr_stream_decoder_init(&lane->decoder, g->engine->tokenizer, true);
        CR_TRY(cr_seq_fork(&lane->seq, s, err));
        g->n_running = i + 1;
    }
    return CRITIC_OK;
}

/* What n answers can take at most; most end earlier, so pages are taken as they are needed. */
static void announce(const struct cr_seq *s, size_t n,
                     const struct cr_generate_opts *opts) {
    const struct cr_engine *e = s->engine;
    size_t room = cr_engine_context(e) - CR_MIN(cr_seq_len(s), cr_engine_context(e));
    size_t tokens = n * CR_MIN(opts->max_new_tokens, room);
    double bytes = (double)tokens * (double)cr_engine_kv_bytes_per_token(e);
    cr_engine_log(e, 1, "keys and values of the answers: at most %zu tokens, %.1f MiB",
                  tokens, bytes / (1 << 20));
}

enum critic_status cr_generate(struct cr_seq *s, size_t n,
                               const struct cr_generate_opts *opts,
                               struct cr_completion *out, struct cr_usage *usage,
                               critic_error *err) {
    struct generation g = {.engine = s->engine, .opts = opts};
    double start = cr_clock_seconds();
    for (size_t i = 0; i < n; i++) {
        out[i] = (struct cr_completion){.finish = CR_FINISH_LENGTH};
        cr_buf_init(&out[i].text, MAX_TEXT_BYTES);
        cr_ids_init(&out[i].ids);
    }
    if (n == 0 || opts->max_new_tokens == 0)
        return CRITIC_OK;
    announce(s, n, opts);
    enum critic_status status = begin(&g, s, n, out, err);
    while (status == CRITIC_OK && g.n_running > 0) {
        if (cr_engine_cancelled(g.engine))
            status = cr_fail(err, CRITIC_CANCELLED, "cancelled");
        else
            status = advance(&g, err);
    }
    for (size_t i = 0; i < g.n_running; i++) {
        if (status == CRITIC_CANCELLED)
            g.lanes[i].out->finish = CR_FINISH_CANCELLED;
        cr_seq_free(g.lanes[i].seq);
    }
    if (usage) {
        for (size_t i = 0; i < n; i++)
            usage->completion_tokens += out[i].ids.len;
        usage->seconds += cr_clock_seconds() - start;
    }
    cr_sampler_fini(&g.sampler);
    free(g.lanes);
    free(g.seqs);
    free(g.tokens);
    free(g.logits);
    return status;
}
