/* What the processor and the operating system offer. Detection is our own because the
 * compilers' builtins are uneven; a feature counts only if the system saves its registers. */
#ifndef CR_BASE_CPU_H
#define CR_BASE_CPU_H

#include <stdbool.h>
#include <stddef.h>

/* In ascending order of preference on one architecture. */
#define CR_ISA_LIST(X)                                                                   \
    X(CR_ISA_SCALAR, "scalar")                                                           \
    X(CR_ISA_NEON, "neon")                                                               \
    X(CR_ISA_AVX2, "avx2")     /* AVX2, FMA, F16C */                                     \
    X(CR_ISA_AVX512, "avx512") /* F, BW, DQ, VL, VNNI, BF16 */

enum cr_isa {
#define CR_ISA_ENUM(id, name) id,
    CR_ISA_LIST(CR_ISA_ENUM) CR_ISA_COUNT
#undef CR_ISA_ENUM
};

const char *cr_isa_name(enum cr_isa isa);
bool cr_isa_parse(const char *name, enum cr_isa *isa);
/* Can this machine run code for isa? */
bool cr_isa_available(enum cr_isa isa);
/* The best that this machine can run. */
enum cr_isa cr_isa_best(void);
/* The processor's name as it reports it ("" where it does not); needs 49 bytes. */
void cr_cpu_name(char name[49]);
/* Physical memory in bytes; 0 where unknown. */
size_t cr_memory_bytes(void);

#endif
