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
    struct cr_talk *talk;
    size_t index; /* of its completion */
    struct cr_seq *seq;
    struct cr_rng rng;
    struct cr_stream_decoder decoder;
    size_t n_streamed; /* bytes of text handed to on_text */
};

struct cr_lanes {
    struct cr_engine *engine;
    struct cr_sampler sampler;
    struct lane *lanes; /* the ones still running come first */
    size_t n_running, cap;
    size_t n_pages; /* that the running talks may come to hold */
    struct cr_seq **seqs;
    int32_t *tokens;
    float *logits; /* (cap, V) */
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
    cr_seq_free(c->seq);
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

static void stream(struct lane *lane, bool last) {
    const struct cr_generate_opts *opts = &lane->talk->opts;
    struct cr_completion *c = &lane->talk->out[lane->index];
    size_t end = last ? c->text.len : c->text.len - held_back(c, opts);
    if (opts->on_text && end > lane->n_streamed)
        opts->on_text(
            opts->user, lane->index,
            (struct cr_str){c->text.data + lane->n_streamed, end - lane->n_streamed});
    lane->n_streamed = CR_MAX(lane->n_streamed, end);
}

static enum critic_status keep_logprob(const struct cr_engine *e,
                                       const struct cr_generate_opts *opts,
                                       struct cr_completion *c, const float *logits,
                                       int32_t id, critic_error *err) {
    if (!opts->logprobs)
        return CRITIC_OK;
    size_t n = c->ids.len; /* the token is there already */
    if (n == 1 || (n & (n - 1)) == 0) {
        float *grown = realloc(c->logprobs, 2 * n * sizeof *grown);
        if (!grown)
            return cr_fail(err, CRITIC_NO_MEMORY, "out of memory for log-probabilities");
        c->logprobs = grown;
    }
    double total = cr_log_sum_exp(logits, e->n_valid_ids);
    c->logprobs[n - 1] = (float)((double)logits[id] - total);
    return CRITIC_OK;
}

/* Takes one token into the completion; *ended says that the lane is done. */
static enum critic_status take(const struct cr_engine *e, struct lane *lane, int32_t id,
                               const float *logits, bool *ended, critic_error *err) {
    const struct cr_generate_opts *opts = &lane->talk->opts;
    struct cr_completion *c = &lane->talk->out[lane->index];
    size_t before = c->text.len;
    *ended = true;
    CR_TRY(cr_ids_push(&c->ids, id, err));
    CR_TRY(keep_logprob(e, opts, c, logits, id, err));
    bool is_cut = false;
    if (is_end(e, id)) {
        c->finish = CR_FINISH_STOP;
    } else {
        if (e->tokenizer)
            CR_TRY(cr_stream_decoder_feed(&lane->decoder, id, &c->text, err));
        is_cut = cut_at_stop(c, opts, before);
        if (is_cut)
            c->finish = CR_FINISH_STOP;
        else if (c->ids.len >= opts->max_new_tokens ||
                 cr_seq_len(lane->seq) >= e->context)
            c->finish = CR_FINISH_LENGTH;
        else
            *ended = false;
    }
    if (*ended && !is_cut && e->tokenizer)
        CR_TRY(cr_stream_decoder_finish(&lane->decoder, &c->text, err));
    stream(lane, *ended);
    return CRITIC_OK;
}

/* ---- lanes ------------------------------------------------------------------------------- */

/* Pages of the past, and of each answer at its longest: its own copy of the last page, and what
 * follows. */
static size_t pages_of(size_t len, size_t n, size_t max_new_tokens, size_t context) {
    size_t most = CR_MIN(max_new_tokens, context - CR_MIN(len, context));
    return CR_CEIL_DIV(len, (size_t)CR_PAGE_LEN) +
           n * (CR_CEIL_DIV(most, (size_t)CR_PAGE_LEN) + 1);
}

enum critic_status cr_lanes_new(struct cr_lanes **out, struct cr_engine *e,
                                critic_error *err) {
    static const struct cr_generate_opts none = {0};
    struct cr_lanes *l = *out = calloc(1, sizeof *l);
    if (!l)
        return cr_fail(err, CRITIC_NO_MEMORY, "out of memory for continuations");
    l->engine = e;
    enum critic_status status = cr_sampler_init(&l->sampler, &none, e->n_valid_ids, err);
    if (status != CRITIC_OK) {
        free(l);
        *out = NULL;
    }
    return status;
}

void cr_lanes_free(struct cr_lanes *l) {
    if (!l)
        return;
    for (size_t i = 0; i < l->n_running; i++)
        cr_seq_free(l->lanes[i].seq);
    cr_sampler_fini(&l->sampler);
    free(l->lanes);
    free(l->seqs);
    free(l->tokens);
    free(l->logits);
    free(l);
}

size_t cr_lanes_running(const struct cr_lanes *l) {
    return l->n_running;
}

bool cr_lanes_have_room(const struct cr_lanes *l, size_t len, size_t n,
                        size_t max_new_tokens) {
    size_t need = pages_of(len, n, max_new_tokens, l->engine->context);
    return l->n_running == 0 || l->n_pages + need <= l->engine->kv.n_pages;
}

static enum critic_status make_lanes(struct cr_lanes *l, size_t n, critic_error *err) {
    if (n <= l->cap)
        return CRITIC_OK;
    struct lane *lanes = realloc(l->lanes, n * sizeof *lanes);
    l->lanes = lanes ? lanes : l->lanes;
    struct cr_seq **seqs = realloc(l->seqs, n * sizeof *seqs);
    l->seqs = seqs ? seqs : l->seqs;
    int32_t *tokens = realloc(l->tokens, n * sizeof *tokens);
    l->tokens = tokens ? tokens : l->tokens;
    float *logits = realloc(l->logits, n * l->engine->config.text.vocab * sizeof *logits);
    l->logits = logits ? logits : l->logits;
    if (!lanes || !seqs || !tokens || !logits)
        return cr_fail(err, CRITIC_NO_MEMORY, "out of memory for %zu continuations", n);
    l->cap = n;
    return CRITIC_OK;
}

static void leave(struct cr_lanes *l, struct lane *lane) {
    struct cr_talk *talk = lane->talk;
    if (talk->keep_seqs)
        talk->out[lane->index].seq = lane->seq;
    else
        cr_seq_free(lane->seq);
    lane->seq = NULL;
    if (--talk->n_running == 0)
        l->n_pages -= talk->n_pages;
}

void cr_lanes_drop(struct cr_lanes *l, struct cr_talk *talk) {
    size_t kept = 0;
    for (size_t i = 0; i < l->n_running; i++) {
        if (l->lanes[i].talk == talk)
            leave(l, &l->lanes[i]);
        else
            l->lanes[kept++] = l->lanes[i];
    }
    l->n_running = kept;
}

enum critic_status cr_lanes_add(struct cr_lanes *l, struct cr_talk *talk,
                                const struct cr_seq *s, critic_error *err) {
    const struct cr_generate_opts *opts = &talk->opts;
    talk->n_running = 0;
    talk->seconds = 0;
    for (size_t i = 0; i < talk->n; i++) {
        talk->out[i] = (struct cr_completion){.finish = CR_FINISH_LENGTH};
        cr_buf_init(&talk->out[i].text, MAX_TEXT_BYTES);
        cr_ids_init(&talk->out[i].ids);
    }
    if (talk->n == 0 || opts->max_new_tokens == 0)
        return CRITIC_OK;
    CR_TRY(make_lanes(l, l->n_running + talk->n, err));
    talk->n_pages = pages_of(s->len, talk->n, opts->max_new_tokens, l->engine->context);
    l->n_pages += talk->n_pages;
    for (size_t i = 0; i < talk->n; i++) {
        struct lane *lane = &l->lanes[l->n_running];
        *lane = (struct lane){.talk = talk, .index = i};
        cr_rng_seed_at(&lane->rng, opts->seed, i);
        if (l->engine->tokenizer)
            cr_stream_decoder_init(&lane->decoder, l->engine->tokenizer, true);
        enum critic_status status = cr_seq_fork(&lane->seq, s, err);
        if (status != CRITIC_OK) {
            l->n_pages -= i == 0 ? talk->n_pages : 0;
            cr_lanes_drop(l, talk);
            return status;
        }
        l->n_running++;
        talk->n_running++;
    }
    return CRITIC_OK;
}

/* One token for every running lane; lanes that end leave. */
static enum critic_status advance(struct cr_lanes *l, critic_error *err) {
    size_t vocab = l->engine->config.text.vocab, n = l->n_running, kept = 0;
    enum critic_status status = CRITIC_OK;
    for (size_t i = 0; i < n; i++)
        l->seqs[i] = l->lanes[i].seq;
    cr_seq_logits_many(l->seqs, n, l->logits);
    for (size_t i = 0; i < n; i++) {
        struct lane *lane = &l->lanes[i];
        const float *logits = l->logits + i * vocab;
        bool ended = false;
        if (status == CRITIC_OK) {
            l->sampler.opts = &lane->talk->opts;
            int32_t id = cr_sampler_draw(&l->sampler, logits,
                                         &lane->talk->out[lane->index].ids, &lane->rng);
            l->tokens[kept] = id;
            status = take(l->engine, lane, id, logits, &ended, err);
        }
        if (ended && status == CRITIC_OK)
            leave(l, lane);
        else
            l->lanes[kept++] = *lane;
    }
    l->n_running = kept;
    CR_TRY(status);
    for (size_t i = 0; i < kept; i++)
        l->seqs[i] = l->lanes[i].seq;
    return cr_seq_step(l->seqs, l->tokens, kept, err);
}

enum critic_status cr_lanes_step(struct cr_lanes *l, critic_error *err) {
    if (l->n_running == 0)
        return CRITIC_OK;
    if (cr_engine_cancelled(l->engine))
        return cr_fail(err, CRITIC_CANCELLED, "cancelled");
    double start = cr_clock_seconds(), n = (double)l->n_running;
    enum critic_status status = advance(l, err);
    double each = (cr_clock_seconds() - start) / n;
    for (size_t i = 0; i < l->n_running; i++)
        l->lanes[i].talk->seconds += each;
    return status;
}

/* ---- one sequence ------------------------------------------------------------------------ */

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
    struct cr_talk talk = {.opts = *opts, .n = n, .out = out};
    struct cr_lanes *l = NULL;
    double start = cr_clock_seconds();
    memset(out, 0, n * sizeof *out);
    if (n > 0)
        announce(s, n, opts);
    enum critic_status status = cr_lanes_new(&l, s->engine, err);
    if (status == CRITIC_OK)
        status = cr_lanes_add(l, &talk, s, err);
    while (status == CRITIC_OK && talk.n_running > 0)
        status = cr_lanes_step(l, err);
    for (size_t i = 0; l && i < l->n_running && status == CRITIC_CANCELLED; i++)
        out[l->lanes[i].index].finish = CR_FINISH_CANCELLED;
    if (usage) {
        for (size_t i = 0; i < n; i++)
            usage->completion_tokens += out[i].ids.len;
        usage->seconds += cr_clock_seconds() - start;
    }
    cr_lanes_free(l);
    return status;
}
