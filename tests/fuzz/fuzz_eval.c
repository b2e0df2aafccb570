/* Any bytes as a judge's reply, by every official parse rule, and as each kind of file of src/eval. */
#define _GNU_SOURCE
#include <math.h>

#include "base/checked.h"
#include "eval/mmbench.h"
#include "eval/pairs.h"
#include "eval/pope.h"
#include "eval/reviews.h"
#include "eval/rules.h"
#include "memory_file.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void read_as_reply(struct cr_str s) {
    double pair[2] = {0, 0};
    double score = 0;
    unsigned number;
    char order[26];
    const struct cr_str options[CR_MMBENCH_OPTIONS] = {{"cat", 3}, {"dog", 3}};
    CR_ASSERT(!cr_rule_pair_llava(s, pair) || (isfinite(pair[0]) && isfinite(pair[1])));
    CR_ASSERT(!cr_rule_pair_llava(s, pair) || cr_rule_pair_wilder(s, pair));
    CR_ASSERT(!cr_rule_pair_robust(s, pair) || isfinite(pair[1]));
    (void)cr_rule_pair_lmms(s, pair);
    CR_ASSERT(cr_rule_arena(s) == CR_ARENA_NONE ||
              cr_rule_arena(s) == cr_rule_arena_lmms(s));
    (void)cr_rule_vlrb(s, &number);
    CR_ASSERT(!cr_rule_letter_robust(s) || cr_rule_letter(s));
    CR_ASSERT(!cr_rule_mmhal(s, &score) || (score >= 0 && score <= 6));
    CR_ASSERT(!cr_rule_mmvet_vlmeval(s, &score) || (score >= 0 && score <= 1));
    CR_ASSERT(!cr_rule_mmvet_lmms(s, &score) || (score >= 0 && score <= 1));
    CR_ASSERT(!cr_rule_video_dc(s, &score) || score == floor(score));
    (void)cr_rule_batch(s, 4, order);
    (void)cr_rule_mme(s);
    (void)cr_rule_mme_lmms(s);
    (void)cr_rule_pope(s);
    (void)cr_rule_pope_exact(s);
    (void)cr_rule_yes_robust(s);
    for (int r = 0; r < CR_N_MMBENCH_RULES; r++) {
        char c = cr_mmbench_read((enum cr_mmbench_rule)r, s, options);
        CR_ASSERT(c == 0 || c == 'Z' || (c >= 'A' && c <= 'E'));
    }
}

static void read_as_file(const char *path) {
    const struct cr_pair_keys keys = {"judge", "reference", NULL, NULL};
    struct cr_faults faults = {0};
    struct cr_reviews reviews;
    struct cr_pope pope;
    struct cr_mmbench mmbench;
    struct cr_pairs pairs;
    critic_error err = {0};
    if (cr_reviews_read(&reviews, path, &faults, &err) == CRITIC_OK)
        CR_ASSERT(reviews.n > 0);
    cr_reviews_fini(&reviews);
    (void)cr_pope_score(&pope, path, path, &faults, &err);
    cr_pope_fini(&pope);
    (void)cr_mmbench_score(&mmbench, path, &faults, &err);
    cr_mmbench_fini(&mmbench);
    if (cr_pairs_read(&pairs, path, &keys, &faults, &err) == CRITIC_OK)
        CR_ASSERT(pairs.n > 0 && pairs.n <= pairs.n_rows);
    cr_pairs_fini(&pairs);
    for (size_t i = 0; i < faults.n; i++)
        CR_ASSERT(faults.items[i].n > 0 && faults.items[i].message[0]);
    cr_faults_fini(&faults);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size > 1 << 14)
        return 0;
    read_as_reply((struct cr_str){(const char *)data, size});
    struct memory_file file = memory_file_make(data, size);
    read_as_file(file.path);
    memory_file_close(&file);
    return 0;
}
