/* MMBench's questions: a table with the pictures in it. */
#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "base/grow.h"
#include "eval/exam_field.h"
#include "eval/quiz_impl.h"
#include "eval/rows.h"
#include "eval/rules_text.h"

#define ROTATION 1000000

struct question {
    struct cr_quiz_item item; /* row: what the output repeats, without rotation */
    struct cr_str text, hint;
    long long index;
    size_t n_options, line;
    int answer; /* of the options; -1: not known */
};

struct reading {
    struct cr_quiz_loading *l;
    struct question *questions;
    size_t n, cap;
    bool rotated; /* the file holds rotated copies */
};

/* pandas writes what is not there as "nan" or nothing. */
static struct cr_str field(struct cr_arena *a, const json_t *row, const char *names) {
    struct cr_str s = cr_field_text(a, cr_field_find(row, names));
    return s.data && s.len > 0 && !cr_str_eq_c(s, "nan") ? s : (struct cr_str){NULL, 0};
}

static void copy_field(json_t *out, const char *key, struct cr_str value) {
    if (value.data)
        json_object_set_new(out, key, json_stringn(value.data, value.len));
}

static enum critic_status read_question(struct cr_quiz_loading *l, const json_t *row,
                                        struct question *q, critic_error *err) {
    struct cr_arena *a = &l->set->arena;
    struct cr_str index = field(a, row, "index");
    struct cr_str answer = field(a, row, "answer");
    double value = -1;
    if (!index.data || !cr_text_number(index, &value) || value < 0 || value > 1e15 ||
        value != (double)(long long)value)
        return cr_fail(err, CRITIC_BAD_DATA, "has no whole number 'index'");
    q->index = (long long)value;
    q->text = field(a, row, "question");
    q->hint = field(a, row, "hint");
    if (!q->text.data)
        return cr_fail(err, CRITIC_BAD_DATA, "has no question; expected key 'question'");
    for (size_t i = 0; i < CR_MMBENCH_OPTIONS; i++) {
        const char letter[2] = {(char)('A' + i), 0};
        q->item.option[i] = field(a, row, letter);
        if (q->item.option[i].data && q->n_options < i)
            return cr_fail(err, CRITIC_BAD_DATA,
                           "has option %s and not the one before it", letter);
        q->n_options += q->item.option[i].data != NULL;
    }
    if (q->n_options < 2)
        return cr_fail(err, CRITIC_BAD_DATA, "has %zu options; expected 2 to 5",
                       q->n_options);
    q->answer = answer.len == 1 ? answer.data[0] - 'A' : -1;
    if (answer.data && (q->answer < 0 || (size_t)q->answer >= q->n_options))
        return cr_fail(err, CRITIC_BAD_DATA, "answer '%.20s' is no option's letter",
                       answer.data);
    CR_TRY(cr_field_picture(a, cr_field_find(row, "image"), &q->item.source, err));
    if (q->item.source.len == 0)
        return cr_fail(err, CRITIC_BAD_DATA, "has no picture; expected key 'image'");
    struct cr_str group = field(a, row, "category");
    q->item.folder = l->folder;
    q->item.group = group.data ? group.data : "";
    q->item.row = json_object();
    copy_field(q->item.row, "category", group);
    copy_field(q->item.row, "l2-category", field(a, row, "l2-category|L2-category"));
    copy_field(q->item.row, "split", field(a, row, "split"));
    return CRITIC_OK;
}

static enum critic_status on_row(void *user, json_t *row, size_t line,
                                 critic_error *err) {
    struct reading *in = user;
    critic_error why = {0};
    struct question *grown = cr_grow(in->questions, in->n, &in->cap, sizeof *grown);
    if (!grown)
        return cr_quiz_no_memory(err);
    in->questions = grown;
    struct question *q = &in->questions[in->n];
    memset(q, 0, sizeof *q);
    q->line = line;
    enum critic_status status = read_question(in->l, row, q, &why);
    if (status == CRITIC_NO_MEMORY)
        return cr_quiz_no_memory(err);
    if (status != CRITIC_OK)
        return cr_faults_add(in->l->faults, in->l->path, "question", line, err,
                             "%.200s; question left out", why.message);
    in->rotated = in->rotated || q->index >= ROTATION;
    in->n++;
    return CRITIC_OK;
}

/* A rotated copy may hold the index of the row with its picture. */
static void resolve_pictures(struct reading *in, json_t *places) {
    for (size_t i = 0; i < in->n; i++) {
        struct cr_str s = in->questions[i].item.source;
        const json_t *place = s.len < 20 ? json_object_getn(places, s.data, s.len) : NULL;
        if (place)
            in->questions[i].item.source =
                in->questions[json_integer_value(place)].item.source;
    }
}

static struct cr_str prompt_of(struct cr_quiz_loading *l, const struct question *q,
                               const struct cr_str *option) {
    struct cr_str text = cr_quiz_text(l->set, "%s%s%s", q->hint.data ? q->hint.data : "",
                                      q->hint.data ? "\n" : "", q->text.data);
    for (size_t i = 0; i < q->n_options && text.data; i++)
        text =
            cr_quiz_text(l->set, "%s\n%c. %s", text.data, (int)('A' + i), option[i].data);
    return text.data ? cr_quiz_prompt(l, text) : text;
}

static json_t *row_of(const struct question *q, const struct cr_quiz_item *item,
                      long long index, size_t turn) {
    json_t *row = json_object();
    json_object_set_new(row, "index", json_integer((json_int_t)index));
    copy_field(row, "question", q->text);
    copy_field(row, "hint", q->hint);
    for (size_t i = 0; i < q->n_options; i++) {
        const char letter[2] = {(char)('A' + i), 0};
        copy_field(row, letter, item->option[i]);
    }
    if (q->answer >= 0) {
        size_t place = ((size_t)q->answer + q->n_options - turn) % q->n_options;
        const char letter[2] = {(char)('A' + place), 0};
        json_object_set_new(row, "answer", json_string(letter));
    }
    json_object_update(row, q->item.row);
    return row;
}

static enum critic_status add_turn(struct cr_quiz_loading *l, const struct question *q,
                                   size_t turn, critic_error *err) {
    struct cr_quiz_item item = q->item;
    long long index = q->index + (long long)turn * ROTATION;
    for (size_t i = 0; i < q->n_options; i++)
        item.option[i] = q->item.option[(i + turn) % q->n_options];
    item.id = cr_quiz_text(l->set, "%lld", index);
    item.unit = cr_quiz_text(l->set, "%lld", q->index % ROTATION).data;
    item.prompt = prompt_of(l, q, item.option);
    item.row = row_of(q, &item, index, turn);
    return cr_quiz_add(l, &item, q->line, err);
}

static enum critic_status add_all(struct reading *in, critic_error *err) {
    json_t *places = json_object();
    enum critic_status status = places ? CRITIC_OK : cr_quiz_no_memory(err);
    for (size_t i = 0; i < in->n && status == CRITIC_OK; i++) {
        struct cr_str index = cr_quiz_text(in->l->set, "%lld", in->questions[i].index);
        if (!index.data ||
            json_object_set_new(places, index.data, json_integer((json_int_t)i)) != 0)
            status = cr_quiz_no_memory(err);
    }
    if (status == CRITIC_OK)
        resolve_pictures(in, places);
    json_decref(places);
    for (size_t i = 0; i < in->n && status == CRITIC_OK; i++) {
        size_t n_turns = in->rotated ? 1 : in->questions[i].n_options;
        for (size_t turn = 0; turn < n_turns && status == CRITIC_OK; turn++)
            status = add_turn(in->l, &in->questions[i], turn, err);
    }
    return status;
}

enum critic_status cr_quiz_mmbench(struct cr_quiz_loading *l, critic_error *err) {
    struct reading in = {.l = l};
    enum critic_status status = cr_rows_read(l->path, l->faults, on_row, &in, err);
    if (status == CRITIC_OK)
        status = add_all(&in, err);
    for (size_t i = 0; i < in.n; i++)
        json_decref(in.questions[i].item.row);
    free(in.questions);
    return status;
}
