/* Low-rank terms (LoRA) in a network: attaching, walking, initialising. Only a and b learn where the
 * caller freezes the rest (cr_grads_init with a predicate that refuses all).
 * Names are PEFT's without the prefix and the adapter's name:
 * "layers.0.self_attn.q_proj.lora_A.weight". Source: Hu et al. 2021; peft LoraLayer. */
#ifndef CR_MODEL_LORA_H
#define CR_MODEL_LORA_H

#include "model/params.h"

/* One linear with a low-rank term. */
struct cr_lora_slot {
    char name[96]; /* of the linear, canonical: "layers.0.self_attn.q_proj" */
    enum cr_param_part part;
    struct cr_lora *lora;
    size_t n, k; /* the weight is (n, k) */
};

/* Gives every linear that `wants` accepts (never the embedding or the patch embedding; NULL: the
 * decoder's q, k, v, o, gate, up, down) a term of this rank: a and b of the given dtype, zero. The arena
 * holds them. Errors: CRITIC_NO_MEMORY. */
enum critic_status
cr_lora_attach(struct cr_params *p, const struct cr_config *config,
               bool (*wants)(void *user, const struct cr_param_slot *slot), void *user,
               size_t rank, float scale, enum cr_dtype dtype, struct cr_arena *arena,
               critic_error *err);
/* Gradients for all terms of `p` in `grads`: F32, zeroed. Errors: CRITIC_NO_MEMORY. */
enum critic_status cr_lora_grads_init(struct cr_params *grads, struct cr_params *p,
                                      const struct cr_config *config,
                                      struct cr_arena *arena, critic_error *err);
/* Linears with a term, and the i-th of them in checkpoint order; parameters and gradients walk
 * alike. */
size_t cr_lora_count(struct cr_params *p, const struct cr_config *config);
void cr_lora_at(struct cr_params *p, const struct cr_config *config, size_t i,
                struct cr_lora_slot *slot);
/* PEFT's start: a uniform in +-1/sqrt(k), b zero, from the seed alone. */
void cr_lora_reset(struct cr_params *p, const struct cr_config *config, uint64_t seed);

#endif
