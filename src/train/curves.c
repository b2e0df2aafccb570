#include "train/curves.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "base/file.h"
#include "io/json.h"
#include "io/jsonl.h"
#include "report/page.h"

#define MAX_CURVES 48
#define MAX_POINTS 1000 /* of a curve on the page */
#define MAX_LINE   ((size_t)1 << 16)

/* One key of metrics.jsonl over the steps. */
struct curve {
    char name[48];
    double *step, *value;
    size_t n, cap;
};

struct curves {
    struct curve items[MAX_CURVES];
    size_t n;
};

static void fini(struct curves *c) {
    for (size_t i = 0; i < c->n; i++) {
        free(c->items[i].step);
        free(c->items[i].value);
    }
}

static struct curve *curve_of(struct curves *c, const char *name) {
    for (size_t i = 0; i < c->n; i++)
        if (strcmp(c->items[i].name, name) == 0)
            return &c->items[i];
    if (c->n == MAX_CURVES || strlen(name) >= sizeof c->items[0].name)
        return NULL; /* more kinds of numbers than a page can show */
    struct curve *curve = &c->items[c->n++];
    snprintf(curve->name, sizeof curve->name, "%s", name);
    return curve;
}

static enum critic_status push(struct curve *c, double step, double value,
                               critic_error *err) {
    if (c->n == c->cap) {
        size_t cap = CR_MAX(c->cap * 2, 256);
        double *steps = realloc(c->step, cap * sizeof *steps);
        if (steps)
            c->step = steps;
        double *values = steps ? realloc(c->value, cap * sizeof *values) : NULL;
        if (!values)
            return cr_fail(err, CRITIC_NO_MEMORY, "out of memory for the curves");
        c->value = values;
        c->cap = cap;
    }
    c->step[c->n] = step;
    c->value[c->n++] = value;
    return CRITIC_OK;
}

static enum critic_status add_line(struct curves *c, json_t *line, critic_error *err) {
    const char *key;
    json_t *value;
    double step = json_number_value(json_object_get(line, "step"));
    json_object_foreach(line, key, value) {
        struct curve *curve =
            json_is_number(value) && strcmp(key, "step") != 0 ? curve_of(c, key) : NULL;
        if (curve)
            CR_TRY(push(curve, step, json_number_value(value), err));
    }
    return CRITIC_OK;
}

static enum critic_status read_curves(struct curves *c, const char *path,
                                      critic_error *err) {
    struct cr_jsonl_reader reader;
    struct cr_str line;
    CR_TRY(cr_jsonl_open(&reader, path, MAX_LINE, err));
    enum critic_status status = cr_jsonl_next(&reader, &line, err);
    while (status == CRITIC_OK && line.data) {
        json_t *root;
        status = cr_json_parse(&root, line.data, line.len, path, err);
        if (status == CRITIC_OK) {
            status = add_line(c, root, err);
            json_decref(root);
        }
        if (status == CRITIC_OK)
            status = cr_jsonl_next(&reader, &line, err);
    }
    cr_jsonl_close(&reader);
    return status;
}

/* Means of equal runs of points: what a page can draw and a reader can see. */
static void thin(struct curve *c) {
    if (c->n <= MAX_POINTS)
        return;
    size_t kept = 0, run = CR_CEIL_DIV(c->n, MAX_POINTS);
    for (size_t first = 0; first < c->n; first += run) {
        size_t end = CR_MIN(first + run, c->n);
        double sum = 0, last = c->step[end - 1];
        for (size_t i = first; i < end; i++)
            sum += c->value[i];
        c->step[kept] = last;
        c->value[kept++] = sum / (double)(end - first);
    }
    c->n = kept;
}

/* ---- charts ---- */

#define MAX_NAMES 8

struct chart {
    const char *title, *y_label;
    bool log_y;
    const char *names[MAX_NAMES]; /* evaluations, "eval_NAME", stand beside them */
};

/* clang-format off */
static const struct chart learning[] = {
    {"Loss", "loss", false, {"loss", "text_loss", "label_loss", "losses/dpo", "losses/sft"}},
    {"Rewards: beta times the log-ratio to the reference", "reward", false,
     {"rewards/chosen", "rewards/rejected", "rewards/margins"}},
    {"How pairs are told apart", "share of pairs", false,
     {"rewards/accuracies", "rewards/longer", "rewards/saturated"}},
    {"Log-probability of the answers", "nats", false,
     {"logps/chosen", "logps/rejected", "ref_logps/chosen", "ref_logps/rejected"}},
    {"Divergence from the reference, estimated", "nats an answer", false, {"kl"}},
    {"Length of the answers", "tokens", false, {"tokens/chosen", "tokens/rejected"}},
};
static const struct chart machinery[] = {
    {"Norm of the gradient, before clipping", "norm", true,
     {"grad_norm", "grad_norm_decoder", "grad_norm_projector", "grad_norm_tower"}},
    {"Learning rate of the decoder", "rate", false, {"lr"}},
    {"Speed", "tokens a second", false, {"tokens_per_second"}},
};
static const struct chart not_drawn = {.names = {"epoch", "tokens", "seconds", "targets"}};
/* clang-format on */

static bool has(const struct chart *chart, const char *name) {
    if (strncmp(name, "eval_", 5) == 0)
        name += 5;
    for (size_t i = 0; i < MAX_NAMES && chart->names[i]; i++)
        if (strcmp(chart->names[i], name) == 0)
            return true;
    return false;
}

static bool is_known(const char *name) {
    bool known = has(&not_drawn, name);
    for (size_t i = 0; i < CR_COUNT(learning); i++)
        known = known || has(&learning[i], name);
    for (size_t i = 0; i < CR_COUNT(machinery); i++)
        known = known || has(&machinery[i], name);
    return known;
}

/* Is it a share that a task of its own kind reports? */
static bool is_share(const struct curve *c) {
    bool share = !is_known(c->name);
    for (size_t k = 0; k < c->n && share; k++)
        share = c->value[k] >= 0 && c->value[k] <= 1;
    return share;
}

/* chart->names[0] NULL: every share that no chart knows. */
static void draw(struct cr_page *page, const struct curves *c,
                 const struct chart *chart) {
    struct cr_series series[MAX_CURVES];
    size_t n = 0;
    for (size_t i = 0; i < c->n; i++) {
        const struct curve *curve = &c->items[i];
        if (chart->names[0] ? has(chart, curve->name) : is_share(curve))
            series[n++] = (struct cr_series){
                .name = curve->name, .x = curve->step, .y = curve->value, .n = curve->n};
    }
    const struct cr_chart what = {.kind = CR_CHART_LINE,
                                  .title = chart->title,
                                  .x_label = "step",
                                  .y_label = chart->y_label,
                                  .series = series,
                                  .n_series = n,
                                  .log_y = chart->log_y};
    if (n > 0)
        cr_page_chart(page, &what);
}

/* ---- the page ---- */

static void last_values(struct cr_page *page, const struct curves *c) {
    const struct cr_column columns[] = {
        {"quantity", false, NULL}, {"step", true, NULL}, {"last value", true, NULL}};
    cr_page_table_begin(page, "Last value of everything reported", columns, 3);
    for (size_t i = 0; i < c->n; i++) {
        const struct curve *curve = &c->items[i];
        cr_page_cell(page, "%s", curve->name);
        cr_page_cell(page, "%.0f", curve->step[curve->n - 1]);
        cr_page_cell(page, "%.6g", curve->value[curve->n - 1]);
    }
    cr_page_table_end(page);
}

static enum critic_status write_page(struct curves *c, const char *run, const char *path,
                                     critic_error *err) {
    static const struct chart shares = {.title = "Shares that are right",
                                        .y_label = "share"};
    struct cr_page *page;
    CR_TRY(cr_page_new(&page, "Training run", err));
    cr_page_subtitle(page, "%s", run);
    for (size_t i = 0; i < c->n; i++)
        thin(&c->items[i]);
    cr_page_heading(page, "Learning");
    for (size_t i = 0; i < CR_COUNT(learning); i++)
        draw(page, c, &learning[i]);
    draw(page, c, &shares);
    cr_page_heading(page, "Machinery");
    for (size_t i = 0; i < CR_COUNT(machinery); i++)
        draw(page, c, &machinery[i]);
    cr_page_heading(page, "Numbers");
    last_values(page, c);
    enum critic_status status = cr_page_write(page, path, err);
    cr_page_free(page);
    return status;
}

enum critic_status cr_curves_write(const char *run, critic_error *err) {
    struct curves *c = calloc(1, sizeof *c);
    struct cr_buf path;
    enum critic_status status;
    if (!c)
        return cr_fail(err, CRITIC_NO_MEMORY, "out of memory for the curves");
    cr_buf_init(&path, 1 << 16);
    CR_TRY_GOTO(cr_path_join(&path, run, "metrics.jsonl", err));
    CR_TRY_GOTO(read_curves(c, path.data, err));
    CR_TRY_GOTO(cr_path_join(&path, run, "report.html", err));
    CR_TRY_GOTO(write_page(c, run, path.data, err));
fail:
    fini(c);
    free(c);
    cr_buf_fini(&path);
    return status;
}
