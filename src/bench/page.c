#include "bench/page.h"

#include <math.h>

#include "base/checked.h"
#include "report/page.h"

static void ceilings(struct cr_page *page, const struct cr_bench_ceilings *c) {
    const struct cr_column columns[] = {{"what", false, NULL},
                                        {"Gop/s or GB/s", true, NULL}};
    const struct {
        const char *name;
        double value;
    } rows[] = {{"f32, Gop/s", c->f32},
                {"bf16, Gop/s", c->bf16},
                {"int8, Gop/s", c->int8},
                {"memory read, GB/s", c->memory_read}};
    cr_page_heading(page, "Ceilings");
    cr_page_paragraph(page, "What this machine can do at most, measured in the same run: "
                            "arithmetic in registers, and one read pass over memory.");
    cr_page_table_begin(page, "Ceilings of this machine", columns, CR_COUNT(columns));
    for (size_t i = 0; i < CR_COUNT(rows); i++) {
        cr_page_cell(page, "%s", rows[i].name);
        if (rows[i].value > 0)
            cr_page_number(page, rows[i].value, 1);
        else
            cr_page_cell(page, "none");
    }
    cr_page_table_end(page);
}

static void phase_row(struct cr_page *page, const struct cr_bench_phase *p,
                      const struct cr_bench_report *before) {
    const struct cr_bench_phase *then = before ? cr_bench_find(before, p) : NULL;
    cr_page_cell(page, "%s, %zu tokens", p->name, p->tokens);
    cr_page_cell(page, "%s", p->dtype);
    cr_page_number(page, p->seconds, 4);
    if (p->gops > 0)
        cr_page_cell(page, "%.1f Gop/s", p->gops);
    else
        cr_page_cell(page, "%.2f GB/s", p->gbps);
    cr_page_heat(page, CR_MIN(p->share, 1.0), 3);
    if (before)
        cr_page_number(page, then ? then->seconds / p->seconds : (double)NAN, 2);
}

static void phases(struct cr_page *page, const struct cr_bench_report *r,
                   const struct cr_bench_report *before) {
    const struct cr_column columns[] = {
        {"phase", false, NULL},
        {"dtype", false, NULL},
        {"seconds", true, "of its fastest pass"},
        {"rate", true, NULL},
        {"share", true,
         "useful operations, or bytes that must be read, a second, of the ceiling"},
        {"faster", true, "times as fast as in the report compared with"}};
    size_t n = CR_COUNT(columns) - (before ? 0 : 1);
    const char *names[CR_BENCH_MAX_PHASES];
    char text[CR_BENCH_MAX_PHASES][48];
    double shares[CR_BENCH_MAX_PHASES];
    cr_page_heading(page, "Phases");
    cr_page_table_begin(page, "Phases of judging", columns, n);
    for (size_t i = 0; i < r->n_phases; i++)
        phase_row(page, &r->phases[i], before);
    cr_page_table_end(page);
    for (size_t i = 0; i < r->n_phases; i++) {
        snprintf(text[i], sizeof text[i], "%.31s %zu", r->phases[i].name,
                 r->phases[i].tokens);
        names[i] = text[i];
        shares[i] = r->phases[i].share;
    }
    const struct cr_series series = {.name = "share", .y = shares, .n = r->n_phases};
    const struct cr_chart chart = {.kind = CR_CHART_BAR,
                                   .title = "Share of the ceiling",
                                   .description =
                                       "A bar a phase: 1 is all that the machine can do.",
                                   .x_label = "phase and tokens",
                                   .y_label = "share",
                                   .labels = names,
                                   .series = &series,
                                   .n_series = 1,
                                   .decimals = 3};
    if (r->n_phases > 0)
        cr_page_chart(page, &chart);
}

static void sharing(struct cr_page *page, const struct cr_bench_report *r) {
    const struct cr_column columns[] = {{"what", false, NULL}, {"ratio", true, NULL}};
    struct cr_bench_ratios ratios = cr_bench_ratios(r);
    if (isnan(ratios.answers_8) && isnan(ratios.pairs_20))
        return;
    cr_page_heading(page, "What prompts share");
    cr_page_table_begin(page, "Sharing", columns, CR_COUNT(columns));
    cr_page_cell(page, "8 answers on one picture, times as long as 1");
    cr_page_number(page, ratios.answers_8, 2);
    cr_page_cell(page, "20 ordered pairs of 5 answers, times as fast as each alone");
    cr_page_number(page, ratios.pairs_20, 2);
    cr_page_table_end(page);
}

enum critic_status cr_bench_page(const char *path, const struct cr_bench_report *report,
                                 const struct cr_bench_report *before,
                                 critic_error *err) {
    struct cr_page *page;
    CR_TRY(cr_page_new(&page, "critic bench", err));
    if (report->n_phases > 0)
        cr_page_subtitle(page, "%s, %s", report->phases[0].shape,
                         report->phases[0].dtype);
    ceilings(page, &report->ceilings);
    phases(page, report, before);
    sharing(page, report);
    enum critic_status status = cr_page_write(page, path, err);
    cr_page_free(page);
    return status;
}
