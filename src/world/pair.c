/* Pairs of answers chosen by their numbers (critic.h): by how far apart they are, by which is
 * longer and by which stands first, so that none of the three tells which is better. */
#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "world/critic.h"

enum {
    POOL = 9,
    SPEAKERS = 5,
    TRIES = 6,
    EASY = CR_N_GAPS - 1,
    ANY_HARD = -1,
    ANYTHING = -2
};

const unsigned cr_gap_percent[CR_N_GAPS] = {20, 24, 22, 19, 15};
static const unsigned criterion_weights[CR_N_CRITERIA] = {44, 14, 14, 10, 9, 9};
static const unsigned skill_weights[6] = {10, 22, 25, 20, 13, 10};

int cr_gap_bin(int gap) {
    int g = abs(gap);
    return g == 0 ? 0 : g < 3 ? -1 : g < 10 ? 1 : g < 16 ? 2 : g < 30 ? 3 : 4;
}

static void fill_pool(struct cr_answer *pool, const struct cr_scene *s,
                      const struct cr_ask *ask, struct cr_rng *r, bool novel_ok) {
    for (unsigned i = 0; i < SPEAKERS; i++)
        cr_answer_speak(&pool[i], s, ask, cr_draw_weighted(r, skill_weights, 6), r,
                        novel_ok);
    for (unsigned i = SPEAKERS; i < POOL; i++) {
        pool[i] = pool[cr_draw(r, SPEAKERS)];
        cr_answer_vary(&pool[i], s, ask, r, novel_ok);
    }
}

/* What a pair must be like. */
struct wish {
    enum cr_criterion criterion;
    int bin;          /* of the gap; ANY_HARD: untied, not easy; ANYTHING */
    int longer_wins;  /* -1: either */
    int wordier_wins; /* the one in whole sentences; -1: either */
    bool dull_tie;    /* two full scores may tie */
};

static bool suits(const struct cr_answer *a, const struct cr_answer *b,
                  const struct wish *w) {
    int gap = a->scores[w->criterion] - b->scores[w->criterion];
    int bin = cr_gap_bin(gap);
    if (strcmp(a->text, b->text) == 0 || bin < 0)
        return false;
    if (w->bin >= 0 && bin != w->bin)
        return false;
    if (w->bin == ANY_HARD && (bin == 0 || bin == EASY))
        return false;
    if (gap == 0)
        return w->dull_tie || a->scores[w->criterion] < 100;
    if (w->wordier_wins >= 0 && a->sentences != b->sentences)
        return ((gap > 0) == a->sentences) == (w->wordier_wins == 1);
    if (w->longer_wins < 0 || a->len == b->len)
        return true;
    return ((gap > 0) == (a->len > b->len)) == (w->longer_wins == 1);
}

static bool choose(struct cr_pair *out, const struct cr_answer *pool,
                   const struct wish *w, struct cr_rng *r) {
    uint8_t found[POOL * POOL][2];
    unsigned n = 0;
    for (unsigned i = 0; i < POOL; i++)
        for (unsigned k = 0; k < POOL; k++)
            if (i != k && suits(&pool[i], &pool[k], w)) {
                found[n][0] = (uint8_t)i;
                found[n++][1] = (uint8_t)k;
            }
    if (n == 0)
        return false;
    unsigned at = cr_draw(r, n);
    out->answers[0] = pool[found[at][0]];
    out->answers[1] = pool[found[at][1]];
    return true;
}

static void set_gap(struct cr_pair *p) {
    p->gap = p->answers[0].scores[p->criterion] - p->answers[1].scores[p->criterion];
}

static void exchange(struct cr_pair *p) {
    struct cr_answer a = p->answers[0];
    p->answers[0] = p->answers[1];
    p->answers[1] = a;
    p->gap = -p->gap;
}

void cr_pair_draw(struct cr_pair *out, const struct cr_scene *s, struct cr_rng *r,
                  bool want_first, bool novel_ok) {
    struct cr_answer pool[POOL];
    struct wish w = {.criterion = (enum cr_criterion)cr_draw_weighted(
                         r, criterion_weights, CR_N_CRITERIA),
                     .bin = (int)cr_draw_weighted(r, cr_gap_percent, CR_N_GAPS),
                     .longer_wins = cr_chance(r, 60), /* padding pulls the other way */
                     .wordier_wins = cr_chance(r, 50),
                     .dull_tie = cr_chance(r, 30)};
    for (unsigned tries = 0;; tries++) {
        cr_ask_draw(&out->ask, s, r, novel_ok);
        fill_pool(pool, s, &out->ask, r, novel_ok);
        if (choose(out, pool, &w, r))
            break;
        /* Some wishes a scene cannot fulfil: they are given up one after the other. */
        if (tries == TRIES) {
            w.criterion = CR_OVERALL;
        } else if (tries == 2 * TRIES) {
            w.bin = w.bin == 0 ? 0 : ANY_HARD;
            w.dull_tie = true;
        } else if (tries > 4 * TRIES) {
            w.bin = ANYTHING;
            w.longer_wins = w.wordier_wins = -1;
        }
    }
    out->criterion = w.criterion;
    out->is_swap = false;
    set_gap(out);
    if (out->gap != 0 && (out->gap > 0) != want_first)
        exchange(out);
}

bool cr_pair_swap(struct cr_pair *pair, struct cr_rng *r) {
    unsigned start = cr_draw(r, CR_N_CRITERIA);
    for (unsigned i = 0; i < CR_N_CRITERIA; i++) {
        enum cr_criterion c = (enum cr_criterion)((start + i) % CR_N_CRITERIA);
        int gap = pair->answers[0].scores[c] - pair->answers[1].scores[c];
        int old = pair->gap > 0 ? 1 : pair->gap < 0 ? -1 : 0;
        int new = gap > 0 ? 1 : gap < 0 ? -1 : 0;
        int bin = cr_gap_bin(gap);
        /* Two that tie by one criterion and not by the other are common; opposite orders are not. */
        if (c == pair->criterion || new == old || bin < 0)
            continue;
        if ((bin == EASY && cr_chance(r, 60)) || (old * new == 0 && cr_chance(r, 75)))
            continue;
        pair->criterion = c;
        pair->gap = gap;
        pair->is_swap = true;
        return true;
    }
    return false;
}
