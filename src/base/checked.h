/* Size arithmetic on values from outside: false means that the result does not fit. */
#ifndef CR_BASE_CHECKED_H
#define CR_BASE_CHECKED_H

#include <stdbool.h>
#include <stddef.h>

static inline bool cr_mul_size(size_t a, size_t b, size_t *out) {
    return !__builtin_mul_overflow(a, b, out);
}

static inline bool cr_add_size(size_t a, size_t b, size_t *out) {
    return !__builtin_add_overflow(a, b, out);
}

/* a rounded up to a multiple of `to` (a power of two); false on overflow. */
static inline bool cr_round_up_size(size_t a, size_t to, size_t *out) {
    if (!cr_add_size(a, to - 1, out))
        return false;
    *out &= ~(to - 1);
    return true;
}

#define CR_MIN(a, b)      ((a) < (b) ? (a) : (b))
#define CR_MAX(a, b)      ((a) > (b) ? (a) : (b))
#define CR_CEIL_DIV(a, b) (((a) + (b)-1) / (b))
#define CR_COUNT(array)   (sizeof(array) / sizeof((array)[0]))

#endif
