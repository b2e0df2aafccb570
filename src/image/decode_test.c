/* What the goldens do not cover: animations, and every way for a picture to be bad. */
#include "t.h"
#include "t_digest.h"

#include "base/file.h"
#include "image/image.h"

#define PICTURE(name) T_SOURCE("tests/golden/images/" name)

static void read_file(struct cr_buf *buf, const char *path) {
    critic_error err;
    cr_buf_init(buf, 1 << 24);
    T_OK(cr_file_read(path, buf, &err));
}

/* Decodes a copy of exactly len bytes, so that a read past the end is seen by ASan. */
static enum critic_status decode(const void *data, size_t len, critic_error *err) {
    struct cr_image image;
    unsigned char *copy = malloc(len ? len : 1);
    memcpy(copy, data, len);
    enum critic_status status =
        cr_image_decode(&image, (struct cr_bytes){copy, len}, NULL, "cat.jpg", err);
    if (status != CRITIC_OK) {
        assert_null(image.rgb);
        assert_int_equal(image.width + image.height, 0);
    }
    cr_image_free(&image);
    free(copy);
    return status;
}

/* Made by Pillow 12.3 (lossless with alpha; lossy); the third is the first with its canvas
 * enlarged to 32x24 and its first frame moved to (6, 4). Digests: Pillow's convert("RGB"). */
static void first_frames_of_animations(void **state) {
    (void)state;
    static const struct {
        const char *path;
        size_t width, height;
        const char *digest;
    } cases[] = {
        {T_SOURCE("tests/golden/image/animated-alpha.webp"), 20, 16,
         "327b580137dfc88d6f2ddded51817529c3781325168a11945983af9c4c40ef6c"},
        {T_SOURCE("tests/golden/image/animated-lossy.webp"), 20, 16,
         "445875e83665191c79b5d010ea1aa8faaba8b6452e5b473f0e7850b2dd8e067a"},
        {T_SOURCE("tests/golden/image/animated-offset.webp"), 32, 24,
         "8c04373f5d27eac11ce7d98b7d1d14ebb04adff4173c31fefa00405faa09b479"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        critic_error err;
        struct cr_image image;
        char hex[65];
        T_OK(cr_image_load(&image, cases[i].path, NULL, &err));
        assert_int_equal(image.width, cases[i].width);
        assert_int_equal(image.height, cases[i].height);
        t_sha256_hex(image.rgb, 3 * image.width * image.height, hex);
        assert_string_equal(hex, cases[i].digest);
        cr_image_free(&image);
    }
}

static void animation_frames_outside_the_canvas(void **state) {
    (void)state;
    critic_error err;
    struct cr_buf file;
    read_file(&file, T_SOURCE("tests/golden/image/animated-offset.webp"));
    for (size_t i = 0; i + 4 < file.len; i++)
        if (memcmp(file.data + i, "ANMF", 4) == 0) {
            file.data[i + 8] = 7;
            break;
        }
    T_FAILS(
        decode(file.data, file.len, &err), CRITIC_BAD_DATA,
        "cat.jpg: damaged WebP: a frame of 20x16 pixels at (14, 4) on a canvas of 32x24");
    cr_buf_fini(&file);
}

/* Cut anywhere before its last tenth, a picture is an error, never part of a picture. */
static void pictures_that_end_early(void **state) {
    (void)state;
    static const char *const paths[] = {
        PICTURE("astronaut-420.jpg"),
        PICTURE("rocket-progressive-odd.jpg"),
        PICTURE("cat-422-restart.jpg"),
        PICTURE("coffee-cmyk.jpg"),
        PICTURE("palette.png"),
        PICTURE("rgb-interlaced.png"),
        PICTURE("1x1.png"),
        PICTURE("coffee-lossy.webp"),
        PICTURE("alpha-lossless.webp"),
        PICTURE("alpha-lossy.webp"),
        T_SOURCE("tests/golden/image/animated-lossy.webp"),
    };
    for (size_t i = 0; i < sizeof paths / sizeof paths[0]; i++) {
        struct cr_buf file;
        read_file(&file, paths[i]);
        size_t last = strstr(paths[i], "animated") ? file.len / 3 : file.len * 9 / 10;
        size_t step = 1 + last / 150;
        if (strstr(paths[i], "1x1"))
            last = file.len - 20; /* inside IDAT */
        for (size_t len = 0; len < last; len += step) {
            critic_error err = {0};
            if (decode(file.data, len, &err) == CRITIC_OK)
                fail_msg("%s: decodes from %zu of %zu bytes", paths[i], len, file.len);
            assert_non_null(strstr(err.message, "cat.jpg: "));
            assert_null(strchr(err.message, '\n'));
        }
        cr_buf_fini(&file);
    }
}

static void messages_of_cut_pictures(void **state) {
    (void)state;
    critic_error err;
    struct cr_buf file;
    read_file(&file, PICTURE("astronaut-420.jpg"));
    T_FAILS(
        decode(file.data, 9000, &err), CRITIC_BAD_DATA,
        "cat.jpg: the JPEG ends early: 9000 bytes, more expected in the picture data");
    T_FAILS(decode(file.data, 100, &err), CRITIC_BAD_DATA,
            "cat.jpg: the JPEG ends early: 100 bytes, more expected in the header");
    /* A false end: Pillow would paint the rest gray. */
    file.data[9000] = (char)0xFF;
    file.data[9001] = (char)0xD9;
    T_FAILS(decode(file.data, 9002, &err), CRITIC_BAD_DATA,
            "premature end of data segment");
    cr_buf_fini(&file);
    read_file(&file, PICTURE("palette.png"));
    T_FAILS(decode(file.data, 3000, &err), CRITIC_BAD_DATA,
            "cat.jpg: the PNG ends early: 3000 bytes");
    file.data[file.len / 2] ^= 0x10;
    T_FAILS(decode(file.data, file.len, &err), CRITIC_BAD_DATA,
            "cat.jpg: damaged PNG at byte");
    cr_buf_fini(&file);
    read_file(&file, PICTURE("coffee-lossy.webp"));
    T_FAILS(decode(file.data, 2000, &err), CRITIC_BAD_DATA,
            "cat.jpg: the WebP ends early: 2000 bytes");
    file.data[23] = 0; /* the key frame's start code */
    T_FAILS(decode(file.data, file.len, &err), CRITIC_BAD_DATA,
            "cat.jpg: damaged WebP: invalid bitstream");
    cr_buf_fini(&file);
}

static void other_content_is_named(void **state) {
    (void)state;
    critic_error err;
    static const struct {
        const char *data;
        size_t len;
        const char *what;
    } cases[] = {
        {"A picture of a cat.\n", 20,
         "looks like plain text; supported are JPEG, PNG and WebP"},
        {"na\xC3\xAFve", 6, "plain text"},
        {"GIF89a...", 9, "a GIF picture"},
        {"\0\0\0\x1C"
         "ftypavif",
         12, "an AVIF picture"},
        {"\0\0\0\x1C"
         "ftypheic",
         12, "a HEIC picture"},
        {"\0\0\0\x1C"
         "ftypisom",
         12, "an MP4 video"},
        {"%PDF-1.7", 8, "a PDF document"},
        {"<?xml version", 13, "an XML or SVG document"},
        {"version https://git-lfs.github.com/spec/v1", 42, "a Git LFS pointer"},
        {"RIFF\0\0\0\0WAVE", 12, "data of an unknown kind"},
        {"\xFF\xD8", 2, "data of an unknown kind"},
        {"\x89PN", 3, "data of an unknown kind"},
        {"\0", 1, "data of an unknown kind"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        T_FAILS(decode(cases[i].data, cases[i].len, &err), CRITIC_UNSUPPORTED,
                cases[i].what);
        assert_non_null(strstr(err.message, "cat.jpg: not a supported picture"));
    }
    T_FAILS(decode("", 0, &err), CRITIC_BAD_DATA, "cat.jpg: the file is empty");
}

/* Long text is judged by its start, wherever that cuts a character. */
static void long_text_is_text(void **state) {
    (void)state;
    critic_error err;
    char text[600];
    for (size_t shift = 0; shift < 3; shift++) {
        memset(text, 'x', sizeof text);
        for (size_t i = shift; i + 3 <= sizeof text; i += 3)
            memcpy(text + i, "\xE4\xBD\xA0", 3);
        T_FAILS(decode(text, sizeof text - 2, &err), CRITIC_UNSUPPORTED, "plain text");
    }
}

static void limits_come_before_allocation(void **state) {
    (void)state;
    critic_error err;
    struct cr_image image;
    struct cr_image_limits limits;
    struct cr_buf file;
    static const char bomb[] = T_SOURCE("tests/fuzz/corpus/fuzz_image/bomb.png");
    T_FAILS(cr_image_load(&image, bomb, NULL, &err), CRITIC_BAD_DATA,
            "60000x60000 pixels are over the limit of 178956970");
    cr_image_limits_default(&limits);
    assert_int_equal(limits.max_bytes, 67108864);
    limits.max_px = 320 * 240 - 1;
    T_FAILS(cr_image_load(&image, PICTURE("astronaut-420.jpg"), &limits, &err),
            CRITIC_BAD_DATA,
            "astronaut-420.jpg: 320x240 pixels are over the limit of 76799");
    limits.max_px++;
    T_OK(cr_image_load(&image, PICTURE("astronaut-420.jpg"), &limits, &err));
    cr_image_free(&image);
    T_FAILS(cr_image_load(&image, PICTURE("coffee-lossy.webp"),
                          &(struct cr_image_limits){1 << 20, 10}, &err),
            CRITIC_BAD_DATA, "over the limit of 10");
    T_FAILS(cr_image_load(&image, T_SOURCE("tests/golden/image/animated-lossy.webp"),
                          &(struct cr_image_limits){1 << 20, 10}, &err),
            CRITIC_BAD_DATA, "20x16 pixels are over the limit of 10");
    limits.max_bytes = 1000;
    T_FAILS(cr_image_load(&image, PICTURE("astronaut-420.jpg"), &limits, &err),
            CRITIC_BAD_FILE, "astronaut-420.jpg: more bytes than the limit of 1000");
    read_file(&file, PICTURE("1x1.png"));
    limits.max_bytes = file.len;
    struct cr_bytes bytes = {(unsigned char *)file.data, file.len};
    T_OK(cr_image_decode(&image, bytes, &limits, "x", &err));
    cr_image_free(&image);
    limits.max_bytes--;
    T_FAILS(cr_image_decode(&image, bytes, &limits, "x", &err), CRITIC_BAD_DATA,
            "x: 69 bytes are over the limit of 68");
    cr_buf_fini(&file);
}

static size_t find(const struct cr_buf *file, size_t from, const char *what, size_t len) {
    for (size_t i = from; i + len <= file->len; i++)
        if (memcmp(file->data + i, what, len) == 0)
            return i;
    fail_msg("marker not found");
    return 0;
}

static void jpeg_variants_that_are_not_read(void **state) {
    (void)state;
    critic_error err;
    struct cr_buf file;
    read_file(&file, PICTURE("astronaut-420.jpg"));
    size_t frame = find(&file, 0, "\xFF\xC0", 2);
    file.data[frame + 1] = (char)0xC3;
    T_FAILS(decode(file.data, file.len, &err), CRITIC_UNSUPPORTED,
            "cat.jpg: unsupported JPEG: Unsupported JPEG process: SOF type 0xc3");
    file.data[frame + 1] = (char)0xC1;
    file.data[frame + 4] = 12;
    T_FAILS(decode(file.data, file.len, &err), CRITIC_UNSUPPORTED, "precision 12");
    file.data[frame + 4] = 8;
    file.data[frame + 5] = file.data[frame + 6] = 0;
    T_FAILS(decode(file.data, file.len, &err), CRITIC_BAD_DATA,
            "cat.jpg: damaged JPEG at byte");
    cr_buf_fini(&file);
    T_FAILS(decode("\xFF\xD8\xFF\xD9", 4, &err), CRITIC_BAD_DATA,
            "damaged JPEG at byte 4 of 4: JPEG datastream contains no image");
    /* Two colour components: a frame header of our own. */
    T_FAILS(decode("\xFF\xD8\xFF\xC0\0\x0E\x08\0\1\0\1\2\1\x11\0\2\x11\0"
                   "\xFF\xDA\0\x0A\2\1\0\2\0\0\x3F\0\0\0\xFF\xD9",
                   34, &err),
            CRITIC_UNSUPPORTED, "2 colour components; expected 1, 3 or 4");
}

/* The first scan of a progressive file, 600 times. */
static void jpeg_of_endless_scans(void **state) {
    (void)state;
    critic_error err;
    struct cr_buf file;
    struct cr_buf many;
    read_file(&file, PICTURE("rocket-progressive-odd.jpg"));
    cr_buf_init(&many, 1 << 24);
    size_t scan = find(&file, 0, "\xFF\xDA", 2);
    size_t end = find(&file, scan + 2, "\xFF\xC4", 2);
    T_OK(cr_buf_append(&many, file.data, scan, &err));
    for (int i = 0; i < 600; i++)
        T_OK(cr_buf_append(&many, file.data + scan, end - scan, &err));
    T_OK(cr_buf_append(&many, file.data + end, file.len - end, &err));
    T_FAILS(decode(many.data, many.len, &err), CRITIC_BAD_DATA,
            "JPEG of more than 500 scans");
    cr_buf_fini(&many);
    cr_buf_fini(&file);
}

static void png_headers_that_lie(void **state) {
    (void)state;
    critic_error err;
    /* Width 0; the checksum is right. */
    static const unsigned char empty[] = {
        0x89, 'P', 'N', 'G', '\r', '\n', 0x1A, '\n', 0,    0,    0,
        13,   'I', 'H', 'D', 'R',  0,    0,    0,    0,    0,    0,
        0,    1,   8,   2,   0,    0,    0,    0xB3, 0x4B, 0xC4, 0xB2};
    enum critic_status status = decode(empty, sizeof empty, &err);
    assert_int_equal(status, CRITIC_BAD_DATA);
    assert_non_null(strstr(err.message, "cat.jpg: damaged PNG at byte"));
    struct cr_buf file;
    read_file(&file, PICTURE("palette.png"));
    size_t palette = find(&file, 0, "PLTE", 4);
    memcpy(file.data + palette, "plTe", 4);
    T_FAILS(decode(file.data, file.len, &err), CRITIC_BAD_DATA,
            "cat.jpg: damaged PNG at byte");
    cr_buf_fini(&file);
}

static void sources_that_cannot_be_read(void **state) {
    (void)state;
    critic_error err;
    struct cr_image image;
    T_FAILS(cr_image_load(&image, "no/such/cat.jpg", NULL, &err), CRITIC_BAD_FILE,
            "no/such/cat.jpg: cannot open");
    T_FAILS(cr_image_load(&image, T_SOURCE("tests"), NULL, &err), CRITIC_BAD_FILE,
            "tests: cannot read");
    T_FAILS(cr_image_load(&image, "https://example.org/cat.jpg", NULL, &err),
            CRITIC_UNSUPPORTED, "not fetched from the network");
    T_FAILS(cr_image_load(&image, "data:image/jpeg,hello", NULL, &err),
            CRITIC_UNSUPPORTED,
            "data URL: not a supported picture: the content looks like plain text");
    T_FAILS(cr_image_load(&image, "data:image/png;base64,iVBORw0KGgo", NULL, &err),
            CRITIC_BAD_DATA, "data URL: the PNG ends early");
    T_FAILS(cr_image_load(&image, "data:image/png;base64,iVBORw0KGgo",
                          &(struct cr_image_limits){4, 4}, &err),
            CRITIC_BAD_DATA, "data URL: more bytes than the limit of 4");
}

static void freeing_twice_is_allowed(void **state) {
    (void)state;
    critic_error err;
    struct cr_image image;
    T_OK(cr_image_load(&image, PICTURE("1x1.png"), NULL, &err));
    cr_image_free(&image);
    assert_null(image.rgb);
    cr_image_free(&image);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(first_frames_of_animations),
        cmocka_unit_test(animation_frames_outside_the_canvas),
        cmocka_unit_test(pictures_that_end_early),
        cmocka_unit_test(messages_of_cut_pictures),
        cmocka_unit_test(other_content_is_named),
        cmocka_unit_test(long_text_is_text),
        cmocka_unit_test(limits_come_before_allocation),
        cmocka_unit_test(jpeg_variants_that_are_not_read),
        cmocka_unit_test(jpeg_of_endless_scans),
        cmocka_unit_test(png_headers_that_lie),
        cmocka_unit_test(sources_that_cannot_be_read),
        cmocka_unit_test(freeing_twice_is_allowed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
