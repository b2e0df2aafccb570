/* Private to src/convert: a configuration as the files of each layout. */
#ifndef CR_CONVERT_METADATA_H
#define CR_CONVERT_METADATA_H

#include "convert/plan.h"
#include "convert/tokens.h"
#include "io/gguf.h"

/* config.json of `layout` (HF, LMMS or TEXT); dtype is named in it.
 * Errors: CRITIC_UNSUPPORTED for a setting that the layout cannot say. */
enum critic_status cr_metadata_config(struct cr_buf *out, const struct cr_config *c,
                                      enum cr_layout layout, enum cr_dtype dtype,
                                      critic_error *err);
enum critic_status cr_metadata_generation(struct cr_buf *out, const struct cr_config *c,
                                          critic_error *err);
/* nested: processor_config.json, else preprocessor_config.json. */
enum critic_status cr_metadata_processor(struct cr_buf *out, const struct cr_config *c,
                                         bool nested, critic_error *err);
/* Chat template of a layout whose source has none. */
const char *cr_metadata_template(bool pictures, bool system_turn);
/* Metadata of the two parts of a GGUF pair. */
enum critic_status cr_metadata_gguf_text(struct cr_gguf_writer *w,
                                         const struct cr_config *c,
                                         const struct cr_tokens *tokens, const char *name,
                                         enum cr_dtype dtype, critic_error *err);
enum critic_status cr_metadata_gguf_vision(struct cr_gguf_writer *w,
                                           const struct cr_config *c, const char *name,
                                           enum cr_dtype dtype, critic_error *err);
/* Everything of a packed file; dtype: PANEL8 or PANEL4. */
enum critic_status cr_metadata_gguf_packed(struct cr_gguf_writer *w,
                                           const struct cr_config *c,
                                           const struct cr_tokens *tokens,
                                           const char *name, enum cr_dtype dtype,
                                           critic_error *err);

#endif
