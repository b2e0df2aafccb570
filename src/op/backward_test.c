/* Every op's backward against central differences of its own forward (five points, sums in double)
 * on small shapes, and the adjoint identity <dy, J x> = <J' dy, x> of the linear ones on real
 * shapes, on every ISA in f32; threads do not change a bit, in f32 or bf16. */
#include "base/checked.h"
#include "op/activation.h"
#include "op/attention_packed.h"
#include "op/cross_entropy.h"
#include "op/embed.h"
#include "op/linear.h"
#include "op/norm.h"
#include "op/patch.h"
#include "op/rope.h"
#include "t_exec.h"

#define MAX_IN 3

/* A function of up to three matrices. bwd writes or adds to din as the op does; din is zero. */
struct problem {
    const char *name;
    size_t n_in;
    size_t rows[MAX_IN], cols[MAX_IN];
    size_t out_rows, out_cols;
    void (*fwd)(struct cr_tensor y, const struct cr_tensor *in, struct cr_exec *ex);
    void (*bwd)(struct cr_tensor *din, struct cr_tensor dy, const struct cr_tensor *in,
                struct cr_exec *ex);
};

static struct cr_linear linear_of(const struct cr_tensor *in) {
    return (struct cr_linear){.w = in[1], .bias = in[2]};
}

static void linear_f(struct cr_tensor y, const struct cr_tensor *in, struct cr_exec *ex) {
    struct cr_linear lin = linear_of(in);
    cr_linear_fwd(y, in[0], &lin, CR_ASSIGN, CR_PREFILL, ex);
}

static void linear_b(struct cr_tensor *din, struct cr_tensor dy,
                     const struct cr_tensor *in, struct cr_exec *ex) {
    struct cr_linear lin = linear_of(in), grad = linear_of(din);
    cr_linear_bwd(din[0], &grad, dy, in[0], &lin, CR_ADD, ex);
}

static void assign_b(struct cr_tensor *din, struct cr_tensor dy,
                     const struct cr_tensor *in, struct cr_exec *ex) {
    struct cr_linear lin = linear_of(in), grad = linear_of(din);
    cr_linear_bwd(din[0], &grad, dy, in[0], &lin, CR_ASSIGN, ex);
}

/* x, a and b beside a fixed weight. */
static float lora_weight[9 * 11];

static struct cr_linear adapted(const struct cr_tensor *in) {
    for (size_t i = 0; i < CR_COUNT(lora_weight); i++)
        lora_weight[i] = (float)(i % 7) * 0.25f - 0.75f;
    return (struct cr_linear){.w = cr_tensor_view2(lora_weight, CR_F32, 9, 11),
                              .lora = {.a = in[1], .b = in[2], .scale = 1.5f}};
}

static void lora_f(struct cr_tensor y, const struct cr_tensor *in, struct cr_exec *ex) {
    struct cr_linear lin = adapted(in);
    cr_linear_fwd(y, in[0], &lin, CR_ASSIGN, CR_PREFILL, ex);
}

static void lora_b(struct cr_tensor *din, struct cr_tensor dy, const struct cr_tensor *in,
                   struct cr_exec *ex) {
    struct cr_linear lin = adapted(in), grad = {.lora = {.a = din[1], .b = din[2]}};
    cr_linear_bwd(din[0], &grad, dy, in[0], &lin, CR_ADD, ex);
}

/* The same with dropout: differences see the mask, backward must see the same. */
static struct cr_linear dropping(const struct cr_tensor *in) {
    struct cr_linear lin = adapted(in);
    lin.lora.dropout = 0.4f;
    lin.lora.seed = 77;
    return lin;
}

static void drop_f(struct cr_tensor y, const struct cr_tensor *in, struct cr_exec *ex) {
    struct cr_linear lin = dropping(in);
    cr_linear_fwd(y, in[0], &lin, CR_ASSIGN, CR_PREFILL, ex);
}

static void drop_b(struct cr_tensor *din, struct cr_tensor dy, const struct cr_tensor *in,
                   struct cr_exec *ex) {
    struct cr_linear lin = dropping(in), grad = {.lora = {.a = din[1], .b = din[2]}};
    cr_linear_bwd(din[0], &grad, dy, in[0], &lin, CR_ADD, ex);
}

static float stats[3][256];

static void rmsnorm_f(struct cr_tensor y, const struct cr_tensor *in,
                      struct cr_exec *ex) {
    struct cr_rmsnorm_saved saved = {stats[0]};
    cr_rmsnorm_fwd(y, &saved, in[0], in[1], 1e-3f, ex);
}

static void rmsnorm_b(struct cr_tensor *din, struct cr_tensor dy,
                      const struct cr_tensor *in, struct cr_exec *ex) {
    struct cr_rmsnorm_saved saved = {stats[0]};
    cr_rmsnorm_bwd(din[0], din[1], dy, &saved, in[0], in[1], ex);
}

static void layernorm_f(struct cr_tensor y, const struct cr_tensor *in,
                        struct cr_exec *ex) {
    struct cr_layernorm_saved saved = {stats[1], stats[2]};
    cr_layernorm_fwd(y, &saved, in[0], in[1], in[2], 1e-3f, ex);
}

static void layernorm_b(struct cr_tensor *din, struct cr_tensor dy,
                        const struct cr_tensor *in, struct cr_exec *ex) {
    struct cr_layernorm_saved saved = {stats[1], stats[2]};
    cr_layernorm_bwd(din[0], din[1], din[2], dy, &saved, in[0], in[1], ex);
}

static void gelu_tanh_f(struct cr_tensor y, const struct cr_tensor *in,
                        struct cr_exec *ex) {
    cr_gelu_fwd(y, in[0], CR_GELU_TANH, ex);
}

static void gelu_tanh_b(struct cr_tensor *din, struct cr_tensor dy,
                        const struct cr_tensor *in, struct cr_exec *ex) {
    cr_gelu_bwd(din[0], dy, in[0], CR_GELU_TANH, ex);
}

static void gelu_erf_f(struct cr_tensor y, const struct cr_tensor *in,
                       struct cr_exec *ex) {
    cr_gelu_fwd(y, in[0], CR_GELU_ERF, ex);
}

static void gelu_erf_b(struct cr_tensor *din, struct cr_tensor dy,
                       const struct cr_tensor *in, struct cr_exec *ex) {
    cr_gelu_bwd(din[0], dy, in[0], CR_GELU_ERF, ex);
}

static void swiglu_f(struct cr_tensor y, const struct cr_tensor *in, struct cr_exec *ex) {
    cr_swiglu_fwd(y, in[0], in[1], ex);
}

static void swiglu_b(struct cr_tensor *din, struct cr_tensor dy,
                     const struct cr_tensor *in, struct cr_exec *ex) {
    cr_swiglu_bwd(din[0], din[1], dy, in[0], in[1], ex);
}

#define ROPE_ROWS 21
#define ROPE_HEAD 10
static float rope_cos[ROPE_ROWS * ROPE_HEAD / 2], rope_sin[ROPE_ROWS * ROPE_HEAD / 2];

static void rope_tables(void) {
    int32_t positions[ROPE_ROWS];
    for (int32_t i = 0; i < ROPE_ROWS; i++)
        positions[i] = 7 * i;
    cr_rope_table(rope_cos, rope_sin, positions, ROPE_ROWS, ROPE_HEAD, 1e4);
}

static void rope_f(struct cr_tensor y, const struct cr_tensor *in, struct cr_exec *ex) {
    rope_tables();
    cr_rope_fwd(y, in[0], rope_cos, rope_sin, ROPE_HEAD, ex);
}

static void rope_b(struct cr_tensor *din, struct cr_tensor dy, const struct cr_tensor *in,
                   struct cr_exec *ex) {
    (void)in;
    rope_tables();
    cr_rope_bwd(din[0], dy, rope_cos, rope_sin, ROPE_HEAD, ex);
}

/* Two sequences: one with branches around the panel length, one causal. */
static const size_t ends[] = {72, 75, 141};
static const struct cr_packed_sequence packed[] = {
    {.first = 0, .n_rows = 141, .n_prefix = 66, .n_branches = 3, .branch_ends = ends},
    {.first = 141, .n_rows = 5, .n_prefix = 5},
};
static const struct cr_attention_shape grouped = {
    .n_heads = 4, .n_kv_heads = 2, .head_dim = 6, .scale = 0.4f, .causal = true};
static const struct cr_attention_shape full = {
    .n_heads = 2, .n_kv_heads = 2, .head_dim = 7, .scale = 0.4f};
static const struct cr_packed_sequence tiles[] = {
    {.first = 0, .n_rows = 70, .n_prefix = 70},
    {.first = 70, .n_rows = 70, .n_prefix = 70}};
static float lse[146 * 4];

static void attention_f(struct cr_tensor y, const struct cr_tensor *in,
                        struct cr_exec *ex) {
    cr_packed_attention_fwd(y, lse, in[0], in[1], in[2], packed, 2, &grouped, ex);
}

static void attention_b(struct cr_tensor *din, struct cr_tensor dy,
                        const struct cr_tensor *in, struct cr_exec *ex) {
    struct cr_tensor y = t_tensor(ex->act, 146, 24);
    cr_packed_attention_fwd(y, lse, in[0], in[1], in[2], packed, 2, &grouped, ex);
    cr_packed_attention_bwd(din[0], din[1], din[2], dy, y, lse, in[0], in[1], in[2],
                            packed, 2, &grouped, ex);
    free(y.data);
}

static void full_f(struct cr_tensor y, const struct cr_tensor *in, struct cr_exec *ex) {
    cr_packed_attention_fwd(y, lse, in[0], in[1], in[2], tiles, 2, &full, ex);
}

static void full_b(struct cr_tensor *din, struct cr_tensor dy, const struct cr_tensor *in,
                   struct cr_exec *ex) {
    struct cr_tensor y = t_tensor(ex->act, 140, 14);
    cr_packed_attention_fwd(y, lse, in[0], in[1], in[2], tiles, 2, &full, ex);
    cr_packed_attention_bwd(din[0], din[1], din[2], dy, y, lse, in[0], in[1], in[2],
                            tiles, 2, &full, ex);
    free(y.data);
}

static const int32_t targets[] = {3, 0, 18, 18, 7};
static float entropy_lse[5];

static void entropy_f(struct cr_tensor y, const struct cr_tensor *in,
                      struct cr_exec *ex) {
    cr_cross_entropy_fwd(y.data, entropy_lse, in[0], targets, ex);
}

static void entropy_b(struct cr_tensor *din, struct cr_tensor dy,
                      const struct cr_tensor *in, struct cr_exec *ex) {
    float logp[5];
    cr_cross_entropy_fwd(logp, entropy_lse, in[0], targets, ex);
    cr_cross_entropy_bwd(din[0], dy.data, entropy_lse, in[0], targets, ex);
}

static const int32_t ids[] = {4, 0, 4, 4, 8, 2};

static void embed_f(struct cr_tensor y, const struct cr_tensor *in, struct cr_exec *ex) {
    cr_embed_fwd(y, ids, in[0], ex);
}

static void embed_b(struct cr_tensor *din, struct cr_tensor dy,
                    const struct cr_tensor *in, struct cr_exec *ex) {
    (void)in;
    cr_embed_bwd(din[0], ids, dy, ex);
}

static void add_rows_f(struct cr_tensor y, const struct cr_tensor *in,
                       struct cr_exec *ex) {
    for (size_t r = 0; r < y.dim[0]; r++)
        memset(cr_tensor_row(&y, r), 0, y.row_bytes);
    cr_add_rows_fwd(y, in[0], ex);
}

static void add_rows_b(struct cr_tensor *din, struct cr_tensor dy,
                       const struct cr_tensor *in, struct cr_exec *ex) {
    (void)in;
    cr_add_rows_bwd(din[0], dy, ex);
}

static const struct problem problems[] = {
    {"linear", 3, {5, 9, 1}, {11, 11, 9}, 5, 9, linear_f, linear_b},
    {"adapter", 3, {5, 3, 9}, {11, 11, 3}, 5, 9, lora_f, lora_b},
    {"adapter with dropout", 3, {5, 3, 9}, {11, 11, 3}, 5, 9, drop_f, drop_b},
    {"rmsnorm", 2, {6, 1}, {37, 37}, 6, 37, rmsnorm_f, rmsnorm_b},
    {"layernorm", 3, {6, 1, 1}, {37, 37, 37}, 6, 37, layernorm_f, layernorm_b},
    {"gelu tanh", 1, {3}, {35}, 3, 35, gelu_tanh_f, gelu_tanh_b},
    {"gelu erf", 1, {3}, {35}, 3, 35, gelu_erf_f, gelu_erf_b},
    {"swiglu", 2, {3, 3}, {35, 35}, 3, 35, swiglu_f, swiglu_b},
    {"rope", 1, {ROPE_ROWS}, {20}, ROPE_ROWS, 20, rope_f, rope_b},
    {"attention", 3, {146, 146, 146}, {24, 12, 12}, 146, 24, attention_f, attention_b},
    {"full attention", 3, {140, 140, 140}, {14, 14, 14}, 140, 14, full_f, full_b},
    {"cross entropy", 1, {5}, {19}, 1, 5, entropy_f, entropy_b},
    {"embedding", 1, {9}, {21}, 6, 21, embed_f, embed_b},
    {"position rows", 1, {4}, {21}, 12, 21, add_rows_f, add_rows_b},
};

static double dot(const struct cr_tensor *a, const struct cr_tensor *b) {
    double sum = 0;
    for (size_t r = 0; r < cr_tensor_rows(a); r++)
        for (size_t c = 0; c < cr_tensor_cols(a); c++)
            sum += (double)t_get(a, r, c) * (double)t_get(b, r, c);
    return sum;
}

/* Vectors have one axis. */
static void as_vector(struct cr_tensor *t) {
    if (t->dim[0] == 1) {
        t->n_dim = 1;
        t->dim[0] = t->dim[1];
    }
}

struct instance {
    struct cr_tensor in[MAX_IN], din[MAX_IN], y, dy;
};

static void instance_new(struct instance *v, const struct problem *p, enum cr_dtype type,
                         struct cr_rng *rng) {
    memset(v, 0, sizeof *v);
    for (size_t i = 0; i < p->n_in; i++) {
        v->in[i] = t_random(type, p->rows[i], p->cols[i], 0.8, rng);
        v->din[i] = t_random(CR_F32, p->rows[i], p->cols[i], 0, rng);
        as_vector(&v->in[i]);
        as_vector(&v->din[i]);
    }
    v->y = t_tensor(type, p->out_rows, p->out_cols);
    v->dy = t_random(type, p->out_rows, p->out_cols, 1, rng);
}

static void instance_free(struct instance *v) {
    for (size_t i = 0; i < MAX_IN; i++) {
        free(v->in[i].data);
        free(v->din[i].data);
    }
    free(v->y.data);
    free(v->dy.data);
}

static double loss_at(const struct problem *p, struct instance *v, float *x, float at,
                      struct cr_exec *ex) {
    *x = at;
    p->fwd(v->y, v->in, ex);
    return dot(&v->dy, &v->y);
}

/* (8 (f(h) - f(-h)) - (f(2h) - f(-2h))) / 12 h */
static double difference(const struct problem *p, struct instance *v, float *x,
                         struct cr_exec *ex) {
    const float h = 0.0625f, at = *x;
    double near = loss_at(p, v, x, at + h, ex) - loss_at(p, v, x, at - h, ex);
    double far = loss_at(p, v, x, at + 2 * h, ex) - loss_at(p, v, x, at - 2 * h, ex);
    *x = at;
    return (8 * near - far) / (12 * (double)h);
}

#define CHECKED_ELEMENTS 12 /* of each input */

static void check_problem(const struct problem *p, struct cr_exec *ex,
                          struct cr_rng *rng) {
    struct instance v;
    instance_new(&v, p, CR_F32, rng);
    p->fwd(v.y, v.in, ex);
    p->bwd(v.din, v.dy, v.in, ex);
    for (size_t i = 0; i < p->n_in; i++) {
        size_t n = p->rows[i] * p->cols[i];
        float *x = v.in[i].data, *dx = v.din[i].data;
        for (size_t k = 0; k < CR_MIN(n, (size_t)CHECKED_ELEMENTS); k++) {
            size_t at = n <= CHECKED_ELEMENTS ? k : cr_rng_below(rng, n);
            double expected = difference(p, &v, &x[at], ex);
            if (!(fabs((double)dx[at] - expected) <= 3e-4 * fmax(1.0, fabs(expected))))
                fail_msg("%s, %s: input %zu, element %zu: %g, expected %g", p->name,
                         cr_isa_name(ex->isa), i, at, (double)dx[at], expected);
        }
    }
    instance_free(&v);
}

static void test_central_differences(void **state) {
    (void)state;
    struct cr_rng rng;
    cr_rng_seed(&rng, t_seed(1));
    T_EACH_ISA(isa) {
        struct cr_exec *ex = t_exec(isa, CR_COMPUTE_F32, 1);
        for (size_t i = 0; i < CR_COUNT(problems); i++)
            check_problem(&problems[i], ex, &rng);
        cr_exec_free(ex);
    }
}

/* Linear in its first input: shapes of the 0.5B decoder and of the tower. */
static const struct problem wide[] = {
    {"linear", 3, {130, 4864, 1}, {896, 896, 4864}, 130, 4864, linear_f, linear_b},
    {"linear", 3, {70, 1152, 1}, {4304, 4304, 1152}, 70, 1152, linear_f, linear_b},
    {"rope", 1, {ROPE_ROWS}, {ROPE_HEAD * 20}, ROPE_ROWS, ROPE_HEAD * 20, rope_f, rope_b},
    {"embedding", 1, {9}, {896}, 6, 896, embed_f, embed_b},
    {"position rows", 1, {4}, {1152}, 12, 1152, add_rows_f, add_rows_b},
};

/* bf16 only: more terms than a slab or a panel has, few and odd columns, an adapter of odd rank. */
static float wide_weight[131 * 70];

static struct cr_linear widely_adapted(const struct cr_tensor *in) {
    for (size_t i = 0; i < CR_COUNT(wide_weight); i++)
        wide_weight[i] = (float)(i % 11) * 0.125f - 0.625f;
    return (struct cr_linear){.w = cr_tensor_view2(wide_weight, CR_F32, 131, 70),
                              .lora = {.a = in[1], .b = in[2], .scale = 1.5f}};
}

static void wide_lora_f(struct cr_tensor y, const struct cr_tensor *in,
                        struct cr_exec *ex) {
    struct cr_linear lin = widely_adapted(in);
    cr_linear_fwd(y, in[0], &lin, CR_ASSIGN, CR_PREFILL, ex);
}

static void wide_lora_b(struct cr_tensor *din, struct cr_tensor dy,
                        const struct cr_tensor *in, struct cr_exec *ex) {
    struct cr_linear lin = widely_adapted(in),
                     grad = {.lora = {.a = din[1], .b = din[2]}};
    cr_linear_bwd(din[0], &grad, dy, in[0], &lin, CR_ADD, ex);
}

static const struct problem tiled[] = {
    {"slabs", 3, {25, 5001, 1}, {70, 70, 5001}, 25, 5001, linear_f, linear_b},
    {"slabs assigned", 3, {25, 5001, 1}, {70, 70, 5001}, 25, 5001, linear_f, assign_b},
    {"slabs of dw", 3, {35, 50001, 1}, {5, 5, 50001}, 35, 50001, linear_f, linear_b},
    {"many rows", 3, {5001, 70, 1}, {75, 75, 70}, 5001, 70, linear_f, linear_b},
    {"few columns", 3, {25, 21, 1}, {19, 19, 21}, 25, 21, linear_f, linear_b},
    {"wide adapter", 3, {25, 21, 131}, {70, 70, 21}, 25, 131, wide_lora_f, wide_lora_b},
    {"thin adapter", 3, {25, 5, 131}, {70, 70, 5}, 25, 131, wide_lora_f, wide_lora_b},
};

static void check_adjoint(const struct problem *p, struct cr_exec *ex,
                          struct cr_rng *rng) {
    struct instance v;
    instance_new(&v, p, CR_F32, rng);
    if (p->n_in == 3) /* the bias would make it affine */
        memset(v.in[2].data, 0, p->cols[2] * sizeof(float));
    p->fwd(v.y, v.in, ex);
    p->bwd(v.din, v.dy, v.in, ex);
    double forward = dot(&v.dy, &v.y), scale = sqrt(dot(&v.dy, &v.dy) * dot(&v.y, &v.y));
    for (size_t i = 0; i < CR_MIN(p->n_in, (size_t)2); i++) /* linear: in x and in w */
        if (!(fabs(dot(&v.din[i], &v.in[i]) - forward) <= 1e-6 * scale))
            fail_msg("%s, %s: input %zu: <dy, Jx> = %.9g, <J'dy, x> = %.9g", p->name,
                     cr_isa_name(ex->isa), i, forward, dot(&v.din[i], &v.in[i]));
    instance_free(&v);
}

static void test_adjoint_identity(void **state) {
    (void)state;
    struct cr_rng rng;
    cr_rng_seed(&rng, t_seed(2));
    T_EACH_ISA(isa) {
        if (isa == CR_ISA_SCALAR) /* the definition: held to differences above */
            continue;
        struct cr_exec *ex = t_exec(isa, CR_COMPUTE_F32, 1);
        for (size_t i = 0; i < CR_COUNT(wide); i++)
            check_adjoint(&wide[i], ex, &rng);
        cr_exec_free(ex);
    }
}

/* Ops that take bf16 in every operand, where dx may be f32. */
static bool takes_bf16(const struct problem *p) {
    return p->bwd == linear_b || p->bwd == lora_b || p->bwd == drop_b ||
           p->bwd == attention_b || p->bwd == full_b || p->bwd == swiglu_b ||
           p->bwd == gelu_erf_b;
}

static void check_threads(const struct problem *p, enum cr_isa isa,
                          enum cr_compute compute) {
    struct instance v[2];
    for (int i = 0; i < 2; i++) {
        struct cr_rng rng;
        cr_rng_seed(&rng, 5);
        struct cr_exec *ex = t_exec(isa, compute, 1 + i);
        instance_new(&v[i], p, ex->act, &rng);
        p->fwd(v[i].y, v[i].in, ex);
        p->bwd(v[i].din, v[i].dy, v[i].in, ex);
        cr_exec_free(ex);
    }
    for (size_t k = 0; k < p->n_in; k++) {
        size_t bytes = p->rows[k] * p->cols[k] * sizeof(float);
        assert_memory_equal(v[0].din[k].data, v[1].din[k].data, bytes);
    }
    instance_free(&v[0]);
    instance_free(&v[1]);
}

static struct cr_tensor as_f32(const struct cr_tensor *t) {
    struct cr_tensor out = t_tensor(CR_F32, cr_tensor_rows(t), cr_tensor_cols(t));
    for (size_t r = 0; r < out.dim[0]; r++)
        for (size_t c = 0; c < out.dim[1]; c++)
            t_set(&out, r, c, t_get(t, r, c));
    if (t->n_dim == 1)
        as_vector(&out);
    return out;
}

/* |a - b| / |b| */
static double apart(const struct cr_tensor *a, const struct cr_tensor *b) {
    double square = 0;
    for (size_t r = 0; r < cr_tensor_rows(a); r++)
        for (size_t c = 0; c < cr_tensor_cols(a); c++) {
            double d = (double)t_get(a, r, c) - (double)t_get(b, r, c);
            square += d * d;
        }
    return sqrt(square / dot(b, b));
}

/* bf16 loses 2^-9 a rounding, and no more: against f32 on the same numbers. */
static void check_bf16(const struct problem *p, enum cr_isa isa) {
    struct instance half, full_v = {0};
    struct cr_rng rng;
    cr_rng_seed(&rng, 11);
    struct cr_exec *bf16 = t_exec(isa, CR_COMPUTE_BF16, 1),
                   *f32 = t_exec(isa, CR_COMPUTE_F32, 1);
    instance_new(&half, p, CR_BF16, &rng);
    for (size_t i = 0; i < p->n_in; i++) {
        full_v.in[i] = as_f32(&half.in[i]);
        full_v.din[i] = as_f32(&half.din[i]);
    }
    full_v.dy = as_f32(&half.dy);
    p->bwd(half.din, half.dy, half.in, bf16);
    p->bwd(full_v.din, full_v.dy, full_v.in, f32);
    p->fwd(half.y, half.in, bf16);
    full_v.y = t_tensor(CR_F32, p->out_rows, p->out_cols);
    p->fwd(full_v.y, full_v.in, f32);
    if (!(apart(&half.y, &full_v.y) <= 1e-2))
        fail_msg("%s, %s: bf16 is off by %.3g of the norm of the result", p->name,
                 cr_isa_name(isa), apart(&half.y, &full_v.y));
    for (size_t i = 0; i < p->n_in; i++)
        if (!(apart(&half.din[i], &full_v.din[i]) <= 1e-2))
            fail_msg("%s, %s: bf16 is off by %.3g of the norm of input %zu", p->name,
                     cr_isa_name(isa), apart(&half.din[i], &full_v.din[i]), i);
    instance_free(&half);
    instance_free(&full_v);
    cr_exec_free(bf16);
    cr_exec_free(f32);
}

static void test_bf16_is_f32_but_for_rounding(void **state) {
    (void)state;
    T_EACH_ISA(isa)
    for (size_t i = 0; i < CR_COUNT(problems); i++)
        if (takes_bf16(&problems[i]))
            check_bf16(&problems[i], isa);
    for (size_t i = 0; i < CR_COUNT(tiled); i++)
        check_bf16(&tiled[i], cr_isa_best());
}

static void test_threads_change_no_bit(void **state) {
    (void)state;
    T_EACH_ISA(isa)
    for (size_t i = 0; i < CR_COUNT(problems); i++) {
        check_threads(&problems[i], isa, CR_COMPUTE_F32);
        if (takes_bf16(&problems[i]))
            check_threads(&problems[i], isa, CR_COMPUTE_BF16);
    }
    for (size_t i = 0; i < CR_COUNT(tiled); i++)
        check_threads(&tiled[i], cr_isa_best(), CR_COMPUTE_BF16);
}

/* A frozen weight of any dtype: dx and the adapter's gradients are those of the same numbers in f32
 * (in bf16 products the weight is rounded the same way on both sides). */
static void check_frozen(enum cr_dtype dtype, enum cr_isa isa, enum cr_compute compute) {
    struct cr_rng rng;
    cr_rng_seed(&rng, 9);
    size_t rows = 7, n = 333, k = 256, rank = 4;
    struct cr_exec *ex = t_exec(isa, compute, 1);
    enum cr_dtype act = ex->act;
    struct cr_tensor w = t_tensor(dtype, n, k), plain = t_random(CR_F32, n, k, 1, &rng);
    for (size_t r = 0; r < n; r++) { /* to the dtype and back */
        cr_row_from_f32(dtype, cr_tensor_row(&plain, r), cr_tensor_row(&w, r), k);
        cr_row_to_f32(dtype, cr_tensor_row(&w, r), cr_tensor_row(&plain, r), k);
    }
    struct cr_lora lora = {.a = t_random(CR_F32, rank, k, 0.1, &rng),
                           .b = t_random(CR_F32, n, rank, 0.1, &rng),
                           .scale = 2.0f};
    struct cr_tensor x = t_random(act, rows, k, 1, &rng),
                     dy = t_random(act, rows, n, 1, &rng);
    struct cr_tensor dx[2];
    struct cr_linear grad[2];
    for (int i = 0; i < 2; i++) {
        struct cr_linear lin = {.w = i ? plain : w, .lora = lora};
        dx[i] = t_tensor(CR_F32, rows, k);
        grad[i] = (struct cr_linear){.lora = {.a = t_random(CR_F32, rank, k, 0, &rng),
                                              .b = t_random(CR_F32, n, rank, 0, &rng)}};
        cr_linear_bwd(dx[i], &grad[i], dy, x, &lin, CR_ASSIGN, ex);
    }
    assert_true(t_same_bits(&dx[0], &dx[1]));
    assert_true(t_same_bits(&grad[0].lora.a, &grad[1].lora.a));
    assert_true(t_same_bits(&grad[0].lora.b, &grad[1].lora.b));
    for (int i = 0; i < 2; i++) {
        free(dx[i].data);
        free(grad[i].lora.a.data);
        free(grad[i].lora.b.data);
    }
    free(w.data);
    free(plain.data);
    free(lora.a.data);
    free(lora.b.data);
    free(x.data);
    free(dy.data);
    cr_exec_free(ex);
}

static void test_frozen_weights_of_any_dtype(void **state) {
    (void)state;
    static const enum cr_dtype dtypes[] = {CR_BF16, CR_F16, CR_Q8_0, CR_Q4_0};
    T_EACH_ISA(isa)
    for (size_t i = 0; i < CR_COUNT(dtypes); i++)
        for (int c = 0; c < 2; c++)
            check_frozen(dtypes[i], isa, c ? CR_COMPUTE_BF16 : CR_COMPUTE_F32);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_central_differences),
        cmocka_unit_test(test_adjoint_identity),
        cmocka_unit_test(test_bf16_is_f32_but_for_rounding),
        cmocka_unit_test(test_threads_change_no_bit),
        cmocka_unit_test(test_frozen_weights_of_any_dtype),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
