#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/engine.h"
#include "io/json.h"
#include "judge/many.h"
#include "judge/voice.h"
#include "prefer/ledger.h"

#define MAX_LINE_BYTES ((size_t)256 << 20)

/* ---- asking the judge -------------------------------------------------------------------- */

/* share of the answer shown first, from an opinion whose pair is in prompt order and whose scores
 * are in the order of `content`. */
static void take_pair(const struct cr_opinion *op, const size_t content[2],
                      struct cr_opinions *out) {
    size_t first = op->pair[0], second = op->pair[1];
    double share = (double)NAN;
    bool turned = first != content[0];
    if (op->status != CR_VERDICT_OK)
        return;
    if (!op->has_numbers && op->n_scores == 2)
        share = op->scores[turned];
    else if (op->choice == CR_CHOICE_TIE)
        share = 0.5;
    else if (op->choice != CR_CHOICE_NONE)
        share = (op->choice == CR_CHOICE_FIRST) != turned;
    out->share[first][second] = share;
}

static void take(const struct cr_opinion *op, struct cr_opinions *out) {
    switch (op->parts_kind) {
    case CR_PARTS_COMPARISONS:
    case CR_PARTS_ANSWERS:
        for (size_t i = 0; i < op->n_parts; i++)
            take(&op->parts[i], out);
        return;
    case CR_PARTS_ORDERS:
        for (size_t i = 0; i < op->n_parts; i++)
            take_pair(&op->parts[i], op->pair, out);
        return;
    default:
        if (op->mode == CR_MODE_PAIRWISE)
            take_pair(op, op->pair, out);
        else if (op->mode == CR_MODE_POINTWISE && op->status == CR_VERDICT_OK)
            out->score[op->pair[0]] = op->has_expected ? op->expected : op->score;
    }
}

/* Has the judge anything to say of so many answers? One has nothing to be compared with. */
static bool has_to_ask(struct cr_judge *judge, size_t n_answers) {
    bool alone = cr_judge_template(judge, CR_MODE_PAIRWISE)->mode == CR_MODE_POINTWISE;
    return n_answers > (alone ? 0 : 1);
}

static void take_verdict(struct cr_verdict *v, size_t n_answers, struct cr_opinions *out,
                         struct cr_judge_usage *usage) {
    if (n_answers == 2 && v->opinion.parts_kind != CR_PARTS_ANSWERS)
        v->opinion.pair[1] = 1;
    take(&v->opinion, out);
    cr_judge_usage_add(usage, &v->usage);
    cr_verdict_fini(v);
}

enum critic_status cr_prefer_ask(struct cr_judge *judge, const struct cr_item *item,
                                 struct cr_opinions *out, struct cr_judge_usage *usage,
                                 critic_error *err) {
    struct cr_verdict v;
    if (!has_to_ask(judge, item->n_answers))
        return CRITIC_OK;
    CR_TRY(cr_judge_item(judge, item, &v, err));
    take_verdict(&v, item->n_answers, out, usage);
    return CRITIC_OK;
}

struct cr_scorer cr_scorer_of_engine(struct cr_judge *judge) {
    const struct cr_engine *engine = cr_judge_engine(judge);
    return (struct cr_scorer){judge, cr_engine_model_name(engine),
                              cr_engine_model_hash(engine)};
}

struct cr_scorer cr_scorer_of_voice(struct cr_judge *judge,
                                    const struct cr_voice *voice) {
    return (struct cr_scorer){judge, voice->model, voice->model_hash};
}

/* ---- one line ---------------------------------------------------------------------------- */

struct stage {
    const struct cr_scorer *scorer;
    const struct cr_prefer_opts *opts;
    struct cr_prefer_counts *counts;
    struct cr_str folder;
    struct cr_ledger log;
    struct cr_jsonl_reader reader; /* of the samples */
};

static const struct cr_template *template_of(const struct stage *s) {
    return cr_judge_template(s->scorer->judge, CR_MODE_PAIRWISE);
}

/* The answers of one line on their way to rewards. */
struct work {
    struct cr_judge_job job;
    struct cr_item item;
    json_t *line;
    struct cr_str texts[CR_MAX_K]; /* of those asked */
    struct cr_str *images;
    bool is_sampled; /* the line has answers */
    bool is_asked;   /* the judge is */
    struct cr_candidate c[CR_MAX_K];
    size_t twin[CR_MAX_K];
    size_t asked[CR_MAX_K]; /* answers that the judge sees: index of each among all */
    size_t n_asked;
    size_t k;
    struct cr_preference pairs[CR_MAX_K * (CR_MAX_K - 1) / 2];
    size_t n_pairs, best;
    struct cr_opinions o; /* of those asked */
    double order_gap;
    struct cr_judge_usage usage;
};

static enum critic_status read_answers(struct work *w, const json_t *line,
                                       const char *where, critic_error *err) {
    const json_t *list = json_object_get(line, "answers");
    w->k = json_array_size(list);
    if (w->k == 0 || w->k > CR_MAX_K)
        return cr_fail(err, CRITIC_BAD_DATA, "%s: %zu answers; expected 1 to %d", where,
                       w->k, CR_MAX_K);
    for (size_t i = 0; i < w->k; i++) {
        const json_t *answer = json_array_get(list, i);
        const json_t *text = json_object_get(answer, "text");
        const char *finish = json_string_value(json_object_get(answer, "finish_reason"));
        if (!json_is_string(text))
            return cr_fail(err, CRITIC_BAD_DATA, "%s: answer %zu has no text", where, i);
        w->c[i] = (struct cr_candidate){
            .text = {json_string_value(text), json_string_length(text)},
            .truncated = finish && strcmp(finish, "length") == 0,
            .reward = (double)NAN};
    }
    return CRITIC_OK;
}

/* What the judge is asked: the answers that are worth it. */
static enum critic_status make_item(const struct stage *s, struct work *w,
                                    critic_error *err) {
    const json_t *sources = json_object_get(w->line, "images");
    const json_t *prompt = json_object_get(w->line, "prompt");
    size_t n_images = json_array_size(sources);
    w->images = calloc(n_images + 1, sizeof *w->images);
    if (!w->images)
        return cr_fail(err, CRITIC_NO_MEMORY, "out of memory");
    for (size_t i = 0; i < n_images; i++) {
        const json_t *source = json_array_get(sources, i);
        w->images[i] =
            (struct cr_str){json_string_value(source), json_string_length(source)};
    }
    for (size_t i = 0; i < w->k; i++)
        if (w->c[i].drop == CR_KEPT) {
            w->texts[w->n_asked] = w->c[i].text;
            w->asked[w->n_asked++] = i;
        }
    w->item = (struct cr_item){
        .id = cr_str_of(json_string_value(json_object_get(w->line, "id"))),
        .sources = w->images,
        .n_sources = n_images,
        .folder = s->folder,
        .question = {json_string_value(prompt), json_string_length(prompt)},
        .answers = w->texts,
        .n_answers = w->n_asked};
    return CRITIC_OK;
}

static void reward(const struct stage *s, struct work *w) {
    double reward[CR_MAX_K];
    cr_rewards(&w->o, s->opts->reward, reward);
    for (size_t i = 0; i < w->n_asked; i++)
        w->c[w->asked[i]].reward = reward[i];
    w->n_pairs = cr_select_pairs(w->c, w->k, &s->opts->select, w->pairs, &w->best);
    if (w->n_asked == 1 && w->best == w->k)
        w->best = w->asked[0]; /* the only one is the best whatever the judge says */
    for (size_t i = 0; i < w->k; i++)
        if (w->c[i].drop == CR_DROP_DUPLICATE)
            w->c[i].reward = w->c[w->twin[i]].reward;
    w->order_gap = cr_opinions_order_gap(&w->o);
}

static json_t *answers_json(const struct work *w) {
    json_t *list = json_array();
    size_t asked = 0;
    for (size_t i = 0; i < w->k; i++) {
        json_t *answer =
            json_copy(json_array_get(json_object_get(w->line, "answers"), i));
        bool was_asked = asked < w->n_asked && w->asked[asked] == i;
        json_object_set_new(answer, "reward", cr_json_number(w->c[i].reward));
        if (was_asked && !isnan(w->o.score[asked]))
            json_object_set_new(answer, "score", json_real(w->o.score[asked]));
        json_object_set_new(answer, "outcome", json_string(cr_drop_name(w->c[i].drop)));
        if (w->c[i].drop == CR_DROP_DUPLICATE)
            json_object_set_new(answer, "same_as", json_integer((json_int_t)w->twin[i]));
        json_array_append_new(list, answer);
        asked += was_asked;
    }
    return list;
}

/* shares[i][j] over all answers; null where the judge was not asked. */
static json_t *shares_json(const struct work *w) {
    json_t *rows = json_array();
    for (size_t i = 0; i < w->k; i++) {
        json_t *row = json_array();
        for (size_t j = 0; j < w->k; j++)
            json_array_append_new(row, json_null());
        json_array_append_new(rows, row);
    }
    for (size_t i = 0; i < w->n_asked; i++)
        for (size_t j = 0; j < w->n_asked; j++)
            if (i != j)
                json_array_set_new(json_array_get(rows, w->asked[i]), w->asked[j],
                                   cr_json_number(w->o.share[i][j]));
    return rows;
}

static json_t *pairs_json(const struct work *w) {
    json_t *list = json_array();
    for (size_t i = 0; i < w->n_pairs; i++)
        json_array_append_new(list, json_pack("{s:I,s:I,s:f}", "chosen",
                                              (json_int_t)w->pairs[i].chosen, "rejected",
                                              (json_int_t)w->pairs[i].rejected, "margin",
                                              w->pairs[i].margin));
    return list;
}

static const char *why_none(const struct work *w) {
    size_t kept = 0;
    for (size_t i = 0; i < w->k; i++)
        kept += w->c[i].drop == CR_KEPT;
    return w->n_asked < 2 ? "fewer than two different answers"
           : kept < 2     ? "fewer than two answers with a verdict"
                          : "tie";
}

static void count(struct cr_prefer_counts *n, const char *status, const json_t *line) {
    const char *why = json_string_value(json_object_get(line, "why"));
    size_t i;
    json_t *answer;
    n->n_faults += strcmp(status, "error") == 0;
    n->n_skipped += strcmp(status, "skipped") == 0;
    n->n_ties += why && strcmp(why, "tie") == 0;
    n->n_pairs += json_array_size(json_object_get(line, "pairs"));
    json_array_foreach(json_object_get(line, "answers"), i, answer) {
        const char *outcome = json_string_value(json_object_get(answer, "outcome"));
        for (size_t d = 0; outcome && d < CR_N_DROPS; d++)
            n->n_drops[d] += strcmp(outcome, cr_drop_name((enum cr_drop)d)) == 0;
    }
}

static json_t *usage_json(const struct cr_judge_usage *u) {
    /* What of it was computed depends on where the run began, so it stands in no line. */
    return json_pack("{s:I,s:I,s:I}", "prompts", (json_int_t)u->n_prompts,
                     "prompt_tokens", (json_int_t)u->prompt_tokens, "completion_tokens",
                     (json_int_t)u->completion_tokens);
}

/* Reads the line and says what the judge is to be asked; *ask false: nothing. */
static enum critic_status prepare(const struct stage *s, struct work *w, bool *ask,
                                  const char *where, critic_error *err) {
    const char *sampled = json_string_value(json_object_get(w->line, "status"));
    *ask = false;
    if (!sampled || strcmp(sampled, "ok") != 0)
        return CRITIC_OK;
    w->is_sampled = true;
    CR_TRY(read_answers(w, w->line, where, err));
    cr_select_texts(w->c, w->k, &s->opts->select, w->twin);
    CR_TRY(make_item(s, w, err));
    cr_opinions_init(&w->o, w->n_asked);
    *ask = has_to_ask(s->scorer->judge, w->n_asked);
    return CRITIC_OK;
}

/* What was said of the answers, into the line. */
static void judged_line(struct stage *s, struct work *w) {
    json_t *line = w->line;
    reward(s, w);
    json_object_set_new(line, "answers", answers_json(w));
    json_object_set_new(line, "shares", shares_json(w));
    json_object_set_new(line, "order_gap", cr_json_number(w->order_gap));
    json_object_set_new(line, "best",
                        w->best < w->k ? json_integer((json_int_t)w->best) : json_null());
    json_object_set_new(line, "pairs", pairs_json(w));
    json_object_set_new(line, "status", json_string(w->n_pairs ? "ok" : "skipped"));
    if (w->n_pairs == 0)
        json_object_set_new(line, "why", json_string(why_none(w)));
    json_object_set_new(line, "judge_usage", usage_json(&w->usage));
    s->counts->prompt_tokens += w->usage.prompt_tokens;
    s->counts->cached_tokens += w->usage.cached_tokens;
    s->counts->completion_tokens += w->usage.completion_tokens;
}

/* The judge's faults become lines of their own. */
static enum critic_status write_work(struct stage *s, struct work *w, critic_error *err) {
    struct cr_judge_job *job = &w->job;
    json_t *line = w->line;
    if (job->status == CRITIC_OK && w->is_asked)
        take_verdict(&job->verdict, w->n_asked, &w->o, &w->usage);
    if (job->status == CRITIC_NO_MEMORY)
        return cr_fail(err, job->status, "prompt '%.80s': %s",
                       json_string_value(json_object_get(line, "id")),
                       job->fault.message);
    if (job->status != CRITIC_OK && cr_prefer_ends_run(job->status, s->counts))
        return cr_fail(err, job->status, "%s", job->fault.message);
    if (job->status != CRITIC_OK) {
        json_object_set_new(line, "status", json_string("error"));
        json_object_set_new(line, "error", json_string(job->fault.message));
        if (s->opts->on_fault)
            s->opts->on_fault(s->opts->user,
                              json_string_value(json_object_get(line, "id")),
                              job->fault.message);
    } else if (w->is_sampled) {
        judged_line(s, w);
    }
    json_object_set_new(line, "judge", json_string(s->scorer->name));
    json_object_set_new(line, "template", json_string(template_of(s)->name));
    count(s->counts, json_string_value(json_object_get(line, "status")), line);
    CR_TRY(cr_ledger_append(&s->log, json_incref(line), err));
    s->counts->n_done++;
    if (s->opts->on_item)
        s->opts->on_item(s->opts->user, s->counts);
    return CRITIC_OK;
}

/* ---- the stage --------------------------------------------------------------------------- */

static void count_old(void *user, const json_t *line) {
    struct cr_prefer_counts *counts = user;
    const char *status = json_string_value(json_object_get(line, "status"));
    counts->n_there++;
    count(counts, status ? status : "", line);
}

static json_t *stamp_of(const struct stage *s) {
    static const char *const kinds[] = {[CR_REWARD_SUM] = "sum",
                                        [CR_REWARD_BRADLEY_TERRY] = "bradley-terry",
                                        [CR_REWARD_WIN] = "win",
                                        [CR_REWARD_SCORE] = "score"};
    const struct cr_select_opts *sel = &s->opts->select;
    const struct cr_judge_opts *judge = cr_judge_opts_of(s->scorer->judge);
    return json_pack(
        "{s:s,s:s,s:b,s:f,s:b,s:I,s:s,s:s,s:f,s:f,s:b}", "judge_hash", s->scorer->hash,
        "template_hash", template_of(s)->hash, "verdict_only", judge->verdict_only,
        "explain_below", judge->explain_below, "both_orders", judge->both_orders,
        "judge_tokens", (json_int_t)judge->max_new_tokens, "reward_kind",
        kinds[s->opts->reward], "pairing",
        sel->pairing == CR_PAIR_ALL ? "all" : "best-worst", "min_margin", sel->min_margin,
        "near_same", sel->near_same, "keep_truncated", sel->keep_truncated);
}

static enum critic_status read_line(struct cr_jsonl_reader *reader, json_t **out,
                                    char where[320], critic_error *err) {
    struct cr_str text;
    *out = NULL;
    CR_TRY(cr_jsonl_next(reader, &text, err));
    if (!text.data)
        return CRITIC_OK;
    snprintf(where, 320, "%.256s:%zu", reader->name, reader->line_number);
    CR_TRY(cr_json_parse(out, text.data, text.len, where, err));
    if (json_string_value(json_object_get(*out, "id")) &&
        json_is_string(json_object_get(*out, "prompt")))
        return CRITIC_OK;
    json_decref(*out);
    *out = NULL;
    return cr_fail(err, CRITIC_BAD_DATA, "%s: no line of sampled answers", where);
}

static void free_work(struct work *w) {
    json_decref(w->line);
    free(w->images);
    free(w);
}

/* The next line that is not in the ledger yet. */
static enum critic_status next_work(void *user, struct cr_judge_job **job,
                                    critic_error *err) {
    struct stage *s = user;
    char where[320];
    json_t *line;
    do {
        CR_TRY(read_line(&s->reader, &line, where, err));
        if (!line)
            return CRITIC_OK;
        if (!cr_ledger_has(&s->log, json_string_value(json_object_get(line, "id"))))
            break;
        json_decref(line);
    } while (true);
    struct work *w = calloc(1, sizeof *w);
    if (!w || (s->opts->cancel && s->opts->cancel(s->opts->user))) {
        json_decref(line);
        free(w);
        return w ? cr_fail(err, CRITIC_CANCELLED, "cancelled")
                 : cr_fail(err, CRITIC_NO_MEMORY, "out of memory");
    }
    w->line = line;
    w->job.judge = s->scorer->judge;
    w->job.status = prepare(s, w, &w->is_asked, where, &w->job.fault);
    w->job.item = w->is_asked ? &w->item : NULL;
    *job = &w->job;
    return CRITIC_OK;
}

static enum critic_status done_work(void *user, struct cr_judge_job *job,
                                    critic_error *err) {
    struct work *w = (struct work *)job; /* its first member */
    enum critic_status status = write_work(user, w, err);
    free_work(w);
    return status;
}

/* What each line of the samples says, by id, a new reference; finds a file that is no file of samples
 * before the ledger is touched. */
static enum critic_status read_wanted(const char *path, json_t **out, critic_error *err) {
    struct cr_jsonl_reader reader;
    json_t *line;
    char where[320];
    enum critic_status status = cr_jsonl_open(&reader, path, MAX_LINE_BYTES, err);
    *out = json_object();
    if (status == CRITIC_OK && !*out)
        status = cr_fail(err, CRITIC_NO_MEMORY, "out of memory");
    while (status == CRITIC_OK) {
        status = read_line(&reader, &line, where, err);
        if (status != CRITIC_OK || !line)
            break;
        const char *id = json_string_value(json_object_get(line, "id"));
        if (json_object_get(*out, id))
            status = cr_fail(err, CRITIC_BAD_DATA,
                             "%s: the id '%.80s' stands there twice", where, id);
        else if (json_object_set_new(*out, id, cr_ledger_print(line, true)))
            status = cr_fail(err, CRITIC_NO_MEMORY, "out of memory");
        json_decref(line);
    }
    cr_jsonl_close(&reader);
    return status;
}

enum critic_status cr_prefer_score(const struct cr_scorer *scorer, const char *samples,
                                   const char *folder, const char *ledger,
                                   const struct cr_prefer_opts *opts,
                                   struct cr_prefer_counts *counts, critic_error *err) {
    struct stage s = {.scorer = scorer, .opts = opts, .counts = counts};
    const struct cr_judge_feed feed = {next_work, done_work, &s};
    json_t *wanted = NULL, *stamp = stamp_of(&s);
    *counts = (struct cr_prefer_counts){0};
    enum critic_status status = read_wanted(samples, &wanted, err);
    counts->n_total = json_object_size(wanted);
    s.folder = cr_str_of(folder);
    s.log = (struct cr_ledger){
        .on_line = count_old, .user = counts, .wanted = wanted, .with_answers = true};
    if (status == CRITIC_OK) {
        status = cr_ledger_open(&s.log, ledger, stamp, opts, err);
        if (status == CRITIC_OK)
            status = cr_jsonl_open(&s.reader, samples, MAX_LINE_BYTES, err);
        if (status == CRITIC_OK)
            status = cr_judge_many(&feed, err);
        if (status == CRITIC_OK)
            status = cr_ledger_finish(&s.log, wanted, err);
        cr_jsonl_close(&s.reader);
        cr_ledger_close(&s.log);
    }
    json_decref(wanted);
    json_decref(stamp);
    return status;
}
