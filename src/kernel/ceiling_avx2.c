/* The machine's limits through AVX2; see ceiling_avx512.c. */
#if defined(__x86_64__)

#include <immintrin.h>

#include "kernel/ceiling.h"

#define SUMS 12 /* independent sums: more than latency times units */

#define EACH(a, b)                                                                       \
    a "0" b a "1" b a "2" b a "3" b a "4" b a "5" b a "6" b a "7" b a "8" b a "9" b a    \
      "10" b a "11" b

static void avx2_f32(size_t rounds) {
    __asm__ volatile(
        "vxorps %%ymm15, %%ymm15, %%ymm15\n" EACH(
            "vmovaps %%ymm15, %%ymm",
            "\n") "1:\n" EACH("vfmadd231ps %%ymm15, %%ymm15, %%ymm", "\n") "dec %0\n"
                                                                           "jnz 1b\n"
        : "+r"(rounds)
        :
        : "cc", "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8",
          "xmm9", "xmm10", "xmm11", "xmm15");
}

/* A product of 32 pairs of bytes: vpmaddubsw to 16 bits, vpmaddwd to 32, vpaddd to the sum. What keeps
 * full bytes from saturating comes on top, so no exact product reaches this. */
#define PRODUCT(n)                                                                       \
    "vpmaddubsw %%ymm15, %%ymm15, %%ymm14\n"                                             \
    "vpmaddwd %%ymm15, %%ymm14, %%ymm14\n"                                               \
    "vpaddd %%ymm14, %%ymm" n ", %%ymm" n "\n"

static void avx2_int8(size_t rounds) {
    __asm__ volatile("vpxor %%ymm15, %%ymm15, %%ymm15\n" EACH("vmovdqa %%ymm15, %%ymm",
                                                              "\n") "1:\n" PRODUCT("0")
                         PRODUCT("1") PRODUCT("2") PRODUCT("3") PRODUCT("4") PRODUCT("5")
                             PRODUCT("6") PRODUCT("7") PRODUCT("8") PRODUCT("9")
                                 PRODUCT("10") PRODUCT("11") "dec %0\n"
                                                             "jnz 1b\n"
                     : "+r"(rounds)
                     :
                     : "cc", "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6",
                       "xmm7", "xmm8", "xmm9", "xmm10", "xmm11", "xmm14", "xmm15");
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

/* No bf16 products before AVX-512. */
const struct cr_ceiling_loops cr_ceiling_avx2 = {.read = avx2_read,
                                                 .f32 = avx2_f32,
                                                 .int8 = avx2_int8,
                                                 .f32_ops = 8 * 2 * SUMS,
                                                 .int8_ops = 32 * 2 * SUMS};

#else
typedef int not_for_this_architecture; /* ISO C wants a declaration */
#endif
