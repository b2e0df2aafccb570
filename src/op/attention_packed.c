#include "op/attention_packed.h"

#include <omp.h>
#include <string.h>

#include "base/checked.h"
#include "kernel/dense.h"
#include "kernel/row.h"

#define KEYS  CR_ATTENTION_KEYS
#define PANEL CR_ATTENTION_PANEL
#define ROWS  CR_ATTENTION_ROWS

/* One call; a task is one key/value head of one sequence, which owns all it writes. */
struct call {
    const struct cr_attention_tiles *tiles;
    const struct cr_attention_shape *shape;
    const struct cr_packed_sequence *sequences;
    struct cr_exec *ex;
    struct cr_tensor y, q, k, v, dy, dq, dk, dv;
    const float *lse_in;
    float *lse;
    size_t k_bytes, v_bytes;
    size_t n_panels; /* room for the longest walk of keys */
    char *memory;    /* thread_bytes for each thread */
    size_t thread_bytes;
};

/* A thread's memory. */
struct room {
    char *work;
    char *k_cols, *v_rows;  /* forward: panels of all keys */
    char *k_rows, *v_cols;  /* backward, beside k_cols */
    char *q_rows, *dy_rows; /* a panel of query rows */
    float *dk, *dv;         /* (n_panels * PANEL, stride) */
    float *dq;              /* (PANEL, stride) */
    float lse[PANEL], delta[PANEL];
};

/* Query rows [first, first + n) behind `prior` keys of the prefix. */
struct segment {
    size_t first; /* of T */
    size_t n;
    size_t prefix_first; /* of T */
    size_t prior;
};

/* Elements from one row to the next. */
static size_t stride_of(const struct cr_tensor *t) {
    return t->row_bytes / cr_dtype_block_bytes(t->dtype);
}

static size_t n_segments(const struct cr_packed_sequence *s) {
    return (s->n_prefix > 0) + s->n_branches;
}

static struct segment segment_at(const struct cr_packed_sequence *s, size_t i) {
    if (s->n_prefix > 0 && i == 0)
        return (struct segment){s->first, s->n_prefix, s->first, 0};
    size_t b = i - (s->n_prefix > 0);
    size_t from = b ? s->branch_ends[b - 1] : s->n_prefix;
    return (struct segment){s->first + from, s->branch_ends[b] - from, s->first,
                            s->n_prefix};
}

static size_t longest_walk(const struct call *c, size_t n_sequences) {
    size_t longest = 0;
    for (size_t s = 0; s < n_sequences; s++)
        for (size_t i = 0; i < n_segments(&c->sequences[s]); i++) {
            struct segment g = segment_at(&c->sequences[s], i);
            CR_ASSERT(g.n > 0 && g.first + g.n <= c->q.dim[0]);
            longest = CR_MAX(longest, g.prior + g.n);
        }
    return longest;
}

static void *element(const struct call *c, const struct cr_tensor *t, size_t row,
                     size_t head) {
    return (char *)cr_tensor_row(t, row) +
           head * c->shape->head_dim * cr_dtype_block_bytes(t->dtype);
}

/* Row of T where key `key` of a segment's walk lies. */
static size_t key_row(const struct segment *g, size_t key) {
    return key < g->prior ? g->prefix_first + key : g->first + key - g->prior;
}

/* Pointers to the rows of a panel of keys; returns how many. */
static size_t panel_rows(const struct call *c, const struct cr_tensor *t,
                         const struct segment *g, size_t group, size_t panel,
                         const void *rows[PANEL]) {
    size_t first = panel * PANEL, n = CR_MIN(PANEL, g->prior + g->n - first);
    for (size_t i = 0; i < n; i++)
        rows[i] = element(c, t, key_row(g, first + i), group);
    return n;
}

/* Panels that hold the prefix alone were packed before the first branch and stay. */
static size_t first_stale(const struct segment *g) {
    return g->prior / PANEL;
}

static size_t panels_of(const struct segment *g) {
    return CR_CEIL_DIV(g->prior + g->n, PANEL);
}

/* Forward */

static void pack_fwd(const struct call *c, const struct segment *g, size_t group,
                     struct room *m) {
    size_t e = c->shape->head_dim;
    const void *rows[PANEL];
    for (size_t p = first_stale(g); p < panels_of(g); p++) {
        size_t n = panel_rows(c, &c->k, g, group, p, rows);
        c->tiles->pack_k(m->k_cols + p * c->k_bytes, rows, c->k.dtype, n, e);
        panel_rows(c, &c->v, g, group, p, rows);
        c->tiles->pack_v(m->v_rows + p * c->v_bytes, rows, n, e);
    }
}

/* Rows [t, t + n) of a segment, one head. Blocks of rows start at multiples of ROWS in the walk,
 * as cr_attention_fwd has them. */
static void query_block(const struct call *c, const struct segment *g, size_t head,
                        size_t t, size_t n, struct room *m) {
    const struct cr_attention_shape *s = c->shape;
    size_t n_keys = g->prior + g->n;
    size_t seen = s->causal ? g->prior + t + 1 : n_keys;
    size_t last = s->causal ? g->prior + t + n : n_keys;
    size_t row = g->first + t;
    c->tiles->begin(m->work, element(c, &c->q, row, head), stride_of(&c->q), n,
                    s->head_dim, s->scale);
    for (size_t key = 0; key < last; key += KEYS) {
        struct cr_attention_mask mask = {.n_keys = CR_MIN(KEYS, last - key),
                                         .visible = seen - key,
                                         .per_row = s->causal};
        const void *k[CR_ATTENTION_PANELS], *v[CR_ATTENTION_PANELS];
        for (size_t p = 0; p < CR_ATTENTION_PANELS; p++) {
            k[p] = m->k_cols + (key / PANEL + p) * c->k_bytes;
            v[p] = m->v_rows + (key / PANEL + p) * c->v_bytes;
        }
        c->tiles->step(m->work, k, v, &mask);
    }
    c->tiles->end(m->work, element(c, &c->y, row, head), stride_of(&c->y),
                  c->lse ? c->lse + row * s->n_heads + head : NULL, s->n_heads);
}

static void task_fwd(const struct call *c, const struct cr_packed_sequence *s,
                     size_t group, struct room *m) {
    size_t per_group = c->shape->n_heads / c->shape->n_kv_heads;
    for (size_t i = 0; i < n_segments(s); i++) {
        struct segment g = segment_at(s, i);
        pack_fwd(c, &g, group, m);
        for (size_t h = group * per_group; h < (group + 1) * per_group; h++) {
            size_t end = g.prior + g.n;
            for (size_t at = g.prior; at < end; at = (at / ROWS + 1) * ROWS)
                query_block(c, &g, h, at - g.prior,
                            CR_MIN((at / ROWS + 1) * ROWS, end) - at, m);
        }
    }
}

/* Backward */

static void pack_bwd(const struct call *c, const struct segment *g, size_t group,
                     struct room *m) {
    size_t e = c->shape->head_dim;
    const void *rows[PANEL];
    for (size_t p = first_stale(g); p < panels_of(g); p++) {
        size_t n = panel_rows(c, &c->k, g, group, p, rows);
        c->tiles->pack_k(m->k_cols + p * c->k_bytes, rows, c->k.dtype, n, e);
        c->tiles->pack_v(m->k_rows + p * c->v_bytes, rows, n, e);
        panel_rows(c, &c->v, g, group, p, rows);
        c->tiles->pack_k(m->v_cols + p * c->k_bytes, rows, c->v.dtype, n, e);
    }
}

/* Packs query rows [t, t + n) of one head, and their lse and delta = dy . y. */
static void pack_queries(const struct call *c, const struct segment *g, size_t head,
                         size_t t, size_t n, struct room *m) {
    size_t e = c->shape->head_dim;
    const void *q[PANEL], *dy[PANEL];
    for (size_t r = 0; r < n; r++) {
        size_t row = g->first + t + r;
        q[r] = element(c, &c->q, row, head);
        dy[r] = element(c, &c->dy, row, head);
        m->lse[r] = c->lse_in[row * c->shape->n_heads + head];
        m->delta[r] = c->ex->row->dot(dy[r], element(c, &c->y, row, head), c->q.dtype, e);
    }
    c->tiles->pack_v(m->q_rows, q, n, e);
    c->tiles->pack_v(m->dy_rows, dy, n, e);
}

/* Rows of sums to their place in d, one head wide. */
static void write_rows(const struct call *c, const struct cr_tensor *d, size_t row,
                       size_t head, const float *sums, size_t stride, size_t n) {
    size_t e = c->shape->head_dim;
    for (size_t r = 0; r < n; r++, sums += stride) {
        char *to = cr_tensor_row(d, row + r);
        if (d->dtype == CR_F32)
            memcpy((float *)(void *)to + head * e, sums, e * sizeof *sums);
        else
            c->ex->dense->row_to_bf16(CR_F32, sums, (uint16_t *)(void *)to + head * e, e);
    }
}

/* Query rows [t, t + n) of one head against all their keys. Blocks do not cross multiples of
 * PANEL in the walk, so that every row sees a key of every panel up to its own. */
static void query_block_bwd(const struct call *c, const struct segment *g, size_t head,
                            size_t t, size_t n, struct room *m) {
    const struct cr_attention_shape *s = c->shape;
    size_t stride = c->tiles->bwd_stride(s->head_dim), n_keys = g->prior + g->n;
    size_t seen = s->causal ? g->prior + t + 1 : n_keys;
    size_t last = s->causal ? g->prior + t + n : n_keys;
    size_t row = g->first + t;
    pack_queries(c, g, head, t, n, m);
    memset(m->dq, 0, n * stride * sizeof *m->dq);
    struct cr_attention_bwd b = {.q = element(c, &c->q, row, head),
                                 .dy = element(c, &c->dy, row, head),
                                 .q_stride = stride_of(&c->q),
                                 .dy_stride = stride_of(&c->dy),
                                 .n_rows = n,
                                 .q_rows = m->q_rows,
                                 .dy_rows = m->dy_rows,
                                 .lse = m->lse,
                                 .delta = m->delta,
                                 .head_dim = s->head_dim,
                                 .scale = s->scale,
                                 .dq = m->dq};
    for (size_t key = 0; key < last; key += PANEL) {
        size_t p = key / PANEL;
        b.k_cols = m->k_cols + p * c->k_bytes;
        b.k_rows = m->k_rows + p * c->v_bytes;
        b.v_cols = m->v_cols + p * c->k_bytes;
        b.dk = m->dk + key * stride;
        b.dv = m->dv + key * stride;
        b.mask = (struct cr_attention_mask){.n_keys = CR_MIN(PANEL, last - key),
                                            .visible = seen - key,
                                            .per_row = s->causal};
        c->tiles->bwd(m->work, &b);
    }
    write_rows(c, &c->dq, row, head, m->dq, stride, n);
}

/* Sums of the segment's own keys are done with it; the prefix's when all have been. */
static void write_keys(const struct call *c, const struct segment *g, size_t group,
                       const struct room *m) {
    size_t stride = c->tiles->bwd_stride(c->shape->head_dim), at = g->prior * stride;
    write_rows(c, &c->dk, g->first, group, m->dk + at, stride, g->n);
    write_rows(c, &c->dv, g->first, group, m->dv + at, stride, g->n);
}

static void task_bwd(const struct call *c, const struct cr_packed_sequence *s,
                     size_t group, struct room *m) {
    size_t per_group = c->shape->n_heads / c->shape->n_kv_heads;
    size_t stride = c->tiles->bwd_stride(c->shape->head_dim);
    for (size_t i = 0; i < n_segments(s); i++) {
        struct segment g = segment_at(s, i);
        pack_bwd(c, &g, group, m);
        size_t end = g.prior + g.n;
        memset(m->dk + g.prior * stride, 0, g.n * stride * sizeof *m->dk);
        memset(m->dv + g.prior * stride, 0, g.n * stride * sizeof *m->dv);
        for (size_t h = group * per_group; h < (group + 1) * per_group; h++)
            for (size_t at = g.prior; at < end; at = (at / PANEL + 1) * PANEL)
                query_block_bwd(c, &g, h, at - g.prior,
                                CR_MIN((at / PANEL + 1) * PANEL, end) - at, m);
        if (g.prior > 0)
            write_keys(c, &g, group, m);
    }
    struct segment first = segment_at(s, 0);
    if (first.prior == 0)
        write_keys(c, &first, group, m);
}

/* Both */

/* The next bytes of base; base NULL: counts only. */
static void *take(char *base, size_t *used, size_t bytes) {
    void *p = base ? base + *used : NULL;
    *used += CR_CEIL_DIV(bytes, 64) * 64;
    return p;
}

/* Lays out one thread's memory from `base`; returns its bytes. */
static size_t lay_out(const struct call *c, bool backward, char *base, struct room *m) {
    size_t e = c->shape->head_dim, n = c->n_panels;
    size_t work = backward ? c->tiles->bwd_bytes(e) : c->tiles->work_bytes(e);
    size_t used = 0;
    m->work = take(base, &used, work);
    m->k_cols = take(base, &used, n * c->k_bytes);
    if (backward) {
        size_t row_bytes = c->tiles->bwd_stride(e) * sizeof(float);
        m->k_rows = take(base, &used, n * c->v_bytes);
        m->v_cols = take(base, &used, n * c->k_bytes);
        m->q_rows = take(base, &used, c->v_bytes);
        m->dy_rows = take(base, &used, c->v_bytes);
        m->dq = take(base, &used, PANEL * row_bytes);
        m->dk = take(base, &used, n * PANEL * row_bytes);
        m->dv = take(base, &used, n * PANEL * row_bytes);
    } else {
        m->v_rows = take(base, &used, n * c->v_bytes);
    }
    return used;
}

static void run(struct call *c, size_t n_sequences, bool backward) {
    struct cr_exec *ex = c->ex;
    size_t n_groups = c->shape->n_kv_heads, mark = cr_arena_mark(&ex->scratch);
    CR_ASSERT(n_groups && c->shape->n_heads % n_groups == 0);
    bool mixed = !backward && c->q.dtype != ex->act;
    CR_ASSERT(c->q.dtype == (mixed ? CR_F32 : ex->act));
    CR_ASSERT(c->k.dtype == ex->act || (mixed && c->k.dtype == CR_F32));
    CR_ASSERT(c->v.dtype == ex->act && c->y.dtype == ex->act);
    CR_ASSERT(cr_tensor_cols(&c->q) == cr_tensor_cols(&c->y));
    CR_ASSERT(!c->shape->in_8_bits || (mixed && ex->act == CR_BF16));
    c->tiles = c->shape->in_8_bits ? ex->row->attention_int8
               : mixed             ? ex->row->attention_mixed
               : ex->act == CR_F32 ? ex->row->attention_f32
                                   : ex->row->attention_bf16;
    c->k_bytes = c->tiles->k_bytes(c->shape->head_dim);
    c->v_bytes = c->tiles->v_bytes(c->shape->head_dim);
    c->n_panels = CR_CEIL_DIV(longest_walk(c, n_sequences), PANEL);
    struct room counted;
    c->thread_bytes = lay_out(c, backward, NULL, &counted);
    c->memory = cr_exec_matrix(ex, CR_U8, ex->n_threads, c->thread_bytes).data;
#pragma omp parallel num_threads(ex->n_threads)
    {
        struct room m = {0};
        lay_out(c, backward, c->memory + (size_t)omp_get_thread_num() * c->thread_bytes,
                &m);
#pragma omp for schedule(dynamic)
        for (size_t i = 0; i < n_sequences * n_groups; i++)
            (backward ? task_bwd : task_fwd)(c, &c->sequences[i / n_groups], i % n_groups,
                                             &m);
    }
    cr_arena_release(&ex->scratch, mark);
}

void cr_packed_attention_fwd(struct cr_tensor y, float *lse, struct cr_tensor q,
                             struct cr_tensor k, struct cr_tensor v,
                             const struct cr_packed_sequence *sequences,
                             size_t n_sequences, const struct cr_attention_shape *shape,
                             struct cr_exec *ex) {
    struct call c = {.shape = shape, .sequences = sequences, .ex = ex, .lse = lse};
    c.y = y;
    c.q = q;
    c.k = k;
    c.v = v;
    run(&c, n_sequences, false);
}

void cr_packed_attention_bwd(struct cr_tensor dq, struct cr_tensor dk,
                             struct cr_tensor dv, struct cr_tensor dy, struct cr_tensor y,
                             const float *lse, struct cr_tensor q, struct cr_tensor k,
                             struct cr_tensor v,
                             const struct cr_packed_sequence *sequences,
                             size_t n_sequences, const struct cr_attention_shape *shape,
                             struct cr_exec *ex) {
    struct call c = {.shape = shape, .sequences = sequences, .ex = ex, .lse_in = lse};
    CR_ASSERT(dy.dtype == ex->act);
    c.y = y;
    c.q = q;
    c.k = k;
    c.v = v;
    c.dy = dy;
    c.dq = dq;
    c.dk = dk;
    c.dv = dv;
    run(&c, n_sequences, true);
}
