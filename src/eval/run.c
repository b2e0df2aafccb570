#include "eval/run.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "io/json.h"
#include "io/jsonl.h"
#include "io/jsonl_order.h"
#include "judge/many.h"

#define MAX_LINE  ((size_t)1 << 28)
#define PER_JUDGE 4 /* items of a round for each judge: what waits for the slowest */

struct outcome {
    enum critic_status status;
    struct cr_verdict verdict;
    critic_error fault;
};

struct job {
    struct cr_judged *rows;
    const struct cr_exam_set *set;
    const struct cr_run_opts *opts;
    struct cr_run_counts *counts;
    struct cr_jsonl_log log;
    json_t *there; /* ids that the output holds, with their row's number */
    struct cr_judged old;
    bool *is_old; /* of every item */
    bool rewrite; /* lines of failed items have to go: written anew at the end */
};

/* ---- what is there ----------------------------------------------------------------------------- */

static enum critic_status on_old_line(void *user, struct cr_str line, size_t number,
                                      critic_error *err) {
    struct job *j = user;
    char where[300];
    snprintf(where, sizeof where, "%.250s:%zu", j->opts->output, number);
    CR_TRY(cr_judged_add_json(&j->old, line, where, err));
    const struct cr_judgement *row = &j->old.items[j->old.n - 1];
    bool failed = row->status == CR_ROW_ERROR;
    j->rewrite |= failed;
    if (!failed && json_object_set_new(j->there, row->id,
                                       json_integer((json_int_t)j->old.n - 1)) != 0)
        return cr_fail(err, CRITIC_NO_MEMORY, "no memory for rows");
    return CRITIC_OK;
}

static enum critic_status open_output(struct job *j, critic_error *err) {
    const struct cr_run_opts *o = j->opts;
    j->log.fd = -1;
    if (!o->output)
        return CRITIC_OK;
    CR_TRY(cr_judged_init(&j->old, j->set->bench, err));
    return cr_jsonl_log_open(&j->log, o->output,
                             o->force    ? CR_JSONL_FORCE
                             : o->resume ? CR_JSONL_RESUME
                                         : CR_JSONL_FRESH,
                             on_old_line, j, err);
}

/* A row that is there, taken over as it is. */
static enum critic_status take_old(struct job *j, size_t index, critic_error *err) {
    struct cr_buf line;
    cr_buf_init(&line, MAX_LINE);
    enum critic_status status =
        cr_judgement_to_json(&j->old, &j->old.items[index], &line, err);
    if (status == CRITIC_OK)
        status = cr_judged_add_json(j->rows, cr_buf_str(&line), j->opts->output, err);
    cr_buf_fini(&line);
    j->counts->n_there++;
    return status;
}

/* ---- judging ------------------------------------------------------------------------------------- */

static enum critic_status append(struct job *j, critic_error *err) {
    struct cr_buf line;
    if (!j->opts->output)
        return CRITIC_OK;
    cr_buf_init(&line, MAX_LINE);
    enum critic_status status =
        cr_judgement_to_json(j->rows, &j->rows->items[j->rows->n - 1], &line, err);
    if (status == CRITIC_OK)
        status = cr_jsonl_log_append(&j->log, cr_buf_str(&line), err);
    cr_buf_fini(&line);
    return status;
}

static void count(struct job *j, const struct outcome *o) {
    const struct cr_judgement *row = &j->rows->items[j->rows->n - 1];
    struct cr_judge_usage *u = &j->counts->usage;
    const struct cr_judge_usage *v = &o->verdict.usage;
    j->counts->n_ok += row->status == CR_ROW_OK;
    j->counts->n_unparsed += row->status == CR_ROW_UNPARSED;
    j->counts->n_error += row->status == CR_ROW_ERROR;
    if (o->status != CRITIC_OK)
        return;
    u->prompt_tokens += v->prompt_tokens;
    u->cached_tokens += v->cached_tokens;
    u->completion_tokens += v->completion_tokens;
    u->n_prompts += v->n_prompts;
    u->n_remembered += v->n_remembered;
}

static enum critic_status keep(struct job *j, size_t item, struct outcome *o,
                               critic_error *err) {
    if (o->status == CRITIC_CANCELLED || o->status == CRITIC_NO_MEMORY) {
        if (err)
            *err = o->fault;
        return o->status;
    }
    CR_TRY(cr_judged_add(j->rows, &j->set->items[item],
                         o->status == CRITIC_OK ? &o->verdict : NULL, &o->fault, err));
    CR_TRY(append(j, err));
    count(j, o);
    if (j->opts->on_item)
        j->opts->on_item(j->opts->user, j->counts);
    return CRITIC_OK;
}

static void judge_one(struct cr_judge *judge, const struct cr_exam_item *item,
                      struct outcome *o) {
    memset(o, 0, sizeof *o);
    o->status = cr_judge_item(judge, &item->item, &o->verdict, &o->fault);
}

static bool is_cancelled(const struct job *j) {
    return j->opts->cancel && j->opts->cancel(j->opts->user);
}

/* Keeps the outcome, which is released. */
static enum critic_status keep_and_release(struct job *j, size_t item, struct outcome *o,
                                           critic_error *err) {
    enum critic_status status = keep(j, item, o, err);
    if (o->status == CRITIC_OK)
        cr_verdict_fini(&o->verdict);
    return status;
}

/* ---- one engine: items side by side on its lanes ---- */

struct round {
    struct job *j;
    const size_t *index;
    size_t n, next, done;
    struct cr_judge_job *jobs; /* of each */
};

static enum critic_status next_item(void *user, struct cr_judge_job **job,
                                    critic_error *err) {
    struct round *r = user;
    if (r->next < r->n && is_cancelled(r->j))
        return cr_fail(err, CRITIC_CANCELLED, "cancelled");
    *job = r->next < r->n ? &r->jobs[r->next++] : NULL;
    return CRITIC_OK;
}

static enum critic_status done_item(void *user, struct cr_judge_job *job,
                                    critic_error *err) {
    struct round *r = user;
    struct outcome o = {
        .status = job->status, .fault = job->fault, .verdict = job->verdict};
    return keep_and_release(r->j, r->index[r->done++], &o, err);
}

static enum critic_status do_many(struct job *j, struct cr_judge *judge,
                                  const size_t *index, size_t n, critic_error *err) {
    struct round r = {.j = j, .index = index, .n = n};
    r.jobs = calloc(n, sizeof *r.jobs);
    if (!r.jobs)
        return cr_fail(err, CRITIC_NO_MEMORY, "no memory for a run");
    for (size_t i = 0; i < n; i++)
        r.jobs[i] =
            (struct cr_judge_job){.judge = judge, .item = &j->set->items[index[i]].item};
    enum critic_status status =
        cr_judge_many(&(struct cr_judge_feed){next_item, done_item, &r}, err);
    free(r.jobs);
    return status;
}

/* ---- voices: items side by side, a judge each ---- */

/* Judges the items at `index` and keeps them in order. */
static enum critic_status do_round(struct job *j, struct cr_judge *const *judges,
                                   const size_t *index, size_t n, struct outcome *all,
                                   critic_error *err) {
    size_t n_judges = CR_MIN(j->opts->n_parallel, n);
    enum critic_status status = CRITIC_OK;
    if (cr_judge_engine(judges[0]))
        return do_many(j, judges[0], index, n, err);
    if (n_judges <= 1) {
        for (size_t i = 0; i < n; i++)
            judge_one(judges[0], &j->set->items[index[i]], &all[i]);
    } else {
#pragma omp parallel for num_threads((int)n_judges) schedule(static, 1)
        for (size_t k = 0; k < n_judges; k++)
            for (size_t i = k; i < n; i += n_judges)
                judge_one(judges[k], &j->set->items[index[i]], &all[i]);
    }
    for (size_t i = 0; i < n; i++) {
        if (status == CRITIC_OK)
            status = keep_and_release(j, index[i], &all[i], err);
        else if (all[i].status == CRITIC_OK)
            cr_verdict_fini(&all[i].verdict);
    }
    return status;
}

static enum critic_status run_all(struct job *j, struct cr_judge *const *judges,
                                  critic_error *err) {
    size_t most = cr_judge_engine(judges[0]) ? CR_MAX(j->set->n, (size_t)1)
                  : j->opts->n_parallel > 1  ? PER_JUDGE * j->opts->n_parallel
                                             : 1;
    size_t *index = calloc(most, sizeof *index);
    struct outcome *all = calloc(most, sizeof *all);
    enum critic_status status =
        index && all ? CRITIC_OK : cr_fail(err, CRITIC_NO_MEMORY, "no memory for a run");
    for (size_t i = 0; i < j->set->n && status == CRITIC_OK;) {
        size_t n = 0;
        for (; i < j->set->n && n < most && !j->is_old[i]; i++)
            index[n++] = i;
        if (n == 0) {
            struct cr_str id = j->set->items[i++].item.id;
            status = take_old(
                j,
                (size_t)json_integer_value(json_object_getn(j->there, id.data, id.len)),
                err);
        } else if (is_cancelled(j)) {
            status = cr_fail(err, CRITIC_CANCELLED, "cancelled");
        } else {
            status = do_round(j, judges, index, n, all, err);
        }
    }
    free(index);
    free(all);
    return status;
}

/* Once all is judged the output is the rows in their order, whatever stood there between. */
static enum critic_status put_in_order(const struct job *j, critic_error *err) {
    struct cr_row_key *keys = calloc(j->set->n + 1, sizeof *keys);
    if (!keys)
        return cr_fail(err, CRITIC_NO_MEMORY, "no memory for a run");
    for (size_t i = 0; i < j->set->n; i++)
        keys[i] = cr_row_key(j->set->items[i].item.id, false);
    enum critic_status status =
        cr_jsonl_put_in_order(j->opts->output, "id", keys, j->set->n, err);
    free(keys);
    return status;
}

static enum critic_status mark_old(struct job *j, critic_error *err) {
    j->is_old = calloc(j->set->n + 1, sizeof *j->is_old);
    if (!j->is_old)
        return cr_fail(err, CRITIC_NO_MEMORY, "no memory for a run");
    for (size_t i = 0; i < j->set->n; i++) {
        struct cr_str id = j->set->items[i].item.id;
        const json_t *row = json_object_getn(j->there, id.data, id.len);
        j->is_old[i] = row != NULL;
        /* what is there has to be a beginning of what comes, else it is put in order at the end */
        j->rewrite |= row && json_integer_value(row) != (json_int_t)i;
    }
    return CRITIC_OK;
}

/* Rows of items that fail before anybody judged say who was to judge, too. */
static enum critic_status set_source(struct job *j, struct cr_judge *judge,
                                     critic_error *err) {
    static const critic_error no_fault = {.status = CRITIC_BAD_DATA};
    struct cr_verdict v;
    CR_TRY(cr_verdict_failed(judge, (struct cr_str){"", 0}, &no_fault, &v, err));
    enum critic_status status = cr_judged_set_source(j->rows, &v, err);
    if (status == CRITIC_OK && j->old.n > 0 &&
        (!j->old.model_hash || strcmp(j->old.model_hash, j->rows->model_hash) != 0 ||
         strcmp(j->old.template_hash, j->rows->template_hash) != 0 ||
         j->old.seed != j->rows->seed))
        status = cr_fail(err, CRITIC_BAD_DATA,
                         "%s: was judged by '%.60s' with template '%.40s' and seed %llu; "
                         "expected '%.60s', '%.40s' and %llu to go on",
                         j->opts->output, j->old.model ? j->old.model : "?",
                         j->old.template_name ? j->old.template_name : "?",
                         (unsigned long long)j->old.seed, j->rows->model,
                         j->rows->template_name, (unsigned long long)j->rows->seed);
    cr_verdict_fini(&v);
    return status;
}

enum critic_status cr_exam_run(struct cr_judged *rows, const struct cr_exam_set *set,
                               struct cr_judge *const *judges,
                               const struct cr_run_opts *opts,
                               struct cr_run_counts *counts, critic_error *err) {
    struct job j = {
        .rows = rows, .set = set, .opts = opts, .counts = counts, .there = json_object()};
    enum critic_status status;
    memset(counts, 0, sizeof *counts);
    counts->n_total = set->n;
    CR_TRY_GOTO(open_output(&j, err));
    CR_TRY_GOTO(set_source(&j, judges[0], err));
    CR_TRY_GOTO(mark_old(&j, err));
    CR_TRY_GOTO(run_all(&j, judges, err));
    cr_jsonl_log_close(&j.log);
    if (opts->output && j.rewrite)
        CR_TRY_GOTO(put_in_order(&j, err));
fail:
    cr_jsonl_log_close(&j.log);
    cr_judged_fini(&j.old);
    json_decref(j.there);
    free(j.is_old);
    return status;
}
