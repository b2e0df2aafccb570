/* A file of prompts: {"id", "images"?: [path or data URL], "prompt", "system"?} a line in, one
 * line of results out (generate.h). Paths are relative to the input file. Answers to several prompts
 * are written side by side (engine.h, lanes), and each is what it would be alone. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "base/file.h"
#include "cli/generate.h"
#include "cli/signals.h"
#include "engine/answers.h"
#include "io/json.h"
#include "io/jsonl.h"

#define MAX_LINE ((size_t)256 << 20)

/* One line of input on its way to one of output. */
struct job {
    struct cr_answers_job answers;
    char id[256];    /* empty: none could be read */
    bool is_skipped; /* an earlier run wrote it */
};

struct batch {
    struct cr_generate_flags *flags;
    struct cr_engine *engine;
    struct cr_answers *answers;
    struct cr_jsonl_log log;
    const char *input;
    char *folder;   /* of the input file; "" for the current one */
    json_t *done;   /* ids that are finished already, as keys */
    size_t n_total; /* lines of input; 0: unknown */
    size_t n_items, n_done, n_ok, n_error, n_skipped;
};

/* ---- items ------------------------------------------------------------------------------------ */

/* The id as text: a string, or a whole number; false where there is none. */
static bool item_id(const json_t *item, char *out, size_t size) {
    const json_t *id = json_object_get(item, "id");
    if (json_is_string(id) && json_string_length(id) < size)
        snprintf(out, size, "%s", json_string_value(id));
    else if (json_is_integer(id))
        snprintf(out, size, "%lld", (long long)json_integer_value(id));
    else
        return false;
    return true;
}

static enum critic_status load_image(const struct batch *b, const json_t *source,
                                     const char *where, struct cr_image *out,
                                     critic_error *err) {
    if (!json_is_string(source))
        return cr_fail(err, CRITIC_BAD_DATA,
                       "%s: 'images' is not a list of paths or data URLs", where);
    struct cr_str text = {json_string_value(source), json_string_length(source)};
    return cr_image_load_in(out, cr_str_of(b->folder), text, &b->flags->common.limits,
                            err);
}

static enum critic_status build_prompt(const struct batch *b, const json_t *item,
                                       const char *where, struct cr_prompt **out,
                                       critic_error *err) {
    struct cr_str text = {NULL, 0}, system = b->flags->prompt.system;
    json_t *sources = NULL;
    CR_TRY(cr_json_str(item, "prompt", &text, where, err));
    CR_TRY(cr_json_str(item, "system", &system, where, err));
    CR_TRY(cr_json_array(item, "images", &sources, where, err));
    if (!text.data)
        return cr_fail(err, CRITIC_BAD_DATA, "%s: 'prompt' is missing", where);
    size_t n = json_array_size(sources);
    struct cr_image *images = calloc(n + 1, sizeof *images);
    if (!images)
        return cr_fail(err, CRITIC_NO_MEMORY, "out of memory");
    enum critic_status status = cr_prompt_new(out, b->engine, err);
    for (size_t i = 0; i < n && status == CRITIC_OK; i++)
        status = load_image(b, json_array_get(sources, i), where, &images[i], err);
    if (status == CRITIC_OK && b->flags->prompt.raw)
        status = cr_prompt_raw(*out, text, images, n, err);
    else if (status == CRITIC_OK)
        status = cr_prompt_chat(*out, images, n, system, text, err);
    if (status == CRITIC_OK)
        status = cr_prompt_finish(*out, err);
    cr_images_free(images, n);
    return status;
}

static enum critic_status append_line(struct batch *b, json_t *line, critic_error *err) {
    struct cr_buf text;
    if (!line)
        return cr_fail(err, CRITIC_NO_MEMORY, "out of memory while writing JSON");
    cr_buf_init(&text, MAX_LINE);
    enum critic_status status = cr_json_append(&text, line, err);
    if (status == CRITIC_OK)
        status = cr_jsonl_log_append(&b->log, cr_buf_str(&text), err);
    cr_buf_fini(&text);
    json_decref(line);
    return status;
}

static enum critic_status append_fault(struct batch *b, const char *id,
                                       const critic_error *fault, critic_error *err) {
    b->n_error++;
    return append_line(b,
                       json_pack("{s:s?,s:s,s:s,s:s}", "id", id, "status", "error",
                                 "error", fault->message, "version", critic_version()),
                       err);
}

/* What became of a job as a line. A fault of its own is one, too; a cancelled one ends the run. */
static enum critic_status write_job(struct batch *b, struct job *job, critic_error *err) {
    struct cr_answers_job *a = &job->answers;
    if (a->status == CRITIC_CANCELLED)
        return cr_fail(err, a->status, "%s", a->fault.message);
    if (job->is_skipped) {
        b->n_skipped++;
        return CRITIC_OK;
    }
    if (a->status != CRITIC_OK)
        return append_fault(b, job->id[0] ? job->id : NULL, &a->fault, err);
    b->n_ok++;
    return append_line(
        b, cr_completions_json(b->flags, b->engine, a->talk.out, &a->usage, job->id),
        err);
}

static enum critic_status on_answered(void *user, struct cr_answers_job *answers,
                                      critic_error *err) {
    struct batch *b = user;
    struct job *job = (struct job *)answers; /* its first member */
    enum critic_status status = write_job(b, job, err);
    free(job);
    b->n_done++;
    b->flags->progress->first = b->n_skipped;
    cr_progress_update(b->flags->progress, b->n_done, b->n_total);
    return status;
}

/* A line of input becomes a job behind the others. */
static enum critic_status take_line(struct batch *b, struct cr_str line,
                                    const char *where, critic_error *err) {
    struct job *job = calloc(1, sizeof *job);
    struct cr_prompt *prompt = NULL;
    json_t *item = NULL;
    if (!job)
        return cr_fail(err, CRITIC_NO_MEMORY, "out of memory");
    struct cr_answers_job *a = &job->answers;
    a->talk = (struct cr_talk){.opts = b->flags->opts, .n = b->flags->n};
    b->n_items++;
    a->status = cr_json_parse(&item, line.data, line.len, where, &a->fault);
    if (a->status == CRITIC_OK && !item_id(item, job->id, sizeof job->id)) {
        job->id[0] = '\0';
        a->status = cr_fail(&a->fault, CRITIC_BAD_DATA,
                            "%s: expected an object with an 'id'", where);
    }
    job->is_skipped = a->status == CRITIC_OK && json_object_get(b->done, job->id);
    if (job->is_skipped)
        a->talk.n = 0;
    else if (a->status == CRITIC_OK)
        a->status = build_prompt(b, item, where, &prompt, &a->fault);
    json_decref(item);
    return cr_answers_ask(b->answers, a, prompt, err);
}

/* ---- run ------------------------------------------------------------------------------------------ */

/* A line of an output that is gone on with. */
static enum critic_status on_old_line(void *user, struct cr_str line, size_t number,
                                      critic_error *err) {
    struct batch *b = user;
    char id[256], where[64];
    json_t *item = NULL;
    snprintf(where, sizeof where, "%.40s:%zu", b->log.name, number);
    CR_TRY(cr_json_parse(&item, line.data, line.len, where, err));
    const char *hash = json_string_value(json_object_get(item, "model_hash"));
    const char *result = json_string_value(json_object_get(item, "status"));
    enum critic_status status = CRITIC_OK;
    bool has_id = item_id(item, id, sizeof id);
    if (!result || (!has_id && strcmp(result, "error") != 0))
        status = cr_fail(err, CRITIC_BAD_DATA, "%s: not a line of this command", where);
    else if (hash && strcmp(hash, cr_engine_model_hash(b->engine)) != 0)
        status = cr_fail(err, CRITIC_BAD_ARGUMENT,
                         "%s: was written with another model (%s); expected %s", where,
                         hash, cr_engine_model_hash(b->engine));
    else if (strcmp(result, "ok") == 0)
        json_object_set_new(b->done, id, json_true());
    json_decref(item);
    return status;
}

/* Lines of an input file, for the time left; finds a missing one before the output is touched. */
static enum critic_status count_lines(struct batch *b, critic_error *err) {
    struct cr_jsonl_reader r;
    struct cr_str line;
    if (strcmp(b->input, "-") == 0)
        return CRITIC_OK;
    enum critic_status status = cr_jsonl_open(&r, b->input, MAX_LINE, err);
    while (status == CRITIC_OK) {
        status = cr_jsonl_next(&r, &line, err);
        if (status != CRITIC_OK || !line.data)
            break;
        b->n_total++;
    }
    cr_jsonl_close(&r);
    return status;
}

static enum critic_status do_lines(struct batch *b, critic_error *err) {
    struct cr_jsonl_reader reader;
    struct cr_str line;
    char where[320];
    enum critic_status status = cr_jsonl_open(&reader, b->input, MAX_LINE, err);
    while (status == CRITIC_OK) {
        if (cr_cancelled(NULL)) {
            status = cr_fail(err, CRITIC_CANCELLED, "cancelled");
            break;
        }
        status = cr_jsonl_next(&reader, &line, err);
        if (status != CRITIC_OK || !line.data)
            break;
        snprintf(where, sizeof where, "%.256s:%zu", reader.name, reader.line_number);
        status = take_line(b, line, where, err);
    }
    if (status == CRITIC_OK)
        status = cr_answers_finish(b->answers, err);
    cr_jsonl_close(&reader);
    return status;
}

static enum critic_status open_output(struct batch *b, critic_error *err) {
    const struct cr_generate_flags *f = b->flags;
    enum cr_jsonl_start start = f->resume  ? CR_JSONL_RESUME
                                : f->force ? CR_JSONL_FORCE
                                           : CR_JSONL_FRESH;
    const char *output = f->output ? f->output : "-";
    CR_TRY(count_lines(b, err));
    CR_TRY(cr_file_apart(f->input, output, err));
    return cr_jsonl_log_open(&b->log, output, start, on_old_line, b, err);
}

enum critic_status cr_generate_batch(struct cr_generate_flags *f, struct cr_engine *e,
                                     int *exit_status, critic_error *err) {
    const char *slash = strcmp(f->input, "-") == 0 ? NULL : strrchr(f->input, '/');
    size_t folder_len = slash ? (size_t)(slash - f->input) : 0;
    struct batch b = {.flags = f, .engine = e, .input = f->input, .log = {.fd = -1}};
    b.folder = calloc(folder_len + 2, 1);
    b.done = json_object();
    if (!b.folder || !b.done) {
        free(b.folder);
        json_decref(b.done);
        return cr_fail(err, CRITIC_NO_MEMORY, "out of memory");
    }
    memcpy(b.folder, f->input, slash && folder_len == 0 ? 1 : folder_len);
    enum critic_status status = open_output(&b, err);
    if (status == CRITIC_OK)
        status = cr_answers_new(&b.answers, e, 0, on_answered, &b, err);
    if (status == CRITIC_OK)
        status = do_lines(&b, err);
    cr_answers_free(b.answers);
    cr_jsonl_log_close(&b.log);
    cr_progress_clear(f->progress);
    if (!f->common.quiet && (status == CRITIC_OK || status == CRITIC_CANCELLED))
        fprintf(stderr, "%zu prompts: %zu answered, %zu failed, %zu were there\n",
                b.n_items, b.n_ok, b.n_error, b.n_skipped);
    json_decref(b.done);
    free(b.folder);
    *exit_status = b.n_error > 0 ? CR_EXIT_FAILED : CR_EXIT_DONE;
    if (status == CRITIC_CANCELLED)
        return cr_fail(err, status, "interrupted; go on with --resume");
    return status;
}
