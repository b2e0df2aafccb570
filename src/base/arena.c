#define _GNU_SOURCE
#include "base/arena.h"

#include <string.h>
#include <sys/mman.h>

#include "base/checked.h"

/* Under AddressSanitizer a red zone stands behind every block and what was given back is
 * poisoned, so that an overrun inside the reservation is still found. What was never handed out
 * is left alone: poisoning a whole reservation would touch an eighth of it. */
#if defined(__SANITIZE_ADDRESS__)
#define ARENA_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define ARENA_ASAN 1
#endif
#endif

#ifdef ARENA_ASAN
#include <sanitizer/asan_interface.h>
#define RED_ZONE       64u
#define POISON(p, n)   ASAN_POISON_MEMORY_REGION((p), (n))
#define UNPOISON(p, n) ASAN_UNPOISON_MEMORY_REGION((p), (n))
#else
#define RED_ZONE       0u
#define POISON(p, n)   ((void)(p), (void)(n))
#define UNPOISON(p, n) ((void)(p), (void)(n))
#endif

#define ALIGNMENT 64u

enum critic_status cr_arena_init(struct cr_arena *a, size_t limit_bytes,
                                 critic_error *err) {
    memset(a, 0, sizeof *a);
    size_t limit;
    if (!cr_round_up_size(limit_bytes, 4096, &limit))
        return cr_fail(err, CRITIC_NO_MEMORY, "cannot reserve %zu bytes", limit_bytes);
    if (limit == 0)
        limit = 4096;
    void *base = mmap(NULL, limit, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (base == MAP_FAILED)
        return cr_fail(err, CRITIC_NO_MEMORY, "cannot reserve %zu bytes", limit_bytes);
    a->base = base;
    a->limit = limit;
    return CRITIC_OK;
}

void cr_arena_use_huge_pages(struct cr_arena *a) {
#ifdef MADV_HUGEPAGE
    (void)madvise(a->base, a->limit, MADV_HUGEPAGE); /* a hint: older systems say no */
#else
    (void)a;
#endif
}

void cr_arena_fini(struct cr_arena *a) {
    if (a->base) {
        UNPOISON(a->base, a->high_water);
        munmap(a->base, a->limit);
    }
    memset(a, 0, sizeof *a);
}

void *cr_arena_alloc(struct cr_arena *a, size_t bytes) {
    size_t padded;
    if (!cr_add_size(bytes, RED_ZONE, &padded) ||
        !cr_round_up_size(CR_MAX(padded, 1), ALIGNMENT, &padded) ||
        padded > a->limit - a->used)
        return NULL;
    if (++a->n_allocs == a->fail_at)
        return NULL;
    unsigned char *block = a->base + a->used;
    a->used += padded;
    a->high_water = CR_MAX(a->high_water, a->used);
    UNPOISON(block, bytes);
    POISON(block + bytes, padded - bytes);
    return block;
}

void *cr_arena_calloc(struct cr_arena *a, size_t n, size_t size) {
    size_t bytes;
    if (!cr_mul_size(n, size, &bytes))
        return NULL;
    void *block = cr_arena_alloc(a, bytes);
    if (block)
        memset(block, 0, bytes);
    return block;
}

char *cr_arena_strndup(struct cr_arena *a, const char *s, size_t len) {
    size_t bytes;
    if (!cr_add_size(len, 1, &bytes))
        return NULL;
    char *copy = cr_arena_alloc(a, bytes);
    if (copy) {
        memcpy(copy, s, len);
        copy[len] = '\0';
    }
    return copy;
}

void cr_arena_release(struct cr_arena *a, size_t mark) {
    CR_ASSERT(mark <= a->used);
    POISON(a->base + mark, a->used - mark);
    a->used = mark;
}
