#include "eval/stats_math.h"

#include <math.h>

double cr_normal_cdf(double z) {
    return 0.5 * erfc(-z * 0.70710678118654752440);
}

/* Acklam's approximation: relative error 1.15e-9 before the correction step. */
static double normal_quantile_rough(double p) {
    static const double a[] = {-3.969683028665376e+01, 2.209460984245205e+02,
                               -2.759285104469687e+02, 1.383577518672690e+02,
                               -3.066479806614716e+01, 2.506628277459239e+00};
    static const double b[] = {-5.447609879822406e+01, 1.615858368580409e+02,
                               -1.556989798598866e+02, 6.680131188771972e+01,
                               -1.328068155288572e+01};
    static const double c[] = {-7.784894002430293e-03, -3.223964580411365e-01,
                               -2.400758277161838e+00, -2.549732539343734e+00,
                               4.374664141464968e+00,  2.938163982698783e+00};
    static const double d[] = {7.784695709041462e-03, 3.224671290700398e-01,
                               2.445134137142996e+00, 3.754408661907416e+00};
    if (p < 0.02425 || p > 1 - 0.02425) {
        double q = sqrt(-2 * log(p < 0.5 ? p : 1 - p));
        double x = (((((c[0] * q + c[1]) * q + c[2]) * q + c[3]) * q + c[4]) * q + c[5]) /
                   ((((d[0] * q + d[1]) * q + d[2]) * q + d[3]) * q + 1);
        return p < 0.5 ? x : -x;
    }
    double q = p - 0.5;
    double r = q * q;
    return (((((a[0] * r + a[1]) * r + a[2]) * r + a[3]) * r + a[4]) * r + a[5]) * q /
           (((((b[0] * r + b[1]) * r + b[2]) * r + b[3]) * r + b[4]) * r + 1);
}

double cr_normal_quantile(double p) {
    if (!(p > 0 && p < 1))
        return p == 0 ? -INFINITY : p == 1 ? INFINITY : NAN;
    if (p > 0.5) /* the lower tail has the digits */
        return -cr_normal_quantile(1 - p);
    double x = normal_quantile_rough(p);
    double e = cr_normal_cdf(x) - p;
    double u = e * 2.50662827463100050242 * exp(x * x / 2);
    return x - u / (1 + x * u / 2);
}

double cr_chi2_1_sf(double x) {
    return x <= 0 ? 1 : erfc(sqrt(x / 2));
}

double cr_binomial_half_cdf(size_t k, size_t n) {
    if (k >= n)
        return 1;
    double sum = 0;
    double log_half_n = (double)n * log(0.5);
    for (size_t i = 0; i <= k; i++)
        sum += exp(lgamma((double)n + 1) - lgamma((double)i + 1) -
                   lgamma((double)(n - i) + 1) + log_half_n);
    return sum > 1 ? 1 : sum;
}

double cr_sorted_quantile(const double *sorted, size_t n, double q) {
    if (n == 0)
        return NAN;
    double at = q * (double)(n - 1);
    size_t i = at <= 0 ? 0 : (size_t)at;
    if (i + 1 >= n)
        return sorted[n - 1];
    return sorted[i] + (at - (double)i) * (sorted[i + 1] - sorted[i]);
}
