/* Seconds of a training step (forward and backward, no optimiser) on random weights of given
 * shape: the C side of scripts/compare_training.py.
 *   train_step LAYERS WIDTH HEADS KV_HEADS FFN VOCAB TIED SEQUENCES ROWS COMPUTE THREADS REPEATS RANK
 * RANK 0: all parameters learn; else adapters of that rank on the decoder's linears do.
 * One line of JSON: the seconds of every repeat, planned and real bytes, the loss. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/rng.h"
#include "model/lora.h"
#include "model/train.h"

static size_t number(char **argv, int i) {
    return strtoul(argv[i], NULL, 10);
}

static void must(enum critic_status status, const critic_error *err) {
    if (status == CRITIC_OK)
        return;
    fprintf(stderr, "train_step: %s\n", err->message);
    exit(1);
}

static bool trains(void *user, const struct cr_param_slot *slot) {
    (void)slot;
    return *(const size_t *)user == 0;
}

static int32_t *ids_new(size_t n, size_t vocab, struct cr_rng *rng) {
    int32_t *ids = malloc(n * sizeof *ids);
    for (size_t i = 0; i < n; i++)
        ids[i] = (int32_t)cr_rng_below(rng, vocab);
    return ids;
}

/* The most that this process ever held in memory; 0 where /proc does not tell. */
static long peak_bytes(void) {
    char line[128];
    long kib = 0;
    FILE *f = fopen("/proc/self/status", "r");
    while (f && fgets(line, sizeof line, f))
        if (strncmp(line, "VmHWM:", 6) == 0)
            kib = strtol(line + 6, NULL, 10);
    if (f)
        fclose(f);
    return kib * 1024;
}

int main(int argc, char **argv) {
    if (argc != 14) {
        fprintf(stderr, "usage: see the head of train_step.c\n");
        return 2;
    }
    critic_error err;
    struct cr_config config = {.text = {.width = number(argv, 2),
                                        .n_layers = number(argv, 1),
                                        .n_heads = number(argv, 3),
                                        .n_kv_heads = number(argv, 4),
                                        .head_dim = 64,
                                        .ffn_width = number(argv, 5),
                                        .vocab = number(argv, 6),
                                        .max_positions = 32768,
                                        .rope_theta = 1e6,
                                        .rms_eps = 1e-6,
                                        .tied = number(argv, 7) != 0}};
    size_t n = number(argv, 8), rows = number(argv, 9), repeats = number(argv, 12);
    bool bf16 = strcmp(argv[10], "bf16") == 0;
    struct cr_exec *ex;
    struct cr_exec_opts exec = {.isa = cr_isa_best(),
                                .compute = bf16 ? CR_COMPUTE_BF16 : CR_COMPUTE_F32,
                                .n_threads = (int)number(argv, 11)};
    must(cr_exec_new(&ex, &exec, &err), &err);
    struct cr_arena arena;
    must(cr_arena_init(&arena, (size_t)64 << 30, &err), &err);
    struct cr_model model = {.config = &config};
    must(cr_params_init(&model.params, &config, &arena, &err), &err);
    must(cr_params_random(&model.params, &config, bf16 ? CR_BF16 : CR_F32, 1, &arena,
                          &err),
         &err);
    struct cr_params grads;
    size_t rank = number(argv, 13);
    if (rank)
        must(cr_lora_attach(&model.params, &config, NULL, NULL, rank, 0.5f, ex->act,
                            &arena, &err),
             &err);
    cr_lora_reset(&model.params, &config, 3);
    must(cr_grads_init(&grads, &config, trains, &rank, &arena, &err), &err);
    must(cr_lora_grads_init(&grads, &model.params, &config, &arena, &err), &err);
    struct cr_train *t;
    struct cr_train_opts opts = {.recompute = getenv("RECOMPUTE") != NULL};
    must(cr_train_new(&t, &model, ex, &opts, &err), &err);

    struct cr_rng rng;
    cr_rng_seed(&rng, 2);
    int32_t *ids = ids_new(n * rows, config.text.vocab, &rng);
    int32_t *targets = ids_new(n * rows, config.text.vocab, &rng);
    int32_t *positions = malloc(n * rows * sizeof *positions);
    float *dlogp = malloc(n * rows * sizeof *dlogp),
          *logp = malloc(n * rows * sizeof *logp);
    struct cr_train_sequence *sequences = calloc(n, sizeof *sequences);
    for (size_t s = 0; s < n; s++)
        sequences[s] = (struct cr_train_sequence){.n_rows = rows,
                                                  .ids = ids + s * rows,
                                                  .positions = positions + s * rows,
                                                  .targets = targets + s * rows,
                                                  .n_prefix = rows};
    for (size_t i = 0; i < n * rows; i++) {
        positions[i] = (int32_t)(i % rows);
        dlogp[i] = -1.0f / (float)(n * rows);
    }
    struct cr_train_batch batch = {n, sequences};
    must(cr_batch_check(&batch, &config, &err), &err);
    struct cr_train_sizes sizes = cr_batch_sizes(&batch);
    struct cr_train_plan plan = cr_train_plan(t, &grads, &sizes);
    printf("{\"seconds\":[");
    for (size_t i = 0; i <= repeats; i++) { /* the first warms up */
        double start = cr_clock_seconds();
        cr_grads_zero(&grads, &config, ex);
        cr_train_forward_backward(t, &batch, dlogp, NULL, logp, &grads);
        if (i)
            printf("%s%.6f", i > 1 ? "," : "", cr_clock_seconds() - start);
    }
    double loss = 0;
    for (size_t i = 0; i < n * rows; i++)
        loss -= (double)logp[i] / (double)(n * rows);
    printf("],\"planned\":%zu,\"high_water\":%zu,\"rss\":%ld,\"loss\":%.6f}\n",
           plan.total, plan.parameters + plan.gradients + cr_train_high_water(t),
           peak_bytes(), loss);
    return 0;
}
