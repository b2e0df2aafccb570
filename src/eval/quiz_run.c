/* Putting questions to a model: one line a question, appended when its reply is there. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "eval/lines.h"
#include "eval/quiz_impl.h"
#include "image/image.h"
#include "io/jsonl.h"
#include "io/jsonl_order.h"

#define MAX_LINE ((size_t)1 << 28)

struct job {
    const struct cr_quiz_set *set;
    struct cr_engine *engine;
    const struct cr_quiz_run *run;
    struct cr_quiz_counts *counts;
    struct cr_jsonl_log log;
    json_t *there; /* id to its line, as it stands in the output */
    json_t *order; /* their ids */
    /* the output is not the beginning of the whole: put in order at the end */
    bool rewrite;
    bool *is_there; /* of every item */
    char *settings; /* of sampling, as text */
};

/* ---- what is there -------------------------------------------------------------------------- */

static enum critic_status on_old_line(void *user, struct cr_str line, size_t number,
                                      critic_error *err) {
    struct job *j = user;
    json_t *row = NULL;
    char where[300];
    struct cr_id_text scratch;
    snprintf(where, sizeof where, "%.250s:%zu", j->run->output, number);
    CR_TRY(cr_json_parse(&row, line.data, line.len, where, err));
    struct cr_str id = cr_member_text(row, j->set->quiz->id_key, &scratch);
    const char *bench = json_string_value(json_object_get(row, "bench"));
    const char *result = json_string_value(json_object_get(row, "status"));
    enum critic_status status = CRITIC_OK;
    if (!id.data || !bench || !result || strcmp(bench, j->set->quiz->name) != 0)
        status = cr_fail(err, CRITIC_BAD_DATA, "%s: not a prediction for %s", where,
                         j->set->quiz->title);
    else if (strcmp(result, "ok") != 0)
        j->rewrite = true; /* asked again */
    else if (json_object_getn(j->there, id.data, id.len))
        status = cr_fail(err, CRITIC_BAD_DATA, "%s: question '%.60s' stands there twice",
                         where, id.data);
    else if (json_object_setn_new(j->there, id.data, id.len,
                                  json_stringn(line.data, line.len)) != 0 ||
             json_array_append_new(j->order, json_stringn(id.data, id.len)) != 0)
        status = cr_quiz_no_memory(err);
    json_decref(row);
    return status;
}

/* What decides the reply: prompt, picture, sampling. */
static void hash_question(const struct job *j, const struct cr_quiz_item *item,
                          char out[CR_HASH_HEX]) {
    struct cr_hash h;
    cr_hash_init(&h, 0);
    cr_hash_update(&h, item->prompt.data, item->prompt.len + 1);
    cr_hash_update(&h, item->source.data ? item->source.data : "", item->source.len);
    cr_hash_update(&h, j->settings, strlen(j->settings));
    cr_hash_hex(&h, out);
}

static enum critic_status check_old(struct job *j, const struct cr_quiz_item *item,
                                    const char *line, critic_error *err) {
    json_t *row = NULL;
    char asked[CR_HASH_HEX];
    hash_question(j, item, asked);
    CR_TRY(cr_json_parse(&row, line, strlen(line), j->run->output, err));
    const char *hash = json_string_value(json_object_get(row, "model_hash"));
    const char *was = json_string_value(json_object_get(row, "asked"));
    enum critic_status status = CRITIC_OK;
    if (!hash || strcmp(hash, cr_engine_model_hash(j->engine)) != 0)
        status =
            cr_fail(err, CRITIC_BAD_DATA,
                    "%s: question '%.60s' was answered by another model; expected %s",
                    j->run->output, item->id.data, cr_engine_model_hash(j->engine));
    else if (!was || strcmp(was, asked) != 0)
        status = cr_fail(err, CRITIC_BAD_DATA,
                         "%s: question '%.60s' was asked in other words or with other "
                         "sampling; expected the same flags to go on",
                         j->run->output, item->id.data);
    json_decref(row);
    return status;
}

/* Takes lines that are there over; is what is there the beginning of what comes? */
static enum critic_status take_old(struct job *j, critic_error *err) {
    size_t n = 0;
    for (size_t i = 0; i < j->set->n; i++) {
        const struct cr_quiz_item *item = &j->set->items[i];
        const json_t *line = json_object_getn(j->there, item->id.data, item->id.len);
        if (!line)
            continue;
        CR_TRY(check_old(j, item, json_string_value(line), err));
        const char *at = json_string_value(json_array_get(j->order, i));
        j->rewrite |= !at || strcmp(at, item->id.data) != 0;
        j->is_there[i] = true;
        n++;
    }
    if (n < json_object_size(j->there))
        return cr_fail(
            err, CRITIC_BAD_DATA,
            "%s: holds %zu questions that are not asked now; expected the same "
            "--data, --limit, --sample and --shard to go on",
            j->run->output, json_object_size(j->there) - n);
    j->counts->n_there = n;
    return CRITIC_OK;
}

/* ---- one question --------------------------------------------------------------------------- */

static enum critic_status prefill(struct job *j, const struct cr_quiz_item *item,
                                  struct cr_seq **seq, critic_error *err) {
    struct cr_image image = {0};
    struct cr_prompt *prompt = NULL;
    bool has_image = item->source.data != NULL;
    enum critic_status status = cr_prompt_new(&prompt, j->engine, err);
    if (status == CRITIC_OK && has_image)
        status =
            cr_image_load_in(&image, item->folder, item->source, j->run->limits, err);
    if (status == CRITIC_OK)
        status = cr_prompt_chat(prompt, &image, has_image, (struct cr_str){NULL, 0},
                                item->prompt, err);
    cr_image_free(&image);
    if (status == CRITIC_OK)
        status = cr_prompt_finish(prompt, err);
    if (status == CRITIC_OK)
        status = cr_engine_prefill(j->engine, prompt, seq, &j->counts->usage, err);
    cr_prompt_free(prompt);
    return status;
}

/* The letter that the model would most likely write, of the question's. */
static enum critic_status choose(struct job *j, const struct cr_quiz_item *item,
                                 struct cr_seq *seq, json_t *row, critic_error *err) {
    struct cr_alternative letters[CR_MMBENCH_OPTIONS];
    struct cr_ids ids[CR_MMBENCH_OPTIONS];
    size_t n = 0, best = 0;
    double sum = 0;
    enum critic_status status = CRITIC_OK;
    for (; n < CR_MMBENCH_OPTIONS && item->option[n].data && status == CRITIC_OK; n++) {
        const char letter[2] = {(char)('A' + n), 0};
        cr_ids_init(&ids[n]);
        status = cr_tokenizer_encode(cr_engine_tokenizer(j->engine), cr_str_of(letter),
                                     false, &ids[n], err);
        letters[n] = (struct cr_alternative){ids[n].data, ids[n].len, 0};
    }
    if (status == CRITIC_OK)
        status = cr_seq_score(seq, letters, n, err);
    for (size_t i = 0; status == CRITIC_OK && i < n; i++) {
        best = letters[i].logprob > letters[best].logprob ? i : best;
        sum += exp(letters[i].logprob);
    }
    if (status == CRITIC_OK) {
        json_t *shares = json_object();
        for (size_t i = 0; i < n; i++) {
            const char letter[2] = {(char)('A' + i), 0};
            json_object_set_new(shares, letter, json_real(exp(letters[i].logprob) / sum));
        }
        const char letter[2] = {(char)('A' + best), 0};
        json_object_set_new(row, "choice", json_string(letter));
        json_object_set_new(row, "choice_probabilities", shares);
        j->counts->n_chosen++;
    }
    for (size_t i = 0; i < n; i++)
        cr_ids_fini(&ids[i]);
    return status;
}

static enum critic_status answer(struct job *j, const struct cr_quiz_item *item,
                                 json_t *row, critic_error *err) {
    struct cr_seq *seq = NULL;
    struct cr_completion reply = {0};
    CR_TRY(prefill(j, item, &seq, err));
    enum critic_status status =
        cr_generate(seq, 1, &j->run->generate, &reply, &j->counts->usage, err);
    if (status == CRITIC_OK) {
        struct cr_str text = cr_buf_str(&reply.text);
        char letter = 'A';
        json_object_set_new(row, j->set->quiz->reply_key,
                            json_stringn(text.data ? text.data : "", text.len));
        json_object_set_new(
            row, "finish_reason",
            json_string(reply.finish == CR_FINISH_STOP ? "stop" : "length"));
        if (j->set->quiz->kind == CR_QUIZ_MMBENCH)
            letter =
                cr_mmbench_read(CR_MMBENCH_OFFICIAL,
                                text.data ? text : (struct cr_str){"", 0}, item->option);
        if (letter == 0)
            status = choose(j, item, seq, row, err);
    }
    cr_completion_fini(&reply);
    cr_seq_free(seq);
    return status;
}

static enum critic_status append(struct job *j, const json_t *row, critic_error *err) {
    struct cr_buf line;
    cr_buf_init(&line, MAX_LINE);
    enum critic_status status = cr_json_append(&line, row, err);
    if (status == CRITIC_OK)
        status = cr_jsonl_log_append(&j->log, cr_buf_str(&line), err);
    cr_buf_fini(&line);
    return status;
}

static enum critic_status ask_one(struct job *j, size_t index, critic_error *err) {
    const struct cr_quiz_item *item = &j->set->items[index];
    critic_error fault = {0};
    char asked[CR_HASH_HEX];
    json_t *row = json_copy(item->row);
    if (!row)
        return cr_quiz_no_memory(err);
    enum critic_status status = answer(j, item, row, &fault);
    if (status == CRITIC_CANCELLED || status == CRITIC_NO_MEMORY) {
        json_decref(row);
        return cr_fail(err, status, "%s", fault.message);
    }
    bool ok = status == CRITIC_OK;
    hash_question(j, item, asked);
    json_object_set_new(row, "status", json_string(ok ? "ok" : "error"));
    if (!ok)
        json_object_set_new(row, "error", json_string(fault.message));
    json_object_set_new(row, "bench", json_string(j->set->quiz->name));
    json_object_set_new(row, "model", json_string(cr_engine_model_name(j->engine)));
    json_object_set_new(row, "model_hash", json_string(cr_engine_model_hash(j->engine)));
    json_object_set_new(row, "asked", json_string(asked));
    json_object_set_new(row, "seed", json_integer((json_int_t)j->run->generate.seed));
    j->counts->n_answered += ok;
    j->counts->n_failed += !ok;
    if (!ok && !j->counts->first_failure[0])
        snprintf(j->counts->first_failure, sizeof j->counts->first_failure,
                 "question %.60s: %.240s", item->id.data, fault.message);
    status = append(j, row, err);
    json_decref(row);
    return status;
}

/* ---- run ------------------------------------------------------------------------------------ */

/* The lines in their order, whatever stood there between. */
static enum critic_status put_in_order(const struct job *j, critic_error *err) {
    struct cr_row_key *keys = calloc(j->set->n + 1, sizeof *keys);
    if (!keys)
        return cr_quiz_no_memory(err);
    for (size_t i = 0; i < j->set->n; i++)
        keys[i] = cr_row_key_of(j->set->items[i].row, j->set->quiz->id_key);
    enum critic_status status =
        cr_jsonl_put_in_order(j->run->output, j->set->quiz->id_key, keys, j->set->n, err);
    free(keys);
    return status;
}

static enum critic_status run_all(struct job *j, critic_error *err) {
    for (size_t i = 0; i < j->set->n; i++) {
        if (j->is_there[i])
            continue;
        CR_TRY(ask_one(j, i, err));
        if (j->run->on_item)
            j->run->on_item(j->run->user, j->counts);
    }
    cr_jsonl_log_close(&j->log);
    return j->rewrite ? put_in_order(j, err) : CRITIC_OK;
}

static enum critic_status begin(struct job *j, critic_error *err) {
    const struct cr_generate_opts *g = &j->run->generate;
    struct cr_buf settings;
    j->there = json_object();
    j->order = json_array();
    j->is_there = calloc(j->set->n + 1, sizeof *j->is_there);
    cr_buf_init(&settings, 4096);
    enum critic_status status = cr_buf_printf(
        &settings, err, "%zu %.17g %.17g %zu %.17g %llu %s", g->max_new_tokens,
        g->temperature, g->top_p, g->top_k, g->repetition_penalty,
        (unsigned long long)g->seed, cr_engine_dtype(j->engine));
    if (status == CRITIC_OK) {
        j->settings = cr_str_dup(cr_buf_str(&settings));
        if (!j->there || !j->order || !j->is_there || !j->settings)
            status = cr_quiz_no_memory(err);
    }
    cr_buf_fini(&settings);
    return status;
}

enum critic_status cr_quiz_ask(const struct cr_quiz_set *set, struct cr_engine *engine,
                               const struct cr_quiz_run *run,
                               struct cr_quiz_counts *counts, critic_error *err) {
    struct job j = {.set = set, .engine = engine, .run = run, .counts = counts};
    j.log.fd = -1;
    memset(counts, 0, sizeof *counts);
    counts->n_total = set->n;
    enum critic_status status = begin(&j, err);
    if (status == CRITIC_OK)
        status = cr_jsonl_log_open(&j.log, run->output,
                                   run->force    ? CR_JSONL_FORCE
                                   : run->resume ? CR_JSONL_RESUME
                                                 : CR_JSONL_FRESH,
                                   on_old_line, &j, err);
    if (status == CRITIC_OK)
        status = take_old(&j, err);
    if (status == CRITIC_OK)
        status = run_all(&j, err);
    cr_jsonl_log_close(&j.log);
    free(j.is_there);
    free(j.settings);
    json_decref(j.there);
    json_decref(j.order);
    return status;
}
