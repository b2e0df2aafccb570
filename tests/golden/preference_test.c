/* critic train dpo against autograd of transformers (scripts/golden/preference.py): losses, log-probabilities
 * and gradients of pairs with and without pictures, full and of an adapter, every loss, within 1e-4 in f32. The
 * reference ran chosen and rejected as sequences of their own, so that this is also packed against apart. */
#include "base/checked.h"
#include "io/json.h"
#include "t.h"
#include "train/dpo.h"

#define GOLDEN T_SOURCE("tests/golden/preference/")
#define DOTS   2

static critic_error err;

struct digest {
    double square, dots[DOTS];
};

static uint64_t mix(uint64_t x) {
    x += 0x9E3779B97F4A7C15u;
    x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9u;
    x = (x ^ (x >> 27)) * 0x94D049BB133111EBu;
    return x ^ (x >> 31);
}

static struct digest digest_of(const struct cr_train_tensor *t) {
    struct digest d = {0};
    for (uint64_t i = 0; i < t->rows * t->cols; i++) {
        double v = (double)t->g[i];
        d.square += v * v;
        for (uint64_t k = 0; k < DOTS; k++)
            d.dots[k] += mix(i + ((k + 1) << 40)) & 1 ? -v : v;
    }
    return d;
}

static double value(const json_t *object, const char *key) {
    const json_t *v = json_object_get(object, key);
    if (!json_is_number(v))
        fail_msg("the golden has no number '%s'", key);
    return json_number_value(v);
}

/* How far d is from what is expected, against `scale`. */
static double distance(const struct digest *d, const json_t *expected, double scale) {
    double worst = fabs(sqrt(d->square) - value(expected, "norm"));
    for (size_t k = 0; k < DOTS; k++) {
        const json_t *dot = json_array_get(json_object_get(expected, "dots"), k);
        worst = fmax(worst, fabs(d->dots[k] - json_number_value(dot)));
    }
    return isnan(d->square) ? HUGE_VAL : worst / fmax(scale, 1e-30);
}

/* ---- one case ---- */

static void open_case(struct cr_net *net, const char *model, bool lora) {
    char path[512];
    snprintf(path, sizeof path, T_SOURCE("tests/tiny/") "%s", model);
    struct cr_net_opts opts = {.model = path, .save = CR_DTYPE_COUNT};
    opts.exec = (struct cr_exec_opts){
        .isa = cr_isa_best(), .n_threads = 2, .compute = CR_COMPUTE_F32};
    if (lora)
        T_OK(cr_lora_opts_parse(&opts.lora, GOLDEN "adapter", &err));
    T_OK(cr_net_open(net, &opts, &err));
}

static enum cr_preference_loss loss_named(const char *name) {
    static const char *const names[] = {"sigmoid", "robust",       "hinge",
                                        "ipo",     "sigmoid_norm", "simpo"};
    for (size_t i = 0; i < CR_COUNT(names); i++)
        if (strcmp(names[i], name) == 0)
            return (enum cr_preference_loss)i;
    fail_msg("no loss %s", name);
    return CR_LOSS_SIGMOID;
}

/* All pairs as one pass; its loss. Gradients from zero. */
static double run_pass(struct cr_dpo *s) {
    static const uint32_t at[] = {0, 1, 2};
    struct cr_task task = cr_dpo_task(s);
    struct cr_pass out = {0};
    cr_optim_zero_grad(s->net->tensors, s->net->n_tensors);
    cr_net_lora_pass(s->net, false, 0);
    T_OK(task.prepare(task.self, 0, false, at, 3, &err));
    T_OK(task.pass(task.self, 0, true, 1, &out, &err));
    return out.loss;
}

static void check_logps(const struct cr_dpo *s, const json_t *json, bool simpo) {
    for (size_t i = 0; i < 3; i++)
        for (size_t k = 0; k < 2; k++) {
            const char *policy = k ? "policy_rejected_logps" : "policy_chosen_logps";
            const char *reference =
                k ? "reference_rejected_logps" : "reference_chosen_logps";
            T_NEAR(s->policy[i][k],
                   json_number_value(json_array_get(json_object_get(json, policy), i)), 0,
                   1e-5);
            if (!simpo)
                T_NEAR(s->reference.logps[i][k],
                       json_number_value(
                           json_array_get(json_object_get(json, reference), i)),
                       0, 1e-5);
        }
}

static void check_tensors(const struct cr_net *net, const json_t *json) {
    const json_t *all = json_object_get(json, "gradients");
    size_t n = 0;
    for (size_t i = 0; i < net->n_tensors; i++) {
        const struct cr_train_tensor *t = &net->tensors[i];
        const json_t *e = json_object_get(all, t->name);
        struct digest d = digest_of(t);
        if (!e && d.square > 0)
            fail_msg("%s has a gradient, expected none", t->name);
        if (!e)
            continue;
        double off = distance(&d, e, value(e, "scale"));
        if (!(off <= 1e-4))
            fail_msg("gradient of %s is off by %.3g", t->name, off);
        n++;
    }
    assert_int_equal(n, json_object_size(all));
}

static void check_loss(struct cr_net *net, const json_t *json, const json_t *loss,
                       bool lora) {
    struct cr_dpo s;
    struct digest sum = {0};
    const char *name = json_string_value(json_object_get(loss, "name"));
    struct cr_dpo_opts o = {.data_path = GOLDEN "pairs.jsonl",
                            .sft_weight = value(loss, "sft")};
    o.loss = (struct cr_preference_opts){
        .loss = loss_named(json_string_value(json_object_get(loss, "kind"))),
        .beta = value(loss, "beta"),
        .label_smoothing = value(loss, "smoothing"),
        .gamma = value(loss, "gamma")};
    o.reference.kind = lora ? CR_REFERENCE_ADAPTER : CR_REFERENCE_NONE;
    cr_dataset_opts_default(&o.data);
    o.data.image_folder = T_SOURCE("tests/golden/images");
    o.data.max_tokens = net->config.text.max_positions;
    T_OK(cr_dpo_open(&s, net, &o, &err));
    double got = run_pass(&s), want = value(loss, "loss");
    T_NEAR(got, want, 1e-6, 1e-5);
    check_logps(&s, json, o.loss.loss == CR_LOSS_SIMPO);
    for (size_t i = 0; i < net->n_tensors; i++) {
        struct digest d = digest_of(&net->tensors[i]);
        sum.square += d.square;
        for (size_t k = 0; k < DOTS; k++)
            sum.dots[k] += d.dots[k];
    }
    double norm = value(loss, "norm"), off = distance(&sum, loss, norm);
    print_message("    %s: loss %.6f, gradient off by %.2g\n", name, got,
                  norm > 0 ? off : sqrt(sum.square));
    if (norm > 0 ? !(off <= 1e-4) : sum.square > 0)
        fail_msg("%s: the gradient is off by %.3g", name, off);
    if (strcmp(name, json_string_value(json_object_get(json, "all"))) == 0)
        check_tensors(net, json);
    cr_dpo_close(&s);
}

static void check_case(size_t i, bool lora) {
    json_t *golden;
    T_OK(cr_json_read(&golden, GOLDEN "expected.json", (size_t)1 << 20, &err));
    const json_t *json = json_array_get(json_object_get(golden, "cases"), i);
    struct cr_net net;
    open_case(&net, json_string_value(json_object_get(golden, "model")), lora);
    json_t *losses = json_object_get(json, "losses");
    assert_int_equal(json_array_size(losses), 8);
    for (size_t k = 0; k < json_array_size(losses); k++)
        check_loss(&net, json, json_array_get(losses, k), lora);
    cr_net_close(&net);
    json_decref(golden);
}

static void test_full(void **state) {
    (void)state;
    check_case(0, false);
}

static void test_adapter(void **state) {
    (void)state;
    check_case(1, true);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_full),
                                       cmocka_unit_test(test_adapter)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
