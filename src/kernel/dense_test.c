#include "t.h"

#include "base/rng.h"
#include "kernel/dense.h"
#include "kernel/quant.h"

static const enum cr_dtype weights[] = {CR_F32,  CR_F16,  CR_BF16, CR_Q8_0,
                                        CR_Q4_0, CR_Q4_1, CR_Q5_0, CR_Q5_1,
                                        CR_Q4_K, CR_Q5_K, CR_Q6_K};

/* The same bits, but for a NaN's payload and the sign of a zero. */
static bool same_f32(float a, float b) {
    return memcmp(&a, &b, sizeof a) == 0 || (isnan(a) && isnan(b)) || (a == 0 && b == 0);
}

static bool same_bf16(uint16_t a, uint16_t b) {
    return a == b || same_f32(cr_bf16_to_f32(a), cr_bf16_to_f32(b));
}

/* Any bytes at all, misplaced by one: every table converts them to the bits of the scalar
 * one. Plain types take any length. */
static void test_conversion_equals_scalar(void **state) {
    (void)state;
    struct cr_rng r;
    cr_rng_seed(&r, t_seed(1));
    static unsigned char bytes[8192];
    static float expected[1024], got[1024];
    static uint16_t expected_bf16[1024], got_bf16[1024];
    for (int trial = 0; trial < 20; trial++) {
        for (size_t i = 0; i < sizeof bytes; i++)
            bytes[i] = (unsigned char)cr_rng_below(&r, 256);
        for (size_t i = 0; i < sizeof weights / sizeof *weights * CR_ISA_COUNT; i++) {
            enum cr_dtype w = weights[i / CR_ISA_COUNT];
            enum cr_isa isa = (enum cr_isa)(i % CR_ISA_COUNT);
            if (!cr_isa_available(isa))
                continue;
            size_t n = cr_dtype_block_len(w) == 1 ? (size_t)trial * 5 : 1024;
            const struct cr_dense *d = cr_dense_for(isa);
            d->row_to_f32(w, bytes + 1, got, n);
            d->row_to_bf16(w, bytes + 1, got_bf16, n);
            cr_row_to_f32(w, bytes + 1, expected, n);
            cr_dense_scalar.row_to_bf16(w, bytes + 1, expected_bf16, n);
            for (size_t k = 0; k < n; k++) {
                if (!same_f32(got[k], expected[k]) ||
                    !same_bf16(got_bf16[k], expected_bf16[k]))
                    fail_msg("%s %s [%zu]: %a, expected %a; bf16 %04x, expected %04x",
                             cr_isa_name(isa), cr_dtype_name(w), k, (double)got[k],
                             (double)expected[k], got_bf16[k], expected_bf16[k]);
            }
        }
    }
}

static void test_bf16_rounding(void **state) {
    (void)state;
    static const uint32_t bits[] = {0x00000000, 0x80000000, 0x3f808000, 0x3f818000,
                                    0x3f808001, 0x7f7fffff, 0xff800000, 0x7f800001,
                                    0xffc00000, 0x00008001, 0x00007fff, 0x80018000,
                                    0x7fffffff, 0x3f7fffff, 0x477fe000, 0x00800000};
    static const uint16_t expected[] = {0x0000, 0x8000, 0x3f80, 0x3f82, 0x3f81, 0x7f80,
                                        0xff80, 0x7fc0, 0xffc0, 0x0001, 0x0000, 0x8002,
                                        0x7fff, 0x3f80, 0x4780, 0x0080};
    for (int isa = 0; isa < CR_ISA_COUNT; isa++) {
        uint16_t got[16];
        if (!cr_isa_available((enum cr_isa)isa))
            continue;
        cr_dense_for((enum cr_isa)isa)->row_to_bf16(CR_F32, bits, got, 16);
        assert_memory_equal(got, expected, sizeof expected);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_conversion_equals_scalar),
        cmocka_unit_test(test_bf16_rounding),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
