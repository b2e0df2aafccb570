/* Gradients of the whole network against autograd of transformers (scripts/golden/gradients.py):
 * every tensor of every case within 1e-4 in f32, on every ISA; log-probabilities too. Packed
 * sequences with branches were run there as separate sequences. bf16 within its rounding. The bits
 * do not depend on threads or on what is recomputed. */
#include "base/checked.h"
#include "image/anyres.h"
#include "io/json.h"
#include "model/lora.h"
#include "model/train.h"
#include "t.h"
#include "t_exec.h"

#define GOLDEN T_SOURCE("tests/golden/gradients.json")
#define TINY   T_SOURCE("tests/tiny/")
#define DOTS   6

/* One checkpoint with f32 or bf16 weights as the file has them. */
struct loaded {
    struct cr_arena arena;
    struct cr_store *store;
    struct cr_config config;
    struct cr_model model;
};

struct sequence {
    int32_t *ids, *positions, *targets;
    size_t *branch_ends;
    struct cr_train_picture pictures[4];
    struct cr_tile_plan plans[4];
};

struct made {
    struct cr_train_batch batch;
    struct cr_train_sequence sequences[4];
    struct sequence owned[4];
    float *dlogp; /* (T) */
    double *logp; /* (T), expected */
};

static json_t *golden;

static uint64_t mix(uint64_t x) {
    x += 0x9E3779B97F4A7C15u;
    x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9u;
    x = (x ^ (x >> 27)) * 0x94D049BB133111EBu;
    return x ^ (x >> 31);
}

/* A byte's value as a normalised pixel. */
static double byte_at(uint64_t seed, uint64_t i) {
    return (double)(mix(i + (seed << 32)) >> 56) / 127.5 - 1;
}

static void load(struct loaded *l, const char *folder) {
    critic_error err;
    char path[512];
    snprintf(path, sizeof path, TINY "%s", folder);
    T_OK(cr_arena_init(&l->arena, (size_t)1 << 30, &err));
    T_OK(cr_store_open(&l->store, path, &err));
    T_OK(cr_config_read(&l->config, l->store, &err));
    l->model.config = &l->config;
    T_OK(cr_params_init(&l->model.params, &l->config, &l->arena, &err));
    T_OK(cr_params_bind(&l->model.params, &l->config, l->store, &err));
}

/* An adapter with hashed numbers, where the case has one. */
static void adapt(struct loaded *l, const json_t *json) {
    critic_error err;
    json_t *lora = json_object_get(json, "lora");
    if (!lora)
        return;
    float scale = (float)json_number_value(json_object_get(lora, "scale"));
    T_OK(cr_lora_attach(&l->model.params, &l->config, NULL, NULL,
                        (size_t)json_integer_value(json_object_get(lora, "rank")), scale,
                        CR_F32, &l->arena, &err));
    for (size_t i = 0; i < cr_lora_count(&l->model.params, &l->config); i++) {
        struct cr_lora_slot slot;
        cr_lora_at(&l->model.params, &l->config, i, &slot);
        for (size_t side = 0; side < 2; side++) {
            struct cr_tensor *t = side ? &slot.lora->b : &slot.lora->a;
            float *values = t->data;
            for (size_t k = 0; k < t->dim[0] * t->dim[1]; k++)
                values[k] = (float)(0.4 * byte_at(5000 + 2 * i + side, k));
        }
    }
}

static void unload(struct loaded *l) {
    cr_store_close(l->store);
    cr_arena_fini(&l->arena);
}

static size_t size_of(const json_t *object, const char *key) {
    return (size_t)json_integer_value(json_object_get(object, key));
}

static int32_t *ints_of(const json_t *s, const char *key) {
    json_t *list = json_object_get(s, key);
    int32_t *out = malloc((json_array_size(list) + 1) * sizeof *out);
    for (size_t i = 0; i < json_array_size(list); i++)
        out[i] = (int32_t)json_integer_value(json_array_get(list, i));
    return out;
}

static void make_picture(struct cr_train_picture *p, struct cr_tile_plan *plan,
                         const json_t *json, bool alone, const struct cr_config *c) {
    critic_error err;
    struct cr_anyres_config anyres;
    cr_anyres_config_default(&anyres);
    anyres.aspect = alone ? c->picture.aspect : CR_ASPECT_PAD;
    anyres.tile_px = c->vision.image_px;
    anyres.patch_px = c->vision.patch_px;
    anyres.max_tiles = c->picture.max_tiles;
    anyres.pinpoints = c->picture.pinpoints;
    anyres.n_pinpoints = c->picture.n_pinpoints;
    anyres.rounding = c->picture.rounding;
    T_OK(cr_tile_plan_make(plan, size_of(json, "width"), size_of(json, "height"), &anyres,
                           &err));
    assert_int_equal(plan->n_tiles, size_of(json, "n_tiles"));
    assert_int_equal(plan->n_tokens, size_of(json, "n_tokens"));
    size_t n = plan->n_tiles * 3 * anyres.tile_px * anyres.tile_px;
    float *pixels = malloc(n * sizeof *pixels);
    for (size_t i = 0; i < n; i++)
        pixels[i] = (float)byte_at(size_of(json, "seed"), i);
    *p = (struct cr_train_picture){pixels, plan, size_of(json, "first_row")};
}

static void make_sequence(struct cr_train_sequence *s, struct sequence *own,
                          const json_t *json, const struct cr_config *c) {
    json_t *ends = json_object_get(json, "branch_ends");
    json_t *pictures = json_object_get(json, "pictures");
    own->ids = ints_of(json, "ids");
    own->positions = ints_of(json, "positions");
    own->targets = ints_of(json, "targets");
    own->branch_ends = malloc((json_array_size(ends) + 1) * sizeof *own->branch_ends);
    for (size_t i = 0; i < json_array_size(ends); i++)
        own->branch_ends[i] = (size_t)json_integer_value(json_array_get(ends, i));
    *s = (struct cr_train_sequence){.n_rows =
                                        json_array_size(json_object_get(json, "ids")),
                                    .ids = own->ids,
                                    .positions = own->positions,
                                    .targets = own->targets,
                                    .n_prefix = size_of(json, "n_prefix"),
                                    .n_branches = json_array_size(ends),
                                    .branch_ends = own->branch_ends,
                                    .n_pictures = json_array_size(pictures),
                                    .pictures = own->pictures};
    for (size_t i = 0; i < s->n_pictures; i++)
        make_picture(&own->pictures[i], &own->plans[i], json_array_get(pictures, i),
                     s->n_pictures == 1, c);
}

static void make(struct made *m, const json_t *json, const struct cr_config *c) {
    critic_error err;
    json_t *sequences = json_object_get(json, "sequences");
    m->batch = (struct cr_train_batch){json_array_size(sequences), m->sequences};
    for (size_t i = 0; i < m->batch.n; i++)
        make_sequence(&m->sequences[i], &m->owned[i], json_array_get(sequences, i), c);
    T_OK(cr_batch_check(&m->batch, c, &err));
    size_t row = 0, n = cr_batch_rows(&m->batch);
    m->dlogp = malloc(n * sizeof *m->dlogp);
    m->logp = malloc(n * sizeof *m->logp);
    for (size_t i = 0; i < m->batch.n; i++) {
        json_t *s = json_array_get(sequences, i);
        for (size_t r = 0; r < m->sequences[i].n_rows; r++, row++) {
            m->dlogp[row] = -(float)json_number_value(
                json_array_get(json_object_get(s, "weights"), r));
            m->logp[row] =
                json_number_value(json_array_get(json_object_get(s, "logp"), r));
        }
    }
}

static void unmake(struct made *m) {
    union {
        const float *in;
        void *out;
    } pixels;
    for (size_t i = 0; i < m->batch.n; i++) {
        for (size_t p = 0; p < m->sequences[i].n_pictures; p++) {
            pixels.in = m->owned[i].pictures[p].pixels;
            free(pixels.out);
        }
        free(m->owned[i].ids);
        free(m->owned[i].positions);
        free(m->owned[i].targets);
        free(m->owned[i].branch_ends);
    }
    free(m->dlogp);
    free(m->logp);
}

/* How far the digest of a gradient is from the expected one, relative to its norm. A dot with
 * random signs is about the norm, an element at most the largest. */
static double distance(const struct cr_tensor *g, const json_t *expected) {
    size_t n = cr_tensor_rows(g) * cr_tensor_cols(g);
    const float *values = g->data;
    double square = 0, largest = 0, dots[DOTS] = {0};
    for (size_t i = 0; i < n; i++) {
        double v = (double)values[i];
        square += v * v;
        largest = fmax(largest, fabs(v));
        for (uint64_t k = 0; k < DOTS; k++)
            dots[k] += mix(i + ((k + 1) << 40)) & 1 ? -v : v;
    }
    double norm = json_number_value(json_object_get(expected, "norm"));
    double worst = fabs(sqrt(square) - norm);
    worst = fmax(worst,
                 fabs(largest - json_number_value(json_object_get(expected, "largest"))));
    for (size_t k = 0; k < DOTS; k++) {
        double dot =
            json_number_value(json_array_get(json_object_get(expected, "dots"), k));
        worst = fmax(worst, fabs(dots[k] - dot));
    }
    return isnan(square) ? HUGE_VAL : worst / norm;
}

static bool is_zero(const struct cr_tensor *g) {
    const float *values = g->data;
    for (size_t i = 0; i < cr_tensor_rows(g) * cr_tensor_cols(g); i++)
        if (values[i] != 0.0f)
            return false;
    return true;
}

/* The gradient of a key's bias is zero in theory: softmax does not see a shift. */
static bool is_noise(const char *name) {
    return strstr(name, "k_proj.bias") && strstr(name, "vision_tower");
}

/* The worst of a comparison. */
struct worst {
    double value;
    char name[96];
};

static void check_tensor(const char *name, const struct cr_tensor *g, const json_t *json,
                         double tolerance, struct worst *w) {
    json_t *e = json_object_get(json_object_get(json, "gradients"), name);
    if (!g->data) {
        assert_null(e);
        return;
    }
    if (!e && !is_zero(g))
        fail_msg("%s has a gradient, expected none", name);
    if (!e || is_noise(name))
        return;
    double d = distance(g, e);
    if (d > w->value) {
        w->value = d;
        snprintf(w->name, sizeof w->name, "%s", name);
    }
    if (!(d <= tolerance))
        fail_msg("%s: gradient of %s is off by %.3g of its norm",
                 json_string_value(json_object_get(json, "name")), name, d);
}

static void check_gradients(struct cr_params *grads, const struct cr_config *c,
                            const json_t *json, double tolerance) {
    struct worst worst = {0};
    for (size_t i = 0, n = cr_params_count(c); i < n; i++) {
        struct cr_param_slot slot;
        cr_params_slot(grads, c, i, &slot);
        check_tensor(slot.name, slot.tensor, json, tolerance, &worst);
    }
    for (size_t i = 0, n = cr_lora_count(grads, c); i < n; i++) {
        struct cr_lora_slot slot;
        char name[128];
        cr_lora_at(grads, c, i, &slot);
        snprintf(name, sizeof name, "%s.lora_A.weight", slot.name);
        check_tensor(name, &slot.lora->a, json, tolerance, &worst);
        snprintf(name, sizeof name, "%s.lora_B.weight", slot.name);
        check_tensor(name, &slot.lora->b, json, tolerance, &worst);
    }
    print_message("    %-8s worst %.2e (%s)\n",
                  json_string_value(json_object_get(json, "name")), worst.value,
                  worst.name);
}

static bool trains_none(void *user, const struct cr_param_slot *slot) {
    (void)user;
    (void)slot;
    return false;
}

struct run {
    struct cr_arena arena;
    struct cr_params grads;
    float *logp;
};

/* Two calls or one; gradients from zero. */
static void run(struct run *r, struct loaded *l, const struct made *m, struct cr_exec *ex,
                bool recompute, bool one_call) {
    critic_error err;
    struct cr_train *t;
    struct cr_train_opts opts = {.recompute = recompute, .head_rows = recompute ? 7 : 0};
    T_OK(cr_arena_init(&r->arena, (size_t)1 << 30, &err));
    bool lora = cr_lora_count(&l->model.params, &l->config) > 0;
    T_OK(cr_grads_init(&r->grads, &l->config, lora ? trains_none : NULL, NULL, &r->arena,
                       &err));
    T_OK(cr_lora_grads_init(&r->grads, &l->model.params, &l->config, &r->arena, &err));
    T_OK(cr_train_new(&t, &l->model, ex, &opts, &err));
    r->logp = cr_arena_calloc(&r->arena, cr_batch_rows(&m->batch), sizeof *r->logp);
    if (one_call) {
        cr_train_forward_backward(t, &m->batch, m->dlogp, NULL, r->logp, &r->grads);
    } else {
        cr_train_forward(t, &m->batch, r->logp);
        cr_train_backward(t, m->dlogp, (struct cr_tensor){0}, &r->grads);
    }
    struct cr_train_sizes sizes = cr_batch_sizes(&m->batch);
    struct cr_train_plan plan = cr_train_plan(t, &r->grads, &sizes);
    assert_true(cr_train_high_water(t) <= plan.activations + plan.scratch);
    cr_train_free(t);
}

static void check_logp(const struct run *r, const struct made *m, double tolerance) {
    for (size_t i = 0; i < cr_batch_rows(&m->batch); i++)
        T_NEAR(r->logp[i], m->logp[i], tolerance, tolerance);
}

static void check_case(const json_t *json, enum cr_isa isa, enum cr_compute compute,
                       double tolerance) {
    struct loaded l = {0};
    struct made m = {0};
    struct run r;
    load(&l, json_string_value(json_object_get(json, "checkpoint")));
    adapt(&l, json);
    make(&m, json, &l.config);
    struct cr_exec *ex = t_exec(isa, compute, 2);
    run(&r, &l, &m, ex, false, false);
    check_logp(&r, &m, compute == CR_COMPUTE_F32 ? 2e-5 : 0.3);
    check_gradients(&r.grads, &l.config, json, tolerance);
    cr_arena_fini(&r.arena);
    cr_exec_free(ex);
    unmake(&m);
    unload(&l);
}

/* The adapter's hashed numbers outweigh the weights, so that rounding is amplified at will. */
static bool is_steep(const json_t *json) {
    return json_object_get(json, "lora") != NULL;
}

/* The scalar kernels sum in double: many tiles once are enough. */
static bool is_slow(const json_t *json, enum cr_isa isa) {
    return isa == CR_ISA_SCALAR &&
           strcmp(json_string_value(json_object_get(json, "name")), "shrink") == 0;
}

static void test_gradients_f32(void **state) {
    (void)state;
    T_EACH_ISA(isa) {
        print_message("  %s f32\n", cr_isa_name(isa));
        for (size_t i = 0; i < json_array_size(golden); i++)
            check_case(json_array_get(golden, i), isa, CR_COMPUTE_F32, 1e-4);
    }
}

/* bf16 keeps 8 bits; op/backward_test.c holds each op to its rounding, this the whole. The tiny checkpoints' steep attention multiplies what is lost. */
static void test_gradients_bf16(void **state) {
    (void)state;
    T_EACH_ISA(isa) {
        print_message("  %s bf16\n", cr_isa_name(isa));
        for (size_t i = 0; i < json_array_size(golden); i++)
            if (!is_slow(json_array_get(golden, i), isa) &&
                !is_steep(json_array_get(golden, i)))
                check_case(json_array_get(golden, i), isa, CR_COMPUTE_BF16, 0.25);
    }
}

static void same_gradients(struct cr_params *a, struct cr_params *b,
                           const struct cr_config *c) {
    for (size_t i = 0, n = cr_params_count(c); i < n; i++) {
        struct cr_param_slot x, y;
        cr_params_slot(a, c, i, &x);
        cr_params_slot(b, c, i, &y);
        if (x.tensor->data && !t_same_bits(x.tensor, y.tensor))
            fail_msg("%s: other bits", x.name);
    }
    for (size_t i = 0, n = cr_lora_count(a, c); i < n; i++) {
        struct cr_lora_slot x, y;
        cr_lora_at(a, c, i, &x);
        cr_lora_at(b, c, i, &y);
        if (!t_same_bits(&x.lora->a, &y.lora->a) || !t_same_bits(&x.lora->b, &y.lora->b))
            fail_msg("%s: other bits in its adapter", x.name);
    }
}

static void check_bits(const json_t *json, enum cr_isa isa, enum cr_compute compute) {
    struct loaded l = {0};
    struct made m = {0};
    struct run one, two, again;
    load(&l, json_string_value(json_object_get(json, "checkpoint")));
    adapt(&l, json);
    make(&m, json, &l.config);
    struct cr_exec *ex1 = t_exec(isa, compute, 1), *ex2 = t_exec(isa, compute, 2);
    run(&one, &l, &m, ex1, true, true);
    run(&two, &l, &m, ex2, true, true);
    run(&again, &l, &m, ex2, true, false);
    same_gradients(&one.grads, &two.grads, &l.config);
    same_gradients(&one.grads, &again.grads, &l.config);
    size_t bytes = cr_batch_rows(&m.batch) * sizeof *one.logp;
    assert_memory_equal(one.logp, two.logp, bytes);
    assert_memory_equal(one.logp, again.logp, bytes);
    cr_arena_fini(&one.arena);
    cr_arena_fini(&two.arena);
    cr_arena_fini(&again.arena);
    cr_exec_free(ex1);
    cr_exec_free(ex2);
    unmake(&m);
    unload(&l);
}

static void test_bits_do_not_depend_on_threads(void **state) {
    (void)state;
    T_EACH_ISA(isa)
    for (size_t i = 0; i < json_array_size(golden); i++) {
        if (is_slow(json_array_get(golden, i), isa))
            continue;
        check_bits(json_array_get(golden, i), isa, CR_COMPUTE_F32);
        check_bits(json_array_get(golden, i), isa, CR_COMPUTE_BF16);
    }
}

static int setup(void **state) {
    critic_error err;
    json_t *root;
    (void)state;
    T_OK(cr_json_read(&root, GOLDEN, (size_t)16 << 20, &err));
    golden = json_incref(json_object_get(root, "cases"));
    json_decref(root);
    return json_array_size(golden) > 0 ? 0 : -1;
}

static int teardown(void **state) {
    (void)state;
    json_decref(golden);
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_gradients_f32),
        cmocka_unit_test(test_gradients_bf16),
        cmocka_unit_test(test_bits_do_not_depend_on_threads),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
