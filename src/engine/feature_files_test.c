#define _DEFAULT_SOURCE
/* Features in files: found again to the bit, and nothing that lies there harms. */
#include "engine/feature_files.h"

#include "base/checked.h"
#include "base/dir.h"
#include "base/file.h"
#include "engine/engine.h"
#include "t.h"
#include "t_files.h"
#include <stdio.h>

#define MODEL T_SOURCE("tests/tiny/ov-lmms")
enum { ROWS = 5, WIDTH = 7 };

static size_t n_warnings;
static char last_warning[512];

static void on_warning(void *user, const char *line) {
    (void)user;
    n_warnings++;
    snprintf(last_warning, sizeof last_warning, "%s", line);
}

static struct cr_feature_files *open_files(const char *dir, size_t limit,
                                           const char *salt) {
    critic_error err;
    struct cr_feature_files *f;
    n_warnings = 0;
    T_OK(cr_feature_files_open(&f, dir, limit, cr_str_of(salt), on_warning, NULL, &err));
    return f;
}

static void fill(float *rows, float first) {
    for (size_t i = 0; i < ROWS * WIDTH; i++)
        rows[i] = first + (float)i;
}

static bool has(struct cr_feature_files *f, uint64_t key, float first) {
    float rows[ROWS * WIDTH], want[ROWS * WIDTH];
    fill(want, first);
    return cr_feature_files_read(f, (uint64_t[]){key, 1}, rows, ROWS, WIDTH) &&
           memcmp(rows, want, sizeof rows) == 0;
}

static void put(struct cr_feature_files *f, uint64_t key, float first) {
    float rows[ROWS * WIDTH];
    fill(rows, first);
    cr_feature_files_write(f, (uint64_t[]){key, 1}, rows, ROWS, WIDTH);
}

/* The only file of the folder. */
static char *only_file(const char *dir) {
    critic_error err;
    struct cr_buf names;
    static char path[600];
    cr_buf_init(&names, 1 << 16);
    T_OK(cr_dir_list(&names, dir, &err));
    const char *name = cr_dir_next(&names, NULL);
    assert_non_null(name);
    assert_null(cr_dir_next(&names, name));
    snprintf(path, sizeof path, "%s/%s", dir, name);
    cr_buf_fini(&names);
    return path;
}

static void test_found_again(void **state) {
    (void)state;
    struct t_dir made;
    t_dir_make(&made, "features");
    const char *dir = made.path;
    struct cr_feature_files *f = open_files(dir, 1 << 20, "a");
    assert_false(has(f, 1, 10));
    put(f, 1, 10);
    put(f, 2, 20);
    cr_feature_files_close(f);
    f = open_files(dir, 1 << 20, "a");
    assert_true(has(f, 1, 10) && has(f, 2, 20));
    cr_feature_files_close(f);
    f = open_files(dir, 1 << 20, "b"); /* other weights */
    assert_false(has(f, 1, 10));
    assert_int_equal(n_warnings, 0);
    cr_feature_files_close(f);
    t_dir_remove(&made);
}

/* Every byte may be another one, and the file may end anywhere. */
static void test_broken_files(void **state) {
    (void)state;
    critic_error err;
    struct t_dir made;
    t_dir_make(&made, "features");
    const char *dir = made.path;
    struct cr_feature_files *f = open_files(dir, 1 << 20, "a");
    struct cr_buf whole;
    put(f, 1, 10);
    char *path = only_file(dir);
    cr_buf_init(&whole, 1 << 16);
    T_OK(cr_file_read(path, &whole, &err));
    assert_int_equal(whole.len, 48 + 4 * ROWS * WIDTH);
    for (size_t i = 0; i < whole.len; i++) {
        whole.data[i] ^= 4;
        T_OK(cr_file_write(
            path, (struct cr_bytes){(unsigned char *)whole.data, whole.len}, &err));
        whole.data[i] ^= 4;
        assert_false(has(f, 1, 10));
        assert_int_equal(n_warnings, i + 1);
    }
    for (size_t len = 0; len < whole.len; len += 11) {
        T_OK(cr_file_write(path, (struct cr_bytes){(unsigned char *)whole.data, len},
                           &err));
        assert_false(has(f, 1, 10));
    }
    assert_non_null(strstr(last_warning, "is not what was written there"));
    put(f, 1, 10); /* mended */
    assert_true(has(f, 1, 10));
    cr_buf_fini(&whole);
    cr_feature_files_close(f);
    t_dir_remove(&made);
}

static void test_oldest_go(void **state) {
    (void)state;
    struct t_dir made;
    t_dir_make(&made, "features");
    const char *dir = made.path;
    size_t one = 48 + 4 * ROWS * WIDTH;
    struct cr_feature_files *f = open_files(dir, 3 * one, "a");
    for (uint64_t key = 1; key <= 3; key++) {
        put(f, key, (float)key);
        usleep(20000); /* times of files have a grain */
    }
    assert_true(has(f, 1, 1)); /* used again: 2 is the oldest now */
    usleep(20000);
    put(f, 4, 4);
    assert_false(has(f, 2, 2));
    assert_true(has(f, 1, 1) && has(f, 3, 3) && has(f, 4, 4));
    assert_int_equal(n_warnings, 0);
    cr_feature_files_close(f);
    f = open_files(dir, one - 1, "a"); /* too small for one: those that are there stay */
    put(f, 5, 5);
    assert_false(has(f, 5, 5));
    assert_true(has(f, 4, 4));
    cr_feature_files_close(f);
    t_dir_remove(&made);
}

/* A folder that takes nothing is spoken of once. */
static void test_folder_that_takes_nothing(void **state) {
    (void)state;
    char file[600];
    struct t_dir made;
    t_dir_make(&made, "features");
    const char *dir = made.path;
    critic_error err;
    snprintf(file, sizeof file, "%s/file", dir);
    T_OK(cr_file_write(file, (struct cr_bytes){(const unsigned char *)"x", 1}, &err));
    struct cr_feature_files *f = open_files(file, 1 << 20, "a");
    assert_int_equal(n_warnings, 1);
    put(f, 1, 1);
    put(f, 2, 2);
    assert_false(has(f, 1, 1));
    assert_int_equal(n_warnings, 1);
    cr_feature_files_close(f);
    f = open_files(dir, 1 << 20, "a");
    put(f, 1, 10);
    chmod(dir, 0500);
    if (access(dir, W_OK) != 0) { /* root may write anywhere */
        put(f, 2, 2);
        put(f, 3, 3);
        assert_int_equal(n_warnings, 1);
        assert_true(has(f, 1, 10));
    }
    chmod(dir, 0700);
    cr_feature_files_close(f);
    /* As where the folder vanishes under way. */
    f = open_files(dir, 1 << 20, "a");
    cr_dir_remove(dir);
    put(f, 2, 2);
    put(f, 3, 3);
    assert_int_equal(n_warnings, 1);
    cr_feature_files_close(f);
}

/* ---- the engine -------------------------------------------------------------------------- */

static void read_picture(const char *dir, enum cr_isa isa, struct cr_usage *usage,
                         float *logits, size_t n) {
    critic_error err;
    struct cr_engine *e;
    struct cr_engine_opts opts;
    struct cr_prompt *p;
    struct cr_seq *s;
    unsigned char rgb[3 * 40 * 30];
    for (size_t i = 0; i < sizeof rgb; i++)
        rgb[i] = (unsigned char)(i * 7);
    const struct cr_image image = {rgb, 40, 30};
    cr_engine_opts_default(&opts);
    opts.exec.n_threads = 1;
    opts.exec.isa = isa;
    opts.cache_dir = dir;
    T_OK(cr_engine_open(&e, MODEL, &opts, &err));
    T_OK(cr_prompt_new(&p, e, &err));
    T_OK(
        cr_prompt_chat(p, &image, 1, (struct cr_str){NULL, 0}, cr_str_of("What?"), &err));
    T_OK(cr_prompt_finish(p, &err));
    *usage = (struct cr_usage){0};
    T_OK(cr_engine_prefill(e, p, &s, usage, &err));
    assert_true(n <= cr_engine_config(e)->text.vocab);
    memcpy(logits, cr_seq_logits(s), n * sizeof *logits);
    cr_seq_free(s);
    cr_prompt_free(p);
    cr_engine_free(e);
}

static void test_engine(void **state) {
    (void)state;
    struct t_dir made;
    t_dir_make(&made, "features");
    const char *dir = made.path;
    struct cr_usage usage;
    float none[100], first[100], again[100];
    read_picture(NULL, cr_isa_best(), &usage, none, 100);
    read_picture(dir, cr_isa_best(), &usage, first, 100);
    assert_int_equal(usage.cached_tiles, 0);
    read_picture(dir, cr_isa_best(), &usage, again, 100);
    assert_true(usage.image_tiles > 0 && usage.cached_tiles == usage.image_tiles);
    assert_memory_equal(none, first, sizeof none);
    assert_memory_equal(none, again, sizeof none);
    /* Other kernels have other features. */
    read_picture(dir, CR_ISA_SCALAR, &usage, again, 100);
    if (cr_isa_best() != CR_ISA_SCALAR)
        assert_int_equal(usage.cached_tiles, 0);
    t_dir_remove(&made);
}

static void test_limit_too_small(void **state) {
    (void)state;
    critic_error err;
    struct cr_engine *e;
    struct cr_engine_opts opts;
    struct t_dir made;
    t_dir_make(&made, "features");
    const char *dir = made.path;
    cr_engine_opts_default(&opts);
    opts.cache_dir = dir;
    opts.cache_dir_bytes = 100;
    T_FAILS(cr_engine_open(&e, MODEL, &opts, &err), CRITIC_BAD_ARGUMENT,
            "too few for one picture's features");
    t_dir_remove(&made);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_found_again),
        cmocka_unit_test(test_broken_files),
        cmocka_unit_test(test_oldest_go),
        cmocka_unit_test(test_folder_that_takes_nothing),
        cmocka_unit_test(test_engine),
        cmocka_unit_test(test_limit_too_small),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
