#include "t.h"

#include "base/rng.h"
#include "kernel/dense.h"
#include "op/embed.h"
#include "op/linear.h"

static void fill(float *v, size_t n, uint64_t seed) {
    struct cr_rng r;
    cr_rng_seed(&r, seed);
    for (size_t i = 0; i < n; i++)
        v[i] = (float)cr_rng_normal(&r);
}

static void test_small_product_is_exact(void **state) {
    (void)state;
    critic_error err;
    struct cr_exec *ex;
    T_OK(cr_exec_new(&ex, &(struct cr_exec_opts){.isa = CR_ISA_SCALAR}, &err));
    float x[2][3] = {{1, 2, 3}, {-1, 0, 4}};
    float w[2][3] = {{1, 1, 1}, {2, -1, 0.5f}};
    float b[2] = {10, 20}, y[2][2] = {{1, 1}, {1, 1}};
    struct cr_linear lin = {.w = cr_tensor_view2(w, CR_F32, 2, 3),
                            .bias = cr_tensor_view2(b, CR_F32, 1, 2)};
    struct cr_tensor ty = cr_tensor_view2(y, CR_F32, 2, 2);
    struct cr_tensor tx = cr_tensor_view2(x, CR_F32, 2, 3);
    cr_linear_fwd(ty, tx, &lin, CR_ADD, CR_STEP, ex);
    float expected[2][2] = {{17, 22.5f}, {14, 21}};
    assert_memory_equal(y, expected, sizeof y);
    cr_linear_fwd(ty, tx, &lin, CR_ASSIGN, CR_PREFILL, ex);
    float assigned[2][2] = {{16, 21.5f}, {13, 20}};
    assert_memory_equal(y, assigned, sizeof y);
    cr_exec_free(ex);
}

static void test_embed_copies_rows(void **state) {
    (void)state;
    critic_error err;
    struct cr_exec *ex;
    T_OK(cr_exec_new(&ex, &(struct cr_exec_opts){.isa = CR_ISA_SCALAR}, &err));
    float w[4 * 5], y[3 * 5];
    fill(w, 20, 1);
    int32_t ids[3] = {3, 0, 3};
    cr_embed_fwd(cr_tensor_view2(y, CR_F32, 3, 5), ids, cr_tensor_view2(w, CR_F32, 4, 5),
                 ex);
    for (size_t t = 0; t < 3; t++)
        assert_memory_equal(y + 5 * t, w + 5 * ids[t], 5 * sizeof *y);
    cr_exec_free(ex);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_small_product_is_exact),
        cmocka_unit_test(test_embed_copies_rows),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
