/* Bootstrap of statistics of sums (stats_boot.h). Three ways to draw, by what the units allow:
 * counts of equal units, units one by one, bags. */
#include <math.h>
#include <omp.h>
#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "base/rng.h"
#include "eval/stats_boot_impl.h"
#include "eval/stats_draw.h"

#define MAX_KINDS      1024 /* different units that are drawn by their counts */
#define MAX_ONE_BY_ONE 1e9  /* unit draws */
#define N_BAGS         20

struct sums {
    size_t n, k;         /* units, terms */
    const double *terms; /* (n, k) */
    double *total;       /* k */
    cr_boot_of_sums statistic;
    const void *user;
    const struct cr_boot_options *o;
};

/* ---- equal units ---------------------------------------------------------------------------- */

struct kinds {
    size_t n;
    size_t first[MAX_KINDS]; /* a unit of the kind */
    size_t count[MAX_KINDS];
};

static uint64_t hash_row(const double *row, size_t k) {
    uint64_t h = 0;
    for (size_t j = 0; j < k; j++) {
        uint64_t bits;
        double value = row[j] == 0 ? 0 : row[j]; /* -0 is 0 */
        memcpy(&bits, &value, sizeof bits);
        h = cr_hash_u64(h ^ bits);
    }
    return h;
}

static bool same_row(const double *a, const double *b, size_t k) {
    for (size_t j = 0; j < k; j++)
        if (a[j] != b[j])
            return false;
    return true;
}

/* false: more kinds than pay. */
static bool find_kinds(struct kinds *kinds, const struct sums *s) {
    uint16_t slot[4 * MAX_KINDS] = {0}; /* index + 1 */
    size_t most = CR_MIN((size_t)MAX_KINDS, s->n / 8);
    kinds->n = 0;
    for (size_t i = 0; i < s->n; i++) {
        const double *row = s->terms + i * s->k;
        size_t at = hash_row(row, s->k) % CR_COUNT(slot);
        while (slot[at] &&
               !same_row(s->terms + kinds->first[slot[at] - 1] * s->k, row, s->k))
            at = (at + 1) % CR_COUNT(slot);
        if (!slot[at]) {
            if (kinds->n == most)
                return false;
            kinds->first[kinds->n] = i;
            kinds->count[kinds->n++] = 0;
            slot[at] = (uint16_t)kinds->n;
        }
        kinds->count[slot[at] - 1]++;
    }
    return true;
}

/* A multinomial draw, one conditional binomial a kind. */
static double draw_kinds(const struct sums *s, const struct kinds *kinds, size_t draw) {
    struct cr_rng rng;
    double sums[CR_BOOT_MAX_TERMS] = {0};
    size_t left = s->n, left_units = s->n;
    cr_rng_seed_at(&rng, s->o->seed, draw);
    for (size_t i = 0; i < kinds->n && left > 0; i++) {
        size_t n =
            cr_draw_binomial(&rng, left, (double)kinds->count[i] / (double)left_units);
        const double *row = s->terms + kinds->first[i] * s->k;
        for (size_t j = 0; j < s->k; j++)
            sums[j] += (double)n * row[j];
        left -= n;
        left_units -= kinds->count[i];
    }
    return s->statistic(sums, s->k, s->user);
}

/* ---- one by one ----------------------------------------------------------------------------- */

static double draw_units(const struct sums *s, size_t draw) {
    struct cr_rng rng;
    double sums[CR_BOOT_MAX_TERMS] = {0};
    cr_rng_seed_at(&rng, s->o->seed, draw);
    for (size_t i = 0; i < s->n; i++) {
        const double *row = s->terms + (size_t)cr_rng_below(&rng, s->n) * s->k;
        for (size_t j = 0; j < s->k; j++)
            sums[j] += row[j];
    }
    return s->statistic(sums, s->k, s->user);
}

/* ---- bags ----------------------------------------------------------------------------------- */

/* Poisson weights of mean n/b on the bag's b units; the sums are brought to n units. */
static double draw_bag(const struct sums *s, const double *bag, size_t b,
                       const struct cr_poisson *weights, size_t draw) {
    struct cr_rng rng;
    double sums[CR_BOOT_MAX_TERMS] = {0};
    double total = 0;
    uint64_t bits = 0;
    cr_rng_seed_at(&rng, s->o->seed, draw);
    for (size_t i = 0; i < b; i++) {
        bits = i % 2 ? bits >> 32 : cr_rng_u64(&rng);
        double w = cr_poisson_of(weights, (uint32_t)bits);
        total += w;
        for (size_t j = 0; j < s->k; j++)
            sums[j] += w * bag[i * s->k + j];
    }
    for (size_t j = 0; j < s->k; j++)
        sums[j] *= (double)s->n / total;
    return s->statistic(sums, s->k, s->user);
}

static double bag_estimate(const struct sums *s, const double *bag, size_t b) {
    double sums[CR_BOOT_MAX_TERMS] = {0};
    for (size_t i = 0; i < b; i++)
        for (size_t j = 0; j < s->k; j++)
            sums[j] += bag[i * s->k + j] * (double)s->n / (double)b;
    return s->statistic(sums, s->k, s->user);
}

/* A random b of the n units, without repeats. order: n indices, any order to begin with. */
static void fill_bag(const struct sums *s, double *bag, size_t b, uint32_t *order,
                     uint64_t index) {
    struct cr_rng rng;
    cr_rng_seed_at(&rng, cr_hash_u64(s->o->seed), index);
    for (size_t i = 0; i < b; i++) {
        size_t j = i + (size_t)cr_rng_below(&rng, s->n - i);
        uint32_t swap = order[i];
        order[i] = order[j];
        order[j] = swap;
        memcpy(bag + i * s->k, s->terms + order[i] * s->k, s->k * sizeof *bag);
    }
}

static bool resample_bags(const struct sums *s, double estimate, double *values) {
    size_t b = (size_t)pow((double)s->n, 0.7);
    double *bag = calloc(b, s->k * sizeof *bag);
    uint32_t *order = calloc(s->n, sizeof *order);
    struct cr_poisson weights;
    bool done = bag && order;
    cr_poisson_init(&weights, (double)s->n / (double)b);
    for (size_t i = 0; done && i < s->n; i++)
        order[i] = (uint32_t)i;
    for (size_t g = 0; done && g < N_BAGS; g++) {
        size_t start = g * s->o->n_draws / N_BAGS;
        size_t end = (g + 1) * s->o->n_draws / N_BAGS;
        fill_bag(s, bag, b, order, g);
        double shift = estimate - bag_estimate(s, bag, b);
#pragma omp parallel for num_threads(cr_boot_threads(s->o)) schedule(static)
        for (size_t d = start; d < end; d++)
            values[d] = draw_bag(s, bag, b, &weights, d) + shift;
    }
    free(bag);
    free(order);
    return done;
}

/* ---- all of it ------------------------------------------------------------------------------ */

static double acceleration_of(const struct sums *s) {
    double *jackknife = calloc(s->n, sizeof *jackknife);
    if (!jackknife)
        return NAN; /* percentile then */
#pragma omp parallel for num_threads(cr_boot_threads(s->o)) schedule(static)
    for (size_t i = 0; i < s->n; i++) {
        double sums[CR_BOOT_MAX_TERMS];
        for (size_t j = 0; j < s->k; j++)
            sums[j] = s->total[j] - s->terms[i * s->k + j];
        jackknife[i] = s->statistic(sums, s->k, s->user);
    }
    double acceleration = cr_boot_acceleration(jackknife, s->n);
    free(jackknife);
    return acceleration;
}

static bool resample(struct cr_boot *out, const struct sums *s) {
    const struct cr_boot_options *o = s->o;
    double *values = calloc(o->n_draws, sizeof *values);
    struct kinds *kinds = malloc(sizeof *kinds);
    bool done = values && kinds;
    double acceleration = NAN;
    if (done && find_kinds(kinds, s)) {
#pragma omp parallel for num_threads(cr_boot_threads(o)) schedule(static)
        for (size_t d = 0; d < o->n_draws; d++)
            values[d] = draw_kinds(s, kinds, d);
    } else if (done && (double)s->n * (double)o->n_draws <= MAX_ONE_BY_ONE) {
#pragma omp parallel for num_threads(cr_boot_threads(o)) schedule(static)
        for (size_t d = 0; d < o->n_draws; d++)
            values[d] = draw_units(s, d);
    } else if (done) {
        done = resample_bags(s, out->estimate.value, values);
        out->how = "little bags";
    }
    bool bags = strcmp(out->how, "little bags") == 0;
    if (done && o->method == CR_BOOT_BCA && !bags)
        acceleration = acceleration_of(s);
    if (done)
        cr_boot_finish(out, values, o, acceleration);
    free(values);
    free(kinds);
    return done;
}

/* The units' terms, empty clusters left out; NULL where memory is out. *n: units. */
static double *sum_clusters(const double *terms, size_t *n, size_t k,
                            const uint32_t *cluster, size_t n_clusters) {
    double *sums = calloc(n_clusters + 1, k * sizeof *sums);
    unsigned char *seen = calloc(n_clusters + 1, 1);
    if (sums && seen) {
        for (size_t i = 0; i < *n; i++) {
            seen[cluster[i]] = 1;
            for (size_t j = 0; j < k; j++)
                sums[cluster[i] * k + j] += terms[i * k + j];
        }
        *n = 0;
        for (size_t c = 0; c < n_clusters; c++)
            if (seen[c])
                memmove(sums + (*n)++ * k, sums + c * k, k * sizeof *sums);
    } else {
        free(sums);
        sums = NULL;
    }
    free(seen);
    return sums;
}

enum critic_status cr_boot_sums(struct cr_boot *out, const double *terms, size_t n,
                                size_t k, const uint32_t *cluster, size_t n_clusters,
                                cr_boot_of_sums statistic, const void *user,
                                const struct cr_boot_options *options,
                                critic_error *err) {
    double total[CR_BOOT_MAX_TERMS] = {0};
    struct sums s = {n, k, terms, total, statistic, user, options};
    double *own = NULL;
    cr_boot_start(out, NAN, 0);
    if (k == 0 || k > CR_BOOT_MAX_TERMS)
        return cr_fail(err, CRITIC_BAD_ARGUMENT, "%zu terms; expected 1 to %d", k,
                       CR_BOOT_MAX_TERMS);
    CR_TRY(cr_boot_check(n, cluster, n_clusters, options, err));
    if (cluster && !(own = sum_clusters(terms, &s.n, k, cluster, n_clusters)))
        return cr_fail(err, CRITIC_NO_MEMORY, "no memory for %zu clusters", n_clusters);
    if (own)
        s.terms = own;
    bool finite = true;
    for (size_t i = 0; i < s.n * k; i++) {
        total[i % k] += s.terms[i];
        finite = finite && isfinite(s.terms[i]);
    }
    cr_boot_start(out, s.n > 0 && finite ? statistic(total, k, user) : (double)NAN, s.n);
    if (!finite)
        out->estimate.why = out->interval.why = cr_why_nan;
    bool done = out->interval.why || resample(out, &s);
    free(own);
    if (!done)
        return cr_fail(err, CRITIC_NO_MEMORY, "no memory for a bootstrap of %zu units",
                       s.n);
    return CRITIC_OK;
}
