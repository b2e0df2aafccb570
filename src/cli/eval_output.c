#include "cli/eval_output.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "base/dir.h"
#include "base/file.h"
#include "cli/eval.h"
#include "eval/calibration.h"
#include "io/json.h"
#include "report/page.h"

#define MAX_TEXT ((size_t)1 << 31)

/* "OUT.html" to "OUT.json" into path. */
static enum critic_status twin_path(struct cr_buf *path, const char *report,
                                    critic_error *err) {
    size_t n = strlen(report);
    if (n > 5 && strcmp(report + n - 5, ".html") == 0)
        n -= 5;
    CR_TRY(cr_buf_append(path, report, n, err));
    return cr_buf_append_c(path, ".json", err);
}

static enum critic_status write_json(const char *report, json_t *whole,
                                     critic_error *err) {
    struct cr_buf text, path;
    cr_buf_init(&text, MAX_TEXT);
    cr_buf_init(&path, 1 << 16);
    enum critic_status status =
        whole ? cr_json_append_exact(&text, whole, err)
              : cr_fail(err, CRITIC_NO_MEMORY, "no memory for a report");
    if (status == CRITIC_OK)
        status = cr_buf_append_c(&text, "\n", err);
    if (status == CRITIC_OK)
        status = twin_path(&path, report, err);
    if (status == CRITIC_OK)
        status = cr_file_write_text(path.data, cr_buf_str(&text), err);
    json_decref(whole);
    cr_buf_fini(&text);
    cr_buf_fini(&path);
    return status;
}

enum critic_status cr_eval_apart(const char *input, const char *output,
                                 critic_error *err) {
    struct cr_buf names, path;
    const char *name = NULL;
    enum critic_status status = cr_file_apart(input, output, err);
    cr_buf_init(&names, MAX_TEXT);
    cr_buf_init(&path, 1 << 16);
    if (status == CRITIC_OK && cr_dir_list(&names, input, NULL) == CRITIC_OK)
        while (status == CRITIC_OK && (name = cr_dir_next(&names, name)))
            if (cr_path_join(&path, input, name, NULL) == CRITIC_OK)
                status = cr_file_apart(path.data, output, err);
    cr_buf_fini(&names);
    cr_buf_fini(&path);
    return status;
}

enum critic_status cr_eval_report_apart(const char *input, const char *report,
                                        critic_error *err) {
    struct cr_buf twin;
    if (!report)
        return CRITIC_OK;
    cr_buf_init(&twin, 1 << 16);
    enum critic_status status = cr_eval_apart(input, report, err);
    if (status == CRITIC_OK)
        status = twin_path(&twin, report, err);
    if (status == CRITIC_OK)
        status = cr_eval_apart(input, twin.data, err);
    cr_buf_fini(&twin);
    return status;
}

enum critic_status
cr_eval_write_report(const char *report, const char *title,
                     void (*fill)(struct cr_page *page, const void *from),
                     const void *from, json_t *twin, critic_error *err) {
    struct cr_page *page = NULL;
    enum critic_status status = cr_page_new(&page, title, err);
    if (status == CRITIC_OK) {
        fill(page, from);
        status = cr_page_write(page, report, err);
    }
    cr_page_free(page);
    if (status == CRITIC_OK)
        return write_json(report, twin, err);
    json_decref(twin);
    return status;
}

struct results {
    const struct cr_result *items;
    size_t n;
};

static void fill_results(struct cr_page *page, const void *from) {
    const struct results *r = from;
    cr_result_page(r->items, r->n, page);
}

static enum critic_status write_page(const char *report, const struct cr_result *results,
                                     size_t n, critic_error *err) {
    const struct results all = {results, n};
    char title[160];
    json_t *list = json_array();
    for (size_t i = 0; i < n; i++)
        json_array_append_new(list, cr_result_json(&results[i]));
    snprintf(title, sizeof title, "%s: how good %s", results[0].rows->bench->title,
             n == 1 ? "is this judge" : "are these judges");
    return cr_eval_write_report(report, title, fill_results, &all,
                                json_pack("{s:o}", "judges", list), err);
}

typedef enum critic_status (*make_text)(const struct cr_result *, size_t, struct cr_buf *,
                                        critic_error *);

static enum critic_status write_made(const char *path, make_text make,
                                     const struct cr_result *results, size_t n,
                                     critic_error *err) {
    struct cr_buf text;
    cr_buf_init(&text, MAX_TEXT);
    enum critic_status status = make(results, n, &text, err);
    if (status == CRITIC_OK)
        status = cr_file_write_text(path, cr_buf_str(&text), err);
    cr_buf_fini(&text);
    return status;
}

enum critic_status cr_result_apart(const struct cr_result_flags *f, const char *input,
                                   critic_error *err) {
    const char *const outputs[] = {f->csv, f->markdown};
    for (size_t i = 0; i < CR_COUNT(outputs); i++)
        if (outputs[i])
            CR_TRY(cr_eval_apart(input, outputs[i], err));
    return cr_eval_report_apart(input, f->report, err);
}

enum critic_status cr_result_files(const struct cr_result_flags *f,
                                   const struct cr_result *results, size_t n,
                                   critic_error *err) {
    if (f->report)
        CR_TRY(write_page(f->report, results, n, err));
    if (f->csv)
        CR_TRY(write_made(f->csv, cr_result_csv, results, n, err));
    if (f->markdown)
        CR_TRY(write_made(f->markdown, cr_result_markdown, results, n, err));
    return CRITIC_OK;
}

static void print_calibration(const struct cr_result *r) {
    struct cr_calibration c;
    if (cr_calibration_of(&c, r->rows, NULL) != CRITIC_OK || c.n < CR_CALIBRATION_MIN)
        return;
    printf("  calibration error %.3f, Brier score %.3f, AUROC %s, from %zu items with a "
           "probability\n",
           c.ece.value, c.brier.value, cr_eval_text(c.auroc, 3).text, c.n);
}

void cr_result_print(const struct cr_result *r) {
    const struct cr_metric *head = cr_metric_headline(r->metrics);
    printf("%s, %s: %s\n", r->rows->bench->title, r->label, cr_result_judged(r).text);
    if (!head)
        printf("  no headline figure\n");
    for (size_t i = 0; i < r->metrics->n; i++) {
        const struct cr_metric *m = &r->metrics->items[i];
        int d = m->is_percent ? 1 : 3;
        printf("  %-36s %-22s %-22s ", m->name, m->variant, m->group ? m->group : "all");
        if (!cr_stat_ok(m->value))
            printf("%8s  (%s)\n", "-", m->value.why);
        else if (m->interval.why)
            printf("%8.*f  n %zu\n", d, m->value.value, m->n_used);
        else
            printf("%8.*f  (%.*f to %.*f)  n %zu\n", d, m->value.value, d,
                   m->interval.low, d, m->interval.high, m->n_used);
    }
    if (r->metrics->has_official)
        printf("  official rule read %zu of %zu replies; it and ours differ on %zu\n",
               r->metrics->n_official,
               r->metrics->n_official + r->metrics->n_official_failed,
               r->metrics->n_differ);
    print_calibration(r);
}
