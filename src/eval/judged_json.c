/* Rows as JSON lines and back. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "base/grow.h"
#include "eval/judged.h"
#include "eval/lines.h"
#include "io/json.h"

static const char *const status_names[] = {"ok", "unparsed", "error"};
static const char *const pick_names[] = {"first", "second", "tie", NULL};
static const char *const arena_names[] = {NULL, "A>>B", "A>B", "A=B", "B>A", "B>>A"};

/* ---- out --------------------------------------------------------------------------------------- */

static void put(json_t *object, const char *key, json_t *value) {
    if (value)
        json_object_set_new(object, key, value);
}

static json_t *number(double x) {
    if (!isfinite(x))
        return NULL;
    return fabs(x) < 1e15 && x == floor(x) ? json_integer((json_int_t)x) : json_real(x);
}

static json_t *text(const char *s) {
    return s ? json_string(s) : NULL;
}

/* A number, "first" …, an order of indices; two scores and five labels beside it. */
static json_t *verdict_value(const struct cr_reading *r) {
    if (!r->ok)
        return json_null();
    if (r->order[0]) {
        json_t *order = json_array();
        for (size_t i = 0; r->order[i]; i++)
            json_array_append_new(order, json_integer(r->order[i] - 'A'));
        return order;
    }
    if (!isnan(r->score))
        return number(r->score);
    const char *pick = pick_names[r->pick < CR_PICK_NONE ? r->pick : CR_PICK_NONE];
    return pick ? json_string(pick) : json_null();
}

static void put_reading(json_t *object, const struct cr_reading *r) {
    put(object, "verdict", verdict_value(r));
    if (r->ok && !isnan(r->pair[0]))
        put(object, "pair", json_pack("[o, o]", number(r->pair[0]), number(r->pair[1])));
    if (r->ok && r->arena)
        put(object, "label5", text(arena_names[r->arena]));
}

static json_t *heard_value(const struct cr_judgement *row) {
    json_t *list = json_array();
    for (size_t i = 0; i < row->n_heard; i++) {
        json_t *one = json_object();
        const struct cr_heard *h = &row->heard[i];
        put(one, "swapped", json_boolean(h->swapped));
        put_reading(one, &h->robust);
        if (h->raw.data)
            put(one, "raw", json_stringn(h->raw.data, h->raw.len));
        put(one, "official", verdict_value(&h->official));
        json_array_append_new(list, one);
    }
    return list;
}

static json_t *label_value(const struct cr_judgement *row) {
    if (row->label_order)
        return json_string(row->label_order);
    if (!isnan(row->label_score))
        return number(row->label_score);
    return row->label_pick < CR_PICK_NONE ? json_string(pick_names[row->label_pick])
                                          : NULL;
}

static json_t *row_value(const struct cr_judged *rows, const struct cr_judgement *row) {
    json_t *o = json_object();
    put(o, "id", text(row->id));
    put(o, "bench", text(rows->bench->name));
    put(o, "group", text(row->group));
    put(o, "subgroup", text(row->subgroup));
    put(o, "cluster", text(row->cluster));
    if (row->models[0])
        put(o, "models",
            row->models[1] ? json_pack("[s, s]", row->models[0], row->models[1])
                           : json_pack("[s]", row->models[0]));
    put(o, "lengths",
        json_pack("[I, I]", (json_int_t)row->lengths[0], (json_int_t)row->lengths[1]));
    put(o, "label", label_value(row));
    put(o, "status", text(status_names[row->status]));
    put_reading(o, &row->robust);
    if (row->has_consistent)
        put(o, "consistent", json_boolean(row->consistent));
    put(o, "p_first", number(row->p_first));
    put(o, "expected", number(row->expected));
    put(o, "heard", heard_value(row));
    put(o, "error", text(row->error));
    put(o, "prompt_tokens", json_integer((json_int_t)row->prompt_tokens));
    put(o, "completion_tokens", json_integer((json_int_t)row->completion_tokens));
    put(o, "model", text(rows->model));
    put(o, "model_hash", text(rows->model_hash));
    put(o, "template", text(rows->template_name));
    put(o, "template_hash", text(rows->template_hash));
    put(o, "seed", json_integer((json_int_t)rows->seed));
    return o;
}

enum critic_status cr_judgement_to_json(const struct cr_judged *rows,
                                        const struct cr_judgement *row,
                                        struct cr_buf *out, critic_error *err) {
    json_t *value = row_value(rows, row);
    enum critic_status status =
        value ? cr_json_append(out, value, err)
              : cr_fail(err, CRITIC_NO_MEMORY, "no memory for a row");
    json_decref(value);
    return status;
}

/* ---- in ---------------------------------------------------------------------------------------- */

static const char *keep(struct cr_judged *rows, const json_t *object, const char *key) {
    const json_t *value = json_object_get(object, key);
    return json_is_string(value)
               ? cr_arena_strndup(&rows->arena, json_string_value(value),
                                  json_string_length(value))
               : NULL;
}

static double number_in(const json_t *object, const char *key) {
    const json_t *value = json_object_get(object, key);
    return json_is_number(value) ? json_number_value(value) : (double)NAN;
}

static int index_of(const char *const *names, size_t n, const char *word) {
    for (size_t i = 0; word && i < n; i++)
        if (names[i] && strcmp(names[i], word) == 0)
            return (int)i;
    return -1;
}

static struct cr_reading read_reading(const json_t *o) {
    struct cr_reading r = {.pick = CR_PICK_NONE, .score = number_in(o, "verdict")};
    const json_t *verdict = json_object_get(o, "verdict");
    const json_t *pair = json_object_get(o, "pair");
    int pick = index_of(pick_names, 3, json_string_value(verdict));
    int arena = index_of(arena_names, 6, json_string_value(json_object_get(o, "label5")));
    if (pick >= 0)
        r.pick = (enum cr_pick)pick;
    if (arena > 0)
        r.arena = (enum cr_arena_verdict)arena;
    for (size_t i = 0; i < json_array_size(verdict) && i < sizeof r.order - 1; i++)
        r.order[i] = (char)('A' + json_integer_value(json_array_get(verdict, i)));
    for (size_t i = 0; i < 2; i++)
        r.pair[i] = json_array_size(pair) == 2
                        ? json_number_value(json_array_get(pair, i))
                        : (double)NAN;
    r.ok = pick >= 0 || !isnan(r.score) || r.order[0];
    return r;
}

static enum critic_status read_heard(struct cr_judged *rows, const json_t *list,
                                     struct cr_judgement *row, size_t n_answers,
                                     critic_error *err) {
    size_t n = json_array_size(list);
    row->heard = cr_arena_calloc(&rows->arena, n + 1, sizeof *row->heard);
    if (!row->heard)
        return cr_fail(err, CRITIC_NO_MEMORY, "no memory for a row");
    for (size_t i = 0; i < n; i++) {
        const json_t *one = json_array_get(list, i);
        const json_t *raw = json_object_get(one, "raw");
        struct cr_heard *h = &row->heard[i];
        h->swapped = json_is_true(json_object_get(one, "swapped"));
        h->robust = read_reading(one);
        h->official.pick = CR_PICK_NONE;
        h->official.score = h->official.pair[0] = h->official.pair[1] = (double)NAN;
        if (json_is_string(raw)) {
            h->raw.data = keep(rows, one, "raw");
            h->raw.len = json_string_length(raw);
            if (!h->raw.data)
                return cr_fail(err, CRITIC_NO_MEMORY, "no memory for a row");
            if (json_object_get(one, "official"))
                h->official =
                    cr_read_official(rows->bench, h->raw, n_answers, h->swapped);
        }
    }
    row->n_heard = n;
    return CRITIC_OK;
}

static enum critic_status read_label(struct cr_judged *rows, const json_t *o,
                                     struct cr_judgement *row) {
    const char *label = json_string_value(json_object_get(o, "label"));
    int pick = index_of(pick_names, 3, label);
    row->label_score = number_in(o, "label");
    if (pick >= 0)
        row->label_pick = (enum cr_pick)pick;
    else if (label)
        row->label_order = keep(rows, o, "label");
    return CRITIC_OK;
}

/* The first row says who judged; the others have to agree. */
static enum critic_status check_source(struct cr_judged *rows, const json_t *o,
                                       const char *where, critic_error *err) {
    struct {
        const char *key;
        char **mine;
    } keys[] = {{"model", &rows->model},
                {"model_hash", &rows->model_hash},
                {"template", &rows->template_name},
                {"template_hash", &rows->template_hash}};
    const json_t *seed = json_object_get(o, "seed");
    const char *bench = json_string_value(json_object_get(o, "bench"));
    if (!bench)
        return cr_fail(err, CRITIC_BAD_DATA,
                       "%s: no row of critic eval run; expected key 'bench'", where);
    if (!rows->bench)
        rows->bench = cr_exam_find(bench);
    if (!rows->bench || strcmp(rows->bench->name, bench) != 0)
        return cr_fail(err, CRITIC_BAD_DATA,
                       "%s: a row of benchmark '%.40s'; expected '%s'", where, bench,
                       rows->bench ? rows->bench->name : "one that is known");
    for (size_t i = 0; i < CR_COUNT(keys); i++) {
        const char *theirs = json_string_value(json_object_get(o, keys[i].key));
        if (!theirs) /* an item that failed before anybody judged */
            continue;
        if (!*keys[i].mine)
            *keys[i].mine = (char *)(uintptr_t)keep(rows, o, keys[i].key);
        else if (strcmp(*keys[i].mine, theirs) != 0)
            return cr_fail(err, CRITIC_BAD_DATA, "%s: %s '%.60s'; expected '%.60s'",
                           where, keys[i].key, theirs, *keys[i].mine);
    }
    if (json_is_integer(seed) && rows->n == 0)
        rows->seed = (uint64_t)json_integer_value(seed);
    return CRITIC_OK;
}

static enum critic_status add_row(struct cr_judged *rows, const json_t *o,
                                  const char *where, critic_error *err) {
    CR_TRY(check_source(rows, o, where, err));
    struct cr_judgement *grown = cr_grow(rows->items, rows->n, &rows->cap, sizeof *grown);
    if (!grown)
        return cr_fail(err, CRITIC_NO_MEMORY, "no memory for %zu rows", rows->n + 1);
    rows->items = grown;
    struct cr_judgement *r = &rows->items[rows->n];
    const json_t *models = json_object_get(o, "models");
    const json_t *lengths = json_object_get(o, "lengths");
    int status =
        index_of(status_names, 3, json_string_value(json_object_get(o, "status")));
    memset(r, 0, sizeof *r);
    r->label_pick = CR_PICK_NONE;
    r->id = keep(rows, o, "id");
    if (!r->id || status < 0)
        return cr_fail(err, CRITIC_BAD_DATA, "%s: a row without %s", where,
                       r->id ? "status" : "id");
    r->status = (enum cr_judgement_status)status;
    r->group = keep(rows, o, "group");
    r->subgroup = keep(rows, o, "subgroup");
    r->cluster = keep(rows, o, "cluster");
    r->error = keep(rows, o, "error");
    for (size_t i = 0; i < 2; i++) {
        const json_t *model = json_array_get(models, i);
        if (json_is_string(model))
            r->models[i] = cr_arena_strndup(&rows->arena, json_string_value(model),
                                            json_string_length(model));
        r->lengths[i] = (size_t)json_integer_value(json_array_get(lengths, i));
    }
    read_label(rows, o, r);
    r->robust = read_reading(o);
    r->has_consistent = json_object_get(o, "consistent") != NULL;
    r->consistent = json_is_true(json_object_get(o, "consistent"));
    r->p_first = number_in(o, "p_first");
    r->expected = number_in(o, "expected");
    r->prompt_tokens = (size_t)json_integer_value(json_object_get(o, "prompt_tokens"));
    r->completion_tokens =
        (size_t)json_integer_value(json_object_get(o, "completion_tokens"));
    size_t n_answers = r->label_order ? strlen(r->label_order) : strlen(r->robust.order);
    CR_TRY(read_heard(rows, json_object_get(o, "heard"), r, n_answers, err));
    rows->n++;
    return CRITIC_OK;
}

enum critic_status cr_judged_add_json(struct cr_judged *rows, struct cr_str line,
                                      const char *where, critic_error *err) {
    json_t *o = NULL;
    enum critic_status status = cr_json_parse(&o, line.data, line.len, where, err);
    if (status == CRITIC_BAD_FILE)
        status = CRITIC_BAD_DATA;
    if (status == CRITIC_OK)
        status = add_row(rows, o, where, err);
    json_decref(o);
    return status;
}

struct reading_rows {
    struct cr_judged *rows;
    struct cr_faults *faults;
    const char *path;
    json_t *ids;
};

static enum critic_status on_row(void *user, json_t *object, size_t line,
                                 critic_error *err) {
    struct reading_rows *r = user;
    critic_error why = {0};
    char where[400];
    snprintf(where, sizeof where, "%.300s:%zu", r->path, line);
    const char *id = json_string_value(json_object_get(object, "id"));
    if (id && json_object_get(r->ids, id))
        return cr_faults_add(r->faults, r->path, "doubled id", line, err,
                             "id '%.60s' stands there already; the first counts", id);
    enum critic_status status = add_row(r->rows, object, where, &why);
    if (status == CRITIC_OK)
        return json_object_set_new(r->ids, id, json_true()) == 0
                   ? CRITIC_OK
                   : cr_fail(err, CRITIC_NO_MEMORY, "no memory for rows");
    if (err)
        *err = why;
    return status;
}

enum critic_status cr_judged_read(struct cr_judged *rows, const char *path,
                                  struct cr_faults *faults, critic_error *err) {
    struct reading_rows r = {rows, faults, path, json_object()};
    enum critic_status status = cr_judged_init(rows, NULL, err);
    if (status == CRITIC_OK)
        status = cr_lines_read(path, faults, on_row, &r, err);
    json_decref(r.ids);
    return status;
}
