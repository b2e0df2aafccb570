/* The machine's limits through AVX-512. Inline assembly, so that no compiler merges or drops
 * an instruction that is being counted. */
#if defined(__x86_64__)

#include <immintrin.h>

#include "kernel/ceiling.h"

#define SUMS 12 /* independent sums: more than latency times units */

#define EACH(a, b)                                                                       \
    a "0" b a "1" b a "2" b a "3" b a "4" b a "5" b a "6" b a "7" b a "8" b a "9" b a    \
      "10" b a "11" b

/* Registers by name: a compiler left to choose spilled them. All are zero, and stay so. */
#define LOOP(name, instruction)                                                          \
    static void name(size_t rounds) {                                                    \
        __asm__ volatile("vpxorq %%zmm15, %%zmm15, %%zmm15\n" EACH(                      \
                             "vmovdqa64 %%zmm15, %%zmm",                                 \
                             "\n") "1:\n" EACH(instruction " %%zmm15, %%zmm15, %%zmm",   \
                                               "\n") "dec %0\n"                          \
                                                     "jnz 1b\n"                          \
                         : "+r"(rounds)                                                  \
                         :                                                               \
                         : "cc", "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", \
                           "xmm7", "xmm8", "xmm9", "xmm10", "xmm11", "xmm15");           \
    }

LOOP(avx512_f32, "vfmadd231ps")
LOOP(avx512_bf16, "vdpbf16ps")
LOOP(avx512_int8, "vpdpbusd")

static unsigned avx512_read(const void *p, size_t bytes) {
    const char *from = p;
    __m512i sums[4] = {_mm512_setzero_si512(), _mm512_setzero_si512(),
                       _mm512_setzero_si512(), _mm512_setzero_si512()};
    for (size_t i = 0; i < bytes; i += 256)
        for (size_t j = 0; j < 4; j++)
            sums[j] = _mm512_xor_si512(sums[j], _mm512_load_si512(from + i + 64 * j));
    sums[0] = _mm512_or_si512(_mm512_or_si512(sums[0], sums[1]),
                              _mm512_or_si512(sums[2], sums[3]));
    return (unsigned)_mm512_reduce_or_epi32(sums[0]);
}

const struct cr_ceiling_loops cr_ceiling_avx512 = {
    .read = avx512_read,
    .f32 = avx512_f32,
    .bf16 = avx512_bf16,
    .int8 = avx512_int8,
    .f32_ops = 16 * 2 * SUMS,
    .bf16_ops = 32 * 2 * SUMS,
    .int8_ops = 64 * 2 * SUMS,
};

#else
typedef int not_for_this_architecture; /* ISO C wants a declaration */
#endif
