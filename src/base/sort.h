#ifndef CR_BASE_SORT_H
#define CR_BASE_SORT_H

#include <stddef.h>

/* Sorts ascending; NaN must not be there. */
void cr_sort_doubles(double *x, size_t n);

#endif
