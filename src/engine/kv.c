#include "engine/kv.h"

#include <stdlib.h>
#include <string.h>

#include "base/checked.h"

enum critic_status cr_kv_init(struct cr_kv_pool *pool, const struct cr_kv_layout *layout,
                              size_t limit_bytes, critic_error *err) {
    memset(pool, 0, sizeof *pool);
    size_t n = CR_MAX(limit_bytes / layout->page_bytes, (size_t)1);
    n = CR_MIN(n, (size_t)INT32_MAX / 2);
    CR_TRY(cr_arena_init(&pool->memory, n * layout->page_bytes + 4096, err));
    cr_arena_use_huge_pages(&pool->memory);
    pool->refs = calloc(n, sizeof *pool->refs);
    pool->free_pages = calloc(n, sizeof *pool->free_pages);
    if (!pool->refs || !pool->free_pages) {
        cr_kv_fini(pool);
        return cr_fail(err, CRITIC_NO_MEMORY, "out of memory for %zu KV pages", n);
    }
    pool->layout = *layout;
    pool->base = cr_arena_alloc(&pool->memory, n * layout->page_bytes);
    CR_ASSERT(pool->base);
    pool->n_pages = n;
    pool->n_free = n;
    /* Low pages are taken first, so that memory once touched is used again. */
    for (size_t i = 0; i < n; i++)
        pool->free_pages[i] = (int32_t)(n - 1 - i);
    return CRITIC_OK;
}

void cr_kv_fini(struct cr_kv_pool *pool) {
    cr_arena_fini(&pool->memory);
    free(pool->refs);
    free(pool->free_pages);
    memset(pool, 0, sizeof *pool);
}

static size_t page_index(const struct cr_kv_pool *pool, const unsigned char *page) {
    size_t i = (size_t)(page - pool->base) / pool->layout.page_bytes;
    CR_ASSERT(i < pool->n_pages);
    return i;
}

unsigned char *cr_kv_take(struct cr_kv_pool *pool) {
    if (pool->n_free == 0)
        return NULL;
    size_t i = (size_t)pool->free_pages[--pool->n_free];
    CR_ASSERT(pool->refs[i] == 0);
    pool->refs[i] = 1;
    unsigned char *page = pool->base + i * pool->layout.page_bytes;
    /* Memory never touched is zero already. */
    if (i < pool->n_touched)
        memset(page, 0, pool->layout.page_bytes);
    pool->n_touched = CR_MAX(pool->n_touched, i + 1);
    return page;
}

void cr_kv_share(struct cr_kv_pool *pool, unsigned char *page) {
    pool->refs[page_index(pool, page)]++;
}

void cr_kv_drop(struct cr_kv_pool *pool, unsigned char *page) {
    size_t i = page_index(pool, page);
    CR_ASSERT(pool->refs[i] > 0);
    if (--pool->refs[i] == 0)
        pool->free_pages[pool->n_free++] = (int32_t)i;
}

bool cr_kv_is_shared(const struct cr_kv_pool *pool, const unsigned char *page) {
    return pool->refs[page_index(pool, page)] > 1;
}
