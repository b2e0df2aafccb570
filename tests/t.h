/* What every test includes: cmocka and a few assertions on top. Active under NDEBUG. */
#ifndef CR_TESTS_T_H
#define CR_TESTS_T_H

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "critic.h"

/* A path below the source tree. */
#define T_SOURCE(path) CRITIC_SOURCE_DIR "/" path

/* The call returns CRITIC_OK, else its message is printed; `err` is a critic_error. */
#define T_OK(call)                                                                       \
    do {                                                                                 \
        memset(&err, 0, sizeof err);                                                     \
        enum critic_status t_status_ = (call);                                           \
        if (t_status_ != CRITIC_OK)                                                      \
            fail_msg("%s: %s: %s", #call, critic_status_name(t_status_), err.message);   \
    } while (0)

/* The call fails with `expected` and a one-line message that contains `text`. */
#define T_FAILS(call, expected, text)                                                    \
    do {                                                                                 \
        memset(&err, 0, sizeof err);                                                     \
        enum critic_status t_status_ = (call);                                           \
        if (t_status_ != (expected) || err.status != (expected))                         \
            fail_msg("%s: got %s (%s), expected %s", #call,                              \
                     critic_status_name(t_status_), err.message,                         \
                     critic_status_name(expected));                                      \
        if (!strstr(err.message, (text)) || strchr(err.message, '\n'))                   \
            fail_msg("%s: message '%s' lacks '%s'", #call, err.message, (text));         \
    } while (0)

/* |a - b| <= atol + rtol * |b| */
#define T_NEAR(a, b, atol, rtol)                                                         \
    do {                                                                                 \
        double t_a_ = (double)(a), t_b_ = (double)(b);                                   \
        if (!(fabs(t_a_ - t_b_) <= (atol) + (rtol)*fabs(t_b_)))                          \
            fail_msg("%s:%d: %.9g differs from %.9g by %.3g", __FILE__, __LINE__, t_a_,  \
                     t_b_, fabs(t_a_ - t_b_));                                           \
    } while (0)

/* SEED=n in the environment replays; printed either way. */
static inline uint64_t t_seed(uint64_t otherwise) {
    const char *text = getenv("SEED");
    uint64_t seed = text ? strtoull(text, NULL, 10) : otherwise;
    print_message("seed %llu\n", (unsigned long long)seed);
    return seed;
}

#endif
