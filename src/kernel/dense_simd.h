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
 *   ivec_select               bits of the second where the first has ones, else of the third
 *   scales_store              16 bytes (four words) to float, times one factor for the first
 *                             eight and another for the rest, to memory
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

/* base/dtype.h's table once more, as constants where dtype is one: a call for each block
 * would cost three quarters of the speed. */
INLINE size_t block_len_of(enum cr_dtype dtype) {
    switch (dtype) {
#define CASE(id, name, block_len, block_bytes)                                           \
    case id:                                                                             \
        return block_len;
        CR_DTYPE_LIST(CASE)
#undef CASE
    default:
        return 1;
    }
}

INLINE size_t block_bytes_of(enum cr_dtype dtype) {
    switch (dtype) {
#define CASE(id, name, block_len, block_bytes)                                           \
    case id:                                                                             \
        return block_bytes;
        CR_DTYPE_LIST(CASE)
#undef CASE
    default:
        return 0;
    }
}

/* ---- unpacking: 32 weights to f32 ---------------------------------------------------- */

/* Scales of a block with groups: d s_j; in Q4_K and Q5_K eight of them, then the minima
 * -m t_j. They go through memory, because a broadcast from there is free. */
struct scales {
    float of[16];
};

INLINE uint32_t word_at(const unsigned char *p) {
    uint32_t u;
    memcpy(&u, p, sizeof u);
    return u;
}

/* Once a block, before its groups are unpacked. */
INLINE void block_scales(enum cr_dtype dtype, const unsigned char *b, struct scales *s) {
    if (dtype == CR_Q4_K || dtype == CR_Q5_K) {
        /* Six-bit scales and minima, four at a time, of 12 bytes (kernel/quant.c). */
        uint32_t x = word_at(b + 4), y = word_at(b + 8), z = word_at(b + 12);
        scales_store(s->of, x & 0x3f3f3f3fu, (z & 0x0f0f0f0fu) | (x >> 2 & 0x30303030u),
                     y & 0x3f3f3f3fu, (z >> 4 & 0x0f0f0f0fu) | (y >> 2 & 0x30303030u),
                     f16_at(b), -f16_at(b + 2));
    } else if (dtype == CR_Q6_K) {
        vec d = vec_f16_set1(b + 208);
        for (int i = 0; i < 16; i += LANES)
            v_store_f32(s->of + i, v_mul(vec_from(ivec_i8(b + 192 + i)), d));
    }
    /* Else gcc keeps them in a register and permutes: the units that are scarce here. */
    __asm__("" : "+m"(*s));
}

/* a * 2^n, bits falling off either end of the lane. */
INLINE ivec ivec_shift(ivec a, int n) {
    return n >= 0 ? ivec_shl(a, n) : ivec_shr(a, -n);
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

/* Low four bits from `low`, the rest from `high`, cut to `mask`. */
INLINE ivec join_bits(ivec low, ivec high, int mask) {
    return ivec_and(ivec_select(ivec_set1(15), low, high), ivec_set1(mask));
}

INLINE void group_q5_k(const unsigned char *b, int g, const struct scales *s,
                       vec w[VECS]) {
    vec d = v_set(s->of[g]), plus = v_set(s->of[8 + g]);
    for (int v = 0; v < VECS; v++) {
        ivec low = ivec_shr(ivec_u8(b + 48 + g / 2 * 32 + v * LANES), g % 2 * 4);
        ivec high = ivec_shift(ivec_u8(b + 16 + v * LANES), 4 - g);
        w[v] = v_fma(vec_from(join_bits(low, high, 31)), d, plus);
    }
}

INLINE void group_q6_k(const unsigned char *b, int g, const struct scales *s,
                       vec w[VECS]) {
    const unsigned char *p = b + g / 4 * 64 + g % 2 * 32, *p_high = b + 128 + g / 4 * 32;
    for (int v = 0; v < VECS; v++) {
        ivec low = ivec_shr(ivec_u8(p + v * LANES), g % 4 / 2 * 4);
        ivec high = ivec_shift(ivec_u8(p_high + v * LANES), 4 - g % 4 * 2);
        vec d = v_set(s->of[g * 2 + v * LANES / 16]);
        /* Both products are exact, so this rounds once, as d * (q - 32) does. */
        w[v] = v_fma(vec_from(join_bits(low, high, 63)), d, v_mul(d, v_set(-32)));
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
        struct ramp ramp = ramp_plus(v_set(s->of[g]), v_set(s->of[8 + g]));
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
    const void *at = p + i * block_bytes_of(dtype);
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
    const size_t block_len = block_len_of(dtype);
    for (size_t at = 0; at < n; b += block_bytes_of(dtype)) {
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
        cr_row_to_f32(dtype, src + at * block_bytes_of(dtype), &value, 1);
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
    CR_ASSERT(n % block_len_of(dtype) == 0);
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
    size_t element = block_bytes_of(dtype);
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
    const int groups = (int)(block_len_of(dtype) / 32);
    size_t x_row = padded_len(s->k);
    vec sums[BLOCK_ROWS][2];
#pragma GCC unroll 16
    for (int i = 0; i < 2 * m; i++)
        sums[i / 2][i % 2] = v_set(0);
    for (size_t k = 0; k < s->k; b += block_bytes_of(dtype)) {
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
