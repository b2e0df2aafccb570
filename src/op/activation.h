/* Elementwise activations. Shapes: all (T, F); x, gate, up F32 or ex->act; y ex->act or F32;
 * y may alias an input of its own dtype.
 *   gelu_tanh: 0.5 x (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3)))      SigLIP tower
 *   gelu_erf:  0.5 x (1 + erf(x / sqrt(2)))                         projector
 *   swiglu:    silu(gate) * up,  silu(x) = x / (1 + exp(-x))        Qwen2
 * bwd: dx = dy * the slope at x, any of the two types each; dgate and dup of one type. A result may
 *      overwrite an input of its own type.
 * Source: Hendrycks & Gimpel 2016; Shazeer 2020. */
#ifndef CR_OP_ACTIVATION_H
#define CR_OP_ACTIVATION_H

#include "op/exec.h"

enum cr_gelu { CR_GELU_TANH, CR_GELU_ERF };

void cr_gelu_fwd(struct cr_tensor y, struct cr_tensor x, enum cr_gelu kind,
                 struct cr_exec *ex);
void cr_gelu_bwd(struct cr_tensor dx, struct cr_tensor dy, struct cr_tensor x,
                 enum cr_gelu kind, struct cr_exec *ex);
void cr_swiglu_fwd(struct cr_tensor y, struct cr_tensor gate, struct cr_tensor up,
                   struct cr_exec *ex);
void cr_swiglu_bwd(struct cr_tensor dgate, struct cr_tensor dup, struct cr_tensor dy,
                   struct cr_tensor gate, struct cr_tensor up, struct cr_exec *ex);

#endif
