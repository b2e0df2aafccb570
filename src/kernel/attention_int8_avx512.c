/* Attention tiles on AVX-512 with scores and p v in 8 bits (kernel/attention.h): the sums of both are
 * exact. */
#if defined(__x86_64__)

#include "kernel/vec_avx512.h"

#define PAIRS      1
#define INT8       1
#define score_add  v_add_int8_fours
#define SCORE_COLS 4
#define VALUE_COLS 5 /* 30 accumulators, 1 of p; head_dim 72 needs 5 vectors */

static inline vec value_add(vec acc, vec p, vec v) {
    __asm__("vpdpbusd %2, %1, %0" : "+v"(acc) : "v"(p), "v"(v));
    return acc;
}

static inline vec value_add_at(vec acc, vec p, const float *v) {
    __asm__("vpdpbusd %2, %1, %0"
            : "+v"(acc)
            : "v"(p), "m"(*(const vec *)(const void *)v));
    return acc;
}

#include "kernel/attention_body.h"

ATTENTION_MIXED_TABLE(cr_attention_avx512_int8);

#else
typedef int not_this_machine;
#endif
