#include "text/bpe.h"

#include "base/checked.h"
#include "base/rng.h"
#include "t.h"

enum { N_LETTERS = 4, N_MERGES = 60 };

/* Random merges over a few letters; joined tokens take part in later merges. */
static void random_merges(struct cr_bpe *b, struct cr_rng *rng) {
    critic_error err;
    T_OK(cr_bpe_init(b, N_MERGES, &err));
    for (int i = 0; i < N_LETTERS; i++)
        b->byte_ids['a' + i] = i;
    for (int i = 0; i < N_MERGES; i++) {
        uint64_t known = N_LETTERS + (uint64_t)i;
        cr_bpe_add(b, (int32_t)cr_rng_below(rng, known),
                   (int32_t)cr_rng_below(rng, known), (uint32_t)i, N_LETTERS + i);
    }
}

/* The definition: look at all pairs, join the leftmost of the lowest rank, start again. */
static size_t merge_plainly(const struct cr_bpe *b, const char *word, size_t n,
                            int32_t *ids) {
    for (size_t i = 0; i < n; i++)
        ids[i] = b->byte_ids[(unsigned char)word[i]];
    for (;;) {
        const struct cr_merge *best = NULL;
        size_t at = 0;
        for (size_t i = 0; i + 1 < n; i++) {
            uint64_t pair = (uint64_t)(uint32_t)ids[i] << 32 | (uint32_t)ids[i + 1];
            for (size_t k = 0; k < b->n_slots; k++) {
                const struct cr_merge *m = &b->slots[k];
                if (m->pair == pair && (!best || m->rank < best->rank)) {
                    best = m;
                    at = i;
                }
            }
        }
        if (!best)
            return n;
        ids[at] = best->joined;
        n--;
        memmove(ids + at + 1, ids + at + 2, (n - at - 1) * sizeof *ids);
    }
}

static void test_equals_definition(void **state) {
    (void)state;
    critic_error err;
    struct cr_rng rng;
    struct cr_bpe_scratch scratch = {0};
    struct cr_ids ids;
    cr_rng_seed(&rng, t_seed(1));
    cr_ids_init(&ids);
    for (size_t round = 0; round < 60; round++) {
        struct cr_bpe b;
        random_merges(&b, &rng);
        for (size_t len = 1; len < 100; len += 1 + cr_rng_below(&rng, 6)) {
            char word[100];
            int32_t expected[100];
            for (size_t i = 0; i < len; i++)
                word[i] = (char)('a' + (round % 3 ? cr_rng_below(&rng, N_LETTERS) : 0));
            size_t n = merge_plainly(&b, word, len, expected);
            cr_ids_clear(&ids);
            T_OK(cr_bpe_word(&b, &scratch, (struct cr_str){word, len}, &ids, &err));
            assert_int_equal(ids.len, n);
            assert_memory_equal(ids.data, expected, n * sizeof *expected);
        }
        cr_bpe_fini(&b);
    }
    cr_ids_fini(&ids);
    cr_bpe_scratch_fini(&scratch);
}

/* Work on one word grows as n log n: counted, not timed. */
static void test_long_words(void **state) {
    (void)state;
    critic_error err;
    struct cr_rng rng;
    cr_rng_seed(&rng, t_seed(2));
    for (int kind = 0; kind < 3; kind++) {
        struct cr_bpe b;
        random_merges(&b, &rng);
        cr_bpe_add(&b, 0, 0, 0, N_LETTERS); /* "aa" merges in any case */
        const size_t len = (size_t)1 << 20;
        char *word = malloc(len);
        assert_non_null(word);
        for (size_t i = 0; i < len; i++)
            word[i] = (char)('a' + (kind == 0   ? 0
                                    : kind == 1 ? i % N_LETTERS
                                                : cr_rng_below(&rng, N_LETTERS)));
        struct cr_bpe_scratch scratch = {0};
        struct cr_ids ids;
        cr_ids_init(&ids);
        T_OK(cr_bpe_word(&b, &scratch, (struct cr_str){word, len}, &ids, &err));
        assert_true(ids.len > 0 && ids.len <= len);
        assert_true(scratch.n_steps < 3 * 20 * (uint64_t)len);
        cr_ids_fini(&ids);
        cr_bpe_scratch_fini(&scratch);
        free(word);
        cr_bpe_fini(&b);
    }
}

static void test_missing_byte(void **state) {
    (void)state;
    critic_error err;
    struct cr_bpe b;
    struct cr_bpe_scratch scratch = {0};
    struct cr_ids ids;
    char word[100];
    T_OK(cr_bpe_init(&b, 0, &err));
    cr_ids_init(&ids);
    b.byte_ids['x'] = 0;
    memset(word, 'x', sizeof word);
    T_OK(cr_bpe_word(&b, &scratch, (struct cr_str){word, sizeof word}, &ids, &err));
    assert_int_equal(ids.len, sizeof word);
    word[99] = 'y';
    T_FAILS(cr_bpe_word(&b, &scratch, (struct cr_str){word, sizeof word}, &ids, &err),
            CRITIC_BAD_DATA, "byte 0x79");
    T_FAILS(cr_bpe_word(&b, &scratch, (struct cr_str){word + 98, 2}, &ids, &err),
            CRITIC_BAD_DATA, "byte 0x79");
    cr_ids_fini(&ids);
    cr_bpe_scratch_fini(&scratch);
    cr_bpe_fini(&b);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_equals_definition),
        cmocka_unit_test(test_long_words),
        cmocka_unit_test(test_missing_byte),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
