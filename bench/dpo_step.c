/* A step of preference learning (reference, policy forward, loss, backward; no optimiser) on random
 * weights, of one pair with one picture: the C side of scripts/compare_dpo.py.
 *   dpo_step SHAPE WIDTH HEIGHT PROMPT ANSWER COMPUTE THREADS REPEATS RANK RECOMPUTE
 * SHAPE as critic bench names it; a picture of WIDTH x HEIGHT, PROMPT tokens around it and two answers of ANSWER
 * tokens each. RANK 0: everything learns, the tower too; else adapters of that rank on the decoder's
 * linears do. RECOMPUTE 1: as critic train --recompute.
 * The reference is scored by the same weights, as --reference once (before the first step) and adapter-off
 * (in every step) do.
 * One line of JSON: wall and CPU seconds of every repeat, the reference's share of them, bytes, the loss
 * (ln 2), rows and tiles. */
#include <math.h>
#include <time.h>

#include "step.h"

#include "engine/random_model.h"
#include "image/anyres.h"
#include "train/preference_loss.h"
#include "train/reference.h"

struct pair {
    struct cr_train_sequence sequence;
    struct cr_train_picture picture;
    struct cr_tile_plan plan;
    size_t ends[2];
};

static double cpu_seconds(void) {
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static void picture_new(struct pair *p, const struct cr_config *config, size_t width,
                        size_t height, size_t first_row, struct cr_rng *rng) {
    critic_error err;
    struct cr_anyres_config anyres;
    size_t n = 0;
    cr_picture_anyres(&anyres, config, 1);
    must(cr_tile_plan_make(&p->plan, width, height, &anyres, &err), &err);
    if (!cr_tile_plan_pixels_len(&p->plan, &anyres, &n))
        exit(1);
    float *pixels = malloc(n * sizeof *pixels);
    for (size_t i = 0; i < n; i++)
        pixels[i] = (float)(2 * cr_rng_uniform(rng) - 1);
    p->picture = (struct cr_train_picture){
        .pixels = pixels, .plan = &p->plan, .first_row = first_row};
}

/* The prompt's tokens: a fifth in front of the picture, the last one in each branch, which it starts. */
static void pair_new(struct pair *p, const struct cr_config *config, size_t width,
                     size_t height, size_t prompt, size_t answer) {
    struct cr_rng rng;
    size_t front = prompt / 5, vocab = config->text.vocab;
    cr_rng_seed(&rng, 2);
    picture_new(p, config, width, height, front, &rng);
    size_t prefix = prompt + p->plan.n_tokens - 1, n = prefix + 2 * (answer + 1);
    int32_t *ids = ids_new(n, vocab, &rng);
    int32_t *positions = malloc(n * sizeof *positions);
    int32_t *targets = malloc(n * sizeof *targets);
    for (size_t i = 0; i < p->plan.n_tokens; i++)
        ids[front + i] = -1;
    ids[prefix + answer + 1] = ids[prefix];
    for (size_t i = 0; i < n; i++) {
        size_t in_branch = i < prefix ? 0 : (i - prefix) % (answer + 1);
        positions[i] = (int32_t)(i < prefix ? i : prefix + in_branch);
        /* The last one predicts <|im_end|>, which is no row of its own here: as many targets as tokens. */
        targets[i] = i < prefix || in_branch == answer ? -1 : ids[i + 1];
    }
    p->ends[0] = prefix + answer + 1;
    p->ends[1] = n;
    p->sequence = (struct cr_train_sequence){.n_rows = n,
                                             .ids = ids,
                                             .positions = positions,
                                             .targets = targets,
                                             .n_prefix = prefix,
                                             .n_branches = 2,
                                             .branch_ends = p->ends,
                                             .n_pictures = 1,
                                             .pictures = &p->picture};
}

static void fill(const struct cr_train_sequence *s, const struct cr_pair_side *side,
                 double by, float *dlogp) {
    for (size_t r = side->first; r < side->end; r++)
        if (s->targets[r] >= 0)
            dlogp[r] = (float)by;
}

/* Returns the loss; *reference: seconds of that pass. */
static double step_run(struct step *s, const struct cr_train_batch *batch, float *logp,
                       float *dlogp, double *reference) {
    const struct cr_preference_opts opts = {.loss = CR_LOSS_SIGMOID, .beta = 0.1};
    const struct cr_train_sequence *pair = &batch->sequences[0];
    struct cr_pair_side ref[2], now[2];
    double start = cr_clock_seconds();
    cr_grads_zero(&s->grads, s->model.config, s->ex);
    cr_train_score(s->train, batch, logp);
    cr_pair_sides(pair, 0, logp, ref);
    *reference = cr_clock_seconds() - start;
    cr_train_forward(s->train, batch, logp);
    cr_pair_sides(pair, 0, logp, now);
    struct cr_pair_logps logps = {now[0].logp, now[1].logp, ref[0].logp,
                                  ref[1].logp, now[0].n,    now[1].n};
    struct cr_pair_loss loss = cr_preference_loss(&logps, &opts);
    memset(dlogp, 0, pair->n_rows * sizeof *dlogp);
    fill(pair, &now[0], loss.by_chosen, dlogp);
    fill(pair, &now[1], loss.by_rejected, dlogp);
    cr_train_backward(s->train, dlogp, (struct cr_tensor){0}, &s->grads);
    return loss.loss;
}

int main(int argc, char **argv) {
    critic_error err;
    struct cr_config config;
    struct step s;
    struct pair pair;
    if (argc != 11) {
        fprintf(stderr, "usage: see the head of dpo_step.c\n");
        return 2;
    }
    must(cr_config_preset(&config, argv[1], &err), &err);
    pair_new(&pair, &config, number(argv, 2), number(argv, 3), number(argv, 4),
             number(argv, 5));
    step_open(&s, &config, strcmp(argv[6], "bf16") == 0, (int)number(argv, 7),
              number(argv, 9), number(argv, 10) != 0);
    struct cr_train_batch batch = {1, &pair.sequence};
    must(cr_batch_check(&batch, &config, &err), &err);
    float *logp = malloc(pair.sequence.n_rows * sizeof *logp),
          *dlogp = malloc(pair.sequence.n_rows * sizeof *dlogp);
    double loss = 0;
    printf("{\"steps\":[");
    for (size_t i = 0; i < number(argv, 8); i++) {
        double start = cr_clock_seconds(), cpu = cpu_seconds(), reference = 0;
        loss = step_run(&s, &batch, logp, dlogp, &reference);
        printf("%s{\"wall\":%.4f,\"cpu\":%.4f,\"reference\":%.4f}", i ? "," : "",
               cr_clock_seconds() - start, cpu_seconds() - cpu, reference);
    }
    printf("],\"rss\":%ld,\"loss\":%.6f,\"rows\":%zu,\"picture\":%zu,\"tiles\":%zu}\n",
           peak_bytes(), loss, pair.sequence.n_rows, pair.plan.n_tokens,
           pair.plan.n_tiles);
    return 0;
}
