/* Scaled dot-product attention with grouped-query heads; the (T, T) scores never exist:
 * tiles with an online softmax in f32.
 *   y[t,h,:] = sum_s softmax_s(scale * q[t,h,:] . k[s,g,:]) v[s,g,:],  g = h / (H / G)
 * over all keys s < n_keys, or s <= first + t where causal.
 * Shapes: y (T, H*E) of type ex->act, q (T, H*E) the same or F32: scores then see f32; keys and values lie in pages (a contiguous matrix is
 *         one page): element (s, g, e) is at k[s / page_len] + (s % page_len) * row_stride
 *         + g * head_stride + e, strides in elements, type ex->act.
 * saved:  lse (T, H): the log-sum-exp of each row, for backward; NULL at inference.
 * Bits:   a query row's result depends on its own q, its keys and the phase only: not on T, on
 *         `first` being reached in one chunk or several, on page_len, or on threads. (Key tiles
 *         start at absolute multiples of the tile length.)
 * Source: Vaswani et al. 2017; online softmax Milakov & Gimelshein 2018. */
#ifndef CR_OP_ATTENTION_H
#define CR_OP_ATTENTION_H

#include "op/exec.h"

/* `packed`: page_len is that of cr_attention_panels, and a page holds each head's keys as the panel
 * that the context's tiles make of them for queries in F32 (kernel/attention.h), one behind the
 * other; likewise the values. Nothing is packed then, which costs a step more than the attention
 * itself. */
struct cr_kv_view {
    void *const *k; /* one pointer a page */
    void *const *v;
    size_t page_len;
    size_t row_stride;
    size_t head_stride;
    size_t n_keys; /* keys present; with `causal` at least first + T */
    bool packed;
};

/* Keys of a panel, and bytes of a panel of keys and of values of one head. */
struct cr_kv_panels {
    size_t len, k_bytes, v_bytes;
};
struct cr_kv_panels cr_attention_panels(size_t head_dim, const struct cr_exec *ex);
/* Row `slot` of each head, k and v (G*E) of type ex->act, to its panels. Slots not yet written must
 * hold numbers: zeros. */
void cr_attention_put(void *k_panels, void *v_panels, const void *k, const void *v,
                      size_t slot, size_t n_kv_heads, size_t head_dim,
                      const struct cr_exec *ex);

struct cr_attention_shape {
    size_t n_heads;    /* H */
    size_t n_kv_heads; /* G, divides H */
    size_t head_dim;   /* E */
    float scale;       /* E^-0.5 in every model here */
    bool causal;
    size_t first; /* position of query row 0 among the keys (causal only) */
};

struct cr_attention_saved {
    float *lse;
};

void cr_attention_fwd(struct cr_tensor y, struct cr_attention_saved *saved,
                      struct cr_tensor q, const struct cr_kv_view *kv,
                      const struct cr_attention_shape *shape, enum cr_phase phase,
                      struct cr_exec *ex);

#endif
