/* Lines of a resumed output, put where an uninterrupted run has them. */
#include "io/jsonl_order.h"

#include <stdio.h>

#include "t.h"

static critic_error err;

static void write_file(const char *text) {
    FILE *f = fopen("order_test.jsonl", "w");
    fputs(text, f);
    fclose(f);
}

static void expect_file(const char *text) {
    char have[1024] = "";
    FILE *f = fopen("order_test.jsonl", "r");
    have[fread(have, 1, sizeof have - 1, f)] = '\0';
    fclose(f);
    remove("order_test.jsonl");
    assert_string_equal(have, text);
}

static void lines_go_to_their_places(void **state) {
    (void)state;
    const struct cr_row_key keys[] = {
        cr_row_key(cr_str_of("a"), false), cr_row_key(cr_str_of("7"), true),
        cr_row_key(cr_str_of("7"), false), cr_row_key(cr_str_of("none"), false),
        cr_row_key(cr_str_of("b"), false)};
    write_file("{\"id\":\"b\",\"status\":\"error\"}\n{\"id\":\"7\"}\n{\"id\":7}\n"
               "{\"id\":\"other\"}\n{\"id\":\"b\",\"x\":1}\n{\"id\":\"a\"}\n"
               "{\"id\":\"late\",\"status\":\"error\"}\n");
    T_OK(cr_jsonl_put_in_order("order_test.jsonl", "id", keys, 5, &err));
    expect_file("{\"id\":\"a\"}\n{\"id\":7}\n{\"id\":\"7\"}\n{\"id\":\"b\",\"x\":1}\n"
                "{\"id\":\"other\"}\n");
}

static void a_line_without_faults_is_taken(void **state) {
    (void)state;
    const struct cr_row_key keys[] = {cr_row_key(cr_str_of("2.5"), true),
                                      cr_row_key(cr_str_of("1"), true)};
    write_file("{\"index\":1,\"n_failed\":2}\n{\"index\":2.5}\n"
               "{\"index\":1,\"n_failed\":0}\n");
    T_OK(cr_jsonl_put_in_order("order_test.jsonl", "index", keys, 2, &err));
    expect_file("{\"index\":2.5}\n{\"index\":1,\"n_failed\":0}\n");
}

static void what_is_no_json_is_left_as_it_is(void **state) {
    (void)state;
    write_file("{\"id\":\"a\"}\nnot json\n");
    T_FAILS(cr_jsonl_put_in_order("order_test.jsonl", "id", NULL, 0, &err),
            CRITIC_BAD_FILE, "order_test.jsonl");
    expect_file("{\"id\":\"a\"}\nnot json\n");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lines_go_to_their_places),
        cmocka_unit_test(a_line_without_faults_is_taken),
        cmocka_unit_test(what_is_no_json_is_left_as_it_is),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
