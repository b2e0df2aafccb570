/* A LoRA adapter in PEFT's layout: a folder with adapter_config.json and adapter_model.safetensors.
 *
 *   base_model.model.<name of the linear>.lora_A.weight (R, K), .lora_B.weight (N, R)
 *   W' = W + scale * B A,   scale = lora_alpha / r, or lora_alpha / sqrt(r) with use_rslora
 *
 * Terms are attached by the names of their tensors, whatever target_modules says (it may be a
 * regular expression); names are normalised as those of checkpoints are (tensor/store.h).
 * Refuses what it does not do: DoRA, other kinds of adapters, alphas by pattern, trained biases or
 * modules saved whole.
 * Source: peft LoraConfig, LoraLayer. */
#ifndef CR_TENSOR_ADAPTER_H
#define CR_TENSOR_ADAPTER_H

#include "io/safetensors.h"
#include "tensor/tensor.h"

struct cr_adapter_term {
    const char *linear; /* canonical, without ".weight": "layers.0.self_attn.q_proj" */
    struct cr_tensor a; /* (R, K) */
    struct cr_tensor b; /* (N, R) */
    double scale;
};

struct cr_adapter {
    struct cr_arena arena;
    struct cr_safetensors file;
    size_t rank; /* "r" of the configuration */
    double alpha;
    double dropout; /* of training; changes nothing here */
    bool by_root;   /* use_rslora */
    size_t n;
    struct cr_adapter_term *terms;
};

/* Errors: CRITIC_BAD_FILE, CRITIC_BAD_MODEL (a term without its other half, shapes that do not fit),
 * CRITIC_UNSUPPORTED, CRITIC_NO_MEMORY; the message names file and key or tensor.
 * cr_adapter_close is safe on a zeroed struct and after failure. */
enum critic_status cr_adapter_open(struct cr_adapter *a, const char *dir,
                                   critic_error *err);
void cr_adapter_close(struct cr_adapter *a);
/* NULL where the linear has no term. */
const struct cr_adapter_term *cr_adapter_find(const struct cr_adapter *a,
                                              const char *linear);

#endif
