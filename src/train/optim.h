/* Optimisers over a flat list of tensors: f32 masters, f32 gradients, f32 moments; a compute copy
 * in bf16 is refreshed after each step where there is one.
 *
 *   AdamW   as torch.optim.AdamW (Loshchilov and Hutter 2019), the same order of f32 operations
 *   Muon    for matrices (Jordan et al. 2024): momentum, Nesterov, orthogonalised by five
 *           quintic Newton-Schulz steps, scaled by 0.2 * sqrt(max(rows, cols)) so that the update
 *           has AdamW's RMS (Liu et al. 2025); as torch.optim.Muon with
 *           adjust_lr_fn="match_rms_adamw"; every other tensor gets AdamW
 *
 * Same bits for any number of threads: sums are taken in fixed chunks. Knows nothing of models. */
#ifndef CR_TRAIN_OPTIM_H
#define CR_TRAIN_OPTIM_H

#include "model/params.h"
#include "op/exec.h"

/* One trained tensor. Everything is borrowed. */
struct cr_train_tensor {
    char name[96];     /* canonical */
    const char *saved; /* name in the checkpoint */
    enum cr_param_part part;
    bool muon;  /* a matrix that Muon may take */
    bool decay; /* weight decay applies: no norm, no bias */
    int n_dim;  /* as the checkpoint has it */
    size_t dim[CR_MAX_DIM];
    size_t rows, cols;    /* as a product sees it */
    float *w, *g, *m, *v; /* v NULL where Muon is used */
    float *e;             /* running average of w; NULL: none is kept */
    uint16_t *copy;       /* bf16; NULL: the master computes */
};

enum cr_optimizer { CR_OPTIM_ADAMW, CR_OPTIM_MUON };

struct cr_optim_opts {
    enum cr_optimizer kind;
    double lr[3]; /* by enum cr_param_part */
    /* under Muon, of the tensors that AdamW takes, times the part's share of
       lr[CR_PART_DECODER]; 0: as the part */
    double lr_vector;
    double beta1, beta2, eps;
    double momentum; /* Muon */
    double weight_decay;
    double clip; /* global norm; 0: none */
    double ema;  /* decay of the averaged weights; 0: none are kept */
};

/* lr 1e-5, tower 2e-6; betas 0.9, 0.999; eps 1e-8; momentum 0.95; no decay; clip 1. */
void cr_optim_opts_default(struct cr_optim_opts *o);

/* Does this tensor get Muon under these options? (It then needs no v.) */
bool cr_optim_is_muon(const struct cr_optim_opts *o, const struct cr_train_tensor *t);

/* sqrt of the sum of all squared gradients; by part too where parts is not NULL. */
double cr_optim_grad_norm(const struct cr_train_tensor *tensors, size_t n,
                          double parts[3]);

/* One step. `step` counts from 0; lr_factor is the schedule's multiplier; grad_scale multiplies
 * every gradient on its way in (clipping: cr_optim_clip). Gradients are left as they were. */
void cr_optim_step(const struct cr_optim_opts *o, struct cr_train_tensor *tensors,
                   size_t n, size_t step, double lr_factor, double grad_scale,
                   struct cr_exec *ex);
/* e = ema e + (1 - ema) w after a step, with a smaller decay in the first ones so that the start is
 * soon forgotten: min(ema, (1 + step) / (10 + step)); `step` as in cr_optim_step. */
void cr_optim_average(const struct cr_optim_opts *o, struct cr_train_tensor *tensors,
                      size_t n, size_t step);
/* torch's clip_grad_norm_: min(1, clip / (norm + 1e-6)). */
double cr_optim_clip(const struct cr_optim_opts *o, double norm);
/* Copies of the masters. */
void cr_optim_refresh(struct cr_train_tensor *tensors, size_t n, struct cr_exec *ex);
void cr_optim_zero_grad(struct cr_train_tensor *tensors, size_t n);

/* Orthogonalises x (rows, cols) in place by Newton-Schulz; y is not exactly orthogonal, its
 * singular values lie around 1 (0.7 to 1.2). Errors: none. */
void cr_newton_schulz(float *x, size_t rows, size_t cols, struct cr_exec *ex);

#endif
