#include "judge/batch.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "base/file.h"
#include "base/grow.h"
#include "io/json.h"
#include "io/jsonl.h"
#include "io/jsonl_order.h"
#include "judge/many.h"
#include "judge/template.h"

#define MAX_LINE_BYTES ((size_t)256 << 20)

/* An id that OUT already holds. Equal ids are as many entries. */
struct seen {
    struct cr_row_key key;
    bool used;
};

struct batch {
    struct cr_judge *judge;
    const struct cr_batch_opts *opts;
    struct cr_batch_counts *counts;
    struct cr_jsonl_log log;
    struct seen *seen;
    size_t n_seen, cap_seen;
    size_t n_retry; /* lines of OUT with status error */
    struct cr_row_key *keys;
    size_t n_keys, cap_keys;
    struct cr_jsonl_reader reader;
    struct cr_buf folder;
    struct cr_buf line;
    size_t n_total;
};

/* ---- what is there already -------------------------------------------------------------------- */

static int by_key(const void *a, const void *b) {
    return cr_row_key_compare(&((const struct seen *)a)->key,
                              &((const struct seen *)b)->key);
}

static enum critic_status add_seen(struct batch *b, const json_t *row,
                                   critic_error *err) {
    struct seen *grown = cr_grow(b->seen, b->n_seen, &b->cap_seen, sizeof *grown);
    if (!grown)
        return cr_fail(err, CRITIC_NO_MEMORY, "no memory for %zu ids", b->n_seen + 1);
    b->seen = grown;
    b->seen[b->n_seen++] = (struct seen){.key = cr_row_key_of(row, "id")};
    return CRITIC_OK;
}

/* The ids of the input in order, kept where OUT will have to be put in order. */
static enum critic_status add_key(struct batch *b, struct cr_row_key key,
                                  critic_error *err) {
    if (b->n_retry == 0)
        return CRITIC_OK;
    struct cr_row_key *grown = cr_grow(b->keys, b->n_keys, &b->cap_keys, sizeof *grown);
    if (!grown)
        return cr_fail(err, CRITIC_NO_MEMORY, "no memory for %zu ids", b->n_keys + 1);
    b->keys = grown;
    b->keys[b->n_keys++] = key;
    return CRITIC_OK;
}

static bool is_template_hash(const struct cr_judge *j, const char *hash) {
    for (size_t m = CR_MODE_POINTWISE; m <= CR_MODE_RANKING; m++)
        if (strcmp(cr_judge_template(j, (enum cr_mode)m)->hash, hash) == 0)
            return true;
    return false;
}

static const char *member(const json_t *object, const char *key) {
    const char *text = json_string_value(json_object_get(object, key));
    return text ? text : "";
}

static enum critic_status mismatch(const struct batch *b, size_t number, const char *what,
                                   const char *there, const char *now,
                                   critic_error *err) {
    return cr_fail(
        err, CRITIC_BAD_ARGUMENT,
        "%s:%zu: written with %s %s, this run has %s; resume with the same one or "
        "write to another file",
        b->opts->output, number, what, there, now);
}

static enum critic_status on_line(void *user, struct cr_str line, size_t number,
                                  critic_error *err) {
    struct batch *b = user;
    char where[512];
    char seed[2][24];
    json_t *row;
    enum critic_status status = CRITIC_OK;
    snprintf(where, sizeof where, "%s:%zu", b->opts->output, number);
    CR_TRY(cr_json_parse(&row, line.data, line.len, where, err));
    const json_t *id = json_object_get(row, "id");
    const char *model = member(row, "model_hash");
    const char *template = member(row, "template_hash");
    uint64_t now = cr_judge_seed(b->judge);
    uint64_t then = (uint64_t)json_integer_value(json_object_get(row, "seed"));
    snprintf(seed[0], sizeof seed[0], "%llu", (unsigned long long)then);
    snprintf(seed[1], sizeof seed[1], "%llu", (unsigned long long)now);
    if (!id || !*model || !*template)
        status = cr_fail(err, CRITIC_BAD_DATA,
                         "%s: this line is no verdict; expected a file that judge wrote",
                         where);
    else if (strcmp(model, cr_judge_model_hash(b->judge)) != 0)
        status = mismatch(b, number, "model", model, cr_judge_model_hash(b->judge), err);
    else if (!is_template_hash(b->judge, template))
        status = mismatch(b, number, "template", template,
                          cr_judge_template(b->judge, CR_MODE_AUTO)->hash, err);
    else if (then != now)
        status = mismatch(b, number, "seed", seed[0], seed[1], err);
    else
        status = cr_row_is_error(row) ? CRITIC_OK : add_seen(b, row, err);
    b->n_retry += cr_row_is_error(row);
    json_decref(row);
    return status;
}

/* Takes one entry of this id, so that an id that stands twice in IN is judged twice. */
static bool take_seen(struct batch *b, struct cr_row_key key) {
    struct seen want = {.key = key};
    size_t low = 0;
    size_t high = b->n_seen;
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        if (by_key(&b->seen[mid], &want) < 0)
            low = mid + 1;
        else
            high = mid;
    }
    for (; low < b->n_seen && by_key(&b->seen[low], &want) == 0; low++)
        if (!b->seen[low].used) {
            b->seen[low].used = true;
            return true;
        }
    return false;
}

/* ---- one line ------------------------------------------------------------------------------------ */

static enum critic_status append(struct batch *b, const struct cr_verdict *v,
                                 critic_error *err) {
    cr_buf_clear(&b->line);
    CR_TRY(cr_verdict_to_json(v, &b->line, err));
    CR_TRY(cr_jsonl_log_append(&b->log, cr_buf_str(&b->line), err));
    b->counts->n_ok += v->opinion.status == CR_VERDICT_OK;
    b->counts->n_unparsed += v->opinion.status == CR_VERDICT_UNPARSED;
    b->counts->n_error += v->opinion.status == CR_VERDICT_ERROR;
    return CRITIC_OK;
}

/* Faults of the item become its verdict; these end the run. */
static bool ends_run(enum critic_status status) {
    return status == CRITIC_CANCELLED || status == CRITIC_IO || status == CRITIC_DEVICE ||
           status == CRITIC_BAD_ARGUMENT;
}

/* One line of IN on its way to OUT. */
struct line_job {
    struct cr_judge_job job;
    struct cr_item item;
    size_t number;
    char digits[24];
};

static void where_of(const struct batch *b, size_t number, char where[512]) {
    bool is_stdin = strcmp(b->opts->input, "-") == 0;
    snprintf(where, 512, "%s:%zu", is_stdin ? "standard input" : b->opts->input, number);
}

static void free_line_job(struct line_job *j) {
    cr_item_fini(&j->item);
    free(j);
}

static enum critic_status new_line_job(struct batch *b, struct line_job **out,
                                       struct cr_str line, size_t number,
                                       critic_error *err) {
    struct line_job *j = *out = calloc(1, sizeof *j);
    char where[512];
    const char *folder = b->folder.len > 0 ? b->folder.data : NULL;
    if (!j)
        return cr_fail(err, CRITIC_NO_MEMORY, "no memory for line %zu", number);
    j->number = number;
    j->job.judge = b->judge;
    j->job.item = &j->item;
    snprintf(j->digits, sizeof j->digits, "%zu", number);
    where_of(b, number, where);
    j->job.status = cr_item_from_json(&j->item, line, folder, where, &j->job.fault);
    if (!j->item.id.data) {
        j->item.id = cr_str_of(j->digits);
        j->item.id_is_number = true;
    }
    return CRITIC_OK;
}

/* The next line that is not in OUT yet. */
static enum critic_status next_line(void *user, struct cr_judge_job **out,
                                    critic_error *err) {
    struct batch *b = user;
    const struct cr_batch_opts *o = b->opts;
    for (;;) {
        struct cr_str line = {0};
        struct line_job *j;
        CR_TRY(cr_jsonl_next(&b->reader, &line, err));
        if (!line.data)
            return CRITIC_OK;
        if (o->cancel && o->cancel(o->user))
            return cr_fail(err, CRITIC_CANCELLED,
                           "cancelled after %zu items; --resume goes on",
                           b->counts->n_items);
        b->counts->n_items++;
        CR_TRY(new_line_job(b, &j, line, b->reader.line_number, err));
        struct cr_row_key key = cr_row_key(j->item.id, j->item.id_is_number);
        enum critic_status status = add_key(b, key, err);
        if (status == CRITIC_OK && !take_seen(b, key)) {
            *out = &j->job;
            return CRITIC_OK;
        }
        free_line_job(j);
        CR_TRY(status);
        b->counts->n_skipped++;
        if (o->on_item)
            o->on_item(o->user, b->counts, b->n_total);
    }
}

static enum critic_status write_line(struct batch *b, struct line_job *j,
                                     critic_error *err) {
    struct cr_verdict *v = &j->job.verdict;
    if (j->job.status != CRITIC_OK) {
        char where[512];
        where_of(b, j->number, where);
        if (j->item.n_answers > 0) /* it was read: the fault is the judge's */
            cr_error_wrap(&j->job.fault, j->job.status, "%s: ", where);
        CR_TRY(cr_verdict_failed(b->judge, j->item.id, &j->job.fault, v, err));
        v->id_is_number = j->item.id_is_number;
        v->opinion.mode = cr_judge_mode_of(b->judge, j->item.n_answers);
    }
    enum critic_status status = append(b, v, err);
    cr_verdict_fini(v);
    return status;
}

static enum critic_status done_line(void *user, struct cr_judge_job *job,
                                    critic_error *err) {
    struct batch *b = user;
    struct line_job *j = (struct line_job *)job; /* its first member */
    enum critic_status status;
    if (job->status != CRITIC_OK && ends_run(job->status)) {
        if (err)
            *err = job->fault;
        status = job->status;
    } else {
        status = write_line(b, j, err);
    }
    free_line_job(j);
    if (status == CRITIC_OK && b->opts->on_item)
        b->opts->on_item(b->opts->user, b->counts, b->n_total);
    return status;
}

/* ---- the run ----------------------------------------------------------------------------------- */

/* Lines that are not blank, for the progress; 0 where the input cannot be read twice. */
static enum critic_status count_lines(struct batch *b, critic_error *err) {
    struct cr_jsonl_reader reader;
    struct cr_str line = {0};
    if (strcmp(b->opts->input, "-") == 0)
        return CRITIC_OK;
    enum critic_status status =
        cr_jsonl_open(&reader, b->opts->input,
                      b->opts->max_line ? b->opts->max_line : MAX_LINE_BYTES, err);
    while (status == CRITIC_OK) {
        status = cr_jsonl_next(&reader, &line, err);
        if (!line.data || status != CRITIC_OK)
            break;
        b->n_total++;
    }
    cr_jsonl_close(&reader);
    return status;
}

static enum critic_status run_lines(struct batch *b, critic_error *err) {
    const struct cr_batch_opts *o = b->opts;
    struct cr_judge_feed feed = {next_line, done_line, b};
    enum critic_status status = cr_jsonl_open(
        &b->reader, o->input, o->max_line ? o->max_line : MAX_LINE_BYTES, err);
    if (status == CRITIC_OK)
        status = cr_judge_many(&feed, err);
    cr_jsonl_close(&b->reader);
    return status;
}

enum critic_status cr_judge_batch(struct cr_judge *judge,
                                  const struct cr_batch_opts *opts,
                                  struct cr_batch_counts *counts, critic_error *err) {
    struct batch b = {.judge = judge, .opts = opts, .counts = counts};
    enum cr_jsonl_start start = opts->resume  ? CR_JSONL_RESUME
                                : opts->force ? CR_JSONL_FORCE
                                              : CR_JSONL_FRESH;
    memset(counts, 0, sizeof *counts);
    if (opts->resume && opts->force)
        return cr_fail(err, CRITIC_BAD_ARGUMENT, "resume and force exclude each other");
    const char *slash = strrchr(opts->input, '/');
    enum critic_status status;
    b.log.fd = -1;
    cr_buf_init(&b.folder, (size_t)1 << 16);
    cr_buf_init(&b.line, (size_t)1 << 30);
    if (slash && strcmp(opts->input, "-") != 0)
        CR_TRY_GOTO(cr_buf_append(&b.folder, opts->input,
                                  CR_MAX((size_t)(slash - opts->input), (size_t)1), err));
    CR_TRY_GOTO(
        count_lines(&b, err)); /* also finds a missing input before OUT is touched */
    CR_TRY_GOTO(cr_file_apart(opts->input, opts->output, err));
    status = cr_jsonl_log_open(&b.log, opts->output, start, on_line, &b, err);
    if (status == CRITIC_OK) {
        if (b.n_seen > 0)
            qsort(b.seen, b.n_seen, sizeof *b.seen, by_key);
        status = run_lines(&b, err);
    }
    cr_jsonl_log_close(&b.log);
    if (status == CRITIC_OK && b.n_retry > 0)
        status = cr_jsonl_put_in_order(opts->output, "id", b.keys, b.n_keys, err);
fail:
    cr_buf_fini(&b.folder);
    cr_buf_fini(&b.line);
    free(b.seen);
    free(b.keys);
    return status;
}
