#include "kernel/dense.h"

const struct cr_dense *cr_dense_for(enum cr_isa isa) {
#if defined(__x86_64__)
    if (isa == CR_ISA_AVX512)
        return &cr_dense_avx512;
    if (isa == CR_ISA_AVX2)
        return &cr_dense_avx2;
#endif
    (void)isa; /* NEON: the compiler's code for the scalar table */
    return &cr_dense_scalar;
}
