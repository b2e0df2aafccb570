#include "eval/pope.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "eval/lines.h"
#include "eval/rules.h"
#include "eval/stats_boot.h"

/* A label with what was predicted for it, or a prediction on its own while files are read. */
struct entry {
    char *id, *category;
    char *question; /* what was asked, by the file itself; NULL: it does not say */
    size_t line;
    uint32_t picture; /* number of the file name */
    bool known;       /* a label that can be read */
    bool yes;
    bool predicted;
    enum cr_yes said[CR_N_POPE_RULES];
};

struct entries {
    struct entry *items;
    size_t n, n_with_id;
    size_t n_known; /* labels that can be read */
    const char *path;
    struct cr_faults *faults;
    json_t *pictures; /* name to number */
    bool both;        /* labels and predictions are one file */
};

static void entries_fini(struct entries *e) {
    json_decref(e->pictures);
    for (size_t i = 0; i < e->n; i++) {
        free(e->items[i].id);
        free(e->items[i].category);
        free(e->items[i].question);
    }
    free(e->items);
}

static enum critic_status keep_question(struct entry *entry, const json_t *object,
                                        const char *const keys[2], critic_error *err) {
    struct cr_id_text scratch;
    struct cr_str text = {NULL, 0};
    for (size_t i = 0; i < 2 && !text.data; i++)
        text = cr_member_text(object, keys[i], &scratch);
    entry->question = text.data ? cr_str_dup(text) : NULL;
    return text.data && !entry->question
               ? cr_fail(err, CRITIC_NO_MEMORY, "no memory for a question")
               : CRITIC_OK;
}

static enum critic_status add_entry(struct entries *e, const json_t *object,
                                    struct entry **out, critic_error *err) {
    struct cr_id_text scratch[2];
    struct cr_str id = cr_member_text(object, "question_id", &scratch[0]);
    struct cr_str category = cr_member_text(object, "category", &scratch[1]);
    struct entry *items = realloc(e->items, (e->n + 1) * sizeof *items);
    if (!items)
        return cr_fail(err, CRITIC_NO_MEMORY, "no memory for %zu answers", e->n);
    e->items = items;
    struct entry *entry = &items[e->n++];
    *entry = (struct entry){.id = id.data ? cr_str_dup(id) : NULL,
                            .category = category.data ? cr_str_dup(category) : NULL};
    e->n_with_id += entry->id != NULL;
    if ((id.data && !entry->id) || (category.data && !entry->category))
        return cr_fail(err, CRITIC_NO_MEMORY, "no memory for %zu answers", e->n);
    *out = entry;
    return CRITIC_OK;
}

/* Questions of one picture are drawn together; a question without a picture is its own. */
static enum critic_status number_picture(struct entries *e, const json_t *object,
                                         struct entry *entry, critic_error *err) {
    struct cr_id_text scratch;
    char own[32];
    struct cr_str name = cr_member_text(object, "image", &scratch);
    if (!name.data) {
        snprintf(own, sizeof own, "\t%zu", e->n);
        name = cr_str_of(own);
    }
    if (!e->pictures)
        e->pictures = json_object();
    const json_t *number = json_object_getn(e->pictures, name.data, name.len);
    entry->picture = number ? (uint32_t)json_integer_value(number)
                            : (uint32_t)json_object_size(e->pictures);
    if (!number && json_object_setn_new(e->pictures, name.data, name.len,
                                        json_integer(entry->picture)) != 0)
        return cr_fail(err, CRITIC_NO_MEMORY, "no memory for %zu pictures", e->n);
    return CRITIC_OK;
}

static enum critic_status on_label(void *user, json_t *object, size_t line,
                                   critic_error *err) {
    struct entries *e = user;
    struct entry *entry = NULL;
    const json_t *value = json_object_get(object, "label");
    if (!json_is_string(value) && !e->both)
        value = json_object_get(object, "answer");
    struct cr_str label = {json_string_value(value), json_string_length(value)};
    enum cr_yes truth = label.data ? cr_rule_pope_exact(label) : CR_YES_OTHER;
    CR_TRY(add_entry(e, object, &entry, err));
    if (!e->both)
        CR_TRY(keep_question(entry, object, (const char *[]){"text", "question"}, err));
    entry->line = line;
    entry->known = truth != CR_YES_OTHER;
    entry->yes = truth == CR_YES_YES;
    e->n_known += entry->known;
    if (!entry->known) /* it keeps its place: predictions may be paired by lines */
        return e->both && !label.data
                   ? cr_fail(err, CRITIC_BAD_ARGUMENT,
                             "%.160s:%zu: has no 'label'; expected it there, or --labels "
                             "FILE",
                             e->path, line)
                   : cr_faults_add(e->faults, e->path, "label", line, err,
                                   "'label' is not \"yes\" or \"no\"; the question is "
                                   "left out");
    return number_picture(e, object, entry, err);
}

static enum critic_status on_prediction(void *user, json_t *object, size_t line,
                                        critic_error *err) {
    struct entries *e = user;
    struct entry *entry = NULL;
    const json_t *value = json_object_get(object, "answer");
    if (!json_is_string(value))
        value = json_object_get(object, "text");
    bool is_answer = json_is_string(json_object_get(object, "answer"));
    CR_TRY(add_entry(e, object, &entry, err));
    CR_TRY(keep_question(
        entry, object, (const char *[]){"question", is_answer ? "text" : "prompt"}, err));
    entry->line = line;
    if (!json_is_string(value))
        return cr_faults_add(e->faults, e->path, "answer", line, err,
                             "has no 'answer' or 'text'; counts as not judged");
    struct cr_str text = {json_string_value(value), json_string_length(value)};
    entry->said[CR_POPE_OFFICIAL] = cr_rule_pope(text);
    entry->said[CR_POPE_EXACT] = cr_rule_pope_exact(text);
    entry->said[CR_POPE_ROBUST] = cr_rule_yes_robust(text);
    entry->predicted = true;
    return CRITIC_OK;
}

/* ---- pairing -------------------------------------------------------------------------------- */

static void take_prediction(struct entry *label, const struct entry *prediction) {
    label->predicted = prediction->predicted;
    memcpy(label->said, prediction->said, sizeof label->said);
}

/* id to index; NULL with *doubled where an id stands twice, or memory is out. */
static json_t *index_ids(const struct entries *e, bool *doubled) {
    json_t *places = json_object();
    *doubled = false;
    for (size_t i = 0; i < e->n && places && !*doubled; i++) {
        *doubled = json_object_get(places, e->items[i].id) != NULL;
        if (json_object_set_new(places, e->items[i].id, json_integer((json_int_t)i))) {
            json_decref(places);
            return NULL;
        }
    }
    if (*doubled) {
        json_decref(places);
        return NULL;
    }
    return places;
}

static enum critic_status pair_by_id(struct entries *labels, const json_t *places,
                                     struct entries *predictions, critic_error *err) {
    bool *taken = calloc(labels->n + 1, sizeof *taken);
    enum critic_status status = CRITIC_OK;
    if (!taken)
        return cr_fail(err, CRITIC_NO_MEMORY, "no memory for %zu labels", labels->n);
    for (size_t i = 0; i < predictions->n && status == CRITIC_OK; i++) {
        const struct entry *p = &predictions->items[i];
        const json_t *place = json_object_get(places, p->id);
        if (!place) {
            status =
                cr_faults_add(predictions->faults, predictions->path, "unknown", i + 1,
                              err, "question_id '%.60s' has no label; left out", p->id);
            continue;
        }
        size_t at = (size_t)json_integer_value(place);
        if (taken[at])
            status = cr_faults_add(predictions->faults, predictions->path, "doubled",
                                   i + 1, err,
                                   "question_id '%.60s' stands twice; the last one "
                                   "counts",
                                   p->id);
        taken[at] = true;
        take_prediction(&labels->items[at], p);
    }
    free(taken);
    return status;
}

/* The k-th with the k-th; where predictions are missing, which may be lines that could not be read, line
 * with line, so that what follows a gap stays in its place. */
static void pair_by_line(struct entries *labels, const struct entries *predictions) {
    bool gaps = predictions->n < labels->n;
    for (size_t i = 0, k = 0; i < labels->n && k < predictions->n; i++) {
        while (gaps && k < predictions->n &&
               predictions->items[k].line < labels->items[i].line)
            k++;
        if (k < predictions->n &&
            (!gaps || predictions->items[k].line == labels->items[i].line))
            take_prediction(&labels->items[i], &predictions->items[k++]);
    }
}

/* Does one text hold the other? Predictions' prompts go on with an instruction. */
static bool is_stranger(const struct entry *label, const struct entry *prediction) {
    return label->question && prediction->question &&
           !strstr(prediction->question, label->question) &&
           !strstr(label->question, prediction->question);
}

/* Predictions that asked something else than the label they would be paired with: by id, or
 * line by line where places is NULL. */
static size_t count_strangers(const struct entries *labels, const json_t *places,
                              const struct entries *predictions) {
    size_t n = 0;
    for (size_t i = 0; i < predictions->n; i++) {
        const json_t *place =
            places ? json_object_get(places, predictions->items[i].id) : NULL;
        size_t at = place ? (size_t)json_integer_value(place) : places ? labels->n : i;
        if (at < labels->n)
            n += is_stranger(&labels->items[at], &predictions->items[i]);
    }
    return n;
}

/* All ids differ by the same number, as 0, 1, 2 and 1, 2, 3 do. */
static bool is_shifted(const struct entries *labels, const struct entries *predictions) {
    long long shift = 0;
    for (size_t i = 0; i < labels->n; i++) {
        char *end[2];
        long long there = strtoll(labels->items[i].id, &end[0], 10);
        long long here = strtoll(predictions->items[i].id, &end[1], 10);
        if (*end[0] || *end[1] || (i > 0 && here - there != shift))
            return false;
        shift = here - there;
    }
    return shift != 0;
}

/* Where there are as many predictions as labels, their order may say more than their ids. */
static bool lines_are_better(const struct entries *labels, const json_t *places,
                             const struct entries *predictions) {
    return labels->n == predictions->n &&
           (is_shifted(labels, predictions) ||
            count_strangers(labels, places, predictions) >
                count_strangers(labels, NULL, predictions));
}

/* Another file's predictions; a few questions may be spelled otherwise (the published file had
 * typing errors once). */
static enum critic_status check_questions(const struct entries *labels,
                                          const json_t *places,
                                          struct entries *predictions,
                                          critic_error *err) {
    size_t n = count_strangers(labels, places, predictions);
    for (size_t i = 0; 20 * n > labels->n && i < n; i++)
        CR_TRY(cr_faults_add(predictions->faults, predictions->path, "questions", 0, err,
                             "%zu predictions are for other questions than the labels "
                             "they have the ids or lines of; are the labels of this "
                             "split? They count",
                             n));
    return CRITIC_OK;
}

/* Ids are of one numbering where at least half of the predictions' have a label. */
static bool same_numbering(const json_t *places, const struct entries *predictions) {
    size_t n_known = 0;
    for (size_t i = 0; i < predictions->n; i++)
        n_known += json_object_get(places, predictions->items[i].id) != NULL;
    return 2 * n_known >= predictions->n;
}

static enum critic_status pair(struct cr_pope *out, struct entries *labels,
                               struct entries *predictions, critic_error *err) {
    bool doubled = false;
    json_t *places = NULL;
    enum critic_status status = CRITIC_OK;
    if (labels->n_with_id == labels->n && predictions->n_with_id == predictions->n) {
        places = index_ids(labels, &doubled);
        if (!places && !doubled)
            return cr_fail(err, CRITIC_NO_MEMORY, "no memory for %zu labels", labels->n);
    }
    out->by_id = places &&
                 (same_numbering(places, predictions) || labels->n != predictions->n) &&
                 !lines_are_better(labels, places, predictions);
    if (out->by_id)
        status = pair_by_id(labels, places, predictions, err);
    else
        pair_by_line(labels, predictions);
    if (status == CRITIC_OK)
        status = check_questions(labels, out->by_id ? places : NULL, predictions, err);
    json_decref(places);
    if (status == CRITIC_OK && !out->by_id && predictions->n > labels->n)
        status =
            cr_faults_add(predictions->faults, predictions->path, "too many", 0, err,
                          "has %zu predictions for %zu labels; the last are left out",
                          predictions->n, labels->n);
    return status;
}

/* ---- scores --------------------------------------------------------------------------------- */

static void count(struct cr_pope_result *r, bool yes, enum cr_yes said) {
    r->n++;
    r->true_yes += yes && said == CR_YES_YES;
    r->false_yes += !yes && said == CR_YES_YES;
    r->true_no += !yes && said == CR_YES_NO;
    r->false_no += yes && said == CR_YES_NO;
    r->n_other += said == CR_YES_OTHER;
}

static struct cr_stat share(size_t part, size_t whole) {
    return whole ? cr_stat_of((double)part / (double)whole)
                 : cr_stat_undefined(cr_why_empty);
}

static void fill(struct cr_pope_result *r, size_t n_yes) {
    r->accuracy = share(r->true_yes + r->true_no, r->n);
    r->precision = share(r->true_yes, r->true_yes + r->false_yes);
    r->recall = share(r->true_yes, n_yes);
    r->yes_ratio = share(r->true_yes + r->false_yes, r->n);
    r->f1 = cr_stat_undefined(cr_why_empty);
    if (cr_stat_ok(r->precision) && cr_stat_ok(r->recall)) {
        double p = r->precision.value;
        double s = p + r->recall.value;
        r->f1 = s > 0 ? cr_stat_of(2 * p * r->recall.value / s)
                      : cr_stat_undefined("precision and recall are both zero");
    }
}

/* category NULL: all. */
static void score_split(struct cr_pope_result *by, const struct entries *labels,
                        const char *category) {
    size_t n_yes = 0;
    for (size_t i = 0; i < labels->n; i++) {
        const struct entry *e = &labels->items[i];
        if (!e->predicted || !e->known ||
            (category && (!e->category || strcmp(category, e->category) != 0)))
            continue;
        n_yes += e->yes;
        for (size_t r = 0; r < CR_N_POPE_RULES; r++)
            count(&by[r], e->yes, e->said[r]);
    }
    for (size_t r = 0; r < CR_N_POPE_RULES; r++)
        fill(&by[r], n_yes);
}

/* ---- intervals ------------------------------------------------------------------------------ */

/* Sums of: true yes, false yes, false no, right, all. */
static double accuracy_of(const double *sums, size_t k, const void *user) {
    (void)k;
    (void)user;
    return sums[3] / sums[4];
}

static double f1_of(const double *sums, size_t k, const void *user) {
    (void)k;
    (void)user;
    return 2 * sums[0] / (2 * sums[0] + sums[1] + sums[2]);
}

static enum critic_status intervals(struct cr_pope_result *r,
                                    const struct entries *labels, const char *category,
                                    critic_error *err) {
    double(*terms)[5] = calloc(labels->n + 1, sizeof *terms);
    uint32_t *picture = calloc(labels->n + 1, sizeof *picture);
    struct cr_boot_options options;
    struct cr_boot accuracy, f1;
    size_t n = 0;
    cr_boot_options_default(&options);
    for (size_t i = 0; terms && picture && i < labels->n; i++) {
        const struct entry *e = &labels->items[i];
        enum cr_yes said = e->said[CR_POPE_OFFICIAL];
        if (!e->predicted || !e->known ||
            (category && (!e->category || strcmp(category, e->category) != 0)))
            continue;
        terms[n][0] = e->yes && said == CR_YES_YES;
        terms[n][1] = !e->yes && said == CR_YES_YES;
        terms[n][2] = e->yes && said == CR_YES_NO;
        terms[n][3] = (e->yes && said == CR_YES_YES) || (!e->yes && said == CR_YES_NO);
        terms[n][4] = 1;
        picture[n++] = e->picture;
    }
    enum critic_status status =
        terms && picture ? CRITIC_OK
                         : cr_fail(err, CRITIC_NO_MEMORY, "no memory for intervals");
    size_t n_pictures = json_object_size(labels->pictures);
    if (status == CRITIC_OK)
        status = cr_boot_sums(&accuracy, *terms, n, 5, picture, n_pictures, accuracy_of,
                              NULL, &options, err);
    if (status == CRITIC_OK)
        status = cr_boot_sums(&f1, *terms, n, 5, picture, n_pictures, f1_of, NULL,
                              &options, err);
    if (status == CRITIC_OK) {
        r->accuracy_95 = accuracy.interval;
        r->f1_95 = f1.interval;
    }
    free(terms);
    free(picture);
    return status;
}

static bool has_split(const struct cr_pope *p, const char *name) {
    for (size_t i = 0; i < p->n_splits; i++)
        if (strcmp(p->splits[i].name, name) == 0)
            return true;
    return false;
}

static enum critic_status score_splits(struct cr_pope *out, const struct entries *labels,
                                       critic_error *err) {
    for (size_t i = 0; i < labels->n; i++) {
        const char *name = labels->items[i].known ? labels->items[i].category : NULL;
        if (!name || has_split(out, name))
            continue;
        struct cr_pope_split *splits =
            realloc(out->splits, (out->n_splits + 1) * sizeof *splits);
        if (splits)
            out->splits = splits;
        char *copy = splits ? cr_str_dup(cr_str_of(name)) : NULL;
        if (!copy)
            return cr_fail(err, CRITIC_NO_MEMORY, "no memory for a split");
        splits[out->n_splits] = (struct cr_pope_split){.name = copy};
        score_split(splits[out->n_splits++].by, labels, name);
        CR_TRY(intervals(&splits[out->n_splits - 1].by[CR_POPE_OFFICIAL], labels, name,
                         err));
    }
    return CRITIC_OK;
}

static enum critic_status score(struct cr_pope *out, struct entries *labels,
                                struct entries *predictions, critic_error *err) {
    CR_TRY(cr_lines_read(labels->path, labels->faults, on_label, labels, err));
    if (labels->n_known == 0)
        return cr_fail(err, CRITIC_BAD_DATA,
                       "%.160s: no 'label' is \"yes\" or \"no\"; expected POPE's labels",
                       labels->path);
    CR_TRY(cr_lines_read(predictions->path, predictions->faults, on_prediction,
                         predictions, err));
    CR_TRY(pair(out, labels, predictions, err));
    size_t n_judged = 0;
    for (size_t i = 0; i < labels->n; i++) {
        const struct entry *e = &labels->items[i];
        n_judged += e->predicted && e->known;
        out->n_differ += e->predicted && e->known &&
                         e->said[CR_POPE_OFFICIAL] != e->said[CR_POPE_ROBUST];
    }
    out->n_labels = labels->n_known;
    if (n_judged < labels->n_known)
        CR_TRY(cr_faults_add(predictions->faults, predictions->path, "missing", 0, err,
                             "%zu of %zu questions judged", n_judged, labels->n_known));
    score_split(out->by, labels, NULL);
    CR_TRY(intervals(&out->by[CR_POPE_OFFICIAL], labels, NULL, err));
    return score_splits(out, labels, err);
}

enum critic_status cr_pope_score(struct cr_pope *out, const char *predictions,
                                 const char *labels, struct cr_faults *faults,
                                 critic_error *err) {
    struct entries l = {
        .path = labels ? labels : predictions, .faults = faults, .both = !labels};
    struct entries p = {.path = predictions, .faults = faults};
    memset(out, 0, sizeof *out);
    enum critic_status status = score(out, &l, &p, err);
    entries_fini(&l);
    entries_fini(&p);
    return status;
}

void cr_pope_fini(struct cr_pope *p) {
    for (size_t i = 0; i < p->n_splits; i++)
        free(p->splits[i].name);
    free(p->splits);
    memset(p, 0, sizeof *p);
}
