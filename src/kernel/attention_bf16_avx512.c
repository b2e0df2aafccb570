/* Attention tiles in bf16 with f32 sums on AVX-512 BF16: scores and p v by vdpbf16ps, which
 * adds two products of a pair to an f32 lane. p is rounded to bf16, its sum is not. The
 * instruction takes bf16 denormals as zero. */
#if defined(__x86_64__)

#include "kernel/vec_avx512.h"

#define PAIRS        1
#define multiply_add v_add_bf16_pairs
#define SCORE_COLS   4
#define VALUE_COLS   5 /* 30 accumulators, 1 of b; head_dim 72 needs 5 vectors */

#include "kernel/attention_body.h"
#include "kernel/attention_bwd_body.h"

ATTENTION_TABLE(cr_attention_avx512_bf16, CR_BF16);

#else
typedef int not_this_machine;
#endif
