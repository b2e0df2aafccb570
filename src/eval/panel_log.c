/* What came of each item of a panel, one line an item, so that a killed panel goes on. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "eval/panel_impl.h"
#include "io/json.h"

#define MAX_LINE ((size_t)1 << 24)

static enum critic_status no_memory(critic_error *err) {
    return cr_fail(err, CRITIC_NO_MEMORY, "no memory for the panel's lines");
}

static enum critic_status on_old_line(void *user, struct cr_str line, size_t number,
                                      critic_error *err) {
    struct cr_panel_log *l = user;
    json_t *row = NULL;
    char where[300];
    snprintf(where, sizeof where, "%.250s:%zu", l->path, number);
    CR_TRY(cr_json_parse(&row, line.data, line.len, where, err));
    const char *id = json_string_value(json_object_get(row, "id"));
    const char *asked = json_string_value(json_object_get(row, "panel"));
    enum critic_status status = CRITIC_OK;
    if (!id || !asked || strcmp(asked, l->identity) != 0)
        status = cr_fail(err, CRITIC_BAD_DATA,
                         "%s: of another judge, other flags or other items; expected a "
                         "line of this panel to go on",
                         where);
    else if (json_integer_value(json_object_get(row, "n_failed")) > 0)
        l->rewrite = true; /* asked again */
    else if (json_object_set(l->there, id, row) != 0 ||
             json_array_append_new(l->order, json_string(id)) != 0)
        status = no_memory(err);
    json_decref(row);
    return status;
}

enum critic_status cr_panel_log_open(struct cr_panel_log *l,
                                     const struct cr_panel_opts *opts, size_t n_items,
                                     critic_error *err) {
    memset(l, 0, sizeof *l);
    l->log.fd = -1;
    l->path = opts->output;
    l->n = n_items;
    l->identity = opts->identity ? opts->identity : "";
    if (!l->path)
        return CRITIC_OK;
    l->there = json_object();
    l->order = json_array();
    l->keys = calloc(n_items + 1, sizeof *l->keys);
    if (!l->there || !l->order || !l->keys)
        return no_memory(err);
    return cr_jsonl_log_open(&l->log, l->path,
                             opts->force    ? CR_JSONL_FORCE
                             : opts->resume ? CR_JSONL_RESUME
                                            : CR_JSONL_FRESH,
                             on_old_line, l, err);
}

/* ---- one item ------------------------------------------------------------------------------- */

/* To what a line holds, so that a panel gone on with gives the figures of one run. */
static double rounded(double x) {
    return cr_json_rounded(x, 15);
}

static double number_of(const json_t *value) {
    return json_is_number(value) ? json_number_value(value) : (double)NAN;
}

static json_t *row_of(const struct cr_panel_log *l, const char *id,
                      const struct cr_panel_item *item, size_t n_asked, size_t n_failed) {
    json_t *values = json_array();
    for (int p = 0; p < CR_N_PROBES; p++)
        json_array_append_new(values, cr_json_number(item->value[p]));
    return json_pack("{s:s, s:o, s:o, s:o, s:o, s:b, s:b, s:b, s:I, s:I, s:s}", "id", id,
                     "values", values, "orders",
                     json_pack("[o, o]", cr_json_number(item->first_order),
                               cr_json_number(item->second_order)),
                     "p_second", cr_json_number(item->p_second), "self_agreement",
                     cr_json_number(item->self_agreement), "picture", item->has_picture,
                     "asked", item->asked, "parsed", item->parsed, "n_asked",
                     (json_int_t)n_asked, "n_failed", (json_int_t)n_failed, "panel",
                     l->identity);
}

enum critic_status cr_panel_log_add(struct cr_panel_log *l, size_t index, const char *id,
                                    struct cr_panel_item *item, size_t n_asked,
                                    size_t n_failed, critic_error *err) {
    struct cr_buf line;
    for (int p = 0; p < CR_N_PROBES; p++)
        item->value[p] = rounded(item->value[p]);
    item->first_order = rounded(item->first_order);
    item->second_order = rounded(item->second_order);
    item->p_second = rounded(item->p_second);
    item->self_agreement = rounded(item->self_agreement);
    if (!l->path)
        return CRITIC_OK;
    json_t *row = row_of(l, id, item, n_asked, n_failed);
    cr_buf_init(&line, MAX_LINE);
    l->keys[index] = cr_row_key(cr_str_of(id), false);
    enum critic_status status =
        row ? cr_json_append_exact(&line, row, err) : no_memory(err);
    if (status == CRITIC_OK)
        status = cr_jsonl_log_append(&l->log, cr_buf_str(&line), err);
    json_decref(row);
    cr_buf_fini(&line);
    return status;
}

bool cr_panel_log_take(struct cr_panel_log *l, size_t index, const char *id,
                       struct cr_panel_item *item, size_t *n_asked) {
    const json_t *row = l->path ? json_object_get(l->there, id) : NULL;
    const json_t *values = json_object_get(row, "values");
    const json_t *orders = json_object_get(row, "orders");
    if (!row)
        return false;
    for (int p = 0; p < CR_N_PROBES; p++)
        item->value[p] = number_of(json_array_get(values, (size_t)p));
    item->first_order = number_of(json_array_get(orders, 0));
    item->second_order = number_of(json_array_get(orders, 1));
    item->p_second = number_of(json_object_get(row, "p_second"));
    item->self_agreement = number_of(json_object_get(row, "self_agreement"));
    item->has_picture = json_is_true(json_object_get(row, "picture"));
    item->asked = json_is_true(json_object_get(row, "asked"));
    item->parsed = json_is_true(json_object_get(row, "parsed"));
    *n_asked += (size_t)json_integer_value(json_object_get(row, "n_asked"));
    const char *at = json_string_value(json_array_get(l->order, index));
    l->rewrite |= !at || strcmp(at, id) != 0;
    l->keys[index] = cr_row_key(cr_str_of(id), false);
    return true;
}

/* ---- end ------------------------------------------------------------------------------------ */

enum critic_status cr_panel_log_finish(struct cr_panel_log *l, critic_error *err) {
    cr_jsonl_log_close(&l->log);
    return l->path && l->rewrite
               ? cr_jsonl_put_in_order(l->path, "id", l->keys, l->n, err)
               : CRITIC_OK;
}

void cr_panel_log_fini(struct cr_panel_log *l) {
    cr_jsonl_log_close(&l->log);
    free(l->keys);
    json_decref(l->there);
    json_decref(l->order);
    memset(l, 0, sizeof *l);
    l->log.fd = -1;
}
