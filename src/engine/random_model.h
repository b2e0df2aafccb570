/* Engines over random weights: the real shapes and code paths without their files, for
 * benchmarks and tests. They have no tokenizer: prompts are given as ids. */
#ifndef CR_ENGINE_RANDOM_MODEL_H
#define CR_ENGINE_RANDOM_MODEL_H

#include "engine/engine.h"

/* "onevision-0.5b", "onevision-7b" or "onevision-72b" (docs/model.md), "qwen-1.5b" (text), "tiny".
 * Errors: CRITIC_BAD_ARGUMENT listing the names. */
enum critic_status cr_config_preset(struct cr_config *out, const char *name,
                                    critic_error *err);
/* dtype: of the matrices, any that cr_row_from_f32 writes. */
enum critic_status cr_engine_open_random(struct cr_engine **out,
                                         const struct cr_config *config,
                                         enum cr_dtype dtype, uint64_t seed,
                                         const struct cr_engine_opts *opts,
                                         critic_error *err);
/* Appends ids to a prompt as they are. Errors: CRITIC_BAD_DATA. */
enum critic_status cr_prompt_tokens(struct cr_prompt *p, const int32_t *ids, size_t n,
                                    critic_error *err);

#endif
