/* A picture on a terminal: by kitty's or iTerm2's protocol, else as half blocks in colour, two pixels a
 * character; where there are no colours, nothing. */
#ifndef CR_CLI_SHOW_H
#define CR_CLI_SHOW_H

#include "image/image.h"

enum cr_show {
    CR_SHOW_NOT,
    CR_SHOW_BLOCKS,
    CR_SHOW_BLOCKS_256,
    CR_SHOW_KITTY,
    CR_SHOW_ITERM
};

/* What is known of the terminal; NULL: the variable is not set. */
struct cr_terminal {
    bool is_terminal; /* standard output */
    bool has_color;
    const char *term, *term_program, *lc_terminal, *colorterm, *kitty_window, *tmux;
    size_t columns, rows; /* 0: not known */
};

/* Of standard output and the environment. color: enum cr_color. */
void cr_terminal_look(struct cr_terminal *t, int color);
enum cr_show cr_show_how(const struct cr_terminal *t);
/* Appends what makes the picture appear, and a newline: at most half of the terminal's height, 20
 * rows where that is not known. Errors: CRITIC_NO_MEMORY. */
enum critic_status cr_show_picture(struct cr_buf *out, const struct cr_image *image,
                                   const struct cr_terminal *t, critic_error *err);

#endif
