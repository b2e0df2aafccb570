/* Geometry that the golden table does not show (placement, unpad), other configurations, and
 * what lies where in the tiles. */
#include "t.h"

#include "image/anyres.h"

static struct cr_anyres_config onevision(void) {
    struct cr_anyres_config config;
    cr_anyres_config_default(&config);
    return config;
}

static struct cr_tile_plan plan_of(size_t width, size_t height,
                                   const struct cr_anyres_config *config) {
    critic_error err;
    struct cr_tile_plan plan;
    T_OK(cr_tile_plan_make(&plan, width, height, config, &err));
    assert_int_equal(plan.width, width);
    assert_int_equal(plan.height, height);
    return plan;
}

/* Computed from LLaVA-NeXT's functions. */
static void worked_examples(void **state) {
    (void)state;
    static const struct {
        size_t width, height, grid_w, grid_h, resized_w, resized_h, paste_x, paste_y;
        size_t left, top, map_w, map_h, out_w, out_h, n_tokens;
        bool shrink;
    } cases[] = {
        {640, 480, 2, 2, 768, 576, 0, 96, 0, 7, 54, 40, 54, 40, 2929, false},
        {1024, 1024, 3, 3, 1152, 1152, 0, 0, 0, 0, 81, 81, 81, 81, 7371, false},
        {1920, 1080, 5, 3, 1920, 1080, 0, 36, 0, 3, 135, 75, 108, 60, 7269, true},
        {200, 900, 1, 3, 256, 1152, 64, 0, 4, 0, 19, 81, 19, 81, 2349, false},
        {384, 384, 1, 1, 384, 384, 0, 0, 0, 0, 27, 27, 27, 27, 1485, false},
        {1, 1, 1, 1, 384, 384, 0, 0, 0, 0, 27, 27, 27, 27, 1485, false},
        {480, 640, 2, 2, 576, 768, 96, 0, 7, 0, 40, 54, 40, 54, 2943, false},
        {1024, 899, 3, 3, 1152, 1012, 0, 70, 0, 5, 81, 71, 81, 71, 6551, false},
        {1280, 720, 4, 2, 1366, 768, 85, 0, 6, 0, 96, 54, 96, 54, 5967, false},
        {4000, 3000, 6, 5, 2304, 1728, 0, 96, 0, 7, 162, 121, 93, 70, 7309, true},
        {2304, 2304, 6, 6, 2304, 2304, 0, 0, 0, 0, 162, 162, 81, 81, 7371, true},
        {5000, 50, 6, 1, 2304, 24, 0, 180, 0, 13, 162, 1, 162, 1, 892, false},
    };
    const struct cr_anyres_config config = onevision();
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct cr_tile_plan p = plan_of(cases[i].width, cases[i].height, &config);
        assert_int_equal(p.grid_w, cases[i].grid_w);
        assert_int_equal(p.grid_h, cases[i].grid_h);
        assert_int_equal(p.n_tiles, 1 + p.grid_w * p.grid_h);
        assert_int_equal(p.resized_w, cases[i].resized_w);
        assert_int_equal(p.resized_h, cases[i].resized_h);
        assert_int_equal(p.paste_x, cases[i].paste_x);
        assert_int_equal(p.paste_y, cases[i].paste_y);
        assert_int_equal(p.map_left, cases[i].left);
        assert_int_equal(p.map_top, cases[i].top);
        assert_int_equal(p.map_w, cases[i].map_w);
        assert_int_equal(p.map_h, cases[i].map_h);
        assert_int_equal(p.out_w, cases[i].out_w);
        assert_int_equal(p.out_h, cases[i].out_h);
        assert_int_equal(p.shrink, cases[i].shrink);
        assert_int_equal(p.n_tokens, cases[i].n_tokens);
        assert_int_equal(p.patches_per_side, 27);
    }
}

static void roundings_differ_where_known(void **state) {
    (void)state;
    static const size_t cases[][4] = {{47, 423, 1053, 1161},
                                      {423, 47, 1004, 1114},
                                      {1125, 1375, 8765, 7226},
                                      {357, 1666, 4229, 4285},
                                      {946, 1156, 8765, 8765}};
    for (size_t i = 0; i < 5; i++) {
        struct cr_anyres_config config = onevision();
        assert_int_equal(plan_of(cases[i][0], cases[i][1], &config).n_tokens,
                         cases[i][2]);
        config.rounding = CR_ROUND_HF;
        assert_int_equal(plan_of(cases[i][0], cases[i][1], &config).n_tokens,
                         cases[i][3]);
    }
}

static void plain_anyres_never_shrinks(void **state) {
    (void)state;
    struct cr_anyres_config config = onevision();
    config.max_tiles = 0;
    struct cr_tile_plan p = plan_of(2304, 2304, &config);
    assert_false(p.shrink);
    assert_int_equal(p.n_tokens, 729 + 162 * 163);
}

static void one_tile_modes_end_in_one_newline(void **state) {
    (void)state;
    struct cr_anyres_config config = onevision();
    for (int mode = CR_ASPECT_PAD; mode <= CR_ASPECT_SQUARE; mode++) {
        config.aspect = (enum cr_aspect)mode;
        config.n_pinpoints = 0; /* not looked at */
        struct cr_tile_plan p = plan_of(4000, 300, &config);
        assert_int_equal(p.n_tiles, 1);
        assert_int_equal(p.n_tokens, 730);
        assert_int_equal(p.grid_w + p.grid_h + p.out_w + p.out_h, 0);
    }
}

/* Even tiles and a square grid only: nothing but newlines is left of a thread-like
 * picture, as in the reference. */
static void a_map_may_lose_all_its_columns(void **state) {
    (void)state;
    static const size_t canvas[1][2] = {{64, 64}};
    struct cr_anyres_config config = onevision();
    config.tile_px = 32;
    config.patch_px = 8;
    config.pinpoints = canvas;
    config.n_pinpoints = 1;
    struct cr_tile_plan p = plan_of(1, 5000, &config);
    assert_int_equal(p.resized_w, 1);
    assert_int_equal(p.map_w, 0);
    assert_int_equal(p.map_h, 8);
    assert_int_equal(p.n_tokens, 16 + 8);
}

static void impossible_configurations(void **state) {
    (void)state;
    critic_error err;
    struct cr_tile_plan plan;
    static const size_t odd[2][2] = {{384, 768}, {400, 384}};
    struct cr_anyres_config config = onevision();
    config.pinpoints = odd;
    config.n_pinpoints = 2;
    T_FAILS(
        cr_tile_plan_make(&plan, 10, 10, &config, &err), CRITIC_BAD_ARGUMENT,
        "image_grid_pinpoints: entry 1 is 400x384; expected multiples of the tile's 384");
    assert_int_equal(plan.n_tiles, 0);
    config.n_pinpoints = 0;
    T_FAILS(cr_tile_plan_make(&plan, 10, 10, &config, &err), CRITIC_BAD_ARGUMENT,
            "image_grid_pinpoints: empty");
    config = onevision();
    config.patch_px = 0;
    T_FAILS(cr_tile_plan_make(&plan, 10, 10, &config, &err), CRITIC_BAD_ARGUMENT,
            "tiles of 384 pixels cannot hold patches of 0");
    config.patch_px = 385;
    T_FAILS(cr_tile_plan_make(&plan, 10, 10, &config, &err), CRITIC_BAD_ARGUMENT,
            "patches of 385");
    config = onevision();
    T_FAILS(cr_tile_plan_make(&plan, 0, 10, &config, &err), CRITIC_BAD_DATA,
            "a picture of 0x10 pixels has no tiles");
    T_FAILS(cr_tile_plan_make(&plan, 10, SIZE_MAX, &config, &err), CRITIC_BAD_DATA,
            "has no tiles");
    config.aspect = CR_ASPECT_PAD;
    T_FAILS(cr_tile_plan_make(&plan, 1, 32769, &config, &err), CRITIC_BAD_DATA,
            "a picture of 1x32769 pixels is too long to be padded to a square");
    plan_of(1, 32768, &config);
}

static void extreme_sizes_have_plans(void **state) {
    (void)state;
    const struct cr_anyres_config config = onevision();
    static const size_t sizes[][2] = {{1, 178956970},
                                      {178956970, 1},
                                      {2147483647, 2147483647},
                                      {1, 2147483647},
                                      {13377, 13377}};
    for (size_t i = 0; i < 5; i++) {
        struct cr_tile_plan p = plan_of(sizes[i][0], sizes[i][1], &config);
        assert_in_range(p.n_tiles, 2, 37);
        assert_in_range(p.n_tokens, 730, 8765);
        assert_true(p.resized_w > 0 && p.resized_h > 0);
        assert_true(p.paste_x + p.resized_w <= 384 * p.grid_w);
        assert_true(p.paste_y + p.resized_h <= 384 * p.grid_h);
    }
}

static void pixel_counts_that_do_not_fit(void **state) {
    (void)state;
    struct cr_anyres_config config = onevision();
    struct cr_tile_plan p = plan_of(640, 480, &config);
    size_t len;
    assert_true(cr_tile_plan_pixels_len(&p, &config, &len));
    assert_int_equal(len, 5 * 3 * 384 * 384);
    p.n_tiles = SIZE_MAX / 1000;
    assert_false(cr_tile_plan_pixels_len(&p, &config, &len));
}

/* A red picture of 6 x 2 on tiles of 8: where red, black and padding lie. */
static void tiles_show_picture_and_padding(void **state) {
    (void)state;
    critic_error err;
    static const size_t canvas[1][2] = {{16, 16}};
    unsigned char red[6 * 2 * 3] = {0};
    float pixels[5 * 3 * 64];
    struct cr_anyres_config config = onevision();
    for (size_t i = 0; i < 12; i++)
        red[3 * i] = 255;
    const struct cr_image image = {red, 6, 2};
    config.tile_px = 8;
    config.patch_px = 4;
    config.pinpoints = canvas;
    config.n_pinpoints = 1;
    struct cr_tile_plan p = plan_of(6, 2, &config);
    assert_int_equal(p.resized_h, 6); /* ceil(5.33) rows from row 5 on */
    assert_int_equal(p.paste_y, 5);
    T_OK(cr_image_tiles(pixels, &image, &p, &config, &err));
    for (size_t tile = 0; tile < 5; tile++) {
        for (size_t i = 0; i < 64; i++) {
            const float *at = pixels + tile * 192 + i;
            size_t y = i / 8 + (tile > 2 ? 8 : 0);
            bool inside = tile == 0 || (y >= 5 && y < 11);
            assert_true(at[0] == (inside ? 1.0F : -1.0F));
            assert_true(at[64] == -1.0F && at[128] == -1.0F);
        }
    }
    config.aspect = CR_ASPECT_PAD;
    p = plan_of(6, 2, &config);
    T_OK(cr_image_tiles(pixels, &image, &p, &config, &err));
    T_NEAR(pixels[0], 127.0 / 255.0 * 2 - 1, 1e-6, 0);
    T_NEAR(pixels[63], 127.0 / 255.0 * 2 - 1, 1e-6, 0);
    assert_true(pixels[3 * 8] > 0.9F);
    config.aspect = CR_ASPECT_SQUARE;
    p = plan_of(6, 2, &config);
    T_OK(cr_image_tiles(pixels, &image, &p, &config, &err));
    for (size_t i = 0; i < 64; i++)
        assert_true(pixels[i] == 1.0F && pixels[64 + i] == -1.0F);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(worked_examples),
        cmocka_unit_test(roundings_differ_where_known),
        cmocka_unit_test(plain_anyres_never_shrinks),
        cmocka_unit_test(one_tile_modes_end_in_one_newline),
        cmocka_unit_test(a_map_may_lose_all_its_columns),
        cmocka_unit_test(impossible_configurations),
        cmocka_unit_test(extreme_sizes_have_plans),
        cmocka_unit_test(pixel_counts_that_do_not_fit),
        cmocka_unit_test(tiles_show_picture_and_padding),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
