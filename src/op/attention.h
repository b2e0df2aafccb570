/* Scaled dot-product attention with grouped-query heads; the (T, T) scores never exist:
 * tiles with an online softmax in f32.
 *   y[t,h,:] = sum_s softmax_s(scale * q[t,h,:] . k[s,g,:]) v[s,g,:],  g = h / (H / G)
 * over all keys s < n_keys, or s <= first + t where causal.
 * Shapes: y (T, H*E) of type F32 or ex->act, q (T, H*E) the same or F32: scores then see f32; keys and values lie in pages (a contiguous matrix is
 *         one page): element (s, g, e) is at k[s / page_len] + (s % page_len) * row_stride
 *         + g * head_stride + e, strides in blocks of the view's type (elements, where it has none).
 *         What is not of y's type becomes that, panel by panel (keys F32); a block type's heads
 *         begin with a block of their own.
 *         In 8 bits: the view's type is I8. Its pages are panels (`packed`) and y is BF16.
 * saved:  lse (T, H): the log-sum-exp of each row, for backward; NULL at inference.
 * Bits:   a query row's result depends on its own q, its keys and the phase only: not on T, on
 *         `first` being reached in one chunk or several, on page_len, or on threads. (Key tiles
 *         start at absolute multiples of the tile length.)
 * Source: Vaswani et al. 2017; online softmax Milakov & Gimelshein 2018. */
#ifndef CR_OP_ATTENTION_H
#define CR_OP_ATTENTION_H

#include "op/exec.h"

/* `packed`: page_len is that of cr_attention_panels, and a page holds each head's keys as the panel
 * that the tiles of type y make of them for queries in F32 (kernel/attention.h), one behind the
 * other; likewise the values. Nothing is packed then, which costs a step more than the attention
 * itself. */
struct cr_kv_view {
    void *const *k; /* one pointer a page */
    void *const *v;
    size_t page_len;
    size_t row_stride;
    size_t head_stride;
    size_t n_keys;      /* keys present; with `causal` at least first + T */
    enum cr_dtype type; /* of rows: F32, BF16 or Q8_0; I8: panels in 8 bits */
    bool packed;
};

/* How keys and values are kept where y is of type `y` and they are of type `kv`: F32, BF16 (not F32
 * beside y BF16), Q8_0, blocks of 32 in 8 bits with a scale each, or beside y BF16 I8: a key in 8 bits
 * over the first of its page, a row of values in 8 bits, a scale each (kernel/attention.h). Keys of a page, and bytes of
 * one head's keys and values in it: panels where the types are the same or I8, else rows. */
struct cr_kv_page {
    size_t len, k_bytes, v_bytes;
    size_t row_bytes; /* of rows; 0: panels */
};
struct cr_kv_page cr_attention_page(size_t head_dim, enum cr_dtype y, enum cr_dtype kv,
                                    const struct cr_exec *ex);
/* Row `slot` of each head, k and v (G*E), to its place, rounded once, as that holds it. Slots of
 * panels that are not yet written must hold numbers: zeros. Of I8, slot 0 comes first. */
void cr_attention_put(void *k_page, void *v_page, const float *k, const float *v,
                      size_t slot, size_t n_kv_heads, size_t head_dim, enum cr_dtype y,
                      enum cr_dtype kv, const struct cr_exec *ex);

struct cr_attention_shape {
    size_t n_heads;    /* H */
    size_t n_kv_heads; /* G, divides H */
    size_t head_dim;   /* E */
    float scale;       /* E^-0.5 in every model here */
    bool causal;
    size_t first;   /* position of query row 0 among the keys (causal only) */
    bool in_8_bits; /* cr_packed_attention_fwd: in 8 bits; q is F32 then, v and y BF16 */
};

struct cr_attention_saved {
    float *lse;
};

void cr_attention_fwd(struct cr_tensor y, struct cr_attention_saved *saved,
                      struct cr_tensor q, const struct cr_kv_view *kv,
                      const struct cr_attention_shape *shape, enum cr_phase phase,
                      struct cr_exec *ex);

#endif
