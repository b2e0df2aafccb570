/* Logistic regression by Newton's method (stats_bias.h). */
#include <math.h>
#include <string.h>

#include "eval/stats_bias.h"
#include "eval/stats_solve.h"

#define MAX_STEPS 60

struct fit {
    const double *x, *y;
    size_t n, k; /* k coefficients, the intercept first */
};

static double linear(const struct fit *f, size_t i, const double *coef) {
    double sum = coef[0];
    for (size_t j = 1; j < f->k; j++)
        sum += coef[j] * f->x[i * (f->k - 1) + j - 1];
    return sum;
}

/* log(1 + exp(t)) without overflow. */
static double softplus(double t) {
    return t > 0 ? t + log1p(exp(-t)) : log1p(exp(t));
}

static double log_likelihood(const struct fit *f, const double *coef) {
    double sum = 0;
    for (size_t i = 0; i < f->n; i++) {
        double t = linear(f, i, coef);
        sum += f->y[i] * t - softplus(t);
    }
    return sum;
}

/* Gradient, and the information matrix (k, k) in full. */
static void derivatives(const struct fit *f, const double *coef, double *gradient,
                        double *information) {
    memset(gradient, 0, f->k * sizeof *gradient);
    memset(information, 0, f->k * f->k * sizeof *information);
    for (size_t i = 0; i < f->n; i++) {
        double p = 1 / (1 + exp(-linear(f, i, coef)));
        double row[CR_LOGISTIC_MAX] = {1};
        for (size_t j = 1; j < f->k; j++)
            row[j] = f->x[i * (f->k - 1) + j - 1];
        for (size_t a = 0; a < f->k; a++) {
            gradient[a] += (f->y[i] - p) * row[a];
            for (size_t b = 0; b < f->k; b++)
                information[a * f->k + b] += p * (1 - p) * row[a] * row[b];
        }
    }
}

/* One step, halved until the likelihood does not fall. Returns its largest part. */
static double advance(const struct fit *f, double *coef, const double *step,
                      double *likelihood) {
    double scale = 1;
    double largest = 0;
    for (int halvings = 0; halvings < 30; halvings++, scale /= 2) {
        double next[CR_LOGISTIC_MAX];
        for (size_t j = 0; j < f->k; j++)
            next[j] = coef[j] + scale * step[j];
        double value = log_likelihood(f, next);
        if (!(value >= *likelihood - 1e-12 * fabs(*likelihood)))
            continue;
        *likelihood = value;
        memcpy(coef, next, f->k * sizeof *coef);
        for (size_t j = 0; j < f->k; j++)
            largest = fmax(largest, fabs(scale * step[j]));
        return largest;
    }
    return 0;
}

static const char *refuses(const struct fit *f) {
    bool low = false, high = false;
    if (f->n == 0)
        return cr_why_empty;
    if (f->n <= f->k)
        return cr_why_few;
    for (size_t i = 0; i < f->n; i++) {
        if (!isfinite(f->y[i]) || f->y[i] < 0 || f->y[i] > 1)
            return "an outcome is not in 0 to 1";
        low = low || f->y[i] < 1;
        high = high || f->y[i] > 0;
    }
    for (size_t i = 0; i < f->n * (f->k - 1); i++)
        if (!isfinite(f->x[i]))
            return cr_why_nan;
    return low && high ? NULL : cr_why_one_class;
}

static const char *maximise(struct cr_logistic *out, const struct fit *f) {
    double gradient[CR_LOGISTIC_MAX];
    double information[CR_LOGISTIC_MAX * CR_LOGISTIC_MAX];
    double step[CR_LOGISTIC_MAX];
    out->log_likelihood = log_likelihood(f, out->coef);
    for (out->n_steps = 0; out->n_steps < MAX_STEPS; out->n_steps++) {
        derivatives(f, out->coef, gradient, information);
        if (!cr_cholesky(information, f->k))
            return out->n_steps == 0 ? "the columns depend on each other"
                                     : cr_why_separated;
        memcpy(step, gradient, sizeof step);
        cr_cholesky_solve(information, f->k, step);
        double moved = advance(f, out->coef, step, &out->log_likelihood);
        if (moved < 1e-10) {
            for (size_t j = 0; j < f->k; j++) {
                double unit[CR_LOGISTIC_MAX] = {0};
                unit[j] = 1;
                cr_cholesky_solve(information, f->k, unit);
                out->error[j] = sqrt(unit[j]);
                if (fabs(out->coef[j]) * 1e-6 > 1 || out->error[j] > 1e4)
                    return cr_why_separated;
            }
            return NULL;
        }
    }
    return cr_why_separated;
}

enum critic_status cr_logistic_fit(struct cr_logistic *out, const double *x,
                                   const double *y, size_t n, size_t k,
                                   critic_error *err) {
    struct fit f = {x, y, n, k + 1};
    memset(out, 0, sizeof *out);
    if (k + 1 > CR_LOGISTIC_MAX)
        return cr_fail(err, CRITIC_BAD_ARGUMENT,
                       "a logistic fit of %zu columns; at most %d", k,
                       CR_LOGISTIC_MAX - 1);
    out->n_coef = k + 1;
    out->why = refuses(&f);
    if (!out->why)
        out->why = maximise(out, &f);
    if (out->why)
        for (size_t j = 0; j < out->n_coef; j++)
            out->coef[j] = out->error[j] = NAN;
    return CRITIC_OK;
}
