/* The panel as JSON, table and chart. */
#include <math.h>

#include "base/checked.h"
#include "eval/panel.h"
#include "report/page.h"

const char *const cr_panel_colours[] = {"not measured", "green", "amber", "red"};

json_t *cr_panel_json(const struct cr_panel *p) {
    json_t *rows = json_array();
    for (size_t i = 0; i < p->n; i++) {
        const struct cr_panel_row *r = &p->rows[i];
        bool interval = !r->interval.why && isfinite(r->interval.low);
        json_array_append_new(
            rows,
            json_pack(
                "{s:s, s:o, s:o, s:I, s:s, s:f, s:f, s:s}", "name", r->name, "value",
                cr_stat_ok(r->value) ? json_real(r->value.value) : json_null(), "ci",
                interval ? json_pack("[f, f]", r->interval.low, r->interval.high)
                         : json_null(),
                "n", (json_int_t)r->n, "colour", cr_panel_colours[r->colour], "amber",
                r->amber, "red", r->red, "sentence", r->sentence));
    }
    return rows;
}

static void put_table(const struct cr_panel *p, struct cr_page *page) {
    static const struct cr_column columns[] = {
        {"disease", false, NULL},
        {"colour", false, "thresholds are ours and stand in the next columns"},
        {"value", true, "with a 95 % interval, percentile bootstrap over items"},
        {"amber from", true, NULL},
        {"red from", true, NULL},
        {"n", true, "items that count"},
        {"in words", false, NULL}};
    static const enum cr_tone tones[] = {CR_TONE_MUTED, CR_TONE_GREEN, CR_TONE_AMBER,
                                         CR_TONE_RED};
    cr_page_table_begin(page, "Panel", columns, 7);
    for (size_t i = 0; i < p->n; i++) {
        const struct cr_panel_row *r = &p->rows[i];
        cr_page_cell(page, "%s", r->name);
        cr_page_cell_tone(page, tones[r->colour], "%s", cr_panel_colours[r->colour]);
        cr_page_interval(page, r->value.value, r->interval.low, r->interval.high, 2);
        cr_page_number(page, r->amber, 2);
        cr_page_number(page, r->red, 2);
        cr_page_cell(page, "%zu", r->n);
        cr_page_cell(page, "%s", r->sentence);
    }
    cr_page_table_end(page);
}

static void put_chart(const struct cr_panel *p, struct cr_page *page) {
    const char *labels[CR_PANEL_ROWS];
    double y[CR_PANEL_ROWS], low[CR_PANEL_ROWS], high[CR_PANEL_ROWS];
    size_t n = 0;
    for (size_t i = 0; i < p->n; i++) {
        const struct cr_panel_row *r = &p->rows[i];
        if (r->colour == CR_PANEL_NONE)
            continue;
        labels[n] = r->name;
        y[n] = r->value.value;
        low[n] = r->interval.why ? (double)NAN : r->interval.low;
        high[n++] = r->interval.why ? (double)NAN : r->interval.high;
    }
    const struct cr_series series = {"value", NULL, y, low, high, n};
    const struct cr_chart chart = {.kind = CR_CHART_BAR,
                                   .title = "Strength of each",
                                   .description =
                                       "Bars with 95 % intervals; which side is bad "
                                       "stands in the table.",
                                   .x_label = "disease",
                                   .labels = labels,
                                   .series = &series,
                                   .n_series = 1,
                                   .decimals = 2};
    cr_page_chart(page, &chart);
}

void cr_panel_page(const struct cr_panel *p, struct cr_page *page) {
    put_table(p, page);
    put_chart(p, page);
}
