/* Log-probability of one target a row, and its backward.
 *   logp[t] = logits[t,y] - lse[t],  lse[t] = log(sum_v exp(logits[t,v])),  y = targets[t]
 *   dlogits[t,v] = dlogp[t] ([v = y] - exp(logits[t,v] - lse[t]))
 * Shapes: logits (T, V) F32; targets (T), each in [0, V); logp, lse, dlogp (T);
 *         dlogits (T, V) F32 or ex->act. */
#ifndef CR_OP_CROSS_ENTROPY_H
#define CR_OP_CROSS_ENTROPY_H

#include <stdint.h>

#include "op/exec.h"

void cr_cross_entropy_fwd(float *logp, float *lse, struct cr_tensor logits,
                          const int32_t *targets, struct cr_exec *ex);
void cr_cross_entropy_bwd(struct cr_tensor dlogits, const float *dlogp, const float *lse,
                          struct cr_tensor logits, const int32_t *targets,
                          struct cr_exec *ex);

#endif
