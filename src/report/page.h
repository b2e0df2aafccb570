/* One HTML page that stands alone: no network, styles, script and pictures inside; light and
 * dark, on a phone, on paper, by keyboard and by screen reader. Every chart has a table with the
 * same numbers below it. Charts are drawn by Chart.js, which the build puts in; a page without
 * charts leaves it out, and a build without it makes pages with the tables only.
 *
 *   struct cr_page *page;
 *   cr_page_new(&page, "How good is this judge?", &err);
 *   cr_page_heading(page, "Accuracy");
 *   cr_page_table_begin(page, "Accuracy by group", columns, 3);
 *   cr_page_cell(page, "general"); cr_page_cell(page, "%.1f", 54.6); …  row after row
 *   cr_page_table_end(page);
 *   cr_page_chart(page, &chart);
 *   status = cr_page_write(page, "report.html", &err);
 *   cr_page_free(page);
 *
 * The first fault is kept and returned by cr_page_write, so that no call in between needs a
 * check. Text is escaped; bytes that are not UTF-8 show as U+FFFD. Same calls, same bytes.
 * Threads: one at a time per page. */
#ifndef CR_REPORT_PAGE_H
#define CR_REPORT_PAGE_H

#include "base/bytes.h"

struct cr_page;

/* Is Chart.js in this build? */
bool cr_page_has_charts(void);

/* Errors: CRITIC_NO_MEMORY. */
enum critic_status cr_page_new(struct cr_page **out, const char *title,
                               critic_error *err);
void cr_page_free(struct cr_page *page);
/* Writes beside path, then renames. Errors: CRITIC_IO, CRITIC_NO_MEMORY, or the first fault of
 * the calls before. */
enum critic_status cr_page_write(struct cr_page *page, const char *path,
                                 critic_error *err);

/* ---- text ------------------------------------------------------------------------------- */

enum cr_tone { CR_TONE_PLAIN, CR_TONE_GREEN, CR_TONE_AMBER, CR_TONE_RED, CR_TONE_MUTED };

/* The line under the title. */
void cr_page_subtitle(struct cr_page *page, const char *fmt, ...) CR_PRINTF(2, 3);
/* A section, listed in the page's contents; and a heading inside it. */
void cr_page_heading(struct cr_page *page, const char *text);
void cr_page_subheading(struct cr_page *page, const char *text);
void cr_page_paragraph(struct cr_page *page, const char *fmt, ...) CR_PRINTF(2, 3);
/* A boxed remark. The tone is spoken as a word too ("good", "caution", "bad"). */
void cr_page_note(struct cr_page *page, enum cr_tone tone, const char *fmt, ...)
    CR_PRINTF(3, 4);
/* Text of others as it stands, line breaks kept, with a label: an answer, a verdict. */
void cr_page_quote(struct cr_page *page, const char *label, struct cr_str text);
/* What lies between shows when the reader opens it. They do not nest in tables. */
void cr_page_fold_begin(struct cr_page *page, const char *fmt, ...) CR_PRINTF(2, 3);
void cr_page_fold_end(struct cr_page *page);

/* ---- tables ----------------------------------------------------------------------------- */

struct cr_column {
    const char *name;
    bool is_number;   /* set to the right */
    const char *help; /* a sentence below the table; NULL: none */
};

/* Cells go row by row; the first of each row is the row's heading. */
void cr_page_table_begin(struct cr_page *page, const char *caption,
                         const struct cr_column *columns, size_t n_columns);
void cr_page_cell(struct cr_page *page, const char *fmt, ...) CR_PRINTF(2, 3);
/* The tone is spoken as a word where it is green, amber or red. */
void cr_page_cell_tone(struct cr_page *page, enum cr_tone tone, const char *fmt, ...)
    CR_PRINTF(3, 4);
/* A number with `decimals`; NAN: a dash. With an interval, "54.6 (51.0 to 58.1)"; low or high
 * NAN: none. */
void cr_page_number(struct cr_page *page, double value, int decimals);
void cr_page_interval(struct cr_page *page, double value, double low, double high,
                      int decimals);
/* The cell's ground says how large value is from 0 to 1: a heat map with its numbers. */
void cr_page_heat(struct cr_page *page, double value, int decimals);
void cr_page_table_end(struct cr_page *page);

/* ---- charts ----------------------------------------------------------------------------- */

enum cr_chart_kind {
    CR_CHART_LINE,
    CR_CHART_BAR, /* x of a series is not read: value i belongs to labels[i] */
    CR_CHART_SCATTER,
    CR_CHART_RELIABILITY /* x stated, y observed, both 0 to 1, beside the diagonal */
};

struct cr_series {
    const char *name;
    const double *x;
    const double *y;          /* NAN: a gap */
    const double *low, *high; /* interval ends; NULL: none */
    size_t n;
};

struct cr_chart {
    enum cr_chart_kind kind;
    const char *title;
    const char *description; /* what to see in it, for those who cannot; NULL: title */
    const char *x_label, *y_label;
    const char *const *labels; /* of bars, as many as the longest series */
    const struct cr_series *series;
    size_t n_series;
    double y_min, y_max; /* equal: from the data */
    bool log_x, log_y;
    int decimals; /* in the table; 0: 4 significant digits */
};

/* The table shows at most CR_CHART_ROWS points of a series, evenly chosen, and says so. */
#define CR_CHART_ROWS 200
void cr_page_chart(struct cr_page *page, const struct cr_chart *chart);

/* ---- pictures --------------------------------------------------------------------------- */

/* An encoded picture (JPEG, PNG, WebP, GIF) with what it shows. */
void cr_page_picture(struct cr_page *page, struct cr_bytes file, const char *alt);

#endif
