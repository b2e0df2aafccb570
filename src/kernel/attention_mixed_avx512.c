/* Attention tiles on AVX-512 with scores from int16 (kernel/attention.h) and p v in bf16 pairs. The
 * sum of a score is exact: |q| |k| < 2^31 in units. */
#if defined(__x86_64__)

#include "kernel/vec_avx512.h"

#define PAIRS        1
#define INT16_SCORES 1
#define SCORE_COLS   4
#define VALUE_COLS   5 /* 30 accumulators, 1 of b; head_dim 72 needs 5 vectors */

/* As assembly since gcc 12 loads the factor into a register of its own, and then spills. */
static inline vec multiply_add(vec acc, vec b, const uint32_t *a) {
    __asm__("vdpbf16ps %2%{1to16%}, %1, %0" : "+v"(acc) : "v"(b), "m"(*a));
    return acc;
}

static inline vec score_add(vec acc, vec b, const uint32_t *a) {
    __asm__("vpdpwssd %2%{1to16%}, %1, %0" : "+v"(acc) : "v"(b), "m"(*a));
    return acc;
}

#include "kernel/attention_body.h"

ATTENTION_MIXED_TABLE(cr_attention_avx512_mixed);

#else
typedef int not_this_machine;
#endif
