#include "kernel/quant.h"

#include "base/checked.h"
#include "base/file.h"
#include "t.h"

/* tests/golden/quants.bin: what the gguf package computes (scripts/golden-quants.py). */
static void test_against_gguf_package(void **state) {
    (void)state;
    critic_error err;
    struct cr_map m;
    T_OK(cr_map_open(&m, T_SOURCE("tests/golden/quants.bin"), &err));
    const unsigned char *p = m.bytes.data;
    const unsigned char *end = p + m.bytes.len;
    size_t records = 0;
    while (p < end) {
        enum cr_dtype dtype;
        assert_true(cr_dtype_parse((const char *)p + 1, p[0], &dtype));
        p += 1 + p[0];
        int direction = *p++;
        uint32_t n, bytes;
        memcpy(&n, p, 4);
        memcpy(&bytes, p + 4, 4);
        p += 8;
        float *floats = malloc(n * sizeof *floats);
        float *got = malloc(n * sizeof *got);
        unsigned char *blocks = malloc(bytes);
        memcpy(floats, p, n * sizeof *floats);
        if (direction == 0) {
            cr_row_to_f32(dtype, p + n * sizeof *floats, got, n);
            for (uint32_t i = 0; i < n; i++)
                if (memcmp(&got[i], &floats[i], 4) != 0)
                    fail_msg("%s element %u: %.9g, expected %.9g", cr_dtype_name(dtype),
                             i, (double)got[i], (double)floats[i]);
        } else {
            cr_row_from_f32(dtype, floats, blocks, n);
            for (uint32_t i = 0; i < bytes; i++)
                if (blocks[i] != p[n * sizeof *floats + i])
                    fail_msg("%s byte %u: %d, expected %d", cr_dtype_name(dtype), i,
                             blocks[i], p[n * sizeof *floats + i]);
        }
        free(floats);
        free(got);
        free(blocks);
        p += n * sizeof *floats + bytes;
        records++;
    }
    assert_int_equal(records, 12);
    cr_map_close(&m);
}

/* Every half float survives the way to f32 and back; NaN stays NaN. */
static void test_f16_all(void **state) {
    (void)state;
    for (uint32_t h = 0; h < 0x10000; h++) {
        float f = cr_f16_to_f32((uint16_t)h);
        if ((h & 0x7FFF) > 0x7C00) {
            assert_true(isnan(f));
            assert_true(isnan(cr_f16_to_f32(cr_f16_from_f32(f))));
            continue;
        }
        double exact = ldexp((h & 0x3FF) + (h & 0x7C00 ? 1024 : 0),
                             (int)(h >> 10 & 31) - 25 + (h & 0x7C00 ? 0 : 1));
        if ((h & 0x7FFF) == 0x7C00)
            exact = (double)INFINITY;
        assert_true(fabs((double)f) == exact && !signbit(f) == !(h & 0x8000));
        assert_int_equal(cr_f16_from_f32(f), h);
    }
}

/* Between two neighbours: down, to the even one, up. */
static void test_rounding(void **state) {
    (void)state;
    for (uint16_t h = 0; h < 0x7BFF; h++) {
        float a = cr_f16_to_f32(h);
        float b = cr_f16_to_f32((uint16_t)(h + 1));
        float middle = a + (b - a) / 2;
        assert_int_equal(cr_f16_from_f32(nextafterf(middle, a)), h);
        assert_int_equal(cr_f16_from_f32(middle), h % 2 ? h + 1 : h);
        assert_int_equal(cr_f16_from_f32(nextafterf(middle, b)), h + 1);
    }
    assert_int_equal(cr_f16_from_f32(65519.996f), 0x7BFF);
    assert_int_equal(cr_f16_from_f32(65520), 0x7C00);
    assert_int_equal(cr_f16_from_f32(-1e30f), 0xFC00);
    assert_int_equal(cr_f16_from_f32(0x1p-25f), 0);
    assert_int_equal(cr_f16_from_f32(0x1.8p-25f), 1);
    assert_int_equal(cr_bf16_from_f32(1.00390625f), 0x3F80); /* a tie, to even */
    assert_int_equal(cr_bf16_from_f32(1.01171875f), 0x3F82);
    assert_int_equal(cr_bf16_from_f32(3.4e38f), 0x7F80);
    assert_true(isnan(cr_bf16_to_f32(cr_bf16_from_f32(NAN))));
    assert_true(cr_bf16_to_f32(0xFF80) == -INFINITY);
}

static void test_plain_types(void **state) {
    (void)state;
    unsigned char raw[33];
    float y[4];
    double f64[2] = {1.5, -2};
    memcpy(raw + 1, f64, sizeof f64); /* unaligned on purpose */
    cr_row_to_f32(CR_F64, raw + 1, y, 2);
    assert_true(y[0] == 1.5f && y[1] == -2);
    int64_t i64[2] = {-3, 1 << 20};
    memcpy(raw + 1, i64, sizeof i64);
    cr_row_to_f32(CR_I64, raw + 1, y, 2);
    assert_true(y[0] == -3 && y[1] == 1048576);
    int32_t i32[2] = {-4, 9};
    memcpy(raw + 1, i32, sizeof i32);
    cr_row_to_f32(CR_I32, raw + 1, y, 2);
    assert_true(y[0] == -4 && y[1] == 9);
    cr_row_to_f32(CR_I16, "\xFE\xFF\x03\x00", y, 2);
    assert_true(y[0] == -2 && y[1] == 3);
    cr_row_to_f32(CR_I8, "\xFF\x7F", y, 2);
    assert_true(y[0] == -1 && y[1] == 127);
    cr_row_to_f32(CR_U8, "\xFF\x7F", y, 2);
    assert_true(y[0] == 255 && y[1] == 127);
    cr_row_to_f32(CR_BOOL, "\x01", y, 1);
    assert_true(y[0] == 1);
    cr_row_to_f32(CR_Q4_K, NULL, NULL, 0);
    cr_row_from_f32(CR_Q8_0, NULL, NULL, 0);
    assert_false(cr_row_from_f32_supports(CR_Q4_K));
}

/* Numbers that no block can hold do not run into undefined casts. */
static void test_not_finite(void **state) {
    (void)state;
    float x[32] = {0};
    unsigned char b[34];
    x[3] = NAN;
    x[4] = INFINITY;
    x[5] = -3e38f;
    cr_row_from_f32(CR_Q8_0, x, b, 32);
    cr_row_from_f32(CR_Q4_0, x, b, 32);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_against_gguf_package),
        cmocka_unit_test(test_f16_all),
        cmocka_unit_test(test_rounding),
        cmocka_unit_test(test_plain_types),
        cmocka_unit_test(test_not_finite),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
