/* Prefill by length and decode by batch, on token ids alone. */
#include <stdio.h>
#include <stdlib.h>

#include "base/checked.h"
#include "base/clock.h"
#include "base/sort.h"
#include "bench/run.h"
#include "bench/work.h"
#include "engine/random_model.h"

/* A sequence of n random tokens from nothing, and how long that took. */
static enum critic_status prefill(struct cr_bench_run *r, size_t n, struct cr_seq **out,
                                  double *seconds, critic_error *err) {
    struct cr_prompt *p;
    *out = NULL;
    cr_engine_drop_cache(r->engine);
    enum critic_status status = cr_prompt_new(&p, r->engine, err);
    if (status == CRITIC_OK)
        status = cr_bench_random_ids(r, p, n, err);
    if (status == CRITIC_OK)
        status = cr_prompt_finish(p, err);
    double start = cr_clock_seconds();
    if (status == CRITIC_OK)
        status = cr_engine_prefill(r->engine, p, out, NULL, err);
    *seconds = cr_clock_seconds() - start;
    cr_prompt_free(p);
    return status;
}

enum critic_status cr_bench_prefill(struct cr_bench_run *r, critic_error *err) {
    static const size_t usual[] = {256, 1024, 4096};
    size_t last = 0, asked = r->opts->n_tokens;
    for (size_t i = 0; i < (asked ? 1 : CR_COUNT(usual)); i++) {
        size_t most = CR_MIN(asked ? asked : usual[i], cr_engine_context(r->engine));
        size_t n = cr_bench_tokens(r, most, 0);
        double n_ops = cr_work_decoder(r->config, 0, n);
        if (n == last || !cr_bench_begin(r, "prefill", n_ops))
            continue;
        double best = 1e30;
        for (size_t pass = 0; pass < cr_bench_passes(r, n_ops); pass++) {
            struct cr_seq *s;
            double seconds;
            CR_TRY(prefill(r, n, &s, &seconds, err));
            cr_seq_free(s);
            best = CR_MIN(best, seconds);
        }
        cr_bench_add(r, "prefill", n, best, n_ops, 0, 0);
        last = n;
    }
    return CRITIC_OK;
}

/* ---- decode ---- */

#define MAX_BATCH 8
#define N_STEPS   4 /* of a round */
/* Operations that take as long as a byte from memory, about. */
#define OPS_PER_BYTE 16

/* Steps of `batch` continuations of `trunk`, logits of each as generation needs them. */
static enum critic_status decode_round(struct cr_bench_run *r, const struct cr_seq *trunk,
                                       size_t batch, size_t n_steps, float *logits,
                                       double *seconds, critic_error *err) {
    struct cr_seq *seqs[MAX_BATCH] = {0};
    int32_t tokens[MAX_BATCH];
    enum critic_status status = CRITIC_OK;
    for (size_t i = 0; i < batch && status == CRITIC_OK; i++)
        status = cr_seq_fork(&seqs[i], trunk, err);
    double start = cr_clock_seconds();
    for (size_t step = 0; step < n_steps && status == CRITIC_OK; step++) {
        cr_seq_logits_many(seqs, batch, logits);
        for (size_t i = 0; i < batch; i++)
            tokens[i] = (int32_t)((7 * step + i) % r->config->text.vocab);
        status = cr_seq_step(seqs, tokens, batch, err);
    }
    *seconds = cr_clock_seconds() - start;
    for (size_t i = 0; i < batch; i++)
        cr_seq_free(seqs[i]);
    return status;
}

/* Rounds of a few steps between read passes: memory drifts by a factor of two within seconds, so a
 * round's share is that of the passes right before and behind it, and the median round's counts. */
static enum critic_status decode_batch(struct cr_bench_run *r, const struct cr_seq *trunk,
                                       size_t batch, const char *name, float *logits,
                                       critic_error *err) {
    double best = 1e30, weights = cr_work_step_weights(r->model);
    size_t n_rounds = (size_t)CR_MAX(4, CR_MIN(24, 48e9 / (weights * N_STEPS)));
    double kv = (double)(cr_engine_kv_bytes_per_token(r->engine) * cr_seq_len(trunk));
    double bytes = N_STEPS * (weights + (double)batch * kv);
    if (r->opts->n_passes)
        n_rounds = r->opts->n_passes;
    else if (r->opts->quick)
        n_rounds /= 2;
    double *shares = calloc(n_rounds, sizeof *shares);
    if (!shares)
        return cr_fail(err, CRITIC_NO_MEMORY, "out of memory for a benchmark");
    double took = 0, before = cr_bench_read_pass(r);
    size_t done = 0;
    enum critic_status status = CRITIC_OK;
    while (done < n_rounds && (done == 0 || cr_bench_has_time(r, took))) {
        double seconds, start = cr_clock_seconds();
        status = decode_round(r, trunk, batch, N_STEPS, logits, &seconds, err);
        if (status != CRITIC_OK)
            break;
        double after = cr_bench_read_pass(r), gbps = bytes / CR_MAX(seconds, 1e-9) / 1e9;
        shares[done++] = before + after > 0 ? 2 * gbps / (before + after) : 0;
        before = after;
        best = CR_MIN(best, seconds);
        took = cr_clock_seconds() - start;
    }
    if (status == CRITIC_OK) {
        cr_sort_doubles(shares, done);
        cr_bench_add(r, name, batch * N_STEPS, best, 0, bytes, shares[done / 2]);
    }
    free(shares);
    return status;
}

enum critic_status cr_bench_decode(struct cr_bench_run *r, critic_error *err) {
    static const size_t batches[] = {1, 4, MAX_BATCH};
    size_t n_trunk = CR_MIN(r->opts->n_tokens ? r->opts->n_tokens : 1024,
                            cr_engine_context(r->engine) / 2);
    n_trunk = cr_bench_tokens(r, n_trunk, 0);
    struct cr_seq *trunk = NULL;
    double seconds;
    float *logits = malloc(MAX_BATCH * r->config->text.vocab * sizeof *logits);
    if (!logits)
        return cr_fail(err, CRITIC_NO_MEMORY, "out of memory for logits");
    enum critic_status status = CRITIC_OK;
    for (size_t i = 0; i < CR_COUNT(batches) && status == CRITIC_OK; i++) {
        char name[24];
        snprintf(name, sizeof name, batches[i] == 1 ? "decode" : "decode_%zu",
                 batches[i]);
        double n_ops = OPS_PER_BYTE * N_STEPS * cr_work_step_weights(r->model);
        if (!trunk)
            n_ops += cr_work_decoder(r->config, 0, n_trunk);
        if (!cr_bench_begin(r, name, n_ops))
            continue;
        if (!trunk)
            status = prefill(r, n_trunk, &trunk, &seconds, err);
        if (status == CRITIC_OK)
            status = decode_batch(r, trunk, batches[i], name, logits, err);
    }
    cr_seq_free(trunk);
    free(logits);
    return status;
}
