/* Charts: a canvas with its numbers as JSON, and the table that says the same. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/checked.h"
#include "io/json.h"
#include "report/page_impl.h"

static const char *const kind_names[] = {"line", "bar", "scatter", "reliability"};

/* ---- for the script ------------------------------------------------------------------------ */

static void put(struct cr_page *page, json_t *object, const char *key, json_t *value) {
    if ((!value || json_object_set_new(object, key, value) != 0) &&
        page->fault.status == CRITIC_OK)
        cr_fail(&page->fault, CRITIC_NO_MEMORY, "no memory for a chart");
}

static json_t *text_of(const char *text) {
    json_t *value = text ? json_string(text) : json_null();
    return value ? value : json_string("?"); /* not UTF-8: a file name, say */
}

/* Nine digits are more than a screen has. */
static json_t *number_of(double x) {
    if (!isfinite(x))
        return json_null();
    double scale = x == 0 ? 1 : pow(10, 8 - floor(log10(fabs(x))));
    return json_real(isfinite(scale) && scale > 0 ? round(x * scale) / scale : x);
}

static json_t *numbers_of(const double *x, size_t n) {
    json_t *list = x ? json_array() : json_null();
    for (size_t i = 0; list && x && i < n; i++)
        json_array_append_new(list, number_of(x[i]));
    return list;
}

static json_t *series_of(struct cr_page *page, const struct cr_series *s, bool has_x) {
    json_t *object = json_object();
    put(page, object, "name", text_of(s->name));
    put(page, object, "x", numbers_of(has_x ? s->x : NULL, s->n));
    put(page, object, "y", numbers_of(s->y, s->n));
    put(page, object, "low", numbers_of(s->low, s->n));
    put(page, object, "high", numbers_of(s->high, s->n));
    return object;
}

static size_t longest(const struct cr_chart *chart) {
    size_t n = 0;
    for (size_t i = 0; i < chart->n_series; i++)
        n = CR_MAX(n, chart->series[i].n);
    return n;
}

static json_t *chart_of(struct cr_page *page, const struct cr_chart *chart) {
    json_t *object = json_object(), *series = json_array(), *labels = json_array();
    bool is_bar = chart->kind == CR_CHART_BAR;
    put(page, object, "kind", json_string(kind_names[chart->kind]));
    put(page, object, "xLabel", text_of(chart->x_label));
    put(page, object, "yLabel", text_of(chart->y_label));
    put(page, object, "logX", json_boolean(chart->log_x));
    put(page, object, "logY", json_boolean(chart->log_y));
    if (chart->y_min < chart->y_max) {
        put(page, object, "yMin", number_of(chart->y_min));
        put(page, object, "yMax", number_of(chart->y_max));
    }
    for (size_t i = 0; is_bar && i < longest(chart); i++)
        json_array_append_new(labels, text_of(chart->labels[i]));
    for (size_t i = 0; i < chart->n_series; i++)
        json_array_append_new(series, series_of(page, &chart->series[i], !is_bar));
    put(page, object, "labels", labels);
    put(page, object, "series", series);
    return object;
}

/* JSON inside a script element: "<" could end it. */
static void put_json(struct cr_page *page, const json_t *value) {
    struct cr_buf text;
    cr_buf_init(&text, (size_t)1 << 28);
    if (page->fault.status == CRITIC_OK &&
        cr_json_append(&text, value, &page->fault) == CRITIC_OK)
        for (size_t from = 0, at = 0; at <= text.len; at++)
            if (at == text.len || text.data[at] == '<') {
                cr_page_put(page, "%.*s%s", (int)(at - from), text.data + from,
                            at < text.len ? "\\u003c" : "");
                from = at + 1;
            }
    cr_buf_fini(&text);
}

/* ---- for readers ------------------------------------------------------------------------------ */

static void put_value(struct cr_page *page, const struct cr_chart *chart,
                      const struct cr_series *s, size_t i) {
    const double *from[3] = {s->y, s->low, s->high};
    char text[3][32];
    double x[3];
    for (int k = 0; k < 3; k++) {
        x[k] = (double)NAN;
        if (from[k] && i < s->n)
            x[k] = from[k][i];
        if (chart->decimals > 0)
            snprintf(text[k], sizeof text[k], "%.*f", chart->decimals, x[k]);
        else
            snprintf(text[k], sizeof text[k], "%.4g", x[k]);
    }
    if (isnan(x[0]))
        cr_page_number(page, x[0], 0);
    else if (isnan(x[1]) || isnan(x[2]))
        cr_page_cell(page, "%s", text[0]);
    else
        cr_page_cell(page, "%s (%s to %s)", text[0], text[1], text[2]);
}

/* Do all series stand at the same places, so that a row can hold them all? */
static bool shares_x(const struct cr_chart *chart) {
    const struct cr_series *first = &chart->series[0];
    for (size_t i = 1; i < chart->n_series; i++) {
        const struct cr_series *s = &chart->series[i];
        if (s->n != first->n ||
            (s->x != first->x && memcmp(s->x, first->x, s->n * sizeof *s->x) != 0))
            return false;
    }
    return true;
}

/* Row `row` of CR_CHART_ROWS out of n points: the first, the last, evenly between. */
static size_t point_of(size_t row, size_t n) {
    if (n <= CR_CHART_ROWS)
        return row;
    return (size_t)((double)row * (double)(n - 1) / (CR_CHART_ROWS - 1) + 0.5);
}

#define MAX_COLUMNS 17

static void wide_table(struct cr_page *page, const struct cr_chart *chart, bool is_bar) {
    struct cr_column columns[MAX_COLUMNS] = {
        {chart->x_label ? chart->x_label : "x", !is_bar, NULL}};
    size_t n = longest(chart);
    for (size_t i = 0; i < chart->n_series; i++)
        columns[i + 1] = (struct cr_column){chart->series[i].name, true, NULL};
    cr_page_table_begin(page, chart->title, columns, chart->n_series + 1);
    for (size_t row = 0; row < CR_MIN(n, (size_t)CR_CHART_ROWS); row++) {
        size_t i = point_of(row, n);
        if (is_bar)
            cr_page_cell(page, "%s", chart->labels[i]);
        else
            cr_page_cell(page, "%.6g", chart->series[0].x[i]);
        for (size_t s = 0; s < chart->n_series; s++)
            put_value(page, chart, &chart->series[s], i);
    }
    cr_page_table_end(page);
}

static void long_table(struct cr_page *page, const struct cr_chart *chart) {
    const struct cr_column columns[] = {
        {"series", false, NULL},
        {chart->x_label ? chart->x_label : "x", true, NULL},
        {chart->y_label ? chart->y_label : "y", true, NULL}};
    cr_page_table_begin(page, chart->title, columns, CR_COUNT(columns));
    for (size_t k = 0; k < chart->n_series; k++) {
        const struct cr_series *s = &chart->series[k];
        for (size_t row = 0; row < CR_MIN(s->n, (size_t)CR_CHART_ROWS); row++) {
            size_t i = point_of(row, s->n);
            cr_page_cell(page, "%s", s->name);
            cr_page_cell(page, "%.6g", s->x[i]);
            put_value(page, chart, s, i);
        }
    }
    cr_page_table_end(page);
}

static void put_table(struct cr_page *page, const struct cr_chart *chart) {
    bool is_bar = chart->kind == CR_CHART_BAR;
    size_t n = longest(chart);
    cr_page_fold_begin(page, "The numbers of this chart");
    if (n > CR_CHART_ROWS)
        cr_page_paragraph(page, "%d of %zu points of each series, evenly chosen.",
                          CR_CHART_ROWS, n);
    if ((is_bar || shares_x(chart)) && chart->n_series < MAX_COLUMNS)
        wide_table(page, chart, is_bar);
    else
        long_table(page, chart);
    cr_page_fold_end(page);
}

void cr_page_chart(struct cr_page *page, const struct cr_chart *chart) {
    CR_ASSERT(chart->kind != CR_CHART_BAR || chart->labels);
    if (chart->n_series == 0 || longest(chart) == 0) {
        cr_page_paragraph(page, "%s: nothing to draw.", chart->title);
        return;
    }
    page->n_charts++;
    size_t id = page->n_charts;
    cr_page_put(page, "<figure class=\"chart\"><figcaption id=\"c%zu\">", id);
    cr_page_put_text(page, cr_str_of(chart->title));
    cr_page_put(page, "</figcaption>\n");
    if (cr_page_has_charts()) {
        cr_page_put(page,
                    "<div class=\"plot\"><canvas role=\"img\" aria-labelledby=\"c%zu\"",
                    id);
        if (chart->description) {
            cr_page_put(page, " aria-describedby=\"d%zu\"", id);
        }
        cr_page_put(page, "></canvas></div>\n<script type=\"application/json\">");
        json_t *value = chart_of(page, chart);
        put_json(page, value);
        json_decref(value);
        cr_page_put(page, "</script>\n");
    } else {
        cr_page_put(page,
                    "<p class=\"muted\">Not drawn: Chart.js was not there when this "
                    "critic was built.</p>\n");
    }
    if (chart->description) {
        cr_page_put(page, "<p id=\"d%zu\">", id);
        cr_page_put_text(page, cr_str_of(chart->description));
        cr_page_put(page, "</p>\n");
    }
    put_table(page, chart);
    cr_page_put(page, "</figure>\n");
}
