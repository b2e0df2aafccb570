#include "eval/stats_rank.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "base/rng.h"
#include "eval/stats_solve.h"

#define MAX_PLAYERS 2048
#define MAX_STEPS   100

void cr_bt_options_default(struct cr_bt_options *o) {
    *o = (struct cr_bt_options){0, 1000, 400, 10};
}

double cr_elo_expected(double rating, double opponent, double scale, double base) {
    return 1 / (1 + pow(base, (opponent - rating) / scale));
}

static enum critic_status check(const struct cr_battle *battles, size_t n,
                                size_t n_players, critic_error *err) {
    if (n_players == 0 || n_players > MAX_PLAYERS)
        return cr_fail(err, CRITIC_BAD_ARGUMENT, "%zu players; expected 1 to %d",
                       n_players, MAX_PLAYERS);
    for (size_t i = 0; i < n; i++)
        if (battles[i].a >= n_players || battles[i].b >= n_players ||
            !(battles[i].won >= 0 && battles[i].won <= 1) ||
            !(battles[i].weight >= 0 && isfinite(battles[i].weight)))
            return cr_fail(err, CRITIC_BAD_ARGUMENT,
                           "battle %zu names a player or a result out of range", i);
    return CRITIC_OK;
}

/* ---- Bradley-Terry -------------------------------------------------------------------------- */

struct field {
    size_t n;          /* players */
    double *points;    /* (n, n): of the row against the column */
    double *theta;     /* n: natural-log strengths, the anchor's 0 */
    double *step;      /* n */
    double *system;    /* (n-1, n-1) at most */
    unsigned char *in; /* n: connected to the anchor */
    unsigned char *mark;
    size_t *stack;
    size_t *place; /* n: row of the system, SIZE_MAX outside */
};

static double met(const struct field *f, size_t i, size_t j) {
    return f->points[i * f->n + j] + f->points[j * f->n + i];
}

/* Marks whom the anchor reaches: along wins (+1), against them (-1), along any battle (0). */
static size_t reach(struct field *f, size_t from, int direction) {
    size_t n_stack = 0;
    size_t n_marked = 1;
    memset(f->mark, 0, f->n);
    f->mark[from] = 1;
    f->stack[n_stack++] = from;
    while (n_stack > 0) {
        size_t i = f->stack[--n_stack];
        for (size_t j = 0; j < f->n; j++) {
            double link = direction > 0   ? f->points[i * f->n + j]
                          : direction < 0 ? f->points[j * f->n + i]
                                          : met(f, i, j);
            if (f->mark[j] || !(link > 0))
                continue;
            f->mark[j] = 1;
            n_marked++;
            f->stack[n_stack++] = j;
        }
    }
    return n_marked;
}

/* log(1 + exp(t)) without overflow. */
static double softplus(double t) {
    return t > 0 ? t + log1p(exp(-t)) : log1p(exp(t));
}

static double log_likelihood(const struct field *f, const double *theta) {
    double sum = 0;
    for (size_t i = 0; i < f->n; i++)
        for (size_t j = 0; j < f->n; j++)
            if (f->in[i] && f->in[j] && f->points[i * f->n + j] > 0)
                sum -= f->points[i * f->n + j] * softplus(theta[j] - theta[i]);
    return sum;
}

/* Newton's system for the players but the anchor: (m, m) and the gradient in step. */
static void build_system(struct field *f, size_t m) {
    memset(f->system, 0, m * m * sizeof *f->system);
    memset(f->step, 0, m * sizeof *f->step);
    for (size_t i = 0; i < f->n; i++) {
        size_t row = f->place[i];
        if (row == SIZE_MAX)
            continue;
        for (size_t j = 0; j < f->n; j++) {
            double n_met = met(f, i, j);
            if (i == j || !(n_met > 0))
                continue;
            double p = 1 / (1 + exp(f->theta[j] - f->theta[i]));
            f->step[row] += f->points[i * f->n + j] - n_met * p;
            f->system[row * m + row] += n_met * p * (1 - p);
            if (f->place[j] != SIZE_MAX)
                f->system[row * m + f->place[j]] -= n_met * p * (1 - p);
        }
    }
}

static double advance(struct field *f, double *likelihood, double *next) {
    double scale = 1;
    for (int halvings = 0; halvings < 40; halvings++, scale /= 2) {
        double largest = 0;
        for (size_t i = 0; i < f->n; i++) {
            double d = f->place[i] == SIZE_MAX ? 0 : scale * f->step[f->place[i]];
            next[i] = f->theta[i] + d;
            largest = fmax(largest, fabs(d));
        }
        double value = log_likelihood(f, next);
        if (!(value >= *likelihood - 1e-13 * fabs(*likelihood)))
            continue;
        *likelihood = value;
        memcpy(f->theta, next, f->n * sizeof *next);
        return largest;
    }
    return 0;
}

static void maximise(struct field *f, size_t m, double *next, struct cr_bt *out) {
    double likelihood = log_likelihood(f, f->theta);
    for (out->n_steps = 0; out->n_steps < MAX_STEPS && m > 0; out->n_steps++) {
        build_system(f, m);
        if (!cr_cholesky(f->system, m))
            break;
        cr_cholesky_solve(f->system, m, f->step);
        if (advance(f, &likelihood, next) < 1e-12)
            break;
    }
}

static void smooth(struct field *f) {
    for (size_t i = 0; i < f->n; i++)
        for (size_t j = 0; j < i; j++)
            if (met(f, i, j) > 0) {
                f->points[i * f->n + j] += 0.5;
                f->points[j * f->n + i] += 0.5;
            }
}

static bool field_init(struct field *f, size_t n) {
    memset(f, 0, sizeof *f);
    f->n = n;
    f->points = calloc(2 * n * n + 4 * n, sizeof *f->points);
    f->in = calloc(n, 2);
    f->stack = calloc(n, 2 * sizeof *f->stack);
    if (!f->points || !f->in || !f->stack)
        return false;
    f->system = f->points + n * n;
    f->theta = f->system + n * n;
    f->step = f->theta + n;
    f->mark = f->in + n;
    f->place = f->stack + n;
    return true;
}

static void field_fini(struct field *f) {
    free(f->points);
    free(f->in);
    free(f->stack);
}

static void fit(struct field *f, struct cr_bt *out, const struct cr_bt_options *o,
                double *ratings) {
    size_t n_in = reach(f, o->anchor, 0);
    memcpy(f->in, f->mark, f->n);
    out->n_unconnected = f->n - n_in;
    out->smoothed = reach(f, o->anchor, 1) < n_in || reach(f, o->anchor, -1) < n_in;
    size_t m = 0;
    for (size_t i = 0; i < f->n; i++)
        f->place[i] = f->in[i] && i != o->anchor ? m++ : SIZE_MAX;
    if (out->smoothed)
        smooth(f);
    maximise(f, m, f->step + f->n, out);
    for (size_t i = 0; i < f->n; i++)
        ratings[i] = f->in[i] ? o->anchor_rating + o->scale * f->theta[i] / log(o->base)
                              : (double)NAN;
}

enum critic_status cr_bt_fit(struct cr_bt *out, double *ratings,
                             const struct cr_battle *battles, size_t n, size_t n_players,
                             const struct cr_bt_options *options, critic_error *err) {
    memset(out, 0, sizeof *out);
    CR_TRY(check(battles, n, n_players, err));
    if (options->anchor >= n_players)
        return cr_fail(err, CRITIC_BAD_ARGUMENT, "the anchor is no player");
    struct field f;
    if (!field_init(&f, n_players)) {
        field_fini(&f);
        return cr_fail(err, CRITIC_NO_MEMORY, "no memory for %zu players", n_players);
    }
    for (size_t i = 0; i < n; i++) {
        const struct cr_battle *b = &battles[i];
        if (b->a == b->b)
            continue; /* says nothing */
        f.points[b->a * n_players + b->b] += b->weight * b->won;
        f.points[b->b * n_players + b->a] += b->weight * (1 - b->won);
    }
    fit(&f, out, options, ratings);
    for (size_t i = 0; i < n; i++) {
        double t = f.theta[battles[i].b] - f.theta[battles[i].a];
        if (battles[i].a != battles[i].b && f.in[battles[i].a])
            out->log_likelihood -=
                battles[i].weight *
                (battles[i].won * softplus(t) + (1 - battles[i].won) * softplus(-t));
    }
    field_fini(&f);
    return CRITIC_OK;
}

/* ---- Elo ------------------------------------------------------------------------------------ */

static void play(double *ratings, const struct cr_battle *b, double k) {
    if (b->a == b->b)
        return;
    double expected = cr_elo_expected(ratings[b->a], ratings[b->b], 400, 10);
    double move = k * b->weight * (b->won - expected);
    ratings[b->a] += move;
    ratings[b->b] -= move;
}

enum critic_status cr_elo_online(double *ratings, const struct cr_battle *battles,
                                 size_t n, size_t n_players, double initial, double k,
                                 size_t n_shuffles, uint64_t seed, critic_error *err) {
    CR_TRY(check(battles, n, n_players, err));
    size_t n_rounds = CR_MAX(n_shuffles, (size_t)1);
    double *one = calloc(n_players, sizeof *one);
    size_t *order = calloc(n + 1, sizeof *order);
    if (!one || !order) {
        free(one);
        free(order);
        return cr_fail(err, CRITIC_NO_MEMORY, "no memory for %zu battles", n);
    }
    for (size_t i = 0; i < n_players; i++)
        ratings[i] = 0;
    for (size_t round = 0; round < n_rounds; round++) {
        struct cr_rng rng;
        cr_rng_seed_at(&rng, seed, round);
        for (size_t i = 0; i < n; i++)
            order[i] = i;
        for (size_t i = n; n_shuffles > 0 && i > 1; i--) {
            size_t j = (size_t)cr_rng_below(&rng, i);
            size_t swap = order[i - 1];
            order[i - 1] = order[j];
            order[j] = swap;
        }
        for (size_t i = 0; i < n_players; i++)
            one[i] = initial;
        for (size_t i = 0; i < n; i++)
            play(one, &battles[order[i]], k);
        for (size_t i = 0; i < n_players; i++)
            ratings[i] += one[i] / (double)n_rounds;
    }
    free(one);
    free(order);
    return CRITIC_OK;
}

/* ---- triads --------------------------------------------------------------------------------- */

enum critic_status cr_cyclic_triads(struct cr_stat *out, const struct cr_battle *battles,
                                    size_t n, size_t n_players, critic_error *err) {
    *out = cr_stat_undefined(cr_why_empty);
    CR_TRY(check(battles, n, n_players, err));
    double *lead = calloc(n_players * n_players, sizeof *lead);
    if (!lead)
        return cr_fail(err, CRITIC_NO_MEMORY, "no memory for %zu players", n_players);
    for (size_t i = 0; i < n; i++) {
        double d = battles[i].weight * (2 * battles[i].won - 1);
        lead[battles[i].a * n_players + battles[i].b] += d;
        lead[battles[i].b * n_players + battles[i].a] -= d;
    }
    size_t n_decided = 0, n_cyclic = 0;
    for (size_t i = 0; i < n_players; i++)
        for (size_t j = i + 1; j < n_players; j++)
            for (size_t k = j + 1; k < n_players; k++) {
                double ij = lead[i * n_players + j];
                double jk = lead[j * n_players + k];
                double ki = lead[k * n_players + i];
                if (ij == 0 || jk == 0 || ki == 0)
                    continue;
                n_decided++;
                n_cyclic += (ij > 0) == (jk > 0) && (jk > 0) == (ki > 0);
            }
    free(lead);
    if (n_decided > 0)
        *out = cr_stat_of((double)n_cyclic / (double)n_decided);
    return CRITIC_OK;
}
