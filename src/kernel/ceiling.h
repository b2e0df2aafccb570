/* What this machine can do at most, measured: the figures that `critic bench` puts beside its
 * own. Each takes a few tenths of a second and gives the best of several short passes on
 * n_threads threads; 0 where the ISA has no such instruction or memory is out.
 *
 * Arithmetic counts a multiplication and an addition as two operations and runs in registers
 * alone. The read pass goes once over 256 MiB, more than any cache holds. */
#ifndef CR_KERNEL_CEILING_H
#define CR_KERNEL_CEILING_H

#include "base/cpu.h"

double cr_ceiling_memory_read(enum cr_isa isa, int n_threads); /* bytes a second */
double cr_ceiling_f32(enum cr_isa isa, int n_threads);         /* operations a second */
double cr_ceiling_bf16(enum cr_isa isa, int n_threads);
double cr_ceiling_int8(enum cr_isa isa, int n_threads);

/* The loops of one ISA; a member is NULL where there is no such instruction. */
struct cr_ceiling_loops {
    /* Reads bytes (a multiple of 4096) at p, 64-byte aligned; returns something of them. */
    unsigned (*read)(const void *p, size_t bytes);
    void (*f32)(size_t rounds);
    void (*bf16)(size_t rounds);
    void (*int8)(size_t rounds);
    double f32_ops, bf16_ops, int8_ops; /* operations a round */
};

extern const struct cr_ceiling_loops cr_ceiling_scalar;
#if defined(__x86_64__)
extern const struct cr_ceiling_loops cr_ceiling_avx2, cr_ceiling_avx512;
#endif

#endif
