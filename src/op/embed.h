/* Embedding rows: y[t,:] = w[ids[t],:].
 * Shapes: y (T, D) F32; ids (T), each in [0, V) (asserted); w (V, D) any weight dtype.
 * bwd:    dw[ids[t],:] += dy[t,:], rows with id -1 left out. dw (V, D), dy (T, D) F32. */
#ifndef CR_OP_EMBED_H
#define CR_OP_EMBED_H

#include <stdint.h>

#include "op/exec.h"

void cr_embed_fwd(struct cr_tensor y, const int32_t *ids, struct cr_tensor w,
                  struct cr_exec *ex);

void cr_embed_bwd(struct cr_tensor dw, const int32_t *ids, struct cr_tensor dy,
                  struct cr_exec *ex);

#endif
