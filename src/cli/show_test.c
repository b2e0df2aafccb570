/* How a picture is shown on which terminal, and the bytes that show it. */
#include "cli/show.h"

#include "base/checked.h"
#include "t.h"

static void test_how(void **state) {
    (void)state;
    static const struct {
        struct cr_terminal t;
        enum cr_show how;
    } cases[] = {
        {{.is_terminal = true, .term = "xterm-kitty"}, CR_SHOW_NOT},
        {{.is_terminal = true, .has_color = true, .term = "xterm-kitty"}, CR_SHOW_KITTY},
        {{.is_terminal = true, .has_color = true, .kitty_window = "1"}, CR_SHOW_KITTY},
        {{.is_terminal = true, .has_color = true, .term_program = "ghostty"},
         CR_SHOW_KITTY},
        {{.is_terminal = true, .has_color = true, .term_program = "iTerm.app"},
         CR_SHOW_ITERM},
        {{.is_terminal = true, .has_color = true, .lc_terminal = "iTerm2"},
         CR_SHOW_ITERM},
        {{.is_terminal = true,
          .has_color = true,
          .kitty_window = "1",
          .tmux = "/tmp/x",
          .colorterm = "truecolor"},
         CR_SHOW_BLOCKS},
        {{.is_terminal = true,
          .has_color = true,
          .term = "screen-256color",
          .lc_terminal = "iTerm2"},
         CR_SHOW_BLOCKS_256},
        {{.is_terminal = true, .has_color = true, .colorterm = "24bit"}, CR_SHOW_BLOCKS},
        {{.is_terminal = true, .has_color = true, .term = "xterm-256color"},
         CR_SHOW_BLOCKS_256},
        {{.has_color = true, .kitty_window = "1", .colorterm = "truecolor"},
         CR_SHOW_BLOCKS}, /* --color always into a pipe */
    };
    for (size_t i = 0; i < CR_COUNT(cases); i++)
        if (cr_show_how(&cases[i].t) != cases[i].how)
            fail_msg("case %zu: %d, expected %d", i, (int)cr_show_how(&cases[i].t),
                     (int)cases[i].how);
}

/* 2 x 2: red, green / blue, white, as wide as the terminal allows. */
static unsigned char square[12] = {255, 0, 0, 0, 255, 0, 0, 0, 255, 255, 255, 255};
static const struct cr_image image = {square, 2, 2};

static const char *show(const struct cr_image *picture, struct cr_terminal t,
                        struct cr_buf *out) {
    critic_error err;
    cr_buf_clear(out);
    T_OK(cr_show_picture(out, picture, &t, &err));
    return out->data;
}

static size_t count(const char *text, const char *part) {
    size_t n = 0;
    for (const char *at = text; (at = strstr(at, part)); at++)
        n++;
    return n;
}

static void test_blocks(void **state) {
    (void)state;
    struct cr_buf out;
    cr_buf_init(&out, 1 << 20);
    struct cr_terminal t = {.has_color = true, .colorterm = "truecolor", .rows = 16};
    const char *text = show(&image, t, &out);
    assert_int_equal(count(text, "\xe2\x96\x80"), 16 * 8);
    assert_int_equal(count(text, "\033[0m\n"), 8);
    assert_ptr_equal(strstr(text, "\033[38;2;255;0;0;48;2;255;0;0m"), text);
    t.columns = 8; /* narrow: both shrink */
    text = show(&image, t, &out);
    assert_int_equal(count(text, "\xe2\x96\x80"), 8 * 4);
    t.colorterm = NULL;
    text = show(&image, t, &out);
    assert_ptr_equal(strstr(text, "\033[38;5;196;48;5;196m"), text);
    t.has_color = false;
    cr_buf_clear(&out);
    critic_error err;
    T_OK(cr_show_picture(&out, &image, &t, &err));
    assert_int_equal(out.len, 0);
    cr_buf_fini(&out);
}

static void test_protocols(void **state) {
    (void)state;
    struct cr_buf out;
    static unsigned char noise[64 * 64 * 3];
    const struct cr_image large = {noise, 64, 64};
    unsigned x = 1;
    for (size_t i = 0; i < sizeof noise; i++)
        noise[i] = (unsigned char)((x = x * 1664525 + 1013904223) >> 24);
    cr_buf_init(&out, 1 << 20);
    struct cr_terminal t = {
        .is_terminal = true, .has_color = true, .kitty_window = "1", .rows = 40};
    const char *text = show(&image, t, &out);
    assert_ptr_equal(strstr(text, "\033_Ga=T,f=100,c=40,r=20,m=0;iVBORw0KGgo"), text);
    assert_string_equal(text + out.len - 3, "\033\\\n");
    /* 12 KiB of PNG: in pieces, all but the last announced as not the last. */
    text = show(&large, t, &out);
    assert_ptr_equal(strstr(text, "\033_Ga=T,f=100,c=40,r=20,m=1;iVBORw0KGgo"), text);
    size_t pieces = count(text, "\033_G");
    assert_true(pieces > 3);
    assert_int_equal(count(text, "\033\\"), pieces);
    assert_int_equal(count(text, "\033_Gm=1;"), pieces - 2);
    assert_int_equal(count(text, "\033_Gm=0;"), 1);
    t.kitty_window = NULL;
    t.term_program = "iTerm.app";
    text = show(&image, t, &out);
    assert_ptr_equal(strstr(text, "\033]1337;File=inline=1;width=40;height=20;"), text);
    assert_non_null(strstr(text, ":iVBORw0KGgo"));
    assert_string_equal(text + out.len - 2, "\a\n");
    cr_buf_fini(&out);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_how),
        cmocka_unit_test(test_blocks),
        cmocka_unit_test(test_protocols),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
