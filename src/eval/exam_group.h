/* Groups of items: the benchmarks' rules, sizes, and shares of a sample. */
#ifndef CR_EVAL_BENCH_GROUP_H
#define CR_EVAL_BENCH_GROUP_H

#include "eval/exam.h"

/* The group of an item, in the arena or constant. `value` is the row's group field (NULL: none),
 * `index` the item's place in the file from 0. NULL: none. */
const char *cr_exam_group(struct cr_arena *a, enum cr_group_rule rule, struct cr_str id,
                          const char *value, size_t index);
/* "" where the item has none. */
const char *cr_exam_group_name(const struct cr_exam_item *item);

struct cr_group_count {
    const char *name;
    size_t n;
    size_t share; /* of a sample */
};
/* Groups in order of name; malloc'ed. Errors: CRITIC_NO_MEMORY. */
enum critic_status cr_exam_count_groups(const struct cr_exam_set *set,
                                        struct cr_group_count **out, size_t *n,
                                        critic_error *err);
/* Sets share so that the shares sum to `sample` <= n_items, each as near as can be to its part
 * (largest remainders; of equal ones the first). */
void cr_exam_share_out(struct cr_group_count *groups, size_t n_groups, size_t n_items,
                       size_t sample);
/* exam_sample.c: keeps n items, every group in its share, drawn by a hash of seed and id; 0: all.
 * Errors: CRITIC_NO_MEMORY. */
enum critic_status cr_exam_take_sample(struct cr_exam_set *set, size_t n, uint64_t seed,
                                       critic_error *err);
/* Keeps items shard, shard + n_shards, …; n_shards 0: all. */
void cr_exam_take_shard(struct cr_exam_set *set, size_t shard, size_t n_shards);
/* Fills set->groups and set->is_published. */
enum critic_status cr_exam_describe_groups(struct cr_exam_set *set, critic_error *err);

#endif
