/* Attention tiles in f32 on AVX-512. */
#if defined(__x86_64__)

#include "kernel/vec_avx512.h"

#define PAIRS      0
#define SCORE_COLS 4
#define VALUE_COLS 5 /* 30 accumulators, 1 of b; head_dim 72 needs 5 vectors */

/* As assembly since gcc 12 loads the factor into a register of its own, and then spills. */
static inline vec multiply_add(vec acc, vec b, const uint32_t *a) {
    __asm__("vfmadd231ps %2%{1to16%}, %1, %0" : "+v"(acc) : "v"(b), "m"(*a));
    return acc;
}

#include "kernel/attention_body.h"
#include "kernel/attention_bwd_body.h"

ATTENTION_TABLE(cr_attention_avx512_f32, CR_F32);

#else
typedef int not_this_machine;
#endif
