/* Pages of keys and values: a pool of equal pages with reference counts. Address space for the
 * whole limit is reserved at once; memory is taken when a page is first touched. A page that two
 * sequences share is never written: the writer copies it first (seq.c). */
#ifndef CR_ENGINE_KV_H
#define CR_ENGINE_KV_H

#include "base/arena.h"
#include "model/model.h"

/* Positions a page. A fork copies at most one page; the attention tiles do not depend on it. */
#define CR_PAGE_LEN 64

struct cr_kv_pool {
    struct cr_kv_layout layout;
    struct cr_arena memory;
    unsigned char *base;
    int32_t *refs; /* of each page */
    int32_t *free_pages;
    size_t n_pages;
    size_t n_free;
    size_t n_touched; /* pages past these were never taken */
};

/* Room for limit_bytes of pages, at least one. Errors: CRITIC_NO_MEMORY. */
enum critic_status cr_kv_init(struct cr_kv_pool *pool, const struct cr_kv_layout *layout,
                              size_t limit_bytes, critic_error *err);
void cr_kv_fini(struct cr_kv_pool *pool);
/* A page of zeros with one reference, or NULL when the pool is used up. */
unsigned char *cr_kv_take(struct cr_kv_pool *pool);
void cr_kv_share(struct cr_kv_pool *pool, unsigned char *page);
void cr_kv_drop(struct cr_kv_pool *pool, unsigned char *page);
bool cr_kv_is_shared(const struct cr_kv_pool *pool, const unsigned char *page);

#endif
