/* JPEG out: near the picture, nearer with quality, smaller with less; no picture, no file. */
#include "image/image.h"
#include "t.h"

#define W 40
#define H 24

static struct cr_image drawn(void) {
    static unsigned char rgb[W * H * 3];
    for (size_t y = 0; y < H; y++)
        for (size_t x = 0; x < W; x++) {
            unsigned char *p = rgb + (y * W + x) * 3;
            p[0] = (unsigned char)(x * 6);
            p[1] = (unsigned char)(y * 10);
            p[2] = x > 20 ? 200 : 40;
        }
    return (struct cr_image){.width = W, .height = H, .rgb = rgb};
}

/* Mean absolute difference of samples after there and back. */
static double error_at(int quality, size_t *bytes) {
    critic_error err;
    struct cr_buf file;
    struct cr_image image = drawn(), back;
    double sum = 0;
    cr_buf_init(&file, 1 << 20);
    T_OK(cr_image_encode_jpeg(&file, &image, quality, &err));
    T_OK(cr_image_decode(&back, (struct cr_bytes){(unsigned char *)file.data, file.len},
                         NULL, "test", &err));
    assert_int_equal(back.width, W);
    assert_int_equal(back.height, H);
    for (size_t i = 0; i < W * H * 3; i++)
        sum += abs(back.rgb[i] - image.rgb[i]);
    *bytes = file.len;
    cr_image_free(&back);
    cr_buf_fini(&file);
    return sum / (W * H * 3);
}

static void test_quality(void **state) {
    (void)state;
    size_t small, large;
    double coarse = error_at(10, &small), fine = error_at(95, &large);
    assert_true(fine > 0 && fine < 4 && coarse > 2 * fine && coarse < 40);
    assert_true(small < large);
}

static void test_no_pixels(void **state) {
    (void)state;
    critic_error err;
    struct cr_buf file;
    struct cr_image none = {0};
    cr_buf_init(&file, 1 << 10);
    T_FAILS(cr_image_encode_jpeg(&file, &none, 90, &err), CRITIC_BAD_DATA, "0 x 0");
    cr_buf_fini(&file);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_quality),
                                       cmocka_unit_test(test_no_pixels)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
