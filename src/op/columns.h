/* Sums over rows, in the order of rows, columns split over threads: the same bits for any number
 * of threads. */
#ifndef CR_OP_COLUMNS_H
#define CR_OP_COLUMNS_H

#include "op/exec.h"

/* Columns that one thread takes at a time: whole cache lines. */
#define CR_COLUMNS ((size_t)64)

/* y[n] += sum_t x[t,n].   y (N) F32; x (T, N) F32 or BF16 */
void cr_add_columns(float *y, struct cr_tensor x, struct cr_exec *ex);

#endif
