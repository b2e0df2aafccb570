#include "kernel/int8.h"

const struct cr_int8 *cr_int8_for(enum cr_isa isa) {
#if defined(__x86_64__)
    if (isa == CR_ISA_AVX512)
        return &cr_int8_avx512;
    if (isa == CR_ISA_AVX2)
        return &cr_int8_avx2;
#endif
    (void)isa; /* NEON: the compiler's code for the scalar table */
    return &cr_int8_scalar;
}
