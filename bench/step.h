/* What the programs of scripts/compare_*.py share. */
#ifndef CR_BENCH_STEP_H
#define CR_BENCH_STEP_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/rng.h"
#include "model/lora.h"
#include "model/train.h"

static inline void must(enum critic_status status, const critic_error *err) {
    if (status == CRITIC_OK)
        return;
    fprintf(stderr, "%s\n", err->message);
    exit(1);
}

static inline size_t number(char **argv, int i) {
    return strtoul(argv[i], NULL, 10);
}

/* For cr_grads_init: everything learns where *rank is 0, else only what is attached to it. */
static inline bool trains(void *rank, const struct cr_param_slot *slot) {
    (void)slot;
    return *(const size_t *)rank == 0;
}

static inline void random_ids(int32_t *ids, size_t n, size_t vocab, struct cr_rng *rng) {
    for (size_t i = 0; i < n; i++)
        ids[i] = (int32_t)cr_rng_below(rng, vocab);
}

static inline int32_t *ids_new(size_t n, size_t vocab, struct cr_rng *rng) {
    int32_t *ids = malloc(n * sizeof *ids);
    random_ids(ids, n, vocab, rng);
    return ids;
}

/* The most that this process ever held in memory; 0 where /proc does not tell. */
static inline long peak_bytes(void) {
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

/* A random model, its gradients and what computes them; rank 0: full tuning. */
struct step {
    struct cr_arena arena;
    struct cr_exec *ex;
    struct cr_model model;
    struct cr_params grads;
    struct cr_train *train;
};

static inline void step_open(struct step *s, const struct cr_config *config, bool bf16,
                             int n_threads, size_t rank, bool recompute) {
    critic_error err;
    struct cr_exec_opts exec = {.isa = cr_isa_best(),
                                .compute = bf16 ? CR_COMPUTE_BF16 : CR_COMPUTE_F32,
                                .n_threads = n_threads};
    struct cr_train_opts opts = {.recompute = recompute, .frozen_tower = rank > 0};
    memset(s, 0, sizeof *s);
    must(cr_exec_new(&s->ex, &exec, &err), &err);
    must(cr_arena_init(&s->arena, (size_t)64 << 30, &err), &err);
    cr_arena_use_huge_pages(&s->arena);
    s->model.config = config;
    must(cr_params_init(&s->model.params, config, &s->arena, &err), &err);
    must(cr_params_random(&s->model.params, config, bf16 ? CR_BF16 : CR_F32, 1, &s->arena,
                          &err),
         &err);
    if (rank)
        must(cr_lora_attach(&s->model.params, config, NULL, NULL, rank, 0.5f, s->ex->act,
                            &s->arena, &err),
             &err);
    cr_lora_reset(&s->model.params, config, 3);
    must(cr_grads_init(&s->grads, config, trains, &rank, &s->arena, &err), &err);
    must(cr_lora_grads_init(&s->grads, &s->model.params, config, &s->arena, &err), &err);
    must(cr_train_new(&s->train, &s->model, s->ex, &opts, &err), &err);
}

#endif
