/* Errors: one pattern for the whole code base (CONTRIBUTING.md).
 *
 * Fallible functions return enum critic_status and take, last, a critic_error that may
 * be NULL. The message is written where the fault is found; callers may prepend
 * context with cr_error_wrap and never replace it. Our own mistakes (a broken
 * invariant) are CR_ASSERT, active in release builds; a byte from outside must never
 * reach an assert. */
#ifndef CR_BASE_ERROR_H
#define CR_BASE_ERROR_H

#include "critic.h"

#define CR_PRINTF(fmt, args) __attribute__((format(printf, fmt, args)))

/* Fills err (if not NULL) and returns status, so that a fault is one line:
 *   return cr_fail(err, CRITIC_BAD_FILE, "tensor '%s' ends at byte %zu of %zu", …); */
#define cr_fail(err, status, ...)                                                        \
    cr_fail_at((err), (status), __FILE__, __LINE__, __VA_ARGS__)

enum critic_status cr_fail_at(critic_error *err, enum critic_status status,
                              const char *file, int line, const char *fmt, ...)
    CR_PRINTF(5, 6);

/* Puts context before the message that is there: "loading shard 2: …". Returns err's
 * status, or `status` where err is NULL. */
enum critic_status cr_error_wrap(critic_error *err, enum critic_status status,
                                 const char *fmt, ...) CR_PRINTF(3, 4);

/* Sets err to CRITIC_OK with an empty message. */
void cr_error_clear(critic_error *err);

#define CR_TRY(call)                                                                     \
    do {                                                                                 \
        enum critic_status cr_try_status_ = (call);                                      \
        if (cr_try_status_ != CRITIC_OK)                                                 \
            return cr_try_status_;                                                       \
    } while (0)

/* The same inside a function that cleans up at `fail:` and returns `status`. */
#define CR_TRY_GOTO(call)                                                                \
    do {                                                                                 \
        status = (call);                                                                 \
        if (status != CRITIC_OK)                                                         \
            goto fail;                                                                   \
    } while (0)

#define CR_ASSERT(cond)                                                                  \
    do {                                                                                 \
        if (!(cond))                                                                     \
            cr_assert_failed(__FILE__, __LINE__, #cond);                                 \
    } while (0)

_Noreturn void cr_assert_failed(const char *file, int line, const char *cond);

#endif
