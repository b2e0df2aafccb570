/* Normalisation of each row; statistics in f32.
 * RMSNorm:   y[t,d] = x[t,d] / sqrt(mean_d(x[t,:]^2) + eps) * w[d]
 * LayerNorm: y[t,d] = (x[t,d] - mean) / sqrt(var + eps) * w[d] + b[d]   (var: biased)
 * Shapes: x (T, D) F32; w, b (D) F32, F16 or BF16; y (T, D) F32 or ex->act; y may alias x
 *         where both are F32 and `saved` is NULL.
 * split:  y BF16 and rest (T, D) BF16, what rounding took from y, itself rounded.
 * saved:  per row, what backward needs: rrms, or mean and rstd, (T) each; NULL at inference.
 * bwd:    with xh the normed row before w: g = w * dy,
 *         dx += rrms (g - xh mean(g xh)), LayerNorm's g centred as well;  dw += sum_t dy xh;
 *         db += sum_t dy. dx (the residual stream's gradient), dy F32; dw, db (D) F32, data NULL:
 *         frozen.
 * Source: Zhang & Sennrich 2019 as Qwen2RMSNorm; Ba et al. 2016 as torch.nn.LayerNorm. */
#ifndef CR_OP_NORM_H
#define CR_OP_NORM_H

#include "op/exec.h"

struct cr_rmsnorm_saved {
    float *rrms;
};

struct cr_layernorm_saved {
    float *mean;
    float *rstd;
};

void cr_rmsnorm_fwd(struct cr_tensor y, struct cr_rmsnorm_saved *saved,
                    struct cr_tensor x, struct cr_tensor w, float eps,
                    struct cr_exec *ex);
void cr_rmsnorm_split_fwd(struct cr_tensor y, struct cr_tensor rest, struct cr_tensor x,
                          struct cr_tensor w, float eps, struct cr_exec *ex);
void cr_layernorm_fwd(struct cr_tensor y, struct cr_layernorm_saved *saved,
                      struct cr_tensor x, struct cr_tensor w, struct cr_tensor b,
                      float eps, struct cr_exec *ex);

void cr_rmsnorm_bwd(struct cr_tensor dx, struct cr_tensor dw, struct cr_tensor dy,
                    const struct cr_rmsnorm_saved *saved, struct cr_tensor x,
                    struct cr_tensor w, struct cr_exec *ex);
void cr_layernorm_bwd(struct cr_tensor dx, struct cr_tensor dw, struct cr_tensor db,
                      struct cr_tensor dy, const struct cr_layernorm_saved *saved,
                      struct cr_tensor x, struct cr_tensor w, struct cr_exec *ex);

#endif
