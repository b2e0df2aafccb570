/* The next token from logits: penalty, temperature, top-k, top-p in transformers' order. */
#ifndef CR_ENGINE_SAMPLE_H
#define CR_ENGINE_SAMPLE_H

#include "base/rng.h"
#include "engine/engine.h"

struct cr_candidate {
    double weight;
    int32_t id;
};

/* Room for one distribution; one a generation. */
struct cr_sampler {
    const struct cr_generate_opts *opts;
    size_t n_ids;                    /* ids that may be drawn: 0 .. n_ids - 1 */
    float *logits;                   /* (n_ids) working copy */
    struct cr_candidate *candidates; /* (n_ids) */
};

enum critic_status cr_sampler_init(struct cr_sampler *s,
                                   const struct cr_generate_opts *opts, size_t n_ids,
                                   critic_error *err);
void cr_sampler_fini(struct cr_sampler *s);
/* Draws from softmax(logits): temperature 0 takes the largest, the lower id on a tie. `seen` are the
 * tokens generated so far (each penalised once). */
int32_t cr_sampler_draw(struct cr_sampler *s, const float *logits,
                        const struct cr_ids *seen, struct cr_rng *rng);

#endif
