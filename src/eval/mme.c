#include "eval/mme.h"

#include <string.h>

#include "base/file.h"
#include "eval/lines.h"
#include "eval/rules.h"
#include "eval/rules_text.h"

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
    json_t *seen;          /* picture and question */
    struct cr_str picture; /* of the question before */
    bool right_before[CR_N_MME_RULES];
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

static void add_question(struct reading *in, struct cr_str picture, enum cr_yes answer,
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
        in->right_before[r] = right;
    }
    in->picture = picture;
}

static enum critic_status check_place(struct reading *in, struct cr_str line,
                                      struct cr_str picture, struct cr_str question,
                                      size_t number, critic_error *err) {
    size_t key_len = (size_t)(question.data - line.data) + question.len;
    if (in->task->n_questions % 2 == 1 && !cr_str_eq(in->picture, picture))
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
    add_question(in, picture, truth, prediction);
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
    if (in->task->n_questions % 2 == 1)
        CR_TRY(cr_faults_add(in->faults, in->path, "odd", 0, err,
                             "has %zu questions; expected two a picture",
                             in->task->n_questions));
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

static enum critic_status score_file(struct cr_mme_task *task, const char *path,
                                     struct cr_faults *faults, critic_error *err) {
    struct reading in = {.path = path, .faults = faults, .task = task};
    struct cr_buf buffer;
    struct cr_str text = {NULL, 0};
    critic_error fault = {0};
    in.seen = json_object();
    enum critic_status status = cr_text_read(path, &buffer, &text, &fault);
    if (!in.seen || status == CRITIC_NO_MEMORY)
        status = cr_fail(err, CRITIC_NO_MEMORY, "no memory to read %.160s", path);
    else if (status != CRITIC_OK)
        status = cr_faults_add(faults, path, "file", 0, err,
                               "is UTF-16, UTF-32 or cannot be read; expected UTF-8");
    else
        status = take_lines(&in, text, err);
    task->is_there = task->n_questions > 0;
    if (status == CRITIC_OK && !task->is_there)
        status = cr_faults_add(faults, path, "empty", 0, err,
                               "has no question in it; the task is left out");
    fill_results(task);
    cr_buf_fini(&buffer);
    json_decref(in.seen);
    return status;
}

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

static enum critic_status score_all(struct cr_mme *out, const char *folder,
                                    struct cr_buf *path, struct cr_faults *faults,
                                    critic_error *err) {
    size_t n_files = 0;
    for (size_t i = 0; i < CR_MME_TASKS; i++) {
        cr_buf_clear(path);
        CR_TRY(cr_path_join(path, folder, cr_mme_tasks[i], err));
        CR_TRY(cr_buf_append_c(path, ".txt", err));
        fill_results(&out->tasks[i]);
        if (!cr_file_exists(path->data))
            continue;
        n_files++;
        CR_TRY(score_file(&out->tasks[i], path->data, faults, err));
    }
    if (n_files == 0)
        return cr_fail(
            err, CRITIC_BAD_FILE,
            "%.160s: has no task file in it; expected existence.txt, count.txt "
            "and so on",
            folder);
    for (size_t i = 0; i < CR_MME_TASKS; i++)
        out->n_missing += !out->tasks[i].is_there;
    if (out->n_missing > 0)
        CR_TRY(cr_faults_add(faults, folder, "missing", 0, err,
                             "%zu of %d tasks are there; the sums are of these alone",
                             CR_MME_TASKS - out->n_missing, CR_MME_TASKS));
    return CRITIC_OK;
}

enum critic_status cr_mme_score(struct cr_mme *out, const char *folder,
                                struct cr_faults *faults, critic_error *err) {
    struct cr_buf path;
    memset(out, 0, sizeof *out);
    cr_buf_init(&path, 1 << 20);
    enum critic_status status = score_all(out, folder, &path, faults, err);
    cr_buf_fini(&path);
    for (size_t r = 0; r < CR_N_MME_RULES; r++) {
        out->perception[r] = sum_of(out, r, 0, CR_MME_N_PERCEPTION);
        out->cognition[r] = sum_of(out, r, CR_MME_N_PERCEPTION, CR_MME_TASKS);
    }
    return status;
}
