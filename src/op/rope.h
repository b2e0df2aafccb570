/* Rotary position embedding, half-split ("rotate_half") form, on each head of each row:
 *   y[i]     = x[i] * cos_i - x[i+E/2] * sin_i
 *   y[i+E/2] = x[i+E/2] * cos_i + x[i] * sin_i          i < E/2
 *   angle_i  = (float)pos * (1.0f / powf(theta, 2i / (float)E)), rounded to f32, then cos, sin
 * The f32 rounding of the angle follows the reference; exact angles drift 4e-6 on logits at
 * 7,300 tokens.
 * Shapes: cos, sin (T, E/2) F32, dense; x (T, heads * E) F32 or ex->act; y the same shape,
 *         F32 or ex->act; y may alias x where the dtypes agree.
 * bwd:    the rotation back: dx from dy as y from x with sin negated.
 * Source: Su et al. 2021; modeling_qwen2.py apply_rotary_pos_emb. */
#ifndef CR_OP_ROPE_H
#define CR_OP_ROPE_H

#include <stdint.h>

#include "op/exec.h"

/* Fills the table for `n` positions. */
void cr_rope_table(float *cos_out, float *sin_out, const int32_t *positions, size_t n,
                   size_t head_dim, double theta);
void cr_rope_fwd(struct cr_tensor y, struct cr_tensor x, const float *cos_table,
                 const float *sin_table, size_t head_dim, struct cr_exec *ex);

void cr_rope_bwd(struct cr_tensor dx, struct cr_tensor dy, const float *cos_table,
                 const float *sin_table, size_t head_dim, struct cr_exec *ex);

#endif
