#include "t.h"

#include "kernel/ceiling.h"

/* Only that the figures exist where the instructions do: speed is no subject of a test. */
static void test_figures_exist(void **state) {
    (void)state;
    for (int i = 0; i < CR_ISA_COUNT; i++) {
        enum cr_isa isa = (enum cr_isa)i;
        if (!cr_isa_available(isa))
            continue;
        assert_true(cr_ceiling_f32(isa, 1) > 1e6);
        assert_int_equal(cr_ceiling_bf16(isa, 1) > 1e6, isa == CR_ISA_AVX512);
        assert_int_equal(cr_ceiling_int8(isa, 2) > 1e6,
                         isa == CR_ISA_AVX512 || isa == CR_ISA_AVX2);
    }
    assert_true(cr_ceiling_memory_read(cr_isa_best(), 2) > 1e6);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_figures_exist)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
