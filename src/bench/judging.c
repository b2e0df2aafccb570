/* What a judge does with a picture: one request, a verdict in one pass, many candidates and
 * ordered pairs that share their beginning. A quick run puts text in the picture's place. */
#include <string.h>

#include "base/checked.h"
#include "base/clock.h"
#include "bench/run.h"
#include "bench/work.h"
#include "engine/random_model.h"

#define QUESTION 40 /* tokens between the picture and the answers, template included */
#define BETWEEN  20 /* tokens between two answers, and behind the last */
#define N_SCORES 11 /* verdicts "0" to "10" */

struct judging {
    struct cr_bench_run *run;
    uint64_t pass; /* another text in every pass, so that only what should be is shared */
    size_t prefix; /* tokens up to the answers */
    bool picture;
};

/* Ids of part `part`: the same part, the same ids. */
static enum critic_status part(struct judging *j, struct cr_prompt *p, uint64_t which,
                               size_t n, critic_error *err) {
    cr_rng_seed_at(&j->run->rng, 2 + j->pass, which);
    return cr_bench_random_ids(j->run, p, n, err);
}

/* picture, question, then the named answers. */
static enum critic_status fill(struct judging *j, struct cr_prompt *p,
                               const size_t *answers, size_t n_answers, size_t len,
                               critic_error *err) {
    struct cr_bench_run *r = j->run;
    if (j->picture) {
        CR_TRY(cr_prompt_image(p, &r->picture, err));
        CR_TRY(part(j, p, 1000, QUESTION, err));
    } else {
        CR_TRY(part(j, p, 1000, j->prefix, err));
    }
    for (size_t i = 0; i < n_answers; i++) {
        CR_TRY(part(j, p, answers[i], len, err));
        if (n_answers > 1)
            CR_TRY(part(j, p, 2000 + i, BETWEEN, err));
    }
    return cr_prompt_finish(p, err);
}

/* Probabilities of "0" … "10", the last of two tokens. */
static enum critic_status read_verdict(struct cr_seq *s, critic_error *err) {
    int32_t ids[N_SCORES][2];
    struct cr_alternative alternatives[N_SCORES];
    for (int32_t i = 0; i < N_SCORES; i++) {
        ids[i][0] = 15 + (i == 10 ? 1 : i);
        ids[i][1] = 15;
        alternatives[i] = (struct cr_alternative){ids[i], i == 10 ? 2 : 1, 0};
    }
    return cr_seq_score(s, alternatives, N_SCORES, err);
}

static enum critic_status judge(struct judging *j, const size_t *answers,
                                size_t n_answers, size_t len, critic_error *err) {
    struct cr_prompt *p;
    struct cr_seq *s = NULL;
    enum critic_status status = cr_prompt_new(&p, j->run->engine, err);
    if (status == CRITIC_OK)
        status = fill(j, p, answers, n_answers, len, err);
    if (status == CRITIC_OK)
        status = cr_engine_prefill(j->run->engine, p, &s, NULL, err);
    if (status == CRITIC_OK)
        status = read_verdict(s, err);
    cr_seq_free(s);
    cr_prompt_free(p);
    return status;
}

/* Picture and prefix, from nothing. */
static double prefix_ops(const struct judging *j, size_t n_tiles) {
    const struct cr_config *c = j->run->config;
    double n_ops = cr_work_decoder(c, 0, j->prefix);
    if (j->picture)
        n_ops += cr_work_tower(c, n_tiles) + cr_work_projector(c, n_tiles);
    return n_ops;
}

/* `n` answers, one after the other, each with its verdict; forget: from nothing. */
static enum critic_status candidates(struct judging *j, const char *name, size_t n,
                                     size_t len, bool forget, size_t n_tiles,
                                     critic_error *err) {
    struct cr_bench_run *r = j->run;
    double n_ops = (double)n * (cr_work_decoder(r->config, j->prefix, len) +
                                cr_work_head(r->config, 2));
    double before = prefix_ops(j, n_tiles);
    if (forget)
        n_ops += before;
    if (!cr_bench_begin(r, name, forget ? n_ops : before + n_ops))
        return CRITIC_OK;
    double best = 1e30;
    for (size_t pass = 0; pass < cr_bench_passes(r, n_ops); pass++) {
        j->pass++;
        cr_engine_drop_cache(r->engine);
        if (!forget)
            CR_TRY(judge(j, (size_t[]){99}, 1, len, err));
        double start = cr_clock_seconds();
        for (size_t i = 0; i < n; i++)
            CR_TRY(judge(j, &i, 1, len, err));
        best = CR_MIN(best, cr_clock_seconds() - start);
    }
    cr_bench_add(r, name, n * len + (forget ? j->prefix : 0), best, n_ops, 0, 0);
    return CRITIC_OK;
}

/* `n` of the ordered pairs of five answers, from nothing. The pairs of one first answer follow
 * each other, so that it is computed once. */
static enum critic_status pairs(struct judging *j, const char *name, size_t n, size_t len,
                                size_t n_tiles, critic_error *err) {
    struct cr_bench_run *r = j->run;
    size_t half = len + BETWEEN, n_first = CR_CEIL_DIV(n, 4);
    double n_ops = prefix_ops(j, n_tiles) +
                   (double)n_first * cr_work_decoder(r->config, j->prefix, half) +
                   (double)n * (cr_work_decoder(r->config, j->prefix + half, half) +
                                cr_work_head(r->config, 2));
    if (!cr_bench_begin(r, name, n_ops))
        return CRITIC_OK;
    double best = 1e30;
    for (size_t pass = 0; pass < cr_bench_passes(r, n_ops); pass++) {
        j->pass++;
        cr_engine_drop_cache(r->engine);
        double start = cr_clock_seconds();
        for (size_t i = 0; i < n; i++) {
            size_t first = i / 4, second = i % 4 + (i % 4 >= first);
            CR_TRY(judge(j, (size_t[]){first, second}, 2, len, err));
        }
        best = CR_MIN(best, cr_clock_seconds() - start);
    }
    cr_bench_add(r, name, j->prefix + (n_first + n) * half, best, n_ops, 0, 0);
    return CRITIC_OK;
}

enum critic_status cr_bench_judging(struct cr_bench_run *r, critic_error *err) {
    struct judging j = {.run = r};
    struct cr_tile_plan plan = {0};
    size_t answer = 400, pair_answer = 200;
    j.picture = r->config->vision.present && !r->opts->quick;
    if (j.picture) {
        struct cr_anyres_config config = cr_engine_picture_config(r->engine, 1);
        CR_TRY(
            cr_tile_plan_make(&plan, r->picture.width, r->picture.height, &config, err));
        j.prefix = plan.n_tokens + QUESTION;
    } else {
        j.prefix = cr_bench_tokens(r, r->opts->quick ? 256 : 2048, 0);
    }
    if (r->opts->quick) {
        answer = CR_MAX(1, cr_bench_tokens(r, 8 * 64, j.prefix) / 8);
        pair_answer = CR_MAX(1, cr_bench_tokens(r, 25 * 32, j.prefix) / 25);
    }
    if (j.prefix + 2 * (answer + BETWEEN) > cr_engine_context(r->engine))
        return CRITIC_OK; /* a context too small for any of it */
    CR_TRY(candidates(&j, "request", 1, answer, true, plan.n_tiles, err));
    CR_TRY(candidates(&j, "verdict_only", 1, answer, false, plan.n_tiles, err));
    CR_TRY(candidates(&j, "candidates_8", 8, answer, true, plan.n_tiles, err));
    CR_TRY(pairs(&j, "ordered_pair", 1, pair_answer, plan.n_tiles, err));
    return pairs(&j, "ordered_pairs_20", 20, pair_answer, plan.n_tiles, err);
}
