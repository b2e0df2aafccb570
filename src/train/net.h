/* A network in training: the checkpoint or configuration it comes from, f32 masters, gradients,
 * and the flat list of what is trained (train/optim.h). */
#ifndef CR_TRAIN_NET_H
#define CR_TRAIN_NET_H

#include "engine/engine.h"
#include "model/train.h"
#include "train/lora.h"
#include "train/optim.h"

struct cr_net_opts {
    struct cr_exec_opts exec;
    const char *model; /* checkpoint to start from; or */
    /* folder with config.json and tokenizer.json: seeded random weights */
    const char *init;
    uint64_t seed;
    bool frozen[3];     /* by enum cr_param_part */
    bool tower_only;    /* nothing but the tower is trained */
    enum cr_dtype save; /* CR_DTYPE_COUNT: as the checkpoint read; F32 from nothing */
    bool recompute;
    size_t head_rows;
    /* nothing is trained: the model only computes, as one in training would */
    bool reference;
    struct cr_template_names templates; /* for saved models; n 0: as the model read */
    struct cr_lora_opts lora; /* is_set: everything but the adapter stays as it is */
};

struct cr_net {
    struct cr_net_opts opts;
    struct cr_arena arena;
    struct cr_config config;
    struct cr_store *store; /* NULL from nothing */
    char *dir; /* whose configuration and tokenizer files go with every checkpoint */
    struct cr_tokenizer *tokenizer;
    struct cr_exec *exec;
    struct cr_model model;    /* computes: masters, or their bf16 copies */
    struct cr_params masters; /* F32 where trained; else as in model */
    struct cr_params grads;
    struct cr_train *train;
    struct cr_train_tensor *tensors; /* room for CR_NET_EXTRA more (label heads) */
    size_t n_tensors;
    struct cr_train_tensor *fixed; /* from nothing: what is frozen, for saving */
    size_t n_fixed;
    size_t n_elements;       /* trained, heads not counted */
    struct cr_lora_set lora; /* n 0: none */
};

#define CR_NET_EXTRA 32

/* DPO's reference: with off, model computes as if it had no adapter, until it is turned on again.
 * Gradients must be taken with it on. */
void cr_net_lora_use(struct cr_net *net, bool on);
/* Dropout of the adapter for the passes that follow: none where !train, else by seed and pass. */
void cr_net_lora_pass(struct cr_net *net, bool train, uint64_t pass);

/* Errors: those of cr_store_open and cr_config_read; CRITIC_UNSUPPORTED (a GGUF without
 * an adapter), CRITIC_BAD_ARGUMENT (nothing left to train), CRITIC_NO_MEMORY. cr_net_close after failure
 * too. */
enum critic_status cr_net_open(struct cr_net *net, const struct cr_net_opts *opts,
                               critic_error *err);
/* Moments, once the optimiser is known and all tensors are listed. */
enum critic_status cr_net_moments(struct cr_net *net, const struct cr_optim_opts *optim,
                                  critic_error *err);
void cr_net_close(struct cr_net *net);
/* A tensor beside the network (a label head): rows x cols, zeroed, in the tower's group. */
enum critic_status cr_net_add(struct cr_net *net, const char *name, size_t rows,
                              size_t cols, struct cr_train_tensor **out,
                              critic_error *err);

#endif
