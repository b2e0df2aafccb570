/* What the sub-commands of critic train share. */
#ifndef CR_CLI_TRAIN_H
#define CR_CLI_TRAIN_H

#include "cli/cli.h"
#include "cli/progress.h"
#include "train/dataset.h"
#include "train/loop.h"

struct cr_train_flags {
    struct cr_common common;
    const char *init, *data, *eval_data, *image_folder, *out;
    const char *dump; /* --dump-gradients: there is no run, and no --out */
    bool tower_only;
    size_t max_tokens;
    struct cr_str system;
    bool skip_bad;
    bool resume;
    size_t steps, batch, accumulate, warmup;
    double epochs, warmup_ratio, decay_from;
    int schedule, optimizer;
    double lr, lr_tower, lr_projector, lr_vector;
    double beta1, beta2, eps, momentum, weight_decay, clip, ema;
    struct cr_strs freeze, templates;
    const char *lora;
    uint64_t seed;
    double eval_split;
    size_t log_every, eval_every, save_every, keep, keep_pictures;
    int save_dtype;
    bool recompute;
    struct cr_progress progress;
    char what[96]; /* the progress line's beginning */
};

void cr_train_flags_init(struct cr_train_flags *f);

/* Says what --dump-gradients wrote. */
enum critic_status cr_train_say_dump(const struct cr_train_flags *f, double loss,
                                     size_t n_tensors, critic_error *err);

/* Rows for a flag table; `f` is a struct cr_train_flags. */
#define CR_TRAIN_FLAGS(f)                                                                  \
    {"init",                                                                               \
     0,                                                                                    \
     CR_FLAG_STR,                                                                          \
     &(f).init,                                                                            \
     "DIR",                                                                                \
     "instead of --model: random weights for this folder's config.json and tokenizer",     \
     0,                                                                                    \
     0},                                                                                   \
        {"data", 0, CR_FLAG_STR, &(f).data, "FILE", "what to train on", 0, 0},             \
        {"image-folder",                                                                   \
         0,                                                                                \
         CR_FLAG_STR,                                                                      \
         &(f).image_folder,                                                                \
         "DIR",                                                                            \
         "where the data's relative picture paths begin",                                  \
         0,                                                                                \
         0},                                                                               \
        {"out",                                                                            \
         'o',                                                                              \
         CR_FLAG_STR,                                                                      \
         &(f).out,                                                                         \
         "RUN",                                                                            \
         "folder of the run: checkpoints, metrics.jsonl, and the finished model",          \
         0,                                                                                \
         0},                                                                               \
        {"resume",                                                                         \
         0,                                                                                \
         CR_FLAG_BOOL,                                                                     \
         &(f).resume,                                                                      \
         NULL,                                                                             \
         "go on from the newest checkpoint in RUN, to the same bits as without a stop",    \
         0,                                                                                \
         0},                                                                               \
        {"seed", 0, CR_FLAG_U64, &(f).seed, "N", "of weights, order and splits", 0, 0},    \
        {"length and batches", 0, CR_FLAG_TITLE, 0, 0, 0, 0, 0},                           \
        {"steps",    0,   CR_FLAG_SIZE,                                                    \
         &(f).steps, "N", "optimiser steps; default: by --epochs",                         \
         1,          1e12},                                                                \
        {"epochs",    0,   CR_FLAG_DOUBLE,                                                 \
         &(f).epochs, "X", "passes over the data (default 1)",                             \
         1e-9,        1e9},                                                                \
        {"batch", 0,  CR_FLAG_SIZE, &(f).batch, "N", "samples at a time (default 8)",      \
         1,       1e6},                                                                    \
        {"accumulate",                                                                     \
         0,                                                                                \
         CR_FLAG_SIZE,                                                                     \
         &(f).accumulate,                                                                  \
         "N",                                                                              \
         "batches a step, gradients averaged (default 1)",                                 \
         1,                                                                                \
         1e6},                                                                             \
        {"optimiser", 0, CR_FLAG_TITLE, 0, 0, 0, 0, 0},                                    \
        {"optimizer",                                                                      \
         0,                                                                                \
         CR_FLAG_CHOICE,                                                                   \
         &(f).optimizer,                                                                   \
         "adamw|muon",                                                                     \
         "muon: for matrices, AdamW for the rest",                                         \
         0,                                                                                \
         0},                                                                               \
        {"lr", 0, CR_FLAG_DOUBLE, &(f).lr, "X", "learning rate (default 1e-5)", 0, 1e3},   \
        {"lr-tower",                                                                       \
         0,                                                                                \
         CR_FLAG_DOUBLE,                                                                   \
         &(f).lr_tower,                                                                    \
         "X",                                                                              \
         "of the tower (default --lr)",                                                    \
         0,                                                                                \
         1e3},                                                                             \
        {"lr-projector",                                                                   \
         0,                                                                                \
         CR_FLAG_DOUBLE,                                                                   \
         &(f).lr_projector,                                                                \
         "X",                                                                              \
         "of the projector (default --lr)",                                                \
         0,                                                                                \
         1e3},                                                                             \
        {"lr-vector",                                                                      \
         0,                                                                                \
         CR_FLAG_DOUBLE,                                                                   \
         &(f).lr_vector,                                                                   \
         "X",                                                                              \
         "under muon, of what AdamW takes (default --lr)",                                 \
         0,                                                                                \
         1e3},                                                                             \
        {"freeze",    0,      CR_FLAG_STRS,                                                \
         &(f).freeze, "PART", "tower, projector or decoder is not trained; repeats",       \
         0,           0},                                                                  \
        {"lora",                                                                           \
         0,                                                                                \
         CR_FLAG_STR,                                                                      \
         &(f).lora,                                                                        \
         "r=N,alpha=X|DIR",                                                                \
         "train an adapter only: a new one (also dropout=X, targets=q_proj+v_proj), or "   \
         "go "                                                                             \
         "on with PEFT's in DIR",                                                          \
         0,                                                                                \
         0},                                                                               \
        {"weight-decay",                                                                   \
         0,                                                                                \
         CR_FLAG_DOUBLE,                                                                   \
         &(f).weight_decay,                                                                \
         "X",                                                                              \
         "not of norms and biases (default 0)",                                            \
         0,                                                                                \
         10},                                                                              \
        {"judge-template",                                                                 \
         0,                                                                                \
         CR_FLAG_STRS,                                                                     \
         &(f).templates,                                                                   \
         "NAME",                                                                           \
         "a built-in template that the data was made with: the model will judge by it; "   \
         "repeats, the preferred first",                                                   \
         0,                                                                                \
         0},                                                                               \
        {"clip",    0,   CR_FLAG_DOUBLE,                                                   \
         &(f).clip, "X", "largest norm of the gradient; 0: none (default 1)",              \
         0,         1e9},                                                                  \
        {"ema",                                                                            \
         0,                                                                                \
         CR_FLAG_DOUBLE,                                                                   \
         &(f).ema,                                                                         \
         "X",                                                                              \
         "keep averaged weights with this decay too, in RUN/ema (default 0: none)",        \
         0,                                                                                \
         0.9999999},                                                                       \
        {"beta1", 0, CR_FLAG_DOUBLE, &(f).beta1, "X", "AdamW (default 0.9)", 0, 0.999999}, \
        {"beta2", 0,         CR_FLAG_DOUBLE, &(f).beta2, "X", "AdamW (default 0.999)",     \
         0,       0.99999999},                                                             \
        {"eps", 0, CR_FLAG_DOUBLE, &(f).eps, "X", "AdamW (default 1e-8)", 0, 1},           \
        {"momentum", 0, CR_FLAG_DOUBLE, &(f).momentum, "X", "Muon (default 0.95)", 0, 1},  \
        {"schedule",                                                                       \
         0,                                                                                \
         CR_FLAG_CHOICE,                                                                   \
         &(f).schedule,                                                                    \
         "cosine|decay|constant",                                                          \
         "of the learning rate; decay: constant, then linear to 0",                        \
         0,                                                                                \
         0},                                                                               \
        {"warmup",    0,   CR_FLAG_SIZE,                                                   \
         &(f).warmup, "N", "steps of linear warm-up; default: by --warmup-ratio",          \
         0,           1e9},                                                                \
        {"warmup-ratio",                                                                   \
         0,                                                                                \
         CR_FLAG_DOUBLE,                                                                   \
         &(f).warmup_ratio,                                                                \
         "X",                                                                              \
         "share of the steps that warm up (default 0.03)",                                 \
         0,                                                                                \
         1},                                                                               \
        {"decay-from",                                                                     \
         0,                                                                                \
         CR_FLAG_DOUBLE,                                                                   \
         &(f).decay_from,                                                                  \
         "X",                                                                              \
         "share of the steps after which --schedule decay falls (default 0.6)",            \
         0,                                                                                \
         1},                                                                               \
        {"watching and saving", 0, CR_FLAG_TITLE, 0, 0, 0, 0, 0},                          \
        {"eval-split",                                                                     \
         0,                                                                                \
         CR_FLAG_DOUBLE,                                                                   \
         &(f).eval_split,                                                                  \
         "X",                                                                              \
         "share of the data kept back for evaluation (default 0)",                         \
         0,                                                                                \
         0.9},                                                                             \
        {"eval-every",                                                                     \
         0,                                                                                \
         CR_FLAG_SIZE,                                                                     \
         &(f).eval_every,                                                                  \
         "N",                                                                              \
         "steps between evaluations (default: at the end)",                                \
         0,                                                                                \
         1e12},                                                                            \
        {"log-every",                                                                      \
         0,                                                                                \
         CR_FLAG_SIZE,                                                                     \
         &(f).log_every,                                                                   \
         "N",                                                                              \
         "steps a line of metrics.jsonl (default 1)",                                      \
         1,                                                                                \
         1e12},                                                                            \
        {"save-every",                                                                     \
         0,                                                                                \
         CR_FLAG_SIZE,                                                                     \
         &(f).save_every,                                                                  \
         "N",                                                                              \
         "steps between checkpoints; 0: only the last (default 200)",                      \
         0,                                                                                \
         1e12},                                                                            \
        {"keep", 0,  CR_FLAG_SIZE, &(f).keep, "N", "checkpoints kept; 0: all (default 2)", \
         0,      1e6},                                                                     \
        {"save-dtype",                                                                     \
         0,                                                                                \
         CR_FLAG_CHOICE,                                                                   \
         &(f).save_dtype,                                                                  \
         "keep|f32|bf16|f16",                                                              \
         "of the saved model; keep: as it was read (masters are f32 either way)",          \
         0,                                                                                \
         0},                                                                               \
        {"keep-pictures",                                                                  \
         0,                                                                                \
         CR_FLAG_BYTES,                                                                    \
         &(f).keep_pictures,                                                               \
         "SIZE",                                                                           \
         "decoded pictures that stay in memory (default 1G)",                              \
         0,                                                                                \
         1e15},                                                                            \
    {                                                                                      \
        "recompute", 0, CR_FLAG_BOOL, &(f).recompute, NULL,                                \
            "keep only each block's input and compute the rest again: the least memory",   \
            0, 0                                                                           \
    }

/* Rows of the kinds that read texts. */
#define CR_TRAIN_TEXT_FLAGS(f)                                                             \
    {"max-tokens",                                                                         \
     0,                                                                                    \
     CR_FLAG_SIZE,                                                                         \
     &(f).max_tokens,                                                                      \
     "N",                                                                                  \
     "longest conversation, or prompt with an answer (default: the "                       \
     "model's context)",                                                                   \
     1,                                                                                    \
     1e9},                                                                                 \
        {"system",    0,      CR_FLAG_TEXT,                                                \
         &(f).system, "TEXT", "system text instead of the chat format's own; empty: none", \
         0,           0},                                                                  \
        {"dump-gradients",                                                                 \
         0,                                                                                \
         CR_FLAG_STR,                                                                      \
         &(f).dump,                                                                        \
         "FILE",                                                                           \
         "instead of training: loss and every gradient over the whole data as one "        \
         "batch "                                                                          \
         "(of pairs: log-probabilities, too)",                                             \
         0,                                                                                \
         0},                                                                               \
    {                                                                                      \
        "skip-bad", 0, CR_FLAG_BOOL, &(f).skip_bad, NULL,                                  \
            "leave bad records out instead of stopping before the first step", 0, 0        \
    }

/* The checkpoint folder of `model`: as cr_model_path, but an embedded model is unpacked first (F32), into
 * RUN/NAME. With --dump-gradients FILE that is FILE.models/NAME, which cr_train_with_net takes away
 * again. Errors: also those of cr_convert. */
enum critic_status cr_train_model_path(const struct cr_train_flags *f, const char *model,
                                       struct cr_buf *path, critic_error *err);
/* What every training begins and ends with: opens the network that the flags name, lets `run` work with it,
 * closes it. Errors: CRITIC_BAD_ARGUMENT naming the flag, those of cr_net_open and of run. */
enum critic_status cr_train_with_net(struct cr_train_flags *f,
                                     enum critic_status (*run)(void *self,
                                                               struct cr_net *net,
                                                               critic_error *err),
                                     void *self, critic_error *err);
/* Data options that all texts share; messages go to standard error. */
void cr_train_dataset_opts(struct cr_train_flags *f, const struct cr_net *net,
                           struct cr_dataset_opts *out);
/* Loop options; the caller adds data hash and options. */
enum critic_status cr_train_loop_opts(struct cr_train_flags *f, struct cr_loop_opts *out,
                                      critic_error *err);
/* Says on standard error what memory the run will take. Errors: CRITIC_NO_MEMORY where that is
 * more than the machine has. */
enum critic_status cr_train_announce(struct cr_train_flags *f, const struct cr_net *net,
                                     const struct cr_train_sizes *sizes,
                                     const struct cr_loop_opts *loop, critic_error *err);
/* The run, with its progress line and closing words. */
enum critic_status cr_train_loop(struct cr_train_flags *f, struct cr_net *net,
                                 const struct cr_task *task,
                                 const struct cr_loop_opts *loop, critic_error *err);

int cr_train_dpo(int n_args, const char *const *args);
int cr_train_sft(int n_args, const char *const *args);
/* Of these commands the flags alone, as critic align will give them: -1 where they are right, else the exit
 * status, what is wrong being said (or --help printed). */
int cr_train_dpo_check(int n_args, const char *const *args);
int cr_train_sft_check(int n_args, const char *const *args);
/* What can be said of the flags before a model is opened. Errors: CRITIC_BAD_ARGUMENT. */
enum critic_status cr_train_check(struct cr_train_flags *f, critic_error *err);
/* Ends a command of which only the flags were looked at: -1, or the exit status, what is wrong being said. */
int cr_train_check_end(struct cr_args *args, enum critic_status right,
                       const critic_error *err);
int cr_train_tower(int n_args, const char *const *args);

#endif
