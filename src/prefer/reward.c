#include "prefer/reward.h"

#include <math.h>

#include "base/error.h"

#define NONE ((double)NAN)

void cr_opinions_init(struct cr_opinions *o, size_t k) {
    CR_ASSERT(k <= CR_MAX_K);
    o->k = k;
    for (size_t i = 0; i < k; i++) {
        o->score[i] = NONE;
        for (size_t j = 0; j < k; j++)
            o->share[i][j] = NONE;
    }
}

double cr_opinions_share(const struct cr_opinions *o, size_t i, size_t j) {
    double first = o->share[i][j], second = 1 - o->share[j][i];
    if (isnan(first))
        return second;
    return isnan(second) ? first : (first + second) / 2;
}

double cr_opinions_order_gap(const struct cr_opinions *o) {
    double sum = 0;
    size_t n = 0;
    for (size_t i = 0; i < o->k; i++)
        for (size_t j = i + 1; j < o->k; j++) {
            double gap = fabs(o->share[i][j] - (1 - o->share[j][i]));
            if (!isnan(gap)) {
                sum += gap;
                n++;
            }
        }
    return n ? sum / (double)n : NONE;
}

/* Shown second against k: a_ki adds; shown first against l: a_il is taken off. */
static double paper_sum(const struct cr_opinions *o, size_t i) {
    double sum = 0;
    size_t n = 0;
    for (size_t k = 0; k < o->k; k++) {
        if (k == i)
            continue;
        if (!isnan(o->share[k][i])) {
            sum += 1 - 2 * o->share[k][i];
            n++;
        }
        if (!isnan(o->share[i][k])) {
            sum -= 1 - 2 * o->share[i][k];
            n++;
        }
    }
    return n ? sum * (double)(2 * (o->k - 1)) / (double)n : NONE;
}

static double mean_share(const struct cr_opinions *o, size_t i) {
    double sum = 0;
    size_t n = 0;
    for (size_t j = 0; j < o->k; j++) {
        double share = j == i ? NONE : cr_opinions_share(o, i, j);
        if (!isnan(share)) {
            sum += share;
            n++;
        }
    }
    return n ? sum / (double)n : NONE;
}

#define PRIOR    0.1
#define MM_STEPS 1000
#define MM_CLOSE 1e-12

/* One step of s_i = wins_i / sum_j games_ij / (s_i + s_j); the largest relative change. */
static double mm_step(const struct cr_opinions *o, double *s) {
    double next[CR_MAX_K], change = 0, log_mean = 0;
    size_t n = 0;
    for (size_t i = 0; i < o->k; i++) {
        double wins = 0, weight = 0;
        for (size_t j = 0; j < o->k; j++) {
            double share = j == i ? NONE : cr_opinions_share(o, i, j);
            if (isnan(share))
                continue;
            wins += share + PRIOR / 2;
            weight += (1 + PRIOR) / (s[i] + s[j]);
        }
        next[i] = weight > 0 ? wins / weight : NONE;
        if (!isnan(next[i])) {
            log_mean += log(next[i]);
            n++;
        }
    }
    double centre = n ? exp(log_mean / (double)n) : 1;
    for (size_t i = 0; i < o->k; i++) {
        if (isnan(next[i]))
            continue;
        change = fmax(change, fabs(next[i] / centre - s[i]) / s[i]);
        s[i] = next[i] / centre;
    }
    return change;
}

static void bradley_terry(const struct cr_opinions *o, double *reward) {
    double strength[CR_MAX_K];
    for (size_t i = 0; i < o->k; i++)
        strength[i] = 1;
    for (size_t step = 0; step < MM_STEPS && mm_step(o, strength) > MM_CLOSE; step++)
        ;
    for (size_t i = 0; i < o->k; i++)
        reward[i] = isnan(mean_share(o, i)) ? NONE : log(strength[i]);
}

void cr_rewards(const struct cr_opinions *o, enum cr_reward_kind kind, double *reward) {
    if (kind == CR_REWARD_BRADLEY_TERRY) {
        bradley_terry(o, reward);
        return;
    }
    for (size_t i = 0; i < o->k; i++)
        reward[i] = kind == CR_REWARD_SUM   ? paper_sum(o, i)
                    : kind == CR_REWARD_WIN ? mean_share(o, i)
                                            : o->score[i];
}
