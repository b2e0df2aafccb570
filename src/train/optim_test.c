/* Ten steps of every optimiser against PyTorch (scripts/golden/train.py), and what surrounds them. */
#include "t.h"

#include "base/rng.h"
#include "io/json.h"
#include "train/optim.h"
#include "train/schedule.h"

static struct cr_exec *new_exec(enum cr_compute compute, int n_threads) {
    struct cr_exec *ex;
    struct cr_exec_opts opts = {
        .isa = cr_isa_best(), .compute = compute, .n_threads = n_threads};
    critic_error err;
    T_OK(cr_exec_new(&ex, &opts, &err));
    return ex;
}

static void fill(float *x, size_t n, size_t k, double scale) {
    for (size_t i = 0; i < n; i++)
        x[i] = (float)(scale * ((double)((i * 7919 + k * 104729) % 2003) / 1001.5 - 1));
}

struct tensor {
    float w[512], g[512], m[512], v[512];
    uint16_t copy[512];
    struct cr_train_tensor t;
};

static void init(struct tensor *x, size_t rows, size_t cols, bool muon) {
    memset(x, 0, sizeof *x);
    x->t = (struct cr_train_tensor){.part = CR_PART_DECODER,
                                    .muon = muon,
                                    .decay = true,
                                    .rows = rows,
                                    .cols = cols,
                                    .w = x->w,
                                    .g = x->g,
                                    .m = x->m,
                                    .v = x->v};
}

static void run_case(const json_t *c, struct cr_exec *ex, double rtol) {
    struct tensor x;
    struct cr_optim_opts o;
    const json_t *shape = json_object_get(c, "shape");
    const json_t *after = json_object_get(c, "after");
    bool muon = strcmp(json_string_value(json_object_get(c, "optimizer")), "muon") == 0;
    size_t rows = (size_t)json_integer_value(json_array_get(shape, 0));
    size_t cols = json_array_size(shape) > 1
                      ? (size_t)json_integer_value(json_array_get(shape, 1))
                      : 1;
    cr_optim_opts_default(&o);
    o.kind = muon ? CR_OPTIM_MUON : CR_OPTIM_ADAMW;
    o.lr[CR_PART_DECODER] = json_number_value(json_object_get(c, "lr"));
    o.weight_decay = json_number_value(json_object_get(c, "weight_decay"));
    if (!muon)
        o.beta2 = json_number_value(json_object_get(c, "beta2"));
    init(&x, rows, cols, muon);
    fill(x.w, rows * cols, 1, 1);
    for (size_t step = 0; step < 10; step++) {
        fill(x.g, rows * cols, step + 2, json_number_value(json_object_get(c, "scale")));
        cr_optim_step(&o, &x.t, 1, step, 1, 1, ex);
    }
    for (size_t i = 0; i < rows * cols; i++)
        T_NEAR(x.w[i], json_number_value(json_array_get(after, i)), rtol, rtol);
}

static void test_ten_steps(void **state) {
    struct cr_exec *ex = new_exec(CR_COMPUTE_F32, 1);
    json_t *root;
    critic_error err;
    (void)state;
    T_OK(cr_json_read(&root, T_SOURCE("tests/golden/train/optim.json"), 1 << 20, &err));
    const json_t *cases = json_object_get(root, "cases");
    assert_int_equal(json_array_size(cases), 4);
    for (size_t i = 0; i < json_array_size(cases); i++) {
        const json_t *c = json_array_get(cases, i);
        bool muon =
            strcmp(json_string_value(json_object_get(c, "optimizer")), "muon") == 0;
        /* torch orthogonalises in bf16: a step moves a weight by 0.2 * sqrt(20) * 2e-3 / sqrt(20)
         * times about one, of which bf16 loses up to 2 %; ten of them. */
        run_case(c, ex, muon ? 4e-4 : 1e-6);
    }
    json_decref(root);
    cr_exec_free(ex);
}

/* Singular values of what comes out lie around 1: x x^T is near the identity. */
static void test_newton_schulz(void **state) {
    struct cr_exec *ex = new_exec(CR_COMPUTE_F32, 1);
    static float x[24 * 40];
    (void)state;
    for (int tall = 0; tall < 2; tall++) {
        size_t rows = tall ? 40 : 24, cols = tall ? 24 : 40;
        struct cr_rng rng;
        cr_rng_seed(&rng, 7);
        for (size_t i = 0; i < rows * cols; i++)
            x[i] = (float)(5 * cr_rng_normal(&rng));
        cr_newton_schulz(x, rows, cols, ex);
        double trace = 0;
        for (size_t i = 0; i < rows * cols; i++)
            trace += (double)x[i] * (double)x[i];
        /* The sum of 24 squared singular values between 0.7 and 1.2. */
        assert_true(trace > 24 * 0.49 && trace < 24 * 1.44);
    }
    cr_exec_free(ex);
}

static void test_threads(void **state) {
    static struct tensor a, b;
    struct cr_optim_opts o;
    (void)state;
    cr_optim_opts_default(&o);
    o.kind = CR_OPTIM_MUON;
    o.lr[CR_PART_DECODER] = 1e-2;
    for (int t = 0; t < 2; t++) {
        struct cr_exec *ex = new_exec(CR_COMPUTE_AUTO, t ? 2 : 1);
        struct tensor *x = t ? &b : &a;
        init(x, 16, 32, true);
        x->t.copy = x->copy;
        fill(x->w, 512, 1, 1);
        fill(x->g, 512, 2, 1);
        cr_optim_step(&o, &x->t, 1, 0, 1, 1, ex);
        cr_exec_free(ex);
    }
    assert_memory_equal(a.w, b.w, sizeof a.w);
    assert_memory_equal(a.copy, b.copy, sizeof a.copy);
}

static void test_clip(void **state) {
    static struct tensor x[2];
    struct cr_optim_opts o;
    double parts[3];
    (void)state;
    cr_optim_opts_default(&o);
    init(&x[0], 1, 2, false);
    init(&x[1], 1, 1, false);
    x[1].t.part = CR_PART_TOWER;
    x[0].g[0] = 2;
    x[0].g[1] = 3;
    x[1].g[0] = 6;
    struct cr_train_tensor list[2] = {x[0].t, x[1].t};
    double norm = cr_optim_grad_norm(list, 2, parts);
    T_NEAR(norm, 7, 1e-12, 0);
    T_NEAR(parts[CR_PART_DECODER], sqrt(13), 1e-12, 0);
    T_NEAR(parts[CR_PART_TOWER], 6, 1e-12, 0);
    T_NEAR(cr_optim_clip(&o, norm), 1 / (7 + 1e-6), 1e-12, 0);
    T_NEAR(cr_optim_clip(&o, 0.5), 1, 0, 0);
    o.clip = 0;
    T_NEAR(cr_optim_clip(&o, norm), 1, 0, 0);
}

/* Values of transformers' get_cosine_schedule_with_warmup(4, 20) and of the decay by hand. */
static void test_schedules(void **state) {
    const struct cr_schedule_opts cosine = {CR_SCHEDULE_COSINE, 20, 4, 0};
    const struct cr_schedule_opts decay = {CR_SCHEDULE_DECAY, 20, 4, 0.6};
    (void)state;
    T_NEAR(cr_schedule_at(&cosine, 0), 0, 0, 0);
    T_NEAR(cr_schedule_at(&cosine, 2), 0.5, 1e-15, 0);
    T_NEAR(cr_schedule_at(&cosine, 4), 1, 1e-15, 0);
    T_NEAR(cr_schedule_at(&cosine, 12), 0.5, 1e-12, 0);
    T_NEAR(cr_schedule_at(&cosine, 19), 0.009607359798384785, 1e-12, 0);
    T_NEAR(cr_schedule_at(&cosine, 20), 0, 1e-12, 0);
    T_NEAR(cr_schedule_at(&decay, 1), 0.25, 1e-15, 0);
    T_NEAR(cr_schedule_at(&decay, 12), 1, 0, 0);
    T_NEAR(cr_schedule_at(&decay, 16), 0.5, 1e-15, 0);
    T_NEAR(cr_schedule_at(&decay, 19), 0.125, 1e-15, 0);
}

/* e after two steps, by hand: decays 1/10 and 2/11, then the asked one. */
static void test_average(void **state) {
    (void)state;
    float w[3] = {1, 2, -4}, e[3] = {0, 0, 0};
    struct cr_train_tensor t = {.rows = 1, .cols = 3, .w = w, .e = e};
    const struct cr_optim_opts o = {.ema = 0.75};
    cr_optim_average(&o, &t, 1, 0);
    T_NEAR(e[2], -4 * 0.9, 1e-6, 0);
    w[2] = 0;
    cr_optim_average(&o, &t, 1, 1);
    T_NEAR(e[2], -4 * 0.9 * 2 / 11, 1e-6, 0);
    T_NEAR(e[0], 0.9 + (1 - 0.9) * 9 / 11, 1e-6, 0);
    w[1] = 10;
    e[1] = 2;
    cr_optim_average(&o, &t, 1, 1000);
    T_NEAR(e[1], 4, 1e-6, 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ten_steps), cmocka_unit_test(test_newton_schulz),
        cmocka_unit_test(test_threads),   cmocka_unit_test(test_clip),
        cmocka_unit_test(test_schedules), cmocka_unit_test(test_average),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
