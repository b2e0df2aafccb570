/* Which items of a benchmark are judged: a sample, a shard. */
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "eval/exam_group.h"

/* Keeps the items that `wanted` marks, in order. */
static void keep_marked(struct cr_exam_set *set, const bool *wanted) {
    size_t n = 0;
    for (size_t i = 0; i < set->n; i++)
        if (wanted[i])
            set->items[n++] = set->items[i];
    set->n = n;
}

static int compare_ranks(const void *a, const void *b) {
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

/* So many of each group as its share asks for (largest remainders), drawn by a hash of seed and
 * id: the draw of an item does not depend on the others. */
enum critic_status cr_exam_take_sample(struct cr_exam_set *set, size_t n, uint64_t seed,
                                       critic_error *err) {
    if (n == 0 || n >= set->n)
        return CRITIC_OK;
    struct cr_group_count *groups = NULL;
    size_t n_groups = 0;
    bool *wanted = calloc(set->n, sizeof *wanted);
    uint64_t(*keys)[2] = calloc(set->n, sizeof *keys);
    enum critic_status status = CRITIC_OK;
    if (!wanted || !keys)
        status = cr_fail(err, CRITIC_NO_MEMORY, "no memory for a sample");
    if (status == CRITIC_OK)
        status = cr_exam_count_groups(set, &groups, &n_groups, err);
    if (status == CRITIC_OK)
        cr_exam_share_out(groups, n_groups, set->n, n);
    for (size_t g = 0; status == CRITIC_OK && g < n_groups; g++) {
        size_t m = 0;
        for (size_t i = 0; i < set->n; i++) {
            struct cr_str id = set->items[i].item.id;
            struct cr_hash h;
            if (strcmp(cr_exam_group_name(&set->items[i]), groups[g].name) != 0)
                continue;
            cr_hash_init(&h, seed);
            cr_hash_update(&h, id.data, id.len);
            cr_hash_final(&h, keys[m]);
            keys[m++][1] = i;
        }
        qsort(keys, m, sizeof *keys, compare_ranks);
        for (size_t k = 0; k < groups[g].share; k++)
            wanted[keys[k][1]] = true;
    }
    if (status == CRITIC_OK)
        keep_marked(set, wanted);
    free(groups);
    free(wanted);
    free(keys);
    return status;
}

void cr_exam_take_shard(struct cr_exam_set *set, size_t shard, size_t n_shards) {
    size_t n = 0;
    if (n_shards == 0)
        return;
    for (size_t i = 0; i < set->n; i++)
        if (i % n_shards == shard)
            set->items[n++] = set->items[i];
    set->n = n;
}
