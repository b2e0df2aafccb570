#include "kernel/tiles.h"

const struct cr_tiles *cr_tiles_for(enum cr_isa isa) {
#if defined(__x86_64__)
    if (isa == CR_ISA_AVX512)
        return &cr_tiles_avx512;
#endif
    (void)isa;
    return NULL;
}
