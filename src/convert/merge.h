/* Private to src/convert: an adapter added to the weights on their way out. */
#ifndef CR_CONVERT_MERGE_H
#define CR_CONVERT_MERGE_H

#include "convert/plan.h"

/* Replaces the source of every weight that the adapter in `dir` has a term for by F32
 * W + scale * B A (products and sums in double), in the plan's own memory.
 * Errors: those of cr_adapter_open; CRITIC_BAD_MODEL: a term for a linear that the model lacks, or
 * of another shape. */
enum critic_status cr_plan_merge(struct cr_plan *plan, const char *dir,
                                 critic_error *err);

#endif
