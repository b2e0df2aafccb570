/* The body of dense_avx2.c and dense_avx512.c: included once by each after it has defined its
 * vectors. Not a header for anyone else.
 *
 * The includer has vec and its operations from kernel/vec_*.h and defines
 *   INLINE        static, inline, always inlined
 *   PLAIN_ROWS    activation rows that share a pass over a plain weight row: 4 sums each
 *   BLOCK_ROWS    the same for block formats: 2 sums each
 *   vec_f16                   LANES halves from memory
 *   vec_f16_set1, f16_at      one half from memory: in every lane, as float
 *   vec_store_bf16            rounds to nearest even, NaN stays NaN
 *   ivec                      LANES int32
 *   ivec_u8, ivec_i8          LANES bytes from memory
 *   ivec_and, ivec_or, ivec_add, ivec_shl, ivec_shr, ivec_set1
 *   ivec_bit4                 lanes of 16 where bit (first + lane) of a word is set, else 0
 *   vec_from                  float of int
 *   struct ramp, ramp_from, ramp_plus, ramp_at   see nibbles() below
 *
 * A block weight is turned into the very f32 that cr_row_to_f32 gives and multiplied by f32
 * activations; nothing is rounded to fewer bits, so the two types of act share the code.
 *
 * Each row of y has its own sums, over fixed residues of k, added up in a fixed order: its
 * bits cannot depend on how many rows share a pass. */

#define VECS (32 / LANES) /* vectors in 32 weights */
/* Plain weights go 4 vectors at a time, one sum each. */
#define PLAIN_STEP ((size_t)(4 * LANES))
/* Bytes ahead of the block at hand to ask for: lifts the nibble formats from 22 to 31 GB/s. */
#define AHEAD 4096

/* ---- unpacking: 32 weights to f32 ---------------------------------------------------- */

/* Scales of a block with groups: d s_j in front, the minima m t_j of Q4_K and Q5_K behind. */
struct scales {
    float scale[16];
    float minimum[8];
};

INLINE uint32_t word_at(const unsigned char *p) {
    uint32_t u;
    memcpy(&u, p, sizeof u);
    return u;
}

/* Six-bit scales and minima, four at a time, of the 12 bytes at p (kernel/quant.c). */
INLINE void k_scales(const unsigned char *p, float d, float dmin, struct scales *s) {
    uint32_t a = word_at(p), b = word_at(p + 4), c = word_at(p + 8);
    uint32_t words[4] = {a & 0x3f3f3f3fu, (c & 0x0f0f0f0fu) | (a >> 6 & 0x03030303u) << 4,
                         b & 0x3f3f3f3fu,
                         (c >> 4 & 0x0f0f0f0fu) | (b >> 6 & 0x03030303u) << 4};
    unsigned char bytes[16];
    memcpy(bytes, words, sizeof bytes);
    for (int i = 0; i < 8; i++) {
        s->scale[i] = d * (float)bytes[i];
        s->minimum[i] = -(dmin * (float)bytes[8 + i]);
    }
}

/* Once a block, before its groups are unpacked. */
INLINE void block_scales(enum cr_dtype dtype, const unsigned char *b, struct scales *s) {
    if (dtype == CR_Q4_K || dtype == CR_Q5_K) {
        k_scales(b + 4, f16_at(b), f16_at(b + 2), s);
    } else if (dtype == CR_Q6_K) {
        float d = f16_at(b + 208);
        for (int i = 0; i < 16; i++)
            s->scale[i] = d * (float)(signed char)b[192 + i];
    }
}

/* A ramp gives the f32 of a nibble q, d * (q + from) or d * q + plus, from an int whose low
 * four bits are q. Low nibbles of 16 bytes are the first 16 weights, high ones the rest. */
INLINE void nibbles(const unsigned char *p, struct ramp ramp, vec w[VECS]) {
    for (int v = 0; v < VECS / 2; v++) {
        ivec q = ivec_u8(p + v * LANES);
        w[v] = ramp_at(ramp, q);
        w[VECS / 2 + v] = ramp_at(ramp, ivec_shr(q, 4));
    }
}

/* Q5_0, Q5_1: the nibbles at p with a fifth bit each from `high`. */
INLINE void five_bits(const unsigned char *p, uint32_t high, vec d, vec plus,
                      vec w[VECS]) {
    for (int v = 0; v < VECS; v++) {
        ivec q = ivec_u8(p + v % (VECS / 2) * LANES);
        q = v < VECS / 2 ? ivec_and(q, ivec_set1(15)) : ivec_shr(q, 4);
        w[v] = v_fma(vec_from(ivec_or(q, ivec_bit4(high, v * LANES))), d, plus);
    }
}

INLINE void group_q5_k(const unsigned char *b, int g, const struct scales *s,
                       vec w[VECS]) {
    vec d = v_set(s->scale[g]), plus = v_set(s->minimum[g]);
    for (int v = 0; v < VECS; v++) {
        ivec low = ivec_shr(ivec_u8(b + 48 + g / 2 * 32 + v * LANES), g % 2 * 4);
        ivec high = ivec_shr(ivec_u8(b + 16 + v * LANES), g);
        ivec q = ivec_or(ivec_and(low, ivec_set1(15)),
                         ivec_shl(ivec_and(high, ivec_set1(1)), 4));
        w[v] = v_fma(vec_from(q), d, plus);
    }
}

INLINE void group_q6_k(const unsigned char *b, int g, const struct scales *s,
                       vec w[VECS]) {
    const unsigned char *p = b + g / 4 * 64 + g % 2 * 32, *p_high = b + 128 + g / 4 * 32;
    for (int v = 0; v < VECS; v++) {
        ivec low = ivec_shr(ivec_u8(p + v * LANES), g % 4 / 2 * 4);
        ivec high = ivec_shr(ivec_u8(p_high + v * LANES), g % 4 * 2);
        ivec q = ivec_or(ivec_and(low, ivec_set1(15)),
                         ivec_shl(ivec_and(high, ivec_set1(3)), 4));
        q = ivec_add(q, ivec_set1(-32));
        w[v] = v_mul(vec_from(q), v_set(s->scale[g * 2 + v * LANES / 16]));
    }
}

/* Group g (32 weights) of the block at b. dtype and g are constants where it is inlined. */
INLINE void unpack32(enum cr_dtype dtype, const unsigned char *b, int g,
                     const struct scales *s, vec w[VECS]) {
    vec d;
    switch (dtype) {
    case CR_Q8_0:
        d = vec_f16_set1(b);
        for (int v = 0; v < VECS; v++)
            w[v] = v_mul(vec_from(ivec_i8(b + 2 + v * LANES)), d);
        break;
    case CR_Q4_0:
        nibbles(b + 2, ramp_from(vec_f16_set1(b), -8), w);
        break;
    case CR_Q4_1:
        nibbles(b + 4, ramp_plus(vec_f16_set1(b), vec_f16_set1(b + 2)), w);
        break;
    case CR_Q5_0:
        d = vec_f16_set1(b);
        five_bits(b + 6, word_at(b + 2), d, v_mul(d, v_set(-16)), w);
        break;
    case CR_Q5_1:
        five_bits(b + 8, word_at(b + 4), vec_f16_set1(b), vec_f16_set1(b + 2), w);
        break;
    case CR_Q4_K: {
        struct ramp ramp = ramp_plus(v_set(s->scale[g]), v_set(s->minimum[g]));
        for (int v = 0; v < VECS; v++)
            w[v] = ramp_at(ramp,
                           ivec_shr(ivec_u8(b + 16 + g / 2 * 32 + v * LANES), g % 2 * 4));
        break;
    }
    case CR_Q5_K:
        group_q5_k(b, g, s, w);
        break;
    default:
        group_q6_k(b, g, s, w);
    }
}

/* LANES plain weights, element i of the row at p. */
INLINE vec plain_at(enum cr_dtype dtype, const unsigned char *p, size_t i) {
    const void *at = p + i * (dtype == CR_F32 ? 4 : 2);
    if (dtype == CR_F32)
        return v_load_f32(at);
    return dtype == CR_F16 ? vec_f16(at) : v_load_bf16(at);
}

/* ---- conversion of rows --------------------------------------------------------------- */

INLINE void put(vec value, void *dst, size_t i, bool as_bf16) {
    if (as_bf16)
        vec_store_bf16((uint16_t *)dst + i, value);
    else
        v_store_f32((float *)dst + i, value);
}

INLINE void convert_blocks(enum cr_dtype dtype, const unsigned char *b, void *dst,
                           size_t n, bool as_bf16) {
    const size_t block_len = cr_dtype_block_len(dtype);
    for (size_t at = 0; at < n; b += cr_dtype_block_bytes(dtype)) {
        struct scales s;
        block_scales(dtype, b, &s);
#pragma GCC unroll 8
        for (int g = 0; g < (int)(block_len / 32); g++, at += 32) {
            vec w[VECS];
            unpack32(dtype, b, g, &s, w);
            for (int v = 0; v < VECS; v++)
                put(w[v], dst, at + (size_t)(v * LANES), as_bf16);
        }
    }
}

INLINE void convert_plain(enum cr_dtype dtype, const unsigned char *src, void *dst,
                          size_t n, bool as_bf16) {
    size_t at = 0;
    for (; at + LANES <= n; at += LANES)
        put(plain_at(dtype, src, at), dst, at, as_bf16);
    for (; at < n; at++) {
        float value;
        cr_row_to_f32(dtype, src + at * cr_dtype_block_bytes(dtype), &value, 1);
        if (as_bf16)
            ((uint16_t *)dst)[at] = cr_bf16_from_f32(value);
        else
            ((float *)dst)[at] = value;
    }
}

/* The dtype becomes a constant of each inlined body. */
#define FOR_PLAIN(X) X(CR_F32) X(CR_F16) X(CR_BF16)
#define FOR_BLOCKS(X)                                                                    \
    X(CR_Q8_0)                                                                           \
    X(CR_Q4_0) X(CR_Q4_1) X(CR_Q5_0) X(CR_Q5_1) X(CR_Q4_K) X(CR_Q5_K) X(CR_Q6_K)

INLINE void convert(enum cr_dtype dtype, const void *src, void *dst, size_t n,
                    bool as_bf16) {
    CR_ASSERT(n % cr_dtype_block_len(dtype) == 0);
    switch (dtype) {
#define CASE(id)                                                                         \
    case id:                                                                             \
        convert_plain(id, src, dst, n, as_bf16);                                         \
        break;
        FOR_PLAIN(CASE)
#undef CASE
#define CASE(id)                                                                         \
    case id:                                                                             \
        convert_blocks(id, src, dst, n, as_bf16);                                        \
        break;
        FOR_BLOCKS(CASE)
#undef CASE
    default:
        CR_ASSERT(!"a weight dtype");
    }
}

static void simd_to_f32(enum cr_dtype dtype, const void *src, float *dst, size_t n) {
    convert(dtype, src, dst, n, false);
}

static void simd_to_bf16(enum cr_dtype dtype, const void *src, uint16_t *dst, size_t n) {
    convert(dtype, src, dst, n, true);
}

/* ---- step products --------------------------------------------------------------------- */

/* Packed rows are f32, padded with zeros to whole steps. */
static size_t padded_len(size_t k) {
    return (k + 63) / 64 * 64;
}

static void pack_f32(enum cr_dtype act, const void *x, float *packed, size_t k) {
    simd_to_f32(act, x, packed, k);
    memset(packed + k, 0, (padded_len(k) - k) * sizeof *packed);
}

/* One step of a plain row: 4 vectors of weights against m rows of x. */
INLINE void plain_step(enum cr_dtype dtype, int m, const unsigned char *w, size_t i,
                       const float *x, size_t x_row, vec sums[][4]) {
    vec w4[4];
#pragma GCC unroll 4
    for (int v = 0; v < 4; v++)
        w4[v] = plain_at(dtype, w, i + (size_t)(v * LANES));
#pragma GCC unroll 8
    for (int r = 0; r < m; r++) {
#pragma GCC unroll 4
        for (int v = 0; v < 4; v++)
            sums[r][v] =
                v_fma(w4[v], v_load_f32(x + (size_t)r * x_row + v * LANES), sums[r][v]);
    }
}

/* One plain weight row against m rows of x, giving m elements of y. */
INLINE void plain_dot(enum cr_dtype dtype, int m, const struct cr_step *s,
                      const unsigned char *w, const float *x, float *y) {
    size_t x_row = padded_len(s->k), whole = s->k - s->k % PLAIN_STEP;
    size_t element = cr_dtype_block_bytes(dtype);
    vec sums[PLAIN_ROWS][4];
#pragma GCC unroll 16
    for (int i = 0; i < 4 * m; i++)
        sums[i / 4][i % 4] = v_set(0);
    for (size_t k = 0; k < whole; k += PLAIN_STEP)
        plain_step(dtype, m, w, k, x + k, x_row, sums);
    if (whole < s->k) { /* the rest of the row, filled up with zeros */
        unsigned char rest[PLAIN_STEP * 4] = {0};
        memcpy(rest, w + whole * element, (s->k - whole) * element);
        plain_step(dtype, m, rest, 0, x + whole, x_row, sums);
    }
#pragma GCC unroll 8
    for (int r = 0; r < m; r++)
        y[(size_t)r * s->y_row] =
            v_sum(v_add(v_add(sums[r][0], sums[r][1]), v_add(sums[r][2], sums[r][3])));
}

INLINE void block_dot(enum cr_dtype dtype, int m, const struct cr_step *s,
                      const unsigned char *b, const float *x, float *y) {
    const int groups = (int)(cr_dtype_block_len(dtype) / 32);
    size_t x_row = padded_len(s->k);
    vec sums[BLOCK_ROWS][2];
#pragma GCC unroll 16
    for (int i = 0; i < 2 * m; i++)
        sums[i / 2][i % 2] = v_set(0);
    for (size_t k = 0; k < s->k; b += cr_dtype_block_bytes(dtype)) {
        struct scales scales;
        __builtin_prefetch(b + AHEAD);
        if (groups > 1) { /* a large block is three cache lines or so */
            __builtin_prefetch(b + AHEAD + 64);
            __builtin_prefetch(b + AHEAD + 128);
        }
        block_scales(dtype, b, &scales);
#pragma GCC unroll 8
        for (int g = 0; g < groups; g++, k += 32) {
            vec w[VECS];
            unpack32(dtype, b, g, &scales, w);
#pragma GCC unroll 32
            for (int i = 0; i < m * VECS; i++) {
                int r = i / VECS, v = i % VECS;
                const float *at = x + (size_t)r * x_row + k + v * LANES;
                sums[r][v % 2] = v_fma(w[v], v_load_f32(at), sums[r][v % 2]);
            }
        }
    }
#pragma GCC unroll 8
    for (int r = 0; r < m; r++)
        y[(size_t)r * s->y_row] = v_sum(v_add(sums[r][0], sums[r][1]));
}

/* Rows of x in passes of `most`, then of 4, 2 and 1: later passes find the weight row in the
 * first-level cache. */
#define STEP_FUNCTION(id, dot, most)                                                     \
    static void step_##id(const struct cr_step *s, size_t n) {                           \
        size_t x_row = padded_len(s->k);                                                 \
        const float *x = s->x;                                                           \
        for (size_t row = 0; row < n; row++) {                                           \
            const unsigned char *w = (const unsigned char *)s->w + row * s->w_row_bytes; \
            float *y = s->y + row;                                                       \
            size_t r = 0;                                                                \
            for (; s->m - r >= (most); r += (most))                                      \
                dot(id, most, s, w, x + r * x_row, y + r * s->y_row);                    \
            for (; (most) > 4 && s->m - r >= 4; r += 4)                                  \
                dot(id, CR_MIN(4, most), s, w, x + r * x_row, y + r * s->y_row);         \
            for (; (most) > 2 && s->m - r >= 2; r += 2)                                  \
                dot(id, 2, s, w, x + r * x_row, y + r * s->y_row);                       \
            for (; r < s->m; r++)                                                        \
                dot(id, 1, s, w, x + r * x_row, y + r * s->y_row);                       \
        }                                                                                \
    }

#define PLAIN_FUNCTION(id) STEP_FUNCTION(id, plain_dot, PLAIN_ROWS)
#define BLOCK_FUNCTION(id) STEP_FUNCTION(id, block_dot, BLOCK_ROWS)
FOR_PLAIN(PLAIN_FUNCTION)
FOR_BLOCKS(BLOCK_FUNCTION)

static void step_f32(const struct cr_step *s, size_t n) {
    switch (s->w_dtype) {
#define CASE(id)                                                                         \
    case id:                                                                             \
        step_##id(s, n);                                                                 \
        break;
        FOR_PLAIN(CASE)
        FOR_BLOCKS(CASE)
#undef CASE
    default:
        CR_ASSERT(!"a weight dtype");
    }
}
