#define _XOPEN_SOURCE 700
#include "prefer/oracle.h"

#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "base/file.h"
#include "base/grow.h"
#include "io/jsonl.h"
#include "world/answer.h"

#define MAX_LINE_BYTES ((size_t)1 << 20)
#define MAX_PATH_BYTES ((size_t)1 << 16)

struct cr_oracle {
    struct cr_voice voice;
    char hash[CR_HASH_HEX]; /* of the scenes */
    char *folder;           /* of the pictures, without links */
    struct cr_scene *scenes;
    size_t n, cap;
    json_t *at; /* picture's path from the folder: index of its scene */
};

/* ---- scenes ------------------------------------------------------------------------------ */

static enum critic_status no_memory(critic_error *err) {
    return cr_fail(err, CRITIC_NO_MEMORY, "out of memory for the oracle's scenes");
}

static enum critic_status add_scene(struct cr_oracle *o, struct cr_str text,
                                    const char *where, critic_error *err) {
    struct cr_scene_line line;
    CR_TRY(cr_scene_read(&line, text, where, err));
    struct cr_scene *grown = cr_grow(o->scenes, o->n, &o->cap, sizeof *grown);
    if (!grown)
        return no_memory(err);
    o->scenes = grown;
    if (json_object_get(o->at, line.image))
        return cr_fail(
            err, CRITIC_BAD_DATA,
            "%s: the picture '%.200s' stands there twice; expected a scene each", where,
            line.image);
    if (json_object_set_new(o->at, line.image, json_integer((json_int_t)o->n)))
        return no_memory(err);
    o->scenes[o->n++] = line.scene;
    return CRITIC_OK;
}

static enum critic_status read_scenes(struct cr_oracle *o, const char *path,
                                      critic_error *err) {
    struct cr_jsonl_reader reader;
    struct cr_str line;
    struct cr_hash h;
    char where[320];
    cr_hash_init(&h, 0);
    enum critic_status status = cr_jsonl_open(&reader, path, MAX_LINE_BYTES, err);
    while (status == CRITIC_OK) {
        status = cr_jsonl_next(&reader, &line, err);
        if (status != CRITIC_OK || !line.data)
            break;
        cr_hash_update(&h, line.data, line.len);
        snprintf(where, sizeof where, "%.256s:%zu", path, reader.line_number);
        status = add_scene(o, line, where, err);
    }
    cr_jsonl_close(&reader);
    cr_hash_hex(&h, o->hash);
    return status;
}

/* The real path of dir/name. */
static enum critic_status real_path(const char *dir, const char *name, char **out,
                                    critic_error *err) {
    struct cr_buf path;
    cr_buf_init(&path, MAX_PATH_BYTES);
    enum critic_status status = cr_path_join(&path, dir, name, err);
    *out = status == CRITIC_OK ? realpath(path.data, NULL) : NULL;
    if (status == CRITIC_OK && !*out)
        status = cr_fail(err, CRITIC_BAD_DATA, "%s: no such file", path.data);
    cr_buf_fini(&path);
    return status;
}

/* The folder that scenes.jsonl lies in. */
static enum critic_status find_folder(struct cr_oracle *o, const char *scenes,
                                      critic_error *err) {
    CR_TRY(real_path("", scenes, &o->folder, err));
    char *slash = strrchr(o->folder, '/');
    if (slash)
        slash[1] = '\0';
    return CRITIC_OK;
}

static const struct cr_scene *scene_of(const struct cr_oracle *o,
                                       const struct cr_item *item, critic_error *err) {
    char *folder = cr_str_dup(item->folder.data ? item->folder : (struct cr_str){"", 0});
    char *name = item->n_sources > 0 ? cr_str_dup(item->sources[0]) : NULL, *path = NULL;
    const struct cr_scene *found = NULL;
    size_t n = strlen(o->folder);
    if (!name || !folder)
        cr_fail(err, CRITIC_BAD_DATA,
                "item '%.80s' has no picture; the oracle finds its scene by it",
                item->id.data ? item->id.data : "");
    else if (real_path(folder, name, &path, err) == CRITIC_OK) {
        const json_t *at =
            strncmp(path, o->folder, n) == 0 ? json_object_get(o->at, path + n) : NULL;
        if (at)
            found = &o->scenes[json_integer_value(at)];
        else
            cr_fail(err, CRITIC_BAD_DATA,
                    "%s: the oracle's scenes have no such picture; expected one below %s",
                    path, o->folder);
    }
    free(folder);
    free(name);
    free(path);
    return found;
}

/* ---- judging ----------------------------------------------------------------------------- */

enum critic_status cr_oracle_score(const struct cr_oracle *o, const struct cr_item *item,
                                   size_t answer, int *score, critic_error *err) {
    struct cr_ask ask;
    struct cr_answer a;
    const struct cr_scene *s = scene_of(o, item, err);
    if (!s)
        return CRITIC_BAD_DATA;
    if (!cr_ask_read(&ask, s, item->question))
        return cr_fail(err, CRITIC_BAD_DATA,
                       "'%.*s': not a question about this scene that the oracle knows; "
                       "expected those of critic data prompts",
                       (int)CR_MIN(item->question.len, (size_t)120), item->question.data);
    cr_answer_read(&a, s, &ask, item->answers[answer]);
    *score = a.scores[CR_OVERALL];
    return CRITIC_OK;
}

static enum critic_status decide(const struct cr_oracle *o,
                                 const struct cr_voice_ask *ask, struct cr_parsed *p,
                                 critic_error *err) {
    const struct cr_scale *scale = &ask->scale;
    double span = scale->max - scale->min;
    int score[2] = {0, 0};
    *p = (struct cr_parsed){.ok = true, .format = ask->template->rule.formats[0]};
    if (ask->template->mode != CR_MODE_POINTWISE &&
        (ask->template->mode != CR_MODE_PAIRWISE || ask->n_answers != 2))
        return cr_fail(err, CRITIC_BAD_ARGUMENT,
                       "the oracle judges pairs or single answers; expected such a "
                       "template");
    for (size_t i = 0; i < ask->n_answers && i < 2; i++)
        CR_TRY(cr_oracle_score(o, ask->item, ask->answers[i], &score[i], err));
    if (ask->template->mode == CR_MODE_POINTWISE) {
        double steps = floor(span * score[0] / 100 / scale->step + 0.5);
        p->score = scale->min + scale->step * steps;
        return CRITIC_OK;
    }
    p->choice = score[0] > score[1]   ? CR_CHOICE_FIRST
                : score[0] < score[1] ? CR_CHOICE_SECOND
                                      : CR_CHOICE_TIE;
    p->margin = (score[0] > score[1]) - (score[0] < score[1]);
    for (int i = 0; i < 2; i++)
        p->pair[i] = scale->min + span * score[i] / 100;
    return CRITIC_OK;
}

static enum critic_status answer(void *self, const struct cr_voice_ask *ask,
                                 struct cr_reply *replies, struct cr_judge_usage *usage,
                                 critic_error *err) {
    (void)usage;
    for (size_t i = 0; i < ask->n_samples; i++) {
        replies[i].is_decision = true;
        CR_TRY(decide(self, ask, &replies[i].decision, err));
    }
    return CRITIC_OK;
}

/* ---- --------------------------------------------------------------------------------------- */

enum critic_status cr_oracle_open(struct cr_oracle **out, const char *scenes,
                                  critic_error *err) {
    enum critic_status status;
    *out = NULL;
    struct cr_oracle *o = calloc(1, sizeof *o);
    if (!o || !(o->at = json_object())) {
        free(o);
        return no_memory(err);
    }
    o->voice = (struct cr_voice){.model = "oracle",
                                 .model_hash = o->hash,
                                 .ask = answer,
                                 .is_concurrent = true,
                                 .self = o};
    CR_TRY_GOTO(read_scenes(o, scenes, err));
    CR_TRY_GOTO(find_folder(o, scenes, err));
    *out = o;
    return CRITIC_OK;
fail:
    cr_oracle_free(o);
    return status;
}

void cr_oracle_free(struct cr_oracle *o) {
    if (!o)
        return;
    json_decref(o->at);
    free(o->scenes);
    free(o->folder);
    free(o);
}

const struct cr_voice *cr_oracle_voice(const struct cr_oracle *o) {
    return &o->voice;
}
