/* The parity microscope of training (critic train sft --dump-gradients): one forward and backward
 * over all data as one batch, nothing updated. */
#ifndef CR_TRAIN_GRADIENTS_H
#define CR_TRAIN_GRADIENTS_H

#include "train/dpo.h"
#include "train/sft.h"

/* Writes `loss` (a scalar: the sum over all targets / their number) and the gradient of every
 * trained tensor, F32, under its name in the checkpoint. Packs go through the network n at a time;
 * the result is that of one batch. Errors: CRITIC_IO, CRITIC_NO_MEMORY, those of the task. */
enum critic_status cr_sft_dump_gradients(struct cr_sft *s, const char *path, size_t n,
                                         double *loss, critic_error *err);
/* The same over all pairs, the mean of their losses; also policy_chosen_logps,
 * policy_rejected_logps, reference_chosen_logps and reference_rejected_logps, (pairs) F32 each. */
enum critic_status cr_dpo_dump_gradients(struct cr_dpo *s, const char *path, size_t n,
                                         double *loss, critic_error *err);

#endif
