/* The goldens of tests/golden/pixels: digests of what Pillow and transformers' image
 * processor make of the pictures in tests/golden/images. */
#include "t.h"
#include "t_digest.h"

#include <omp.h>

#include "image/anyres.h"
#include "io/json.h"

static json_t *read_golden(const char *path, const char *member, json_t **root) {
    critic_error err;
    T_OK(cr_json_read(root, path, 1 << 24, &err));
    json_t *list = json_object_get(*root, member);
    assert_true(json_array_size(list) > 10);
    return list;
}

static const char *text(const json_t *row, const char *key) {
    const char *value = json_string_value(json_object_get(row, key));
    assert_non_null(value);
    return value;
}

static size_t number(const json_t *row, const char *key) {
    const json_t *value = json_object_get(row, key);
    assert_true(json_is_integer(value));
    return (size_t)json_integer_value(value);
}

static void load(struct cr_image *image, const char *file) {
    critic_error err;
    char path[512];
    snprintf(path, sizeof path, "%s/%s", T_SOURCE("tests/golden/images"), file);
    T_OK(cr_image_load(image, path, NULL, &err));
}

static void expect_digest(const void *data, size_t bytes, const char *expected,
                          const char *what) {
    char hex[65];
    t_sha256_hex(data, bytes, hex);
    if (strcmp(hex, expected) != 0)
        fail_msg("%s: bytes differ from the reference", what);
}

static void sha256_knows_its_standard(void **state) {
    (void)state;
    expect_digest("abc", 3,
                  "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
                  "abc");
}

static void decoded_pictures_equal_pillow(void **state) {
    (void)state;
    json_t *root;
    json_t *rows =
        read_golden(T_SOURCE("tests/golden/pixels/decode.json"), "pictures", &root);
    for (size_t i = 0; i < json_array_size(rows); i++) {
        const json_t *row = json_array_get(rows, i);
        struct cr_image image;
        load(&image, text(row, "file"));
        assert_int_equal(image.width, number(row, "width"));
        assert_int_equal(image.height, number(row, "height"));
        expect_digest(image.rgb, 3 * image.width * image.height, text(row, "rgb_sha256"),
                      text(row, "file"));
        cr_image_free(&image);
    }
    json_decref(root);
}

static void resized_pictures_equal_pillow(void **state) {
    (void)state;
    json_t *root;
    critic_error err;
    json_t *rows =
        read_golden(T_SOURCE("tests/golden/pixels/resize.json"), "resizes", &root);
    for (size_t i = 0; i < json_array_size(rows); i++) {
        const json_t *row = json_array_get(rows, i);
        bool cubic = strcmp(text(row, "filter"), "bicubic") == 0;
        struct cr_image image;
        struct cr_image out;
        load(&image, text(row, "file"));
        T_OK(cr_image_resize(&out, &image, number(row, "width"), number(row, "height"),
                             cubic ? CR_BICUBIC : CR_BILINEAR, &err));
        expect_digest(out.rgb, 3 * out.width * out.height, text(row, "rgb_sha256"),
                      text(row, "file"));
        cr_image_free(&image);
        cr_image_free(&out);
    }
    json_decref(root);
}

static enum cr_aspect aspect_of(const char *mode) {
    if (strcmp(mode, "pad") == 0)
        return CR_ASPECT_PAD;
    return strcmp(mode, "square") == 0 ? CR_ASPECT_SQUARE : CR_ASPECT_ANYRES;
}

/* Alternates the number of threads: the bits may not depend on it. */
static void tiles_equal_the_reference(void **state) {
    (void)state;
    json_t *root;
    critic_error err;
    json_t *rows =
        read_golden(T_SOURCE("tests/golden/pixels/tiles.json"), "cases", &root);
    int threads = omp_get_max_threads();
    for (size_t i = 0; i < json_array_size(rows); i++) {
        const json_t *row = json_array_get(rows, i);
        struct cr_anyres_config config;
        struct cr_tile_plan plan;
        struct cr_image image;
        size_t len;
        load(&image, text(row, "file"));
        cr_anyres_config_default(&config);
        config.aspect = aspect_of(text(row, "mode"));
        T_OK(cr_tile_plan_make(&plan, image.width, image.height, &config, &err));
        assert_int_equal(plan.n_tiles, number(row, "tiles"));
        assert_true(cr_tile_plan_pixels_len(&plan, &config, &len));
        float *pixels = malloc(len * sizeof *pixels);
        omp_set_num_threads(1 + (int)(i % 3));
        T_OK(cr_image_tiles(pixels, &image, &plan, &config, &err));
        expect_digest(pixels, len * sizeof *pixels, text(row, "f32_sha256"),
                      text(row, "file"));
        free(pixels);
        cr_image_free(&image);
    }
    omp_set_num_threads(threads);
    json_decref(root);
}

static void geometry_equals_the_reference(void **state) {
    (void)state;
    critic_error err;
    FILE *file = fopen(T_SOURCE("tests/golden/pixels/anyres.tsv"), "r");
    char line[256];
    size_t n_rows = 0;
    assert_non_null(file);
    assert_non_null(fgets(line, sizeof line, file));
    while (fgets(line, sizeof line, file)) {
        size_t v[9];
        struct cr_anyres_config config;
        struct cr_tile_plan plan;
        assert_int_equal(sscanf(line, "%zu%zu%zu%zu%zu%zu%zu%zu%zu", v, v + 1, v + 2,
                                v + 3, v + 4, v + 5, v + 6, v + 7, v + 8),
                         9);
        cr_anyres_config_default(&config);
        T_OK(cr_tile_plan_make(&plan, v[0], v[1], &config, &err));
        if (384 * plan.grid_w != v[2] || 384 * plan.grid_h != v[3] ||
            plan.n_tiles != v[4] || plan.out_w != v[5] || plan.out_h != v[6] ||
            plan.n_tokens != v[7])
            fail_msg("lmms geometry of %zux%zu", v[0], v[1]);
        config.rounding = CR_ROUND_HF;
        T_OK(cr_tile_plan_make(&plan, v[0], v[1], &config, &err));
        if (plan.n_tokens != v[8])
            fail_msg("hf geometry of %zux%zu: %zu, not %zu", v[0], v[1], plan.n_tokens,
                     v[8]);
        n_rows++;
    }
    fclose(file);
    assert_true(n_rows > 1000);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sha256_knows_its_standard),
        cmocka_unit_test(decoded_pictures_equal_pillow),
        cmocka_unit_test(resized_pictures_equal_pillow),
        cmocka_unit_test(tiles_equal_the_reference),
        cmocka_unit_test(geometry_equals_the_reference),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
