/* JSON, CSV and Markdown. */
#include "eval/result.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/checked.h"
#include "eval/calibration.h"
#include "io/json.h"
#include "judge/template.h"

struct cr_judged_text cr_result_judged(const struct cr_result *r) {
    struct cr_judged_text t;
    const struct cr_metrics *m = r->metrics;
    int n = snprintf(t.text, sizeof t.text, "%zu of %zu judged", m->n_judged, m->n_total);
    if (m->n_unparsed + m->n_error > 0)
        snprintf(t.text + n, sizeof t.text - (size_t)n, "; %zu unparsed, %zu failed",
                 m->n_unparsed, m->n_error);
    return t;
}

/* ---- JSON --------------------------------------------------------------------------------------- */

static json_t *stat_json(double value, bool ok) {
    return ok ? cr_json_number(value) : json_null();
}

static json_t *text_json(const char *text) {
    return text ? json_string(text) : json_null();
}

static json_t *metric_json(const struct cr_metric *m) {
    bool has_interval = !m->interval.why && isfinite(m->interval.low);
    return json_pack("{s:s, s:s, s:o, s:o, s:o, s:o, s:I, s:I, s:b, s:b}", "metric",
                     m->name, "rule", m->variant, "group", text_json(m->group), "value",
                     stat_json(m->value.value, cr_stat_ok(m->value)), "ci",
                     has_interval ? json_pack("[f, f]", m->interval.low, m->interval.high)
                                  : json_null(),
                     "why", text_json(m->value.why), "n", (json_int_t)m->n, "n_used",
                     (json_int_t)m->n_used, "percent", m->is_percent, "headline",
                     m->is_headline);
}

static json_t *faults_json(const struct cr_faults *faults) {
    json_t *list = json_array();
    for (size_t i = 0; faults && i < faults->n; i++)
        json_array_append_new(list,
                              json_pack("{s:s, s:s, s:I}", "kind", faults->items[i].kind,
                                        "first", faults->items[i].message, "n",
                                        (json_int_t)faults->items[i].n));
    return list;
}

static void put_set(json_t *o, const struct cr_exam_set *set) {
    if (!set)
        return;
    json_object_set_new(o, "file_hash", json_string(set->hash));
    json_object_set_new(o, "groups", text_json(set->groups));
    json_object_set_new(o, "is_published_file", json_boolean(set->is_published));
    json_object_set_new(o, "items_in_file", json_integer((json_int_t)set->n_file));
}

static json_t *published_json(const char *bench) {
    json_t *list = json_array();
    for (const struct cr_published *p = cr_published; p->bench; p++) {
        const char grade[2] = {p->grade, '\0'};
        if (strcmp(p->bench, bench) == 0)
            json_array_append_new(list, json_pack("{s:s, s:s, s:f, s:s, s:s}", "judge",
                                                  p->judge, "metric", p->metric, "value",
                                                  p->value, "grade", grade, "source",
                                                  p->source));
    }
    return list;
}

const char *cr_result_wording(const struct cr_result *r) {
    struct cr_template *t = NULL;
    const char *name = r->rows->template_name, *hash = r->rows->template_hash;
    bool ours = name && hash && cr_template_open_builtin(&t, name, NULL) == CRITIC_OK &&
                strcmp(t->hash, hash) == 0;
    cr_template_free(t);
    return ours ? "ours, in the published structure"
                : "read from a file (--template); its hash is the template's";
}

/* null where no probabilities were read. */
static json_t *calibration_json(const struct cr_result *r) {
    struct cr_calibration c;
    json_t *bins = json_array();
    if (cr_calibration_of(&c, r->rows, NULL) != CRITIC_OK || c.n == 0) {
        json_decref(bins);
        return json_null();
    }
    for (size_t b = 0; b < CR_N_CALIBRATION_BINS; b++)
        if (c.bins[b].n > 0)
            json_array_append_new(bins, json_pack("{s:I, s:f, s:f}", "n",
                                                  (json_int_t)c.bins[b].n, "confidence",
                                                  c.bins[b].confidence, "right",
                                                  c.bins[b].frequency));
    return json_pack("{s:I, s:o, s:o, s:o, s:o}", "n", (json_int_t)c.n, "ece",
                     stat_json(c.ece.value, cr_stat_ok(c.ece)), "brier",
                     stat_json(c.brier.value, cr_stat_ok(c.brier)), "auroc",
                     stat_json(c.auroc.value, cr_stat_ok(c.auroc)), "bins", bins);
}

json_t *cr_result_json(const struct cr_result *r) {
    const struct cr_metrics *m = r->metrics;
    const struct cr_exam *b = r->rows->bench;
    json_t *o = json_object(), *metrics = json_array();
    size_t prompt = 0, completion = 0;
    for (size_t i = 0; i < r->rows->n; i++) {
        prompt += r->rows->items[i].prompt_tokens;
        completion += r->rows->items[i].completion_tokens;
    }
    for (size_t i = 0; i < m->n; i++)
        json_array_append_new(metrics, metric_json(&m->items[i]));
    json_object_set_new(o, "bench", json_string(b->name));
    json_object_set_new(o, "title", json_string(b->title));
    json_object_set_new(o, "judge", text_json(r->label));
    json_object_set_new(o, "model", text_json(r->rows->model));
    json_object_set_new(o, "model_hash", text_json(r->rows->model_hash));
    json_object_set_new(o, "template", text_json(r->rows->template_name));
    json_object_set_new(o, "template_hash", text_json(r->rows->template_hash));
    json_object_set_new(o, "wording", json_string(cr_result_wording(r)));
    json_object_set_new(o, "orders", text_json(r->orders));
    json_object_set_new(o, "samples", json_integer((json_int_t)r->n_samples));
    json_object_set_new(o, "seed", json_integer((json_int_t)r->rows->seed));
    json_object_set_new(o, "version", json_string(critic_version()));
    put_set(o, r->set);
    json_object_set_new(o, "items",
                        json_pack("{s:I, s:I, s:I, s:I}", "total", (json_int_t)m->n_total,
                                  "judged", (json_int_t)m->n_judged, "unparsed",
                                  (json_int_t)m->n_unparsed, "failed",
                                  (json_int_t)m->n_error));
    json_object_set_new(o, "parsing",
                        json_pack("{s:b, s:I, s:I, s:I}", "has_text", m->has_official,
                                  "official_read", (json_int_t)m->n_official,
                                  "official_failed", (json_int_t)m->n_official_failed,
                                  "differ", (json_int_t)m->n_differ));
    json_object_set_new(o, "tokens",
                        json_pack("{s:I, s:I}", "prompt", (json_int_t)prompt,
                                  "completion", (json_int_t)completion));
    json_object_set_new(o, "bootstrap",
                        json_pack("{s:I, s:f, s:I, s:s}", "draws",
                                  (json_int_t)r->boot.n_draws, "level", r->boot.level,
                                  "seed", (json_int_t)r->boot.seed, "unit",
                                  b->keys.cluster ? b->keys.cluster : "item"));
    json_object_set_new(o, "metrics", metrics);
    json_object_set_new(o, "calibration", calibration_json(r));
    if (r->panel)
        json_object_set_new(o, "panel", cr_panel_json(r->panel));
    json_object_set_new(o, "published", published_json(b->name));
    json_object_set_new(o, "faults", faults_json(r->faults));
    json_object_set_new(o, "note", text_json(b->note));
    return o;
}

/* ---- CSV ---------------------------------------------------------------------------------------- */

static enum critic_status csv_text(struct cr_buf *out, const char *s, critic_error *err) {
    if (!s)
        return CRITIC_OK;
    if (!s[strcspn(s, ",\"\r\n")])
        return cr_buf_append_c(out, s, err);
    CR_TRY(cr_buf_append_c(out, "\"", err));
    for (; *s; s++)
        CR_TRY(cr_buf_append(out, *s == '"' ? "\"\"" : s, *s == '"' ? 2 : 1, err));
    return cr_buf_append_c(out, "\"", err);
}

static enum critic_status csv_number(struct cr_buf *out, double x, critic_error *err) {
    return isfinite(x) ? cr_buf_printf(out, err, "%.10g", x) : CRITIC_OK;
}

static enum critic_status csv_reading(struct cr_buf *out, const struct cr_reading *r,
                                      critic_error *err) {
    static const char *const picks[] = {"first", "second", "tie", ""};
    static const char *const arena[] = {"", "A>>B", "A>B", "A=B", "B>A", "B>>A"};
    if (!r || !r->ok)
        return CRITIC_OK;
    if (r->order[0])
        return cr_buf_append_c(out, r->order, err);
    if (isfinite(r->pair[0]))
        return cr_buf_printf(out, err, "%g %g", r->pair[0], r->pair[1]);
    if (r->arena)
        return cr_buf_append_c(out, arena[r->arena], err);
    return isfinite(r->score) ? csv_number(out, r->score, err)
                              : cr_buf_append_c(out, picks[r->pick], err);
}

static enum critic_status csv_row(struct cr_buf *out, const struct cr_result *r,
                                  const struct cr_judgement *row, critic_error *err) {
    static const char *const statuses[] = {"ok", "unparsed", "error"};
    static const char *const picks[] = {"first", "second", "tie", ""};
    const struct cr_heard *h = cr_judgement_official(row);
    CR_TRY(csv_text(out, r->label, err));
    CR_TRY(cr_buf_append_c(out, ",", err));
    CR_TRY(csv_text(out, row->id, err));
    CR_TRY(cr_buf_append_c(out, ",", err));
    CR_TRY(csv_text(out, row->group, err));
    CR_TRY(cr_buf_printf(out, err, ",%s,", statuses[row->status]));
    if (row->label_order || isfinite(row->label_score))
        CR_TRY(row->label_order ? csv_text(out, row->label_order, err)
                                : csv_number(out, row->label_score, err));
    else
        CR_TRY(cr_buf_append_c(out, picks[row->label_pick], err));
    CR_TRY(cr_buf_append_c(out, ",", err));
    CR_TRY(csv_reading(out, h ? &h->official : NULL, err));
    CR_TRY(cr_buf_append_c(out, ",", err));
    CR_TRY(csv_reading(out, &row->robust, err));
    CR_TRY(cr_buf_printf(out, err, ",%s,",
                         !row->has_consistent ? ""
                         : row->consistent    ? "yes"
                                              : "no"));
    CR_TRY(csv_number(out, row->p_first, err));
    CR_TRY(cr_buf_printf(out, err, ",%zu,%zu,", row->lengths[0], row->lengths[1]));
    CR_TRY(csv_text(out, row->error, err));
    return cr_buf_append_c(out, "\n", err);
}

enum critic_status cr_result_csv(const struct cr_result *results, size_t n,
                                 struct cr_buf *out, critic_error *err) {
    CR_TRY(
        cr_buf_append_c(out,
                        "judge,id,group,status,label,official,robust,consistent,p_first,"
                        "length_first,length_second,error\n",
                        err));
    for (size_t k = 0; k < n; k++)
        for (size_t i = 0; i < results[k].rows->n; i++)
            CR_TRY(csv_row(out, &results[k], &results[k].rows->items[i], err));
    return CRITIC_OK;
}

/* ---- Markdown ------------------------------------------------------------------------------------- */

static enum critic_status md_value(struct cr_buf *out, const struct cr_metric *m,
                                   critic_error *err) {
    int decimals = m && m->is_percent ? 1 : 3;
    if (!m || !cr_stat_ok(m->value))
        return cr_buf_append_c(out, " \xe2\x80\x93 |", err);
    CR_TRY(cr_buf_printf(out, err, " %.*f", decimals, m->value.value));
    if (!m->interval.why && isfinite(m->interval.low))
        CR_TRY(cr_buf_printf(out, err, " [%.*f, %.*f]", decimals, m->interval.low,
                             decimals, m->interval.high));
    return cr_buf_append_c(out, " |", err);
}

enum critic_status cr_result_markdown(const struct cr_result *results, size_t n,
                                      struct cr_buf *out, critic_error *err) {
    const struct cr_exam *b = results[0].rows->bench;
    CR_TRY(cr_buf_printf(out, err, "| %s | rule | group | n |", b->title));
    for (size_t k = 0; k < n; k++)
        CR_TRY(cr_buf_printf(out, err, " %s |", results[k].label));
    CR_TRY(cr_buf_append_c(out, "\n|---|---|---|---:|", err));
    for (size_t k = 0; k < n; k++)
        CR_TRY(cr_buf_append_c(out, "---:|", err));
    CR_TRY(cr_buf_append_c(out, "\n", err));
    for (size_t i = 0; i < results[0].metrics->n; i++) {
        const struct cr_metric *m = &results[0].metrics->items[i];
        CR_TRY(cr_buf_printf(out, err, "| %s%s | %s | %s | %zu |", m->name,
                             m->is_percent ? " (%)" : "", m->variant,
                             m->group ? m->group : "all", m->n_used));
        for (size_t k = 0; k < n; k++)
            CR_TRY(md_value(
                out, cr_metric_find(results[k].metrics, m->name, m->variant, m->group),
                err));
        CR_TRY(cr_buf_append_c(out, "\n", err));
    }
    for (size_t k = 0; k < n; k++)
        CR_TRY(cr_buf_printf(
            out, err, "\n%s: %s; template %s; orders %s; %zu sample%s an item.",
            results[k].label, cr_result_judged(&results[k]).text,
            results[k].rows->template_name ? results[k].rows->template_name : "?",
            results[k].orders, results[k].n_samples,
            results[k].n_samples == 1 ? "" : "s"));
    return cr_buf_printf(
        out, err, "\nIntervals: %g %% percentile bootstrap, %zu draws, seed %llu.\n",
        100 * results[0].boot.level, results[0].boot.n_draws,
        (unsigned long long)results[0].boot.seed);
}
