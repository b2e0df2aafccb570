/* Norms that are split in two bf16: the first is the norm as bf16 has it, both together the norm in
 * f32. (Values of the norms: kernel/row_test.c; their backward: backward_test.c.) */
#include "op/norm.h"

#include "base/checked.h"
#include "t_exec.h"

static void test_split_is_the_norm(void **state) {
    (void)state;
    struct cr_rng r;
    cr_rng_seed(&r, t_seed(6));
    static const size_t widths[] = {1, 2, 31, 256, 257, 896};
    T_EACH_ISA(isa) {
        struct cr_exec *ex = t_exec(isa, CR_COMPUTE_BF16, 2);
        for (size_t i = 0; i < CR_COUNT(widths); i++) {
            size_t n = widths[i], rows = 5;
            struct cr_tensor x = t_random(CR_F32, rows, n, 3, &r);
            struct cr_tensor w = t_random(CR_BF16, 1, n, 1, &r);
            struct cr_tensor whole = t_tensor(CR_F32, rows, n);
            struct cr_tensor rounded = t_tensor(CR_BF16, rows, n);
            struct cr_tensor y = t_tensor(CR_BF16, rows, n);
            struct cr_tensor rest = t_tensor(CR_BF16, rows, n);
            cr_rmsnorm_fwd(whole, NULL, x, w, 1e-5f, ex);
            cr_rmsnorm_fwd(rounded, NULL, x, w, 1e-5f, ex);
            cr_rmsnorm_split_fwd(y, rest, x, w, 1e-5f, ex);
            assert_true(t_same_bits(&y, &rounded));
            for (size_t t = 0; t < rows; t++)
                for (size_t d = 0; d < n; d++) {
                    double want = (double)t_get(&whole, t, d);
                    T_NEAR((double)t_get(&y, t, d) + (double)t_get(&rest, t, d), want,
                           0x1p-17 * fabs(want), 0);
                }
            assert_int_equal(cr_arena_mark(&ex->scratch), 0);
            free(x.data);
            free(w.data);
            free(whole.data);
            free(rounded.data);
            free(y.data);
            free(rest.data);
        }
        cr_exec_free(ex);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_split_is_the_norm),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
