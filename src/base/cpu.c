#define _GNU_SOURCE
#include "base/cpu.h"

#include <stdint.h>
#include <string.h>
#include <unistd.h>

#if defined(__x86_64__)
#include <cpuid.h>
#endif

static const char *const isa_names[CR_ISA_COUNT] = {
#define ISA_NAME(id, name) [id] = name,
    CR_ISA_LIST(ISA_NAME)
#undef ISA_NAME
};

const char *cr_isa_name(enum cr_isa isa) {
    return isa_names[isa];
}

bool cr_isa_parse(const char *name, enum cr_isa *isa) {
    for (int i = 0; i < CR_ISA_COUNT; i++) {
        if (strcmp(isa_names[i], name) == 0) {
            *isa = (enum cr_isa)i;
            return true;
        }
    }
    return false;
}

#if defined(__x86_64__)
struct cpu_words {
    unsigned leaf1_ecx, leaf7_ebx, leaf7_ecx, leaf7_1_eax;
    uint64_t xcr0; /* register state that the system saves */
};

static struct cpu_words read_cpu(void) {
    struct cpu_words w = {0};
    unsigned a, b, c, d;
    if (!__get_cpuid(1, &a, &b, &c, &d))
        return w;
    w.leaf1_ecx = c;
    if (c & 1u << 27) { /* OSXSAVE */
        unsigned low, high;
        __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
        w.xcr0 = (uint64_t)high << 32 | low;
    }
    if (__get_cpuid_count(7, 0, &a, &b, &c, &d)) {
        w.leaf7_ebx = b;
        w.leaf7_ecx = c;
        if (a >= 1 && __get_cpuid_count(7, 1, &a, &b, &c, &d))
            w.leaf7_1_eax = a;
    }
    return w;
}

static bool has_bits(unsigned word, unsigned bits) {
    return (word & bits) == bits;
}

static bool has_avx2(const struct cpu_words *w) {
    return (w->xcr0 & 0x6) == 0x6 &&
           has_bits(w->leaf1_ecx, 1u << 12 | 1u << 28 | 1u << 29) && /* FMA AVX F16C */
           has_bits(w->leaf7_ebx, 1u << 5);
}

static bool has_avx512(const struct cpu_words *w) {
    return has_avx2(w) && (w->xcr0 & 0xE0) == 0xE0 &&
           has_bits(w->leaf7_ebx,
                    1u << 16 | 1u << 17 | 1u << 30 | 1u << 31) && /* F DQ BW VL */
           has_bits(w->leaf7_ecx, 1u << 11) &&                    /* VNNI */
           has_bits(w->leaf7_1_eax, 1u << 5);                     /* BF16 */
}
#endif

bool cr_isa_available(enum cr_isa isa) {
    if (isa == CR_ISA_SCALAR)
        return true;
#if defined(__x86_64__)
    struct cpu_words w = read_cpu();
    if (isa == CR_ISA_AVX2)
        return has_avx2(&w);
    if (isa == CR_ISA_AVX512)
        return has_avx512(&w);
#elif defined(__aarch64__)
    if (isa == CR_ISA_NEON)
        return true;
#endif
    return false;
}

enum cr_isa cr_isa_best(void) {
    for (int i = CR_ISA_COUNT - 1; i > 0; i--)
        if (cr_isa_available((enum cr_isa)i))
            return (enum cr_isa)i;
    return CR_ISA_SCALAR;
}

void cr_cpu_name(char name[49]) {
    memset(name, 0, 49);
#if defined(__x86_64__)
    unsigned words[12];
    if ((unsigned)__get_cpuid_max(0x80000000u, NULL) < 0x80000004u)
        return;
    for (unsigned i = 0; i < 3; i++)
        __get_cpuid(0x80000002u + i, &words[4 * i], &words[4 * i + 1], &words[4 * i + 2],
                    &words[4 * i + 3]);
    memcpy(name, words, 48);
#endif
}

size_t cr_memory_bytes(void) {
    long pages = sysconf(_SC_PHYS_PAGES);
    long page = sysconf(_SC_PAGESIZE);
    return pages > 0 && page > 0 ? (size_t)pages * (size_t)page : 0;
}
