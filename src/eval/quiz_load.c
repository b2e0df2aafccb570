/* Questions of POPE and MMBench, and which of them are asked. MME's folders: quiz_mme.c. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "base/dir.h"
#include "base/file.h"
#include "base/grow.h"
#include "base/hash.h"
#include "eval/exam_field.h"
#include "eval/exam_group.h"
#include "eval/quiz_impl.h"
#include "eval/rows.h"

#define MAX_ARENA ((size_t)1 << 36) /* address space; pages come as they are used */

/* The instructions are those that LLaVA's models were trained with (LLaVA-1.5, section 3.3); MME's
 * questions hold theirs. */
const struct cr_quiz cr_quizzes[] = {
    {.name = "pope",
     .title = "POPE",
     .kind = CR_QUIZ_POPE,
     .files = {"coco_pope_random.json", "coco_pope_popular.json",
               "coco_pope_adversarial.json", "pope.jsonl"},
     .source =
         "github.com/AoiDragon/POPE: output/coco/coco_pope_*.json, and COCO's val2014 "
         "pictures (--pictures FOLDER, or val2014/ beside them); or Hugging Face "
         "lmms-lab/POPE turned by scripts/import-parquet into pope.jsonl",
     .instruction = "Answer the question using a single word or phrase.",
     .id_key = "question_id",
     .reply_key = "text"},
    {.name = "mme",
     .title = "MME",
     .kind = CR_QUIZ_MME,
     .files = {"MME_Benchmark_release_version", "mme.jsonl"},
     .source =
         "github.com/BradyFU/Awesome-Multimodal-Large-Language-Models (MME): "
         "MME_Benchmark_release_version, a folder a task; or Hugging Face lmms-lab/MME "
         "turned by scripts/import-parquet into mme.jsonl",
     .instruction = "",
     .id_key = "question_id",
     .reply_key = "prediction"},
    {.name = "mmbench",
     .title = "MMBench",
     .kind = CR_QUIZ_MMBENCH,
     .files = {"MMBench_DEV_EN.tsv", "MMBench_DEV_EN_V11.tsv", "MMBench.tsv",
               "mmbench_dev_20230712.tsv", "MMBench_DEV_CN.tsv", "mmbench.jsonl"},
     .source =
         "github.com/open-compass/MMBench, or VLMEvalKit's copies: a TSV file with the "
         "pictures in it",
     .instruction = "Answer with the option's letter from the given choices directly.",
     .id_key = "index",
     .reply_key = "prediction"},
    {0}};

const struct cr_quiz *cr_quiz_find(const char *name) {
    for (const struct cr_quiz *q = cr_quizzes; q->name; q++)
        if (strcmp(q->name, name) == 0)
            return q;
    return NULL;
}

/* ---- shared by the loaders -------------------------------------------------------------------- */

enum critic_status cr_quiz_no_memory(critic_error *err) {
    return cr_fail(err, CRITIC_NO_MEMORY, "no memory for the questions of a benchmark");
}

struct cr_str cr_quiz_text(struct cr_quiz_set *set, const char *fmt, ...) {
    struct cr_str out = {NULL, 0};
    va_list args;
    va_start(args, fmt);
    int n = vsnprintf(NULL, 0, fmt, args);
    va_end(args);
    char *text = n < 0 ? NULL : cr_arena_alloc(&set->arena, (size_t)n + 1);
    if (!text)
        return out;
    va_start(args, fmt);
    vsnprintf(text, (size_t)n + 1, fmt, args);
    va_end(args);
    return (struct cr_str){text, (size_t)n};
}

struct cr_str cr_quiz_prompt(struct cr_quiz_loading *l, struct cr_str question) {
    return cr_quiz_text(l->set, "%s%s%s", question.data, l->instruction[0] ? "\n" : "",
                        l->instruction);
}

enum critic_status cr_quiz_add(struct cr_quiz_loading *l, const struct cr_quiz_item *item,
                               size_t line, critic_error *err) {
    struct cr_quiz_set *set = l->set;
    bool complete = item->row && item->id.data && item->prompt.data && item->unit &&
                    item->group && item->folder.data;
    bool doubled = complete && json_object_getn(l->ids, item->id.data, item->id.len);
    if (doubled || !complete) {
        json_decref(item->row);
        return doubled ? cr_faults_add(
                             l->faults, l->path, "doubled id", line, err,
                             "question '%.60s' stands there already; the first counts",
                             item->id.data)
                       : cr_quiz_no_memory(err);
    }
    struct cr_quiz_item *grown = cr_grow(set->items, set->n, &set->cap, sizeof *grown);
    if (!grown) {
        json_decref(item->row);
        return cr_quiz_no_memory(err);
    }
    set->items = grown;
    set->items[set->n++] = *item;
    return json_object_setn_new(l->ids, item->id.data, item->id.len, json_true()) == 0
               ? CRITIC_OK
               : cr_quiz_no_memory(err);
}

/* ---- POPE ----------------------------------------------------------------------------------- */

/* Where pictures of this name lie, of the places where people keep them. */
static enum critic_status find_pictures(struct cr_quiz_loading *l, const char *name,
                                        critic_error *err) {
    static const char *const places[] = {"", "val2014", "images", "image", "../val2014"};
    struct cr_buf path;
    enum critic_status status = CRITIC_OK;
    cr_buf_init(&path, 1 << 16);
    for (size_t i = 0; i < CR_COUNT(places) && status == CRITIC_OK; i++) {
        struct cr_str folder =
            places[i][0] ? cr_quiz_text(l->set, "%s/%s", l->folder.data, places[i])
                         : l->folder;
        cr_buf_clear(&path);
        status = folder.data ? cr_path_join(&path, folder.data, name, err)
                             : cr_quiz_no_memory(err);
        if (status == CRITIC_OK && cr_file_exists(path.data)) {
            l->folder = folder;
            break;
        }
    }
    cr_buf_fini(&path);
    return status;
}

static const char *split_of_name(const char *path) {
    static const char *const splits[] = {"random", "popular", "adversarial"};
    for (size_t i = 0; i < CR_COUNT(splits); i++)
        if (strstr(cr_path_base(path), splits[i]))
            return splits[i];
    return NULL;
}

/* The picture's source; a base64 one stays out of the output's row. */
static enum critic_status take_picture(struct cr_quiz_loading *l, const json_t *value,
                                       struct cr_quiz_item *item, critic_error *err) {
    item->folder = l->folder;
    if (!value)
        return CRITIC_OK;
    CR_TRY(cr_field_picture(&l->set->arena, value, &item->source, err));
    if (item->row && item->source.len < 1000)
        json_object_set_new(item->row, "image",
                            json_stringn(item->source.data, item->source.len));
    return CRITIC_OK;
}

/* POPE's rows, and MME's where they are a file: yes or no. */
static enum critic_status read_yes_no(struct cr_quiz_loading *l, const json_t *row,
                                      size_t line, struct cr_quiz_item *item,
                                      critic_error *err) {
    bool mme = l->set->quiz->kind == CR_QUIZ_MME;
    struct cr_arena *a = &l->set->arena;
    const json_t *id = cr_field_find(row, "question_id|id");
    struct cr_str id_text = cr_field_text(a, id);
    struct cr_str question = cr_field_text(a, cr_field_find(row, "text|question"));
    struct cr_str label = cr_field_text(a, cr_field_find(row, "label|answer"));
    struct cr_str category = cr_field_text(a, cr_field_find(row, "category"));
    bool in_front = category.data || l->several;
    if (!question.data)
        return cr_fail(err, CRITIC_BAD_DATA, "has no question; expected key 'text'");
    if (!label.data)
        return cr_fail(err, CRITIC_BAD_DATA, "has no label; expected key 'label'");
    if (!category.data)
        category = cr_str_of(l->split ? l->split : "");
    if (!id_text.data)
        id_text = cr_quiz_text(l->set, "%zu", line);
    /* MME's two questions of a picture share their question_id. */
    item->unit =
        mme ? cr_quiz_text(l->set, "%s/%s", category.data, id_text.data).data : NULL;
    if (mme)
        item->id = cr_quiz_text(l->set, "%s/%s/%zu", category.data, id_text.data, line);
    else
        item->id = in_front && category.len
                       ? cr_quiz_text(l->set, "%s/%s", category.data, id_text.data)
                       : id_text;
    if (!mme)
        item->unit = item->id.data;
    item->group = category.data;
    item->prompt = cr_quiz_prompt(l, question);
    item->row = json_object();
    json_object_set_new(item->row, "question_id",
                        !mme && !in_front && json_is_integer(id)
                            ? json_integer(json_integer_value(id))
                            : json_stringn(item->id.data, item->id.len));
    if (category.len)
        json_object_set_new(item->row, "category", json_string(category.data));
    json_object_set_new(item->row, "question", json_string(question.data));
    json_object_set_new(item->row, mme ? "answer" : "label", json_string(label.data));
    return take_picture(l, cr_field_find(row, "image"), item, err);
}

static enum critic_status on_yes_no(void *user, json_t *row, size_t line,
                                    critic_error *err) {
    struct cr_quiz_loading *l = user;
    struct cr_quiz_item item = {0};
    critic_error why = {0};
    const json_t *image = cr_field_find(row, "image");
    if (!l->placed && json_is_string(image) && json_string_length(image) < 300) {
        CR_TRY(find_pictures(l, json_string_value(image), err));
        l->placed = true;
    }
    enum critic_status status = read_yes_no(l, row, line, &item, &why);
    if (status == CRITIC_OK)
        return cr_quiz_add(l, &item, line, err);
    json_decref(item.row);
    return status == CRITIC_NO_MEMORY
               ? cr_quiz_no_memory(err)
               : cr_faults_add(l->faults, l->path, "question", line, err,
                               "%.200s; question left out", why.message);
}

/* ---- files ---------------------------------------------------------------------------------- */

static enum critic_status read_file(struct cr_quiz_loading *l, const char *path,
                                    critic_error *err) {
    struct cr_buf folder;
    enum critic_status status = CRITIC_OK;
    cr_buf_init(&folder, 1 << 16);
    l->path = cr_quiz_text(l->set, "%s", path).data;
    l->split = split_of_name(path);
    l->placed = l->how->pictures != NULL;
    if (l->how->pictures)
        status = cr_buf_append_c(&folder, l->how->pictures, err);
    else
        status = cr_path_parent(&folder, path, err);
    if (status == CRITIC_OK)
        l->folder = cr_quiz_text(l->set, "%s", folder.data);
    cr_buf_fini(&folder);
    if (status == CRITIC_OK && (!l->path || !l->folder.data))
        status = cr_quiz_no_memory(err);
    if (status != CRITIC_OK)
        return status;
    return l->set->quiz->kind == CR_QUIZ_MMBENCH
               ? cr_quiz_mmbench(l, err)
               : cr_rows_read(l->path, l->faults, on_yes_no, l, err);
}

static enum critic_status read_folder(struct cr_quiz_loading *l, const char *data,
                                      critic_error *err) {
    const struct cr_quiz *q = l->set->quiz;
    struct cr_buf path;
    size_t n = 0;
    enum critic_status status = CRITIC_OK;
    cr_buf_init(&path, 1 << 16);
    for (int pass = 0; pass < 2; pass++) /* first count: ids need to know */
        for (size_t i = 0; i < CR_COUNT(q->files) && q->files[i] && status == CRITIC_OK;
             i++) {
            cr_buf_clear(&path);
            status = cr_path_join(&path, data, q->files[i], err);
            if (status != CRITIC_OK || !cr_file_exists(path.data) ||
                cr_dir_exists(path.data))
                continue;
            n += pass == 0;
            l->several = n > 1;
            if (pass == 0)
                continue;
            status = read_file(l, path.data, err);
            if (q->kind != CR_QUIZ_POPE)
                break; /* one file is the whole */
        }
    cr_buf_fini(&path);
    return status;
}

static enum critic_status read_all(struct cr_quiz_loading *l, critic_error *err) {
    const struct cr_quiz *q = l->set->quiz;
    const char *data = l->how->data ? l->how->data : ".";
    bool found = false;
    if (cr_file_exists(data) && !cr_dir_exists(data))
        CR_TRY(read_file(l, data, err));
    else if (q->kind == CR_QUIZ_MME)
        CR_TRY(cr_quiz_mme(l, data, &found, err));
    if (l->set->n == 0 && !found && cr_dir_exists(data))
        CR_TRY(read_folder(l, data, err));
    if (l->set->n > 0)
        return CRITIC_OK;
    return l->faults->n > 0
               ? cr_fail(err, CRITIC_BAD_FILE,
                         "%.160s: no question could be read; the lines above say why",
                         data)
               : cr_fail(
                     err, CRITIC_BAD_FILE,
                     "%.160s: %s is not there; expected %s in the folder of --data; to "
                     "be had from: %s",
                     data, q->title, q->files[0], q->source);
}

/* ---- which questions ------------------------------------------------------------------------ */

struct unit {
    const char *name, *group;
    uint64_t rank;
    bool wanted;
};

static int by_rank(const void *a, const void *b) {
    const struct unit *x = *(struct unit *const *)a, *y = *(struct unit *const *)b;
    return (x->rank > y->rank) - (x->rank < y->rank);
}

static int by_name(const void *a, const void *b) {
    return strcmp(((const struct cr_group_count *)a)->name,
                  ((const struct cr_group_count *)b)->name);
}

/* So many units of each group as its share asks for, drawn by a hash of seed and name. */
static void draw(struct unit *units, size_t n_units, struct unit **order,
                 struct cr_group_count *groups, size_t sample) {
    size_t n_groups = 0;
    for (size_t u = 0; u < n_units; u++) {
        size_t g = 0;
        while (g < n_groups && strcmp(groups[g].name, units[u].group) != 0)
            g++;
        if (g == n_groups)
            groups[n_groups++] = (struct cr_group_count){.name = units[u].group};
        groups[g].n++;
        order[u] = &units[u];
    }
    qsort(groups, n_groups, sizeof *groups, by_name);
    qsort(order, n_units, sizeof *order, by_rank);
    cr_exam_share_out(groups, n_groups, n_units, sample);
    for (size_t u = 0; u < n_units; u++)
        for (size_t g = 0; g < n_groups; g++)
            if (strcmp(groups[g].name, order[u]->group) == 0 && groups[g].share > 0) {
                groups[g].share--;
                order[u]->wanted = true;
            }
}

/* Keeps the items of wanted units; of those item k where k mod n_shards is shard. */
static void keep(struct cr_quiz_set *set, const struct unit *units, const size_t *unit_of,
                 const struct cr_quiz_load *how) {
    size_t n = 0, k = 0;
    for (size_t i = 0; i < set->n; i++) {
        bool wanted = units[unit_of[i]].wanted;
        if (wanted && how->n_shards > 0)
            wanted = k++ % how->n_shards == how->shard;
        if (wanted)
            set->items[n++] = set->items[i];
        else
            json_decref(set->items[i].row);
    }
    set->n = n;
}

static enum critic_status choose(struct cr_quiz_set *set, const struct cr_quiz_load *how,
                                 critic_error *err) {
    json_t *places = json_object();
    struct unit *units = calloc(set->n, sizeof *units);
    struct unit **order = calloc(set->n, sizeof *order);
    struct cr_group_count *groups = calloc(set->n, sizeof *groups);
    size_t *unit_of = calloc(set->n, sizeof *unit_of);
    size_t n_units = 0;
    bool ok = places && units && order && groups && unit_of;
    for (size_t i = 0; ok && i < set->n; i++) {
        const struct cr_quiz_item *item = &set->items[i];
        const json_t *place = json_object_get(places, item->unit);
        struct cr_hash h;
        uint64_t hash[2];
        unit_of[i] = place ? (size_t)json_integer_value(place) : n_units;
        if (place)
            continue;
        cr_hash_init(&h, how->seed);
        cr_hash_update(&h, item->unit, strlen(item->unit));
        cr_hash_final(&h, hash);
        units[n_units] = (struct unit){item->unit, item->group, hash[0], false};
        ok = json_object_set_new(places, item->unit,
                                 json_integer((json_int_t)n_units++)) == 0;
    }
    if (ok && how->sample > 0 && how->sample < n_units)
        draw(units, n_units, order, groups, how->sample);
    else
        for (size_t u = 0; ok && u < n_units; u++)
            units[u].wanted = true;
    for (size_t u = 0, n = 0; ok && how->limit > 0 && u < n_units; u++) {
        n += units[u].wanted;
        units[u].wanted = units[u].wanted && n <= how->limit;
    }
    if (ok)
        keep(set, units, unit_of, how);
    json_decref(places);
    free(units);
    free(order);
    free(groups);
    free(unit_of);
    return ok ? CRITIC_OK : cr_quiz_no_memory(err);
}

enum critic_status cr_quiz_load(struct cr_quiz_set *out, const struct cr_quiz *quiz,
                                const struct cr_quiz_load *how, struct cr_faults *faults,
                                critic_error *err) {
    struct cr_quiz_loading l = {.set = out, .how = how, .faults = faults};
    memset(out, 0, sizeof *out);
    out->quiz = quiz;
    l.instruction = how->instruction ? how->instruction : quiz->instruction;
    CR_TRY(cr_arena_init(&out->arena, MAX_ARENA, err));
    l.ids = json_object();
    enum critic_status status = l.ids ? read_all(&l, err) : cr_quiz_no_memory(err);
    json_decref(l.ids);
    out->n_file = out->n;
    return status == CRITIC_OK ? choose(out, how, err) : status;
}

void cr_quiz_set_fini(struct cr_quiz_set *set) {
    for (size_t i = 0; i < set->n; i++)
        json_decref(set->items[i].row);
    free(set->items);
    cr_arena_fini(&set->arena);
    memset(set, 0, sizeof *set);
}
