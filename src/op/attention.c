#include "op/attention.h"

#include <math.h>
#include <omp.h>
#include <string.h>

#include "base/checked.h"
#include "kernel/dense.h"
#include "kernel/quant.h"
#include "kernel/row.h"

#define KEYS         CR_ATTENTION_KEYS
#define PANEL        CR_ATTENTION_PANEL
#define ROWS         CR_ATTENTION_ROWS
#define BLOCK_PANELS CR_ATTENTION_PANELS

/* One call, seen from the inside of the parallel region. */
struct call {
    const struct cr_attention_tiles *tiles;
    const struct cr_kv_view *kv;
    const struct cr_attention_shape *shape;
    struct cr_tensor y, q;
    float *lse;
    size_t n_rows;              /* T */
    size_t first;               /* 0 where not causal */
    size_t n_keys;              /* keys that some row sees */
    size_t n_panels;            /* of n_keys */
    size_t q_bytes, elem_bytes; /* of an element of q; of y */
    size_t kv_bytes;            /* of a block of k and v */
    float *rows;                /* (n_threads): rows of k and v made f32; NULL: none */
    const struct cr_dense *dense;
    size_t k_bytes, v_bytes, work_bytes;
    const void **k, **v; /* prefill: panels (G, n_panels) */
    char *k_own, *v_own; /* packed here: (G, n_panels), or a block's for each thread */
    char *work;          /* (n_threads) */
    size_t n_blocks;     /* step: blocks of keys */
    float *m, *l, *a;    /* step: partial sums (T, n_blocks, H) and (T, n_blocks, H, E) */
};

static void *scratch(struct cr_exec *ex, size_t n, size_t bytes) {
    size_t total;
    CR_ASSERT(cr_mul_size(n, bytes, &total));
    void *p = cr_arena_alloc(&ex->scratch, total);
    CR_ASSERT(p);
    return p;
}

/* Floats of a row of k or v in a panel that is made of another type. */
static size_t wide_row(size_t head_dim) {
    return CR_CEIL_DIV(head_dim, (size_t)32) * 32;
}

/* n rows of another type as the tiles take them: keys F32, values of y's type, in place. */
static void widen_rows(const struct call *c, const void **k_rows, const void **v_rows,
                       size_t n) {
    size_t wide = wide_row(c->shape->head_dim), len = cr_dtype_block_len(c->kv->type);
    size_t e = CR_CEIL_DIV(c->shape->head_dim, len) * len;
    float *k = c->rows + (size_t)omp_get_thread_num() * 2 * PANEL * wide;
    float *v = k + PANEL * wide;
    for (size_t i = 0; i < n; i++, k += wide, v += wide) {
        c->dense->row_to_f32(c->kv->type, k_rows[i], k, e);
        c->dense->row_to_f32(c->kv->type, v_rows[i], v, e);
        if (c->y.dtype != CR_F32)
            cr_row_from_f32(c->y.dtype, v, v, e); /* never ahead of what it reads */
        k_rows[i] = k;
        v_rows[i] = v;
    }
}

/* Packs the panel of keys [PANEL * panel, ...) of one kv head. */
static void pack_panel(const struct call *c, size_t group, size_t panel, char *k,
                       char *v) {
    const void *k_rows[PANEL];
    const void *v_rows[PANEL];
    const struct cr_kv_view *kv = c->kv;
    size_t first = panel * PANEL;
    size_t n = CR_MIN(PANEL, c->n_keys - first);
    size_t page = first / kv->page_len, slot = first % kv->page_len;
    for (size_t i = 0; i < n; i++) {
        size_t at = (slot * kv->row_stride + group * kv->head_stride) * c->kv_bytes;
        k_rows[i] = (const char *)kv->k[page] + at;
        v_rows[i] = (const char *)kv->v[page] + at;
        if (++slot == kv->page_len) {
            slot = 0;
            page++;
        }
    }
    if (c->rows)
        widen_rows(c, k_rows, v_rows, n);
    c->tiles->pack_k(k, k_rows, c->rows ? CR_F32 : c->y.dtype, n, c->shape->head_dim);
    c->tiles->pack_v(v, v_rows, n, c->shape->head_dim);
}

/* Rows [t, t + n) of one head against all their keys. */
static void query_block(const struct call *c, size_t head, size_t t, size_t n,
                        void *work) {
    const struct cr_attention_shape *shape = c->shape;
    size_t group = head / (shape->n_heads / shape->n_kv_heads), e = shape->head_dim;
    size_t q_stride = c->q.row_bytes / c->q_bytes;
    size_t y_stride = c->y.row_bytes / c->elem_bytes;
    size_t seen = shape->causal ? c->first + t + 1 : c->n_keys; /* by the first row */
    size_t last = shape->causal ? c->first + t + n : c->n_keys; /* by the last row */
    c->tiles->begin(work, (const char *)cr_tensor_row(&c->q, t) + head * e * c->q_bytes,
                    q_stride, n, e, shape->scale);
    for (size_t key = 0; key < last; key += KEYS) {
        size_t panel = group * c->n_panels + key / PANEL;
        struct cr_attention_mask mask = {.n_keys = CR_MIN(KEYS, last - key),
                                         .visible = seen - key,
                                         .per_row = shape->causal};
        c->tiles->step(work, c->k + panel, c->v + panel, &mask);
    }
    float *lse = c->lse ? c->lse + t * shape->n_heads + head : NULL;
    c->tiles->end(work, (char *)cr_tensor_row(&c->y, t) + head * e * c->elem_bytes,
                  y_stride, lse, shape->n_heads);
}

/* Blocks of query rows start at absolute multiples of ROWS; heavy blocks go first, and the
 * heads of one kv head follow each other while its panels are in cache. */
static void prefill(struct call *c, struct cr_exec *ex) {
    size_t n_groups = c->shape->n_kv_heads, per_group = c->shape->n_heads / n_groups;
    size_t n_panels = n_groups * c->n_panels, n_own = c->kv->packed ? 0 : n_panels;
    c->k = scratch(ex, n_panels, sizeof *c->k);
    c->v = scratch(ex, n_panels, sizeof *c->v);
    c->k_own = scratch(ex, n_own, c->k_bytes);
    c->v_own = scratch(ex, n_own, c->v_bytes);
    for (size_t i = 0; i < n_panels; i++) {
        c->k[i] = n_own
                      ? c->k_own + i * c->k_bytes
                      : (char *)c->kv->k[i % c->n_panels] + i / c->n_panels * c->k_bytes;
        c->v[i] = n_own
                      ? c->v_own + i * c->v_bytes
                      : (char *)c->kv->v[i % c->n_panels] + i / c->n_panels * c->v_bytes;
    }
    c->work = scratch(ex, (size_t)ex->n_threads, c->work_bytes);
    size_t block_0 = c->first / ROWS, end = c->first + c->n_rows;
    size_t n_blocks = (end + ROWS - 1) / ROWS - block_0;
#pragma omp parallel num_threads(ex->n_threads)
    {
#pragma omp for schedule(static)
        for (size_t i = 0; i < n_own; i++)
            pack_panel(c, i / c->n_panels, i % c->n_panels, c->k_own + i * c->k_bytes,
                       c->v_own + i * c->v_bytes);
        void *work = c->work + (size_t)omp_get_thread_num() * c->work_bytes;
#pragma omp for schedule(dynamic)
        for (size_t i = 0; i < n_groups * n_blocks * per_group; i++) {
            size_t group = i / (n_blocks * per_group);
            size_t block = block_0 + n_blocks - 1 - i / per_group % n_blocks;
            size_t from = CR_MAX(block * ROWS, c->first);
            size_t to = CR_MIN((block + 1) * ROWS, end);
            query_block(c, group * per_group + i % per_group, from - c->first, to - from,
                        work);
        }
    }
}

/* One block of keys of one kv head for every row: partial sums of its query heads. */
static void key_block(const struct call *c, size_t group, size_t block, char *k, char *v,
                      void *work) {
    const struct cr_attention_shape *shape = c->shape;
    size_t per_group = shape->n_heads / shape->n_kv_heads, e = shape->head_dim;
    size_t first = block * KEYS, n_keys = CR_MIN(KEYS, c->n_keys - first);
    const void *k_panels[BLOCK_PANELS], *v_panels[BLOCK_PANELS];
    for (size_t p = 0; p * PANEL < n_keys; p++) {
        size_t page = block * BLOCK_PANELS + p;
        k_panels[p] = c->kv->packed ? (char *)c->kv->k[page] + group * c->k_bytes
                                    : k + p * c->k_bytes;
        v_panels[p] = c->kv->packed ? (char *)c->kv->v[page] + group * c->v_bytes
                                    : v + p * c->v_bytes;
        if (!c->kv->packed)
            pack_panel(c, group, page, k + p * c->k_bytes, v + p * c->v_bytes);
    }
    for (size_t t = 0; t < c->n_rows; t++) {
        size_t seen = shape->causal ? c->first + t + 1 : c->n_keys;
        if (seen <= first)
            continue;
        struct cr_attention_mask mask = {.n_keys = CR_MIN(n_keys, seen - first),
                                         .visible = seen - first};
        for (size_t r = 0; r < per_group; r += ROWS) {
            size_t head = group * per_group + r;
            size_t at = (t * c->n_blocks + block) * shape->n_heads + head;
            c->tiles->begin(work,
                            (const char *)cr_tensor_row(&c->q, t) + head * e * c->q_bytes,
                            e, CR_MIN(ROWS, per_group - r), e, shape->scale);
            c->tiles->step(work, k_panels, v_panels, &mask);
            c->tiles->partial(work, c->m + at, c->l + at, c->a + at * e);
        }
    }
}

/* y = sum_b 2^(m_b - m) a_b / sum_b 2^(m_b - m) l_b, blocks in order. */
static void combine(const struct call *c, size_t t, size_t head, float *sum) {
    const struct cr_attention_shape *shape = c->shape;
    size_t e_len = shape->head_dim, n_heads = shape->n_heads;
    size_t seen = shape->causal ? c->first + t + 1 : c->n_keys;
    size_t n = (seen + KEYS - 1) / KEYS, at = t * c->n_blocks * n_heads + head;
    float m = -INFINITY, l = 0.0f;
    for (size_t b = 0; b < n; b++)
        m = fmaxf(m, c->m[at + b * n_heads]);
    for (size_t e = 0; e < e_len; e++)
        sum[e] = 0.0f;
    for (size_t b = 0; b < n; b++) {
        size_t i = at + b * n_heads;
        float weight = exp2f(c->m[i] - m);
        l += weight * c->l[i];
        for (size_t e = 0; e < e_len; e++)
            sum[e] += weight * c->a[i * e_len + e];
    }
    for (size_t e = 0; e < e_len; e++)
        sum[e] /= l;
    cr_row_from_f32(c->y.dtype, sum,
                    (char *)cr_tensor_row(&c->y, t) + head * e_len * c->elem_bytes,
                    e_len);
    if (c->lse)
        c->lse[t * n_heads + head] = (m + log2f(l)) * 0.693147180559945309f;
}

/* Keys are read once a kv head, in fixed blocks that threads share out; the blocks' partial
 * sums are then added in order. */
static void step(struct call *c, struct cr_exec *ex) {
    size_t n_groups = c->shape->n_kv_heads, n_heads = c->shape->n_heads;
    size_t n_threads = (size_t)ex->n_threads, e = c->shape->head_dim;
    c->n_blocks = (c->n_keys + KEYS - 1) / KEYS;
    size_t n_own = c->kv->packed ? 0 : n_threads * BLOCK_PANELS;
    c->k_own = scratch(ex, n_own, c->k_bytes);
    c->v_own = scratch(ex, n_own, c->v_bytes);
    c->work = scratch(ex, n_threads, c->work_bytes);
    size_t n_partial = c->n_rows * c->n_blocks * n_heads;
    c->m = scratch(ex, n_partial, sizeof(float));
    c->l = scratch(ex, n_partial, sizeof(float));
    c->a = scratch(ex, n_partial, e * sizeof(float));
    float *sums = scratch(ex, n_threads, e * sizeof(float));
#pragma omp parallel num_threads(ex->n_threads) if (n_groups * c->n_blocks > 1)
    {
        size_t me = (size_t)omp_get_thread_num();
#pragma omp for schedule(dynamic)
        for (size_t i = 0; i < n_groups * c->n_blocks; i++)
            key_block(c, i / c->n_blocks, i % c->n_blocks,
                      c->k_own + me * BLOCK_PANELS * c->k_bytes,
                      c->v_own + me * BLOCK_PANELS * c->v_bytes,
                      c->work + me * c->work_bytes);
#pragma omp for schedule(static)
        for (size_t i = 0; i < c->n_rows * n_heads; i++)
            combine(c, i / n_heads, i % n_heads, sums + me * e);
    }
}

static void check_call(const struct call *c) {
    const struct cr_attention_shape *shape = c->shape;
    size_t width = shape->n_heads * shape->head_dim;
    CR_ASSERT(shape->n_kv_heads && shape->n_heads % shape->n_kv_heads == 0);
    CR_ASSERT(cr_tensor_cols(&c->q) == width && cr_tensor_cols(&c->y) == width);
    CR_ASSERT(cr_tensor_rows(&c->y) == c->n_rows);
    CR_ASSERT(c->y.dtype == CR_F32 || c->y.dtype == CR_BF16);
    CR_ASSERT(c->q.dtype == c->y.dtype || c->q.dtype == CR_F32);
    CR_ASSERT(c->n_keys && c->n_keys <= c->kv->n_keys && c->kv->page_len);
    CR_ASSERT(c->kv->type != CR_I8 || (c->kv->packed && c->y.dtype == CR_BF16));
    CR_ASSERT(!c->kv->packed || (c->kv->page_len == PANEL && c->q.dtype == CR_F32));
    CR_ASSERT(c->kv->packed || c->kv->type == c->y.dtype || c->kv->type == CR_Q8_0 ||
              (c->kv->type == CR_BF16 && c->y.dtype == CR_F32));
    CR_ASSERT(c->kv->packed || c->kv->type == c->y.dtype || c->q.dtype == CR_F32);
}

static const struct cr_attention_tiles *
tiles_of(enum cr_dtype q, enum cr_dtype y, enum cr_dtype kv, const struct cr_exec *ex) {
    return kv == CR_I8   ? ex->row->attention_int8
           : y == CR_F32 ? ex->row->attention_f32
           : q == CR_F32 ? ex->row->attention_mixed
                         : ex->row->attention_bf16;
}

struct cr_kv_page cr_attention_page(size_t head_dim, enum cr_dtype y, enum cr_dtype kv,
                                    const struct cr_exec *ex) {
    const struct cr_attention_tiles *tiles = tiles_of(CR_F32, y, kv, ex);
    CR_ASSERT(y == kv || kv == CR_Q8_0 || (kv == CR_I8) == (y == CR_BF16));
    if (y == kv || kv == CR_I8)
        return (struct cr_kv_page){PANEL, tiles->k_bytes(head_dim),
                                   tiles->v_bytes(head_dim), 0};
    size_t len = cr_dtype_block_len(kv);
    size_t row = CR_CEIL_DIV(head_dim, len) * cr_dtype_block_bytes(kv);
    return (struct cr_kv_page){PANEL, PANEL * row, PANEL * row, row};
}

/* A row that is no number must not become one in 8 bits. */
static void put_row(void *to, const float *row, enum cr_dtype type, size_t n) {
    float values[256 + 32];
    size_t len = cr_dtype_block_len(type);
    for (size_t at = 0; at < n; at += 256) {
        size_t part = CR_MIN(n - at, 256), whole = CR_CEIL_DIV(part, len) * len;
        char *block = (char *)to + at / len * cr_dtype_block_bytes(type);
        bool is_finite = true;
        memcpy(values, row + at, part * sizeof *values);
        for (size_t i = 0; i < part; i++)
            is_finite &= isfinite(values[i]) != 0;
        for (size_t i = part; i < whole; i++)
            values[i] = 0;
        cr_row_from_f32(type, values, block, whole);
        if (!is_finite && type == CR_Q8_0) {
            const uint16_t nan = cr_f16_from_f32(NAN);
            memcpy(block, &nan, sizeof nan);
        }
    }
}

void cr_attention_put(void *k_page, void *v_page, const float *k, const float *v,
                      size_t slot, size_t n_kv_heads, size_t head_dim, enum cr_dtype y,
                      enum cr_dtype kv, const struct cr_exec *ex) {
    const struct cr_attention_tiles *tiles = tiles_of(CR_F32, y, kv, ex);
    const struct cr_kv_page page = cr_attention_page(head_dim, y, kv, ex);
    for (size_t g = 0; g < n_kv_heads; g++) {
        const float *k_row = k + g * head_dim, *v_row = v + g * head_dim;
        if (page.row_bytes) {
            size_t at = (slot * n_kv_heads + g) * page.row_bytes;
            put_row((char *)k_page + at, k_row, kv, head_dim);
            put_row((char *)v_page + at, v_row, kv, head_dim);
        } else {
            tiles->put_k((char *)k_page + g * page.k_bytes, k_row, slot, head_dim);
            tiles->put_v((char *)v_page + g * page.v_bytes, v_row, slot, head_dim);
        }
    }
}

void cr_attention_fwd(struct cr_tensor y, struct cr_attention_saved *saved,
                      struct cr_tensor q, const struct cr_kv_view *kv,
                      const struct cr_attention_shape *shape, enum cr_phase phase,
                      struct cr_exec *ex) {
    struct call c = {.kv = kv, .shape = shape, .y = y, .q = q};
    c.n_rows = cr_tensor_rows(&q);
    if (c.n_rows == 0)
        return;
    c.lse = saved ? saved->lse : NULL;
    c.first = shape->causal ? shape->first : 0;
    c.n_keys = shape->causal ? c.first + c.n_rows : kv->n_keys;
    c.n_panels = (c.n_keys + PANEL - 1) / PANEL;
    check_call(&c);
    c.q_bytes = cr_dtype_block_bytes(q.dtype);
    c.elem_bytes = cr_dtype_block_bytes(y.dtype);
    c.kv_bytes = cr_dtype_block_bytes(kv->type);
    c.dense = ex->dense;
    c.tiles = tiles_of(q.dtype, y.dtype, kv->type, ex);
    c.k_bytes = c.tiles->k_bytes(shape->head_dim);
    c.v_bytes = c.tiles->v_bytes(shape->head_dim);
    c.work_bytes = c.tiles->work_bytes(shape->head_dim);
    size_t mark = cr_arena_mark(&ex->scratch);
    if (!kv->packed && kv->type != y.dtype)
        c.rows =
            scratch(ex, (size_t)ex->n_threads * 2 * PANEL * wide_row(shape->head_dim),
                    sizeof *c.rows);
    if (phase == CR_PREFILL)
        prefill(&c, ex);
    else
        step(&c, ex);
    cr_arena_release(&ex->scratch, mark);
}
