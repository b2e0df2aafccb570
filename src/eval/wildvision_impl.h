/* What wildvision*.c share. */
#ifndef CR_EVAL_WILDVISION_IMPL_H
#define CR_EVAL_WILDVISION_IMPL_H

#include "eval/wildvision.h"

enum critic_status cr_wildvision_read(struct cr_wildvision *out, const char *folder,
                                      struct cr_faults *faults, critic_error *err);
void cr_wildvision_model_fini(struct cr_wildvision_model *m);

#endif
