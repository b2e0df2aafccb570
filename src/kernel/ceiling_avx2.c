/* The machine's limits through AVX2; see ceiling_avx512.c. */
#if defined(__x86_64__)

#include <immintrin.h>

#include "kernel/ceiling.h"

#define SUMS 12 /* independent sums: more than latency times units */

static void avx2_f32(size_t rounds) {
    __m256 x = _mm256_setzero_ps(), sums[SUMS];
    for (int j = 0; j < SUMS; j++)
        sums[j] = x;
    for (size_t i = 0; i < rounds; i++) {
#pragma GCC unroll 12
        for (int j = 0; j < SUMS; j++)
            __asm__ volatile("vfmadd231ps %1, %1, %0" : "+x"(sums[j]) : "x"(x));
    }
}

static unsigned avx2_read(const void *p, size_t bytes) {
    const __m256i *from = p;
    __m256i sums[4] = {_mm256_setzero_si256(), _mm256_setzero_si256(),
                       _mm256_setzero_si256(), _mm256_setzero_si256()};
    for (size_t i = 0; i < bytes / sizeof *from; i += 4)
        for (size_t j = 0; j < 4; j++)
            sums[j] = _mm256_xor_si256(sums[j], _mm256_load_si256(from + i + j));
    sums[0] = _mm256_or_si256(_mm256_or_si256(sums[0], sums[1]),
                              _mm256_or_si256(sums[2], sums[3]));
    return (unsigned)_mm256_movemask_epi8(sums[0]);
}

/* No bf16 and no int8 dot products before AVX-512. */
const struct cr_ceiling_loops cr_ceiling_avx2 = {
    .read = avx2_read, .f32 = avx2_f32, .f32_ops = 8 * 2 * SUMS};

#else
typedef int not_for_this_architecture; /* ISO C wants a declaration */
#endif
