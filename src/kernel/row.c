#include "kernel/row.h"

const struct cr_row_kernels *cr_row_kernels_for(enum cr_isa isa) {
#if defined(__x86_64__)
    if (isa == CR_ISA_AVX512)
        return &cr_row_avx512;
    if (isa == CR_ISA_AVX2)
        return &cr_row_avx2;
#endif
    (void)isa;
    return &cr_row_scalar;
}
