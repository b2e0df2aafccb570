/* MME as it is downloaded: a folder a task, in it pictures and for each a text file of two lines,
 * question, tab, answer; five tasks keep them apart as images/ and questions_answers_YN/. */
#include <stdio.h>
#include <string.h>

#include "base/checked.h"
#include "base/dir.h"
#include "base/file.h"
#include "eval/lines.h"
#include "eval/mme.h"
#include "eval/quiz_impl.h"
#include "eval/rules_text.h"

#define MAX_NAMES ((size_t)1 << 26)

struct task {
    struct cr_quiz_loading *l;
    const char *name;
    struct cr_buf pictures, texts; /* folders */
    struct cr_buf path;            /* scratch */
};

/* "0001" to "0001.jpg", the one that is there; the last where none is, for the message. */
static enum critic_status find_picture(struct task *t, const char *stem, int stem_len,
                                       struct cr_str *out, critic_error *err) {
    static const char *const ends[] = {"png", "jpeg", "JPG", "webp", "jpg"};
    for (size_t i = 0; i < CR_COUNT(ends); i++) {
        *out = cr_quiz_text(t->l->set, "%.*s.%s", stem_len, stem, ends[i]);
        if (!out->data)
            return cr_quiz_no_memory(err);
        cr_buf_clear(&t->path);
        CR_TRY(cr_path_join(&t->path, t->pictures.data, out->data, err));
        if (cr_file_exists(t->path.data))
            break;
    }
    return CRITIC_OK;
}

static enum critic_status take_line(struct task *t, struct cr_str line, size_t number,
                                    struct cr_str picture, critic_error *err) {
    struct cr_quiz_loading *l = t->l;
    struct cr_quiz_item item = {0};
    size_t tab = cr_str_find(line, cr_str_of("\t"));
    if (tab == SIZE_MAX || cr_utf8_invalid_at(line.data, line.len) != SIZE_MAX)
        return cr_faults_add(l->faults, l->path, "question", number, err,
                             "is not question, tab, answer in UTF-8; question left out");
    struct cr_str question = cr_text_trim((struct cr_str){line.data, tab});
    struct cr_str answer =
        cr_text_trim((struct cr_str){line.data + tab + 1, line.len - tab - 1});
    struct cr_str text = cr_quiz_text(l->set, "%.*s", (int)question.len, question.data);
    struct cr_str unit = cr_quiz_text(l->set, "%s/%s", t->name, picture.data);
    if (!text.data || !unit.data)
        return cr_quiz_no_memory(err);
    item.id = cr_quiz_text(l->set, "%s/%zu", unit.data, number);
    item.unit = unit.data;
    item.group = t->name;
    item.prompt = cr_quiz_prompt(l, text);
    item.folder = cr_quiz_text(l->set, "%s", t->pictures.data);
    item.source = picture;
    item.row = json_pack("{s:s%,s:s,s:s,s:s,s:s%}", "question_id", item.id.data,
                         item.id.len, "category", t->name, "image", picture.data,
                         "question", text.data, "answer", answer.data, answer.len);
    return cr_quiz_add(l, &item, number, err);
}

static enum critic_status read_text(struct task *t, const char *name, critic_error *err) {
    struct cr_quiz_loading *l = t->l;
    struct cr_buf buffer;
    struct cr_str text, picture;
    critic_error why = {0};
    CR_TRY(find_picture(t, name, (int)strlen(name) - 4, &picture, err));
    cr_buf_clear(&t->path);
    CR_TRY(cr_path_join(&t->path, t->texts.data, name, err));
    l->path = cr_quiz_text(l->set, "%s", t->path.data).data;
    if (!l->path)
        return cr_quiz_no_memory(err);
    enum critic_status status = cr_text_read(l->path, &buffer, &text, &why);
    if (status != CRITIC_OK)
        status = cr_faults_add(l->faults, l->path, "file", 0, err,
                               "cannot be read as UTF-8; left out");
    for (size_t number = 1;
         why.status == CRITIC_OK && status == CRITIC_OK && text.len > 0; number++) {
        struct cr_str line = cr_text_first_line(text);
        size_t skip = line.len + (line.len < text.len);
        text = (struct cr_str){text.data + skip, text.len - skip};
        if (cr_text_trim(line).len > 0)
            status = take_line(t, line, number, picture, err);
    }
    cr_buf_fini(&buffer);
    return status;
}

static enum critic_status read_texts(struct task *t, bool *found, critic_error *err) {
    struct cr_buf names;
    cr_buf_init(&names, MAX_NAMES);
    enum critic_status status = cr_dir_list(&names, t->texts.data, err);
    for (const char *name = NULL;
         status == CRITIC_OK && (name = cr_dir_next(&names, name)) != NULL;) {
        size_t n = strlen(name);
        if (n < 5 || strcmp(name + n - 4, ".txt") != 0)
            continue;
        *found = true;
        status = read_text(t, name, err);
    }
    cr_buf_fini(&names);
    return status;
}

static enum critic_status read_task(struct task *t, const char *folder, bool *found,
                                    critic_error *err) {
    CR_TRY(cr_path_join(&t->pictures, folder, "images", err));
    CR_TRY(cr_path_join(&t->texts, folder, "questions_answers_YN", err));
    if (!cr_dir_exists(t->texts.data)) {
        cr_buf_clear(&t->pictures);
        cr_buf_clear(&t->texts);
        CR_TRY(cr_buf_append_c(&t->pictures, folder, err));
        CR_TRY(cr_buf_append_c(&t->texts, folder, err));
    }
    return read_texts(t, found, err);
}

static enum critic_status read_root(struct cr_quiz_loading *l, const char *root,
                                    bool *found, critic_error *err) {
    struct cr_buf folder;
    enum critic_status status = CRITIC_OK;
    cr_buf_init(&folder, 1 << 16);
    for (size_t i = 0; i < CR_MME_TASKS && status == CRITIC_OK; i++) {
        struct task t = {.l = l, .name = cr_mme_tasks[i]};
        cr_buf_clear(&folder);
        status = cr_path_join(&folder, root, cr_mme_tasks[i], err);
        if (status != CRITIC_OK || !cr_dir_exists(folder.data))
            continue;
        cr_buf_init(&t.pictures, 1 << 16);
        cr_buf_init(&t.texts, 1 << 16);
        cr_buf_init(&t.path, 1 << 16);
        status = read_task(&t, folder.data, found, err);
        cr_buf_fini(&t.pictures);
        cr_buf_fini(&t.texts);
        cr_buf_fini(&t.path);
    }
    cr_buf_fini(&folder);
    return status;
}

enum critic_status cr_quiz_mme(struct cr_quiz_loading *l, const char *root, bool *found,
                               critic_error *err) {
    static const char *const below[] = {"", "MME_Benchmark",
                                        "MME_Benchmark_release_version",
                                        "MME_Benchmark_release_version/MME_Benchmark"};
    for (size_t i = 0; i < CR_COUNT(below) && !*found; i++) {
        struct cr_str path =
            cr_quiz_text(l->set, below[i][0] ? "%s/%s" : "%s", root, below[i]);
        if (!path.data)
            return cr_quiz_no_memory(err);
        if (cr_dir_exists(path.data))
            CR_TRY(read_root(l, path.data, found, err));
    }
    return CRITIC_OK;
}
