/* Names of tensors: every checkpoint spelling to the canonical form of tensor/store.h and
 * back. Facts: docs/formats.md; GGUF names as llama.cpp's converters write them. */
#ifndef CR_TENSOR_NAMES_H
#define CR_TENSOR_NAMES_H

#include "tensor/store.h"

/* Canonical form of a safetensors name, any of the five spellings. Names that no rule knows
 * come out with their prefixes taken off. Errors: CRITIC_NO_MEMORY. */
enum critic_status cr_name_from_safetensors(struct cr_buf *out, const char *name,
                                            critic_error *err);
/* Canonical form of a GGUF name, text or vision part. `ffn_swapped`: the file calls fc1
 * ffn_down, as early vision converters did. */
enum critic_status cr_name_from_gguf(struct cr_buf *out, const char *name,
                                     bool ffn_swapped, critic_error *err);
/* The name under which `layout` stores a canonical tensor (CR_LAYOUT_HF: what save_pretrained
 * of transformers 5 writes). Errors: CRITIC_UNSUPPORTED where the layout has no such name. */
enum critic_status cr_name_to(struct cr_buf *out, enum cr_layout layout,
                              const char *canonical, critic_error *err);
/* Tower, projector and newline: what lies in the vision part of a GGUF pair. */
bool cr_name_is_vision(const char *canonical);

/* Spellings by which a file's layout is told. */
struct cr_name_evidence {
    bool lmms;
    bool hf;
};
void cr_name_note(struct cr_name_evidence *e, const char *name);

#endif
