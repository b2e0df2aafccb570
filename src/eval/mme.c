#include "eval/mme.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/dir.h"
#include "base/file.h"
#include "eval/lines.h"
#include "eval/rules.h"
#include "eval/rules_text.h"
#include "eval/stats_boot.h"

const char *const cr_mme_tasks[CR_MME_TASKS] = {"existence",
                                                "count",
                                                "position",
                                                "color",
                                                "posters",
                                                "celebrity",
                                                "scene",
                                                "landmark",
                                                "artwork",
                                                "OCR",
                                                "commonsense_reasoning",
                                                "numerical_calculation",
                                                "text_translation",
                                                "code_reasoning"};

struct reading {
    const char *path;
    struct cr_faults *faults;
    struct cr_mme_task *task;
    size_t number;         /* of the task */
    json_t *seen;          /* picture and question */
    struct cr_buf picture; /* of the question before */
    bool right_before[CR_N_MME_RULES];
    double (*pictures)[3]; /* of each, official rule: right, questions, both right */
    size_t cap;
};

/* The next column; *rest moves behind its tab. data NULL: there is none. */
static struct cr_str next_column(struct cr_str *rest) {
    if (!rest->data)
        return *rest;
    const char *tab = rest->len > 0 ? memchr(rest->data, '\t', rest->len) : NULL;
    struct cr_str column = {rest->data, tab ? (size_t)(tab - rest->data) : rest->len};
    *rest = tab ? (struct cr_str){tab + 1, rest->len - column.len - 1}
                : (struct cr_str){NULL, 0};
    return column;
}

static void reading_init(struct reading *in, struct cr_mme *m, size_t task,
                         const char *path, struct cr_faults *faults) {
    *in = (struct reading){.path = path,
                           .faults = faults,
                           .task = &m->tasks[task],
                           .number = task,
                           .seen = json_object()};
    cr_buf_init(&in->picture, 1 << 20);
}

static void reading_fini(struct reading *in) {
    json_decref(in->seen);
    free(in->pictures);
    cr_buf_fini(&in->picture);
}

/* Room for one question more, of this picture. */
static enum critic_status grow(struct reading *in, struct cr_str picture,
                               critic_error *err) {
    cr_buf_clear(&in->picture);
    CR_TRY(cr_buf_append(&in->picture, picture.data, picture.len, err));
    if (in->task->n_pictures < in->cap)
        return CRITIC_OK;
    size_t cap = 2 * in->cap + 64;
    double(*grown)[3] = realloc(in->pictures, cap * sizeof *grown);
    if (!grown)
        return cr_fail(err, CRITIC_NO_MEMORY, "no memory to read %.160s", in->path);
    memset(grown + in->cap, 0, (cap - in->cap) * sizeof *grown);
    in->pictures = grown;
    in->cap = cap;
    return CRITIC_OK;
}

static void add_question(struct reading *in, enum cr_yes answer,
                         struct cr_str prediction) {
    const enum cr_yes said[CR_N_MME_RULES] = {cr_rule_mme(prediction),
                                              cr_rule_mme_lmms(prediction),
                                              cr_rule_yes_robust(prediction)};
    bool second = in->task->n_questions % 2 == 1;
    in->task->n_questions++;
    in->task->n_pictures += !second;
    in->task->n_differ += said[CR_MME_OFFICIAL] != said[CR_MME_ROBUST];
    for (size_t r = 0; r < CR_N_MME_RULES; r++) {
        struct cr_mme_result *result = &in->task->by[r];
        bool right = answer != CR_YES_OTHER && said[r] == answer;
        result->n_right += right;
        result->n_other += said[r] == CR_YES_OTHER;
        result->n_both_right += second && right && in->right_before[r];
        if (r == CR_MME_OFFICIAL) {
            double *p = in->pictures[in->task->n_pictures - 1];
            p[0] += right;
            p[1]++;
            p[2] += second && right && in->right_before[r];
        }
        in->right_before[r] = right;
    }
}

static enum critic_status check_place(struct reading *in, struct cr_str line,
                                      struct cr_str picture, struct cr_str question,
                                      size_t number, critic_error *err) {
    size_t key_len = (size_t)(question.data - line.data) + question.len;
    if (in->task->n_questions % 2 == 1 && !cr_str_eq(cr_buf_str(&in->picture), picture))
        CR_TRY(cr_faults_add(in->faults, in->path, "pairs", number, err,
                             "picture '%.*s' does not belong to the question before; "
                             "expected two lines a picture",
                             (int)(picture.len < 60 ? picture.len : 60), picture.data));
    if (cr_utf8_invalid_at(line.data, key_len) != SIZE_MAX)
        return CRITIC_OK; /* told already */
    if (json_object_getn(in->seen, line.data, key_len))
        return cr_faults_add(in->faults, in->path, "doubled", number, err,
                             "the question stands twice for picture '%.*s'",
                             (int)(picture.len < 60 ? picture.len : 60), picture.data);
    if (json_object_setn_new(in->seen, line.data, key_len, json_true()))
        return cr_fail(err, CRITIC_NO_MEMORY, "no memory to read %.160s", in->path);
    return CRITIC_OK;
}

/* A line that is not as it should be keeps its place, so that pictures stay pairs. */
static enum critic_status take_line(struct reading *in, struct cr_str line, size_t number,
                                    critic_error *err) {
    struct cr_str rest = line;
    struct cr_str picture = next_column(&rest);
    if (!rest.data)
        return cr_faults_add(
            in->faults, in->path, "columns", number, err,
            "has no tab; expected picture, question, answer, prediction; "
            "line left out");
    struct cr_str question = next_column(&rest);
    struct cr_str answer = next_column(&rest);
    struct cr_str prediction = rest.data ? rest : (struct cr_str){"", 0};
    enum cr_yes truth = answer.data ? cr_rule_pope_exact(answer) : CR_YES_OTHER;
    if (!rest.data)
        CR_TRY(cr_faults_add(in->faults, in->path, "no prediction", number, err,
                             "has no prediction; expected 4 columns; counts as wrong"));
    else if (memchr(rest.data, '\t', rest.len))
        CR_TRY(cr_faults_add(in->faults, in->path, "tabs", number, err,
                             "has more than 4 columns; the prediction keeps its tabs"));
    if (truth == CR_YES_OTHER)
        CR_TRY(cr_faults_add(in->faults, in->path, "answer", number, err,
                             "the answer is not yes or no; counts as wrong"));
    if (cr_utf8_invalid_at(line.data, line.len) != SIZE_MAX)
        CR_TRY(cr_faults_add(in->faults, in->path, "encoding", number, err,
                             "is not UTF-8; its bytes are taken as they are"));
    CR_TRY(check_place(in, line, picture, question, number, err));
    CR_TRY(grow(in, picture, err));
    add_question(in, truth, prediction);
    return CRITIC_OK;
}

static enum critic_status take_lines(struct reading *in, struct cr_str text,
                                     critic_error *err) {
    for (size_t number = 1; text.len > 0; number++) {
        struct cr_str line = cr_text_first_line(text);
        size_t skip = line.len + (line.len < text.len);
        text = (struct cr_str){text.data + skip, text.len - skip};
        if (line.len > 0 && line.data[line.len - 1] == '\r')
            line.len--;
        if (cr_text_trim(line).len > 0)
            CR_TRY(take_line(in, line, number, err));
    }
    return CRITIC_OK;
}

static void fill_results(struct cr_mme_task *task) {
    for (size_t r = 0; r < CR_N_MME_RULES; r++) {
        struct cr_mme_result *result = &task->by[r];
        result->accuracy = result->accuracy_plus = result->score =
            cr_stat_undefined(cr_why_empty);
        if (task->n_questions == 0)
            continue;
        result->accuracy =
            cr_stat_of((double)result->n_right / (double)task->n_questions);
        result->accuracy_plus =
            cr_stat_of((double)result->n_both_right / (double)task->n_pictures);
        result->score =
            cr_stat_of(result->accuracy.value * 100 + result->accuracy_plus.value * 100);
    }
}

static double score_of(const double *sums, size_t k, const void *user) {
    const double *n_pictures = user; /* the same in every draw */
    (void)k;
    return 100 * sums[0] / sums[1] + 100 * sums[2] / *n_pictures;
}

/* What is to be said and computed when a task's questions are all there. */
static enum critic_status finish_task(struct reading *in, critic_error *err) {
    struct cr_mme_task *task = in->task;
    struct cr_boot_options options;
    struct cr_boot boot;
    double n_pictures = (double)task->n_pictures;
    task->is_there = task->n_questions > 0;
    fill_results(task);
    if (!task->is_there)
        return CRITIC_OK;
    if (task->n_questions % 2 == 1)
        CR_TRY(cr_faults_add(in->faults, in->path, "odd", 0, err,
                             "has %zu questions; expected two a picture (task %s)",
                             task->n_questions, cr_mme_tasks[in->number]));
    cr_boot_options_default(&options);
    CR_TRY(cr_boot_sums(&boot, *in->pictures, task->n_pictures, 3, NULL, 0, score_of,
                        &n_pictures, &options, err));
    task->score_95 = boot.interval;
    task->score_error = boot.interval.why ? (double)NAN : boot.error;
    return CRITIC_OK;
}

static enum critic_status score_file(struct cr_mme *m, size_t index, const char *path,
                                     struct cr_faults *faults, critic_error *err) {
    struct reading in;
    struct cr_buf buffer;
    struct cr_str text = {NULL, 0};
    critic_error fault = {0};
    reading_init(&in, m, index, path, faults);
    enum critic_status status = cr_text_read(path, &buffer, &text, &fault);
    if (!in.seen || status == CRITIC_NO_MEMORY)
        status = cr_fail(err, CRITIC_NO_MEMORY, "no memory to read %.160s", path);
    else if (status != CRITIC_OK)
        status = cr_faults_add(faults, path, "file", 0, err,
                               "is UTF-16, UTF-32 or cannot be read; expected UTF-8");
    else
        status = take_lines(&in, text, err);
    if (status == CRITIC_OK)
        status = finish_task(&in, err);
    if (status == CRITIC_OK && !in.task->is_there)
        status = cr_faults_add(faults, path, "empty", 0, err,
                               "has no question in it; the task is left out");
    cr_buf_fini(&buffer);
    reading_fini(&in);
    return status;
}

/* ---- one file of all tasks ---------------------------------------------------------------- */

struct rows {
    struct reading tasks[CR_MME_TASKS];
    struct cr_buf line; /* as TASK.txt has it; a blank for a tab or line end */
    struct cr_faults *faults;
    const char *path;
};

static enum critic_status append_column(struct cr_buf *line, const json_t *value,
                                        bool last, critic_error *err) {
    size_t from = line->len;
    CR_TRY(cr_buf_append(line, json_string_value(value), json_string_length(value), err));
    for (size_t i = from; i < line->len; i++)
        if (strchr("\t\r\n", line->data[i]))
            line->data[i] = ' ';
    return last ? CRITIC_OK : cr_buf_append_c(line, "\t", err);
}

static enum critic_status on_row(void *user, json_t *row, size_t number,
                                 critic_error *err) {
    static const char *const keys[] = {"image", "question", "answer", "prediction"};
    struct rows *in = user;
    const char *task = json_string_value(json_object_get(row, "category"));
    size_t t = 0, n = 0;
    while (task && t < CR_MME_TASKS && strcmp(cr_mme_tasks[t], task) != 0)
        t++;
    for (size_t k = 0; k < 4; k++)
        n += json_is_string(json_object_get(row, keys[k])) && (n == k);
    if (!task || t == CR_MME_TASKS || n < 3)
        return cr_faults_add(in->faults, in->path, "row", number, err,
                             "expected category (a task), image, question, answer and "
                             "prediction as texts; line left out");
    cr_buf_clear(&in->line);
    for (size_t k = 0; k < n; k++)
        CR_TRY(append_column(&in->line, json_object_get(row, keys[k]), k + 1 == n, err));
    return take_line(&in->tasks[t], cr_buf_str(&in->line), number, err);
}

static enum critic_status score_rows(struct cr_mme *m, const char *path,
                                     struct cr_faults *faults, critic_error *err) {
    struct rows *in = calloc(1, sizeof *in);
    if (!in)
        return cr_fail(err, CRITIC_NO_MEMORY, "no memory to read %.160s", path);
    in->faults = faults;
    in->path = path;
    cr_buf_init(&in->line, (size_t)1 << 30);
    for (size_t t = 0; t < CR_MME_TASKS; t++)
        reading_init(&in->tasks[t], m, t, path, faults);
    enum critic_status status = cr_lines_read(path, faults, on_row, in, err);
    for (size_t t = 0; t < CR_MME_TASKS; t++) {
        if (status == CRITIC_OK)
            status = finish_task(&in->tasks[t], err);
        reading_fini(&in->tasks[t]);
    }
    cr_buf_fini(&in->line);
    free(in);
    return status;
}

/* ---- sums ----------------------------------------------------------------------------------- */

static struct cr_stat sum_of(const struct cr_mme *m, size_t rule, size_t from,
                             size_t to) {
    double sum = 0;
    size_t n = 0;
    for (size_t i = from; i < to; i++)
        if (m->tasks[i].is_there) {
            sum += m->tasks[i].by[rule].score.value;
            n++;
        }
    return n ? cr_stat_of(sum) : cr_stat_undefined(cr_why_empty);
}

/* Tasks are independent, so their errors add in squares. */
static struct cr_interval interval_of(const struct cr_mme *m, size_t from, size_t to) {
    double square = 0, most = 0;
    struct cr_stat sum = sum_of(m, CR_MME_OFFICIAL, from, to);
    for (size_t i = from; i < to; i++)
        if (m->tasks[i].is_there) {
            square += m->tasks[i].score_error * m->tasks[i].score_error;
            most += 200;
        }
    if (!cr_stat_ok(sum) || !isfinite(square))
        return (struct cr_interval){(double)NAN, (double)NAN, cr_why_few};
    double half = 1.959963984540054 * sqrt(square); /* the normal's 97.5 % */
    return (struct cr_interval){fmax(0, sum.value - half), fmin(most, sum.value + half),
                                NULL};
}

static enum critic_status score_folder(struct cr_mme *out, const char *folder,
                                       struct cr_buf *path, struct cr_faults *faults,
                                       critic_error *err) {
    size_t n_files = 0;
    for (size_t i = 0; i < CR_MME_TASKS; i++) {
        cr_buf_clear(path);
        CR_TRY(cr_path_join(path, folder, cr_mme_tasks[i], err));
        CR_TRY(cr_buf_append_c(path, ".txt", err));
        if (!cr_file_exists(path->data))
            continue;
        n_files++;
        CR_TRY(score_file(out, i, path->data, faults, err));
    }
    if (n_files == 0 && !cr_file_exists(folder))
        return cr_fail(err, CRITIC_BAD_FILE, "%.160s: no such file or folder", folder);
    return n_files > 0 ? CRITIC_OK
                       : cr_fail(err, CRITIC_BAD_FILE,
                                 "%.160s: has no task file in it; expected "
                                 "existence.txt, count.txt and so on",
                                 folder);
}

enum critic_status cr_mme_score(struct cr_mme *out, const char *predictions,
                                struct cr_faults *faults, critic_error *err) {
    struct cr_buf path;
    memset(out, 0, sizeof *out);
    for (size_t i = 0; i < CR_MME_TASKS; i++)
        fill_results(&out->tasks[i]);
    cr_buf_init(&path, 1 << 20);
    bool is_file = cr_file_exists(predictions) && !cr_dir_exists(predictions);
    enum critic_status status = is_file
                                    ? score_rows(out, predictions, faults, err)
                                    : score_folder(out, predictions, &path, faults, err);
    cr_buf_fini(&path);
    for (size_t i = 0; i < CR_MME_TASKS; i++)
        out->n_missing += !out->tasks[i].is_there;
    if (status == CRITIC_OK && out->n_missing == CR_MME_TASKS)
        status =
            cr_fail(err, CRITIC_BAD_FILE, "%.160s: has no question in it", predictions);
    if (status == CRITIC_OK && out->n_missing > 0)
        status = cr_faults_add(faults, predictions, "missing", 0, err,
                               "%zu of %d tasks are there; the sums are of these alone",
                               CR_MME_TASKS - out->n_missing, CR_MME_TASKS);
    for (size_t r = 0; r < CR_N_MME_RULES; r++) {
        out->perception[r] = sum_of(out, r, 0, CR_MME_N_PERCEPTION);
        out->cognition[r] = sum_of(out, r, CR_MME_N_PERCEPTION, CR_MME_TASKS);
    }
    out->perception_95 = interval_of(out, 0, CR_MME_N_PERCEPTION);
    out->cognition_95 = interval_of(out, CR_MME_N_PERCEPTION, CR_MME_TASKS);
    return status;
}
