/* A verdict as one JSON object; the keys are in docs/judge.md. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "io/json.h"
#include "judge/judge.h"

/* Every json_t made here goes into its parent at once; a NULL child makes the set fail, which
 * `failed` remembers. */
struct writer {
    bool failed;
};

static void put(struct writer *w, json_t *object, const char *key, json_t *value) {
    if (!value || json_object_set_new(object, key, value) != 0)
        w->failed = true;
}

static void push(struct writer *w, json_t *array, json_t *value) {
    if (!value || json_array_append_new(array, value) != 0)
        w->failed = true;
}

/* A whole number without a point; NAN: null. */
static json_t *number(double x) {
    if (isnan(x))
        return json_null();
    if (fabs(x) < 1e15 && x == floor(x))
        return json_integer((json_int_t)x);
    return json_real(x);
}

/* Messages may hold file names in any bytes, or end inside a character: such bytes become "?". */
static json_t *text(struct cr_str s) {
    if (!s.data)
        return json_null();
    if (cr_utf8_invalid_at(s.data, s.len) == SIZE_MAX)
        return json_stringn(s.data, s.len);
    char *copy = malloc(s.len);
    if (!copy)
        return NULL;
    memcpy(copy, s.data, s.len);
    for (size_t at = 0, bad;
         (bad = cr_utf8_invalid_at(copy + at, s.len - at)) != SIZE_MAX;) {
        at += bad;
        copy[at] = '?';
    }
    json_t *value = json_stringn(copy, s.len);
    free(copy);
    return value;
}

static json_t *verdict_value(struct writer *w, const struct cr_opinion *op) {
    if (op->status != CR_VERDICT_OK)
        return json_null();
    if (op->mode == CR_MODE_POINTWISE)
        return number(op->score);
    if (op->mode == CR_MODE_PAIRWISE)
        return json_string(cr_choice_name(op->choice));
    json_t *order = json_array();
    for (size_t i = 0; order && i < op->n_order; i++)
        push(w, order, json_integer((json_int_t)op->order[i]));
    return order;
}

static json_t *scores_value(struct writer *w, const struct cr_opinion *op) {
    json_t *scores = json_array();
    for (size_t i = 0; scores && op->status == CR_VERDICT_OK && i < op->n_scores; i++)
        push(w, scores, number(op->scores[i]));
    return scores;
}

static json_t *options_value(struct writer *w, const struct cr_opinion *op) {
    json_t *options = json_object();
    for (size_t i = 0; options && i < op->n_options; i++)
        put(w, options, op->options[i].label, json_real(op->options[i].probability));
    return options;
}

static json_t *part_value(struct writer *w, const struct cr_opinion *whole, size_t i);

static void put_parts(struct writer *w, json_t *object, const struct cr_opinion *op,
                      enum cr_parts kind) {
    static const char *const keys[] = {NULL,          "criteria", "answers",
                                       "comparisons", "orders",   "samples"};
    if (op->parts_kind != kind || kind == CR_PARTS_NONE)
        return;
    json_t *parts = json_array();
    for (size_t i = 0; parts && i < op->n_parts; i++)
        push(w, parts, part_value(w, op, i));
    put(w, object, keys[kind], parts);
}

/* The keys that the item's verdict and its parts have in common, in the order of the page. */
static void put_opinion(struct writer *w, json_t *object, const struct cr_opinion *op) {
    put(w, object, "status", json_string(cr_verdict_status_name(op->status)));
    put(w, object, "verdict", verdict_value(w, op));
    put(w, object, "scores", scores_value(w, op));
    put(w, object, "probabilities", options_value(w, op));
    if (op->has_expected)
        put(w, object, "expected_score", number(op->expected));
    put(w, object, "reason", text(op->reason));
    put(w, object, "raw", text(op->raw));
    put_parts(w, object, op, CR_PARTS_ORDERS);
    if (op->has_consistent)
        put(w, object, "consistent", json_boolean(op->consistent));
    if (op->n_options > 0)
        put(w, object, "probability_mass", json_real(op->mass));
    put_parts(w, object, op, CR_PARTS_CRITERIA);
    put_parts(w, object, op, CR_PARTS_ANSWERS);
    put_parts(w, object, op, CR_PARTS_COMPARISONS);
    put_parts(w, object, op, CR_PARTS_SAMPLES);
    if (op->parts_kind == CR_PARTS_SAMPLES)
        put(w, object, "unparsed", json_integer((json_int_t)op->n_unparsed));
    if (op->why)
        put(w, object, "error", json_string(op->why));
}

static json_t *part_value(struct writer *w, const struct cr_opinion *whole, size_t i) {
    const struct cr_opinion *op = &whole->parts[i];
    json_t *part = json_object();
    if (!part)
        return NULL;
    if (whole->parts_kind == CR_PARTS_CRITERIA)
        put(w, part, "criterion", text(op->criterion));
    if (whole->parts_kind == CR_PARTS_ANSWERS)
        put(w, part, "answer", json_integer((json_int_t)op->pair[0]));
    if (whole->parts_kind == CR_PARTS_ORDERS)
        put(w, part, "order", json_string(i == 0 ? "given" : "swapped"));
    if (whole->parts_kind == CR_PARTS_COMPARISONS)
        put(w, part, "answers",
            json_pack("[I, I]", (json_int_t)op->pair[0], (json_int_t)op->pair[1]));
    put_opinion(w, part, op);
    return part;
}

static json_t *usage_value(struct writer *w, const struct cr_judge_usage *u) {
    json_t *usage = json_object();
    if (!usage)
        return NULL;
    put(w, usage, "prompt_tokens", json_integer((json_int_t)u->prompt_tokens));
    put(w, usage, "cached_tokens", json_integer((json_int_t)u->cached_tokens));
    put(w, usage, "completion_tokens", json_integer((json_int_t)u->completion_tokens));
    put(w, usage, "image_tiles", json_integer((json_int_t)u->image_tiles));
    put(w, usage, "seconds", json_real(u->seconds));
    return usage;
}

static json_t *id_value(const struct cr_verdict *v) {
    if (v->id_is_number)
        return json_integer((json_int_t)strtoll(v->id.data, NULL, 10));
    return text(v->id);
}

enum critic_status cr_verdict_to_json(const struct cr_verdict *v, struct cr_buf *out,
                                      critic_error *err) {
    struct writer w = {0};
    enum critic_status status = CRITIC_OK;
    const struct cr_opinion *op = &v->opinion;
    json_t *o = json_object();
    if (!o)
        return cr_fail(err, CRITIC_NO_MEMORY, "no memory to write a verdict");
    put(&w, o, "id", id_value(v));
    put(&w, o, "mode",
        op->mode == CR_MODE_AUTO ? json_null() : json_string(cr_mode_name(op->mode)));
    put_opinion(&w, o, op);
    if (v->error)
        put(&w, o, "error", text(cr_str_of(v->error)));
    put(&w, o, "usage", usage_value(&w, &v->usage));
    put(&w, o, "model", text(cr_str_of(v->model)));
    put(&w, o, "model_hash", text(cr_str_of(v->model_hash)));
    put(&w, o, "template", text(cr_str_of(v->template_name)));
    put(&w, o, "template_hash", text(cr_str_of(v->template_hash)));
    put(&w, o, "seed", json_integer((json_int_t)v->seed));
    put(&w, o, "version", json_string(CRITIC_VERSION));
    if (w.failed)
        status = cr_fail(err, CRITIC_NO_MEMORY, "no memory to write a verdict");
    if (status == CRITIC_OK)
        status = cr_json_append(out, o, err);
    json_decref(o);
    return status;
}
