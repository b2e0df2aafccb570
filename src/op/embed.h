/* Embedding rows: y[t,:] = w[ids[t],:].
 * Shapes: y (T, D) F32; ids (T), each in [0, V) (asserted); w (V, D) any weight dtype. */
#ifndef CR_OP_EMBED_H
#define CR_OP_EMBED_H

#include <stdint.h>

#include "op/exec.h"

void cr_embed_fwd(struct cr_tensor y, const int32_t *ids, struct cr_tensor w,
                  struct cr_exec *ex);

#endif
