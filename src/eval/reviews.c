#include "eval/reviews.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "eval/lines.h"
#include "eval/rules.h"

struct reading {
    struct cr_reviews *out;
    const char *path;
    struct cr_faults *faults;
    json_t *places; /* id to index */
};

void cr_reviews_fini(struct cr_reviews *r) {
    for (size_t i = 0; i < r->n; i++) {
        free(r->items[i].id);
        free(r->items[i].category);
    }
    free(r->items);
    memset(r, 0, sizeof *r);
}

/* The pair under "score" or "tuple"; [-1, -1] is the original's mark of failure. */
static bool recorded_pair(const json_t *object, double pair[2]) {
    const json_t *list = json_object_get(object, "score");
    if (!json_is_array(list))
        list = json_object_get(object, "tuple");
    if (json_array_size(list) != 2 || !json_is_number(json_array_get(list, 0)) ||
        !json_is_number(json_array_get(list, 1)))
        return false;
    pair[0] = json_number_value(json_array_get(list, 0));
    pair[1] = json_number_value(json_array_get(list, 1));
    return !(pair[0] == -1 && pair[1] == -1);
}

static void read_scores(struct cr_review *r, const json_t *object, struct cr_str text) {
    r->has_recorded = recorded_pair(object, r->recorded);
    r->has_robust = cr_rule_pair_robust(text, r->robust);
    r->has_lmms = cr_rule_pair_lmms(text, r->lmms);
    r->pair[0] = r->pair[1] = NAN;
    if (cr_rule_pair_llava(text, r->pair)) {
        r->source = CR_REVIEW_OFFICIAL;
    } else if (r->has_recorded) {
        r->source = CR_REVIEW_RECORDED;
        memcpy(r->pair, r->recorded, sizeof r->pair);
    } else {
        r->source = CR_REVIEW_UNPARSED;
        r->pair[0] = r->pair[1] = NAN;
    }
}

/* Where the review goes: a new place, or the old one of a doubled id. */
static enum critic_status place_of(struct reading *in, struct cr_str id, size_t line,
                                   struct cr_review **place, critic_error *err) {
    struct cr_reviews *out = in->out;
    json_t *old = id.data ? json_object_getn(in->places, id.data, id.len) : NULL;
    if (old) {
        *place = &out->items[json_integer_value(old)];
        free((*place)->id);
        free((*place)->category);
        memset(*place, 0, sizeof **place);
        return cr_faults_add(in->faults, in->path, "doubled", line, err,
                             "question_id '%.*s' stands twice; the last one counts",
                             (int)(id.len < 60 ? id.len : 60), id.data);
    }
    struct cr_review *items = realloc(out->items, (out->n + 1) * sizeof *items);
    if (!items)
        return cr_fail(err, CRITIC_NO_MEMORY, "no memory for %zu reviews", out->n);
    out->items = items;
    if (id.data && json_object_setn_new(in->places, id.data, id.len,
                                        json_integer((json_int_t)out->n)))
        return cr_fail(err, CRITIC_NO_MEMORY, "no memory for %zu reviews", out->n);
    *place = &items[out->n++];
    memset(*place, 0, sizeof **place);
    return CRITIC_OK;
}

static enum critic_status on_review(void *user, json_t *object, size_t line,
                                    critic_error *err) {
    struct reading *in = user;
    struct cr_id_text scratch[2];
    const json_t *said = json_object_get(object, "text");
    if (!json_is_string(said))
        said = json_object_get(object, "content");
    if (!json_is_string(said))
        return cr_faults_add(in->faults, in->path, "text", line, err,
                             "has no 'text' of the judge; line left out");
    struct cr_str text = {json_string_value(said), json_string_length(said)};
    struct cr_str id = cr_member_text(object, "question_id", &scratch[0]);
    struct cr_str category = cr_member_text(object, "category", &scratch[1]);
    struct cr_review *r = NULL;
    CR_TRY(place_of(in, id, line, &r, err));
    r->id = id.data ? cr_str_dup(id) : NULL;
    r->category = category.data ? cr_str_dup(category) : NULL;
    if ((id.data && !r->id) || (category.data && !r->category))
        return cr_fail(err, CRITIC_NO_MEMORY, "no memory for a review");
    read_scores(r, object, text);
    for (size_t k = 0; k < 2; k++)
        if (r->source != CR_REVIEW_UNPARSED && !(r->pair[k] >= 0 && r->pair[k] <= 10))
            return cr_faults_add(in->faults, in->path, "scale", line, err,
                                 "a score of %g is off the scale of 1 to 10; it counts",
                                 r->pair[k]);
    return CRITIC_OK;
}

/* A file without a single score has no relative score, and says so. */
static enum critic_status check_scored(const struct reading *in, critic_error *err) {
    for (size_t i = 0; i < in->out->n; i++)
        if (in->out->items[i].source != CR_REVIEW_UNPARSED)
            return CRITIC_OK;
    return cr_faults_add(in->faults, in->path, "silent", 0, err,
                         "no pair of scores was read from %zu reviews", in->out->n);
}

enum critic_status cr_reviews_read(struct cr_reviews *out, const char *path,
                                   struct cr_faults *faults, critic_error *err) {
    struct reading in = {out, path, faults, json_object()};
    memset(out, 0, sizeof *out);
    if (!in.places)
        return cr_fail(err, CRITIC_NO_MEMORY, "no memory to read %.160s", path);
    enum critic_status status = cr_lines_read(path, faults, on_review, &in, err);
    json_decref(in.places);
    if (status == CRITIC_OK && out->n == 0)
        status = cr_fail(err, CRITIC_BAD_FILE,
                         "%.160s: holds no review; expected lines with 'text'", path);
    return status == CRITIC_OK ? check_scored(&in, err) : status;
}

static const double *pair_by(const struct cr_review *r, enum cr_review_rule rule) {
    switch (rule) {
    case CR_REVIEW_RULE_OFFICIAL:
        return r->source == CR_REVIEW_OFFICIAL ? r->pair : NULL;
    case CR_REVIEW_RULE_LMMS:
        return r->has_lmms ? r->lmms : NULL;
    case CR_REVIEW_RULE_ROBUST:
        return r->has_robust ? r->robust : NULL;
    default:
        return r->source != CR_REVIEW_UNPARSED ? r->pair : NULL;
    }
}

struct cr_relative cr_reviews_relative(const struct cr_reviews *r,
                                       enum cr_review_rule rule, const char *category) {
    struct cr_relative out = {0};
    double sum[2] = {0, 0};
    for (size_t i = 0; i < r->n; i++) {
        const struct cr_review *item = &r->items[i];
        if (category && (!item->category || strcmp(item->category, category) != 0))
            continue;
        out.n++;
        const double *pair = pair_by(item, rule);
        if (!pair)
            continue;
        out.n_scored++;
        sum[0] += pair[0];
        sum[1] += pair[1];
    }
    out.reference = out.candidate = out.relative = cr_stat_undefined(cr_why_empty);
    if (out.n_scored == 0)
        return out;
    out.reference = cr_stat_of(sum[0] / (double)out.n_scored);
    out.candidate = cr_stat_of(sum[1] / (double)out.n_scored);
    out.relative = sum[0] == 0 ? cr_stat_undefined("the reference's scores are all zero")
                               : cr_stat_of(100 * sum[1] / sum[0]);
    return out;
}
