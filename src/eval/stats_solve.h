/* Small dense systems: Cholesky, in place, row-major. */
#ifndef CR_EVAL_STATS_SOLVE_H
#define CR_EVAL_STATS_SOLVE_H

#include <stdbool.h>
#include <stddef.h>

/* a (n, n), symmetric: its lower triangle becomes L of L Lt. false: not positive definite. */
bool cr_cholesky(double *a, size_t n);
/* b becomes the solution of L Lt x = b. */
void cr_cholesky_solve(const double *l, size_t n, double *b);

#endif
