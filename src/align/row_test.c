/* A round in numbers: what counts and what does not. */
#include <math.h>

#include "align/evaluate.h"
#include "t.h"
#include "t_files.h"

static critic_error err;

static void put(struct t_dir *dir, const char *name, const char *text) {
    t_write(dir, name, text, strlen(text));
}

static void is(const struct cr_align_row *row, enum cr_align_measure m, size_t n,
               double value) {
    assert_int_equal(row->of[m].n, n);
    if (n > 0)
        assert_true(fabs(row->of[m].value - value) < 1e-12);
    else
        assert_true(isnan(row->of[m].value));
}

/* A line that failed may hold some of its numbers: they count for nothing. */
static void test_numbers(void **state) {
    struct cr_align_row row;
    struct t_dir dir;
    (void)state;
    t_dir_make(&dir, "row");
    put(&dir, "eval.jsonl",
        "{\"id\":\"a\",\"status\":\"ok\",\"share\":1,\"tokens\":4,\"finish_reason\":"
        "\"length\","
        "\"quality\":80,\"base_quality\":50,\"score\":7,\"base_score\":5}\n"
        "{\"id\":\"b\",\"status\":\"ok\",\"share\":null,\"tokens\":8,\"finish_reason\":"
        "\"stop\","
        "\"quality\":20,\"base_quality\":30}\n"
        "{\"id\":\"c\",\"status\":\"error\",\"tokens\":99,\"quality\":99}\n");
    put(&dir, "drawn.jsonl",
        "{\"id\":\"a\",\"status\":\"ok\",\"quality\":40,\"base_quality\":10}\n"
        "{\"id\":\"c\",\"status\":\"error\",\"quality\":99,\"base_quality\":0}\n");
    put(&dir, "ratios.jsonl",
        "{\"id\":\"a\",\"status\":\"ok\",\"draws\":[{\"logprob\":-1,\"start_logprob\":-3}"
        ","
        "{\"logprob\":null,\"start_logprob\":-3}]}\n"
        "{\"id\":\"c\",\"status\":\"error\",\"draws\":[{\"logprob\":0,\"start_logprob\":-"
        "9}]}\n");
    T_OK(cr_align_row_read(&row, 3, dir.path, &err));
    assert_int_equal(row.round, 3);
    assert_int_equal(row.n, 2);
    assert_int_equal(row.n_faults, 1);
    assert_int_equal(row.n_cut, 1);
    is(&row, CR_ALIGN_WIN, 1, 1);
    is(&row, CR_ALIGN_SCORE, 1, 7);
    is(&row, CR_ALIGN_SCORE_GAIN, 1, 2);
    is(&row, CR_ALIGN_QUALITY, 2, 50);
    is(&row, CR_ALIGN_GAIN, 2, 10);
    is(&row, CR_ALIGN_TOKENS, 2, 6);
    is(&row, CR_ALIGN_DRAWN, 1, 40);
    is(&row, CR_ALIGN_DRAWN_GAIN, 1, 30);
    is(&row, CR_ALIGN_KL, 1, 2);
    t_dir_remove(&dir);
}

/* Round 0 has no ratios, a run without an oracle no qualities. */
static void test_without(void **state) {
    struct cr_align_row row;
    struct t_dir dir;
    (void)state;
    t_dir_make(&dir, "row-0");
    put(&dir, "eval.jsonl", "{\"id\":\"a\",\"status\":\"ok\",\"tokens\":4}\n");
    T_OK(cr_align_row_read(&row, 0, dir.path, &err));
    is(&row, CR_ALIGN_TOKENS, 1, 4);
    for (int m = 0; m < CR_N_ALIGN; m++)
        if (m != CR_ALIGN_TOKENS)
            is(&row, (enum cr_align_measure)m, 0, 0);
    put(&dir, "eval.jsonl", "{\"id\":7}\n");
    T_FAILS(cr_align_row_read(&row, 0, dir.path, &err), CRITIC_BAD_DATA,
            "eval.jsonl:1: expected a line with an id");
    t_dir_remove(&dir);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_numbers),
                                       cmocka_unit_test(test_without)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
