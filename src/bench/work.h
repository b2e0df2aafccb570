/* How much work a phase is: useful operations and bytes that must be read. */
#ifndef CR_BENCH_WORK_H
#define CR_BENCH_WORK_H

#include "model/model.h"

/* Rows at positions [first, first + n) through all decoder blocks; causal attention counts the
 * keys that are visible, and in the last block only keys, values and the last row. Without the head. */
double cr_work_decoder(const struct cr_config *c, size_t first, size_t n);
double cr_work_head(const struct cr_config *c, size_t n);
double cr_work_tower(const struct cr_config *c, size_t n_tiles);
double cr_work_projector(const struct cr_config *c, size_t n_tiles);
/* Bytes that one decode step reads: every weight of the decoder and the head once. */
double cr_work_step_weights(const struct cr_model *m);

#endif
