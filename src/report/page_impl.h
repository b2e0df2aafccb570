/* The page's inside, for the files of this folder. */
#ifndef CR_REPORT_PAGE_IMPL_H
#define CR_REPORT_PAGE_IMPL_H

#include "report/page.h"

struct cr_page {
    struct cr_buf body;
    struct cr_buf contents; /* list items of the page's contents */
    struct cr_buf text;     /* of the call in work */
    char *title;
    char *subtitle; /* NULL: none */
    size_t n_sections, n_charts, n_folds;
    const struct cr_column *columns; /* of the table in work; NULL: none */
    size_t n_columns, column;
    critic_error fault; /* the first */
};

/* Both do nothing once the page has a fault. */
void cr_page_put(struct cr_page *page, const char *html, ...) CR_PRINTF(2, 3);
void cr_page_put_text(struct cr_page *page, struct cr_str text);
/* For text in attributes and elements alike: & < > " ' escaped, invalid bytes U+FFFD, control
 * characters other than tab and newline dropped. */
enum critic_status cr_html_escape(struct cr_buf *out, struct cr_str text,
                                  critic_error *err);

#endif
