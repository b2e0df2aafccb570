#include "cli/progress.h"

#include "t.h"

static void expect_line(const struct cr_progress *p, double now, bool bar,
                        const char *text) {
    char line[160];
    cr_progress_line(p, now, bar, line, sizeof line);
    assert_string_equal(line, text);
}

static void shows_rate_and_time_left(void **state) {
    struct cr_progress p = {.what = "judging", .unit = "items", .started = 100};
    (void)state;
    p.total = 40;
    expect_line(&p, 105, false, "judging: 0/40 items, 0:05 so far");
    p.done = 20;
    expect_line(&p, 110, false, "judging: 20/40 items, 2.0/s, 0:10 left");
    expect_line(&p, 110, true,
                "judging: [============            ] 20/40 items, 2.0/s, 0:10 left");
    p.first = 19;
    expect_line(&p, 300, false, "judging: 20/40 items, 200.0 s each, 1:06:40 left");
    p.total = 0;
    expect_line(&p, 102, true, "judging: 20 items, 2.0 s each");
    p.done = 50;
    p.total = 40;
    p.first = 0;
    expect_line(&p, 110, true, "judging: [========================] 50/40 items, 5.0/s");
}

static void shows_time_alone(void **state) {
    struct cr_progress p = {.what = "forward", .started = 100};
    (void)state;
    expect_line(&p, 161, true, "forward: 1:01 so far");
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(shows_rate_and_time_left),
                                       cmocka_unit_test(shows_time_alone)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
