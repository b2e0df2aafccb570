#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "base/clock.h"
#include "engine/internal.h"
#include "engine/lookup.h"
#include "engine/sample.h"

/* Text of one completion at most. */
#define MAX_TEXT_BYTES ((size_t)64 << 20)

/* Rows of a step up to which drafts are worth their rows: weights are read once for all, and that
 * many cost little more than one. */
#define DRAFT_ROWS ((size_t)8)

/* One continuation on its way. */
struct lane {
    struct cr_talk *talk;
    size_t index; /* of its completion */
    struct cr_seq *seq;
    struct cr_rng rng;
    struct cr_stream_decoder decoder;
    size_t n_streamed; /* bytes of text handed to on_text */
    /* Tokens that the sequence holds already, though they are not yet said, and the normed rows of
     * the last that was said and of each of them. */
    int32_t draft[CR_MAX_DRAFT];
    size_t n_draft;
    float *rows;  /* (1 + CR_MAX_DRAFT, D); NULL: nothing is drafted */
    size_t trust; /* tokens that the next draft may have */
};

struct cr_lanes {
    struct cr_engine *engine;
    struct cr_sampler sampler;
    struct lane *lanes; /* the ones still running come first */
    size_t n_running, cap;
    size_t n_pages; /* that the running talks may come to hold */
    struct cr_stride *strides;
    int32_t (*tokens)[1 + CR_MAX_DRAFT]; /* (cap): said, then drafted */
    float *logits;                       /* (cap + CR_MAX_DRAFT, V) */
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

/* Takes one token, which followed `len` others, into the completion; *ended says that the lane is
 * done. */
static enum critic_status take(const struct cr_engine *e, struct lane *lane, int32_t id,
                               size_t len, const float *logits, bool *ended,
                               critic_error *err) {
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
        else if (c->ids.len >= opts->max_new_tokens || len >= e->context)
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
    for (size_t i = 0; i < l->n_running; i++) {
        cr_seq_free(l->lanes[i].seq);
        free(l->lanes[i].rows);
    }
    cr_sampler_fini(&l->sampler);
    free(l->lanes);
    free(l->strides);
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
    struct cr_stride *strides = realloc(l->strides, n * sizeof *strides);
    l->strides = strides ? strides : l->strides;
    int32_t(*tokens)[1 + CR_MAX_DRAFT] = realloc(l->tokens, n * sizeof *tokens);
    l->tokens = tokens ? tokens : l->tokens;
    size_t row = l->engine->config.text.vocab * sizeof *l->logits;
    float *logits = realloc(l->logits, (n + CR_MAX_DRAFT) * row);
    l->logits = logits ? logits : l->logits;
    if (!lanes || !strides || !tokens || !logits)
        return cr_fail(err, CRITIC_NO_MEMORY, "out of memory for %zu continuations", n);
    l->cap = n;
    return CRITIC_OK;
}

/* Takes back what was drafted but for the first n tokens. */
static void take_back(struct lane *lane, size_t n) {
    size_t width = lane->seq->engine->config.text.width;
    if (lane->n_draft > n)
        cr_seq_back_to(lane->seq, lane->seq->len - (lane->n_draft - n),
                       lane->rows + n * width);
    lane->n_draft = 0;
}

static void leave(struct cr_lanes *l, struct lane *lane) {
    struct cr_talk *talk = lane->talk;
    take_back(lane, 0);
    free(lane->rows);
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

static enum critic_status make_drafter(struct lane *lane, const struct cr_engine *e,
                                       critic_error *err) {
    size_t n = (1 + CR_MAX_DRAFT) * e->config.text.width;
    lane->trust = CR_MIN(lane->talk->opts.lookup, (size_t)CR_MAX_DRAFT);
    if (lane->trust == 0)
        return CRITIC_OK;
    lane->rows = malloc(n * sizeof *lane->rows);
    return lane->rows ? CRITIC_OK
                      : cr_fail(err, CRITIC_NO_MEMORY, "out of memory for drafts");
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
        enum critic_status status = make_drafter(lane, l->engine, err);
        if (status == CRITIC_OK)
            status = cr_seq_fork(&lane->seq, s, err);
        if (status != CRITIC_OK) {
            free(lane->rows);
            l->n_pages -= i == 0 ? talk->n_pages : 0;
            cr_lanes_drop(l, talk);
            return status;
        }
        l->n_running++;
        talk->n_running++;
    }
    return CRITIC_OK;
}

/* Logits of every lane's last token and of its drafts, one after the other. */
static void read_logits(struct cr_lanes *l) {
    struct cr_engine *e = l->engine;
    size_t width = e->config.text.width, n_rows = 0, row = 0;
    for (size_t i = 0; i < l->n_running; i++)
        n_rows += 1 + l->lanes[i].n_draft;
    size_t mark = cr_arena_mark(&e->exec->scratch);
    struct cr_tensor x = cr_exec_matrix(e->exec, CR_F32, n_rows, width);
    for (size_t i = 0; i < l->n_running; i++) {
        const struct lane *lane = &l->lanes[i];
        CR_ASSERT(lane->seq->has_hidden);
        memcpy(cr_tensor_row(&x, row), lane->n_draft ? lane->rows : lane->seq->hidden,
               (1 + lane->n_draft) * width * sizeof(float));
        row += 1 + lane->n_draft;
    }
    cr_decoder_head_fwd(cr_tensor_view2(l->logits, CR_F32, n_rows, e->config.text.vocab),
                        x, &e->model, CR_STEP, e->exec);
    cr_arena_release(&e->exec->scratch, mark);
}

/* Says one token, and one more for each draft that is what the model says itself: the same draws in
 * the same order as without. *next follows all that the sequence then holds. */
static enum critic_status say(struct cr_lanes *l, struct lane *lane, const float *logits,
                              int32_t *next, bool *ended, critic_error *err) {
    size_t n_draft = lane->n_draft, n_right = 0;
    struct cr_completion *c = &lane->talk->out[lane->index];
    l->sampler.opts = &lane->talk->opts;
    for (;; logits += l->engine->config.text.vocab) {
        size_t len = lane->seq->len - (n_draft - n_right);
        *next = cr_sampler_draw(&l->sampler, logits, &c->ids, &lane->rng);
        CR_TRY(take(l->engine, lane, *next, len, logits, ended, err));
        if (*ended || n_right == n_draft || *next != lane->draft[n_right])
            break;
        n_right++;
    }
    take_back(lane, n_right);
    if (n_draft > 0)
        lane->trust = n_right < n_draft ? CR_MAX(n_right, 1) : 2 * n_draft + 1;
    return CRITIC_OK;
}

/* Drafts what may follow token `next`, at most n tokens, within what may still be said. */
static enum critic_status draft(struct lane *lane, int32_t next, size_t n,
                                critic_error *err) {
    const struct cr_generate_opts *opts = &lane->talk->opts;
    struct cr_seq *s = lane->seq;
    size_t n_said = lane->talk->out[lane->index].ids.len;
    n = CR_MIN(CR_MIN(n, opts->lookup), lane->trust);
    n = CR_MIN(n, opts->max_new_tokens - n_said - 1);
    n = CR_MIN(n, s->engine->context - s->len - 1);
    if (!lane->rows || n == 0)
        return CRITIC_OK;
    CR_TRY(cr_seq_make_room(s, 1, err));
    s->ids[s->len] = next;
    lane->n_draft = cr_lookup_draft(s->ids, s->len + 1, n, lane->draft);
    return CRITIC_OK;
}

/* A token or more for every running lane; lanes that end leave. */
static enum critic_status advance(struct cr_lanes *l, critic_error *err) {
    size_t n = l->n_running, kept = 0, row = 0;
    enum critic_status status = CRITIC_OK;
    read_logits(l);
    for (size_t i = 0; i < n; i++) {
        struct lane *lane = &l->lanes[i];
        const float *logits = l->logits + row * l->engine->config.text.vocab;
        bool ended = false;
        row += 1 + lane->n_draft;
        if (status == CRITIC_OK)
            status = say(l, lane, logits, &l->tokens[kept][0], &ended, err);
        if (ended && status == CRITIC_OK)
            leave(l, lane);
        else
            l->lanes[kept++] = *lane;
    }
    l->n_running = kept;
    CR_TRY(status);
    size_t share = kept < DRAFT_ROWS ? (DRAFT_ROWS - kept) / CR_MAX(kept, 1) : 0;
    for (size_t i = 0; i < kept; i++) {
        struct lane *lane = &l->lanes[i];
        int32_t *tokens = l->tokens[i];
        CR_TRY(draft(lane, tokens[0], share, err));
        memcpy(tokens + 1, lane->draft, lane->n_draft * sizeof *tokens);
        l->strides[i] = (struct cr_stride){lane->seq, tokens, 1 + lane->n_draft,
                                           lane->n_draft ? lane->rows : NULL};
    }
    status = cr_seq_stride(l->strides, kept, err);
    for (size_t i = 0; i < kept && status != CRITIC_OK; i++)
        l->lanes[i].n_draft = 0; /* no sequence took any */
    return status;
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
