#include "base/sort.h"

#include <stdlib.h>

static int compare_doubles(const void *a, const void *b) {
    double x = *(const double *)a;
    double y = *(const double *)b;
    return (x > y) - (x < y);
}

void cr_sort_doubles(double *x, size_t n) {
    if (n > 1)
        qsort(x, n, sizeof *x, compare_doubles);
}
