#include "kernel/ceiling.h"

#include <omp.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/checked.h"

#define READ_BYTES ((size_t)256 << 20)
#define PASSES     8
/* A pass of arithmetic: about 10 ms on a 3 GHz core. */
#define ROUNDS ((size_t)2000000)

static unsigned scalar_read(const void *p, size_t bytes) {
    const uint64_t *words = p;
    uint64_t sums[4] = {0};
    for (size_t i = 0; i < bytes / sizeof *words; i += 4)
        for (size_t j = 0; j < 4; j++)
            sums[j] ^= words[i + j];
    uint64_t all = sums[0] ^ sums[1] ^ sums[2] ^ sums[3];
    return (unsigned)(all ^ all >> 32);
}

static void scalar_f32(size_t rounds) {
    volatile float keep;
    float sums[8] = {0}, x = 0.5f;
    for (size_t i = 0; i < rounds; i++)
        for (size_t j = 0; j < 8; j++)
            sums[j] = sums[j] * x + x;
    for (size_t j = 0; j < 8; j++)
        keep = sums[j];
    (void)keep;
}

const struct cr_ceiling_loops cr_ceiling_scalar = {
    .read = scalar_read, .f32 = scalar_f32, .f32_ops = 16};

static const struct cr_ceiling_loops *loops_for(enum cr_isa isa) {
#if defined(__x86_64__)
    if (isa == CR_ISA_AVX512)
        return &cr_ceiling_avx512;
    if (isa == CR_ISA_AVX2)
        return &cr_ceiling_avx2;
#endif
    (void)isa;
    return &cr_ceiling_scalar;
}

double cr_ceiling_memory_read(enum cr_isa isa, int n_threads) {
    const struct cr_ceiling_loops *loops = loops_for(isa);
    unsigned char *p = aligned_alloc(4096, READ_BYTES);
    if (!p)
        return 0;
    memset(p, 1, READ_BYTES); /* pages of their own, not the one page of zeros */
    size_t part = READ_BYTES / (size_t)n_threads / 4096 * 4096;
    double best = 0;
    volatile unsigned keep = 0;
    for (int pass = 0; pass < PASSES; pass++) {
        unsigned sum = 0;
        double start = omp_get_wtime();
#pragma omp parallel for num_threads(n_threads) reduction(^ : sum) schedule(static)
        for (int t = 0; t < n_threads; t++)
            sum ^= loops->read(p + (size_t)t * part, part);
        double seconds = omp_get_wtime() - start;
        keep = sum;
        best = CR_MAX(best, (double)(part * (size_t)n_threads) / seconds);
    }
    (void)keep;
    free(p);
    return best;
}

static double measure(void (*loop)(size_t rounds), double ops, int n_threads) {
    double best = 0;
    if (!loop)
        return 0;
    for (int pass = 0; pass < PASSES; pass++) {
        double start = omp_get_wtime();
#pragma omp parallel for num_threads(n_threads) schedule(static)
        for (int t = 0; t < n_threads; t++)
            loop(ROUNDS);
        double seconds = omp_get_wtime() - start;
        best = CR_MAX(best, ops * (double)ROUNDS * n_threads / seconds);
    }
    return best;
}

double cr_ceiling_f32(enum cr_isa isa, int n_threads) {
    const struct cr_ceiling_loops *loops = loops_for(isa);
    return measure(loops->f32, loops->f32_ops, n_threads);
}

double cr_ceiling_bf16(enum cr_isa isa, int n_threads) {
    const struct cr_ceiling_loops *loops = loops_for(isa);
    return measure(loops->bf16, loops->bf16_ops, n_threads);
}

double cr_ceiling_int8(enum cr_isa isa, int n_threads) {
    const struct cr_ceiling_loops *loops = loops_for(isa);
    return measure(loops->int8, loops->int8_ops, n_threads);
}
