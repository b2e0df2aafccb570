/* What is from outside the world and what is not: pictures and questions of every split pass, photographs,
 * gradients, noise, empty grounds and screenshots do not. */
#include "world/outside.h"

#include <math.h>
#include <stdlib.h>

#include "base/checked.h"
#include "t.h"
#include "world/base.h"
#include "world/critic.h"
#include "world/render.h"

enum { N = 100, MAX_PX = 4 * CR_CELL_PX };

static unsigned char pixels[MAX_PX * MAX_PX * 3];

static struct cr_image canvas(size_t side) {
    return (struct cr_image){pixels, side, side};
}

static void put(const struct cr_image *image, size_t x, size_t y, int r, int g, int b) {
    unsigned char *p = image->rgb + (y * image->width + x) * 3;
    p[0] = (unsigned char)r;
    p[1] = (unsigned char)g;
    p[2] = (unsigned char)b;
}

static void test_own(void **state) {
    (void)state;
    struct cr_renderer *renderer;
    critic_error err;
    char why[128];
    T_OK(cr_renderer_new(&renderer, CR_CELL_PX, &err));
    for (int split = 0; split < CR_N_SPLITS; split++)
        for (uint64_t i = 0; i < N; i++) {
            struct cr_scene s;
            struct cr_rng rng;
            struct cr_image image = canvas(MAX_PX);
            cr_scene_draw(&s, (enum cr_split)split, 91, i, 30);
            cr_render(renderer, &s, 0, 0, &image);
            if (cr_is_foreign_picture(&image, why))
                fail_msg("split %d, scene %d: %s", split, (int)i, why);
            /* What a careful JPEG would change. */
            cr_render(renderer, &s, 3, i, &image);
            if (cr_is_foreign_picture(&image, why))
                fail_msg("split %d, scene %d with noise: %s", split, (int)i, why);
            cr_rng_seed(&rng, i);
            for (int k = 0; k < 6; k++) {
                struct cr_turn_text turn;
                struct cr_pair pair;
                cr_base_draw(&turn, &s, &rng, split == CR_NOVEL);
                cr_pair_draw(&pair, &s, &rng, true, split == CR_NOVEL);
                struct cr_str word = cr_foreign_word(cr_line_str(&turn.question));
                if (word.len == 0)
                    word = cr_foreign_word(cr_str_of(pair.ask.text));
                if (word.len > 0)
                    fail_msg("%.*s: %s / %s", (int)word.len, word.data,
                             turn.question.text, pair.ask.text);
            }
        }
    cr_renderer_free(renderer);
}

static void foreign(const struct cr_image *image, const char *what, const char *part) {
    char why[128] = "";
    if (!cr_is_foreign_picture(image, why))
        fail_msg("%s passes for a picture of the world", what);
    if (!strstr(why, part))
        fail_msg("%s: '%s' lacks '%s'", what, why, part);
}

/* A photograph, whole and as if it had the world's size. */
static void test_photographs(void **state) {
    (void)state;
    static const char *const files[] = {"cat-wide.jpg", "rocket-tall.jpg",
                                        "coffee-444-odd.jpg", "astronaut-rgb.jpg"};
    critic_error err;
    for (size_t i = 0; i < CR_COUNT(files); i++) {
        struct cr_image photo, small;
        char path[512];
        snprintf(path, sizeof path, "%s%s", T_SOURCE("tests/golden/images/"), files[i]);
        T_OK(cr_image_load(&photo, path, NULL, &err));
        foreign(&photo, files[i], "pixels; those of the world have 96 or 128 a side");
        for (size_t side = 96; side <= 128; side += 32) {
            T_OK(cr_image_resize(&small, &photo, side, side, CR_BICUBIC, &err));
            foreign(&small, files[i], "no plain ground");
            cr_image_free(&small);
            /* and every window of it */
            for (size_t y = 0; y + side <= photo.height; y += side)
                for (size_t x = 0; x + side <= photo.width; x += side) {
                    struct cr_image window = canvas(side);
                    for (size_t row = 0; row < side; row++)
                        memcpy(pixels + row * side * 3,
                               photo.rgb + ((y + row) * photo.width + x) * 3, side * 3);
                    foreign(&window, files[i], "no plain ground");
                }
        }
        cr_image_free(&photo);
    }
}

/* What a painter, a plot or a window system would draw in that size. */
static void test_drawn(void **state) {
    (void)state;
    struct cr_image image = canvas(96);
    struct cr_rng rng;
    cr_rng_seed(&rng, 3);
    for (int ground = 0; ground < 256; ground += 5) {
        for (size_t i = 0; i < 96 * 96; i++)
            put(&image, i % 96, i / 96, ground, ground, ground);
        foreign(&image, "an empty ground", "no plain ground");
    }
    for (size_t i = 0; i < 96 * 96; i++)
        put(&image, i % 96, i / 96, (int)(i % 96 * 255 / 95), (int)(i / 96 * 255 / 95),
            128);
    foreign(&image, "a gradient", "no plain ground");
    for (size_t i = 0; i < 96 * 96; i++)
        put(&image, i % 96, i / 96, (int)cr_rng_below(&rng, 256),
            (int)cr_rng_below(&rng, 256), (int)cr_rng_below(&rng, 256));
    foreign(&image, "noise", "no plain ground");
    /* Lines of text, black on the world's own ground, and a title bar above them. */
    const uint8_t *ground = cr_background_rgb(0);
    for (size_t y = 0; y < 96; y++)
        for (size_t x = 0; x < 96; x++) {
            bool ink = y > 14 && y % 8 < 5 && x > 4 && cr_rng_below(&rng, 3) == 0;
            bool bar = y < 12;
            if (bar || ink)
                put(&image, x, y, bar ? 45 : 20, bar ? 80 : 20, bar ? 215 : 20);
            else
                put(&image, x, y, ground[0], ground[1], ground[2]);
        }
    foreign(&image, "a screenshot", "no plain ground");
    /* A chart: a red curve and axes across the whole picture. */
    for (size_t y = 0; y < 96; y++)
        for (size_t x = 0; x < 96; x++) {
            double curve = 48 + 40 * sin((double)x / 9);
            bool axis = x == 3 || y == 92;
            if (fabs((double)y - curve) < 4)
                put(&image, x, y, 215, 40, 40);
            else if (axis)
                put(&image, x, y, 20, 20, 20);
            else
                put(&image, x, y, ground[0], ground[1], ground[2]);
        }
    foreign(&image, "a chart", "no plain ground");
}

static void test_words(void **state) {
    (void)state;
    static const char *const cases[][2] = {
        {"Which animal is this?", "animal"},
        {"What is on the sofa?", "sofa"},
        {"what COLOR is it", "COLOR"},
        {"How many red objects are there? 3?", "3"},
        {"Wo ist der Stern?", "Wo"},
        {"Is there a red \xe2\x98\x85?", "\xe2\x98\x85"},
        {"Is there an extraordinarily-long-compound-word?",
         "extraordinarily-long-compound-word"},
        {"How many RED circles and crosses are there?", "and"},
        {"Where are the large squares with seven?", ""},
        {"s es", "s"},
        {"", ""},
        {"?!", ""},
    };
    for (size_t i = 0; i < CR_COUNT(cases); i++) {
        struct cr_str word = cr_foreign_word(cr_str_of(cases[i][0]));
        if (!cr_str_eq_c(word, cases[i][1]))
            fail_msg("%s: '%.*s'", cases[i][0], (int)word.len, word.data);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_own),
        cmocka_unit_test(test_photographs),
        cmocka_unit_test(test_drawn),
        cmocka_unit_test(test_words),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
