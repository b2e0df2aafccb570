/* Picture tiles to patch rows: the patch embedding is a convolution whose stride is its kernel,
 * so it is a linear map of these rows (weight (D, 3, p, p) read as (D, 3*p*p)).
 *   y[(tile*n + row)*n + col, (c*p + i)*p + j] = pixels[tile, c, row*p + i, col*p + j],  n = S / p
 * Pixels past n*p (384 = 27*14 + 6) are dropped, as a valid convolution does.
 * Shapes: pixels (tiles, 3, S, S) F32; y (tiles*n*n, 3*p*p) ex->act. */
#ifndef CR_OP_PATCH_H
#define CR_OP_PATCH_H

#include "op/exec.h"

void cr_patch_rows_fwd(struct cr_tensor y, const float *pixels, size_t n_tiles,
                       size_t image_px, size_t patch_px, struct cr_exec *ex);

/* y[r, :] += table[r % period, :]: position rows onto the residual stream.
 * Shapes: y (T, D) F32; table (period, D) any plain float dtype. */
void cr_add_rows_fwd(struct cr_tensor y, struct cr_tensor table, struct cr_exec *ex);

/* dtable[r % period, :] += dy[r, :].   dtable (period, D), dy (T, D) F32 */
void cr_add_rows_bwd(struct cr_tensor dtable, struct cr_tensor dy, struct cr_exec *ex);

#endif
