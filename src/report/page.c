/* The page around its parts, and text. */
#include "report/page.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/base64.h"
#include "base/checked.h"
#include "base/file.h"
#include "report/assets.h"
#include "report/page_impl.h"

#define MAX_PAGE ((size_t)1 << 30)

static const struct cr_asset *find_asset(const char *name) {
    const struct cr_asset *a = cr_report_assets;
    while (a->name && strcmp(a->name, name) != 0)
        a++;
    return a->name ? a : NULL;
}

bool cr_page_has_charts(void) {
    return find_asset("chart") != NULL;
}

enum critic_status cr_page_new(struct cr_page **out, const char *title,
                               critic_error *err) {
    *out = NULL;
    struct cr_page *page = calloc(1, sizeof *page);
    char *copy = cr_str_dup(cr_str_of(title));
    if (!page || !copy) {
        free(page);
        free(copy);
        return cr_fail(err, CRITIC_NO_MEMORY, "no memory for a report");
    }
    page->title = copy;
    cr_buf_init(&page->body, MAX_PAGE);
    cr_buf_init(&page->contents, MAX_PAGE);
    cr_buf_init(&page->text, MAX_PAGE);
    *out = page;
    return CRITIC_OK;
}

void cr_page_free(struct cr_page *page) {
    if (!page)
        return;
    cr_buf_fini(&page->body);
    cr_buf_fini(&page->contents);
    cr_buf_fini(&page->text);
    free(page->title);
    free(page->subtitle);
    free(page);
}

/* ---- escaping ------------------------------------------------------------------------------ */

static const char *entity_of(char c) {
    switch (c) {
    case '&':
        return "&amp;";
    case '<':
        return "&lt;";
    case '>':
        return "&gt;";
    case '"':
        return "&quot;";
    case '\'':
        return "&#39;";
    default:
        return NULL;
    }
}

static bool is_dropped(char c) {
    return ((unsigned char)c < 0x20 && c != '\n' && c != '\t') || c == 0x7f;
}

enum critic_status cr_html_escape(struct cr_buf *out, struct cr_str s,
                                  critic_error *err) {
    for (size_t at = 0; at < s.len;) {
        size_t valid = cr_utf8_invalid_at(s.data + at, s.len - at);
        size_t end = valid == SIZE_MAX ? s.len : at + valid;
        for (size_t from = at; at <= end; at++) {
            const char *entity = at < end ? entity_of(s.data[at]) : NULL;
            if (at < end && !entity && !is_dropped(s.data[at]))
                continue;
            CR_TRY(cr_buf_append(out, s.data + from, at - from, err));
            if (entity)
                CR_TRY(cr_buf_append_c(out, entity, err));
            from = at + 1;
        }
        at = end;
        if (valid != SIZE_MAX) {
            CR_TRY(cr_buf_append_c(out, "\xef\xbf\xbd", err));
            at++;
        }
    }
    return CRITIC_OK;
}

/* ---- putting --------------------------------------------------------------------------------- */

static bool is_broken(const struct cr_page *page) {
    return page->fault.status != CRITIC_OK;
}

/* Formats into page->text; false where the page has a fault. */
static bool format(struct cr_page *page, const char *fmt, va_list args) {
    if (is_broken(page))
        return false;
    va_list again;
    va_copy(again, args);
    int n = vsnprintf(NULL, 0, fmt, again);
    va_end(again);
    char *text = n >= 0 ? malloc((size_t)n + 1) : NULL;
    if (!text) {
        cr_fail(&page->fault, CRITIC_NO_MEMORY, "no memory for a report");
        return false;
    }
    vsnprintf(text, (size_t)n + 1, fmt, args);
    cr_buf_clear(&page->text);
    enum critic_status status = cr_buf_append(&page->text, text, (size_t)n, &page->fault);
    free(text);
    return status == CRITIC_OK;
}

void cr_page_put(struct cr_page *page, const char *html, ...) {
    va_list args;
    va_start(args, html);
    if (format(page, html, args))
        (void)cr_buf_append(&page->body, page->text.data, page->text.len, &page->fault);
    va_end(args);
}

void cr_page_put_text(struct cr_page *page, struct cr_str text) {
    if (!is_broken(page))
        (void)cr_html_escape(&page->body, text, &page->fault);
}

/* <element> text of (fmt, args) </element> */
static void put_element(struct cr_page *page, const char *open, const char *close,
                        const char *fmt, va_list args) {
    cr_page_put(page, "%s", open);
    if (format(page, fmt, args))
        (void)cr_html_escape(&page->body, cr_buf_str(&page->text), &page->fault);
    cr_page_put(page, "%s\n", close);
}

/* ---- text ------------------------------------------------------------------------------------- */

void cr_page_subtitle(struct cr_page *page, const char *fmt, ...) {
    va_list args;
    va_start(args, fmt);
    if (format(page, fmt, args)) {
        free(page->subtitle);
        page->subtitle = cr_str_dup(cr_buf_str(&page->text));
        if (!page->subtitle)
            cr_fail(&page->fault, CRITIC_NO_MEMORY, "no memory for a report");
    }
    va_end(args);
}

void cr_page_heading(struct cr_page *page, const char *text) {
    if (page->n_sections > 0)
        cr_page_put(page, "</section>\n");
    page->n_sections++;
    cr_page_put(page, "<section aria-labelledby=\"s%zu\">\n<h2 id=\"s%zu\">",
                page->n_sections, page->n_sections);
    cr_page_put_text(page, cr_str_of(text));
    cr_page_put(page, "</h2>\n");
    if (is_broken(page))
        return;
    struct cr_buf *list = &page->contents;
    critic_error *err = &page->fault;
    (void)(cr_buf_printf(list, err, "<li><a href=\"#s%zu\">", page->n_sections) ||
           cr_html_escape(list, cr_str_of(text), err) ||
           cr_buf_append_c(list, "</a></li>\n", err));
}

void cr_page_subheading(struct cr_page *page, const char *text) {
    cr_page_put(page, "<h3>");
    cr_page_put_text(page, cr_str_of(text));
    cr_page_put(page, "</h3>\n");
}

void cr_page_paragraph(struct cr_page *page, const char *fmt, ...) {
    va_list args;
    va_start(args, fmt);
    put_element(page, "<p>", "</p>", fmt, args);
    va_end(args);
}

static const char *const tone_classes[] = {"plain", "green", "amber", "red", "muted"};
static const char *const tone_words[] = {NULL, "good", "caution", "bad", NULL};

void cr_page_note(struct cr_page *page, enum cr_tone tone, const char *fmt, ...) {
    va_list args;
    va_start(args, fmt);
    cr_page_put(page, "<p class=\"note %s\">", tone_classes[tone]);
    if (tone_words[tone])
        cr_page_put(page, "<strong class=\"mark\">%s</strong> ", tone_words[tone]);
    put_element(page, "", "</p>", fmt, args);
    va_end(args);
}

void cr_page_quote(struct cr_page *page, const char *label, struct cr_str text) {
    cr_page_put(page, "<figure class=\"quote\"><figcaption>");
    cr_page_put_text(page, cr_str_of(label));
    cr_page_put(page, "</figcaption><blockquote>");
    cr_page_put_text(page, text);
    cr_page_put(page, "</blockquote></figure>\n");
}

void cr_page_fold_begin(struct cr_page *page, const char *fmt, ...) {
    va_list args;
    va_start(args, fmt);
    put_element(page, "<details><summary>", "</summary><div class=\"fold\">", fmt, args);
    va_end(args);
    page->n_folds++;
}

void cr_page_fold_end(struct cr_page *page) {
    CR_ASSERT(page->n_folds > 0);
    page->n_folds--;
    cr_page_put(page, "</div></details>\n");
}

void cr_page_picture(struct cr_page *page, struct cr_bytes file, const char *alt) {
    cr_page_put(page, "<img class=\"picture\" alt=\"");
    cr_page_put_text(page, cr_str_of(alt));
    cr_page_put(page, "\" src=\"");
    if (!is_broken(page))
        (void)cr_data_url_append(&page->body, file, &page->fault);
    cr_page_put(page, "\">\n");
}

/* ---- tables ------------------------------------------------------------------------------------- */

void cr_page_table_begin(struct cr_page *page, const char *caption,
                         const struct cr_column *columns, size_t n_columns) {
    CR_ASSERT(!page->columns && n_columns > 0);
    page->columns = columns;
    page->n_columns = n_columns;
    page->column = 0;
    cr_page_put(page,
                "<div class=\"scroll\" role=\"region\" tabindex=\"0\" aria-label=\"");
    cr_page_put_text(page, cr_str_of(caption));
    cr_page_put(page, "\"><table><caption>");
    cr_page_put_text(page, cr_str_of(caption));
    cr_page_put(page, "</caption>\n<thead><tr>");
    for (size_t i = 0; i < n_columns; i++) {
        cr_page_put(page, "<th scope=\"col\"%s>",
                    columns[i].is_number ? " class=\"number\"" : "");
        cr_page_put_text(page, cr_str_of(columns[i].name));
        cr_page_put(page, "</th>");
    }
    cr_page_put(page, "</tr></thead>\n<tbody>\n");
}

/* Opens the next cell; its closing tag is what cell_end puts. */
static void cell_begin(struct cr_page *page, const char *class_name, const char *style) {
    CR_ASSERT(page->columns);
    bool is_number = page->columns[page->column].is_number;
    if (page->column == 0)
        cr_page_put(page, "<tr><th scope=\"row\"");
    else
        cr_page_put(page, "<td");
    if (is_number || class_name)
        cr_page_put(page, " class=\"%s%s%s\"", is_number ? "number" : "",
                    is_number && class_name ? " " : "", class_name ? class_name : "");
    cr_page_put(page, "%s>", style);
}

static void cell_end(struct cr_page *page) {
    cr_page_put(page, page->column == 0 ? "</th>" : "</td>");
    page->column++;
    if (page->column == page->n_columns) {
        cr_page_put(page, "</tr>\n");
        page->column = 0;
    }
}

void cr_page_cell(struct cr_page *page, const char *fmt, ...) {
    va_list args;
    va_start(args, fmt);
    cell_begin(page, NULL, "");
    if (format(page, fmt, args))
        (void)cr_html_escape(&page->body, cr_buf_str(&page->text), &page->fault);
    cell_end(page);
    va_end(args);
}

void cr_page_cell_tone(struct cr_page *page, enum cr_tone tone, const char *fmt, ...) {
    va_list args;
    va_start(args, fmt);
    cell_begin(page, tone == CR_TONE_PLAIN ? NULL : tone_classes[tone], "");
    if (tone_words[tone])
        cr_page_put(page, "<strong class=\"mark\">%s</strong> ", tone_words[tone]);
    if (format(page, fmt, args))
        (void)cr_html_escape(&page->body, cr_buf_str(&page->text), &page->fault);
    cell_end(page);
    va_end(args);
}

void cr_page_number(struct cr_page *page, double value, int decimals) {
    if (value != value)
        cr_page_cell(page, "\xe2\x80\x93");
    else
        cr_page_cell(page, "%.*f", decimals, value);
}

void cr_page_interval(struct cr_page *page, double value, double low, double high,
                      int decimals) {
    if (value != value || low != low || high != high)
        cr_page_number(page, value, decimals);
    else
        cr_page_cell(page, "%.*f (%.*f to %.*f)", decimals, value, decimals, low,
                     decimals, high);
}

void cr_page_heat(struct cr_page *page, double value, int decimals) {
    if (value != value) {
        cr_page_number(page, value, decimals);
        return;
    }
    char style[48];
    double share = CR_MIN(CR_MAX(value, 0.0), 1.0);
    /* the ground stays light (or dark) enough for the text in both themes */
    snprintf(style, sizeof style, " style=\"--heat:%.0f%%\"", 45 * share);
    cell_begin(page, "heat", style);
    cr_page_put(page, "%.*f", decimals, value);
    cell_end(page);
}

void cr_page_table_end(struct cr_page *page) {
    CR_ASSERT(page->columns && page->column == 0);
    cr_page_put(page, "</tbody></table></div>\n");
    bool any = false;
    for (size_t i = 0; i < page->n_columns; i++) {
        if (!page->columns[i].help)
            continue;
        cr_page_put(page, any ? "" : "<dl class=\"help\">");
        any = true;
        cr_page_put(page, "<div><dt>");
        cr_page_put_text(page, cr_str_of(page->columns[i].name));
        cr_page_put(page, "</dt><dd>");
        cr_page_put_text(page, cr_str_of(page->columns[i].help));
        cr_page_put(page, "</dd></div>");
    }
    cr_page_put(page, any ? "</dl>\n" : "");
    page->columns = NULL;
}

/* ---- the whole ------------------------------------------------------------------------------------ */

static enum critic_status put_asset(struct cr_buf *out, const char *open,
                                    const char *name, const char *close,
                                    critic_error *err) {
    const struct cr_asset *asset = find_asset(name);
    CR_ASSERT(asset);
    CR_TRY(cr_buf_append_c(out, open, err));
    CR_TRY(cr_buf_append(out, asset->data, asset->len, err));
    return cr_buf_append_c(out, close, err);
}

static enum critic_status put_head(const struct cr_page *page, struct cr_buf *out,
                                   critic_error *err) {
    CR_TRY(cr_buf_append_c(
        out,
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
        "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
        "<meta name=\"color-scheme\" content=\"light dark\">\n"
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; "
        "style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data:\">\n"
        "<link rel=\"icon\" href=\"data:,\">\n<title>",
        err));
    CR_TRY(cr_html_escape(out, cr_str_of(page->title), err));
    CR_TRY(cr_buf_append_c(out, "</title>\n", err));
    CR_TRY(put_asset(out, "<style>\n", "style", "</style>\n", err));
    return cr_buf_append_c(out, "</head>\n", err);
}

static enum critic_status put_top(const struct cr_page *page, struct cr_buf *out,
                                  critic_error *err) {
    CR_TRY(cr_buf_append_c(out,
                           "<body>\n<a class=\"skip\" href=\"#main\">To the content</a>\n"
                           "<header>\n<h1>",
                           err));
    CR_TRY(cr_html_escape(out, cr_str_of(page->title), err));
    CR_TRY(cr_buf_append_c(out, "</h1>\n", err));
    if (page->subtitle) {
        CR_TRY(cr_buf_append_c(out, "<p>", err));
        CR_TRY(cr_html_escape(out, cr_str_of(page->subtitle), err));
        CR_TRY(cr_buf_append_c(out, "</p>\n", err));
    }
    CR_TRY(cr_buf_append_c(out, "</header>\n", err));
    if (page->n_sections < 2)
        return CRITIC_OK;
    CR_TRY(cr_buf_append_c(out, "<nav aria-label=\"Contents\"><ul>\n", err));
    CR_TRY(cr_buf_append(out, page->contents.data, page->contents.len, err));
    return cr_buf_append_c(out, "</ul></nav>\n", err);
}

static enum critic_status put_page(const struct cr_page *page, struct cr_buf *out,
                                   critic_error *err) {
    CR_TRY(put_head(page, out, err));
    CR_TRY(put_top(page, out, err));
    CR_TRY(cr_buf_append_c(out, "<main id=\"main\" tabindex=\"-1\">\n", err));
    struct cr_str body = cr_buf_str(&page->body);
    CR_TRY(cr_buf_append(out, body.data, body.len, err));
    CR_TRY(cr_buf_printf(out, err,
                         "%s</main>\n<footer><p>Made by critic %s.</p></footer>\n",
                         page->n_sections > 0 ? "</section>\n" : "", critic_version()));
    if (page->n_charts > 0 && cr_page_has_charts())
        CR_TRY(put_asset(out, "<script>\n", "chart", "</script>\n", err));
    CR_TRY(put_asset(out, "<script>\n", "script", "</script>\n", err));
    return cr_buf_append_c(out, "</body>\n</html>\n", err);
}

enum critic_status cr_page_write(struct cr_page *page, const char *path,
                                 critic_error *err) {
    CR_ASSERT(page->n_folds == 0 && !page->columns);
    if (is_broken(page)) {
        if (err)
            *err = page->fault;
        return page->fault.status;
    }
    struct cr_buf whole;
    cr_buf_init(&whole, 2 * MAX_PAGE);
    enum critic_status status = put_page(page, &whole, err);
    if (status == CRITIC_OK)
        status = cr_file_write_text(path, cr_buf_str(&whole), err);
    cr_buf_fini(&whole);
    return status;
}
