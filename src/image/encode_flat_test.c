/* Our PNG encoder: what it writes, libpng reads back to the same pixels. */
#include "image/encode_flat.h"

#include "base/checked.h"
#include "base/hash.h"
#include "base/rng.h"
#include "t.h"

enum kind { FLAT, STRIPES, NOISE, STEPS, N_KINDS };

static void fill(struct cr_image *image, enum kind kind, struct cr_rng *r) {
    for (size_t y = 0; y < image->height; y++)
        for (size_t x = 0; x < image->width; x++)
            for (size_t c = 0; c < 3; c++) {
                unsigned v = kind == FLAT      ? 17 * (unsigned)c
                             : kind == STRIPES ? (unsigned)(x / 7 + y / 3 * c) * 40
                             : kind == NOISE   ? (unsigned)cr_rng_below(r, 256)
                                               : (unsigned)(x + 2 * y + 60 * c);
                image->rgb[(y * image->width + x) * 3 + c] = (unsigned char)v;
            }
}

static void test_round_trip(void **state) {
    static const size_t sizes[][2] = {{1, 1},   {2, 1},    {1, 3},   {3, 5},
                                      {86, 4},  {96, 96},  {85, 85}, {128, 128},
                                      {300, 7}, {12000, 2}};
    struct cr_rng r;
    critic_error err;
    (void)state;
    cr_rng_seed(&r, t_seed(5));
    for (size_t i = 0; i < CR_COUNT(sizes); i++)
        for (int kind = 0; kind < N_KINDS; kind++) {
            struct cr_image in = {malloc(sizes[i][0] * sizes[i][1] * 3), sizes[i][0],
                                  sizes[i][1]};
            struct cr_image back;
            struct cr_buf file;
            assert_non_null(in.rgb);
            fill(&in, (enum kind)kind, &r);
            cr_buf_init(&file, 64 << 20);
            T_OK(cr_image_encode_flat(&file, &in, &err));
            T_OK(cr_image_decode(&back,
                                 (struct cr_bytes){(unsigned char *)file.data, file.len},
                                 NULL, "test", &err));
            assert_int_equal(back.width, in.width);
            assert_int_equal(back.height, in.height);
            assert_memory_equal(back.rgb, in.rgb, in.width * in.height * 3);
            cr_buf_fini(&file);
            cr_image_free(&in);
            cr_image_free(&back);
        }
}

/* The bytes themselves: no library's version may change them. */
static void test_bytes(void **state) {
    struct cr_image in = {malloc(96 * 96 * 3), 96, 96};
    struct cr_buf file;
    struct cr_hash h;
    char hex[CR_HASH_HEX];
    critic_error err;
    (void)state;
    assert_non_null(in.rgb);
    fill(&in, STRIPES, NULL);
    cr_buf_init(&file, 1 << 20);
    T_OK(cr_image_encode_flat(&file, &in, &err));
    assert_true(file.len < 3000);
    cr_hash_init(&h, 0);
    cr_hash_update(&h, file.data, file.len);
    cr_hash_hex(&h, hex);
    assert_string_equal(hex, "d062e060db0afcc3a6059ca22e47fefb");
    cr_buf_fini(&file);
    cr_image_free(&in);
}

static void test_refuses(void **state) {
    struct cr_image none = {0};
    struct cr_buf file;
    critic_error err;
    (void)state;
    cr_buf_init(&file, 1 << 20);
    T_FAILS(cr_image_encode_flat(&file, &none, &err), CRITIC_BAD_DATA, "0 x 0");
    struct cr_image small = {(unsigned char[3]){1, 2, 3}, 1, 1};
    file.max = 20;
    T_FAILS(cr_image_encode_flat(&file, &small, &err), CRITIC_NO_MEMORY, "20 bytes");
    cr_buf_fini(&file);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_round_trip),
                                       cmocka_unit_test(test_bytes),
                                       cmocka_unit_test(test_refuses)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
