/* Whole prompts into sequences: what a remembered prompt shares is taken over, the rest runs in
 * chunks. Also the parity microscope, which shares nothing. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "base/clock.h"
#include "engine/internal.h"
#include "op/embed.h"

/* Input rows of positions [first, first + n) into x (n, D). */
static void input_rows(const struct cr_prompt *p, size_t first, struct cr_tensor x) {
    struct cr_engine *e = p->engine;
    size_t n = x.dim[0], width = x.dim[1];
    for (size_t i = 0; i < n;) {
        size_t at = first + i;
        size_t run = n - i; /* up to the nearest picture */
        const struct cr_prompt_image *image = NULL;
        for (size_t k = 0; k < p->n_images; k++) {
            const struct cr_prompt_image *c = &p->images[k];
            if (at >= c->first && at < c->first + c->plan.n_tokens)
                image = c;
            else if (c->first > at)
                run = CR_MIN(run, c->first - at);
        }
        if (image) {
            run = CR_MIN(image->first + image->plan.n_tokens - at, run);
            memcpy(cr_tensor_row(&x, i),
                   image->features->rows + (at - image->first) * width,
                   run * width * sizeof(float));
        } else {
            cr_embed_fwd(cr_tensor_slice(&x, i, run), p->ids.data + at,
                         e->model.params.embed, e->exec);
        }
        i += run;
    }
}

static size_t common_prefix(const struct cr_trunk *t, const struct cr_prompt *p) {
    size_t n = CR_MIN(t->seq->len, p->ids.len);
    size_t same = 0;
    while (same < n && t->keys[same] == p->keys[same])
        same++;
    return same;
}

/* The remembered prompt that shares the most with p, moved to the front; NULL where none shares
 * anything. */
static const struct cr_trunk *find_trunk(struct cr_engine *e, const struct cr_prompt *p,
                                         size_t *shared) {
    size_t best = 0;
    *shared = 0;
    for (size_t i = 0; i < e->n_trunks; i++) {
        size_t same = common_prefix(&e->trunks[i], p);
        if (same > *shared) {
            *shared = same;
            best = i;
        }
    }
    if (*shared == 0)
        return NULL;
    struct cr_trunk t = e->trunks[best];
    memmove(&e->trunks[1], &e->trunks[0], best * sizeof t);
    e->trunks[0] = t;
    return &e->trunks[0];
}

static void drop_trunk(struct cr_engine *e, size_t i) {
    cr_seq_free(e->trunks[i].seq);
    free(e->trunks[i].keys);
    e->n_trunks--;
    memmove(&e->trunks[i], &e->trunks[i + 1], (e->n_trunks - i) * sizeof *e->trunks);
}

void cr_engine_drop_cache(struct cr_engine *e) {
    while (e->n_trunks > 0)
        drop_trunk(e, e->n_trunks - 1);
    while (e->n_features > 0)
        cr_features_drop(e->features[--e->n_features]);
}

unsigned char *cr_engine_take_page(struct cr_engine *e) {
    unsigned char *page = cr_kv_take(&e->kv);
    while (!page && e->n_trunks > 0) {
        drop_trunk(e, e->n_trunks - 1);
        page = cr_kv_take(&e->kv);
    }
    return page;
}

/* The first trunks that together hold no more pages than the cache may; the latest always stays. */
static size_t trunks_that_fit(struct cr_engine *e) {
    size_t most = e->opts.cache_bytes / e->kv.layout.page_bytes, n_pages = 0;
    memset(e->page_seen, 0, e->kv.n_pages * sizeof *e->page_seen);
    for (size_t i = 0; i < e->n_trunks; i++) {
        const struct cr_seq *s = e->trunks[i].seq;
        for (size_t k = 0; k < s->n_pages; k++) {
            size_t page = (size_t)(s->pages[k] - e->kv.base) / e->kv.layout.page_bytes;
            n_pages += !e->page_seen[page];
            e->page_seen[page] = true;
        }
        if (i > 0 && n_pages > most)
            return i;
    }
    return e->n_trunks;
}

/* The prompt is the first to share with from now on. Failing to remember it is no failure. */
static void remember(struct cr_engine *e, const struct cr_prompt *p,
                     const struct cr_seq *s) {
    struct cr_trunk t = {0};
    /* One that p goes on from says nothing that p does not. */
    for (size_t i = e->n_trunks; i > 0; i--)
        if (common_prefix(&e->trunks[i - 1], p) == e->trunks[i - 1].seq->len)
            drop_trunk(e, i - 1);
    t.keys = malloc(p->ids.len * sizeof *t.keys);
    if (!t.keys || cr_seq_fork(&t.seq, s, NULL) != CRITIC_OK) {
        free(t.keys);
        return;
    }
    memcpy(t.keys, p->keys, p->ids.len * sizeof *t.keys);
    if (e->n_trunks == CR_MAX_TRUNKS)
        drop_trunk(e, CR_MAX_TRUNKS - 1);
    memmove(&e->trunks[1], &e->trunks[0], e->n_trunks * sizeof t);
    e->trunks[0] = t;
    e->n_trunks++;
    for (size_t fit = trunks_that_fit(e); e->n_trunks > fit;)
        drop_trunk(e, e->n_trunks - 1);
}

/* Features of every picture that has rows at or after `first`. */
static enum critic_status encode_pictures(struct cr_prompt *p, size_t first,
                                          struct cr_usage *usage, critic_error *err) {
    for (size_t i = 0; i < p->n_images; i++) {
        const struct cr_prompt_image *image = &p->images[i];
        bool cached = true;
        if (cr_engine_cancelled(p->engine))
            return cr_fail(err, CRITIC_CANCELLED, "cancelled");
        if (image->first + image->plan.n_tokens > first)
            CR_TRY(cr_prompt_features(p, i, true, NULL, &cached, err));
        usage->image_tiles += image->plan.n_tiles;
        usage->cached_tiles += cached ? image->plan.n_tiles : 0;
    }
    return CRITIC_OK;
}

static enum critic_status run_rest(struct cr_prompt *p, struct cr_seq *s,
                                   critic_error *err) {
    struct cr_engine *e = p->engine;
    CR_TRY(cr_seq_make_room(s, p->ids.len - s->len, err));
    while (s->len < p->ids.len) {
        if (cr_engine_cancelled(e))
            return cr_fail(err, CRITIC_CANCELLED, "cancelled");
        size_t rows = cr_engine_pass_rows(e, p->ids.len - s->len);
        size_t mark = cr_arena_mark(&e->exec->scratch);
        struct cr_tensor x = cr_exec_matrix(e->exec, CR_F32, rows, e->config.text.width);
        input_rows(p, s->len, x);
        cr_seq_run(s, p->ids.data + s->len, x, NULL);
        cr_arena_release(&e->exec->scratch, mark);
    }
    return CRITIC_OK;
}

enum critic_status cr_engine_prefill(struct cr_engine *e, struct cr_prompt *p,
                                     struct cr_seq **out, struct cr_usage *usage,
                                     critic_error *err) {
    CR_ASSERT(p->finished && p->engine == e);
    struct cr_usage ignored = {0};
    if (!usage)
        usage = &ignored;
    double start = cr_clock_seconds();
    *out = NULL;
    CR_TRY(cr_engine_reserve(e, p->ids.len, err));
    /* The last token always runs, so that its logits are there. */
    size_t shared;
    const struct cr_trunk *trunk = find_trunk(e, p, &shared);
    shared = CR_MIN(shared, p->ids.len - 1);
    struct cr_seq *s;
    CR_TRY(shared > 0 ? cr_seq_fork(&s, trunk->seq, err) : cr_seq_new(&s, e, err));
    cr_seq_rewind(s, shared);
    enum critic_status status = encode_pictures(p, shared, usage, err);
    if (status == CRITIC_OK)
        status = run_rest(p, s, err);
    if (status != CRITIC_OK) {
        cr_seq_free(s);
        return status;
    }
    remember(e, p, s);
    usage->prompt_tokens += p->ids.len;
    usage->cached_tokens += shared;
    usage->seconds += cr_clock_seconds() - start;
    *out = s;
    return CRITIC_OK;
}

/* ---- the parity microscope ---- */

struct microscope {
    const struct cr_forward_opts *opts;
    size_t row_offset; /* of the picture being encoded */
    enum critic_status status;
    critic_error *err;
};

static void show(struct microscope *m, const char *name, size_t first_row,
                 const struct cr_tensor *rows) {
    if (m->status == CRITIC_OK)
        m->status = m->opts->tap(m->opts->user, name, first_row, rows, m->err);
}

static void show_layer(void *user, const char *name, size_t layer, size_t first_row,
                       const struct cr_tensor *x) {
    struct microscope *m = user;
    char full[64];
    bool vision = strncmp(name, "vision", 6) == 0;
    snprintf(full, sizeof full, "%s.%zu", name, layer);
    show(m, full, first_row + (vision ? m->row_offset : 0), x);
}

static enum critic_status forward_pictures(struct cr_prompt *p, struct microscope *m,
                                           const struct cr_layer_tap *tap) {
    const struct cr_config *c = &p->engine->config;
    size_t grid = c->vision.present ? cr_vision_grid(&c->vision) : 0;
    size_t tiles = 0, tokens = 0;
    for (size_t i = 0; i < p->n_images && m->status == CRITIC_OK; i++) {
        const struct cr_tile_plan *plan = &p->images[i].plan;
        float *pixels;
        bool cached;
        m->status = cr_prompt_pixels(p, i, &pixels, m->err);
        if (m->status != CRITIC_OK)
            break;
        size_t side = c->vision.image_px;
        struct cr_tensor t = {.data = pixels,
                              .dtype = CR_F32,
                              .n_dim = 4,
                              .dim = {plan->n_tiles, 3, side, side},
                              .row_bytes = side * sizeof(float)};
        show(m, "pixel_values", tiles, &t);
        free(pixels);
        m->row_offset = tiles * grid * grid;
        if (m->status == CRITIC_OK)
            m->status = cr_prompt_features(p, i, false, tap, &cached, m->err);
        if (m->status != CRITIC_OK)
            break;
        t = cr_tensor_view2(p->images[i].features->rows, CR_F32, plan->n_tokens,
                            c->text.width);
        show(m, "image_features", tokens, &t);
        tiles += plan->n_tiles;
        tokens += plan->n_tokens;
    }
    return m->status;
}

/* Final norm and head of the rows that one pass left in x. */
static void forward_head(struct cr_engine *e, struct microscope *m, size_t first,
                         struct cr_tensor x, size_t first_logits) {
    size_t mark = cr_arena_mark(&e->exec->scratch);
    size_t n = x.dim[0];
    struct cr_tensor y = cr_exec_matrix(e->exec, CR_F32, n, x.dim[1]);
    cr_decoder_norm_fwd(y, x, &e->model, e->exec);
    show(m, "hidden_states", first, &y);
    if (first + n > first_logits) {
        size_t skip = first < first_logits ? first_logits - first : 0;
        struct cr_tensor logits =
            cr_exec_matrix(e->exec, CR_F32, n - skip, e->config.text.vocab);
        cr_decoder_head_fwd(logits, cr_tensor_slice(&y, skip, n - skip), &e->model,
                            CR_PREFILL, e->exec);
        show(m, "logits", first + skip - first_logits, &logits);
    }
    cr_arena_release(&e->exec->scratch, mark);
}

enum critic_status cr_engine_forward(struct cr_engine *e, struct cr_prompt *p,
                                     const struct cr_forward_opts *opts,
                                     critic_error *err) {
    CR_ASSERT(p->finished && p->engine == e);
    struct microscope m = {.opts = opts, .err = err};
    struct cr_layer_tap tap = {opts->layers ? show_layer : NULL, &m};
    CR_TRY(forward_pictures(p, &m, &tap));
    struct cr_seq *s;
    CR_TRY(cr_seq_new(&s, e, err));
    size_t n = p->ids.len;
    size_t first_logits =
        opts->logits_last && opts->logits_last < n ? n - opts->logits_last : 0;
    m.status = cr_seq_make_room(s, n, err);
    /* Short passes: a row of logits is as long as the vocabulary. */
    size_t chunk = CR_MIN(e->opts.prefill_chunk, (size_t)256);
    while (m.status == CRITIC_OK && s->len < n) {
        if (cr_engine_cancelled(e)) {
            m.status = cr_fail(err, CRITIC_CANCELLED, "cancelled");
            break;
        }
        size_t first = s->len, rows = CR_MIN(n - first, chunk);
        size_t mark = cr_arena_mark(&e->exec->scratch);
        struct cr_tensor x = cr_exec_matrix(e->exec, CR_F32, rows, e->config.text.width);
        input_rows(p, first, x);
        cr_seq_run(s, p->ids.data + first, x, &tap);
        forward_head(e, &m, first, x, first_logits);
        cr_arena_release(&e->exec->scratch, mark);
    }
    cr_seq_free(s);
    return m.status;
}
