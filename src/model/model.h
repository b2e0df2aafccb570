/* The network: SigLIP tower, projector, picture packing, Qwen2 decoder. Takes pixels, ids and
 * geometry; never a path, a picture file or a string.
 *
 *   pixels (tiles, 3, S, S) -> tower -> (tiles*P, Dv) -> projector -> (tiles*P, D)
 *     -> pack (unpad, shrink, newline rows) -> (image tokens, D)
 *   ids -> embedding rows (T, D); image rows take the places of image tokens
 *     -> decoder blocks over the KV pages -> norm -> head -> logits
 *
 * Source: LLaVA-NeXT llava_arch.py, siglip_encoder.py; transformers modeling_qwen2.py,
 * modeling_siglip.py (docs/model.md). */
#ifndef CR_MODEL_MODEL_H
#define CR_MODEL_MODEL_H

#include "model/params.h"
#include "op/attention.h"

struct cr_model {
    const struct cr_config *config;
    struct cr_params params;
};

/* Looks at the residual stream on its way: "hidden_states" before block `layer` (the last one is
 * after the final block), "vision_hidden_states" likewise. fn NULL: nobody looks. */
struct cr_layer_tap {
    void (*fn)(void *user, const char *name, size_t layer, size_t first_row,
               const struct cr_tensor *x);
    void *user;
};

/* ---- vision.c ---- */

/* Patch features of tiles: the residual stream after the last block used, no final norm.
 * Shapes: y (n_tiles * P, Dv) F32; pixels (n_tiles, 3, S, S) F32. */
void cr_vision_fwd(struct cr_tensor y, const float *pixels, size_t n_tiles,
                   const struct cr_model *m, const struct cr_layer_tap *tap,
                   struct cr_exec *ex);

/* ---- projector.c ---- */

/* y = linear_2(gelu(linear_1(x))). Shapes: y (T, D) F32; x (T, Dv) F32. */
void cr_projector_fwd(struct cr_tensor y, struct cr_tensor x, const struct cr_model *m,
                      struct cr_exec *ex);

/* ---- pack.c ---- */

struct cr_tile_plan; /* image/anyres.h */

/* Rows of one picture as the decoder takes them: the global view first, then the tiles' map without
 * its padding, shrunk where the plan says so (bilinear, half-pixel centres, no antialias), each map
 * row followed by the newline row. A single tile: its rows and one newline.
 * Shapes: y (plan->n_tokens, D) F32; x (plan->n_tiles * P, D) F32; newline (D).
 * Source: llava_arch.py prepare_inputs_labels_for_multimodal. */
void cr_pack_fwd(struct cr_tensor y, struct cr_tensor x, struct cr_tensor newline,
                 const struct cr_tile_plan *plan, struct cr_exec *ex);

/* ---- decoder.c ---- */

/* How one page of keys and values is laid out: for every layer the keys of all heads, then their
 * values, as op/attention.h keeps them: panels where attention computes in the type that they
 * are kept in, else rows. A page is zeroed before it is first written. */
struct cr_kv_layout {
    enum cr_dtype type;      /* of what is kept: F32, BF16, Q8_0 or I8 (op/attention.h) */
    enum cr_dtype attention; /* of values and results of attention */
    size_t page_len;
    size_t row_bytes;        /* of a head's row; 0: panels */
    size_t k_bytes, v_bytes; /* of all heads of a layer */
    size_t page_bytes;       /* of L layers */
};

/* type F32 makes attention compute in F32 whatever ex->act is. */
struct cr_kv_layout cr_kv_layout_make(const struct cr_decoder_config *c,
                                      enum cr_dtype type, const struct cr_exec *ex);
/* Bytes of keys and values that a token takes in this type, were there no padding of panels. */
size_t cr_kv_token_bytes(const struct cr_decoder_config *c, enum cr_dtype type);

/* Rows that continue one sequence: n_rows rows at positions first .. first + n_rows - 1. The pages
 * cover first + n_rows positions; those before `first` are filled. */
struct cr_span {
    size_t n_rows;
    size_t first;
    unsigned char *const *pages;
};

/* All blocks over the rows of all spans, in place: x holds embeddings on entry and the residual
 * stream after the last block on return; the spans' keys and values are written to their pages.
 * Prefill passes one span; a decode step passes one row of each sequence (phase CR_STEP).
 * n_out: only so many rows are wanted, the last of x (of more than one span: all). The last block
 * computes keys and values of the others, which is all that anyone asks of them later, and nothing
 * else; they are left as they entered it.
 * Shapes: x (sum of n_rows, D) F32. */
void cr_decoder_fwd(struct cr_tensor x, size_t n_out, const struct cr_span *spans,
                    size_t n_spans, const struct cr_kv_layout *kv,
                    const struct cr_model *m, enum cr_phase phase,
                    const struct cr_layer_tap *tap, struct cr_exec *ex);

/* Final norm: y (T, D) F32 from x (T, D) F32. */
void cr_decoder_norm_fwd(struct cr_tensor y, struct cr_tensor x, const struct cr_model *m,
                         struct cr_exec *ex);
/* logits (T, V) F32 from normed rows (T, D) F32. */
void cr_decoder_head_fwd(struct cr_tensor logits, struct cr_tensor x,
                         const struct cr_model *m, enum cr_phase phase,
                         struct cr_exec *ex);

#endif
