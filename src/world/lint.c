#include "world/lint.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/dir.h"
#include "base/file.h"
#include "base/hash.h"
#include "judge/verdict.h"
#include "train/records.h"
#include "world/record.h"
#include "world/scene.h"
#include "world/seen.h"

static const char *const kind_names[CR_N_LINT_KINDS] = {
#define FAULT_TEXT(name, text) text,
    CR_FAULT_LIST(FAULT_TEXT)
#undef FAULT_TEXT
};

const char *cr_lint_kind_name(enum cr_lint_kind kind) {
    return kind_names[kind];
}

struct job {
    const struct cr_lint_opts *o;
    struct cr_lint_result *result;
    const char *where; /* of the record in work */
    const char *path;
    uint32_t split;
    const char **splits;        /* path that stands for each split */
    struct cr_seen ids, bodies; /* of this file */
    struct cr_seen pictures, scenes, looked_at;
    size_t n_first, n_second; /* of this file */
};

static void note(struct job *j, enum cr_lint_kind kind, const char *message) {
    j->result->faults[kind]++;
    if (j->o->on_fault)
        j->o->on_fault(j->o->user, kind, message);
}

CR_PRINTF(3, 4)
static void fault(struct job *j, enum cr_lint_kind kind, const char *fmt, ...) {
    char message[1024];
    va_list args;
    int n = snprintf(message, sizeof message, "%.400s: ", j->where);
    va_start(args, fmt);
    vsnprintf(message + n, sizeof message - (size_t)n, fmt, args);
    va_end(args);
    note(j, kind, message);
}

static uint64_t hash_of(uint64_t seed, struct cr_str text) {
    struct cr_hash h;
    uint64_t out[2];
    cr_hash_init(&h, seed);
    cr_hash_update(&h, text.data, text.len);
    cr_hash_final(&h, out);
    return out[0];
}

static size_t count_marks(struct cr_str text) {
    static const struct cr_str mark = {"<image>", 7};
    size_t n = 0, at;
    while ((at = cr_str_find(text, mark)) != SIZE_MAX) {
        n++;
        text = (struct cr_str){text.data + at + 7, text.len - at - 7};
    }
    return n;
}

/* ---- one record -------------------------------------------------------------------------------------- */

static void check_turns(struct job *j, const json_t *record) {
    size_t n = cr_record_n_turns(record), marks = 0, n_images = 0;
    if (n == 0 || n % 2 != 0) {
        fault(j, CR_LINT_SYNTAX,
              "'conversations' has %zu turns; expected human and gpt in turn", n);
        return;
    }
    for (size_t i = 0; i < n; i++) {
        struct cr_str text = cr_record_turn(record, i, i % 2 == 0 ? "human" : "gpt");
        if (!text.data) {
            fault(j, CR_LINT_SYNTAX,
                  "turn %zu is not {\"from\": \"%s\", \"value\": text}", i + 1,
                  i % 2 == 0 ? "human" : "gpt");
            return;
        }
        if (i % 2 == 0)
            marks += count_marks(text);
        else if (text.len == 0)
            fault(j, CR_LINT_SYNTAX, "reply %zu is empty", i / 2 + 1);
        else if (count_marks(text) > 0)
            fault(j, CR_LINT_MARKS, "reply %zu holds <image>", i / 2 + 1);
        j->result->n_turns++;
    }
    while (cr_record_image(record, n_images).data)
        n_images++;
    if (marks != n_images)
        fault(j, CR_LINT_MARKS,
              "%zu <image> in the human turns; expected %zu, one a picture", marks,
              n_images);
}

static enum critic_status check_duplicates(struct job *j, const json_t *record,
                                           critic_error *err) {
    const json_t *id = json_object_get(record, "id");
    uint32_t owner = 0;
    bool again;
    uint64_t body = 1;
    if (json_is_string(id)) {
        struct cr_str text = {json_string_value(id), json_string_length(id)};
        CR_TRY(cr_seen_put(&j->ids, hash_of(1, text), &owner, &again, err));
        if (again)
            fault(j, CR_LINT_DUPLICATE, "id '%.80s' a second time", text.data);
    }
    for (size_t i = 0; cr_record_image(record, i).data; i++)
        body = hash_of(body, cr_record_image(record, i));
    for (size_t i = 0; i < cr_record_n_turns(record); i++)
        body = hash_of(body, cr_record_turn(record, i, i % 2 == 0 ? "human" : "gpt"));
    CR_TRY(cr_seen_put(&j->bodies, body, &owner, &again, err));
    if (again)
        fault(j, CR_LINT_DUPLICATE, "picture and conversation of an earlier record");
    return CRITIC_OK;
}

/* The picture's bytes as a key; false where it cannot be read. */
static bool hash_picture(const struct job *j, struct cr_str name, uint64_t *key) {
    struct cr_buf folder, path;
    struct cr_map map;
    bool ok = false;
    cr_buf_init(&folder, 1 << 16);
    cr_buf_init(&path, 1 << 16);
    char *copy = cr_str_dup(name);
    enum critic_status status = CRITIC_OK;
    if (!j->o->image_folder)
        status = cr_path_parent(&folder, j->path, NULL);
    if (copy && status == CRITIC_OK &&
        cr_path_join(&path, j->o->image_folder ? j->o->image_folder : folder.data, copy,
                     NULL) == CRITIC_OK &&
        cr_map_open(&map, path.data, NULL) == CRITIC_OK) {
        *key = hash_of(2, (struct cr_str){(const char *)map.bytes.data, map.bytes.len});
        cr_map_close(&map);
        ok = true;
    }
    free(copy);
    cr_buf_fini(&folder);
    cr_buf_fini(&path);
    return ok;
}

static enum critic_status check_picture(struct job *j, struct cr_str name,
                                        critic_error *err) {
    uint64_t key = 0;
    uint32_t owner = j->split;
    bool again;
    /* The same name in the same split is the same picture: looked at once. */
    CR_TRY(cr_seen_put(&j->looked_at, hash_of(3 + j->split, name), &owner, &again, err));
    if (again)
        return CRITIC_OK;
    j->result->n_images++;
    if (!hash_picture(j, name, &key)) {
        fault(j, CR_LINT_MISSING, "picture '%.*s' is not there",
              (int)(name.len < 200 ? name.len : 200), name.data);
        return CRITIC_OK;
    }
    owner = j->split;
    CR_TRY(cr_seen_put(&j->pictures, key, &owner, &again, err));
    if (again && owner != j->split)
        fault(j, CR_LINT_LEAK, "picture '%.*s' is also in the split of %s",
              (int)(name.len < 200 ? name.len : 200), name.data, j->splits[owner]);
    return CRITIC_OK;
}

/* Counts which answer the reply prefers, where it says so. */
static void count_choice(struct job *j, const json_t *record) {
    static const struct cr_verdict_rule rule = {
        .formats = {CR_FORMAT_BETTER, CR_FORMAT_ARENA, CR_FORMAT_LETTER}, .n_formats = 3};
    for (size_t i = 1; i < cr_record_n_turns(record); i += 2) {
        struct cr_str text = cr_record_turn(record, i, "gpt");
        struct cr_parsed parsed;
        if (!text.data || cr_verdict_parse(&parsed, text, &rule, NULL) != CRITIC_OK ||
            !parsed.ok)
            continue;
        j->n_first += parsed.choice == CR_CHOICE_FIRST;
        j->n_second += parsed.choice == CR_CHOICE_SECOND;
    }
}

/* A line of scenes.jsonl. */
static enum critic_status check_scene(struct job *j, const json_t *record,
                                      critic_error *err) {
    struct cr_buf text;
    struct cr_scene_line line;
    critic_error why = {0};
    bool again;
    cr_buf_init(&text, 1 << 20);
    enum critic_status status = cr_json_append(&text, record, err);
    if (status == CRITIC_OK &&
        cr_scene_read(&line, cr_buf_str(&text), j->where, &why) != CRITIC_OK) {
        fault(j, CR_LINT_SYNTAX, "%.300s", why.message);
        cr_buf_fini(&text);
        return CRITIC_OK;
    }
    cr_buf_fini(&text);
    CR_TRY(status);
    if (cr_scene_split(&line.scene) != line.split)
        fault(j, CR_LINT_SPLIT, "the scene belongs to '%s'; the line says '%s'",
              cr_split_name(cr_scene_split(&line.scene)), cr_split_name(line.split));
    uint32_t owner = j->split;
    CR_TRY(cr_seen_put(&j->scenes, cr_scene_key(&line.scene), &owner, &again, err));
    if (again && owner != j->split)
        fault(j, CR_LINT_LEAK, "the scene is also in the split of %s", j->splits[owner]);
    return CRITIC_OK;
}

static enum critic_status check_record(struct job *j, const json_t *record,
                                       critic_error *err) {
    j->result->n_records++;
    if (json_object_get(record, "objects") && json_object_get(record, "grid"))
        return check_scene(j, record, err);
    /* Labels of cells, prompts and the oracle's items have no conversation. */
    if (!json_object_get(record, "conversations") &&
        (json_object_get(record, "labels") || json_object_get(record, "responses") ||
         json_object_get(record, "question")))
        return CRITIC_OK;
    check_turns(j, record);
    CR_TRY(check_duplicates(j, record, err));
    for (size_t i = 0; !j->o->no_images && cr_record_image(record, i).data; i++)
        CR_TRY(check_picture(j, cr_record_image(record, i), err));
    count_choice(j, record);
    return CRITIC_OK;
}

/* ---- files -------------------------------------------------------------------------------------------- */

static void check_order(struct job *j) {
    double n = (double)(j->n_first + j->n_second);
    if (n < 40)
        return;
    double z = ((double)j->n_first - n / 2) / sqrt(n / 4);
    if (fabs(z) > 3.89) /* one in 10,000 */
        fault(j, CR_LINT_ORDER,
              "the first answer is better in %zu of %.0f pairs; expected about half",
              j->n_first, n);
}

static enum critic_status check_records(struct job *j, const struct cr_records *records,
                                        critic_error *err) {
    char where[512];
    j->where = where;
    for (size_t i = 0; i < records->n; i++) {
        json_t *record = NULL;
        critic_error why = {0};
        enum critic_status status = cr_records_get(records, i, &record, &why);
        cr_records_where(records, i, where);
        if (status == CRITIC_OK)
            status = check_record(j, record, err);
        else if (status == CRITIC_BAD_DATA)
            note(j, CR_LINT_SYNTAX, why.message);
        else if (err)
            *err = why;
        json_decref(record);
        if (status != CRITIC_OK && status != CRITIC_BAD_DATA)
            return status;
        if (j->o->cancel && j->o->cancel(j->o->user))
            return cr_fail(err, CRITIC_CANCELLED, "cancelled");
    }
    j->where = j->path;
    check_order(j);
    return CRITIC_OK;
}

static enum critic_status check_file(struct job *j, critic_error *err) {
    struct cr_records records;
    critic_error why = {0};
    memset(&j->ids, 0, sizeof j->ids);
    memset(&j->bodies, 0, sizeof j->bodies);
    j->n_first = j->n_second = 0;
    enum critic_status status = cr_records_open(&records, j->path, 0, &why);
    if (status == CRITIC_OK)
        status = check_records(j, &records, err);
    else if (status == CRITIC_BAD_DATA)
        note(j, CR_LINT_SYNTAX, why.message);
    else if (err)
        *err = why;
    cr_records_close(&records);
    cr_seen_fini(&j->ids);
    cr_seen_fini(&j->bodies);
    return status == CRITIC_BAD_DATA ? CRITIC_OK : status;
}

/* The split of every path, as the number of the first path that shares its folder. */
static enum critic_status find_splits(const struct cr_lint_opts *o, uint32_t *splits,
                                      critic_error *err) {
    struct cr_buf a, b;
    enum critic_status status = CRITIC_OK;
    bool several = false;
    cr_buf_init(&a, 1 << 16);
    cr_buf_init(&b, 1 << 16);
    for (size_t i = 0; i < o->n_paths; i++) {
        splits[i] = (uint32_t)i;
        CR_TRY_GOTO(cr_path_parent(&a, o->paths[i], err));
        for (size_t k = 0; k < i; k++) {
            CR_TRY_GOTO(cr_path_parent(&b, o->paths[k], err));
            if (strcmp(a.data, b.data) == 0) {
                splits[i] = splits[k];
                break;
            }
        }
        several = several || splits[i] != splits[0];
    }
    for (size_t i = 0; !several && i < o->n_paths; i++)
        splits[i] = (uint32_t)i;
fail:
    cr_buf_fini(&a);
    cr_buf_fini(&b);
    return status;
}

enum critic_status cr_data_lint(const struct cr_lint_opts *opts,
                                struct cr_lint_result *result, critic_error *err) {
    struct job j = {.o = opts, .result = result};
    uint32_t *splits = calloc(opts->n_paths ? opts->n_paths : 1, sizeof *splits);
    enum critic_status status = CRITIC_OK;
    memset(result, 0, sizeof *result);
    if (!splits)
        return cr_fail(err, CRITIC_NO_MEMORY, "no memory for %zu files", opts->n_paths);
    CR_TRY_GOTO(find_splits(opts, splits, err));
    j.splits = (const char **)calloc(opts->n_paths ? opts->n_paths : 1, sizeof *j.splits);
    if (!j.splits) {
        status = cr_fail(err, CRITIC_NO_MEMORY, "no memory for %zu files", opts->n_paths);
        goto fail;
    }
    for (size_t i = 0; i < opts->n_paths; i++)
        j.splits[i] = opts->paths[i];
    for (size_t i = 0; i < opts->n_paths; i++) {
        j.path = j.where = opts->paths[i];
        j.split = splits[i];
        CR_TRY_GOTO(check_file(&j, err));
    }
fail:
    cr_seen_fini(&j.pictures);
    cr_seen_fini(&j.scenes);
    cr_seen_fini(&j.looked_at);
    free((void *)j.splits);
    free(splits);
    return status;
}
