#include "t.h"

#include <omp.h>

#include "base/rng.h"
#include "image/image.h"
#include "image/resize.h"

static struct cr_image noise(size_t width, size_t height, uint64_t seed) {
    struct cr_rng rng;
    struct cr_image image = {malloc(3 * width * height), width, height};
    cr_rng_seed(&rng, seed);
    for (size_t i = 0; i < 3 * width * height; i++)
        image.rgb[i] = (unsigned char)cr_rng_u64(&rng);
    return image;
}

/* By hand, from the definition: 2 to 1 pixels has the weights 1/2, 1/2; 1 to n copies; 2 to 4
 * bilinear has 1, 3/4, 1/4, 0 between the two. Rounding is half up. */
static void small_cases_by_hand(void **state) {
    (void)state;
    critic_error err;
    struct cr_image out;
    unsigned char two[6] = {0, 10, 255, 1, 20, 0};
    const struct cr_image wide = {two, 2, 1};
    const struct cr_image tall = {two, 1, 2};
    T_OK(cr_image_resize(&out, &wide, 1, 1, CR_BILINEAR, &err));
    assert_memory_equal(out.rgb, ((unsigned char[]){1, 15, 128}), 3);
    cr_image_free(&out);
    T_OK(cr_image_resize(&out, &tall, 1, 1, CR_BICUBIC, &err));
    assert_memory_equal(out.rgb, ((unsigned char[]){1, 15, 128}), 3);
    cr_image_free(&out);
    T_OK(cr_image_resize(&out, &wide, 4, 1, CR_BILINEAR, &err));
    assert_memory_equal(
        out.rgb, ((unsigned char[]){0, 10, 255, 0, 13, 191, 1, 18, 64, 1, 20, 0}), 12);
    cr_image_free(&out);
    const struct cr_image dot = {two, 1, 1};
    T_OK(cr_image_resize(&out, &dot, 3, 2, CR_BICUBIC, &err));
    for (size_t i = 0; i < 6; i++)
        assert_memory_equal(out.rgb + 3 * i, two, 3);
    cr_image_free(&out);
}

static void the_same_size_copies(void **state) {
    (void)state;
    critic_error err;
    struct cr_image in = noise(17, 9, 1);
    struct cr_image out;
    T_OK(cr_image_resize(&out, &in, 17, 9, CR_BICUBIC, &err));
    assert_ptr_not_equal(out.rgb, in.rgb);
    assert_memory_equal(out.rgb, in.rgb, 3 * 17 * 9);
    cr_image_free(&out);
    cr_image_free(&in);
}

/* The threads share rows, never a sum. */
static void any_number_of_threads_gives_the_same_bits(void **state) {
    (void)state;
    critic_error err;
    static const size_t sizes[][4] = {
        {301, 199, 97, 33}, {31, 47, 384, 257}, {5, 700, 9, 20}, {400, 3, 400, 1}};
    int threads = omp_get_max_threads();
    for (size_t i = 0; i < 4; i++) {
        const size_t *s = sizes[i];
        struct cr_image in = noise(s[0], s[1], i);
        struct cr_image one;
        omp_set_num_threads(1);
        T_OK(cr_image_resize(&one, &in, s[2], s[3], CR_BICUBIC, &err));
        for (int n = 2; n < 6; n++) {
            struct cr_image many;
            omp_set_num_threads(n);
            T_OK(cr_image_resize(&many, &in, s[2], s[3], CR_BICUBIC, &err));
            assert_memory_equal(one.rgb, many.rgb, 3 * s[2] * s[3]);
            cr_image_free(&many);
        }
        cr_image_free(&one);
        cr_image_free(&in);
    }
    omp_set_num_threads(threads);
}

static struct cr_image on_canvas(const struct cr_canvas *c) {
    struct cr_image out = {malloc(3 * c->width * c->height), c->width, c->height};
    for (size_t i = 0; i < c->width * c->height; i++)
        memcpy(out.rgb + 3 * i, c->color, 3);
    for (size_t y = 0; y < c->image->height; y++)
        memcpy(out.rgb + 3 * ((c->top + y) * c->width + c->left),
               c->image->rgb + 3 * y * c->image->width, 3 * c->image->width);
    return out;
}

/* A canvas that is never stored gives what the stored one gives. */
static void canvases_equal_stored_ones(void **state) {
    (void)state;
    critic_error err;
    struct cr_image in = noise(20, 13, 5);
    static const size_t cases[][6] = {
        /* canvas, top, left, out */
        {20, 20, 3, 0, 24, 24}, {50, 13, 0, 15, 24, 24}, {31, 29, 16, 11, 7, 40},
        {20, 20, 7, 0, 20, 20}, {31, 20, 0, 0, 31, 9},   {31, 20, 2, 3, 9, 20},
    };
    for (size_t i = 0; i < 6; i++) {
        const size_t *k = cases[i];
        const struct cr_canvas canvas = {&in, k[0], k[1], k[2], k[3], {127, 3, 200}};
        struct cr_image stored = on_canvas(&canvas);
        struct cr_image expected;
        struct cr_image out;
        T_OK(cr_image_resize(&expected, &stored, k[4], k[5], CR_BICUBIC, &err));
        T_OK(cr_canvas_resize(&out, &canvas, k[4], k[5], CR_BICUBIC, &err));
        assert_memory_equal(out.rgb, expected.rgb, 3 * k[4] * k[5]);
        cr_image_free(&stored);
        cr_image_free(&expected);
        cr_image_free(&out);
    }
    cr_image_free(&in);
}

/* Shapes whose weights (4 per input sample) do not fit one block, and whose middle picture
 * would not fit memory in the other order of passes. One colour stays that colour. */
static void extreme_shapes_stay_small(void **state) {
    (void)state;
    critic_error err;
    const size_t len = 3000000;
    struct cr_image line = {malloc(3 * len), len, 1};
    struct cr_image out;
    memset(line.rgb, 77, 3 * len);
    T_OK(cr_image_resize(&out, &line, 384, 384, CR_BICUBIC, &err));
    for (size_t i = 0; i < 3 * 384 * 384; i++)
        assert_int_equal(out.rgb[i], 77);
    cr_image_free(&out);
    line.width = 1;
    line.height = len;
    T_OK(cr_image_resize(&out, &line, 384, 384, CR_BICUBIC, &err));
    for (size_t i = 0; i < 3 * 384 * 384; i++)
        assert_int_equal(out.rgb[i], 77);
    cr_image_free(&out);
    T_OK(cr_image_resize(&out, &line, 2, 1, CR_BILINEAR, &err));
    cr_image_free(&out);
    cr_image_free(&line);
}

static void sizes_that_cannot_be(void **state) {
    (void)state;
    critic_error err;
    struct cr_image in = noise(2, 2, 3);
    struct cr_image out;
    T_FAILS(cr_image_resize(&out, &in, 0, 5, CR_BICUBIC, &err), CRITIC_BAD_DATA,
            "cannot resize to 0x5 pixels");
    T_FAILS(cr_image_resize(&out, &in, 5, 0, CR_BICUBIC, &err), CRITIC_BAD_DATA, "5x0");
    T_FAILS(cr_image_resize(&out, &in, SIZE_MAX, 2, CR_BICUBIC, &err), CRITIC_BAD_DATA,
            "cannot resize");
    assert_null(out.rgb);
    cr_image_free(&in);
}

static void normalisation_follows_numpy(void **state) {
    (void)state;
    float table[3][256];
    const struct cr_normalize n = {1.0 / 255.0, {0.5F, 0.0F, 0.25F}, {0.5F, 1.0F, 2.0F}};
    cr_normalize_table(table, &n);
    assert_true(table[0][0] == -1.0F && table[0][255] == 1.0F);
    for (size_t x = 0; x < 256; x++) {
        float scaled = (float)((double)x / 255.0);
        T_NEAR(table[0][x], ((double)x / 255.0 - 0.5) / 0.5, 1.3e-7, 0);
        T_NEAR(table[1][x], scaled, 1e-7, 0);
        T_NEAR(table[2][x], ((double)scaled - 0.25) / 2.0, 1e-7, 0);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(small_cases_by_hand),
        cmocka_unit_test(the_same_size_copies),
        cmocka_unit_test(any_number_of_threads_gives_the_same_bits),
        cmocka_unit_test(canvases_equal_stored_ones),
        cmocka_unit_test(extreme_shapes_stay_small),
        cmocka_unit_test(sizes_that_cannot_be),
        cmocka_unit_test(normalisation_follows_numpy),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
