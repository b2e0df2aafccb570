#include "eval/stats_draw.h"

#include <math.h>

/* log(k!), Stirling's series from 16 up (error below 1e-13). */
static double log_factorial(size_t k) {
    double x = (double)k + 1;
    if (k < 16) {
        double product = 1;
        for (size_t i = 2; i <= k; i++)
            product *= (double)i;
        return log(product);
    }
    double r = 1 / (x * x);
    return (x - 0.5) * log(x) - x + 0.91893853320467274178 +
           (1.0 / 12 - r * (1.0 / 360 - r * (1.0 / 1260 - r / 1680))) / x;
}

static size_t by_inversion(struct cr_rng *rng, size_t n, double p) {
    double q = 1 - p;
    double term = pow(q, (double)n);
    double u = cr_rng_uniform(rng);
    size_t k = 0;
    while (u > term && k < n) {
        u -= term;
        k++;
        term *= (double)(n - k + 1) / (double)k * p / q;
    }
    return k;
}

static size_t by_rejection(struct cr_rng *rng, size_t n, double p) {
    double q = 1 - p;
    double spread = sqrt((double)n * p * q);
    double b = 1.15 + 2.53 * spread;
    double a = -0.0873 + 0.0248 * b + 0.01 * p;
    double c = (double)n * p + 0.5;
    double v_r = 0.92 - 4.2 / b;
    double alpha = (2.83 + 5.1 / b) * spread;
    double mode = floor(((double)n + 1) * p);
    double at_mode = log_factorial((size_t)mode) + log_factorial(n - (size_t)mode);
    for (;;) {
        double u = cr_rng_uniform(rng) - 0.5;
        double v = cr_rng_uniform(rng);
        double us = 0.5 - fabs(u);
        double k = floor((2 * a / us + b) * u + c);
        if (us >= 0.07 && v <= v_r)
            return (size_t)k;
        if (k < 0 || k > (double)n)
            continue;
        double bound = at_mode - log_factorial((size_t)k) - log_factorial(n - (size_t)k) +
                       (k - mode) * log(p / q);
        if (log(v * alpha / (a / (us * us) + b)) <= bound)
            return (size_t)k;
    }
}

size_t cr_draw_binomial(struct cr_rng *rng, size_t n, double p) {
    if (n == 0 || !(p > 0))
        return 0;
    if (p >= 1)
        return n;
    if (p > 0.5)
        return n - cr_draw_binomial(rng, n, 1 - p);
    return (double)n * p < 10 ? by_inversion(rng, n, p) : by_rejection(rng, n, p);
}

/* Walker's construction by Vose: cells with less than their share are filled up from others. */
void cr_poisson_init(struct cr_poisson *p, double mean) {
    double scaled[CR_POISSON_SIZE];
    unsigned char small[CR_POISSON_SIZE], large[CR_POISSON_SIZE];
    size_t n_small = 0, n_large = 0;
    double sum = 0;
    for (size_t k = 0; k < CR_POISSON_SIZE; k++) {
        scaled[k] = exp((double)k * log(mean) - mean - log_factorial(k));
        sum += scaled[k];
    }
    for (size_t k = 0; k < CR_POISSON_SIZE; k++) {
        scaled[k] *= CR_POISSON_SIZE / sum;
        if (scaled[k] < 1)
            small[n_small++] = (unsigned char)k;
        else
            large[n_large++] = (unsigned char)k;
        p->keep[k] = 1u << 24;
        p->alias[k] = (unsigned char)k;
    }
    while (n_small > 0 && n_large > 0) {
        size_t low = small[--n_small];
        size_t high = large[n_large - 1];
        p->keep[low] = (uint32_t)(scaled[low] * (1u << 24));
        p->alias[low] = (unsigned char)high;
        scaled[high] -= 1 - scaled[low];
        if (scaled[high] < 1) {
            n_large--;
            small[n_small++] = (unsigned char)high;
        }
    }
}
