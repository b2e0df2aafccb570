/* Judgement files of WildVision-Bench to verdicts (wildvision.h). */
#include <stdlib.h>
#include <string.h>

#include "base/dir.h"
#include "base/file.h"
#include "eval/lines.h"
#include "eval/wildvision_impl.h"

#define MAX_NAMES ((size_t)64 << 20)

struct reading {
    struct cr_wildvision_model *model;
    struct cr_faults *faults;
    json_t *places; /* question_id to index */
};

/* ---- one game ------------------------------------------------------------------------------- */

static struct cr_str string_member(const json_t *object, const char *key) {
    const json_t *value = json_object_get(object, key);
    return json_is_string(value)
               ? (struct cr_str){json_string_value(value), json_string_length(value)}
               : (struct cr_str){NULL, 0};
}

/* The verdict of one game, the judge's raw text before the recorded label. Where there is no
 * text but a label field with prose in it, that prose is the text (older files have it so). */
static struct cr_wildvision_game read_game(const json_t *object) {
    struct cr_wildvision_game game = {.verdict = CR_ARENA_NONE};
    struct cr_str text = string_member(object, "judgement");
    struct cr_str label = string_member(object, "score");
    if (!text.data)
        text = string_member(object, "judgment");
    enum cr_arena_verdict recorded = cr_arena_of_label(label);
    if (!text.data && recorded != CR_ARENA_NONE) {
        game.verdict = recorded;
        return game;
    }
    game.verdict = cr_rule_arena(text.data ? text : label);
    game.unparsed = game.verdict == CR_ARENA_NONE;
    game.from_label = game.unparsed && recorded != CR_ARENA_NONE;
    game.label_differs =
        !game.unparsed && recorded != CR_ARENA_NONE && recorded != game.verdict;
    if (game.unparsed)
        game.verdict = recorded;
    return game;
}

static void read_games(struct cr_wildvision_item *item, const json_t *object) {
    const json_t *games = json_object_get(object, "games");
    item->n_games = json_array_size(games) > 1 ? 2 : 1;
    item->games[0] =
        read_game(json_array_size(games) ? json_array_get(games, 0) : object);
    if (item->n_games == 2) {
        item->games[1] = read_game(json_array_get(games, 1));
        item->games[1].verdict = cr_arena_swap(item->games[1].verdict);
    }
}

/* ---- one file ------------------------------------------------------------------------------- */

static enum critic_status name_model(struct reading *in, struct cr_str name, size_t line,
                                     critic_error *err) {
    struct cr_wildvision_model *m = in->model;
    if (!name.data)
        return CRITIC_OK;
    if (!m->name) {
        m->name = cr_str_dup(name);
        return m->name ? CRITIC_OK
                       : cr_fail(err, CRITIC_NO_MEMORY, "no memory for a name");
    }
    if (cr_str_eq_c(name, m->name))
        return CRITIC_OK;
    return cr_faults_add(in->faults, m->file, "model", line, err,
                         "is of model '%.*s'; expected '%.60s' as in the lines before",
                         (int)(name.len < 60 ? name.len : 60), name.data, m->name);
}

static enum critic_status new_item(struct reading *in, struct cr_str id,
                                   struct cr_wildvision_item **item, critic_error *err) {
    struct cr_wildvision_model *m = in->model;
    struct cr_wildvision_item *items =
        realloc(m->items, (m->n_items + 1) * sizeof *items);
    if (items)
        m->items = items;
    char *copy = items ? cr_str_dup(id) : NULL;
    if (!copy || json_object_setn_new(in->places, id.data, id.len,
                                      json_integer((json_int_t)m->n_items))) {
        free(copy);
        return cr_fail(err, CRITIC_NO_MEMORY, "no memory for %zu judgements", m->n_items);
    }
    items[m->n_items] = (struct cr_wildvision_item){.question_id = copy};
    *item = &items[m->n_items++];
    return CRITIC_OK;
}

static enum critic_status on_judgement(void *user, json_t *object, size_t line,
                                       critic_error *err) {
    struct reading *in = user;
    struct cr_id_text scratch;
    struct cr_str id = cr_member_text(object, "question_id", &scratch);
    struct cr_wildvision_item *item = NULL;
    if (!id.data || id.len == 0)
        return cr_faults_add(in->faults, in->model->file, "id", line, err,
                             "has no question_id; line left out");
    if (!json_object_get(object, "games") && !json_object_get(object, "score") &&
        !json_object_get(object, "judgment") && !json_object_get(object, "judgement"))
        return cr_faults_add(in->faults, in->model->file, "fields", line, err,
                             "has no judgment, score or games; line left out");
    CR_TRY(name_model(in, string_member(object, "model"), line, err));
    json_t *old = json_object_getn(in->places, id.data, id.len);
    if (old) {
        item = &in->model->items[json_integer_value(old)];
        CR_TRY(cr_faults_add(in->faults, in->model->file, "doubled", line, err,
                             "question_id '%.*s' stands twice; the last one counts",
                             (int)(id.len < 60 ? id.len : 60), id.data));
    } else {
        CR_TRY(new_item(in, id, &item, err));
    }
    read_games(item, object);
    return CRITIC_OK;
}

/* The file's name without its ending where no line names the model. */
static char *name_of_file(const char *path) {
    struct cr_str name = cr_str_of(cr_path_base(path));
    name.len -= strlen(".jsonl");
    return cr_str_dup(name);
}

static enum critic_status read_file(struct cr_wildvision *out, const char *path,
                                    struct cr_faults *faults, critic_error *err) {
    struct cr_wildvision_model m = {.file = cr_str_dup(cr_str_of(path))};
    struct reading in = {&m, faults, json_object()};
    critic_error fault = {0};
    enum critic_status status =
        m.file && in.places ? cr_lines_read(path, faults, on_judgement, &in, &fault)
                            : cr_fail(&fault, CRITIC_NO_MEMORY, "no memory for %s", path);
    json_decref(in.places);
    if (status == CRITIC_OK && !m.name)
        m.name = name_of_file(path);
    struct cr_wildvision_model *models =
        realloc(out->models, (out->n_models + 1) * sizeof *models);
    if (models)
        out->models = models;
    if (status == CRITIC_OK && models && m.name && m.n_items > 0) {
        models[out->n_models++] = m;
        return CRITIC_OK;
    }
    cr_wildvision_model_fini(&m);
    if (status == CRITIC_NO_MEMORY || !models)
        return cr_fail(err, CRITIC_NO_MEMORY, "no memory for %.160s", path);
    if (status == CRITIC_OK)
        return cr_faults_add(faults, path, "file", 0, err,
                             "has no judgement in it; file left out");
    /* the message names the file already */
    size_t skip = strlen(path) + 2;
    const char *what =
        strncmp(fault.message, path, strlen(path)) == 0 && strlen(fault.message) > skip
            ? fault.message + skip
            : fault.message;
    return cr_faults_add(faults, path, "file", 0, err, "%.160s; file left out", what);
}

static bool is_jsonl(const char *name) {
    size_t n = strlen(name);
    return n > 6 && strcmp(name + n - 6, ".jsonl") == 0;
}

enum critic_status cr_wildvision_read(struct cr_wildvision *out, const char *folder,
                                      struct cr_faults *faults, critic_error *err) {
    struct cr_buf names, path;
    cr_buf_init(&names, MAX_NAMES);
    cr_buf_init(&path, MAX_NAMES);
    size_t n_files = 0;
    enum critic_status status = cr_dir_list(&names, folder, err);
    for (const char *name = status == CRITIC_OK ? cr_dir_next(&names, NULL) : NULL;
         name && status == CRITIC_OK; name = cr_dir_next(&names, name)) {
        if (!is_jsonl(name))
            continue;
        n_files++;
        cr_buf_clear(&path);
        status = cr_path_join(&path, folder, name, err);
        if (status == CRITIC_OK)
            status = read_file(out, path.data, faults, err);
    }
    if (status == CRITIC_OK && out->n_models == 0)
        status =
            n_files == 0
                ? cr_fail(err, CRITIC_BAD_FILE,
                          "%.160s: has no *.jsonl in it; expected one file a candidate",
                          folder)
                : cr_fail(err, CRITIC_BAD_FILE,
                          "%.160s: none of %zu files has a judgement in it", folder,
                          n_files);
    cr_buf_fini(&names);
    cr_buf_fini(&path);
    return status;
}
