#define _DEFAULT_SOURCE
#include "cli/show.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/base64.h"
#include "base/checked.h"
#include "cli/cli.h"

/* Kitty takes so much base64 at a time. */
#define KITTY_BYTES ((size_t)4096)
#define MAX_BYTES   ((size_t)64 << 20)

static const char *environment(const char *name) {
    const char *value = getenv(name);
    return value && *value ? value : NULL;
}

void cr_terminal_look(struct cr_terminal *t, int color) {
    struct winsize size;
    memset(t, 0, sizeof *t);
    t->is_terminal = isatty(STDOUT_FILENO) == 1;
    t->has_color = cr_use_color(color);
    t->term = environment("TERM");
    t->term_program = environment("TERM_PROGRAM");
    t->lc_terminal = environment("LC_TERMINAL");
    t->colorterm = environment("COLORTERM");
    t->kitty_window = environment("KITTY_WINDOW_ID");
    t->tmux = environment("TMUX");
    if (t->is_terminal && ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0) {
        t->columns = size.ws_col;
        t->rows = size.ws_row;
    }
}

static bool is(const char *value, const char *word) {
    return value && strcmp(value, word) == 0;
}

static bool has(const char *value, const char *part) {
    return value && strstr(value, part);
}

enum cr_show cr_show_how(const struct cr_terminal *t) {
    if (!t->has_color)
        return CR_SHOW_NOT;
    /* Multiplexers pass pictures on only where they are told to. */
    bool direct = t->is_terminal && !t->tmux && !has(t->term, "screen");
    if (direct &&
        (t->kitty_window || has(t->term, "kitty") || is(t->term_program, "ghostty")))
        return CR_SHOW_KITTY;
    if (direct && (is(t->term_program, "iTerm.app") || is(t->lc_terminal, "iTerm2") ||
                   is(t->term_program, "WezTerm")))
        return CR_SHOW_ITERM;
    bool rich = is(t->colorterm, "truecolor") || is(t->colorterm, "24bit");
    return rich ? CR_SHOW_BLOCKS : CR_SHOW_BLOCKS_256;
}

/* Characters that the picture takes; one is about twice as high as wide. */
struct box {
    size_t columns, rows;
};

static struct box box_of(const struct cr_image *image, const struct cr_terminal *t) {
    size_t most_rows = t->rows ? CR_MAX(t->rows / 2, (size_t)8) : 20;
    size_t most_columns = t->columns ? CR_MAX(t->columns, (size_t)8) : 80;
    double rows = (double)CR_MIN(most_rows, (size_t)20);
    double columns = 2 * rows * (double)image->width / (double)image->height;
    if (columns > (double)most_columns) {
        rows *= (double)most_columns / columns;
        columns = (double)most_columns;
    }
    return (struct box){CR_MAX((size_t)lround(columns), (size_t)1),
                        CR_MAX((size_t)lround(rows), (size_t)1)};
}

/* ---- half blocks --------------------------------------------------------------------------- */

/* The 6 x 6 x 6 cube of terminals with 256 colours: levels 0, 95, 135, … 255. */
static int cube(const unsigned char *p) {
    int index = 0;
    for (int c = 0; c < 3; c++)
        index = index * 6 + (p[c] < 48 ? 0 : p[c] < 115 ? 1 : (p[c] - 35) / 40);
    return 16 + index;
}

static enum critic_status add_cell(struct cr_buf *out, const unsigned char *upper,
                                   const unsigned char *lower, bool rich,
                                   critic_error *err) {
    static const char half[] = "\xe2\x96\x80"; /* upper half block */
    if (rich)
        return cr_buf_printf(out, err, "\033[38;2;%d;%d;%d;48;2;%d;%d;%dm%s", upper[0],
                             upper[1], upper[2], lower[0], lower[1], lower[2], half);
    return cr_buf_printf(out, err, "\033[38;5;%d;48;5;%dm%s", cube(upper), cube(lower),
                         half);
}

static enum critic_status add_blocks(struct cr_buf *out, const struct cr_image *image,
                                     struct box box, bool rich, critic_error *err) {
    struct cr_image small;
    CR_TRY(cr_image_resize(&small, image, box.columns, 2 * box.rows, CR_BICUBIC, err));
    enum critic_status status = CRITIC_OK;
    for (size_t row = 0; row < box.rows && status == CRITIC_OK; row++) {
        const unsigned char *upper = small.rgb + 2 * row * small.width * 3;
        for (size_t x = 0; x < small.width && status == CRITIC_OK; x++)
            status =
                add_cell(out, upper + x * 3, upper + (small.width + x) * 3, rich, err);
        if (status == CRITIC_OK)
            status = cr_buf_append_c(out, "\033[0m\n", err);
    }
    cr_image_free(&small);
    return status;
}

/* ---- protocols ------------------------------------------------------------------------------- */

/* sw.kovidgoyal.net/kitty/graphics-protocol: a=T transmits and shows, f=100 is PNG. */
static enum critic_status add_kitty(struct cr_buf *out, struct cr_str base64,
                                    struct box box, critic_error *err) {
    for (size_t from = 0; from < base64.len; from += KITTY_BYTES) {
        size_t n = CR_MIN(KITTY_BYTES, base64.len - from);
        int more = from + n < base64.len;
        CR_TRY(from == 0 ? cr_buf_printf(out, err, "\033_Ga=T,f=100,c=%zu,r=%zu,m=%d;",
                                         box.columns, box.rows, more)
                         : cr_buf_printf(out, err, "\033_Gm=%d;", more));
        CR_TRY(cr_buf_append(out, base64.data + from, n, err));
        CR_TRY(cr_buf_append_c(out, "\033\\", err));
    }
    return cr_buf_append_c(out, "\n", err);
}

/* iterm2.com/documentation-images.html */
static enum critic_status add_iterm(struct cr_buf *out, struct cr_str base64,
                                    struct box box, critic_error *err) {
    CR_TRY(cr_buf_printf(out, err,
                         "\033]1337;File=inline=1;width=%zu;height=%zu;"
                         "preserveAspectRatio=1:",
                         box.columns, box.rows));
    CR_TRY(cr_buf_append(out, base64.data, base64.len, err));
    return cr_buf_append_c(out, "\a\n", err);
}

static enum critic_status add_file(struct cr_buf *out, const struct cr_image *image,
                                   struct box box, enum cr_show how, critic_error *err) {
    struct cr_buf png, base64;
    enum critic_status status;
    cr_buf_init(&png, MAX_BYTES);
    cr_buf_init(&base64, MAX_BYTES);
    CR_TRY_GOTO(cr_image_encode_png(&png, image, err));
    struct cr_bytes bytes = {(const unsigned char *)png.data, png.len};
    CR_TRY_GOTO(cr_base64_append(&base64, bytes, err));
    CR_TRY_GOTO(how == CR_SHOW_KITTY ? add_kitty(out, cr_buf_str(&base64), box, err)
                                     : add_iterm(out, cr_buf_str(&base64), box, err));
fail:
    cr_buf_fini(&png);
    cr_buf_fini(&base64);
    return status;
}

enum critic_status cr_show_picture(struct cr_buf *out, const struct cr_image *image,
                                   const struct cr_terminal *t, critic_error *err) {
    enum cr_show how = cr_show_how(t);
    struct box box = box_of(image, t);
    switch (how) {
    case CR_SHOW_NOT:
        return CRITIC_OK;
    case CR_SHOW_BLOCKS:
    case CR_SHOW_BLOCKS_256:
        return add_blocks(out, image, box, how == CR_SHOW_BLOCKS, err);
    default:
        return add_file(out, image, box, how, err);
    }
}
