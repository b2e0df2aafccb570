#include "prefer/select.h"

#include <math.h>
#include <stdint.h>
#include <stdlib.h>

#include "base/error.h"
#include "base/hash.h"

const char *cr_drop_name(enum cr_drop drop) {
    static const char *const names[] = {[CR_KEPT] = "kept",
                                        [CR_DROP_EMPTY] = "empty",
                                        [CR_DROP_TRUNCATED] = "truncated",
                                        [CR_DROP_DUPLICATE] = "duplicate",
                                        [CR_DROP_UNSCORED] = "unscored"};
    return names[drop];
}

/* ---- likeness ---------------------------------------------------------------------------- */

/* Of very long answers the beginning decides. */
#define MAX_WORDS 4096

static bool is_word_byte(unsigned char c) {
    return c >= 0x80 || (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') ||
           (c >= 'A' && c <= 'Z');
}

/* The next word from *at on, as a hash with capitals lowered; 0 at the end. */
static uint64_t next_word(struct cr_str s, size_t *at) {
    struct cr_hash h;
    uint64_t value[2];
    cr_hash_init(&h, 0);
    while (*at < s.len && !is_word_byte((unsigned char)s.data[*at]))
        ++*at;
    if (*at == s.len)
        return 0;
    for (; *at < s.len && is_word_byte((unsigned char)s.data[*at]); ++*at) {
        char c = s.data[*at];
        if (c >= 'A' && c <= 'Z')
            c = (char)(c - 'A' + 'a');
        cr_hash_update(&h, &c, 1);
    }
    cr_hash_final(&h, value);
    return value[0] | 1;
}

static int by_value(const void *a, const void *b) {
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

/* The sorted set of adjacent word pairs; of a single word, the word. */
static size_t pair_set(struct cr_str s, uint64_t *set) {
    size_t at = 0, n = 0;
    uint64_t word = next_word(s, &at), first = word;
    for (uint64_t next; word && n < MAX_WORDS && (next = next_word(s, &at)); word = next)
        set[n++] = word * 0x9E3779B97F4A7C15u + next;
    if (n == 0 && first)
        set[n++] = first;
    qsort(set, n, sizeof *set, by_value);
    size_t kept = 0;
    for (size_t i = 0; i < n; i++)
        if (kept == 0 || set[kept - 1] != set[i])
            set[kept++] = set[i];
    return kept;
}

double cr_text_overlap(struct cr_str a, struct cr_str b) {
    uint64_t x[MAX_WORDS], y[MAX_WORDS];
    size_t n_x = pair_set(a, x), n_y = pair_set(b, y), common = 0;
    for (size_t i = 0, j = 0; i < n_x && j < n_y;) {
        if (x[i] == y[j]) {
            common++;
            i++;
            j++;
        } else if (x[i] < y[j]) {
            i++;
        } else {
            j++;
        }
    }
    size_t all = n_x + n_y - common;
    return all ? (double)common / (double)all : 1;
}

/* ---- selection --------------------------------------------------------------------------- */

static bool is_blank(struct cr_str s) {
    for (size_t i = 0; i < s.len; i++)
        if ((unsigned char)s.data[i] > ' ')
            return false;
    return true;
}

/* The earlier candidate that i repeats, i itself where there is none. */
static size_t twin_of(const struct cr_candidate *c, size_t i, double near_same) {
    for (size_t j = 0; j < i; j++)
        if (c[j].drop == CR_KEPT && (cr_str_eq(c[i].text, c[j].text) ||
                                     cr_text_overlap(c[i].text, c[j].text) >= near_same))
            return j;
    return i;
}

size_t cr_select_texts(struct cr_candidate *c, size_t k,
                       const struct cr_select_opts *opts, size_t *twin) {
    size_t n_kept = 0;
    CR_ASSERT(k <= CR_MAX_K);
    for (size_t i = 0; i < k; i++) {
        twin[i] = i;
        if (is_blank(c[i].text))
            c[i].drop = CR_DROP_EMPTY;
        else if (c[i].truncated && !opts->keep_truncated)
            c[i].drop = CR_DROP_TRUNCATED;
        else
            c[i].drop = (twin[i] = twin_of(c, i, opts->near_same)) == i
                            ? CR_KEPT
                            : CR_DROP_DUPLICATE;
        n_kept += c[i].drop == CR_KEPT;
    }
    return n_kept;
}

static int by_margin(const void *a, const void *b) {
    const struct cr_preference *x = a, *y = b;
    if (x->margin != y->margin)
        return x->margin < y->margin ? 1 : -1;
    if (x->chosen != y->chosen)
        return x->chosen < y->chosen ? -1 : 1;
    return (x->rejected > y->rejected) - (x->rejected < y->rejected);
}

size_t cr_select_pairs(struct cr_candidate *c, size_t k,
                       const struct cr_select_opts *opts, struct cr_preference *pairs,
                       size_t *best) {
    size_t n = 0, worst = k;
    CR_ASSERT(k <= CR_MAX_K);
    *best = k;
    for (size_t i = 0; i < k; i++) {
        if (c[i].drop == CR_KEPT && isnan(c[i].reward))
            c[i].drop = CR_DROP_UNSCORED;
        if (c[i].drop != CR_KEPT)
            continue;
        if (*best == k || c[i].reward > c[*best].reward)
            *best = i;
        if (worst == k || c[i].reward < c[worst].reward)
            worst = i;
    }
    for (size_t i = 0; i < k; i++)
        for (size_t j = 0; j < k; j++) {
            bool kept = c[i].drop == CR_KEPT && c[j].drop == CR_KEPT;
            bool wanted = opts->pairing == CR_PAIR_ALL || (i == *best && j == worst);
            double margin = kept ? c[i].reward - c[j].reward : 0;
            if (wanted && margin > 0 && margin > opts->min_margin)
                pairs[n++] = (struct cr_preference){i, j, margin};
        }
    qsort(pairs, n, sizeof *pairs, by_margin);
    return n;
}
