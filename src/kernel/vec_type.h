/* On top of a vec_*.h header: loads and stores by element type, and powers of two. */
#ifndef CR_KERNEL_VEC_TYPE_H
#define CR_KERNEL_VEC_TYPE_H

#include "base/dtype.h"

static inline vec load(const void *x, enum cr_dtype type, size_t i) {
    return type == CR_F32 ? v_load_f32((const float *)x + i)
                          : v_load_bf16((const uint16_t *)x + i);
}

static inline vec load_part(const void *x, enum cr_dtype type, size_t i, size_t n) {
    return type == CR_F32 ? v_load_f32_part((const float *)x + i, n)
                          : v_load_bf16_part((const uint16_t *)x + i, n);
}

static inline void store(void *y, enum cr_dtype type, size_t i, vec value) {
    if (type == CR_F32)
        v_store_f32((float *)y + i, value);
    else
        v_store_bf16((uint16_t *)y + i, value);
}

static inline void store_part(void *y, enum cr_dtype type, size_t i, vec value,
                              size_t n) {
    if (type == CR_F32)
        v_store_f32_part((float *)y + i, value, n);
    else
        v_store_bf16_part((uint16_t *)y + i, value, n);
}

/* 2^f for |f| <= 1/2: minimax polynomial with p(0) = 1, relative error 1.1e-7. */
static inline vec exp2_fraction(vec f) {
    vec p = v_fma(v_set(0x1.5bba14p-10f), f, v_set(0x1.3cea88p-7f));
    p = v_fma(p, f, v_set(0x1.c6b752p-5f));
    p = v_fma(p, f, v_set(0x1.ebf9bcp-3f));
    p = v_fma(p, f, v_set(0x1.62e42ap-1f));
    return v_fma(p, f, v_set(1.0f));
}

#endif
