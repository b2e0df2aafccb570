/* Published files to items: by the fields that the benchmark's row names. */
#include <math.h>
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
#include "eval/lines.h"
#include "eval/rows.h"
#include "image/image.h"
#include "judge/verdict.h"

#define MAX_ARENA ((size_t)1 << 36) /* address space; pages come as they are used */

struct loading {
    struct cr_exam_set *set;
    const struct cr_exam_load *how;
    struct cr_faults *faults;
    json_t *answers; /* of --answers, by id; NULL: none */
    json_t *ids;     /* seen so far: by id a list of what the items of that id hold */
    char *folder;
    size_t cap;
};

static enum critic_status no_memory(critic_error *err) {
    return cr_fail(err, CRITIC_NO_MEMORY, "no memory for the items of a benchmark");
}

/* ---- fields of one item ------------------------------------------------------------------------ */

static const char *text_or_null(struct cr_arena *a, const json_t *value) {
    struct cr_str s = cr_field_text(a, value);
    return s.data;
}

/* Question text without the marks where the picture goes. */
static struct cr_str without_marks(struct cr_str s) {
    static const struct cr_str mark = {"<image>", 7};
    for (bool again = true; again;) {
        again = false;
        while (s.len > 0 && strchr(" \t\r\n", s.data[0]))
            s.data++, s.len--;
        while (s.len > 0 && strchr(" \t\r\n", s.data[s.len - 1]))
            s.len--;
        if (s.len >= mark.len && memcmp(s.data, mark.data, mark.len) == 0) {
            s = (struct cr_str){s.data + mark.len, s.len - mark.len};
            again = true;
        } else if (s.len >= mark.len &&
                   memcmp(s.data + s.len - mark.len, mark.data, mark.len) == 0) {
            s.len -= mark.len;
            again = true;
        }
    }
    return s;
}

static enum critic_status read_id(struct loading *l, const json_t *row, size_t line,
                                  struct cr_exam_item *b, critic_error *err) {
    char number[32];
    const char *names = l->set->bench->keys.id;
    const char *by_line = strstr(names, "@line");
    const json_t *value = cr_field_find(row, names);
    struct cr_str id = cr_field_text(&l->set->arena, value);
    if (!id.data && by_line) {
        int n = snprintf(number, sizeof number, "%zu", line);
        id.data = cr_arena_strndup(&l->set->arena, number, (size_t)n);
        id.len = (size_t)n;
    }
    if (!id.data)
        return cr_fail(err, CRITIC_BAD_DATA, "has no id; expected key '%s'", names);
    b->item.id = id;
    return CRITIC_OK;
}

/* Where a picture is looked for: beside the file, and as MLLM-as-a-Judge has it. */
static const char *const picture_folders[] = {"", "image/", "images/", "../image/",
                                              "../images/"};

/* A relative path that is not beside the file becomes one from there; others stay. */
static enum critic_status find_picture(struct loading *l, struct cr_str *source,
                                       critic_error *err) {
    struct cr_buf path;
    enum critic_status status = CRITIC_OK;
    if (cr_is_data_url(*source) || source->data[0] == '/')
        return CRITIC_OK;
    cr_buf_init(&path, 1 << 16);
    for (size_t i = 0; i < CR_COUNT(picture_folders) && status == CRITIC_OK; i++) {
        cr_buf_clear(&path);
        status = cr_buf_printf(&path, err, "%s%s%s%s", l->folder, l->folder[0] ? "/" : "",
                               picture_folders[i], source->data);
        if (status != CRITIC_OK || !cr_file_exists(path.data))
            continue;
        size_t skip = strlen(l->folder) + (l->folder[0] != '\0');
        source->data =
            cr_arena_strndup(&l->set->arena, path.data + skip, path.len - skip);
        source->len = path.len - skip;
        status = source->data ? CRITIC_OK : no_memory(err);
        break;
    }
    cr_buf_fini(&path);
    return status;
}

static enum critic_status read_pictures(struct loading *l, const json_t *row,
                                        struct cr_exam_item *b, critic_error *err) {
    const json_t *value = cr_field_find(row, l->set->bench->keys.images);
    if (!value)
        return CRITIC_OK;
    size_t n = json_is_array(value) ? json_array_size(value) : 1;
    struct cr_str *sources =
        cr_arena_calloc(&l->set->arena, CR_MAX(n, (size_t)1), sizeof *sources);
    if (!sources)
        return no_memory(err);
    for (size_t i = 0; i < n; i++) {
        CR_TRY(cr_field_picture(&l->set->arena,
                                json_is_array(value) ? json_array_get(value, i) : value,
                                &sources[i], err));
        CR_TRY(find_picture(l, &sources[i], err));
    }
    b->item.sources = sources;
    b->item.n_sources = n;
    b->item.folder = cr_str_of(l->folder);
    return CRITIC_OK;
}

/* The candidate's answer: from its column, else from --answers. */
static const json_t *candidate_of(const struct loading *l, const json_t *row,
                                  struct cr_str id) {
    const json_t *value = NULL;
    if (l->how->candidate)
        value = json_object_get(row, l->how->candidate);
    if (!value && l->answers)
        value = json_object_getn(l->answers, id.data, id.len);
    return value;
}

static enum critic_status read_answers(struct loading *l, const json_t *row,
                                       struct cr_exam_item *b, critic_error *err) {
    const struct cr_exam *bench = l->set->bench;
    struct cr_arena *a = &l->set->arena;
    struct cr_str *out = cr_arena_calloc(a, CR_MAX_ANSWERS, sizeof *out);
    size_t n = 0;
    if (!out)
        return no_memory(err);
    for (int k = 0; k < 2 && bench->keys.answers[k]; k++) {
        const char *names = bench->keys.answers[k];
        const json_t *value = cr_field_find(row, names);
        if (!value && strchr(names, '@'))
            value = candidate_of(l, row, b->item.id);
        bool is_list = !bench->keys.answers[1] && bench->mode != CR_MODE_POINTWISE;
        size_t added = is_list ? cr_field_texts(a, value, out, CR_MAX_ANSWERS)
                               : (out[n] = cr_field_text(a, value)).data != NULL;
        if (added == 0 && strchr(names, '@'))
            return cr_fail(
                err, CRITIC_BAD_DATA,
                "the candidate has no answer to it; expected one in --answers or "
                "the column of --candidate");
        if (added == 0)
            return cr_fail(err, CRITIC_BAD_DATA, "has no answer; expected key '%s'",
                           names);
        n += added;
    }
    bool enough = bench->mode == CR_MODE_POINTWISE  ? n == 1
                  : bench->mode == CR_MODE_PAIRWISE ? n == 2
                                                    : n >= 2;
    if (!enough)
        return cr_fail(err, CRITIC_BAD_DATA, "%zu answers; expected %s", n,
                       bench->mode == CR_MODE_POINTWISE  ? "1"
                       : bench->mode == CR_MODE_PAIRWISE ? "2"
                                                         : "2 or more");
    b->item.answers = out;
    b->item.n_answers = n;
    return CRITIC_OK;
}

/* ---- labels ------------------------------------------------------------------------------------- */

static enum cr_pick pick_of_text(struct cr_str s) {
    static const struct {
        const char *text;
        enum cr_pick pick;
    } rows[] = {{"A", CR_PICK_FIRST},
                {"B", CR_PICK_SECOND},
                {"C", CR_PICK_TIE},
                {"Output1", CR_PICK_FIRST},
                {"Output2", CR_PICK_SECOND},
                {"model_a", CR_PICK_FIRST},
                {"model_b", CR_PICK_SECOND},
                {"first", CR_PICK_FIRST},
                {"second", CR_PICK_SECOND},
                {"win", CR_PICK_FIRST},
                {"lose", CR_PICK_SECOND},
                {"tie", CR_PICK_TIE},
                {"tie (bothbad)", CR_PICK_TIE},
                {"bothbad", CR_PICK_TIE},
                {"bothbad_vote", CR_PICK_TIE},
                {"tievote", CR_PICK_TIE},
                {"leftvote", CR_PICK_FIRST},
                {"rightvote", CR_PICK_SECOND},
                {"[0, 1]", CR_PICK_FIRST},
                {"[1, 0]", CR_PICK_SECOND},
                {"[0 1]", CR_PICK_FIRST},
                {"[1 0]", CR_PICK_SECOND}};
    for (size_t i = 0; i < CR_COUNT(rows); i++)
        if (cr_str_eq_c(s, rows[i].text))
            return rows[i].pick;
    return CR_PICK_NONE;
}

static enum cr_pick pick_of_ranking(const json_t *value) {
    json_int_t first = json_integer_value(json_array_get(value, 0));
    json_int_t second = json_integer_value(json_array_get(value, 1));
    if (json_array_size(value) != 2 || first + second != 1 || first * second != 0)
        return CR_PICK_NONE;
    return first == 0 ? CR_PICK_FIRST : CR_PICK_SECOND;
}

static bool is_order(struct cr_str s, size_t n) {
    unsigned seen = 0;
    for (size_t i = 0; i < s.len; i++)
        if (s.data[i] >= 'A' && s.data[i] < 'A' + (int)n)
            seen |= 1u << (s.data[i] - 'A');
    return s.len == n && seen == (1u << n) - 1;
}

static bool read_score(struct cr_str s, double *out) {
    char *end = NULL;
    if (!s.data || s.len == 0 || s.len > 30)
        return false;
    *out = strtod(s.data, &end);
    return *end == '\0' && isfinite(*out);
}

static enum critic_status read_label(struct loading *l, const json_t *row,
                                     struct cr_exam_item *b, critic_error *err) {
    const struct cr_exam *bench = l->set->bench;
    const json_t *value = cr_field_find(row, bench->keys.label);
    struct cr_str text = cr_field_text(&l->set->arena, value);
    bool ok = true;
    b->label_pick = CR_PICK_NONE;
    b->label_score = (double)NAN;
    switch (bench->label) {
    case CR_LABEL_NONE:
        return CRITIC_OK;
    case CR_LABEL_CHOSEN:
        b->label_pick = CR_PICK_FIRST;
        return CRITIC_OK;
    case CR_LABEL_SCORE:
        ok = read_score(text, &b->label_score);
        break;
    case CR_LABEL_ORDER:
        ok = text.data && is_order(text, b->item.n_answers);
        b->label_order = text.data;
        break;
    default:
        b->label_pick =
            json_is_array(value) ? pick_of_ranking(value) : pick_of_text(text);
        ok = b->label_pick != CR_PICK_NONE;
    }
    return ok ? CRITIC_OK
              : cr_fail(err, CRITIC_BAD_DATA, "label '%.40s' of key '%s' cannot be read",
                        text.data ? text.data : "", bench->keys.label);
}

/* ---- items -------------------------------------------------------------------------------------- */

static enum critic_status read_item(struct loading *l, const json_t *row, size_t line,
                                    struct cr_exam_item *b, critic_error *err) {
    const struct cr_exam_keys *keys = &l->set->bench->keys;
    struct cr_arena *a = &l->set->arena;
    CR_TRY(read_id(l, row, line, b, err));
    b->item.question =
        without_marks(cr_field_text(a, cr_field_find(row, keys->question)));
    if (!b->item.question.data)
        return cr_fail(err, CRITIC_BAD_DATA, "has no question; expected key '%s'",
                       keys->question);
    b->item.context = cr_field_text(a, cr_field_find(row, keys->context));
    b->item.reference = cr_field_text(a, cr_field_find(row, keys->reference));
    CR_TRY(read_pictures(l, row, b, err));
    CR_TRY(read_answers(l, row, b, err));
    CR_TRY(read_label(l, row, b, err));
    for (int k = 0; k < 2; k++)
        b->models[k] = text_or_null(a, cr_field_find(row, keys->models[k]));
    b->subgroup = text_or_null(a, cr_field_find(row, keys->subgroup));
    b->cluster = text_or_null(a, cr_field_find(row, keys->cluster));
    const char *group = text_or_null(a, cr_field_find(row, keys->group));
    b->group =
        cr_exam_group(a, l->set->bench->group, b->item.id, group, l->set->n_file - 1);
    return CRITIC_OK;
}

static enum critic_status grow(struct loading *l, critic_error *err) {
    struct cr_exam_set *set = l->set;
    struct cr_exam_item *grown = cr_grow(set->items, set->n, &l->cap, sizeof *grown);
    if (!grown)
        return no_memory(err);
    set->items = grown;
    return CRITIC_OK;
}

/* Question and answers, in whatever order the answers stand. */
static uint64_t content_of(const struct cr_item *item) {
    struct cr_hash h;
    uint64_t value[2], sum = 0;
    cr_hash_init(&h, 0);
    cr_hash_update(&h, item->question.data, item->question.len);
    cr_hash_final(&h, value);
    sum = value[0];
    for (size_t i = 0; i < item->n_answers; i++) {
        cr_hash_init(&h, 1);
        cr_hash_update(&h, item->answers[i].data, item->answers[i].len);
        cr_hash_final(&h, value);
        sum += value[0];
    }
    return sum;
}

/* Published files give one id to different items (18 of VL-RewardBench's, whose own script tells them
 * apart by question and answers): the k-th becomes "ID#k". *doubled: it is there already. */
static enum critic_status make_unique(struct loading *l, struct cr_exam_item *b,
                                      bool *doubled, critic_error *err) {
    struct cr_buf text;
    struct cr_str id = b->item.id;
    json_int_t content = (json_int_t)content_of(&b->item);
    json_t *seen = json_object_getn(l->ids, id.data, id.len);
    *doubled = false;
    for (size_t i = 0; i < json_array_size(seen); i++)
        *doubled |= json_integer_value(json_array_get(seen, i)) == content;
    if (*doubled)
        return CRITIC_OK;
    if (!seen && json_object_setn_new(l->ids, id.data, id.len, json_array()) != 0)
        return no_memory(err);
    seen = json_object_getn(l->ids, id.data, id.len);
    if (json_array_append_new(seen, json_integer(content)) != 0)
        return no_memory(err);
    if (json_array_size(seen) == 1)
        return CRITIC_OK;
    cr_buf_init(&text, id.len + 40);
    enum critic_status status =
        cr_buf_printf(&text, err, "%s#%zu", id.data, json_array_size(seen));
    if (status == CRITIC_OK) {
        b->item.id = (struct cr_str){
            cr_arena_strndup(&l->set->arena, text.data, text.len), text.len};
        status = b->item.id.data ? CRITIC_OK : no_memory(err);
    }
    cr_buf_fini(&text);
    return status;
}

static enum critic_status on_row(void *user, json_t *row, size_t line,
                                 critic_error *err) {
    struct loading *l = user;
    bool doubled;
    critic_error why = {0};
    CR_TRY(grow(l, err));
    struct cr_exam_item *b = &l->set->items[l->set->n];
    memset(b, 0, sizeof *b);
    l->set->n_file++;
    enum critic_status status = read_item(l, row, line, b, &why);
    if (status == CRITIC_NO_MEMORY)
        return cr_fail(err, status, "%s", why.message);
    if (status != CRITIC_OK)
        return cr_faults_add(l->faults, l->set->path, "item", line, err,
                             "%.300s; item left out", why.message);
    CR_TRY(make_unique(l, b, &doubled, err));
    if (doubled)
        return cr_faults_add(l->faults, l->set->path, "doubled id", line, err,
                             "id '%.60s' stands there already; the first counts",
                             b->item.id.data);
    l->set->n++;
    return CRITIC_OK;
}

/* ---- files -------------------------------------------------------------------------------------- */

static enum critic_status find_file(struct cr_exam_set *set, const char *data,
                                    critic_error *err) {
    const struct cr_exam *b = set->bench;
    struct cr_buf path;
    enum critic_status status = CRITIC_OK;
    cr_buf_init(&path, 1 << 16);
    bool found = data && cr_file_exists(data) && !cr_dir_exists(data);
    if (found)
        status = cr_buf_append_c(&path, data, err);
    for (size_t i = 0; !found && i < CR_EXAM_FILES && b->files[i] && status == CRITIC_OK;
         i++) {
        cr_buf_clear(&path);
        status = cr_path_join(&path, data ? data : ".", b->files[i], err);
        found = status == CRITIC_OK && cr_file_exists(path.data);
    }
    if (status == CRITIC_OK && !found)
        status = cr_fail(
            err, CRITIC_BAD_FILE,
            "%s: %s is not there; expected %s%s%s in the folder of --data; to be had "
            "from: %s",
            data ? data : ".", b->title, b->files[0], b->files[1] ? " or " : "",
            b->files[1] ? b->files[1] : "", b->source);
    if (status == CRITIC_OK && !(set->path = cr_str_dup(cr_buf_str(&path))))
        status = no_memory(err);
    cr_buf_fini(&path);
    return status;
}

static enum critic_status hash_file(struct cr_exam_set *set, critic_error *err) {
    struct cr_map map;
    struct cr_hash h;
    CR_TRY(cr_map_open(&map, set->path, err));
    cr_hash_init(&h, 0);
    cr_hash_update(&h, map.bytes.data, map.bytes.len);
    cr_hash_hex(&h, set->hash);
    cr_map_close(&map);
    return CRITIC_OK;
}

static enum critic_status on_answer(void *user, json_t *row, size_t line,
                                    critic_error *err) {
    struct loading *l = user;
    char number[32];
    const char *id = number;
    const json_t *id_value = cr_field_find(row, "question_id|id|index|ID|uid");
    const json_t *text =
        cr_field_find(row, "text|answer|output|response|prediction|model_answer|pred");
    if (json_is_string(id_value))
        id = json_string_value(id_value);
    else if (json_is_integer(id_value))
        snprintf(number, sizeof number, "%lld", (long long)json_integer_value(id_value));
    else
        snprintf(number, sizeof number, "%zu", line);
    if (!json_is_string(text))
        return cr_faults_add(
            l->faults, l->how->answers, "answer", line, err,
            "has no answer; expected key text, answer, output or response; line "
            "left out");
    if (json_object_get(l->answers, id))
        return cr_faults_add(l->faults, l->how->answers, "doubled id", line, err,
                             "id '%.60s' stands there already; the first counts", id);
    return json_object_set_new(
               l->answers, id,
               json_stringn(json_string_value(text), json_string_length(text))) == 0
               ? CRITIC_OK
               : no_memory(err);
}

static enum critic_status read_files(struct loading *l, critic_error *err) {
    struct cr_exam_set *set = l->set;
    if (l->how->answers) {
        l->answers = json_object();
        CR_TRY(cr_lines_read(l->how->answers, l->faults, on_answer, l, err));
    }
    CR_TRY(cr_rows_read(set->path, l->faults, on_row, l, err));
    if (set->n == 0)
        return cr_fail(err, CRITIC_BAD_FILE, "%s: %s", set->path,
                       l->faults->n > 0 ? "no item could be read; the lines above say why"
                                        : "holds no item");
    return CRITIC_OK;
}

enum critic_status cr_exam_load(struct cr_exam_set *out, const struct cr_exam *bench,
                                const struct cr_exam_load *how, struct cr_faults *faults,
                                critic_error *err) {
    struct cr_buf folder;
    struct loading l = {.set = out, .how = how, .faults = faults, .ids = json_object()};
    enum critic_status status;
    memset(out, 0, sizeof *out);
    out->bench = bench;
    cr_buf_init(&folder, 1 << 16);
    CR_TRY_GOTO(cr_arena_init(&out->arena, MAX_ARENA, err));
    CR_TRY_GOTO(find_file(out, how->data, err));
    CR_TRY_GOTO(hash_file(out, err));
    CR_TRY_GOTO(cr_path_parent(&folder, out->path, err));
    l.folder = cr_arena_strndup(&out->arena, folder.data, folder.len);
    if (!l.folder)
        CR_TRY_GOTO(no_memory(err));
    CR_TRY_GOTO(read_files(&l, err));
    CR_TRY_GOTO(cr_exam_describe_groups(out, err));
    CR_TRY_GOTO(cr_exam_take_sample(out, how->sample, how->seed, err));
    if (how->limit > 0)
        out->n = CR_MIN(out->n, how->limit);
    cr_exam_take_shard(out, how->shard, how->n_shards);
fail:
    json_decref(l.ids);
    json_decref(l.answers);
    cr_buf_fini(&folder);
    return status;
}

void cr_exam_set_fini(struct cr_exam_set *set) {
    free(set->items);
    free(set->path);
    free(set->groups);
    cr_arena_fini(&set->arena);
    memset(set, 0, sizeof *set);
}
