#include "op/attention.h"

#include "base/checked.h"
#include "kernel/attention.h"
#include "op/attention_packed.h"
#include "t_exec.h"

struct shape_case {
    size_t n_rows, first, n_keys, n_heads, n_kv_heads, head_dim, page_len;
    bool causal;
};

struct input {
    struct shape_case c;
    enum cr_dtype type, q_type; /* of k, v and y; of q */
    bool in_8_bits;
    struct cr_tensor q, k, v; /* k, v: (n_keys, G * E) */
    void **k_pages, **v_pages;
    size_t n_pages;
};

/* Pages laid out (slot, head, E), each exactly as long as it must be; slots past the last
 * key hold NaN. */
static void fill_pages(struct input *in) {
    const struct shape_case *c = &in->c;
    size_t bytes = in->k.row_bytes;
    in->n_pages = (c->n_keys + c->page_len - 1) / c->page_len;
    in->k_pages = calloc(in->n_pages, sizeof *in->k_pages);
    in->v_pages = calloc(in->n_pages, sizeof *in->v_pages);
    for (size_t p = 0; p < in->n_pages; p++) {
        size_t n = CR_MIN(c->page_len, c->n_keys - p * c->page_len);
        in->k_pages[p] = malloc(c->page_len * bytes);
        in->v_pages[p] = malloc(c->page_len * bytes);
        memset(in->k_pages[p], 0xFF, c->page_len * bytes);
        memset(in->v_pages[p], 0xFF, c->page_len * bytes);
        memcpy(in->k_pages[p], cr_tensor_row(&in->k, p * c->page_len), n * bytes);
        memcpy(in->v_pages[p], cr_tensor_row(&in->v, p * c->page_len), n * bytes);
    }
}

static void free_pages(struct input *in) {
    for (size_t p = 0; p < in->n_pages; p++) {
        free(in->k_pages[p]);
        free(in->v_pages[p]);
    }
    free(in->k_pages);
    free(in->v_pages);
}

static struct input make_input(const struct shape_case *c, enum cr_dtype type,
                               enum cr_dtype q_type, uint64_t seed) {
    struct cr_rng rng;
    cr_rng_seed(&rng, seed);
    struct input in = {.c = *c, .type = type, .q_type = q_type};
    in.q = t_random(q_type, c->n_rows, c->n_heads * c->head_dim, 1.5, &rng);
    in.k = t_random(type, c->n_keys, c->n_kv_heads * c->head_dim, 1.5, &rng);
    in.v = t_random(type, c->n_keys, c->n_kv_heads * c->head_dim, 1.0, &rng);
    fill_pages(&in);
    return in;
}

static void free_input(struct input *in) {
    free_pages(in);
    free(in->q.data);
    free(in->k.data);
    free(in->v.data);
}

static float scale_of(const struct shape_case *c) {
    return 1.0f / sqrtf((float)c->head_dim);
}

/* Rows [t, t + y.dim[0]) of the case. */
static void run(struct cr_tensor y, float *lse, const struct input *in, size_t t,
                enum cr_phase phase, struct cr_exec *ex) {
    const struct shape_case *c = &in->c;
    struct cr_kv_view kv = {.k = in->k_pages,
                            .v = in->v_pages,
                            .page_len = c->page_len,
                            .row_stride = c->n_kv_heads * c->head_dim,
                            .head_stride = c->head_dim,
                            .n_keys = c->n_keys,
                            .type = in->type};
    struct cr_attention_shape shape = {.n_heads = c->n_heads,
                                       .n_kv_heads = c->n_kv_heads,
                                       .head_dim = c->head_dim,
                                       .scale = scale_of(c),
                                       .causal = c->causal,
                                       .first = c->first + t};
    struct cr_attention_saved saved = {.lse = lse};
    cr_attention_fwd(y, lse ? &saved : NULL, cr_tensor_slice(&in->q, t, y.dim[0]), &kv,
                     &shape, phase, ex);
    assert_int_equal(cr_arena_mark(&ex->scratch), 0);
}

/* Adds to `loss` what values in 8 bits may cost element by element: half a unit of each value, and
 * half a unit of its weight, which is 1/255 of the largest weight times unit in its block of keys.
 * p: (n) weights of sum 1. */
static void add_loss8(double *loss, const struct input *in, const double *p, size_t n,
                      size_t group) {
    size_t e_len = in->c.head_dim;
    double *unit = calloc(n, sizeof *unit);
    for (size_t i = 0; i < n; i++) {
        for (size_t e = 0; e < e_len; e++)
            unit[i] = fmax(unit[i], fabs((double)t_get(&in->v, i, group * e_len + e)));
        unit[i] = fmax(unit[i] / 127, (double)CR_ATTENTION_LEAST_UNIT);
    }
    for (size_t first = 0; first < n; first += CR_ATTENTION_KEYS) {
        double most = 0;
        size_t end = CR_MIN(n, first + CR_ATTENTION_KEYS);
        for (size_t i = first; i < end; i++)
            most = fmax(most, p[i] * unit[i]);
        for (size_t i = first; i < end; i++)
            for (size_t e = 0; e < e_len; e++) {
                double v = fabs((double)t_get(&in->v, i, group * e_len + e));
                loss[e] += 0.51 * (p[i] * unit[i] + most / 255 * (v / unit[i] + 0.5));
            }
    }
    free(unit);
}

/* What 8 bits make of a row: n * unit, |n| <= 127. */
static void round8(float *row, size_t n) {
    float most = 0;
    for (size_t e = 0; e < n; e++)
        most = fmaxf(most, fabsf(row[e]));
    float unit = fmaxf(most / 127.0f, CR_ATTENTION_LEAST_UNIT), inverse = 1.0f / unit;
    for (size_t e = 0; e < n; e++)
        row[e] = unit * rintf(row[e] * inverse);
}

/* q . k of query row t of head h and key i, and sum |q_e k_e|, as 8 bits hold them: q meets the page's
 * first key as it is, and what k has over that in 8 bits on both sides. */
static double dot8(double *sum, const struct input *in, size_t t, size_t h, size_t i,
                   size_t g) {
    size_t n = in->c.head_dim, first = i / CR_ATTENTION_PANEL * CR_ATTENTION_PANEL;
    float q[256], over[256];
    double dot = 0;
    *sum = 0;
    for (size_t e = 0; e < n; e++) {
        float base = t_get(&in->k, first, g * n + e);
        q[e] = t_get(&in->q, t, h * n + e);
        over[e] = t_get(&in->k, i, g * n + e) - base;
        dot += (double)q[e] * (double)base;
        *sum += fabs((double)q[e] * (double)base);
    }
    round8(q, n);
    round8(over, n);
    for (size_t e = 0; e < n; e++) {
        dot += (double)q[e] * (double)over[e];
        *sum += fabs((double)q[e] * (double)over[e]);
    }
    return dot;
}

/* One row of one head in double. y, and spread = sum_s p_s |v_s|, the size that errors of the
 * weights act on, and loss (add_loss8); returns the log-sum-exp, the largest sum |scale q k| and
 * the largest scale |q| |k|. */
static double naive(double *y, double *spread, double *loss, double *mass, double *reach,
                    const struct input *in, size_t t, size_t h) {
    const struct shape_case *c = &in->c;
    size_t e_len = c->head_dim, g = h / (c->n_heads / c->n_kv_heads);
    size_t n = c->causal ? c->first + t + 1 : c->n_keys;
    double *s = malloc(n * sizeof *s), m = -INFINITY, l = 0;
    *mass = *reach = 0;
    for (size_t i = 0; i < n; i++) {
        double dot = 0, sum = 0, qq = 0, kk = 0;
        for (size_t e = 0; e < e_len; e++) {
            double q = (double)t_get(&in->q, t, h * e_len + e);
            double k = (double)t_get(&in->k, i, g * e_len + e);
            double term = q * k * (double)scale_of(c);
            qq += q * q;
            kk += k * k;
            dot += term;
            sum += fabs(term);
        }
        if (in->in_8_bits) {
            dot = dot8(&sum, in, t, h, i, g) * (double)scale_of(c);
            sum *= (double)scale_of(c);
        }
        s[i] = dot;
        m = fmax(m, dot);
        *mass = fmax(*mass, sum);
        *reach = fmax(*reach, sqrt(qq * kk) * (double)scale_of(c));
    }
    for (size_t i = 0; i < n; i++)
        l += s[i] = exp(s[i] - m);
    for (size_t i = 0; i < n; i++)
        s[i] /= l;
    for (size_t e = 0; e < e_len; e++) {
        y[e] = spread[e] = loss[e] = 0;
        for (size_t i = 0; i < n; i++) {
            double term = s[i] * (double)t_get(&in->v, i, g * e_len + e);
            y[e] += term;
            spread[e] += fabs(term);
        }
    }
    if (in->in_8_bits)
        add_loss8(loss, in, s, n, g);
    free(s);
    return m + log(l);
}

/* docs/numerics.md, attention: weights are off by `weight` relatively, y is rounded once. */
static void check_row(const struct cr_tensor *y, const float *lse, const struct input *in,
                      size_t t, size_t h, const char *what) {
    const struct shape_case *c = &in->c;
    double value[256], spread[256], loss[256], mass, reach;
    double log_sum = naive(value, spread, loss, &mass, &reach, in, t, h);
    double u = in->type == CR_F32 ? 0x1p-24 : 0x1p-8;
    double f32 = 0x1p-24 * (32 + 4 * mass);
    if (in->type != in->q_type &&
        !in->in_8_bits) /* q and k in int16: half a unit an element, both sides */
        f32 += sqrt((double)c->head_dim) / 32767 * reach;
    double weight = in->type == CR_F32 || in->in_8_bits ? 0 : 0x1p-8;
    for (size_t e = 0; e < c->head_dim; e++) {
        double got = (double)t_get(y, t, h * c->head_dim + e);
        double bound =
            (f32 + weight) * spread[e] + loss[e] + u * (fabs(value[e]) + loss[e]);
        if (!(fabs(got - value[e]) <= bound))
            fail_msg("%s T %zu first %zu keys %zu heads %zu/%zu E %zu: row %zu head %zu "
                     "element %zu: %g, expected %g within %.2g",
                     what, c->n_rows, c->first, c->n_keys, c->n_heads, c->n_kv_heads,
                     c->head_dim, t, h, e, got, value[e], bound);
    }
    T_NEAR(lse[t * c->n_heads + h], log_sum, f32 + 0x1p-22 * fabs(log_sum), 0);
}

static void check_case(const struct shape_case *c, enum cr_isa isa,
                       enum cr_compute compute, enum cr_dtype q_type,
                       enum cr_phase phase) {
    struct cr_exec *ex = t_exec(isa, compute, 2);
    struct input in = make_input(c, ex->act, q_type, 7);
    struct cr_tensor y = t_tensor(ex->act, c->n_rows, c->n_heads * c->head_dim);
    float *lse = calloc(c->n_rows * c->n_heads + 1, sizeof *lse);
    run(y, lse, &in, 0, phase, ex);
    /* The naive sum is slow: all rows of short cases, a sample of long ones. */
    size_t every = c->n_rows * c->n_keys * c->n_heads * c->head_dim / 400000 + 1;
    for (size_t i = 0; i < c->n_rows * c->n_heads; i += every)
        check_row(&y, lse, &in, i / c->n_heads, i % c->n_heads, cr_isa_name(isa));
    check_row(&y, lse, &in, c->n_rows - 1, c->n_heads - 1, cr_isa_name(isa));
    free(lse);
    free(y.data);
    free_input(&in);
    cr_exec_free(ex);
}

static const struct shape_case cases[] = {
    /* T, first, keys, H, G, E, page_len, causal */
    {1, 0, 1, 1, 1, 1, 1, true},         {1, 0, 1, 2, 1, 64, 16, false},
    {2, 0, 2, 1, 1, 2, 1, true},         {5, 0, 5, 3, 1, 14, 4, true},
    {7, 3, 10, 2, 2, 72, 16, true},      {6, 0, 6, 4, 2, 16, 16, false},
    {1, 62, 63, 7, 1, 64, 16, true},     {1, 63, 64, 7, 1, 64, 16, true},
    {1, 64, 65, 14, 2, 64, 16, true},    {65, 0, 65, 2, 1, 80, 64, true},
    {95, 0, 95, 1, 1, 72, 4096, false},  {96, 1, 97, 2, 1, 128, 100, true},
    {97, 0, 97, 2, 1, 33, 10, true},     {13, 90, 103, 2, 1, 64, 16, true},
    {100, 300, 400, 2, 1, 64, 64, true}, {3, 382, 385, 7, 1, 128, 16, true},
    {1, 383, 384, 6, 2, 8, 16, true},    {1, 800, 801, 28, 4, 128, 64, true},
    {130, 700, 830, 2, 1, 20, 16, true}, {60, 0, 769, 1, 1, 72, 1000, false},
    {385, 0, 385, 2, 1, 96, 385, true},  {10, 0, 700, 5, 1, 15, 16, false},
    {9, 375, 384, 100, 1, 24, 16, true}, {4, 0, 384, 2, 2, 160, 64, false},
};

static void test_matches_naive(void **state) {
    (void)state;
    T_EACH_ISA(isa) {
        for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
            for (int phase = CR_PREFILL; phase <= CR_STEP; phase++) {
                enum cr_phase p = (enum cr_phase)phase;
                check_case(&cases[i], isa, CR_COMPUTE_F32, CR_F32, p);
                check_case(&cases[i], isa, CR_COMPUTE_BF16, CR_BF16, p);
                check_case(&cases[i], isa, CR_COMPUTE_BF16, CR_F32, p);
            }
        }
    }
}

/* Rows of q of every size, and k to match: what int16 cannot hold must not show. */
static void test_f32_queries_of_any_size(void **state) {
    (void)state;
    static const float sizes[] = {0.0f, 1e-30f, 1e-18f, 1.0f, 1e12f, 1e25f};
    struct shape_case c = {6, 94, 100, 2, 1, 72, 16, true};
    T_EACH_ISA(isa) {
        struct cr_exec *ex = t_exec(isa, CR_COMPUTE_BF16, 2);
        for (size_t i = 0; i < CR_COUNT(sizes); i++) {
            struct input in = make_input(&c, CR_BF16, CR_F32, 5);
            struct cr_tensor y = t_tensor(CR_BF16, 6, 144);
            float lse[12], *q = in.q.data;
            for (size_t j = 0; j < 6 * 144; j++)
                q[j] *= sizes[i] > 10 ? 1e-3f * (j % 144 == 7 ? 1e4f : 1.0f) : sizes[i];
            if (sizes[i] > 10) { /* huge keys, small queries, an outlier in each row */
                uint16_t *k = in.k.data;
                for (size_t j = 0; j < 100 * 72; j++)
                    k[j] = cr_bf16_from_f32(cr_bf16_to_f32(k[j]) * sizes[i]);
                for (size_t j = 0; j < 6 * 144; j++)
                    q[j] /= sizes[i];
                free_pages(&in);
                fill_pages(&in);
            }
            run(y, lse, &in, 0, CR_PREFILL, ex);
            for (size_t r = 0; r < 12; r++)
                check_row(&y, lse, &in, r / 2, r % 2, cr_isa_name(isa));
            q[3 * 144 + 5] = NAN;
            run(y, lse, &in, 0, CR_PREFILL, ex);
            assert_true(isnan(t_get(&y, 3, 0)));
            assert_false(isnan(t_get(&y, 2, 0)));
            free(y.data);
            free_input(&in);
        }
        cr_exec_free(ex);
    }
}

static void test_no_rows(void **state) {
    (void)state;
    struct cr_exec *ex = t_exec(CR_ISA_SCALAR, CR_COMPUTE_F32, 1);
    struct cr_tensor empty = cr_tensor_view2(NULL, CR_F32, 0, 8);
    struct cr_attention_shape shape = {
        .n_heads = 1, .n_kv_heads = 1, .head_dim = 8, .scale = 1, .causal = true};
    cr_attention_fwd(empty, NULL, empty, &(struct cr_kv_view){.page_len = 1}, &shape,
                     CR_PREFILL, ex);
    cr_exec_free(ex);
}

/* Chunks, page lengths and threads change no bit. */
static void check_bits(struct shape_case c, enum cr_isa isa, enum cr_compute compute,
                       bool f32_queries, enum cr_phase phase) {
    static const size_t page_lens[] = {16, 64, 4096, 7};
    static const size_t chunks[] = {1, 5, 96, 200, 1000};
    struct cr_exec *ex = t_exec(isa, compute, 1);
    struct cr_exec *ex2 = t_exec(isa, compute, 2);
    struct input in = make_input(&c, ex->act, f32_queries ? CR_F32 : ex->act, 11);
    size_t width = c.n_heads * c.head_dim;
    struct cr_tensor whole = t_tensor(ex->act, c.n_rows, width);
    struct cr_tensor parts = t_tensor(ex->act, c.n_rows, width);
    run(whole, NULL, &in, 0, phase, ex);
    for (size_t i = 0; i < 5; i++) {
        free_pages(&in);
        in.c.page_len = page_lens[i % 4];
        fill_pages(&in);
        memset(parts.data, 0xA5, c.n_rows * parts.row_bytes);
        for (size_t t = 0; t < c.n_rows; t += chunks[i]) {
            size_t n = CR_MIN(chunks[i], c.n_rows - t);
            run(cr_tensor_slice(&parts, t, n), NULL, &in, t, phase, i % 2 ? ex : ex2);
        }
        if (!t_same_bits(&whole, &parts))
            fail_msg("%s: chunks of %zu, pages of %zu change bits", cr_isa_name(isa),
                     chunks[i], in.c.page_len);
    }
    free(whole.data);
    free(parts.data);
    free_input(&in);
    cr_exec_free(ex);
    cr_exec_free(ex2);
}

static void test_bits_do_not_depend_on_company(void **state) {
    (void)state;
    struct shape_case causal = {250, 210, 460, 6, 2, 40, 64, true};
    struct shape_case full = {150, 0, 450, 2, 1, 72, 64, false};
    T_EACH_ISA(isa) {
        for (int i = 0; i < 3; i++) {
            enum cr_compute compute = i == 0 ? CR_COMPUTE_F32 : CR_COMPUTE_BF16;
            check_bits(causal, isa, compute, i == 2, CR_PREFILL);
            check_bits(full, isa, compute, i == 2, CR_PREFILL);
            causal.n_rows = 60;
            causal.first = 400;
            check_bits(causal, isa, compute, i == 2, CR_STEP);
            causal.n_rows = 250;
            causal.first = 210;
        }
    }
}

/* Whole 1/16ths up to 127 of them, the first of each 32 of a head exactly so: in 8 bits nothing is
 * lost. */
static void make_exact(struct cr_tensor *x, size_t head_dim, struct cr_rng *rng) {
    for (size_t r = 0; r < x->dim[0]; r++)
        for (size_t i = 0; i < x->dim[1]; i++) {
            float n = (float)cr_rng_below(rng, 255) - 127;
            t_set(x, r, i, i % head_dim % 32 == 0 ? 127.0f / 16 : n / 16);
        }
}

/* Pages as cr_attention_put fills them, and all to attend to them. */
struct put {
    char *memory;
    void **k, **v;
    struct cr_kv_view view;
    struct cr_attention_shape shape;
};

static struct put put_pages(const struct input *in, enum cr_dtype kv,
                            const struct cr_exec *ex) {
    const struct shape_case *c = &in->c;
    struct cr_kv_page page = cr_attention_page(c->head_dim, ex->act, kv, ex);
    size_t n_pages = CR_CEIL_DIV(c->n_keys, page.len);
    size_t k_bytes = c->n_kv_heads * page.k_bytes, v_bytes = c->n_kv_heads * page.v_bytes;
    size_t stride = page.row_bytes / cr_dtype_block_bytes(kv);
    struct put put = {.memory = aligned_alloc(64, n_pages * (k_bytes + v_bytes)),
                      .k = calloc(n_pages, sizeof *put.k),
                      .v = calloc(n_pages, sizeof *put.v)};
    memset(put.memory, 0, n_pages * (k_bytes + v_bytes));
    for (size_t p = 0; p < n_pages; p++) {
        put.k[p] = put.memory + p * (k_bytes + v_bytes);
        put.v[p] = put.memory + p * (k_bytes + v_bytes) + k_bytes;
    }
    size_t kv_width = c->n_kv_heads * c->head_dim;
    float *row = calloc(2 * kv_width, sizeof *row);
    for (size_t i = 0; i < c->n_keys; i++) {
        cr_row_to_f32(in->k.dtype, cr_tensor_row(&in->k, i), row, kv_width);
        cr_row_to_f32(in->v.dtype, cr_tensor_row(&in->v, i), row + kv_width, kv_width);
        cr_attention_put(put.k[i / page.len], put.v[i / page.len], row, row + kv_width,
                         i % page.len, c->n_kv_heads, c->head_dim, ex->act, kv, ex);
    }
    free(row);
    put.view = (struct cr_kv_view){.k = put.k,
                                   .v = put.v,
                                   .page_len = page.len,
                                   .row_stride = c->n_kv_heads * stride,
                                   .head_stride = stride,
                                   .n_keys = c->n_keys,
                                   .type = kv,
                                   .packed = page.row_bytes == 0};
    put.shape = (struct cr_attention_shape){.n_heads = c->n_heads,
                                            .n_kv_heads = c->n_kv_heads,
                                            .head_dim = c->head_dim,
                                            .scale = scale_of(c),
                                            .causal = c->causal,
                                            .first = c->first};
    return put;
}

static void free_put(struct put *put) {
    free(put->memory);
    free(put->k);
    free(put->v);
}

/* Pages of any type that loses nothing of the rows give the bits of pages of rows. */
static void check_put(const struct shape_case *c, enum cr_isa isa,
                      enum cr_compute compute, enum cr_dtype kv, enum cr_phase phase) {
    struct cr_exec *ex = t_exec(isa, compute, 2);
    enum cr_dtype act = ex->act;
    if (act == CR_BF16 && kv == CR_F32) {
        cr_exec_free(ex);
        return;
    }
    struct input in = make_input(c, act, CR_F32, 5);
    if (kv != act) {
        struct cr_rng rng;
        cr_rng_seed(&rng, 6);
        make_exact(&in.k, c->head_dim, &rng);
        make_exact(&in.v, c->head_dim, &rng);
        free_pages(&in);
        fill_pages(&in);
    }
    struct put pages = put_pages(&in, kv, ex);
    struct cr_tensor rows = t_tensor(act, c->n_rows, c->n_heads * c->head_dim);
    struct cr_tensor put = t_tensor(act, c->n_rows, c->n_heads * c->head_dim);
    run(rows, NULL, &in, 0, phase, ex);
    cr_attention_fwd(put, NULL, in.q, &pages.view, &pages.shape, phase, ex);
    if (!t_same_bits(&rows, &put))
        fail_msg("%s: pages of %s change bits: T %zu keys %zu E %zu", cr_isa_name(isa),
                 cr_dtype_name(kv), c->n_rows, c->n_keys, c->head_dim);
    free_put(&pages);
    free(rows.data);
    free(put.data);
    free_input(&in);
    cr_exec_free(ex);
}

static void test_pages_are_rows(void **state) {
    (void)state;
    static const enum cr_dtype kvs[] = {CR_F32, CR_BF16, CR_Q8_0};
    T_EACH_ISA(isa) {
        for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
            for (size_t kv = 0; kv < CR_COUNT(kvs); kv++)
                for (int compute = CR_COMPUTE_F32; compute <= CR_COMPUTE_BF16;
                     compute++) {
                    check_put(&cases[i], isa, (enum cr_compute)compute, kvs[kv],
                              CR_PREFILL);
                    check_put(&cases[i], isa, (enum cr_compute)compute, kvs[kv], CR_STEP);
                }
    }
}

static void check_int8(const struct shape_case *c, enum cr_isa isa) {
    struct cr_exec *ex = t_exec(isa, CR_COMPUTE_BF16, 2);
    struct input in = make_input(c, CR_BF16, CR_F32, 9);
    in.in_8_bits = true;
    for (size_t i = 0; i < c->n_kv_heads * c->head_dim; i++)
        t_set(&in.v, 0, i,
              0.01f * t_get(&in.v, 0, i)); /* as a text's first token has them */
    struct put pages = put_pages(&in, CR_I8, ex);
    struct cr_tensor y = t_tensor(CR_BF16, c->n_rows, c->n_heads * c->head_dim);
    struct cr_tensor whole = t_tensor(CR_BF16, c->n_rows, c->n_heads * c->head_dim);
    float *lse = calloc(c->n_rows * c->n_heads + 1, sizeof *lse);
    size_t every = c->n_rows * c->n_keys * c->n_heads * c->head_dim / 400000 + 1;
    for (int phase = CR_STEP; phase >= CR_PREFILL; phase--) {
        struct cr_attention_saved saved = {.lse = lse};
        cr_attention_fwd(y, &saved, in.q, &pages.view, &pages.shape, (enum cr_phase)phase,
                         ex);
        for (size_t i = 0; i < c->n_rows * c->n_heads; i += every)
            check_row(&y, lse, &in, i / c->n_heads, i % c->n_heads, cr_isa_name(isa));
        check_row(&y, lse, &in, c->n_rows - 1, c->n_heads - 1, cr_isa_name(isa));
    }
    if (c->first == 0 && c->n_keys == c->n_rows) { /* rows that are packed on the way */
        struct cr_packed_sequence all = {.n_rows = c->n_rows, .n_prefix = c->n_rows};
        pages.shape.in_8_bits = true;
        cr_packed_attention_fwd(whole, NULL, in.q, in.k, in.v, &all, 1, &pages.shape, ex);
        if (!t_same_bits(&whole, &y))
            fail_msg("%s: packed rows and pages differ, T %zu", cr_isa_name(isa),
                     c->n_rows);
    }
    free(lse);
    free(y.data);
    free(whole.data);
    free_put(&pages);
    free_input(&in);
    cr_exec_free(ex);
}

static void test_all_in_8_bits(void **state) {
    (void)state;
    T_EACH_ISA(isa) {
        for (size_t i = 0; i < CR_COUNT(cases); i++)
            check_int8(&cases[i], isa);
    }
}

/* Chunks and threads change no bit; a value or a key that is no number shows in the rows that see it and
 * in no other, and a row of zeros does no harm. */
static void check_int8_bits(enum cr_isa isa, size_t bad, bool in_key) {
    struct shape_case c = {250, 210, 460, 6, 2, 72, 64, true};
    struct cr_exec *ex = t_exec(isa, CR_COMPUTE_BF16, 1);
    struct cr_exec *ex2 = t_exec(isa, CR_COMPUTE_BF16, 2);
    struct input in = make_input(&c, CR_BF16, CR_F32, 12);
    for (size_t e = 0; e < 144; e++) {
        t_set(in_key ? &in.k : &in.v, bad, e, e == 100 ? NAN : 1.0f);
        t_set(&in.v, 7, e, 0.0f);
        t_set(&in.k, 9, e, 0.0f);
    }
    struct put pages = put_pages(&in, CR_I8, ex);
    struct cr_tensor whole = t_tensor(CR_BF16, 250, 432);
    struct cr_tensor parts = t_tensor(CR_BF16, 250, 432);
    for (int phase = CR_PREFILL; phase <= CR_STEP; phase++) {
        pages.shape.first = 210;
        cr_attention_fwd(whole, NULL, in.q, &pages.view, &pages.shape,
                         (enum cr_phase)phase, ex);
        for (size_t t = 0; t < 250; t += 37) {
            size_t n = CR_MIN((size_t)37, 250 - t);
            pages.shape.first = 210 + t;
            cr_attention_fwd(cr_tensor_slice(&parts, t, n), NULL,
                             cr_tensor_slice(&in.q, t, n), &pages.view, &pages.shape,
                             (enum cr_phase)phase, t % 2 ? ex : ex2);
        }
        assert_true(t_same_bits(&whole, &parts));
        for (size_t t = 0; t < 250; t++) { /* head 0 has another v than head 3 */
            assert_false(isnan(t_get(&whole, t, 0)));
            assert_int_equal(isnan(t_get(&whole, t, 3 * 72)), 210 + t >= bad);
        }
    }
    free(whole.data);
    free(parts.data);
    free_put(&pages);
    free_input(&in);
    cr_exec_free(ex);
    cr_exec_free(ex2);
}

static void test_int8_bits(void **state) {
    (void)state;
    T_EACH_ISA(isa) {
        check_int8_bits(isa, 300, false);
        check_int8_bits(isa, 300, true);
        check_int8_bits(isa, 256, true); /* the first of its page */
    }
}

/* 8 bits hide no number that is none. */
static void test_int8_rows_keep_nan(void **state) {
    (void)state;
    struct cr_exec *ex = t_exec(CR_ISA_SCALAR, CR_COMPUTE_F32, 1);
    struct cr_kv_page page = cr_attention_page(40, CR_F32, CR_Q8_0, ex);
    unsigned char *k = calloc(1, page.k_bytes), *v = calloc(1, page.v_bytes);
    float row[40] = {1, 2, 3}, back[64], bad[] = {NAN, INFINITY};
    assert_int_equal(page.row_bytes, 2 * 34);
    for (size_t i = 0; i < 2; i++) {
        row[35] = bad[i];
        cr_attention_put(k, v, row, row, 3, 1, 40, CR_F32, CR_Q8_0, ex);
        cr_row_to_f32(CR_Q8_0, k + 3 * page.row_bytes, back, 64);
        assert_true(isnan(back[0]));
    }
    free(k);
    free(v);
    cr_exec_free(ex);
}

/* Two keys that bf16 takes for one: only where pages hold them better do they get their weights,
 * 1/4 and 3/4. */
static void test_keys_are_not_rounded_to_bf16(void **state) {
    (void)state;
    static const float keys[2][2] = {{64, 0}, {64.125f, 0}},
                       values[2][2] = {{0, 0}, {1, 1}};
    struct cr_attention_shape shape = {
        .n_heads = 1, .n_kv_heads = 1, .head_dim = 2, .scale = 1};
    T_EACH_ISA(isa) {
        struct cr_exec *ex = t_exec(isa, CR_COMPUTE_BF16, 1);
        struct cr_kv_page page = cr_attention_page(2, CR_BF16, CR_BF16, ex);
        void *k = aligned_alloc(64, page.k_bytes), *v = aligned_alloc(64, page.v_bytes);
        memset(k, 0, page.k_bytes);
        memset(v, 0, page.v_bytes);
        for (size_t i = 0; i < 2; i++)
            cr_attention_put(k, v, keys[i], values[i], i, 1, 2, CR_BF16, CR_BF16, ex);
        float query[2] = {logf(3) / 0.125f, 0};
        struct cr_tensor q = cr_tensor_view2(query, CR_F32, 1, 2);
        struct cr_tensor y = t_tensor(CR_BF16, 1, 2);
        struct cr_kv_view view = {.k = &k,
                                  .v = &v,
                                  .page_len = page.len,
                                  .n_keys = 2,
                                  .type = CR_BF16,
                                  .packed = page.row_bytes == 0};
        assert_true(view.packed);
        for (int phase = CR_PREFILL; phase <= CR_STEP; phase++) {
            cr_attention_fwd(y, NULL, q, &view, &shape, (enum cr_phase)phase, ex);
            T_NEAR((double)t_get(&y, 0, 0), 0.75, 0.01, 0);
        }
        free(y.data);
        free(k);
        free(v);
        cr_exec_free(ex);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_matches_naive),
        cmocka_unit_test(test_f32_queries_of_any_size),
        cmocka_unit_test(test_no_rows),
        cmocka_unit_test(test_bits_do_not_depend_on_company),
        cmocka_unit_test(test_pages_are_rows),
        cmocka_unit_test(test_all_in_8_bits),
        cmocka_unit_test(test_int8_bits),
        cmocka_unit_test(test_int8_rows_keep_nan),
        cmocka_unit_test(test_keys_are_not_rounded_to_bf16),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
