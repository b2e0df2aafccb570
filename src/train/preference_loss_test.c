/* Losses and derivatives against PyTorch's autograd (scripts/golden/preference_loss.py). */
#include "train/preference_loss.h"

#include "t.h"

static const char *const names[] = {"sigmoid", "robust",       "hinge",
                                    "ipo",     "sigmoid_norm", "simpo"};

static void test_against_autograd(void **state) {
    (void)state;
    char line[1024], name[32];
    size_t n = 0;
    FILE *f = fopen(T_SOURCE("tests/golden/preference_loss.tsv"), "r");
    assert_non_null(f);
    while (fgets(line, sizeof line, f)) {
        struct cr_preference_opts o = {0};
        struct cr_pair_logps p;
        double loss, by_chosen, by_rejected;
        if (line[0] == '#')
            continue;
        assert_int_equal(
            sscanf(line, "%31s %lf %lf %lf %lf %lf %lf %lf %zu %zu %lf %lf %lf", name,
                   &o.beta, &o.label_smoothing, &o.gamma, &p.policy_chosen,
                   &p.policy_rejected, &p.reference_chosen, &p.reference_rejected,
                   &p.n_chosen, &p.n_rejected, &loss, &by_chosen, &by_rejected),
            13);
        while (strcmp(names[o.loss], name) != 0)
            o.loss++;
        struct cr_pair_loss got = cr_preference_loss(&p, &o);
        T_NEAR(got.loss, loss, 1e-12, 1e-12);
        T_NEAR(got.by_chosen, by_chosen, 1e-14, 1e-10);
        T_NEAR(got.by_rejected, by_rejected, 1e-14, 1e-10);
        n++;
    }
    fclose(f);
    assert_int_equal(n, 48);
}

static void test_ln_2_where_policy_is_reference(void **state) {
    (void)state;
    struct cr_preference_opts o = {.loss = CR_LOSS_SIGMOID, .beta = 0.1};
    struct cr_pair_logps p = {-120.5, -80.25, -120.5, -80.25, 30, 20};
    struct cr_pair_loss got = cr_preference_loss(&p, &o);
    assert_true(got.loss == log(2));
    T_NEAR(got.by_chosen, -0.05, 1e-15, 0);
    T_NEAR(got.by_rejected, 0.05, 1e-15, 0);
}

static void test_check(void **state) {
    (void)state;
    critic_error err;
    struct cr_preference_opts o = {.beta = 0.1};
    T_OK(cr_preference_check(&o, &err));
    o.label_smoothing = 0.5;
    T_FAILS(cr_preference_check(&o, &err), CRITIC_BAD_ARGUMENT, "label smoothing");
    o.label_smoothing = 0.1;
    o.loss = CR_LOSS_IPO;
    T_FAILS(cr_preference_check(&o, &err), CRITIC_BAD_ARGUMENT, "no label smoothing");
    o = (struct cr_preference_opts){.beta = 0};
    T_FAILS(cr_preference_check(&o, &err), CRITIC_BAD_ARGUMENT, "beta");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_against_autograd),
        cmocka_unit_test(test_ln_2_where_policy_is_reference),
        cmocka_unit_test(test_check)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
