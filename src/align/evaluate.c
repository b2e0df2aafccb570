#include "align/evaluate.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "base/file.h"
#include "engine/engine.h"
#include "io/json.h"
#include "judge/template.h"
#include "prefer/ledger.h"

#define MAX_LINE_BYTES ((size_t)256 << 20)

enum critic_status cr_align_path(struct cr_buf *path, const char *folder,
                                 const char *name, critic_error *err) {
    cr_buf_clear(path);
    return cr_path_join(path, folder, name, err);
}

enum critic_status cr_align_lines(const char *path,
                                  enum critic_status (*on_line)(void *user, json_t *line,
                                                                critic_error *err),
                                  void *user, critic_error *err) {
    struct cr_jsonl_reader reader;
    struct cr_str text;
    char where[320];
    enum critic_status status = cr_jsonl_open(&reader, path, MAX_LINE_BYTES, err);
    while (status == CRITIC_OK) {
        json_t *line = NULL;
        status = cr_jsonl_next(&reader, &text, err);
        if (status != CRITIC_OK || !text.data)
            break;
        snprintf(where, sizeof where, "%.256s:%zu", path, reader.line_number);
        status = cr_json_parse(&line, text.data, text.len, where, err);
        if (status == CRITIC_OK && !json_is_string(json_object_get(line, "id")))
            status =
                cr_fail(err, CRITIC_BAD_DATA, "%s: expected a line with an id", where);
        if (status == CRITIC_OK)
            status = on_line(user, line, err);
        json_decref(line);
    }
    cr_jsonl_close(&reader);
    return status;
}

/* ---- what both logs share ---------------------------------------------------------------- */

struct job {
    const struct cr_prefer_opts *opts;
    struct cr_prefer_counts *counts;
    struct cr_str folder;
    struct cr_ledger log;
    struct cr_engine *start;          /* of ratios */
    const struct cr_align_eyes *eyes; /* of verdicts */
    json_t *base;                     /* id: round 0's answer */
    json_t *ids;                      /* of the input, as keys */
    /* Fills `out` from a line whose status is ok. */
    enum critic_status (*work)(struct job *j, const json_t *line, json_t *out,
                               critic_error *err);
};

static const char *id_of(const json_t *line) {
    return json_string_value(json_object_get(line, "id"));
}

static bool is_ok(const json_t *line) {
    const char *status = json_string_value(json_object_get(line, "status"));
    return status && strcmp(status, "ok") == 0;
}

static void count_old(void *user, const json_t *line) {
    (void)line;
    ((struct cr_prefer_counts *)user)->n_there++;
}

static enum critic_status do_line(void *user, json_t *line, critic_error *err) {
    struct job *j = user;
    critic_error fault = {0};
    if (cr_ledger_has(&j->log, id_of(line)))
        return CRITIC_OK;
    if (j->opts->cancel && j->opts->cancel(j->opts->user))
        return cr_fail(err, CRITIC_CANCELLED, "cancelled");
    json_t *out = json_pack("{s:s,s:s}", "id", id_of(line), "status", "ok");
    const char *why = json_string_value(json_object_get(line, "error"));
    bool has_answer = is_ok(line);
    enum critic_status status =
        has_answer ? j->work(j, line, out, &fault)
                   : cr_fail(&fault, CRITIC_BAD_DATA, "%s", why ? why : "no answer");
    if (status == CRITIC_NO_MEMORY || cr_prefer_ends_run(status, j->counts)) {
        json_decref(out);
        return status == CRITIC_NO_MEMORY ? cr_fail(err, status, "prompt '%.80s': %s",
                                                    id_of(line), fault.message)
                                          : cr_fail(err, status, "%s", fault.message);
    }
    if (status != CRITIC_OK) {
        if (has_answer && j->opts->on_fault)
            j->opts->on_fault(j->opts->user, id_of(line), fault.message);
        json_object_set_new(out, "status", json_string("error"));
        json_object_set_new(out, "error", json_string(fault.message));
        j->counts->n_faults++;
    }
    CR_TRY(cr_ledger_append(&j->log, out, err));
    j->counts->n_done++;
    if (j->opts->on_item)
        j->opts->on_item(j->opts->user, j->counts);
    return CRITIC_OK;
}

static enum critic_status keep_id(void *user, json_t *line, critic_error *err) {
    return json_object_set_new(user, id_of(line), json_true()) == 0
               ? CRITIC_OK
               : cr_fail(err, CRITIC_NO_MEMORY, "out of memory");
}

/* Takes stamp. */
static enum critic_status run_job(struct job *j, const char *in, const char *out,
                                  json_t *stamp, critic_error *err) {
    *j->counts = (struct cr_prefer_counts){0};
    j->log.on_line = count_old;
    j->log.user = j->counts;
    j->ids = json_object();
    enum critic_status status = cr_align_lines(in, keep_id, j->ids, err);
    j->counts->n_total = json_object_size(j->ids);
    if (status == CRITIC_OK) {
        status = cr_ledger_open(&j->log, out, stamp, j->opts, err);
        if (status == CRITIC_OK)
            status = cr_align_lines(in, do_line, j, err);
        if (status == CRITIC_OK)
            status = cr_ledger_finish(&j->log, j->ids, err);
        cr_ledger_close(&j->log);
    }
    json_decref(j->ids);
    json_decref(stamp);
    return status;
}

/* ---- ratios ------------------------------------------------------------------------------ */

static enum critic_status read_ids(const json_t *answer, struct cr_ids *ids,
                                   critic_error *err) {
    const json_t *list = json_object_get(answer, "ids");
    for (size_t i = 0; i < json_array_size(list); i++)
        CR_TRY(
            cr_ids_push(ids, (int32_t)json_integer_value(json_array_get(list, i)), err));
    if (ids->len == 0)
        return cr_fail(err, CRITIC_BAD_DATA, "an answer without its ids");
    return CRITIC_OK;
}

static enum critic_status score_draw(struct cr_seq *seq, const json_t *answer,
                                     json_t *draws, critic_error *err) {
    struct cr_ids ids;
    cr_ids_init(&ids);
    enum critic_status status = read_ids(answer, &ids, err);
    struct cr_seq *fork = NULL;
    double logprob = 0;
    if (status == CRITIC_OK)
        status = cr_seq_fork(&fork, seq, err);
    if (status == CRITIC_OK)
        status = cr_seq_follow(fork, ids.data, ids.len, &logprob, err);
    cr_seq_free(fork);
    json_t *drawn = json_object_get(answer, "logprob");
    if (status == CRITIC_OK && (!json_is_number(drawn) || !isfinite(logprob)))
        status = cr_fail(err, CRITIC_BAD_DATA, "an answer without its log-probability");
    if (status == CRITIC_OK &&
        json_array_append_new(draws,
                              json_pack("{s:I,s:O,s:f}", "tokens", (json_int_t)ids.len,
                                        "logprob", drawn, "start_logprob", logprob)))
        status = cr_fail(err, CRITIC_NO_MEMORY, "out of memory");
    cr_ids_fini(&ids);
    return status;
}

static enum critic_status ratio_work(struct job *j, const json_t *line, json_t *out,
                                     critic_error *err) {
    struct cr_prompt *prompt = NULL;
    struct cr_seq *seq = NULL;
    struct cr_usage usage = {0};
    const json_t *answers = json_object_get(line, "answers");
    json_t *draws = json_array();
    enum critic_status status =
        cr_prefer_prompt(&prompt, j->start, line, j->folder, j->opts, err);
    if (status == CRITIC_OK)
        status = cr_engine_prefill(j->start, prompt, &seq, &usage, err);
    for (size_t i = 0; i < json_array_size(answers) && status == CRITIC_OK; i++)
        status = score_draw(seq, json_array_get(answers, i), draws, err);
    if (status == CRITIC_OK)
        json_object_set(out, "draws", draws);
    json_decref(draws);
    cr_seq_free(seq);
    cr_prompt_free(prompt);
    return status;
}

enum critic_status cr_align_ratios(struct cr_engine *start, const char *draws,
                                   const char *folder, const char *out,
                                   const struct cr_prefer_opts *opts,
                                   struct cr_prefer_counts *counts, critic_error *err) {
    struct job j = {.opts = opts,
                    .counts = counts,
                    .folder = cr_str_of(folder),
                    .start = start,
                    .work = ratio_work};
    return run_job(&j, draws, out,
                   json_pack("{s:s}", "start_hash", cr_engine_model_hash(start)), err);
}

/* ---- verdicts ---------------------------------------------------------------------------- */

static struct cr_str text_of(const json_t *answer) {
    const json_t *text = json_object_get(answer, "text");
    return (struct cr_str){json_string_value(text), json_string_length(text)};
}

/* The judge on the item's two answers, round 0's first. */
static enum critic_status ask(struct job *j, const struct cr_item *item, json_t *out,
                              critic_error *err) {
    struct cr_opinions o;
    struct cr_judge_usage usage = {0};
    double share = 0.5;
    bool same = cr_str_eq(item->answers[0], item->answers[1]);
    struct cr_judge *judge = j->eyes->scorer->judge;
    bool alone = cr_judge_template(judge, CR_MODE_PAIRWISE)->mode == CR_MODE_POINTWISE;
    cr_opinions_init(&o, 2);
    if (!same || alone)
        CR_TRY(cr_prefer_ask(judge, item, &o, &usage, err));
    if (!same)
        share = cr_opinions_share(&o, 1, 0);
    if (isnan(share) && !isnan(o.score[0]) && !isnan(o.score[1]))
        share = o.score[1] > o.score[0] ? 1 : o.score[1] < o.score[0] ? 0 : 0.5;
    json_object_set_new(out, "share", cr_json_number(share));
    if (!isnan(o.score[0]) || !isnan(o.score[1])) {
        json_object_set_new(out, "score", cr_json_number(o.score[1]));
        json_object_set_new(out, "base_score", cr_json_number(o.score[0]));
    }
    return CRITIC_OK;
}

static enum critic_status look(struct job *j, const struct cr_item *item, bool has_base,
                               json_t *out, critic_error *err) {
    int quality;
    if (j->eyes->oracle) {
        CR_TRY(cr_oracle_score(j->eyes->oracle, item, has_base, &quality, err));
        json_object_set_new(out, "quality", json_integer(quality));
    }
    if (j->eyes->oracle && has_base) {
        CR_TRY(cr_oracle_score(j->eyes->oracle, item, 0, &quality, err));
        json_object_set_new(out, "base_quality", json_integer(quality));
    }
    return has_base && j->eyes->scorer ? ask(j, item, out, err) : CRITIC_OK;
}

static enum critic_status verdict_work(struct job *j, const json_t *line, json_t *out,
                                       critic_error *err) {
    const json_t *prompt = json_object_get(line, "prompt");
    const json_t *sources = json_object_get(line, "images");
    const json_t *answer = json_array_get(json_object_get(line, "answers"), 0);
    const json_t *base = j->base ? json_object_get(j->base, id_of(line)) : NULL;
    size_t n = json_array_size(sources);
    struct cr_str texts[2];
    if (j->base && !base)
        return cr_fail(err, CRITIC_BAD_DATA, "round 0 has no answer to compare with");
    struct cr_str *images = calloc(n + 1, sizeof *images);
    if (!images)
        return cr_fail(err, CRITIC_NO_MEMORY, "out of memory");
    for (size_t i = 0; i < n; i++) {
        const json_t *source = json_array_get(sources, i);
        images[i] =
            (struct cr_str){json_string_value(source), json_string_length(source)};
    }
    json_object_set(out, "images", json_object_get(line, "images"));
    json_object_set(out, "prompt", json_object_get(line, "prompt"));
    json_object_set(out, "answer", json_object_get(answer, "text"));
    json_object_set(out, "tokens", json_object_get(answer, "tokens"));
    json_object_set(out, "finish_reason", json_object_get(answer, "finish_reason"));
    if (base)
        json_object_set(out, "base", json_object_get(base, "text"));
    texts[0] = text_of(base ? base : answer);
    texts[1] = text_of(answer);
    struct cr_item item = {
        .id = cr_str_of(id_of(line)),
        .sources = images,
        .n_sources = n,
        .folder = j->folder,
        .question = {json_string_value(prompt), json_string_length(prompt)},
        .answers = texts,
        .n_answers = base ? 2 : 1};
    enum critic_status status = look(j, &item, base != NULL, out, err);
    free(images);
    return status;
}

static enum critic_status keep_base(void *user, json_t *line, critic_error *err) {
    json_t *answer = json_array_get(json_object_get(line, "answers"), 0);
    if (!is_ok(line) || json_object_set(user, id_of(line), answer) == 0)
        return CRITIC_OK;
    return cr_fail(err, CRITIC_NO_MEMORY, "out of memory");
}

enum critic_status cr_align_verdicts(const struct cr_align_eyes *eyes,
                                     const char *answers, const char *base,
                                     const char *folder, const char *out,
                                     const struct cr_prefer_opts *opts,
                                     struct cr_prefer_counts *counts, critic_error *err) {
    struct job j = {.opts = opts,
                    .counts = counts,
                    .folder = cr_str_of(folder),
                    .eyes = eyes,
                    .base = base ? json_object() : NULL,
                    .work = verdict_work};
    json_t *stamp = json_object();
    if (base && eyes->scorer)
        json_object_set_new(stamp, "judge_hash", json_string(eyes->scorer->hash));
    enum critic_status status =
        base ? cr_align_lines(base, keep_base, j.base, err) : CRITIC_OK;
    if (status == CRITIC_OK)
        status = run_job(&j, answers, out, stamp, err);
    else
        json_decref(stamp);
    json_decref(j.base);
    return status;
}
