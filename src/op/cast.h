/* Rows in the activation type of the context.
 * Shapes: x (T, D) F32. Under CR_COMPUTE_F32 the result is x itself, else a copy in scratch. */
#ifndef CR_OP_CAST_H
#define CR_OP_CAST_H

#include "op/exec.h"

struct cr_tensor cr_cast_act(struct cr_tensor x, struct cr_exec *ex);

#endif
