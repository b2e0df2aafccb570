/* An adapter in training (LoRA): what --lora says, the terms attached to a network, and PEFT's files.
 * The base stays as it was read; a and b are F32 masters (products read bf16 copies under
 * CR_COMPUTE_BF16), listed like every trained tensor (train/optim.h) under PEFT's names.
 * Source: Hu et al. 2021; peft LoraConfig. */
#ifndef CR_TRAIN_LORA_H
#define CR_TRAIN_LORA_H

#include "model/lora.h"
#include "tensor/store.h"

/* A new adapter, or (dir) one that is continued, whose configuration then holds. */
struct cr_lora_opts {
    bool is_set;
    /* borrowed; adapter_config.json and adapter_model.safetensors; NULL: new */
    const char *dir;
    size_t rank;
    double alpha, dropout;
    char targets[256]; /* names joined by '+'; empty: the decoder's seven linears */
};

/* Reads "r=16,alpha=32[,dropout=0.05][,targets=q_proj+v_proj]" in any order, or else a folder's name.
 * A target is the last name of decoder linears (q_proj), or all linears of a part: decoder, projector,
 * tower; or lm_head. alpha defaults to 2 r. Errors: CRITIC_BAD_ARGUMENT naming what is wrong. */
enum critic_status cr_lora_opts_parse(struct cr_lora_opts *o, const char *text,
                                      critic_error *err);

struct cr_lora_entry {
    struct cr_lora *at;  /* in the network */
    struct cr_lora term; /* what stands there while the adapter is on */
    const char *module;  /* "model.language_model.layers.0.self_attn.q_proj" */
};

struct cr_lora_set {
    size_t n;
    struct cr_lora_entry *entries; /* in the order of cr_lora_at */
    size_t rank;                   /* of the configuration */
    double alpha, dropout;
    bool by_root; /* use_rslora */
};

/* Attaches F32 terms to p and fills *set; a new adapter starts as PEFT's (b zero) from seed.
 * Memory is the arena's. Errors: those of cr_adapter_open; CRITIC_BAD_MODEL (the adapter has a
 * term that the model lacks or of another shape), CRITIC_BAD_ARGUMENT (no linear is meant),
 * CRITIC_NO_MEMORY. */
enum critic_status cr_lora_set_open(struct cr_lora_set *set,
                                    const struct cr_lora_opts *opts, struct cr_params *p,
                                    const struct cr_config *config, uint64_t seed,
                                    struct cr_arena *arena, critic_error *err);
/* adapter_config.json of PEFT. base: what base_model_name_or_path is to say. */
enum critic_status cr_lora_set_config(const struct cr_lora_set *set, const char *base,
                                      struct cr_buf *out, critic_error *err);

#endif
