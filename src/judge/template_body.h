/* The body of a template: text between placeholders, optional sections and one loop. */
#ifndef CR_JUDGE_TEMPLATE_BODY_H
#define CR_JUDGE_TEMPLATE_BODY_H

#include "judge/template.h"

enum cr_piece_kind { CR_PIECE_TEXT, CR_PIECE_VALUE, CR_PIECE_OPEN, CR_PIECE_CLOSE };

struct cr_piece {
    enum cr_piece_kind kind;
    enum cr_field field;
    struct cr_str text; /* CR_PIECE_TEXT */
    size_t close;       /* CR_PIECE_OPEN: the index of its CR_PIECE_CLOSE */
};

/* Fills pieces, uses and needs. `line` is the body's first line in the file.
 * Errors: CRITIC_BAD_FILE "name:line: …", CRITIC_NO_MEMORY. */
enum critic_status cr_body_parse(struct cr_template *t, struct cr_str body,
                                 const char *name, size_t line, critic_error *err);

#endif
