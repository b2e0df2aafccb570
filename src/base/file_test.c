#define _GNU_SOURCE
#include "base/file.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "t.h"

struct place {
    char folder[64], path[128];
};

static struct place make_place(void) {
    struct place p = {.folder = "t-file-XXXXXX"};
    assert_non_null(mkdtemp(p.folder));
    snprintf(p.path, sizeof p.path, "%s/out", p.folder);
    return p;
}

static void remove_place(const struct place *p) {
    unlink(p->path);
    assert_int_equal(rmdir(p->folder), 0); /* nothing was left beside it */
}

static void write_text(const char *path, const char *text) {
    critic_error err;
    struct cr_out o;
    T_OK(cr_out_open(&o, path, &err));
    T_OK(cr_out_write(&o, text, strlen(text), &err));
    T_OK(cr_out_commit(&o, &err));
}

static void test_file_is_replaced(void **state) {
    (void)state;
    struct place p = make_place();
    critic_error err;
    struct cr_out o;
    struct cr_buf got;
    write_text(p.path, "old");
    T_OK(cr_out_open(&o, p.path, &err));
    T_OK(cr_out_write(&o, "half", 4, &err));
    cr_out_abort(&o);
    cr_buf_init(&got, 100);
    T_OK(cr_file_read(p.path, &got, &err));
    assert_string_equal(got.data, "old");
    cr_buf_clear(&got);
    write_text(p.path, "new");
    T_OK(cr_file_read(p.path, &got, &err));
    assert_string_equal(got.data, "new");
    cr_buf_fini(&got);
    remove_place(&p);
}

/* A pipe stands for every device: root may rename a file over /dev/null. */
static void test_pipe_is_written_in_place(void **state) {
    (void)state;
    struct place p = make_place();
    struct stat st;
    char got[8] = "";
    assert_int_equal(mkfifo(p.path, 0600), 0);
    int reader = open(p.path, O_RDWR | O_NONBLOCK);
    assert_true(reader >= 0);
    write_text(p.path, "text");
    assert_int_equal(read(reader, got, sizeof got), 4);
    assert_memory_equal(got, "text", 4);
    assert_int_equal(stat(p.path, &st), 0);
    assert_true(S_ISFIFO(st.st_mode));
    close(reader);
    remove_place(&p);
}

static void test_folder_is_refused_at_once(void **state) {
    (void)state;
    struct place p = make_place();
    critic_error err;
    struct cr_out o;
    assert_int_equal(cr_out_open(&o, p.folder, &err), CRITIC_IO);
    cr_out_abort(&o);
    remove_place(&p);
}

static void test_input_is_no_output(void **state) {
    (void)state;
    struct place p = make_place();
    critic_error err;
    char link_path[160];
    snprintf(link_path, sizeof link_path, "%s/other", p.folder);
    T_OK(cr_file_apart(p.path, p.path, &err)); /* not there */
    write_text(p.path, "text");
    assert_int_equal(symlink("out", link_path), 0);
    T_FAILS(cr_file_apart(p.path, p.path, &err), CRITIC_BAD_ARGUMENT,
            "the input as well");
    T_FAILS(cr_file_apart(link_path, p.path, &err), CRITIC_BAD_ARGUMENT, p.path);
    T_OK(cr_file_apart("/dev/null", "/dev/null", &err));
    T_OK(cr_file_apart("-", "-", &err));
    assert_int_equal(unlink(link_path), 0);
    write_text(link_path, "text");
    T_OK(cr_file_apart(link_path, p.path, &err));
    unlink(link_path);
    remove_place(&p);
}

/* Resident pages of files; -1 where the system does not tell. */
static long file_pages(void) {
    long size, resident, shared = -1;
    FILE *f = fopen("/proc/self/statm", "r");
    if (f && fscanf(f, "%ld %ld %ld", &size, &resident, &shared) != 3)
        shared = -1;
    if (f)
        fclose(f);
    return shared;
}

static size_t sum(struct cr_bytes bytes) {
    size_t total = 0;
    for (size_t i = 0; i < bytes.len; i++)
        total += bytes.data[i];
    return total;
}

static void test_forgotten_pages_come_back(void **state) {
    (void)state;
    enum { LEN = 8 << 20 };
    struct place p = make_place();
    critic_error err;
    struct cr_map m;
    char *text = malloc(LEN);
    memset(text, 'x', LEN);
    T_OK(cr_file_write(p.path, (struct cr_bytes){(unsigned char *)text, LEN}, &err));
    T_OK(cr_map_open(&m, p.path, &err));
    assert_int_equal(sum(m.bytes), (size_t)LEN * 'x');
    long before = file_pages();
    cr_map_forget(&m, (struct cr_bytes){m.bytes.data + 1, LEN / 2});
    if (before >= 0)
        assert_true(before - file_pages() >= LEN / 4 / sysconf(_SC_PAGESIZE));
    assert_int_equal(sum(m.bytes), (size_t)LEN * 'x');
    /* What is not the mapping's is left alone. */
    cr_map_forget(&m, (struct cr_bytes){(unsigned char *)text, LEN});
    cr_map_forget(&m, (struct cr_bytes){m.bytes.data + LEN / 2, LEN});
    cr_map_forget(&(struct cr_map){{(unsigned char *)text, LEN}, true},
                  (struct cr_bytes){(unsigned char *)text, LEN});
    assert_int_equal(sum((struct cr_bytes){(unsigned char *)text, LEN}),
                     (size_t)LEN * 'x');
    cr_map_close(&m);
    free(text);
    remove_place(&p);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_file_is_replaced),
        cmocka_unit_test(test_pipe_is_written_in_place),
        cmocka_unit_test(test_folder_is_refused_at_once),
        cmocka_unit_test(test_input_is_no_output),
        cmocka_unit_test(test_forgotten_pages_come_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
