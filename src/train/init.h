/* Seeded random weights of a network that is trained from nothing.
 *   products    N(0, 1 / (3 K)), the variance of torch's nn.Linear; those that end a residual
 *               branch (o_proj, out_proj, down_proj, fc2) divided by sqrt(2 L), as GPT-2 has it
 *   embeddings, positions   N(0, 0.02^2)
 *   newline     N(0, 1 / D)          (LLaVA-NeXT llava_arch.py)
 *   norms 1, biases 0 */
#ifndef CR_TRAIN_INIT_H
#define CR_TRAIN_INIT_H

#include "model/params.h"

/* Dense F32 tensors in the arena, the same on every machine. Errors: CRITIC_NO_MEMORY. */
enum critic_status cr_init_params(struct cr_params *p, const struct cr_config *config,
                                  uint64_t seed, struct cr_arena *arena,
                                  critic_error *err);

#endif
