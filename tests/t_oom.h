/* Out-of-memory tests: this header puts a counting malloc in front of the C library's, for
 * the whole test program, the libraries that it calls included. Include it once, in the
 * test's only source file; T_OOM_SWEEP then refuses every allocation of a call in turn. Under
 * sanitizers, which own malloc, T_OOM_AVAILABLE is 0. OpenMP dies where it cannot
 * allocate a thread: warm up, or sweep with one thread. */
#ifndef CR_TESTS_T_OOM_H
#define CR_TESTS_T_OOM_H

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__) || !defined(__GLIBC__)
#define T_OOM_AVAILABLE 0
#else
#define T_OOM_AVAILABLE 1

void *__libc_malloc(size_t bytes);
void *__libc_calloc(size_t n, size_t size);
void *__libc_realloc(void *block, size_t bytes);
void *__libc_memalign(size_t align, size_t bytes);
void __libc_free(void *block);

static size_t t_oom_countdown; /* the block that is refused; 0 = none */
static size_t t_oom_refused;   /* blocks refused since the program began */
static long t_oom_live;        /* blocks handed out and not returned */

static bool t_oom_refuse(void) {
    if (t_oom_countdown == 0 || --t_oom_countdown > 0)
        return false;
    t_oom_refused++;
    errno = ENOMEM;
    return true;
}

static void *t_oom_count(void *block) {
    t_oom_live += block != NULL;
    return block;
}

/* Visible to the libraries, which the project's default would hide them from. */
#pragma GCC visibility push(default)

void *malloc(size_t bytes) {
    return t_oom_refuse() ? NULL : t_oom_count(__libc_malloc(bytes));
}

void *calloc(size_t n, size_t size) {
    return t_oom_refuse() ? NULL : t_oom_count(__libc_calloc(n, size));
}

void *realloc(void *block, size_t bytes) {
    if (t_oom_refuse())
        return NULL;
    void *moved = __libc_realloc(block, bytes);
    t_oom_live += block == NULL && moved != NULL;
    return moved;
}

/* Aligned blocks are counted and never refused: they are OpenMP's. */
void *aligned_alloc(size_t align, size_t bytes) {
    return t_oom_count(__libc_memalign(align, bytes));
}

void *memalign(size_t align, size_t bytes);
void *memalign(size_t align, size_t bytes) {
    return t_oom_count(__libc_memalign(align, bytes));
}

int posix_memalign(void **block, size_t align, size_t bytes);
int posix_memalign(void **block, size_t align, size_t bytes) {
    *block = t_oom_count(__libc_memalign(align, bytes));
    return *block ? 0 : 12; /* ENOMEM */
}

void free(void *block) {
    t_oom_live -= block != NULL;
    __libc_free(block);
}

#pragma GCC visibility pop

/* Counted and never refused: for a library that does not survive the refusal of some block. */
static inline void *t_oom_malloc_always(size_t bytes) {
    return t_oom_count(__libc_malloc(bytes));
}

/* Refuses the n-th allocation from now on; 0 disarms. */
static inline void t_oom_arm(size_t n) {
    t_oom_countdown = n;
}

/* Runs `call` (which sets `status`) with its 1st, 2nd, … allocation refused until none is:
 * each run must say CRITIC_NO_MEMORY (its message is in `err`, a critic_error) and leave as
 * many live blocks as there were; where a library gets by with less, the call succeeds and
 * `cleanup` gives its result back. */
#define T_OOM_SWEEP(call, status, cleanup)                                               \
    do {                                                                                 \
        size_t t_n_ = 0;                                                                 \
        size_t t_refused_;                                                               \
        do {                                                                             \
            t_refused_ = t_oom_refused;                                                  \
            t_n_++;                                                                      \
            long t_before_ = t_oom_live;                                                 \
            t_oom_arm(t_n_);                                                             \
            call;                                                                        \
            t_oom_arm(0);                                                                \
            if ((status) == CRITIC_OK)                                                   \
                cleanup;                                                                 \
            else if ((status) != CRITIC_NO_MEMORY)                                       \
                fail_msg("allocation %zu refused: %s (%s)", t_n_,                        \
                         critic_status_name(status), err.message);                       \
            if (t_oom_live != t_before_)                                                 \
                fail_msg("allocation %zu refused: %ld blocks leak", t_n_,                \
                         t_oom_live - t_before_);                                        \
            assert_true(t_n_ < 100000);                                                  \
        } while (t_oom_refused > t_refused_);                                            \
        assert_int_equal((status), CRITIC_OK);                                           \
    } while (0)
#endif
#endif
