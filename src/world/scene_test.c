/* Scenes and pictures: the same for the same seed, splits that share nothing, text that reads
 * back. */
#include "world/scene.h"

#include "base/hash.h"
#include "t.h"
#include "world/base.h"
#include "world/render.h"

enum { N = 3000 };

static void test_splits(void **state) {
    unsigned n_large = 0, n_by_count[CR_MAX_OBJECTS + 1] = {0};
    (void)state;
    for (int split = 0; split < CR_N_SPLITS; split++)
        for (uint64_t i = 0; i < N; i++) {
            struct cr_scene s;
            bool novel = false;
            cr_scene_draw(&s, (enum cr_split)split, 7, i, CR_LARGE_PERCENT);
            assert_int_equal(cr_scene_split(&s), split);
            for (unsigned k = 0; k < s.n; k++) {
                assert_true(k == 0 || s.objects[k].cell > s.objects[k - 1].cell);
                assert_true(s.objects[k].cell < s.side * s.side);
                novel =
                    novel || cr_is_novel_pair(s.objects[k].shape, s.objects[k].colour);
            }
            assert_int_equal(novel, split == CR_NOVEL);
            assert_true(split == CR_CROWDED ? s.n >= 6 && s.n <= 8
                                            : s.n >= 1 && s.n <= 5);
            if (split == CR_TRAIN) {
                n_large += s.side == 4;
                n_by_count[s.n]++;
            }
        }
    assert_true(n_large > N / 10 && n_large < N * 15 / 100);
    for (unsigned n = 1; n <= 5; n++)
        assert_true(n_by_count[n] > N / 20);
}

/* Shares of the hash: 5 % val, 10 % test. */
static void test_shares(void **state) {
    unsigned n[CR_N_SPLITS] = {0};
    (void)state;
    for (uint64_t i = 0; i < N; i++) {
        struct cr_scene s = {.side = 3, .n = 1};
        s.objects[0] = (struct cr_object){.cell = (uint8_t)(i % 9),
                                          .shape = (uint8_t)(1 + i / 9 % 6),
                                          .colour = (uint8_t)(1 + i / 54 % 8),
                                          .size = (uint8_t)(1 + i / 432 % 2),
                                          .digit = (int8_t)((int)(i / 864) - 1)};
        n[cr_scene_split(&s)]++;
    }
    unsigned rest = N - n[CR_NOVEL];
    assert_int_equal(n[CR_NOVEL] * 48 / N, 6);
    T_NEAR((double)n[CR_VAL] / rest, 0.05, 0.015, 0);
    T_NEAR((double)n[CR_TEST] / rest, 0.10, 0.02, 0);
}

static void test_json(void **state) {
    struct cr_buf line;
    critic_error err;
    (void)state;
    cr_buf_init(&line, 1 << 16);
    for (uint64_t i = 0; i < 300; i++) {
        struct cr_scene_line back;
        struct cr_scene s;
        enum cr_split split = (enum cr_split)(i % CR_N_SPLITS);
        cr_scene_draw(&s, split, 3, i, 40);
        cr_buf_clear(&line);
        T_OK(cr_buf_printf(&line, &err,
                           "{\"id\":\"a\",\"image\":\"b\",\"split\":\"%s\",\"index\":%d,",
                           cr_split_name(split), (int)i));
        T_OK(cr_scene_write(&line, &s, &err));
        T_OK(cr_buf_append_c(&line, "}", &err));
        T_OK(cr_scene_read(&back, cr_buf_str(&line), "x:1", &err));
        assert_memory_equal(&back.scene, &s, sizeof s);
        assert_int_equal(back.split, split);
        assert_int_equal(back.index, i);
    }
    cr_buf_fini(&line);
}

static void test_json_faults(void **state) {
    static const char *const bad[][2] = {
        {"{", "x:1"},
        {"{\"image\":\"b\"}", "'id' or 'image'"},
        {"{\"id\":\"a\",\"image\":\"b\",\"split\":\"dev\"}", "'split'"},
        {"{\"id\":\"a\",\"image\":\"b\",\"split\":\"val\",\"grid\":[5,5]}", "'grid'"},
        {"{\"id\":\"a\",\"image\":\"b\",\"split\":\"val\",\"grid\":[3,3],\"objects\":7}",
         "'objects'"},
        {"{\"id\":\"a\",\"image\":\"b\",\"split\":\"val\",\"grid\":[3,3],\"objects\":[{"
         "\"cell\":9}]}",
         "malformed"},
        {"{\"id\":\"a\",\"image\":\"b\",\"split\":\"val\",\"grid\":[3,3],\"objects\":[{"
         "\"cell\":0,"
         "\"shape\":\"blob\",\"colour\":\"red\",\"size\":\"small\"}]}",
         "malformed"}};
    critic_error err;
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct cr_scene_line out;
        memset(&err, 0, sizeof err);
        assert_true(cr_scene_read(&out, cr_str_of(bad[i][0]), "x:1", &err) != CRITIC_OK);
        assert_non_null(strstr(err.message, bad[i][1]));
    }
}

/* Scenes, pixels and base records of a seed, as one hash: any change to the world shows here, and
 * makes data that was generated before another world. */
static void test_golden(void **state) {
    struct cr_renderer *renderer;
    struct cr_image image = {.rgb = malloc(128 * 128 * 3)};
    struct cr_hash h;
    char hex[CR_HASH_HEX];
    struct cr_buf text;
    critic_error err;
    (void)state;
    assert_non_null(image.rgb);
    T_OK(cr_renderer_new(&renderer, CR_CELL_PX, &err));
    cr_buf_init(&text, 1 << 20);
    cr_hash_init(&h, 0);
    for (uint64_t i = 0; i < 200; i++) {
        struct cr_scene s;
        struct cr_rng r;
        unsigned n_turns;
        enum cr_split split = (enum cr_split)(i % CR_N_SPLITS);
        cr_scene_draw(&s, split, 1, i, CR_LARGE_PERCENT);
        cr_render(renderer, &s, i % 7 == 0 ? 6 : 0, i, &image);
        cr_hash_update(&h, image.rgb, image.width * image.height * 3);
        cr_rng_seed_at(&r, 1, i);
        cr_buf_clear(&text);
        T_OK(cr_base_record(&text, &s, "id", "image", 16, &r, split == CR_NOVEL, NULL,
                            &n_turns, &err));
        cr_hash_update(&h, text.data, text.len);
    }
    cr_hash_hex(&h, hex);
    assert_string_equal(hex, "aa618e189d0b6d403c5a908d678d27cb");
    cr_buf_fini(&text);
    cr_image_free(&image);
    cr_renderer_free(renderer);
}

/* An object's cell differs from the same scene without it, and nothing else does: what is drawn is
 * where the truth says. */
static void test_objects_are_drawn(void **state) {
    struct cr_renderer *renderer;
    struct cr_image with = {.rgb = malloc(128 * 128 * 3)},
                    without = {.rgb = malloc(128 * 128 * 3)};
    critic_error err;
    (void)state;
    assert_non_null(with.rgb);
    assert_non_null(without.rgb);
    T_OK(cr_renderer_new(&renderer, CR_CELL_PX, &err));
    for (uint64_t i = 0; i < 300; i++) {
        struct cr_scene s, t;
        cr_scene_draw(&s, CR_TRAIN, 9, i, 30);
        t = s;
        t.n--; /* the last */
        const struct cr_object *o = &s.objects[t.n];
        cr_render(renderer, &s, 0, 0, &with);
        cr_render(renderer, &t, 0, 0, &without);
        size_t n_changed = 0, side = (size_t)s.side * CR_CELL_PX;
        size_t x0 = o->cell % s.side * CR_CELL_PX,
               y0 = o->cell / s.side * (size_t)CR_CELL_PX;
        for (size_t y = 0; y < side; y++)
            for (size_t x = 0; x < side; x++) {
                if (memcmp(with.rgb + (y * side + x) * 3,
                           without.rgb + (y * side + x) * 3, 3) == 0)
                    continue;
                n_changed++; /* the whole picture may be shifted by a pixel */
                assert_true(x + 1 >= x0 && x <= x0 + CR_CELL_PX && y + 1 >= y0 &&
                            y <= y0 + CR_CELL_PX);
            }
        assert_true(n_changed > (o->size == 2 ? 100 : 50));
    }
    cr_image_free(&with);
    cr_image_free(&without);
    cr_renderer_free(renderer);
}

/* Text of the ordinary splits never names a pair that only `novel` shows. */
static void test_no_novel_words(void **state) {
    (void)state;
    for (uint64_t i = 0; i < 800; i++) {
        struct cr_scene s;
        struct cr_rng r;
        cr_scene_draw(&s, CR_TRAIN, 4, i, CR_LARGE_PERCENT);
        cr_rng_seed_at(&r, 4, i);
        for (int f = 0; f < CR_N_FAMILIES; f++) {
            struct cr_turn_text turn;
            if (!cr_base_turn(&turn, (enum cr_family)f, &s, &r, false))
                continue;
            for (unsigned shape = 1; shape <= CR_N_SHAPES; shape++)
                for (unsigned colour = 1; colour <= CR_N_COLOURS; colour++) {
                    char pair[32];
                    snprintf(pair, sizeof pair, "%s %s", cr_colour_name(colour),
                             cr_shape_name(shape));
                    if (cr_is_novel_pair(shape, colour)) {
                        assert_null(strstr(turn.question.text, pair));
                        assert_null(strstr(turn.answer.text, pair));
                    }
                }
        }
    }
}

/* Every family comes up, and yes/no questions are balanced. */
static void test_families(void **state) {
    unsigned n[CR_N_FAMILIES] = {0}, yes[CR_N_FAMILIES] = {0};
    (void)state;
    for (uint64_t i = 0; i < N; i++) {
        struct cr_scene s;
        struct cr_rng r;
        cr_scene_draw(&s, CR_TRAIN, 2, i, CR_LARGE_PERCENT);
        cr_rng_seed_at(&r, 2, i);
        for (int f = 0; f < CR_N_FAMILIES; f++) {
            struct cr_turn_text turn;
            if (!cr_base_turn(&turn, (enum cr_family)f, &s, &r, false))
                continue;
            assert_true(turn.question.len > 0 && turn.answer.len > 0);
            n[f]++;
            yes[f] += strcmp(turn.answer.text, "yes") == 0 ||
                      strcmp(turn.answer.text, "true") == 0 ||
                      strcmp(turn.answer.text, "same") == 0;
        }
    }
    for (int f = 0; f < CR_N_FAMILIES; f++)
        assert_true(n[f] > (f == CR_FAMILY_ODD_ONE ? N / 10 : N / 4));
    T_NEAR((double)yes[CR_FAMILY_EXISTS] / n[CR_FAMILY_EXISTS], 0.5, 0.06, 0);
    T_NEAR((double)yes[CR_FAMILY_RELATION] / n[CR_FAMILY_RELATION], 0.5, 0.04, 0);
    T_NEAR((double)yes[CR_FAMILY_TRUE_FALSE] / n[CR_FAMILY_TRUE_FALSE], 0.5, 0.05, 0);
    T_NEAR((double)yes[CR_FAMILY_SAME_WORDS] / n[CR_FAMILY_SAME_WORDS], 0.5, 0.04, 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_splits),         cmocka_unit_test(test_shares),
        cmocka_unit_test(test_json),           cmocka_unit_test(test_json_faults),
        cmocka_unit_test(test_golden),         cmocka_unit_test(test_objects_are_drawn),
        cmocka_unit_test(test_no_novel_words), cmocka_unit_test(test_families)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
