#include "world/prompts.h"

#include <stdio.h>
#include <string.h>

#include "base/checked.h"
#include "base/file.h"
#include "io/jsonl.h"
#include "world/answer.h"
#include "world/world.h"

#define MAX_LINE_BYTES ((size_t)1 << 20)
#define MAX_PATH_BYTES ((size_t)1 << 16)
#define MAX_QUESTIONS  16
#define TRIES          20 /* a question, before a scene is given up */

void cr_world_prompts_opts_default(struct cr_world_prompts_opts *opts) {
    *opts = (struct cr_world_prompts_opts){.seed = 1, .n_scene = 1};
}

static bool is_new(const struct cr_ask *asks, size_t n) {
    for (size_t i = 0; i < n; i++)
        if (strcmp(asks[i].text, asks[n].text) == 0)
            return false;
    return true;
}

static size_t draw(struct cr_ask *asks, const struct cr_scene_line *line,
                   const struct cr_world_prompts_opts *o) {
    struct cr_rng r;
    size_t n = 0;
    cr_world_rng(&r, CR_STREAM_PROMPTS, line->split, o->seed, line->index);
    for (size_t tries = 0; n < o->n_scene && tries < o->n_scene * TRIES; tries++) {
        cr_ask_draw(&asks[n], &line->scene, &r, line->split == CR_NOVEL);
        n += is_new(asks, n);
    }
    return n;
}

static enum critic_status write_scene(const struct cr_world_prompts_opts *o,
                                      struct cr_str text, const char *where,
                                      struct cr_out *out, size_t *n, critic_error *err) {
    struct cr_scene_line line;
    struct cr_ask asks[MAX_QUESTIONS];
    struct cr_buf b;
    CR_TRY(cr_scene_read(&line, text, where, err));
    size_t n_asks = draw(asks, &line, o);
    cr_buf_init(&b, MAX_LINE_BYTES);
    enum critic_status status = CRITIC_OK;
    for (size_t i = 0; i < n_asks && status == CRITIC_OK; i++, ++*n)
        status = cr_buf_printf(&b, err,
                               "{\"id\":\"%s-q%zu\",\"images\":[\"%s\"],\"question\":"
                               "\"%s\",\"scene\":\"%s\"}\n",
                               line.id, i, line.image, asks[i].text, line.id);
    if (status == CRITIC_OK)
        status = cr_out_write(out, b.data, b.len, err);
    cr_buf_fini(&b);
    return status;
}

static enum critic_status write_all(const struct cr_world_prompts_opts *o,
                                    struct cr_jsonl_reader *reader, struct cr_out *out,
                                    size_t *n, critic_error *err) {
    struct cr_str text;
    char where[320];
    for (size_t k = 0; o->limit == 0 || k < o->limit; k++) {
        CR_TRY(cr_jsonl_next(reader, &text, err));
        if (!text.data)
            break;
        snprintf(where, sizeof where, "%.256s:%zu", o->scenes, reader->line_number);
        CR_TRY(write_scene(o, text, where, out, n, err));
    }
    return CRITIC_OK;
}

/* prompts.jsonl beside the scenes. */
static enum critic_status out_path(const struct cr_world_prompts_opts *o,
                                   struct cr_buf *path, critic_error *err) {
    const char *slash = strrchr(o->scenes, '/');
    if (o->out)
        return cr_buf_append_c(path, o->out, err);
    return cr_buf_printf(path, err, "%.*sprompts.jsonl",
                         slash ? (int)(slash + 1 - o->scenes) : 0, o->scenes);
}

enum critic_status cr_world_prompts(const struct cr_world_prompts_opts *o, size_t *n,
                                    critic_error *err) {
    struct cr_jsonl_reader reader = {.fd = -1};
    struct cr_out out = {0};
    struct cr_buf path;
    enum critic_status status;
    *n = 0;
    if (o->n_scene < 1 || o->n_scene > MAX_QUESTIONS)
        return cr_fail(err, CRITIC_BAD_ARGUMENT, "questions a scene: expected 1 to %d",
                       MAX_QUESTIONS);
    cr_buf_init(&path, MAX_PATH_BYTES);
    CR_TRY_GOTO(out_path(o, &path, err));
    if (!o->force && cr_file_exists(path.data))
        CR_TRY_GOTO(cr_fail(err, CRITIC_BAD_ARGUMENT,
                            "%s is there already; --force replaces it", path.data));
    CR_TRY_GOTO(cr_jsonl_open(&reader, o->scenes, MAX_LINE_BYTES, err));
    CR_TRY_GOTO(cr_out_open(&out, path.data, err));
    CR_TRY_GOTO(write_all(o, &reader, &out, n, err));
    CR_TRY_GOTO(cr_out_commit(&out, err));
fail:
    cr_out_abort(&out);
    cr_jsonl_close(&reader);
    cr_buf_fini(&path);
    return status;
}
