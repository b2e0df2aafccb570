/* The stages of critic align. Each opens the one model that it needs and closes it, so that policy and
 * critic are never in memory together. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "cli/align.h"
#include "cli/signals.h"
#include "engine/engine.h"

#define EVAL_SEED_STEP 1000003 /* draws of the evaluation are none of the pairs' */

const char *const cr_align_dtypes[] = {"auto", "f32", "bf16", "int8", "q4"};

/* ---- places ------------------------------------------------------------------------------ */

struct cr_align_place cr_align_in_folder(const struct cr_align_round *r,
                                         const char *name) {
    struct cr_align_place p;
    snprintf(p.text, sizeof p.text, "%s/%s", r->folder, name);
    return p;
}

struct cr_align_place cr_align_policy_of(const struct cr_align_flags *f, size_t round) {
    struct cr_align_place p;
    if (round == 0)
        snprintf(p.text, sizeof p.text, "%s", f->all.policy);
    else
        snprintf(p.text, sizeof p.text, "%s/round-%zu/policy", f->out, round);
    return p;
}

/* What files call it: the run's folder can be moved. */
static struct cr_align_place name_of(const struct cr_align_flags *f, size_t round) {
    struct cr_align_place p;
    if (round == 0)
        return cr_align_policy_of(f, 0);
    snprintf(p.text, sizeof p.text, "round-%zu/policy", round);
    return p;
}

enum critic_status cr_align_open_policy(struct cr_align_flags *f, size_t round,
                                        struct cr_engine **out, critic_error *err) {
    struct cr_align_place path = cr_align_policy_of(f, round);
    f->all.common.model = path.text;
    enum critic_status status = cr_common_open(&f->all.common, out, err);
    f->all.common.model = NULL;
    return status;
}

/* ---- progress ---------------------------------------------------------------------------- */

static void on_item(void *user, const struct cr_prefer_counts *n) {
    struct cr_align_flags *f = user;
    f->all.progress.first = n->n_there;
    cr_progress_update(&f->all.progress, n->n_there + n->n_done, n->n_total);
}

static void on_fault(void *user, const char *id, const char *why) {
    struct cr_align_flags *f = user;
    cr_prefer_say_fault(&f->all, id, why);
}

static void begin(struct cr_align_flags *f, const struct cr_align_round *r,
                  const char *what) {
    snprintf(f->what, sizeof f->what, "round %zu, %s", r->number, what);
    cr_progress_begin(&f->all.progress, f->what, "prompts", f->all.common.quiet);
}

static void end(struct cr_align_flags *f, const struct cr_align_place *out) {
    cr_progress_clear(&f->all.progress);
    cr_prefer_say_rest(&f->all, out->text);
}

static struct cr_prefer_opts stage_opts(struct cr_align_flags *f, size_t round) {
    struct cr_prefer_opts o = f->all.opts;
    o.resume = true;
    o.force = false;
    o.seed += round;
    o.cancel = cr_cancelled;
    o.on_item = on_item;
    o.on_fault = on_fault;
    o.user = f;
    return o;
}

static void put_count(json_t *detail, const char *key, size_t n) {
    json_object_set_new(detail, key, json_integer((json_int_t)n));
}

/* ---- models that must not change --------------------------------------------------------- */

/* Is it what the run began with? `stage` of `round` has put it down. */
static enum critic_status same_model(const struct cr_align_round *r, size_t round,
                                     const char *stage, const char *key, const char *name,
                                     const char *hash, critic_error *err) {
    json_t *detail = NULL;
    CR_TRY(cr_align_state_get(r->state, round, stage, &detail, err));
    const char *first = json_string_value(json_object_get(detail, key));
    enum critic_status status = CRITIC_OK;
    if (first && strcmp(first, hash) != 0)
        status =
            cr_fail(err, CRITIC_BAD_ARGUMENT,
                    "%s: not the %s of round %zu (its hash is %.32s); expected %.32s",
                    name, round == 0 ? "policy" : "critic", round, hash, first);
    json_decref(detail);
    return status;
}

/* The critic is the same in all rounds, else their scores could not be compared. */
static enum critic_status same_critic(const struct cr_align_round *r,
                                      const struct cr_scorer *scorer, critic_error *err) {
    return same_model(r, 1, "judge", "judge_hash", scorer->name, scorer->hash, err);
}

enum critic_status cr_align_same_policy(const struct cr_align_round *r,
                                        const struct cr_engine *policy,
                                        critic_error *err) {
    return same_model(r, 0, "answers", "policy_hash", cr_engine_model_name(policy),
                      cr_engine_model_hash(policy), err);
}

/* ---- pairs ------------------------------------------------------------------------------- */

static enum critic_status sample(void *self, const struct cr_align_round *r,
                                 json_t *detail, critic_error *err) {
    struct cr_align_flags *f = self;
    struct cr_engine *policy = NULL;
    struct cr_prefer_counts n;
    struct cr_align_place out = cr_align_in_folder(r, "pairs.samples.jsonl"),
                          name = name_of(f, r->number - 1);
    struct cr_prefer_opts o = stage_opts(f, r->number);
    o.policy_name = name.text;
    o.image_folder = f->folder;
    begin(f, r, "sampling");
    enum critic_status status = cr_align_open_policy(f, r->number - 1, &policy, err);
    if (status == CRITIC_OK && r->number == 1)
        status = cr_align_same_policy(r, policy, err);
    if (status == CRITIC_OK)
        status =
            cr_prefer_sample(policy, f->prompts, f->all.prompts, out.text, &o, &n, err);
    end(f, &out);
    cr_engine_free(policy);
    if (status == CRITIC_OK) {
        put_count(detail, "prompts", n.n_total);
        put_count(detail, "failed", n.n_faults);
    }
    return status;
}

static void put_counts(json_t *detail, const struct cr_prefer_counts *n) {
    put_count(detail, "prompts", n->n_total);
    put_count(detail, "failed", n->n_faults);
    put_count(detail, "without_pair", n->n_skipped);
    put_count(detail, "ties", n->n_ties);
    put_count(detail, "pairs", n->n_pairs);
    for (size_t d = 0; d < CR_N_DROPS; d++)
        put_count(detail, cr_drop_name((enum cr_drop)d), n->n_drops[d]);
}

static enum critic_status judge(void *self, const struct cr_align_round *r,
                                json_t *detail, critic_error *err) {
    struct cr_align_flags *f = self;
    struct cr_prefer_judge j;
    struct cr_prefer_counts n;
    struct cr_align_place samples = cr_align_in_folder(r, "pairs.samples.jsonl"),
                          ledger = cr_align_in_folder(r, "pairs.ledger.jsonl");
    struct cr_prefer_opts o = stage_opts(f, r->number);
    begin(f, r, "judging");
    enum critic_status status = cr_prefer_judge_open(&j, &f->all, err);
    if (status == CRITIC_OK)
        status = same_critic(r, &j.scorer, err);
    if (status == CRITIC_OK)
        status =
            cr_prefer_score(&j.scorer, samples.text, f->folder, ledger.text, &o, &n, err);
    end(f, &ledger);
    if (status == CRITIC_OK) {
        put_counts(detail, &n);
        json_object_set_new(detail, "judge_hash", json_string(j.scorer.hash));
    }
    cr_prefer_judge_close(&j);
    return status;
}

static enum critic_status pairs(void *self, const struct cr_align_round *r,
                                json_t *detail, critic_error *err) {
    struct cr_align_place ledger = cr_align_in_folder(r, "pairs.ledger.jsonl"),
                          out = cr_align_in_folder(r, "pairs.jsonl");
    size_t n = 0;
    const struct cr_align_flags *f = self;
    enum cr_export format =
        f->method == CR_ALIGN_SFT ? CR_EXPORT_SFT : CR_EXPORT_LLAVA_NEXT;
    CR_TRY(cr_prefer_export(ledger.text, out.text, format, "", &n, err));
    put_count(detail, "records", n);
    if (n == 0)
        return cr_fail(err, CRITIC_BAD_DATA,
                       "%s: no pair in it: nothing to train on; more --samples, a higher "
                       "--temperature or other prompts may give some",
                       ledger.text);
    return CRITIC_OK;
}

/* ---- evaluation -------------------------------------------------------------------------- */

static enum critic_status answer(void *self, const struct cr_align_round *r,
                                 json_t *detail, critic_error *err) {
    struct cr_align_flags *f = self;
    struct cr_engine *policy = NULL;
    struct cr_prefer_counts n = {0};
    struct cr_align_place greedy = cr_align_in_folder(r, "answers.samples.jsonl"),
                          draws = cr_align_in_folder(r, "draws.samples.jsonl"),
                          name = name_of(f, r->number);
    const char *path = f->eval_prompts ? f->eval_prompts : f->all.prompts;
    struct cr_prefer_opts o = stage_opts(f, 0);
    o.policy_name = name.text;
    o.image_folder = f->eval_folder;
    o.k = 1;
    o.temperature = 0;
    o.top_p = 1;
    o.top_k = 0;
    if (r->number > 0)
        cr_align_drop_checkpoints(f, r);
    begin(f, r, "answering");
    enum critic_status status = cr_align_open_policy(f, r->number, &policy, err);
    if (status == CRITIC_OK)
        status = cr_prefer_sample(policy, f->held_out, path, greedy.text, &o, &n, err);
    put_count(detail, "failed", n.n_faults);
    if (status == CRITIC_OK && r->number == 0)
        json_object_set_new(detail, "policy_hash",
                            json_string(cr_engine_model_hash(policy)));
    o.temperature = 1;
    o.keep_ids = true;
    o.seed += EVAL_SEED_STEP;
    o.on_fault = NULL; /* the same prompts fail again */
    if (status == CRITIC_OK)
        status = cr_prefer_sample(policy, f->held_out, path, draws.text, &o, &n, err);
    end(f, &greedy);
    cr_engine_free(policy);
    return status;
}

static enum critic_status ratios(void *self, const struct cr_align_round *r,
                                 json_t *detail, critic_error *err) {
    struct cr_align_flags *f = self;
    struct cr_engine *start = NULL;
    struct cr_prefer_counts n;
    struct cr_align_place draws = cr_align_in_folder(r, "draws.samples.jsonl"),
                          out = cr_align_in_folder(r, "ratios.jsonl");
    struct cr_prefer_opts o = stage_opts(f, 0);
    (void)detail;
    if (r->number == 0)
        return CRITIC_OK;
    begin(f, r, "comparing");
    enum critic_status status = cr_align_open_policy(f, 0, &start, err);
    if (status == CRITIC_OK)
        status = cr_align_same_policy(r, start, err);
    if (status == CRITIC_OK)
        status =
            cr_align_ratios(start, draws.text, f->eval_folder, out.text, &o, &n, err);
    end(f, &out);
    cr_engine_free(start);
    return status;
}

/* The oracle on the drawn answers: what the policy is worth as it is sampled. */
static enum critic_status look_at_draws(struct cr_align_flags *f,
                                        const struct cr_align_round *r,
                                        const struct cr_oracle *oracle,
                                        critic_error *err) {
    const struct cr_align_eyes eyes = {.oracle = oracle};
    struct cr_prefer_counts n;
    struct cr_prefer_opts o = stage_opts(f, 0);
    struct cr_align_place draws = cr_align_in_folder(r, "draws.samples.jsonl"),
                          out = cr_align_in_folder(r, "drawn.jsonl"), base;
    snprintf(base.text, sizeof base.text, "%s/round-0/draws.samples.jsonl", f->out);
    o.on_fault = NULL; /* of the same prompts as before */
    return cr_align_verdicts(&eyes, draws.text, r->number ? base.text : NULL,
                             f->eval_folder, out.text, &o, &n, err);
}

static enum critic_status verdicts(void *self, const struct cr_align_round *r,
                                   json_t *detail, critic_error *err) {
    struct cr_align_flags *f = self;
    struct cr_prefer_judge j = {0};
    struct cr_oracle *oracle = NULL;
    struct cr_align_eyes eyes = {0};
    struct cr_prefer_counts n = {0};
    struct cr_align_place answers = cr_align_in_folder(r, "answers.samples.jsonl"), base,
                          out = cr_align_in_folder(r, "eval.jsonl");
    struct cr_prefer_opts o = stage_opts(f, 0);
    enum critic_status status = CRITIC_OK;
    snprintf(base.text, sizeof base.text, "%s/round-0/answers.samples.jsonl", f->out);
    begin(f, r, "comparing with round 0");
    if (f->all.scenes)
        status = cr_oracle_open(&oracle, f->all.scenes, err);
    eyes.oracle = oracle;
    if (status == CRITIC_OK && r->number > 0) {
        status = cr_prefer_judge_open(&j, &f->all, err);
        eyes.scorer = &j.scorer;
    }
    if (status == CRITIC_OK && r->number > 0)
        status = same_critic(r, &j.scorer, err);
    if (status == CRITIC_OK)
        status = cr_align_verdicts(&eyes, answers.text, r->number ? base.text : NULL,
                                   f->eval_folder, out.text, &o, &n, err);
    if (status == CRITIC_OK && oracle)
        status = look_at_draws(f, r, oracle, err);
    end(f, &out);
    put_count(detail, "failed", n.n_faults);
    cr_prefer_judge_close(&j);
    cr_oracle_free(oracle);
    return status;
}

/* ---- report ------------------------------------------------------------------------------ */

/* What the stages of a round counted, by stage, for rounds 0 to n: a new reference. */
static enum critic_status round_details(struct cr_align_state *state, size_t n,
                                        json_t **out, critic_error *err) {
    *out = json_array();
    for (size_t round = 0; round <= n; round++) {
        json_t *stages = json_object();
        json_array_append_new(*out, stages);
        for (size_t i = 0; i + 1 < cr_align_n_stages; i++) {
            json_t *detail = NULL;
            CR_TRY(
                cr_align_state_get(state, round, cr_align_stages[i].name, &detail, err));
            if (detail && json_object_size(detail) > 0)
                json_object_set(stages, cr_align_stages[i].name, detail);
            json_decref(detail);
        }
    }
    return CRITIC_OK;
}

static enum critic_status report(void *self, const struct cr_align_round *r,
                                 json_t *detail, critic_error *err) {
    struct cr_align_flags *f = self;
    size_t n = r->number + 1;
    struct cr_align_row *rows = calloc(n, sizeof *rows);
    json_t *details = NULL;
    enum critic_status status = CRITIC_OK;
    (void)detail;
    if (!rows)
        return cr_fail(err, CRITIC_NO_MEMORY, "out of memory");
    for (size_t k = 0; k < n && status == CRITIC_OK; k++) {
        struct cr_align_place folder;
        snprintf(folder.text, sizeof folder.text, "%s/round-%zu", f->out, k);
        status = cr_align_row_read(&rows[k], k, folder.text, err);
    }
    if (status == CRITIC_OK)
        status = round_details(r->state, r->number, &details, err);
    const struct cr_align_report page = {.out = f->out,
                                         .folder = f->eval_folder,
                                         .critic = f->all.critic,
                                         .rows = rows,
                                         .n_rows = n,
                                         .details = details,
                                         .n_examples = f->n_examples};
    if (status == CRITIC_OK)
        status = cr_align_report_write(&page, err);
    json_decref(details);
    free(rows);
    return status;
}

const struct cr_align_stage cr_align_stages[] = {
    {"sample", false, sample},    {"judge", false, judge},
    {"pairs", false, pairs},      {"train", false, cr_align_train},
    {"answers", true, answer},    {"ratios", false, ratios},
    {"verdicts", true, verdicts}, {"report", true, report},
};
const size_t cr_align_n_stages = CR_COUNT(cr_align_stages);
