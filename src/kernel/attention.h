/* Attention tiles: the packed layouts and the online softmax of one block of query rows
 * against one block of keys. op/attention.c walks the blocks, splits them over threads and
 * owns the memory; a table of these functions knows the layouts.
 *
 *   begin   takes up to CR_ATTENTION_ROWS query rows of one head
 *   step    adds one block of up to CR_ATTENTION_KEYS keys, given as packed panels:
 *             s = scale * log2(e) * q . k, masked;  m' = max(m, s);  p = exp2(s - m')
 *             l = l * exp2(m - m') + sum(p);  a = a * exp2(m - m') + p v
 *   end     y = a / l
 *
 * Four tables an ISA: q, k, v, y in f32; all in bf16; and, where nothing is kept for backward,
 * mixed: q F32, k F32 or BF16, v and y BF16. There AVX-512 takes scores from 16-bit integers, a
 * row of q or k being n * unit with |row| <= 46300 units: vpdpwssd is as fast as vdpbf16ps, and
 * rounds a row to 2^-15 of its length instead of 2^-9 of each element. The fourth, int8, is mixed
 * with both products in 8 bits. A row of q is n * unit, a row of k the first of its panel (which q meets
 * as it is, in f32) plus n * unit, |n| <= 127: s = scale * log2(e) * (q . first + n_q n_k unit_q unit_k). A
 * row of v is n * unit, |n| <= 127 (units at least CR_ATTENTION_LEAST_UNIT), and p
 * times the units of its keys goes to 0..255 of the largest of the row in each step (not of all its
 * keys: the first token of a text often takes most of the weight, with small values). The sums of a
 * step are exact.
 *
 * Blocks of keys start at absolute multiples of CR_ATTENTION_KEYS, and blocks of causal
 * query rows at multiples of CR_ATTENTION_ROWS, which divides it: a block of query rows
 * needs whole blocks of keys and then one diagonal block, so a row's arithmetic does not
 * depend on which rows travel with it. */
#ifndef CR_KERNEL_ATTENTION_H
#define CR_KERNEL_ATTENTION_H

#include <stdbool.h>
#include <stddef.h>

#include "base/dtype.h"

#define CR_ATTENTION_ROWS       96
#define CR_ATTENTION_KEYS       384
#define CR_ATTENTION_LEAST_UNIT 0x1p-40f /* p / unit stays far from the smallest f32 */
#define CR_ATTENTION_PANEL      64 /* keys a packed panel; divides CR_ATTENTION_KEYS */
#define CR_ATTENTION_PANELS                                                              \
    (CR_ATTENTION_KEYS / CR_ATTENTION_PANEL) /* of a step at most */

/* Keys that row r of a block may see: the first `visible + r * per_row` of the step's keys,
 * at most n_keys. per_row is 1 under a causal mask, else 0. */
struct cr_attention_mask {
    size_t n_keys;
    size_t visible;
    size_t per_row;
};

/* Backward of one block of query rows against one panel of keys. Panels are those of pack_k
 * ("cols") and pack_v ("rows"), of keys, values, queries or dy. */
struct cr_attention_bwd {
    const void *q, *dy; /* rows q_stride and dy_stride elements apart */
    size_t q_stride, dy_stride;
    size_t n_rows;       /* <= CR_ATTENTION_PANEL */
    const void *q_rows;  /* pack_v of the query rows */
    const void *dy_rows; /* pack_v of dy */
    const void *k_cols;  /* pack_k and */
    const void *k_rows;  /* pack_v of the keys */
    const void *v_cols;  /* pack_k of the values */
    const float *lse;    /* (n_rows): log-sum-exp of each row, from forward */
    const float *delta;  /* (n_rows): dy . y */
    size_t head_dim;
    float scale;
    struct cr_attention_mask mask; /* of this panel; a row may see none of it */
    /* All are added to; rows bwd_stride(head_dim) floats apart. dk, dv: n_keys rows. */
    float *dq, *dk, *dv;
};

struct cr_attention_tiles {
    /* Bytes of a packed panel of keys, of values, and of a block's working memory. All are
     * multiples of 64. */
    size_t (*k_bytes)(size_t head_dim);
    size_t (*v_bytes)(size_t head_dim);
    size_t (*work_bytes)(size_t head_dim);
    /* rows: n <= CR_ATTENTION_PANEL pointers to head_dim elements; the rest of the panel is
     * filled with zeros. type: of the rows of k, the table's own unless that is mixed. */
    void (*pack_k)(void *panel, const void *const *rows, enum cr_dtype type, size_t n,
                   size_t head_dim);
    void (*pack_v)(void *panel, const void *const *rows, size_t n, size_t head_dim);
    /* One row in f32, rounded as the panel holds it, to its place: a panel of zeros, filled so row
     * by row from the first on, is what pack makes. */
    void (*put_k)(void *panel, const float *row, size_t slot, size_t head_dim);
    void (*put_v)(void *panel, const float *row, size_t slot, size_t head_dim);
    /* Query row r is at q + r * q_stride elements; scale multiplies q . k. */
    void (*begin)(void *work, const void *q, size_t q_stride, size_t n_rows,
                  size_t head_dim, float scale);
    /* A pointer a panel. Every row must see at least one key in its first step. */
    void (*step)(void *work, const void *const *k_panels, const void *const *v_panels,
                 const struct cr_attention_mask *mask);
    /* y row r at y + r * y_stride elements; lse[r * lse_stride] where lse is not NULL. */
    void (*end)(void *work, void *y, size_t y_stride, float *lse, size_t lse_stride);
    /* The unfinished sums instead, for blocks of keys that were walked apart: m (the row's
     * largest score in powers of two), l, and a with head_dim entries a row. */
    void (*partial)(void *work, float *m, float *l, float *a);
    /* Backward (NULL where mixed): bytes of its working memory, floats of a row of dq, dk and dv, one tile. */
    size_t (*bwd_bytes)(size_t head_dim);
    size_t (*bwd_stride)(size_t head_dim);
    void (*bwd)(void *work, const struct cr_attention_bwd *b);
};

extern const struct cr_attention_tiles cr_attention_scalar_f32, cr_attention_scalar_bf16,
    cr_attention_scalar_mixed, cr_attention_scalar_int8;
#if defined(__x86_64__)
extern const struct cr_attention_tiles cr_attention_avx2_f32, cr_attention_avx2_bf16,
    cr_attention_avx2_mixed;
extern const struct cr_attention_tiles cr_attention_avx512_f32, cr_attention_avx512_bf16,
    cr_attention_avx512_mixed, cr_attention_avx512_int8;
#endif

#endif
