#include "kernel/quant.h"

#include <math.h>
#include <string.h>

#include "base/error.h"

static float bits_to_f32(uint32_t u) {
    float f;
    memcpy(&f, &u, sizeof f);
    return f;
}

static uint32_t bits_of_f32(float f) {
    uint32_t u;
    memcpy(&u, &f, sizeof u);
    return u;
}

float cr_f16_to_f32(uint16_t h) {
    uint32_t sign = (uint32_t)(h & 0x8000) << 16;
    uint32_t magnitude = h & 0x7FFF;
    if (magnitude >= 0x7C00) /* infinity and NaN, which is made quiet */
        return bits_to_f32(sign | 0x7F800000 | (magnitude & 0x3FF) << 13 |
                           (magnitude > 0x7C00 ? 0x400000u : 0u));
    if (magnitude >= 0x400)
        return bits_to_f32(sign | ((magnitude << 13) + (112u << 23)));
    /* Subnormal: the integer times 2^-24, exact in f32. */
    float f = (float)magnitude * 0x1p-24f;
    return bits_to_f32(sign | bits_of_f32(f));
}

uint16_t cr_f16_from_f32(float f) {
    uint32_t u = bits_of_f32(f);
    uint32_t sign = u >> 16 & 0x8000;
    u &= 0x7FFFFFFF;
    if (u > 0x7F800000)
        return (uint16_t)(sign | 0x7E00 | (u >> 13 & 0x3FF));
    if (u >= 0x477FF000) /* 65520 and above round to infinity */
        return (uint16_t)(sign | 0x7C00);
    if (u < 0x38800000) {
        /* Below 2^-14 the result counts units of 2^-24: adding 0.5 puts that unit at the end
         * of the f32 significand, where the addition itself rounds to nearest even. */
        uint32_t sum = bits_of_f32(bits_to_f32(u) + 0.5f);
        return (uint16_t)(sign | (sum - 0x3F000000));
    }
    uint32_t odd = u >> 13 & 1;
    u += 0xFFF + odd - (112u << 23);
    return (uint16_t)(sign | u >> 13);
}

uint16_t cr_bf16_from_f32(float f) {
    uint32_t u = bits_of_f32(f);
    if ((u & 0x7FFFFFFF) > 0x7F800000)
        return (uint16_t)(u >> 16 | 64); /* a quiet NaN */
    return (uint16_t)((u + 0x7FFF + (u >> 16 & 1)) >> 16);
}

static uint16_t load_u16(const unsigned char *p) {
    return (uint16_t)(p[0] | p[1] << 8);
}

static float load_f16(const unsigned char *p) {
    return cr_f16_to_f32(load_u16(p));
}

static uint32_t load_u32(const unsigned char *p) {
    return p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

/* One block to block_len floats. */

static void block_q8_0(const unsigned char *b, float *y) {
    float d = load_f16(b);
    for (int i = 0; i < 32; i++) {
        int q = b[2 + i] < 128 ? b[2 + i] : b[2 + i] - 256;
        y[i] = (float)q * d;
    }
}

static void block_q4_0(const unsigned char *b, float *y) {
    float d = load_f16(b);
    for (int i = 0; i < 16; i++) {
        y[i] = d * (float)((b[2 + i] & 15) - 8);
        y[i + 16] = d * (float)((b[2 + i] >> 4) - 8);
    }
}

static void block_q4_1(const unsigned char *b, float *y) {
    float d = load_f16(b);
    float m = load_f16(b + 2);
    for (int i = 0; i < 16; i++) {
        y[i] = d * (float)(b[4 + i] & 15) + m;
        y[i + 16] = d * (float)(b[4 + i] >> 4) + m;
    }
}

/* The fifth bits lie apart: bit i of `high` belongs to element i. */
static int five_bits(const unsigned char *low, uint32_t high, int i) {
    int nibble = i < 16 ? low[i] & 15 : low[i - 16] >> 4;
    return nibble | (int)(high >> i & 1) << 4;
}

static void block_q5_0(const unsigned char *b, float *y) {
    float d = load_f16(b);
    uint32_t high = load_u32(b + 2);
    for (int i = 0; i < 32; i++)
        y[i] = d * (float)(five_bits(b + 6, high, i) - 16);
}

static void block_q5_1(const unsigned char *b, float *y) {
    float d = load_f16(b);
    float m = load_f16(b + 2);
    uint32_t high = load_u32(b + 4);
    for (int i = 0; i < 32; i++)
        y[i] = d * (float)five_bits(b + 8, high, i) + m;
}

/* Six-bit scale and minimum of group j out of the 12 packed bytes: the low four groups lie
 * whole in bytes 0..7, the others are split between a nibble and the spare top bits. */
static void k_scale(const unsigned char *p, int j, float *scale, float *minimum) {
    if (j < 4) {
        *scale = (float)(p[j] & 63);
        *minimum = (float)(p[j + 4] & 63);
    } else {
        *scale = (float)((p[j + 4] & 15) | (p[j - 4] >> 6) << 4);
        *minimum = (float)(p[j + 4] >> 4 | (p[j] >> 6) << 4);
    }
}

static void block_q4_k(const unsigned char *b, float *y) {
    float d = load_f16(b);
    float dmin = load_f16(b + 2);
    for (int j = 0; j < 8; j++) {
        float scale, minimum;
        k_scale(b + 4, j, &scale, &minimum);
        scale *= d;
        minimum *= dmin;
        const unsigned char *q = b + 16 + j / 2 * 32;
        for (int i = 0; i < 32; i++)
            y[j * 32 + i] = scale * (float)(j % 2 ? q[i] >> 4 : q[i] & 15) - minimum;
    }
}

static void block_q5_k(const unsigned char *b, float *y) {
    float d = load_f16(b);
    float dmin = load_f16(b + 2);
    const unsigned char *high = b + 16;
    for (int j = 0; j < 8; j++) {
        float scale, minimum;
        k_scale(b + 4, j, &scale, &minimum);
        scale *= d;
        minimum *= dmin;
        const unsigned char *low = b + 48 + j / 2 * 32;
        for (int i = 0; i < 32; i++) {
            int q = (j % 2 ? low[i] >> 4 : low[i] & 15) | (high[i] >> j & 1) << 4;
            y[j * 32 + i] = scale * (float)q - minimum;
        }
    }
}

static void block_q6_k(const unsigned char *b, float *y) {
    const unsigned char *scales = b + 192;
    float d = load_f16(b + 208);
    for (int j = 0; j < 8; j++) { /* groups of 32; a half block is 4 groups */
        const unsigned char *low = b + j / 4 * 64 + j % 2 * 32;
        const unsigned char *high = b + 128 + j / 4 * 32;
        for (int i = 0; i < 32; i++) {
            int nibble = j % 4 < 2 ? low[i] & 15 : low[i] >> 4;
            int q = (nibble | (high[i] >> 2 * (j % 4) & 3) << 4) - 32;
            int s = scales[j * 2 + i / 16];
            s = s < 128 ? s : s - 256;
            y[j * 32 + i] = d * (float)s * (float)q;
        }
    }
}

typedef void block_fn(const unsigned char *block, float *y);

static block_fn *const block_table[CR_DTYPE_COUNT] = {
    [CR_Q8_0] = block_q8_0, [CR_Q4_0] = block_q4_0, [CR_Q4_1] = block_q4_1,
    [CR_Q5_0] = block_q5_0, [CR_Q5_1] = block_q5_1, [CR_Q4_K] = block_q4_k,
    [CR_Q5_K] = block_q5_k, [CR_Q6_K] = block_q6_k,
};

/* One plain element; memcpy because the source may be unaligned. */
static float plain_element(enum cr_dtype dtype, const unsigned char *p) {
    double f64;
    int64_t i64;
    switch (dtype) {
    case CR_F64:
        memcpy(&f64, p, sizeof f64);
        return (float)f64;
    case CR_I64:
        memcpy(&i64, p, sizeof i64);
        return (float)i64;
    case CR_I32:
        return (float)(int32_t)load_u32(p);
    case CR_I16:
        return (float)(int16_t)load_u16(p);
    case CR_I8:
        return (float)(signed char)p[0];
    default:
        return (float)p[0];
    }
}

void cr_row_to_f32(enum cr_dtype dtype, const void *src, float *dst, size_t n) {
    const unsigned char *p = src;
    size_t block_len = cr_dtype_block_len(dtype);
    size_t block_bytes = cr_dtype_block_bytes(dtype);
    CR_ASSERT(n % block_len == 0);
    if (n == 0)
        return;
    switch (dtype) {
    case CR_F32:
        memcpy(dst, src, n * sizeof *dst);
        break;
    case CR_F16:
        for (size_t i = 0; i < n; i++)
            dst[i] = load_f16(p + 2 * i);
        break;
    case CR_BF16:
        for (size_t i = 0; i < n; i++)
            dst[i] = cr_bf16_to_f32(load_u16(p + 2 * i));
        break;
    default:
        for (size_t i = 0; i < n; i += block_len, p += block_bytes) {
            if (block_table[dtype])
                block_table[dtype](p, dst + i);
            else
                dst[i] = plain_element(dtype, p);
        }
    }
}

bool cr_row_from_f32_supports(enum cr_dtype dtype) {
    return dtype == CR_F32 || dtype == CR_F16 || dtype == CR_BF16 || dtype == CR_Q8_0 ||
           dtype == CR_Q4_0;
}

static void store_u16(unsigned char *p, uint16_t u) {
    p[0] = (unsigned char)(u & 255);
    p[1] = (unsigned char)(u >> 8);
}

/* x clamped to [low, high] as an integer; NaN gives low, so no cast is undefined. */
static int to_int(float x, int low, int high) {
    if (!(x > (float)low))
        return low;
    return x < (float)high ? (int)x : high;
}

static void quantise_q8_0(const float *x, unsigned char *b) {
    float largest = 0;
    for (int i = 0; i < 32; i++)
        largest = fmaxf(largest, fabsf(x[i]));
    float d = largest / 127;
    float inverse = d != 0 ? 1 / d : 0;
    store_u16(b, cr_f16_from_f32(d));
    for (int i = 0; i < 32; i++)
        b[2 + i] = (unsigned char)to_int(roundf(x[i] * inverse), -128, 127);
}

static void quantise_q4_0(const float *x, unsigned char *b) {
    /* The element of largest magnitude, with its sign, becomes -8. */
    float largest = 0, value = 0;
    for (int i = 0; i < 32; i++) {
        if (fabsf(x[i]) > largest) {
            largest = fabsf(x[i]);
            value = x[i];
        }
    }
    float d = value / -8;
    float inverse = d != 0 ? 1 / d : 0;
    store_u16(b, cr_f16_from_f32(d));
    for (int i = 0; i < 16; i++) {
        int low = to_int(x[i] * inverse + 8.5f, 0, 15);
        int high = to_int(x[i + 16] * inverse + 8.5f, 0, 15);
        b[2 + i] = (unsigned char)(low | high << 4);
    }
}

void cr_row_from_f32(enum cr_dtype dtype, const float *src, void *dst, size_t n) {
    unsigned char *p = dst;
    CR_ASSERT(cr_row_from_f32_supports(dtype) && n % cr_dtype_block_len(dtype) == 0);
    switch (dtype) {
    case CR_F32:
        if (n > 0)
            memcpy(dst, src, n * sizeof *src);
        break;
    case CR_F16:
        for (size_t i = 0; i < n; i++)
            store_u16(p + 2 * i, cr_f16_from_f32(src[i]));
        break;
    case CR_BF16:
        for (size_t i = 0; i < n; i++)
            store_u16(p + 2 * i, cr_bf16_from_f32(src[i]));
        break;
    case CR_Q8_0:
        for (size_t i = 0; i < n; i += 32)
            quantise_q8_0(src + i, p + i / 32 * 34);
        break;
    default:
        for (size_t i = 0; i < n; i += 32)
            quantise_q4_0(src + i, p + i / 32 * 18);
    }
}
