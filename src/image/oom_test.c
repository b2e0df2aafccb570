/* Every allocation on the way from a file to tiles is refused once. */
#include "t.h"
#include "t_oom.h"

#include <omp.h>

#include "image/anyres.h"

#if T_OOM_AVAILABLE
#define PICTURE(name) T_SOURCE("tests/golden/images/" name)

/* Lossless WebP is left out: libwebp 1.2.4 itself follows a null pointer where the seventh
 * allocation, of its Huffman tables, is refused. */
static void decoders(void **state) {
    (void)state;
    static const char *const paths[] = {
        PICTURE("cat-gray.jpg"),
        PICTURE("rocket-progressive-odd.jpg"),
        PICTURE("coffee-ycck.jpg"),
        PICTURE("palette-trns.png"),
        PICTURE("rgb-interlaced.png"),
        PICTURE("gray-16bit.png"),
        PICTURE("coffee-lossy.webp"),
        T_SOURCE("tests/golden/image/animated-lossy.webp"),
        "data:image/png;base64,"
        "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAA"
        "AABJRU5ErkJggg==",
    };
    for (size_t i = 0; i < sizeof paths / sizeof paths[0]; i++) {
        critic_error err = {0};
        struct cr_image image;
        enum critic_status status = CRITIC_OK;
        size_t before = t_oom_refused;
        T_OOM_SWEEP(status = cr_image_load(&image, paths[i], NULL, &err), status,
                    cr_image_free(&image));
        /* The file, the pixels, and blocks of the library behind them. */
        if (t_oom_refused < before + 4)
            fail_msg("%s: only %zu allocations seen", paths[i], t_oom_refused - before);
    }
}

static void tiles(void **state) {
    (void)state;
    critic_error err = {0};
    struct cr_image image;
    int threads = omp_get_max_threads();
    omp_set_num_threads(1);
    T_OK(cr_image_load(&image, PICTURE("coffee-tiny-3x2.jpg"), NULL, &err));
    for (int aspect = CR_ASPECT_ANYRES; aspect <= CR_ASPECT_SQUARE; aspect++) {
        struct cr_anyres_config config;
        struct cr_tile_plan plan;
        enum critic_status status = CRITIC_OK;
        size_t len;
        cr_anyres_config_default(&config);
        config.aspect = (enum cr_aspect)aspect;
        T_OK(cr_tile_plan_make(&plan, image.width, image.height, &config, &err));
        assert_true(cr_tile_plan_pixels_len(&plan, &config, &len));
        float *pixels = malloc(len * sizeof *pixels);
        T_OK(cr_image_tiles(pixels, &image, &plan, &config, &err)); /* warms OpenMP up */
        T_OOM_SWEEP(status = cr_image_tiles(pixels, &image, &plan, &config, &err), status,
                    (void)0);
        free(pixels);
    }
    cr_image_free(&image);
    omp_set_num_threads(threads);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(decoders),
        cmocka_unit_test(tiles),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
#else
int main(void) {
    puts("skipped: the sanitizer owns malloc");
    return 77;
}
#endif
