/* Attention tiles in f32 on AVX2; bf16 tensors become f32 as they are packed. */
#if defined(__x86_64__)

#include "kernel/vec_avx2.h"

#define PAIRS      0
#define SCORE_COLS 2 /* 6 x 2 accumulators, 2 of b and 1 of a: 15 of 16 registers */
#define VALUE_COLS 2

static inline vec multiply_add(vec acc, vec b, const uint32_t *a) {
    return _mm256_fmadd_ps(_mm256_broadcast_ss((const float *)(const void *)a), b, acc);
}

#include "kernel/attention_body.h"
#include "kernel/attention_bwd_body.h"

ATTENTION_TABLE(cr_attention_avx2_f32, CR_F32);
ATTENTION_TABLE(cr_attention_avx2_bf16, CR_BF16);
ATTENTION_MIXED_TABLE(cr_attention_avx2_mixed);

#else
typedef int not_this_machine;
#endif
