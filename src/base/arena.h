/* Arena: one reservation of address space, filled from the front, released as a whole
 * or back to a mark. Pages are taken from the system only when touched, so a generous
 * limit costs nothing. Every block is 64-byte aligned. Not for concurrent use. */
#ifndef CR_BASE_ARENA_H
#define CR_BASE_ARENA_H

#include "base/error.h"

struct cr_arena {
    unsigned char *base;
    size_t limit;      /* bytes reserved */
    size_t used;       /* bytes handed out, padding included */
    size_t high_water; /* the most that `used` ever was */
    size_t n_allocs;   /* blocks handed out so far */
    size_t fail_at; /* test aid: block number `fail_at` (from 1) is refused; 0 = never */
};

/* Reserves limit_bytes. Errors: CRITIC_NO_MEMORY. On failure *a is zeroed. */
enum critic_status cr_arena_init(struct cr_arena *a, size_t limit_bytes,
                                 critic_error *err);
/* Safe on a zeroed arena. */
/* Asks for large pages where the system has them: memory is then taken 2 MiB at a time, and
 * strided access costs fewer page walks. */
void cr_arena_use_huge_pages(struct cr_arena *a);
void cr_arena_fini(struct cr_arena *a);

/* NULL when the reservation is used up. Contents are undefined. */
void *cr_arena_alloc(struct cr_arena *a, size_t bytes);
/* n * size bytes with the overflow checked, zeroed. */
void *cr_arena_calloc(struct cr_arena *a, size_t n, size_t size);
/* A terminated copy of s[0..len). */
char *cr_arena_strndup(struct cr_arena *a, const char *s, size_t len);

static inline size_t cr_arena_mark(const struct cr_arena *a) {
    return a->used;
}
/* Gives back everything handed out since the mark. */
void cr_arena_release(struct cr_arena *a, size_t mark);

#endif
