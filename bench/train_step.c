/* Seconds of a training step (forward and backward, no optimiser) on random weights of given
 * shape: the C side of scripts/compare_training.py.
 *   train_step LAYERS WIDTH HEADS KV_HEADS FFN VOCAB TIED SEQUENCES ROWS COMPUTE THREADS REPEATS RANK
 * RANK 0: all parameters learn; else adapters of that rank on the decoder's linears do.
 * One line of JSON: the seconds of every repeat, planned and real bytes, the loss. */
#include "step.h"

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
    struct step step;
    step_open(&step, &config, bf16, (int)number(argv, 11), number(argv, 13),
              getenv("RECOMPUTE") != NULL);

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
    struct cr_train_plan plan = cr_train_plan(step.train, &step.grads, &sizes);
    printf("{\"seconds\":[");
    for (size_t i = 0; i <= repeats; i++) { /* the first warms up */
        double start = cr_clock_seconds();
        cr_grads_zero(&step.grads, &config, step.ex);
        cr_train_forward_backward(step.train, &batch, dlogp, NULL, logp, &step.grads);
        if (i)
            printf("%s%.6f", i > 1 ? "," : "", cr_clock_seconds() - start);
    }
    double loss = 0;
    for (size_t i = 0; i < n * rows; i++)
        loss -= (double)logp[i] / (double)(n * rows);
    printf("],\"planned\":%zu,\"high_water\":%zu,\"rss\":%ld,\"loss\":%.6f}\n",
           plan.total, plan.parameters + plan.gradients + cr_train_high_water(step.train),
           peak_bytes(), loss);
    return 0;
}
