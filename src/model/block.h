/* Private to src/model: one block of the decoder and of the tower, forward and backward, as
 * inference and training share them. Forward writes what it computes into `acts`; inference
 * throws them away (of the feed-forward half it has none: ..._ffn_add), training keeps them for backward
 * or computes them again.
 *
 * Backward: dx is the gradient of the residual stream, in place: d of the half block's output on
 * entry, of its input on return. Gradients of frozen parameters have data NULL. */
#ifndef CR_MODEL_BLOCK_H
#define CR_MODEL_BLOCK_H

#include "model/model.h"
#include "op/attention_packed.h"
#include "op/norm.h"

/* Attention half. Types: ex->act where nothing else is said. Widths: decoder H*E and G*E, tower Dv. */
struct cr_attention_acts {
    struct cr_tensor h;       /* (T, D): normed input */
    struct cr_tensor q, k, v; /* (T, H*E), (T, G*E), as attention takes them */
    struct cr_tensor out;     /* (T, H*E), of v's type */
    /* For backward, else NULL: */
    float *mean, *rstd; /* (T); mean in the tower only */
    float *lse;         /* (T, H) */
};

struct cr_ffn_acts {
    struct cr_tensor h;        /* (T, D): normed input */
    struct cr_tensor gate, up; /* (T, F); tower: gate is fc1's result, up is not used */
    /* (T, F): what the last product takes. Blocks may share it: backward computes it again. */
    struct cr_tensor act;
    float *mean, *rstd;
};

/* F32 spares a rounding where attention takes it and nothing keeps the rows: in the decoder q, k and
 * v, in the tower q and k. */
struct cr_attention_types {
    enum cr_dtype q, k, v, out;
};

/* Room for them in `arena`; asserted. shared: the act to use, NULL: its own. */
struct cr_attention_acts
cr_attention_acts_make(size_t rows, size_t width, size_t q_width, size_t kv_width,
                       size_t n_heads, bool keep, struct cr_attention_types types,
                       struct cr_arena *arena, enum cr_dtype act);
struct cr_ffn_acts cr_ffn_acts_make(size_t rows, size_t width, size_t ffn_width,
                                    bool gated, const struct cr_tensor *shared,
                                    struct cr_arena *arena, enum cr_dtype act);

/* What the blocks of one decoder pass share. */
struct cr_decoder_pass {
    const struct cr_decoder_config *c;
    const float *cos_table, *sin_table; /* (T, E/2) */
    /* Training: who sees whom. Else the hook below. */
    const struct cr_packed_sequence *sequences;
    size_t n_sequences;
    /* Inference: stores keys and values and attends over the cache. NULL: sequences. */
    void (*attend)(void *user, size_t layer, const struct cr_attention_acts *a);
    void *user;
    enum cr_phase phase;
    struct cr_exec *ex;
};

/* y = x + o_proj(attention(rope(q), rope(k), v)); y may be x. Inference: y may have fewer rows, the last
 * of x, as a->q and a->out then do. */
void cr_decoder_attention_fwd(struct cr_tensor y, struct cr_attention_acts *a,
                              struct cr_tensor x, const struct cr_decoder_layer *layer,
                              size_t index, const struct cr_decoder_pass *p);
void cr_decoder_attention_bwd(struct cr_tensor dx, const struct cr_decoder_layer *grad,
                              const struct cr_attention_acts *a, struct cr_tensor x,
                              const struct cr_decoder_layer *layer,
                              const struct cr_decoder_pass *p);
/* x += down(silu(gate(h)) * up(h)), nothing kept. */
void cr_decoder_ffn_add(struct cr_tensor x, const struct cr_decoder_layer *layer,
                        const struct cr_decoder_pass *p);
/* a->act from the kept gate and up. */
void cr_decoder_ffn_act(const struct cr_ffn_acts *a, struct cr_exec *ex);
/* y = x + down(silu(gate(h)) * up(h)); y may be x. y.data NULL: the activations only. */
void cr_decoder_ffn_fwd(struct cr_tensor y, struct cr_ffn_acts *a, struct cr_tensor x,
                        const struct cr_decoder_layer *layer,
                        const struct cr_decoder_pass *p);
void cr_decoder_ffn_bwd(struct cr_tensor dx, const struct cr_decoder_layer *grad,
                        const struct cr_ffn_acts *a, struct cr_tensor x,
                        const struct cr_decoder_layer *layer,
                        const struct cr_decoder_pass *p);

/* The tower's halves; rows are whole tiles of n_patches, which attend within themselves. */
void cr_vision_attention_fwd(struct cr_tensor y, struct cr_attention_acts *a,
                             struct cr_tensor x, const struct cr_vision_layer *layer,
                             size_t n_patches, const struct cr_vision_config *c,
                             struct cr_exec *ex);
void cr_vision_attention_bwd(struct cr_tensor dx, const struct cr_vision_layer *grad,
                             const struct cr_attention_acts *a, struct cr_tensor x,
                             const struct cr_vision_layer *layer, size_t n_patches,
                             const struct cr_vision_config *c, struct cr_exec *ex);
/* x += fc2(gelu(fc1(h))), nothing kept. */
void cr_vision_ffn_add(struct cr_tensor x, const struct cr_vision_layer *layer,
                       const struct cr_vision_config *c, struct cr_exec *ex);
/* a->act from the kept result of fc1. */
void cr_vision_ffn_act(const struct cr_ffn_acts *a, const struct cr_vision_config *c,
                       struct cr_exec *ex);
void cr_vision_ffn_fwd(struct cr_tensor y, struct cr_ffn_acts *a, struct cr_tensor x,
                       const struct cr_vision_layer *layer,
                       const struct cr_vision_config *c, struct cr_exec *ex);
void cr_vision_ffn_bwd(struct cr_tensor dx, const struct cr_vision_layer *grad,
                       const struct cr_ffn_acts *a, struct cr_tensor x,
                       const struct cr_vision_layer *layer,
                       const struct cr_vision_config *c, struct cr_exec *ex);

/* ---- backward of the parts in projector.c and pack.c ---- */

/* dx (T, Dv) F32 (data NULL: not wanted) from dy (T, D) F32; x as forward had it. */
void cr_projector_bwd(struct cr_tensor dx, struct cr_params *grads, struct cr_tensor dy,
                      struct cr_tensor x, const struct cr_model *m, struct cr_exec *ex);
/* dx (n_tiles * P, D) F32 written from dy (n_tokens, D) F32; dnewline (D) F32 += its rows, data
 * NULL: frozen. */
void cr_pack_bwd(struct cr_tensor dx, struct cr_tensor dnewline, struct cr_tensor dy,
                 const struct cr_tile_plan *plan, struct cr_exec *ex);

/* Does a linear's gradient hold anything that learns? */
static inline bool cr_linear_trains(const struct cr_linear *g) {
    return g->w.data || g->bias.data || g->lora.a.data || g->lora.b.data;
}

/* y = x, rows over threads; nothing where they are the same rows. */
void cr_copy_rows(struct cr_tensor y, struct cr_tensor x, struct cr_exec *ex);

#endif
