#include "engine/sample.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/checked.h"

enum critic_status cr_sampler_init(struct cr_sampler *s,
                                   const struct cr_generate_opts *opts, size_t n_ids,
                                   critic_error *err) {
    *s = (struct cr_sampler){.opts = opts, .n_ids = n_ids};
    s->logits = malloc(n_ids * sizeof *s->logits);
    s->candidates = malloc(n_ids * sizeof *s->candidates);
    if (s->logits && s->candidates)
        return CRITIC_OK;
    cr_sampler_fini(s);
    return cr_fail(err, CRITIC_NO_MEMORY, "out of memory for sampling");
}

void cr_sampler_fini(struct cr_sampler *s) {
    free(s->logits);
    free(s->candidates);
    memset(s, 0, sizeof *s);
}

/* Keskar et al. 2019 as transformers does it: every id seen, once. */
static void penalise(struct cr_sampler *s, const float *logits,
                     const struct cr_ids *seen) {
    float penalty = (float)s->opts->repetition_penalty;
    for (size_t i = 0; i < seen->len; i++) {
        size_t id = (size_t)seen->data[i];
        if (id < s->n_ids)
            s->logits[id] = logits[id] < 0 ? logits[id] * penalty : logits[id] / penalty;
    }
}

static int32_t largest(const float *logits, size_t n) {
    size_t best = 0;
    for (size_t i = 1; i < n; i++)
        if (logits[i] > logits[best])
            best = i;
    return (int32_t)best;
}

/* Heaviest first; the lower id on a tie, so that the order is the same everywhere. */
static int by_weight(const void *a, const void *b) {
    const struct cr_candidate *x = a, *y = b;
    if (x->weight != y->weight)
        return x->weight < y->weight ? 1 : -1;
    return (x->id > y->id) - (x->id < y->id);
}

/* How many of the sorted candidates stay: at least one. */
static size_t truncate_tail(const struct cr_sampler *s, size_t n, double total) {
    if (s->opts->top_k > 0 && s->opts->top_k < n) {
        n = s->opts->top_k;
        total = 0;
        for (size_t i = 0; i < n; i++)
            total += s->candidates[i].weight;
    }
    if (s->opts->top_p < 1) {
        double sum = 0;
        for (size_t i = 0; i < n; i++) {
            sum += s->candidates[i].weight;
            if (sum >= s->opts->top_p * total)
                return i + 1;
        }
    }
    return n;
}

int32_t cr_sampler_draw(struct cr_sampler *s, const float *logits,
                        const struct cr_ids *seen, struct cr_rng *rng) {
    memcpy(s->logits, logits, s->n_ids * sizeof *logits);
    if (s->opts->repetition_penalty != 1)
        penalise(s, logits, seen);
    int32_t top = largest(s->logits, s->n_ids);
    if (s->opts->temperature <= 0)
        return top;
    double peak = s->logits[top], total = 0;
    size_t n = 0;
    for (size_t i = 0; i < s->n_ids; i++) {
        double weight = exp(((double)s->logits[i] - peak) / s->opts->temperature);
        if (weight < 1e-30) /* never drawn; keeps the sort short at low temperature */
            continue;
        s->candidates[n++] = (struct cr_candidate){weight, (int32_t)i};
        total += weight;
    }
    if (s->opts->top_p < 1 || (s->opts->top_k > 0 && s->opts->top_k < n)) {
        qsort(s->candidates, n, sizeof *s->candidates, by_weight);
        n = truncate_tail(s, n, total);
        total = 0;
        for (size_t i = 0; i < n; i++)
            total += s->candidates[i].weight;
    }
    double at = cr_rng_uniform(rng) * total;
    for (size_t i = 0; i + 1 < n; i++) {
        at -= s->candidates[i].weight;
        if (at < 0)
            return s->candidates[i].id;
    }
    return s->candidates[n - 1].id;
}
