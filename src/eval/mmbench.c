#include "eval/mmbench.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "eval/lines.h"
#include "eval/rows.h"
#include "eval/rules_text.h"

#define ROTATION 1000000

/* One question, its rows judged. */
struct question {
    long long base;
    size_t n_rows, n_options;
    size_t n_right[CR_N_MMBENCH_RULES];
    char *group[3]; /* category, l2-category, split */
};

struct reading {
    struct cr_mmbench *out;
    const char *path;
    struct cr_faults *faults;
    json_t *places; /* base to question */
    json_t *seen;   /* index */
    struct question *questions;
    size_t n_questions;
};

static const char *const group_kinds[3] = {"category", "l2-category", "split"};

static struct cr_str member(const json_t *row, const char *key, const char *other,
                            struct cr_id_text *scratch) {
    struct cr_str text = cr_member_text(row, key, scratch);
    return text.data ? text : cr_member_text(row, other, scratch);
}

/* pandas writes an option that is not there as "nan" or nothing. */
static bool is_nothing(struct cr_str s) {
    return !s.data || s.len == 0 || cr_str_eq_c(s, "nan");
}

static enum critic_status question_of(struct reading *in, long long base,
                                      const json_t *row, struct question **out,
                                      critic_error *err) {
    static const char *const other[3] = {"category", "L2-category", "split"};
    char key[32];
    snprintf(key, sizeof key, "%lld", base);
    const json_t *place = json_object_get(in->places, key);
    if (place) {
        *out = &in->questions[json_integer_value(place)];
        return CRITIC_OK;
    }
    struct question *items =
        realloc(in->questions, (in->n_questions + 1) * sizeof *items);
    if (!items ||
        json_object_set_new(in->places, key, json_integer((json_int_t)in->n_questions))) {
        in->questions = items ? items : in->questions;
        return cr_fail(err, CRITIC_NO_MEMORY, "no memory for %zu questions",
                       in->n_questions);
    }
    in->questions = items;
    items[in->n_questions] = (struct question){.base = base};
    *out = &items[in->n_questions++];
    for (size_t k = 0; k < 3; k++) {
        struct cr_id_text scratch;
        struct cr_str name = member(row, group_kinds[k], other[k], &scratch);
        if (is_nothing(name))
            continue;
        (*out)->group[k] = cr_str_dup(name);
        if (!(*out)->group[k])
            return cr_fail(err, CRITIC_NO_MEMORY, "no memory for a category");
    }
    return CRITIC_OK;
}

static void judge(struct reading *in, struct question *q, struct cr_str reply,
                  const struct cr_str *option, struct cr_str choice, char answer) {
    char read[CR_N_MMBENCH_RULES];
    q->n_rows++;
    in->out->n_rows++;
    for (size_t i = 0, n = 0; i < CR_MMBENCH_OPTIONS; i++) {
        n += option[i].data != NULL;
        q->n_options = CR_MAX(q->n_options, n);
    }
    for (size_t r = 0; r < CR_N_MMBENCH_RULES; r++) {
        read[r] = cr_mmbench_read((enum cr_mmbench_rule)r, reply, option);
        if (r == CR_MMBENCH_CHOICE && read[r] == 0 && choice.len == 1) {
            read[r] = choice.data[0];
            in->out->n_chosen++;
        }
        in->out->n_unread[r] += read[r] == 0 || read[r] == 'Z';
        in->out->n_right[r] += read[r] == answer;
        q->n_right[r] += read[r] == answer;
    }
    in->out->n_differ += read[CR_MMBENCH_OFFICIAL] != read[CR_MMBENCH_VLMEVAL];
}

static enum critic_status read_index(struct reading *in, const json_t *row, size_t line,
                                     long long *index, critic_error *err) {
    struct cr_id_text scratch;
    struct cr_str text = cr_member_text(row, "index", &scratch);
    double value = -1;
    *index = -1;
    if (!text.data || !cr_text_number(text, &value) || value < 0 || value > 1e15 ||
        value != (double)(long long)value)
        return cr_faults_add(in->faults, in->path, "index", line, err,
                             "has no whole number 'index'; row left out");
    char key[32];
    snprintf(key, sizeof key, "%lld", (long long)value);
    if (json_object_get(in->seen, key))
        return cr_faults_add(in->faults, in->path, "doubled", line, err,
                             "index %s stands twice; the first one counts", key);
    if (json_object_set_new(in->seen, key, json_true()))
        return cr_fail(err, CRITIC_NO_MEMORY, "no memory for the rows' indices");
    *index = (long long)value;
    return CRITIC_OK;
}

static enum critic_status on_row(void *user, json_t *row, size_t line,
                                 critic_error *err) {
    struct reading *in = user;
    struct cr_id_text scratch[CR_MMBENCH_OPTIONS + 3];
    struct cr_str option[CR_MMBENCH_OPTIONS];
    long long index;
    struct question *q = NULL;
    CR_TRY(read_index(in, row, line, &index, err));
    if (index < 0)
        return CRITIC_OK;
    for (size_t i = 0; i < CR_MMBENCH_OPTIONS; i++) {
        const char letter[2] = {(char)('A' + i), 0};
        option[i] = cr_member_text(row, letter, &scratch[i]);
        if (is_nothing(option[i]))
            option[i] = (struct cr_str){NULL, 0};
    }
    struct cr_str answer = cr_member_text(row, "answer", &scratch[CR_MMBENCH_OPTIONS]);
    struct cr_str reply =
        member(row, "prediction", "text", &scratch[CR_MMBENCH_OPTIONS + 1]);
    struct cr_str choice =
        cr_member_text(row, "choice", &scratch[CR_MMBENCH_OPTIONS + 2]);
    if (answer.len != 1 || answer.data[0] < 'A' ||
        answer.data[0] >= 'A' + CR_MMBENCH_OPTIONS)
        return cr_faults_add(in->faults, in->path, "answer", line, err,
                             "'answer' is not a letter from A to E; row left out");
    CR_TRY(question_of(in, index % ROTATION, row, &q, err));
    if (!reply.data)
        CR_TRY(cr_faults_add(in->faults, in->path, "prediction", line, err,
                             "has no 'prediction'; counts as wrong"));
    judge(in, q, reply.data ? reply : (struct cr_str){"", 0}, option, choice,
          answer.data[0]);
    return CRITIC_OK;
}

/* ---- groups --------------------------------------------------------------------------------- */

static enum critic_status add_to_group(struct cr_mmbench *m, const char *kind,
                                       const char *name, const struct question *q,
                                       critic_error *err) {
    struct cr_mmbench_group *g = NULL;
    for (size_t i = 0; i < m->n_groups && !g; i++)
        if (strcmp(m->groups[i].kind, kind) == 0 && strcmp(m->groups[i].name, name) == 0)
            g = &m->groups[i];
    if (!g) {
        struct cr_mmbench_group *groups =
            realloc(m->groups, (m->n_groups + 1) * sizeof *groups);
        if (!groups)
            return cr_fail(err, CRITIC_NO_MEMORY, "no memory for a group");
        m->groups = groups;
        g = &groups[m->n_groups++];
        *g = (struct cr_mmbench_group){.kind = cr_str_dup(cr_str_of(kind)),
                                       .name = cr_str_dup(cr_str_of(name))};
        if (!g->kind || !g->name)
            return cr_fail(err, CRITIC_NO_MEMORY, "no memory for a group");
    }
    g->n_questions++;
    for (size_t r = 0; r < CR_N_MMBENCH_RULES; r++)
        g->n_hit[r] += q->n_right[r] == q->n_rows;
    return CRITIC_OK;
}

/* Where questions are rotated, each needs as many rows as it has options. */
static enum critic_status check_rotations(struct reading *in, critic_error *err) {
    bool rotated = false;
    for (size_t i = 0; i < in->n_questions; i++)
        rotated = rotated || in->questions[i].n_rows > 1;
    for (size_t i = 0; i < in->n_questions && rotated; i++) {
        const struct question *q = &in->questions[i];
        if (q->n_rows < q->n_options)
            CR_TRY(
                cr_faults_add(in->faults, in->path, "rotations", 0, err,
                              "question %lld has %zu of %zu rotations; judged by these",
                              q->base, q->n_rows, q->n_options));
    }
    return CRITIC_OK;
}

static enum critic_status group_all(struct reading *in, critic_error *err) {
    struct cr_mmbench *m = in->out;
    m->n_questions = in->n_questions;
    CR_TRY(check_rotations(in, err));
    for (size_t i = 0; i < in->n_questions; i++)
        CR_TRY(add_to_group(m, "overall", "all", &in->questions[i], err));
    for (size_t k = 0; k < 3; k++)
        for (size_t i = 0; i < in->n_questions; i++)
            if (in->questions[i].group[k])
                CR_TRY(add_to_group(m, group_kinds[k], in->questions[i].group[k],
                                    &in->questions[i], err));
    return CRITIC_OK;
}

enum critic_status cr_mmbench_score(struct cr_mmbench *out, const char *path,
                                    struct cr_faults *faults, critic_error *err) {
    struct reading in = {.out = out, .path = path, .faults = faults};
    memset(out, 0, sizeof *out);
    in.places = json_object();
    in.seen = json_object();
    enum critic_status status =
        in.places && in.seen ? cr_rows_read(path, faults, on_row, &in, err)
                             : cr_fail(err, CRITIC_NO_MEMORY, "no memory for %s", path);
    if (status == CRITIC_OK)
        status = group_all(&in, err);
    if (status == CRITIC_OK && out->n_rows > 0 &&
        out->n_unread[CR_MMBENCH_CHOICE] == out->n_rows)
        status = cr_faults_add(faults, path, "silent", 0, err,
                               "no letter was read from %zu rows", out->n_rows);
    if (status == CRITIC_OK && out->n_rows == 0)
        status = cr_fail(err, CRITIC_BAD_FILE,
                         "%.160s: has no usable row; expected index, A, B, …, answer, "
                         "prediction",
                         path);
    for (size_t i = 0; i < in.n_questions; i++)
        for (size_t k = 0; k < 3; k++)
            free(in.questions[i].group[k]);
    free(in.questions);
    json_decref(in.places);
    json_decref(in.seen);
    return status;
}

void cr_mmbench_fini(struct cr_mmbench *m) {
    for (size_t i = 0; i < m->n_groups; i++) {
        free(m->groups[i].kind);
        free(m->groups[i].name);
    }
    free(m->groups);
    memset(m, 0, sizeof *m);
}
