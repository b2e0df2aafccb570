/* A checkpoint's tokenizer without its weights. */
#ifndef CR_ENGINE_OPEN_TOKENIZER_H
#define CR_ENGINE_OPEN_TOKENIZER_H

#include "text/tokenizer.h"

/* model: a folder, a .safetensors file (its folder counts) or a .gguf file.
 * Errors: those of cr_tokenizer_open and cr_gguf_open. *out is NULL on failure. */
enum critic_status cr_open_tokenizer(struct cr_tokenizer **out, const char *model,
                                     critic_error *err);

struct cr_gguf; /* io/gguf.h */
/* tokenizer_gguf.c: from the metadata; its chat template must be ChatML where it has one. */
enum critic_status cr_engine_tokenizer_from_gguf(struct cr_tokenizer **out,
                                                 const struct cr_gguf *g,
                                                 const char *name, critic_error *err);

#endif
