/* Checkpoints of a run, each whole or not there:
 *
 *   RUN/checkpoint-N/   model.safetensors, config.json and tokenizer files (a model like any other:
 *                       the engine and transformers load it), label_heads.safetensors where there
 *                       are heads, trainer.safetensors (f32 masters "w.NAME", moments "m.NAME",
 *                       "v.NAME", average "e.NAME") and trainer.json (step, seed, what was trained
 *                       on); written beside and renamed, the oldest beyond `keep` removed
 *                       Of an adapter: adapter_config.json and adapter_model.safetensors (PEFT's
 *                       layout) instead of the model
 *   RUN/                the finished model or adapter, without the trainer's state; RUN/ema the same with averaged weights
 *
 * Names and layout of tensors are those of the checkpoint that was read (lmms-lab or llava-hf);
 * tensors that no pass uses (post_layernorm) are carried along. */
#ifndef CR_TRAIN_CHECKPOINT_H
#define CR_TRAIN_CHECKPOINT_H

#include "train/net.h"

struct cr_run_state {
    size_t step;       /* steps done */
    uint64_t n_tokens; /* rows trained on so far */
    uint64_t n_samples;
    char data[33];       /* hash of the data, hex */
    const char *options; /* JSON text: what must be the same to resume */
};

/* Writes RUN/checkpoint-<step> and removes the oldest ones beyond keep (0: keep all).
 * Errors: CRITIC_IO (what was there before stays), CRITIC_NO_MEMORY. */
enum critic_status cr_checkpoint_write(const struct cr_net *net, const char *run,
                                       const struct cr_run_state *state, size_t keep,
                                       critic_error *err);
/* The finished model, into RUN itself; the weights come last. */
enum critic_status cr_checkpoint_finish(const struct cr_net *net, const char *run,
                                        critic_error *err);
/* The newest checkpoint's step, 0 where there is none; leftovers of killed writers are removed. */
enum critic_status cr_checkpoint_newest(const char *run, size_t *step, critic_error *err);
/* Reads masters and moments of RUN/checkpoint-<step> into net and fills *state.
 * state->options and ->data are compared with what they hold on entry.
 * Errors: CRITIC_BAD_DATA (other data or options: names both), CRITIC_BAD_FILE. */
enum critic_status cr_checkpoint_read(struct cr_net *net, const char *run, size_t step,
                                      struct cr_run_state *state, critic_error *err);
/* Label heads beside a model: fills those tensors of net whose name and shape are there; *found
 * says how many. */
enum critic_status cr_checkpoint_heads(struct cr_net *net, const char *dir, size_t *found,
                                       critic_error *err);

#endif
