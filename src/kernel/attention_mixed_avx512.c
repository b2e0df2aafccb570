/* Attention tiles on AVX-512 with scores from int16 (kernel/attention.h) and p v in bf16 pairs. The
 * sum of a score is exact: |q| |k| < 2^31 in units. */
#if defined(__x86_64__)

#include "kernel/vec_avx512.h"

#define PAIRS        1
#define INT16_SCORES 1
#define multiply_add v_add_bf16_pairs
#define score_add    v_add_int16_pairs
#define SCORE_COLS   4
#define VALUE_COLS   5 /* 30 accumulators, 1 of b; head_dim 72 needs 5 vectors */

#include "kernel/attention_body.h"

ATTENTION_MIXED_TABLE(cr_attention_avx512_mixed);

#else
typedef int not_this_machine;
#endif
